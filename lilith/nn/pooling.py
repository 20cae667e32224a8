"""Pooling over one, two and three axes: channels first, PyTorch's arguments.

Without a batch axis, (C, *space), they work as well.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.nn.making import known, per_axis, real_floating, scalar
from lilith.numpy.core import convert, expand, lift
from lilith.numpy.eager import array_function
from lilith.ops import elementwise
from lilith.ops.conv import extent
from lilith.ops.pooling import Pooling, reduce_window_max, reduce_window_sum
from lilith.source import ArgumentError, ShapeError

Axes = tuple[int, ...]


def _pooling(
    name: str, x: Value, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Pooling:
    """The windows, over all axes of x. In ceil mode a last window may stick out, if it starts on x or its padding."""
    space = int(name[-2])
    if x.ndim not in (space + 1, space + 2):
        raise ShapeError(
            f"nn.{name}: input must be (batch, channels, {space} axes of space) or without the batch, got {x.type}",
            hint="add a channel axis with x[:, None], or choose the function by the number of axes",
        )
    window = per_axis(name, "kernel_size", kernel_size, space, 1)
    strides = window if stride is None else per_axis(name, "stride", stride, space, 1)
    low = per_axis(name, "padding", padding, space, 0)
    gaps = per_axis(name, "dilation", dilation, space, 1)
    high = []
    for n, k, s, edge, gap in zip(x.shape[-space:], window, strides, low, gaps, strict=True):
        span = extent(k, gap)
        if edge > span // 2:
            raise ArgumentError(
                f"nn.{name}: padding={padding} is more than half of the kernel, {span // 2}",
                hint="pad less, or by hand",
            )
        room = n + 2 * edge - span
        if room < 0:
            raise ShapeError(f"nn.{name}: a window of {span} is larger than the padded {x.type}", hint="pool less")
        count = (room + (s - 1 if ceil_mode else 0)) // s + 1
        if (count - 1) * s >= n + edge:
            count -= 1
        high.append((count - 1) * s + span - n - edge)
    rest = x.ndim - space
    ones, zeros = (1,) * rest, (0,) * rest
    return Pooling(ones + window, ones + strides, zeros + low, (*zeros, *high), ones + gaps)


def _max_pool(
    name: str, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Value:
    x = lift(input)
    at = _pooling(name, x, kernel_size, stride, padding, dilation, ceil_mode)
    return reduce_window_max(x, **at._asdict())


def _counts(n: int, padded: int, k: int, stride: int, low: int, count: int, with_padding: bool) -> np.ndarray:
    """How many elements of an axis count in each window."""
    begin = np.arange(count) * stride - low
    end = np.minimum(begin + k, padded if with_padding else n)
    return end - (begin if with_padding else np.maximum(begin, 0))


def _avg_pool(
    name: str,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: Any,
) -> Value:
    x = real_floating(name, input)
    at = _pooling(name, x, kernel_size, stride, padding, 1, ceil_mode)
    total = reduce_window_sum(x, **at._asdict())
    if divisor_override is not None:
        if known(divisor_override) == 0:
            raise ArgumentError(f"nn.{name}: divisor_override=0", hint="any other number")
        return elementwise.div(total, scalar(name, "divisor_override", divisor_override, total))
    axes = [
        _counts(n, n + lo, k, s, lo, count, count_include_pad)
        for n, k, s, lo, count in zip(x.shape, at.window, at.strides, at.low, total.shape, strict=True)
    ]
    divisors = functools.reduce(np.multiply.outer, axes)[(0,) * (x.ndim - int(name[-2]))]
    if divisors.size and np.all(divisors == divisors.flat[0]):
        return elementwise.mul(total, fill_like(total, 1 / divisors.flat[0]))
    return elementwise.div(total, expand(convert(lift(divisors), total.dtype), total.shape))


@array_function
def max_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Any:
    """The largest element of each window along one axis: as max_pool2d, with input (batch, channels, length).

    >>> max_pool1d(np.array([[[1.0, 3.0, 2.0, 5.0]]]), 2)
    array([[[3., 5.]]])
    """
    return _max_pool("max_pool1d", input, kernel_size, stride, padding, dilation, ceil_mode)


@array_function
def max_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Any:
    """The largest element of each window.

    Equal largest elements of a window share its cotangent evenly, as everywhere in Lilith (PyTorch and JAX give it to
    the first one).

    Arguments:
        input: (batch, channels, height, width), or without the batch.
        kernel_size, stride, padding, dilation: an int, or one for each axis of space; stride is kernel_size by default.
        padding: at both ends, at most half of the window; it never is the largest element.
        ceil_mode: a last window may stick out, if it does not start beyond the input and its first padding.

    Returns:
        (batch, channels, *out) with out = (n + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1, rounded up
        in ceil_mode.

    >>> max_pool2d(np.arange(16.0).reshape(1, 4, 4), 2)
    array([[[ 5.,  7.],
            [13., 15.]]])
    """
    return _max_pool("max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode)


@array_function
def max_pool3d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Any:
    """The largest element of each window along three axes: as max_pool2d, with input (batch, channels, depth, ...).

    >>> max_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 2)
    array([[[[7.]]]])
    """
    return _max_pool("max_pool3d", input, kernel_size, stride, padding, dilation, ceil_mode)


@array_function
def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window along one axis: as avg_pool2d, with input (batch, channels, length).

    >>> avg_pool1d(np.array([[[1.0, 3.0, 2.0, 5.0]]]), 2)
    array([[[2. , 3.5]]])
    """
    return _avg_pool("avg_pool1d", input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@array_function
def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
) -> Any:
    """The mean of each window.

    Arguments:
        input: (batch, channels, height, width), or without the batch.
        kernel_size, stride, padding: an int, or one for each axis of space; stride is kernel_size by default.
        ceil_mode: a last window may stick out, if it does not start beyond the input and its first padding.
        count_include_pad: whether the zeros of the padding count as elements.
        divisor_override: what to divide sums by instead of the number of elements.

    >>> avg_pool2d(np.arange(16.0).reshape(1, 4, 4), 2)
    array([[[ 2.5,  4.5],
            [10.5, 12.5]]])
    """
    return _avg_pool("avg_pool2d", input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@array_function
def avg_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
) -> Any:
    """The mean of each window along three axes: as avg_pool2d, with input (batch, channels, depth, height, width).

    >>> avg_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 2)
    array([[[[3.5]]]])
    """
    return _avg_pool("avg_pool3d", input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
