"""Reductions and cumulative functions, as functions and as `ufunc.reduce` and `ufunc.accumulate`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import kind, real_dtype
from lilith.numpy import ufuncs
from lilith.numpy.core import (
    Shape,
    accumulator,
    adapt,
    array,
    convert,
    dtype_of,
    expand,
    full,
    implements,
    lift,
    normalize_axes,
    normalize_axis,
    operand,
)
from lilith.numpy.shaping import transposed
from lilith.ops import cumulative, elementwise, reduction, shape
from lilith.ops.control import stop_gradient
from lilith.source import DtypeError, ShapeError

NOT_GIVEN: Any = np._NoValue
BOOL = np.dtype(bool)


def kept(x: Value, axes: Shape, y: Value, keepdims: Any) -> Value:
    """A reduction's result y, with axes of size 1 in place of the reduced ones if the user wants them."""
    if keepdims is NOT_GIVEN or not keepdims:
        return y
    return shape.reshape(y, shape=tuple([1 if a in axes else n for a, n in enumerate(x.shape)]))


def reduced_axes(axis: Any, ndim: int, name: str) -> Shape:
    """The axes that a ufunc's reduction removes; of a 0-d array axis 0 and axis -1 are none, as in NumPy."""
    return () if _of_scalar(axis, ndim) else normalize_axes(axis, ndim, name)


def _of_scalar(axis: Any, ndim: int) -> bool:
    return ndim == 0 and isinstance(axis, int | np.integer) and int(axis) in (-1, 0)


def sum_dtype(dtype: np.dtype) -> np.dtype:
    """Sums and products of bool and small integers are formed in the platform's integer."""
    if kind(dtype) in "bi":
        return np.promote_types(dtype, np.int64)
    return np.promote_types(dtype, np.uint64) if kind(dtype) == "u" else dtype


def masked(x: Value, where: Any, neutral: Any) -> Value:
    """x with the neutral element where the user's mask is False."""
    if where is NOT_GIVEN or where is True:
        return x
    mask = lift(where)
    if mask.dtype != BOOL:
        raise DtypeError(f"where= must be bool, got {mask.type}", hint="compare it, e.g. where=mask != 0")
    return elementwise.select(expand(mask, x.shape), x, full(neutral, x.shape, x.dtype))


def _with_initial(y: Value, initial: Any, combine: Callable[..., Value]) -> Value:
    if initial is NOT_GIVEN or initial is None:
        return y
    return combine(y, adapt(operand(initial), y.dtype, y.shape))


def _folded(primitive: Any, x: Value, axes: Shape) -> Value:
    """Sums and products; those of float16 and bfloat16 are formed in float32."""
    wide = accumulator(x.dtype)
    return convert(primitive(convert(x, wide), axes=axes), x.dtype)


@implements(np.sum)
def sum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    keepdims: Any = NOT_GIVEN,
    initial: Any = NOT_GIVEN,
    where: Any = NOT_GIVEN,
) -> Value:
    """numpy.sum."""
    x = lift(a)
    x = masked(convert(x, sum_dtype(x.dtype) if dtype is None else dtype_of(dtype)), where, 0)
    axes = reduced_axes(axis, x.ndim, "sum")
    y = _folded(reduction.reduce_sum, x, axes) if kind(x.dtype) != "b" else reduction.reduce_or(x, axes=axes)
    return kept(x, axes, _with_initial(y, initial, ufuncs.add), keepdims)


@implements(np.prod)
def prod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    keepdims: Any = NOT_GIVEN,
    initial: Any = NOT_GIVEN,
    where: Any = NOT_GIVEN,
) -> Value:
    """numpy.prod."""
    x = lift(a)
    x = masked(convert(x, sum_dtype(x.dtype) if dtype is None else dtype_of(dtype)), where, 1)
    axes = reduced_axes(axis, x.ndim, "prod")
    y = _folded(reduction.reduce_prod, x, axes) if kind(x.dtype) != "b" else reduction.reduce_and(x, axes=axes)
    return kept(x, axes, _with_initial(y, initial, ufuncs.multiply), keepdims)


