"""Random orders and selections. Derivatives flow to the elements that are taken."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lilith.ir.graph import Value
from lilith.numpy.core import convert, full, lift, normalize_axis, shape_argument, static_int
from lilith.numpy.eager import array_function
from lilith.numpy.taking import take
from lilith.ops import elementwise, sorting
from lilith.ops import shape as shapes
from lilith.random.continuous import open_uniform
from lilith.random.discrete import fallen_into, randint
from lilith.random.keys import Shape, floating_dtype, random_bits
from lilith.source import ArgumentError, ShapeError
from lilith.trace import contains_tracer

_FEW = 2048
"""Up to here 32 random bits per element order them: two are equal in less than one of two thousand permutations."""


def _shuffled(name: str, key: Any, n: int) -> Value:
    """0 to n - 1 in random order: the order of random bits."""
    return sorting.argsort(random_bits(name, key, (n,), 32 if n <= _FEW else 64), axis=0)


def _population(name: str, a: Any, axis: Any) -> tuple[Value | None, int, int]:
    """The array to take from (None for the numbers below an int), the axis, and its length."""
    if not contains_tracer(a) and np.ndim(a) == 0:
        n = static_int(a, f"random.{name}", "a population that is no array")
        if n < 0:
            raise ArgumentError(f"random.{name}: a population of {n}", hint="n >= 0")
        return None, 0, n
    x = lift(a)
    if x.ndim == 0:
        raise ShapeError(f"random.{name}: {x.type} has no axis", hint="pass an array, or a Python int n for range(n)")
    place = normalize_axis(axis, x.ndim, f"random.{name}")
    return x, place, x.shape[place]


@array_function
def permutation(key: Any, x: Any, axis: int = 0) -> Value:
    """0 to x - 1 in random order for an int x; the slices of an array along an axis in random order.

    >>> from lilith import random
    >>> random.permutation(random.key(0), 5)
    array([2, 3, 4, 0, 1])
    """
    array, place, n = _population("permutation", x, axis)
    order = _shuffled("permutation", key, n)
    return order if array is None else take(array, order, place)


@array_function
def choice(key: Any, a: Any, shape: Any = (), replace: bool = True, p: Any = None, axis: int = 0) -> Value:
    """Elements of an array, or of range(a) for an int a.

    Arguments:
        a: an int, or an array whose slices along `axis` are drawn.
        shape: how many: it takes the place of that axis in the result.
        replace: whether an element may be drawn again.
        p: the probability of each, up to a common factor; the same for all if it is not given. Without replacement the
            elements come in the order of successive draws.

    >>> from lilith import random
    >>> random.choice(random.key(0), np.array([2.0, 3.0, 5.0]), 4)
    array([3., 2., 5., 3.])
    """
    array, place, n = _population("choice", a, axis)
    sizes = shape_argument(shape, "random.choice")
    count = math.prod(sizes)
    if count and (n == 0 or (not replace and count > n)):
        raise ArgumentError(
            f"random.choice: {count} of {n} elements{'' if replace else ' without replacement'}",
            hint="draw fewer, or with replace=True",
        )
    if p is None:
        index = _drawn_alike(key, n, sizes, replace)
    else:
        if not contains_tracer(p):
            _check_weights(np.asarray(p), count, replace)
        index = _drawn_by_weight(key, n, sizes, replace, lift(p))
    return index if array is None else take(array, index, place)


def _check_weights(p: np.ndarray, count: int, replace: bool) -> None:
    """Weights that are known must be usable; nobody looks at traced ones."""
    if not np.all(p >= 0) or not np.all(np.isfinite(p)):
        raise ArgumentError("random.choice: p has negative or infinite entries or NaN", hint="p >= 0")
    possible = int(np.count_nonzero(p))
    if count and (possible == 0 or (not replace and possible < count)):
        raise ArgumentError(f"random.choice: only {possible} entries of p are positive", hint="draw fewer elements")


def _first(order: Value, sizes: Shape) -> Value:
    return shapes.reshape(shapes.part(order, 0, 0, math.prod(sizes)), shape=sizes)


def _drawn_alike(key: Any, n: int, sizes: Shape, replace: bool) -> Value:
    if not replace:
        return _first(_shuffled("choice", key, n), sizes)
    return randint.__wrapped__(key, 0, n, sizes) if n else full(0, sizes, np.dtype(np.int64))  # type: ignore[attr-defined]


def _drawn_by_weight(key: Any, n: int, sizes: Shape, replace: bool, p: Value) -> Value:
    """With replacement where a uniform number falls in the cumulated weights; without, by the largest of log p + Gumbel
    noise (Yellott 1977)."""
    if p.shape != (n,):
        raise ShapeError(f"random.choice: p is {p.type} for {n} elements", hint="one probability per element")
    dtype = floating_dtype("choice", None, p)
    dtype = dtype if dtype.itemsize >= 4 else np.dtype(np.float32)
    weights = convert(p, dtype)
    if not replace:
        noise = elementwise.log(elementwise.neg(elementwise.log(open_uniform("choice", key, (n,), dtype))))
        return _first(sorting.argsort(noise - elementwise.log(weights), axis=0), sizes)
    return fallen_into("choice", key, weights, sizes)
