"""scipy.linalg's functions for traced arrays and NumPy arrays alike; numpy.linalg's need no replacement.

Given NumPy arrays only, each function is SciPy's and raises its errors. In a traced function a matrix for which there
is no answer (singular, not positive definite) gives NaN, as in numpy.linalg on traced arrays.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType, FunctionType
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.primitive import primitive
from lilith.ir.type import real_dtype
from lilith.numpy import ufuncs
from lilith.numpy.core import broadcast_shapes, convert, expand, full, lift, promote, wrap
from lilith.numpy.factorizations import linear, matrices, solved
from lilith.numpy.floats import ldexp
from lilith.numpy.reductions import max as max_
from lilith.numpy.reductions import sum as sum_
from lilith.numpy.shaping import reshaped
from lilith.ops import elementwise, factorization, matrix_functions, solving
from lilith.ops.control import stop_gradient
from lilith.ops.linalg import adjoint, identity, product, rows
from lilith.ops.shape import concatenate, part
from lilith.remedies import LATE_REPLACEMENTS, REPLACEMENTS
from lilith.source import ArgumentError, ShapeError
from lilith.trace import contains_tracer, current_trace

__all__ = [
    "block_diag",
    "cho_factor",
    "cho_solve",
    "expm",
    "lu_factor",
    "lu_solve",
    "solve_triangular",
    "sqrtm",
    "toeplitz",
]


def _scipy(name: str) -> Callable[..., Any]:
    """SciPy's function; scipy.linalg is loaded when one is called, it takes a tenth of a second."""
    import scipy.linalg

    return getattr(scipy.linalg, name)


def _pair(name: str, given: Any, source: str) -> tuple[Any, Any]:
    """Both parts of what a factorisation gave."""
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ArgumentError(f"{name}: takes what {source} returns, got {type(given).__name__}", hint=f"{source}(a)")
    return given[0], given[1]


def _columns(b: Any, name: str, rows: int) -> tuple[Value, bool]:
    """A right side as matrices, and whether it is one vector."""
    y = lift(b)
    vector = y.ndim == 1
    if vector:
        y = reshaped(y, (*y.shape, 1))
    if y.ndim < 2 or y.shape[-2] != rows:
        raise ShapeError(
            f"{name}: a right side {lift(b).type} does not fit {rows} unknowns",
            hint="a vector, or matrices with as many rows",
        )
    return y, vector


def _answer(x: Value, vector: bool) -> Any:
    return wrap(reshaped(x, x.shape[:-1]) if vector else x)


def _together(name: str, a: Value, b: Value) -> tuple[Value, Value]:
    """Matrices and right sides as stacks of one shape."""
    stack = broadcast_shapes(name, [t.type.with_shape(t.shape[:-2]) for t in (a, b)])
    return expand(a, stack + a.shape[-2:]), expand(b, stack + b.shape[-2:])


# ---- triangular systems ---------------------------------------------------------------------------------------------


def solve_triangular(a: Any, b: Any, trans: int | str = 0, lower: bool = False, unit_diagonal: bool = False) -> Any:
    """The x with a x = b (trans 1 or "T": aᵀ x = b, trans 2 or "C": aᴴ x = b) for a triangular a.

    Only the named triangle of a is read, and without its diagonal where that is taken as ones. Infinite or NaN where
    the diagonal has a zero.

    >>> import lilith
    >>> import numpy as np
    >>> lilith.linalg.solve_triangular(np.array([[2.0, 0.0], [1.0, 4.0]]), np.array([2.0, 5.0]), lower=True)
    array([1., 1.])
    """
    if not contains_tracer(a) and not contains_tracer(b):
        return _scipy("solve_triangular")(a, b, trans=trans, lower=lower, unit_diagonal=unit_diagonal)
    current_trace()
    turned = {0: 0, "N": 0, 1: 1, "T": 1, 2: 2, "C": 2}.get(trans)
    if turned is None:
        raise ArgumentError(f"solve_triangular: trans={trans!r}", hint="0, 1 or 2, or 'N', 'T' or 'C'")
    x, y = linear("solve_triangular", lift(a), lift(b))
    x = matrices(x, "solve_triangular", square=True)
    y, vector = _columns(y, "solve_triangular", x.shape[-1])
    z = _triangular(elementwise.conj(x) if turned == 2 else x, y, bool(turned), bool(lower), bool(unit_diagonal))
    return _answer(z, vector)


