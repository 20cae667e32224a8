"""Sample inputs of every primitive, by family: what the generic tests in test_registry.py run through.

Values lie away from kinks and poles, so that finite differences are good to about eight digits; shapes are small.
"""

from __future__ import annotations

from tests.samples import (
    control,
    conv,
    cumulative,
    elementwise,
    factorization,
    fft,
    indexing,
    linalg,
    loops,
    matrix_functions,
    nested,
    random,
    reduction,
    shape,
    solving,
    sorting,
    special,
)
from tests.samples.making import Sample

__all__ = ["Sample", "samples"]

FAMILIES = (
    control,
    conv,
    cumulative,
    elementwise,
    factorization,
    fft,
    indexing,
    linalg,
    loops,
    matrix_functions,
    nested,
    random,
    reduction,
    shape,
    solving,
    sorting,
    special,
)


def samples() -> dict[str, list[Sample]]:
    """Sample inputs by the primitive's name."""
    return {name: group for family in FAMILIES for name, group in family.samples().items()}
