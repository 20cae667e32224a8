"""numpy.linalg: factorisations, and what is solved and inverted with them.

Where NumPy raises LinAlgError because of what the matrices hold (singular, not positive definite, not converged), a
compiled program gives NaN in their place. Functions of Hermitian matrices read one triangle, as in NumPy; their
gradient is that along Hermitian matrices, a Hermitian matrix itself.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import kind, real_dtype
from lilith.numpy import ufuncs
from lilith.numpy.core import (
    Shape,
    broadcast_shapes,
    convert,
    expand,
    floating,
    full,
    implements,
    lift,
    operand,
    promote,
    static_int,
)
from lilith.numpy.products import matmul
from lilith.numpy.reductions import NOT_GIVEN
from lilith.numpy.reductions import sum as sum_
from lilith.numpy.shaping import moveaxis, reshaped, transposed
from lilith.ops import elementwise, factorization, solving
from lilith.ops.linalg import adjoint, identity, product
from lilith.ops.shape import part
from lilith.source import ArgumentError, DtypeError, ShapeError, UnsupportedError

# the named tuples that NumPy returns
_EYE = np.eye(1)
EighResult: Any = type(np.linalg.eigh(_EYE))
EigResult: Any = type(np.linalg.eig(_EYE))
QRResult: Any = type(np.linalg.qr(_EYE))
SVDResult: Any = type(np.linalg.svd(_EYE))
SlogdetResult: Any = type(np.linalg.slogdet(_EYE))


def linear(name: str, *xs: Any) -> list[Value]:
    """Operands in their common dtype, one that LAPACK knows; integers count as float64."""
    values = [floating(x) for x in promote(*xs)]
    if values[0].dtype.itemsize < 4:
        raise DtypeError(
            f"{name}: {values[0].type}: NumPy's linear algebra does not know this dtype",
            hint="convert with x.astype(np.float32)",
        )
    return values


def matrices(x: Any, name: str, square: bool = False) -> Value:
    """A stack of matrices of a dtype that LAPACK knows."""
    (v,) = linear(name, lift(x))
    if v.ndim < 2:
        raise ShapeError(f"{name}: {v.type} is no matrix", hint="the array needs two axes or more")
    if square and v.shape[-1] != v.shape[-2]:
        raise ShapeError(f"{name}: {v.type} is not square", hint="the last two axes need one size")
    return v


# ---- systems --------------------------------------------------------------------------------------------------------


def solved(a: Value, b: Value) -> Value:
    """The x with a x = b for stacks that broadcast; b are matrices. a is factored once, in its own shape."""
    packed, pivots = factorization.lu(a)
    order = factorization.row_order(pivots, size=a.shape[-1])
    if a.ndim == 2 and b.ndim > 2:
        beside = moveaxis(b, -2, 0)
        flat = reshaped(beside, (b.shape[-2], math.prod(beside.shape[1:])))
        x = solving.solve(a, flat, packed, order, transpose=False)
        return moveaxis(reshaped(x, beside.shape), 0, -2)
    stack = broadcast_shapes("linalg.solve", [t.type.with_shape(t.shape[:-2]) for t in (a, b)])
    a, b, packed = [expand(x, stack + x.shape[-2:]) for x in (a, b, packed)]
    return solving.solve(a, b, packed, expand(order, stack + order.shape[-1:]), transpose=False)


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Value:
    """numpy.linalg.solve; NaN where a is singular."""
    x, y = linear("linalg.solve", lift(a), lift(b))
    x = matrices(x, "linalg.solve", square=True)
    vector = y.ndim == 1
    if vector:
        y = reshaped(y, (*y.shape, 1))
    if y.ndim < 2 or y.shape[-2] != x.shape[-1]:
        raise ShapeError(
            f"linalg.solve: {x.type} and {lift(b).type} do not fit",
            hint="b is a vector or a stack of matrices with as many rows as a; b[..., None] for a stack of vectors",
        )
    z = solved(x, y)
    return reshaped(z, z.shape[:-1]) if vector else z


@implements(np.linalg.inv)
def inv(a: Any) -> Value:
    """numpy.linalg.inv; NaN where a is singular."""
    x = matrices(a, "linalg.inv", square=True)
    return solved(x, identity(x))


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: Any) -> Value:
    """numpy.linalg.matrix_power for a known n, by repeated squaring; of the inverse for n < 0."""
    x = lift(a)
    exponent = static_int(n, "linalg.matrix_power", "n")
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"linalg.matrix_power: {x.type} is not square", hint="the last two axes need one size")
    if exponent < 0:
        x, exponent = inv(x), -exponent
    result = None
    while exponent:
        if exponent & 1:
            result = x if result is None else matmul(result, x)
        exponent >>= 1
        x = matmul(x, x) if exponent else x
    return expand(lift(np.eye(x.shape[-1], dtype=x.dtype)), x.shape) if result is None else result


def _last_axes(axes: Any, ndim: int) -> Shape:
    """The order of axes with those named at the end."""
    named = [static_int(k, "linalg.tensorsolve", "axes") for k in axes or ()]
    return tuple([k for k in range(ndim) if k not in named] + named)


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Value:
    """numpy.linalg.tensorsolve: the x with tensordot(a, x, x.ndim) = b."""
    x, y = linear("linalg.tensorsolve", lift(a), lift(b))
    x = transposed(x, _last_axes(axes, x.ndim))
    rest = x.shape[y.ndim :]
    size = math.prod(rest)
    if math.prod(x.shape[: y.ndim]) != size or y.type.size != size:
        raise ShapeError(
            f"linalg.tensorsolve: {x.type} and {y.type} do not fit",
            hint="the product of a's first b.ndim sizes must be that of the others, and b's size",
        )
    return reshaped(solve(reshaped(x, (size, size)), reshaped(y, (size,))), rest)


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: Any = 2) -> Value:
    """numpy.linalg.tensorinv: the inverse for tensordot(., ., ind)."""
    x = lift(a)
    count = static_int(ind, "linalg.tensorinv", "ind")
    if count <= 0:
        raise ArgumentError(f"linalg.tensorinv: ind={count}", hint="ind counts the first axes of a: 1 or more")
    rows, columns = math.prod(x.shape[:count]), math.prod(x.shape[count:])
    return reshaped(inv(reshaped(x, (rows, columns))), x.shape[count:] + x.shape[:count])


# ---- determinants ---------------------------------------------------------------------------------------------------


def _element(x: Value, i: int, j: int) -> Value:
    return reshaped(part(part(x, x.ndim - 2, i, i + 1), x.ndim - 1, j, j + 1), x.shape[:-2])


def _small_determinant(x: Value, n: int) -> Value:
    """By cofactors of the first row: products and sums."""
    a = [[_element(x, i, j) for j in range(n)] for i in range(n)]
    if n == 1:
        return a[0][0]
    if n == 2:
        return a[0][0] * a[1][1] - a[0][1] * a[1][0]
    minors = [a[1][j] * a[2][k] - a[1][k] * a[2][j] for j, k in ((1, 2), (2, 0), (0, 1))]
    return a[0][0] * minors[0] + a[0][1] * minors[1] + a[0][2] * minors[2]


@implements(np.linalg.det)
def det(a: Any) -> Value:
    """numpy.linalg.det. Its gradient, the matrix of cofactors, is finite for every matrix, and so is its Hessian."""
    x = matrices(a, "linalg.det", square=True)
    n = x.shape[-1]
    if n == 0:
        return full(1, x.shape[:-2], x.dtype)
    return _small_determinant(x, n) if n <= 3 else solving.det(x, *factorization.lu(x))


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    """numpy.linalg.slogdet: (sign or phase, log |det|). A singular matrix has (0, -inf), and the gradient is NaN."""
    x = matrices(a, "linalg.slogdet", square=True)
    if x.shape[-1] == 0:
        shape = x.shape[:-2]
        return SlogdetResult(full(1, shape, x.dtype), full(0, shape, real_dtype(x.dtype)))
    return SlogdetResult(*solving.slogdet(x, *factorization.lu(x)))


# ---- factorisations -------------------------------------------------------------------------------------------------


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: Any = False) -> Value:
    """numpy.linalg.cholesky; NaN where a is not positive definite."""
    x = matrices(a, "linalg.cholesky", square=True)
    return adjoint(factorization.cholesky(adjoint(x))) if upper else factorization.cholesky(x)


@implements(np.linalg.qr)
def qr(a: Any, mode: Any = "reduced") -> Any:
    """numpy.linalg.qr: 'reduced', 'complete' and 'r'. The last columns of a complete Q of a tall matrix are any basis
    of what is left; a gradient through them is right for what does not depend on the choice."""
    x = matrices(a, "linalg.qr")
    if mode not in ("reduced", "complete", "r"):
        raise UnsupportedError(
            f"np.linalg.qr: mode={mode!r} is not supported on traced arrays", hint="'reduced', 'complete' or 'r'"
        )
    q, r = factorization.qr(x, full=mode == "complete")
    return r if mode == "r" else QRResult(q, r)


def _triangle(a: Any, UPLO: Any, name: str) -> Value:
    """Hermitian matrices, their lower triangle the one to read."""
    x = matrices(a, name, square=True)
    side = str(UPLO).upper()
    if side not in ("L", "U"):
        raise ArgumentError(f"{name}: UPLO={UPLO!r}", hint="'L' or 'U'")
    return x if side == "L" else adjoint(x)


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: Any = "L") -> Any:
    """numpy.linalg.eigh. Where eigenvalues are equal, a gradient through the eigenvectors is right for what does not
    depend on their choice in the subspace; complex eigenvectors: what does not depend on their phases."""
    return EighResult(*factorization.eigh(_triangle(a, UPLO, "linalg.eigh")))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: Any = "L") -> Value:
    """numpy.linalg.eigvalsh."""
    return factorization.eigh(_triangle(a, UPLO, "linalg.eigvalsh"))[0]


@implements(np.linalg.eig)
def eig(a: Any) -> Any:
    """numpy.linalg.eig; complex also where NumPy finds all eigenvalues real and returns real arrays. On CPU only."""
    return EigResult(*factorization.eig(matrices(a, "linalg.eig", square=True)))


@implements(np.linalg.eigvals)
def eigvals(a: Any) -> Value:
    """numpy.linalg.eigvals; always complex. On CPU only."""
    return factorization.eig(matrices(a, "linalg.eigvals", square=True))[0]


def singular_values(x: Value) -> Value:
    """In descending order."""
    return factorization.svd(x, full=False)[1]


@implements(np.linalg.svd)
def svd(a: Any, full_matrices: Any = True, compute_uv: Any = True, hermitian: Any = False) -> Any:
    """numpy.linalg.svd. Singular vectors are determined up to signs (phases), those of equal singular values and the
    further ones of full_matrices up to a choice of basis: a gradient is right for what does not depend on these.

    `hermitian` changes nothing here but which triangle counts: none does.
    """
    x = matrices(a, "linalg.svd", square=bool(hermitian))
    if not compute_uv:
        return singular_values(x)
    return SVDResult(*factorization.svd(x, full=bool(full_matrices)))


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Value:
    """numpy.linalg.svdvals."""
    return singular_values(matrices(x, "linalg.svdvals"))


# ---- pseudo-inverse, least squares ----------------------------------------------------------------------------------


def _inverted(s: Value, tolerance: Any) -> tuple[Value, Value]:
    """(1 / s where s counts and else 0, which ones count); those above the largest one times a tolerance count."""
    largest = part(s, s.ndim - 1, 0, 1)
    limit = ufuncs.multiply(convert(tolerance, s.dtype), largest)
    counts = elementwise.gt(s, expand(limit, s.shape))
    one, zero = fill_like(s, 1), fill_like(s, 0)
    return elementwise.select(counts, one / elementwise.select(counts, s, one), zero), counts


def pseudo_inverse(x: Value, tolerance: Any) -> Value:
    """The pseudo-inverse that takes singular values below the tolerance times the largest one as 0."""
    u, s, vh = factorization.svd(x, full=False)
    return solving.pinv(x, u, _inverted(s, tolerance)[0], vh)


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: Any = False, *, rtol: Any = NOT_GIVEN) -> Value:
    """numpy.linalg.pinv. The gradient is that at constant rank. `hermitian` changes nothing here."""
    x = matrices(a, "linalg.pinv", square=bool(hermitian))
    m, n = x.shape[-2:]
    if x.type.size == 0:
        return full(0, (*x.shape[:-2], n, m), x.dtype)
    if rcond is None:
        default = max(m, n) * float(np.finfo(x.dtype).eps)
        rcond = 1e-15 if rtol is NOT_GIVEN else default if rtol is None else rtol
    elif rtol is not NOT_GIVEN:
        raise ArgumentError("linalg.pinv: rcond and rtol are both given", hint="give rtol")
    tolerance = operand(rcond)
    if isinstance(tolerance, Value):
        tolerance = reshaped(tolerance, (*tolerance.shape, 1))
    return pseudo_inverse(x, tolerance)


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """numpy.linalg.lstsq: (x, residuals, rank, singular values).

    The residuals, sums of squares, are there whenever a has more rows than columns. NumPy leaves them out where the
    rank turns out to be smaller than the number of columns; what a compiled program returns has one shape.
    """
    x, y = linear("linalg.lstsq", lift(a), lift(b))
    if x.ndim != 2 or y.ndim not in (1, 2) or y.shape[0] != x.shape[0]:
        raise ShapeError(
            f"linalg.lstsq: {x.type} and {y.type} do not fit", hint="a matrix, and a vector or matrix with as many rows"
        )
    right = y if y.ndim == 2 else reshaped(y, (*y.shape, 1))
    (m, n), real = x.shape, real_dtype(x.dtype)
    eps = float(np.finfo(real).eps)
    tolerance = max(m, n) * eps if rcond is None else operand(rcond)
    if not isinstance(tolerance, Value) and tolerance < 0:
        tolerance = eps
    if x.type.size == 0:
        z, s, rank = full(0, (n, right.shape[1]), x.dtype), full(0, (0,), real), full(0, (), np.dtype(np.int32))
    else:
        u, s, vh = factorization.svd(x, full=False)
        inverse, counts = _inverted(s, tolerance)
        z = solving.least_squares(x, right, u, inverse, vh)
        rank = sum_(convert(counts, np.dtype(np.int32)), 0, np.int32)
    residuals = full(0, (0,), real)
    if m > n:
        e = elementwise.sub(right, product(x, z)) if n else right
        squares = e * e if kind(e.dtype) != "c" else elementwise.real(e * elementwise.conj(e))
        residuals = sum_(squares, 0)
    return (z if y.ndim == 2 else reshaped(z, (n,))), residuals, rank, s
