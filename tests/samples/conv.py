"""Samples of the convolutions and windows."""

from __future__ import annotations

from typing import Any

from tests.samples.making import BFLOAT16, C128, F16, F32, F64, I32, Sample, sample, values


def samples() -> dict[str, list[Sample]]:
    return {"conv": _conv()}


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
