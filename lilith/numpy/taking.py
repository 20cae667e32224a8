"""Functions that take elements of arrays: by position, by a known mask, along an axis.

Positions that are traced follow the rule of x[i]: negative ones count from the end, others are brought into the axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import kind
from lilith.numpy import floats, ufuncs
from lilith.numpy.core import (
    array,
    broadcast_shapes,
    convert,
    expand,
    full,
    implements,
    lift,
    normalize_axis,
    promote,
    shape_argument,
)
from lilith.numpy.indexing import constant, pick, position, take_item
from lilith.ops import elementwise, indexing, shape
from lilith.remedies import REPLACEMENTS
from lilith.source import ArgumentError, IndexingError, ShapeError, UnsupportedError
from lilith.trace import contains_tracer
from lilith.tracer import FUNCTIONS, Tracer

_MODES = ("raise", "wrap", "clip")


def flattened(x: Value) -> Value:
    """All elements along one axis."""
    return x if x.ndim == 1 else shape.reshape(x, shape=(x.type.size,))


def index_array(indices: Any, name: str) -> np.ndarray | Value:
    """Indices as a NumPy array where they are known, else as a Value of integers."""
    if isinstance(indices, Tracer | Value) or contains_tracer(indices):
        traced = array(indices)
        if kind(traced.dtype) not in "biu":
            raise IndexingError(f"{name}: indices {traced.type} are no integers", hint="convert them: i.astype(int)")
        return convert(traced, np.dtype(np.int64)) if kind(traced.dtype) == "b" else traced
    known = np.asarray(indices)
    if known.size == 0 and not isinstance(indices, np.ndarray):
        known = known.astype(np.intp)
    if known.dtype.kind not in "biu":
        raise IndexingError(f"{name}: indices of dtype {known.dtype} are no integers", hint="i.astype(int)")
    return known.astype(np.intp) if known.dtype.kind == "b" else known


def moded(i: np.ndarray | Value, n: int, mode: str, name: str) -> np.ndarray | Value:
    """Indices of an axis of length n as NumPy's `mode` has them; with "raise" they are left as they are."""
    if mode not in _MODES:
        raise ArgumentError(f"{name}: mode={mode!r}", hint="'raise', 'wrap' or 'clip'")
    if mode == "raise":
        return i
    if isinstance(i, np.ndarray):
        i = i.astype(np.intp)
        return np.mod(i, n) if mode == "wrap" else np.clip(i, 0, n - 1)
    i = convert(i, np.dtype(np.int64))
    if mode == "wrap":
        return floats.remainder(i, n)
    return ufuncs.minimum(ufuncs.maximum(i, 0), n - 1)


@implements(np.take)
def take(a: Any, indices: Any, axis: Any = None, mode: str = "raise") -> Value:
    """numpy.take."""
    x = lift(a)
    x, place = (flattened(x), 0) if axis is None else (x, normalize_axis(axis, x.ndim, "take"))
    n = x.shape[place]
    index = index_array(indices, "take")
    if n == 0 and 0 not in index.shape:
        raise IndexingError(f"take: {x.type} has no elements along axis {place}", hint="check for an empty array first")
    return take_item(x, (*[slice(None)] * place, moded(index, n, mode, "take")))


