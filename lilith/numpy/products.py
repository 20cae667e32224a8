"""Products of arrays: matmul, dot, tensordot, einsum and what is made of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import opt_einsum

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import kind
from lilith.numpy import ufuncs
from lilith.numpy.core import (
    Shape,
    broadcast_shapes,
    convert,
    dtype_of,
    expand,
    implements,
    is_default,
    lift,
    normalize_axis,
    promote,
    raise_unsupported,
    static_int,
)
from lilith.numpy.reductions import sum as sum_
from lilith.numpy.shaping import diagonal, expand_dims, moveaxis, reshaped, squeeze, transposed
from lilith.numpy.ufunc import resolve
from lilith.ops import elementwise, linalg
from lilith.source import ArgumentError, ShapeError
from lilith.trace import current_trace
from lilith.tracer import OPERATORS, UFUNCS, Tracer

_NONE: tuple[Shape, Shape] = ((), ())

# ---- products of matrices -----------------------------------------------------------------------------------------


def contract(x: Value, y: Value, contract: tuple[Shape, Shape], batch: tuple[Shape, Shape] = _NONE) -> Value:
    """dot_general, also for bool: true where any product is."""
    if kind(x.dtype) == "b":
        small = np.dtype(np.int32)
        z = linalg.dot_general(convert(x, small), convert(y, small), contract=contract, batch=batch)
        return elementwise.ne(z, fill_like(z, 0))
    return linalg.dot_general(x, y, contract=contract, batch=batch)


def _check_fit(name: str, x: Value, y: Value, i: int, j: int) -> None:
    if x.shape[i] != y.shape[j]:
        raise ShapeError(
            f"{name}: {x.type} and {y.type} do not fit: {x.shape[i]} and {y.shape[j]}",
            hint=f"axis {i} of the first and axis {j} of the second must have one size; transpose one with .T?",
        )


def _matmul(x: Value, y: Value) -> Value:
    """x @ y of one dtype."""
    if not x.ndim or not y.ndim:
        raise ShapeError(f"matmul: {x.type} and {y.type}: a scalar is no matrix", hint="multiply with *")
    i, j = x.ndim - 1, max(y.ndim - 2, 0)
    _check_fit("matmul", x, y, i, j)
    if y.ndim <= 2 or x.ndim == 1:
        return contract(x, y, ((i,), (j,)))
    if x.ndim == 2:
        return moveaxis(contract(x, y, ((i,), (j,))), 0, -2)
    stack = broadcast_shapes("matmul", [t.type.with_shape(t.shape[:-2]) for t in (x, y)])
    x, y = expand(x, stack + x.shape[-2:]), expand(y, stack + y.shape[-2:])
    axes = tuple(range(len(stack)))
    return contract(x, y, ((x.ndim - 1,), (y.ndim - 2,)), (axes, axes))


def _vecdot(x: Value, y: Value) -> Value:
    """The sum of conj(x) y over the last axis."""
    if not x.ndim or not y.ndim:
        raise ShapeError(f"vecdot: {x.type} and {y.type}: a scalar is no vector", hint="multiply with *")
    _check_fit("vecdot", x, y, x.ndim - 1, y.ndim - 1)
    common = broadcast_shapes("vecdot", [x.type, y.type])
    x, y = expand(elementwise.conj(x), common), expand(y, common)
    axes = tuple(range(len(common) - 1))
    return contract(x, y, ((x.ndim - 1,), (y.ndim - 1,)), (axes, axes))


def _matvec(x: Value, y: Value) -> Value:
    """Stacks of matrices times stacks of vectors."""
    if y.ndim <= 1:
        return _matmul(x, y)
    z = _matmul(x, reshaped(y, (*y.shape, 1)))
    return reshaped(z, z.shape[:-1])


def _vecmat(x: Value, y: Value) -> Value:
    """Stacks of (conjugated) vectors times stacks of matrices."""
    x = elementwise.conj(x)
    if x.ndim <= 1:
        return _matmul(x, y)
    z = _matmul(reshaped(x, (*x.shape[:-1], 1, x.shape[-1])), y)
    return reshaped(z, (*z.shape[:-2], z.shape[-1]))


def _product(ufunc: Any, rule: Callable[[Value, Value], Value]) -> Callable[..., Value]:
    """Register a generalised ufunc of two arrays."""

    def apply(x: Any, y: Any, dtype: Any = None) -> Value:
        values = [lift(x), lift(y)]
        inputs, outputs = resolve(ufunc, [v.type for v in values], None if dtype is None else dtype_of(dtype))
        return convert(rule(*[convert(v, d) for v, d in zip(values, inputs, strict=True)]), outputs[0])

    def entry(x: Any, y: Any, dtype: Any = None, axis: Any = -1, keepdims: bool = False, **options: Any) -> Tracer:
        trace = current_trace()
        for option, value in options.items():
            if not is_default(value, {"casting": "same_kind", "order": "K", "subok": True}.get(option)):
                raise_unsupported(ufunc.__name__, option)
        if ufunc is not np.vecdot:
            if axis != -1 or keepdims:
                raise_unsupported(ufunc.__name__, "axis" if axis != -1 else "keepdims")
            return Tracer(apply(x, y, dtype), trace)
        z = apply(moveaxis(x, axis, -1), moveaxis(y, axis, -1), dtype) if axis != -1 else apply(x, y, dtype)
        return Tracer(expand_dims(z, axis) if keepdims else z, trace)

    UFUNCS[ufunc] = OPERATORS[ufunc] = entry
    apply.__name__, apply.__doc__ = ufunc.__name__, f"numpy.{ufunc.__name__}."
    return apply


matmul = _product(np.matmul, _matmul)
_product(np.vecdot, _vecdot)
for _name, _rule in {"matvec": _matvec, "vecmat": _vecmat}.items():
    if hasattr(np, _name):  # since NumPy 2.2
        _product(getattr(np, _name), _rule)


@implements(np.linalg.matmul)
def linalg_matmul(x1: Any, x2: Any, /) -> Value:
    """numpy.linalg.matmul."""
    return matmul(x1, x2)


@implements(np.linalg.vecdot)
def linalg_vecdot(x1: Any, x2: Any, /, *, axis: Any = -1) -> Value:
    """numpy.linalg.vecdot."""
    x, y = promote(lift(x1), lift(x2))
    return _vecdot(moveaxis(x, axis, -1), moveaxis(y, axis, -1))


@implements(np.dot)
def dot(a: Any, b: Any) -> Value:
    """numpy.dot: the last axis of a with the last but one of b."""
    x, y = promote(a, b)
    if not x.ndim or not y.ndim:
        return ufuncs.multiply(x, y)
    i, j = x.ndim - 1, max(y.ndim - 2, 0)
    _check_fit("dot", x, y, i, j)
    return contract(x, y, ((i,), (j,)))


@implements(np.inner)
def inner(a: Any, b: Any, /) -> Value:
    """numpy.inner: the last axes."""
    x, y = promote(a, b)
    if not x.ndim or not y.ndim:
        return ufuncs.multiply(x, y)
    _check_fit("inner", x, y, x.ndim - 1, y.ndim - 1)
    return contract(x, y, ((x.ndim - 1,), (y.ndim - 1,)))


@implements(np.vdot)
def vdot(a: Any, b: Any, /) -> Value:
    """numpy.vdot: the sum of conj(a) b over all elements."""
    x, y = [reshaped(v, (v.type.size,)) for v in promote(a, b)]
    _check_fit("vdot", x, y, 0, 0)
    return contract(elementwise.conj(x), y, ((0,), (0,)))


@implements(np.outer)
def outer(a: Any, b: Any) -> Value:
    """numpy.outer."""
    x, y = lift(a), lift(b)
    return ufuncs.multiply(reshaped(x, (x.type.size, 1)), reshaped(y, (1, y.type.size)))


@implements(np.linalg.outer)
def linalg_outer(x1: Any, x2: Any, /) -> Value:
    """numpy.linalg.outer, of two vectors."""
    x, y = lift(x1), lift(x2)
    if x.ndim != 1 or y.ndim != 1:
        raise ShapeError(
            f"linalg.outer: {x.type} and {y.type} are not two vectors", hint="np.outer(x, y) takes both flat"
        )
    return outer(x, y)


@implements(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Value:
    """numpy.tensordot."""
    x, y = promote(a, b)
    if isinstance(axes, list | tuple):
        left, right = [tuple(side) if isinstance(side, list | tuple) else (side,) for side in axes]
    else:
        count = static_int(axes, "tensordot", "axes")
        left, right = tuple(range(-count, 0)), tuple(range(count))
    left = tuple([normalize_axis(i, x.ndim, "tensordot") for i in left])
    right = tuple([normalize_axis(j, y.ndim, "tensordot") for j in right])
    if len(left) != len(right):
        raise ArgumentError("tensordot: different numbers of axes", hint="axes=([0, 1], [1, 0]) pairs them")
    for i, j in zip(left, right, strict=True):
        _check_fit("tensordot", x, y, i, j)
    return contract(x, y, (left, right))


@implements(np.linalg.tensordot)
def linalg_tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Value:
    """numpy.linalg.tensordot."""
    return tensordot(x1, x2, axes)


@implements(np.kron)
def kron(a: Any, b: Any) -> Value:
    """numpy.kron."""
    x, y = lift(a), lift(b)
    ndim = max(x.ndim, y.ndim)
    m, n = (1,) * (ndim - x.ndim) + x.shape, (1,) * (ndim - y.ndim) + y.shape
    left = reshaped(x, tuple([k for size in m for k in (size, 1)]))
    right = reshaped(y, tuple([k for size in n for k in (1, size)]))
    return reshaped(ufuncs.multiply(left, right), tuple([i * j for i, j in zip(m, n, strict=True)]))


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Any) -> Value:
    """numpy.linalg.multi_dot: a chain of products in the cheapest order."""
    values = promote(*arrays)
    if len(values) < 2:
        raise ArgumentError("linalg.multi_dot: takes at least two arrays", hint="np.linalg.multi_dot([a, b, c])")
    if values[0].ndim == 1:
        values[0] = reshaped(values[0], (1, *values[0].shape))
        return squeeze(multi_dot(values), -2 if values[-1].ndim == 2 else 0)
    if values[-1].ndim == 1:
        values[-1] = reshaped(values[-1], (*values[-1].shape, 1))
        return squeeze(multi_dot(values), -1)
    letters = [opt_einsum.get_symbol(i) for i in range(len(values) + 1)]
    terms = [letters[i] + letters[i + 1] for i in range(len(values))]
    for x, y in itertools.pairwise(values):
        _check_fit("linalg.multi_dot", x, y, 1, 0)
    return contracted(values, terms, letters[0] + letters[-1])


# ---- einsum -------------------------------------------------------------------------------------------------------


@implements(np.einsum)
def einsum(*operands: Any, optimize: Any = True) -> Value:
    """numpy.einsum, contracted pair by pair in opt_einsum's order."""
    arrays = [x if isinstance(x, str | list | tuple) or x is Ellipsis else lift(x) for x in operands]
    try:
        inputs, output, values = opt_einsum.parser.parse_einsum_input(arrays)
    except (ValueError, TypeError, KeyError) as error:
        raise ArgumentError(f"einsum: {error}", hint="np.einsum('ij,jk->ik', a, b)") from error
    terms = inputs.split(",")
    values = promote(*values)
    for x, term in zip(values, terms, strict=True):
        if x.ndim != len(term):
            raise ShapeError(f"einsum: {term!r} names {len(term)} axes of {x.type}", hint="one letter per axis")
    _check_sizes(values, terms)
    return contracted(values, terms, output)


