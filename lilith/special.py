"""scipy.special's functions for traced arrays and NumPy arrays alike, and stable softmax and logsumexp."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import kind
from lilith.numpy import reductions, ufuncs
from lilith.numpy.core import convert, lift, normalize_axes, wrap
from lilith.ops import elementwise
from lilith.ops.control import stop_gradient
from lilith.trace import contains_tracer, current_trace
from lilith.tracer import Tracer

erf = scipy.special.erf
erfc = scipy.special.erfc
gammaln = scipy.special.gammaln
digamma = scipy.special.digamma
expit = scipy.special.expit
logit = scipy.special.logit
xlogy = scipy.special.xlogy
xlog1py = scipy.special.xlog1py
entr = scipy.special.entr


def _floating(x: Any) -> Value:
    x = lift(x)
    return convert(x, np.dtype(np.float64)) if kind(x.dtype) in "biu" else x


def _shifted(x: Value, axis: Any) -> tuple[Value, Value]:
    """x - m and m, the maximum along the axis as a constant; 0 in place of an infinite maximum."""
    m = stop_gradient(reductions.max(x, axis, keepdims=True))
    m = elementwise.select(elementwise.is_finite(m), m, fill_like(m, 0))
    return ufuncs.subtract(x, m), m


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False) -> Any:
    """log Σ b exp(a) over the axis (all axes for None), without overflow; -inf where all a are -inf.

    Its gradient is softmax(a).
    """
    if not contains_tracer(a) and not isinstance(b, Tracer):
        return scipy.special.logsumexp(a, axis=axis, b=b, keepdims=keepdims)
    current_trace()
    x = _floating(a)
    if b is not None:
        x, weights = ufuncs.add(x, ufuncs.multiply(lift(b), 0)), lift(b)
    shifted, m = _shifted(x, axis)
    terms = elementwise.exp(shifted)
    if b is not None:
        terms = ufuncs.multiply(terms, weights)
    total = reductions.sum(terms, axis, keepdims=True)
    # log 0 = -inf with slope 0: nothing but -inf was added
    zero = elementwise.eq(total, fill_like(total, 0))
    log = elementwise.log(elementwise.select(zero, fill_like(total, 1), total))
    y = elementwise.add(elementwise.select(zero, fill_like(total, -np.inf), log), m)
    return wrap(y if keepdims else _without(y, normalize_axes(axis, x.ndim, "logsumexp")))


def _without(y: Value, axes: tuple[int, ...]) -> Value:
    from lilith.ops.shape import reshape

    return reshape(y, shape=tuple([n for i, n in enumerate(y.shape) if i not in axes]))


def softmax(x: Any, axis: Any = None) -> Any:
    """exp(x) / Σ exp(x) over the axis (all axes for None), without overflow."""
    if not contains_tracer(x):
        return scipy.special.softmax(x, axis=axis)
    current_trace()
    terms = elementwise.exp(_shifted(_floating(x), axis)[0])
    return wrap(ufuncs.divide(terms, reductions.sum(terms, axis, keepdims=True)))


def log_softmax(x: Any, axis: Any = None) -> Any:
    """x - log Σ exp(x) over the axis (all axes for None), without overflow."""
    if not contains_tracer(x):
        return scipy.special.log_softmax(x, axis=axis)
    current_trace()
    shifted, _ = _shifted(_floating(x), axis)
    total = reductions.sum(elementwise.exp(shifted), axis, keepdims=True)
    return wrap(ufuncs.subtract(shifted, elementwise.log(total)))
