"""What is known of arrays and dtypes without their values; bits; functions NumPy writes with those."""

from __future__ import annotations

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
    static_int,
)
from lilith.numpy.floats import trunc
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
def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
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


@implements(np.einsum_path)
def einsum_path(*operands: Any, optimize: Any = "greedy") -> Any:
    """numpy.einsum_path: shapes are all it needs."""
    plain: list[Any] = [np.empty(x.shape) if isinstance(x, Value | Tracer) else x for x in operands]
    return np.einsum_path(*plain, optimize=optimize)


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
