"""Order statistics, histograms and numerical analysis on tracers: as NumPy, with derivatives."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import lilith
import lilith.numpy as lnp
from lilith.source import ArgumentError, DtypeError, ShapeError, UnsupportedError
from tests.agreement import RNG, M, T, agrees, check_derivatives, check_gradient, evaluate

METHODS = [
    "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull",
    "linear", "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest",
]  # fmt: skip
HOLES = np.where(RNG.random((5, 6)) < 0.3, np.nan, RNG.integers(0, 9, (5, 6)) / 2.0)
HOLES[2] = np.nan


# ---- median and quantiles -------------------------------------------------------------------------------------------


def test_median() -> None:
    for x in (M, M[0], M[:, :3], T, M.astype("f4"), M.astype("f2"), (9 * M).astype(int), M > 0, M + 1j * M[::-1]):
        agrees(np.median, x)
        agrees(lambda x: np.median(x, axis=-1), x)
    for axis in (0, 2, (0, 2), (2, 1), None):
        for keepdims in (False, True):
            agrees(lambda x, a=axis, k=keepdims: np.median(x, axis=a, keepdims=k), T)
    for x in (np.array([1.0, np.nan, 2.0]), np.array([np.inf, 1.0, -np.inf]), np.array(3.0), np.array([[np.nan, 1.0]])):
        agrees(np.median, x)
    agrees(lambda x: np.median(x, axis=1), np.zeros((2, 0)))


def test_nanmedian() -> None:
    for axis in (None, 0, 1):
        agrees(lambda x, a=axis: np.nanmedian(x, axis=a), HOLES)
        agrees(lambda x, a=axis: np.nanmedian(x, axis=a, keepdims=True), HOLES.astype("f4"))
    agrees(np.nanmedian, np.arange(6))
    agrees(lambda x: np.nanmedian(x, axis=0), np.zeros((0, 2)))


@pytest.mark.parametrize("method", METHODS)
def test_quantile_methods(method: str) -> None:
    q = np.array([0.0, 0.1, 0.25, 0.5, 0.77, 0.9, 1.0])
    for x in (RNG.random(11), RNG.random(10), RNG.integers(0, 20, 8), np.array([2.0]), RNG.random(9).astype("f4")):
        agrees(lambda x: np.quantile(x, q, method=method), x)
        agrees(lambda x: np.quantile(x, 0.3, method=method), x)
        agrees(lambda x, q: np.quantile(x, q, method=method), x, q)
    agrees(lambda x: np.nanquantile(x, q, axis=1, method=method), HOLES)
    agrees(lambda x, q: np.nanquantile(x, q, axis=0, method=method), HOLES, q)


def test_quantile_shapes() -> None:
    for axis in (None, 0, 1, -1, (0, 2), (2, 1)):
        for keepdims in (False, True):
            options = {"axis": axis, "keepdims": keepdims}
            for q in (0.3, [0.2, 0.9], np.array([0.2])):
                agrees(lambda x, q=q, options=options: np.quantile(x, q, **options), T)
            agrees(lambda x, options=options: np.nanpercentile(x, [20, 70], **options), T)
    agrees(lambda x: np.percentile(x, 30), M.astype("f4"))
    agrees(lambda x: np.percentile(x, [30]), M.astype("f4"))
    agrees(lambda x, q: np.percentile(x, q), M, 30.0)
    agrees(lambda x: np.quantile(x, np.float32(0.3)), M.astype("f4"))
    agrees(lambda x: np.quantile(x, 1), np.arange(5))
    agrees(lambda x: np.quantile(x, 0.4, method="nearest"), np.arange(5) > 2)
    agrees(lambda x: np.quantile(x, 0.4, axis=0), np.array([[1.0, np.nan], [2.0, 3.0], [0.0, 1.0]]))
    agrees(lambda x: np.nanquantile(x, 0.4, axis=0), np.zeros((0, 2)))


def test_weighted_quantiles() -> None:
    w = RNG.integers(0, 4, T.shape).astype(float)
    q = [0.0, 0.2, 0.5, 1.0]
    for x in (T, np.round(T), np.round(T).astype(int)):
        agrees(lambda x, w: np.quantile(x, q, weights=w, method="inverted_cdf"), x, w)
        agrees(lambda x: np.quantile(x, 0.5, axis=1, weights=[0.0, 1.0, 2.0], method="inverted_cdf"), x)
    w = np.maximum(w, 1)
    agrees(lambda x, w: np.percentile(x, 30, axis=2, weights=w, method="inverted_cdf"), T, w)
    agrees(
        lambda x, w: np.quantile(x, q, axis=0, weights=w, method="inverted_cdf"), HOLES, w[0, 0, 0] + np.ones((5, 6))
    )
    agrees(lambda x: np.nanquantile(x, q, axis=1, weights=np.ones((5, 6)), method="inverted_cdf"), HOLES)


def test_quantiles_refuse() -> None:
    for f, error in [
        (lambda x: np.quantile(x, 1.5), ArgumentError),
        (lambda x: np.percentile(x, -3), ArgumentError),
        (lambda x: np.quantile(x, 0.5, method="best"), ArgumentError),
        (lambda x: np.quantile(x, 0.5, weights=np.ones(3)), ArgumentError),
        (lambda x: np.quantile(x, 0.5, weights=np.ones(2), method="inverted_cdf"), ShapeError),
        (lambda x: np.quantile(x * 1j, 0.5), DtypeError),
        (lambda x: np.quantile(x[:0], 0.5), ShapeError),
    ]:
        with pytest.raises(error):
            evaluate(f, np.ones(3))


def test_gradients_of_quantiles() -> None:
    check_derivatives(lambda x: np.sum(np.median(x, axis=1) ** 3), M)
    check_derivatives(lambda x: np.median(x) ** 3, T)
    check_derivatives(lambda x, q: np.sum(np.quantile(x, q, axis=0) ** 3), M, np.array([0.3, 0.72]))
    check_derivatives(lambda x: np.sum(np.percentile(x, [10, 35], axis=1) ** 3), M)
    for method in ("weibull", "midpoint", "nearest", "averaged_inverted_cdf"):
        check_gradient(lambda x, m=method: np.quantile(x, 0.3, axis=0, method=m), T)
    holes = np.where(RNG.random(M.shape) < 0.3, np.nan, 1.0)
    check_derivatives(lambda x: np.sum(np.nanquantile(x * holes, [0.3, 0.6], axis=1) ** 2), M)
    check_derivatives(lambda x: np.nanmedian(x * holes) ** 2, M)
    w = np.array([0.1, 0.5, 0.2, 0.2])
    check_derivatives(lambda x: np.sum(np.quantile(x, 0.5, axis=1, weights=w, method="inverted_cdf") ** 2), M)


def test_unselected_elements_get_nothing() -> None:
    """The derivative is sparse, and finite beside infinite and (for nan...) missing elements."""
    x = np.array([np.inf, 1.0, 5.0, -np.inf, 2.0])
    for f in (np.median, lambda x: np.quantile(x, 0.5)):
        _, g = lilith.grad(f, x)
        np.testing.assert_array_equal(g[0], [0, 0, 0, 0, 1])
    _, g = lilith.grad(np.nanmedian, np.append(x, np.nan))
    np.testing.assert_array_equal(g[0], [0, 0, 0, 0, 1, 0])


values = st.lists(st.integers(-6, 6).map(lambda k: k / 2), min_size=1, max_size=12)


@hypothesis.settings(max_examples=60, deadline=None, database=None)
@hypothesis.given(values, st.integers(0, 20), st.sampled_from(METHODS), st.booleans())
def test_quantiles_of_anything(x: list[float], level: int, method: str, nan: bool) -> None:
    data = np.array([*x, np.nan] if nan else x)
    agrees(lambda x: np.quantile(x, level / 20, method=method), data)
    agrees(lambda x, q: np.nanquantile(x, q, method=method), data, np.array([level / 20]))


# ---- histograms -----------------------------------------------------------------------------------------------------


def test_bincount() -> None:
    x = np.array([0, 3, 1, 3, 3, 7])
    agrees(lambda w: np.bincount(x, w), RNG.random(6))
    agrees(lambda w: np.bincount(x, weights=w, minlength=10), RNG.integers(0, 5, 6))
    agrees(lambda w: np.bincount([1, 2], weights=w, minlength=1), np.ones(2, "f4"))
    agrees(lambda w: np.bincount(np.zeros(0, int), weights=w, minlength=3), np.zeros(0))
    for n in (0, 3, 8, 12):
        expected = np.bincount(x[x < n], minlength=n)
        for found in (lnp.bincount(x, length=n), evaluate(lambda x, n=n: lnp.bincount(x, length=n), x)[0]):
            np.testing.assert_array_equal(found, expected)
    found = evaluate(lambda x, w: lnp.bincount(x - 1, w, length=4), x, np.arange(6.0))[0]
    np.testing.assert_array_equal(found, [2.0, 0.0, 8.0, 0.0])
    check_derivatives(lambda w: np.sum(np.bincount(x, w) ** 3), RNG.random(6))
    with pytest.raises(UnsupportedError, match=r"lilith\.numpy\.bincount\(x, weights, length=n\)"):
        evaluate(lambda x: np.bincount(x), x)
    for bad, error in [(lambda w: np.bincount([-1, 2], w), ArgumentError), (lambda w: np.bincount([1], w), ShapeError)]:
        with pytest.raises(error):
            evaluate(bad, np.ones(2))


EDGES = np.array([0.0, 0.5, 0.75, 2.0, 5.0])


@pytest.mark.parametrize("density", [False, True])
def test_histogram(density: bool) -> None:
    x = np.append(RNG.integers(-3, 24, (5, 8)) / 4.0, [0.0, 5.0])
    w = RNG.random(x.shape)
    for options in ({}, {"bins": 7}, {"bins": EDGES}, {"bins": 5, "range": (0, 3)}, {"bins": [0, 1, 1, 2]}):
        options = {**options, "density": density}
        for data in (x, x.astype("f4"), (4 * x).astype(int)):
            agrees(lambda x, options=options: np.histogram(x, **options), data)
            agrees(lambda w, x=data, options=options: np.histogram(x, weights=w, **options), w)
        agrees(lambda x, w, options=options: np.histogram(x, weights=w, **options), x, w)


def test_histogram_corner_cases() -> None:
    for x in (np.zeros(0), np.full(3, 2.0), np.array(1.5), np.array([3, 3]), np.array([True, False, True])):
        agrees(lambda x: np.histogram(x, bins=3, range=(0, 3)), x)
        if x.dtype != bool:
            agrees(lambda x: np.histogram(x, bins=3), x)
    agrees(lambda x, b: np.histogram(x, b), RNG.random(20), np.array([0.1, 0.4, 0.9]))
    for options in ({"bins": EDGES}, {"bins": 4, "range": (0, 3)}):
        agrees(lambda x, options=options: np.histogram(x, **options), np.array([np.nan, 0.5, np.inf, 5.0, -np.inf]))
    agrees(lambda x: np.histogram(x, 3, weights=np.arange(20) * 1j), RNG.random(20))
    agrees(lambda x: np.histogram(x, 3, weights=np.arange(20)), RNG.random(20))
    agrees(lambda w: np.histogram(np.arange(20.0) ** 2, "sturges", weights=None)[0] + w, 0.0)
    agrees(lambda x: np.histogram_bin_edges(x, 4), RNG.random(20))
    agrees(lambda x: np.histogram_bin_edges(x, 4, (0, 2)) + x[0], RNG.random(20))
    for f, error in [
        (lambda x: np.histogram(x, "auto"), UnsupportedError),
        (lambda x: np.histogram(x, 0), ArgumentError),
        (lambda x: np.histogram(x, [3, 1, 2]), ArgumentError),
        (lambda x: np.histogram(x, range=(2, 1)), ArgumentError),
        (lambda x: np.histogram(x, weights=x[1:]), ShapeError),
        (lambda x: np.histogram(x * 1j), DtypeError),
    ]:
        with pytest.raises(error):
            evaluate(f, np.ones(5))


def test_histograms_of_points() -> None:
    points = np.round(RNG.standard_normal((40, 3)), 1)
    w = RNG.random(40)
    x, y = points[:, 0], points[:, 1]
    for options in ({}, {"bins": 3}, {"bins": (2, 3, EDGES)}, {"bins": 3, "range": [(-1, 1), None, (0, 2)]}):
        for density in (False, True):
            agrees(lambda p, o=options, d=density: np.histogramdd(p, density=d, **o), points)
        agrees(lambda p, w, o=options: np.histogramdd(p, weights=w, **o), points, w)
    for bins in (4, [2, 3], EDGES, [EDGES, 2]):
        agrees(lambda x, y, b=bins: np.histogram2d(x, y, b), x, y)
        agrees(lambda x, y, w, b=bins: np.histogram2d(x, y, b, weights=w, density=True), x, y, w)
    check_derivatives(lambda w: np.sum(np.histogram2d(x, y, 3, weights=w)[0] ** 3), w)


def test_gradients_of_histograms() -> None:
    x, w = RNG.random(30), RNG.random(30)
    check_derivatives(lambda w: np.sum(np.histogram(x, 5, weights=w)[0] ** 3), w)
    check_derivatives(lambda w: np.sum(np.histogram(x, EDGES, weights=w, density=True)[0] ** 2), w)
    check_derivatives(lambda x: np.sum(np.histogram_bin_edges(x, 4) ** 3), x)
    _, g = lilith.grad(lambda x, w: np.sum(np.histogram(x, 5, (0, 1), weights=w)[0] ** 2), x, w, wrt=(0, 1))
    assert not np.any(g[0]) and np.all(g[1] > 0)


@hypothesis.settings(max_examples=60, deadline=None, database=None)
@hypothesis.given(values, st.integers(1, 9), st.sampled_from([None, (-2, 3), (0.1, 0.7)]))
def test_histogram_of_anything(x: list[float], bins: int, limits: tuple[float, float] | None) -> None:
    agrees(lambda x: np.histogram(x, bins, limits), np.array(x) / 3)
    agrees(lambda x: np.histogram(x, np.unique(np.array([-2.0, *np.arange(bins) / 3]))), np.array(x) / 3)