def take_array(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    """numpy.take, also of a plain array at traced positions, for which NumPy asks nobody.

    Traced positions outside of the axis take its first or last element.

    >>> take_array(np.array([10, 20, 30]), [2, 0])
    array([30, 10])
    """
    if contains_tracer([a, indices]):
        return FUNCTIONS[np.take](a, indices, axis, out, mode)
    return np.take(a, indices, axis, out, mode)  # type: ignore[call-overload]


REPLACEMENTS[np.take.__wrapped__.__code__] = "lilith.numpy.take"  # type: ignore[attr-defined]


def along(x: Value, indices: Any, axis: Any, name: str) -> tuple[Value, Value, int]:
    """Array, non-negative indices and axis of a function along an axis; both with one shape off the axis."""
    index = index_array(indices, name)
    if axis is None:
        x, axis = flattened(x), 0
    if index.ndim != x.ndim:
        raise ShapeError(f"{name}: {index.ndim} axes of indices for {x.type}", hint="as many axes as the array has")
    place = normalize_axis(axis, x.ndim, name)
    n = x.shape[place]
    if isinstance(index, np.ndarray):
        outside = (index < -n) | (index >= n)
        if outside.any():
            raise IndexingError(
                f"{name}: index {index[outside][0]} is out of bounds for axis {place} with size {n} ({x.type})",
                hint=f"{-n} <= index < {n}",
            )
        index = index.astype(np.intp)
        index = constant(np.where(index < 0, index + n, index).astype(np.int32 if n < 2**31 else np.int64))
    elif n == 0 and index.type.size:
        raise IndexingError(f"{name}: {x.type} has no elements along axis {place}", hint="check for an empty array")
    else:
        index = position(index, n)
    off = [t.type.with_shape((*t.shape[:place], 1, *t.shape[place + 1 :])) for t in (x, index)]
    common = broadcast_shapes(name, off)
    x, index = [expand(v, (*common[:place], v.shape[place], *common[place + 1 :])) for v in (x, index)]
    return x, index, place


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Value:
    """numpy.take_along_axis."""
    x, index, place = along(lift(arr), indices, axis, "take_along_axis")
    if 0 in index.shape:
        return full(0, index.shape, x.dtype)
    return indexing.take_along(x, index, place)


# ---- choosing -------------------------------------------------------------------------------------------------------

FEW_CHOICES = 32
"""Up to so many arrays are chosen from by a chain of selects."""


@implements(np.choose)
def choose(a: Any, choices: Any, mode: str = "raise") -> Value:
    """numpy.choose: element by element one of several arrays. A traced a outside of the choices takes the nearest."""
    if isinstance(choices, list | tuple):
        arrays = promote(*choices)
    else:
        whole = lift(choices)
        arrays = [take_item(whole, k) for k in range(whole.shape[0])]
    index = index_array(a, "choose")
    last = len(arrays) - 1
    if isinstance(index, np.ndarray) and mode == "raise" and ((index < 0) | (index > last)).any():
        raise IndexingError(f"choose: an entry outside of 0 to {last}", hint="mode='wrap' or mode='clip'")
    i = lift(moded(index, last + 1, mode, "choose"))
    common = broadcast_shapes("choose", [i.type, *[x.type for x in arrays]])
    i, *arrays = [expand(v, common) for v in (i, *arrays)]
    if len(arrays) > FEW_CHOICES:
        stacked = shape.concatenate(*[shape.reshape(x, shape=(1, *common)) for x in arrays], axis=0)
        taken = indexing.take_along(stacked, shape.reshape(i, shape=(1, *common)), 0)
        return shape.reshape(taken, shape=common)
    y = arrays[-1]
    for k in range(last - 1, -1, -1):
        y = elementwise.select(elementwise.le(i, fill_like(i, k)), arrays[k], y)
    return y


def _known_mask(condition: Any, name: str) -> np.ndarray:
    """A mask whose contents are known, else the error that says what to do."""
    if isinstance(condition, Tracer | Value) or contains_tracer(condition):
        raise UnsupportedError(
            f"np.{name} with a traced mask: the size of the result depends on its contents",
            hint="np.where(mask, x, 0), or x[lilith.numpy.nonzero(mask, size=n)] for the first n",
            tracers=(condition,) if isinstance(condition, Tracer) else (),
        )
    return np.asarray(condition).astype(bool)


@implements(np.compress)
def compress(condition: Any, a: Any, axis: Any = None) -> Value:
    """numpy.compress with a known mask."""
    mask = _known_mask(condition, "compress")
    if mask.ndim != 1:
        raise ShapeError(f"compress: a mask with {mask.ndim} axes", hint="a mask with one axis; x[mask] takes others")
    return take(a, np.flatnonzero(mask), axis)


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Value:
    """numpy.extract with a known mask."""
    return take(arr, np.flatnonzero(_known_mask(condition, "extract")))


# ---- leaving out and putting in -------------------------------------------------------------------------------------


def _known_positions(work: Callable[[], np.ndarray], obj: Any, name: str) -> np.ndarray:
    """What NumPy makes of numbered elements; an error for positions that are traced or out of bounds."""
    if isinstance(obj, Tracer | Value) or contains_tracer(obj):
        raise UnsupportedError(
            f"np.{name} at traced positions ({obj!r})",
            hint="choose with np.where(np.arange(n) == i, y, x), or pass the position as a Python int",
            tracers=(obj,) if isinstance(obj, Tracer) else (),
        )
    try:
        return work()
    except (IndexError, ValueError) as error:
        raise IndexingError(f"{name}: {error}", hint="positions lie within the axis") from error


@implements(np.delete)
def delete(arr: Any, obj: Any, axis: Any = None) -> Value:
    """numpy.delete at known positions."""
    x = lift(arr)
    x, place = (flattened(x), 0) if axis is None else (x, normalize_axis(axis, x.ndim, "delete"))
    kept = _known_positions(lambda: np.delete(np.arange(x.shape[place]), obj), obj, "delete")
    return pick(x, place, kept, place)


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Value:
    """numpy.insert at known positions."""
    x = lift(arr)
    x, place = (flattened(x), 0) if axis is None else (x, normalize_axis(axis, x.ndim, "insert"))
    n = x.shape[place]
    new = convert(array(values), x.dtype)
    new = shape.reshape(new, shape=(1,) * (x.ndim - new.ndim) + new.shape)
    count = 0 if isinstance(obj, Tracer | Value) else _insertions(obj, n)
    if count == 1:
        if isinstance(obj, int | np.integer) or np.ndim(obj) == 0:
            order = (*range(1, place + 1), 0, *range(place + 1, new.ndim))
            new = shape.transpose(new, axes=order)
        count = new.shape[place]
    new = expand(new, (*x.shape[:place], count, *x.shape[place + 1 :]))
    places = _known_positions(lambda: np.insert(np.arange(n), obj, n + np.arange(count)), obj, "insert")
    return pick(shape.concatenate(x, new, axis=place), place, places, place)


def _insertions(obj: Any, n: int) -> int:
    """How many positions are named."""
    if isinstance(obj, slice):
        return len(range(*obj.indices(n)))
    known = np.asarray(obj)
    return int(known.sum()) if known.dtype == bool and known.ndim else known.size


# ---- index arrays ---------------------------------------------------------------------------------------------------


@implements(np.ix_)
def ix_(*args: Any) -> tuple[Any, ...]:
    """numpy.ix_: index arrays that span a grid."""
    out: list[Any] = []
    for place, given in enumerate(args):
        ones = [1] * len(args)
        ones[place] = -1
        index = index_array(given, "ix_") if not _is_mask(given) else np.flatnonzero(_known_mask(given, "ix_"))
        if index.ndim != 1:
            raise ShapeError(f"ix_: {index.ndim} axes", hint="arrays with one axis")
        ones[place] = index.shape[0]
        out.append(index.reshape(ones) if isinstance(index, np.ndarray) else shape.reshape(index, shape=tuple(ones)))
    return tuple(out)


def _is_mask(x: Any) -> bool:
    return bool(x.dtype == bool if hasattr(x, "dtype") else np.asarray(x).dtype == bool)


@implements(np.unravel_index)
def unravel_index(indices: Any, shape: Any, order: str = "C") -> tuple[Value, ...]:
    """numpy.unravel_index; traced indices are not checked."""
    i = convert(lift(index_array(indices, "unravel_index")), np.dtype(np.int64))
    sizes = shape_argument(shape, "unravel_index")
    out: list[Value] = []
    for n in reversed(sizes) if _is_c_order(order) else sizes:
        out.append(floats.remainder(i, n))
        i = floats.floor_divide(i, n)
    return tuple(reversed(out)) if _is_c_order(order) else tuple(out)


@implements(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Value:
    """numpy.ravel_multi_index; with mode="raise" traced indices are not checked."""
    parts = [index_array(i, "ravel_multi_index") for i in multi_index]
    sizes = shape_argument(dims, "ravel_multi_index")
    modes = mode if isinstance(mode, list | tuple) else [mode] * len(sizes)
    if len(parts) != len(sizes):
        raise ShapeError(f"ravel_multi_index: {len(parts)} index arrays for {len(sizes)} axes", hint="one per axis")
    columns = list(zip(parts, sizes, modes, strict=True))
    total: Any = None
    for i, n, how in columns if _is_c_order(order) else reversed(columns):
        place = convert(lift(moded(i, n, how, "ravel_multi_index")), np.dtype(np.int64))
        total = place if total is None else ufuncs.add(ufuncs.multiply(total, n), place)
    return total


def _is_c_order(order: str) -> bool:
    if order not in ("C", "F"):
        raise ArgumentError(f"order={order!r}", hint="'C' or 'F'")
    return order == "C"


def _of_shape(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that asks only for the shape: NumPy answers for an array of that shape."""

    def rule(arr: Any, *args: Any, **kwargs: Any) -> Any:
        return function(np.empty(lift(arr).shape, bool), *args, **kwargs)

    return rule


@implements(np.diag_indices_from)
def diag_indices_from(arr: Any) -> tuple[np.ndarray, ...]:
    """numpy.diag_indices_from: known index arrays."""
    return _of_shape(np.diag_indices_from)(arr)


@implements(np.tril_indices_from)
def tril_indices_from(arr: Any, k: Any = 0) -> tuple[np.ndarray, ...]:
    """numpy.tril_indices_from: known index arrays."""
    return _of_shape(np.tril_indices_from)(arr, k)


@implements(np.triu_indices_from)
def triu_indices_from(arr: Any, k: Any = 0) -> tuple[np.ndarray, ...]:
    """numpy.triu_indices_from: known index arrays."""
    return _of_shape(np.triu_indices_from)(arr, k)


@implements(np.resize)
def resize(a: Any, new_shape: Any) -> Value:
    """numpy.resize: the elements over and over, as many as fit."""
    x = flattened(lift(a))
    sizes = shape_argument(new_shape, "resize")
    count, n = int(np.prod(sizes)), x.type.size
    if n == 0 or count == 0:
        return full(0, sizes, x.dtype)
    times = -(-count // n)
    if times > 1:
        x = shape.reshape(shape.broadcast_in_dim(x, shape=(times, n), axes=(1,)), shape=(times * n,))
    return shape.reshape(shape.part(x, 0, 0, count), shape=sizes)
