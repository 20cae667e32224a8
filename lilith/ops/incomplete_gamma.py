"""The incomplete gamma function, the density it integrates, and the derivatives by its parameter.

P(a, x) = ∫₀ˣ p(a, t) dt with the density p of the gamma distribution; Q = 1 - P. Derivatives by a are kept as quotients
G = (∂ᵏP/∂aᵏ) / p, which neither overflow nor underflow: -G of first order is also how a sample moves with its parameter
while its probability stays (Figurnov, Mohamed and Mnih, Implicit reparameterization gradients, 2018).

The quotients come from a power series and a continued fraction whose terms are Taylor series in a, after Moore
(Algorithm AS 187, Applied Statistics 31, 1982).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from lilith.ir.graph import Value, fill_like
from lilith.ir.primitive import Primitive, per_operand
from lilith.ir.type import TensorType
from lilith.ops.elementwise import (
    FLOATING,
    check_kind,
    check_same,
    elementwise_batch,
    exp,
    expm1,
    log,
    logical_and,
    logical_not,
    logical_or,
    max,
    min,
    mul,
    neg,
    scale,
    scale_cotangent,
)
from lilith.ops.expansion import (
    LIMIT,
    Pair,
    Series,
    any_of,
    chosen,
    compared,
    constant_series,
    continued_fraction,
    derivative_of,
    epsilon,
    evaluated,
    loop,
    orders_up_to,
    over_linear,
    ratio_excess,
    series_exponential,
    series_product,
    times_linear,
    unconverged,
)
from lilith.ops.special import (
    STIRLING_FROM,
    digamma,
    lgamma,
    log_gamma_plus_one,
    polygamma,
    stirling_remainder,
    widened,
)


def family_type(name: str) -> Callable[..., TensorType]:
    """The type slot of a primitive whose operands are all of one floating type."""

    def type(*operands: TensorType, order: Any = 0) -> TensorType:
        both = check_same(name, *operands)
        check_kind(name, FLOATING, both)
        return both

    return type


# ---- the gamma density ----------------------------------------------------------------------------------------------


def _log_weight(a: Value, x: Value) -> Value:
    """log(xᵃ exp(-x) / Γ(a))."""
    large = compared("ge", a, STIRLING_FROM)
    big, small = chosen(large, a, STIRLING_FROM), chosen(large, 1.0, a)
    stirling = big * ratio_excess(x, big) + 0.5 * log(big * (1 / (2 * math.pi))) - stirling_remainder(big)
    return chosen(large, stirling, a * log(x) - x - lgamma(small))


def _within(a: Value, x: Value) -> tuple[Value, Value, Value]:
    """Where a and x are inside of the open domain; and harmless numbers in place of those that are not."""
    inside = logical_and(compared("gt", a, 0.0), logical_and(compared("gt", x, 0.0), compared("lt", x, np.inf)))
    inside = logical_and(inside, compared("lt", a, np.inf))
    return inside, chosen(inside, a, 1.0), chosen(inside, x, 1.0)


def _gamma_density_formula(a: Value, x: Value) -> Value:
    """At x = 0 the limit; 0 below."""
    inside, b, t = _within(a, x)
    y = exp(_log_weight(b, t) - log(t))
    at_zero = chosen(compared("lt", a, 1.0), np.inf, chosen(compared("eq", a, 1.0), fill_like(a, 1), 0.0))
    outside = chosen(compared("eq", x, 0.0), at_zero, 0.0)
    valid = logical_and(logical_and(compared("gt", a, 0.0), compared("lt", a, np.inf)), compared("eq", x, x))
    return chosen(valid, chosen(inside, y, outside), np.nan)


gamma_density: Primitive = Primitive(
    "gamma_density",
    type=family_type("gamma_density"),
    eval=evaluated(_gamma_density_formula),
    vjp=per_operand(
        lambda g, p, a, x: scale(g, p * _gamma_score(a, x)),
        lambda g, p, a, x: scale(g, p * ((a - 1) / x - 1)),
    ),
    batch=elementwise_batch("gamma_density"),
)
"""p(a, x) = xᵃ⁻¹ exp(-x) / Γ(a); ā = p̄ p (log x - ψ(a)), x̄ = p̄ p ((a - 1) / x - 1)."""


def _gamma_score(a: Value, x: Value) -> Value:
    """∂ log p / ∂a."""
    return log(x) - digamma(a)


def _gamma_score_series(a: Value, x: Value, order: int) -> Series:
    """log p(a + δ, x) - log p(a, x)."""
    s = {(0, 0): fill_like(a, 0)}
    for k in range(1, order + 1):
        derivative = _gamma_score(a, x) if k == 1 else neg(polygamma(fill_like(a, k - 1), a))
        s[(k, 0)] = derivative if k == 1 else derivative * (1 / math.factorial(k))
    return s


# ---- a sum and a fraction --------------------------------------------------------------------------------------------


def _gamma_sum(a: Value, x: Value, mask: Value, order: int) -> Series:
    """S(a + δ, x) = Σ xⁿ / ((a + 1) ... (a + n)) where the mask holds: P = p x S / a (DLMF 8.7.1)."""
    a, x = chosen(mask, a, 1.0), chosen(mask, x, 0.0)
    orders = orders_up_to((order, 0))
    count = len(orders)
    one = constant_series(fill_like(a, 1), (order, 0))

    def step(active: Value, n: Value, *flat: Value) -> tuple[Value, ...]:
        term, total = (dict(zip(orders, flat[i * count :][:count], strict=True)) for i in range(2))
        n = n + 1
        term = over_linear({k: t * x for k, t in term.items()}, a + n, (1, 0))
        total = {k: total[k] + term[k] for k in orders}
        unfinished = logical_and(unconverged(term, total), compared("lt", n, float(LIMIT)))
        return (unfinished, n, *term.values(), *total.values())

    start = (mask, fill_like(a, 0), *one.values(), *one.values())
    _, _, *flat = loop(lambda active, *_: any_of(active), step, start)
    return dict(zip(orders, flat[count:], strict=True))


def _gamma_fraction(a: Value, x: Value, mask: Value, order: int) -> Series:
    """F(a + δ, x) = 1 / (x + 1 - a - (1 - a) / (x + 3 - a - 2 (2 - a) / ...)) where the mask holds: Q = p x F.

    DLMF 8.9.2.
    """
    a, x = chosen(mask, a, 1.0), chosen(mask, x, 2.0)
    one, zero = (constant_series(fill_like(a, v), (order, 0)) for v in (1, 0))
    slopes = (-1.0, 0.0)

    def advance(n: Value, old: Series, new: Series) -> Pair:
        by_new = times_linear(new, x + 1 - a + n + n, slopes)
        by_old = times_linear({k: n * v for k, v in old.items()}, n - a, slopes)
        return new, {k: by_new[k] - by_old[k] for k in new}

    return continued_fraction(mask, (zero, one), (one, times_linear(one, x + 1 - a, slopes)), advance)


# ---- incomplete gamma -----------------------------------------------------------------------------------------------


def _gamma_regions(a: Value, x: Value) -> tuple[Value, Value, Value, Value, Value]:
    """a and x with harmless numbers outside of the open domain; where that is; where the sum is used, where the
    fraction."""
    inside, a, x = _within(a, x)
    by_sum = logical_or(compared("le", x, 1.0), compared("lt", x, a))
    return a, x, inside, by_sum, logical_not(by_sum)


def _at_edges(a: Value, x: Value, inside: Value, y: Value, low: float, high: float) -> Value:
    """y inside of the domain; `low` at x = 0, `high` at a = 0 or x = ∞, NaN where a or x are negative or both are 0."""
    valid = logical_and(compared("ge", a, 0.0), compared("ge", x, 0.0))
    zero = logical_and(compared("eq", a, 0.0), compared("eq", x, 0.0))
    both_infinite = logical_and(compared("eq", a, np.inf), compared("eq", x, np.inf))
    valid = logical_and(valid, logical_not(logical_or(zero, both_infinite)))
    at_low = logical_or(compared("eq", x, 0.0), compared("eq", a, np.inf))
    edge = chosen(at_low, fill_like(a, low), high)
    return chosen(inside, y, chosen(valid, edge, np.nan))


def _gammainc_formula(a0: Value, x0: Value) -> Value:
    a, x, inside, by_sum, by_fraction = _gamma_regions(a0, x0)
    weight = exp(_log_weight(a, x))
    lower = weight / a * _gamma_sum(a, x, by_sum, 0)[(0, 0)]
    upper = weight * _gamma_fraction(a, x, by_fraction, 0)[(0, 0)]
    return _at_edges(a0, x0, inside, chosen(by_sum, min(lower, fill_like(a, 1)), 1 - upper), 0.0, 1.0)


def _small_upper(a: Value, x: Value, mask: Value) -> Value:
    """Q for x <= 1 where it may be small: 1 - xᵃ / Γ(a + 1) (1 + a Σ (-x)ⁿ / (n! (a + n))), n >= 1 (DLMF 8.7.3)."""
    a, x = chosen(mask, a, 0.5), chosen(mask, x, 0.5)
    exponent = a * log(x) - log_gamma_plus_one(a)
    total, factor = fill_like(a, 0), fill_like(a, 1)
    for n in range(1, 20 if epsilon(a) < 1e-10 else 12):
        factor = factor * x * (-1 / n)
        total = total + factor / (a + n)
    return neg(expm1(exponent)) - a * exp(exponent) * total


def _gammaincc_formula(a0: Value, x0: Value) -> Value:
    a, x, inside, by_sum, by_fraction = _gamma_regions(a0, x0)
    weight = exp(_log_weight(a, x))
    lower = weight / a * _gamma_sum(a, x, by_sum, 0)[(0, 0)]
    upper = weight * _gamma_fraction(a, x, by_fraction, 0)[(0, 0)]
    mostly_upper = chosen(compared("lt", x, 0.5), -0.4 / log(min(x, fill_like(x, 0.5))), 1.1 * x)
    small = logical_and(compared("le", x, 1.0), compared("lt", a, mostly_upper))
    y = chosen(small, _small_upper(a, x, small), chosen(by_sum, max(1 - lower, fill_like(a, 0)), upper))
    return _at_edges(a0, x0, inside, y, 1.0, 0.0)


def _gammainc_quotient_formula(a0: Value, x0: Value, *, order: int) -> Value:
    """With E = p(a + δ, x) / p(a, x): G is `order`! times the coefficient of E x S / a, or of -E x F."""
    a, x, inside, by_sum, by_fraction = _gamma_regions(a0, x0)
    growth = series_exponential(_gamma_score_series(a, x, order))
    lower = over_linear(series_product(growth, _gamma_sum(a, x, by_sum, order)), a, (1, 0))
    upper = series_product(growth, _gamma_fraction(a, x, by_fraction, order))
    y = chosen(by_sum, derivative_of(lower, (order, 0)), neg(derivative_of(upper, (order, 0)))) * x
    return chosen(inside, y, chosen(compared("ge", x0, 0.0), fill_like(a, 0), np.nan))


def _gammainc_quotient_rule_a(g: Value, y: Value, a: Value, x: Value, *, order: int) -> Value:
    """∂G/∂a = G of the next order - G ∂ log p / ∂a."""
    return scale(g, gammainc_quotient(a, x, order=order + 1) - mul(y, _gamma_score(a, x)))


def _gammainc_quotient_rule_x(g: Value, y: Value, a: Value, x: Value, *, order: int) -> Value:
    """∂G/∂x = (∂ᵏp/∂aᵏ) / p - G ∂ log p / ∂x."""
    growth = derivative_of(series_exponential(_gamma_score_series(a, x, order)), (order, 0))
    return scale(g, growth - mul(y, (a - 1) / x - 1))


gammainc_quotient: Primitive = Primitive(
    "gammainc_quotient",
    type=family_type("gammainc_quotient"),
    eval=evaluated(_gammainc_quotient_formula),
    vjp=per_operand(_gammainc_quotient_rule_a, _gammainc_quotient_rule_x),
    batch=elementwise_batch("gammainc_quotient"),
)
"""G = (∂ᵏP/∂aᵏ) / (∂P/∂x), k = `order` >= 1."""


def _incomplete_gamma(name: str, eval: Callable[..., Any], sign: int) -> Primitive:
    def rule_a(g: Value, y: Value, a: Value, x: Value) -> Value:
        d = scale_cotangent(gammainc_quotient(a, x, order=1), gamma_density(a, x))
        return scale(g, d if sign > 0 else neg(d))

    def rule_x(g: Value, y: Value, a: Value, x: Value) -> Value:
        d = gamma_density(a, x)
        return scale(g, d if sign > 0 else neg(d))

    return Primitive(
        name,
        type=family_type(name),
        eval=widened(eval),
        vjp=per_operand(rule_a, rule_x),
        batch=elementwise_batch(name),
    )


gammainc = _incomplete_gamma("gammainc", scipy.special.gammainc, 1)
"""P(a, x) = ∫₀ˣ p(a, t) dt; x̄ = ȳ p, ā = ȳ p G."""

gammaincc = _incomplete_gamma("gammaincc", scipy.special.gammaincc, -1)
"""Q(a, x) = 1 - P(a, x)."""

FORMULAS: dict[str, Callable[..., Value]] = {
    "gamma_density": _gamma_density_formula,
    "gammainc": _gammainc_formula,
    "gammaincc": _gammaincc_formula,
    "gammainc_quotient": _gammainc_quotient_formula,
}
"""How the lowering computes these primitives."""
