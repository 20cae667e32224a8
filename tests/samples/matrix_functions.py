"""Samples of functions of matrices."""

from __future__ import annotations

import numpy as np

from tests.samples.factorization import hermitian, matrices
from tests.samples.making import C64, C128, F32, F64, Sample, sample


def _squared(dtype: np.dtype, shape: tuple[int, ...], counts: list[int] | int, parts: int = 1) -> Sample:
    xs = [matrices(dtype, shape, seed) / 4 for seed in range(parts)]
    return sample(np.array(counts, np.int32), *xs)


def _hermitian(y: np.ndarray, *others: np.ndarray, smooth: bool = True) -> Sample:
    flags = (smooth,) * (1 + len(others)) + (False, False)
    return sample(y, *others, *np.linalg.eigh(y), smooth=flags, hermitian=smooth)


def samples() -> dict[str, list[Sample]]:
    squares = [
        hermitian(d, s) for d, s in ((F64, (3, 3)), (C128, (3, 3)), (F64, (2, 2, 2)), (F32, (3, 3)), (C64, (2, 2)))
    ]
    squares.append(np.eye(3) * 2 + np.diag([1.0, 0, 0]))  # equal eigenvalues
    return {
        "repeatedly_squared": [
            _squared(F64, (3, 3), 2),
            _squared(F64, (2, 2, 2), [0, 3]),
            _squared(F64, (2, 2), 2, parts=2),
            _squared(C128, (2, 2), 1, parts=4),
            _squared(F32, (2, 2), 2),
            sample(np.array([2, 1], np.int32), np.zeros((2, 0, 0))),
        ],
        "matrix_sqrt": [_hermitian(a) for a in squares],
        "lyapunov": [_hermitian(a, matrices(a.dtype, a.shape, 3)) for a in squares],
    }
