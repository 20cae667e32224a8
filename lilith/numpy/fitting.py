"""Polynomials from points and from roots, and their roots: what needs linear algebra."""

from __future__ import annotations

from typing import Any

import numpy as np

from lilith.ir.graph import Value
from lilith.numpy import ufuncs
from lilith.numpy.core import floating, full, implements, lift, static_int
from lilith.numpy.factorizations import eigvals, inv, linear, lstsq
from lilith.numpy.joining import concatenate
from lilith.numpy.polynomials import vander
from lilith.numpy.reductions import sum as sum_
from lilith.numpy.shaping import atleast_1d, reshaped
from lilith.ops import elementwise
from lilith.ops.linalg import product, transposed
from lilith.ops.shape import part
from lilith.source import ArgumentError, ShapeError


@implements(np.roots)
def roots(p: Any) -> Value:
    """numpy.roots: the eigenvalues of the companion matrix, always complex. On CPU only.

    The first coefficient must not be 0: which coefficients are is not known when the program is made, and with them
    NumPy changes the number of roots.
    """
    (x,) = linear("roots", atleast_1d(lift(p)))
    if x.ndim != 1:
        raise ShapeError(f"roots: {x.type} is no array of coefficients", hint="one axis, highest power first")
    n = x.shape[0] - 1
    if n < 1:
        return full(0, (0,), np.result_type(x.dtype, np.complex64))
    first = ufuncs.divide(elementwise.neg(part(x, 0, 1, n + 1)), part(x, 0, 0, 1))
    below = lift(np.eye(n - 1, n, dtype=x.dtype))
    return eigvals(concatenate([reshaped(first, (1, n)), below], 0))


@implements(np.poly)
def poly(seq_of_zeros: Any) -> Value:
    """numpy.poly: the coefficients of the polynomial with these roots, or the characteristic one of a square matrix.

    Of complex roots they are complex, also where NumPy finds the roots in conjugate pairs and returns real ones.
    """
    x = floating(atleast_1d(lift(seq_of_zeros)))
    if x.ndim == 2 and x.shape[0] == x.shape[1] and x.shape[0]:
        x = eigvals(x)
    if x.ndim != 1:
        raise ShapeError(f"poly: {x.type} holds no roots", hint="a vector of roots or a square matrix")
    zero, coefficients = full(0, (1,), x.dtype), full(1, (1,), x.dtype)
    for k in range(x.shape[0]):
        below = ufuncs.multiply(concatenate([zero, coefficients]), part(x, 0, k, k + 1))
        coefficients = ufuncs.subtract(concatenate([coefficients, zero]), below)
    return coefficients


def _checked_points(x: Value, y: Value, order: int) -> None:
    if order < 1:
        raise ArgumentError(f"polyfit: the degree {order - 1} is negative", hint="deg >= 0")
    if x.ndim != 1 or not x.type.size or y.ndim not in (1, 2) or y.shape[0] != x.shape[0]:
        raise ShapeError(
            f"polyfit: {x.type} and {y.type} do not fit", hint="a vector x, and as many rows in the vector or matrix y"
        )


@implements(np.polyfit)
def polyfit(x: Any, y: Any, deg: Any, rcond: Any = None, full: Any = False, w: Any = None, cov: Any = False) -> Any:
    """numpy.polyfit for a known degree; differentiable in x, y and w. No warning of a poorly conditioned fit."""
    a, b = floating(lift(x)), floating(lift(y))
    order = static_int(deg, "polyfit", "deg") + 1
    _checked_points(a, b, order)
    count = a.shape[0]
    tolerance = count * float(np.finfo(a.dtype).eps) if rcond is None else rcond
    left = vander(a, order)
    if w is not None:
        weights = floating(lift(w))
        if weights.shape != a.shape:
            raise ShapeError(f"polyfit: weights {weights.type} for {a.type}", hint="one weight per point")
        column = reshaped(weights, (count, 1))
        left = ufuncs.multiply(left, column)
        b = ufuncs.multiply(b, weights if b.ndim == 1 else column)
    scale = ufuncs.sqrt(sum_(ufuncs.multiply(left, left), 0))
    left = ufuncs.divide(left, scale)
    c, residuals, rank, s = lstsq(left, b, tolerance)
    c = ufuncs.divide(c, scale if c.ndim == 1 else reshaped(scale, (order, 1)))
    if full:
        return c, residuals, rank, s, tolerance
    return (c, _covariance(left, scale, b, residuals, cov)) if cov else c


def _covariance(left: Value, scale: Value, b: Value, residuals: Value, cov: Any) -> Value:
    """The covariance matrix of the coefficients, as numpy.polyfit scales it."""
    count, order = left.shape
    base = inv(product(transposed(left), left))
    outer = ufuncs.multiply(reshaped(scale, (order, 1)), scale)
    base = ufuncs.divide(base, outer)
    if b.ndim == 2:
        base = reshaped(base, (order, order, 1))
    if isinstance(cov, str) and cov == "unscaled":
        return base
    if count <= order:
        raise ArgumentError(
            f"polyfit: the covariance needs more points than the {order} coefficients", hint="cov='unscaled'"
        )
    return ufuncs.multiply(base, ufuncs.divide(residuals, float(count - order)))
