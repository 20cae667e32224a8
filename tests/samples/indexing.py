"""Samples of the indexing primitives."""

from __future__ import annotations

from tests.samples.making import BOOL, C128, F32, F64, I32, Sample, sample, values


def samples() -> dict[str, list[Sample]]:
    cases: list[tuple[tuple[int, ...], tuple, tuple, tuple]] = [
        ((5,), (1,), (4,), (1,)),
        ((5,), (0,), (5,), (2,)),
        ((7,), (1,), (6,), (3,)),
        ((3, 4), (1, 0), (2, 4), (1, 1)),
        ((3, 4), (0, 1), (3, 4), (2, 2)),
        ((5,), (2,), (2,), (1,)),
        ((3,), (0,), (3,), (1,)),
        ((), (), (), ()),
    ]
    found = [sample(values(F64, s), start=a, limit=b, stride=c) for s, a, b, c in cases]
    found += [sample(values(d, (5,)), start=(1,), limit=(5,), stride=(2,)) for d in (F32, C128, I32, BOOL)]
    return {"slice": found}
