"""x[key]: everything that NumPy indexes with, as long as the result's shape is known while tracing.

A key becomes one slice, one gather (a dynamic slice where only scalars are traced) and reshapes around them. Index
arrays whose contents are known and that name a few regular runs are slices too: their cotangents are joined cheaply.

Out of bounds: known indices are checked, as in NumPy. Traced ones cannot be: negative ones count from the end, and what
still lies outside of the axis takes the nearest element, the first or the last.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lilith.ir.graph import Node, Value, current_builder, fill_like
from lilith.ir.type import TensorType, kind
from lilith.numpy.core import Shape, array, convert, expand, full
from lilith.ops import elementwise, indexing, shape
from lilith.ops.windows import Windows
from lilith.source import IndexingError, TraceError, UnsupportedError
from lilith.trace import contains_tracer, current_trace
from lilith.tracer import Tracer

FEW, MOST, LONG = 4, 16, 16
"""Index arrays that are up to FEW regular runs, or up to MOST of LONG elements on average, are slices joined by one
concatenation; gather is faster for more (on XLA:CPU at 8 scattered rows of 10000 1.3 times, at 16 twice).
"""

_I32, _I64 = np.dtype(np.int32), np.dtype(np.int64)


def take_item(x: Value, key: Any) -> Value:
    """x[key] as a Value."""
    if type(key) is int and x.ndim:
        return _leading(x, (key,))
    if type(key) is not tuple:
        key = (key,)
    elif key and len(key) <= x.ndim and all([type(k) is int for k in key]):
        return _leading(x, key)
    entries = _full_key(x, [entry for k in key for entry in _entries(k)])
    if any([isinstance(k, Index | Flag) for k in entries]):
        return _advanced(x, entries)
    if any([isinstance(k, Value) for k in entries]):
        return _dynamic(x, entries)
    return _basic(x, entries)


# ---- the parts of a key ---------------------------------------------------------------------------------------------


class Index(NamedTuple):
    """An index array of one axis.

    Attributes:
        array: integers, known (NumPy) or traced.
        size: of the axis of the mask that it comes from, if it comes from one.
    """

    array: np.ndarray | Value
    size: int | None = None


class Flag(NamedTuple):
    """True or False as an index: a new axis of size 1 or 0."""

    value: bool


def _entries(k: Any) -> list[Any]:
    """One part of a key as None, ..., slices, ints, traced scalars, index arrays and flags; a mask has several."""
    if k is None or k is Ellipsis or isinstance(k, slice):
        return [k]
    if isinstance(k, list | tuple) and contains_tracer(k):
        k = array(k)
    if isinstance(k, Tracer | Value):
        return [_traced(k)]
    if isinstance(k, bool | np.bool_):
        return [Flag(bool(k))]
    if isinstance(k, int | np.integer):
        return [int(k)]
    k = _known(k)
    if k.dtype == bool:
        return [Index(i, n) for i, n in zip(k.nonzero(), k.shape, strict=True)] if k.ndim else [Flag(bool(k))]
    if k.dtype.kind not in "iu":
        raise IndexingError(
            f"an index of dtype {k.dtype}" + (f": {k}" if k.ndim == 0 else ""),
            hint="ints, slices, None, ..., and arrays of integers or booleans are indices",
        )
    return [Index(k)] if k.ndim else [int(k)]


def _known(k: Any) -> np.ndarray:
    """A list, an array of any library or an object with `__index__` as a NumPy array."""
    if isinstance(k, np.ndarray):
        return k
    if hasattr(k, "__index__") and not hasattr(k, "__array__"):
        return np.asarray(operator.index(k))
    try:
        found = np.asarray(k)
    except ValueError as error:
        raise IndexingError(f"an index that is no array: {error}", hint="rows of equal length") from error
    return found.astype(np.intp) if found.size == 0 and isinstance(k, list | tuple) else found


def _traced(k: Tracer | Value) -> Any:
    """A traced scalar or index array."""
    index = current_trace().lift(k)
    if kind(index.dtype) == "b":
        raise UnsupportedError(
            f"indexing with a traced mask ({index.type}): the size of the result depends on its contents",
            hint="choose with np.where(mask, x, y), or x[lilith.numpy.nonzero(mask, size=n)] for the first n",
            tracers=(k,) if isinstance(k, Tracer) else (),
        )
    if kind(index.dtype) not in "iu":
        raise IndexingError(f"an index of type {index.type}", hint="convert it: i.astype(int)")
    return Index(index) if index.ndim else index


def _is_axis(entry: Any) -> bool:
    """Whether an entry takes up an axis of the array."""
    return entry is not None and entry is not Ellipsis and not isinstance(entry, Flag)


def _full_key(x: Value, entries: list[Any]) -> list[Any]:
    """The key with the ellipsis written out, or full slices at the end."""
    used = sum([_is_axis(k) for k in entries])
    if used > x.ndim:
        raise IndexingError(f"{used} indices for {x.type}, which has {x.ndim} axes", hint=f"at most {x.ndim} indices")
    dots = [place for place, k in enumerate(entries) if k is Ellipsis]
    if len(dots) > 1:
        raise IndexingError("an index has more than one ellipsis (...)", hint="write : for the other axes")
    rest: list[Any] = [slice(None)] * (x.ndim - used)
    if not dots:
        return [*entries, *rest]
    # an ellipsis that stands for no axis still separates index arrays
    return [*entries[: dots[0]], *(rest or [Ellipsis]), *entries[dots[0] + 1 :]]


# ---- ints, slices, None ---------------------------------------------------------------------------------------------


def _leading(x: Value, key: Shape) -> Value:
    """x[i, j] with Python ints, the quick way: what such a key gives is worked out once for each type."""
    found = _LEADING.get((x.type, key))
    if found is None:
        if len(_LEADING) >= _KEEP:
            _LEADING.clear()
        found = _LEADING[x.type, key] = _leading_plan(x, key)
    region, part_type, form, type = found
    builder = current_builder()
    part, y = Value(part_type), Value(type)
    builder.nodes.append(Node(indexing.slice, (x,), region, (part,), builder.source))
    builder.nodes.append(Node(shape.reshape, (part,), form, (y,), builder.source))
    return y


_LEADING: dict[tuple[TensorType, Shape], tuple[dict[str, Any], TensorType, dict[str, Any], TensorType]] = {}
_KEEP = 8192


def _leading_plan(x: Value, key: Shape) -> tuple[dict[str, Any], TensorType, dict[str, Any], TensorType]:
    """Parameters and type of the slice, parameters and type of the reshape after it."""
    sizes = x.type.shape
    start = [_position(i, axis, x) for axis, i in enumerate(key)]
    rest = sizes[len(key) :]
    region = dict(
        start=(*start, *[0] * len(rest)),
        limit=(*[i + 1 for i in start], *rest),
        stride=(1,) * len(sizes),
    )
    return region, x.type.with_shape((1,) * len(key) + rest), dict(shape=rest), x.type.with_shape(rest)


def _position(i: int, axis: int, x: Value) -> int:
    """An int as a position on an axis."""
    n = x.type.shape[axis]
    if not -n <= i < n:
        raise _out_of_bounds(i, axis, x)
    return i + n if i < 0 else i


def _out_of_bounds(i: int, axis: int, x: Value) -> IndexingError:
    n = x.shape[axis]
    return IndexingError(
        f"index {i} is out of bounds for axis {axis} with size {n} ({x.type})", hint=f"{-n} <= index < {n}"
    )


def _basic(x: Value, entries: Sequence[Any]) -> Value:
    """Ints, slices and None: one slice, one reversal, one reshape for the axes that ints remove and None adds."""
    start, limit, stride, reversed_, result = _regions(x, entries)
    y = x
    if limit != x.shape or any(start) or any([s != 1 for s in stride]):
        y = indexing.slice(x, start=start, limit=limit, stride=stride)
    if reversed_:
        y = shape.rev(y, axes=reversed_)
    return y if y.shape == result else shape.reshape(y, shape=result)


def _regions(x: Value, key: Sequence[Any]) -> tuple[tuple, tuple, tuple, tuple, tuple]:
    """Start, limit and stride per axis, the axes to reverse, and the result's shape."""
    start: list[int] = []
    limit: list[int] = []
    stride: list[int] = []
    backward: list[int] = []
    result: list[int] = []
    for k in key:
        axis = len(start)
        if k is None:
            result.append(1)
        if k is None or k is Ellipsis:
            continue
        if isinstance(k, slice):
            begin, step, count = _region(k, x.shape[axis])
            if step < 0:
                begin, step = begin + (count - 1) * step, -step
                if count > 1:
                    backward.append(axis)
            result.append(count)
        else:
            begin, step, count = _position(k, axis, x), 1, 1
        begin, step = (begin, step) if count else (0, 1)
        start.append(begin)
        limit.append(begin + (count - 1) * step + 1 if count else begin)
        stride.append(step if count > 1 else 1)
    return tuple(start), tuple(limit), tuple(stride), tuple(backward), tuple(result)


