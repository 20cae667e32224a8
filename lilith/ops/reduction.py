"""Reductions over axes, positions of extrema.

`axes` is a tuple of distinct axis numbers, removed from the result; over no axes every reduction is the identity.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.primitive import ZERO, NoGradient, Primitive, per_operand, primitive
from lilith.ir.type import TensorType
from lilith.ops.cumulative import cumprod, linear_recurrence
from lilith.ops.elementwise import (
    BITS,
    FLOATING,
    NUMBER,
    ORDERED,
    check_kind,
    check_same,
    mul,
    repeat_leading,
    scale,
    scale_cotangent,
)
from lilith.ops.shape import (
    broadcast_in_dim,
    check_axes,
    fill,
    inverse_order,
    pad,
    part,
    reshape,
    shifted,
    transpose,
)
from lilith.source import ShapeError

Axes = tuple[int, ...]


def kept_axes(ndim: int, axes: Axes) -> Axes:
    """The axes that a reduction leaves, in order."""
    return tuple([axis for axis in range(ndim) if axis not in axes])


def _check_not_empty(name: str, x: TensorType, axes: Axes) -> None:
    if any(x.shape[axis] == 0 for axis in axes):
        raise ShapeError(
            f"{name}: {x} is empty along axes {axes}, and {name} of nothing is not defined",
            hint="check for an empty array first",
        )


def _repeat(y: Value, shape: Axes, axes: Axes) -> Value:
    """A reduction's result repeated along the reduced axes."""
    return broadcast_in_dim(y, shape=shape, axes=kept_axes(len(shape), axes)) if axes else y


def reduction(
    name: str, kinds: str, eval: Callable[..., Any], vjp: Any, *, empty: bool = True, masks: bool = False
) -> Primitive:
    """y = f(x) over axes; `vjp(g, y, x, axes)`; `empty` tells whether f of nothing is defined."""

    def type(x: TensorType, *, axes: Axes) -> TensorType:
        check_kind(name, kinds, x)
        check_axes(name, x, axes)
        if not empty:
            _check_not_empty(name, x, axes)
        return x.with_shape(tuple([x.shape[axis] for axis in kept_axes(x.ndim, axes)]))

    def batch(batched: tuple[bool, ...], x: Value, *, axes: Axes) -> Value:
        return primitive(name)(x, axes=shifted(axes))

    return Primitive(name, type=type, eval=eval, vjp=vjp if vjp is ZERO else per_operand(vjp), batch=batch, masks=masks)


# ---- products without division --------------------------------------------------------------------------------------


# With so many numbers beside each other on the axes after it, an axis is walked along faster than it is halved.
_LONG_ROWS = 64


def exclusive_product(x: Value, axis: int) -> Value:
    """yᵢ = the product of all xⱼ with j ≠ i along an axis of length n, without a division.

    Exact with zeros in x, and a polynomial in x to every order. Of short rows by halves, in O(n) products and O(log n)
    nodes; of long rows as the derivative of a cumulative product's last row, two steps through the axis.
    """
    if x.shape[axis] <= 1:
        return fill_like(x, 1)
    if math.prod(x.shape[axis + 1 :]) < _LONG_ROWS:
        return _product_of_others(x, axis)
    one, n = fill(value=1, shape=(), dtype=x.dtype), x.shape[axis]
    before = pad(cumprod(x, axis=axis), one, **_along(x, axis, 1, -1))
    last = fill(value=1, shape=(*x.shape[:axis], 1, *x.shape[axis + 1 :]), dtype=x.dtype)
    g = pad(last, fill_like(one, 0), **_along(x, axis, n - 1, 0))
    return mul(before, linear_recurrence(x, g, axis=axis, reverse=True))


def _along(x: Value, axis: int, low: int, high: int) -> dict[str, Axes]:
    """Parameters that pad x along one axis."""
    at = {"low": low, "high": high, "interior": 0}
    return {name: tuple([n if a == axis else 0 for a in range(x.ndim)]) for name, n in at.items()}


def _product_of_others(x: Value, axis: int) -> Value:
    """The halves a, b of x are multiplied, p = a b; with e the exclusive product of p, the result is (e b, e a)."""
    n = x.shape[axis]
    if n == 1:
        return fill_like(x, 1)
    half = (n + 1) // 2
    one = fill(value=1, shape=(), dtype=x.dtype)
    if n % 2:
        x = pad(x, one, **_along(x, axis, 0, 1))
    first, second = part(x, axis, 0, half), part(x, axis, half, 2 * half)
    if half > 1:
        others = _product_of_others(mul(first, second), axis)
        first, second = mul(others, first), mul(others, second)
    # side by side by padding: XLA computes a concatenation of this depth several times more slowly
    zero = fill_like(one, 0)
    swapped = pad(second, zero, **_along(x, axis, 0, half)) + pad(first, zero, **_along(x, axis, half, 0))
    return part(swapped, axis, 0, n) if n % 2 else swapped


