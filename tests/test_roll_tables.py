"""Rolling: tables that Python loops fill element by element, and functions that call themselves for smaller arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import lilith
from lilith.transform.roll import cost, roll
from tests.test_roll import agree, every_copy_is_checked, loops, unrolled, whatever_it_costs

__all__ = ["every_copy_is_checked", "whatever_it_costs"]

RNG = np.random.default_rng(0)


def shortest_ways(lengths):
    """Floyd 1962, Warshall 1962."""
    d = lengths.copy()
    n = len(d)
    for k in range(n):
        for i in range(n):
            for j in range(n):
                d[i, j] = np.minimum(d[i, j], d[i, k] + d[k, j])
    return d.sum()


def products(A, B):
    n = len(A)
    C = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            for k in range(n):
                C[i, j] += A[i, k] * B[k, j]
    return (C**2).sum()


def heat(u):
    u = u.copy()
    for _ in range(10):
        new = u.copy()
        for i in range(1, len(u) - 1):
            new[i] = u[i] + 0.1 * (u[i - 1] - 2 * u[i] + u[i + 1])
        u = new
    return (u**2).sum()


def jacobi(A, b):
    n = len(b)
    x = np.zeros(n)
    for _ in range(8):
        new = np.zeros(n)
        for i in range(n):
            total = 0.0
            for j in range(n):
                if j != i:
                    total += A[i, j] * x[j]
            new[i] = (b[i] - total) / A[i, i]
        x = new
    return (x**2).sum()


def edits(a, b):
    """A table of the costs of edits, whose first row and column are filled first."""
    n, m = len(a), len(b)
    D = np.zeros((n + 1, m + 1))
    for i in range(1, n + 1):
        D[i, 0] = D[i - 1, 0] + abs(a[i - 1])
    for j in range(1, m + 1):
        D[0, j] = D[0, j - 1] + abs(b[j - 1])
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            way = np.minimum(D[i - 1, j] + 1, D[i, j - 1] + 1)
            D[i, j] = np.minimum(way, D[i - 1, j - 1] + (a[i - 1] - b[j - 1]) ** 2)
    return D[n, m]


def triangular(A):
    """Cholesky's decomposition, whose steps have different lengths."""
    n = len(A)
    L = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            s = A[i, j]
            for k in range(j):
                s = s - L[i, k] * L[j, k]
            L[i, j] = np.sqrt(s) if i == j else s / L[j, j]
    return L.sum()


SQUARE = RNG.uniform(1, 9, (5, 5))
DOMINANT = RNG.normal(size=(5, 5)) + 6 * np.eye(5)
TABLES: dict[str, tuple[Callable[..., Any], tuple[Any, ...], list[int] | None, float]] = {
    "shortest ways": (shortest_ways, (SQUARE,), [125], 0.3),
    "products": (products, (DOMINANT, SQUARE), [124], 0.4),
    "heat": (heat, (RNG.normal(size=16),), [9], 0.4),
    "jacobi": (jacobi, (DOMINANT, RNG.normal(size=5)), [7], 0.8),
    "edits": (edits, (RNG.normal(size=7), RNG.normal(size=7)), None, 0.6),
    "triangular": (triangular, (SQUARE @ SQUARE.T + 9 * np.eye(5),), None, 1.0),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str) -> None:
    f, args, lengths, left = TABLES[name]
    after = agree(f, *args, second=name in ("products", "heat"))
    assert lengths is None or loops(after) == lengths
    assert cost.left(after) <= left * cost.left(unrolled(f, *args))


statement = st.tuples(*[st.integers(0, 3)] * 3, st.integers(0, 4))


@given(st.lists(statement, min_size=1, max_size=3), st.integers(2, 4), st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@pytest.mark.usefixtures("whatever_it_costs")
def test_generated_tables(statements: Any, rounds: int, whole: bool) -> None:
    """Elements are read and written at places that move with the loops; every way to roll gives the same."""

    def filled(x, v):
        t = x.copy()
        u = np.zeros(4)
        for k in range(rounds):
            for i in range(4):
                for a, b, c, what in statements:
                    if what == 0:
                        t[(i + a) % 4, b] = np.sin(t[(i + b) % 4, c] * v[i])
                    elif what == 1:
                        t[i, (k + a) % 4] += t[b, i] * v[c]
                    elif what == 2:
                        u[i] = t[i, a] + 0.5 * u[(i + b) % 4] + v[c]
                    elif what == 3:
                        t[a, i] = np.minimum(t[b, i], u[(i + c) % 4])
                    else:
                        t[i] = t[(i + a) % 4] * 0.5 + u[b] * v
            if rounds == 3:
                u = u.copy()
        return np.sum(t * t) + np.sum(u)

    cost.CLEARLY = np.inf if whole else 0
    agree(filled, np.random.default_rng(rounds).normal(size=(4, 4)), np.arange(1.0, 5.0) / 4, second=False)


def by_submatrices(m):
    if len(m) == 1:
        return m[0, 0]
    total = 0.0
    for j in range(len(m)):
        rest = np.concatenate([m[1:, :j], m[1:, j + 1 :]], axis=1)
        total = total + (-1.0) ** j * m[0, j] * by_submatrices(rest)
    return total


def test_equal_minors_of_submatrices_are_one() -> None:
    after = agree(by_submatrices, RNG.normal(size=(5, 5)), second=False)
    assert sum(node.primitive.name == "mul" for node in after.nodes) < 200
    assert not any(node.primitive.name == "concatenate" for node in after.nodes)


def test_parts_of_what_was_put_together() -> None:
    """Steps, several axes, pieces of pieces, parts across the seam, reshapes."""

    def parts(x, y):
        total = 0.0
        for k in range(30):
            joined = np.concatenate([x, y[:, :2], x[:, ::2]], axis=1)
            again = np.concatenate([joined[1:], joined[:2] * 2.0, y[:2].repeat(2, axis=1)[:, :7]], axis=0)
            total = total + np.sin(joined[1, 4] + again[0, 5:7].sum() + again[1, 2:5].reshape(3, 1)[1, 0])
            total = total * again[2:6:3, 1:6:2].sum() / (1.0 + k) + joined.reshape(-1)[9] + again[5, 3]
        return total

    args = (RNG.normal(size=(3, 3)), RNG.normal(size=(3, 4)))
    before = unrolled(parts, *args)
    after, _ = roll(before)
    agree(parts, *args)
    assert len(after.nodes) < len(before.nodes)


def test_what_is_left_without_repetition_is_kept() -> None:
    """A function that calls itself for the same parts, where nothing is rolled: each part is computed once."""

    def paths(i, j, x):
        if i == 0 or j == 0:
            return x[i + j]
        return paths(i - 1, j, x) * x[i] + paths(i, j - 1, x) * x[j]

    def ways(x):
        return paths(5, 6, x)

    x = np.linspace(0.5, 1.0, 12)
    assert len(lilith.trace(ways, x).nodes) < 200
    lilith.testing.check_grads(ways, (x,))
