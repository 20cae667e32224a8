"""median, quantile, percentile, and those that leave NaNs out.

Only the elements that a result is made of are taken from the array, by the sorting permutation: the derivatives are
sparse, and finite beside infinite elements that are not selected.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import kind
from lilith.numpy import ufuncs
from lilith.numpy.core import (
    Shape,
    array,
    convert,
    expand,
    full,
    implements,
    lift,
    normalize_axes,
    normalize_axis,
    wrap,
)
from lilith.numpy.reductions import NOT_GIVEN, kept, mean, running_sum
from lilith.numpy.shaping import moveaxis, reshaped, transposed
from lilith.numpy.sorting import order, permuted
from lilith.ops import elementwise, indexing, reduction, shape
from lilith.source import ArgumentError, DtypeError, ShapeError
from lilith.trace import contains_tracer
from lilith.tracer import Tracer

# ---- lines and their sorted elements -------------------------------------------------------------------------------


def _lines(x: Value, axes: Shape) -> Value:
    """x with the given axes merged into one, the last."""
    others = tuple([axis for axis in range(x.ndim) if axis not in axes])
    moved = transposed(x, (*others, *axes))
    return reshaped(moved, (*[x.shape[axis] for axis in others], math.prod([x.shape[axis] for axis in axes])))


def _taken(lines: Value, permutation: Value, places: Any) -> Value:
    """The elements at some places of the sorted lines.

    Arguments:
        places: a vector for all lines, known (an array) or not, or one vector per line.
    """
    last = lines.ndim - 1
    if isinstance(places, np.ndarray) and len(places) <= 4:
        found = [shape.part(permutation, last, int(k), int(k) + 1) for k in places]
        chosen = shape.concatenate(*found, axis=last) if len(found) > 1 else found[0]
    else:
        at = lift(places)
        chosen = indexing.take(permutation, at, last) if at.ndim == 1 else indexing.take_along(permutation, at, last)
    return indexing.take_along(lines, chosen, last)


def _columns(x: Value, begin: int, end: int) -> Value:
    return shape.part(x, x.ndim - 1, begin, end)


def _count(lines: Value) -> Value:
    """How many elements of each line are numbers, [..., 1]."""
    numbers = convert(elementwise.logical_not(ufuncs.is_nan(lines)), np.dtype(np.int64))
    return reshaped(reduction.reduce_sum(numbers, axes=(lines.ndim - 1,)), (*lines.shape[:-1], 1))


def _with_nan(y: Value, last: Value) -> Value:
    """y, but NaN where the last element of the sorted line is."""
    nan = expand(ufuncs.is_nan(last), y.shape)
    return elementwise.select(nan, expand(convert(last, y.dtype), y.shape), y)


# ---- median --------------------------------------------------------------------------------------------------------


def _median(a: Any, axis: Any, keepdims: Any, name: str, ignore_nan: bool) -> Value:
    x = array(a)
    axes = normalize_axes(axis, x.ndim, name)
    lines = _lines(x, axes)
    n = lines.shape[-1]
    if x.type.size == 0:
        return kept(x, axes, mean(lines, -1), keepdims)
    permutation = order(lines, lines.ndim - 1)
    nans = kind(x.dtype) in "fc"
    if nans and ignore_nan:
        count = _count(lines)
        places = [elementwise.div(elementwise.max(count - k, fill_like(count, 0)), fill_like(count, 2)) for k in (1, 0)]
        y = mean(_taken(lines, permutation, shape.concatenate(*places, axis=lines.ndim - 1)), -1)
        return kept(x, axes, y, keepdims)
    middle = [n // 2] if n % 2 else [n // 2 - 1, n // 2]
    taken = _taken(lines, permutation, np.array([*middle, n - 1] if nans else middle))
    y = mean(_columns(taken, 0, len(middle)), -1)
    if nans:
        y = _with_nan(y, reshaped(_columns(taken, len(middle), len(middle) + 1), y.shape))
    return kept(x, axes, y, keepdims)


@implements(np.median)
def median(a: Any, axis: Any = None, overwrite_input: bool = False, keepdims: Any = False) -> Value:
    """numpy.median: the middle element, or the mean of the two in the middle."""
    return _median(a, axis, keepdims, "median", False)


@implements(np.nanmedian)
def nanmedian(a: Any, axis: Any = None, overwrite_input: bool = False, keepdims: Any = NOT_GIVEN) -> Value:
    """numpy.nanmedian."""
    return _median(a, axis, keepdims, "nanmedian", True)


# ---- where a quantile lies: plain NumPy, on arrays and on tracers ---------------------------------------------------


def _between(alpha: float, beta: float, n: Any, q: Any) -> Any:
    """The fractional place among n sorted elements (Hyndman and Fan 1996, with parameters alpha and beta)."""
    return n * q + (alpha + q * (1 - alpha - beta)) - 1


def _discrete(place: Any, exact: Any) -> Any:
    """The place before where `exact` holds, else the one after."""
    before = np.floor(place)
    return np.maximum(np.where(exact(place - before, before), before, before + 1), 0).astype(np.int64)


_PLACES: dict[str, Callable[[Any, Any], Any]] = {
    "inverted_cdf": lambda n, q: _discrete(n * q - 1, lambda part, before: part == 0),
    "averaged_inverted_cdf": lambda n, q: n * q - 1,
    "closest_observation": lambda n, q: _discrete(
        n * q - 1 - 0.5, lambda part, before: (part == 0) & (before % 2 == 1)
    ),
    "interpolated_inverted_cdf": functools.partial(_between, 0, 1),
    "hazen": functools.partial(_between, 0.5, 0.5),
    "weibull": functools.partial(_between, 0, 0),
    "linear": lambda n, q: (n - 1) * q,
    "median_unbiased": functools.partial(_between, 1 / 3, 1 / 3),
    "normal_unbiased": functools.partial(_between, 3 / 8, 3 / 8),
    "lower": lambda n, q: np.floor((n - 1) * q).astype(np.int64),
    "higher": lambda n, q: np.ceil((n - 1) * q).astype(np.int64),
    "midpoint": lambda n, q: 0.5 * (np.floor((n - 1) * q) + np.ceil((n - 1) * q)),
    "nearest": lambda n, q: np.round((n - 1) * q).astype(np.int64),
}
"""The place of a quantile by the method's name: an integer, or a number between two neighbours."""