def _reduce_prod_rule(g: Value, y: Value, x: Value, *, axes: Axes) -> Value:
    """x̄ = ȳ times the product of all other elements; the reduced axes are merged into one first."""
    if not axes:
        return g
    ordered = tuple(sorted(axes))
    kept = kept_axes(x.ndim, axes)
    before = tuple([axis for axis in kept if axis < ordered[0]])
    order = before + ordered + tuple([axis for axis in kept if axis > ordered[0]])
    moved = x if order == tuple(range(x.ndim)) else transpose(x, axes=order)
    place, size = len(before), math.prod(x.shape[axis] for axis in axes)
    merged = reshape(moved, shape=(*moved.shape[:place], size, *moved.shape[place + len(axes) :]))
    others = reshape(exclusive_product(merged, place), shape=moved.shape)
    if moved is not x:
        others = transpose(others, axes=inverse_order(order))
    return scale(_repeat(g, x.shape, axes), others)


# ---- sums, products, extrema ----------------------------------------------------------------------------------------


def _extremum_cotangent_type(g: TensorType, y: TensorType, x: TensorType, *, axes: Axes, largest: bool) -> TensorType:
    check_kind("extremum_cotangent", ORDERED, x)
    check_axes("extremum_cotangent", x, axes)
    both = check_same("extremum_cotangent", g, y, x.with_shape(g.shape))
    if both.shape != tuple([x.shape[axis] for axis in kept_axes(x.ndim, axes)]):
        raise ShapeError(f"extremum_cotangent: {g} is not {x} without axes {axes}", hint="one number per extremum")
    return x.strong


def _extremum_cotangent_eval(g: np.ndarray, y: np.ndarray, x: np.ndarray, axes: Axes, largest: bool) -> np.ndarray:
    g, y = np.expand_dims(g, axes), np.expand_dims(y, axes)
    chosen = ~(x < y) if largest else ~(x > y)
    count = np.sum(chosen, axis=axes, keepdims=True)
    return np.where(chosen, (g / count).astype(x.dtype), x.dtype.type(0))


def _extremum_cotangent_rule(h: Value, z: Value, g: Value, y: Value, x: Value, *, axes: Axes, largest: bool) -> Value:
    """ḡ = the sum of z̄ over the extrema, divided by their number: z is linear in g, which elements share is fixed."""
    share = extremum_cotangent(fill_like(g, 1), y, x, axes=axes, largest=largest)
    return reduce_sum(scale_cotangent(share, h), axes=axes)


def _extremum_cotangent_batch(
    batched: tuple[bool, ...], g: Value, y: Value, x: Value, *, axes: Axes, largest: bool
) -> Value:
    size = next(v.shape[0] for v, known in zip((g, y, x), batched, strict=True) if known)
    whole = [v if known else repeat_leading(v, size) for v, known in zip((g, y, x), batched, strict=True)]
    return extremum_cotangent(*whole, axes=shifted(axes), largest=largest)


extremum_cotangent: Primitive = Primitive(
    "extremum_cotangent",
    type=_extremum_cotangent_type,
    eval=_extremum_cotangent_eval,
    vjp=per_operand(_extremum_cotangent_rule, None, None),
    batch=_extremum_cotangent_batch,
    masks=True,
)
"""z = g / m at the m elements of x that are its extremum y over the axes, 0 elsewhere: the cotangent of max and min.

Ties share evenly; where one element is NaN, all of them do.
"""


def _extremum_rule(largest: bool) -> Callable[..., Value]:
    def rule(g: Value, y: Value, x: Value, *, axes: Axes) -> Value:
        return extremum_cotangent(g, y, x, axes=axes, largest=largest) if axes else g

    return rule


reduce_sum = reduction(
    "reduce_sum",
    NUMBER,
    lambda x, axes: np.sum(x, axis=axes, dtype=x.dtype),
    lambda g, y, x, axes: _repeat(g, x.shape, axes),
)
reduce_prod = reduction("reduce_prod", NUMBER, lambda x, axes: np.prod(x, axis=axes, dtype=x.dtype), _reduce_prod_rule)
reduce_max = reduction(
    "reduce_max", ORDERED, lambda x, axes: np.max(x, axis=axes), _extremum_rule(True), empty=False, masks=True
)
exponent_shift = reduction("exponent_shift", FLOATING, lambda x, axes: np.max(x, axis=axes), ZERO, empty=False)
"""The largest element, as a constant that cancels: exp(x - shift) does not overflow. Where x has a NaN, so has the sum
of those exponentials, whatever the shift is; so nobody need look for it."""
reduce_min = reduction(
    "reduce_min", ORDERED, lambda x, axes: np.min(x, axis=axes), _extremum_rule(False), empty=False, masks=True
)
reduce_and = reduction("reduce_and", BITS, lambda x, axes: np.bitwise_and.reduce(x, axis=axes), ZERO)
reduce_or = reduction("reduce_or", BITS, lambda x, axes: np.bitwise_or.reduce(x, axis=axes), ZERO)

# ---- positions ------------------------------------------------------------------------------------------------------


def _position(name: str, eval: Callable[..., Any]) -> Primitive:
    """The index of the extremum along an axis: the first of equal ones; the first NaN, if there is one."""

    def type(x: TensorType, *, axis: int) -> TensorType:
        check_kind(name, ORDERED, x)
        check_axes(name, x, (axis,))
        _check_not_empty(name, x, (axis,))
        return TensorType(x.shape[:axis] + x.shape[axis + 1 :], np.dtype(np.int64))

    return Primitive(
        name,
        type=type,
        eval=lambda x, axis: eval(x, axis=axis),
        vjp=NoGradient("its result is an integer"),
        batch=lambda batched, x, axis: primitive(name)(x, axis=axis + 1),
    )


argmax = _position("argmax", np.argmax)
argmin = _position("argmin", np.argmin)
