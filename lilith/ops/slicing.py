"""slice, and how the cotangents of many slices of one array become one array.

A loop over `x[i]` leaves a slice cotangent per step. Padding each to x's shape and adding them would cost O(n²); here
disjoint slices are joined by one concatenation, and only slices that overlap are added.
"""

from __future__ import annotations

import builtins
import heapq
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lilith.ir.graph import Value
from lilith.ir.primitive import Deferred, Primitive, per_operand
from lilith.ir.type import TensorType
from lilith.ops.shape import concatenate, fill, pad, reshape
from lilith.source import ShapeError

Axes = tuple[int, ...]

# An operation costs about as much as this many elements of an addition: below it, fewer and larger operations win.
_ELEMENTS_PER_OPERATION = 4096

# Up to so many parts that overlap or leave gaps are padded and added: one loop on XLA:CPU, about twice as fast as
# joining them with zeros, x[1:] - x[:-1] and x[0] + x[-1] for two.
_FEW = 8


class Range(NamedTuple):
    """The elements begin, begin + stride, ... of one axis; `size` of them."""

    begin: int
    size: int
    stride: int

    @property
    def end(self) -> int:
        """One after the last element."""
        return self.begin + (self.size - 1) * self.stride + 1


Region = tuple[Range, ...]


class Part(NamedTuple):
    """An array and the region of a larger array that it belongs to."""

    array: Value
    region: Region


def _total(arrays: Sequence[Value]) -> Value:
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return total


def _same_regions_added(parts: list[Part], size: int) -> list[list[Part]]:
    """Groups of parts with distinct regions, to be joined group by group and added.

    A few repeated regions are added at once, which leaves one group. Where many small regions repeat, their k-th
    occurrences form group k: as many additions of whole arrays as a region has repetitions.
    """
    copies: dict[Region, list[Part]] = {}
    for part in parts:
        copies.setdefault(part.region, []).append(part)
    repeats = len(parts) - len(copies)
    if repeats == 0:
        return [parts]
    depth = max(map(len, copies.values()))
    if repeats * _ELEMENTS_PER_OPERATION <= (depth - 1) * size:
        return [[Part(_total([p.array for p in same]), region) for region, same in copies.items()]]
    return [[same[k] for same in copies.values() if k < len(same)] for k in range(depth)]


def _layers(ranges: Sequence[Range]) -> list[list[Range]]:
    """As few layers as possible, each of ranges whose extents do not overlap, in order."""
    layers: list[list[Range]] = []
    ends: list[tuple[int, int]] = []
    for r in sorted(ranges):
        if ends and ends[0][0] <= r.begin:
            k = heapq.heappop(ends)[1]
            layers[k].append(r)
        else:
            k = len(layers)
            layers.append([r])
        heapq.heappush(ends, (r.end, k))
    return layers


def _zeros(like: Value, axis: int, size: int, cache: dict[int, Value]) -> Value:
    """Zeros of like's shape but `size` along one axis."""
    found = cache.get(size)
    if found is None:
        shape = (*like.shape[:axis], size, *like.shape[axis + 1 :])
        found = cache[size] = fill(value=like.dtype.type(0).item(), shape=shape, dtype=like.dtype)
    return found


def _lay_out(arrays: dict[Range, Value], layer: list[Range], axis: int, size: int, gaps: dict[int, Value]) -> Value:
    """Disjoint contiguous ranges side by side along an axis of length `size`, zeros between them."""
    pieces: list[Value] = []
    position = 0
    for r in layer:
        array = arrays[r]
        if r.begin > position:
            pieces.append(_zeros(array, axis, r.begin - position, gaps))
        pieces.append(array)
        position = r.begin + r.size
    if position < size:
        pieces.append(_zeros(pieces[-1], axis, size - position, gaps))
    return pieces[0] if len(pieces) == 1 else concatenate(*pieces, axis=axis)


