"""Samples of reductions and positions."""

from __future__ import annotations

import numpy as np

from tests.samples.making import BOOL, C128, F32, F64, I32, I64, U8, Sample, sample, specials, values


def samples() -> dict[str, list[Sample]]:
    out: dict[str, list[Sample]] = {}
    axes = [
        ((2, 3), (0,)),
        ((2, 3), (1,)),
        ((2, 3), (0, 1)),
        ((2, 3), (1, 0)),
        ((2, 3), ()),
        ((), ()),
        ((2, 1, 3), (0, 2)),
        ((2, 3, 2), (1, 2)),
    ]
    empty = [((0, 2), (0,)), ((2, 0), (0,)), ((0,), ())]
    for name in ("reduce_sum", "reduce_prod"):
        out[name] = [sample(values(F64, s), axes=a) for s, a in axes + empty]
        out[name] += [sample(values(d), axes=(0,)) for d in (F32, C128, I32, I64, U8)]
    zeros = [np.array([2.0, 0.0, 3.0]), np.array([0.0, 2.0, 0.0, 1.5, 3.0]), np.zeros(3), values(F64, (7,))]
    out["reduce_prod"] += [sample(x, axes=(0,)) for x in zeros]
    rows = values(F64, (5, 70), 0.5, 1.5)
    rows[1, ::3] = rows[3, ::6] = 0.0
    out["reduce_prod"] += [sample(rows, axes=(0,)), sample(rows.reshape(1, 5, 70), axes=(0, 1))]
    special = [sample(x[:n], axes=(0,), smooth=False) for x in specials() for n in (3, 8)]
    ties = [sample(np.array([[1.0, 2.0, 2.0], [3.0, 3.0, 3.0]]), axes=(1,), smooth=False)]
    for name in ("reduce_max", "reduce_min"):
        out[name] = [sample(values(F64, s), axes=a) for s, a in [*axes, *empty[1:]]] + special + ties
        out[name] += [sample(values(d), axes=(0,)) for d in (F32, I32, I64, U8, BOOL)]
    out["extremum_cotangent"] = _extremum_cotangents()
    out["exponent_shift"] = [sample(values(F64, s), axes=a, smooth=False) for s, a in [*axes, *empty[1:]]] + [
        sample(values(F32), axes=(1,), smooth=False),
        sample(np.array([-np.inf, -np.inf]), axes=(0,), smooth=False),
    ]
    for name in ("reduce_and", "reduce_or"):
        out[name] = [sample(values(BOOL, s), axes=a) for s, a in axes + empty]
        out[name] += [sample(values(d, (3, 2), 1, 9), axes=(0,)) for d in (I32, U8)] + [
            sample(np.zeros((0,), U8), axes=(0,))
        ]
    return out | _positions()


def _extremum_cotangents() -> list[Sample]:
    """Without and with ties, few elements and many; linear in the first operand."""
    only_g = (True, False, False)
    tied = np.array([[1.0, 2.0, 2.0], [3.0, 3.0, 3.0]])
    large = values(F64, (80, 96))
    tied_large = np.where(large > 1, 1.0, large)
    arrays = [(values(F64), (1,)), (values(F64), (0,)), (values(F64), (0, 1)), (tied, (1,)), (tied, ())]
    arrays += [(x, axes) for x in (large, tied_large) for axes in ((0,), (1,), (1, 0))]
    arrays += [(tied_large.reshape(1, 80, 1, 96), axes) for axes in ((0, 1), (2, 3), (0, 1, 2, 3), (0, 2))]
    out = []
    for largest, reduced in ((True, np.max), (False, np.min)):
        for x, axes in arrays:
            y = reduced(x, axis=axes)
            g = values(F64, y.shape, seed=3)
            out.append(sample(g, y, x, axes=axes, largest=largest, smooth=only_g))
    for x in specials():
        for g in (2.0, np.inf, np.nan):
            part = x[:3]
            out.append(sample(x.dtype.type(g), np.max(part), part, axes=(0,), largest=True, smooth=False))
    many = np.where(large > 1, np.inf, large)
    out += [sample(np.float64(g), np.max(many), many, axes=(0, 1), largest=True, smooth=False) for g in (0.0, np.inf)]
    return out


def _positions() -> dict[str, list[Sample]]:
    out: dict[str, list[Sample]] = {}
    for name in ("argmax", "argmin"):
        out[name] = [
            sample(values(F64, s), axis=a) for s, a in (((2, 3), 0), ((2, 3), 1), ((4,), 0), ((1,), 0), ((2, 0), 0))
        ]
        out[name] += [sample(x, axis=0) for x in specials()]
        out[name] += [sample(values(d, (2, 3)), axis=1) for d in (F32, I32, U8, BOOL)]
        out[name] += [
            sample(np.array([2.0, 1.0, 2.0, 1.0]), axis=0),
            sample(np.full(3, -np.inf), axis=0),
            sample(np.full(3, np.inf), axis=0),
        ]
    return out
