"""Samples of the sorting primitives."""

from __future__ import annotations

import numpy as np

from lilith.ir.type import BFLOAT16
from tests.samples.making import BOOL, F16, F32, F64, I8, I32, I64, U8, U32, U64, Sample, sample, specials, values


def samples() -> dict[str, list[Sample]]:
    shapes = [((5,), 0), ((2, 3), 0), ((2, 3), 1), ((3, 2, 4), 1), ((1,), 0), ((0,), 0), ((2, 0), 0), ((2, 0), 1)]
    found = [sample(values(F64, s), axis=a) for s, a in shapes]
    found += [sample(values(d, (3, 7), -9, 9), axis=1) for d in (F16, BFLOAT16, F32, I8, I32, I64, U8, U32, U64, BOOL)]
    found += [sample(np.tile(x, 2)[::-1], axis=0) for x in specials()]
    found += [sample(-np.tile(x, 2).astype(BFLOAT16), axis=0) for x in specials()[:1]]
    small = [np.array([0, 3, -2, 1, -0.0, -1, 2], d) * np.finfo(d).smallest_subnormal for d in (F64, F32, F16)]
    found += [sample(x.astype(x.dtype), axis=0) for x in small]
    # numbers that differ in the low half, in the high half, or in the sign only
    wide = np.array([2**40 + 7, 2**31, 2**40 + 2**31, 5, 2**32, 2**63 - 1, 2**31 - 1, 0, 2**40 + 7])
    found += [sample(wide, axis=0), sample(-wide - 1, axis=0), sample(wide.astype(U64) * 2 + 1, axis=0)]
    found += [sample(np.array([2**31, 1, 2**32 - 1, 0, 2**31 - 1, 2**31], U32), axis=0)]
    return {"argsort": found, "searchsorted": _searches()}


def _searches() -> list[Sample]:
    found = []
    for n in (0, 1, 5, 24, 25, 32, 40):
        for d in (F64, I32) if n not in (5, 40) else (F64, F32, F16, BFLOAT16, I8, I64, U8, U32, U64, BOOL):
            line, v = [values(d, s, -9, 9, seed=k) for k, s in enumerate(((2, n), (2, 9)))]
            found += [sample(np.sort(line.astype(F64)).astype(d), v, side=side) for side in ("left", "right")]
    for x in specials():
        line = np.sort(np.tile(x, 4))  # with -0.0 among zeros
        found += [sample(part, x, side=side) for part in (line, line[:10], line[-5:]) for side in ("left", "right")]
    small = np.arange(-20, 20) * np.finfo(F64).smallest_subnormal
    found += [sample(small, small[::3], side=side) for side in ("left", "right")]
    edges = np.array([0, 1, 2**31 - 1, 2**31, 2**32 - 1], U32)
    found += [sample(np.repeat(edges, 6), edges, side=side) for side in ("left", "right")]
    return [*found, sample(values(F64, (3,)), values(F64, (0,)), side="left")]
