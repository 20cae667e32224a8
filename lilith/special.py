"""scipy.special's functions for traced arrays and NumPy arrays alike.

Ufuncs are SciPy's own, which work on traced arrays; SciPy's Python functions are replaced.
"""

from __future__ import annotations

from inspect import unwrap
from typing import Any

import ml_dtypes
import numpy as np
import scipy.special

from lilith.ir.graph import Value, fill_like
from lilith.numpy import reductions, scipy_ufuncs, ufuncs
from lilith.numpy.core import floating, full, lift, normalize_axes, static_int, unify, wrap
from lilith.numpy.shaping import squeeze
from lilith.ops import elementwise, reduction, shape
from lilith.ops import special as primitives
from lilith.trace import contains_tracer, current_trace
from lilith.tracer import REPLACEMENTS

# with SCIPY_ARRAY_API set, SciPy wraps its ufuncs in functions
beta = unwrap(scipy.special.beta)
betainc = unwrap(scipy.special.betainc)
betaincc = unwrap(scipy.special.betaincc)
betaln = unwrap(scipy.special.betaln)
digamma = unwrap(scipy.special.digamma)
entr = unwrap(scipy.special.entr)
erf = unwrap(scipy.special.erf)
erfc = unwrap(scipy.special.erfc)
erfcinv = unwrap(scipy.special.erfcinv)
erfcx = unwrap(scipy.special.erfcx)
erfinv = unwrap(scipy.special.erfinv)
exp10 = unwrap(scipy.special.exp10)
exp2 = unwrap(scipy.special.exp2)
expit = unwrap(scipy.special.expit)
expm1 = unwrap(scipy.special.expm1)
gamma = unwrap(scipy.special.gamma)
gammainc = unwrap(scipy.special.gammainc)
gammaincc = unwrap(scipy.special.gammaincc)
gammaln = unwrap(scipy.special.gammaln)
i0 = unwrap(scipy.special.i0)
i0e = unwrap(scipy.special.i0e)
i1 = unwrap(scipy.special.i1)
i1e = unwrap(scipy.special.i1e)
kl_div = unwrap(scipy.special.kl_div)
log1p = unwrap(scipy.special.log1p)
log_expit = unwrap(scipy.special.log_expit)
log_ndtr = unwrap(scipy.special.log_ndtr)
logit = unwrap(scipy.special.logit)
ndtr = unwrap(scipy.special.ndtr)
ndtri = unwrap(scipy.special.ndtri)
psi = unwrap(scipy.special.psi)
rel_entr = unwrap(scipy.special.rel_entr)
xlog1py = unwrap(scipy.special.xlog1py)
xlogy = unwrap(scipy.special.xlogy)


def _shift(x: Value, axis: Any) -> Value:
    """The largest element along the axis, as a constant with axes of size 1; -inf of nothing."""
    axes = normalize_axes(axis, x.ndim, "max")
    ones = tuple([1 if a in axes else n for a, n in enumerate(x.shape)])
    if 0 in [x.shape[a] for a in axes]:
        return full(-np.inf, ones, x.dtype)
    return shape.reshape(reduction.exponent_shift(x, axes=axes), shape=ones)


def _finite_shift(x: Value, axis: Any) -> Value:
    """The same, and 0 in place of an infinite one."""
    m = _shift(x, axis)
    return elementwise.select(elementwise.is_finite(m), m, fill_like(m, 0))


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """log Σ b exp(a) over the axis (all axes for None), without overflow.

    With `return_sign` the pair of log |Σ b exp(a)| and the sum's sign, 0 for 0. Else NaN where the sum is negative.
    -inf where the sum is 0; a does not count where b is 0, even if it is infinite or NaN.
    ā = ȳ b exp(a) / Σ b exp(a), softmax(a) without b; b̄ = ȳ exp(a) / Σ b exp(a); both 0 where the sum is 0.
    """
    if not contains_tracer(a) and not contains_tracer(b):
        return scipy.special.logsumexp(a, axis=axis, b=b, keepdims=keepdims, return_sign=return_sign)
    current_trace()
    if b is None:
        x = floating(lift(a))
        m = _finite_shift(x, axis)
        terms = elementwise.exp(ufuncs.subtract(x, m))
    else:
        x, weights = map(floating, unify("logsumexp", a, b))
        unused = elementwise.eq(weights, fill_like(weights, 0))
        m = _finite_shift(elementwise.select(unused, fill_like(x, -np.inf), x), axis)
        exponent = ufuncs.subtract(x, m)
        # 0 · exp(a) must be 0 and have the slope exp(a) in b: only what would overflow is cut off
        limit = fill_like(x, float(np.floor(np.log(float(ml_dtypes.finfo(x.dtype).max)))))
        overflows = elementwise.logical_and(unused, elementwise.logical_not(elementwise.lt(exponent, limit)))
        terms = elementwise.mul(weights, elementwise.exp(elementwise.select(overflows, limit, exponent)))
    total = reductions.sum(terms, axis, keepdims=True)
    zero = elementwise.eq(total, fill_like(total, 0))
    size = ufuncs.absolute(total) if return_sign else total
    log = elementwise.log(elementwise.select(zero, fill_like(total, 1), size))
    found = [elementwise.add(elementwise.select(zero, fill_like(total, -np.inf), log), m)]
    if return_sign:
        found.append(elementwise.sign(total))
    if not keepdims:
        found = [squeeze(y, normalize_axes(axis, x.ndim, "logsumexp")) for y in found]
    return wrap(tuple(found) if return_sign else found[0])


