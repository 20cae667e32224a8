"""Programs of very many operations on single numbers become one kernel on a CPU."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import lilith
from lilith.ops import small

MARK = "xla_cpu_small_call"
RNG = np.random.default_rng(0)


def crosswise(a, unused, n):
    """Neither repeats nor the same again: nothing is rolled."""
    known = [a[i] for i in range(len(a))]
    functions = (np.sin, np.tanh, np.exp, np.sqrt, np.log1p, np.arctan)
    for i in range(90):
        x, y = known[(i * i) % len(known)], known[(3 * i) % len(known)]
        z = np.where(x > y, x * y, functions[(i * i * i) % 6](np.abs(x))) - np.minimum(x, y) / (2.0 + i)
        known.append(z / (1.0 + np.abs(z)) + n * 0.01)
    return sum(known[-7:])


@pytest.fixture
def arguments() -> tuple[Any, ...]:
    return RNG.uniform(0.5, 2.0, 6), np.zeros((3, 2)), np.int64(2)


def test_value_and_gradient(arguments: tuple[Any, ...]) -> None:
    assert MARK in str(lilith.lower_grad(crosswise, *arguments, wrt=(0, 1)))
    value, g = lilith.grad(crosswise, *arguments, wrt=(0, 1))
    np.testing.assert_allclose(value, crosswise(*arguments), rtol=1e-12)
    a, *rest = arguments
    moved = [crosswise(a + step, *rest) for step in (1e-6, -1e-6)]
    np.testing.assert_allclose(g[0].sum(), (moved[0] - moved[1]) / 2e-6, rtol=1e-6)
    assert not g[1].any()


def test_several_results(arguments: tuple[Any, ...]) -> None:
    def several(a, b, n):
        y = crosswise(a, b, n)
        return y, y > 0, np.stack([y, a[0]]), (n + 1) * 2

    found = lilith.jit(several)(*arguments)
    for x, y in zip(found, several(*arguments), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12)


def test_constants_arguments_and_equal_results_are_left_apart(arguments: tuple[Any, ...]) -> None:
    def apart(a, b, n):
        y = crosswise(a, b, n)
        return y, a, np.ones(2) * 3.0, y

    for f in (apart, lambda a, b, n: (crosswise(a, b, n), b)):
        found = lilith.jit(f)(*arguments)
        for x, y in zip(found, f(*arguments), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12)


def test_no_arguments_and_no_numbers() -> None:
    a = RNG.uniform(0.5, 2.0, 6)
    np.testing.assert_allclose(lilith.jit(lambda: crosswise(a, None, 2))(), crosswise(a, None, 2), rtol=1e-12)
    bad = np.where(np.arange(6) == 3, np.nan, a)
    assert np.isnan(lilith.grad(lambda a: crosswise(a, None, 2), bad)[0])


def test_within_jax(arguments: tuple[Any, ...]) -> None:
    a = np.stack([arguments[0], arguments[0] + 1.0])
    with jax.enable_x64(True):
        found = jax.jit(jax.vmap(lilith.jit(lambda a: crosswise(a, None, 2))))(a)
    np.testing.assert_allclose(found, [crosswise(x, None, 2) for x in a], rtol=1e-12)


def test_not_where_loops_or_arrays_are() -> None:
    A = RNG.normal(size=(8, 8))

    def arrays(x):
        for i in range(60):
            x = np.tanh(A @ x) * (1.0 + x[i % 8]) if i % 3 else np.sin(x[::-1] + x[i % 7])
        return x.sum()

    assert not small.is_scalar_code(lilith.trace_grad(arrays, np.ones(8)))
