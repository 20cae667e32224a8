"""Functions that pick elements by position."""

from __future__ import annotations

import numpy as np

from tests.agreement import K, M, S
from tests.numpy_samples.making import row

ROWS = [
    row("take", lambda x: [np.take(x, [0, 2], axis=1), x.take(5), np.take(x, 1, axis=0)], M),
    row("diag_indices", lambda x: x * np.diag_indices(4)[0], M),
    row("diag_indices_from", lambda x: np.diag_indices_from(x), S, smooth=False, compiled=False),
    row("tril_indices", lambda x: x + np.tril_indices(3, -1)[0][:, None], M),
    row("triu_indices", lambda x: x + np.triu_indices(3, 1)[0][:, None], M),
    row("tril_indices_from", lambda x: np.tril_indices_from(x, 1), M, smooth=False, compiled=False),
    row("triu_indices_from", lambda x: np.triu_indices_from(x, -1), M, smooth=False, compiled=False),
    row("mask_indices", lambda x: x + np.mask_indices(3, np.triu, 1)[0][:, None], M),
    row(
        "ravel_multi_index",
        lambda i, j: np.ravel_multi_index((i, j), (9, 5)),
        np.array([1, 8]),
        np.array([0, 4]),
        smooth=False,
    ),
    row("ravel_multi_index", lambda i: np.ravel_multi_index((i, 2 * i), (3, 4), "wrap", "F"), K, smooth=False),
    row("ravel_multi_index", lambda i: np.ravel_multi_index((i, i), (3, 4), mode=("clip", "wrap")), K, smooth=False),
]
