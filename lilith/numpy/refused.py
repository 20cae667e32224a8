"""NumPy's functions that mean nothing on traced arrays, and why. What they say of plain arrays stays NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np

from lilith.tracer import REFUSALS

_REASONS = {
    "it reads or writes files": "fromfile fromregex genfromtxt load loadtxt save savetxt savez savez_compressed",
    "it makes an array of bytes, text or a Python iterator": "frombuffer fromiter fromstring from_dlpack",
    "it makes text": (
        "array2string array_repr array_str base_repr binary_repr datetime_as_string format_float_positional "
        "format_float_scientific typename"
    ),
    "it is about printing, errors or this installation": (
        "get_include get_printoptions getbufsize geterr geterrcall info printoptions set_printoptions setbufsize "
        "seterr seterrcall show_config show_runtime test linalg.test fft.test"
    ),
    "it changes an array in place": "copyto fill_diagonal place put putmask",
    "it is about memory, which traced arrays do not have": "may_share_memory shares_memory isfortran nested_iters",
    "dates are not traced": "busday_count busday_offset datetime_data is_busday isnat",
    "the size of its result depends on values": (
        "argwhere extract flatnonzero intersect1d setdiff1d setxor1d trim_zeros union1d unique unique_all "
        "unique_counts unique_inverse unique_values"
    ),
    "the dtype of its result depends on values": "min_scalar_type real_if_close",
    "whether it raises an error depends on values": "asarray_chkfinite",
    "it makes np.matrix objects, which are not traced": "asmatrix bmat",
    "it makes a function of Python objects": "frompyfunc",
}
_HINTS = {
    "copyto": "np.where(mask, new, x) is a new array",
    "fill_diagonal": "np.where(np.eye(n, dtype=bool), value, x) is a new array",
    "place": "np.where(mask, new, x) is a new array",
    "put": "np.where(mask, new, x) is a new array",
    "putmask": "np.where(mask, new, x) is a new array",
    "real_if_close": "x.real, or np.real(x)",
    "min_scalar_type": "x.dtype",
    "extract": "np.where(condition, x, 0) keeps the size; a condition that is not traced may index: x[condition]",
    "argwhere": "np.where(condition, a, b) chooses without positions; np.argmax(condition) is the first one",
    "flatnonzero": "np.where(condition, a, b) chooses without positions; np.argmax(condition) is the first one",
    "unique": "do it before, on a plain array; np.sort keeps the size",
    "asarray_chkfinite": "lilith.numpy.asarray(x), and np.isfinite(x) to know",
}


def _lookup(name: str) -> Any:
    found: Any = np
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


NOT_MEANINGFUL: dict[str, str] = {name: reason for reason, names in _REASONS.items() for name in names.split()}
"""The reason by the name that is written after `np.`."""

for _name, _reason in NOT_MEANINGFUL.items():
    _function = _lookup(_name)
    if _function is not None:  # NumPy's namespace differs from version to version
        REFUSALS[_function] = (_reason, _HINTS.get(_name, "call it outside of the traced function, on plain arrays"))
