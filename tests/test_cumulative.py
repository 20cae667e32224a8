"""Cumulative operations: derivatives where zeros, ties and infinities are, and the modules for other platforms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import lilith
from lilith.ir import Builder, Graph, TensorType, Value, primitive
from lilith.ir.interpret import interpret
from lowering.carrier import Loaded, Module
from lowering.emit import emit
from tests.agreement import agrees, check_gradient, evaluate, gradient

INF = np.inf


def weights(n: int) -> np.ndarray:
    return np.cos(np.arange(n) + 1.0)


@pytest.mark.parametrize("x", [[2.0, 0.0, 3.0, 0.5], [0.0, 0.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 0.0]])
def test_the_product_with_zeros_is_differentiated_as_the_polynomial_it_is(x):
    w = weights(4)

    def f(v):
        return np.sum(w * np.cumprod(v))

    def slow(v, *left):
        """The derivative by the listed elements of Σ w_k Π_{j≤k} v_j, term by term."""
        terms = ((w[k], set(range(k + 1))) for k in range(4))
        return sum(c * np.prod([v[j] for j in js - set(left)]) for c, js in terms if set(left) <= js)

    value, g = lilith.grad(f, np.array(x))
    assert value == pytest.approx(f(np.array(x)))
    np.testing.assert_allclose(g[0], [slow(x, i) for i in range(4)], rtol=1e-14)
    _, second = lilith.grad(lambda v: np.sum(weights(4) * lilith.grad(f, v)[1][0]), np.array(x))
    hessian = [[0.0 if i == j else slow(x, i, j) for j in range(4)] for i in range(4)]
    np.testing.assert_allclose(second[0], hessian @ weights(4), rtol=1e-13, atol=1e-15)
    lilith.testing.check_grads(f, (np.array(x),), order=2)


def test_ties_of_a_running_maximum_share_evenly():
    x = np.array([1.0, 3.0, 3.0, 2.0, 3.0, 5.0, 5.0])
    g = np.array([1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6])
    shared = g[1:5] / [1, 2, 2, 3]
    first, second, third = shared.sum(), shared[1:].sum(), shared[3]
    expected = [1.0, first, second, 0.0, third, 1e5 + 5e5, 5e5]
    for f, sign in ((np.maximum.accumulate, 1.0), (np.minimum.accumulate, -1.0)):
        (found,) = gradient(lambda v, f=f: f(v) * g, sign * x)
        np.testing.assert_allclose(found, expected)
        assert found.sum() == pytest.approx(g.sum())


def test_the_count_of_ties_does_not_end_with_the_precision_of_a_short_dtype():
    x = np.zeros(4096, np.float16)
    (found,) = gradient(lambda v: np.maximum.accumulate(v)[-1:], x)
    np.testing.assert_array_equal(found, np.full(4096, 1 / 4096, np.float16))


RUNNING = {
    "cumprod": np.cumprod,
    "cumprod axis": lambda x: np.cumprod(x, axis=0),
    "multiply.accumulate": lambda x: np.multiply.accumulate(x, axis=1),
    "maximum.accumulate": lambda x: np.maximum.accumulate(x, axis=1),
    "minimum.accumulate": np.minimum.accumulate,
    "logaddexp.accumulate": lambda x: np.logaddexp.accumulate(x, axis=1),
    "cumulative_prod": lambda x: np.cumulative_prod(x, axis=1, include_initial=True),
}


@pytest.mark.parametrize("name", RUNNING)
def test_values_and_derivatives(name):
    f, x = RUNNING[name], np.random.default_rng(0).standard_normal((3, 5))
    agrees(f, x)
    agrees(f, x.astype(np.float32))
    check_gradient(f, x)
    lilith.testing.check_grads(lambda v: np.sum(np.sin(f(v))), (x,), order=2)


def test_logical_accumulation_and_integers():
    flags = np.array([True, True, False, True])
    agrees(np.logical_and.accumulate, flags)
    agrees(np.logical_or.accumulate, ~flags)
    agrees(lambda x: np.cumprod(x, dtype=bool), np.array([2, 1, 0, 3]))
    agrees(np.maximum.accumulate, np.array([3, 1, 4, 1, 5], np.int8))
    agrees(np.cumprod, np.array([3, 2, -4], np.int32))


@pytest.mark.parametrize(
    "x",
    [
        [-INF, -INF, -1000.0, 3.0, -INF, 1000.0],
        [1e4, -1e4, 1e4, 0.0],
        [-1000.0, INF, 1.0],
        [-INF, -INF],
        [0.0, np.nan, 1.0],
        [-1e4, -1e4 + 1, 5.0],
    ],
)
def test_running_log_sums_of_extremes(x):
    agrees(np.logaddexp.accumulate, np.array(x))
    (found,) = gradient(lambda v: np.logaddexp.accumulate(v)[-1:], np.array(x))
    total = np.logaddexp.reduce(np.nan_to_num(x, nan=INF, posinf=INF, neginf=-INF))
    if np.isfinite(total):
        np.testing.assert_allclose(found, np.exp(x - total), rtol=1e-12)


def test_a_branch_not_taken_behind_a_running_product_stays_zero():
    x = np.array([2.0, 3.0, 4.0])
    (found,) = gradient(lambda v: np.where(v > 5, np.sqrt(np.cumprod(v - v)), v), x)
    np.testing.assert_array_equal(found, np.ones(3))


def one_node(name: str, shape: tuple[int, ...], count: int, **params) -> Graph:
    inputs = tuple(Value(TensorType(shape, np.dtype("f8"))) for _ in range(count))
    with Builder() as builder:
        out = primitive(name)(*inputs, **params)
    return Graph(name, inputs, tuple("ab"[:count]), tuple(builder.nodes), (out,)).verify()


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_every_platform_computes_the_same(platform):
    """The forms differ by platform and shape, but use no library of a vendor: all of them run on a CPU."""
    rng = np.random.default_rng(0)
    shapes = [
        ((700,), 0),
        ((2, 450), 1),
        ((3, 150), 1),
        ((150, 3), 0),
        ((2, 9, 70), 1),
        ((130, 80), 0),
        ((80, 130), 1),
        ((2,), 0),
    ]
    graphs = []
    for (shape, axis), reverse in itertools.product(shapes, (False, True)):
        graphs.append(one_node("linear_recurrence", shape, 2, axis=axis, reverse=reverse))
        graphs.append(one_node("cumsum", shape, 1, axis=axis, reverse=reverse))
        if not reverse:
            graphs += [one_node(name, shape, 1, axis=axis) for name in ("cumprod", "cummax", "cummin")]
    inputs = tuple(x for g in graphs for x in g.inputs)
    whole = Graph(
        "whole",
        inputs,
        tuple(f"x{i}" for i in range(len(inputs))),
        tuple(node for g in graphs for node in g.nodes),
        tuple(y for g in graphs for y in g.outputs),
    ).verify()
    values = [rng.uniform(-1.05, 1.05, x.shape) for x in inputs]
    types = tuple(y.type for y in whole.outputs)
    module = Module("whole", lambda _: emit(whole, platform), whole.input_names, types)
    for found, expected in zip(Loaded(module).call(*values), interpret(whole, values), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


def test_interpreted_and_compiled_agree_on_float16():
    x = np.linspace(0.9, 1.1, 300).astype(np.float16)
    compiled = lilith.jit(np.cumprod)(x)
    assert compiled.dtype == np.float16
    np.testing.assert_allclose(compiled, evaluate(np.cumprod, x)[0], rtol=2e-3)


@pytest.mark.parametrize("shape", [(512, 5), (64, 3, 8), (1024, 3)])
def test_lines_whose_rows_would_be_pages_apart(shape):
    """They are staggered while they are computed; nothing of that is left in the results."""
    x = np.random.default_rng(1).uniform(0.5, 1.5, shape) * np.where(np.arange(shape[0]) % 3, 1.0, -1.0).reshape(
        -1, *[1] * (len(shape) - 1)
    )
    for dtype in (np.float64, np.float32):
        for f in (np.cumprod, np.cumsum, np.maximum.accumulate, np.minimum.accumulate):
            found = lilith.jit(lambda v, f=f: f(v, axis=1))(x.astype(dtype))
            np.testing.assert_allclose(found, f(x.astype(dtype), axis=1), rtol=1e-5 if dtype is np.float32 else 1e-13)
    check_gradient(lambda v: np.cumprod(v, axis=1), x[:, :3])
    w = np.random.default_rng(2).standard_normal(shape)
    found = lilith.grad(lambda v: np.sum(np.cumprod(v, axis=1) * w), x)[1][0]
    step = 1e-6 * np.ones(shape)
    moved = np.sum(w * (np.cumprod(x + step, axis=1) - np.cumprod(x - step, axis=1))) / 2e-6
    assert np.sum(found) == pytest.approx(moved, rel=1e-7)
