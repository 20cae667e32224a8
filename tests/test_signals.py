"""Convolution, interpolation, differences, covariances on tracers: as NumPy, with derivatives."""

from __future__ import annotations

import functools

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import lilith
from lilith.source import ArgumentError, DtypeError, ShapeError
from lilith.transform.reverse import reverse
from tests.agreement import RNG, M, T, agrees, check_derivatives, evaluate, traced

values = st.lists(st.integers(-6, 6).map(lambda k: k / 2), min_size=1, max_size=12)
HOLES = np.where(RNG.random((5, 6)) < 0.3, np.nan, RNG.integers(0, 9, (5, 6)) / 2.0)
HOLES[2] = np.nan


# ---- convolution ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [np.convolve, np.correlate])
def test_convolve_and_correlate(f) -> None:
    for n, m in [(1, 1), (7, 3), (3, 7), (5, 5), (40, 33), (33, 70), (100, 1), (2, 1)]:
        a, v = RNG.standard_normal(n), RNG.standard_normal(m)
        for mode in ("full", "same", "valid"):
            agrees(lambda a, v, mode=mode: f(a, v, mode), a, v)
            agrees(lambda a, v, mode=mode: f(a, v, mode), a, v + 1j * v[::-1])
            agrees(lambda a, v, mode=mode: f(a, v * 1j, mode), a + 1j * a[::-1], v)
    agrees(lambda a, v: f(a, v), np.arange(9), np.array([1, -2, 3]))
    agrees(lambda a, v: f(a, v, "same"), np.arange(9) > 3, np.array([True, False]))
    agrees(lambda a, v: f(a, v, "full"), RNG.random(30).astype("f2"), RNG.random(4).astype("f2"))
    agrees(lambda a, v: f(a, v), RNG.random(30).astype("f4"), RNG.random(4))
    check_derivatives(lambda a, v: np.sum(f(a, v, "same") ** 3), RNG.random(9), RNG.random(4))
    check_derivatives(lambda a, v: np.sum(f(a, v, "full") ** 3), RNG.random(3), RNG.random(50))
    for bad, error in [
        (lambda a: f(a, a, "circular"), ArgumentError),
        (lambda a: f(a[:0], a), ShapeError),
        (lambda a: f(a.reshape(1, -1), a), ShapeError),
    ]:
        with pytest.raises(error):
            evaluate(bad, np.ones(3))


def test_convolve_takes_scalars() -> None:
    agrees(lambda a: np.convolve(a, 2.0), np.arange(9.0))
    agrees(lambda a: np.convolve(a, [1.0, 2.0], "valid"), np.array(3.0))


# ---- interpolation --------------------------------------------------------------------------------------------------

XP = np.array([-2.0, -1.0, 0.5, 0.75, 3.0])
FP = np.array([1.0, -1.0, 4.0, 4.0, 2.0])


def test_interp() -> None:
    x = np.array([-9.0, -2.0, -1.5, -1.0, 0.2, 0.5, 0.6, 2.9, 3.0, 7.0, np.nan, np.inf, -np.inf]).reshape(13, 1)
    agrees(np.interp, x, XP, FP)
    agrees(lambda x: np.interp(x, XP, FP, left=-7, right=9.5), x)
    agrees(lambda x, left, right: np.interp(x, XP, FP, left, right), x, -7.0, 9.5)
    agrees(lambda x, f: np.interp(x, XP, f), x, FP + 1j * FP[::-1])
    agrees(lambda x: np.interp(x, XP.astype("f4"), FP.astype("f4")), x.astype("f4"))
    agrees(lambda x: np.interp(x, [1, 2, 5], [3, 4, 5]), np.arange(8))
    agrees(lambda x: np.interp(x, [0.5], [3.0], left=1.0), x)
    agrees(lambda x: np.interp(x, [0.0, 0.0, 1.0, 1.0, 2.0], [1.0, 2.0, 3.0, 4.0, 5.0]), np.array([-1, 0, 0.5, 1, 1.5]))
    for values in ([np.inf, 1, np.inf, np.inf, 2], [0, -np.inf, np.inf, 1, np.nan], [np.nan, 1, 2, np.inf, -np.inf]):
        agrees(lambda x, f: np.interp(x, XP, f), x, np.array(values))
    agrees(lambda x: np.interp(x, [-np.inf, 0, 1, np.inf], [1.0, 2.0, 3.0, 4.0]), x[:-2])
    turn = np.linspace(-20, 20, 41)
    agrees(lambda x: np.interp(x, [-180.0, 90.0, 10.0], [1.0, 2.0, 3.0], period=360), 30 * turn)
    agrees(lambda x, p: np.interp(x, XP, FP, period=p), turn, 7.5)
    agrees(lambda x: np.interp(x, np.linspace(0, 1, 60), np.linspace(0, 1, 60) ** 2), np.linspace(-0.1, 1.1, 50))


