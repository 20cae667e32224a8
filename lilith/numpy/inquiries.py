"""What is known of arrays and dtypes without their values; bits; functions NumPy writes with those."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from lilith.ir.graph import Value
from lilith.ir.type import BFLOAT16, kind
from lilith.numpy import ufuncs
from lilith.numpy.core import (
    convert,
    full,
    implements,
    lift,
    normalize_axis,
    shape_argument,
    static_int,
)
from lilith.numpy.floats import remainder, trunc
from lilith.numpy.functions import array_equal, imag
from lilith.numpy.reductions import sum as sum_
from lilith.numpy.shaping import broadcast_arrays, expand_dims, moveaxis, reshaped
from lilith.ops import shape
from lilith.source import ArgumentError, DtypeError, ShapeError
from lilith.tracer import Tracer

_BYTE = np.dtype(np.uint8)

# ---- dtypes -------------------------------------------------------------------------------------------------------


def _dtype(x: Any) -> Any:
    """The dtype of an array; anything else as it is."""
    return x.dtype if isinstance(x, Value | Tracer | np.ndarray | np.generic) else x


@implements(np.can_cast)
def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    """numpy.can_cast."""
    return bool(np.can_cast(_dtype(from_), _dtype(to), casting))


@implements(np.common_type)
def common_type(*arrays: Any) -> type:
    """numpy.common_type."""
    values = [lift(x) for x in arrays]
    for x in values:
        if kind(x.dtype) not in "iufc" or x.dtype == BFLOAT16:
            raise DtypeError(f"common_type: {x.type} has none", hint="np.result_type(x, y)")
    return np.common_type(*[np.empty(0, x.dtype) for x in values])


def finfo(type: Any) -> Any:
    """numpy.finfo of a dtype or an array, bfloat16 too.

    >>> float(finfo(np.float32).eps)
    1.1920928955078125e-07
    """
    dtype = np.dtype(_dtype(type))
    return ml_dtypes.finfo(dtype) if dtype == BFLOAT16 else np.finfo(dtype)


def iinfo(type: Any) -> np.iinfo:
    """numpy.iinfo of a dtype or an array.

    >>> iinfo(np.int8).max
    127
    """
    return np.iinfo(_dtype(type))


# ---- elements -----------------------------------------------------------------------------------------------------


@implements(np.iscomplex)
def iscomplex(x: Any) -> Value:
    """numpy.iscomplex: where the imaginary part is not 0."""
    return ufuncs.not_equal(imag(x), 0)


@implements(np.fix)
def fix(x: Any) -> Value:
    """numpy.fix: rounded toward zero."""
    return trunc(x)


@implements(np.array_equiv)
def array_equiv(a1: Any, a2: Any) -> Any:
    """numpy.array_equiv; False at once where the shapes do not broadcast."""
    try:
        x, y = broadcast_arrays(a1, a2)
    except ShapeError:
        return False
    return array_equal(x, y)


# ---- positions that follow from shapes ----------------------------------------------------------------------------


def _of_square(name: str) -> Callable[..., Any]:
    def rule(arr: Any, k: Any = 0) -> Any:
        x = lift(arr)
        if x.ndim != 2:
            raise ShapeError(f"{name}: {x.type} is not a matrix", hint="it needs two axes")
        return getattr(np, name)(np.empty(x.shape, bool), k)

    rule.__name__, rule.__doc__ = name, f"numpy.{name}."
    return rule


for _name in ("tril_indices_from", "triu_indices_from"):
    implements(getattr(np, _name))(_of_square(_name))


@implements(np.diag_indices_from)
def diag_indices_from(arr: Any) -> tuple:
    """numpy.diag_indices_from."""
    x = lift(arr)
    if x.ndim < 2 or len(set(x.shape)) != 1:
        raise ShapeError(f"diag_indices_from: {x.type} is not square", hint="two axes or more, of one size")
    return np.diag_indices(x.shape[0], x.ndim)


@implements(np.einsum_path)
def einsum_path(*operands: Any, optimize: Any = "greedy") -> Any:
    """numpy.einsum_path: shapes are all it needs."""
    plain = [np.empty(x.shape) if isinstance(x, Value | Tracer) else x for x in operands]
    return np.einsum_path(*plain, optimize=optimize)


@implements(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Value:
    """numpy.ravel_multi_index. With mode 'raise' traced indices are taken as they are: whether they lie inside is not
    known while tracing."""
    sizes = shape_argument(dims, "ravel_multi_index")
    modes = mode if isinstance(mode, tuple) else (mode,) * len(sizes)
    indices = [multi_index[i] for i in range(len(multi_index))]
    if len(indices) != len(sizes) or len(modes) != len(sizes):
        raise ShapeError(f"ravel_multi_index: {len(indices)} indices for dims {sizes}", hint="one index per axis")
    if order not in ("C", "F"):
        raise ArgumentError(f"ravel_multi_index: order={order!r}", hint="'C' or 'F'")
    strides = [int(np.prod(sizes[i + 1 :] if order == "C" else sizes[:i], dtype=int)) for i in range(len(sizes))]
    total: Any = 0
    for index, n, how, stride in zip(indices, sizes, modes, strides, strict=True):
        place = convert(lift(index), np.dtype(np.int64))
        if how == "wrap":
            place = remainder(place, n)
        elif how == "clip":
            place = ufuncs.minimum(ufuncs.maximum(place, 0), n - 1)
        elif how != "raise":
            raise ArgumentError(f"ravel_multi_index: mode={how!r}", hint="'raise', 'wrap' or 'clip'")
        total = ufuncs.add(total, ufuncs.multiply(place, stride))
    return total


@implements(np.apply_over_axes)
def apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    """numpy.apply_over_axes."""
    y = a
    for axis in axes if isinstance(axes, list | tuple) else (axes,):
        place = normalize_axis(axis, np.ndim(a), "apply_over_axes")
        z = func(y, place)
        y = z if np.ndim(z) == np.ndim(y) else np.expand_dims(z, place)
        if np.ndim(y) != np.ndim(a):
            raise ShapeError("apply_over_axes: the function removes more than one axis", hint="func(x, axis)")
    return y


# ---- bits ---------------------------------------------------------------------------------------------------------


def _bit_weights(bitorder: str, name: str) -> np.ndarray:
    if bitorder not in ("big", "little"):
        raise ArgumentError(f"{name}: bitorder={bitorder!r}", hint="'big' or 'little'")
    return np.arange(8, dtype=_BYTE)[:: -1 if bitorder == "big" else 1]


@implements(np.packbits)
def packbits(a: Any, /, axis: Any = None, bitorder: str = "big") -> Value:
    """numpy.packbits: eight flags make a byte; what lacks at the end is filled up with zeros."""
    x = lift(a)
    if kind(x.dtype) not in "biu":
        raise DtypeError(f"packbits: takes bool or integer arrays, got {x.type}", hint="compare it first: x > 0")
    if axis is None:
        x, axis = reshaped(x, (x.type.size,)), 0
    place = normalize_axis(axis, x.ndim, "packbits")
    x = moveaxis(convert(convert(x, np.dtype(bool)), _BYTE), place, -1)
    n = x.shape[-1]
    none = (0,) * x.ndim
    padded = shape.pad(x, full(0, (), _BYTE), low=none, high=(*none[1:], -n % 8), interior=none)
    groups = reshaped(padded, (*x.shape[:-1], -(-n // 8), 8))
    bits = ufuncs.left_shift(groups, _bit_weights(bitorder, "packbits"))
    return moveaxis(sum_(bits, -1, dtype=_BYTE), -1, place)


@implements(np.unpackbits)
def unpackbits(a: Any, /, axis: Any = None, count: Any = None, bitorder: str = "big") -> Value:
    """numpy.unpackbits: the eight bits of every byte, cut or filled up with zeros to `count`."""
    x = lift(a)
    if x.dtype != _BYTE:
        raise DtypeError(f"unpackbits: takes uint8 arrays, got {x.type}", hint="x.astype(np.uint8)")
    if axis is None:
        x, axis = reshaped(x, (x.type.size,)), 0
    place = normalize_axis(axis, x.ndim, "unpackbits")
    x = moveaxis(x, place, -1)
    bits = ufuncs.bitwise_and(ufuncs.right_shift(expand_dims(x, -1), _bit_weights(bitorder, "unpackbits")), 1)
    y = reshaped(bits, (*x.shape[:-1], 8 * x.shape[-1]))
    if count is not None:
        n = y.shape[-1]
        size = static_int(count, "unpackbits", "count")
        kept = size if size >= 0 else n + size
        y = shape.part(y, y.ndim - 1, 0, min(kept, n))
        if kept > n:
            none = (0,) * y.ndim
            y = shape.pad(y, full(0, (), _BYTE), low=none, high=(*none[1:], kept - n), interior=none)
    return moveaxis(y, -1, place)
