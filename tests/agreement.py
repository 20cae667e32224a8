"""Helpers of the tests of lilith.numpy: trace a function, interpret its graph, compare with NumPy."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from lilith.ir import TensorType
from lilith.ir.graph import Graph
from lilith.ir.interpret import interpret
from lilith.trace import Trace
from lilith.transform.reverse import reverse

BF16 = np.dtype(ml_dtypes.bfloat16)
RNG = np.random.default_rng(0)


def typed(x: Any) -> TensorType:
    """The type of an input: Python numbers are weak."""
    return TensorType(np.shape(x), np.asarray(x).dtype, isinstance(x, float | int) and not isinstance(x, np.generic))


def leaves(y: Any) -> list[Any]:
    return [z for item in y for z in leaves(item)] if isinstance(y, tuple | list) else [y]


def traced(f: Callable[..., Any], *xs: Any) -> tuple[Graph, Any]:
    """The graph of f on the inputs, and what f returned."""
    with Trace("f") as t:
        inputs = [t.input(typed(x)) for x in xs]
        result = f(*inputs)
        recorded = len(t.nodes)  # what follows makes arrays of static results
        names = [f"x{i}" for i in range(len(xs))]
        graph = t.finish([x.value for x in inputs], names, [t.lift(y) for y in leaves(result)])
    graph.verify()
    for node in graph.nodes[:recorded]:
        inside = node.source and node.source.file.startswith(os.path.dirname(__file__) + os.sep)
        assert inside, f"{node} is booked on {node.source}"
    return graph, result


def evaluate(f: Callable[..., Any], *xs: Any) -> list[np.ndarray]:
    graph, _ = traced(f, *xs)
    hoisted = graph.inputs[len(xs) :]
    assert not hoisted
    return interpret(graph, xs)


def agrees(f: Callable[..., Any], *xs: Any, tolerance: float | None = None) -> None:
    """f on tracers gives what f gives in NumPy: number of results, dtypes, shapes, values."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = leaves(f(*xs))
    found = evaluate(f, *xs)
    assert len(found) == len(expected)
    for y, z in zip(found, expected, strict=True):
        z = np.asarray(z)
        assert y.dtype == z.dtype, f"dtype {y.dtype}, NumPy gives {z.dtype}"
        assert y.shape == z.shape, f"shape {y.shape}, NumPy gives {z.shape}"
        wide = np.complex128 if z.dtype.kind == "c" else np.float64
        if tolerance is None and z.dtype.kind in "biu":
            np.testing.assert_array_equal(y, z)
        else:
            eps = {2: 2e-2, 4: 2e-5, 8: 1e-11, 16: 1e-11, 1: 1e-11}[z.dtype.itemsize]
            rtol = max(eps, tolerance or 0)
            np.testing.assert_allclose(y.astype(wide), z.astype(wide), rtol=rtol, atol=rtol)


def gradient(f: Callable[..., Any], *xs: Any, wanted: tuple[int, ...] | None = None) -> list[np.ndarray]:
    """The derivatives of the sum of f's result."""
    graph, _ = traced(lambda *ts: np.sum(f(*ts)), *xs)
    wanted = tuple(range(len(xs))) if wanted is None else wanted
    backward = reverse(graph, wanted).verify()
    one = graph.outputs[0].dtype.type(1)
    return interpret(backward, [*xs, one])[1:]


def check_gradient(f: Callable[..., Any], *xs: Any, tolerance: float = 1e-6) -> None:
    """Derivatives against central differences along random directions, in float64."""
    found = gradient(f, *xs)
    h = 1e-6
    for i, x in enumerate(xs):
        direction = np.asarray(RNG.standard_normal(np.shape(x)))
        up, down = list(xs), list(xs)
        up[i], down[i] = x + h * direction, x - h * direction
        slope = (np.sum(f(*up)) - np.sum(f(*down))) / (2 * h)
        np.testing.assert_allclose(np.sum(found[i] * direction), slope, rtol=tolerance, atol=tolerance)


def check_derivatives(f: Callable[..., Any], *xs: Any, tolerance: float = 1e-6) -> None:
    """First and second derivatives of f, float64 in, real out, against central differences; interpreted, so quick."""
    check_gradient(f, *xs, tolerance=tolerance)
    graph, _ = traced(lambda *ts: np.sum(f(*ts)), *xs)
    wanted = tuple(range(len(xs)))
    first = reverse(graph, wanted)
    first = first.with_outputs(first.outputs[1:])
    second = reverse(first, wanted).verify()
    h = 1e-6
    seeds = [np.asarray(RNG.standard_normal(np.shape(x))) for x in xs]
    found = interpret(second, [*xs, np.float64(1), *seeds])[len(xs) :]
    for i, x in enumerate(xs):
        direction = np.asarray(RNG.standard_normal(np.shape(x)))
        moved = [[*xs[:i], x + step * direction, *xs[i + 1 :], np.float64(1)] for step in (h, -h)]
        up, down = (sum(np.sum(g * s) for g, s in zip(interpret(first, m), seeds, strict=True)) for m in moved)
        slope = (up - down) / (2 * h)
        np.testing.assert_allclose(np.sum(found[i] * direction), slope, rtol=10 * tolerance, atol=10 * tolerance)


# sample arrays: any reals, positive ones, within (-1, 1), ints, bools, complex, special values; matrices
F = np.array([-2.5, -1.0, -0.3, 0.0, 0.4, 1.0, 2.5, 3.0])
G = np.array([1.5, -2.0, 0.5, -0.75, 2.0, 1.0, -0.5, 3.0])
P = np.array([0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0])
U = np.array([-0.9, -0.5, -0.1, 0.0, 0.2, 0.5, 0.7, 0.95])
K = np.array([-7, -3, -1, 0, 1, 2, 5, 9])
J = np.array([2, -2, 3, 5, 0, 7, -1, 4])
B = np.array([True, False, True, True, False, False, True, False])
C = np.array([-2, -1, 0, 1, 2, True, False, True], bool)
Z = np.array([1 + 2j, -0.5j, 2.0, 0.3 - 1j])
W = np.array([0.5 - 1j, 1.5, -1 + 1j, 2j])
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 5e-324])
M = RNG.standard_normal((3, 4))
N = RNG.standard_normal((3, 4))
T = RNG.standard_normal((2, 3, 4))
V = RNG.standard_normal(4)
S = RNG.standard_normal((3, 3))
MASK = M > 0