def _extreme(name: str, primitive: Any, ufunc: ufuncs.Ufunc, low: bool) -> Callable[..., Value]:
    """max or min; `low` tells whether the neutral element is the smallest number."""

    def rule(
        a: Any, axis: Any = None, keepdims: Any = NOT_GIVEN, initial: Any = NOT_GIVEN, where: Any = NOT_GIVEN
    ) -> Value:
        x = lift(a)
        if where is not NOT_GIVEN and where is not True:
            if initial is NOT_GIVEN:
                raise ShapeError(f"{name}: where= needs initial=", hint=f"np.{name}(x, where=mask, initial=value)")
            x = masked(x, where, edge(x.dtype, low))
        axes = reduced_axes(axis, x.ndim, name)
        if initial is not NOT_GIVEN and math.prod([x.shape[a] for a in axes]) == 0:
            y = fill_like(lift(np.empty(tuple([n for a, n in enumerate(x.shape) if a not in axes]), x.dtype)), 0)
            return kept(x, axes, adapt(operand(initial), x.dtype, y.shape), keepdims)
        if kind(x.dtype) == "c":
            raise DtypeError(f"{name}: takes real arrays, got {x.type}", hint="take it of np.abs(x) or x.real")
        y = primitive(x, axes=axes)
        return kept(x, axes, _with_initial(y, initial, ufunc), keepdims)

    rule.__name__, rule.__doc__ = name, f"numpy.{name}."
    return rule


def edge(dtype: np.dtype, low: bool) -> Any:
    """The smallest or the largest number of a dtype; infinities for floats."""
    if kind(dtype) == "b":
        return not low
    if kind(dtype) in "iu":
        limits = np.iinfo(dtype)
        return int(limits.min if low else limits.max)
    return -math.inf if low else math.inf


max = implements(np.max, np.amax)(_extreme("max", reduction.reduce_max, ufuncs.maximum, True))
min = implements(np.min, np.amin)(_extreme("min", reduction.reduce_min, ufuncs.minimum, False))


@implements(np.ptp)
def ptp(a: Any, axis: Any = None, keepdims: Any = NOT_GIVEN) -> Value:
    """numpy.ptp: max - min."""
    return ufuncs.subtract(max(a, axis, keepdims=keepdims), min(a, axis, keepdims=keepdims))


def _logical(name: str, primitive: Any, neutral: bool) -> Callable[..., Value]:
    def rule(a: Any, axis: Any = None, keepdims: Any = NOT_GIVEN, where: Any = NOT_GIVEN) -> Value:
        x = masked(convert(lift(a), BOOL), where, neutral)
        axes = reduced_axes(axis, x.ndim, name)
        return kept(x, axes, primitive(x, axes=axes), keepdims)

    rule.__name__, rule.__doc__ = name, f"numpy.{name}."
    return rule


all = implements(np.all)(_logical("all", reduction.reduce_and, True))
any = implements(np.any)(_logical("any", reduction.reduce_or, False))


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: Any = False) -> Value:
    """numpy.count_nonzero."""
    return sum(convert(lift(a), BOOL), axis, keepdims=keepdims)


# ---- means ---------------------------------------------------------------------------------------------------------


def _mean_dtypes(x: Value, dtype: Any) -> tuple[np.dtype, np.dtype]:
    """The dtype in which a mean is formed, and that of the result."""
    if dtype is not None:
        result = dtype_of(dtype)
    else:
        result = np.dtype(np.float64) if kind(x.dtype) in "biu" else x.dtype
    return accumulator(result), result


def _count(x: Value, axes: Shape, where: Any) -> Any:
    """How many elements go into each mean: an int, or an array with a mask."""
    if where is NOT_GIVEN or where is True:
        return math.prod([x.shape[a] for a in axes])
    # half as wide as NumPy's integers where that holds the number: half the memory to go through
    narrow = np.dtype(np.int32 if x.type.size < 2**31 else np.int64)
    return reduction.reduce_sum(convert(expand(lift(where), x.shape), narrow), axes=axes)


@implements(np.mean)
def mean(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = NOT_GIVEN, *, where: Any = NOT_GIVEN) -> Value:
    """numpy.mean; NaN of nothing."""
    x = lift(a)
    wide, result = _mean_dtypes(x, dtype)
    axes = normalize_axes(axis, x.ndim, "mean")
    total = reduction.reduce_sum(masked(convert(x, wide), where, 0), axes=axes)
    y = _divided(total, _count(x, axes, where))
    return kept(x, axes, convert(y, result), keepdims)


