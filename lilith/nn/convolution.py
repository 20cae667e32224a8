"""Convolutions over one, two and three axes, and their transposes: channels first, PyTorch's arguments.

Without a batch axis, (C, *space), they work as well. Operands of different dtypes are promoted as in NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np  # noqa: F401  (examples)

from lilith.ir.graph import Value
from lilith.nn.making import along, common, per_axis
from lilith.numpy.core import static_int
from lilith.numpy.eager import array_function
from lilith.ops import conv as ops
from lilith.ops.shape import reshape
from lilith.source import ArgumentError, ShapeError

Axes = tuple[int, ...]


def _operands(name: str, space: int, input: Any, weight: Any, bias: Any) -> tuple[Value, Value, Value | None, bool]:
    """Input with a batch axis, weight, bias, and whether that axis was there."""
    x, w, *rest = common(name, input, weight) if bias is None else common(name, input, weight, bias)
    if x.ndim not in (space + 1, space + 2):
        raise ShapeError(
            f"nn.{name}: input must be (batch, channels, {space} axes of space) or without the batch, got {x.type}",
            hint="add a channel axis with x[:, None], or choose conv1d, conv2d or conv3d by the number of axes",
        )
    if w.ndim != space + 2:
        raise ShapeError(
            f"nn.{name}: weight must have {space + 2} axes, got {w.type}",
            hint="(out, in / groups, *kernel), of a transpose (in, out / groups, *kernel)",
        )
    batched = x.ndim == space + 2
    return x if batched else reshape(x, shape=(1, *x.shape)), w, rest[0] if rest else None, batched


def _finished(name: str, y: Value, bias: Value | None, batched: bool) -> Value:
    """With the bias added and without the batch axis that was not there."""
    if bias is not None:
        if bias.shape != (y.shape[1],):
            raise ShapeError(
                f"nn.{name}: bias must have one entry for each of {y.shape[1]} output channels, got {bias.type}",
                hint=f"its shape must be ({y.shape[1]},)",
            )
        y = y + along(bias, y.shape, 1)
    return y if batched else reshape(y, shape=y.shape[1:])


def _edges(name: str, padding: Any, spans: Axes, strides: Axes) -> tuple[Axes, Axes]:
    """How much to pad before and after each axis."""
    if padding == "valid":
        padding = 0
    if padding == "same":
        if max(strides) > 1:
            raise ArgumentError(f"nn.{name}: padding='same' with stride={strides}", hint="the stride must be 1")
        low = tuple([(span - 1) // 2 for span in spans])
        return low, tuple([span - 1 - before for span, before in zip(spans, low, strict=True)])
    if isinstance(padding, str):
        raise ArgumentError(f"nn.{name}: padding={padding!r}", hint="'same', 'valid', an int or one for each axis")
    low = per_axis(name, "padding", padding, len(spans), 0)
    return low, low


def _groups(name: str, groups: Any, x: Value, w: Value, takes: int) -> int:
    """The number of groups, checked. `takes`: the weight's axis of input channels, 1 with a group's, 0 with all."""
    count = static_int(groups, f"nn.{name}", "groups")
    channels = w.shape[1] * count if takes == 1 else w.shape[0]
    if count < 1 or w.shape[0] % count or x.shape[1] != channels:
        form = "(out, in / groups, *kernel)" if takes == 1 else "(in, out / groups, *kernel)"
        raise ShapeError(
            f"nn.{name}: input {x.type} and weight {w.type} do not fit with groups={groups}",
            hint=f"the weight is {form}, and groups divides the number of channels",
        )
    return count


def _conv(
    name: str, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Value:
    """conv1d, conv2d, conv3d, by name."""
    space = int(name[4])
    x, w, b, batched = _operands(name, space, input, weight, bias)
    strides = per_axis(name, "stride", stride, space, 1)
    gaps = per_axis(name, "dilation", dilation, space, 1)
    spans = tuple([ops.extent(k, gap) for k, gap in zip(w.shape[2:], gaps, strict=True)])
    low, high = _edges(name, padding, spans, strides)
    count = _groups(name, groups, x, w, 1)
    if any(before + n + after < span for n, before, after, span in zip(x.shape[2:], low, high, spans, strict=True)):
        raise ShapeError(f"nn.{name}: the kernel of {w.type} is larger than the padded input {x.type}", hint="pad more")
    y = ops.conv(
        x,
        w,
        strides=strides,
        low=low,
        high=high,
        lhs_dilation=(1,) * space,
        rhs_dilation=gaps,
        feature_groups=count,
        batch_groups=1,
    )
    return _finished(name, y, b, batched)


def _conv_transpose(
    name: str,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
) -> Value:
    """conv_transpose1d, 2d, 3d, by name: a convolution of the input, its elements a stride apart."""
    space = int(name[-2])
    x, w, b, batched = _operands(name, space, input, weight, bias)
    strides = per_axis(name, "stride", stride, space, 1)
    edges = per_axis(name, "padding", padding, space, 0)
    more = per_axis(name, "output_padding", output_padding, space, 0)
    gaps = per_axis(name, "dilation", dilation, space, 1)
    count = _groups(name, groups, x, w, 0)
    if any(extra >= max(s, d) for extra, s, d in zip(more, strides, gaps, strict=True)):
        raise ArgumentError(
            f"nn.{name}: output_padding={output_padding} with stride={stride}, dilation={dilation}",
            hint="it must be smaller than the stride or the dilation",
        )
    low = tuple([ops.extent(k, d) - 1 - edge for k, d, edge in zip(w.shape[2:], gaps, edges, strict=True)])
    y = ops.conv(
        x,
        ops.reversed_kernel(w, count),
        strides=(1,) * space,
        low=low,
        high=tuple([before + extra for before, extra in zip(low, more, strict=True)]),
        lhs_dilation=strides,
        rhs_dilation=gaps,
        feature_groups=count,
        batch_groups=1,
    )
    return _finished(name, y, b, batched)


@array_function
def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Convolution along one axis: as conv2d, with input (batch, channels, length) and weight (out, in / groups, k).

    >>> conv1d(np.array([[[1.0, 2.0, 4.0]]]), np.array([[[-1.0, 1.0]]]))
    array([[[1., 2.]]])
    """
    return _conv("conv1d", input, weight, bias, stride, padding, dilation, groups)


