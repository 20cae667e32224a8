"""Functions that make arrays, from tracers or like them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lilith.ir.graph import Value
from lilith.ir.type import is_inexact, kind
from lilith.numpy import floats, ufuncs
from lilith.numpy.core import (
    adapt,
    array,
    broadcast_shapes,
    check_device,
    convert,
    dtype_of,
    full,
    implements,
    lift,
    marked,
    operand,
    promote,
    reshaped_leading,
    shape_argument,
    static_int,
    type_of,
    unify,
    wrap,
)
from lilith.numpy.shaping import expand_dims, moveaxis
from lilith.numpy.views import new_array
from lilith.ops import elementwise
from lilith.remedies import REPLACEMENTS
from lilith.source import ArgumentError, ShapeError
from lilith.trace import contains_tracer, current_trace, is_tracing
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


@implements(np.logspace)
def logspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: Any = 0
) -> Value:
    """numpy.logspace: base ** linspace(start, stop)."""
    if np.ndim(base):
        ndim = max(np.ndim(start), np.ndim(stop), np.ndim(base))
        # NumPy makes arrays of numbers here
        start, stop, base = [
            reshaped_leading(marked(lift(x), False), 0, ndim - np.ndim(x)) for x in (start, stop, base)
        ]
        base = expand_dims(base, axis)
    y = ufuncs.power(base, linspace(start, stop, num, endpoint, axis=axis))
    return y if dtype is None else convert(y, dtype_of(dtype))


@implements(np.geomspace)
def geomspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None, axis: Any = 0) -> Value:
    """numpy.geomspace: start (stop / start)^t for t from 0 to 1. The ends must not be 0, which is not checked here."""
    count = static_int(num, "geomspace", "num")
    first, last = promote(lift(start), lift(stop))
    wanted = np.dtype(np.float64) if dtype is None else dtype_of(dtype)
    result = np.result_type(first.dtype, wanted if is_inexact(wanted) else np.float64)
    first, last = unify("geomspace", convert(first, result), convert(last, result))
    place = linspace(0.0, 1.0, count, endpoint)
    place = convert(reshaped_leading(place, first.ndim), result)
    y = ufuncs.multiply(first, ufuncs.power(ufuncs.divide(last, first), place))
    if endpoint and count > 1:
        at_end = reshaped_leading(lift(np.arange(count) == count - 1), first.ndim)
        y = elementwise.select(*_aligned(at_end, last, y))
    y = moveaxis(y, 0, axis) if axis != 0 else y
    return convert(y, result if dtype is None else dtype_of(dtype))


# ---- functions that NumPy does not hand over, unless like= names a tracer: what `lilith.numpy` has in their place ---


def make_array(
    object: Any, dtype: Any = None, *, copy: Any = True, order: Any = "K", subok: bool = False, ndmin: int = 0
) -> Any:
    """numpy.array, also of (nested lists of) traced arrays.

    >>> make_array([1.0, 2.0])
    array([1., 2.])
    """
    if not contains_tracer(object):
        return np.array(object, dtype=dtype, copy=copy, order=order, subok=subok, ndmin=ndmin)
    current_trace()
    x = array(object)
    x = x if dtype is None else convert(x, dtype_of(dtype))
    return wrap(reshaped_leading(x, 0, ndmin - x.ndim))


def asarray(a: Any, dtype: Any = None, order: Any = None, *, device: Any = None, copy: Any = None) -> Any:
    """numpy.asarray, also of (nested lists of) traced arrays.

    Raises:
        ArgumentError: copy=False, and a copy is needed.
    """
    if not contains_tracer(a):
        return np.asarray(a, dtype=dtype, order=order, device=device, copy=copy)
    check_device(device, "asarray")
    if isinstance(a, Tracer) and dtype in (None, a.dtype):
        return a
    if copy is False:
        raise ArgumentError("asarray: copy=False, but a copy is needed", hint="leave copy= out")
    return make_array(a, dtype)


def asanyarray(a: Any, dtype: Any = None, order: Any = None, *, device: Any = None, copy: Any = None) -> Any:
    """numpy.asanyarray, also of (nested lists of) traced arrays."""
    if not contains_tracer(a):
        return np.asanyarray(a, dtype=dtype, order=order, device=device, copy=copy)
    return asarray(a, dtype, order, device=device, copy=copy)


def ascontiguousarray(a: Any, dtype: Any = None) -> Any:
    """numpy.ascontiguousarray; traced arrays have no order in memory."""
    return np.atleast_1d(asarray(a, dtype)) if contains_tracer(a) else np.ascontiguousarray(a, dtype)


def asfortranarray(a: Any, dtype: Any = None) -> Any:
    """numpy.asfortranarray; traced arrays have no order in memory."""
    return asarray(a, dtype) if contains_tracer(a) else np.asfortranarray(a, dtype)


def require(a: Any, dtype: Any = None, requirements: Any = None) -> Any:
    """numpy.require; what it requires of memory holds of traced arrays."""
    if not contains_tracer(a):
        return np.require(a, dtype, requirements)
    return asarray(a, dtype)


def full_array(shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C", *, device: Any = None) -> Any:
    """numpy.full, also with a traced value."""
    if not contains_tracer(fill_value):
        return np.full(shape, fill_value, dtype=dtype, order=order, device=device)
    check_device(device, "full")
    current_trace()
    value = lift(fill_value)
    return wrap(_filled(value, shape_argument(shape, "full"), value.dtype if dtype is None else dtype_of(dtype)))


def _blank(name: str, number: Any) -> Callable[..., Any]:
    """numpy.zeros, ones or empty; in a traced function a traced array, which can be assigned traced values."""
    function = getattr(np, name)

    def make(shape: Any, dtype: Any = None, order: Any = "C", *, device: Any = None) -> Any:
        if not is_tracing():
            return function(shape, dtype=dtype, order=order, device=device)
        check_device(device, name)
        current_trace()
        return new_array(full(number, shape_argument(shape, name), dtype_of(dtype)))

    make.__name__ = name
    make.__doc__ = f"numpy.{name}; in a traced function a traced array, which can be assigned traced values."
    return make


def kaiser(M: Any, beta: Any) -> Any:
    """numpy.kaiser, also with a traced beta: I₀(β sqrt(1 - (2n / (M - 1) - 1)²)) / I₀(β)."""
    if not contains_tracer(beta):
        return np.kaiser(M, beta)
    count = static_int(M, "kaiser", "M")
    beta = np.astype(beta, np.float64)  # as NumPy does
    if count <= 1:
        return np.ones(max(count, 0))
    place = np.arange(count) / ((count - 1) / 2) - 1
    return np.i0(beta * np.sqrt(1 - place * place)) / np.i0(beta)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, **options: Any) -> Any:
    """numpy.arange, also of traced numbers: how many elements there are is a decision, as in an `if`.

    >>> arange(1.0, 2.0, 0.25)
    array([1.  , 1.25, 1.5 , 1.75])
    """
    first, last = (0, start) if stop is None else (start, stop)
    if not contains_tracer([first, last, step]):
        return np.arange(first, last, step, dtype=dtype, **options)
    if options.get("device") not in (None, "cpu") or options.keys() - {"device", "like"}:
        raise ArgumentError(f"arange: {options}", hint="the options of numpy.arange")
    count = max(int(np.ceil(np.true_divide(np.subtract(last, first), step))), 0)
    common = np.result_type(first, last, step) if dtype is None else dtype_of(dtype)
    return np.add(first, np.multiply(np.arange(count), step)).astype(common)


def ndenumerate(arr: Any) -> Iterator[tuple[tuple[int, ...], Any]]:
    """numpy.ndenumerate, also of a traced array.

    >>> list(ndenumerate(["a", "b"]))
    [((0,), np.str_('a')), ((1,), np.str_('b'))]
    """
    x = arr if isinstance(arr, Tracer) else np.asarray(arr)
    return ((i, x[i]) for i in np.ndindex(x.shape))


INSTEAD: dict[str, Callable[..., Any]] = {
    "arange": arange,
    "array": make_array,
    "asarray": asarray,
    "asanyarray": asanyarray,
    "ascontiguousarray": ascontiguousarray,
    "asfortranarray": asfortranarray,
    "require": require,
    "full": full_array,
    "zeros": _blank("zeros", 0),
    "ones": _blank("ones", 1),
    "empty": _blank("empty", 0),
    "kaiser": kaiser,
    "ndenumerate": ndenumerate,
}
"""What `lilith.numpy` has in place of NumPy's functions."""

for _name, _function in INSTEAD.items():
    if _name not in (
        "arange",
        "kaiser",
        "ndenumerate",
        "zeros",
        "ones",
        "empty",
    ):  # the others hand over a tracer that is like=
        implements(getattr(np, _name))(_function)

# Python functions that make plain arrays of their arguments
REPLACEMENTS[np.full.__code__] = "np.full_like(x, number), np.broadcast_to(number, shape) or lilith.numpy.full"
REPLACEMENTS[np.kaiser.__code__] = "lilith.numpy.kaiser"
REPLACEMENTS[np.ndenumerate.__init__.__code__] = "lilith.numpy.ndenumerate"
REPLACEMENTS[type(np.r_).__getitem__.__code__] = "np.concatenate([x, y]), or np.column_stack for np.c_"
