"""Samples of the primitives that steer a program."""

from __future__ import annotations

from tests.samples.making import BOOL, C128, F32, F64, I32, SHAPES, Sample, sample, values


def samples() -> dict[str, list[Sample]]:
    return {
        "stop_gradient": [sample(values(d, s), smooth=False) for d in (F64, F32, I32, BOOL, C128) for s in SHAPES],
        "print": [
            sample(format='plain "text" with \\ and é'),
            sample(values(F64, ()), values(I32), format="{:.3f} and\n{}", smooth=False),
        ],
    }