def _region(k: slice, n: int) -> tuple[int, int, int]:
    """First element, step and number of elements of a slice of an axis of length n."""
    try:
        begin, end, step = k.indices(n)
    except ValueError as error:
        raise IndexingError(f"slice {k}: {error}", hint="a step that is not 0") from error
    except TraceError as error:
        raise TraceError(
            "a slice with a traced bound: the size of the result would depend on it",
            hint="x[i + np.arange(n)] is n elements from a traced i on; bounds that are Python ints are static",
            tracers=error.tracers,
        ) from error
    except TypeError as error:
        bounds = ", ".join([repr(b) for b in (k.start, k.stop, k.step) if b is not None])
        raise IndexingError(f"a slice with the bounds {bounds}: {error}", hint="Python or NumPy ints") from error
    return begin, step, len(range(begin, end, step))


# ---- traced scalars -------------------------------------------------------------------------------------------------


def wrapped(i: Value, n: int) -> Value:
    """A traced index of an axis of length n, negative ones counted from the end, in a dtype that can hold n."""
    dtype = _I64 if n > np.iinfo(_I32).max or (i.dtype.itemsize >= 4 and i.dtype != _I32) else _I32
    signed = kind(i.dtype) == "i"
    i = convert(i, dtype)
    return elementwise.select(elementwise.lt(i, fill_like(i, 0)), i + n, i) if signed else i


