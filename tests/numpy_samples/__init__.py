"""The table of NumPy's functions on traced arrays: sample uses by subject. `tests/test_numpy_table.py` runs them.

A function that becomes supported gets a row here, under the name that users write.
"""

from __future__ import annotations

from tests.numpy_samples import (
    calculus,
    creation,
    elementwise,
    fft,
    indexing,
    joining,
    linalg,
    products,
    reductions,
    shaping,
    sorting,
    statistics,
    ufuncs,
)
from tests.numpy_samples.making import Row

__all__ = ["SUBJECTS", "Row"]

SUBJECTS: dict[str, list[Row]] = {
    module.__name__.rpartition(".")[2]: module.ROWS
    for module in (
        calculus, creation, elementwise, fft, indexing, joining, linalg, products, reductions, shaping, sorting,
        statistics, ufuncs,
    )
}  # fmt: skip
"""The rows by subject; the rows of one subject are compiled together."""
