"""Histograms, covariances, and functions of samples: convolution, interpolation, numerical gradients."""

from __future__ import annotations

import numpy as np

import lilith.numpy as lnp
from tests.agreement import M, N, V
from tests.numpy_samples.making import row

X = np.array([-1.3, -0.2, 0.1, 0.4, 0.9, 1.6, 2.2, 2.9, 3.4])
W = np.linspace(0.5, 2.0, 9)
EDGES = np.array([-1.0, 0.0, 0.25, 2.5, 3.5])
I = np.array([0, 2, 2, 5, 1, 0, 0, 3, 2])  # noqa: E741
XP = np.array([-1.0, 0.2, 0.75, 3.0])

HISTOGRAMS = [
    row("bincount", lambda w: [np.bincount(I, w), np.bincount(I, weights=w, minlength=8)], W),
    row("bincount", lambda i: lnp.bincount(i, length=6), I, smooth=False),
    row("histogram", lambda x: np.histogram(x, 5, (-1, 3)), X, smooth=False, narrow=False),
    row("histogram", lambda w: np.histogram(X, EDGES, weights=w)[0], W),
    row("histogram", lambda w: np.histogram(X, 4, density=True, weights=w)[0], W),
    row("histogram", lambda x: np.histogram(x, 4)[1], X),
    row("histogram", lambda x, e: np.histogram(x, e, density=True)[0], X, EDGES, smooth=False),
    row("histogram_bin_edges", lambda x: np.histogram_bin_edges(x, 3), X),
    row("histogram2d", lambda w: np.histogram2d(X, X[::-1], [3, EDGES], weights=w)[0], W),
    row("histogram2d", lambda x, y: np.histogram2d(x, y, 3), X, np.cos(X), smooth=False, narrow=False),
    row("histogramdd", lambda w: np.histogramdd((X, X**2, W), (2, 3, 2), weights=w, density=True)[0], W),
    row("histogramdd", lambda x: np.histogramdd(x, 2, range=[(-2, 2), None, None, (-3, 3)]), M, smooth=False,
        narrow=False),
]  # fmt: skip

SAMPLES = [
    row("convolve", lambda a, v: [np.convolve(a, v), np.convolve(v, a, "same"), np.convolve(a, v, "valid")], X, V),
    row("convolve", lambda a, v: np.convolve(a, v), M.ravel(), np.tile(X, 12)),
    row("convolve", lambda i: [np.convolve(i, [1, -1]), np.convolve(i > 1, i > 2)], I, smooth=False),
    row("correlate", lambda a, v: [np.correlate(a, v), np.correlate(v, a, "same"), np.correlate(a, v, "full")], X, V),
    row("correlate", lambda a, v: np.correlate(a * 1j, a[:4] + 1j * v, "full"), X, V),
    row("interp", lambda x, xp, fp: np.interp(x, xp, fp), X, XP, V),
    row("interp", lambda x, f: np.interp(x, XP, f, left=f[2], right=-2.0), X, V),
    row("interp", lambda x, xp, fp: np.interp(x, xp, fp, period=4.7), X, XP, V),
    row("gradient", lambda x: np.gradient(x), M),
    row("gradient", lambda x, t: np.gradient(x, 0.5, t, edge_order=2), M, XP),
    row("gradient", lambda x: np.gradient(x, 2.0, axis=0), M),
    row("unwrap", lambda x: [np.unwrap(3 * x, axis=0), np.unwrap(3 * x, discont=4.0)], M),
    row("unwrap", lambda i: np.unwrap(i, period=4), I, smooth=False),
    row("ediff1d", lambda x, y: np.ediff1d(x, to_end=y, to_begin=0.5), M, V),
    row("cov", lambda x, y, w: [np.cov(x), np.cov(x, y), np.cov(x, aweights=w**2)], M, N, V),
    row("cov", lambda x: [np.cov(x, rowvar=False, bias=True), np.cov(x[0]), np.cov(x, fweights=[1, 2, 0, 1])], M),
    row("corrcoef", lambda x, y: [np.corrcoef(x), np.corrcoef(x[0], y[1])], M, N),
    row("nancumsum", lambda x: np.nancumsum(np.where(x > 0, x, np.nan), axis=1), M),
    row("nancumprod", lambda x: np.nancumprod(np.where(x > 0, x, np.nan), axis=0), M),
]  # fmt: skip

ROWS = HISTOGRAMS + SAMPLES
