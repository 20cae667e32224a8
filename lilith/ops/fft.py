"""The discrete Fourier transform, of complex and of real arrays, over the last axes.

y_k = Σ_j x_j exp(-2πi jk/n) along each axis ("fft"); the inverse has the opposite sign and a factor 1/n ("ifft"). A
real array has a Hermitian transform, of which "rfft" gives the first n // 2 + 1 entries along the last axis and "irfft"
takes them. Cooley and Tukey 1965; Sorensen et al., Real-valued fast Fourier transform algorithms, 1987.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.primitive import Primitive, per_operand, primitive
from lilith.ir.type import TensorType, dtype_name, real_dtype
from lilith.ops.elementwise import complex, eq, imag, logical_or, mul, neg, real, select
from lilith.source import DtypeError, ShapeError

Lengths = tuple[int, ...]

MOST_AXES = 3
"""StableHLO transforms one, two or three axes at once."""


def half_length(n: int) -> int:
    """The number of entries that describe the transform of n real numbers."""
    return n // 2 + 1


def _fft_type(x: TensorType, *, kind: str, lengths: Lengths) -> TensorType:
    takes = ("f32", "f64") if kind == "rfft" else ("c64", "c128")
    if dtype_name(x.dtype) not in takes:
        raise DtypeError(f"fft: {kind} takes {' or '.join(takes)}, got {x}", hint="convert with x.astype(dtype)")
    if not 1 <= len(lengths) <= min(MOST_AXES, x.ndim):
        raise ShapeError(
            f"fft: lengths {lengths} for {x}", hint=f"one length for each of the last 1 to {MOST_AXES} axes"
        )
    given = (*lengths[:-1], half_length(lengths[-1])) if kind == "irfft" else lengths
    if min(lengths) < 1 or x.shape[x.ndim - len(lengths) :] != given:
        raise ShapeError(f"fft: {kind} of lengths {lengths} takes the shape (..., {given}), got {x}", hint="pad or cut")
    shape = x.shape[: x.ndim - len(lengths)] + lengths
    if kind == "irfft":
        return TensorType(shape, real_dtype(x.dtype))
    if kind == "rfft":
        return TensorType((*shape[:-1], half_length(lengths[-1])), np.result_type(x.dtype, np.complex64))
    return TensorType(shape, x.dtype)


_EVAL: dict[str, Callable[..., Any]] = {
    "fft": np.fft.fftn,
    "ifft": np.fft.ifftn,
    "rfft": np.fft.rfftn,
    "irfft": np.fft.irfftn,
}


def _fft_eval(x: np.ndarray, kind: str, lengths: Lengths) -> np.ndarray:
    return _EVAL[kind](x, s=lengths, axes=tuple(range(-len(lengths), 0)))


def _unpaired(x: Value, n: int) -> Value:
    """Where an entry of the half spectrum of n numbers stands for itself alone: frequency 0, and n / 2 for even n."""
    frequency = primitive("iota")(shape=x.shape, dtype=np.dtype(np.int32), axis=x.ndim - 1)
    alone = eq(frequency, fill_like(frequency, 0))
    return alone if n % 2 else logical_or(alone, eq(frequency, fill_like(frequency, n // 2)))


def _weighted_conjugate(x: Value, n: int, alone: float, paired: float) -> Value:
    """w conj(x) for the half spectrum x of n numbers: w tells apart what stands for itself and what for two."""
    a, b = real(x), imag(x)
    w = select(_unpaired(x, n), fill_like(a, alone), fill_like(a, paired))
    return complex(mul(a, w), neg(mul(b, w)))


def _fft_rule(g: Value, y: Value, x: Value, *, kind: str, lengths: Lengths) -> Value:
    """The matrix of the complex transforms is symmetric: x̄ = fft(ȳ), x̄ = ifft(ȳ).

    With N the number of entries: rfft has x̄ = Re Σ_k ȳ_k exp(-2πi jk/n), which is N irfft(w conj(ȳ)) with w = 1 where
    an entry stands for itself and 1/2 where it stands for two; irfft has x̄ = w conj(rfft(ȳ)) / N with w = 1 and 2.
    """
    size, n = math.prod(lengths), lengths[-1]
    if kind == "rfft":
        return fft(_weighted_conjugate(g, n, size, size / 2), kind="irfft", lengths=lengths)
    if kind == "irfft":
        return _weighted_conjugate(fft(g, kind="rfft", lengths=lengths), n, 1 / size, 2 / size)
    return fft(g, kind=kind, lengths=lengths)


fft: Primitive = Primitive(
    "fft",
    type=_fft_type,
    eval=_fft_eval,
    vjp=per_operand(_fft_rule),
    batch=lambda batched, x, kind, lengths: fft(x, kind=kind, lengths=lengths),
)