def _spread(array: Value, axis: int, stride: int, residue: int, size: int) -> Value:
    """The elements of an array at residue, residue + stride, ... of an axis of length `size`, zeros between them."""
    none = [0] * array.ndim
    low, high, interior = none.copy(), none.copy(), none.copy()
    low[axis], interior[axis] = residue, stride - 1
    high[axis] = size - residue - ((array.shape[axis] - 1) * stride + 1)
    zero = fill(value=array.dtype.type(0).item(), shape=(), dtype=array.dtype)
    return pad(array, zero, low=tuple(low), high=tuple(high), interior=tuple(interior))


def _interleave(classes: dict[int, Value], axis: int, stride: int, size: int) -> Value:
    """The residue classes modulo `stride` of an axis, woven: stacked on a new axis after it, then merged with it."""
    length = -(-size // stride)
    gaps: dict[int, Value] = {}
    columns = []
    like = next(iter(classes.values()))
    for residue in range(stride):
        column = classes.get(residue)
        if column is None:
            column = _zeros(like, axis, length, gaps)
        elif column.shape[axis] < length:
            column = concatenate(column, _zeros(like, axis, 1, gaps), axis=axis)
        columns.append(reshape(column, shape=(*like.shape[:axis], length, 1, *like.shape[axis + 1 :])))
    woven = concatenate(*columns, axis=axis + 1)
    whole = reshape(woven, shape=(*like.shape[:axis], length * stride, *like.shape[axis + 1 :]))
    if length * stride == size:
        return whole
    limit = (*like.shape[:axis], size, *like.shape[axis + 1 :])
    return slice(whole, start=(0,) * like.ndim, limit=limit, stride=(1,) * like.ndim)


def _are_columns(arrays: dict[Range, Value], axis: int) -> bool:
    """Whether these are single columns of a matrix: XLA:CPU adds padded ones twice as fast as it joins them."""
    shapes = [array.shape for array in arrays.values()]
    return all(len(shape) > 1 and axis == len(shape) - 1 and shape[axis] == 1 for shape in shapes)


def _along_axis(arrays: dict[Range, Value], axis: int, size: int) -> Value:
    """The sum of arrays that lie in distinct ranges of one axis of length `size`."""
    strided: dict[int, dict[int, dict[Range, Value]]] = {}
    contiguous: dict[Range, Value] = {}
    for r, array in arrays.items():
        if r.stride == 1:
            contiguous[r] = array
        else:
            residue = r.begin % r.stride
            unit = Range(r.begin // r.stride, r.size, 1)
            strided.setdefault(r.stride, {}).setdefault(residue, {})[unit] = array
    layers = _layers(tuple(contiguous))
    if len(contiguous) <= _FEW and (sum([r.size for r in contiguous]) != size or _are_columns(contiguous, axis)):
        sums = [_spread(array, axis, 1, r.begin, size) for r, array in contiguous.items()]
    else:
        gaps: dict[int, Value] = {}
        sums = [_lay_out(contiguous, layer, axis, size, gaps) for layer in layers]
    for stride, by_residue in strided.items():
        classes = {
            residue: _along_axis(units, axis, -(-(size - residue) // stride)) for residue, units in by_residue.items()
        }
        if 2 * len(classes) > stride:
            sums.append(_interleave(classes, axis, stride, size))
        else:
            sums += [_spread(array, axis, stride, residue, size) for residue, array in classes.items()]
    return _total(sums)


def _join(parts: list[Part], axes: Axes, shape: Axes) -> Value:
    """The sum of parts with distinct regions; they agree with `shape` on all axes but `axes`.

    Along the axis on which the parts' ranges overlap least: parts of one range are joined over the other axes first.
    """
    if not axes:
        return _total([part.array for part in parts])
    if len(parts) == 1:
        return _padded(parts[0], axes, shape)
    ranges = {axis: {part.region[axis] for part in parts} for axis in axes}
    overlap = {axis: len(_layers(tuple(found))) for axis, found in ranges.items()} if len(axes) > 1 else {}
    axis = min(axes, key=overlap.__getitem__) if overlap else axes[0]
    others = tuple([other for other in axes if other != axis])
    buckets: dict[Range, list[Part]] = {}
    for part in parts:
        buckets.setdefault(part.region[axis], []).append(part)
    arrays = {r: _join(bucket, others, shape) for r, bucket in buckets.items()}
    return _along_axis(arrays, axis, shape[axis])


def _padded(part: Part, axes: Axes, shape: Axes) -> Value:
    """One part with zeros around it and, where it is strided, between its elements, along `axes`."""
    array, region = part
    none = [0] * array.ndim
    low, high, interior = none.copy(), none.copy(), none.copy()
    for axis in axes:
        r = region[axis]
        low[axis], high[axis], interior[axis] = r.begin, shape[axis] - r.end, r.stride - 1
    if not any(low) and not any(high) and not any(interior):
        return array
    zero = fill(value=array.dtype.type(0).item(), shape=(), dtype=array.dtype)
    return pad(array, zero, low=tuple(low), high=tuple(high), interior=tuple(interior))


class SliceCotangent(Deferred):
    """The cotangent g of x[start:limit:stride], not yet brought to x's shape."""

    __slots__ = ("g", "start", "stride")

    def __init__(self, g: Value, start: Axes, stride: Axes):
        self.g = g
        self.start = start
        self.stride = stride

    def part(self) -> Part:
        """g with its region; a single element counts as contiguous, so that equal regions are equal."""
        region = tuple(
            [
                Range(begin, count, stride if count > 1 else 1)
                for begin, count, stride in zip(self.start, self.g.shape, self.stride, strict=True)
            ]
        )
        return Part(self.g, region)

    @staticmethod
    def join(type: TensorType, parts: Sequence[SliceCotangent]) -> Value:
        """The sum of slice cotangents of one array."""
        found = [part.part() for part in parts if 0 not in part.g.shape]
        if not found:
            return fill(value=type.dtype.type(0).item(), shape=type.shape, dtype=type.dtype)
        axes = tuple(range(type.ndim))
        return _total([_join(group, axes, type.shape) for group in _same_regions_added(found, type.size)])


def _slice_type(x: TensorType, *, start: Axes, limit: Axes, stride: Axes) -> TensorType:
    if not len(start) == len(limit) == len(stride) == x.ndim:
        raise ShapeError(f"slice: start {start}, limit {limit}, stride {stride} do not fit {x}", hint="one per axis")
    shape = []
    for begin, end, step, n in zip(start, limit, stride, x.shape, strict=True):
        if not 0 <= begin <= end <= n or step < 1:
            raise ShapeError(
                f"slice: start {start}, limit {limit}, stride {stride} lie outside of {x}",
                hint="0 <= start <= limit <= size and 1 <= stride",
            )
        shape.append((end - begin + step - 1) // step)
    return x.with_shape(tuple(shape))


def _slice_eval(x: np.ndarray, start: Axes, limit: Axes, stride: Axes) -> np.ndarray:
    return x[tuple(map(builtins.slice, start, limit, stride))]


def _slice_rule(g: Value, y: Value, x: Value, *, start: Axes, limit: Axes, stride: Axes) -> SliceCotangent:
    """x̄ = ȳ where y was taken from, zero elsewhere."""
    return SliceCotangent(g, start, stride)


def _slice_batch(batched: tuple[bool, ...], x: Value, *, start: Axes, limit: Axes, stride: Axes) -> Value:
    return slice(x, start=(0, *start), limit=(x.shape[0], *limit), stride=(1, *stride))


slice = Primitive(
    "slice", type=_slice_type, eval=_slice_eval, vjp=per_operand(_slice_rule), batch=_slice_batch, masks=True
)
