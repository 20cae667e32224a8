"""Samples of the matrix factorisations."""

from __future__ import annotations

import numpy as np

from tests.samples.making import C64, C128, F32, F64, Sample, sample


def matrices(dtype: np.dtype, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Well conditioned matrices with distinct singular values and eigenvalues."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, shape)
    if dtype.kind == "c":
        x = x + 1j * rng.uniform(-1, 1, shape)
    return (x + 2 * np.eye(*shape[-2:]) * np.arange(1, shape[-1] + 1)).astype(dtype)


def hermitian(dtype: np.dtype, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Hermitian matrices, positive definite, with distinct eigenvalues."""
    x = matrices(dtype, shape, seed)
    return (x + x.conj().mT) / 2


def _empty(*shape: int) -> np.ndarray:
    return np.zeros(shape)


def _qr_and_svd() -> dict[str, list[Sample]]:
    shapes = ((3, 3), (4, 3), (3, 4), (2, 3, 2), (1, 1))
    qr = [sample(matrices(F64, shape), full=False) for shape in shapes]
    qr += [sample(matrices(d, (3, 2)), full=False) for d in (F32, C64, C128)]
    qr += [sample(matrices(C128, (2, 3)), full=False), sample(matrices(F64, (2, 3)), full=True)]
    qr += [sample(matrices(F64, (2, 4, 2)), full=True, smooth=False), sample(_empty(3, 0), full=True, smooth=False)]
    qr += [sample(_empty(0, 3), full=False, smooth=False), sample(_empty(0, 2, 2), full=False, smooth=False)]
    svd = [sample(matrices(F64, shape), full=False) for shape in shapes]
    svd += [sample(matrices(d, (3, 2)), full=False, smooth=False) for d in (F32, C64, C128)]
    svd += [sample(matrices(F64, (3, 3)), full=True)]
    svd += [sample(matrices(d, (2, 3)), full=True, smooth=False) for d in (F64, C128)]
    svd += [sample(_empty(3, 0), full=True, smooth=False), sample(_empty(0, 2, 2), full=False, smooth=False)]
    return {"qr": qr, "svd": svd}


def samples() -> dict[str, list[Sample]]:
    squares = [hermitian(d, s) for d, s in ((F64, (3, 3)), (F64, (2, 3, 3)), (F64, (1, 1)))]
    others = [hermitian(d, (3, 3)) for d in (F32, C64)]
    lu = [sample(matrices(F64, s)) for s in ((3, 3), (2, 2, 2), (4, 2), (2, 4), (1, 1), (0, 0), (2, 3, 4))]
    lu += [sample(matrices(d, (3, 3))) for d in (F32, C64, C128)] + [sample(np.eye(4)[[2, 0, 3, 1]] + 0.1)]
    turned = np.array([[1.0, 2.0, 0.5], [-2.5, 1.0, 0.3], [0.2, -0.4, 3.0]])  # a pair of complex eigenvalues
    return {
        "cholesky": [sample(x, hermitian=True) for x in (*squares, *others, hermitian(C128, (3, 3)), _empty(0, 0))],
        "lu": lu,
        "row_order": [
            sample(np.array(p, np.int32), size=n) for p, n in (([2, 1, 2], 3), ([[1, 3], [0, 1]], 4), ([], 2), ([0], 1))
        ],
        "eigh": [sample(x, hermitian=True) for x in (*squares, _empty(2, 0, 0))]
        + [sample(x, smooth=False) for x in (*others, hermitian(C128, (2, 3, 3)))],
        "eig": [sample(x) for x in (matrices(F64, (3, 3)), turned, matrices(C128, (2, 2, 2)), _empty(0, 0))]
        + [sample(matrices(d, (3, 3))) for d in (F32, C64)],
        **_qr_and_svd(),
    }
