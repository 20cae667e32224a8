"""Linear algebra: systems, determinants, factorisations. Of vectors with a free sign, rows take what has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.agreement import M, S, T, V
from tests.numpy_samples.making import Row, row

RNG = np.random.default_rng(11)

A = S + 3 * np.eye(3)
H = A @ A.T + np.eye(3)  # positive definite
E = np.diag([3.0, 1.0, -2.0]) + 0.2 * (S + S.T)
Z = A + 1j * RNG.standard_normal((3, 3))
P = Z @ Z.conj().T + np.eye(3)
STACK = np.stack([A, A.T + 1])
FOUR = RNG.standard_normal((4, 4)) + 2 * np.eye(4)
POINTS = (np.linspace(-1, 2, 6), np.array([0.3, -1, 0.5, 2, 1, 4]), np.array([1.0, 2, 1, 0.5, 1, 1]))


def linalg(name: str, function: Callable[..., Any], *arrays: Any, **options: Any) -> Row:
    """A row; NumPy's linear algebra takes no numbers of 16 bits."""
    return row(f"linalg.{name}", function, *arrays, bfloat16=False, float32=1e-3, **options)


def symmetric(x: Any) -> Any:
    return (x + np.conj(np.swapaxes(x, -1, -2))) / 2


ROWS = [
    linalg("det", lambda x: [np.linalg.det(x), np.linalg.det(x[:1, :1])], A),
    linalg("det", lambda x: np.linalg.det(x), STACK),
    linalg("det", lambda z: np.linalg.det(z), Z),
    linalg("slogdet", lambda x: np.linalg.slogdet(x), STACK),
    linalg("slogdet", lambda z: np.linalg.slogdet(z).logabsdet, Z),
    linalg("inv", lambda x: np.linalg.inv(x), STACK),
    linalg("inv", lambda z: np.linalg.inv(z), Z),
    linalg("solve", lambda x, v: np.linalg.solve(x, v), STACK, V[:3]),
    linalg("solve", lambda x, y: np.linalg.solve(x, y), A, M),
    linalg("solve", lambda z, v: np.linalg.solve(z, v), Z, V[:3] * 1j),
    linalg("cholesky", lambda x: np.linalg.cholesky(symmetric(x)), H),
    linalg("cholesky", lambda x: np.linalg.cholesky(symmetric(x), upper=True), H),
    linalg("cholesky", lambda z: np.linalg.cholesky(symmetric(z)), P),
    linalg("qr", lambda x: (lambda q, r: [q @ r, np.abs(r), q * np.sign(q[:1])])(*np.linalg.qr(x)), A),
    linalg("qr", lambda x: np.abs(np.linalg.qr(x, mode="r")), T.transpose(0, 2, 1)),
    linalg("eigh", lambda x: (lambda w, v: [w, v * v, (v * w) @ v.T])(*np.linalg.eigh(symmetric(x))), E),
    linalg("eigh", lambda z: (lambda w, v: [w, np.abs(v) ** 2])(*np.linalg.eigh(symmetric(z))), P),
    linalg("eigvalsh", lambda x: np.linalg.eigvalsh(symmetric(x), UPLO="U"), E),
    linalg("eig", lambda x: np.real(np.sum(np.linalg.eig(x).eigenvalues ** 2)), A),
    linalg("eigvals", lambda x: np.real(np.sum(np.linalg.eigvals(x) ** 3)), A),
    linalg("svd", lambda x: (lambda u, s, v: [s, (u * s) @ v, u * u])(*np.linalg.svd(x, full_matrices=False)), M),
    linalg("svd", lambda x: np.linalg.svd(x, compute_uv=False), A),
    linalg("svdvals", lambda x: np.linalg.svdvals(x), T),
    linalg("pinv", lambda x: np.linalg.pinv(x), M),
    linalg("pinv", lambda x: np.linalg.pinv(symmetric(x), hermitian=True), E),
    linalg("lstsq", lambda x, v: np.linalg.lstsq(x, v)[0], M.T, V),
    linalg("cond", lambda x: [np.linalg.cond(x), np.linalg.cond(x, 1), np.linalg.cond(x, "fro")], A),
    linalg("matrix_rank", lambda x: np.linalg.matrix_rank(x), STACK, smooth=False),
    linalg("tensorinv", lambda x: np.linalg.tensorinv(x.reshape(3, 3, 1), ind=1), A),
    linalg("tensorsolve", lambda x, v: np.linalg.tensorsolve(x, v), A, V[:3]),
    linalg("norm", lambda x: [np.linalg.norm(x, 2), np.linalg.norm(x, -2), np.linalg.norm(x, "nuc")], A),
    linalg("matrix_norm", lambda x: np.linalg.matrix_norm(x, ord=2), STACK),
    linalg("matrix_power", lambda x: np.linalg.matrix_power(x, -2), A),
    linalg("lstsq", lambda x, y: list(np.linalg.lstsq(x, y)), M.T, T[0].T),
    linalg("tensorinv", lambda x: np.linalg.tensorinv(x), FOUR.reshape(2, 2, 4)),
    row("polyfit", lambda x, y, w: np.polyfit(x, y, 2, w=w, full=True)[:2], *POINTS, narrow=False),
    row(
        "polyfit",
        lambda x, y, w: [np.polyfit(x, y, 2, cov=True), np.polyfit(x, y, 1, cov="unscaled", w=w)],
        *POINTS,
        narrow=False,
    ),
    row("polyfit", lambda x, y, w: np.polyfit(x, np.stack([y, w], 1), 2, cov=True), *POINTS, narrow=False),
    row("roots", lambda p: np.roots(p) + 0j, np.array([2.0, 1.0, -3.0, 0.5]), narrow=False),
    row("poly", lambda z: np.poly(z), np.array([1.0, -2.0, 0.5, 0.3])),
    row("poly", lambda z: [np.poly(z), np.poly(z[:0])], np.array([1 + 1j, 0.5, -1j])),
    row("poly", lambda a: np.poly(a) + 0j, Z, bfloat16=False, float32=1e-3),
]
