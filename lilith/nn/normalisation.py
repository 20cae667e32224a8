"""Normalisation: layer_norm, rms_norm, batch_norm, group_norm, instance_norm."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.nn.making import along, real_floating, scalar
from lilith.numpy.core import accumulator, convert, expand, shape_argument, static_int
from lilith.numpy.eager import array_function
from lilith.ops import elementwise
from lilith.ops.control import stop_gradient
from lilith.ops.reduction import reduce_sum
from lilith.ops.shape import broadcast_in_dim, reshape
from lilith.source import ArgumentError, ShapeError

Axes = tuple[int, ...]


def _mean(x: Value, axes: Axes) -> Value:
    """The mean over axes, which are removed."""
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    total = reduce_sum(x, axes=axes)
    return elementwise.div(total, fill_like(total, count))


def _repeated(y: Value, like: Value, axes: Axes) -> Value:
    """A mean over axes, repeated along them."""
    kept = tuple([axis for axis in range(like.ndim) if axis not in axes])
    return broadcast_in_dim(y, shape=like.shape, axes=kept)


def _normalised(name: str, x: Value, axes: Axes, eps: Any) -> tuple[Value, Value, Value]:
    """(x - mean) / √(variance + eps), the mean, the variance; two passes, so that a large mean does not cancel."""
    mean = _mean(x, axes)
    deviation = elementwise.sub(x, _repeated(mean, x, axes))
    variance = _mean(elementwise.mul(deviation, deviation), axes)
    inverse = 1 / elementwise.sqrt(variance + scalar(name, "eps", eps, variance))
    return elementwise.mul(deviation, _repeated(inverse, x, axes)), mean, variance


def _affine(name: str, y: Value, weight: Any, bias: Any, axis: int | None) -> Value:
    """weight y + bias, along one axis, or (None) along as many last axes as they have."""
    for what, given in (("weight", weight), ("bias", bias)):
        if given is None:
            continue
        v = convert(real_floating(name, given), y.dtype)
        size = y.shape[axis] if axis is not None else None
        if (v.shape != (size,)) if axis is not None else (v.shape != y.shape[y.ndim - v.ndim :]):
            raise ShapeError(f"nn.{name}: {what} {v.type} does not fit {y.type}", hint=f"one entry per {_unit(axis)}")
        v = along(v, y.shape, axis) if axis is not None else expand(v, y.shape)
        y = elementwise.mul(y, v) if what == "weight" else elementwise.add(y, v)
    return y


def _unit(axis: int | None) -> str:
    return "channel" if axis is not None else "element of normalized_shape"


def _last_axes(name: str, x: Value, normalized_shape: Any, *given: Any) -> Axes:
    """The axes that normalized_shape names, checked."""
    sizes = shape_argument(normalized_shape, f"nn.{name}")
    if not sizes or x.shape[max(0, x.ndim - len(sizes)) :] != sizes:
        raise ShapeError(
            f"nn.{name}: normalized_shape={sizes} is not the end of the shape of {x.type}", hint="e.g. x.shape[-1]"
        )
    for v in given:
        if v is not None and np.shape(v) != sizes:
            raise ShapeError(
                f"nn.{name}: weight and bias must have the shape {sizes}, got {np.shape(v)}", hint="reshape them"
            )
    return tuple(range(x.ndim - len(sizes), x.ndim))


@array_function
def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """(x - mean) / √(variance + eps) weight + bias, with mean and (biased) variance over the last axes.

    Ba, Kiros, Hinton, Layer normalization, 2016. float16 and bfloat16 are normalised in float32.

    Arguments:
        input: (*any, *normalized_shape).
        normalized_shape: an int or a tuple, the end of the input's shape.
        weight, bias: of shape normalized_shape.

    >>> layer_norm(np.array([[1.0, 3.0]]), 2, eps=0.0)
    array([[-1.,  1.]])
    """
    given = real_floating("layer_norm", input)
    axes = _last_axes("layer_norm", given, normalized_shape, weight, bias)
    x = convert(given, accumulator(given.dtype))
    y, _, _ = _normalised("layer_norm", x, axes, eps)
    return convert(_affine("layer_norm", y, weight, bias, None), given.dtype)


@array_function
def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: Any = None) -> Any:
    """x / √(mean of x² + eps) weight, with the mean over the last axes.

    Zhang, Sennrich, Root mean square layer normalization, NeurIPS 2019.

    Arguments:
        input: (*any, *normalized_shape).
        weight: of shape normalized_shape.
        eps: the machine epsilon of the input's dtype by default.

    >>> rms_norm(np.array([3.0, -3.0]), 2, eps=0.0)
    array([ 1., -1.])
    """
    given = real_floating("rms_norm", input)
    axes = _last_axes("rms_norm", given, normalized_shape, weight)
    small = float(ml_dtypes.finfo(given.dtype).eps) if eps is None else eps
    x = convert(given, accumulator(given.dtype))
    square = _mean(elementwise.mul(x, x), axes)
    inverse = 1 / elementwise.sqrt(square + scalar("rms_norm", "eps", small, square))
    y = elementwise.mul(x, _repeated(inverse, x, axes))
    return convert(_affine("rms_norm", y, weight, None, None), given.dtype)


@array_function
def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """(x - mean) / √(variance + eps) weight + bias, channel by channel; with the new running statistics.

    Ioffe, Szegedy, Batch normalization, ICML 2015. The arguments are PyTorch's; its in-place update of the running
    statistics is a second result here: y, (running_mean, running_var).

    Arguments:
        input: (batch, channels, *any).
        running_mean, running_var: (channels,), or None if none are kept (in training).
        weight, bias: (channels,).
        training: whether mean and (biased) variance are those of the batch, else they are the running ones.
        momentum: running = (1 - momentum) running + momentum batch's, with the unbiased variance; no derivative
            flows through them.

    >>> y, (mean, variance) = batch_norm(np.array([[1.0], [3.0]]), np.zeros(1), np.ones(1), training=True, eps=0.0)
    >>> y, mean, variance
    (array([[-1.],
           [ 1.]]), array([0.2]), array([1.1]))
    """
    given = real_floating("batch_norm", input)
    if given.ndim < 2:
        raise ShapeError(f"nn.batch_norm: input must be (batch, channels, ...), got {given.type}", hint="x[:, None]")
    x = convert(given, accumulator(given.dtype))
    axes = (0, *range(2, x.ndim))
    running = _statistics(running_mean, running_var, x.shape[1])
    if not training:
        if running[0] is None or running[1] is None:
            raise ArgumentError("nn.batch_norm: no running statistics", hint="give both, or training=True")
        mean, variance = (convert(v, x.dtype) for v in running)
        inverse = along(1 / elementwise.sqrt(variance + scalar("batch_norm", "eps", eps, variance)), x.shape, 1)
        y = elementwise.mul(elementwise.sub(x, along(mean, x.shape, 1)), inverse)
        return convert(_affine("batch_norm", y, weight, bias, 1), given.dtype), running
    count = x.type.size // max(x.shape[1], 1)
    if count < 2:
        raise ShapeError(f"nn.batch_norm: one value per channel in {x.type} has no variance", hint="a larger batch")
    y, mean, variance = _normalised("batch_norm", x, axes, eps)
    y = convert(_affine("batch_norm", y, weight, bias, 1), given.dtype)
    batch = (mean, variance * (count / (count - 1)))
    return y, tuple([_moved(old, new, momentum) for old, new in zip(running, batch, strict=True)])


def _statistics(mean: Any, variance: Any, channels: int) -> tuple[Value | None, Value | None]:
    """The running statistics, checked."""
    found = []
    for what, given in (("running_mean", mean), ("running_var", variance)):
        v = given if given is None else real_floating("batch_norm", given)
        if v is not None and v.shape != (channels,):
            raise ShapeError(
                f"nn.batch_norm: {what} must have one entry for each of {channels} channels, got {v.type}",
                hint=f"its shape must be ({channels},)",
            )
        found.append(v)
    return found[0], found[1]


def _moved(old: Value | None, new: Value, momentum: Any) -> Value | None:
    """A running statistic after a batch."""
    if old is None:
        return None
    rate = scalar("batch_norm", "momentum", momentum, old)
    return stop_gradient(old * (1 - rate) + convert(new, old.dtype) * rate)


@array_function
def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """(x - mean) / √(variance + eps) weight + bias, with mean and (biased) variance over each group of channels.

    Wu, He, Group normalization, ECCV 2018.

    Arguments:
        input: (batch, channels, *any).
        num_groups: divides the number of channels.
        weight, bias: (channels,).

    >>> group_norm(np.array([[1.0, 3.0, 5.0, 5.0]]), 2, eps=1e-5).round(3)
    array([[-1.,  1.,  0.,  0.]])
    """
    return _grouped("group_norm", input, static_int(num_groups, "nn.group_norm", "num_groups"), weight, bias, eps)


@array_function
def instance_norm(input: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """(x - mean) / √(variance + eps) weight + bias, for each channel of each element of the batch by itself.

    Ulyanov, Vedaldi, Lempitsky, Instance normalization, 2016.

    Arguments:
        input: (batch, channels, *any).
        weight, bias: (channels,).

    >>> instance_norm(np.array([[[1.0, 3.0]]]), eps=0.0)
    array([[[-1.,  1.]]])
    """
    return _grouped("instance_norm", input, None, weight, bias, eps)


def _grouped(name: str, input: Any, groups: int | None, weight: Any, bias: Any, eps: Any) -> Value:
    """Normalised over groups of channels; None for groups of one channel."""
    given = real_floating(name, input)
    if given.ndim < 2:
        raise ShapeError(f"nn.{name}: input must be (batch, channels, ...), got {given.type}", hint="x[:, None]")
    batch, channels = given.shape[:2]
    groups = channels if groups is None else groups
    if groups < 1 or channels % groups:
        raise ShapeError(f"nn.{name}: {channels} channels do not fall into {groups} groups", hint="use a divisor")
    x = convert(given, accumulator(given.dtype))
    size = given.type.size // max(batch * groups, 1)
    y, _, _ = _normalised(name, reshape(x, shape=(batch, groups, size)), (2,), eps)
    return convert(_affine(name, reshape(y, shape=x.shape), weight, bias, 1), given.dtype)
