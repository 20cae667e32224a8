"""NumPy's functions that change an array in place, as functions that return the new array; and positions of a known
number.

`lilith.numpy.put(x, ind, v)` is what x would be after `np.put(x, ind, v)`; x itself stays as it is, traced or not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import dtype_name, kind
from lilith.numpy import floats, reductions, ufuncs
from lilith.numpy.core import array, convert, expand, full, lift, static_int, wrap
from lilith.numpy.indexing import constant, gathered, position, take_item
from lilith.numpy.taking import along, flattened, index_array, moded
from lilith.ops import elementwise, indexing, shape
from lilith.ops.windows import Windows
from lilith.source import ArgumentError, DtypeError, IndexingError, ShapeError
from lilith.trace import contains_tracer, current_trace
from lilith.tracer import describe_types

_BOOL = np.dtype(bool)


def functional(name: str) -> Callable[[Callable[..., Value]], Callable[..., Any]]:
    """Decorator: a rule for traced arrays; plain ones are copied and given to NumPy."""

    def register(rule: Callable[..., Value]) -> Callable[..., Any]:
        @functools.wraps(rule)
        def function(a: Any, *args: Any, **kwargs: Any) -> Any:
            if contains_tracer([a, *args, *kwargs.values()]):
                current_trace()
                return wrap(rule(a, *args, **kwargs))
            new = np.array(a)
            getattr(np, name)(new, *args, **kwargs)
            return new

        return function

    return register


def cast_into(v: Any, dtype: np.dtype) -> Value:
    """An array in the dtype of the array that it is written into; of complex numbers the real part, as in NumPy."""
    x = array(v)
    if kind(x.dtype) == "c" and kind(dtype) not in "cb":
        x = elementwise.real(x)
    return convert(x, dtype)


def _safely(v: Any, dtype: np.dtype, name: str) -> Value:
    """`cast_into` for functions that write only what the array's dtype holds without loss."""
    if not isinstance(v, list | tuple | int | float | complex):
        given = lift(v)
        if not given.type.weak and not np.can_cast(given.dtype, dtype):
            raise DtypeError(f"{name}: {given.type} into {dtype_name(dtype)}", hint="convert it: v.astype(x.dtype)")
    return cast_into(v, dtype)


def _flat_write(x: Value, places: Value, updates: Value, sorted: bool = False, unique: bool = False) -> Value:
    """x with elements at flat places overwritten."""
    windows = Windows(offset=(), collapsed=(0,), start=(0,))
    vectors = shape.reshape(places, shape=(*places.shape, 1))
    y = indexing.scatter(flattened(x), vectors, updates, windows=windows, sorted=sorted, unique=unique)
    return shape.reshape(y, shape=x.shape)


def _repeated(v: Value, count: int) -> Value:
    """The elements of v over and over, `count` of them."""
    v = flattened(v)
    n = v.type.size
    if n == 0:
        raise ArgumentError("values to write: there are none", hint="give at least one value")
    if n == 1:
        return expand(v, (count,))
    return v if n == count else take_item(v, np.arange(count) % n)


@functional("put_along_axis")
def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> Value:
    """The array that `numpy.put_along_axis` would turn `arr` into; of equal indices the last counts.

    Arguments:
        arr: the array; it stays as it is.
        indices: integers, known or traced, of arr's shape but along `axis`.
        values: broadcast to the shape of the indices.
        axis: along which; None for the flattened array.

    >>> put_along_axis(np.zeros((2, 3)), np.array([[1], [2]]), 7.0, axis=1)
    array([[0., 7., 0.],
           [0., 0., 7.]])
    """
    given = lift(arr)
    x, index, place = along(given, indices, axis, "put_along_axis")
    if x.type.size != given.type.size:
        raise ShapeError(f"put_along_axis: indices {index.type} for {given.type}", hint="sizes that agree off the axis")
    updates = expand(cast_into(values, x.dtype), index.shape)
    return shape.reshape(indexing.scatter_along(x, index, updates, place), shape=given.shape)


