"""What is computed from a matrix and its factorisation: solutions, determinants, pseudo-inverses.

A primitive here takes a matrix a and the results of the factorisation of a that its value is computed from. All of the
derivative goes to a; the factorisation is constant to it. So one factorisation serves the value and the derivatives of
every order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.primitive import Primitive, primitive
from lilith.ir.type import TensorType, real_dtype
from lilith.ops import elementwise
from lilith.ops.elementwise import add, conj, elementwise_batch, imag, mul, neg, scale, select, sub
from lilith.ops.factorization import check_matrices, each_matrix, lu, replaced, row_order, svd
from lilith.ops.linalg import (
    adjoint,
    as_dtype,
    columns,
    diagonal,
    diagonal_matrix,
    identity,
    lower_part,
    on_diagonal,
    product,
    rows,
    transposed,
    upper_part,
)
from lilith.ops.reduction import exclusive_product
from lilith.ops.shape import broadcast_in_dim, reshape, transpose
from lilith.source import DtypeError, ShapeError


def _check_same_stack(name: str, a: TensorType, *others: TensorType) -> None:
    for t in others:
        if t.dtype != a.dtype:
            raise DtypeError(f"{name}: {a} and {t} differ in dtype", hint="convert one of them first")
        if t.shape[:-2] != a.shape[:-2]:
            raise ShapeError(f"{name}: {a} and {t} are stacks of different shapes", hint="broadcast one of them first")


def _repeated(x: Value, shape: tuple[int, ...]) -> Value:
    """One number per matrix, repeated over the matrix."""
    return broadcast_in_dim(x, shape=shape, axes=tuple(range(x.ndim)))


def _solve_batch(name: str, right: int, left_side: bool = True) -> Any:
    """The batch rule of a linear system: where only the right side b is batched, its elements become columns of it."""

    def batch(batched: tuple[bool, ...], *operands: Value, **params: Any) -> Value:
        solve = primitive(name)
        if params.get("left_side", True) and batched == tuple([i == right for i in range(len(operands))]):
            b = operands[right]
            size, *lead, n, k = b.shape
            last = b.ndim - 1
            beside = transpose(b, axes=(*range(1, last), 0, last))
            flat = reshape(beside, shape=(*lead, n, size * k))
            x = solve(*operands[:right], flat, *operands[right + 1 :], **params)
            apart = reshape(x, shape=(*lead, x.shape[-2], size, k))  # a least-squares solution has its own height
            return transpose(apart, axes=(last - 1, *range(last - 1), last))
        return elementwise_batch(name)(batched, *operands, **params)

    return batch


# ---- triangular systems ---------------------------------------------------------------------------------------------


def _triangular_solve_type(
    a: TensorType, b: TensorType, *, left_side: bool, lower: bool, transpose: bool, unit_diagonal: bool
) -> TensorType:
    check_matrices("triangular_solve", a, square=True)
    check_matrices("triangular_solve", b)
    _check_same_stack("triangular_solve", a, b)
    if b.shape[-2 if left_side else -1] != a.shape[-1]:
        raise ShapeError(f"triangular_solve: {a} and {b} do not fit", hint="the unknowns' axis needs the matrix's size")
    return b.strong


def _triangular_solve_eval(
    a: np.ndarray, b: np.ndarray, left_side: bool, lower: bool, transpose: bool, unit_diagonal: bool
) -> np.ndarray:
    if b.size == 0:
        return b
    from scipy import linalg  # loaded where it is used: it takes a tenth of a second

    (trsm,) = linalg.get_blas_funcs(("trsm",), (a, b))
    flags = {"side": not left_side, "lower": lower, "trans_a": transpose, "diag": unit_diagonal}
    return each_matrix(lambda x, y: trsm(1, x, y, **flags), a, b)


def _triangular_solve_vjp(
    g: Value, x: Value, a: Value, b: Value, *, wanted: tuple[bool, ...], left_side: bool, lower: bool, **flags: bool
) -> tuple[Value | None, ...]:
    """op(A) X = B: B̄ = op(A)⁻ᵀ X̄, and the cotangent of op(A) is the triangle of -B̄ Xᵀ; op(A) is A or Aᵀ.

    X op(A) = B: B̄ = X̄ op(A)⁻ᵀ, and the triangle of -Xᵀ B̄.
    """
    turned = flags["transpose"]
    b_bar = triangular_solve(a, g, left_side=left_side, lower=lower, **(flags | {"transpose": not turned}))
    a_bar = None
    if wanted[0]:
        left, right = (b_bar, transposed(x)) if left_side else (transposed(x), b_bar)
        outer = product(transposed(right), transposed(left)) if turned else product(left, right)
        triangle = lower_part if lower else upper_part
        a_bar = neg(triangle(outer, int(flags["unit_diagonal"])))
    return a_bar, b_bar if wanted[1] else None


# X with op(A) X = B, or X op(A) = B; A's other triangle, and its diagonal where that is taken as ones, are not read.
triangular_solve: Primitive = Primitive(
    "triangular_solve",
    type=_triangular_solve_type,
    eval=_triangular_solve_eval,
    vjp=_triangular_solve_vjp,
    batch=_solve_batch("triangular_solve", right=1),
)

# ---- systems with an LU factorisation -------------------------------------------------------------------------------


def _check_lu(name: str, a: TensorType, packed: TensorType, *indices: TensorType) -> None:
    check_matrices(name, a, square=True)
    if not packed.matches(a) or any(t.shape != a.shape[:-1] or t.dtype != np.int32 for t in indices):
        raise ShapeError(f"{name}: {packed}, {indices} is no LU factorisation of {a}", hint="use the results of lu")


def _solve_type(a: TensorType, b: TensorType, packed: TensorType, order: TensorType, *, transpose: bool) -> TensorType:
    _check_lu("solve", a, packed, order)
    check_matrices("solve", b)
    _check_same_stack("solve", a, b)
    if b.shape[-2] != a.shape[-1]:
        raise ShapeError(f"solve: {a} and {b} do not fit", hint="the right side needs as many rows as the matrix")
    return b.strong


def _solve_eval(a: np.ndarray, b: np.ndarray, packed: np.ndarray, order: np.ndarray, transpose: bool) -> np.ndarray:
    def one(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.linalg.solve(x.T if transpose else x, y) if y.size else y

    x = each_matrix(one, a, b)
    return x.astype(b.dtype)


def _solve_vjp(
    g: Value, x: Value, a: Value, b: Value, packed: Value, order: Value, *, wanted: tuple[bool, ...], transpose: bool
) -> tuple[Value | None, ...]:
    """A x = b: b̄ = A⁻ᵀ x̄, Ā = -b̄ xᵀ; with Aᵀ for A: b̄ = A⁻¹ x̄, Ā = -x b̄ᵀ."""
    b_bar = solve(a, g, packed, order, transpose=not transpose)
    left, right = (x, b_bar) if transpose else (b_bar, x)
    a_bar = neg(product(left, transposed(right))) if wanted[0] else None
    return a_bar, b_bar if wanted[1] else None, None, None


# x with A x = b, or Aᵀ x = b, from lu(A)'s factors and its row_order; NaN where A is singular.
solve: Primitive = Primitive(
    "solve", type=_solve_type, eval=_solve_eval, vjp=_solve_vjp, batch=_solve_batch("solve", right=1)
)

# ---- determinants ---------------------------------------------------------------------------------------------------


def _slogdet_type(a: TensorType, packed: TensorType, pivots: TensorType) -> tuple[TensorType, ...]:
    _check_lu("slogdet", a, packed, pivots)
    stack = TensorType(a.shape[:-2], a.dtype)
    return stack, stack.with_dtype(real_dtype(a.dtype))


def _slogdet_vjp(
    g: Any, y: Any, a: Value, packed: Value, pivots: Value, *, wanted: tuple[bool, ...]
) -> tuple[Value | None, ...]:
    """d log|det A| = Re tr(A⁻¹ dA) and, for complex A, d sign = i sign Im tr(A⁻¹ dA): Ā = (l̄ + i Im(s̄ s)) A⁻ᵀ."""
    (s_bar, l_bar), (s, _) = g, y
    factor = elementwise.complex(l_bar, imag(mul(s_bar, s))) if a.dtype.kind == "c" else l_bar
    right = mul(_repeated(factor, a.shape), identity(a))
    order = row_order(pivots, size=a.shape[-1])
    # rows of the identity are taken, which is one comparison; Aᵀ's solution would have to put rows
    return transposed(solve(a, right, packed, order, transpose=False)), None, None


# (sign or phase, logarithm of the absolute value) of the determinant; a singular matrix has (0, -inf).
slogdet = Primitive(
    "slogdet",
    type=_slogdet_type,
    eval=lambda a, packed, pivots: tuple(np.linalg.slogdet(a)),
    vjp=_slogdet_vjp,
    batch=elementwise_batch("slogdet"),
)


def _det_type(a: TensorType, packed: TensorType, pivots: TensorType) -> TensorType:
    _check_lu("det", a, packed, pivots)
    return TensorType(a.shape[:-2], a.dtype)


def _det_vjp(
    g: Value, y: Value, a: Value, packed: Value, pivots: Value, *, wanted: tuple[bool, ...]
) -> tuple[Value | None, ...]:
    """d det A = tr(adj(A) dA): Ā = ḡ adj(A)ᵀ, a polynomial in A, finite for every A."""
    adj = adjugate(a, packed, pivots)
    return scale(_repeated(g, a.shape), transposed(adj)), None, None


det = Primitive(
    "det",
    type=_det_type,
    eval=lambda a, packed, pivots: np.linalg.det(a),
    vjp=_det_vjp,
    batch=elementwise_batch("det"),
)


def _adjugate_type(a: TensorType, packed: TensorType, pivots: TensorType) -> TensorType:
    _check_lu("adjugate", a, packed, pivots)
    return a.strong


def _adjugate_eval(a: np.ndarray, packed: np.ndarray, pivots: np.ndarray) -> np.ndarray:
    u, s, vh = np.linalg.svd(a)
    n = a.shape[-1]
    others = np.where(np.eye(n, dtype=bool), 1, s[..., None, :]).prod(-1)
    phase = np.linalg.det(u @ vh)[..., None, None]
    adjoint = (vh.conj().mT * others[..., None, :]) @ u.conj().mT
    return (phase * adjoint).astype(a.dtype)


def singular_factors(a: Value) -> tuple[Value, Value, Value, Value]:
    """(det(U Vᴴ), U, s, Vᴴ) of A = U S Vᴴ."""
    u, s, vh = svd(a, full=False)
    unitary = product(u, vh)
    return det(unitary, *lu(unitary)), u, s, vh


def adjugate_by_singular_values(a: Value) -> Value:
    """adj(A) = det(U Vᴴ) V diag(p) Uᴴ, p[i] the product of all singular values but s[i]: right for singular A too."""
    phase, u, s, vh = singular_factors(a)
    others = as_dtype(exclusive_product(s, s.ndim - 1), a.dtype)
    middle = mul(others, _repeated(phase, others.shape))
    return product(mul(adjoint(vh), rows(middle, a.shape[-1])), adjoint(u))


def _adjugate_vjp(
    g: Value, y: Value, a: Value, packed: Value, pivots: Value, *, wanted: tuple[bool, ...]
) -> tuple[Value | None, ...]:
    """Ā = (D adj(A)[ḡᵀ])ᵀ: the second derivative of the determinant is symmetric."""
    return transposed(adjugate_derivative(a, transposed(g), packed, pivots)), None, None


# The matrix adj(A) = det(A) A⁻¹ of cofactors, transposed; finite also where A is singular.
adjugate: Primitive = Primitive(
    "adjugate",
    type=_adjugate_type,
    eval=_adjugate_eval,
    vjp=_adjugate_vjp,
    batch=elementwise_batch("adjugate"),
)


def _adjugate_derivative_type(a: TensorType, e: TensorType, *factors: TensorType) -> TensorType:
    _check_lu("adjugate_derivative", a, *factors)
    if not e.matches(a):
        raise ShapeError(f"adjugate_derivative: the direction {e} is no {a}", hint="it has the matrix's type")
    return a.strong


def _adjugate_derivative_eval(a: np.ndarray, e: np.ndarray, *factors: np.ndarray) -> np.ndarray:
    u, s, vh = np.linalg.svd(a)
    n = a.shape[-1]
    unit = np.eye(n, dtype=bool)
    kept = np.where(unit[:, None] | unit, 1, s[..., None, None, :]).prod(-1) * ~unit
    e = u.conj().mT @ e @ vh.conj().mT
    sums = (kept * np.diagonal(e, axis1=-2, axis2=-1)[..., None]).sum(-2)
    middle = unit * sums[..., None, :] - kept * e
    phase = np.linalg.det(u @ vh)[..., None, None]
    return (phase * (vh.conj().mT @ middle @ u.conj().mT)).astype(a.dtype)


def adjugate_derivative_by_singular_values(a: Value, e: Value) -> Value:
    """D adj(A)[E]: with E' = Uᴴ E V and p[i, j] the product of all singular values but s[i] and s[j], it is
    det(U Vᴴ) V M Uᴴ, M[i, j] = -p[i, j] E'[i, j] and M[j, j] the sum of p[i, j] E'[i, i] over i ≠ j. No division."""
    n = a.shape[-1]
    phase, u, s, vh = singular_factors(a)
    spread = rows(s, n)
    diagonals = on_diagonal(spread)
    p = exclusive_product(select(diagonals, fill_like(spread, 1), spread), spread.ndim - 1)
    p = as_dtype(select(diagonals, fill_like(p, 0), p), a.dtype)
    inner = product(product(adjoint(u), e), adjoint(vh))
    sums = primitive("reduce_sum")(mul(p, columns(diagonal(inner), n)), axes=(p.ndim - 2,))
    m = mul(sub(diagonal_matrix(sums), mul(p, inner)), _repeated(phase, a.shape))
    return product(product(adjoint(vh), m), adjoint(u))


def _adjugate_derivative_vjp(
    g: Value, y: Value, a: Value, e: Value, *factors: Value, wanted: tuple[bool, ...]
) -> tuple[Value | None, ...]:
    """Ē = (D adj(A)[ḡᵀ])ᵀ. With B = A⁻¹, G = ḡᵀ and t(X) = tr(B X), from the third derivative of the determinant:

        Āᵀ = (t(E) t(G) - t(E B G)) adj(A) - adj(A) (t(E) G + t(G) E - E B G - G B E) B.

    So the third and higher derivatives of the determinant of a singular matrix are NaN.
    """
    turned = transposed(g)
    e_bar = transposed(adjugate_derivative(a, turned, *factors)) if wanted[1] else None
    if not wanted[0]:
        return None, e_bar, None, None
    packed, pivots = factors
    order = row_order(pivots, size=a.shape[-1])
    inverse, adj = solve(a, identity(a), packed, order, transpose=False), adjugate(a, *factors)
    left, right = product(inverse, e), product(inverse, turned)

    def trace(x: Value) -> Value:
        return _repeated(primitive("reduce_sum")(diagonal(x), axes=(x.ndim - 2,)), x.shape)

    t_e, t_g = trace(left), trace(right)
    crossed = add(product(e, right), product(turned, left))
    middle = product(sub(add(mul(t_e, turned), mul(t_g, e)), crossed), inverse)
    total = sub(mul(sub(mul(t_e, t_g), trace(product(left, right))), adj), product(adj, middle))
    return transposed(total), e_bar, None, None


# The derivative of the adjugate at A in the direction E, right for every A; the determinant's second one is made of it.
adjugate_derivative: Primitive = Primitive(
    "adjugate_derivative",
    type=_adjugate_derivative_type,
    eval=_adjugate_derivative_eval,
    vjp=_adjugate_derivative_vjp,
    batch=elementwise_batch("adjugate_derivative"),
)

# ---- pseudo-inverse, least squares ----------------------------------------------------------------------------------


def _check_factors(name: str, a: TensorType, u: TensorType, inverse: TensorType, vh: TensorType) -> None:
    check_matrices(name, a, u, vh)
    m, n = a.shape[-2:]
    k = min(m, n)
    expected = (replaced(a, m, k), replaced(a, k, dtype=real_dtype(a.dtype)), replaced(a, k, n))
    if any(not t.matches(e) for t, e in zip((u, inverse, vh), expected, strict=True)):
        raise ShapeError(f"{name}: {u}, {inverse}, {vh} are no factors of {a}", hint=f"they are {expected}")


def _pinv_type(a: TensorType, u: TensorType, inverse: TensorType, vh: TensorType) -> TensorType:
    _check_factors("pinv", a, u, inverse, vh)
    return replaced(a, a.shape[-1], a.shape[-2])


def _pinv_eval(a: np.ndarray, u: np.ndarray, inverse: np.ndarray, vh: np.ndarray) -> np.ndarray:
    """The pseudo-inverse of the rank that the number of inverse singular values says."""

    def one(x: np.ndarray, kept: np.ndarray) -> np.ndarray:
        left, s, right = np.linalg.svd(x, full_matrices=False)
        rank = np.count_nonzero(kept)
        return (right[:rank].conj().T / s[:rank]) @ left[:, :rank].conj().T

    return each_matrix(one, a, np.expand_dims(inverse, -2)).astype(a.dtype)


def _pinv_vjp(
    g: Value, y: Value, a: Value, u: Value, inverse: Value, vh: Value, *, wanted: tuple[bool, ...]
) -> tuple[Value | None, ...]:
    """Y = A⁺ of constant rank: Ā = -Yᴴ Ȳ Yᴴ + (1 - A Y) Ȳᴴ Y Yᴴ + Yᴴ Y Ȳᴴ (1 - Y A), with our conjugates.

    The products are put together so that the large side of A stays on the outside. Source: Golub and Pereyra, The
    differentiation of pseudo-inverses, 1973.
    """
    yh, gh = adjoint(y), transposed(g)  # the adjoint of the conjugate
    if a.shape[-2] >= a.shape[-1]:
        first, second = product(gh, product(y, yh)), product(yh, product(y, gh))
        beyond = product(second, product(y, a))
        through = product(yh, product(conj(g), yh))
    else:
        first, second = product(product(gh, y), yh), product(product(yh, y), gh)
        beyond = product(product(second, y), a)
        through = product(product(yh, conj(g)), yh)
    first, second = sub(first, product(a, product(y, first))), sub(second, beyond)
    return conj(sub(add(first, second), through)), None, None, None


# A⁺ = V diag(inverse) Uᴴ from A's singular vectors and the inverses of those singular values that count, 0 for others.
pinv = Primitive("pinv", type=_pinv_type, eval=_pinv_eval, vjp=_pinv_vjp, batch=elementwise_batch("pinv"))


def _least_squares_type(a: TensorType, b: TensorType, u: TensorType, inverse: TensorType, vh: TensorType) -> TensorType:
    _check_factors("least_squares", a, u, inverse, vh)
    check_matrices("least_squares", b)
    _check_same_stack("least_squares", a, b)
    if b.shape[-2] != a.shape[-2]:
        raise ShapeError(f"least_squares: {a} and {b} do not fit", hint="as many rows on the right side")
    return replaced(a, a.shape[-1], b.shape[-1])


def _least_squares_vjp(
    g: Value, x: Value, a: Value, b: Value, u: Value, inverse: Value, vh: Value, *, wanted: tuple[bool, ...]
) -> tuple[Value | None, ...]:
    """x = A⁺ b at constant rank: b̄ = A⁺ᴴ x̄ and Ā = -b̄ xᴴ + (b - A x) (A⁺ b̄)ᴴ + A⁺ᴴ x (x̄ - A⁺ A x̄)ᴴ, with our
    conjugates. Source: Golub and Pereyra, The differentiation of pseudo-inverses, 1973."""
    factors, turned = (u, inverse, vh), (adjoint(vh), inverse, adjoint(u))
    x_bar, ah = conj(g), adjoint(a)
    b_bar = least_squares(ah, x_bar, *turned)
    if not wanted[0]:
        return None, conj(b_bar), None, None, None
    rest = sub(b, product(a, x))
    a_bar = sub(product(rest, adjoint(least_squares(a, b_bar, *factors))), product(b_bar, adjoint(x)))
    unseen = sub(x_bar, least_squares(a, product(a, x_bar), *factors))
    a_bar = add(a_bar, product(least_squares(ah, x, *turned), adjoint(unseen)))
    return conj(a_bar), conj(b_bar) if wanted[1] else None, None, None, None


# The shortest x for which |A x - b| is least, A⁺ b, from the same factors as pinv.
least_squares: Primitive = Primitive(
    "least_squares",
    type=_least_squares_type,
    eval=lambda a, b, u, inverse, vh: _pinv_eval(a, u, inverse, vh) @ b,
    vjp=_least_squares_vjp,
    batch=_solve_batch("least_squares", right=1),
)
