"""check_grads: compare derivatives with finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith import tree
from lilith.api import grad, value_and_grad
from lilith.ir.type import is_inexact
from lilith.source import ArgumentError
from lilith.trace import as_array


def _directions(args: Sequence[Any], seed: int) -> tuple[list[Any], list[np.ndarray | None], Any]:
    """A random unit direction for each differentiable leaf of the arguments, None for the others."""
    leaves, structure = tree.flatten(list(args))
    generator = np.random.default_rng(seed)
    directions: list[np.ndarray | None] = []
    for leaf in leaves:
        if tree.is_dynamic(leaf) and is_inexact(as_array(leaf).dtype):
            array = as_array(leaf)
            direction = generator.standard_normal(array.shape)
            if array.dtype.kind == "c":
                direction = direction + 1j * generator.standard_normal(array.shape)
            directions.append(direction)
        else:
            directions.append(None)
    norm = np.sqrt(sum(float(np.sum(np.abs(d) ** 2)) for d in directions if d is not None))
    return leaves, [d if d is None else np.asarray(d / norm) for d in directions], structure


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    *,
    rtol: float = 1e-6,
    atol: float = 1e-6,
    step: float = 1e-5,
    seed: int = 0,
) -> None:
    """Check the gradient of a scalar function against central finite differences along a random direction.

    Order 2 checks the gradient of the directional derivative in the same way, and so on. Arguments must be float64 (or
    complex128) where they are differentiated: in lower precision finite differences mean nothing.

    Arguments:
        f: `f(*args)` gives a real scalar.
        args: the point; structures are fine.
        order: how many derivatives are checked.
        rtol, atol: tolerances for `|derivative - difference|`, relative to the larger of the two.
        step: of the differences.
        seed: of the direction.

    Raises:
        AssertionError: a derivative and its finite difference disagree.
        ArgumentError: an argument has less than 64 bits, or none is differentiable.

    >>> import numpy as np
    >>> check_grads(lambda x, y: np.sum(np.sin(x) * y), (np.array([0.3, 2.0]), np.array([1.0, -0.5])))
    """
    leaves, directions, structure = _directions(args, seed)
    for leaf, d in zip(leaves, directions, strict=True):
        if d is not None and as_array(leaf).dtype.itemsize < 8:
            raise ArgumentError(f"check_grads: an argument is {as_array(leaf).dtype}", hint="pass float64 arrays")
    if all(d is None for d in directions):
        raise ArgumentError("check_grads: no argument is differentiable", hint="pass float64 arrays or floats")

    def moved(t: float) -> list[Any]:
        new = [x if d is None else _like(x, as_array(x) + t * d) for x, d in zip(leaves, directions, strict=True)]
        return tree.unflatten(structure, new)

    value, g = grad(f, *moved(0.0))
    slope = _slope(g, directions, args)
    numeric = (_value(f, moved(step)) - _value(f, moved(-step))) / (2 * step)
    if not np.isclose(slope, numeric, rtol=rtol, atol=atol):
        raise AssertionError(
            f"check_grads of {getattr(f, '__name__', f)}: the derivative along a random direction is {slope}, "
            f"finite differences give {numeric} (value {value})"
        )
    if order > 1:
        derivative = _derivative_along(f, directions)
        check_grads(derivative, args, order - 1, rtol=rtol, atol=atol, step=step, seed=seed + 1)


def _like(x: Any, array: np.ndarray) -> Any:
    return array.item() if isinstance(x, (float, complex)) else array.astype(x.dtype)


def _value(f: Callable[..., Any], args: Sequence[Any]) -> float:
    return float(value_and_grad(f)(*args)[0])


def _slope(g: Any, directions: Sequence[np.ndarray | None], args: Sequence[Any]) -> Any:
    """The real inner product of a gradient with the direction (of dL/da - i dL/db with da + i db)."""
    gradients = tree.flatten(list(g))[0]
    total: Any = 0.0
    for dx, d in zip(_match(gradients, directions, args), directions, strict=True):
        if d is not None:
            total = total + np.sum(np.real(dx * d) if np.iscomplexobj(d) else dx * d)
    return total


def _match(gradients: list[Any], directions: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    """A gradient per leaf: an argument without any has one None in place of its leaves."""
    result: list[Any] = []
    remaining = iter(gradients)
    position = 0
    for x in args:
        count = len(tree.flatten(x)[0])
        if all(d is None for d in directions[position : position + count]):
            next(remaining)
            result += [None] * count
        else:
            result += [next(remaining) for _ in range(count)]
        position += count
    return result


def _derivative_along(f: Callable[..., Any], directions: Sequence[np.ndarray | None]) -> Callable[..., Any]:
    def derivative(*args: Any) -> Any:
        return _slope(grad(f, *args)[1], directions, args)

    return derivative