@functional("put")
def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> Value:
    """The array that `numpy.put` would turn `a` into: flat positions `ind` hold `v`, over and over.

    >>> put(np.zeros(4), [0, -1], [1.0, 2.0])
    array([1., 0., 0., 2.])
    """
    x = lift(a)
    n = x.type.size
    index = moded(index_array(ind, "put"), n, mode, "put")
    if isinstance(index, np.ndarray) and ((index < -n) | (index >= n)).any():
        raise IndexingError(f"put: an index outside of {x.type}", hint=f"{-n} <= index < {n}")
    count = int(np.prod(index.shape))
    if count == 0 or 0 in np.shape(v):
        return x
    places = flattened(position(lift(index), n))
    return _flat_write(x, places, _repeated(_safely(v, x.dtype, "put"), count))


@functional("place")
def place(arr: Any, mask: Any, vals: Any) -> Value:
    """The array that `numpy.place` would turn `arr` into: where the mask holds, `vals` one after the other.

    >>> place(np.arange(4), np.array([True, False, True, True]), [7, 8])
    array([7, 1, 8, 7])
    """
    x, chosen, v = lift(arr), convert(lift(mask), _BOOL), flattened(_safely(vals, lift(arr).dtype, "place"))
    if chosen.type.size != x.type.size:
        raise ShapeError(f"place: a mask {chosen.type} for {x.type}", hint="mask and array have the same size")
    if v.type.size == 0:
        raise ArgumentError("place: no values", hint="give at least one value")
    chosen = shape.reshape(chosen, shape=x.shape)
    if v.type.size == 1:
        return elementwise.select(
            chosen, expand(v, (1,) * x.ndim) if x.ndim == 0 else expand(shape.reshape(v, shape=()), x.shape), x
        )
    rank = ufuncs.subtract(reductions.cumsum(flattened(chosen)), 1)
    turn = shape.reshape(floats.remainder(rank, v.type.size), shape=x.shape)
    return elementwise.select(chosen, gathered(v, (0,), [turn], 0), x)


@functional("putmask")
def putmask(a: Any, mask: Any, values: Any) -> Value:
    """The array that `numpy.putmask` would turn `a` into: where the mask holds, the element of `values` at that place,
    `values` being repeated if it is smaller.

    >>> putmask(np.arange(5), np.arange(5) > 1, [-33, -44])
    array([  0,   1, -33, -44, -33])
    """
    x, chosen = lift(a), convert(lift(mask), _BOOL)
    if chosen.type.size != x.type.size:
        raise ShapeError(f"putmask: a mask {chosen.type} for {x.type}", hint="mask and array have the same size")
    v = _safely(values, x.dtype, "putmask")
    new = v if v.shape == x.shape else shape.reshape(_repeated(v, x.type.size), shape=x.shape)
    return elementwise.select(shape.reshape(chosen, shape=x.shape), new, x)


@functional("copyto")
def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> Value:
    """The array that `numpy.copyto` would turn `dst` into: `src` where `where` holds.

    >>> copyto(np.zeros(3), 5.0, where=np.array([True, False, True]))
    array([5., 0., 5.])
    """
    x, new = lift(dst), lift(src)
    if not new.type.weak and not np.can_cast(new.dtype, x.dtype, casting):
        raise DtypeError(f"copyto: {describe_types(src)} into {x.type}", hint="casting='unsafe', or x.astype(dtype)")
    chosen = convert(lift(where), _BOOL)
    try:
        np.broadcast_to(np.empty(np.broadcast_shapes(new.shape, chosen.shape), bool), x.shape)
    except ValueError as error:
        raise ShapeError(f"copyto: {new.type} into {x.type}", hint="an array that broadcasts to it") from error
    return elementwise.select(expand(chosen, x.shape), expand(cast_into(new, x.dtype), x.shape), x)


