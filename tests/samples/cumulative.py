"""Samples of cumulative operations."""

from __future__ import annotations

import numpy as np

from tests.samples.making import BOOL, C128, F32, F64, I32, U8, Sample, sample, specials, values

LINES = [((2, 3), 0), ((2, 3), 1), ((1,), 0), ((0,), 0), ((2, 0), 0), ((17,), 0), ((3, 130, 2), 1), ((600,), 0)]
"""Shapes and axes; the long ones are computed in blocks."""


def samples() -> dict[str, list[Sample]]:
    both = (False, True)
    special = np.array([1.0, np.inf, 2.0, -np.inf, 3.0])
    out = {"cumsum": [sample(values(F64, s), axis=a, reverse=r) for s, a in LINES for r in both]}
    out["cumsum"] += [sample(values(d), axis=1, reverse=False) for d in (F32, C128, I32, U8)]
    out["cumsum"] += [sample(special, axis=0, reverse=r, smooth=False) for r in both]
    zeros = [np.array([2.0, 0.0, 3.0]), np.array([0.0, 2.0, 0.0, 1.5, 3.0]), np.zeros(3)]
    # a polynomial of degree 600 is too steep for finite differences
    out["cumprod"] = [sample(values(F64, s, 0.9, 1.1), axis=a, smooth=s != (600,)) for s, a in LINES]
    out["cumprod"] += [sample(x, axis=0) for x in zeros] + [sample(special, axis=0, smooth=False)]
    out["cumprod"] += [sample(values(d), axis=1) for d in (F32, C128, I32, U8)]
    factors = [np.array([np.inf, 2.0, 0.0, np.nan, 3.0, 1.0])]
    out["linear_recurrence"] = [
        sample(values(F64, s, -1.0, 1.0), values(F64, s, seed=1), axis=a, reverse=r)
        for s, a in [*LINES, ((200, 70), 0), ((70, 200), 1)]
        for r in both
    ]
    out["linear_recurrence"] += [
        sample(values(d), values(d, seed=1), axis=1, reverse=r) for d in (F32, C128, I32) for r in both
    ]
    out["linear_recurrence"] += [
        sample(a, np.arange(6.0), axis=0, reverse=r, smooth=False) for a in factors for r in both
    ]
    for name in ("cummax", "cummin"):
        # in long lines values lie too close for finite differences
        out[name] = [sample(values(F64, s), axis=a, smooth=np.prod(s) < 50) for s, a in [*LINES, ((200, 70), 0)]]
        out[name] += [sample(x, axis=0, smooth=False) for x in specials()]
        out[name] += [sample(np.array([1.0, 2.0, 2.0, 1.0, 2.0, 3.0, 3.0]), axis=0, smooth=False)]
        out[name] += [sample(values(d), axis=1) for d in (F32, I32, U8, BOOL)]
    return out