def position(i: Value, n: int) -> Value:
    """A traced index of an axis of length n as an element's position, in int32 where that can hold n."""
    i = wrapped(i, n)
    i = elementwise.min(elementwise.max(i, fill_like(i, 0)), fill_like(i, n - 1))
    return convert(i, _index_dtype(n))


def _index_dtype(n: int) -> np.dtype:
    return _I32 if n <= np.iinfo(_I32).max else _I64


def _dynamic(x: Value, entries: Sequence[Any]) -> Value:
    """Traced scalars beside ints, slices and None: a slice, then one dynamic slice of all traced axes."""
    y = _basic(x, [slice(None) if isinstance(k, Value) else k for k in entries])
    kept = [k for k in entries if not isinstance(k, int) and k is not Ellipsis]
    traced = [(axis, k) for axis, k in enumerate(kept) if isinstance(k, Value)]
    indices = {axis: wrapped(k, _not_empty(y, axis)) for axis, k in traced}
    result = tuple([n for axis, n in enumerate(y.shape) if axis not in indices])
    dtype = _I64 if any([i.dtype == _I64 for i in indices.values()]) else _I32
    starts = [convert(indices[axis], dtype) if axis in indices else full(0, (), dtype) for axis in range(y.ndim)]
    sizes = tuple([1 if axis in indices else n for axis, n in enumerate(y.shape)])
    return shape.reshape(indexing.dynamic_slice(y, *starts, sizes=sizes), shape=result)


def _not_empty(x: Value, axis: int) -> int:
    """The size of an axis from which something is taken."""
    n = x.shape[axis]
    if n == 0:
        raise IndexingError(f"a traced index for axis {axis} with size 0 ({x.type})", hint="check for an empty array")
    return n


# ---- index arrays ---------------------------------------------------------------------------------------------------