def _check_sizes(values: Sequence[Value], terms: Sequence[str]) -> None:
    sizes: dict[str, int] = {}
    for x, term in zip(values, terms, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            known = sizes.setdefault(letter, n)
            if n != known and 1 not in (n, known):
                raise ShapeError(
                    f"einsum: the axis {letter!r} has the sizes {known} and {n} ({x.type})", hint="one size per letter"
                )
            sizes[letter] = max(n, known)


def contracted(values: Sequence[Value], terms: Sequence[str], output: str) -> Value:
    """The sum of products over all letters that are not in the output."""
    sizes: dict[str, int] = {}
    for x, term in zip(values, terms, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            sizes[letter] = max(n, sizes.get(letter, 1))
    pending = list(zip(values, terms, strict=True))
    if len(pending) > 2:
        shapes = [tuple([sizes[letter] for letter in term]) for term in terms]
        path, _ = opt_einsum.contract_path(f"{','.join(terms)}->{output}", *shapes, shapes=True)
    else:
        path = [tuple(range(len(pending)))]
    for step in path:
        chosen = [pending[i] for i in step]
        pending = [item for i, item in enumerate(pending) if i not in step]
        needed = set(output).union(*[term for _, term in pending])
        x, term = chosen[0]
        if len(chosen) == 1:
            x, term = _single(x, term, needed)
        for y, other in chosen[1:]:
            x, term = _pair(x, term, y, other, needed if len(chosen) == 2 else needed.union(*[t for _, t in chosen]))
        pending.append((x, term))
    x, term = _single(*pending[0], set(output))
    x = transposed(x, tuple([term.index(letter) for letter in output]))
    return expand(x, tuple([sizes[letter] for letter in output]))


def _single(x: Value, term: str, needed: set[str]) -> tuple[Value, str]:
    """Diagonals of letters that occur twice, sums over letters that nobody needs."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            i = term.index(letter)
            j = term.index(letter, i + 1)
            x = _take_diagonal(x, i, j)
            term = term[:i] + term[i + 1 : j] + term[j + 1 :] + letter
    unused = tuple([i for i, letter in enumerate(term) if letter not in needed])
    if unused:
        x = _sum_axes(x, unused)
        term = "".join([letter for letter in term if letter in needed])
    return x, term


def _sum_axes(x: Value, axes: Shape) -> Value:
    return sum_(x, axes, x.dtype)


def _take_diagonal(x: Value, i: int, j: int) -> Value:
    n = max(x.shape[i], x.shape[j])
    return diagonal(expand(x, tuple([n if a in (i, j) else m for a, m in enumerate(x.shape)])), 0, i, j)


def _pair(x: Value, first: str, y: Value, second: str, needed: set[str]) -> tuple[Value, str]:
    """The product of two operands, summed over the letters that nobody needs any more."""
    x, first = _single(x, first, needed | set(second))
    y, second = _single(y, second, needed | set(first))
    shared = [letter for letter in first if letter in second]
    for letter in shared:
        i, j = first.index(letter), second.index(letter)
        n = max(x.shape[i], y.shape[j])
        x = expand(x, tuple([n if a == i else m for a, m in enumerate(x.shape)]))
        y = expand(y, tuple([n if a == j else m for a, m in enumerate(y.shape)]))
    summed = [letter for letter in shared if letter not in needed]
    batch = [letter for letter in shared if letter in needed]
    if not summed:
        return _outer_pair(x, first, y, second)
    z = contract(
        x,
        y,
        (tuple([first.index(c) for c in summed]), tuple([second.index(c) for c in summed])),
        (tuple([first.index(c) for c in batch]), tuple([second.index(c) for c in batch])),
    )
    rest = [c for c in first if c not in shared] + [c for c in second if c not in shared]
    return z, "".join(batch + rest)


def _outer_pair(x: Value, first: str, y: Value, second: str) -> tuple[Value, str]:
    """A product without a sum: elementwise, over the letters of both."""
    letters = first + "".join([c for c in second if c not in first])
    order = tuple(sorted(range(len(second)), key=lambda i: letters.index(second[i])))
    y = transposed(y, order)
    sizes = dict(zip([second[i] for i in order], y.shape, strict=True))
    x = reshaped(x, x.shape + (1,) * (len(letters) - len(first)))
    y = reshaped(y, tuple([sizes.get(c, 1) for c in letters]))
    return ufuncs.multiply(x, y), letters
