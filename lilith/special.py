"""scipy.special's functions for traced arrays and NumPy arrays alike, and stable softmax and logsumexp."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import scipy.special

from lilith.ir.graph import Value, fill_like
from lilith.numpy import reductions, ufuncs
from lilith.numpy.core import floating, lift, normalize_axes, unify, wrap
from lilith.numpy.shaping import squeeze
from lilith.ops import elementwise
from lilith.ops.control import stop_gradient
from lilith.trace import contains_tracer, current_trace
from lilith.tracer import REPLACEMENTS

erf = scipy.special.erf
erfc = scipy.special.erfc
gammaln = scipy.special.gammaln
digamma = scipy.special.digamma
expit = scipy.special.expit
logit = scipy.special.logit
xlogy = scipy.special.xlogy
xlog1py = scipy.special.xlog1py
entr = scipy.special.entr


def _finite_maximum(x: Value, axis: Any) -> Value:
    """The maximum along the axis as a constant; 0 in place of an infinite one, -inf of nothing."""
    sizes = [x.shape[a] for a in normalize_axes(axis, x.ndim, "max")]
    initial = -np.inf if 0 in sizes else reductions.NOT_GIVEN
    m = stop_gradient(reductions.max(x, axis, keepdims=True, initial=initial))
    return elementwise.select(elementwise.is_finite(m), m, fill_like(m, 0))


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False) -> Any:
    """log Σ b exp(a) over the axis (all axes for None), without overflow.

    -inf where the sum is 0, NaN where it is negative; a does not count where b is 0, even if it is infinite or NaN.
    ā = ȳ b exp(a) / Σ b exp(a), softmax(a) without b; b̄ = ȳ exp(a) / Σ b exp(a); both 0 where the sum is 0.
    """
    if not contains_tracer(a) and not contains_tracer(b):
        return scipy.special.logsumexp(a, axis=axis, b=b, keepdims=keepdims)
    current_trace()
    if b is None:
        x = floating(lift(a))
        m = _finite_maximum(x, axis)
        terms = elementwise.exp(ufuncs.subtract(x, m))
    else:
        x, weights = map(floating, unify("logsumexp", a, b))
        unused = elementwise.eq(weights, fill_like(weights, 0))
        m = _finite_maximum(elementwise.select(unused, fill_like(x, -np.inf), x), axis)
        exponent = ufuncs.subtract(x, m)
        # 0 · exp(a) must be 0 and have the slope exp(a) in b: only what would overflow is cut off
        limit = fill_like(x, float(np.floor(np.log(float(ml_dtypes.finfo(x.dtype).max)))))
        overflows = elementwise.logical_and(unused, elementwise.logical_not(elementwise.lt(exponent, limit)))
        terms = elementwise.mul(weights, elementwise.exp(elementwise.select(overflows, limit, exponent)))
    total = reductions.sum(terms, axis, keepdims=True)
    zero = elementwise.eq(total, fill_like(total, 0))
    log = elementwise.log(elementwise.select(zero, fill_like(total, 1), total))
    y = elementwise.add(elementwise.select(zero, fill_like(total, -np.inf), log), m)
    return wrap(y if keepdims else squeeze(y, normalize_axes(axis, x.ndim, "logsumexp")))


def softmax(x: Any, axis: Any = None) -> Any:
    """exp(x) / Σ exp(x) over the axis (all axes for None), without overflow."""
    if not contains_tracer(x):
        return scipy.special.softmax(x, axis=axis)
    current_trace()
    v = floating(lift(x))
    terms = elementwise.exp(ufuncs.subtract(v, _finite_maximum(v, axis)))
    return wrap(ufuncs.divide(terms, reductions.sum(terms, axis, keepdims=True)))


def log_softmax(x: Any, axis: Any = None) -> Any:
    """x - log Σ exp(x) over the axis (all axes for None), without overflow."""
    if not contains_tracer(x):
        return scipy.special.log_softmax(x, axis=axis)
    current_trace()
    v = floating(lift(x))
    shifted = ufuncs.subtract(v, _finite_maximum(v, axis))
    total = reductions.sum(elementwise.exp(shifted), axis, keepdims=True)
    return wrap(ufuncs.subtract(shifted, elementwise.log(total)))


for _function in (logsumexp, softmax, log_softmax):
    # SciPy's are Python functions that make plain arrays of their arguments
    REPLACEMENTS[getattr(scipy.special, _function.__name__).__code__] = f"lilith.special.{_function.__name__}"