def _divided(total: Value, count: Any) -> Value:
    """total / count in total's dtype."""
    return elementwise.div(total, adapt(operand(count), total.dtype, total.shape))


def _variance(x: Value, axes: Shape, ddof: Any, where: Any, center: Any) -> Value:
    """The mean of |x - mean(x)|² over axes, with n - ddof in place of n."""
    count = _count(x, axes, where)
    ones = tuple([1 if a in axes else n for a, n in enumerate(x.shape)])
    if center is NOT_GIVEN:
        total = reduction.reduce_sum(masked(x, where, 0), axes=axes)
        center = shape.reshape(_divided(total, count), shape=ones)
    deviation = elementwise.sub(x, expand(convert(center, x.dtype), x.shape))
    squares = elementwise.mul(deviation, deviation)
    if kind(x.dtype) == "c":
        squares = elementwise.real(elementwise.mul(deviation, elementwise.conj(deviation)))
    total = reduction.reduce_sum(masked(squares, where, 0), axes=axes)
    degrees = ufuncs.subtract(count, ddof) if isinstance(count, Value) else count - ddof
    degrees = ufuncs.maximum(degrees, 0) if isinstance(degrees, Value) else degrees if degrees > 0 else 0
    return _divided(total, degrees)


def _spread(name: str, root: Callable[[Value], Value]) -> Callable[..., Value]:
    """A function of the variance."""

    def rule(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        ddof: Any = 0,
        keepdims: Any = NOT_GIVEN,
        *,
        where: Any = NOT_GIVEN,
        mean: Any = NOT_GIVEN,
        correction: Any = NOT_GIVEN,
    ) -> Value:
        x = lift(a)
        wide, result = _mean_dtypes(x, dtype)
        if kind(x.dtype) == "c" and kind(result) != "c":
            raise DtypeError(
                f"{name}: dtype={result} would cut off the imaginary part of {x.type}",
                hint="leave dtype= out for a real result, or give a complex dtype",
            )
        axes = normalize_axes(axis, x.ndim, name)
        y = _variance(convert(x, wide), axes, ddof if correction is NOT_GIVEN else correction, where, mean)
        return kept(x, axes, convert(root(y), real_dtype(result) if dtype is None else result), keepdims)

    rule.__name__, rule.__doc__ = name, f"numpy.{name}."
    return rule


var = implements(np.var)(_spread("var", ufuncs.identity))
std = implements(np.std)(_spread("std", elementwise.sqrt))


@implements(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = NOT_GIVEN) -> Any:
    """numpy.average: the weighted mean."""
    x = lift(a)
    axes = normalize_axes(axis, x.ndim, "average")
    if weights is None:
        y = mean(x, axes, keepdims=keepdims)
        total = full(math.prod([x.shape[a] for a in axes]), y.shape, y.dtype)
        return (y, total) if returned else y
    w = array(weights)
    if w.shape != x.shape:
        # the axes of the weights follow axis= as it is written
        written = [normalize_axis(a, x.ndim, "average") for a in (axis if isinstance(axis, list | tuple) else axes)]
        if axis is None or w.shape != tuple([x.shape[a] for a in written]):
            raise ShapeError(
                f"average: weights {w.type} do not fit {x.type} along axis {axis}", hint="one weight per element"
            )
        w = transposed(w, tuple([written.index(a) for a in axes]))
        w = shape.broadcast_in_dim(w, shape=x.shape, axes=axes)
    product = ufuncs.multiply(x, w)
    if kind(product.dtype) in "biu":
        product = convert(product, np.dtype(np.float64))
    total = sum(convert(w, product.dtype), axes, keepdims=keepdims)
    y = ufuncs.divide(sum(product, axes, keepdims=keepdims), total)
    return (y, total) if returned else y


# ---- ignoring NaN --------------------------------------------------------------------------------------------------


def _without_nan(a: Any, replacement: Any) -> tuple[Value, Value]:
    x = lift(a)
    mask = ufuncs.is_nan(x)
    return elementwise.select(mask, full(replacement, x.shape, x.dtype), x), elementwise.logical_not(mask)


