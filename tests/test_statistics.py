"""Order statistics, histograms and numerical analysis on tracers: as NumPy, with derivatives."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import lilith
from lilith.source import ArgumentError, DtypeError, ShapeError
from lilith.testing import check_grads
from tests.agreement import RNG, M, T, agrees, check_gradient, evaluate

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
    check_grads(lambda x: np.sum(np.median(x, axis=1) ** 3), (M,))
    check_grads(lambda x: np.median(x) ** 3, (T,))
    check_grads(lambda x, q: np.sum(np.quantile(x, q, axis=0) ** 3), (M, np.array([0.3, 0.72])))
    check_grads(lambda x: np.sum(np.percentile(x, [10, 35], axis=1) ** 3), (M,))
    for method in ("weibull", "midpoint", "nearest", "averaged_inverted_cdf"):
        check_gradient(lambda x, m=method: np.quantile(x, 0.3, axis=0, method=m), T)
    holes = np.where(RNG.random(M.shape) < 0.3, np.nan, 1.0)
    check_grads(lambda x: np.sum(np.nanquantile(x * holes, [0.3, 0.6], axis=1) ** 2), (M,))
    check_grads(lambda x: np.nanmedian(x * holes) ** 2, (M,))
    w = np.array([0.1, 0.5, 0.2, 0.2])
    check_grads(lambda x: np.sum(np.quantile(x, 0.5, axis=1, weights=w, method="inverted_cdf") ** 2), (M,))


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
