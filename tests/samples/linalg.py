"""Samples of products of arrays."""

from __future__ import annotations

from tests.samples.making import C128, F32, F64, I32, U8, Sample, sample, values


def samples() -> dict[str, list[Sample]]:
    cases: list[tuple[tuple[int, ...], tuple[int, ...], tuple, tuple]] = [
        ((2, 3), (3, 4), ((1,), (0,)), ((), ())),
        ((3,), (3,), ((0,), (0,)), ((), ())),
        ((3,), (2,), ((), ()), ((), ())),
        ((), (), ((), ()), ((), ())),
        ((2, 2, 3), (2, 3, 4), ((2,), (1,)), ((0,), (0,))),
        ((3, 2, 4), (4, 5, 3, 2), ((0, 2), (2, 0)), ((1,), (3,))),
        ((4, 3, 2), (2, 4, 3), ((1, 0), (2, 1)), ((), ())),
        ((3, 2, 2), (2, 2), ((), ()), ((2, 1), (0, 1))),
        ((0, 3), (3, 2), ((1,), (0,)), ((), ())),
        ((2, 0), (0, 2), ((1,), (0,)), ((), ())),
    ]
    found = [sample(values(F64, s), values(F64, t, seed=2), contract=c, batch=b) for s, t, c, b in cases]
    matrices = {"contract": ((1,), (0,)), "batch": ((), ())}
    found += [sample(values(d), values(d, (3, 2), seed=2), **matrices) for d in (F32, C128, I32, U8)]
    return {"dot_general": found}