def test_gradients_of_interp() -> None:
    x = np.array([-2.5, -1.5, 0.2, 0.6, 2.9, 3.5])
    check_derivatives(lambda x, xp, fp: np.sum(np.interp(x, xp, fp) ** 3), x, XP, FP)
    check_derivatives(lambda x, left, fp: np.sum(np.interp(x, XP, fp, left=left) ** 3), x, 2.0, FP)
    check_derivatives(lambda x, xp, fp: np.sum(np.interp(x, xp, fp, period=5.7) ** 3), x, XP, FP)
    _, g = lilith.grad(lambda x: np.sum(np.interp(x, XP, FP)), XP)
    np.testing.assert_allclose(g[0], [-2, 5 / 1.5, 0, -2 / 2.25, 0])


@hypothesis.settings(max_examples=60, deadline=None, database=None)
@hypothesis.given(values, values)
def test_interp_of_anything(xs: list[float], points: list[float]) -> None:
    known = np.unique(points)
    agrees(lambda x, xp, fp: np.interp(x, xp, fp), np.array(xs), known, np.cos(known))


# ---- differences ----------------------------------------------------------------------------------------------------


def test_numerical_gradient() -> None:
    x = np.array([0.0, 0.5, 0.7, 2.0])
    for order in (1, 2):
        for data in (M, M.astype("f4"), (9 * M).astype(int), M + 1j * M):
            agrees(lambda f, o=order: np.gradient(f, edge_order=o), data)
            agrees(lambda f, o=order: np.gradient(f, 0.3, axis=1, edge_order=o), data)
            agrees(lambda f, o=order: np.gradient(f, 2, x, edge_order=o), data)
        agrees(lambda f, x, o=order: np.gradient(f, x, axis=-1, edge_order=o), M, x)
        agrees(lambda f, o=order: np.gradient(f, 1, 2, axis=(2, 0), edge_order=min(o, 1)), T)
        agrees(lambda f, o=order: np.gradient(f, np.arange(4) ** 2, axis=1, edge_order=o), M)
        agrees(lambda f, o=order: np.gradient(f, np.arange(3), axis=0, edge_order=o), M)
        check_derivatives(lambda f, x, o=order: np.sum(np.gradient(f, x, axis=1, edge_order=o) ** 3), M, x)
    agrees(lambda f: np.gradient(f), np.array([1.0, 3.0]))
    for bad, error in [
        (lambda f: np.gradient(f, edge_order=3), ArgumentError),
        (lambda f: np.gradient(f, 1, 2, 3), ArgumentError),
        (lambda f: np.gradient(f, x[2:], 1), ShapeError),
        (lambda f: np.gradient(f[:1], axis=0), ShapeError),
    ]:
        with pytest.raises(error):
            evaluate(bad, M)


def test_unwrap() -> None:
    phase = np.cumsum(RNG.uniform(-4, 4, (3, 20)), axis=1)
    wrapped = (phase + np.pi) % (2 * np.pi) - np.pi
    for axis in (0, 1, -1):
        agrees(lambda p, a=axis: np.unwrap(p, axis=a), wrapped)
        agrees(lambda p, a=axis: np.unwrap(p, discont=4.0, axis=a), wrapped.astype("f4"))
    for period in (4, 5, 6.0):
        agrees(lambda p, n=period: np.unwrap(p, period=n), np.array([0, 1, 2, -1, 0, 3, 1, 1]))
    agrees(lambda p: np.unwrap(p), np.array([0, np.pi, 0, -np.pi, 0]))
    agrees(lambda p, n: np.unwrap(p, period=n), wrapped, 5.0)
    check_derivatives(lambda p: np.sum(np.unwrap(p) ** 3), wrapped[0])
    check_derivatives(lambda p, n: np.sum(np.unwrap(p, period=n) ** 2), wrapped[0], 5.1)


