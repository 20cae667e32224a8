"""Sums of products, contracted in another order: the same numbers, fewer operations and smaller arrays."""

from __future__ import annotations

import numpy as np
import pytest

import lilith
from lilith.asked import Spec
from lilith.captures import scan
from lilith.derive import derive
from lilith.ir.graph import Builder, Graph, Value
from lilith.ir.interpret import interpret
from lilith.ir.type import TensorType
from lilith.ops import elementwise
from lilith.ops.reduction import reduce_sum
from lilith.transform import contract
from lilith.transform.contract import contracted
from lilith.transform.prune import remove_dead
from lilith.transform.simplify import simplify


def names(graph: Graph) -> list[str]:
    return [node.primitive.name for node in graph.nodes]


def largest(graph: Graph) -> int:
    return max(y.type.size for node in graph.nodes for y in node.results)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever can be contracted is, however small."""
    monkeypatch.setattr(contract, "LEAST", -np.inf)
    monkeypatch.setattr(contract, "SHARE", np.inf)


class Sums:
    """Random sums of products over arrays with random axes."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.sizes = tuple(self.rng.choice([1, 2, 3, 4], 4).tolist())
        self.arrays: list[np.ndarray] = []

    def array(self) -> int:
        kept = self.rng.random(4) < 0.6
        self.arrays.append(self.rng.standard_normal([n if k else 1 for n, k in zip(self.sizes, kept, strict=True)]))
        return len(self.arrays) - 1

    def expression(self, depth: int):
        """A function of the arrays, whose result has all four axes."""
        kind = self.rng.integers(0, 7) if depth else 0
        if kind == 0:
            k, scaled = self.array(), (lambda x: x, lambda x: -0.5 * x, lambda x: x * 3.0)[self.rng.integers(3)]
            return lambda xs: np.broadcast_to(scaled(xs[k]), self.sizes)
        x, y = self.expression(depth - 1), self.expression(depth - 1)
        if kind <= 2:
            return lambda xs: x(xs) * y(xs)
        if kind == 3:
            return lambda xs: x(xs) + y(xs)
        if kind == 4:
            return lambda xs: (lambda a: a - y(xs) + a)(x(xs))
        if kind == 5:
            axes = tuple(int(i) for i in np.flatnonzero(self.rng.random(4) < 0.5))
            return lambda xs: np.broadcast_to(np.sum(x(xs), axis=axes, keepdims=True), self.sizes)
        product = str(self.rng.choice(["ijkl,ijml->ijkm", "ijkl,imkl->ijkm", "ijkl,ijkm->ijlm"]))
        return lambda xs: np.broadcast_to(
            np.sum(np.einsum(product, x(xs), y(xs)), axis=(2, 3), keepdims=True), self.sizes
        )


@pytest.mark.parametrize("seed", range(60))
def test_any_sum_of_products(always: None, seed: int) -> None:
    sums = Sums(seed)
    parts = [sums.expression(3) for _ in range(2)]
    axes = tuple(int(i) for i in np.flatnonzero(sums.rng.random(4) < 0.5)) or (0,)

    def f(*xs):
        return np.sum(parts[0](xs), axis=axes) + 2.0 * np.sum(parts[1](xs), axis=axes) - xs[0].sum()

    graph = simplify(lilith.trace(f, *sums.arrays))
    new = contracted(remove_dead(graph)).verify()
    expected = f(*sums.arrays)
    (value,) = interpret(new, sums.arrays)
    np.testing.assert_allclose(value, expected, rtol=1e-11, atol=1e-11 * max(1.0, np.abs(expected).max()))
    assert new.outputs[0].type.shape == np.shape(expected)


def traced(f, *args: np.ndarray) -> Graph:
    return simplify(lilith.trace(f, *args))


def test_a_product_of_matrices_written_with_broadcasting_is_one() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 60, 60))

    def f(a, b):
        return np.sum(a[:, :, None] * b[None], axis=1)

    graph = traced(f, a, b)
    assert "dot_general" in names(graph)
    assert largest(graph) == a.size
    np.testing.assert_allclose(lilith.jit(f)(a, b), a @ b, rtol=1e-12)
    small = traced(f, a[:4, :4], b[:4, :4])
    assert "dot_general" not in names(small)


def test_what_is_the_same_in_all_terms_is_multiplied_last() -> None:
    rng = np.random.default_rng(1)
    g, x, y = rng.standard_normal((20, 400)), rng.standard_normal((50, 400)), rng.standard_normal(50)

    def f(g, x, y):
        return np.sum(g[:, None] * x * x * y[:, None] * 2.0 - g[:, None] * y[:, None], axis=1)

    graph = traced(f, g, x, y)
    assert largest(graph) == x.size
    np.testing.assert_allclose(lilith.jit(f)(g, x, y), f(g, x, y), rtol=1e-11)