@implements(np.nansum)
def nansum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    keepdims: Any = NOT_GIVEN,
    initial: Any = NOT_GIVEN,
    where: Any = NOT_GIVEN,
) -> Value:
    """numpy.nansum."""
    return sum(_without_nan(a, 0)[0], axis, dtype, keepdims, initial, where)


@implements(np.nanprod)
def nanprod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    keepdims: Any = NOT_GIVEN,
    initial: Any = NOT_GIVEN,
    where: Any = NOT_GIVEN,
) -> Value:
    """numpy.nanprod."""
    return prod(_without_nan(a, 1)[0], axis, dtype, keepdims, initial, where)


def _numbers(mask: Value, where: Any) -> Value:
    """Where there are numbers that count: not NaN, and chosen by the user's mask."""
    return masked(mask, where, False)


@implements(np.nanmean)
def nanmean(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = NOT_GIVEN, *, where: Any = NOT_GIVEN) -> Value:
    """numpy.nanmean."""
    return mean(a, axis, dtype, keepdims, where=_numbers(_without_nan(a, 0)[1], where))


def _nan_spread(name: str, function: Callable[..., Value]) -> Callable[..., Value]:
    """NaN where there are not more than ddof numbers."""

    def rule(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        ddof: Any = 0,
        keepdims: Any = NOT_GIVEN,
        *,
        where: Any = NOT_GIVEN,
    ) -> Value:
        x = lift(a)
        if kind(x.dtype) in "biu":
            return function(x, axis, dtype, ddof, keepdims, where=where)
        filled, mask = _without_nan(x, 0)
        mask = _numbers(mask, where)
        y = function(filled, axis, dtype, ddof, keepdims, where=mask)
        few = ufuncs.less_equal(sum(mask, axis, keepdims=keepdims), ddof)
        return elementwise.select(few, fill_like(y, np.nan), y)

    rule.__name__, rule.__doc__ = name, f"numpy.{name}."
    return rule


nanvar = implements(np.nanvar)(_nan_spread("nanvar", var))
nanstd = implements(np.nanstd)(_nan_spread("nanstd", std))


def _nan_extreme(name: str, function: Callable[..., Value], low: bool) -> Callable[..., Value]:
    """NaN only where there is nothing else."""

    def rule(
        a: Any, axis: Any = None, keepdims: Any = NOT_GIVEN, initial: Any = NOT_GIVEN, where: Any = NOT_GIVEN
    ) -> Value:
        x = lift(a)
        if kind(x.dtype) in "biu":
            return function(x, axis, keepdims, initial, where)
        filled, mask = _without_nan(x, edge(x.dtype, low))
        y = function(filled, axis, keepdims, initial, where)
        if initial is not NOT_GIVEN:
            return y
        return elementwise.select(any(mask, axis, keepdims), y, fill_like(y, np.nan))

    rule.__name__, rule.__doc__ = name, f"numpy.{name}."
    return rule


nanmax = implements(np.nanmax)(_nan_extreme("nanmax", max, True))
nanmin = implements(np.nanmin)(_nan_extreme("nanmin", min, False))

# ---- positions -----------------------------------------------------------------------------------------------------


def _position(name: str, primitive: Any) -> Callable[..., Value]:
    def rule(a: Any, axis: Any = None, *, keepdims: Any = NOT_GIVEN) -> Value:
        x = lift(a)
        if axis is None or _of_scalar(axis, x.ndim):
            flat = shape.reshape(x, shape=(x.type.size,))
            return kept(x, tuple(range(x.ndim)), primitive(flat, axis=0), keepdims)
        place = normalize_axis(axis, x.ndim, name)
        return kept(x, (place,), primitive(x, axis=place), keepdims)

    rule.__name__, rule.__doc__ = name, f"numpy.{name}: the first of equal ones."
    return rule


argmax = implements(np.argmax)(_position("argmax", reduction.argmax))
argmin = implements(np.argmin)(_position("argmin", reduction.argmin))

# ---- cumulative ----------------------------------------------------------------------------------------------------


def scanned(x: Value, axis: int, combine: Callable[[Value, Value], Value]) -> Value:
    """y_k = x_0 ∘ ... ∘ x_k of an associative operation, by log₂ n steps of doubling."""
    n = x.shape[axis]
    step = 1
    while step < n:
        head, tail = shape.part(x, axis, 0, step), shape.part(x, axis, step, n)
        early = shape.part(x, axis, 0, n - step)
        x = shape.concatenate(head, combine(early, tail), axis=axis)
        step *= 2
    return x


