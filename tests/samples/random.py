"""Samples of the random primitives."""

from __future__ import annotations

import numpy as np

from tests.samples.making import SHAPES, U32, Sample, sample


def samples() -> dict[str, list[Sample]]:
    rng = np.random.default_rng(0)
    return {
        "threefry": [sample(*rng.integers(0, 2**32, (4, *shape), dtype=U32)) for shape in SHAPES],
    }
