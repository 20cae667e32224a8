"""bincount and histograms. Counts have no derivative; sums of weights have, with respect to the weights.

Edges that come from the data (no range=) are traced and carry their derivative.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import kind, result_dtype
from lilith.numpy import ufuncs
from lilith.numpy.core import (
    adapt,
    array,
    broadcast_shapes,
    convert,
    expand,
    full,
    implements,
    lift,
    operand,
    promote,
    static_int,
    type_of,
    wrap,
)
from lilith.numpy.creation import linspace
from lilith.numpy.functions import diff
from lilith.numpy.shaping import ravel, reshaped
from lilith.numpy.sorting import search
from lilith.ops import elementwise, indexing, reduction, shape
from lilith.source import ArgumentError, DtypeError, ShapeError, UnsupportedError
from lilith.trace import contains_tracer, current_trace
from lilith.tracer import Tracer

_INDEX = np.dtype(np.int64)


def _is_traced(x: Any) -> bool:
    return isinstance(x, Value | Tracer) or contains_tracer(x)


def _is_sequence(bins: Any) -> bool:
    """Whether bins= is a list or an array, not a number."""
    return isinstance(bins, list | tuple) or np.ndim(bins) > 0


def _totals(places: Value, inside: Value, weights: Value | None, n: int) -> Value:
    """The sums of the weights by place, 0 .. n - 1; elements that are not inside count nowhere."""
    if weights is None:
        weights = full(1, places.shape, _INDEX)
    # those outside get a place of their own
    slots = elementwise.select(inside, places, fill_like(places, n))
    none = full(0, (n + 1,), weights.dtype)
    return shape.part(indexing.scatter_add_along(none, slots, weights, 0), 0, 0, n)


# ---- bincount ------------------------------------------------------------------------------------------------------


def _bincount(x: Any, weights: Any, n: int) -> Value:
    places = array(x)
    if kind(places.dtype) not in "biu" or places.ndim != 1:
        raise DtypeError(f"bincount: takes a vector of integers, got {places.type}", hint="x.astype(int).ravel()")
    places = convert(places, _INDEX)
    w = None
    if weights is not None and places.type.size:  # as in NumPy, sums over nothing are counts
        w = array(weights)
        if kind(w.dtype) == "c":
            raise DtypeError(
                f"bincount: takes real weights, got {w.type}", hint="count w.real and w.imag by themselves"
            )
        w = convert(w, np.dtype(np.float64))
        if w.shape != places.shape:
            raise ShapeError(f"bincount: weights {w.type} for {places.type}", hint="one weight per element")
    inside = elementwise.logical_and(
        elementwise.ge(places, fill_like(places, 0)), elementwise.lt(places, fill_like(places, n))
    )
    return _totals(places, inside, w, n)


@implements(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: Any = 0) -> Value:
    """numpy.bincount of known integers."""
    if _is_traced(x):
        raise UnsupportedError(
            "np.bincount of a traced array: the length of the result is not known while tracing",
            hint="lilith.numpy.bincount(x, weights, length=n) counts 0 .. n - 1 and leaves larger numbers out",
        )
    known = np.asarray(x)
    if known.size and known.dtype.kind in "iu" and known.min() < 0:
        raise ArgumentError("bincount: x has negative elements", hint="shift them: x - x.min()")
    least = static_int(minlength, "bincount", "minlength")
    return _bincount(x, weights, max(least, int(known.max()) + 1 if known.size else 0))


def bincount_array(x: Any, /, weights: Any = None, minlength: Any = 0, *, length: int | None = None) -> Any:
    """numpy.bincount, also of traced integers, with a known length of the result.

    Arguments:
        x: integers.
        weights: what is added up, one per element of x; without them elements are counted.
        minlength: as in NumPy, for x that is known.
        length: the length of the result. Elements of x that are not in 0 .. length - 1 count nowhere.

    >>> bincount_array(np.array([0, 2, 2, 7]), length=3)
    array([1, 0, 2])
    """
    if length is None:
        return np.bincount(x, weights, minlength)
    n = static_int(length, "bincount", "length")
    if n < 0:
        raise ArgumentError(f"bincount: length={n}", hint="length >= 0")
    if not _is_traced(x) and not _is_traced(weights):
        known = np.asarray(x)
        inside = (known >= 0) & (known < n)
        return np.bincount(known[inside], None if weights is None else np.asarray(weights)[inside], n)
    current_trace()
    return wrap(_bincount(x, weights, n))


# ---- edges ---------------------------------------------------------------------------------------------------------


class _Edges(NamedTuple):
    """The edges of n bins: an array where they are known, else a Value. Equal bins have their outer edges too."""

    edges: Any
    outer: tuple[Any, Any] | None

    @property
    def bins(self) -> int:
        return self.edges.shape[0] - 1


def _known_range(range_: Any) -> tuple[Any, Any]:
    first, last = range_
    if not (math.isfinite(first) and math.isfinite(last)) or first > last:
        raise ArgumentError(f"histogram: range=({first}, {last})", hint="two finite numbers, the smaller one first")
    return (first - 0.5, last + 0.5) if first == last else (first, last)


def _outer_edges(a: Any, range_: Any) -> tuple[Any, Any]:
    """The smallest and the largest value; half a unit around them where they are one. Python numbers, or Values."""
    if range_ is not None:
        if not _is_traced(list(range_)):
            return _known_range(range_)
        first, last = [array(edge) for edge in range_]
    else:
        if not _is_traced(a):
            known = np.asarray(a)
            return _known_range((known.min(), known.max()) if known.size else (0, 1))
        x = ravel(array(a))
        if x.type.size == 0:
            return 0, 1
        first, last = [reduce(x, axes=(0,)) for reduce in (reduction.reduce_min, reduction.reduce_max)]
    one = ufuncs.equal(first, last)
    half = [ufuncs.subtract(first, 0.5), ufuncs.add(last, 0.5)]
    first, last = [
        elementwise.select(one, wide, convert(edge, wide.dtype)) for edge, wide in zip((first, last), half, strict=True)
    ]
    return first, last


def _equal_edges(a: Any, count: int, range_: Any, dtype: np.dtype | None) -> _Edges:
    """The edges of `count` equal bins; without a dtype, in that of the data."""
    if count < 1:
        raise ArgumentError(f"histogram: {count} bins", hint="at least one")
    first, last = _outer_edges(a, range_)
    types = [type_of(operand(x)) for x in (first, last)]
    if dtype is None:
        dtype = result_dtype([*types, array(a).type])[0]
        dtype = np.dtype(np.float64) if kind(dtype) in "biu" else dtype
    if isinstance(first, Value) or isinstance(last, Value):
        edges: Any = linspace(convert(first, dtype), convert(last, dtype), count + 1, dtype=dtype)
    else:
        edges = np.linspace(first, last, count + 1, dtype=dtype)
    return _Edges(edges, (first, last))


def _given_edges(bins: Any) -> _Edges:
    if _is_traced(bins):
        edges: Any = array(bins)
    else:
        edges = np.asarray(bins)
        if np.any(edges[:-1] > edges[1:]):
            raise ArgumentError("histogram: the edges do not ascend", hint="np.sort(bins)")
    if edges.ndim != 1 or edges.shape[0] < 1:
        raise ShapeError("histogram: bins is neither a number nor a vector of edges", hint="bins=10")
    return _Edges(edges, None)


def _edges(a: Any, bins: Any, range_: Any, weights: Any, dtype: np.dtype | None = None) -> _Edges:
    """The edges that bins= and range= ask for."""
    if isinstance(bins, str):
        if _is_traced(a):
            raise UnsupportedError(
                f"histogram: bins={bins!r} of a traced array: how many there are is not known while tracing",
                hint="give the number of bins, or their edges",
            )
        bins = len(np.histogram_bin_edges(np.asarray(a), bins, range_, weights)) - 1
    if _is_sequence(bins):
        return _given_edges(bins)
    return _equal_edges(a, static_int(bins, "histogram", "bins"), range_, dtype)


@implements(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """numpy.histogram_bin_edges; known edges come back as a plain array."""
    return _edges(a, bins, range, weights).edges


# ---- histograms ----------------------------------------------------------------------------------------------------


def _place_in_equal_bins(x: Value, bins: _Edges) -> tuple[Value, Value]:
    """The bin of each element by its quotient with the width, corrected by one where an edge says so (as NumPy)."""
    n, edges = bins.bins, lift(bins.edges)
    assert bins.outer is not None
    first, last = [adapt(operand(edge), edges.dtype, x.shape) for edge in bins.outer]
    dtype = np.dtype(np.int32 if n < 2**30 else np.int64)
    inside = elementwise.logical_and(ufuncs.greater_equal(x, bins.outer[0]), ufuncs.less_equal(x, bins.outer[1]))
    v = convert(x, edges.dtype)
    v = elementwise.select(inside, v, first)
    share = elementwise.div(elementwise.sub(v, first), elementwise.sub(last, first))
    place = convert(elementwise.mul(share, fill_like(share, n)), dtype)
    top = fill_like(place, n - 1)
    place = elementwise.min(place, top)
    too_far = elementwise.lt(v, indexing.take(edges, place, 0))
    place = place - convert(too_far, dtype)
    behind = elementwise.ge(v, indexing.take(edges, place + 1, 0))
    return place + convert(elementwise.logical_and(behind, elementwise.ne(place, top)), dtype), inside


def _place_between(x: Value, edges: Any) -> tuple[Value, Value]:
    """The bin of each element by a search; the last bin has its upper edge too."""
    line, v = promote(edges, x)
    n = line.shape[0] - 1
    last = expand(reshaped(shape.part(line, 0, n, n + 1), ()), v.shape)
    place = search(line, v, "right") - 1
    place = elementwise.select(elementwise.eq(v, last), fill_like(place, n - 1), place)
    inside = elementwise.logical_and(
        elementwise.ge(place, fill_like(place, 0)), elementwise.lt(place, fill_like(place, n))
    )
    return place, inside


def _checked(a: Any, weights: Any) -> tuple[Value, Value | None]:
    """Data and weights as vectors."""
    x = array(a)
    if kind(x.dtype) == "c":
        raise DtypeError(f"histogram: takes real arrays, got {x.type}", hint="np.abs(x), or x.real")
    if weights is None:
        return ravel(x), None
    w = array(weights)
    if w.shape != x.shape:
        raise ShapeError(f"histogram: weights {w.type} for {x.type}", hint="one weight per element")
    return ravel(x), ravel(w)


@implements(np.histogram)
def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """numpy.histogram, with a known number of bins or with edges; known edges come back as a plain array."""
    x, w = _checked(a, weights)
    found = _edges(a, bins, range, weights)
    if kind(x.dtype) == "b":
        x = convert(x, np.dtype(np.uint8))
    if found.outer is not None:
        place, inside = _place_in_equal_bins(x, found)
    else:
        place, inside = _place_between(x, found.edges)
    counts = _totals(place, inside, w, found.bins)
    if density:
        widths = convert(diff(found.edges), np.dtype(np.float64))
        total = reduction.reduce_sum(counts, axes=(0,))
        counts = ufuncs.divide(ufuncs.divide(counts, widths), total)
    return counts, found.edges


def _columns(sample: Any) -> list[Any]:
    """The coordinates of the points: of an array [N, D] its columns, of a sequence its items."""
    if isinstance(sample, list | tuple):
        return list(sample)
    points = lift(sample)
    if points.ndim == 1:
        return [points]
    if points.ndim != 2:
        raise ShapeError(f"histogramdd: the sample {points.type} has not the shape [N, D]", hint="one point per row")
    return [reshaped(shape.part(points, 1, k, k + 1), (points.shape[0],)) for k in range(points.shape[1])]


def _per_dimension(bins: Any, count: int) -> Sequence[Any]:
    if _is_sequence(bins):
        if len(bins) != count:
            raise ArgumentError(f"histogramdd: {len(bins)} bins for {count} coordinates", hint="one per coordinate")
        return list(bins)
    return [bins] * count


@implements(np.histogramdd)
def histogramdd(sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """numpy.histogramdd; known edges come back as plain arrays."""
    columns = _columns(sample)
    count = len(columns)
    ranges = [None] * count if range is None else list(range)
    if len(ranges) != count:
        raise ArgumentError(f"histogramdd: {len(ranges)} ranges for {count} coordinates", hint="one per coordinate")
    float64 = np.dtype(np.float64)
    options = zip(columns, _per_dimension(bins, count), ranges, strict=True)
    found = [_edges(column, bins_, range_, None, float64) for column, bins_, range_ in options]
    values = [ravel(array(column)) for column in columns]
    places = [_place_between(x, edges.edges) for x, edges in zip(values, found, strict=True)]
    sizes = [edges.bins for edges in found]
    place = full(0, values[0].shape, _INDEX)
    for (own, _), n in zip(places, sizes, strict=True):
        place = elementwise.add(elementwise.mul(place, fill_like(place, n)), convert(own, _INDEX))
    inside = functools.reduce(elementwise.logical_and, [own for _, own in places])
    w = full(1, place.shape, float64) if weights is None else convert(ravel(array(weights)), float64)
    if w.shape != place.shape:
        raise ShapeError(f"histogramdd: weights {w.type} for {place.shape[0]} points", hint="one weight per point")
    counts = reshaped(_totals(place, inside, w, math.prod(sizes)), tuple(sizes))
    if density:
        total = reduction.reduce_sum(counts, axes=tuple([axis for axis, _ in enumerate(sizes)]))
        for axis, edges in enumerate(found):
            width = reshaped(diff(edges.edges), tuple([n if k == axis else 1 for k, n in enumerate(sizes)]))
            counts = ufuncs.divide(counts, width)
        counts = ufuncs.divide(counts, total)
    return counts, [edges.edges for edges in found]


@implements(np.histogram2d)
def histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Any, Any, Any]:
    """numpy.histogram2d."""
    first, second = array(x), array(y)
    if first.shape != second.shape:
        broadcast_shapes("histogram2d", [first.type, second.type])
        raise ShapeError(f"histogram2d: {first.type} and {second.type} differ in length", hint="one y per x")
    if _is_sequence(bins) and len(bins) not in (1, 2):
        bins = [bins, bins]  # one vector of edges for both
    counts, (across, along) = histogramdd([x, y], bins, range, density, weights)
    return counts, across, along