def _triangular(a: Value, b: Value, transpose: bool, lower: bool, unit_diagonal: bool = False) -> Value:
    a, b = _together("solve_triangular", a, b)
    flags = {"lower": lower, "transpose": transpose, "unit_diagonal": unit_diagonal}
    return solving.triangular_solve(a, b, left_side=True, **flags)


# ---- Cholesky -------------------------------------------------------------------------------------------------------


def cho_factor(a: Any, lower: bool = False) -> tuple[Any, bool]:
    """(c, lower): the Cholesky factor of a Hermitian a, for `cho_solve`. a = cᴴ c, or c cᴴ with `lower`.

    As in SciPy only one triangle of a is read; for traced arrays the other triangle of c is zero.

    >>> import lilith
    >>> import numpy as np
    >>> def loss(a):
    ...     factor = lilith.linalg.cho_factor(a)
    ...     return lilith.linalg.cho_solve(factor, np.ones(2)).sum()
    >>> value, g = lilith.grad(loss, np.array([[2.0, 0.0], [0.0, 4.0]]))
    >>> round(float(value), 12)
    0.75
    """
    if not contains_tracer(a):
        return _scipy("cho_factor")(a, lower=lower)
    current_trace()
    x = matrices(a, "cho_factor", square=True)
    c = factorization.cholesky(x) if lower else adjoint(factorization.cholesky(adjoint(x)))
    return wrap(c), lower


def cho_solve(c_and_lower: tuple[Any, bool], b: Any) -> Any:
    """The x with a x = b from `cho_factor(a)`."""
    c, lower = _pair("cho_solve", c_and_lower, "cho_factor")
    if not contains_tracer(c) and not contains_tracer(b):
        return _scipy("cho_solve")((c, lower), b)
    current_trace()
    x, y = linear("cho_solve", lift(c), lift(b))
    x = matrices(x, "cho_solve", square=True)
    y, vector = _columns(y, "cho_solve", x.shape[-1])
    lower, turned = bool(lower), elementwise.conj(x)
    if lower:
        z = _triangular(turned, _triangular(x, y, False, True), True, True)
    else:
        z = _triangular(x, _triangular(turned, y, True, False), False, False)
    return _answer(z, vector)


# ---- LU -------------------------------------------------------------------------------------------------------------


def lu_factor(a: Any) -> tuple[Any, Any]:
    """(lu, piv): L below the diagonal and U, packed together, and the rows exchanged, for `lu_solve`.

    >>> import lilith
    >>> import numpy as np
    >>> lu, piv = lilith.linalg.lu_factor(np.array([[1.0, 2.0], [4.0, 4.0]]))
    >>> lilith.linalg.lu_solve((lu, piv), np.array([3.0, 8.0]))
    array([1., 1.])
    """
    if not contains_tracer(a):
        return _scipy("lu_factor")(a)
    current_trace()
    return wrap(factorization.lu(matrices(a, "lu_factor")))


def lu_solve(lu_and_piv: tuple[Any, Any], b: Any, trans: int = 0) -> Any:
    """The x with a x = b (trans=1: aᵀ x = b, trans=2: aᴴ x = b) from `lu_factor(a)`.

    The gradient flows through the factors. For a gradient with respect to a, numpy.linalg.solve does less work.
    """
    packed, piv = _pair("lu_solve", lu_and_piv, "lu_factor")
    if not contains_tracer(packed) and not contains_tracer(b):
        return _scipy("lu_solve")((packed, piv), b, trans=trans)
    current_trace()
    if trans not in (0, 1, 2):
        raise ArgumentError(f"lu_solve: trans={trans!r}", hint="0, 1 or 2")
    x, y = linear("lu_solve", lift(packed), lift(b))
    x = matrices(x, "lu_solve", square=True)
    n = x.shape[-1]
    y, vector = _columns(y, "lu_solve", n)
    order = rows(factorization.row_order(convert(lift(piv), factorization.INDEX), size=n), n)
    place = primitive("iota")(shape=order.shape, dtype=order.dtype, axis=order.ndim - 2)
    put = convert(elementwise.eq(order, place), x.dtype)  # Pᵀ: row order[i] of the result is row i
    x, y = _together("lu_solve", x, y)
    put = expand(put, x.shape)
    if trans:
        x = elementwise.conj(x) if trans == 2 else x
        z = _triangular(x, _triangular(x, y, True, False), True, True, True)
        return _answer(product(put, z), vector)
    z = _triangular(x, product(adjoint(put), y), False, True, True)
    return _answer(_triangular(x, z, False, False), vector)


