"""Cumulative sums, products and extrema along an axis, and the linear recurrence that their derivatives are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.primitive import Primitive, per_operand, primitive
from lilith.ir.type import TensorType
from lilith.ops.elementwise import (
    NUMBER,
    ORDERED,
    check_kind,
    check_same,
    convert,
    div,
    gt,
    logical_not,
    lt,
    mul,
    repeat_leading,
    scale,
    select,
)
from lilith.ops.shape import check_axes, fill, pad, part


def _padded_before(x: Value, axis: int, value: Any, cut: int = 0) -> Value:
    """x with one more element in front along an axis, and `cut` fewer at its end."""
    none, low, high = [0] * x.ndim, [0] * x.ndim, [0] * x.ndim
    low[axis], high[axis] = 1, -cut
    number = fill(value=x.dtype.type(value).item(), shape=(), dtype=x.dtype)
    return pad(x, number, low=tuple(low), high=tuple(high), interior=tuple(none))


def _neighbours(x: Value, y: Value, axis: int) -> tuple[Value, Value]:
    """All x but the first beside all y but the last: x_k beside y_(k-1)."""
    n = x.shape[axis]
    return part(x, axis, 1, n), part(y, axis, 0, n - 1)


# ---- y_k = a_k y_(k-1) + b_k ----------------------------------------------------------------------------------------


def _recurrence_type(a: TensorType, b: TensorType, *, axis: int, reverse: bool) -> TensorType:
    check_kind("linear_recurrence", NUMBER, a, b)
    both = check_same("linear_recurrence", a, b)
    check_axes("linear_recurrence", both, (axis,))
    return both


def _recurrence_eval(a: np.ndarray, b: np.ndarray, axis: int, reverse: bool) -> np.ndarray:
    y = np.array(b)
    factors, rows = np.moveaxis(a, axis, 0), np.moveaxis(y, axis, 0)
    steps = range(len(rows) - 2, -1, -1) if reverse else range(1, len(rows))
    for k in steps:
        rows[k] += factors[k + 1] * rows[k + 1] if reverse else factors[k] * rows[k - 1]
    return y


def _recurrence_vjp(
    g: Value, y: Value, a: Value, b: Value, *, wanted: tuple[bool, ...], axis: int, reverse: bool
) -> tuple[Value | None, ...]:
    """b̄ = the recurrence of ȳ in the other direction; ā_k = b̄_k y_(k-1), in reverse b̄_(k-1) y_k; ā_0 = 0."""
    b_cotangent = linear_recurrence(a, g, axis=axis, reverse=not reverse)
    a_cotangent = None
    if wanted[0]:
        if y.shape[axis] == 0:
            return fill_like(a, 0), b_cotangent
        later, earlier = _neighbours(y, b_cotangent, axis) if reverse else _neighbours(b_cotangent, y, axis)
        a_cotangent = _padded_before(mul(later, earlier), axis, 0)
    return a_cotangent, b_cotangent


def _recurrence_batch(batched: tuple[bool, ...], a: Value, b: Value, *, axis: int, reverse: bool) -> Value:
    size = a.shape[0] if batched[0] else b.shape[0]
    a, b = [x if known else repeat_leading(x, size) for x, known in zip((a, b), batched, strict=True)]
    return linear_recurrence(a, b, axis=axis + 1, reverse=reverse)


linear_recurrence: Primitive = Primitive(
    "linear_recurrence",
    type=_recurrence_type,
    eval=_recurrence_eval,
    vjp=_recurrence_vjp,
    batch=_recurrence_batch,
)
"""y_k = a_k y_(k-1) + b_k with y_0 = b_0; in reverse y_k = a_(k+1) y_(k+1) + b_k, y_last = b_last.

The factor a_k belongs to the step between k - 1 and k in both directions, a_0 to none. So the derivative of a
recurrence is one with the same factors in the other direction: closed under differentiation, without division.
"""

# ---- sums and products ----------------------------------------------------------------------------------------------


def _running(name: str, kinds: str, eval: Callable[..., Any], rule: Callable[..., Value], masks: bool) -> Primitive:
    """y_k = f(x_0, ..., x_k) along an axis."""

    def type(x: TensorType, *, axis: int) -> TensorType:
        check_kind(name, kinds, x)
        check_axes(name, x, (axis,))
        return x

    return Primitive(
        name,
        type=type,
        eval=eval,
        vjp=per_operand(rule),
        batch=lambda batched, x, axis: primitive(name)(x, axis=axis + 1),
        masks=masks,
    )


def _cumsum_type(x: TensorType, *, axis: int, reverse: bool) -> TensorType:
    check_kind("cumsum", NUMBER, x)
    check_axes("cumsum", x, (axis,))
    return x


def _cumsum_eval(x: np.ndarray, axis: int, reverse: bool) -> np.ndarray:
    if reverse:
        return np.flip(np.cumsum(np.flip(x, axis), axis, dtype=x.dtype), axis)
    return np.cumsum(x, axis, dtype=x.dtype)


cumsum: Primitive = Primitive(
    "cumsum",
    type=_cumsum_type,
    eval=_cumsum_eval,
    vjp=per_operand(lambda g, y, x, axis, reverse: cumsum(g, axis=axis, reverse=not reverse)),
    batch=lambda batched, x, axis, reverse: cumsum(x, axis=axis + 1, reverse=reverse),
)


def _cumprod_rule(g: Value, y: Value, x: Value, *, axis: int) -> Value:
    """x̄_k = y_(k-1) r_k with r_k = ȳ_k + x_(k+1) r_(k+1): a polynomial in x, exact with zeros in it."""
    if x.shape[axis] == 0:
        return g
    rest = linear_recurrence(x, g, axis=axis, reverse=True)
    return scale(rest, _padded_before(y, axis, 1, cut=1))


cumprod = _running("cumprod", NUMBER, lambda x, axis: np.cumprod(x, axis, dtype=x.dtype), _cumprod_rule, masks=False)

# ---- extrema --------------------------------------------------------------------------------------------------------


def _extremum_rule(beaten: Primitive) -> Callable[..., Value]:
    """x̄_j = the sum over k of ȳ_k / m_k, where x_j is one of the m_k extrema of x_0, ..., x_k: ties share evenly.

    The result is constant over runs, and only elements of a run share with each other: m_k counts the extrema of a
    run so far, and the shares are summed to the end of the run. Both are recurrences that start anew with each run.
    """

    def rule(g: Value, y: Value, x: Value, *, axis: int) -> Value:
        if x.shape[axis] == 0:
            return g
        counts = np.promote_types(x.dtype, np.float32)  # a narrower dtype would not count to the length of an axis
        chosen = logical_not(beaten(x, y))
        later, earlier = _neighbours(y, y, axis)
        same = convert(_padded_before(logical_not(beaten(earlier, later)), axis, False), dtype=counts)
        count = linear_recurrence(same, convert(chosen, dtype=counts), axis=axis, reverse=False)
        share = div(convert(g, dtype=counts), count)
        total = convert(linear_recurrence(same, share, axis=axis, reverse=True), dtype=g.dtype)
        return select(chosen, total, fill_like(total, 0))

    return rule


cummax = _running("cummax", ORDERED, lambda x, axis: np.maximum.accumulate(x, axis), _extremum_rule(lt), masks=True)
cummin = _running("cummin", ORDERED, lambda x, axis: np.minimum.accumulate(x, axis), _extremum_rule(gt), masks=True)
