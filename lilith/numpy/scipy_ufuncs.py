"""scipy.special's ufuncs."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

from lilith.ir.graph import Value, fill_like
from lilith.numpy import ufuncs
from lilith.numpy.core import convert, floating, implements, lift
from lilith.numpy.ufunc import define
from lilith.numpy.ufuncs import is_nan
from lilith.ops import bessel, elementwise, incomplete_beta, incomplete_gamma, special
from lilith.ops.elementwise import eq, gt, log, log1p, logical_and, logical_not, lt, select

# ---- the normal distribution ---------------------------------------------------------------------------------------

_SQRT_HALF = float(np.sqrt(0.5))

erf = define(scipy.special.erf, special.erf)
erfc = define(scipy.special.erfc, special.erfc)
erfcx = define(scipy.special.erfcx, special.erfcx)
erfinv = define(scipy.special.erfinv, special.erfinv)
ndtri = define(scipy.special.ndtri, special.ndtri)


def _erfcinv(x: Value) -> Value:
    """-Φ⁻¹(x / 2) / √2, which keeps its digits for small x."""
    return special.ndtri(x * 0.5) * -_SQRT_HALF


def _ndtr(x: Value) -> Value:
    """Φ(x) = erfc(-x / √2) / 2."""
    return 0.5 * special.erfc(x * -_SQRT_HALF)


def _log_ndtr(x: Value) -> Value:
    """log Φ(x): by erfcx(t) = exp(t²) erfc(t) with t = -x / √2 where Φ may be small, by 1 - Φ beyond x = 1."""
    low = lt(x, fill_like(x, 1))
    t = select(low, x, fill_like(x, 0)) * -_SQRT_HALF
    upper = special.erfc(select(low, fill_like(x, 1), x) * _SQRT_HALF)
    return select(low, log(0.5 * special.erfcx(t)) - t * t, log1p(-0.5 * upper))


erfcinv = define(scipy.special.erfcinv, _erfcinv)
ndtr = define(scipy.special.ndtr, _ndtr)
log_ndtr = define(scipy.special.log_ndtr, _log_ndtr)

# ---- gamma, beta, Bessel -------------------------------------------------------------------------------------------

gammaln = define(scipy.special.gammaln, special.lgamma)
digamma = define(scipy.special.digamma, special.digamma)
betaln = define(scipy.special.betaln, special.betaln)
gammainc = define(scipy.special.gammainc, incomplete_gamma.gammainc)
gammaincc = define(scipy.special.gammaincc, incomplete_gamma.gammaincc)
betainc = define(scipy.special.betainc, incomplete_beta.betainc)
betaincc = define(scipy.special.betaincc, lambda a, b, x: incomplete_beta.betainc(b, a, 1 - x))
i0 = define(scipy.special.i0, bessel.i0)
i1 = define(scipy.special.i1, bessel.i1)
i0e = define(scipy.special.i0e, bessel.i0e)
i1e = define(scipy.special.i1e, bessel.i1e)


def gamma_sign(x: Value) -> Value:
    """The sign of Γ(x): -1 between -1 and 0, between -3 and -2, and so on; NaN at the poles below 0."""
    below = elementwise.floor(x)
    half = below * 0.5
    odd = logical_and(lt(x, fill_like(x, 0)), elementwise.ne(half, elementwise.floor(half)))
    pole = logical_and(lt(x, fill_like(x, 0)), eq(x, below))
    return select(pole, fill_like(x, np.nan), select(odd, fill_like(x, -1), fill_like(x, 1)))


def _gamma(x: Value) -> Value:
    """exp(log |Γ|) with its sign, formed in float64."""
    wide = convert(x, np.dtype(np.float64))
    y = elementwise.exp(special.lgamma(wide)) * gamma_sign(wide)
    return convert(select(eq(wide, fill_like(wide, 0)), 1 / wide, y), x.dtype)


def _beta(x: Value, y: Value) -> Value:
    return elementwise.exp(special.betaln(x, y)) * gamma_sign(x) * gamma_sign(y) * gamma_sign(x + y)


gamma = define(scipy.special.gamma, _gamma)
beta = define(scipy.special.beta, _beta)


@implements(np.i0)
def _numpy_i0(x: Any) -> Value:
    return bessel.i0(floating(lift(x)))


# ---- logistic and entropies ----------------------------------------------------------------------------------------

expit = define(scipy.special.expit, elementwise.logistic)


def _log_expit(x: Value) -> Value:
    """log(1 / (1 + exp(-x))) = min(x, 0) - log(1 + exp(-|x|))."""
    return elementwise.min(x, fill_like(x, 0)) - log1p(elementwise.exp(elementwise.neg(elementwise.abs(x))))


log_expit = define(scipy.special.log_expit, _log_expit)


logit = define(scipy.special.logit, special.logit)


def _times_logarithm(x: Value, y: Value, lowest: float, logarithm: elementwise.Primitive) -> Value:
    """x log(y), and 0 where x is 0 and the logarithm is not finite.

    The derivative in x is log(y) also at x = 0, and 0 where both are replaced.
    """
    inside = logical_and(gt(y, fill_like(y, lowest)), lt(y, fill_like(y, np.inf)))
    replaced = logical_and(eq(x, fill_like(x, 0)), logical_not(elementwise.logical_or(inside, is_nan(y))))
    return x * logarithm(select(replaced, fill_like(y, lowest + 1), y))


def _xlogy(x: Value, y: Value) -> Value:
    return _times_logarithm(x, y, 0.0, log)


def _entr(x: Value) -> Value:
    """-x log(x), 0 at 0 with slope 0, -inf below."""
    zero = fill_like(x, 0)
    outside = select(eq(x, zero), zero, select(lt(x, zero), fill_like(x, -np.inf), x))
    positive = gt(x, zero)
    return select(positive, elementwise.neg(x * log(select(positive, x, fill_like(x, 1)))), outside)


xlogy = define(scipy.special.xlogy, _xlogy)
xlog1py = define(scipy.special.xlog1py, lambda x, y: _times_logarithm(x, y, -1.0, log1p))
entr = define(scipy.special.entr, _entr)


def _divergence(x: Value, y: Value, beyond: bool) -> Value:
    """x log(x / y), with - x + y `beyond` it; its limit at x = 0 <= y, else infinite outside of x > 0 and y > 0."""
    zero = fill_like(x, 0)
    inside = logical_and(gt(x, zero), gt(y, zero))
    u, v = select(inside, x, fill_like(x, 1)), select(inside, y, fill_like(y, 1))
    edge = logical_and(eq(x, zero), elementwise.ge(y, zero))
    outside = select(edge, y if beyond else zero, fill_like(x, np.inf))
    outside = select(elementwise.logical_or(is_nan(x), is_nan(y)), fill_like(x, np.nan), outside)
    value = u * log(u / v)
    return select(inside, value - u + v if beyond else value, outside)


rel_entr = define(scipy.special.rel_entr, lambda x, y: _divergence(x, y, False))
kl_div = define(scipy.special.kl_div, lambda x, y: _divergence(x, y, True))

# ---- NumPy's own under SciPy's name --------------------------------------------------------------------------------

for _theirs, _ours in (
    (scipy.special.exp2, ufuncs.exp2),
    (scipy.special.expm1, ufuncs.expm1),
    (scipy.special.log1p, ufuncs.log1p),
    (scipy.special.cbrt, ufuncs.cbrt),
):
    if isinstance(_theirs, np.ufunc) and _theirs is not _ours.ufunc:
        define(_theirs, _ours.rule)
define(scipy.special.exp10, lambda x: elementwise.pow(fill_like(x, 10), x))
