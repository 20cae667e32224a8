"""Random programs: value against NumPy itself, gradient against finite differences, XLA against the interpreter."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis import HealthCheck, given, settings

import lilith
from lilith import grad
from lilith.ir.interpret import interpret
from lilith.transform.simplify import simplify

UNARY = {
    "sin": np.sin,
    "tanh": np.tanh,
    "exp": lambda x: np.exp(np.tanh(x)),
    "log": lambda x: np.log(1.5 + np.tanh(x)),
    "sqrt": lambda x: np.sqrt(1.5 + np.sin(x)),
    "square": lambda x: x**2,
    "neg": lambda x: -x,
    "abs": np.abs,
    "relu": lambda x: np.maximum(x, 0.1),
    "where": lambda x: np.where(x > 0.2, x * 2.0, 0.5 - x),
    "clip": lambda x: np.clip(x, -0.7, 1.3),
    "sum": lambda x: np.sum(x, axis=0, keepdims=True) + 0 * x,
    "mean": lambda x: x - np.mean(x, axis=-1, keepdims=True),
    "max": lambda x: x - np.max(x, axis=1, keepdims=True),
    "cumsum": lambda x: np.cumsum(x, axis=0),
    "flip": lambda x: x[::-1],
    "roll": lambda x: np.concatenate([x[1:], x[:1]], axis=0),
    "columns": lambda x: np.stack([x[:, j] for j in range(x.shape[1])][::-1], axis=1),
    "transpose": lambda x: x.T @ x @ x.T if x.shape[0] == x.shape[1] else (x.T + 0.1).T,
    "reshape": lambda x: np.reshape(np.ravel(x) * 0.5, x.shape),
    "interleave": lambda x: np.concatenate([x[::2] * 2.0, x[1::2]], axis=0),
}
BINARY = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / (2.0 + np.tanh(y)),
    "maximum": np.maximum,
    "arctan2": lambda x, y: np.arctan2(x, 1.5 + np.cos(y)),
    "matmul": lambda x, y: (x @ y.T) @ y / 4.0,
    "row": lambda x, y: x * y[:1] + y[:, 1:2],
    "outer": lambda x, y: np.einsum("ij,kj->ik", x, y) @ x / 3.0,
}
STEPS = st.one_of(
    st.tuples(st.sampled_from(sorted(UNARY)), st.integers(0, 9), st.just(-1)),
    st.tuples(st.sampled_from(sorted(BINARY)), st.integers(0, 9), st.integers(0, 9)),
)


def build(steps: list[tuple[str, int, int]]) -> Any:
    """A function of two arrays that computes the steps; operands are picked among what there is already."""

    def program(x, y):
        values = [x, y]
        for name, i, j in steps:
            a = values[i % len(values)]
            values.append(UNARY[name](a) if j < 0 else BINARY[name](a, values[j % len(values)]))
        return np.sum(np.tanh(values[-1] * 0.3)) + np.mean(values[len(values) // 2])

    return program


def arguments(seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.uniform(-1.5, 1.5, (3, 3)), generator.uniform(-1.5, 1.5, (3, 3))


def slope(f: Any, args: tuple, direction: list[np.ndarray], h: float) -> float:
    plus = f(*[a + h * d for a, d in zip(args, direction, strict=True)])
    minus = f(*[a - h * d for a, d in zip(args, direction, strict=True)])
    return (plus - minus) / (2 * h)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, min_size=1, max_size=12), st.integers(0, 2**16))
def test_gradients_of_random_programs(steps, seed):
    f, args = build(steps), arguments(seed)
    graph = lilith.trace_grad(f, *args).verify()
    value, gx, gy = interpret(graph, args)
    np.testing.assert_allclose(value, f(*args), rtol=1e-12, atol=1e-12)
    direction = [d / 3 for d in arguments(seed + 1)]
    numeric = [slope(f, args, direction, h) for h in (1e-5, 3e-6)]
    if abs(numeric[0] - numeric[1]) > 1e-5 * (1 + abs(numeric[0])):
        return  # a kink lies between the points: finite differences say nothing here
    derivative = float(np.sum(gx * direction[0]) + np.sum(gy * direction[1]))
    np.testing.assert_allclose(derivative, numeric[0], rtol=2e-4, atol=2e-4)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, min_size=3, max_size=12), st.integers(0, 2**16))
def test_xla_agrees_with_numpy(steps, seed):
    f, args = build(steps), arguments(seed)
    graph = lilith.trace_grad(f, *args)
    value, g = grad(f, *args)
    for compiled, reference in zip((value, *g), interpret(graph, args), strict=True):
        np.testing.assert_allclose(compiled, reference, rtol=1e-9, atol=1e-9)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, min_size=1, max_size=8), st.integers(0, 2**16))
def test_second_order_of_random_programs(steps, seed):
    f, args = build(steps), arguments(seed)
    direction = [d / 3 for d in arguments(seed + 1)]

    def along(x, y, dx, dy):
        _, g = grad(f, x, y)
        return np.sum(g[0] * dx) + np.sum(g[1] * dy)

    second = lilith.trace_grad(along, *args, *direction, wrt=(0, 1)).verify()
    first_order = lilith.trace_grad(f, *args)

    def first(x, y):
        _, gx, gy = interpret(first_order, (x, y))
        return float(np.sum(gx * direction[0]) + np.sum(gy * direction[1]))

    value, hx, hy = interpret(second, (*args, *direction))
    np.testing.assert_allclose(value, first(*args), rtol=1e-9, atol=1e-10)
    other = [d / 3 for d in arguments(seed + 2)]
    numeric = [slope(first, args, other, h) for h in (1e-5, 3e-6)]
    if abs(numeric[0] - numeric[1]) > 1e-5 * (1 + abs(numeric[0])):
        return
    derivative = float(np.sum(hx * other[0]) + np.sum(hy * other[1]))
    np.testing.assert_allclose(derivative, numeric[0], rtol=5e-4, atol=5e-4)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, min_size=1, max_size=12), st.integers(0, 2**16))
def test_simplify_keeps_the_meaning(steps, seed):
    f, args = build(steps), arguments(seed)
    graph = lilith.trace(f, *args).verify()
    simple = simplify(graph).verify()
    # a sign that is moved out of a product stays for those who use the negated operand too
    signs = sum(node.primitive.name == "neg" for node in graph.nodes)
    assert len(simple.nodes) <= len(graph.nodes) + signs and len(simplify(simple).nodes) == len(simple.nodes)
    np.testing.assert_allclose(interpret(simple, args), interpret(graph, args), rtol=1e-13)
