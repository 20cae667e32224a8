"""Functions of sampled functions: convolution, interpolation, differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import kind
from lilith.numpy import ufuncs
from lilith.numpy.core import (
    accumulator,
    adapt,
    array,
    convert,
    expand,
    full,
    implements,
    joined,
    normalize_axes,
    operand,
    reshaped_leading,
    result_type,
    static_int,
)
from lilith.numpy.floats import floor_divide, remainder
from lilith.numpy.functions import diff
from lilith.numpy.indexing import take_item
from lilith.numpy.joining import concatenate
from lilith.numpy.products import contract
from lilith.numpy.reductions import cumsum
from lilith.numpy.shaping import ravel, reshaped
from lilith.numpy.sorting import order, permuted, search
from lilith.ops import conv, elementwise, indexing, shape
from lilith.ops.control import stop_gradient
from lilith.source import ArgumentError, DtypeError, ShapeError

# ---- convolution ---------------------------------------------------------------------------------------------------


def _zero(dtype: np.dtype) -> Value:
    return full(False if kind(dtype) == "b" else 0, (), dtype)


def _padded(x: Value, before: int, after: int) -> Value:
    """A vector with zeros before and after it."""
    if before == after == 0:
        return x
    return shape.pad(x, _zero(x.dtype), low=(before,), high=(after,), interior=(0,))


def _block_length(n: int, m: int) -> int:
    """How many results one row of the product has: measured on XLA:CPU; it bounds the memory for long kernels."""
    return min(m, max(32 if n < 8192 else 64, math.isqrt(n + m) // 2))


def _direct(x: Value, v: Value) -> Value:
    """y_k = Σ x_i v_(k - i), whole, as XLA's convolution."""
    edge = (v.shape[0] - 1,)
    signal, kernel = [reshaped(z, (1, 1, z.shape[0])) for z in (x, shape.rev(v, axes=(0,)))]
    y = conv.conv(
        signal,
        kernel,
        strides=(1,),
        low=edge,
        high=edge,
        lhs_dilation=(1,),
        rhs_dilation=(1,),
        feature_groups=1,
        batch_groups=1,
    )
    return reshaped(y, y.shape[2:])


def _windows(blocks: Value, rows: int) -> Value:
    """Row j is made of the blocks (rows of the operand) j, j + 1, ..., as many as there are for every j < rows."""
    count, b = blocks.shape[0] - rows + 1, blocks.shape[1]
    if count <= 3:
        return shape.concatenate(*[shape.part(blocks, 0, k, k + rows) for k in range(count)], axis=1)
    # one gather compiles several times as fast as many slices, and runs as fast
    first, further = [shape.iota(shape=(rows, count), dtype=np.dtype(np.int32), axis=axis) for axis in (0, 1)]
    return reshaped(indexing.take(blocks, elementwise.add(first, further), 0), (rows, count * b))


