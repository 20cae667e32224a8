"""Matrix factorisations: cholesky, lu, qr, eigh, svd, eig. They work on the last two axes, over stacks of matrices.

A factorisation that does not exist (not positive definite, not converged) gives NaN in its place in the stack, where
NumPy raises LinAlgError: a compiled program cannot raise.

Rules are derived for the inner product Re tr(Xᴴ Y), in which the cotangents of complex arrays are the conjugates of
ours (see `lilith.ops.elementwise`): a rule conjugates what comes in and what goes out. X∘Y is the elementwise product.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.primitive import ZERO, Primitive, primitive
from lilith.ir.type import TensorType, dtype_name, real_dtype
from lilith.ops import elementwise
from lilith.ops.elementwise import abs, add, conj, div, elementwise_batch, eq, imag, le, mul, neg, real, select, sub
from lilith.ops.linalg import (
    adjoint,
    as_dtype,
    columns,
    diagonal,
    diagonal_matrix,
    hermitian_part,
    identity,
    is_zero,
    lower_part,
    product,
    rows,
    transposed,
    upper_part,
)
from lilith.ops.shape import concatenate, part
from lilith.source import DtypeError, ShapeError

LAPACK_DTYPES = ("f32", "f64", "c64", "c128")

# ---- types and references -------------------------------------------------------------------------------------------


def check_matrices(name: str, *types: TensorType, square: bool = False) -> None:
    """The error for what is no stack of matrices of a dtype that LAPACK knows."""
    for t in types:
        if dtype_name(t.dtype) not in LAPACK_DTYPES:
            raise DtypeError(
                f"{name}: takes float32, float64, complex64 or complex128 matrices, got {t}",
                hint="convert with x.astype(np.float32)",
            )
        if t.ndim < 2:
            raise ShapeError(f"{name}: {t} is no matrix", hint="arrays need two axes or more")
        if square and t.shape[-1] != t.shape[-2]:
            raise ShapeError(f"{name}: {t} is not square", hint="the last two axes need one size")


def replaced(t: TensorType, *matrix: int, dtype: np.dtype | None = None) -> TensorType:
    """The type of a stack like t of arrays of shape `matrix`."""
    return TensorType((*t.shape[:-2], *matrix), t.dtype if dtype is None else dtype)


def each_matrix(f: Callable[..., Any], *stacks: np.ndarray) -> Any:
    """f of every matrix, stacked; NaN where it raises LinAlgError."""
    lead = stacks[0].shape[:-2]
    found = []
    for place in np.ndindex(*lead):
        matrices = [x[place] for x in stacks]
        try:
            out = f(*matrices)
        except np.linalg.LinAlgError:
            out = f(*[np.eye(*x.shape, dtype=x.dtype) for x in matrices])
            out = tuple([y * np.nan for y in out]) if isinstance(out, tuple) else out * np.nan
        found.append(out)
    if not found:
        out = f(*[np.eye(*x.shape[-2:], dtype=x.dtype) for x in stacks])
        shapes = [np.zeros((*lead, *y.shape), y.dtype) for y in (out if isinstance(out, tuple) else (out,))]
        return tuple(shapes) if isinstance(out, tuple) else shapes[0]
    if not isinstance(found[0], tuple):
        return np.stack(found).reshape(*lead, *found[0].shape)
    return tuple([np.stack(ys).reshape(*lead, *ys[0].shape) for ys in zip(*found, strict=True)])


def _several(cotangents: tuple[Value, ...]) -> tuple[Value | None, ...]:
    """The conjugates of cotangents, None for those that no output depends on."""
    return tuple([None if is_zero(g) else conj(g) for g in cotangents])


def _scaled_columns(x: Value, d: Value) -> Value:
    """x diag(d); d may be real where x is complex."""
    return mul(x, rows(as_dtype(d, x.dtype), x.shape[-2]))


def _scaled_rows(d: Value, x: Value) -> Value:
    """diag(d) x; d may be real where x is complex."""
    return mul(columns(as_dtype(d, x.dtype), x.shape[-1]), x)


def _total(*terms: Any) -> Any:
    """The sum of the terms that are there, None where none is."""
    return functools.reduce(lambda x, y: x if y is None else y if x is None else add(x, y), terms)


def _inverse_gaps(w: Value) -> Value:
    """1 / (w[j] - w[i]), and 0 where the two are equal up to rounding.

    There the eigenvectors are arbitrary within a subspace. What does not depend on that choice (the sum of all
    eigenvalues, the trace of a matrix function) has factors there that vanish as well, and gets its derivative.
    """
    n = w.shape[-1]
    d = sub(rows(w, n), columns(w, n))
    if d.type.size == 0:
        return d
    largest = primitive("reduce_max")(abs(w), axes=(w.ndim - 1,))
    spread = primitive("broadcast_in_dim")(largest, shape=d.shape, axes=tuple(range(largest.ndim)))
    near = le(abs(d), mul(spread, fill_like(spread, n * float(np.finfo(real_dtype(w.dtype)).eps))))
    return select(near, fill_like(d, 0), div(fill_like(d, 1), select(near, fill_like(d, 1), d)))


def _skew(x: Value) -> Value:
    return sub(x, adjoint(x))


# ---- Cholesky -------------------------------------------------------------------------------------------------------


def _cholesky_type(a: TensorType) -> TensorType:
    check_matrices("cholesky", a, square=True)
    return a.strong


def _cholesky_vjp(g: Value, y: Value, a: Value, *, wanted: tuple[bool, ...]) -> tuple[Value]:
    """A = L Lᴴ: Ā = the Hermitian part of L⁻ᴴ Φ(Lᴴ L̄) L⁻¹, Φ the lower triangle with half of the diagonal.

    It is the derivative along Hermitian matrices. Source: Murray, Differentiation of the Cholesky decomposition, 2016.
    """
    m = lower_part(product(transposed(y), g))  # with the conjugations of both ends drawn in
    phi = mul(m, sub(fill_like(m, 1), mul(identity(m), fill_like(m, 0.5))))
    solve = primitive("triangular_solve")
    left = solve(y, phi, left_side=True, lower=True, transpose=True, unit_diagonal=False)
    both = solve(conj(y), left, left_side=False, lower=True, transpose=False, unit_diagonal=False)
    return (hermitian_part(both),)


# The lower factor of a Hermitian matrix; only its lower triangle is read.
cholesky = Primitive(
    "cholesky",
    type=_cholesky_type,
    eval=lambda a: each_matrix(np.linalg.cholesky, a),
    vjp=_cholesky_vjp,
    batch=elementwise_batch("cholesky"),
)

# ---- LU -------------------------------------------------------------------------------------------------------------

INDEX = np.dtype(np.int32)


def _lu_type(a: TensorType) -> tuple[TensorType, ...]:
    check_matrices("lu", a)
    m, n = a.shape[-2:]
    return a.strong, replaced(a, min(m, n), dtype=INDEX)


def _lu_eval(a: np.ndarray) -> tuple[np.ndarray, ...]:
    def one(x: np.ndarray) -> tuple[np.ndarray, ...]:
        if x.size == 0:
            return x, np.zeros(0, INDEX)
        from scipy import linalg  # loaded where it is used: it takes a tenth of a second

        (getrf,) = linalg.get_lapack_funcs(("getrf",), (x,))
        packed, pivots, _ = getrf(x)
        return packed, pivots.astype(INDEX)

    return each_matrix(one, a)


def _block(x: Value, r: int, c: int, k: int) -> Value:
    """One of the four blocks of x cut at row and column k."""
    x = part(x, x.ndim - 2, k if r else 0, x.shape[-2] if r else k)
    return part(x, x.ndim - 1, k if c else 0, x.shape[-1] if c else k)


def _lu_vjp(g: Any, y: Any, a: Value, *, wanted: tuple[bool, ...]) -> tuple[Value]:
    """P A = L U: with M = L⁻¹ P dA U⁻¹, dL = L tril(M, -1) and dU = triu(M) U.

    Square: Ā = Pᵀ L⁻ᵀ (tril(Lᵀ L̄, -1) + triu(Ū Uᵀ)) U⁻ᵀ. What is beyond the square block follows the block's factors.
    Source: de Hoog, Anderssen and Lukas, Differentiation of matrix functionals using triangular factorization, 2011.
    """
    (packed, pivots), g = y, g[0]
    m, n = a.shape[-2:]
    k = min(m, n)
    square, own = (packed, g) if m == n else (_block(packed, 0, 0, k), _block(g, 0, 0, k))
    unit = add(lower_part(square, 1), identity(square))
    inner = lower_part(product(transposed(unit), lower_part(own, 1)), 1)
    outer = upper_part(product(upper_part(own), transposed(upper_part(square))))
    solve = primitive("triangular_solve")
    flags: dict[str, Any] = {"transpose": True, "unit_diagonal": True, "lower": True, "left_side": True}
    right = flags | {"unit_diagonal": False, "lower": False, "left_side": False}
    if m > n:
        below, g_below = _block(packed, 1, 0, k), _block(g, 1, 0, k)
        outer = sub(outer, upper_part(product(transposed(below), g_below)))
    elif n > m:
        beside, g_beside = _block(packed, 0, 1, k), _block(g, 0, 1, k)
        inner = sub(inner, lower_part(product(g_beside, transposed(beside)), 1))
    result = solve(square, solve(square, add(inner, outer), **flags), **right)
    if m > n:
        result = concatenate(result, solve(square, g_below, **right), axis=a.ndim - 2)
    elif n > m:
        result = concatenate(result, solve(square, g_beside, **flags), axis=a.ndim - 1)
    place = primitive("iota")(shape=(*a.shape[:-2], m, m), dtype=INDEX, axis=a.ndim - 2)
    put = as_dtype(eq(rows(row_order(pivots, size=m), m), place), a.dtype)
    return (product(put, result),)


# (L below the diagonal and U packed together, pivots): P A = L U, where P exchanges row i with row pivots[i], for
# i = 0, 1, ... A singular matrix has zeros on U's diagonal.
lu = Primitive("lu", type=_lu_type, eval=_lu_eval, vjp=_lu_vjp, batch=elementwise_batch("lu"))


def _row_order_type(pivots: TensorType, *, size: int) -> TensorType:
    if pivots.dtype != INDEX or pivots.ndim < 1 or pivots.shape[-1] > size:
        raise ShapeError(f"row_order: {pivots} are no pivots of {size} rows", hint="use the second result of lu")
    return pivots.with_shape((*pivots.shape[:-1], size))


def _row_order_eval(pivots: np.ndarray, size: int) -> np.ndarray:
    order = np.empty((*pivots.shape[:-1], size), INDEX)
    order[...] = np.arange(size)
    for place in np.ndindex(pivots.shape[:-1]):
        for i, p in enumerate(pivots[place]):
            order[place][[i, p]] = order[place][[p, i]]
    return order


# Row i of P A is row order[i] of A: the order of rows after exchanging row i with row pivots[i], for i = 0, 1, ...
row_order: Primitive = Primitive(
    "row_order",
    type=_row_order_type,
    eval=_row_order_eval,
    vjp=ZERO,
    batch=lambda batched, pivots, size: row_order(pivots, size=size),
)

# ---- QR -------------------------------------------------------------------------------------------------------------


def _qr_type(a: TensorType, *, full: bool) -> tuple[TensorType, ...]:
    check_matrices("qr", a)
    m, n = a.shape[-2:]
    k = m if full else min(m, n)
    return replaced(a, m, k), replaced(a, k, n)


def _qr_vjp(g: Any, y: Any, a: Value, *, wanted: tuple[bool, ...], full: bool) -> tuple[Value]:
    """A = Q R, R with a real diagonal: with N = R̄ Rᴴ - Qᴴ Q̄ and C = triu(N, 1) + triu(N, 1)ᴴ + Re diag(N),
    Ā = (Q̄ + Q C) R⁻ᴴ. For a wide A = [A₁ A₂], R = [R₁ R₂]: Ā₂ = Q R̄₂, and Ā₁ as before with Q̄ + A₂ R̄₂ᴴ for Q̄.

    The further columns of a complete Q are any basis of what is left: theirs is the derivative of that subspace.

    Source: Walter and Lehmann 2010; Roberts and Roberts, QR and LQ decomposition matrix backpropagation, 2020.
    """
    q, r = y
    q_bar, r_bar = _several(g)
    if q_bar is None and r_bar is None:
        return (fill_like(a, 0),)
    k, axis = min(a.shape[-2:]), a.ndim - 1
    beside = None
    if q.shape[-1] > k:
        q, rest = _split(q, k)
        r = part(r, axis - 1, 0, k)
        r_bar = None if r_bar is None else part(r_bar, axis - 1, 0, k)
        if q_bar is not None:
            q_bar, rest_bar = _split(q_bar, k)
            q_bar = sub(q_bar, product(rest, product(adjoint(rest_bar), q)))
    elif r.shape[-1] > k:
        r = _split(r, k)[0]
        if r_bar is not None:
            r_bar, r_beside = _split(r_bar, k)
            q_bar = _total(q_bar, product(_split(a, k)[1], adjoint(r_beside)))
            beside = product(q, r_beside)
    c = _total(
        None if r_bar is None else product(r_bar, adjoint(r)),
        None if q_bar is None else neg(product(adjoint(q), q_bar)),
    )
    strict = upper_part(c, 1)
    if c.dtype.kind == "c":
        c = add(add(strict, adjoint(strict)), diagonal_matrix(as_dtype(real(diagonal(c)), c.dtype)))
    else:
        c = add(upper_part(c), transposed(strict))
    a_bar = primitive("triangular_solve")(
        conj(r), _total(q_bar, product(q, c)), left_side=False, lower=False, transpose=True, unit_diagonal=False
    )
    if r.shape[-1] < a.shape[-1]:
        beside = fill_like(_split(a, k)[1], 0) if beside is None else beside
        a_bar = concatenate(a_bar, beside, axis=axis)
    return (conj(a_bar),)


def _split(x: Value, k: int) -> tuple[Value, Value]:
    """The first k columns, and the others."""
    axis = x.ndim - 1
    return part(x, axis, 0, k), part(x, axis, k, x.shape[axis])


# (Q, R) by Householder reflections, so that R's diagonal is real; `full`: Q is square also where A is tall.
qr = Primitive(
    "qr",
    type=_qr_type,
    eval=lambda a, full: tuple(np.linalg.qr(a, mode="complete" if full else "reduced")),
    vjp=_qr_vjp,
    batch=elementwise_batch("qr"),
)

# ---- eigenvalues of Hermitian matrices ------------------------------------------------------------------------------


def _eigh_type(a: TensorType) -> tuple[TensorType, ...]:
    check_matrices("eigh", a, square=True)
    return replaced(a, a.shape[-1], dtype=real_dtype(a.dtype)), a.strong


def _eigh_vjp(g: Any, y: Any, a: Value, *, wanted: tuple[bool, ...]) -> tuple[Value]:
    """A = V diag(w) Vᴴ: Ā = the Hermitian part of V (diag(w̄) + F∘(Vᴴ V̄)) Vᴴ, F[i, j] = 1 / (w[j] - w[i]).

    It is the derivative along Hermitian matrices; the phases of complex eigenvectors are held. F is 0 for equal
    eigenvalues. Source: Giles, Collected matrix derivative results, 2008; Boeddeker et al. 2017 for complex matrices.
    """
    w, v = y
    w_bar, v_bar = _several(g)
    right = adjoint(v)
    if v_bar is None:
        a_bar = product(_scaled_columns(v, g[0]), right)
        return (conj(a_bar),)
    inner = mul(as_dtype(_inverse_gaps(w), v.dtype), product(right, v_bar))
    if w_bar is not None:
        inner = add(inner, diagonal_matrix(as_dtype(w_bar, v.dtype)))
    return (conj(hermitian_part(product(product(v, inner), right))),)


def _eigh_eval(a: np.ndarray) -> tuple[np.ndarray, ...]:
    return each_matrix(lambda x: tuple(np.linalg.eigh(x)), a)


# (eigenvalues in ascending order, eigenvectors in columns) of a Hermitian matrix; its lower triangle is read.
eigh = Primitive("eigh", type=_eigh_type, eval=_eigh_eval, vjp=_eigh_vjp, batch=elementwise_batch("eigh"))

# ---- singular values ------------------------------------------------------------------------------------------------


def _svd_type(a: TensorType, *, full: bool) -> tuple[TensorType, ...]:
    check_matrices("svd", a)
    m, n = a.shape[-2:]
    k = min(m, n)
    s = replaced(a, k, dtype=real_dtype(a.dtype))
    return replaced(a, m, m if full else k), s, replaced(a, n if full else k, n)


def _svd_vjp(g: Any, y: Any, a: Value, *, wanted: tuple[bool, ...], full: bool) -> tuple[Value]:
    """A = U S Vᴴ: with F[i, j] = 1 / (s[j]² - s[i]²), X = Uᴴ Ū, Y = Vᴴ V̄,

        Ā = U (diag(s̄) + F∘(X - Xᴴ) S + S F∘(Y - Yᴴ) + i Im diag(X) S⁻¹) Vᴴ
            + (Ū - U X) S⁻¹ Vᴴ + U S⁻¹ (V̄ - V Y)ᴴ.

    F is 0 for equal singular values, S⁻¹ is 0 for those that are 0. The further columns U₂ of a full U are any basis of
    what is left: theirs is the derivative of that subspace, -U₂ Ū₂ᴴ U beside (Ū - U X); V likewise. Source: Townsend,
    Differentiating the singular value decomposition, 2016; Wan and Zhang, Automatic differentiation for complex valued
    SVD, 2019.
    """
    u, s, vh = y
    u_bar, s_bar, vh_bar = _several(g)
    k = s.shape[-1]
    u_rest = v_rest = None
    if u.shape[-1] > k:
        (u, rest), cotangents = _split(u, k), None if u_bar is None else _split(u_bar, k)
        if cotangents is not None:
            u_bar, u_rest = cotangents[0], neg(product(rest, product(adjoint(cotangents[1]), u)))
    if vh.shape[-2] > k:
        (v, rest), cotangents = _split(adjoint(vh), k), None if vh_bar is None else _split(adjoint(vh_bar), k)
        vh = adjoint(v)
        if cotangents is not None:
            vh_bar = adjoint(cotangents[0])
            v_rest = neg(adjoint(product(rest, product(adjoint(cotangents[1]), v))))
    if u_bar is None and vh_bar is None:
        return (conj(product(_scaled_columns(u, g[1]), vh)),)
    return (conj(_svd_cotangent(u, s, vh, (u_bar, s_bar, vh_bar), (u_rest, v_rest))),)


def _svd_cotangent(
    u: Value,
    s: Value,
    vh: Value,
    cotangents: tuple[Value | None, ...],
    rest: tuple[Value | None, Value | None],
) -> Value:
    """Ā of a thin decomposition, some cotangents may be missing; `rest` belongs to the vectors beyond it."""
    u_bar, s_bar, vh_bar = cotangents
    m, n, k = u.shape[-2], vh.shape[-1], s.shape[-1]
    total = add(rows(s, k), columns(s, k))
    zero = eq(total, fill_like(total, 0))
    gaps = mul(_inverse_gaps(s), div(fill_like(total, 1), select(zero, fill_like(total, 1), total)))
    f = as_dtype(gaps, u.dtype)
    none = eq(s, fill_like(s, 0))
    inverse = select(none, fill_like(s, 0), div(fill_like(s, 1), select(none, fill_like(s, 1), s)))
    inner: Any = None if s_bar is None else diagonal_matrix(as_dtype(s_bar, u.dtype))
    beyond: Any = None
    if u_bar is not None:
        x = product(adjoint(u), u_bar)
        inner = _total(inner, _scaled_columns(mul(f, _skew(x)), s))
        if u.dtype.kind == "c":
            phase = mul(imag(diagonal(x)), inverse)
            inner = _total(inner, diagonal_matrix(elementwise.complex(fill_like(phase, 0), phase)))
        if m > k:
            outside = _total(sub(u_bar, product(u, x)), rest[0])
            beyond = product(_scaled_columns(outside, inverse), vh)
    if vh_bar is not None:
        x = product(vh_bar, adjoint(vh))  # Yᴴ
        inner = _total(inner, _scaled_rows(s, mul(f, neg(_skew(x)))))
        if n > k:
            outside = _total(sub(vh_bar, product(x, vh)), rest[1])
            beyond = _total(beyond, product(_scaled_columns(u, inverse), outside))
    return _total(product(product(u, inner), vh), beyond)


def _svd_eval(a: np.ndarray, full: bool) -> tuple[np.ndarray, ...]:
    return each_matrix(lambda x: tuple(np.linalg.svd(x, full_matrices=full)), a)


# (U, s in descending order, Vᴴ); `full`: U and Vᴴ are square.
svd = Primitive("svd", type=_svd_type, eval=_svd_eval, vjp=_svd_vjp, batch=elementwise_batch("svd"))

# ---- eigenvalues of any matrix --------------------------------------------------------------------------------------


def _complex_dtype(dtype: np.dtype) -> np.dtype:
    return np.result_type(dtype, np.complex64)


def _eig_type(a: TensorType) -> tuple[TensorType, ...]:
    check_matrices("eig", a, square=True)
    dtype = _complex_dtype(a.dtype)
    return replaced(a, a.shape[-1], dtype=dtype), a.with_dtype(dtype)


def _eig_vjp(g: Any, y: Any, a: Value, *, wanted: tuple[bool, ...]) -> tuple[Value]:
    """A V = V diag(w): with F[i, j] = 1 / (w[j] - w[i]), ā = V⁻ᵀ (diag(w̄) + F∘(Vᵀ Ṽ)) Vᵀ in our convention of
    conjugates. Ṽ is v̄ without its part along the normalisation: every column of V has the length 1, and its largest
    element is real (LAPACK, geev).

    Not defined for a matrix without a basis of eigenvectors: infinite or NaN. Source: Giles 2008, section 3.1.
    """
    w, v = y
    right = transposed(v)
    inner = diagonal_matrix(g[0])
    if not is_zero(g[1]) and v.type.size:
        along = primitive("reduce_sum")(mul(v, g[1]), axes=(v.ndim - 2,))
        size = abs(v)
        place = primitive("argmax")(size, axis=v.ndim - 2)
        index = primitive("iota")(shape=v.shape, dtype=place.dtype, axis=v.ndim - 2)
        largest = as_dtype(eq(index, rows(place, v.shape[-2])), v.dtype)
        height = real(primitive("reduce_sum")(mul(largest, v), axes=(v.ndim - 2,)))
        turn = div(imag(along), height)
        free = sub(g[1], _scaled_columns(conj(v), real(along)))
        free = sub(free, _scaled_columns(largest, elementwise.complex(fill_like(turn, 0), turn)))
        inner = add(inner, mul(_inverse_gaps(w), product(right, free)))
    packed, pivots = lu(v)
    order = row_order(pivots, size=v.shape[-1])
    a_bar = primitive("solve")(v, product(inner, right), packed, order, transpose=True)
    return (a_bar if a.dtype.kind == "c" else real(a_bar),)


def _eig_eval(a: np.ndarray) -> tuple[np.ndarray, ...]:
    dtype = _complex_dtype(a.dtype)
    return each_matrix(lambda x: tuple([y.astype(dtype) for y in np.linalg.eig(x)]), a)


# (eigenvalues, eigenvectors in columns), complex also where all of them are real.
eig = Primitive("eig", type=_eig_type, eval=_eig_eval, vjp=_eig_vjp, batch=elementwise_batch("eig"))
