"""Samples of the convolutions and windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.samples.making import BFLOAT16, BOOL, C128, F16, F32, F64, I32, U8, Sample, sample, values


def samples() -> dict[str, list[Sample]]:
    pooled = _pooling()
    sums = [sample(values(C128, (2, 5)), **pooled[0].params), sample(values(U8, (2, 5)), **pooled[0].params)]
    tied = [np.array([[1.0, 2.0, 2.0, 2.0, 0.0]]), np.full((1, 5), -np.inf), np.array([[1.0, np.nan, 0, 3, np.nan]])]
    maxima = [sample(x, **pooled[0].params, smooth=False) for x in tied]
    maxima += [sample(values(d, (2, 5)), **pooled[0].params) for d in (U8, BOOL)]
    nothing = {"window": (2,), "strides": (1,), "low": (1,), "high": (1,), "dilation": (1,)}
    sums.append(sample(np.zeros(0), **nothing))
    maxima.append(sample(np.zeros(0), **nothing, smooth=False))
    return {"conv": _conv(), "reduce_window_sum": pooled + sums, "reduce_window_max": pooled + maxima}


def _pooling() -> list[Sample]:
    def case(shape: tuple[int, ...], window: tuple[int, ...], dtype: Any = F64, **given: Any) -> Sample:
        n = len(shape)
        rest = {"strides": (1,) * n, "low": (0,) * n, "high": (0,) * n, "dilation": (1,) * n}
        return sample(values(dtype, shape), window=window, **(rest | given))

    return [
        case((2, 5), (1, 2), low=(0, 1), high=(0, 1)),
        case((2, 6), (1, 2), strides=(1, 2)),
        case((7,), (3,), strides=(2,), low=(1,), high=(1,)),
        case((9,), (3,), strides=(2,), dilation=(3,), low=(2,)),
        case((8,), (2,), strides=(4,)),
        case((7,), (2,), strides=(3,), low=(-1,), high=(-2,)),
        case((6,), (4,), strides=(2,), high=(-1,), dilation=(1,)),
        case((2, 4, 5), (1, 2, 3), strides=(1, 1, 2), low=(0, 1, 0), high=(0, 0, 2)),
        case((3, 4), (3, 4)),
        case((2, 9, 8), (1, 6, 7), strides=(1, 2, 1), low=(0, 2, 3), high=(0, 1, 0)),
        case((1, 40), (1, 35), strides=(1, 2)),
        case((3,), (5,)),
        case((0, 4), (1, 2)),
        case((), ()),
        case((2, 5), (1, 2), F32),
        case((2, 5), (1, 2), I32),
        case((2, 5), (1, 2), BFLOAT16),
    ]


def _conv() -> list[Sample]:
    """Every parameter alone and together; windows that do and do not tile, negative padding, nothing."""

    def case(x: tuple[int, ...], w: tuple[int, ...], dtype: Any = F64, **given: Any) -> Sample:
        space = len(x) - 2
        params = {name: (1,) * space for name in ("strides", "lhs_dilation", "rhs_dilation")}
        params |= {"low": (0,) * space, "high": (0,) * space, "feature_groups": 1, "batch_groups": 1, **given}
        return sample(values(dtype, x), values(dtype, w, seed=2), **params)

    everything = {"strides": (2, 3), "low": (2, -1), "high": (1, 3), "lhs_dilation": (2, 3), "rhs_dilation": (3, 2)}
    return [
        case((2, 3, 5), (4, 3, 2)),
        case((2, 2, 6), (3, 2, 3), strides=(2,), low=(1,), high=(0,)),
        case((1, 2, 5), (2, 2, 2), rhs_dilation=(2,), low=(-1,), high=(2,)),
        case((1, 2, 4), (2, 2, 3), lhs_dilation=(2,), low=(1,), high=(-1,)),
        case((2, 4, 5), (6, 2, 2), feature_groups=2, strides=(2,)),
        case((4, 2, 5), (6, 2, 2), batch_groups=2, strides=(2,)),
        case((2, 4, 4), (6, 2, 3), feature_groups=2, lhs_dilation=(3,), rhs_dilation=(2,), low=(4,), high=(1,)),
        case((2, 12, 3), (12, 1, 2), feature_groups=12),
        case((2, 18, 3), (9, 2, 2), feature_groups=9),
        case((2, 3, 4), (3, 1, 2), feature_groups=3),
        case((1, 2, 4, 5), (2, 2, 2, 3)),
        case((2, 4, 4, 3), (2, 2, 2, 2), feature_groups=2, **everything),
        case((2, 2, 3, 4), (2, 2, 2, 2), batch_groups=2, **everything),
        case((1, 1, 3, 2, 3), (2, 1, 2, 2, 1), strides=(1, 2, 1), low=(1, 0, 0), high=(0, 0, 1)),
        case((1, 1, 2), (1, 1, 3)),
        case((1, 1, 2), (1, 1, 3), low=(1,), high=(2,)),
        case((0, 1, 3), (1, 1, 2)),
        case((1, 0, 3), (2, 0, 2)),
        case((2, 2, 4), (1, 2, 2), dtype=F32),
        case((2, 2, 4), (1, 2, 2), dtype=C128),
        case((2, 2, 4), (1, 2, 2), dtype=I32),
        case((2, 2, 4), (1, 2, 2), dtype=BFLOAT16),
        case((2, 2, 4), (1, 2, 2), dtype=F16),
    ]
