"""Activations: elementwise functions and softmax.

Where a function has a kink, the slope there is that of the side named in its docstring.
"""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

from lilith import special
from lilith.ir.graph import Value, fill_like
from lilith.nn.making import choose, exceeds, known, place, real_floating, scalar
from lilith.numpy.core import lift
from lilith.numpy.eager import array_function
from lilith.ops import elementwise
from lilith.ops import special as special_ops
from lilith.source import ArgumentError

_ROOT_HALF = math.sqrt(0.5)
_ROOT_TWO_OVER_PI = math.sqrt(2 / math.pi)
# Klambauer, Unterthiner, Mayr, Hochreiter, Self-normalizing neural networks, NIPS 2017, equation 14
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


@array_function
def relu(input: Any) -> Any:
    """max(x, 0), elementwise; the slope at 0 is 0.

    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    x = lift(input)
    return elementwise.select(elementwise.le(x, fill_like(x, 0)), fill_like(x, 0), x)


@array_function
def leaky_relu(input: Any, negative_slope: float = 0.01) -> Any:
    """x where x > 0, else negative_slope x; the slope at 0 is negative_slope.

    >>> leaky_relu(np.array([-1.0, 2.0]), 0.1)
    array([-0.1,  2. ])
    """
    x = real_floating("leaky_relu", input)
    return choose(exceeds(x, 0), x, x * scalar("leaky_relu", "negative_slope", negative_slope, x))


def _elu(x: Value, alpha: Value) -> Value:
    """x where x > 0, else alpha (exp(x) - 1)."""
    positive = exceeds(x, 0)
    return elementwise.select(positive, x, alpha * elementwise.expm1(choose(positive, 0.0, x)))


@array_function
def elu(input: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha (exp(x) - 1); the slope at 0 is alpha.

    Clevert, Unterthiner, Hochreiter, Fast and accurate deep network learning by exponential linear units, ICLR 2016.

    >>> elu(np.array([-1e4, 0.0, 2.0]))
    array([-1.,  0.,  2.])
    """
    x = real_floating("elu", input)
    return _elu(x, scalar("elu", "alpha", alpha, x))


@array_function
def selu(input: Any) -> Any:
    """λ x where x > 0, else λ α (exp(x) - 1), with λ = 1.0507... and α = 1.6733...; the slope at 0 is λ α.

    Klambauer et al., Self-normalizing neural networks, NIPS 2017.

    >>> selu(np.array([0.0, 1.0]))
    array([0.        , 1.05070099])
    """
    x = real_floating("selu", input)
    return _elu(x, fill_like(x, _SELU_ALPHA)) * _SELU_SCALE


@array_function
def gelu(input: Any, approximate: str = "none") -> Any:
    """x Φ(x), Φ the standard normal distribution function.

    Hendrycks, Gimpel, Gaussian error linear units, 2016.

    Arguments:
        approximate: "none", or "tanh" for x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))).

    >>> gelu(np.array([-1e4, 0.0, 1.0]))
    array([-0.        ,  0.        ,  0.84134475])
    """
    x = real_floating("gelu", input)
    if approximate == "none":
        return x * 0.5 * special_ops.erfc(x * -_ROOT_HALF)
    if approximate != "tanh":
        raise ArgumentError(f"nn.gelu: approximate={approximate!r}", hint="'none' or 'tanh'")
    inner = (x + elementwise.integer_pow(x, exponent=3) * 0.044715) * _ROOT_TWO_OVER_PI
    return x * ((elementwise.tanh(inner) + 1.0) * 0.5)


@array_function
def silu(input: Any) -> Any:
    """x / (1 + exp(-x)), also called swish.

    Elfwing, Uchibe, Doya, Sigmoid-weighted linear units, Neural Networks 107, 2018.

    >>> silu(np.array([-1e4, 0.0, 1.0]))
    array([-0.        ,  0.        ,  0.73105858])
    """
    x = real_floating("silu", input)
    return x * elementwise.logistic(x)


