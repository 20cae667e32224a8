"""Differences, integrals and polynomials."""

from __future__ import annotations

import numpy as np

from tests.agreement import M, V
from tests.numpy_samples.making import row

ROWS = [
    row("diff", lambda x: np.diff(x, 2), M),
    row("diff", lambda x: np.diff(x, axis=0, prepend=0.0, append=x[:1]), M),
    row("trapezoid", lambda y, x: np.trapezoid(y, x), M, V),
    row("trapezoid", lambda y: np.trapezoid(y, dx=0.5, axis=0), M),
    row("polyval", lambda p, x: np.polyval(p, x), V, M),
    row("diff", lambda x: np.diff(x > 0), M, smooth=False),
]
