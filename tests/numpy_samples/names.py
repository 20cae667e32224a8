"""The names of NumPy's namespaces and of the Array API standard, and which of them mean nothing on traced arrays."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np


def value_of(name: str) -> Any:
    """The object that is written `np.<name>`."""
    found: Any = np
    for part in name.split("."):
        found = getattr(found, part)
    return found


def numpy_names() -> list[str]:
    """Every public function and ufunc of numpy, numpy.linalg and numpy.fft."""
    names = [name for name in dir(np) if _is_function(getattr(np, name)) and not name.startswith("_")]
    for part in ("linalg", "fft"):
        space = getattr(np, part)
        names += [f"{part}.{n}" for n in dir(space) if _is_function(getattr(space, n)) and not n.startswith("_")]
    return sorted(names)


def _is_function(x: Any) -> bool:
    """Functions, not classes (dtypes, matrix, vectorize ...), modules, constants and objects to index."""
    return callable(x) and not inspect.isclass(x)


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
    "the dtype of its result depends on values": "real_if_close",
    "it makes np.matrix objects, which are not traced": "asmatrix bmat",
    "it makes a function, of Python objects": "frompyfunc",
}

NOT_MEANINGFUL = {name: reason for reason, names in _REASONS.items() for name in names.split()}
"""Why a name has no meaning on traced arrays."""

PENDING = set(
    """
    arange array_equiv asanyarray asarray_chkfinite ascontiguousarray asfortranarray bartlett blackman
    broadcast_shapes can_cast common_type diag_indices diag_indices_from einsum_path empty eye fft.fftfreq
    fft.rfftfreq fix fromfunction geomspace hamming hanning identity indices iscomplex isdtype isscalar issubdtype
    iterable kaiser logspace min_scalar_type mintypecode ones packbits polyadd polyder polydiv polyint polymul
    polysub promote_types require row_stack tri unpackbits vander zeros ravel_multi_index tril_indices
    tril_indices_from triu_indices triu_indices_from mask_indices resize apply_along_axis apply_over_axes
    argpartition argsort bincount choose compress convolve corrcoef correlate cov delete digitize ediff1d gradient
    histogram histogram2d histogram_bin_edges histogramdd i0 insert interp isin ix_ lexsort linalg.cholesky
    linalg.cond linalg.det linalg.eig linalg.eigh linalg.eigvals linalg.eigvalsh linalg.inv linalg.lstsq
    linalg.matrix_rank linalg.pinv linalg.qr linalg.slogdet linalg.solve linalg.svd linalg.svdvals linalg.tensorinv
    linalg.tensorsolve median nanargmax nanargmin nancumprod nancumsum nanmedian nanpercentile nanquantile nonzero
    partition percentile piecewise poly polyfit put_along_axis quantile roots searchsorted sort sort_complex
    take_along_axis unravel_index unwrap
    """.split()
)
"""Names that are being worked on; empty when they are done."""

ARRAY_API = """
e inf nan newaxis pi
arange asarray empty empty_like eye from_dlpack full full_like linspace meshgrid ones ones_like tril triu zeros
zeros_like
astype can_cast finfo iinfo isdtype result_type
bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128
abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_left_shift bitwise_invert bitwise_or
bitwise_right_shift bitwise_xor ceil clip conj copysign cos cosh divide equal exp expm1 floor floor_divide greater
greater_equal hypot imag isfinite isinf isnan less less_equal log log1p log2 log10 logaddexp logical_and logical_not
logical_or logical_xor maximum minimum multiply negative nextafter not_equal positive pow real reciprocal remainder
round sign signbit sin sinh square sqrt subtract tan tanh trunc
take take_along_axis
matmul matrix_transpose tensordot vecdot
broadcast_arrays broadcast_to concat expand_dims flip moveaxis permute_dims repeat reshape roll squeeze stack tile
unstack
argmax argmin count_nonzero nonzero searchsorted where
unique_all unique_counts unique_inverse unique_values
argsort sort
cumulative_prod cumulative_sum max mean min prod std sum var
all any diff
__array_namespace_info__ __array_api_version__
linalg.cholesky linalg.cross linalg.det linalg.diagonal linalg.eigh linalg.eigvalsh linalg.inv linalg.matmul
linalg.matrix_norm linalg.matrix_power linalg.matrix_rank linalg.matrix_transpose linalg.outer linalg.pinv linalg.qr
linalg.slogdet linalg.solve linalg.svd linalg.svdvals linalg.tensordot linalg.trace linalg.vecdot linalg.vector_norm
fft.fft fft.ifft fft.fftn fft.ifftn fft.rfft fft.irfft fft.rfftn fft.irfftn fft.hfft fft.ihfft fft.fftfreq
fft.rfftfreq fft.fftshift fft.ifftshift
""".split()
"""The names of the Python Array API standard, version 2024.12."""
