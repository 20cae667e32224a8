"""Keys, and the bits that everything else is made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import dtype_name, kind
from lilith.numpy.core import (
    broadcast_shapes,
    convert,
    dtype_of,
    full,
    lift,
    operand,
    result_type,
    shape_argument,
    static_int,
    type_of,
)
from lilith.numpy.eager import array_function
from lilith.ops import elementwise, shape
from lilith.ops.random import UINT32, threefry
from lilith.source import ArgumentError, DtypeError, ShapeError
from lilith.trace import contains_tracer

Rule = TypeVar("Rule", bound=Callable[..., Any])
Shape = tuple[int, ...]

UINT64 = np.dtype(np.uint64)

# the upper counter word of each use; bits have the upper word of the element's index there, which is less
_SPLIT = 0x80000000
_FOLD_IN = 0xC0000000


def key(seed: Any) -> Any:
    """The key of a seed: an array of its upper and lower 32 bits.

    Arguments:
        seed: an integer of 64 bits (negative ones count as two's complement), or a traced integer.

    >>> key(0)
    array([0, 0], dtype=uint32)
    """
    if contains_tracer(seed):
        return _traced_key(seed)
    number = static_int(seed, "random.key", "the seed")
    if not -(2**63) <= number < 2**64:
        raise ArgumentError(f"random.key: the seed {number} has more than 64 bits", hint="take it modulo 2**64")
    number %= 2**64
    return np.array([number >> 32, number & 0xFFFFFFFF], UINT32)


@array_function
def _traced_key(seed: Any) -> Value:
    return _stacked(*_halves(_integer("key", "the seed", seed)))


def _integer(name: str, what: str, x: Any) -> Value:
    v = lift(x)
    if kind(v.dtype) not in "iu" or v.shape != ():
        raise ArgumentError(f"random.{name}: {what} must be one integer, got {v.type}", hint="pass a Python int")
    return v


def _halves(x: Value) -> tuple[Value, Value]:
    """The upper and the lower 32 bits of 64."""
    wide = convert(x, UINT64)
    return convert(elementwise.shift_right(wide, fill_like(wide, 32)), UINT32), convert(wide, UINT32)


def _stacked(x: Value, y: Value) -> Value:
    """x and y along a new last axis."""
    sizes = (*x.shape, 1)
    return shape.concatenate(shape.reshape(x, shape=sizes), shape.reshape(y, shape=sizes), axis=x.ndim)


def words_of(name: str, key: Any) -> tuple[Value, Value]:
    """The two words of a key, as scalars; the error for what is no key."""
    k = lift(key)
    if k.dtype != UINT32 or k.shape != (2,):
        what = f"{k.type} holds several keys" if k.dtype == UINT32 and k.shape[-1:] == (2,) else f"{k.type} is no key"
        raise (ShapeError if k.dtype == UINT32 else DtypeError)(
            f"random.{name}: {what}", hint="lilith.random.key(seed) makes one, keys[i] takes one of several"
        )
    words = [shape.part(k, 0, i, i + 1) for i in range(2)]
    return shape.reshape(words[0], shape=()), shape.reshape(words[1], shape=())


def repeated(x: Value, sizes: Shape) -> Value:
    return shape.broadcast_in_dim(x, shape=sizes, axes=()) if sizes else x


def _block(key: tuple[Value, Value], upper: Value, lower: Value) -> tuple[Value, Value]:
    """Two random words for each counter."""
    return threefry(repeated(key[0], lower.shape), repeated(key[1], lower.shape), upper, lower)


def split_key(name: str, key: Any, n: int) -> list[Value]:
    """n new keys."""
    lower = element_indices((n,), UINT32)
    keys = _stacked(*_block(words_of(name, key), full(_SPLIT, (n,), UINT32), lower))
    return [shape.reshape(shape.part(keys, 0, i, i + 1), shape=(2,)) for i in range(n)]


@array_function
def split(key: Any, n: int | Shape = 2) -> Value:
    """n new keys, an array of shape (n, 2), or (*n, 2) for a tuple n: `a, b = split(key)`.

    The numbers drawn with them are independent of each other and of those drawn with `key`.

    >>> split(np.array([0, 7], np.uint32), 3).shape
    (3, 2)
    """
    sizes = shape_argument(n, "random.split")
    lower = element_indices(sizes, UINT32)
    return _stacked(*_block(words_of("split", key), full(_SPLIT, sizes, UINT32), lower))


@array_function
def fold_in(key: Any, data: Any) -> Value:
    """A new key for each integer: `fold_in(key, step)` in a loop.

    Arguments:
        data: an integer of up to 64 bits, traced or not.
    """
    upper, lower = _halves(_integer("fold_in", "data", data))
    words = words_of("fold_in", key)
    for word in (lower, upper):
        words = _block(words, full(_FOLD_IN, (), UINT32), word)
    return _stacked(*words)


def element_indices(sizes: Shape, dtype: np.dtype) -> Value:
    """0, 1, 2, ... in the shape `sizes`."""
    size = math.prod(sizes)
    if size > np.iinfo(dtype).max:
        raise ShapeError(f"random: {size} elements of shape {sizes}", hint="draw them in parts, with split keys")
    return shape.reshape(shape.iota(shape=(size,), dtype=dtype, axis=0), shape=sizes)


def random_bits(name: str, key: Any, sizes: Shape, width: int) -> Value:
    """Unsigned integers of `width` random bits: element i comes from the block of counter i.

    64 bits are both words of the block, the first one above; up to 32 bits are the low ones of the words' xor.
    """
    if math.prod(sizes) < 2**32:
        upper, lower = full(0, sizes, UINT32), element_indices(sizes, UINT32)
    else:
        upper, lower = _halves(element_indices(sizes, UINT64))
    first, second = _block(words_of(name, key), upper, lower)
    if width < 64:
        word = elementwise.logical_xor(first, second)
        return word if width == 32 else convert(word, np.dtype(f"u{width // 8}"))
    above = convert(first, UINT64)
    return elementwise.logical_or(elementwise.shift_left(above, fill_like(above, 32)), convert(second, UINT64))


@array_function
def bits(key: Any, shape: int | Shape = (), dtype: Any = np.uint32) -> Value:
    """Random integers, every bit 0 or 1 with the same probability.

    Arguments:
        shape: of the result.
        dtype: an unsigned integer.

    >>> from lilith import random
    >>> random.bits(random.key(0), 2)
    array([4070199207, 4202968722], dtype=uint32)
    """
    wanted = dtype_of(dtype)
    if kind(wanted) != "u":
        raise DtypeError(f"random.bits: {dtype_name(wanted)} is not unsigned", hint="dtype=np.uint32, or randint")
    return random_bits("bits", key, shape_argument(shape, "random.bits"), 8 * wanted.itemsize)


# ---- dtypes and shapes of what is drawn -----------------------------------------------------------------------------


def floating_dtype(name: str, dtype: Any, *parameters: Any) -> np.dtype:
    """The given floating dtype, else the parameters' common one, float64 where they are Python numbers or integers."""
    if dtype is not None:
        wanted = dtype_of(dtype)
        if kind(wanted) != "f":
            raise DtypeError(f"random.{name}: {dtype_name(wanted)} is not floating", hint="dtype=np.float32 or float64")
        return wanted
    common = result_type(*[operand(p) for p in parameters]) if parameters else np.dtype(np.float64)
    if kind(common) == "c":
        raise DtypeError(f"random.{name}: takes real parameters, got {dtype_name(common)}", hint="pass x.real")
    return common if kind(common) == "f" else np.dtype(np.float64)


def sampled_shape(name: str, shape: Any, *parameters: Any) -> Shape:
    """The shape given, to which the parameters must broadcast; theirs for None."""
    types = [type_of(operand(p)) for p in parameters]
    if shape is None:
        return broadcast_shapes(f"random.{name}", types) if types else ()
    sizes = shape_argument(shape, f"random.{name}")
    for t in types:
        if broadcast_shapes(f"random.{name}", [t, t.with_shape(sizes)]) != sizes:
            raise ShapeError(
                f"random.{name}: a parameter {t} does not broadcast to shape {sizes}",
                hint="the result's shape is `shape`",
            )
    return sizes
