"""NumPy's functions that mean nothing on traced arrays, and why. What they say of plain arrays stays NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np

from lilith.remedies import REFUSALS

_SIZE = "the size of the result depends on the values"
_OUTSIDE = "call it on plain arrays, outside of the traced function"

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
    "it is about memory, which traced arrays do not have": "may_share_memory shares_memory isfortran nested_iters",
    "dates are not traced": "busday_count busday_offset datetime_data is_busday isnat",
    _SIZE: (
        "intersect1d setdiff1d setxor1d trim_zeros union1d unique unique_all unique_counts unique_inverse unique_values"
    ),
    "the dtype of the result depends on the values": "min_scalar_type real_if_close",
    "whether it raises an error depends on the values": "asarray_chkfinite",
    "it makes np.matrix objects, which are not traced": "asmatrix bmat",
    "it makes a function of Python objects": "frompyfunc",
}
_UNIQUE = f"np.sort(x) keeps all elements; {_OUTSIDE}"
_SET = f"np.isin(x, y) is a mask of known size; {_OUTSIDE}"
_HINTS = {
    "real_if_close": "x.real, or np.real(x)",
    "min_scalar_type": "x.dtype",
    "trim_zeros": "cut with slices of known bounds",
    "asarray_chkfinite": "lilith.numpy.asarray(x), and np.isfinite(x) to know",
    **dict.fromkeys("unique unique_all unique_counts unique_inverse unique_values".split(), _UNIQUE),
    **dict.fromkeys("union1d intersect1d setdiff1d setxor1d".split(), _SET),
}

NOT_MEANINGFUL: dict[str, str] = {name: reason for reason, names in _REASONS.items() for name in names.split()}
"""Names, as they are written after `np.`, that mean nothing on traced arrays, and why."""

_ELSEWHERE = {
    "nonzero": (_SIZE, "lilith.numpy.nonzero(x, size=n, fill_value=0), or np.where(x, y, z) to choose"),
    "flatnonzero": (_SIZE, "lilith.numpy.flatnonzero(x, size=n, fill_value=0)"),
    "argwhere": (_SIZE, "lilith.numpy.argwhere(x, size=n, fill_value=0)"),
}
"""Functions that `lilith.numpy` has in another form."""


def _refuse() -> None:
    """Enter them all into the table of refusals; NumPy's namespace differs from version to version."""
    reasons = {name: (reason, _HINTS.get(name, _OUTSIDE)) for name, reason in NOT_MEANINGFUL.items()}
    for name, refusal in {**reasons, **_ELSEWHERE}.items():
        found: Any = np
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not None:
            REFUSALS[found] = refusal


_refuse()