@functional("fill_diagonal")
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> Value:
    """The array that `numpy.fill_diagonal` would turn `a` into.

    >>> fill_diagonal(np.zeros((2, 2)), 3.0)
    array([[3., 0.],
           [0., 3.]])
    """
    x = lift(a)
    if x.ndim < 2 or (x.ndim > 2 and len(set(x.shape)) > 1):
        raise ShapeError(f"fill_diagonal: {x.type}", hint="a matrix, or more axes that are all of one size")
    step = 1 + sum([int(np.prod(x.shape[axis + 1 :])) for axis in range(x.ndim - 1)])
    end = x.type.size if wrap or x.ndim > 2 else x.shape[1] * x.shape[1]
    places = np.arange(x.type.size)[:end:step].astype(np.int32 if x.type.size < 2**31 else np.int64)
    updates = _repeated(cast_into(val, x.dtype), places.size)
    return _flat_write(x, constant(places), updates, sorted=True, unique=True) if places.size else x


# ---- positions, of which so many are asked for ----------------------------------------------------------------------


def flatnonzero(a: Any, *, size: Any = None, fill_value: Any = 0) -> Any:
    """`numpy.flatnonzero`; with `size` the first so many positions, also of traced arrays.

    Arguments:
        size: how many positions the result has.
        fill_value: what stands in their place where there are fewer.

    >>> flatnonzero(np.array([0.0, 3.0, 0.0, 1.0]), size=3, fill_value=-1)
    array([ 1,  3, -1])
    """
    if size is None:
        return np.flatnonzero(a)
    count = static_int(size, "flatnonzero", "size")
    if not contains_tracer([a, fill_value]):
        found = np.flatnonzero(a)[:count]
        return np.concatenate([found, np.full(count - found.size, fill_value, found.dtype)])
    current_trace()
    return wrap(_first_positions(flattened(lift(a)), count, fill_value))


def _first_positions(x: Value, count: int, fill_value: Any) -> Value:
    """The k-th position where x is not zero goes to place k; those beyond go to a place that is cut off."""
    dtype = np.dtype(np.int64)
    n = x.type.size
    if n == 0 or count == 0:
        return expand(convert(lift(fill_value), dtype), (count,))
    chosen = convert(x, _BOOL)
    rank = reductions.cumsum(chosen)
    spare = full(count, (n,), dtype)
    places = elementwise.select(chosen, elementwise.min(rank - 1, spare), spare)
    numbers = shape.iota(shape=(n,), dtype=dtype, axis=0)
    row = indexing.scatter_add_along(
        full(0, (count + 1,), dtype), places, elementwise.select(chosen, numbers, fill_like(numbers, 0)), 0
    )
    found = shape.part(row, 0, 0, count)
    total = expand(take_item(rank, -1), (count,))
    there = elementwise.lt(shape.iota(shape=(count,), dtype=dtype, axis=0), total)
    return elementwise.select(there, found, expand(convert(lift(fill_value), dtype), (count,)))


def nonzero(a: Any, *, size: Any = None, fill_value: Any = 0) -> Any:
    """`numpy.nonzero`; with `size` the first so many positions, also of traced arrays: x[nonzero(mask, size=n)].

    Arguments:
        size: how many positions each of the results has.
        fill_value: what stands in their place where there are fewer; one number, or one per axis.

    >>> nonzero(np.array([[1, 0], [0, 2]]), size=3)
    (array([0, 1, 0]), array([0, 1, 0]))
    """
    if size is None:
        return np.nonzero(a)
    sizes = np.shape(a)
    if not sizes:
        raise ShapeError("nonzero: an array without axes has no positions", hint="np.atleast_1d(x)")
    flat = flatnonzero(a, size=size, fill_value=-1)
    fills = fill_value if isinstance(fill_value, list | tuple) else [fill_value] * len(sizes)
    rows = np.unravel_index(np.maximum(flat, 0), sizes) if 0 not in sizes else [flat] * len(sizes)
    return tuple([np.where(flat < 0, fill, row) for row, fill in zip(rows, fills, strict=True)])


def argwhere(a: Any, *, size: Any = None, fill_value: Any = 0) -> Any:
    """`numpy.argwhere`; with `size` the first so many positions, one per row, also of traced arrays.

    >>> argwhere(np.array([[1, 0], [0, 2]]), size=2)
    array([[0, 0],
           [1, 1]])
    """
    if size is None:
        return np.argwhere(a)
    return np.stack(nonzero(a, size=size, fill_value=fill_value), axis=-1)
