"""Norms of vectors and matrices, condition numbers, ranks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import kind
from lilith.numpy import ufuncs
from lilith.numpy.core import Shape, convert, floating, implements, lift, normalize_axes, normalize_axis, operand
from lilith.numpy.factorizations import inv, matrices, singular_values
from lilith.numpy.reductions import NOT_GIVEN, count_nonzero, kept
from lilith.numpy.reductions import max as max_
from lilith.numpy.reductions import min as min_
from lilith.numpy.reductions import sum as sum_
from lilith.numpy.shaping import moveaxis
from lilith.ops import elementwise
from lilith.ops.shape import part, reshape
from lilith.source import ShapeError, UnsupportedError


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Value:
    """numpy.linalg.norm of vectors and matrices. Slope 0 at 0."""
    x = floating(lift(x))
    axes = normalize_axes(axis, x.ndim, "linalg.norm")
    if ord is None:
        return kept(x, axes, _root_of_squares(x, axes), keepdims)
    if len(axes) == 2:
        order = axes if axis is None else tuple([normalize_axis(a, x.ndim, "linalg.norm") for a in axis])
        return kept(x, axes, _matrix_norm(x, ord, order), keepdims)
    if len(axes) != 1:
        raise ShapeError(f"linalg.norm: ord={ord!r} of {x.type} over axes {axes}", hint="name one or two axes")
    return kept(x, axes, _vector_norm(x, ord, axes), keepdims)


def _root_of_squares(x: Value, axes: Shape) -> Value:
    """The square root of the sum of |x|², with slope 0 where it is 0."""
    if kind(x.dtype) == "c":
        a, b = elementwise.real(x), elementwise.imag(x)
        squares = elementwise.add(elementwise.mul(a, a), elementwise.mul(b, b))
    else:
        squares = elementwise.mul(x, x)
    return _safe_root(sum_(squares, axes), elementwise.sqrt)


def _safe_root(total: Value, root: Callable[[Value], Value]) -> Value:
    """root(total), and 0 with slope 0 where the total is 0."""
    zero = elementwise.eq(total, fill_like(total, 0))
    safe = root(elementwise.select(zero, fill_like(total, 1), total))
    return elementwise.select(zero, fill_like(total, 0), safe)


def _vector_norm(x: Value, ord: Any, axes: Shape) -> Value:
    if ord == 2:
        return _root_of_squares(x, axes)
    size = elementwise.abs(x)
    if ord == math.inf:
        return _largest(size, axes)
    if ord == -math.inf:
        return min_(size, axes)
    if ord == 0:
        return convert(sum_(ufuncs.not_equal(size, 0), axes), size.dtype)
    if ord == 1:
        return sum_(size, axes)
    if not isinstance(ord, int | float | np.number):
        raise UnsupportedError(f"np.linalg.norm: ord={ord!r} for vectors", hint="a number, np.inf or -np.inf")
    p = float(ord)
    return _safe_root(sum_(ufuncs.power(size, p), axes), lambda total: ufuncs.power(total, 1 / p))


def _largest(size: Value, axes: Shape) -> Value:
    """The largest of numbers that are not negative; 0 of none."""
    return max_(size, axes, initial=NOT_GIVEN if size.type.size else 0)


def _matrix_norm(x: Value, ord: Any, axes: Shape) -> Value:
    named = isinstance(ord, str)  # a captured number is traced until it is asked for; it compares with numbers only
    if named and ord in ("fro", "f"):
        return _root_of_squares(x, axes)
    if ord == "nuc" if named else ord in (2, -2):
        s = singular_values(matrices(moveaxis(x, axes, (-2, -1)), "linalg.norm"))
        if named:
            return sum_(s, -1)
        if s.shape[-1] == 0:
            return (_largest if ord == 2 else min_)(s, (s.ndim - 1,))
        return _end(s, ord == -2)
    if named or ord not in (1, -1, math.inf, -math.inf):
        raise UnsupportedError(
            f"np.linalg.norm: ord={ord!r} for matrices",
            hint="ord: 'fro', 'nuc', 1, -1, 2, -2, np.inf or -np.inf",
        )
    rows, columns = axes if ord in (1, -1) else axes[::-1]
    sums = sum_(elementwise.abs(x), rows, keepdims=True)
    return (_largest if ord > 0 else min_)(sums, (rows, columns))


@implements(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: Any = False, ord: Any = 2) -> Value:
    """numpy.linalg.vector_norm: of all elements, or over the named axes together."""
    x = floating(lift(x))
    axes = normalize_axes(axis, x.ndim, "linalg.vector_norm")
    return kept(x, axes, _vector_norm(x, ord, axes), keepdims)


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: Any = False, ord: Any = "fro") -> Value:
    """numpy.linalg.matrix_norm: of the last two axes."""
    return norm(x, ord, (-2, -1), keepdims)


# ---- condition and rank ---------------------------------------------------------------------------------------------


def _end(s: Value, last: bool) -> Value:
    """The largest or the smallest of singular values."""
    n = s.shape[-1]
    return reshape(part(s, s.ndim - 1, n - 1 if last else 0, n if last else 1), shape=s.shape[:-1])


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Value:
    """numpy.linalg.cond; infinite for a singular matrix."""
    v = matrices(x, "linalg.cond")
    if 0 in v.shape[-2:]:
        raise ShapeError(f"linalg.cond: {v.type} is empty", hint="the condition number needs elements")
    if p is None or p in (2, -2):
        s = singular_values(v)
        ends = _end(s, False), _end(s, True)
        ratio = ufuncs.divide(*ends) if p is None or p == 2 else ufuncs.divide(*ends[::-1])
    else:
        v = matrices(v, "linalg.cond", square=True)
        ratio = ufuncs.multiply(norm(v, p, (-2, -1)), norm(inv(v), p, (-2, -1)))
    # as NumPy: no number although all elements are numbers means that there is no inverse
    broken = elementwise.ne(ratio, ratio)
    given = convert(sum_(ufuncs.isnan(v), (-2, -1)), np.dtype(bool))
    lost = elementwise.logical_and(broken, elementwise.logical_not(given))
    return elementwise.select(lost, fill_like(ratio, math.inf), ratio)


@implements(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: Any = False, *, rtol: Any = None) -> Value:
    """numpy.linalg.matrix_rank: the number of singular values above a tolerance. An integer, without a derivative."""
    v = lift(A)
    if v.ndim < 2:
        return convert(ufuncs.not_equal(sum_(ufuncs.not_equal(v, 0)), 0), np.dtype(np.int64))
    v = matrices(v, "linalg.matrix_rank", square=bool(hermitian))
    if v.type.size == 0:
        return count_nonzero(floating(singular_values(v)), -1)
    s = singular_values(v)
    if tol is None:
        relative = max(v.shape[-2:]) * float(np.finfo(v.dtype).eps) if rtol is None else rtol
        limit = ufuncs.multiply(part(s, s.ndim - 1, 0, 1), _beside(relative))
    else:
        limit = _beside(tol)
    return count_nonzero(ufuncs.greater(s, limit), -1)


def _beside(tolerance: Any) -> Any:
    """One tolerance per matrix, ready to meet its singular values."""
    value = operand(tolerance)
    return reshape(value, shape=(*value.shape, 1)) if isinstance(value, Value) else value