# ---- functions of matrices ------------------------------------------------------------------------------------------

# Padé approximants of exp, degree by digits: coefficients and the 1-norm up to which they are exact to rounding.
# Source: Higham, The scaling and squaring method for the matrix exponential revisited, 2005, table 2.3.
_PADE_13 = (
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
)
_PADE_7 = (17297280.0, 8648640.0, 1995840.0, 277200.0, 25200.0, 1512.0, 56.0, 1.0)
_LIMIT_13, _LIMIT_7 = 5.371920351148152, 3.925724783138660


def _combined(one: Value, powers: list[Value], coefficients: list[float]) -> Value:
    """c₀ + c₁ P₁ + c₂ P₂ + ..."""
    total = elementwise.mul(one, fill_like(one, coefficients[0]))
    for p, c in zip(powers, coefficients[1:], strict=True):
        total = total + elementwise.mul(p, fill_like(p, c))
    return total


def _pade(x: Value) -> tuple[Value, Value]:
    """(U, V), the odd and the even part of the numerator of exp's Padé approximant; the denominator is V - U."""
    one = identity(x)
    two = product(x, x)
    four = product(two, two)
    six = product(four, two)
    powers = [two, four, six]
    if real_dtype(x.dtype).itemsize == 4:
        c = _PADE_7
        return product(x, _combined(one, powers, [*c[1:8:2]])), _combined(one, powers, [*c[0:7:2]])
    b = _PADE_13
    zero = fill_like(one, 0)
    odd = product(six, _combined(zero, powers, [0, b[9], b[11], b[13]])) + _combined(one, powers, [*b[1:8:2]])
    even = product(six, _combined(zero, powers, [0, b[8], b[10], b[12]])) + _combined(one, powers, [*b[0:7:2]])
    return product(x, odd), even


def expm(a: Any) -> Any:
    """The matrix exponential: scaling, a Padé approximant, repeated squaring.

    How often to square is found at run time from the 1-norm of each matrix. All derivatives exist; for an infinite or
    NaN norm the result is NaN. Source: Higham, The scaling and squaring method for the matrix exponential revisited,
    2005.

    >>> import lilith
    >>> import numpy as np
    >>> lilith.linalg.expm(np.array([[0.0, 1.0], [0.0, 0.0]]))
    array([[1., 1.],
           [0., 1.]])
    >>> value, g = lilith.grad(lambda a: lilith.linalg.expm(a).trace(), np.zeros((2, 2)))
    >>> g[0].round(12)
    array([[1., 0.],
           [0., 1.]])
    """
    if not contains_tracer(a):
        return _scipy("expm")(a)
    current_trace()
    x = matrices(a, "expm", square=True)
    if x.type.size == 0:
        return wrap(x)
    size = max_(sum_(elementwise.abs(stop_gradient(x)), x.ndim - 2), -1)
    limit = _LIMIT_13 if size.dtype.itemsize == 8 else _LIMIT_7
    finite = elementwise.logical_and(elementwise.is_finite(size), elementwise.gt(size, fill_like(size, limit)))
    relative = elementwise.select(finite, size / fill_like(size, limit), fill_like(size, 1))
    count = convert(elementwise.ceil(ufuncs.log2(relative)), factorization.INDEX)
    scale = ldexp(fill_like(size, 1), elementwise.neg(count))
    factor = convert(reshaped(scale, (*scale.shape, 1, 1)), x.dtype)
    odd, even = _pade(elementwise.mul(x, expand(factor, x.shape)))
    y = solved(elementwise.sub(even, odd), elementwise.add(even, odd))
    return wrap(matrix_functions.repeatedly_squared(count, y))


