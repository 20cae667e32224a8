"""Functions that make arrays, from tracers or like them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Value
from lilith.ir.type import kind
from lilith.numpy import floats, ufuncs
from lilith.numpy.core import (
    adapt,
    array,
    broadcast_shapes,
    convert,
    dtype_of,
    full,
    implements,
    lift,
    operand,
    reshaped_leading,
    shape_argument,
    static_int,
    type_of,
    wrap,
)
from lilith.numpy.shaping import moveaxis
from lilith.ops import elementwise
from lilith.remedies import REPLACEMENTS
from lilith.source import ArgumentError, ShapeError
from lilith.trace import contains_tracer, current_trace
from lilith.tracer import Tracer


def _like(name: str, function: Any, number: Any) -> Callable[..., Value]:
    def rule(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None) -> Value:
        x = lift(a)
        sizes = x.shape if shape is None else shape_argument(shape, name)
        return full(number, sizes, x.dtype if dtype is None else dtype_of(dtype))

    def prototype_rule(prototype: Any, /, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None):
        return rule(prototype, dtype, order, subok, shape)

    chosen = prototype_rule if function is np.empty_like else rule
    chosen.__name__, chosen.__doc__ = name, f"numpy.{name}."
    return implements(function)(chosen)


zeros_like = _like("zeros_like", np.zeros_like, 0)
ones_like = _like("ones_like", np.ones_like, 1)
empty_like = _like("empty_like", np.empty_like, 0)


@implements(np.full_like)
def full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None
) -> Value:
    """numpy.full_like."""
    x = lift(a)
    sizes = x.shape if shape is None else shape_argument(shape, "full_like")
    return _filled(fill_value, sizes, x.dtype if dtype is None else dtype_of(dtype))


def _filled(value: Any, sizes: tuple[int, ...], dtype: np.dtype) -> Value:
    v = operand(value)
    if broadcast_shapes("full", [type_of(v), type_of(v).with_shape(sizes)]) != sizes:
        raise ShapeError(f"full: {type_of(v)} does not broadcast to shape {sizes}", hint="a scalar fills the array")
    return adapt(v, dtype, sizes)


@implements(np.linspace)
def linspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: Any = 0
) -> Any:
    """numpy.linspace with a known number of points."""
    count = static_int(num, "linspace", "num")
    if count < 0:
        raise ArgumentError(f"linspace: {count} points", hint="num >= 0")
    first, last = ufuncs.multiply(start, 1.0), ufuncs.multiply(stop, 1.0)
    gaps = count - 1 if endpoint else count
    span = ufuncs.subtract(last, first)
    step = ufuncs.divide(span, gaps if gaps > 0 else np.nan)
    sizes = span.shape
    index = reshaped_leading(lift(np.arange(count, dtype=span.dtype)), len(sizes))
    if gaps > 0:
        y = ufuncs.add(ufuncs.multiply(index, step), first)
    else:
        y = ufuncs.add(ufuncs.multiply(index, span), first)
    if endpoint and count > 1:
        # the last point is the end exactly, not its rounded value
        at_end = ufuncs.equal(index, count - 1)
        y = elementwise.select(*_aligned(at_end, last, y))
    y = moveaxis(y, 0, axis) if axis != 0 else y
    if dtype is not None:
        wanted = dtype_of(dtype)
        y = convert(floats.floor(y) if kind(wanted) in "iu" else y, wanted)
    return (y, step) if retstep else y


def _aligned(mask: Value, x: Value, y: Value) -> tuple[Value, Value, Value]:
    """A mask and x with y's shape."""
    return adapt(mask, np.dtype(bool), y.shape), adapt(x, y.dtype, y.shape), y


# ---- functions that NumPy does not hand over: what `lilith.numpy` has in their place ------------------------------


def make_array(object: Any, dtype: Any = None, *, copy: Any = True, order: Any = "K", ndmin: int = 0) -> Any:
    """numpy.array, also of (nested lists of) traced arrays.

    >>> make_array([1.0, 2.0])
    array([1., 2.])
    """
    if not contains_tracer(object):
        return np.array(object, dtype=dtype, copy=copy, order=order, ndmin=ndmin)
    current_trace()
    x = array(object)
    x = x if dtype is None else convert(x, dtype_of(dtype))
    return wrap(reshaped_leading(x, 0, ndmin - x.ndim))


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None) -> Any:
    """numpy.asarray, also of (nested lists of) traced arrays."""
    if contains_tracer(a):
        return a if isinstance(a, Tracer) and dtype in (None, a.dtype) else make_array(a, dtype)
    return np.asarray(a, dtype=dtype, order=order, copy=copy)


def full_array(shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C") -> Any:
    """numpy.full, also with a traced value."""
    if not contains_tracer(fill_value):
        return np.full(shape, fill_value, dtype=dtype, order=order)
    current_trace()
    value = lift(fill_value)
    return wrap(_filled(value, shape_argument(shape, "full"), value.dtype if dtype is None else dtype_of(dtype)))


# np.full makes a plain array and copies the number into it
REPLACEMENTS[np.full.__code__] = "np.full_like(x, number), np.broadcast_to(number, shape) or lilith.numpy.full"