def _weight(method: str, place: Any, before: Any) -> Any:
    """How much of the later neighbour a quantile between two has."""
    part = place - before
    if method == "averaged_inverted_cdf":
        return np.where(part == 0, 0.5, 1.0)
    if method == "midpoint":
        return np.where(place % 1 == 0, 0.0, 0.5)
    return part


def _neighbours(method: str, n: Any, q: Any) -> tuple[Any, Any, Any]:
    """The places of the two neighbours and the weight of the later one; None where a quantile is one element."""
    place = _PLACES[method](n, q)
    if place.dtype.kind in "iu" and (method == "linear" or method in _ONE):
        return np.clip(place, 0, np.maximum(n - 1, 0)), None, None
    floor = np.floor(place)
    last = np.maximum(n - 1, 0)
    above, below = place >= last, place < 0
    before, after = [np.where(above, last, np.where(below, 0, edge)).astype(np.int64) for edge in (floor, floor + 1)]
    return before, after, _weight(method, place, floor)


_ONE = ("inverted_cdf", "closest_observation", "lower", "higher", "nearest")


# ---- quantile ------------------------------------------------------------------------------------------------------


def _check_known(q: np.ndarray, name: str) -> None:
    if q.size and not (0 <= q.min() and q.max() <= 1):
        top = 100 if "percentile" in name else 1
        raise ArgumentError(f"{name}: q must be between 0 and {top}", hint=f"0 <= q <= {top}")


def _interpolated(before: Value, after: Value, weight: Any, weak: bool) -> Value:
    """before + (after - before) weight, from the nearer end; a weak weight adapts to the array's dtype."""
    t = lift(weight)
    if weak and kind(before.dtype) == "f":
        t = convert(t, before.dtype)
    t = expand(t, before.shape)
    difference = ufuncs.subtract(after, before)
    low = ufuncs.add(before, ufuncs.multiply(difference, t))
    high = ufuncs.subtract(after, ufuncs.multiply(difference, ufuncs.subtract(1, t)))
    return elementwise.select(ufuncs.greater_equal(t, 0.5), high, low)


def _unweighted(lines: Value, q: Any, method: str, weak: bool, ignore_nan: bool) -> Value:
    """The quantiles of every line; q is a vector, known (an array) or traced, the result has it last."""
    nans = kind(lines.dtype) == "f"
    n: Any = lines.shape[-1]
    if nans and ignore_nan:
        q, n = wrap(lift(q)), wrap(_count(lines))
    before, after, weight = _neighbours(method, n, q)
    places = [place for place in (before, after) if place is not None]
    check = nans and not ignore_nan
    if check:
        places.append(np.full(1, n - 1) if isinstance(before, np.ndarray) else wrap(full(n - 1, (1,), np.dtype("i8"))))
    permutation = order(lines, lines.ndim - 1)
    taken = _taken(lines, permutation, np.concatenate(places, axis=-1))
    count = q.shape[-1]
    y = _columns(taken, 0, count)
    if after is not None:
        y = _interpolated(y, _columns(taken, count, 2 * count), weight, weak)
    return _with_nan(y, _columns(taken, taken.shape[-1] - 1, taken.shape[-1])) if check else y


