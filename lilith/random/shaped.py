"""Real random numbers whose distribution has a shape parameter: gamma and what is made of it.

Derivatives are implicit: the sample moves so that its probability stays (Figurnov, Mohamed and Mnih 2018).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lilith.ir.graph import Value
from lilith.ir.type import BFLOAT16
from lilith.numpy import reductions, ufuncs
from lilith.numpy.core import adapt, convert, lift, operand, shape_argument
from lilith.numpy.eager import array_function
from lilith.ops import control, elementwise
from lilith.ops import shape as shapes
from lilith.ops.random import UINT32, random_gamma
from lilith.random.continuous import standard_normal
from lilith.random.keys import (
    Shape,
    element_indices,
    floating_dtype,
    repeated,
    sampled_shape,
    split_key,
    words_of,
)
from lilith.source import ShapeError

_FLOAT32 = np.dtype(np.float32)


def _inner(dtype: np.dtype) -> np.dtype:
    return _FLOAT32 if dtype == np.float16 or dtype == BFLOAT16 else dtype


def _log_gamma(name: str, key: Any, a: Any, sizes: Shape, dtype: np.dtype) -> Value:
    """Logarithms of gamma samples."""
    if math.prod(sizes) >= 2**32:
        raise ShapeError(f"random.{name}: {math.prod(sizes)} samples", hint="draw them in parts, with split keys")
    words = [repeated(w, sizes) for w in words_of(name, key)]
    return random_gamma(*words, element_indices(sizes, UINT32), adapt(operand(a), dtype, sizes))


def _parameters(name: str, shape: Any, dtype: Any, *parameters: Any) -> tuple[np.dtype, Shape]:
    return floating_dtype(name, dtype, *parameters), sampled_shape(name, shape, *parameters)


@array_function
def loggamma(key: Any, a: Any, shape: Any = None, dtype: Any = None) -> Value:
    """The logarithm of `gamma(key, a)`, finite also where that underflows (small a)."""
    wanted, sizes = _parameters("loggamma", shape, dtype, a)
    return convert(_log_gamma("loggamma", key, a, sizes, _inner(wanted)), wanted)


@array_function
def gamma(key: Any, a: Any, shape: Any = None, dtype: Any = None) -> Value:
    """The gamma distribution, density x^(a - 1) exp(-x) / Γ(a). Divide by a rate, or multiply with a scale.

    Drawn by rejection (Marsaglia and Tsang 2000): on another platform a sample near the edge of acceptance may differ.

    Arguments:
        a: the shape parameter, positive; differentiable.
        shape: of the result; a's if it is not given.
        dtype: floating; that of a if it is not given, float64 where a is a Python number.

    >>> from lilith import random
    >>> random.gamma(random.key(0), 2.5, 2)
    array([2.66317655, 3.8406202 ])
    """
    wanted, sizes = _parameters("gamma", shape, dtype, a)
    return convert(elementwise.exp(_log_gamma("gamma", key, a, sizes, _inner(wanted))), wanted)


@array_function
def beta(key: Any, a: Any, b: Any, shape: Any = None, dtype: Any = None) -> Value:
    """The beta distribution, density x^(a - 1) (1 - x)^(b - 1) / B(a, b): g / (g + h) of gamma samples; a, b > 0."""
    wanted, sizes = _parameters("beta", shape, dtype, a, b)
    inner, both = _inner(wanted), (2, *sizes)
    stacked = shapes.concatenate(
        *[shapes.reshape(adapt(operand(p), inner, sizes), shape=(1, *sizes)) for p in (a, b)], axis=0
    )
    logs = _log_gamma("beta", key, stacked, both, inner)
    g, h = (shapes.reshape(shapes.part(logs, 0, i, i + 1), shape=sizes) for i in range(2))
    return convert(elementwise.logistic(g - h), wanted)


@array_function
def dirichlet(key: Any, alpha: Any, shape: Any = None, dtype: Any = None) -> Value:
    """The Dirichlet distribution: gamma samples of shapes alpha over their sum along the last axis.

    Arguments:
        alpha: positive, (..., k); differentiable.
        shape: of the result without the last axis; alpha's if it is not given.
        dtype: floating; that of alpha if it is not given.

    >>> from lilith import random
    >>> random.dirichlet(random.key(0), np.ones(3), 1)
    array([[0.30187355, 0.55104937, 0.14707708]])
    """
    x = lift(alpha)
    if x.ndim == 0:
        raise ShapeError(f"random.dirichlet: alpha {x.type} has no axis", hint="one positive number per category")
    wanted = floating_dtype("dirichlet", dtype, x)
    before = x.shape[:-1] if shape is None else shape_argument(shape, "random.dirichlet")
    sizes = sampled_shape("dirichlet", (*before, x.shape[-1]), x)
    logs = _log_gamma("dirichlet", key, x, sizes, _inner(wanted))
    largest = control.stop_gradient(reductions.max(logs, -1, keepdims=True))
    terms = elementwise.exp(ufuncs.subtract(logs, largest))
    return convert(ufuncs.divide(terms, reductions.sum(terms, -1, keepdims=True)), wanted)


@array_function
def chisquare(key: Any, df: Any, shape: Any = None, dtype: Any = None) -> Value:
    """The χ² distribution with df degrees of freedom: 2 gamma(df / 2)."""
    wanted, sizes = _parameters("chisquare", shape, dtype, df)
    inner = _inner(wanted)
    half = adapt(operand(df), inner, sizes) * 0.5
    return convert(2 * elementwise.exp(_log_gamma("chisquare", key, half, sizes, inner)), wanted)


@array_function
def student_t(key: Any, df: Any, shape: Any = None, dtype: Any = None) -> Value:
    """Student's t distribution with df degrees of freedom: n / √(2 gamma(df / 2) / df), n normal."""
    wanted, sizes = _parameters("student_t", shape, dtype, df)
    inner = _inner(wanted)
    first, second = split_key("student_t", key, 2)
    freedom = adapt(operand(df), inner, sizes)
    logs = _log_gamma("student_t", second, freedom * 0.5, sizes, inner)
    root = elementwise.sqrt(freedom * 0.5) * elementwise.exp(-0.5 * logs)
    return convert(standard_normal("student_t", first, sizes, inner) * root, wanted)
