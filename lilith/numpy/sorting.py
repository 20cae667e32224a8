"""Sorting and searching. The stable permutation decides ties: of equal elements the earlier one comes first, and each
element's cotangent is that of the place it went to."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import kind
from lilith.numpy import ufuncs
from lilith.numpy.core import (
    array,
    convert,
    expand,
    full,
    implements,
    lift,
    normalize_axis,
    promote,
    raise_unsupported,
    static_int,
    wrap,
)
from lilith.numpy.shaping import ravel, reshaped
from lilith.ops import cumulative, elementwise, indexing, shape, sorting
from lilith.source import ArgumentError, DtypeError, ShapeError
from lilith.trace import contains_tracer, current_trace

_INDEX = np.dtype(np.int64)

# ---- permutations --------------------------------------------------------------------------------------------------


def permuted(x: Value, order_: Value, axis: int) -> Value:
    """x with its elements along an axis in the order of a permutation."""
    return indexing.take_along(x, order_, axis, unique=True) if x.type.size else x


def _refined(order_: Value, key: Value, axis: int) -> Value:
    """The permutation that sorts by `key`, and equal keys by the permutation `order_`."""
    first = sorting.argsort(permuted(key, order_, axis), axis=axis)
    return permuted(order_, first, axis)


def order(x: Value, axis: int) -> Value:
    """The stable permutation that sorts x along an axis, NaNs last.

    Complex numbers go by real part, then by imaginary part; those with NaN come last: first where it is the imaginary
    part, then where it is the real one, then where both are.
    """
    if kind(x.dtype) != "c":
        return sorting.argsort(x, axis=axis)
    a, b = elementwise.real(x), elementwise.imag(x)
    small = np.dtype(np.int8)
    group = convert(ufuncs.is_nan(a), small) * 2 + convert(ufuncs.is_nan(b), small)
    return _refined(_refined(sorting.argsort(b, axis=axis), a, axis), group, axis)


def in_order(x: Value, axis: int) -> Value:
    """x sorted along an axis."""
    return permuted(x, order(x, axis), axis)


def _operand(a: Any, axis: Any, name: str) -> tuple[Value, int]:
    """The array and the axis to sort along; without an axis, the flattened array."""
    x = array(a)
    if axis is None:
        return ravel(x), 0
    return x, normalize_axis(axis, x.ndim, name)


def _check_options(name: str, kind_: Any, order_: Any) -> None:
    """Every kind of sort is the stable one; fields to sort by are for structured arrays."""
    if order_ is not None:
        raise_unsupported(name, "order")
    if kind_ not in (None, "quicksort", "heapsort", "mergesort", "stable", "introselect"):
        raise ArgumentError(f"{name}: kind={kind_!r}", hint="leave it out: the sort is stable")


@implements(np.sort)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Value:
    """numpy.sort, always stable."""
    _check_options("sort", kind, order)
    x, place = _operand(a, axis, "sort")
    return in_order(x, place)


@implements(np.argsort)
def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Value:
    """numpy.argsort, always stable."""
    _check_options("argsort", kind, order)
    return _argsort(a, axis, "argsort")


def _argsort(a: Any, axis: Any, name: str) -> Value:
    x = array(a)
    if x.ndim == 0 and axis in (-1, 0):  # NumPy gives a scalar an axis here
        return full(0, (1,), _INDEX)
    x, place = _operand(x, axis, name)
    return order(x, place)


def _check_kth(kth: Any, n: int, name: str) -> None:
    for k in kth if isinstance(kth, list | tuple | np.ndarray) else (kth,):
        number = static_int(k, name, "kth")
        if not -n <= number < n and n:  # of nothing NumPy takes any
            raise ShapeError(f"{name}: kth={number} is out of bounds for {n} elements", hint=f"{-n} <= kth < {n}")


@implements(np.partition)
def partition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Value:
    """numpy.partition: the sorted array, which is partitioned everywhere."""
    _check_options("partition", kind, order)
    x, place = _operand(a, axis, "partition")
    _check_kth(kth, x.shape[place], "partition")
    return in_order(x, place)


@implements(np.argpartition)
def argpartition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Value:
    """numpy.argpartition: the permutation that sorts, which partitions everywhere."""
    _check_options("argpartition", kind, order)
    x, place = _operand(a, axis, "argpartition")
    _check_kth(kth, x.shape[place], "argpartition")
    return _argsort(x, place, "argpartition")


@implements(np.lexsort)
def lexsort(keys: Any, axis: Any = -1) -> Value:
    """numpy.lexsort: by the last key; where that is equal by the one before, and so on."""
    values = [lift(key) for key in (keys if isinstance(keys, list | tuple) else _rows(lift(keys)))]
    if not values:
        raise ArgumentError("lexsort: no keys", hint="np.lexsort((second, first))")
    for key in values:
        if key.shape != values[0].shape:
            raise ShapeError(f"lexsort: {values[0].type} and {key.type} differ in shape", hint="keys of one shape")
    if values[0].ndim == 0:
        return full(0, (), _INDEX)
    place = normalize_axis(axis, values[0].ndim, "lexsort")
    found = order(values[0], place)
    for key in values[1:]:
        if kind(key.dtype) == "c":
            found = _refined(_refined(found, elementwise.imag(key), place), elementwise.real(key), place)
        else:
            found = _refined(found, key, place)
    return found


def _rows(x: Value) -> list[Value]:
    return [reshaped(shape.part(x, 0, i, i + 1), x.shape[1:]) for i in range(x.shape[0])]


@implements(np.sort_complex)
def sort_complex(a: Any) -> Value:
    """numpy.sort_complex: along the last axis, the result is complex."""
    x, place = _operand(a, -1, "sort_complex")
    y = in_order(x, place)
    if kind(x.dtype) == "c":
        return y
    narrow = kind(x.dtype) in "iu" and x.dtype.itemsize <= 2
    return convert(y, np.dtype(np.complex64 if narrow else np.complex128))


# ---- the Array API's forms, with `descending` -----------------------------------------------------------------------


def _descending(x: Value, axis: int) -> Value:
    """The permutation that sorts downward; equal elements keep their order."""
    return fill_like(full(0, x.shape, _INDEX), x.shape[axis] - 1) - shape.rev(
        order(shape.rev(x, axes=(axis,)), axis), axes=(axis,)
    )


def argsort_array(
    a: Any,
    /,
    axis: Any = -1,
    kind: Any = None,
    order: Any = None,
    *,
    descending: bool = False,
    stable: Any = None,
) -> Any:
    """numpy.argsort, also descending (then NaNs come first); the permutation is stable either way.

    >>> argsort_array(np.array([1.0, 3.0, 3.0, 2.0]), descending=True)
    array([1, 2, 3, 0])
    """
    if not descending:
        return np.argsort(a, axis, kind, order, stable=stable)
    _check_options("argsort", kind, order)
    if contains_tracer(a):
        current_trace()
        x, place = _operand(a, axis, "argsort")
        return wrap(_descending(x, place))
    y, at = (np.ravel(a), -1) if axis is None else (np.asarray(a), axis)
    return y.shape[at] - 1 - np.flip(np.argsort(np.flip(y, at), at, kind="stable"), at)


def sort_array(
    a: Any,
    /,
    axis: Any = -1,
    kind: Any = None,
    order: Any = None,
    *,
    descending: bool = False,
    stable: Any = None,
) -> Any:
    """numpy.sort, also descending (then NaNs come first).

    >>> sort_array(np.array([1.0, 3.0, 2.0]), descending=True)
    array([3., 2., 1.])
    """
    if not descending:
        return np.sort(a, axis, kind, order, stable=stable)
    if contains_tracer(a):
        current_trace()
        x, place = _operand(a, axis, "sort")
        return wrap(permuted(x, _descending(x, place), place))
    y, at = (np.ravel(a), -1) if axis is None else (np.asarray(a), axis)
    return np.take_along_axis(y, argsort_array(y, at, kind, order, descending=True), at)


# ---- searching -----------------------------------------------------------------------------------------------------


def search(a: Value, v: Value, side: str) -> Value:
    """How many elements of the sorted vector a lie before each element of v (side "left": are less; "right": are not
    greater), as int64. NaN lies behind everything. The dtypes are equal."""
    flat = ravel(v)
    if kind(a.dtype) == "c":
        return reshaped(_ranked(a, flat, side), v.shape)
    return reshaped(sorting.searchsorted(a, flat, side=side), v.shape)


def _ranked(a: Value, v: Value, side: str) -> Value:
    """The same by sorting both together: those of a that come before each element of v are counted in that order."""
    m = v.shape[0]
    together = [v, a] if side == "left" else [a, v]  # equal elements keep this order
    permutation = order(shape.concatenate(*together, axis=0), 0)
    first = fill_like(permutation, m if side == "left" else a.shape[0])
    from_a = elementwise.ge(permutation, first) if side == "left" else elementwise.lt(permutation, first)
    counts = cumulative.cumsum(convert(from_a, _INDEX), axis=0, reverse=False)
    ranks = indexing.scatter_along(fill_like(counts, 0), permutation, counts, 0, unique=True)
    begin = 0 if side == "left" else a.shape[0]
    return shape.part(ranks, 0, begin, begin + m)


@implements(np.searchsorted)
def searchsorted(a: Any, v: Any, side: Any = "left", sorter: Any = None) -> Value:
    """numpy.searchsorted."""
    if side not in ("left", "right"):
        raise ArgumentError(f"searchsorted: side={side!r}", hint="'left' or 'right'")
    line, x = promote(array(a), array(v))
    if line.ndim != 1:
        raise ShapeError(f"searchsorted: {line.type} is not a vector", hint="search one vector at a time")
    if sorter is not None:
        places = array(sorter)
        if kind(places.dtype) not in "iu" or places.shape != line.shape:
            raise ShapeError(f"searchsorted: sorter {places.type} for {line.type}", hint="sorter=np.argsort(a)")
        line = indexing.take(line, places, 0)
    return search(line, x, side)


@implements(np.digitize)
def digitize(x: Any, bins: Any, right: Any = False) -> Value:
    """numpy.digitize; of traced bins the first and the last one tell whether they ascend or descend."""
    edges, v = promote(array(bins), array(x))
    if kind(v.dtype) == "c":
        raise DtypeError(f"digitize: takes real arrays, got {v.type}", hint="digitize x.real or np.abs(x)")
    if edges.ndim != 1:
        raise ShapeError(f"digitize: bins {edges.type} are not a vector", hint="one vector of edges")
    n, side = edges.shape[0], "left" if right else "right"
    up = search(edges, v, side)
    if n < 2:
        return up
    known = None if contains_tracer(bins) or isinstance(bins, Value) else np.asarray(bins)
    if known is not None:
        steps = np.diff(known)
        if np.all(steps >= 0):
            return up
        if not np.all(steps <= 0):
            raise ArgumentError("digitize: the bins neither ascend nor descend", hint="np.sort(bins)")
    down = fill_like(up, n) - search(shape.rev(edges, axes=(0,)), v, side)
    if known is not None:
        return down
    falls = elementwise.gt(*[reshaped(shape.part(edges, 0, i, i + 1), ()) for i in (0, n - 1)])
    return elementwise.select(expand(falls, up.shape), down, up)


@implements(np.isin)
def isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None
) -> Value:
    """numpy.isin: by a search in the sorted test elements."""
    if kind not in (None, "sort", "table"):
        raise ArgumentError(f"isin: kind={kind!r}", hint="leave it out")
    line, x = promote(ravel(array(test_elements)), array(element))
    n = line.shape[0]
    if n == 0:
        return full(bool(invert), x.shape, np.dtype(bool))
    line = in_order(line, 0)
    found = ufuncs.equal(indexing.take(line, search(line, x, "left"), 0), x)
    return elementwise.logical_not(found) if operator.truth(invert) else found
