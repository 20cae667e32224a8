"""The incomplete beta function, the density it integrates, and the derivatives by its parameters.

Iₓ(a, b) = ∫₀ˣ p(a, b, t) dt with the density p of the beta distribution. Derivatives by a and b are kept as quotients
G = (∂ⁱ⁺ʲI / ∂aⁱ∂bʲ) / p. They come from the continued fraction with terms that are Taylor series in a and b, after Boik
and Robison-Cox (Derivatives of the incomplete beta function, Journal of Statistical Software 3, 1998).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from lilith.ir.graph import Value, fill_like
from lilith.ir.primitive import Primitive, per_operand
from lilith.ops.elementwise import (
    elementwise_batch,
    exp,
    log,
    log1p,
    logical_and,
    logical_or,
    max,
    min,
    mul,
    neg,
    scale,
    scale_cotangent,
)
from lilith.ops.expansion import (
    Order,
    Pair,
    Series,
    Slopes,
    chosen,
    compared,
    constant_series,
    continued_fraction,
    derivative_of,
    evaluated,
    orders_up_to,
    over_linear,
    ratio_excess,
    series_exponential,
    series_product,
    times_linear,
)
from lilith.ops.incomplete_gamma import family_type
from lilith.ops.special import STIRLING_FROM, betaln, digamma, polygamma, stirling_remainder, widened

# ---- the beta density -----------------------------------------------------------------------------------------------


def _log_complement(x: Value) -> Value:
    """log(1 - x)."""
    small = compared("lt", x, 0.25)
    return chosen(small, log1p(neg(chosen(small, x, 0.0))), log(1 - x))


def _log_weight(a: Value, b: Value, x: Value) -> Value:
    """log(xᵃ (1 - x)ᵇ / B(a, b)); for large a and b by their distance from the mode, without cancellation."""
    large = compared("ge", min(a, b), STIRLING_FROM)
    m, n = chosen(large, a, STIRLING_FROM), chosen(large, b, STIRLING_FROM)
    total = m + n
    distance = m * ratio_excess(x, m / total) + n * ratio_excess(1 - x, n / total)
    remainder = stirling_remainder(total) - stirling_remainder(m) - stirling_remainder(n)
    stirling = distance + 0.5 * log(m / total * n * (1 / (2 * math.pi))) + remainder
    return chosen(large, stirling, a * log(x) + b * _log_complement(x) - betaln(a, b))


def _within(a: Value, b: Value, x: Value) -> tuple[Value, Value, Value, Value]:
    """Where a, b and x are inside of the open domain; and harmless numbers in place of those that are not."""
    inside = logical_and(compared("gt", x, 0.0), compared("lt", x, 1.0))
    for c in (a, b):
        inside = logical_and(inside, logical_and(compared("gt", c, 0.0), compared("lt", c, np.inf)))
    return inside, chosen(inside, a, 1.0), chosen(inside, b, 1.0), chosen(inside, x, 0.5)


def _beta_density_formula(a: Value, b: Value, x: Value) -> Value:
    """At x = 0 and 1 the limits; 0 outside."""
    inside, p, q, t = _within(a, b, x)
    y = exp(_log_weight(p, q, t) - log(t) - _log_complement(t))
    left, right = compared("eq", x, 0.0), compared("eq", x, 1.0)
    near, other = chosen(left, a, b), chosen(left, b, a)
    limit = chosen(compared("lt", near, 1.0), np.inf, chosen(compared("eq", near, 1.0), other, 0.0))
    outside = chosen(left, limit, chosen(right, limit, 0.0))
    valid = compared("eq", x, x)
    for c in (a, b):
        valid = logical_and(valid, logical_and(compared("gt", c, 0.0), compared("lt", c, np.inf)))
    return chosen(valid, chosen(inside, y, outside), np.nan)


def _scores(a: Value, b: Value, x: Value) -> tuple[Value, Value]:
    """∂ log p / ∂a and ∂ log p / ∂b."""
    both = digamma(a + b)
    return log(x) - digamma(a) + both, _log_complement(x) - digamma(b) + both


def _slope(a: Value, b: Value, x: Value) -> Value:
    """∂ log p / ∂x."""
    return (a - 1) / x - (b - 1) / (1 - x)


beta_density: Primitive = Primitive(
    "beta_density",
    type=family_type("beta_density"),
    eval=evaluated(_beta_density_formula),
    vjp=per_operand(
        lambda g, p, a, b, x: scale(g, p * _scores(a, b, x)[0]),
        lambda g, p, a, b, x: scale(g, p * _scores(a, b, x)[1]),
        lambda g, p, a, b, x: scale(g, p * _slope(a, b, x)),
    ),
    batch=elementwise_batch("beta_density"),
)
"""p(a, b, x) = xᵃ⁻¹ (1 - x)ᵇ⁻¹ / B(a, b)."""


def _score_series(a: Value, b: Value, x: Value, order: Order) -> Series:
    """log p(a + δ, b + ε, x) - log p(a, b, x)."""
    s: Series = {}
    for i, j in orders_up_to(order):
        k = i + j
        if k == 0:
            s[(i, j)] = fill_like(a, 0)
        elif k == 1:
            s[(i, j)] = _scores(a, b, x)[j]
        else:
            n = fill_like(a, k - 1)
            derivative = polygamma(n, a + b)
            if i * j == 0:
                derivative = derivative - polygamma(n, a if i else b)
            s[(i, j)] = derivative * (1 / (math.factorial(i) * math.factorial(j)))
    return s


# ---- the fraction ---------------------------------------------------------------------------------------------------

Linear = tuple[Value, Slopes]
"""c + slopes·(δ, ε)."""


def _times_ratio(s: Series, x: Value, above: tuple[Linear, ...], below: tuple[Linear, Linear]) -> Series:
    """s x Π above / Π below."""
    if len(s) == 1:
        for c, _ in above:
            x = x * c
        return {k: v * (x / (below[0][0] * below[1][0])) for k, v in s.items()}
    s = {k: v * x for k, v in s.items()}
    for c, slopes in above:
        s = times_linear(s, c, slopes)
    for c, slopes in below:
        s = over_linear(s, c, slopes)
    return s


def _plus(s: Series, t: Series) -> Series:
    return {k: s[k] + t[k] for k in s}


def _beta_fraction(a: Linear, b: Linear, x: Value, mask: Value, order: Order) -> Series:
    """F = 1 / (1 + d₁ / (1 + d₂ / (1 + ...))) where the mask holds: I = p x (1 - x) F / a (DLMF 8.17.22).

    d₂ₘ = m (b - m) x / ((a + 2m - 1) (a + 2m)), d₂ₘ₊₁ = -(a + m) (a + b + m) x / ((a + 2m) (a + 2m + 1)).
    """
    (p, da), (q, db) = a, b
    dab = tuple(s + t for s, t in zip(da, db, strict=True))

    def odd(s: Series, m: Any, even: Value) -> Series:
        above = ((p + m, da), (p + q + m, dab))
        return _times_ratio(s, neg(x), above, ((even, da), (even + 1, da)))

    def advance(m: Value, old: Series, new: Series) -> Pair:
        even = p + m + m
        first = _plus(new, _times_ratio(old, m * x, ((q - m, db),), ((even - 1, da), (even, da))))
        return first, _plus(first, odd(new, m, even))

    one = constant_series(fill_like(x, 1), order)
    return continued_fraction(mask, (one, one), (one, _plus(one, odd(one, 0.0, p))), advance)


def _oriented(a0: Value, b0: Value, x0: Value, order: Order) -> tuple[Value, ...]:
    """The value of p⁻¹ ∂ⁱ⁺ʲI / ∂aⁱ∂bʲ where it comes from the fraction at x, minus it where at 1 - x; which; and a, b
    and x with harmless numbers outside of the open domain; where that is."""
    inside, a, b, x = _within(a0, b0, x0)
    turned = compared("gt", x, (a + 1) / (a + b + 2))
    p, q = chosen(turned, b, a), chosen(turned, a, b)
    t = chosen(turned, 1 - x, x)
    one, zero = fill_like(a, 1), fill_like(a, 0)
    straight, crossed = chosen(turned, zero, one), chosen(turned, one, zero)
    da, db = (straight, crossed), (crossed, straight)
    fraction = _beta_fraction((p, da), (q, db), t, inside, order)
    growth = series_exponential(_score_series(a, b, x, order))
    total = over_linear(series_product(growth, fraction), p, da)
    return derivative_of(total, order), turned, a, b, x, inside


def _betainc_formula(a0: Value, b0: Value, x0: Value) -> Value:
    part, turned, a, b, x, inside = _oriented(a0, b0, x0, (0, 0))
    tail = min(exp(_log_weight(a, b, x)) * part, fill_like(a, 1))
    y = chosen(inside, chosen(turned, 1 - tail, tail), 0.0)
    valid = compared("eq", x0 + a0 + b0, x0 + a0 + b0)
    for low, v in ((0.0, x0), (0.0, a0), (0.0, b0)):
        valid = logical_and(valid, compared("ge", v, low))
    valid = logical_and(valid, compared("le", x0, 1.0))
    valid = logical_and(valid, compared("gt", max(a0, b0), 0.0))
    valid = logical_and(valid, compared("lt", min(a0, b0), np.inf))
    # all of the mass is at 0 where a = 0 or b = ∞, else at 1: b = 0 or a = ∞
    at_left = logical_or(compared("eq", a0, 0.0), compared("eq", b0, np.inf))
    mass = chosen(at_left, fill_like(a, 1), 0.0)
    ends = chosen(compared("eq", x0, 0.0), fill_like(a, 0), chosen(compared("eq", x0, 1.0), fill_like(a, 1), mass))
    return chosen(valid, chosen(inside, y, ends), np.nan)


def _betainc_quotient_formula(a0: Value, b0: Value, x0: Value, *, order: Order) -> Value:
    part, turned, _, _, x, inside = _oriented(a0, b0, x0, order)
    y = part * x * (1 - x)
    valid = logical_and(compared("ge", x0, 0.0), compared("le", x0, 1.0))
    return chosen(inside, chosen(turned, neg(y), y), chosen(valid, fill_like(y, 0), np.nan))


def _betainc_quotient_rules(g: Value, y: Value, a: Value, b: Value, x: Value, *, wanted: Any, order: Order) -> tuple:
    """∂G/∂a = G of the next order - G ∂ log p / ∂a; ∂G/∂x = (∂ⁱ⁺ʲp / ∂aⁱ∂bʲ) / p - G ∂ log p / ∂x."""
    found: list[Value | None] = [None, None, None]
    for k, higher in enumerate(((order[0] + 1, order[1]), (order[0], order[1] + 1))):
        if wanted[k]:
            found[k] = scale(g, betainc_quotient(a, b, x, order=higher) - mul(y, _scores(a, b, x)[k]))
    if wanted[2]:
        growth = derivative_of(series_exponential(_score_series(a, b, x, order)), order)
        found[2] = scale(g, growth - mul(y, _slope(a, b, x)))
    return tuple(found)


betainc_quotient: Primitive = Primitive(
    "betainc_quotient",
    type=family_type("betainc_quotient"),
    eval=evaluated(_betainc_quotient_formula),
    vjp=_betainc_quotient_rules,
    batch=elementwise_batch("betainc_quotient"),
)
"""G = (∂ⁱ⁺ʲI / ∂aⁱ∂bʲ) / (∂I/∂x), (i, j) = `order`."""


def _betainc_rule(order: Order) -> Callable[..., Value]:
    return lambda g, y, a, b, x: scale(
        g, scale_cotangent(betainc_quotient(a, b, x, order=order), beta_density(a, b, x))
    )


betainc: Primitive = Primitive(
    "betainc",
    type=family_type("betainc"),
    eval=widened(scipy.special.betainc),
    vjp=per_operand(
        _betainc_rule((1, 0)), _betainc_rule((0, 1)), lambda g, y, a, b, x: scale(g, beta_density(a, b, x))
    ),
    batch=elementwise_batch("betainc"),
)
"""Iₓ(a, b) = ∫₀ˣ p(a, b, t) dt; x̄ = ȳ p, ā = ȳ p G."""

FORMULAS: dict[str, Callable[..., Value]] = {
    "beta_density": _beta_density_formula,
    "betainc": _betainc_formula,
    "betainc_quotient": _betainc_quotient_formula,
}
"""How the lowering computes these primitives."""