def test_ediff1d() -> None:
    for x in (M, np.arange(5), np.zeros(0), np.array([1.0])):
        agrees(np.ediff1d, x)
        agrees(lambda x: np.ediff1d(x, to_begin=[7, 8], to_end=99), x)
    check_derivatives(lambda x: np.sum(np.ediff1d(x, to_end=x[0, 0]) ** 3), M)
    with pytest.raises(DtypeError):
        evaluate(lambda x: np.ediff1d(x, to_end=0.5), np.arange(5))


# ---- covariance, NaNs left out --------------------------------------------------------------------------------------


def test_cov_and_corrcoef() -> None:
    w, f = RNG.random(4), np.array([1, 3, 0, 2])
    for x in (M, M[0], M.astype("f4"), (9 * M).astype(int), M + 1j * M[::-1], M.T[:1].T):
        for options in ({}, {"rowvar": False}):
            agrees(lambda x, o=options: np.corrcoef(x, **o), x)
            for more in ({}, {"bias": True}, {"ddof": 0}, {"ddof": 9}):
                agrees(lambda x, o={**options, **more}: np.cov(x, **o), x)
    agrees(lambda x, y: np.cov(x, y), M, M[0])
    agrees(lambda x, y: np.cov(x, y, rowvar=False), M, M[:, :1] ** 2)
    agrees(lambda x, y: np.corrcoef(x, y), M[0], M[1])
    for more in ({}, {"bias": True}, {"ddof": 2}):
        agrees(lambda x, w, o=more: np.cov(x, aweights=w, **o), M, w)
        agrees(lambda x, o=more: np.cov(x, fweights=f, **o), M)
        agrees(lambda x, w, o=more: np.cov(x, fweights=f, aweights=w, **o), M, w)
    agrees(lambda x: np.cov(x, dtype=np.float32), M)
    agrees(np.cov, np.zeros((0, 3)))
    check_derivatives(lambda x: np.sum(np.cov(x) ** 2), M)
    check_derivatives(lambda x, w: np.sum(np.cov(x, aweights=w) ** 2), M, w)
    check_derivatives(lambda x, y: np.sum(np.corrcoef(x, y)[0] ** 3), M[0], M[1])
    for bad in (lambda x: np.cov(x, aweights=[1.0, 2.0]), lambda x: np.cov(np.stack([x]))):
        with pytest.raises(ShapeError):
            evaluate(bad, M)


def test_products_of_an_array_with_itself() -> None:
    """One product is their derivative, not one per operand."""
    for text, x in [("ki,kj", M), ("ik,jk", M), ("bki,bkj", T), ("bijk,bimk", T.reshape(2, 1, 3, 4))]:
        f = functools.partial(lambda text, x: np.einsum(text, x, x) ** 2, text)
        check_derivatives(f, x)
        backward = reverse(traced(lambda x, f=f: np.sum(f(x)), x)[0], (0,))
        assert [node.primitive.name for node in backward.nodes].count("dot_general") == 2


def test_functions_that_leave_nan_out() -> None:
    full = HOLES.copy()
    full[2] = 0
    for axis in (None, 0, 1):
        for f in (np.nancumsum, np.nancumprod):
            agrees(lambda x, f=f, a=axis: f(x, axis=a), HOLES)
        for f in (np.nanargmax, np.nanargmin):
            agrees(lambda x, f=f, a=axis: f(x, axis=a, keepdims=True), full)
            agrees(lambda x, f=f, a=axis: f(x, axis=a), full.astype("f4"))
    agrees(np.nanargmax, np.array([3, 1, 7]))
    agrees(np.nancumsum, np.array([3, 1, 7], "i2"))
    holes = np.where(RNG.random(M.shape) < 0.3, np.nan, 1.0)
    check_derivatives(lambda x: np.sum(np.nancumprod(x * holes, axis=1) ** 2), M)
