"""Functions that pick elements by position."""

from __future__ import annotations

import numpy as np

from tests.agreement import M
from tests.numpy_samples.making import row

ROWS = [
    row("take", lambda x: [np.take(x, [0, 2], axis=1), x.take(5), np.take(x, 1, axis=0)], M),
]
