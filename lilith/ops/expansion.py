"""What primitives without an operation of their own are computed with: loops, and truncated Taylor series.

A formula is a function of Values that calls primitives, and `loop`. It is written once: `evaluated` runs it in NumPy,
the lowering writes it as StableHLO.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Builder, Value, current_builder, fill_like
from lilith.ir.interpret import evaluate
from lilith.ir.primitive import primitive
from lilith.ir.type import TensorType, kind

Formula = Callable[..., Any]
FLOAT32 = np.dtype(np.float32)


def loop(
    condition: Callable[..., Value], body: Callable[..., Sequence[Value]], carried: Sequence[Value]
) -> tuple[Value, ...]:
    """`while condition(*carried): carried = body(*carried)`; returns what is carried at the end.

    Arguments:
        condition: gives a bool scalar.
        body: gives Values of the types of those carried.
    """
    return current_builder().loop(condition, body, tuple(carried))  # type: ignore[attr-defined]


class Computing(Builder):
    """A builder that evaluates every node in NumPy as it is made.

    Attributes:
        concrete: the array of each Value.
    """

    def __init__(self) -> None:
        super().__init__()
        self.concrete: dict[Value, np.ndarray] = {}

    def given(self, array: np.ndarray) -> Value:
        """An array as a Value."""
        value = Value(TensorType(array.shape, array.dtype))
        self.concrete[value] = array
        return value

    def emit(self, primitive: Any, operands: tuple[Value, ...], params: dict[str, Any]) -> Any:
        out = super().emit(primitive, operands, params)
        node = self.nodes.pop()
        results = evaluate(node, tuple([self.concrete[x] for x in operands]))
        self.concrete.update(zip(node.results, results, strict=True))
        return out

    def loop(self, condition: Formula, body: Formula, carried: tuple[Value, ...]) -> tuple[Value, ...]:
        outside = self.concrete
        while self.concrete[condition(*carried)]:
            carried = tuple(body(*carried))
            self.concrete = outside | {x: self.concrete[x] for x in carried}  # what the step made besides is let go
        return carried


def computed_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype in which functions of a floating dtype are computed: float32 at least. Other dtypes stay."""
    return FLOAT32 if kind(dtype) == "f" and dtype.itemsize < 4 else dtype


def evaluated(formula: Formula) -> Formula:
    """The eval slot of a formula."""

    def eval(*operands: np.ndarray, **params: Any) -> np.ndarray:
        dtype = operands[-1].dtype
        with Computing() as builder:
            values = [builder.given(x.astype(computed_dtype(x.dtype))) for x in operands]
            y = formula(*values, **params)
            return builder.concrete[y].astype(dtype)

    return eval


# ---- small vocabulary -----------------------------------------------------------------------------------------------


def polynomial(x: Value, coefficients: Sequence[float]) -> Value:
    """c0 + c1 x + c2 x² + ..., by Horner's rule."""
    y = fill_like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        y = y * x + c
    return y


def chosen(condition: Value, x: Any, y: Any) -> Value:
    """x where the condition holds, else y; numbers adapt."""
    if not isinstance(x, Value):
        x = fill_like(y, x)
    elif not isinstance(y, Value):
        y = fill_like(x, y)
    return primitive("select")(condition, x, y)


def compared(name: str, x: Any, y: Any) -> Value:
    """`lt`, `le`, ... of an array with an array or a number."""
    return primitive(name)(x, y if isinstance(y, Value) else fill_like(x, y))


def any_of(flags: Value) -> Value:
    """Whether any element is true, a scalar."""
    return primitive("reduce_or")(flags, axes=tuple(range(flags.ndim))) if flags.ndim else flags


def epsilon(x: Value) -> float:
    """The spacing of x's dtype at 1."""
    return float(np.finfo(x.dtype).eps)


def ratio_excess(x: Value, y: Value) -> Value:
    """log(x / y) - (x - y) / y for positive x and y, without cancellation where they are close.

    With d = (x - y) / y and s = d / (2 + d): -d s + 2 s³ (1/3 + s²/5 + s⁴/7 + ...).
    """
    d = (x - y) / y
    small = compared("lt", primitive("abs")(d), 0.4)
    near = chosen(small, d, 0.0)
    s = near / (2 + near)
    square = s * s
    terms = [1 / (2 * k + 3) for k in range(12 if epsilon(x) < 1e-10 else 5)]
    return chosen(small, 2 * s * square * polynomial(square, terms) - near * s, primitive("log")(x / y) - d)


# ---- Taylor series in one or two parameters -------------------------------------------------------------------------

Order = tuple[int, int]
Series = dict[Order, Value]
"""Coefficients of δᵏ εˡ by (k, l), for all k and l up to the order."""


def orders_up_to(order: Order) -> list[Order]:
    """All (k, l), lower ones first."""
    return list(itertools.product(range(order[0] + 1), range(order[1] + 1)))


def constant_series(x: Value, order: Order) -> Series:
    """x, without dependence on the parameters."""
    zero = fill_like(x, 0)
    return {k: x if k == (0, 0) else zero for k in orders_up_to(order)}


Slopes = tuple[Any, Any]
"""By how much a linear function changes with δ and with ε: numbers or arrays."""


