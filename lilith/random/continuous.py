"""Real random numbers.

Derivatives flow to parameters along the sample: with the bits fixed, the sample is a smooth function of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import BFLOAT16
from lilith.numpy import scipy_ufuncs
from lilith.numpy.core import adapt, convert, operand
from lilith.numpy.eager import array_function
from lilith.numpy.ufuncs import mantissa_bits
from lilith.ops import elementwise, special
from lilith.ops.random import one_to_two
from lilith.random.keys import Shape, floating_dtype, random_bits, sampled_shape

_FLOAT32 = np.dtype(np.float32)


def _unit(name: str, key: Any, sizes: Shape, dtype: np.dtype) -> Value:
    """Numbers in [1, 2): random mantissa bits under the exponent of 1."""
    return one_to_two(random_bits(name, key, sizes, 8 * dtype.itemsize), dtype, mantissa_bits(dtype))


def standard_uniform(name: str, key: Any, sizes: Shape, dtype: np.dtype) -> Value:
    """Multiples of 2^-m in [0, 1), m being the mantissa bits of the dtype: 23 of float32, 52 of float64."""
    u = _unit(name, key, sizes, dtype)
    return u - fill_like(u, 1)


def _half_step(dtype: np.dtype) -> float:
    return 2.0 ** -(mantissa_bits(dtype) + 1)


def open_uniform(name: str, key: Any, sizes: Shape, dtype: np.dtype) -> Value:
    """The midpoints of those intervals: never 0 or 1."""
    u = standard_uniform(name, key, sizes, dtype)
    return u + fill_like(u, _half_step(dtype))


def symmetric_uniform(name: str, key: Any, sizes: Shape, dtype: np.dtype) -> Value:
    """Odd multiples of 2^-m in (-1, 1): symmetric, never 0 or an end. Exact in the dtype."""
    u = _unit(name, key, sizes, dtype)
    centred = u - fill_like(u, 1.5)
    return centred + centred + fill_like(u, 2 * _half_step(dtype))


def _computed(dtype: np.dtype) -> np.dtype:
    """The dtype in which numbers of a dtype are made: float32 for the 16 bit ones, whose uniform numbers are coarse."""
    return _FLOAT32 if dtype == np.float16 or dtype == BFLOAT16 else dtype


@array_function
def uniform(key: Any, shape: Any = None, dtype: Any = None, low: Any = 0.0, high: Any = 1.0) -> Value:
    """Uniform on [low, high): low + (high - low) u.

    u is a multiple of 2^-m in [0, 1) with m = 52 for float64, 23 for float32, 10 for float16, 7 for bfloat16. Where low
    and high are given, rounding may give high itself.

    Arguments:
        shape: of the result; that of low and high broadcast together if it is not given.
        dtype: floating; that of low and high if it is not given, float64 where they are Python numbers.
        low, high: the ends, differentiable.

    >>> from lilith import random
    >>> random.uniform(random.key(0), 2)
    array([0.41845711, 0.21629545])
    """
    wanted = floating_dtype("uniform", dtype, low, high)
    sizes = sampled_shape("uniform", shape, low, high)
    u = standard_uniform("uniform", key, sizes, wanted)
    if type(high) in (int, float) and type(low) in (int, float):
        if (low, high) == (0, 1):
            return u
        high, low = high - low, low
    else:
        a, b = (adapt(operand(p), wanted, sizes) for p in (low, high))
        return a + (b - a) * u
    return adapt(low, wanted, sizes) + adapt(high, wanted, sizes) * u


def standard_normal(name: str, key: Any, sizes: Shape, dtype: np.dtype) -> Value:
    """√2 erfinv(u), u in (-1, 1)."""
    u = symmetric_uniform(name, key, sizes, dtype)
    return special.erfinv(u) * fill_like(u, math.sqrt(2))


@array_function
def normal(key: Any, shape: Any = (), dtype: Any = None) -> Value:
    """Standard normal: √2 erfinv(u), u in (-1, 1). `mean + sigma * normal(key, shape)` is differentiable in both.

    Arguments:
        shape: of the result.
        dtype: floating; float64 if it is not given. float16 and bfloat16 are rounded from float32.

    >>> from lilith import random
    >>> random.normal(random.key(0), 2, np.float32)
    array([1.6226424, 2.0252652], dtype=float32)
    """
    wanted = floating_dtype("normal", dtype)
    return convert(standard_normal("normal", key, sampled_shape("normal", shape), _computed(wanted)), wanted)


def _from_open(name: str, key: Any, shape: Any, dtype: Any) -> tuple[Value, np.dtype]:
    wanted = floating_dtype(name, dtype)
    return open_uniform(name, key, sampled_shape(name, shape), _computed(wanted)), wanted


@array_function
def exponential(key: Any, shape: Any = (), dtype: Any = None) -> Value:
    """The exponential distribution of mean 1, density exp(-x): -log u. Divide by a rate, or multiply with a mean."""
    u, wanted = _from_open("exponential", key, shape, dtype)
    return convert(elementwise.neg(elementwise.log(u)), wanted)


@array_function
def gumbel(key: Any, shape: Any = (), dtype: Any = None) -> Value:
    """The Gumbel distribution, P(X <= x) = exp(-exp(-x)): -log(-log u)."""
    u, wanted = _from_open("gumbel", key, shape, dtype)
    return convert(elementwise.neg(elementwise.log(elementwise.neg(elementwise.log(u)))), wanted)


@array_function
def logistic(key: Any, shape: Any = (), dtype: Any = None) -> Value:
    """The logistic distribution, P(X <= x) = 1 / (1 + exp(-x)): log(u / (1 - u))."""
    u, wanted = _from_open("logistic", key, shape, dtype)
    return convert(elementwise.log(u) - elementwise.log(fill_like(u, 1) - u), wanted)


@array_function
def laplace(key: Any, shape: Any = (), dtype: Any = None) -> Value:
    """The Laplace distribution, density exp(-|x|) / 2: -sign(u) log(1 - |u|)."""
    wanted = floating_dtype("laplace", dtype)
    u = symmetric_uniform("laplace", key, sampled_shape("laplace", shape), _computed(wanted))
    size = elementwise.log1p(elementwise.neg(elementwise.abs(u)))
    return convert(elementwise.neg(elementwise.sign(u)) * size, wanted)


@array_function
def cauchy(key: Any, shape: Any = (), dtype: Any = None) -> Value:
    """The Cauchy distribution, density 1 / (π (1 + x²)): tan(π u / 2)."""
    wanted = floating_dtype("cauchy", dtype)
    u = symmetric_uniform("cauchy", key, sampled_shape("cauchy", shape), _computed(wanted))
    return convert(elementwise.tan(u * fill_like(u, math.pi / 2)), wanted)


@array_function
def truncated_normal(key: Any, lower: Any, upper: Any, shape: Any = None, dtype: Any = None) -> Value:
    """Standard normal between lower and upper, differentiable in both: Φ⁻¹(Φ(lower) + u (Φ(upper) - Φ(lower))).

    Formed on the side of the smaller tail. Where Φ underflows there (beyond 37 in float64, 13 in float32) the result is
    the bound that is nearer to 0.

    Arguments:
        lower, upper: the bounds, lower < upper; infinite ones are none.
        shape: of the result; that of the bounds broadcast together if it is not given.
        dtype: floating; that of the bounds if it is not given, float64 where they are Python numbers.

    >>> from lilith import random
    >>> random.truncated_normal(random.key(0), -1.0, 2.0, 2)
    array([ 0.00301295, -0.42419022])
    """
    wanted = floating_dtype("truncated_normal", dtype, lower, upper)
    sizes = sampled_shape("truncated_normal", shape, lower, upper)
    inner = _computed(wanted)
    a, b = (adapt(operand(p), inner, sizes) for p in (lower, upper))
    u = open_uniform("truncated_normal", key, sizes, inner)
    turned = elementwise.gt(a, fill_like(a, 0))
    zero = fill_like(a, 0)
    low, high = elementwise.select(turned, zero - b, a), elementwise.select(turned, zero - a, b)
    p, q = scipy_ufuncs.ndtr(low), scipy_ufuncs.ndtr(high)
    u = elementwise.select(turned, fill_like(u, 1) - u, u)
    x = special.ndtri(p + u * (q - p))
    x = elementwise.min(elementwise.max(x, low), high)
    x = elementwise.select(elementwise.eq(q, zero), high, x)  # Φ has underflowed
    return convert(elementwise.select(turned, zero - x, x), wanted)
