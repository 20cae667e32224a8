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


PENDING: set[str] = set()
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
