"""Samples of the indexing primitives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lilith.ops.windows import Windows
from tests.samples.making import BOOL, C128, F32, F64, I32, I64, U8, Sample, sample, values


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
    return {"slice": found} | _windows() | _moving()


# shape of x, indices, windows, sizes of windows
_Case = tuple[tuple[int, ...], Any, Windows, tuple[int, ...]]

_ROWS = Windows(offset=(1,), collapsed=(0,), start=(0,))
_ELEMENTS = Windows(offset=(), collapsed=(0, 1), start=(0, 1))
_CASES: list[_Case] = [
    ((5, 3), [[4], [0], [4], [-7], [9]], _ROWS, (1, 3)),
    ((5, 3), [[[1], [2]], [[3], [0]]], Windows((1,), (0,), (0,)), (1, 2)),
    ((3, 4), [[0, 3], [2, 1], [2, 1]], _ELEMENTS, (1, 1)),
    ((3, 4), [[3, 0], [1, 2]], Windows((), (0, 1), (1, 0)), (1, 1)),
    ((6,), [[1], [2], [5]], Windows((1,), (), (0,)), (3,)),
    ((3, 4), [[2], [0]], Windows((0,), (1,), (1,)), (3, 1)),
    ((3, 4), [[[2], [0]], [[1], [1]], [[3], [0]]], Windows((), (1,), (1,), (0,), (0,)), (1, 1)),
    ((2, 3, 4), [[[2], [0]], [[3], [1]]], Windows((1,), (2,), (2,), (0,), (1,)), (1, 3, 1)),
    ((4,), [2], Windows((), (0,), (0,)), (1,)),
    ((4,), [1], Windows((0,), (), (0,)), (2,)),
    ((5, 3), np.zeros((0, 1)), _ROWS, (1, 3)),
    ((5, 0), [[1], [2]], _ROWS, (1, 0)),
]


def _result_shape(indices: np.ndarray, windows: Windows, sizes: Sequence[int]) -> tuple[int, ...]:
    kept = [n for axis, n in enumerate(sizes) if axis not in windows.collapsed + windows.batch]
    shape = list(indices.shape[:-1])
    for axis, n in zip(windows.offset, kept, strict=True):
        shape.insert(axis, n)
    return tuple(shape)


def _windows() -> dict[str, list[Sample]]:
    out: dict[str, list[Sample]] = {"gather": [], "scatter_add": [], "scatter": []}

    def add(case: _Case, dtype: np.dtype, index: np.dtype, sorted: bool = False, unique: bool = False) -> None:
        shape, given, windows, sizes = case
        indices = np.asarray(given).astype(index)
        flags = {"windows": windows, "sorted": sorted, "unique": unique}
        x, updates = values(dtype, shape), values(dtype, _result_shape(indices, windows, sizes), seed=3)
        out["gather"].append(sample(x, indices, sizes=sizes, **flags))
        out["scatter"].append(sample(x, indices, updates, **flags))
        if dtype != BOOL:
            out["scatter_add"].append(sample(x, indices, updates, **flags))

    for case in _CASES:
        add(case, F64, I64)
    for dtype in (F32, C128, I32, BOOL):
        add(_CASES[2], dtype, I32)
    rows = ((5, 3), [[0], [2], [4]], _ROWS, (1, 3))
    add(rows, F64, I32, sorted=True, unique=True)
    add(rows, F64, U8)
    add(((300,), [[200], [255]], Windows((), (0,), (0,)), (1,)), F64, U8)
    add(((300,), [[-100], [127]], Windows((), (0,), (0,)), (1,)), F64, np.dtype("i1"))
    return out


def _moving() -> dict[str, list[Sample]]:
    cases: list[tuple[tuple[int, ...], tuple, tuple[int, ...]]] = [
        ((5,), (1,), (3,)),
        ((5,), (4,), (3,)),
        ((5,), (-1,), (3,)),
        ((3, 4), (1, 2), (2, 1)),
        ((3, 4), (0, 7), (3, 2)),
        ((3, 4), (1, 1), (0, 2)),
        ((), (), ()),
    ]
    out: dict[str, list[Sample]] = {"dynamic_slice": [], "dynamic_update_slice": []}
    kinds = [(case, F64, I64) for case in cases]
    kinds += [(cases[3], d, I32) for d in (F32, C128, I32, BOOL)] + [(cases[3], F64, U8)]
    for (shape, starts, sizes), dtype, index in kinds:
        scalars = [index.type(i) for i in starts]
        x = values(dtype, shape)
        out["dynamic_slice"].append(sample(x, *scalars, sizes=sizes))
        out["dynamic_update_slice"].append(sample(x, values(dtype, sizes, seed=3), *scalars))
    return out
