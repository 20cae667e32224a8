"""Differences, integrals and polynomials."""

from __future__ import annotations

import numpy as np

from tests.agreement import K, M, V
from tests.numpy_samples.making import row

ROWS = [
    row("diff", lambda x: np.diff(x, 2), M),
    row("diff", lambda x: np.diff(x, axis=0, prepend=0.0, append=x[:1]), M),
    row("trapezoid", lambda y, x: np.trapezoid(y, x), M, V),
    row("trapezoid", lambda y: np.trapezoid(y, dx=0.5, axis=0), M),
    row("polyval", lambda p, x: np.polyval(p, x), V, M),
    row("diff", lambda x: np.diff(x > 0), M, smooth=False),
    row("polyadd", lambda p, q: [np.polyadd(p, q), np.polyadd(q, p)], V, V[:2]),
    row("polysub", lambda p, q: [np.polysub(p, q), np.polysub(q, p)], V, V[:2]),
    row("polymul", lambda p, q: [np.polymul(p, q), np.polymul(q, 2.0)], V, V[:3] + 1),
    row("polydiv", lambda p, q: np.polydiv(p, q), V, np.array([1.5, 0.5]), narrow=False),
    row("polydiv", lambda p, q: np.polydiv(p, q), V[:2], np.array([1.5, 0.5, 2.0]), narrow=False),
    row("polydiv", lambda p: np.polydiv(p, 2.0), V, smooth=False, narrow=False),
    row("polyder", lambda p: [np.polyder(p), np.polyder(p, 2), np.polyder(p, 9), np.polyder(p, 0)], V),
    row("polyint", lambda p: [np.polyint(p), np.polyint(p, 2, [1.0, 2.0]), np.polyint(p, 3, k=2)], V),
    row("vander", lambda x: [np.vander(x), np.vander(x / 2, 5, increasing=True), np.vander(x, 1)], V, float32=1e-3),
    row("vander", lambda n: [np.vander(n, 3), np.vander(n, 0)], K, smooth=False),
]
