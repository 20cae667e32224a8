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
from lilith.ops.elementwise import (
    BITS,
    NUMBER,
    ORDERED,
    check_kind,
    convert,
    div,
    gt,
    logical_not,
    lt,
    mul,
    scale,
    select,
)
from lilith.ops.shape import (
    broadcast_in_dim,
    check_axes,
    concatenate,
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


def exclusive_product(x: Value, axis: int) -> Value:
    """yᵢ = the product of all xⱼ with j ≠ i along an axis of length n, in O(n) products and O(log n) nodes.

    The halves a, b of x are multiplied, p = a b; with e the exclusive product of p, the result is (e b, e a).
    No division: exact with zeros in x, and a polynomial in x to every order.
    """
    n = x.shape[axis]
    if n <= 1:
        return fill_like(x, 1)
    half = (n + 1) // 2
    if n % 2:
        none, one = [0] * x.ndim, [0] * x.ndim
        one[axis] = 1
        x = pad(x, fill(value=1, shape=(), dtype=x.dtype), low=tuple(none), high=tuple(one), interior=tuple(none))
    first, second = part(x, axis, 0, half), part(x, axis, half, 2 * half)
    swapped = concatenate(second, first, axis=axis)
    if half > 1:
        others = exclusive_product(mul(first, second), axis)
        swapped = mul(swapped, concatenate(others, others, axis=axis))
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


def _extremum_rule(beaten: Primitive) -> Callable[..., Value]:
    """x̄ = ȳ / m where x is one of m extrema: ties share evenly; where one is NaN, all of them do.

    `beaten(x, y)` compares an element with the extremum: `lt` for max. It is one comparison, NaN included.
    """

    def rule(g: Value, y: Value, x: Value, *, axes: Axes) -> Value:
        if not axes:
            return g
        other = beaten(x, _repeat(y, x.shape, axes))
        count = reduce_sum(convert(logical_not(other), dtype=x.dtype), axes=axes)
        share = _repeat(div(g, count), x.shape, axes)
        return select(other, fill_like(share, 0), share)

    return rule


reduce_sum = reduction(
    "reduce_sum",
    NUMBER,
    lambda x, axes: np.sum(x, axis=axes, dtype=x.dtype),
    lambda g, y, x, axes: _repeat(g, x.shape, axes),
)
reduce_prod = reduction("reduce_prod", NUMBER, lambda x, axes: np.prod(x, axis=axes, dtype=x.dtype), _reduce_prod_rule)
reduce_max = reduction(
    "reduce_max", ORDERED, lambda x, axes: np.max(x, axis=axes), _extremum_rule(lt), empty=False, masks=True
)
reduce_min = reduction(
    "reduce_min", ORDERED, lambda x, axes: np.min(x, axis=axes), _extremum_rule(gt), empty=False, masks=True
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
