"""NumPy's namespace for traced arrays, and the Array API's.

Importing it fills the tables that NumPy's own functions look up when they meet a tracer, so `np.sum(x)` and
`lilith.numpy.sum(x)` are the same function. Replaced are only those that NumPy hands to nobody: `array`, `asarray`,
`full`. What is not named here is NumPy's.
"""

from typing import Any

import numpy as _np

from lilith.numpy import (  # noqa: F401  their rules enter the tables
    fourier,
    functions,
    methods,
    products,
    quantiles,
    scipy_ufuncs,
    sorting,
)
from lilith.numpy.creation import asarray
from lilith.numpy.creation import full_array as full
from lilith.numpy.creation import make_array as array
from lilith.numpy.sorting import argsort_array as argsort
from lilith.numpy.sorting import sort_array as sort
from lilith.tracer import FUNCTIONS as _FUNCTIONS
from lilith.tracer import UFUNCS as _UFUNCS

_OURS = {"argsort": argsort, "array": array, "asarray": asarray, "full": full, "sort": sort}


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
    return callable(function) and not isinstance(function, type) and (function in _UFUNCS or function in _FUNCTIONS)


def __dir__() -> list[str]:
    return sorted({*dir(_np), *_OURS, "supported"})
