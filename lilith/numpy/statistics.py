"""Covariances, numerical gradients, and what leaves NaNs out of positions and cumulative sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import kind
from lilith.numpy import ufuncs
from lilith.numpy.core import (
    array,
    convert,
    dtype_of,
    expand,
    full,
    implements,
    normalize_axis,
    reshaped_leading,
)
from lilith.numpy.functions import clip, diff
from lilith.numpy.indexing import take_item
from lilith.numpy.joining import concatenate
from lilith.numpy.products import contract
from lilith.numpy.reductions import NOT_GIVEN, argmax, argmin, average, cumprod, cumsum
from lilith.numpy.reductions import sum as sum_
from lilith.numpy.shaping import diagonal, reshaped, squeeze, transposed
from lilith.ops import elementwise
from lilith.source import ArgumentError, ShapeError

# ---- covariance ----------------------------------------------------------------------------------------------------


def _variables(name: str, m: Any, y: Any, rowvar: Any, dtype: Any) -> Value:
    """The observations of all variables, one variable per row."""
    given = [array(z) for z in (m, y) if z is not None]
    for z in given:
        if z.ndim > 2:
            raise ShapeError(f"{name}: {z.type} has more than 2 axes", hint="one variable per row")
    common = dtype_of(dtype) if dtype is not None else np.result_type(np.float64, *[z.dtype for z in given])
    rows = [reshaped_leading(convert(z, common), 0, 2 - z.ndim) for z in given]
    if not rowvar:
        # a vector is one variable either way
        rows = [transposed(z, (1, 0)) if kept else z for z, kept in zip(rows, _turned(given), strict=True)]
    return concatenate(rows, 0) if len(rows) > 1 else rows[0]


def _turned(given: list[Value]) -> list[bool]:
    """Which arrays have variables in columns: NumPy goes by ndim for the first one, by its shape for the second."""
    return [z.ndim != 1 if i == 0 else z.ndim == 2 and z.shape[0] != 1 for i, z in enumerate(given)]


def _observation_weights(name: str, weights: Any, n: int) -> Value | None:
    if weights is None:
        return None
    w = convert(array(weights), np.dtype(np.float64))
    if w.shape != (n,):
        raise ShapeError(f"cov: {name} {w.type} for {n} observations", hint="one per observation")
    return w


@implements(np.cov)
def cov(
    m: Any,
    y: Any = None,
    rowvar: Any = True,
    bias: Any = False,
    ddof: Any = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Value:
    """numpy.cov."""
    return squeeze(_covariance(_variables("cov", m, y, rowvar, dtype), bias, ddof, fweights, aweights))


def _covariance(x: Value, bias: Any, ddof: Any, fweights: Any, aweights: Any) -> Value:
    if x.shape[0] == 0:
        return full(0, (0, 0), x.dtype)
    degrees = ddof if ddof is not None else 0 if bias else 1
    n = x.shape[1]
    f, a = _observation_weights("fweights", fweights, n), _observation_weights("aweights", aweights, n)
    w = f if a is None else a if f is None else elementwise.mul(f, a)
    mean, totals = average(x, 1, w, True)
    factor: Any = n - degrees
    if w is not None:
        factor = total = take_item(totals, 0)
        if degrees:
            share = (
                degrees if a is None else ufuncs.divide(ufuncs.multiply(sum_(elementwise.mul(w, a)), degrees), total)
            )
            factor = ufuncs.subtract(total, share)
        factor = clip(factor if kind(factor.dtype) != "c" else elementwise.real(factor), 0)
    centered = elementwise.sub(x, expand(reshaped(mean, (x.shape[0], 1)), x.shape))
    other = centered if w is None else ufuncs.multiply(centered, w)
    product = contract(centered, elementwise.conj(other), ((1,), (1,)))
    scale = ufuncs.divide(1, factor) if isinstance(factor, Value) else 1 / factor if factor > 0 else np.inf
    return convert(ufuncs.multiply(product, scale), product.dtype)


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: Any = True, *, dtype: Any = None) -> Value:
    """numpy.corrcoef: the covariances over the standard deviations, clipped to 1."""
    c = squeeze(_covariance(_variables("corrcoef", x, y, rowvar, dtype), False, None, None, None))
    if c.ndim == 0:
        return ufuncs.divide(c, c)
    deviation = elementwise.sqrt(elementwise.real(diagonal(c)) if kind(c.dtype) == "c" else diagonal(c))
    n = c.shape[0]
    c = ufuncs.divide(ufuncs.divide(c, reshaped(deviation, (n, 1))), deviation)
    if kind(c.dtype) == "c":
        return elementwise.complex(_within_one(elementwise.real(c)), _within_one(elementwise.imag(c)))
    return _within_one(c)


def _within_one(x: Value) -> Value:
    """x between -1 and 1; a correlation beyond is rounding, and keeps its slope."""
    one = fill_like(x, 1)
    x = elementwise.select(elementwise.gt(x, one), one, x)
    return elementwise.select(elementwise.lt(x, elementwise.neg(one)), elementwise.neg(one), x)


# ---- numerical gradients -------------------------------------------------------------------------------------------


def _spacings(f: Value, given: tuple[Any, ...], axes: list[int]) -> list[Value]:
    """The distance of samples along each axis: a number, or one per gap."""
    if not given:
        return [full(1.0, (), np.dtype(np.float64))] * len(axes)
    values = [array(g) for g in given]
    if len(values) == 1 and values[0].ndim == 0:
        return values * len(axes)
    if len(values) != len(axes):
        raise ArgumentError(f"gradient: {len(values)} spacings for {len(axes)} axes", hint="one, or one per axis")
    spacings = []
    for value, axis in zip(values, axes, strict=True):
        if value.ndim == 0:
            spacings.append(value)
            continue
        if value.ndim != 1 or value.shape[0] != f.shape[axis]:
            raise ShapeError(f"gradient: coordinates {value.type} for axis {axis} of {f.type}", hint="one per sample")
        spacings.append(diff(convert(value, np.dtype(np.float64)) if kind(value.dtype) in "biu" else value))
    return spacings


def _edge(f: Callable[[int], Value], h: Callable[[int], Value], order: int, sign: int) -> Value:
    """The one-sided difference at one end; f(k) is the sample and h(k) the gap number k from it."""
    if order == 1:
        return ufuncs.multiply(ufuncs.divide(ufuncs.subtract(f(1), f(0)), h(0)), sign)
    h1, h2 = h(0), h(1)
    both = ufuncs.add(h1, h2)
    a = ufuncs.negative(ufuncs.divide(ufuncs.add(h1, both), ufuncs.multiply(h1, both)))
    b = ufuncs.divide(both, ufuncs.multiply(h1, h2))
    c = ufuncs.negative(ufuncs.divide(h1, ufuncs.multiply(h2, both)))
    terms = [ufuncs.multiply(weight, f(k)) for k, weight in enumerate((a, b, c))]
    return ufuncs.multiply(ufuncs.add(ufuncs.add(terms[0], terms[1]), terms[2]), sign)


def _interior(before: Value, here: Value, after: Value, gaps: Value, axis: int) -> Value:
    """The central difference: second order in the distances, also uneven ones (Quarteroni et al., Numerical
    Mathematics, section 10.10)."""
    if gaps.ndim == 0:
        return ufuncs.divide(ufuncs.subtract(after, before), ufuncs.multiply(gaps, 2.0))
    along = tuple([-1 if k == axis else 1 for k in range(here.ndim)])
    line = tuple([gaps.shape[0] - 1 if k < 0 else 1 for k in along])
    h1, h2 = reshaped(take_item(gaps, slice(None, -1)), line), reshaped(take_item(gaps, slice(1, None)), line)
    both = ufuncs.add(h1, h2)
    a = ufuncs.negative(ufuncs.divide(h2, ufuncs.multiply(h1, both)))
    b = ufuncs.divide(ufuncs.subtract(h2, h1), ufuncs.multiply(h1, h2))
    c = ufuncs.divide(h1, ufuncs.multiply(h2, both))
    return ufuncs.add(ufuncs.add(ufuncs.multiply(a, before), ufuncs.multiply(b, here)), ufuncs.multiply(c, after))


def _slope(f: Value, axis: int, gaps: Value, order: int) -> Value:
    n = f.shape[axis]
    if n < order + 1:
        raise ShapeError(f"gradient: {f.type} has {n} samples along axis {axis}", hint=f"at least {order + 1}")

    def samples(begin: int | None, end: int | None) -> Value:
        return take_item(f, (*[slice(None)] * axis, slice(begin, end)))

    def gap(k: int) -> Value:
        return gaps if gaps.ndim == 0 else take_item(gaps, k)

    parts = [_edge(lambda k: samples(k, k + 1), gap, order, 1)]
    if n > 2:
        parts.append(_interior(samples(None, -2), samples(1, -1), samples(2, None), gaps, axis))
    parts.append(_edge(lambda k: samples(n - 1 - k, n - k), lambda k: gap(-1 - k), order, -1))
    return concatenate([convert(part, f.dtype) for part in parts], axis)


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: Any = 1) -> Any:
    """numpy.gradient: central differences, one-sided ones of first or second order at the ends."""
    x = array(f)
    if kind(x.dtype) in "biu":
        x = convert(x, np.dtype(np.float64))
    if edge_order not in (1, 2):
        raise ArgumentError(f"gradient: edge_order={edge_order!r}", hint="1 or 2")
    written = range(x.ndim) if axis is None else axis if isinstance(axis, list | tuple) else (axis,)
    axes = [normalize_axis(a, x.ndim, "gradient") for a in written]
    spacings = _spacings(x, varargs, axes)
    slopes = [_slope(x, place, gaps, edge_order) for place, gaps in zip(axes, spacings, strict=True)]
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


# ---- leaving NaNs out ----------------------------------------------------------------------------------------------


def _filled(a: Any, number: float) -> Value:
    """The array with a number in place of NaNs."""
    x = array(a)
    return elementwise.select(ufuncs.is_nan(x), fill_like(x, number), x) if kind(x.dtype) in "fc" else x


@implements(np.nancumsum)
def nancumsum(a: Any, axis: Any = None, dtype: Any = None) -> Value:
    """numpy.nancumsum."""
    return cumsum(_filled(a, 0), axis, dtype)


@implements(np.nancumprod)
def nancumprod(a: Any, axis: Any = None, dtype: Any = None) -> Value:
    """numpy.nancumprod."""
    return cumprod(_filled(a, 1), axis, dtype)


@implements(np.nanargmax)
def nanargmax(a: Any, axis: Any = None, *, keepdims: Any = NOT_GIVEN) -> Value:
    """numpy.nanargmax; 0 where there are only NaNs, which is an error in NumPy."""
    return argmax(_filled(a, -np.inf), axis, keepdims=keepdims)


@implements(np.nanargmin)
def nanargmin(a: Any, axis: Any = None, *, keepdims: Any = NOT_GIVEN) -> Value:
    """numpy.nanargmin; 0 where there are only NaNs, which is an error in NumPy."""
    return argmin(_filled(a, np.inf), axis, keepdims=keepdims)
