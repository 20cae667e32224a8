"""Functions of matrices: repeated squaring, the square root of Hermitian ones, Lyapunov's equation."""

from __future__ import annotations

from typing import Any

import numpy as np

from lilith.ir.graph import Value
from lilith.ir.primitive import Primitive, per_operand
from lilith.ir.type import TensorType, real_dtype
from lilith.ops.elementwise import add, conj, div, elementwise_batch, mul, neg, sqrt
from lilith.ops.factorization import INDEX, check_matrices, replaced
from lilith.ops.linalg import adjoint, as_dtype, columns, hermitian_part, product, rows, transposed
from lilith.source import ShapeError

# ---- repeated squaring ----------------------------------------------------------------------------------------------


def _squared_type(count: TensorType, *parts: TensorType) -> Any:
    check_matrices("repeatedly_squared", *parts, square=True)
    first = parts[0]
    if len(parts) & (len(parts) - 1) or any(not t.matches(first) for t in parts):
        raise ShapeError(f"repeatedly_squared: {parts}", hint="1, 2, 4, ... matrices of one type")
    if count.shape != first.shape[:-2] or count.dtype != INDEX:
        raise ShapeError(f"repeatedly_squared: {count} are no counts for {first}", hint="one int32 per matrix")
    return first.strong if len(parts) == 1 else tuple([first.strong] * len(parts))


def subsets(s: int) -> list[int]:
    """All subsets of a set of bits."""
    return [t for t in range(s + 1) if t & s == t]


def square_of_parts(parts: list[Any], multiply: Any) -> list[Any]:
    """The square of Σ ε_S X_S, with ε_S the product of the ε_k for k in the set of bits S, and ε_k² = 0."""
    squares = []
    for s in range(len(parts)):
        terms = [multiply(parts[t], parts[s ^ t]) for t in subsets(s)]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        squares.append(total)
    return squares


def _squared_eval(count: np.ndarray, *parts: np.ndarray) -> Any:
    found = [x.copy() for x in parts]
    for place in np.ndindex(count.shape):
        own = [x[place] for x in found]
        for _ in range(int(count[place])):
            own = square_of_parts(own, np.matmul)
        for x, y in zip(found, own, strict=True):
            x[place] = y
    return found[0] if len(found) == 1 else tuple(found)


def _squared_vjp(g: Any, y: Any, count: Value, *parts: Value, wanted: tuple[bool, ...]) -> tuple[Value | None, ...]:
    """Y = f(X) for a polynomial f of matrices over the numbers a + Σ b_S ε_S. With G = Σ ε_S ḡ(Sᶜ)ᵀ, Sᶜ the complement,
    the cotangents are those of the coefficient of ε_all in tr(G Y); the trace of a product is that of its cyclic
    permutations, so H = f'(X)[G] gives x̄_S = H(Sᶜ)ᵀ, and f(X + ε G) = f(X) + ε H with one more ε.

    An ε that is in all wanted S is in none of their complements: it is left out, so the rule is linear where f is.
    """
    cotangents = g if isinstance(g, tuple) else (g,)
    every = len(parts) - 1
    chosen = [s for s in range(len(parts)) if wanted[1 + s]]
    common = every
    for s in chosen:
        common &= s
    rest = subsets(every & ~common)
    directions = [transposed(cotangents[every ^ s]) for s in rest]
    found = repeatedly_squared(count, *[parts[s] for s in rest], *directions)[len(rest) :]
    h = dict(zip(rest, found, strict=True))
    return (None, *[transposed(h[every ^ s]) if s in chosen else None for s in range(len(parts))])


# X^(2^count), `count` one int32 per matrix. Several parts are the X_S of X = Σ ε_S X_S, in the order of the sets of
# bits S = 0, 1, 2, ...; so are the results: what derivatives need.
repeatedly_squared: Primitive = Primitive(
    "repeatedly_squared",
    type=_squared_type,
    eval=_squared_eval,
    vjp=_squared_vjp,
    batch=elementwise_batch("repeatedly_squared"),
)

