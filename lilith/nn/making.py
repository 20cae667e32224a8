"""What the functions of lilith.nn are made of: checked arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import kind
from lilith.numpy import reductions
from lilith.numpy.core import convert, floating, lift, normalize_axis, result_type, static_int
from lilith.ops import elementwise
from lilith.ops.shape import broadcast_in_dim
from lilith.source import ArgumentError, DtypeError, ShapeError


def real_floating(name: str, x: Any) -> Value:
    """x as a Value of a floating dtype; integers become float64, as in NumPy."""
    value = floating(lift(x))
    if kind(value.dtype) != "f":
        raise DtypeError(f"nn.{name}: takes real arrays, got {value.type}", hint="take x.real, x.imag or np.abs(x)")
    return value


def common(name: str, *xs: Any) -> list[Value]:
    """The operands in their common floating dtype, each of its own shape."""
    values = [real_floating(name, x) for x in xs]
    dtype = result_type(*values)
    return [convert(x, dtype) for x in values]


def same_shape(name: str, **arrays: Value) -> None:
    """An error for arrays whose shapes differ: a loss never broadcasts its target."""
    (first, x), *others = arrays.items()
    for other, y in others:
        if y.shape != x.shape:
            raise ShapeError(
                f"nn.{name}: {first} {x.type} and {other} {y.type} differ in shape",
                hint="reshape or np.broadcast_to one of them; (n, 1) and (n,) would give n² differences",
            )


def place(name: str, dim: Any, axis: Any, ndim: int) -> int:
    """The axis that the user named as dim= (PyTorch's word) or axis=."""
    if (dim is None) == (axis is None):
        raise ArgumentError(f"nn.{name}: give the axis as dim=", hint=f"nn.{name}(x, dim=-1)")
    return normalize_axis(axis if dim is None else dim, ndim, f"nn.{name}")


def per_axis(name: str, what: str, given: Any, count: int, least: int) -> tuple[int, ...]:
    """An int, or one int for each of `count` spatial axes."""
    entries = tuple(given) if isinstance(given, list | tuple) else (given,) * count
    if len(entries) == 1:
        entries *= count
    if len(entries) != count:
        raise ArgumentError(
            f"nn.{name}: {what}={given!r} has {len(entries)} entries", hint=f"an int, or {count} of them"
        )
    numbers = tuple([static_int(n, f"nn.{name}", what) for n in entries])
    if numbers and min(numbers) < least:
        raise ArgumentError(f"nn.{name}: {what}={given!r}", hint=f"it must be at least {least}")
    return numbers


def along(x: Value, shape: tuple[int, ...], axis: int) -> Value:
    """A vector repeated to a shape, along one of its axes."""
    return broadcast_in_dim(x, shape=shape, axes=(axis,))


def reduced(name: str, loss: Value, reduction: str) -> Value:
    """The mean or the sum of the elements, or all of them."""
    check_reduction(name, reduction)
    if reduction == "none":
        return loss
    return reductions.mean(loss) if reduction == "mean" else reductions.sum(loss)


def check_reduction(name: str, reduction: Any, *more: str) -> None:
    """An error for words that are no reduction."""
    words = ("mean", "sum", "none", *more)
    if reduction not in words:
        raise ArgumentError(f"nn.{name}: reduction={reduction!r}", hint=f"one of {', '.join(map(repr, words))}")


def choose(condition: Value, x: Value | float, y: Value | float) -> Value:
    """x where the condition holds, else y; one of them may be a number."""
    if not isinstance(x, Value):
        x = fill_like(y, x)  # type: ignore[arg-type]
    elif not isinstance(y, Value):
        y = fill_like(x, y)
    return elementwise.select(condition, x, y)  # type: ignore[arg-type]


def exceeds(x: Value, number: float) -> Value:
    """x > number, which is rounded to x's dtype."""
    return elementwise.gt(x, fill_like(x, number))


def known(x: Any) -> float | None:
    """A number that is there while tracing; None for a traced one."""
    return float(x) if isinstance(x, bool | int | float | np.integer | np.floating) else None


def scalar(name: str, what: str, x: Any, like: Value) -> Value:
    """A number, traced or not, repeated to the dtype and shape of an array.

    Numbers that a traced function finds in its closure are traced: every parameter that is a float may be.
    """
    if (given := known(x)) is not None:
        return fill_like(like, given)
    value = convert(real_floating(name, x), like.dtype)
    if value.shape != ():
        raise ArgumentError(f"nn.{name}: {what} must be a number, got {value.type}", hint="pass one element of it")
    return broadcast_in_dim(value, shape=like.shape, axes=())