def running_sum(x: Value, axis: int) -> Value:
    """y_k = x_0 + ... + x_k; for bool, or."""
    return _running(x, axis, cumulative.cummax, lambda v: cumulative.cumsum(v, axis=axis, reverse=False))


def running_product(x: Value, axis: int) -> Value:
    """y_k = x_0 · ... · x_k; for bool, and."""
    return _running(x, axis, cumulative.cummin, lambda v: cumulative.cumprod(v, axis=axis))


def _running(x: Value, axis: int, logical: Any, arithmetic: Callable[[Value], Value]) -> Value:
    """Of bool the logical operation; float16 and bfloat16 are formed in float32."""
    if kind(x.dtype) == "b":
        return logical(x, axis=axis)
    return convert(arithmetic(convert(x, accumulator(x.dtype))), x.dtype)


def running_log_sum(x: Value, axis: int) -> Value:
    """y_k = log(exp(x_0) + ... + exp(x_k)), without overflow.

    With m_k the maximum so far and t_k = Σ exp(x_j - m_k) over j up to k: t_k = exp(m_(k-1) - m_k) t_(k-1) +
    exp(x_k - m_k), y_k = m_k + log t_k. y does not depend on m, which is therefore a constant to derivatives.
    """
    wide = convert(x, accumulator(x.dtype))
    n = wide.shape[axis]
    if n == 0:
        return x
    m = stop_gradient(cumulative.cummax(wide, axis=axis))
    m = elementwise.select(elementwise.is_finite(m), m, fill_like(m, 0))
    earlier = shape.concatenate(shape.part(m, axis, 0, 1), shape.part(m, axis, 0, n - 1), axis=axis)
    # m falls only to the 0 that stands for an infinite one
    factor = elementwise.exp(elementwise.min(elementwise.sub(earlier, m), fill_like(m, 0)))
    total = cumulative.linear_recurrence(factor, elementwise.exp(elementwise.sub(wide, m)), axis=axis, reverse=False)
    zero = elementwise.eq(total, fill_like(total, 0))
    log = elementwise.log(elementwise.select(zero, fill_like(total, 1), total))
    return convert(elementwise.add(elementwise.select(zero, fill_like(total, -np.inf), log), m), x.dtype)


def _cumulative(name: str, running: Callable[[Value, int], Value]) -> Callable[..., Value]:
    def rule(a: Any, axis: Any = None, dtype: Any = None) -> Value:
        x = lift(a)
        if axis is None or _of_scalar(axis, x.ndim):
            x, axis = shape.reshape(x, shape=(x.type.size,)), 0
        x = convert(x, sum_dtype(x.dtype) if dtype is None else dtype_of(dtype))
        return running(x, normalize_axis(axis, x.ndim, name))

    rule.__name__, rule.__doc__ = name, f"numpy.{name}."
    return rule


cumsum = implements(np.cumsum)(_cumulative("cumsum", running_sum))
cumprod = implements(np.cumprod)(_cumulative("cumprod", running_product))


def _with_start(name: str, function: Callable[..., Value], neutral: int) -> Callable[..., Value]:
    """The Array API's form: one axis, optionally with the neutral element in front."""

    def rule(x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: bool = False) -> Value:
        x = lift(x)
        if axis is None:
            if x.ndim > 1:
                raise ShapeError(f"{name}: axis= is needed for {x.type}", hint=f"np.{name}(x, axis=0)")
            axis = 0
        y = function(x, axis, dtype)
        if not include_initial:
            return y
        place = normalize_axis(axis, y.ndim, name)
        first = full(neutral, tuple([1 if a == place else n for a, n in enumerate(y.shape)]), y.dtype)
        return shape.concatenate(first, y, axis=place)

    rule.__name__, rule.__doc__ = name, f"numpy.{name}."
    return rule


cumulative_sum = implements(np.cumulative_sum)(_with_start("cumulative_sum", cumsum, 0))
cumulative_prod = implements(np.cumulative_prod)(_with_start("cumulative_prod", cumprod, 1))
