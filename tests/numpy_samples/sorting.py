"""Order, ranks and searching."""

from __future__ import annotations

import numpy as np

import lilith.numpy
from tests.agreement import MASK, RNG, K, M, N, T, V, Z
from tests.numpy_samples.making import row

EDGES = np.array([-1.0, -0.2, 0.3, 1.1])

ROWS = [
    row("sort", lambda x: [np.sort(x), np.sort(x, axis=0), np.sort(x, axis=None)], M),
    row("sort", lambda z: np.sort(z), Z),
    row("sort", lambda x: -lilith.numpy.sort(-x, descending=True) if isinstance(x, lilith.Tracer) else np.sort(x), M),
    row("argsort", lambda x: [np.argsort(x, axis=0), x.argsort()], M, smooth=False, narrow=False),
    row("argsort", lambda n: np.argsort(n, stable=True), K % 3, smooth=False),
    row("lexsort", lambda x, n: np.lexsort((x, n)), RNG.standard_normal(8), K % 3, smooth=False, narrow=False),
    row("sort_complex", lambda x: [np.sort_complex(x), np.sort_complex(x + 1j)], V),
    row("partition", lambda x: np.sort(np.partition(x, 2, axis=0)[:2], axis=0), M),
    row("argpartition", lambda x: np.argpartition(x, 3)[3], RNG.standard_normal(8), smooth=False, narrow=False),
    row("searchsorted", lambda v: [np.searchsorted(EDGES, v), np.searchsorted(v, 0.1)], np.sort(V), smooth=False),
    row("digitize", lambda x: np.digitize(x, EDGES), M, smooth=False),
    row("isin", lambda n: np.isin(n, [0, 5, -3], invert=True), K, smooth=False),
    row("median", lambda x: [np.median(x), np.median(x, axis=(0, 2), keepdims=True)], T),
    row("quantile", lambda x: [np.quantile(x, 0.3), np.quantile(x, [0.1, 0.8], axis=1)], M),
    row("quantile", lambda x: np.quantile(x, 0.4, axis=0, method="hazen"), M),
    row("quantile", lambda x, q: np.quantile(x, q), M, np.array([0.31, 0.77]), narrow=False),
    row("percentile", lambda x: np.percentile(x, [30, 55], axis=0, keepdims=True), M),
    row("nanmedian", lambda x: np.nanmedian(np.where(MASK, x, np.nan)), M),
    row("nanquantile", lambda x: np.nanquantile(np.where(MASK, x, np.nan), 0.4), M),
    row("nanpercentile", lambda x: np.nanpercentile(np.where(N > -1, x, np.nan), 35, axis=0), M),
]
