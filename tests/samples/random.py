"""Samples of the random primitives."""

from __future__ import annotations

import numpy as np

from tests.samples.making import F32, F64, SHAPES, U32, Sample, sample


def samples() -> dict[str, list[Sample]]:
    rng = np.random.default_rng(0)
    words = [rng.integers(0, 2**32, 12, dtype=U32) for _ in range(3)]
    shapes_of = np.geomspace(0.05, 500, 12)
    return {
        "random_gamma": [sample(*words, shapes_of.astype(d), smooth=False) for d in (F64, F32)],
        "threefry": [sample(*rng.integers(0, 2**32, (4, *shape), dtype=U32)) for shape in SHAPES],
    }
