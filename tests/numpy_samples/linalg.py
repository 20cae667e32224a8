"""Linear algebra. Functions of Hermitian matrices get such. float32 is in tests/test_linalg.py; NumPy has no less."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.numpy_samples.making import Row
from tests.numpy_samples.making import row as any_row
from tests.samples.factorization import hermitian, matrices
from tests.samples.making import C128, F64

A, T, W = matrices(F64, (3, 3)), matrices(F64, (4, 3)), matrices(F64, (3, 4))
B, C = matrices(F64, (2, 3, 3)), matrices(C128, (3, 3))
H = hermitian(F64, (3, 3))
FOUR = matrices(F64, (4, 4))
POINTS = (np.linspace(-1, 2, 6), np.array([0.3, -1, 0.5, 2, 1, 4]), np.array([1.0, 2, 1, 0.5, 1, 1]))
L = np.linalg


def row(name: str, function: Any, *arrays: Any, smooth: bool = True) -> Row:
    return any_row(name, function, *arrays, smooth=smooth, narrow=False)


def sym(a: Any) -> Any:
    return (a + a.T) / 2


ROWS: list[Row] = [
    row("linalg.solve", lambda a, b: L.solve(a, b), B, A[0]),
    row("linalg.inv", lambda a: L.inv(a), C),
    row("linalg.det", lambda a: [L.det(a), L.det(a[:2, :2])], C),
    row("linalg.det", lambda a: L.det(a), FOUR / 4),
    row("linalg.slogdet", lambda a: L.slogdet(a), C),
    row("linalg.cholesky", lambda a: L.cholesky(sym(a)), H),
    row("linalg.qr", lambda a: [L.qr(a), L.qr(a, mode="r")], T),
    row("linalg.eigh", lambda a: L.eigh(sym(a)), H),
    row("linalg.eigvalsh", lambda a: L.eigvalsh(sym(a), "U"), H),
    row("linalg.eig", lambda a: [L.eig(a)[0] + 0j, L.eig(a)[1] + 0j], C),
    row("linalg.eigvals", lambda a: L.eigvals(a) + 0j, A),
    row("linalg.svd", lambda a: L.svd(a, full_matrices=False), T),
    row("linalg.svdvals", lambda a: L.svdvals(a), W),
    row("linalg.pinv", lambda a: L.pinv(a), T),
    row("linalg.lstsq", lambda a, b: L.lstsq(a, b), T, W.T),
    row("linalg.cond", lambda a: [L.cond(a), L.cond(a, 1)], A),
    row("linalg.matrix_rank", lambda a: L.matrix_rank(a), T, smooth=False),
    row("linalg.matrix_power", lambda a: L.matrix_power(a, -2), A),
    row("linalg.norm", lambda a: [L.norm(a, 2), L.norm(a, -2), L.norm(a, "nuc")], T),
    row("linalg.tensorsolve", lambda a, b: L.tensorsolve(a, b), FOUR.reshape(2, 2, 4), FOUR[:2, :2]),
    row("polyfit", lambda x, y, w: np.polyfit(x, y, 2, w=w, full=True)[:2], *POINTS),
    row("polyfit", lambda x, y, w: [np.polyfit(x, y, 2, cov=True), np.polyfit(x, y, 1, cov="unscaled", w=w)], *POINTS),
    row("polyfit", lambda x, y, w: np.polyfit(x, np.stack([y, w], 1), 2, cov=True), *POINTS),
    row("roots", lambda p: np.roots(p) + 0j, np.array([2.0, 1.0, -3.0, 0.5])),
    row("poly", lambda z: np.poly(z), np.array([1.0, -2.0, 0.5, 0.3])),
    row("poly", lambda z: [np.poly(z), np.poly(z[:0])], np.array([1 + 1j, 0.5, -1j])),
    row("poly", lambda a: np.poly(a) + 0j, C),
    row("linalg.tensorinv", lambda a: L.tensorinv(a), FOUR.reshape(2, 2, 4)),
]