def _weighted(lines: Value, weights: Value, q: Value, ignore_nan: bool) -> Value:
    """The first elements whose share of the weights, with all smaller ones, is at least q ("inverted_cdf")."""
    last, n = lines.ndim - 1, lines.shape[-1]
    permutation = order(lines, last)
    ordered = permuted(weights, permutation, last)
    nan = ufuncs.is_nan(permuted(lines, permutation, last))
    if ignore_nan:
        ordered = elementwise.select(nan, fill_like(ordered, 0), ordered)
    cdf = running_sum(convert(ordered, np.dtype(np.float64)), last)
    cdf = elementwise.div(cdf, expand(_columns(cdf, n - 1, n), cdf.shape))
    if kind(q.dtype) == "f":
        cdf = convert(cdf, q.dtype)
    cdf = elementwise.select(ufuncs.equal(cdf, 0), fill_like(cdf, -1), cdf)  # leading elements without weight
    less = ufuncs.less(reshaped(cdf, (*cdf.shape, 1)), q)
    places = reduction.reduce_sum(convert(less, np.dtype(np.int64)), axes=(last,))
    places = elementwise.min(places, fill_like(places, n - 1))
    y = _taken(lines, permutation, places)
    if ignore_nan:
        none = expand(_columns(nan, 0, 1), y.shape)
        return elementwise.select(none, fill_like(y, np.nan), y) if kind(y.dtype) == "f" else y
    return _with_nan(y, _taken(lines, permutation, np.array([n - 1]))) if kind(y.dtype) == "f" else y


def _weights(x: Value, weights: Any, axis: Any, axes: Shape, name: str) -> Value:
    """Weights with x's shape: given so, or as a vector for the one axis."""
    w = array(weights)
    if w.shape == x.shape:
        return w
    written = [normalize_axis(a, x.ndim, name) for a in (axis if isinstance(axis, list | tuple) else axes)]
    if axis is None or w.shape != tuple([x.shape[a] for a in written]):
        raise ShapeError(f"{name}: weights {w.type} do not fit {x.type} along axis {axis}", hint="one per element")
    return shape.broadcast_in_dim(transposed(w, tuple([written.index(a) for a in axes])), shape=x.shape, axes=axes)


def _quantile(
    a: Any, q: Any, axis: Any, method: Any, keepdims: Any, weights: Any, name: str, unit: int, ignore_nan: bool
) -> Value:
    x = array(a)
    if kind(x.dtype) == "c" or (kind(x.dtype) == "b" and method not in _ONE):
        raise DtypeError(f"{name}: takes real numbers, got {x.type}", hint="convert with x.astype(float), or x.real")
    if method not in _PLACES:
        raise ArgumentError(f"{name}: method={method!r}", hint=f"one of {', '.join(_PLACES)}")
    if weights is not None and method != "inverted_cdf":
        raise ArgumentError(f"{name}: weights= with method={method!r}", hint="method='inverted_cdf'")
    traced = isinstance(q, Value | Tracer) or contains_tracer(q)
    given = array(q) if traced else None
    weak = given.type.weak if given is not None else type(q) in (int, float)
    levels = wrap(given) if given is not None else np.asarray(q)
    if unit != 1:
        levels = np.true_divide(levels, unit)
    if given is None:
        _check_known(levels, name)
    flat = levels.reshape(levels.size)
    axes = normalize_axes(axis, x.ndim, name)
    lines = _lines(x, axes)
    if x.type.size == 0:
        if not ignore_nan:
            raise ShapeError(f"{name}: {x.type} is empty", hint="check for an empty array first")
        y = expand(reshaped(mean(lines, -1), (*lines.shape[:-1], 1)), (*lines.shape[:-1], levels.size))
    elif weights is not None:
        w = _weights(x, weights, axis, axes, name)
        y = _weighted(lines, _lines(w, axes), lift(flat), ignore_nan)
    else:
        y = _unweighted(lines, flat, method, weak, ignore_nan)
    sizes = tuple([1 if i in axes else m for i, m in enumerate(x.shape)]) if _wants(keepdims) else lines.shape[:-1]
    return reshaped(moveaxis(y, -1, 0), (*levels.shape, *sizes))


def _wants(keepdims: Any) -> bool:
    return keepdims is not NOT_GIVEN and bool(keepdims)


def _function(name: str, unit: int, ignore_nan: bool) -> Callable[..., Value]:
    def rule(
        a: Any,
        q: Any,
        axis: Any = None,
        overwrite_input: bool = False,
        method: Any = "linear",
        keepdims: Any = False,
        *,
        weights: Any = None,
    ) -> Value:
        return _quantile(a, q, axis, method, keepdims, weights, name, unit, ignore_nan)

    rule.__name__ = name
    rule.__doc__ = f"numpy.{name}; traced levels must lie within the bounds, those beyond count as the bound."
    return implements(getattr(np, name))(rule)


quantile = _function("quantile", 1, False)
percentile = _function("percentile", 100, False)
nanquantile = _function("nanquantile", 1, True)
nanpercentile = _function("nanpercentile", 100, True)