def test_no_sum_of_exact_differences_is_multiplied_out() -> None:
    """x - m is exact where both are far from zero; a x - a m is not."""
    rng = np.random.default_rng(2)
    x, m = (1e8 + rng.standard_normal((n, 30)) for n in (300, 20))
    a = rng.standard_normal((300, 20))

    def f(a, x, m):
        return np.sum(a[:, :, None] * (x[:, None] - m), axis=0)

    np.testing.assert_allclose(lilith.jit(f)(a, x, m), f(a, x, m), rtol=1e-10, atol=1e-10)
    assert "dot_general" not in names(traced(f, a, x, m))


def test_what_others_read_is_not_computed_twice() -> None:
    a, b = np.random.default_rng(3).standard_normal((2, 60, 60))

    def f(a, b):
        y = a[:, :, None] * b[None]
        return np.sum(y, axis=1), y

    assert names(traced(f, a, b)).count("mul") == 1


def chain(angles, weights, points):
    """Points that several turned frames move, each with a weight."""
    moved, place = [], points[0] * 0.0
    rotation = np.eye(3)
    for i in range(len(angles)):
        c, s, one, none = np.cos(angles[i]), np.sin(angles[i]), 1.0 + 0.0 * angles[i], 0.0 * angles[i]
        rotation = rotation @ np.stack([np.stack([c, -s, none]), np.stack([s, c, none]), np.stack([none, none, one])])
        place = place + rotation[0]
        moved.append((points @ rotation.T + place) * weights[:, i : i + 1])
    return np.reshape(sum(moved), (-1,))


def test_tangents_of_many_points_stay_small_until_the_last_product() -> None:
    rng = np.random.default_rng(4)
    angles, weights, points = rng.standard_normal(12), rng.random((400, 12)), rng.standard_normal((400, 3))
    spec = Spec(True, 0, mode="jacobian", options="auto")
    derived = derive(chain, spec, (angles, weights, points), {}, scan(chain))
    assert derived.rolled
    assert largest(derived.graph) == 400 * 3 * 12  # the Jacobian itself
    found = lilith.jacobian(chain, angles, weights, points)
    step = 1e-6 * np.eye(12)[5]
    slope = (chain(angles + step, weights, points) - chain(angles - step, weights, points)) / 2e-6
    np.testing.assert_allclose(found[:, 5], slope, rtol=1e-6, atol=1e-7)


def test_rows_of_a_stack_that_are_added_up_are_a_sum() -> None:
    w, x = np.linspace(0.1, 1.0, 40), np.linspace(-1.0, 1.0, 7)

    def f(w, x):
        h, found = x, []
        for i in range(40):
            h = np.tanh(h * w[i] + np.sin(x) * np.cos(w[i]))
            found.append(h * np.exp(w[i]))
        return sum(found) + h

    derived = derive(f, Spec(False), (w, x), {}, scan(f))
    assert derived.rolled
    assert names(derived.graph).count("add") <= 2
    np.testing.assert_allclose(lilith.jit(f)(w, x), f(w, x), rtol=1e-12)


X, Y = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]]), np.array([[2.0, 1.0, -1.0], [3.0, 0.25, 2.0]])


@pytest.mark.parametrize(
    ("f", "count"),
    [
        (lambda x, y: np.sum(x * x) + np.sum(np.sin(y)), 1),
        (lambda x, y: np.sum(x * x, axis=0) + np.sum(x * y, axis=0) + np.sum(np.exp(y), axis=0), 1),
        (lambda x, y: np.sum(x * x, axis=0) + np.sum(x * y, axis=1)[0], 2),  # over other axes
        (lambda x, y: np.sum(x * x) + np.sum(y[:1] * y[:1]), 2),  # of another shape
        (lambda x, y: (lambda s: s * s + (s + np.sum(y * y)))(np.sum(x * x)), 2),  # wanted elsewhere, too
        (lambda x, y: np.sum(x) + np.sum(y), 2),  # there is nothing to save
    ],
)
def test_two_sums_are_one_pass(f, count: int) -> None:
    graph = simplify(lilith.trace(f, X, Y))
    assert names(graph).count("reduce_sum") == count
    np.testing.assert_allclose(interpret(graph, [X, Y])[0], f(X, Y), rtol=1e-14)
    lilith.testing.check_grads(lambda x, y: np.sum(f(x, y)), (X, Y), order=2)


@pytest.mark.parametrize(("dtype", "count"), [(np.float16, 2), (np.float32, 1)])
def test_sums_of_short_dtypes_stay_apart(dtype: type, count: int) -> None:
    """What two arrays of them add up to would be rounded once more, and can be infinite."""
    x = Value(TensorType((2,), np.dtype(dtype)))
    with Builder() as builder:
        total = elementwise.add(*[reduce_sum(f(x), axes=(0,)) for f in (elementwise.rint, elementwise.abs)])
    graph = simplify(Graph("f", (x,), ("x",), tuple(builder.nodes), (total,)))
    assert names(graph).count("reduce_sum") == count
    assert interpret(graph, [np.array([30000.0, -3.0], dtype)])[0] == dtype(60000.0)