@array_function
def sigmoid(input: Any) -> Any:
    """1 / (1 + exp(-x)).

    >>> sigmoid(np.array([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    return elementwise.logistic(real_floating("sigmoid", input))


def log_one_plus_exp(x: Value) -> Value:
    """log(1 + exp(x)) = h + log(1 + exp(l - h)), h and l the larger and the smaller one of x and 0.

    The derivative is that of the formula on either side, to every order: it is smooth at 0.
    """
    positive, zero = exceeds(x, 0), fill_like(x, 0)
    high, low = elementwise.select(positive, x, zero), elementwise.select(positive, zero, x)
    return high + elementwise.log1p(elementwise.exp(low - high))


@array_function
def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta x)) / beta; x itself where beta x > threshold.

    >>> softplus(np.array([-1e4, 0.0, 1e4]))
    array([0.00000000e+00, 6.93147181e-01, 1.00000000e+04])
    """
    x = real_floating("softplus", input)
    factor, limit = scalar("softplus", "beta", beta, x), scalar("softplus", "threshold", threshold, x)
    scaled = x * factor
    y = log_one_plus_exp(scaled) / factor
    # beyond the threshold the two differ by exp(-threshold): in float32 not at all, for thresholds that are usual
    given = known(threshold)
    if given is not None and math.exp(min(-given, 700.0)) <= abs(given) * float(ml_dtypes.finfo(x.dtype).eps):
        return y
    return elementwise.select(elementwise.gt(scaled, limit), x, y)


@array_function
def logsigmoid(input: Any) -> Any:
    """-log(1 + exp(-x)), the logarithm of sigmoid.

    >>> logsigmoid(np.array([-1e4, 0.0, 1e4]))
    array([-1.00000000e+04, -6.93147181e-01, -0.00000000e+00])
    """
    return -log_one_plus_exp(-real_floating("logsigmoid", input))


@array_function
def softsign(input: Any) -> Any:
    """x / (1 + |x|).

    >>> softsign(np.array([-1.0, 3.0]))
    array([-0.5 ,  0.75])
    """
    x = real_floating("softsign", input)
    return x / (elementwise.abs(x) + 1.0)


@array_function
def tanh(input: Any) -> Any:
    """The hyperbolic tangent.

    >>> tanh(np.array([-1e4, 0.0]))
    array([-1.,  0.])
    """
    return elementwise.tanh(real_floating("tanh", input))


@array_function
def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """x, but not below min_val and not above max_val; the slope is 1 between them and 0 elsewhere, at both as well.

    >>> hardtanh(np.array([-3.0, 0.5, 2.0]))
    array([-1. ,  0.5,  1. ])
    """
    x = real_floating("hardtanh", input)
    low, high = known(min_val), known(max_val)
    if low is not None and high is not None and not low <= high:
        raise ArgumentError(f"nn.hardtanh: min_val={low} is above max_val={high}", hint="exchange them")
    bottom, top = scalar("hardtanh", "min_val", min_val, x), scalar("hardtanh", "max_val", max_val, x)
    x = elementwise.select(elementwise.le(x, bottom), bottom, x)
    return elementwise.select(elementwise.ge(x, top), top, x)


def softmax(input: Any, dim: Any = None, *, axis: Any = None) -> Any:
    """exp(x) / Σ exp(x) along an axis, without overflow.

    Arguments:
        dim: the axis; `axis` is another name for it.

    >>> softmax(np.array([1e4, 1e4, -np.inf]), dim=0)
    array([0.5, 0.5, 0. ])
    """
    return special.softmax(input, axis=place("softmax", dim, axis, _ndim(input)))


def log_softmax(input: Any, dim: Any = None, *, axis: Any = None) -> Any:
    """x - log Σ exp(x) along an axis, without overflow.

    Arguments:
        dim: the axis; `axis` is another name for it.

    >>> log_softmax(np.array([1e4, 1e4, -np.inf]), dim=0)
    array([-0.69314718, -0.69314718,        -inf])
    """
    return special.log_softmax(input, axis=place("log_softmax", dim, axis, _ndim(input)))


def _ndim(x: Any) -> int:
    """The number of axes of anything array-like."""
    return x.ndim if hasattr(x, "ndim") else np.ndim(x)