def _convolved(x: Value, v: Value) -> Value:
    """y_k = Σ x_i v_(k - i), whole, for vectors of lengths n >= m.

    One matrix product of windows of x and shifts of v: the results are cut into blocks of length b, row j of the
    windows is what block j is made of, column i of the shifts is v reversed, moved down by i.
    """
    n, m = x.shape[0], v.shape[0]
    b = _block_length(n, m)
    parts = -(-m // b)
    rows = -(-(n + m - 1) // b)
    width = (parts + 1) * b
    windows = _windows(reshaped(_padded(x, parts * b, rows * b - n), (rows + parts, b)), rows)
    turned = shape.rev(_padded(v, 0, parts * b - m), axes=(0,))
    line = shape.broadcast_in_dim(_padded(turned, 1, b), shape=(b, width + 1), axes=(1,))
    # rows of width + 1 read in rows of width: each is the one before, moved by one
    shifts = reshaped(shape.part(reshaped(line, (b * (width + 1),)), 0, 0, b * width), (b, width))
    y = contract(windows, shifts, ((1,), (1,)))
    return shape.part(reshaped(y, (rows * b,)), 0, 0, n + m - 1)


_MODES = ("full", "same", "valid")


def _convolution(name: str, x: Value, v: Value, mode: Any) -> Value:
    """The part of the convolution that NumPy's mode names; the first vector is not the shorter one."""
    if mode not in _MODES:
        raise ArgumentError(f"{name}: mode={mode!r}", hint="'full', 'same' or 'valid'")
    n, m = x.shape[0], v.shape[0]
    wide = accumulator(x.dtype)
    # XLA:CPU's own convolution is the faster one here, and five times slower in float32
    whole = _direct if m <= 8 and wide == np.float64 else _convolved
    y = convert(whole(convert(x, wide), convert(v, wide)), x.dtype)
    if mode == "full":
        return y
    begin, size = ((m - 1) // 2, n) if mode == "same" else (m - 1, n - m + 1)
    return shape.part(y, 0, begin, begin + size)


def _vectors(name: str, a: Any, v: Any) -> tuple[Value, Value]:
    x, y = joined(array(a), array(v))
    for z in (x, y):
        if z.ndim != 1 or z.type.size == 0:
            raise ShapeError(f"{name}: {z.type} is not a vector with elements", hint="one vector at a time")
    return x, y


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: Any = "full") -> Value:
    """numpy.convolve."""
    x, y = _vectors("convolve", *[reshaped_leading(array(z), int(np.ndim(z) == 0)) for z in (a, v)])
    if x.shape[0] < y.shape[0]:
        x, y = y, x
    return _convolution("convolve", x, y, mode)


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: Any = "valid") -> Value:
    """numpy.correlate: c_k = Σ a_(n + k) conj(v_n)."""
    x, y = _vectors("correlate", a, v)
    if x.shape[0] >= y.shape[0]:
        return _convolution("correlate", x, shape.rev(elementwise.conj(y), axes=(0,)), mode)
    turned = _convolution("correlate", elementwise.conj(y), shape.rev(x, axes=(0,)), mode)
    return shape.rev(turned, axes=(0,))


# ---- interpolation -------------------------------------------------------------------------------------------------


def _periodic(x: Value, xp: Value, fp: Value, period: Any) -> tuple[Value, Value, Value]:
    """Points brought into one period, the known ones sorted and continued on both sides."""
    if not isinstance(period, Value) and period == 0:
        raise ArgumentError("interp: period=0", hint="a period that is not 0")
    length = ufuncs.absolute(period)
    x, xp = remainder(x, length), remainder(xp, length)
    permutation = order(xp, 0)
    xp, fp = permuted(xp, permutation, 0), permuted(fp, permutation, 0)
    first, last = take_item(xp, slice(None, 1)), take_item(xp, slice(-1, None))
    xp = concatenate([ufuncs.subtract(last, length), xp, ufuncs.add(first, length)])
    fp = concatenate([take_item(fp, slice(-1, None)), fp, take_item(fp, slice(None, 1))])
    return x, xp, fp


def _lines_between(xp: Value, fp: Value) -> tuple[Value, Value, Value]:
    """For each interval the line y = base + slope (x - origin), as NumPy's rules for infinite values want it."""
    n = xp.shape[0]
    (x0, x1), (f0, f1) = [[shape.part(z, 0, 0, n - 1), shape.part(z, 0, 1, n)] for z in (xp, fp)]
    slope = ufuncs.divide(ufuncs.subtract(f1, f0), ufuncs.subtract(x1, x0))
    # beside an infinite value there is no line: the interval has that value, unless it leads to the other infinity
    flat = elementwise.logical_and(ufuncs.is_inf(f0), elementwise.logical_or(ufuncs.equal(f0, f1), ufuncs.isfinite(f1)))
    slope = elementwise.select(flat, fill_like(slope, 0), slope)
    open_ = ufuncs.equal(x0, -np.inf)
    return slope, elementwise.select(open_, x1, x0), elementwise.select(open_, f1, f0)


def _interpolated(x: Value, xp: Value, fp: Value, place: Value) -> Value:
    """The values within the range of xp; `place` is how many known points are not behind each x."""
    n = xp.shape[0]
    slope, origin, base = _lines_between(xp, fp)
    interval = elementwise.min(elementwise.max(place - 1, fill_like(place, 0)), fill_like(place, n - 2))
    s, x0, f0 = [indexing.take(z, interval, 0) for z in (slope, origin, base)]
    distance = elementwise.sub(x, x0)
    y = elementwise.add(elementwise.mul(s, convert(distance, s.dtype)), f0)
    # at a known point with an infinite neighbour the line is 0 * inf
    exact = elementwise.logical_and(ufuncs.equal(distance, 0), elementwise.logical_not(ufuncs.isfinite(s)))
    return elementwise.select(exact, f0, y)


@implements(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Value:
    """numpy.interp: piecewise linear through known points (xp ascending). At a known point the slope is that of the
    interval after it; beyond the points it is 0."""
    real = np.dtype(np.float64)
    points, known, values = array(x), array(xp), array(fp)
    if kind(points.dtype) == "c" or kind(known.dtype) == "c":
        raise DtypeError(f"interp: takes real x and xp, got {points.type} and {known.type}", hint="x.real")
    if known.ndim != 1 or known.shape != values.shape or known.type.size == 0:
        raise ShapeError(f"interp: xp {known.type} and fp {values.type}", hint="two vectors of one length")
    dtype = np.dtype(np.complex128) if kind(values.dtype) == "c" else real
    points, known, values = convert(points, real), convert(known, real), convert(values, dtype)
    flat = ravel(points)
    if period is not None:
        flat, known, values = _periodic(flat, known, values, period if isinstance(period, float) else array(period))
        left = right = None
    n = known.shape[0]
    place = search(known, flat, "right")
    first, last = [expand(reshaped(shape.part(values, 0, i, i + 1), ()), flat.shape) for i in (0, n - 1)]
    y = _interpolated(flat, known, values, place) if n > 1 else first
    y = elementwise.select(elementwise.eq(place, fill_like(place, n)), last, y)
    end = expand(reshaped(shape.part(known, 0, n - 1, n), ()), flat.shape)
    if right is not None:
        y = elementwise.select(elementwise.gt(flat, end), adapt(operand(right), dtype, flat.shape), y)
    below = first if left is None else adapt(operand(left), dtype, flat.shape)
    y = elementwise.select(elementwise.eq(place, fill_like(place, 0)), below, y)
    if n > 1:  # as in NumPy, one known point is the value at NaN too
        y = elementwise.select(ufuncs.is_nan(flat), fill_like(y, np.nan), y)
    return reshaped(y, points.shape)


# ---- differences ---------------------------------------------------------------------------------------------------


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Value:
    """numpy.ediff1d."""
    x = ravel(array(ary))
    parts = [ufuncs.subtract(take_item(x, slice(1, None)), take_item(x, slice(None, -1)))]
    for place, extra in ((0, to_begin), (len(parts) + 1, to_end)):
        if extra is not None:
            given = ravel(array(extra))
            if not np.can_cast(given.dtype, x.dtype, "same_kind"):
                raise DtypeError(f"ediff1d: {given.type} beside differences of {x.type}", hint="x.astype(float)")
            parts.insert(place, convert(given, x.dtype))
    return concatenate(parts)


@implements(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: Any = -1, *, period: Any = 2 * np.pi) -> Value:
    """numpy.unwrap; the multiples of the period that are added are constant."""
    x = array(p)
    (place,) = normalize_axes(static_int(axis, "unwrap", "axis"), x.ndim, "unwrap")
    if x.shape[place] < 2:
        return convert(x, result_type(x, operand(period)))
    steps, length = diff(x, axis=place), operand(period)
    traced = isinstance(length, Value)
    dtype = result_type(steps, length)
    whole = kind(dtype) in "iu"
    high: Any = floor_divide(length, 2) if whole else ufuncs.divide(length, 2)
    if not traced:
        high = length // 2 if whole else length / 2
    low = ufuncs.negative(high) if traced else -high
    wrapped = ufuncs.add(remainder(ufuncs.subtract(steps, low), length), low)
    if not whole or (not traced and length % 2 == 0):
        at_edge = elementwise.logical_and(ufuncs.equal(wrapped, low), ufuncs.greater(steps, 0))
        wrapped = elementwise.select(at_edge, adapt(operand(high), wrapped.dtype, wrapped.shape), wrapped)
    limit = discont if discont is not None else ufuncs.divide(length, 2) if traced else length / 2
    small = ufuncs.less(ufuncs.absolute(steps), limit)
    change = ufuncs.subtract(wrapped, steps)
    change = elementwise.select(small, fill_like(change, 0), change)
    change = change if traced else stop_gradient(change)
    head, tail = shape.part(x, place, 0, 1), shape.part(x, place, 1, x.shape[place])
    return concatenate([convert(head, dtype), ufuncs.add(tail, cumsum(change, place))], place)