def sqrtm(a: Any) -> Any:
    """The square root of a Hermitian positive semidefinite matrix, Hermitian itself.

    Traced arrays are taken as Hermitian: the lower triangle is read, and the gradient is that along Hermitian matrices.
    NaN for negative eigenvalues; no finite gradient where an eigenvalue is 0. NumPy arrays go to SciPy, which knows any
    matrix.

    >>> import lilith
    >>> import numpy as np
    >>> value, g = lilith.grad(lambda a: lilith.linalg.sqrtm(a).trace(), np.diag([4.0, 16.0]))
    >>> g[0]
    array([[0.25 , 0.   ],
           [0.   , 0.125]])
    """
    if not contains_tracer(a):
        return _scipy("sqrtm")(a)
    current_trace()
    x = matrices(a, "sqrtm", square=True)
    return wrap(matrix_functions.matrix_sqrt(x, *factorization.eigh(x)))


# ---- special matrices -----------------------------------------------------------------------------------------------


def block_diag(*arrays: Any) -> Any:
    """The matrix with these matrices (rows for vectors and numbers) along its diagonal, zeros elsewhere.

    >>> import lilith
    >>> import numpy as np
    >>> lilith.linalg.block_diag(np.ones((1, 2)), 5.0)
    array([[1., 1., 0.],
           [0., 0., 5.]])
    """
    if not any(map(contains_tracer, arrays)):
        return _scipy("block_diag")(*arrays)
    current_trace()
    values = promote(*[lift(x) for x in arrays])
    for x in values:
        if x.ndim > 2:
            raise ShapeError(f"block_diag: {x.type} is no matrix", hint="arrays with two axes or fewer")
    blocks = [reshaped(x, (1,) * (2 - x.ndim) + x.shape) for x in values]
    width = sum(x.shape[1] for x in blocks)
    lines, begin = [], 0
    for x in blocks:
        (m, n), parts = x.shape, [x]
        if begin:
            parts.insert(0, full(0, (m, begin), x.dtype))
        begin += n
        if width > begin:
            parts.append(full(0, (m, width - begin), x.dtype))
        lines.append(concatenate(*parts, axis=1) if len(parts) > 1 else x)
    return wrap(concatenate(*lines, axis=0) if len(lines) > 1 else lines[0])


def toeplitz(c: Any, r: Any = None) -> Any:
    """The matrix with the first column c and the first row r (its first element is not read), constant along diagonals;
    r is the conjugate of c if it is not given.

    >>> import lilith
    >>> import numpy as np
    >>> lilith.linalg.toeplitz(np.array([1.0, 2.0, 3.0]), np.array([0.0, 5.0]))
    array([[1., 5.],
           [2., 1.],
           [3., 2.]])
    """
    if not contains_tracer(c) and not contains_tracer(r):
        return _scipy("toeplitz")(c, r)
    current_trace()
    first = lift(c)
    column, row = promote(first, elementwise.conj(first) if r is None else lift(r))
    if column.ndim != 1 or row.ndim != 1:
        raise ShapeError(f"toeplitz: {column.type} and {row.type}", hint="c and r are vectors")
    m, n = column.shape[0], row.shape[0]
    if m * n == 0:
        return wrap(full(0, (m, n), column.dtype))
    # v holds the diagonals from the upper right to the lower left: element (i, j) is v[n - 1 + i - j]. Copies of v one
    # after the other, read as rows longer by one, shift by one from row to row: element (i, k) is v[i + k]
    v = concatenate(primitive("rev")(part(row, 0, 1, n), axes=(0,)), column, axis=0)
    length = m + n - 1
    copies = reshaped(expand(reshaped(v, (1, length)), (m, length)), (m * length,))
    copies = concatenate(copies, full(0, (m,), v.dtype), axis=0)
    shifted = part(reshaped(copies, (m, length + 1)), 1, 0, n)
    return wrap(primitive("rev")(shifted, axes=(1,)))


def _replacements() -> None:
    """Note what to call in place of scipy.linalg's functions, which make plain arrays of their arguments."""
    module = sys.modules.get("scipy.linalg")
    if module is None:
        return
    ours = {name: f"lilith.linalg.{name}" for name in __all__}
    theirs = {name: f"np.linalg.{name}" for name in dir(np.linalg) if hasattr(module, name)}
    names = theirs | ours

    def of_wrapped(frame: FrameType) -> str | None:
        return names.get(getattr(frame.f_locals.get("f"), "__name__", ""))

    for name, text in names.items():
        function = getattr(module, name)
        inner = getattr(function, "__wrapped__", None)
        for each, found in ((inner, text), (function, text if inner is None else of_wrapped)):
            if isinstance(each, FunctionType):
                REPLACEMENTS[each.__code__] = found


LATE_REPLACEMENTS.append(_replacements)
