"""Samples of the primitives that make, move and repeat elements."""

from __future__ import annotations

import numpy as np

from lilith.ir import Literal
from lilith.ir.type import BFLOAT16
from tests.samples.making import BOOL, C128, F32, F64, I32, I64, U8, U64, Sample, sample, values


def samples() -> dict[str, list[Sample]]:
    out: dict[str, list[Sample]] = {}
    fills = [
        (1.5, F64),
        (-3, I32),
        (True, BOOL),
        (1 - 2j, C128),
        (np.inf, F32),
        (-0.0, F64),
        (0.1, BFLOAT16),
        (2**63, U64),
    ]
    out["fill"] = [sample(value=v, shape=s, dtype=d) for v, d in fills for s in ((2, 3), (), (0, 2))]
    literals = [values(d, s) for d in (F64, F32, I32, BOOL, C128) for s in ((2, 3), (1,), (0,))] + [
        np.array(2.5),
        np.nan,
    ]
    out["constant"] = [sample(value=Literal(array)) for array in literals]
    out["iota"] = [sample(shape=(2, 3), dtype=d, axis=a) for d in (I32, F64, U8, C128) for a in (0, 1)]
    out["iota"] += [sample(shape=(0,), dtype=I64, axis=0)]
    places = [
        ((3,), (2, 3), (1,)),
        ((3,), (3, 2), (0,)),
        ((), (2, 2), ()),
        ((1, 3), (2, 3), (0, 1)),
        ((2, 1), (2, 4, 3), (0, 2)),
        ((2, 3), (2, 3), (0, 1)),
        ((1,), (0,), (0,)),
    ]
    out["broadcast_in_dim"] = [sample(values(F64, s), shape=to, axes=axes) for s, to, axes in places]
    out["broadcast_in_dim"] += [sample(values(d, (3,)), shape=(2, 3), axes=(1,)) for d in (F32, C128, I32, BOOL)]
    return out | _moves()


def _moves() -> dict[str, list[Sample]]:
    out: dict[str, list[Sample]] = {}
    shapes = [((2, 3), (3, 2)), ((2, 3), (6,)), ((), (1, 1)), ((1,), ()), ((0, 2), (2, 0, 5)), ((4,), (4,))]
    out["reshape"] = [sample(values(F64, s), shape=to) for s, to in shapes] + [sample(values(I32), shape=(6,))]
    orders = [((2, 3), (1, 0)), ((2, 3, 4), (2, 0, 1)), ((), ()), ((0, 2), (1, 0)), ((2, 3), (0, 1))]
    out["transpose"] = [sample(values(F64, s), axes=axes) for s, axes in orders] + [sample(values(BOOL), axes=(1, 0))]
    flips = [((2, 3), (1,)), ((2, 3), (0, 1)), ((), ()), ((0,), (0,))]
    out["rev"] = [sample(values(F64, s), axes=axes) for s, axes in flips] + [sample(values(I32), axes=(0,))]
    joins = [(((2, 3), (2, 1), (2, 0)), 1), (((2,),), 0), (((2, 3), (1, 3)), 0), (((0,), (0,)), 0)]
    out["concatenate"] = [sample(*[values(d, s) for s in shapes], axis=a) for shapes, a in joins for d in (F64, I32)]
    out["pad"] = _pads()
    return out


def _pads() -> list[Sample]:
    cases: list[tuple[tuple[int, ...], tuple, tuple, tuple]] = [
        ((3,), (1,), (2,), (0,)),
        ((3,), (0,), (0,), (2,)),
        ((4,), (-1,), (2,), (0,)),
        ((4,), (-2,), (-1,), (1,)),
        ((4,), (3,), (-5,), (2,)),
        ((2, 3), (0, 1), (1, 0), (1, 0)),
        ((2, 3), (0, 0), (0, 0), (0, 0)),
        ((0,), (2,), (1,), (3,)),
        ((), (), (), ()),
        ((4,), (0,), (0,), (20,)),
        ((4,), (3,), (2,), (17,)),
        ((3, 2), (0, 0), (0, 5), (0, 30)),
        ((2, 3, 2), (0, 1, 0), (0, 0, 0), (0, 16, 0)),
        ((3,), (-1,), (0,), (20,)),
    ]
    found = [sample(values(F64, s), 0.7, low=lo, high=hi, interior=gap) for s, lo, hi, gap in cases]
    scalars = (np.float32(0.5), np.int32(4), np.bool_(True), np.complex128(1j))
    return found + [sample(values(v.dtype, (3,)), v, low=(1,), high=(1,), interior=(1,)) for v in scalars]
