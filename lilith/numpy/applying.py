"""Functions that apply the user's functions to parts of an array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Value
from lilith.numpy.assigning import cast_into
from lilith.numpy.core import convert, expand, full, implements, lift, normalize_axis, wrap
from lilith.numpy.functions import where
from lilith.numpy.joining import items
from lilith.numpy.shaping import expand_dims, moveaxis
from lilith.ops import shape
from lilith.source import ArgumentError, ShapeError
from lilith.trace import Traced, current_trace, trace_call
from lilith.transform.batch import batch

_BOOL = np.dtype(bool)


@implements(np.apply_along_axis)
def apply_along_axis(func1d: Callable[..., Any], axis: Any, arr: Any, *args: Any, **kwargs: Any) -> Value:
    """numpy.apply_along_axis: func1d is traced once and its graph runs on all lines together."""
    x = lift(arr)
    place = normalize_axis(axis, x.ndim, "apply_along_axis")
    lines = moveaxis(x, place, -1)
    outer, n = lines.shape[:-1], lines.shape[-1]
    count = int(np.prod(outer))
    if count == 0:
        raise ShapeError(f"apply_along_axis: {x.type} has no lines along axis {place}", hint="check for an empty array")
    recorded = trace_call(
        lambda tracers: func1d(tracers[0], *args, **kwargs), [lines.type.strong.with_shape((n,))], ["line"], "func1d"
    )
    if len(recorded.leaves) != 1 or not isinstance(recorded.leaves[0], Traced):
        raise ArgumentError("apply_along_axis: the function gives no single array", hint="return one array or number")
    given = [*recorded.captured, *recorded.hoisted]
    graph = batch(recorded.graph, [True] + [False] * len(given), count)
    trace = current_trace()
    rows = shape.reshape(lines, shape=(count, n))
    (y,) = trace.inline(graph, [rows, *[trace.lift(v) for v in given]])
    y = shape.reshape(y, shape=(*outer, *y.shape[1:]))
    inner = list(range(len(outer), y.ndim))
    order = (*range(place), *inner, *range(place, len(outer)))
    return shape.transpose(y, axes=order)


@implements(np.apply_over_axes)
def apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Value:
    """numpy.apply_over_axes: func(x, axis) for one axis after the other; axes that it removes come back as size 1."""
    x = lift(a)
    ndim = x.ndim
    for axis in [axes] if np.ndim(axes) == 0 else axes:
        place = normalize_axis(axis, ndim, "apply_over_axes")
        y = lift(func(wrap(x), place))
        x = expand_dims(y, place) if y.ndim == ndim - 1 else y
        if x.ndim != ndim:
            raise ShapeError(
                f"apply_over_axes: the function made {y.type} of {ndim} axes", hint="keep the axis or remove it"
            )
    return x


@implements(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Value:
    """numpy.piecewise, with every function applied to all of x: where its condition does not hold, neither its value
    nor its derivative counts. The last condition that holds decides; the result has x's dtype.
    """
    v = lift(x)
    listed = condlist if isinstance(condlist, list | tuple) else items(lift(condlist), "piecewise")
    if v.ndim and not lift(listed[0]).ndim:
        listed = [condlist]
    conditions = [convert(lift(c), _BOOL) for c in listed]
    functions = list(funclist)
    if len(functions) == len(conditions) + 1:
        y = _piece(functions.pop(), v, args, kw)
    elif len(functions) == len(conditions):
        y = full(0, v.shape, v.dtype)
    else:
        raise ArgumentError(
            f"piecewise: {len(functions)} functions for {len(conditions)} conditions",
            hint="one per condition, and perhaps one for where none holds",
        )
    for condition, function in zip(conditions, functions, strict=True):
        y = where(expand(condition, v.shape), _piece(function, v, args, kw), y)
    return y


def _piece(function: Any, x: Value, args: tuple, kw: dict[str, Any]) -> Value:
    """A function's values on x, or the constant that stands in its place."""
    y = function(wrap(x), *args, **kw) if callable(function) else function
    return expand(cast_into(y, x.dtype), x.shape)