def softmax(x: Any, axis: Any = None) -> Any:
    """exp(x) / Σ exp(x) over the axis (all axes for None), without overflow."""
    if not contains_tracer(x):
        return scipy.special.softmax(x, axis=axis)
    current_trace()
    v = floating(lift(x))
    terms = elementwise.exp(ufuncs.subtract(v, _shift(v, axis)))
    # one reciprocal per sum in place of a division per element, here and in the derivative
    total = reductions.sum(terms, axis, keepdims=True)
    return wrap(ufuncs.multiply(terms, elementwise.div(fill_like(total, 1), total)))


def log_softmax(x: Any, axis: Any = None) -> Any:
    """x - log Σ exp(x) over the axis (all axes for None), without overflow."""
    if not contains_tracer(x):
        return scipy.special.log_softmax(x, axis=axis)
    current_trace()
    v = floating(lift(x))
    shifted = ufuncs.subtract(v, _shift(v, axis))
    total = reductions.sum(elementwise.exp(shifted), axis, keepdims=True)
    return wrap(ufuncs.subtract(shifted, elementwise.log(total)))


def polygamma(n: Any, x: Any) -> Any:
    """The n-th derivative of digamma, n = 0, 1, 2, ...

    >>> polygamma(1, 1.0)
    np.float64(1.6449340668482266)
    """
    if not contains_tracer(n) and not contains_tracer(x):
        return scipy.special.polygamma(n, x)[()]
    current_trace()
    v, order = map(floating, unify("polygamma", x, n))
    zero = elementwise.eq(order, fill_like(order, 0))
    if type(n) is int:
        return wrap(primitives.polygamma(order, v) if n else primitives.digamma(v))
    safe = elementwise.select(zero, fill_like(order, 1), order)
    return wrap(elementwise.select(zero, primitives.digamma(v), primitives.polygamma(safe, v)))


def zeta(x: Any, q: Any = 1.0) -> Any:
    """Σ (q + k)⁻ˣ over k = 0, 1, 2, ...: Riemann's zeta function for q = 1; x > 1, NaN below. Differentiable in both.

    >>> zeta(2.0)
    np.float64(1.6449340668482266)
    """
    if not contains_tracer(x) and not contains_tracer(q):
        return scipy.special.zeta(x, q)
    current_trace()
    return wrap(primitives.zeta(*map(floating, unify("zeta", x, q))))


def multigammaln(a: Any, d: int) -> Any:
    """The logarithm of the multivariate gamma function: log(π) d (d - 1) / 4 + Σ log Γ(a - j / 2) over j < d.

    >>> multigammaln(3.0, 1)
    np.float64(0.6931471805599453)
    """
    count = static_int(d, "multigammaln", "d")
    if not contains_tracer(a):
        return scipy.special.multigammaln(a, count)
    current_trace()
    v = floating(lift(a))
    y = fill_like(v, count * (count - 1) / 4 * np.log(np.pi))
    for j in range(count):
        y = y + primitives.lgamma(v - j / 2)
    return wrap(y)


def factorial(n: Any) -> Any:
    """n! = Γ(n + 1), 0 below 0.

    >>> factorial(5)
    np.float64(120.0)
    """
    if not contains_tracer(n):
        return scipy.special.factorial(n)
    current_trace()
    v = floating(lift(n))
    negative = elementwise.lt(v, fill_like(v, 0))
    y = ufuncs.add(elementwise.select(negative, fill_like(v, 0), v), 1)
    return wrap(elementwise.select(negative, fill_like(v, 0), scipy_ufuncs.gamma(y)))


for _function in (logsumexp, softmax, log_softmax, polygamma, zeta, multigammaln, factorial):
    # SciPy's are Python functions that make plain arrays of their arguments
    REPLACEMENTS[unwrap(getattr(scipy.special, _function.__name__)).__code__] = f"lilith.special.{_function.__name__}"
