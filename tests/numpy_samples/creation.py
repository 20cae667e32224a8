"""Functions that make arrays."""

from __future__ import annotations

import numpy as np

import lilith.numpy
from tests.agreement import M, V
from tests.numpy_samples.making import row

ROWS = [
    row("meshgrid", lambda x, y: np.meshgrid(x, y), V, V[:3]),
    row("meshgrid", lambda x, y: np.meshgrid(x, y, indexing="ij", sparse=True), V, V[:3]),
    row("linspace", lambda x: np.linspace(x[0], x[1], 5), V),
    row("linspace", lambda x: np.linspace(0, x, 4, endpoint=False, axis=1), V),
    row("copy", lambda x: np.copy(x) + x.copy(), M),
    row("ones_like", lambda x: np.ones_like(x) * 2 + np.zeros_like(x) + np.full_like(x, 3) + x, M),
    row("ones_like", lambda x: np.ones_like(x, shape=(2, 2)) + x[:2, :2], M),
    row("linspace", lambda x: np.linspace(x[0, 0], x[1, 1] * 20, 5, dtype=int), M, smooth=False),
    row("empty_like", lambda x: np.zeros(np.empty_like(x, shape=(2, 3)).shape), M, smooth=False, compiled=False),
    row("zeros_like", lambda x: [np.zeros_like(x), np.zeros_like(x, dtype=int)], M, smooth=False),
    row("full_like", lambda x, v: np.full_like(x, v), M, V),
    row("array", lambda x, y: lilith.numpy.array([x, [y[0], 1.0, 2, y[1]]]), V, V, narrow=False),
    row("array", lambda x: lilith.numpy.array(x, dtype=np.float32, ndmin=3), M, smooth=False),
    row("asarray", lambda x: [lilith.numpy.asarray(x), lilith.numpy.asarray([x[0], x[1]])], M),
    row(
        "full", lambda x: [lilith.numpy.full((2, 3), x), lilith.numpy.full(3, x, dtype=np.float32)], V[0], smooth=False
    ),
    row("full", lambda v: lilith.numpy.full((2, 4), v), V),
]