@array_function
def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """y[n, o, p] = Σ x[n, i, p stride + k dilation - padding] w[o, i, k] + b[o], over i and k; p and k have two axes.

    A correlation: the kernel is not reversed.

    Arguments:
        input: (batch, in channels, height, width), or without the batch.
        weight: (out channels, in channels / groups, kernel height, kernel width).
        bias: (out channels,).
        stride, dilation: an int, or one for each axis of space.
        padding: zeros at both ends, an int or one for each axis; "valid" is 0, "same" keeps the size (stride 1 only).
        groups: into how many groups the channels fall, each convolved for itself.

    Returns:
        (batch, out channels, *out) with out = (n + 2 padding - dilation (kernel - 1) - 1) // stride + 1 on each axis.

    >>> conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), stride=2, padding=1)
    array([[[[1., 2.],
             [2., 4.]]]])
    """
    return _conv("conv2d", input, weight, bias, stride, padding, dilation, groups)


@array_function
def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Convolution along three axes: as conv2d, with input (batch, channels, depth, height, width).

    >>> conv3d(np.ones((2, 1, 4, 4, 4)), np.ones((5, 1, 3, 3, 3))).shape
    (2, 5, 2, 2, 2)
    """
    return _conv("conv3d", input, weight, bias, stride, padding, dilation, groups)


@array_function
def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution along one axis: as conv_transpose2d, with input (batch, channels, length).

    >>> conv_transpose1d(np.array([[[1.0, 2.0]]]), np.array([[[1.0, 10.0]]]), stride=2)
    array([[[ 1., 10.,  2., 20.]]])
    """
    return _conv_transpose("conv_transpose1d", input, weight, bias, stride, padding, output_padding, groups, dilation)


@array_function
def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The transpose of conv2d as a linear map: what conv2d with the same arguments sends back from its result.

    Arguments:
        input: (batch, in channels, height, width), or without the batch.
        weight: (in channels, out channels / groups, kernel height, kernel width).
        bias: (out channels,).
        output_padding: this much is added at the end of each axis: conv2d gives the same size for several inputs.
        stride, padding, groups, dilation: those of the conv2d.

    Returns:
        (batch, out channels, *out), out = (n - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1.

    >>> conv_transpose2d(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)))
    array([[[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]]])
    """
    return _conv_transpose("conv_transpose2d", input, weight, bias, stride, padding, output_padding, groups, dilation)


@array_function
def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution along three axes: as conv_transpose2d, with input (batch, channels, depth, ...).

    >>> conv_transpose3d(np.ones((1, 2, 3, 3, 3)), np.ones((2, 4, 2, 2, 2)), stride=2).shape
    (1, 4, 6, 6, 6)
    """
    return _conv_transpose("conv_transpose3d", input, weight, bias, stride, padding, output_padding, groups, dilation)
