"""Samples of the primitives that steer a program."""

from __future__ import annotations

import numpy as np

from lilith.ir import TensorType
from lilith.ops.control import Callback
from tests.samples.making import BOOL, C128, F32, F64, I32, SHAPES, Sample, sample, values

RESULTS = (TensorType((2, 3), F64), TensorType((2, 3), I32))


def _sine(x: np.ndarray, n: np.ndarray) -> tuple:
    return np.sin(x) * n, n + 1


def samples() -> dict[str, list[Sample]]:
    return {
        "stop_gradient": [sample(values(d, s), smooth=False) for d in (F64, F32, I32, BOOL, C128) for s in SHAPES],
        "callback": [sample(values(F64), values(I32), function=Callback("sine", _sine), results=RESULTS, smooth=False)],
        "print": [
            sample(format='plain "text" with \\ and é'),
            sample(values(F64, ()), values(I32), format="{:.3f} and\n{}", smooth=False),
        ],
    }
