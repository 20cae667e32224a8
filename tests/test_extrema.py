"""Cotangents of maxima and minima: ties, NaN, strong zeros, few elements and many, stored or computed on."""

from __future__ import annotations

import numpy as np
import pytest

import lilith

RNG = np.random.default_rng(0)
LARGE = RNG.standard_normal((70, 90))


def expected(x: np.ndarray, w: np.ndarray, axis: int) -> np.ndarray:
    """w of each extremum in equal shares."""
    top = x == np.max(x, axis=axis, keepdims=True)
    return top * (np.expand_dims(w, axis) / np.sum(top, axis=axis, keepdims=True))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("x", [LARGE, np.minimum(LARGE, 0.5), np.round(LARGE), LARGE[:5, :6]])
def test_ties_share_evenly_whatever_the_size(x, axis):
    w = RNG.standard_normal(x.shape[1 - axis])
    for f, sign in ((np.max, 1.0), (np.min, -1.0)):
        value, g = lilith.grad(lambda v, w, f=f: np.sum(f(v, axis=axis) * w), sign * x, w, wrt=0)
        assert value == pytest.approx(np.sum(f(sign * x, axis=axis) * w))
        np.testing.assert_allclose(g[0], expected(x, w, axis), rtol=1e-14)


def test_all_axes_and_float16_counts_beyond_its_precision():
    x = np.zeros((64, 128), np.float16)
    _, g = lilith.grad(lambda v: np.max(v), x)
    np.testing.assert_array_equal(g[0], np.full(x.shape, 1 / x.size, np.float16))


@pytest.mark.parametrize("weight", [0.0, np.inf])
def test_weights_that_do_not_tell_ties(weight):
    x = np.minimum(LARGE, 0.5)
    _, g = lilith.grad(lambda v, w: np.max(v) * w, x, weight, wrt=0)
    np.testing.assert_array_equal(g[0], np.where(x == 0.5, weight, 0.0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_nan_among_many_is_the_extremum(dtype):
    x = np.tile(LARGE, (10, 12)).astype(dtype)
    x[300, 500] = np.nan

    def extrema(v):
        return [f(v, axis=axis) for f in (np.max, np.min) for axis in (0, 1, None)]

    for found, expected in zip(lilith.jit(extrema)(x), extrema(x), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_nan_is_shared_by_all():
    x = LARGE.copy()
    x[3, 4] = np.nan
    _, g = lilith.grad(lambda v: np.max(v), x)
    np.testing.assert_allclose(g[0], np.full(x.shape, 1 / x.size))


def test_what_is_shared_sums_to_the_whole():
    """The cotangent of what was added to every candidate of a minimum."""

    def f(u, x):
        return np.sum(np.min(u[:, None] + x, axis=1) ** 2)

    u = RNG.standard_normal(70)
    x = np.maximum(LARGE, -0.5)
    _, g = lilith.grad(f, u, x)
    lowest = 2 * np.min(u[:, None] + x, axis=1)
    np.testing.assert_allclose(g[0], lowest, rtol=1e-14)
    np.testing.assert_allclose(np.sum(g[1], axis=1), lowest, rtol=1e-13)
    assert "reduce_sum axes=(1,)" not in str(lilith.trace_grad(f, u, x))


def test_second_derivatives_leave_the_choice_as_it_is():
    def f(v):
        return np.sum(np.max(v * v, axis=1) ** 2)

    _, g = lilith.grad(lambda v: np.sum(lilith.grad(f, v)[1][0]), LARGE)
    top = np.abs(LARGE) == np.max(np.abs(LARGE), axis=1, keepdims=True)
    np.testing.assert_allclose(g[0], np.where(top, 12 * LARGE**2, 0.0), rtol=1e-12)
