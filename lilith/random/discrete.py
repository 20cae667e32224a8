"""Random choices and integers. They have no derivative."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import dtype_name, kind
from lilith.numpy import reductions, ufuncs
from lilith.numpy.core import (
    adapt,
    convert,
    dtype_of,
    expand,
    full,
    lift,
    normalize_axis,
    operand,
    shape_argument,
)
from lilith.numpy.eager import array_function
from lilith.numpy.shaping import moveaxis
from lilith.ops import cumulative, elementwise, sorting
from lilith.ops import shape as shapes
from lilith.random.continuous import standard_uniform
from lilith.random.keys import UINT64, Shape, floating_dtype, random_bits, sampled_shape
from lilith.source import ArgumentError, DtypeError, ShapeError
from lilith.trace import contains_tracer

_FLOAT32 = np.dtype(np.float32)


@array_function
def bernoulli(key: Any, p: Any = 0.5, shape: Any = None) -> Value:
    """True with probability p, to the resolution of a uniform number of p's dtype (float32 at least).

    Arguments:
        p: a probability, or an array of them.
        shape: of the result; p's if it is not given.

    Raises:
        ArgumentError: a p that is known while tracing is not from 0 to 1; a traced one counts as the nearer.

    >>> from lilith import random
    >>> random.bernoulli(random.key(0), 0.3, 4)
    array([False,  True, False, False])
    """
    if type(p) is not Value and not contains_tracer(p) and not np.all((np.asarray(p) >= 0) & (np.asarray(p) <= 1)):
        raise ArgumentError(f"random.bernoulli: p={p!r} is no probability", hint="0 <= p <= 1")
    dtype = floating_dtype("bernoulli", None, p)
    dtype = dtype if dtype.itemsize >= 4 else _FLOAT32
    sizes = sampled_shape("bernoulli", shape, p)
    return elementwise.lt(standard_uniform("bernoulli", key, sizes, dtype), adapt(operand(p), dtype, sizes))


@array_function
def categorical(key: Any, logits: Any, axis: int = -1, shape: Any = None) -> Value:
    """Indices i with probability exp(logits[i]) / Σ exp(logits) along an axis.

    Where a uniform number falls in the cumulated exp(logits): one number per index drawn.

    Arguments:
        logits: unnormalised log probabilities; -inf is never drawn while another one is finite.
        axis: along which the categories lie.
        shape: of the result: (*any, *rest) with `rest` the shape of logits without that axis, which it is by default.

    >>> from lilith import random
    >>> random.categorical(random.key(0), np.log([0.2, 0.5, 0.3]), shape=6)
    array([1, 1, 2, 1, 1, 1])
    """
    x = lift(logits)
    dtype = floating_dtype("categorical", None, x)
    dtype = dtype if dtype.itemsize >= 4 else _FLOAT32
    place = normalize_axis(axis, x.ndim, "random.categorical")
    rest = (*x.shape[:place], *x.shape[place + 1 :])
    sizes = rest if shape is None else shape_argument(shape, "random.categorical")
    if sizes[len(sizes) - len(rest) :] != rest:
        raise ShapeError(
            f"random.categorical: shape {sizes} for logits {x.type}",
            hint=f"the shape ends in {rest}: shape=(n, *{rest})",
        )
    if x.shape[place] == 0:
        raise ShapeError(f"random.categorical: {x.type} has no categories along axis {axis}", hint="at least one")
    lines = moveaxis(convert(x, dtype), place, -1)
    largest = reductions.max(lines, -1, keepdims=True)
    finite = elementwise.select(elementwise.is_finite(largest), largest, fill_like(largest, 0))
    weights = elementwise.exp(ufuncs.subtract(lines, finite))
    return fallen_into("categorical", key, weights, sizes[: len(sizes) - len(rest)])


def fallen_into(name: str, key: Any, weights: Value, before: Shape) -> Value:
    """Indices along the last axis of weights (*rest, k), of shape (*before, *rest): where u times the total falls."""
    rest, k, dtype = weights.shape[:-1], weights.shape[-1], weights.dtype
    count = math.prod(before)
    sums = cumulative.cumsum(weights, axis=weights.ndim - 1, reverse=False)
    total = shapes.part(sums, sums.ndim - 1, k - 1, k)
    u = standard_uniform(name, key, (*rest, count), dtype)
    found = sorting.searchsorted(sums, u * expand(total, u.shape), side="right")
    found = elementwise.min(found, fill_like(found, k - 1))
    return shapes.reshape(moveaxis(found, -1, 0), shape=(*before, *rest))


def _multiplied_high(x: Value, y: Value) -> tuple[Value, Value]:
    """The upper and the lower 64 bits of the product of two uint64."""
    mask, half = fill_like(x, 0xFFFFFFFF), fill_like(x, 32)

    def low(a: Value) -> Value:
        return elementwise.logical_and(a, mask)

    def high(a: Value) -> Value:
        return elementwise.shift_right(a, half)

    first = low(x) * low(y)
    cross = high(x) * low(y) + high(first)
    other = low(x) * high(y) + low(cross)
    return high(x) * high(y) + high(cross) + high(other), x * y


def _scaled_down(key: Any, span: Value, sizes: Shape, narrow: bool) -> Value:
    """⌊r span / 2^b⌋ for r of b random bits: 64 where span is at most 2^32 (`narrow`), else 128."""
    if narrow:
        r = random_bits("randint", key, sizes, 64)
        half = fill_like(r, 32)
        upper = elementwise.shift_right(r, half)
        lower = elementwise.logical_and(r, fill_like(r, 0xFFFFFFFF))
        return elementwise.shift_right(upper * span + elementwise.shift_right(lower * span, half), half)
    r = random_bits("randint", key, (*sizes, 2), 64)
    return _wide_scaled_down(r, span)


def _wide_scaled_down(r: Value, span: Value) -> Value:
    parts = [shapes.reshape(shapes.part(r, r.ndim - 1, i, i + 1), shape=r.shape[:-1]) for i in range(2)]
    upper, middle = _multiplied_high(parts[0], span)
    carried, _ = _multiplied_high(parts[1], span)
    total = middle + carried
    return upper + convert(elementwise.lt(total, carried), UINT64)


@array_function
def randint(key: Any, low: Any, high: Any, shape: Any = None, dtype: Any = np.int64) -> Value:
    """Integers from low to high - 1, each with the same probability to within 2^-32 of it (2^-64 for wide spans).

    Arguments:
        low, high: integers, numbers or arrays; where high <= low the result is low.
        shape: of the result; that of low and high broadcast together if it is not given.
        dtype: an integer.

    >>> from lilith import random
    >>> random.randint(random.key(0), 0, 10, 5)
    array([4, 2, 9, 5, 5])
    """
    wanted = dtype_of(dtype)
    if kind(wanted) not in "iu":
        raise DtypeError(f"random.randint: {dtype_name(wanted)} is not an integer", hint="dtype=np.int64")
    sizes = sampled_shape("randint", shape, low, high)
    if type(low) is int and type(high) is int:
        if not np.iinfo(wanted).min <= low < high <= np.iinfo(wanted).max + 1:
            raise ArgumentError(
                f"random.randint: no integers of {dtype_name(wanted)} from {low} to {high} - 1", hint="low < high"
            )
        first, narrow = adapt(low, wanted, sizes), high - low <= 2**32
        if high - low == 2**64:
            return convert(random_bits("randint", key, sizes, 64), wanted)
        span = full(high - low, sizes, UINT64)
    else:
        bounds = [operand(p) for p in (low, high)]
        for p in bounds:
            if kind(lift(p).dtype) not in "iu":
                raise DtypeError(f"random.randint: a bound is {lift(p).type}", hint="pass integers")
        first, last = (adapt(p, wanted, sizes) for p in bounds)
        narrow = wanted.itemsize <= 4
        empty = elementwise.le(last, first)
        difference = convert(last, UINT64) - convert(first, UINT64)
        span = elementwise.select(empty, fill_like(difference, 0), difference)
    offset = _scaled_down(key, span, sizes, narrow)
    return convert(convert(first, UINT64) + offset, wanted)
