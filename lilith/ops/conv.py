"""Convolution: conv, whose derivatives are convolutions again.

One fixed layout: operands (batch, channel, *space) and (output channel, channel per group, *space), result (batch,
output channel, *space). Like everywhere in this field it is a correlation: the kernel is not reversed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.primitive import Primitive, per_operand
from lilith.ir.type import TensorType
from lilith.ops.elementwise import NUMBER, check_kind
from lilith.ops.shape import reshape, rev, transpose
from lilith.source import DtypeError, ShapeError

Axes = tuple[int, ...]


def extent(size: int, dilation: int) -> int:
    """The length of `size` elements with dilation - 1 gaps between neighbours."""
    return (size - 1) * dilation + 1 if size else 0


def positions(size: int, low: int, high: int, window: int, stride: int, dilation: int) -> int:
    """How many windows fit into a padded axis; 0 where not even one does."""
    room = low + size + high - extent(window, dilation)
    return room // stride + 1 if room >= 0 and low + size + high > 0 else 0


class Geometry(NamedTuple):
    """The parameters of a convolution, an entry per spatial axis."""

    strides: Axes
    low: Axes
    high: Axes
    lhs_dilation: Axes
    rhs_dilation: Axes

    def result(self, x: TensorType, w: TensorType, batch_groups: int = 1) -> TensorType:
        """The type of the convolution of x with the kernel w."""
        space = [
            positions(extent(n, base), lo, hi, k, stride, dilation)
            for n, k, stride, lo, hi, base, dilation in zip(x.shape[2:], w.shape[2:], *self, strict=True)
        ]
        return TensorType((x.shape[0] // batch_groups, w.shape[0], *space), x.dtype, x.weak and w.weak)


def _check_groups(x: TensorType, w: TensorType, feature_groups: int, batch_groups: int) -> None:
    if feature_groups < 1 or batch_groups < 1 or (feature_groups > 1 and batch_groups > 1):
        raise ShapeError(
            f"conv: {feature_groups} feature groups and {batch_groups} batch groups", hint="one of them must be 1"
        )
    if x.shape[1] != w.shape[1] * feature_groups:
        raise ShapeError(
            f"conv: {x} has {x.shape[1]} channels, the kernel {w} takes {feature_groups} times {w.shape[1]}",
            hint="the kernel's shape is (output channels, channels / groups, *space)",
        )
    for n, groups, what in (
        (w.shape[0], feature_groups * batch_groups, "output channels"),
        (x.shape[0], batch_groups, "batch"),
    ):
        if n % groups:
            raise ShapeError(f"conv: {x} * {w}: {n} {what} do not fall into {groups} groups", hint="use a multiple")


def _conv_type(
    x: TensorType,
    w: TensorType,
    *,
    strides: Axes,
    low: Axes,
    high: Axes,
    lhs_dilation: Axes,
    rhs_dilation: Axes,
    feature_groups: int,
    batch_groups: int,
) -> TensorType:
    if x.dtype != w.dtype:
        raise DtypeError(f"conv: {x} and {w} differ in dtype", hint="convert one of them first")
    check_kind("conv", NUMBER, x, w)
    if x.ndim < 2 or x.ndim != w.ndim:
        raise ShapeError(
            f"conv: {x} and the kernel {w} do not fit", hint="both have two axes of channels or batch, then space"
        )
    geometry = Geometry(strides, low, high, lhs_dilation, rhs_dilation)
    if any(len(entry) != x.ndim - 2 for entry in geometry) or min((1, *strides, *lhs_dilation, *rhs_dilation)) < 1:
        raise ShapeError(
            f"conv: strides {strides}, low {low}, high {high}, lhs_dilation {lhs_dilation}, rhs_dilation "
            f"{rhs_dilation} do not fit {x}",
            hint="one number per spatial axis; strides and dilations are 1 or larger",
        )
    _check_groups(x, w, feature_groups, batch_groups)
    return geometry.result(x, w, batch_groups)


def padded(x: np.ndarray, value: object, low: Axes, high: Axes, dilation: Axes) -> np.ndarray:
    """x with its elements `dilation` apart, and then padded or, by negative numbers, cut, with `value`."""
    sizes = [extent(n, gap) for n, gap in zip(x.shape, dilation, strict=True)]
    whole = np.full([max(0, lo) + n + max(0, hi) for lo, n, hi in zip(low, sizes, high, strict=True)], value, x.dtype)
    whole[tuple([slice(max(0, lo), max(0, lo) + n, gap) for lo, n, gap in zip(low, sizes, dilation, strict=True)])] = x
    return whole[tuple([slice(max(0, -lo), n - max(0, -hi)) for lo, n, hi in zip(low, whole.shape, high, strict=True)])]


def windows(x: np.ndarray, window: Axes, strides: Axes, dilation: Axes) -> np.ndarray:
    """A view of x of shape (*positions, *window): element k of window p is x[p stride + k dilation]."""
    count = [positions(n, 0, 0, k, s, d) for n, k, s, d in zip(x.shape, window, strides, dilation, strict=True)]
    steps = [s * b for s, b in zip(strides, x.strides, strict=True)]
    inner = [d * b for d, b in zip(dilation, x.strides, strict=True)]
    return np.lib.stride_tricks.as_strided(x, (*count, *window), (*steps, *inner), writeable=False)


def _conv_eval(
    x: np.ndarray,
    w: np.ndarray,
    strides: Axes,
    low: Axes,
    high: Axes,
    lhs_dilation: Axes,
    rhs_dilation: Axes,
    feature_groups: int,
    batch_groups: int,
) -> np.ndarray:
    """y[n, o, p] = Σ x[n, i, p stride + k dilation - low] w[o, i, k], group by group, as a product of matrices."""
    geometry = Geometry(strides, low, high, lhs_dilation, rhs_dilation)
    type_ = _conv_type(
        TensorType(x.shape, x.dtype),
        TensorType(w.shape, w.dtype),
        **geometry._asdict(),
        feature_groups=feature_groups,
        batch_groups=batch_groups,
    )
    if 0 in type_.shape or 0 in x.shape or 0 in w.shape:
        return np.zeros(type_.shape, x.dtype)
    whole = padded(x, 0, (0, 0, *low), (0, 0, *high), (1, 1, *lhs_dilation))
    views = windows(whole, (1, 1, *w.shape[2:]), (1, 1, *strides), (1, 1, *rhs_dilation))
    space = len(strides)
    axes = [1, *range(4 + space, 4 + 2 * space)]  # of views: the channel and the window
    groups = feature_groups * batch_groups
    parts = np.split(views, groups, axis=1 if feature_groups > 1 else 0)
    found = []
    for part, kernel in zip(parts, np.split(w, groups), strict=True):
        product = np.tensordot(part, kernel, (axes, range(1, w.ndim)))  # (n, *positions, 1, 1, o)
        product = product.reshape((*product.shape[: 1 + space], kernel.shape[0]))
        found.append(np.moveaxis(product, -1, 1))
    return np.concatenate(found, axis=1).astype(x.dtype, copy=False)


def _moved(x: Value, source: int, to: int) -> Value:
    """x with one axis at another place."""
    order = [axis for axis in range(x.ndim) if axis != source]
    order.insert(to, source)
    return transpose(x, axes=tuple(order)) if source != to else x


def _split(x: Value, axis: int, groups: int) -> Value:
    """An axis as two: groups, and what is in each."""
    return reshape(x, shape=(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :]))


def _merged(x: Value, axis: int) -> Value:
    """An axis and the next one as one."""
    return reshape(x, shape=(*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :]))


def _regrouped(x: Value, axis: int, groups: int, to: int) -> Value:
    """The groups, the slow part of an axis, moved to be the slow part of another axis."""
    return _merged(_moved(_split(x, axis, groups), axis, to), to) if groups > 1 else x


def _swapped(x: Value) -> Value:
    """x with its first two axes exchanged."""
    return transpose(x, axes=(1, 0, *range(2, x.ndim)))


def reversed_kernel(w: Value, groups: int) -> Value:
    """The kernel of the transposed convolution: reversed, input and output channels exchanged within groups."""
    return rev(_swapped(_regrouped(w, 0, groups, 1)), axes=tuple(range(2, w.ndim)))


def _conv_rule_x(
    g: Value, y: Value, x: Value, w: Value, *, feature_groups: int, batch_groups: int, **given: Axes
) -> Value:
    """x̄ = ȳ, its elements a stride apart, convolved with the reversed kernel, channels exchanged within groups."""
    if 0 in y.shape or 0 in w.shape:
        return fill_like(x, 0)
    at = Geometry(**given)
    groups = feature_groups * batch_groups
    spans = [extent(k, d) for k, d in zip(w.shape[2:], at.rhs_dilation, strict=True)]
    low = tuple([span - 1 - lo for span, lo in zip(spans, at.low, strict=True)])
    high = tuple(
        [
            extent(n, base) + before - extent(m, stride)  # so that there are n positions
            for n, m, before, base, stride in zip(
                x.shape[2:], y.shape[2:], at.low, at.lhs_dilation, at.strides, strict=True
            )
        ]
    )
    product = conv(
        g,
        reversed_kernel(w, groups),
        strides=at.lhs_dilation,
        low=low,
        high=high,
        lhs_dilation=at.strides,
        rhs_dilation=at.rhs_dilation,
        feature_groups=groups,
        batch_groups=1,
    )
    return _regrouped(product, 1, batch_groups, 0)


def _conv_rule_w(
    g: Value, y: Value, x: Value, w: Value, *, feature_groups: int, batch_groups: int, **given: Axes
) -> Value:
    """w̄ = x convolved with ȳ: batch and channels change roles, and so do strides and dilation of the window.

    Where the elements of x are the ones that lie apart (the convolution is a transposed one), x is the window of ȳ
    instead, and the result comes out reversed: windows with gaps are fast everywhere, arrays with gaps are not.
    """
    if 0 in y.shape or 0 in x.shape:
        return fill_like(w, 0)
    at = Geometry(**given)
    # the last element of x and of ȳ on the grid of the dilated, padded x
    ends = tuple(
        [
            (extent(m, s) - 1, before + extent(n, base) - 1)
            for n, m, before, base, s in zip(x.shape[2:], y.shape[2:], at.low, at.lhs_dilation, at.strides, strict=True)
        ]
    )
    spans = [extent(k, d) - 1 for k, d in zip(w.shape[2:], at.rhs_dilation, strict=True)]
    if batch_groups == 1 and max(at.lhs_dilation, default=1) > max(at.strides, default=1):
        product = conv(
            _swapped(g),
            _swapped(x),
            strides=at.rhs_dilation,
            low=tuple([span - before for span, before in zip(spans, at.low, strict=True)]),
            high=tuple([last - own for own, last in ends]),
            lhs_dilation=at.strides,
            rhs_dilation=at.lhs_dilation,
            feature_groups=1,
            batch_groups=feature_groups,
        )
        return rev(_regrouped(product, 1, feature_groups, 0), axes=tuple(range(2, w.ndim)))
    product = conv(
        _swapped(x),
        _swapped(g),
        strides=at.rhs_dilation,
        low=at.low,
        high=tuple([span + own - last for span, (own, last) in zip(spans, ends, strict=True)]),
        lhs_dilation=at.lhs_dilation,
        rhs_dilation=at.strides,
        feature_groups=batch_groups,
        batch_groups=feature_groups,
    )
    return _swapped(product)


def _conv_batch(
    batched: tuple[bool, ...], x: Value, w: Value, *, feature_groups: int, batch_groups: int, **given: Axes
) -> Value:
    """One convolution: a batched x has a larger batch, a batched w more output channels, both make more groups."""
    groups = {"feature_groups": feature_groups, "batch_groups": batch_groups}
    if not batched[1]:
        size = x.shape[0]
        x = _merged(_merged(_moved(_split(x, 1, batch_groups), 0, 1), 0), 0)
        return _split(conv(x, w, **given, **groups), 0, size)
    size = w.shape[0]
    if batched[0]:
        groups["batch_groups" if batch_groups > 1 else "feature_groups"] *= size
        x = _merged(x if batch_groups > 1 else _moved(x, 0, 1), 0 if batch_groups > 1 else 1)
        return _moved(_split(conv(x, _merged(w, 0), **given, **groups), 1, size), 1, 0)
    count = feature_groups * batch_groups
    w = _merged(_merged(_moved(_split(w, 1, count), 0, 1), 0), 0)
    product = _moved(_split(_split(conv(x, w, **given, **groups), 1, count), 2, size), 2, 0)
    return _merged(product, 2)


conv = Primitive(
    "conv", type=_conv_type, eval=_conv_eval, vjp=per_operand(_conv_rule_x, _conv_rule_w), batch=_conv_batch
)
