"""Sums of products, contracted in another order: the same numbers, fewer operations and smaller arrays."""

from __future__ import annotations

import numpy as np
import pytest

import lilith
from lilith.ir.graph import Graph
from lilith.ir.interpret import interpret
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
