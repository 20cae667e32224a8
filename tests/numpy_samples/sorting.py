"""Sorting, searching, order statistics."""

from __future__ import annotations

import numpy as np

from tests.agreement import M, N, T, V
from tests.numpy_samples.making import row

Q = np.array([0.1, 0.45, 0.8])
HOLES = np.where(np.arange(12).reshape(3, 4) % 5 == 2, np.nan, 1.0)
KEYS = np.array([[2, 1, 2, 0], [1, 1, 0, 1]])
EDGES = np.linspace(-3.01, 3.02, 8)

ROWS = [
    row("sort", lambda x: [np.sort(x), np.sort(x, axis=0), np.sort(x, axis=None)], M),
    row("sort", lambda x: np.sort(x, axis=1, stable=True), T),
    row("sort", lambda x, y: np.sort(x + 1j * y, axis=0), M, N),
    row("sort", lambda i: np.sort(i, axis=-1), KEYS, smooth=False),
    row("argsort", lambda x: [np.argsort(x), x.argsort(0), np.argsort(x, axis=None)], M, smooth=False),
    row("argsort", lambda i: np.argsort(i, kind="stable"), KEYS, smooth=False),
    row("argsort", lambda x: np.take_along_axis(x, np.argsort(x, axis=1), 1), M),
    row("partition", lambda x: [np.partition(x, 2)[:, 2], np.partition(x, (1, -1), axis=None)[[1, -1]]], M),
    row("argpartition", lambda x: np.argpartition(x, 1, axis=1)[:, 1], M, smooth=False),
    row("lexsort", lambda i: np.lexsort((i[1], i[0])), KEYS, smooth=False),
    row("lexsort", lambda x, y: np.lexsort((x, np.sign(y)), axis=0), M, N, smooth=False),
    row("sort_complex", lambda x: np.sort_complex(x), V),
    row("searchsorted", lambda x: np.searchsorted(EDGES, x, side="right"), M, smooth=False),
    row("searchsorted", lambda x, i: [np.searchsorted(np.sort(x[0]), 0.2), i.searchsorted(7)], M, np.arange(9) * 2,
        smooth=False),
    row("searchsorted", lambda x: np.searchsorted(x, 0.3, sorter=np.argsort(x)), V, smooth=False),
    row("searchsorted", lambda x: np.searchsorted(np.linspace(-3, 3, 40), x), M, smooth=False),
    row("digitize", lambda x: [np.digitize(x, EDGES), np.digitize(x, EDGES[::-1], right=True)], M, smooth=False),
    row("isin", lambda i: [np.isin(i, [2, 7]), np.isin(i, [0, 1], invert=True)], KEYS, smooth=False),
    row("median", lambda x: [np.median(x), np.median(x, axis=0), np.median(x, axis=1, keepdims=True)], M),
    row("median", lambda x: np.median(x, axis=(0, 2)), T),
    row("median", lambda i: np.median(i, axis=1), KEYS, smooth=False),
    row("quantile", lambda x: [np.quantile(x, 0.3), np.quantile(x, Q, axis=1), np.quantile(x, 1.0, axis=0)], M,
        float32=1e-3),
    row("quantile", lambda x, q: np.quantile(x, q, axis=0, method="weibull"), M, Q, narrow=False),
    row("quantile", lambda x: np.quantile(x, [0.3, 0.5], axis=1, method="inverted_cdf", weights=[1.0, 2.0, 0.5]), T),
    row("quantile", lambda i: [np.quantile(i, 0.4, method="nearest"), np.quantile(i, 0.4)], KEYS, smooth=False),
    row("percentile", lambda x: [np.percentile(x, 30, axis=1), np.percentile(x, [5, 95])], M),
    row("percentile", lambda x: np.percentile(x, 62.5, axis=(1, 2), keepdims=True, method="hazen"), T),
    row("nanmedian", lambda x: [np.nanmedian(x * HOLES, axis=1), np.nanmedian(x * HOLES, axis=0)], M),
    row("nanquantile", lambda x: np.nanquantile(x * HOLES, Q, axis=1), M),
    row("nanpercentile", lambda x: np.nanpercentile(x * HOLES, 40, axis=0, keepdims=True), M),
    row("nanargmax", lambda x: [np.nanargmax(x * HOLES), np.nanargmax(x * HOLES, axis=1)], M, smooth=False),
    row("nanargmin", lambda x: np.nanargmin(x * HOLES, axis=0, keepdims=True), M, smooth=False),
]  # fmt: skip
