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


# ---- NaN in what is computed from smaller arrays: the branch computes it again --------------------------------------


def nearest(points, centroids):
    squares = np.sum(points**2, axis=1)[:, None] + np.sum(centroids**2, axis=1)
    return np.min(squares - 2.0 * points @ centroids.T, axis=1)


def farthest(points, centroids):
    return np.max(np.sum((points[:, None, :] - centroids[None]) ** 2, axis=2), axis=0)


def product(points, centroids):
    return np.max(points[:, :1] * centroids[:, 0], axis=1)


def of_a_product(points, centroids):
    """What overflows on the way need not be seen in the end."""
    return np.min((points[:, 1:2] * centroids[:, 1]) * 0.0 - 1.0, axis=(0, 1))


def long_chain(points, centroids):
    y = points[:, :1] - centroids[:, 0]
    for _ in range(1500):
        y = y * 1.0 + 0.25
    return np.max(y, axis=1)


SPECIAL = (None, np.nan, -np.nan, np.inf, -np.inf, "limit", "tiny")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", [nearest, farthest, product, of_a_product])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_nan_made_of_smaller_arrays_is_the_extremum(f, dtype):
    run = lilith.jit(f)
    limits = {"limit": np.finfo(dtype).max, "tiny": np.finfo(dtype).tiny}
    for first in SPECIAL:
        for second in SPECIAL:
            points = RNG.standard_normal((300, 3)).astype(dtype)
            centroids = RNG.standard_normal((70, 3)).astype(dtype)
            if first is not None:
                points[7, 1] = points[11, 0] = limits.get(first, first)
            if second is not None:
                centroids[5, 1] = centroids[6, 0] = limits.get(second, second)
            tolerance = 1e-4 if dtype == np.float32 else 1e-11
            np.testing.assert_allclose(run(points, centroids), f(points, centroids), tolerance, tolerance)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_gradients_where_smaller_arrays_hold_nan(bad):
    points, centroids = RNG.standard_normal((300, 2)), RNG.standard_normal((70, 2))
    points[7, 1] = bad
    value, g = lilith.grad(lambda p, c: np.sum(nearest(p, c)), points, centroids)
    assert np.isnan(value)
    rest = np.delete(np.arange(300), 7)
    assert np.all(np.isfinite(g[0][rest])) and not np.all(np.isfinite(g[0][7]))


def test_distances_are_not_stored_for_their_minimum():
    points, centroids = RNG.standard_normal((300, 2)), RNG.standard_normal((70, 2))
    text = lilith.lower(nearest, points, centroids).stablehlo()
    assert text.count("stablehlo.dot_general") == 2  # the other in the branch
    deep = lilith.jit(long_chain)(points, centroids)
    np.testing.assert_allclose(deep, long_chain(points, centroids), rtol=1e-12)
