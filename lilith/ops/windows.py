"""Windows: how index vectors name parts of an array, for gather and scatter."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lilith.ir.type import TensorType
from lilith.ops.elementwise import INTEGER, check_kind
from lilith.source import ShapeError

Axes = tuple[int, ...]


class Windows(NamedTuple):
    """How index vectors name windows of an array x, in StableHLO's terms.

    The last axis of `indices` holds index vectors; its other axes are those of the batch of windows. A gather's result
    (a scatter's updates) has the axes of the batch and the axes of a window.

    Attributes:
        offset: the result's axes that run within a window (offset_dims, update_window_dims), increasing.
        collapsed: axes of x along which a window has one element, absent from the result (collapsed_slice_dims,
            inserted_window_dims), increasing.
        start: the axis of x that each component of an index vector is for (start_index_map).
        batch: axes of x that are run through together with axes of the indices, absent from `offset`
            (operand_batching_dims), increasing.
        indices_batch: those axes of the indices (start_indices_batching_dims), in the order of `batch`.
    """

    offset: Axes
    collapsed: Axes
    start: Axes
    batch: Axes = ()
    indices_batch: Axes = ()

    @property
    def absent(self) -> Axes:
        """The axes of x that are not in the result, in order."""
        return tuple(sorted(self.collapsed + self.batch))

    def kept(self, ndim: int) -> Axes:
        """The axes of x that a window has in the result, in the order of `offset`."""
        return tuple([axis for axis in range(ndim) if axis not in self.collapsed and axis not in self.batch])

    def batch_axes(self, ndim: int) -> Axes:
        """The axes of a result with `ndim` axes that are the axes of the batch of windows."""
        return tuple([axis for axis in range(ndim) if axis not in self.offset])


def check_windows(name: str, x: TensorType, indices: TensorType, sizes: Axes, windows: Windows) -> None:
    offset, collapsed, start, batch, indices_batch = windows
    check_kind(name, INTEGER, indices)
    if indices.ndim == 0 or indices.shape[-1] != len(start) or not start:
        raise ShapeError(f"{name}: indices {indices} for {len(start)} axes", hint="index vectors lie on the last axis")
    if not all(0 <= axis < x.ndim for axis in (*start, *collapsed, *batch)) or len(set(start + batch)) != len(
        start + batch
    ):
        raise ShapeError(f"{name}: {windows} does not fit {x}", hint="name axes of the array, each once")
    if len(sizes) != x.ndim or any(not 0 <= size <= n for size, n in zip(sizes, x.shape, strict=True)):
        raise ShapeError(f"{name}: windows of sizes {sizes} do not fit into {x}", hint="0 <= size <= the axis's")
    if any(sizes[axis] != 1 for axis in collapsed + batch):
        raise ShapeError(f"{name}: sizes {sizes} of {x}, {windows}", hint="size 1 along axes that are left out")
    if len(indices_batch) != len(batch) or any(
        not 0 <= ours < indices.ndim - 1 or indices.shape[ours] != x.shape[theirs]
        for theirs, ours in zip(batch, indices_batch, strict=False)
    ):
        raise ShapeError(f"{name}: {x} and indices {indices} do not agree on {windows}", hint="batch axes of one size")
    if len(offset) + len(set(collapsed + batch)) != x.ndim or any(sorted(a) != list(a) for a in (offset, collapsed)):
        raise ShapeError(f"{name}: {windows} does not fit {x}", hint="one offset axis per axis of a window, in order")


def windows_shape(indices: TensorType, sizes: Axes, windows: Windows) -> Axes:
    """The shape of all windows together: gather's result, scatter's updates."""
    ndim = indices.ndim - 1 + len(windows.offset)
    kept = iter([sizes[axis] for axis in windows.kept(len(sizes))])
    batch = iter(indices.shape[:-1])
    return tuple([next(kept) if axis in windows.offset else next(batch) for axis in range(ndim)])


def window_sizes(x: TensorType, updates: TensorType, windows: Windows) -> Axes:
    """The sizes of the windows of x that updates hold."""
    sizes = [1] * x.ndim
    for axis, place in zip(windows.kept(x.ndim), windows.offset, strict=True):
        sizes[axis] = updates.shape[place] if place < updates.ndim else -1
    return tuple(sizes)


def clamped(starts: np.ndarray, last: int) -> np.ndarray:
    """Start positions as int64, brought into 0 .. last."""
    return np.clip(starts, 0, min(last, int(np.iinfo(starts.dtype).max))).astype(np.int64)


def places_of(shape: Axes, indices: np.ndarray, sizes: Axes, windows: Windows) -> np.ndarray:
    """The place of every element of every window in an array of that shape, flattened."""
    result = windows_shape(TensorType(indices.shape, indices.dtype), sizes, windows)
    batch_axes = windows.batch_axes(len(result))
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]

    def spread(numbers: np.ndarray, axes: Axes) -> np.ndarray:
        return numbers.reshape([result[axis] if axis in axes else 1 for axis in range(len(result))])

    places = np.zeros(result, np.int64)
    for k, axis in enumerate(windows.start):
        places += spread(clamped(indices[..., k], shape[axis] - sizes[axis]), batch_axes) * strides[axis]
    for axis, place in zip(windows.kept(len(shape)), windows.offset, strict=True):
        places += spread(np.arange(sizes[axis]), (place,)) * strides[axis]
    for axis, place in zip(windows.batch, windows.indices_batch, strict=True):
        places += spread(np.arange(shape[axis]), (batch_axes[place],)) * strides[axis]
    return places
