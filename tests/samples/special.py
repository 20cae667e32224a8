"""Samples of the special functions."""

from __future__ import annotations

import numpy as np

from tests.samples.making import F32, F64, SHAPES, Sample, sample, values

_UNARY = {
    "erf": (-1.7, 1.9),
    "erfc": (-1.7, 1.9),
    "erfinv": (-0.8, 0.9),
    "lgamma": (0.4, 4.0),
    "digamma": (0.4, 4.0),
}


def _unary(low: float, high: float) -> list[Sample]:
    return [sample(values(d, s, low, high)) for d, s in (*((F64, s) for s in SHAPES), (F32, (5,)))]


def samples() -> dict[str, list[Sample]]:
    out = {name: _unary(*domain) for name, domain in _UNARY.items()}
    out["polygamma"] = [
        sample(np.full(s, n, d), values(d, s, 0.5, 3.0), smooth=(False, True))
        for n in (1, 2)
        for d, s in ((F64, (2, 3)), (F32, (3,)), (F64, ()))
    ]
    return out
