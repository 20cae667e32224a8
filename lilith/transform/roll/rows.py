"""Regions of one array, a row per copy of a stretch, as one array: a slice where they lie evenly, else a gather."""

from __future__ import annotations

import math

import numpy as np

from lilith.ir.graph import Literal, Value
from lilith.ops.indexing import take
from lilith.ops.shape import concatenate, constant, rev, transpose
from lilith.ops.shape import reshape as reshaped
from lilith.ops.slicing import slice
from lilith.transform.roll.sequence import View


def stacked_views(root: Value, view: View, starts: np.ndarray) -> Value:
    """`[len(starts), *view.shape]`: regions of the root like `view`, which begin at these places."""
    count = len(starts)
    root = _reshape(root, shape=view.base)
    sizes = list(view.sizes)
    moving = [axis for axis in range(root.ndim) if (starts[:, axis] != starts[0, axis]).any()]
    begin = [int(starts[0, a]) for a in range(root.ndim)]
    limit = [b + (n - 1) * step + 1 for b, n, step in zip(begin, sizes, view.stride, strict=True)]
    stride = list(view.stride)
    if len(moving) == 1:
        found = _even(root, starts, moving[0], sizes, (begin, limit, stride))
        if found is not None:
            return _reshape(found, shape=(count, *view.shape))
    for axis in moving:
        begin[axis], limit[axis], stride[axis] = 0, root.shape[axis], 1
    x = _sliced(root, begin, limit, stride)
    still = [axis for axis in range(root.ndim) if axis not in moving]
    x = _reordered(x, [*moving, *still])
    x = _reshape(x, shape=(math.prod(x.shape[: len(moving)]), *x.shape[len(moving) :]))
    places = np.zeros((count,), dtype=np.int64)
    for k, axis in enumerate(moving):
        along = np.arange(sizes[axis]) * view.stride[axis]
        own = starts[:, axis].reshape(-1, *[1] * k, 1) + along
        places = places[..., None] * root.shape[axis] + own
    flat = places.reshape(-1)
    dtype = np.int32 if root.type.size < 2**31 else np.int64
    unique, ordered = len(np.unique(flat)) == len(flat), bool((np.diff(flat) >= 0).all())
    taken = take(x, constant(value=Literal(flat.astype(dtype))), 0, sorted=ordered, unique=unique)
    taken = _reshape(taken, shape=(*places.shape, *[sizes[axis] for axis in still]))
    order = [*moving, *still]
    taken = _reordered(taken, [0, *[1 + order.index(axis) for axis in range(root.ndim)]])
    return _reshape(taken, shape=(count, *view.shape))


def _even(root: Value, starts: np.ndarray, axis: int, sizes: list[int], region: tuple) -> Value | None:
    """Regions that lie evenly along one axis and do not overlap, that axis in front; None where they do not."""
    begin, limit, stride = region
    first, count, size = int(starts[0, axis]), len(starts), sizes[axis]
    steps = np.diff(starts[:, axis])
    step = int(steps[0])
    if (steps != step).any() or not (size == 1 or (abs(step) == size and stride[axis] == 1)):
        return None
    low = min(first, first + step * (count - 1))
    begin[axis] = low
    if size == 1:
        limit[axis], stride[axis] = low + abs(step) * (count - 1) + 1, abs(step)
    else:
        limit[axis] = low + size * count
    x = _sliced(root, begin, limit, stride)
    x = _reshape(x, shape=(*x.shape[:axis], count, size, *x.shape[axis + 1 :]))
    x = rev(x, axes=(axis,)) if step < 0 else x
    return _reordered(x, [axis, *[k for k in range(x.ndim) if k != axis]])


def _sliced(x: Value, begin: list[int], limit: list[int], stride: list[int]) -> Value:
    if not any(begin) and tuple(limit) == x.shape and all(step == 1 for step in stride):
        return x
    return slice(x, start=tuple(begin), limit=tuple(limit), stride=tuple(stride))


def _reshape(x: Value, shape: tuple[int, ...]) -> Value:
    return x if x.shape == shape else reshaped(x, shape=shape)


def _reordered(x: Value, order: list[int]) -> Value:
    return x if order == sorted(order) else transpose(x, axes=tuple(order))


def stacked_values(values: tuple[Value, ...]) -> Value:
    """Values of one type along a new first axis."""
    return concatenate(*[reshaped(x, shape=(1, *x.shape)) for x in values], axis=0)


def row_of(stack: Value, copy: int) -> Value:
    """`stack[copy]`."""
    rest = stack.shape[1:]
    none = (0,) * len(rest)
    taken = slice(stack, start=(copy, *none), limit=(copy + 1, *rest), stride=(1,) * stack.ndim)
    return reshaped(taken, shape=rest)