def _advanced(x: Value, entries: list[Any]) -> Value:
    """Index arrays and flags, with whatever stands beside them.

    The index arrays, with the ints and flags among them, broadcast to the axes of the batch. These take the place of
    the first of them where they stand side by side, else they come first.
    """
    chosen = [place for place, k in enumerate(entries) if isinstance(k, int | Value | Index | Flag)]
    together = chosen[-1] - chosen[0] == len(chosen) - 1
    before = entries[: chosen[0]] if together else []
    rows = _basic(x, [slice(None) if isinstance(k, Value | Index) else k for k in entries if _is_axis(k)])
    arrays: list[tuple[int, np.ndarray | Value]] = []
    axis = 0
    for k in entries:
        if isinstance(k, Value | Index):
            _check_mask(k, axis, rows)
            arrays.append((axis, k if isinstance(k, Value) else k.array))
        axis += isinstance(k, Value | Index | slice)
    batch = _broadcast([k.shape for _, k in arrays], rows)
    first = sum([isinstance(k, slice) for k in before])
    new = first + before.count(None)
    flags = [(int(k.value),) for k in entries if isinstance(k, Flag)]
    whole = _broadcast([batch, *flags], rows)
    picked = _picked(rows, arrays, batch, first) if arrays and 0 not in whole else rows
    sizes = iter([n for axis, n in enumerate(rows.shape) if axis not in dict(arrays)])
    basic = [k for k in entries if k is None or isinstance(k, slice)]
    result = [1 if k is None else next(sizes) for k in basic]
    result[new:new] = whole
    if 0 in whole:
        return full(0, tuple(result), x.dtype)
    return picked if picked.shape == tuple(result) else shape.reshape(picked, shape=tuple(result))


def _check_mask(k: Any, axis: int, rows: Value) -> None:
    size = k.size if isinstance(k, Index) else None
    if size is not None and size != rows.shape[axis]:
        raise IndexingError(
            f"a mask of {size} elements for axis {axis} with size {rows.shape[axis]} ({rows.type})",
            hint="the mask needs the axis's size",
        )


def _broadcast(shapes: Sequence[Shape], x: Value) -> Shape:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError as error:
        text = " and ".join(map(str, shapes))
        raise IndexingError(
            f"index arrays of shapes {text} do not broadcast ({x.type})", hint="np.ix_ makes index arrays that do"
        ) from error


def _picked(x: Value, arrays: list[tuple[int, np.ndarray | Value]], batch: Shape, first: int) -> Value:
    """The elements of x that index arrays of some of its axes name; the axes of the batch begin at `first`."""
    axes = tuple([axis for axis, _ in arrays])
    sizes = [x.shape[axis] for axis in axes]
    side_by_side = axes == tuple(range(axes[0], axes[0] + len(axes)))
    merged = (*x.shape[: axes[0]], math.prod(sizes), *x.shape[axes[-1] + 1 :])
    rows = shape.reshape(x, shape=merged) if side_by_side and len(axes) > 1 else x
    if not all([isinstance(i, np.ndarray) for _, i in arrays]):
        columns = [_component(x, axis, i, batch) for axis, i in arrays]
        return (
            gathered(rows, axes[:1], [_flat(columns, sizes)], first)
            if side_by_side
            else gathered(x, axes, columns, first)
        )
    known = [_positions(x, axis, np.broadcast_to(i, batch)) for axis, i in arrays]  # type: ignore[arg-type]
    places = np.ravel_multi_index(known, sizes)
    if side_by_side:
        return pick(rows, axes[0], np.asarray(places), first)
    constants = [constant(_narrow(i, n)) for i, n in zip(known, sizes, strict=True)]
    return gathered(x, axes, constants, first, **_order(np.asarray(places)))


def _flat(columns: Sequence[Value], sizes: Sequence[int]) -> Value:
    """Positions on axes that are merged into one: one number per element is gathered and scattered faster than two."""
    dtype = _index_dtype(math.prod(sizes))
    total = convert(columns[0], dtype)
    for column, n in zip(columns[1:], sizes[1:], strict=True):
        total = total * n + convert(column, dtype)
    return total


