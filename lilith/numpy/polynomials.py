"""Polynomials as arrays of coefficients, highest power first, as numpy.poly* have them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lilith.ir.graph import Value
from lilith.ir.type import BFLOAT16
from lilith.numpy import ufuncs
from lilith.numpy.core import convert, full, implements, lift, marked, promote, static_int
from lilith.numpy.joining import concatenate
from lilith.numpy.shaping import atleast_1d, reshaped
from lilith.ops import elementwise, shape
from lilith.ops.reduction import reduce_sum
from lilith.source import ArgumentError, ShapeError


def _coefficients(p: Any, name: str) -> Value:
    x = atleast_1d(marked(lift(p), False))  # NumPy makes arrays of numbers
    if x.ndim != 1:
        raise ShapeError(f"{name}: {x.type} is no array of coefficients", hint="one axis, highest power first")
    return x


def _leading_zeros(x: Value, count: int) -> Value:
    return concatenate([full(0, (count,), x.dtype), x]) if count > 0 else x


def _aligned(a1: Any, a2: Any, name: str) -> tuple[Value, Value]:
    """The coefficients filled up to one degree."""
    x, y = _coefficients(a1, name), _coefficients(a2, name)
    n = max(x.type.size, y.type.size)
    return _leading_zeros(x, n - x.type.size), _leading_zeros(y, n - y.type.size)


@implements(np.polyadd)
def polyadd(a1: Any, a2: Any) -> Value:
    """numpy.polyadd."""
    return ufuncs.add(*_aligned(a1, a2, "polyadd"))


@implements(np.polysub)
def polysub(a1: Any, a2: Any) -> Value:
    """numpy.polysub."""
    return ufuncs.subtract(*_aligned(a1, a2, "polysub"))


@implements(np.polymul)
def polymul(a1: Any, a2: Any) -> Value:
    """numpy.polymul; leading coefficients count even if they are 0, which is not known while tracing."""
    x, y = promote(_coefficients(a1, "polymul"), _coefficients(a2, "polymul"))
    m, n = x.type.size, y.type.size
    # row i of the outer product belongs i places further right: each row is made one longer than the result is
    products = ufuncs.multiply(reshaped(x, (m, 1)), reshaped(y, (1, n)))
    padded = shape.pad(products, full(0, (), x.dtype), low=(0, 0), high=(0, m), interior=(0, 0))
    skewed = reshaped(shape.part(reshaped(padded, (m * (n + m),)), 0, 0, m * (n + m - 1)), (m, n + m - 1))
    return reduce_sum(skewed, axes=(0,))


@implements(np.polydiv)
def polydiv(u: Any, v: Any) -> tuple[Value, Value]:
    """numpy.polydiv: quotient and remainder. The remainder has one coefficient less than v (at least one): whether
    more of them are 0, so that NumPy would cut them off, is not known while tracing."""
    x, y = _coefficients(u, "polydiv"), _coefficients(v, "polydiv")
    x, y = promote(ufuncs.add(x, 0.0), ufuncs.add(y, 0.0))
    m, n = x.type.size - 1, y.type.size - 1
    if m < n:
        return full(0, (1,), x.dtype), x
    first = shape.part(y, 0, 0, 1)
    quotient = []
    rest = x
    for _ in range(m - n + 1):
        q = elementwise.div(shape.part(rest, 0, 0, 1), first)
        quotient.append(q)
        taken = ufuncs.multiply(q, shape.part(y, 0, 1, n + 1))
        size = rest.type.size
        head = ufuncs.subtract(shape.part(rest, 0, 1, n + 1), taken)
        rest = concatenate([head, shape.part(rest, 0, n + 1, size)])
    return concatenate(quotient), rest if n else full(0, (1,), x.dtype)


@implements(np.polyder)
def polyder(p: Any, m: Any = 1) -> Value:
    """numpy.polyder: the m-th derivative."""
    order = static_int(m, "polyder", "m")
    if order < 0:
        raise ArgumentError(f"polyder: m={order}", hint="m >= 0; np.polyint integrates")
    x = _coefficients(p, "polyder")
    for _ in range(order):
        n = x.type.size - 1
        if n < 1:
            return shape.part(x, 0, 0, 0)
        x = ufuncs.multiply(shape.part(x, 0, 0, n), np.arange(n, 0, -1))
    return x


@implements(np.polyint)
def polyint(p: Any, m: Any = 1, k: Any = None) -> Value:
    """numpy.polyint: the m-th antiderivative, with the constants k."""
    order = static_int(m, "polyint", "m")
    if order < 0:
        raise ArgumentError(f"polyint: m={order}", hint="m >= 0; np.polyder differentiates")
    x = _coefficients(p, "polyint")
    constants = atleast_1d(lift(0.0 if k is None else k))
    if constants.type.size == 1 and order > 1:
        constants = concatenate([constants] * order)
    if constants.type.size < order:
        raise ArgumentError(f"polyint: {constants.type.size} constants for m={order}", hint="one k, or m of them")
    for i in range(order):
        quotients = ufuncs.divide(x, np.arange(x.type.size, 0, -1))
        x = concatenate([quotients, shape.part(constants, 0, i, i + 1)])
    return x


@implements(np.vander)
def vander(x: Any, N: Any = None, increasing: bool = False) -> Value:
    """numpy.vander: the powers 0 to N - 1 of every element, by doubling their number."""
    v = lift(x)
    if v.ndim != 1:
        raise ShapeError(f"vander: {v.type} has not one axis", hint="np.vander(np.ravel(x))")
    count = v.shape[0] if N is None else static_int(N, "vander", "N")
    v = v if v.dtype == BFLOAT16 else convert(v, np.promote_types(v.dtype, np.int64))
    step = reshaped(v, (v.shape[0], 1))
    powers = full(1, (v.shape[0], min(count, 1)), v.dtype)
    while (known := powers.shape[1]) < count:
        lower = shape.part(powers, 1, 0, min(known, count - known))
        powers = concatenate([powers, ufuncs.multiply(lower, step)], axis=1)
        step = ufuncs.multiply(step, step)
    return powers if increasing or not count else shape.rev(powers, axes=(1,))
