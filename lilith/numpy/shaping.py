"""Functions that move, repeat and join elements."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.numpy.core import (
    Shape,
    broadcast,
    expand,
    full,
    implements,
    lift,
    normalize_axes,
    normalize_axis,
    shape_argument,
    static_int,
)
from lilith.numpy.indexing import take_item
from lilith.ops import elementwise, shape
from lilith.source import ArgumentError, ShapeError, UnsupportedError
from lilith.trace import contains_tracer

# ---- shape --------------------------------------------------------------------------------------------------------


def reshaped(x: Value, shape_: Shape) -> Value:
    """x with another shape; no node where it has it."""
    return x if x.type.shape == shape_ else shape.reshape(x, shape=shape_)


def transposed(x: Value, axes: Shape) -> Value:
    """x with its axes in another order; no node where they are in it."""
    return x if axes == tuple(range(x.ndim)) else shape.transpose(x, axes=axes)


def _order(order: Any, name: str) -> bool:
    """Whether elements are read in Fortran's order."""
    letter = order.upper() if isinstance(order, str) else "C" if order is None else order
    if letter in ("A", "K"):
        raise UnsupportedError(
            f"np.{name}: order={order!r} goes by the order in memory, which traced arrays do not have",
            hint="order='C', or order='F' for the first axis to vary fastest",
        )
    if letter not in ("C", "F"):
        raise ArgumentError(f"{name}: order must be 'C' or 'F', got {order!r}", hint="leave it out for 'C'")
    return letter == "F"