def _below(s: Series, k: Order, slopes: Slopes) -> Value | None:
    """Σ slope · the coefficient one order lower in that parameter."""
    total: Value | None = None
    for lower, slope in (((k[0] - 1, k[1]), slopes[0]), ((k[0], k[1] - 1), slopes[1])):
        if min(lower) >= 0 and (isinstance(slope, Value) or slope):
            term = s[lower] * slope if isinstance(slope, Value) or slope != 1 else s[lower]
            total = term if total is None else total + term
    return total


def times_linear(s: Series, c: Value, slopes: Slopes) -> Series:
    """s · (c + slopes·(δ, ε))."""
    out = {}
    for k, x in s.items():
        below = _below(s, k, slopes)
        out[k] = x * c if below is None else x * c + below
    return out


def over_linear(s: Series, c: Value, slopes: Slopes) -> Series:
    """s / (c + slopes·(δ, ε))."""
    inverse = 1 / c
    out: Series = {}
    for k, x in s.items():
        below = _below(out, k, slopes)
        out[k] = (x if below is None else x - below) * inverse
    return out


def series_product(s: Series, t: Series) -> Series:
    """s · t."""
    return {k: _convolved(s, t, k, itertools.product(range(k[0] + 1), range(k[1] + 1))) for k in s}


def _convolved(s: Series, t: Series, k: Order, pairs: Any) -> Any:
    total: Value | None = None
    for i, j in pairs:
        term = s[(i, j)] * t[(k[0] - i, k[1] - j)]
        total = term if total is None else total + term
    return total


def series_quotient(s: Series, t: Series) -> Series:
    """s / t."""
    out: Series = {}
    for k in s:
        pairs = [p for p in itertools.product(range(k[0] + 1), range(k[1] + 1)) if p != k]
        known = _convolved(out, t, k, pairs)
        out[k] = (s[k] if known is None else s[k] - known) / t[(0, 0)]
    return out


def series_exponential(s: Series) -> Series:
    """exp(s - s₀): i Eᵢⱼ = Σ k sₖₗ Eᵢ₋ₖ,ⱼ₋ₗ, the derivative of E = exp(s) by the first parameter."""
    out: Series = {}
    for k in s:
        if k == (0, 0):
            out[k] = fill_like(s[k], 1)
            continue
        axis = 0 if k[0] else 1
        total: Value | None = None
        for i in itertools.product(range(k[0] + 1), range(k[1] + 1)):
            if i[axis]:
                term = s[i] * out[(k[0] - i[0], k[1] - i[1])]
                term = term * (i[axis] / k[axis]) if i[axis] != k[axis] else term
                total = term if total is None else total + term
        assert total is not None
        out[k] = total
    return out


def derivative_of(s: Series, order: Order) -> Value:
    """The derivative at δ = ε = 0: order! times the coefficient."""
    factor = math.factorial(order[0]) * math.factorial(order[1])
    return s[order] if factor == 1 else s[order] * factor


# ---- convergence ----------------------------------------------------------------------------------------------------

LIMIT = 20000
"""Steps after which a series or fraction ends, converged or not: enough for parameters up to about 1e7."""

Pair = tuple[Series, Series]


def unconverged(change: Series, total: Series) -> Value:
    """Whether a change still matters: coefficients of higher order are as good as the first one allows."""
    flags: Value | None = None
    first = primitive("abs")(total[(0, 0)])
    for k, x in change.items():
        size = first if k == (0, 0) else first + primitive("abs")(total[k])
        flag = compared("gt", primitive("abs")(x), size * (2 * epsilon(x)))
        flags = flag if flags is None else primitive("or")(flags, flag)
    assert flags is not None
    return flags


def continued_fraction(
    mask: Value, numerators: Pair, denominators: Pair, advance: Callable[[Value, Series, Series], Pair]
) -> Series:
    """The limit of Aₙ / Bₙ where the mask holds.

    Arguments:
        numerators, denominators: (A₀, A₁) and (B₀, B₁).
        advance: `(n, Aₙ₋₁, Aₙ)` gives the next pair, by the recurrence that A and B share.

    What has converged is kept: further steps would only add up rounding errors.
    """
    orders = list(numerators[0])
    count = len(orders)
    zero = fill_like(numerators[0][(0, 0)], 0)

    def step(active: Value, n: Value, *flat: Value) -> tuple[Value, ...]:
        a0, a1, b0, b1, last = (dict(zip(orders, flat[i * count :][:count], strict=True)) for i in range(5))
        n = n + 1
        above, below = advance(n, a0, a1), advance(n, b0, b1)
        value = series_quotient(above[1], below[1])
        unfinished = unconverged({k: value[k] - last[k] for k in orders}, value)
        unfinished = primitive("and")(active, primitive("and")(unfinished, compared("lt", n, float(LIMIT))))
        value = {k: chosen(active, value[k], last[k]) for k in orders}
        return (unfinished, n, *_scaled((*above, *below), below[1]), *value.values())

    first = series_quotient(numerators[1], denominators[1])
    start = (mask, zero, *_scaled((*numerators, *denominators), denominators[1]), *first.values())
    _, _, *flat = loop(lambda active, *_: any_of(active), step, start)
    return dict(zip(orders, flat[4 * count :], strict=True))


def _scaled(parts: Sequence[Series], by: Series) -> list[Value]:
    """All coefficients over the first one of `by`."""
    inverse = 1 / by[(0, 0)]
    return [x * inverse for s in parts for x in s.values()]
