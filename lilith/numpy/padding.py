"""np.pad: what is put around an array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Value
from lilith.ir.type import kind
from lilith.numpy import quantiles, reductions, ufuncs
from lilith.numpy.core import convert, expand, implements, lift, normalize_axis, static_int
from lilith.numpy.indexing import take_item
from lilith.ops import elementwise, shape
from lilith.source import ArgumentError, ShapeError, UnsupportedError


def _pairs(given: Any, ndim: int, name: str) -> list[tuple[Any, Any]]:
    """(before, after) for every axis from NumPy's forms: n, (n,), (before, after), ((before, after), ...), a dict."""
    if isinstance(given, dict):
        found: list[tuple[Any, Any]] = [(0, 0)] * ndim
        for axis, pair in given.items():
            found[normalize_axis(axis, ndim, name)] = (
                (pair[0], pair[-1]) if isinstance(pair, tuple | list) else (pair, pair)
            )
        return found
    if not isinstance(given, list | tuple | np.ndarray):
        return [(given, given)] * ndim
    if not any([isinstance(g, list | tuple | np.ndarray) for g in given]):
        pair = (given[0], given[-1])
        return [pair] * ndim
    pairs = [(g[0], g[-1]) for g in given]
    pairs = pairs * ndim if len(pairs) == 1 else pairs
    if len(pairs) != ndim:
        raise ShapeError(f"{name}: {len(pairs)} pairs for {ndim} axes", hint="one (before, after) per axis")
    return pairs


@implements(np.pad)
def pad(
    array: Any,
    pad_width: Any,
    mode: Any = "constant",
    stat_length: Any = None,
    constant_values: Any = 0,
    end_values: Any = 0,
    reflect_type: str = "even",
) -> Value:
    """numpy.pad; in mode "empty" the padding, which NumPy leaves undefined, is zero.

    Raises:
        ArgumentError: a width is negative, or the mode unknown.
        ShapeError: an axis has no elements to pad with.
        UnsupportedError: the mode is a function, or an odd reflection is wider than the axis.
    """
    x = lift(array)
    pairs = _pairs(pad_width, x.ndim, "pad")
    widths = [(static_int(a, "pad", "a width"), static_int(b, "pad", "a width")) for a, b in pairs]
    if any([n < 0 for pair in widths for n in pair]):
        raise ArgumentError("pad: negative width", hint="slice to cut: x[1:-1]")
    if callable(mode):
        raise UnsupportedError(
            "np.pad: a function as mode writes into the padded array, which is not supported on traced arrays",
            hint="join the parts with np.concatenate",
        )
    if mode in ("constant", "empty"):
        return _pad_constant(x, widths, _pairs(constant_values if mode == "constant" else 0, x.ndim, "pad"))
    lengths, ends = _pairs(stat_length, x.ndim, "pad"), _pairs(end_values, x.ndim, "pad")
    for axis, (low, high) in enumerate(widths):
        if low or high:
            x = _pad_axis(x, axis, (low, high), mode, reflect_type, lengths[axis], ends[axis])
    return x


def _pad_constant(x: Value, widths: Sequence[tuple[int, int]], values: Sequence[tuple[Any, Any]]) -> Value:
    """Axis by axis where the values differ, at once where they are the same everywhere."""
    none = (0,) * x.ndim
    given = [v for pair in values for v in pair]
    known = all([isinstance(v, int | float) for v in given])
    if all([v is given[0] or (known and v == given[0]) for v in given]):
        low, high = tuple([a for a, _ in widths]), tuple([b for _, b in widths])
        if not any(low) and not any(high):
            return x
        return shape.pad(x, _padding_value(given[0], x), low=low, high=high, interior=none)
    for axis, ((before, after), (first, last)) in enumerate(zip(widths, values, strict=True)):
        for width, value, side in ((before, first, "low"), (after, last, "high")):
            edges = {"low": none, "high": none, "interior": none}
            edges[side] = tuple([width if i == axis else 0 for i in range(x.ndim)])
            if width:
                x = shape.pad(x, _padding_value(value, x), **edges)
    return x


def _padding_value(value: Any, x: Value) -> Value:
    v = lift(value)
    return elementwise.convert(v, dtype=x.dtype) if v.dtype != x.dtype else v