@implements(np.reshape)
def reshape(a: Any, /, shape: Any, order: str = "C", *, copy: Any = None) -> Value:
    """numpy.reshape; one size may be -1."""
    x = lift(a)
    sizes = shape_argument(shape, "reshape")
    if -1 in sizes:
        known = math.prod([n for n in sizes if n != -1])
        if sizes.count(-1) > 1 or known == 0 or x.type.size % known:
            raise ShapeError(
                f"reshape: {x.type} has {x.type.size} elements and does not fit shape {sizes}",
                hint="one size may be -1, and the others must divide the number of elements",
            )
        sizes = tuple([x.type.size // known if n == -1 else n for n in sizes])
    if _order(order, "reshape"):
        return _reversed_axes(reshaped(_reversed_axes(x), sizes[::-1]))
    return reshaped(x, sizes)


def _reversed_axes(x: Value) -> Value:
    return transposed(x, tuple(range(x.ndim))[::-1]) if x.ndim > 1 else x


@implements(np.ravel)
def ravel(a: Any, order: str = "C") -> Value:
    """numpy.ravel."""
    x = lift(a)
    return reshaped(_reversed_axes(x) if _order(order, "ravel") else x, (x.type.size,))


@implements(np.transpose)
def transpose(a: Any, axes: Any = None) -> Value:
    """numpy.transpose."""
    x = lift(a)
    if axes is None:
        return _reversed_axes(x)
    order = tuple([normalize_axis(axis, x.ndim, "transpose") for axis in axes])
    return transposed(x, order)


@implements(np.swapaxes)
def swapaxes(a: Any, axis1: Any, axis2: Any) -> Value:
    """numpy.swapaxes."""
    x = lift(a)
    i, j = normalize_axis(axis1, x.ndim, "swapaxes"), normalize_axis(axis2, x.ndim, "swapaxes")
    order = list(range(x.ndim))
    order[i], order[j] = j, i
    return transposed(x, tuple(order))


@implements(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x: Any, /) -> Value:
    """numpy.matrix_transpose."""
    x = lift(x)
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose: {x.type} has no matrix axes", hint="it needs at least two axes")
    return swapaxes(x, -1, -2)


@implements(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Value:
    """numpy.moveaxis."""
    x = lift(a)
    sources, destinations = _as_list(source), _as_list(destination)
    if len(sources) != len(destinations):
        raise ArgumentError("moveaxis: source and destination differ in length", hint="one destination per source axis")
    moved = {
        normalize_axis(d, x.ndim, "moveaxis"): normalize_axis(s, x.ndim, "moveaxis")
        for s, d in zip(sources, destinations, strict=True)
    }
    if len(moved) != len(sources) or len(set(moved.values())) != len(sources):
        raise ShapeError("moveaxis: an axis is named twice", hint="name every axis once")
    rest = iter([axis for axis in range(x.ndim) if axis not in moved.values()])
    return transposed(x, tuple([moved[axis] if axis in moved else next(rest) for axis in range(x.ndim)]))


def _as_list(x: Any) -> list[Any]:
    return list(x) if isinstance(x, list | tuple) else [x]


@implements(np.rollaxis)
def rollaxis(a: Any, axis: Any, start: Any = 0) -> Value:
    """numpy.rollaxis."""
    x = lift(a)
    place = normalize_axis(axis, x.ndim, "rollaxis")
    before = static_int(start, "rollaxis", "start")
    if not -x.ndim <= before <= x.ndim:
        raise ShapeError(
            f"rollaxis: start {before} is out of bounds for {x.type}", hint=f"{-x.ndim} <= start <= {x.ndim}"
        )
    before += x.ndim if before < 0 else 0
    order = [a for a in range(x.ndim) if a != place]
    order.insert(before - (place < before), place)
    return transposed(x, tuple(order))


@implements(np.squeeze)
def squeeze(a: Any, axis: Any = None) -> Value:
    """numpy.squeeze."""
    x = lift(a)
    if axis is None:
        return reshaped(x, tuple([n for n in x.shape if n != 1]))
    axes = normalize_axes(axis, x.ndim, "squeeze")
    if any([x.shape[i] != 1 for i in axes]):
        raise ShapeError(f"squeeze: {x.type} has an axis of {axes} whose size is not 1", hint="only axes of size 1")
    return reshaped(x, tuple([n for i, n in enumerate(x.shape) if i not in axes]))


@implements(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Value:
    """numpy.expand_dims."""
    x = lift(a)
    count = len(axis) if isinstance(axis, list | tuple) else 1
    axes = normalize_axes(axis, x.ndim + count, "expand_dims")
    sizes = iter(x.shape)
    return reshaped(x, tuple([1 if i in axes else next(sizes) for i in range(x.ndim + count)]))


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Any) -> Value:
    """numpy.broadcast_to."""
    x = lift(array)
    sizes = shape_argument(shape, "broadcast_to")
    aligned = sizes[len(sizes) - x.ndim :] if len(sizes) >= x.ndim else None
    if aligned is None or any([n not in (1, m) for n, m in zip(x.shape, aligned, strict=True)]):
        raise ShapeError(f"broadcast_to: {x.type} does not broadcast to {sizes}", hint="only sizes 1 are repeated")
    return expand(x, sizes)


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any) -> tuple[Value, ...]:
    """numpy.broadcast_arrays."""
    return tuple(broadcast("broadcast_arrays", *[lift(x) for x in args]))


def _at_least(name: str, function: Any, place: Callable[[Shape], Shape]) -> Callable[..., Any]:
    def rule(*arys: Any) -> Any:
        values = tuple([reshaped(x, place(x.shape)) for x in map(lift, arys)])
        return values[0] if len(values) == 1 else values

    rule.__name__, rule.__doc__ = name, f"numpy.{name}."
    return implements(function)(rule)


def _three_axes(s: Shape) -> Shape:
    return s if len(s) >= 3 else (*s, 1) if len(s) == 2 else (1, *s, 1) if len(s) == 1 else (1, 1, 1)


atleast_1d = _at_least("atleast_1d", np.atleast_1d, lambda s: s or (1,))
atleast_2d = _at_least("atleast_2d", np.atleast_2d, lambda s: (1,) * (2 - len(s)) + s)
atleast_3d = _at_least("atleast_3d", np.atleast_3d, _three_axes)

# ---- order --------------------------------------------------------------------------------------------------------


@implements(np.flip)
def flip(m: Any, axis: Any = None) -> Value:
    """numpy.flip."""
    x = lift(m)
    axes = tuple([i for i in normalize_axes(axis, x.ndim, "flip") if x.shape[i] > 1])
    return shape.rev(x, axes=axes) if axes else x


@implements(np.flipud)
def flipud(m: Any) -> Value:
    """numpy.flipud."""
    return flip(m, 0)


@implements(np.fliplr)
def fliplr(m: Any) -> Value:
    """numpy.fliplr."""
    return flip(m, 1)


@implements(np.rot90)
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Value:
    """numpy.rot90."""
    x = lift(m)
    i, j = [normalize_axis(axis, x.ndim, "rot90") for axis in axes]
    if i == j:
        raise ShapeError(f"rot90: axes={axes} of {x.type} are one axis", hint="name two axes, e.g. axes=(0, 1)")
    turns = static_int(k, "rot90", "k") % 4
    if turns == 2:
        return flip(flip(x, i), j)
    if turns == 1:
        return swapaxes(flip(x, j), i, j)
    return flip(swapaxes(x, i, j), j) if turns == 3 else x


@implements(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Value:
    """numpy.roll by a known number of places."""
    x = lift(a)
    if axis is None:
        return reshaped(roll(ravel(x), shift, 0), x.shape)
    axes, shifts = _as_list(axis), _as_list(shift)
    count = max(len(axes), len(shifts))
    for place, by in zip(axes * (count // len(axes)), shifts * (count // len(shifts)), strict=True):
        i = normalize_axis(place, x.ndim, "roll")
        cut = -static_int(by, "roll", "shift") % x.shape[i] if x.shape[i] else 0
        if cut:
            before = (slice(None),) * i
            x = shape.concatenate(
                take_item(x, (*before, slice(cut, None))), take_item(x, (*before, slice(None, cut))), axis=i
            )
    return x


@implements(np.tile)
def tile(A: Any, reps: Any) -> Value:
    """numpy.tile."""
    x = lift(A)
    counts = shape_argument(reps, "tile")
    ndim = max(x.ndim, len(counts))
    counts = (1,) * (ndim - len(counts)) + counts
    sizes = (1,) * (ndim - x.ndim) + x.shape
    spread = tuple([n for pair in zip(counts, sizes, strict=True) for n in pair])
    repeated = expand(reshaped(x, tuple([n for m in sizes for n in (1, m)])), spread)
    return reshaped(repeated, tuple([c * n for c, n in zip(counts, sizes, strict=True)]))


@implements(np.repeat)
def repeat(a: Any, repeats: Any, axis: Any = None) -> Value:
    """numpy.repeat with known numbers of repetitions."""
    x = lift(a)
    if axis is None:
        x, axis = ravel(x), 0
    place = normalize_axis(axis, x.ndim, "repeat")
    if not contains_tracer(repeats) and np.any(np.less(repeats, 0)):
        raise ArgumentError(f"repeat: repeats={repeats!r}", hint="how often to take an element: 0 or more")
    if isinstance(repeats, list | tuple | np.ndarray) and np.size(repeats) != 1:
        if np.shape(repeats) != (x.shape[place],):
            raise ShapeError(
                f"repeat: repeats of shape {np.shape(repeats)} for axis {place} of {x.type}",
                hint="an int, or one int per element of the axis",
            )
        return take_item(x, (*[slice(None)] * place, np.repeat(np.arange(x.shape[place]), repeats)))
    count = static_int(np.asarray(repeats).reshape(())[()] if np.ndim(repeats) else repeats, "repeat", "repeats")
    sizes = x.shape
    spread = expand_dims(x, place + 1)
    spread = expand(spread, (*sizes[: place + 1], count, *sizes[place + 1 :]))
    return reshaped(spread, (*sizes[:place], sizes[place] * count, *sizes[place + 1 :]))


# ---- triangles and diagonals --------------------------------------------------------------------------------------


def _triangle(m: Any, k: Any, lower: bool, name: str) -> Value:
    x = lift(m)
    if x.ndim == 1:
        x = expand(x, (x.shape[0], x.shape[0]))
    if x.ndim == 0:
        raise ShapeError(f"{name}: {x.type} is not a matrix", hint="it needs at least one axis")
    rows, columns = x.shape[-2:]
    keep = np.tri(rows, columns, static_int(k, name, "k") - (0 if lower else 1), bool)
    mask = expand(lift(keep if lower else ~keep), x.shape)
    return elementwise.select(mask, x, fill_like(x, 0))


@implements(np.tril)
def tril(m: Any, k: Any = 0) -> Value:
    """numpy.tril."""
    return _triangle(m, k, True, "tril")


@implements(np.triu)
def triu(m: Any, k: Any = 0) -> Value:
    """numpy.triu."""
    return _triangle(m, k, False, "triu")


@implements(np.diagonal)
def diagonal(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Value:
    """numpy.diagonal: a strided slice of the flattened matrices."""
    x = lift(a)
    if x.ndim < 2:
        raise ShapeError(f"diagonal: {x.type} is not a matrix", hint="np.diag(v) makes a matrix of a vector")
    x = moveaxis(x, (axis1, axis2), (-2, -1))
    k = static_int(offset, "diagonal", "offset")
    x = take_item(x, (..., slice(max(-k, 0), None), slice(max(k, 0), None)))
    rows, columns = x.shape[-2:]
    count = min(rows, columns)
    flat = reshaped(x, (*x.shape[:-2], rows * columns))
    return take_item(flat, (..., slice(0, (count - 1) * (columns + 1) + 1 if count else 0, columns + 1)))


@implements(np.linalg.diagonal)
def linalg_diagonal(x: Any, /, *, offset: Any = 0) -> Value:
    """numpy.linalg.diagonal: of the last two axes."""
    return diagonal(x, offset, -2, -1)


def _diagonal_matrix(v: Value, k: int) -> Value:
    """The matrix with v on its k-th diagonal: v with gaps of zeros, reshaped."""
    n = v.shape[0]
    size = n + abs(k)
    low = k if k > 0 else -k * size
    length = n + max(n - 1, 0) * size
    zero = full(0, (), v.dtype)
    flat = shape.pad(v, zero, low=(low,), high=(size * size - low - length,), interior=(size,))
    return shape.reshape(flat, shape=(size, size))


@implements(np.diag)
def diag(v: Any, k: Any = 0) -> Value:
    """numpy.diag: a matrix from a vector, or the diagonal of a matrix."""
    x = lift(v)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError(f"diag: takes a vector or a matrix, got {x.type}", hint="np.diagonal for stacks of matrices")
    return _diagonal_matrix(x, static_int(k, "diag", "k"))


@implements(np.diagflat)
def diagflat(v: Any, k: Any = 0) -> Value:
    """numpy.diagflat."""
    return _diagonal_matrix(ravel(v), static_int(k, "diagflat", "k"))
