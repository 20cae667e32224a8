"""Special functions: elementwise primitives whose reference is scipy.special.

A reference is evaluated in float64 and rounded to the operand's dtype. The formulas named in FORMULAS are what
the lowering computes where XLA has no operation, or has one that is not accurate everywhere.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from lilith.ir.graph import Value, fill_like
from lilith.ir.primitive import Primitive
from lilith.ops.elementwise import (
    FLOATING,
    abs,
    binary,
    exp,
    log,
    log1p,
    logical_and,
    logical_or,
    max,
    min,
    neg,
    scale,
    sign,
    sqrt,
    unary,
)
from lilith.ops.expansion import chosen, compared, epsilon, polynomial
from lilith.source import GradientError

_TWO_OVER_SQRT_PI = 2 / np.sqrt(np.pi)
_SQRT_2 = math.sqrt(2)
_SQRT_2PI = math.sqrt(2 * math.pi)


def widened(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function evaluated in float64 (SciPy's own float32 loops are less exact), rounded to the operands' dtype."""

    def eval(*operands: np.ndarray, **params: Any) -> np.ndarray:
        y = np.asarray(function(*[x.astype(np.float64) for x in operands], **params))
        return y.astype(operands[0].dtype)

    return eval


def _raise_no_gradient(reason: str) -> None:
    raise GradientError(reason, hint="lilith.stop_gradient(n) if it is a constant")


# ---- the error function ---------------------------------------------------------------------------------------------

erf: Primitive = unary(
    "erf", FLOATING, widened(scipy.special.erf), lambda g, y, x: scale(g, _TWO_OVER_SQRT_PI * exp(-(x * x)))
)
erfc: Primitive = unary(
    "erfc", FLOATING, widened(scipy.special.erfc), lambda g, y, x: scale(g, -_TWO_OVER_SQRT_PI * exp(-(x * x)))
)
erfcx: Primitive = unary(
    "erfcx", FLOATING, widened(scipy.special.erfcx), lambda g, y, x: scale(g, 2 * (x * y) - _TWO_OVER_SQRT_PI)
)
"""exp(x²) erfc(x), which neither underflows nor loses digits for large x."""

# Cody, Rational Chebyshev approximations for the error function, Math. Comp. 23 (1969) 631-637: numerators and
# denominators from the constant term up, of erf(x) / x in x² below 0.46875, of erfcx(x) in x up to 4, and of
# (1 / √π - x erfcx(x)) x² in 1 / x² beyond
_ERF_NEAR = (
    (3.20937758913846947e3, 3.77485237685302021e2, 1.13864154151050156e2, 3.16112374387056560, 1.85777706184603153e-1),
    (2.84423683343917062e3, 1.28261652607737228e3, 2.44024637934444173e2, 2.36012909523441209e1, 1.0),
)
_ERFCX_MIDDLE = (
    (
        *(1.23033935479799725e3, 2.05107837782607147e3, 1.71204761263407058e3, 8.81952221241769090e2),
        *(2.98635138197400131e2, 6.61191906371416295e1, 8.88314979438837594, 5.64188496988670089e-1),
        2.15311535474403846e-8,
    ),
    (
        *(1.23033935480374942e3, 3.43936767414372164e3, 4.36261909014324716e3, 3.29079923573345963e3),
        *(1.62138957456669019e3, 5.37181101862009858e2, 1.17693950891312499e2, 1.57449261107098347e1),
        1.0,
    ),
)
_ERFCX_FAR = (
    (
        *(6.58749161529837803e-4, 1.60837851487422766e-2, 1.25781726111229246e-1, 3.60344899949804439e-1),
        *(3.05326634961232344e-1, 1.63153871373020978e-2),
    ),
    (
        *(2.33520497626869185e-3, 6.05183413124413191e-2, 5.27905102951428412e-1, 1.87295284992346047),
        *(2.56852019228982242, 1.0),
    ),
)