def _pad_axis(
    x: Value,
    axis: int,
    widths: tuple[int, int],
    mode: Any,
    reflect_type: Any,
    lengths: tuple[Any, Any],
    ends: tuple[Any, Any],
) -> Value:
    """x with both sides of one axis padded by what the mode makes of its elements."""
    n = x.shape[axis]
    if n == 0:
        raise ShapeError(f"pad: {x.type} has no element on axis {axis} to pad with", hint="mode='constant'")
    if mode == "wrap" or (mode in ("reflect", "symmetric") and reflect_type == "even"):
        return take_item(x, (*_before(axis), np.pad(np.arange(n), widths, mode=mode)))
    if mode == "edge":
        parts = [_edge(x, axis, side) for side in (0, 1)]
    elif mode in ("reflect", "symmetric"):
        parts = [_odd_reflection(x, axis, side, widths[side], mode, reflect_type) for side in (0, 1)]
    elif mode == "linear_ramp":
        parts = [_ramp(x, axis, side, widths[side], ends[side]) for side in (0, 1)]
    elif mode in _STATISTICS:
        parts = [_statistic(x, axis, side, mode, lengths[side]) for side in (0, 1)]
    else:
        raise ArgumentError(
            f"np.pad: there is no mode={mode!r}",
            hint="constant, edge, linear_ramp, maximum, mean, median, minimum, reflect, symmetric, wrap or empty",
        )
    before, after = [
        expand(part, (*x.shape[:axis], width, *x.shape[axis + 1 :])) for part, width in zip(parts, widths, strict=True)
    ]
    return shape.concatenate(before, x, after, axis=axis)


def _before(axis: int) -> tuple[slice, ...]:
    return (slice(None),) * axis


def _edge(x: Value, axis: int, side: int) -> Value:
    """The first or the last element along an axis, which stays, with size 1."""
    n = x.shape[axis]
    return take_item(x, (*_before(axis), slice(n - 1, n) if side else slice(0, 1)))


def _odd_reflection(x: Value, axis: int, side: int, width: int, mode: str, reflect_type: Any) -> Value:
    """Twice the edge minus what is reflected: a line goes on as a line."""
    n = x.shape[axis]
    if reflect_type != "odd":
        raise ArgumentError(f"np.pad: there is no reflect_type={reflect_type!r}", hint="even or odd")
    if width > (n if mode == "symmetric" else n - 1):
        raise UnsupportedError(
            f"np.pad: an odd reflection of {width} elements on axis {axis} of {x.type} is wider than the axis",
            hint="pad several times, or reflect_type='even'",
        )
    positions = np.pad(np.arange(n), (0, width) if side else (width, 0), mode=mode)  # type: ignore[call-overload]
    reflected = take_item(x, (*_before(axis), positions[n:] if side else positions[:width]))
    edge = _edge(x, axis, side)
    return ufuncs.subtract(ufuncs.add(edge, edge), reflected)


def _ramp(x: Value, axis: int, side: int, width: int, end: Any) -> Value:
    """Equal steps from the end value, included, to the edge, which is not; rounded like np.linspace for integers."""
    edge, stop = _edge(x, axis, side), lift(end)
    steps = np.reshape(np.arange(width)[:: -1 if side else 1], (width, *(1,) * (x.ndim - axis - 1)))
    real = convert(edge, np.result_type(x.dtype, np.float64) if kind(x.dtype) in "iu" else x.dtype)
    stop = convert(stop, real.dtype)
    step = ufuncs.divide(ufuncs.subtract(real, stop), max(width, 1))
    ramp = ufuncs.add(stop, ufuncs.multiply(step, convert(lift(steps), real.dtype)))
    return convert(elementwise.floor(ramp), x.dtype) if kind(x.dtype) in "iu" else ramp


def _statistic(x: Value, axis: int, side: int, mode: str, length: Any) -> Value:
    """One statistic of the elements next to the edge, of all by default; rounded for integers."""
    n = x.shape[axis]
    count = n if length is None else min(static_int(length, "pad", "stat_length"), n)
    if count < 1:
        raise ArgumentError(f"np.pad: stat_length={length!r}", hint="1 or more, or None for the whole axis")
    part = take_item(x, (*_before(axis), slice(n - count, n) if side else slice(0, count)))
    y = _STATISTICS[mode](part, axis=axis, keepdims=True)
    return convert(elementwise.rint(y), x.dtype) if kind(x.dtype) in "iu" and kind(y.dtype) == "f" else y


_STATISTICS: dict[Any, Callable[..., Value]] = {
    "maximum": reductions.max,
    "mean": reductions.mean,
    "median": quantiles.median,
    "minimum": reductions.min,
}
