"""What samples are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lilith.ir.type import BFLOAT16

F16, F32, F64 = (np.dtype(f"f{n}") for n in (2, 4, 8))
C64, C128 = np.dtype("c8"), np.dtype("c16")
I8, I32, I64 = (np.dtype(f"i{n}") for n in (1, 4, 8))
U8, U32, U64 = (np.dtype(f"u{n}") for n in (1, 4, 8))
BOOL = np.dtype(bool)
SHAPES = ((2, 3), (), (0,))


class Sample(NamedTuple):
    """One application of a primitive.

    Attributes:
        operands: NumPy arrays.
        params: the static parameters.
        differentiable: for each operand, whether the primitive is smooth in it here.
        hermitian: the primitive is defined for Hermitian matrices; its derivative is one along these.
    """

    operands: tuple[np.ndarray, ...]
    params: dict[str, Any]
    differentiable: tuple[bool, ...]
    hermitian: bool = False


def sample(*operands: Any, smooth: tuple[bool, ...] | bool = True, hermitian: bool = False, **params: Any) -> Sample:
    """A sample; `smooth` says which operands may be differentiated, floating and complex ones that is."""
    arrays = tuple(np.asarray(x) for x in operands)
    flags = smooth if isinstance(smooth, tuple) else (smooth,) * len(arrays)
    inexact = [a.dtype.kind in "fc" or a.dtype == BFLOAT16 for a in arrays]
    return Sample(arrays, params, tuple(a and b for a, b in zip(flags, inexact, strict=True)), hermitian)


def values(
    dtype: np.dtype, shape: tuple[int, ...] = (2, 3), low: float = -2.0, high: float = 2.0, seed: int = 0
) -> np.ndarray:
    """Distinct numbers from low to high in mixed order; complex ones with an imaginary part of the same kind."""
    size = int(np.prod(shape))
    spread = low + (high - low) * (np.arange(size) + 0.37) / max(size, 1)
    order = np.random.default_rng(seed + 1).permutation(size)
    x = spread[order].reshape(shape)
    if dtype.kind == "c":
        return (x + 1j * spread[order[::-1]].reshape(shape) / 2).astype(dtype)
    if dtype.kind in "iu":
        return np.rint(np.maximum(x, 0 if dtype.kind == "u" else low)).astype(dtype)
    if dtype.kind == "b":
        return (np.arange(size) % 3 == seed % 3).reshape(shape)
    return x.astype(dtype)


def specials() -> list[np.ndarray]:
    """Numbers at which comparisons and rounding are easy to get wrong."""
    return [np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 0.5, 1.5, -2.5], d) for d in (F64, F32)]