def _component(x: Value, axis: int, i: np.ndarray | Value, batch: Shape) -> Value:
    """An index array, known or traced, as non-negative integers of the batch's shape."""
    if isinstance(i, Value):
        return expand(position(i, _not_empty(x, axis)), batch)
    return expand(constant(_narrow(_positions(x, axis, i), x.shape[axis])), batch)


def _positions(x: Value, axis: int, i: np.ndarray) -> np.ndarray:
    """Known indices as positions on an axis."""
    n = x.shape[axis]
    outside = (i < -n) | (i >= n)
    if outside.any():
        raise _out_of_bounds(int(i[outside][0]), axis, x)
    i = i.astype(np.intp)  # in a narrow dtype i + n may not fit
    return np.where(i < 0, i + n, i)


def _narrow(i: np.ndarray, n: int) -> np.ndarray:
    return i.astype(_index_dtype(n))


def _order(places: np.ndarray) -> dict[str, bool]:
    """What gather may know of the places it takes from."""
    flat = places.reshape(-1)
    ascending = bool((flat[1:] >= flat[:-1]).all())
    return {"sorted": ascending, "unique": np.unique(flat).size == flat.size}


def pick(x: Value, axis: int, places: np.ndarray, first: int) -> Value:
    """The elements at known places of one axis; the axes of `places` come to lie at `first`."""
    runs = _runs(places.reshape(-1), max(FEW, min(MOST, places.size // LONG)))
    if runs is None:
        index = constant(_narrow(places, x.shape[axis]))
        return gathered(x, (axis,), [index], first, **_order(places))
    parts = [_basic(x, (*[slice(None)] * axis, run, *[slice(None)] * (x.ndim - axis - 1))) for run in runs]
    y = parts[0] if len(parts) == 1 else shape.concatenate(*parts, axis=axis)
    if axis != first:
        order = [k for k in range(y.ndim) if k != axis]
        order.insert(first, axis)
        y = shape.transpose(y, axes=tuple(order))
    return shape.reshape(y, shape=(*y.shape[:first], *places.shape, *y.shape[first + 1 :])) if places.ndim != 1 else y


def _runs(places: np.ndarray, most: int) -> list[slice] | None:
    """The fewest slices, taken greedily, that list the places in order; None where that takes more than `most`."""
    steps = np.diff(places)
    breaks = np.flatnonzero(steps[1:] != steps[:-1]) + 1  # where a step differs from the one before it
    runs: list[slice] = []
    i, count = 0, places.size
    while i < count:
        if len(runs) == most:
            return None
        begin = int(places[i])
        step = int(steps[i]) if i + 1 < count else 0
        after = np.searchsorted(breaks, i, side="right")
        last = i if step == 0 else int(breaks[after]) if after < breaks.size else count - 1
        end = begin + (last - i) * step + (1 if step >= 0 else -1)
        runs.append(slice(begin, end if end >= 0 else None, step or 1))
        i = last + 1
    return runs


def constant(indices: np.ndarray) -> Value:
    """Known indices in the trace; the same ones are one Value however often they are used."""
    trace = current_trace()
    key = ("indices", indices.shape, indices.dtype, indices.tobytes())
    found = trace.constant_cache.get(key)
    if found is None:
        found = trace.constant_cache[key] = trace.lift(indices)
    return found


def gathered(
    x: Value, axes: Shape, indices: Sequence[Value], first: int, sorted: bool = False, unique: bool = False
) -> Value:
    """One gather: the elements of x at non-negative indices of some of its axes, all of one shape.

    The result's axes are those of x that are left, in order, with the axes of the indices inserted at `first`.
    """
    dtype = _I64 if any([i.dtype == _I64 for i in indices]) else _I32
    columns = [shape.reshape(convert(i, dtype), shape=(*i.shape, 1)) for i in indices]
    count = indices[0].ndim
    left = x.ndim - len(axes)
    return indexing.gather(
        x,
        columns[0] if len(columns) == 1 else shape.concatenate(*columns, axis=count),
        windows=Windows(offset=tuple([k if k < first else k + count for k in range(left)]), collapsed=axes, start=axes),
        sizes=tuple([1 if axis in axes else n for axis, n in enumerate(x.shape)]),
        sorted=sorted,
        unique=unique,
    )