# ---- square root of Hermitian matrices ------------------------------------------------------------------------------


def _check_eigenvalues(name: str, a: TensorType, w: TensorType, v: TensorType) -> None:
    check_matrices(name, a, v, square=True)
    if not v.matches(a) or not w.matches(replaced(a, a.shape[-1], dtype=real_dtype(a.dtype))):
        raise ShapeError(f"{name}: {w}, {v} are no eigenvalues and eigenvectors of {a}", hint="use the results of eigh")


def _root_type(a: TensorType, w: TensorType, v: TensorType) -> TensorType:
    _check_eigenvalues("matrix_sqrt", a, w, v)
    return a.strong


def _root_eval(a: np.ndarray, w: np.ndarray, v: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(a)
    return ((vectors * np.sqrt(values)[..., None, :]) @ vectors.conj().mT).astype(a.dtype)


def _root_rule(g: Value, y: Value, a: Value, w: Value, v: Value) -> Value:
    """Y² = A: dA = dY Y + Y dY, so Ā solves Y Ā + Ā Y = Ȳ, Ȳ taken along Hermitian matrices."""
    return conj(lyapunov(y, hermitian_part(conj(g)), sqrt(w), v))


# The Hermitian square root of a positive semidefinite A, from the results of eigh(A); NaN for negative eigenvalues.
matrix_sqrt = Primitive(
    "matrix_sqrt",
    type=_root_type,
    eval=_root_eval,
    vjp=per_operand(_root_rule, None, None),
    batch=elementwise_batch("matrix_sqrt"),
)


def root_of_eigenvalues(w: Value, v: Value) -> Value:
    """V √w Vᴴ."""
    return product(mul(v, rows(as_dtype(sqrt(w), v.dtype), v.shape[-2])), adjoint(v))


def _lyapunov_type(y: TensorType, c: TensorType, w: TensorType, v: TensorType) -> TensorType:
    _check_eigenvalues("lyapunov", y, w, v)
    if not c.matches(y):
        raise ShapeError(f"lyapunov: {y} and {c} differ", hint="the right side has the matrix's type")
    return y.strong


def _lyapunov_eval(y: np.ndarray, c: np.ndarray, w: np.ndarray, v: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(y)
    sums = values[..., :, None] + values[..., None, :]
    inner = vectors.conj().mT @ c @ vectors / sums
    return (vectors @ inner @ vectors.conj().mT).astype(y.dtype)


def _lyapunov_vjp(
    g: Value, x: Value, y: Value, c: Value, w: Value, v: Value, *, wanted: tuple[bool, ...]
) -> tuple[Value | None, ...]:
    """Y X + X Y = C: C̄ solves Y C̄ + C̄ Y = X̄, and Ȳ is the Hermitian part of -(C̄ Xᴴ + Xᴴ C̄)."""
    c_bar = lyapunov(y, conj(g), w, v)
    y_bar = None
    if wanted[0]:
        xh = adjoint(x)
        y_bar = conj(neg(hermitian_part(add(product(c_bar, xh), product(xh, c_bar)))))
    return y_bar, conj(c_bar) if wanted[1] else None, None, None


def lyapunov_by_eigenvalues(c: Value, w: Value, v: Value) -> Value:
    """V ((Vᴴ C V)[i, j] / (w[i] + w[j])) Vᴴ."""
    n = w.shape[-1]
    sums = as_dtype(add(rows(w, n), columns(w, n)), c.dtype)
    return product(product(v, div(product(product(adjoint(v), c), v), sums)), adjoint(v))


# The X with Y X + X Y = C for a Hermitian Y, from the results of eigh(Y).
lyapunov: Primitive = Primitive(
    "lyapunov", type=_lyapunov_type, eval=_lyapunov_eval, vjp=_lyapunov_vjp, batch=elementwise_batch("lyapunov")
)
