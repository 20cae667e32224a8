"""NumPy's namespace for traced arrays, and the Array API's.

Importing it fills the tables that NumPy's own functions look up when they meet a tracer, so `np.sum(x)` and
`lilith.numpy.sum(x)` are the same function. Replaced are only those that NumPy hands to nobody: `array`, `asarray`,
`full`; those that change an array in place, which return the new array here: `put`, `put_along_axis`, `place`,
`putmask`, `copyto`, `fill_diagonal`; and those whose result has as many elements as the values say, which take the
number as `size`: `nonzero`, `flatnonzero`, `argwhere`. What is not named here is NumPy's.
"""

from typing import Any

import numpy as _np

from lilith.numpy import (  # noqa: F401  their rules enter the tables
    applying,
    fourier,
    methods,
    norms,
    products,
    quantiles,
    scipy_ufuncs,
    signals,
    statistics,
    taking,
)
from lilith.numpy import assigning as _assigning
from lilith.numpy.creation import asarray
from lilith.numpy.creation import full_array as full
from lilith.numpy.creation import make_array as array
from lilith.numpy.histograms import bincount_array as bincount
from lilith.numpy.sorting import argsort_array as argsort
from lilith.numpy.sorting import sort_array as sort
from lilith.numpy.taking import take_array as take
from lilith.tracer import FUNCTIONS as _FUNCTIONS
from lilith.tracer import UFUNCS as _UFUNCS

_OURS = {
    "argsort": argsort,
    "array": array,
    "asarray": asarray,
    "bincount": bincount,
    "full": full,
    "sort": sort,
    "take": take,
}
for _name in (
    "argwhere", "copyto", "fill_diagonal", "flatnonzero", "nonzero", "place", "put", "put_along_axis", "putmask",
):  # fmt: skip
    _OURS[_name] = globals()[_name] = getattr(_assigning, _name)


def __getattr__(name: str) -> Any:
    return getattr(_np, name)


def supported() -> list[str]:
    """The names of NumPy's functions that work on traced arrays."""
    found = {name for name in dir(_np) if _known(getattr(_np, name))}
    for part in ("linalg", "fft"):
        space = getattr(_np, part)
        found |= {f"{part}.{name}" for name in dir(space) if _known(getattr(space, name))}
    return sorted(found | _OURS.keys())


def _known(function: Any) -> bool:
    if not callable(function) or isinstance(function, type):
        return False
    return function in _UFUNCS or (function in _FUNCTIONS and not hasattr(_FUNCTIONS[function], "refuses"))


def __dir__() -> list[str]:
    return sorted({*dir(_np), *_OURS, "supported"})
