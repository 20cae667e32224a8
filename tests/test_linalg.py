"""numpy.linalg and lilith.linalg on traced arrays: values, derivatives, laws, hard points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import lilith
from lilith import linalg as ll
from lilith.ir.interpret import interpret
from lilith.source import ArgumentError, DtypeError, ShapeError, TraceError, UnsupportedError
from lilith.transform.reverse import reverse
from lilith.transform.simplify import simplify
from tests.agreement import agrees, check_gradient, evaluate, gradient, traced
from tests.samples.factorization import hermitian, matrices
from tests.samples.making import C128, F32, F64

L = np.linalg
RNG = np.random.default_rng(3)
A, B, C = matrices(F64, (4, 4)), matrices(F64, (2, 3, 3)), matrices(C128, (3, 3))
T, W, ONE = matrices(F64, (5, 3)), matrices(F64, (3, 5)), matrices(F64, (1, 1))
H, HC = hermitian(F64, (4, 4)), hermitian(C128, (3, 3))
INTS = np.arange(9).reshape(3, 3) % 5 + 3 * np.eye(3, dtype=int)
SINGLE, SINGULAR, EMPTY, NONE = matrices(F32, (3, 3)), np.ones((4, 4)), np.zeros((0, 0)), np.zeros((0, 2, 2))
V = RNG.standard_normal(4)
SIX = matrices(F64, (6, 6))

# ---- values ---------------------------------------------------------------------------------------------------------

SQUARES = (A, B, C, ONE, INTS, SINGLE, EMPTY, NONE)
ANY = (A, B, C, T, W, INTS, SINGLE)
VALUES: dict[str, list[tuple[Any, ...]]] = {
    "solve": [(L.solve, a, b) for a, b in ((A, V), (A, A[:, :2]), (B, B[..., :2]), (B, B[0]), (B[0], B), (B, B[0, 0]))]
    + [(L.solve, a, b) for a, b in ((SINGLE, V[:3]), (C, C[0].real), (INTS, INTS[0]), (EMPTY, np.zeros((0, 2))))],
    "inv": [(L.inv, a) for a in SQUARES],
    "det": [(L.det, a) for a in (*SQUARES, SINGULAR, A[:2, :2], np.zeros((3, 3)))],
    "slogdet": [(L.slogdet, a) for a in (*SQUARES, SINGULAR, np.zeros((2, 0, 0)))],
    "cholesky": [(L.cholesky, a) for a in (H, HC, np.tril(H))]
    + [(lambda a: L.cholesky(a, upper=True), a) for a in (H, HC, np.triu(H))],
    "qr": [(lambda a, mode=mode: L.qr(a, mode), a) for a in ANY for mode in ("reduced", "complete", "r")],
    "eigh": [(L.eigh, H), (L.eigh, np.tril(H)), (L.eigvalsh, HC), (lambda a: L.eigvalsh(a, "U"), np.triu(H))],
    "eig": [(L.eig, C)] + [(lambda a: L.eigvals(a) + 0j, a) for a in (A, B, C)],
    "svd": [(L.svd, a) for a in ANY] + [(lambda a: L.svd(a, full_matrices=False), a) for a in (T, W)],
    "svdvals": [(L.svdvals, W), (lambda a: L.svd(a, compute_uv=False), T)],
    "pinv": [(L.pinv, a) for a in (*ANY, np.zeros((0, 3)), SINGULAR)]
    + [(lambda a: L.pinv(a, 0.5), T), (lambda a: L.pinv(a, rtol=None), T), (lambda a: L.pinv(a, hermitian=True), H)]
    + [(lambda a: L.pinv(a, rtol=np.array([0.1, 0.5])), B)],
    "lstsq": [(L.lstsq, a, b) for a, b in ((T, T[:, 0] + 1), (T, T), (W, W), (A, A), (T + 1j, T), (A, V))]
    + [(lambda a, b: L.lstsq(a, b, 0.3)[:1], T, T), (lambda a, b: L.lstsq(a, b, -1)[0], T, T)],
    "matrix_power": [(lambda a, n=n: L.matrix_power(a, n), A) for n in (-3, -1, 0, 1, 5)],
    "norm": [(lambda a, o=o: L.norm(a, o), T) for o in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)]
    + [(lambda a, o=o: L.norm(a, o, axis=(2, 0), keepdims=True), B) for o in ("nuc", 2, -2)]
    + [(lambda a: L.matrix_norm(a, ord="nuc"), B), (lambda a: L.norm(a, 2), SINGLE)],
    "cond": [(lambda a, p=p: L.cond(a, p), A) for p in (None, 2, -2, 1, -1, "fro", "nuc", np.inf)]
    + [(L.cond, T), (L.cond, B), (L.cond, np.zeros((3, 3))), (lambda a: L.cond(a, 1), B)],
    "matrix_rank": [(L.matrix_rank, a) for a in (A, B, T, SINGULAR, np.zeros((2, 3, 3)), np.zeros(3), np.ones(3))]
    + [(lambda a: L.matrix_rank(a, tol=3.0), A), (lambda a: L.matrix_rank(a, rtol=0.3), A)],
    "tensors": [
        (L.tensorsolve, SIX.reshape(2, 3, 6), matrices(F64, (2, 3))),
        (lambda a, b: L.tensorsolve(a, b, (0,)), SIX.reshape(6, 2, 3), matrices(F64, (2, 3))),
        (L.tensorinv, SIX.reshape(2, 3, 6)),
        (lambda a: L.tensorinv(a, 1), SIX.reshape(6, 3, 2)),
    ],
}


@pytest.mark.parametrize("name", VALUES)
def test_value(name: str) -> None:
    for f, *xs in VALUES[name]:
        agrees(f, *xs, tolerance=1e-9 if xs[0].dtype.itemsize >= 8 else 1e-4)


def _scipys() -> list[tuple[Callable[..., Any], Callable[..., Any], tuple[np.ndarray, ...]]]:
    s, found = scipy.linalg, []
    for lower in (False, True):
        for a, b in ((H, V), (HC, HC[:, :2])):
            found.append(
                (
                    lambda a, b, lower=lower: ll.cho_solve(ll.cho_factor(a, lower), b),
                    lambda a, b, lower=lower: s.cho_solve(s.cho_factor(a, lower), b),
                    (a, b),
                )
            )
    for trans in (0, 1, 2):
        for a, b in ((A, V), (C, C[:, :2])):
            flags: dict[str, Any] = {"trans": trans}
            found.append(
                (
                    lambda a, b, flags=flags: ll.lu_solve(ll.lu_factor(a), b, **flags),
                    lambda a, b, flags=flags: s.lu_solve(s.lu_factor(a), b, **flags),
                    (a, b),
                )
            )
            for lower in (False, True):
                flags = {"trans": trans, "lower": lower, "unit_diagonal": lower}
                found.append(
                    (
                        lambda a, b, flags=flags: ll.solve_triangular(a, b, **flags),
                        lambda a, b, flags=flags: s.solve_triangular(a, b, **flags),
                        (a, b),
                    )
                )
    small = RNG.standard_normal((3, 3))
    found += [(ll.expm, s.expm, (x,)) for x in (small * 0.01, small, small * 10, C, B, SINGLE, np.zeros((2, 2)))]
    found += [(ll.sqrtm, s.sqrtm, (x,)) for x in (H, HC)]
    found += [(ll.block_diag, s.block_diag, (A, V, B[0])), (ll.toeplitz, s.toeplitz, (C[0],))]
    return found + [(ll.toeplitz, s.toeplitz, (V, r)) for r in (A[0], V[:2], C[0])]


def test_lilith_linalg_gives_what_scipy_gives() -> None:
    for ours, theirs, xs in _scipys():
        (found,), expected = evaluate(ours, *xs), theirs(*xs)
        assert found.dtype == expected.dtype
        rtol = 1e-10 if expected.dtype.itemsize >= 8 else 2e-5
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.max(np.abs(expected)))
        np.testing.assert_array_equal(ours(*xs), expected)


def test_compiled_program_gives_what_numpy_gives() -> None:
    """One program of many functions, also over stacks."""

    def f(a: Any, h: Any, t: Any, c: Any) -> Any:
        x, residuals, rank, s = L.lstsq(t, t[:, 0] + 1)
        several = L.inv(a), *L.slogdet(a), L.det(c), L.pinv(t), L.cond(a), L.norm(t, "nuc"), L.eigvalsh(h)
        return (*several, x, residuals, rank, s, L.cholesky(h), abs(L.qr(t)[0]), L.solve(c, c[..., :1]))

    operands = (A, H, T, np.stack([C, C.T]))
    for found, expected in zip(lilith.jit(f)(*operands), f(*operands), strict=True):
        assert found.dtype == np.asarray(expected).dtype
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


# ---- derivatives ----------------------------------------------------------------------------------------------------


def sym(a: Any) -> Any:
    return (a + np.conj(np.swapaxes(a, -1, -2))) / 2


def weighted(*ys: Any) -> Any:
    """A real number in which every element counts differently."""
    total: Any = 0.0
    for y in ys:
        w = np.cos(1 + np.arange(y.size)).reshape(y.shape)
        total = total + np.sum(np.real(y) * w)
        if y.dtype.kind == "c":
            total = total + np.sum(np.imag(y) * np.sqrt(1.1 + w))
    return total


GRADIENTS: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "solve": (lambda a, b: weighted(L.solve(a, b)), (A, V)),
    "solve stack": (lambda a, b: weighted(L.solve(a, b)), (B[0], B[..., :2])),
    "inv": (lambda a: weighted(L.inv(a)), (B,)),
    "det": (lambda a: weighted(L.det(a)), (A,)),
    "det 3": (lambda a: weighted(L.det(a)), (B,)),
    "det singular": (L.det, (SINGULAR + np.diag([1.0, 2, 0, 0]),)),
    "slogdet": (lambda a: weighted(L.slogdet(a)[1]), (B,)),
    "cholesky": (lambda a: weighted(L.cholesky(sym(a))), (H,)),
    "cholesky upper": (lambda a: weighted(L.cholesky(sym(a), upper=True)), (H,)),
    "qr": (lambda a: weighted(*L.qr(a)), (T,)),
    "qr r": (lambda a: weighted(L.qr(a, "r")), (W,)),
    "qr q": (lambda a: weighted(L.qr(a)[0]), (W,)),
    "qr complete": (
        lambda a: weighted(np.square(L.qr(a, "complete")[0][:, 3:] @ L.qr(a, "complete")[0][:, 3:].T)),
        (T,),
    ),
    "eigh": (lambda a: weighted(*L.eigh(sym(a))), (H,)),
    "eigvalsh": (lambda a: weighted(L.eigvalsh(sym(a), "U")), (H,)),
    "svd": (lambda a: weighted(*L.svd(a, full_matrices=False)), (T,)),
    "svd wide": (lambda a: weighted(*L.svd(a, full_matrices=False)), (W,)),
    "svd full": (lambda a: weighted(L.svd(a)[2][3:].T @ L.svd(a)[2][3:], L.svd(a)[0]), (W,)),
    "svd tall": (lambda a: weighted(L.svd(a)[0][:, 3:] @ L.svd(a)[0][:, 3:].T, L.svd(a)[0][:, :3]), (T,)),
    "svdvals": (lambda a: weighted(L.svdvals(a)), (W,)),
    "eigvals": (lambda a: np.sum(np.abs(L.eigvals(a)) ** 3), (A,)),
    "eig": (lambda a: weighted(*[y.real for y in L.eig(a)]), (A,)),
    "pinv": (lambda a: weighted(L.pinv(a)), (T,)),
    "pinv wide": (lambda a: weighted(L.pinv(a)), (W,)),
    "lstsq": (lambda a, b: weighted(*L.lstsq(a, b)[:2]), (T, T[:, :2] + 1)),
    "lstsq wide": (lambda a, b: weighted(L.lstsq(a, b)[0]), (W, V[:3])),
    "matrix_power": (lambda a: weighted(L.matrix_power(a, -2)), (A,)),
    "norm nuc": (lambda a: L.norm(a, "nuc"), (T,)),
    "norm 2": (lambda a: L.norm(a, 2), (W,)),
    "norm -2": (lambda a: L.norm(a, -2), (A,)),
    "cond": (L.cond, (A,)),
    "cond 1": (lambda a: L.cond(a, "fro"), (A,)),
    "tensorinv": (lambda a: weighted(L.tensorinv(a)), (SIX.reshape(2, 3, 6),)),
    "expm": (lambda a: weighted(ll.expm(a)), (A / 3,)),
    "expm stack": (lambda a: weighted(ll.expm(a)), (B * np.array([0.1, 3])[:, None, None],)),
    "sqrtm": (lambda a: weighted(ll.sqrtm(sym(a))), (H,)),
    "cho_solve": (lambda a, b: weighted(ll.cho_solve(ll.cho_factor(sym(a)), b)), (H, V)),
    "lu_solve": (lambda a, b: weighted(ll.lu_solve(ll.lu_factor(a), b, 1)), (A, V)),
    "solve_triangular": (lambda a, b: weighted(ll.solve_triangular(a, b, 1)), (A, V)),
    "block_diag": (lambda a, b: weighted(ll.block_diag(a, b) ** 2), (A, V)),
    "toeplitz": (lambda a, b: weighted(ll.toeplitz(a, b) ** 2), (V, A[0, :3])),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient(name: str) -> None:
    f, xs = GRADIENTS[name]
    check_gradient(f, *xs, tolerance=1e-5)


def check_second(f: Callable[..., Any], *xs: np.ndarray) -> None:
    """The derivative of a weighted sum of the gradient against its differences."""
    graph, _ = traced(f, *xs)
    wanted = range(len(xs))
    backward = reverse(graph, wanted)
    first = simplify(backward.with_outputs(backward.outputs[1:]))
    weights = [np.sin(1 + np.arange(x.size)).reshape(x.shape) for x in xs]
    second = simplify(reverse(first, wanted))
    found = interpret(second, [*xs, 1.0, *weights])[len(xs) :]
    h = 1e-6
    for i, x in enumerate(xs):
        direction = RNG.standard_normal(x.shape)

        def total(step: float, i: int = i, direction: np.ndarray = direction) -> float:
            moved = [y + step * direction if k == i else y for k, y in enumerate(xs)]
            return sum(np.sum(w * g) for w, g in zip(weights, interpret(first, [*moved, 1.0]), strict=True))

        slope = (total(h) - total(-h)) / (2 * h)
        np.testing.assert_allclose(np.sum(found[i] * direction), slope, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", GRADIENTS)
def test_second_derivative(name: str) -> None:
    f, xs = GRADIENTS[name]
    check_second(f, *xs)


COMPLEX: dict[str, Callable[[Any], Any]] = {
    "solve": lambda z: weighted(L.solve(z, z[0])),
    "inv": lambda z: weighted(L.inv(z)),
    "det": lambda z: weighted(L.det(z)),
    "slogdet": lambda z: weighted(*L.slogdet(z)),
    "cholesky": lambda z: weighted(L.cholesky(z @ np.conj(z.T) + np.eye(3))),
    "qr": lambda z: weighted(*L.qr(z)),
    "eigh": lambda z: weighted(L.eigh(sym(z))[0], np.abs(L.eigh(sym(z))[1]) ** 2),
    "svd": lambda z: weighted(L.svd(z)[1], np.abs(L.svd(z)[0]) ** 2, (L.svd(z)[0] * L.svd(z)[1] ** 2) @ L.svd(z)[2]),
    "eig": lambda z: weighted(*L.eig(z)),
    "pinv": lambda z: weighted(L.pinv(z[:, :2])),
    "lstsq": lambda z: weighted(L.lstsq(z[:, :2], z[:, 2])[0]),
    "norm": lambda z: L.norm(z, "nuc") + L.norm(z, 2) + L.cond(z),
    "expm": lambda z: weighted(ll.expm(z / 3)),
    "sqrtm": lambda z: weighted(ll.sqrtm(z @ np.conj(z.T))),
    "cho_solve": lambda z: weighted(ll.cho_solve(ll.cho_factor(z @ np.conj(z.T)), z[0])),
    "lu_solve": lambda z: weighted(ll.lu_solve(ll.lu_factor(z), z[0], 2)),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_gradient(name: str) -> None:
    """For a real loss of z = a + ib: in a and in b."""

    def f(a: Any, b: Any) -> Any:
        return COMPLEX[name](a + 1j * b)

    check_gradient(f, C.real.copy(), C.imag.copy(), tolerance=2e-5)


# ---- laws -----------------------------------------------------------------------------------------------------------


def test_gradients_that_are_known() -> None:
    inverse = L.inv(A)
    x = inverse @ V
    np.testing.assert_allclose(gradient(lambda a: L.slogdet(a)[1], A)[0], inverse.T, rtol=1e-11)
    np.testing.assert_allclose(gradient(L.det, A)[0], L.det(A) * inverse.T, rtol=1e-11)
    a_bar, b_bar = gradient(L.solve, A, V)
    np.testing.assert_allclose(b_bar, inverse.T @ np.ones(4), rtol=1e-11)
    np.testing.assert_allclose(a_bar, -np.outer(inverse.T @ np.ones(4), x), rtol=1e-11)
    np.testing.assert_allclose(gradient(lambda a: 2 * np.log(np.diag(L.cholesky(a))), H)[0], L.inv(H), rtol=1e-11)
    np.testing.assert_allclose(gradient(lambda a: L.norm(a, "nuc"), A)[0], np.matmul(*L.svd(A)[::2]), rtol=1e-10)
    np.testing.assert_allclose(gradient(lambda a: np.trace(ll.expm(a)), A)[0], scipy.linalg.expm(A.T), rtol=1e-10)
    np.testing.assert_allclose(
        gradient(lambda a: L.eigvalsh(a)[-1], H)[0], np.outer(*[L.eigh(H)[1][:, -1]] * 2), rtol=1e-10
    )


def cofactors(a: np.ndarray) -> np.ndarray:
    n = len(a)
    minors = [[L.det(np.delete(np.delete(a, i, 0), j, 1)) for j in range(n)] for i in range(n)]
    return np.array(minors) * (-1.0) ** np.add.outer(np.arange(n), np.arange(n))


def second_of_determinant(a: np.ndarray) -> np.ndarray:
    """∂² det / ∂a[i, j] ∂a[k, l] by differences of a polynomial of degree 1 in each element: exact."""
    n = len(a)
    found = np.empty((n, n, n, n))
    for i, j in np.ndindex(n, n):
        one = np.zeros((n, n))
        one[i, j] = 1
        found[i, j] = (cofactors(a + one) - cofactors(a - one)) / 2
    return found


def low_rank(n: int, rank: int) -> np.ndarray:
    rng = np.random.default_rng(rank)
    return rng.standard_normal((n, rank)) @ rng.standard_normal((rank, n))


@pytest.mark.parametrize("rank", [0, 1, 2, 3, 4])
def test_determinant_of_singular_matrices(rank: int) -> None:
    """Gradient and Hessian, interpreted and compiled: those of the polynomial."""
    a, e = low_rank(4, rank), RNG.standard_normal((4, 4))
    np.testing.assert_allclose(gradient(L.det, a)[0], cofactors(a), atol=1e-12)
    check_second(L.det, a)

    def along(a: Any, e: Any) -> Any:  # its gradient in e is the second derivative contracted with e, once reversed
        return L.det(a + e)

    value, g = lilith.grad(along, a, 0 * e)
    np.testing.assert_allclose(g[0], cofactors(a), atol=1e-12)
    assert value == pytest.approx(L.det(a), abs=1e-12)
    graph, _ = traced(L.det, a)
    backward = reverse(graph, (0,))
    second = reverse(backward.with_outputs(backward.outputs[1:]), (0,))
    found = interpret(second, [a, 1.0, e])[-1]
    np.testing.assert_allclose(found, np.einsum("ij,ijkl->kl", e, second_of_determinant(a)), atol=1e-11)


def test_equal_eigenvalues_leave_invariant_gradients_finite() -> None:
    for a in (np.eye(3), np.zeros((3, 3)), np.diag([2.0, 2.0, 5.0]), np.eye(3) + 1e-16):
        np.testing.assert_allclose(gradient(L.eigvalsh, a)[0], np.eye(3), atol=1e-12)

        def trace_of_cube(a: Any) -> Any:
            w, v = L.eigh(a)
            return np.trace((v * w**3) @ v.T)

        np.testing.assert_allclose(gradient(trace_of_cube, a)[0], 3 * a @ a, atol=1e-10)
        check_second(lambda a: np.sum(L.eigvalsh(sym(a))), a)
        found = gradient(lambda a: np.sum(np.square(L.svdvals(a))), a)[0]
        np.testing.assert_allclose(found, 2 * a, atol=1e-12)
    assert np.isfinite(gradient(lambda a: L.norm(a, "nuc"), low_rank(4, 2))[0]).all()
    np.testing.assert_allclose(gradient(lambda a: np.trace(ll.sqrtm(a)), 4 * np.eye(2))[0], np.eye(2) / 4, atol=1e-12)
    check_second(lambda a: weighted(ll.sqrtm(sym(a))), 4 * np.eye(2))
    check_second(lambda a: weighted(L.pinv(a)), np.eye(4)[:, :2])
    check_second(lambda a, b: weighted(L.lstsq(a, b)[0]), np.eye(3)[:, :2], V[:3])


def test_pseudo_inverse_at_constant_rank() -> None:
    """Where the rank is that of the cut, the derivative along matrices of that rank."""
    left, right = RNG.standard_normal((4, 2)), RNG.standard_normal((2, 3))
    check_gradient(lambda x, y: weighted(L.pinv(x @ y, 1e-10)), left, right, tolerance=1e-5)


def test_gradient_of_hermitian_functions_is_hermitian() -> None:
    (g,) = gradient(lambda a: weighted(L.cholesky(a)) + weighted(L.eigvalsh(a)), H)
    np.testing.assert_allclose(g, g.T, atol=1e-13)
    z = RNG.standard_normal((3, 3)) + 1j * RNG.standard_normal((3, 3))
    _, g = lilith.grad(lambda a: weighted(L.cholesky(a)), z @ z.conj().T)
    np.testing.assert_allclose(g[0], g[0].conj().T, atol=1e-13)


# ---- failures and errors --------------------------------------------------------------------------------------------


def test_no_answer_is_nan_and_harms_no_neighbour() -> None:
    good, bad = np.array([[2.0, 1], [1, 3]]), np.array([[1.0, 2], [2, 4]])
    stack = np.stack([good, bad])

    def f(a: Any, b: Any) -> Any:
        return L.inv(a), L.solve(a, np.ones(2)), L.cholesky(b), ll.cho_solve(ll.cho_factor(b), np.ones(2))

    compiled = lilith.jit(f)(stack, np.stack([good, -good]))
    with np.errstate(all="ignore"):
        interpreted = evaluate(f, stack, np.stack([good, -good]))
    for found in (compiled, interpreted):
        for y, z in zip(found, f(good, good), strict=True):
            np.testing.assert_allclose(y[0], z, rtol=1e-12)
            assert np.isnan(y[1][np.tril_indices(2)] if y.shape == (2, 2, 2) else y[1]).all()
    value, g = lilith.grad(lambda a: L.inv(a).sum(), bad)
    assert np.isnan(value) and np.isnan(g[0]).all()


ERRORS: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "inv": (lambda a: L.inv(a[:, :2]), ShapeError, "not square"),
    "det": (lambda a: L.det(a[0]), ShapeError, "no matrix"),
    "solve": (lambda a: L.solve(a, np.ones(4)), ShapeError, "do not fit"),
    "solve stack": (lambda a: L.solve(a, np.ones((3, 4, 1))), ShapeError, "do not fit"),
    "lstsq": (lambda a: L.lstsq(a, np.ones(4))[0], ShapeError, "do not fit"),
    "float16": (lambda a: L.inv(a.astype(np.float16)), DtypeError, "float32"),
    "qr raw": (lambda a: L.qr(a, "raw"), UnsupportedError, "raw"),
    "UPLO": (lambda a: L.eigh(a, "X")[0], ArgumentError, "UPLO"),
    "pinv": (lambda a: L.pinv(a, 1e-3, rtol=1e-3), ArgumentError, "rtol"),
    "tensorsolve": (lambda a: L.tensorsolve(a, np.ones(2)), ShapeError, "do not fit"),
    "tensorinv": (lambda a: L.tensorinv(a, 0), ArgumentError, "ind"),
    "cho_solve": (lambda a: ll.cho_solve((a, True), np.ones(2)), ShapeError, "right side"),
    "trans": (lambda a: ll.solve_triangular(a, np.ones(3), "X"), ArgumentError, "trans"),
    "block_diag": (lambda a: ll.block_diag(a[None]), ShapeError, "no matrix"),
    "scipy.linalg.expm": (scipy.linalg.expm, TraceError, "lilith.linalg.expm"),
    "scipy.linalg.cho_factor": (scipy.linalg.cho_factor, TraceError, "lilith.linalg.cho_factor"),
    "scipy.linalg.inv": (scipy.linalg.inv, TraceError, r"np\.linalg\.inv"),
    "scipy.linalg.block_diag": (scipy.linalg.block_diag, TraceError, "lilith.linalg.block_diag"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error(name: str) -> None:
    f, kind, text = ERRORS[name]
    with pytest.raises(kind, match=text):
        traced(f, np.eye(3))
