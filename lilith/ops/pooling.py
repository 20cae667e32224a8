"""Reductions over sliding windows: reduce_window_sum, reduce_window_max.

Parameters have an entry per axis; axes that are not pooled have a window of 1. Position p of an axis covers the
elements p stride + k dilation - low, k = 0 ... window - 1; those outside of the array do not count.

Cotangents come without interior padding, which is slow: an element's index is i = q stride + r, and for each residue r
all windows that may cover it are a shift in q away, so that x̄ is `stride` shorter arrays, woven into one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.primitive import Primitive, per_operand, primitive
from lilith.ir.type import TensorType, kind
from lilith.ops.conv import extent, padded, positions, windows
from lilith.ops.elementwise import NUMBER, ORDERED, check_kind, convert, div, logical_not, lt, select
from lilith.ops.shape import broadcast_in_dim, concatenate, fill, pad, reshape
from lilith.source import ShapeError

Axes = tuple[int, ...]


class Pooling(NamedTuple):
    """The parameters of a reduction over windows, an entry per axis."""

    window: Axes
    strides: Axes
    low: Axes
    high: Axes
    dilation: Axes

    def shape(self, shape: Axes) -> Axes:
        """The shape of the result."""
        return tuple(
            [positions(n, lo, hi, k, s, d) for n, k, s, lo, hi, d in zip(shape, *self, strict=True)],
        )

    def of_axes(self, axes: Axes) -> Pooling:
        """The same along some axes only."""
        return Pooling(
            *[
                tuple([n if axis in axes else rest for axis, n in enumerate(entry)])
                for entry, rest in zip(self, _UNPOOLED, strict=True)
            ]
        )

    def pooled_axes(self) -> Axes:
        """The axes along which anything happens."""
        return tuple([a for a, entries in enumerate(zip(*self[:4], strict=True)) if entries != _UNPOOLED[:4]])

    def whole_axes(self, shape: Axes) -> Axes:
        """The axes of which one window covers everything: a plain reduction."""
        result = self.shape(shape)
        return tuple(
            [
                a
                for a in self.pooled_axes()
                if result[a] == self.dilation[a] == 1 and 0 <= self.low[a] <= self.window[a] - shape[a]
            ]
        )


_UNPOOLED = (1, 1, 0, 0, 1)


def least(dtype: np.dtype) -> Any:
    """The identity of max: -inf, the least integer, False."""
    letter = kind(dtype)
    return -np.inf if letter == "f" else False if letter == "b" else int(np.iinfo(dtype).min)


def _reduction(name: str, kinds: str, eval: Callable[..., Any], rule: Callable[..., Any], masks: bool) -> Primitive:
    """y[p] = f over the elements in window p; `eval(view, axes)` and `rule(g, y, x, at)`."""

    def type(x: TensorType, **given: Axes) -> TensorType:
        check_kind(name, kinds, x)
        at = Pooling(**given)
        if any(len(entry) != x.ndim for entry in at) or min((1, *at.window, *at.strides, *at.dilation)) < 1:
            raise ShapeError(
                f"{name}: window {at.window}, strides {at.strides}, low {at.low}, high {at.high}, dilation "
                f"{at.dilation} do not fit {x}",
                hint="one number per axis; window, strides and dilation are 1 or larger",
            )
        return x.with_shape(at.shape(x.shape))

    def evaluate(x: np.ndarray, **given: Axes) -> np.ndarray:
        at = Pooling(**given)
        shape = at.shape(x.shape)
        if 0 in shape:
            return np.zeros(shape, x.dtype)
        identity = 0 if name == "reduce_window_sum" else least(x.dtype)
        whole = padded(x, identity, at.low, at.high, (1,) * x.ndim)
        return eval(windows(whole, at.window, at.strides, at.dilation), tuple(range(x.ndim, 2 * x.ndim)))

    def batch(batched: tuple[bool, ...], x: Value, **given: Axes) -> Value:
        at = Pooling(**given)
        return primitive(name)(
            x,
            window=(1, *at.window),
            strides=(1, *at.strides),
            low=(0, *at.low),
            high=(0, *at.high),
            dilation=(1, *at.dilation),
        )

    def pulled(g: Value, y: Value, x: Value, **given: Axes) -> Value:
        return fill_like(x, 0) if 0 in y.shape or 0 in x.shape else rule(g, y, x, Pooling(**given))

    return Primitive(name, type=type, eval=evaluate, vjp=per_operand(pulled), batch=batch, masks=masks)


def _woven(parts: dict[Axes, Value], strides: Axes) -> Value:
    """The array whose elements of residues r modulo the strides are parts[r]; zeros where there is no part."""
    like = next(iter(parts.values()))
    axis = next((axis for axis in reversed(range(like.ndim)) if strides[axis] > 1), None)
    if axis is None:
        return like
    length, stride = like.shape[axis], strides[axis]
    single = (*like.shape[:axis], length, 1, *like.shape[axis + 1 :])
    zeros = fill_like(like, 0)
    columns: dict[Axes, list[Value]] = {}
    for r, part in parts.items():
        columns.setdefault((*r[:axis], 0, *r[axis + 1 :]), [zeros] * stride)[r[axis]] = part
    merged = (*like.shape[:axis], length * stride, *like.shape[axis + 1 :])
    joined = {}
    for r, column in columns.items():
        reshaped = {x: reshape(x, shape=single) for x in column}
        joined[r] = reshape(_stacked([reshaped[x] for x in column], axis + 1), shape=merged)
    return _woven(joined, (*strides[:axis], 1, *strides[axis + 1 :]))


def _stacked(columns: list[Value], axis: int) -> Value:
    """Arrays joined along an axis of size 1; one array many times over is repeated."""
    first = columns[0]
    if all(column is first for column in columns):
        shape = (*first.shape[:axis], len(columns), *first.shape[axis + 1 :])
        return broadcast_in_dim(first, shape=shape, axes=tuple(range(first.ndim)))
    return concatenate(*columns, axis=axis)


def _resized(x: Value, number: Any, low: Axes, high: Axes) -> Value:
    """x with padding, or cut by negative numbers."""
    if not any(low) and not any(high):
        return x
    value = fill(value=number, shape=(), dtype=x.dtype)
    return pad(x, value, low=tuple(low), high=tuple(high), interior=(0,) * x.ndim)


def _repeated(x: Value, shape: Axes) -> Value:
    """x with its axes of size 1 repeated to a shape."""
    return x if x.shape == shape else broadcast_in_dim(x, shape=shape, axes=tuple(range(x.ndim)))


def _part(x: Value, start: Axes, sizes: Axes, strides: Axes) -> Value:
    """`sizes` elements of x from `start` on, `strides` apart."""
    limit = tuple([begin + (n - 1) * step + 1 for begin, n, step in zip(start, sizes, strides, strict=True)])
    if start == (0,) * x.ndim and limit == x.shape and max(strides, default=1) == 1:
        return x
    return primitive("slice")(x, start=start, limit=limit, stride=strides)


# ---- sum ------------------------------------------------------------------------------------------------------------


def _residue(k: int, stride: int, dilation: int, residue: int) -> range:
    """The shifts q of the window's elements whose offsets are q stride + residue; they are evenly spaced."""
    shifts = [offset // stride for offset in range(0, k * dilation, dilation) if offset % stride == residue]
    step = shifts[1] - shifts[0] if len(shifts) > 1 else 1
    return range(shifts[0], shifts[-1] + 1, step) if shifts else range(0)


def _spread(g: Value, axis: int, size: int, at: Pooling) -> Value:
    """The cotangent of a windowed sum along one axis: x̄[i] = Σ g[p] over the windows p that cover i."""
    k, stride, low, dilation = (entry[axis] for entry in (at.window, at.strides, at.low, at.dilation))
    count = g.shape[axis]
    length = count + (extent(k, dilation) - 1) // stride  # of each residue's array
    one = (1,) * g.ndim

    def along(n: int, rest: int = 0) -> Axes:
        return tuple([n if a == axis else rest for a in range(g.ndim)])

    parts: dict[Axes, Value] = {}
    for r in range(stride):
        shifts = _residue(k, stride, dilation, r)
        if len(shifts) == 1:
            parts[along(r)] = _resized(g, 0, along(shifts[0]), along(length - count - shifts[0]))
        elif shifts:
            reach = shifts[-1]
            parts[along(r)] = reduce_window_sum(
                g,
                window=along(len(shifts), 1),
                strides=one,
                low=along(reach),
                high=along(length - count - shifts[0]),
                dilation=along(shifts.step, 1),
            )
    whole = _woven(parts, along(stride, 1))
    return _resized(whole, 0, along(-low), along(size + low - length * stride))


def _sum_rule(g: Value, y: Value, x: Value, at: Pooling) -> Value:
    """x̄[i] = Σ ȳ[p] over the windows p that cover i, axis by axis."""
    whole = at.whole_axes(x.shape)
    for axis in at.pooled_axes():
        if axis not in whole:
            g = _spread(g, axis, x.shape[axis], at)
    return _repeated(g, x.shape)


reduce_window_sum: Primitive = _reduction(
    "reduce_window_sum", NUMBER, lambda view, axes: np.sum(view, axis=axes, dtype=view.dtype), _sum_rule, masks=False
)

# ---- max ------------------------------------------------------------------------------------------------------------


# Up to this many elements of a window are compared one by one; of larger windows one axis after another is treated.
_ELEMENTS = 32


def _offsets(at: Pooling) -> itertools.product:
    """The place of each element of a window within it."""
    return itertools.product(*[range(0, k * d, d) for k, d in zip(at.window, at.dilation, strict=True)])


def _shifts(at: Pooling, offset: Axes) -> tuple[Axes, Axes]:
    """offset = shift · stride + residue."""
    pairs = [divmod(o, s) for o, s in zip(offset, at.strides, strict=True)]
    return tuple([q for q, _ in pairs]), tuple([r for _, r in pairs])


def _stages(at: Pooling, shape: Axes) -> list[Pooling]:
    """The same reduction as several in a row: axes covered by one window, then all others or, if windows are large,
    one by one."""
    whole = at.whole_axes(shape)
    rest = tuple([axis for axis in at.pooled_axes() if axis not in whole])
    stages = [whole] if whole else []
    if math.prod(at.window[axis] for axis in rest) <= _ELEMENTS:
        stages += [rest] if rest else []
    else:
        stages += [(axis,) for axis in rest]
    return [at.of_axes(axes) for axes in stages]


def _weights(x: Value, count: Value | None, at: Pooling) -> Value | None:
    """How many elements each element of the padded x stands for, 0 in the padding; None if each for itself.

    Axes along which it does not vary may have size 1.
    """
    if count is None:
        if max((0, *at.low, *at.high)) == 0:
            return None
        varied = [lo > 0 or hi > 0 for lo, hi in zip(at.low, at.high, strict=True)]
        shape = tuple([n if v else 1 for n, v in zip(x.shape, varied, strict=True)])
        low, high = (tuple([n if v else 0 for n, v in zip(edge, varied, strict=True)]) for edge in (at.low, at.high))
        return _resized(fill(value=1.0, shape=shape, dtype=x.dtype), 0.0, low, high)
    return _resized(count, 0.0, at.low, at.high)


def _counted(x: Value, y: Value, count: Value | None, at: Pooling) -> Value:
    """In each window, the number of elements that are its maximum, of which `count` have become one element of x."""
    axes = at.whole_axes(x.shape)
    if axes:
        own = fill_like(x, 1) if count is None else count
        ties = select(lt(x, _repeated(y, x.shape)), fill_like(x, 0), own)
        return reshape(primitive("reduce_sum")(ties, axes=axes), shape=y.shape)
    whole, weights = _resized(x, least(x.dtype), at.low, at.high), _weights(x, count, at)
    zero, total = fill_like(y, 0), None
    for offset in _offsets(at):
        beaten = lt(_part(whole, offset, y.shape, at.strides), y)
        if weights is None:
            ties = convert(logical_not(beaten), dtype=x.dtype)
        else:
            sizes = tuple([1 if n == 1 else m for n, m in zip(weights.shape, y.shape, strict=True)])
            start = tuple([0 if n == 1 else o for n, o in zip(weights.shape, offset, strict=True)])
            steps = tuple([1 if n == 1 else s for n, s in zip(weights.shape, at.strides, strict=True)])
            part = _part(weights, start, sizes, steps)
            ties = select(beaten, zero, _repeated(part, y.shape))
        total = ties if total is None else total + ties
    assert total is not None
    return total


def _returned(x: Value, y: Value, share: Value, at: Pooling) -> Value:
    """x̄[i] = Σ share[p] over the windows p whose maximum x[i] is."""
    if at.whole_axes(x.shape):
        return select(lt(x, _repeated(y, x.shape)), fill_like(x, 0), _repeated(share, x.shape))
    reach = tuple([(extent(k, d) - 1) // s for k, d, s in zip(at.window, at.dilation, at.strides, strict=True)])
    sizes = tuple([m + q for m, q in zip(y.shape, reach, strict=True)])
    beyond = tuple([n * s - m - lo for n, s, m, lo in zip(sizes, at.strides, x.shape, at.low, strict=True)])
    whole = _resized(x, least(x.dtype), at.low, beyond)
    maxima, shares = (_resized(v, 0.0, reach, reach) for v in (y, share))
    one = (1,) * x.ndim
    elements: dict[Axes, Value] = {}
    parts: dict[Axes, Value] = {}
    for offset in _offsets(at):
        shift, r = _shifts(at, offset)
        if r not in elements:
            elements[r] = _part(whole, r, sizes, at.strides)
        start = tuple([q - own for q, own in zip(reach, shift, strict=True)])
        given = _part(shares, start, sizes, one)
        taken = select(lt(elements[r], _part(maxima, start, sizes, one)), fill_like(given, 0), given)
        parts[r] = parts[r] + taken if r in parts else taken
    return _resized(_woven(parts, at.strides), 0.0, tuple([-lo for lo in at.low]), tuple([-hi for hi in beyond]))


def _max_rule(g: Value, y: Value, x: Value, at: Pooling) -> Value:
    """x̄[i] = Σ ȳ[p] / m[p] over the windows p whose maximum x[i] is, one of m: ties share evenly, as in reduce_max."""
    stages = _stages(at, x.shape)
    values, count = [x], None
    for stage in stages:
        values.append(y if stage is stages[-1] else reduce_window_max(values[-1], **stage._asdict()))
        count = _counted(values[-2], values[-1], count, stage)
    share = div(g, count) if count is not None else g
    for stage, inner, outer in zip(reversed(stages), values[-2::-1], values[:0:-1], strict=True):
        share = _returned(inner, outer, share, stage)
    return share


reduce_window_max: Primitive = _reduction(
    "reduce_window_max", ORDERED, lambda view, axes: np.max(view, axis=axes), _max_rule, masks=True
)
