"""NumPy's namespace for traced arrays, and the Array API's.

Importing it fills the tables that NumPy's own functions look up when they meet a tracer, so `np.sum(x)` and
`lilith.numpy.sum(x)` are the same function. Replaced are only those that NumPy hands to nobody (`array`, `asarray`,
`full` ...); those to which the Python Array API standard, version 2024.12, gives another signature (`sort`, `take`);
those that change an array in place, which return the new array here (`put`, `put_along_axis`, `place`, `putmask`,
`copyto`, `fill_diagonal`); and those whose result has as many elements as the values say, which take the number as
`size` (`nonzero`, `flatnonzero`, `argwhere`) or `length` (`bincount`). What is not named here is NumPy's, `linalg`
and `fft` included.
"""

import difflib as _difflib
from typing import Any

import numpy as _np

from lilith.numpy import (  # noqa: F401  their rules enter the tables
    applying,
    assigning,
    changing,
    fft,
    fitting,
    fourier,
    functions,
    histograms,
    inplace,
    inquiries,
    linalg,
    methods,
    norms,
    padding,
    polynomials,
    products,
    quantiles,
    refused,
    scipy_ufuncs,
    selections,
    signals,
    sorting,
    statistics,
    taking,
)
from lilith.numpy import standard as _standard
from lilith.numpy import views as _views
from lilith.numpy.creation import INSTEAD as _INSTEAD
from lilith.tracer import FUNCTIONS as _FUNCTIONS
from lilith.tracer import UFUNCS as _UFUNCS

_views.install()

_ASSIGNING = "argwhere copyto fill_diagonal flatnonzero nonzero place put put_along_axis putmask".split()
_OURS: dict[str, Any] = {
    "fft": fft,
    "linalg": linalg,
    **_INSTEAD,
    **_standard.NAMES,
    "argsort": sorting.argsort_array,
    "bincount": histograms.bincount_array,
    "sort": sorting.sort_array,
    "take": taking.take_array,
    **{name: getattr(assigning, name) for name in _ASSIGNING},
}
globals().update(_OURS)


def __getattr__(name: str) -> Any:
    try:
        return getattr(_np, name)
    except AttributeError:
        near = _difflib.get_close_matches(name, __dir__(), 3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise AttributeError(f"lilith.numpy has no {name}{hint}") from None


def supported() -> list[str]:
    """The names of the functions of numpy, numpy.linalg and numpy.fft that work while a function is traced.

    >>> {"sum", "linalg.norm", "fft.rfft"} <= set(supported())
    True
    """
    found = {name for name in dir(_np) if _known(getattr(_np, name))}
    for part in ("linalg", "fft"):
        space = getattr(_np, part)
        found |= {f"{part}.{name}" for name in dir(space) if _known(getattr(space, name))}
    found |= {name for name in [*_standard.STATIC, *_OURS] if _is_function(_value(name))}
    return sorted(found - refused.NOT_MEANINGFUL.keys())


def _value(name: str) -> Any:
    found: Any = _np
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _is_function(x: Any) -> bool:
    return callable(x) and not isinstance(x, type)


def _known(x: Any) -> bool:
    return _is_function(x) and (x in _UFUNCS or x in _FUNCTIONS)


def __dir__() -> list[str]:
    return sorted({*dir(_np), *_OURS, "supported"})