def _rational(x: Value, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Value:
    return polynomial(x, coefficients[0]) / polynomial(x, coefficients[1])


def _erfcx_formula(x: Value) -> Value:
    """Below 0 by erfc(-x) = 2 - erfc(x)."""
    size = abs(x)
    near, far = compared("lt", size, 0.46875), compared("gt", size, 4.0)
    small, large = chosen(near, size, 0.0), chosen(far, size, 8.0)
    middle = min(max(size, fill_like(x, 0.46875)), fill_like(x, 4.0))
    square, inverse = small * small, 1 / (large * large)
    tail = (1 / math.sqrt(math.pi) - inverse * _rational(inverse, _ERFCX_FAR)) / large
    by_erf = exp(square) * (1 - small * _rational(square, _ERF_NEAR))
    y = chosen(near, by_erf, chosen(far, tail, _rational(middle, _ERFCX_MIDDLE)))
    return chosen(compared("lt", x, 0.0), 2 * exp(x * x) - y, y)


# ---- quantiles of the normal distribution ---------------------------------------------------------------------------

# Wichura, Algorithm AS 241, Applied Statistics 37 (1988) 477-484, PPND16 and PPND7: numerators and denominators from
# the constant term up, for the centre in 0.180625 - (p - 1/2)², for the tails in √(-log p) - 1.6 and √(-log p) - 5
_PPND16 = (
    (
        (
            *(3.3871328727963666080, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4),
            *(4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
        ),
        (
            *(1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3),
            *(2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
        ),
    ),
    (
        (
            *(1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504),
            *(1.27045825245236838258, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
        ),
        (
            *(1.0, 2.05319162663775882187, 1.67638483018380384940, 6.89767334985100004550e-1),
            *(
                1.48103976427480074590e-1,
                1.51986665636164571966e-2,
                5.47593808499534494600e-4,
                1.05075007164441684324e-9,
            ),
        ),
    ),
    (
        (
            *(6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 2.96560571828504891230e-1),
            *(
                2.65321895265761230930e-2,
                1.24266094738807843860e-3,
                2.71155556874348757815e-5,
                2.01033439929228813265e-7,
            ),
        ),
        (
            *(1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2),
            *(
                7.86869131145613259100e-4,
                1.84631831751005468180e-5,
                1.42151175831644588870e-7,
                2.04426310338993978564e-15,
            ),
        ),
    ),
)
_PPND7 = (
    ((3.3871327179, 50.434271938, 159.29113202, 59.109374720), (1.0, 17.895169469, 78.757757664, 67.187563600)),
    ((1.4234372777, 2.7568153900, 1.3067284816, 0.17023821103), (1.0, 0.73700164250, 0.12021132975)),
    ((6.6579051150, 3.0812263860, 0.42868294337, 0.017337203997), (1.0, 0.24197894225, 0.012258202635)),
)


def _normal_quantile(centred: Value, tail: Value) -> Value:
    """The size of the normal quantile: `centred` is |p - 1/2|, `tail` the smaller of p and 1 - p."""
    centre, middle, far = _PPND16 if epsilon(tail) < 1e-10 else _PPND7
    r = sqrt(neg(log(tail)))
    by_centre, by_middle = compared("le", centred, 0.425), compared("le", r, 5.0)
    t = chosen(by_centre, 0.180625 - centred * centred, r - chosen(by_middle, fill_like(r, 1.6), 5.0))
    parts = []
    for i in range(2):
        outer = chosen(by_middle, polynomial(t, middle[i]), polynomial(t, far[i]))
        parts.append(chosen(by_centre, polynomial(t, centre[i]), outer))
    # one quotient with one use: XLA makes one loop of it all
    size = parts[0] * chosen(by_centre, centred, 1.0) / parts[1]
    return chosen(compared("eq", tail, 0.0), np.inf, size)


def _erfinv_formula(x: Value) -> Value:
    """erfinv(x) = Φ⁻¹((1 + x) / 2) / √2."""
    size = abs(x)
    y = _normal_quantile(0.5 * size, 0.5 * (1 - size)) * (1 / _SQRT_2)
    return chosen(compared("gt", size, 1.0), np.nan, sign(x) * y)


def _ndtri_formula(p: Value) -> Value:
    centred = p - 0.5
    y = sign(centred) * _normal_quantile(abs(centred), min(p, 1 - p))
    outside = logical_or(compared("lt", p, 0.0), compared("gt", p, 1.0))
    return chosen(outside, np.nan, y)


erfinv: Primitive = unary(
    "erfinv", FLOATING, widened(scipy.special.erfinv), lambda g, y, x: scale(g, (1 / _TWO_OVER_SQRT_PI) * exp(y * y))
)
ndtri: Primitive = unary(
    "ndtri", FLOATING, widened(scipy.special.ndtri), lambda g, y, p: scale(g, _SQRT_2PI * exp(0.5 * (y * y)))
)
"""The quantile Φ⁻¹(p) of the normal distribution."""

# ---- the logit ------------------------------------------------------------------------------------------------------


def _logit_formula(x: Value) -> Value:
    """log(x / (1 - x)) as ± log(1 + |2 x - 1| / min(x, 1 - x)): digits are lost nowhere, nor near 1/2."""
    s, smaller = x + x - 1, min(x, 1 - x)
    ratio = chosen(compared("eq", smaller, 0.0), np.inf, abs(s) / smaller)  # also of a negative zero
    return sign(s) * log1p(ratio)


logit: Primitive = unary("logit", FLOATING, widened(scipy.special.logit), lambda g, y, x: scale(g, 1 / (x * (1 - x))))

# ---- the gamma function and its logarithmic derivatives -------------------------------------------------------------

lgamma: Primitive = unary("lgamma", FLOATING, widened(scipy.special.gammaln), lambda g, y, x: scale(g, digamma(x)))
digamma: Primitive = unary(
    "digamma", FLOATING, widened(scipy.special.digamma), lambda g, y, x: scale(g, polygamma(fill_like(x, 1), x))
)


def _polygamma(n: np.ndarray, x: np.ndarray) -> np.ndarray:
    return scipy.special.polygamma(n.astype(np.int64), x)


polygamma: Primitive = binary(
    "polygamma",
    FLOATING,
    widened(_polygamma),
    lambda g, z, n, x: _raise_no_gradient("polygamma: its order is an integer and has no derivative"),
    lambda g, z, n, x: scale(g, polygamma(n + 1, x)),
)


@functools.cache
def _near_two(count: int) -> list[float]:
    """log Γ(2 + z) = (1 - γ) z + Σ (-1)ᵏ (ζ(k) - 1) zᵏ / k (Abramowitz and Stegun 6.1.33)."""
    return [1 - np.euler_gamma, *((-1) ** k * float(scipy.special.zetac(k)) / k for k in range(2, count))]


def _log_gamma_near_two(z: Value) -> Value:
    """log Γ(2 + z) for |z| <= 1/2, to a few units in the last place also near its zero."""
    return z * polynomial(z, _near_two(28 if epsilon(z) < 1e-10 else 14))


def lgamma_formula(x: Value, general: Value) -> Value:
    """log Γ(x) from a general approximation, which loses digits at the zeros 1 and 2."""
    near_one = logical_and(compared("gt", x, 0.5), compared("le", x, 1.5))
    near_two = logical_and(compared("gt", x, 1.5), compared("lt", x, 2.5))
    z = chosen(near_one, x - 1, chosen(near_two, x - 2, 0.0))
    near = _log_gamma_near_two(z) - log(chosen(near_one, x, 1.0))
    return chosen(logical_or(near_one, near_two), near, general)


def log_gamma_plus_one(a: Value) -> Value:
    """log Γ(1 + a) for a > 0, also near 0."""
    small = compared("le", a, 0.5)
    near = chosen(small, a, 0.0)
    return chosen(small, _log_gamma_near_two(near) - log1p(near), lgamma(1 + a))


def digamma_formula(x: Value, general: Value) -> Value:
    """The pole at 0, which has a sign."""
    return chosen(compared("eq", x, 0.0), -1 / x, general)


def polygamma_formula(n: Value, x: Value, general: Value) -> Value:
    """0 at infinity."""
    return chosen(logical_and(compared("eq", x, np.inf), compared("gt", n, 0.0)), 0.0, general)


def stirling_remainder(x: Value) -> Value:
    """log Γ(x) - ((x - 1/2) log x - x + log(2π) / 2) for x >= 8: Σ B₂ₖ / (2k (2k - 1) x²ᵏ⁻¹) (DLMF 5.11.1)."""
    inverse = 1 / x
    terms = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156]
    return inverse * polynomial(inverse * inverse, terms if epsilon(x) < 1e-10 else terms[:3])


STIRLING_FROM = 8.0
"""From here on logarithms of the gamma function are taken in Stirling's form, where differences do not cancel."""


def _betaln_formula(x: Value, y: Value) -> Value:
    """log Γ(a) + log Γ(b) - log Γ(a + b), a <= b, with Stirling's form of those that are large: no cancellation.

    Didonato and Morris, Algorithm 708, ACM TOMS 18 (1992), section 2.
    """
    a, b = min(x, y), max(x, y)
    total = a + b
    both = compared("ge", a, STIRLING_FROM)
    one = logical_and(compared("ge", b, STIRLING_FROM), compared("ge", total, STIRLING_FROM))
    low, high = chosen(both, a, STIRLING_FROM), chosen(one, b, STIRLING_FROM)
    whole = chosen(one, total, STIRLING_FROM)
    ratio = chosen(one, a, 0.0) / high
    remainder = stirling_remainder(high) - stirling_remainder(whole)
    large = (low - 0.5) * log(low / (low + high)) - high * log1p(low / high) + stirling_remainder(low) + remainder
    large = large + (0.5 * math.log(2 * math.pi) - 0.5 * log(high))
    mixed = lgamma(a) + remainder - (whole - 0.5) * log1p(ratio) - a * (log(high) - 1)
    return chosen(both, large, chosen(one, mixed, lgamma(a) + lgamma(b) - lgamma(total)))


betaln: Primitive = binary(
    "betaln",
    FLOATING,
    widened(scipy.special.betaln),
    lambda g, z, x, y: scale(g, digamma(x) - digamma(x + y)),
    lambda g, z, x, y: scale(g, digamma(y) - digamma(x + y)),
)

# ---- Hurwitz' zeta function -----------------------------------------------------------------------------------------


def _zeta_rule_x(g: Value, z: Value, x: Value, q: Value) -> Value:
    """The derivative of the Euler-Maclaurin sum of Σ (q + k)⁻ˣ (DLMF 25.11.5), term by term; q > 0."""
    total: Any = 0.0
    for k in range(_ZETA_TERMS):
        base = log(q + k)
        total = base * exp(neg(x * base)) + total
    w = q + _ZETA_TERMS
    base = log(w)
    power = exp(neg(x * base))
    derivative = neg(total) - w * power * (base + 1 / (x - 1)) / (x - 1) - 0.5 * (base * power)
    rising, slopes, factor = x, 1 / x, power / w
    for j in range(1, 11):
        bernoulli = float(scipy.special.bernoulli(2 * j)[-1]) / math.factorial(2 * j)
        derivative = derivative + bernoulli * (rising * factor * (slopes - base))
        for m in (2 * j - 1, 2 * j):
            rising, slopes = rising * (x + m), slopes + 1 / (x + m)
        factor = factor / (w * w)
    return scale(g, derivative)


_ZETA_TERMS = 10

zeta: Primitive = binary(
    "zeta",
    FLOATING,
    widened(scipy.special.zeta),
    _zeta_rule_x,
    lambda g, z, x, q: scale(g, neg(x * zeta(x + 1, q))),
)
"""ζ(x, q) = Σ (q + k)⁻ˣ over k >= 0; x > 1."""


def zeta_formula(x: Value, q: Value, general: Value) -> Value:
    """Only the first term counts at x = ∞: ∞, 1 or 0 as q is below 1, 1 or above."""
    limit = chosen(compared("lt", q, 1.0), np.inf, chosen(compared("eq", q, 1.0), fill_like(x, 1), 0.0))
    return chosen(logical_and(compared("eq", x, np.inf), compared("gt", q, 0.0)), limit, general)


FORMULAS: dict[str, Callable[..., Value]] = {
    "erfcx": _erfcx_formula,
    "erfinv": _erfinv_formula,
    "ndtri": _ndtri_formula,
    "logit": _logit_formula,
    "betaln": _betaln_formula,
}
"""How the lowering computes these primitives."""

CORRECTIONS: dict[str, Callable[..., Value]] = {
    "lgamma": lgamma_formula,
    "digamma": digamma_formula,
    "polygamma": polygamma_formula,
    "zeta": zeta_formula,
}
"""What the lowering makes of XLA's result, the last argument."""
