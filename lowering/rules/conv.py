"""StableHLO for convolutions and windows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lilith.ir.graph import Node
from lilith.ir.type import TensorType, kind, real_dtype
from lilith.ops.conv import Geometry, extent
from lilith.ops.pooling import Pooling
from lowering.emit import RULES, Emitter, Rule, i64_array
from lowering.rules.reduction import lowest, reduce


def padding(low: Sequence[int], high: Sequence[int]) -> str:
    """Padding as StableHLO takes it: a matrix with a row per axis."""
    rows = ", ".join(f"[{before}, {after}]" for before, after in zip(low, high, strict=True))
    return f"dense<[{rows}]> : tensor<{len(low)}x2xi64>"


class Operand(NamedTuple):
    """A name in the module and its type."""

    name: str
    type: TensorType


def _convolution(e: Emitter, x: Operand, w: Operand, at: Geometry, groups: int = 1, batch_groups: int = 1) -> Operand:
    """One StableHLO convolution. Full precision of the dtype: without it GPUs round float32 operands to fewer bits."""
    highest = "#stablehlo<precision HIGHEST>"
    space = ", ".join(map(str, range(len(at.strides))))
    attributes = (
        f"window_strides = {i64_array(at.strides)}, padding = {padding(at.low, at.high)}, "
        f"lhs_dilation = {i64_array(at.lhs_dilation)}, rhs_dilation = {i64_array(at.rhs_dilation)}, "
        f"dimension_numbers = #stablehlo.conv<[b, f, {space}]x[o, i, {space}]->[b, f, {space}]>, "
        f"feature_group_count = {groups} : i64, "
        f"batch_group_count = {batch_groups} : i64, precision_config = [{highest}, {highest}]"
    )
    result = at.result(x.type, w.type, batch_groups)
    return Operand(e.op("stablehlo.convolution", (x.name, w.name), (x.type, w.type), result, attributes), result)


# Up to this many groups are convolutions of their own on CPU.
_SEPARATE = 8
# Up to this many products are added up elementwise for each element of a depthwise convolution on CPU.
_PRODUCTS = 32


def _grouped(e: Emitter, x: Operand, w: Operand, at: Geometry, groups: int, batch_groups: int) -> Operand:
    """A convolution in groups. On CPU XLA's own are slow, by a factor of a thousand with most batch groups."""
    if groups == batch_groups == 1 or e.platform != "cpu" or 1 < batch_groups == w.type.shape[0]:
        return _convolution(e, x, w, at, groups, batch_groups)
    if batch_groups > 1:
        n, *rest = x.type.shape
        size = n // batch_groups
        split = _reshape(e, x, (batch_groups, size, *rest))
        moved = split.type.with_shape((size, batch_groups, *rest))
        order = f"permutation = {i64_array((1, 0, *range(2, moved.ndim)))}"
        name = e.op("stablehlo.transpose", (split.name,), (split.type,), moved, order)
        x = _reshape(e, Operand(name, moved), (size, batch_groups * rest[0], *rest[1:]))
        groups = batch_groups
    if math.prod(w.type.shape[1:]) <= _PRODUCTS and w.type.shape[1] == 1:
        return _depthwise(e, x, w, at)
    if groups > _SEPARATE:
        return _convolution(e, x, w, at, groups)
    channels, outputs = x.type.shape[1] // groups, w.type.shape[0] // groups
    parts = [
        _convolution(e, _part(e, x, 1, k * channels, channels), _part(e, w, 0, k * outputs, outputs), at)
        for k in range(groups)
    ]
    result = at.result(x.type, w.type)
    names, types = [part.name for part in parts], [part.type for part in parts]
    return Operand(e.op("stablehlo.concatenate", names, types, result, "dimension = 1 : i64"), result)


def _pad(e: Emitter, x: Operand, low: Sequence[int], high: Sequence[int], dilation: Sequence[int]) -> Operand:
    """x with its elements `dilation` apart and zeros around."""
    scalar = TensorType((), x.type.dtype)
    shape = [lo + extent(n, d) + hi for n, lo, hi, d in zip(x.type.shape, low, high, dilation, strict=True)]
    whole = x.type.with_shape(tuple(shape))
    attributes = (
        f"edge_padding_low = {i64_array(low)}, edge_padding_high = {i64_array(high)}, "
        f"interior_padding = {i64_array([d - 1 for d in dilation])}"
    )
    operands = (x.name, e.constant(0, scalar))
    return Operand(e.op("stablehlo.pad", operands, (x.type, scalar), whole, attributes), whole)


def _repeat(e: Emitter, x: Operand, shape: Sequence[int], axes: Sequence[int]) -> Operand:
    type = x.type.with_shape(tuple(shape))
    attributes = f"broadcast_dimensions = {i64_array(axes)}"
    return Operand(e.op("stablehlo.broadcast_in_dim", (x.name,), (x.type,), type, attributes), type)


def _depthwise(e: Emitter, x: Operand, w: Operand, at: Geometry) -> Operand:
    """y[n, c m + j, p] = Σ x[n, c, p stride + k dilation - low] w[c m + j, 0, k], a product of arrays for each k."""
    result, space = at.result(x.type, w.type), len(at.strides)
    whole = _pad(e, x, (0, 0, *at.low), (0, 0, *at.high), (1, 1, *at.lhs_dilation))
    batch, channels = x.type.shape[:2]
    outputs, strides = w.type.shape[0], (1, 1, *at.strides)
    total = ""
    for k in itertools.product(*map(range, w.type.shape[2:])):
        start = (0, 0, *[n * d for n, d in zip(k, at.rhs_dilation, strict=True)])
        taken = _slice(e, whole, start, strides, (batch, channels, *result.shape[2:]))
        if outputs > channels:
            split = (batch, channels, outputs // channels, *result.shape[2:])
            taken = _reshape(e, _repeat(e, taken, split, (0, 1, *range(3, 3 + space))), result.shape)
        column = _slice(e, w, (0, 0, *k), (1,) * (2 + space), (outputs, *(1,) * (1 + space)))
        factor = _repeat(e, _reshape(e, column, (outputs,)), result.shape, (1,))
        product = e.op("stablehlo.multiply", (taken.name, factor.name), (result, result), result)
        total = e.op("stablehlo.add", (total, product), (result, result), result) if total else product
    return Operand(total, result)


def _reshape(e: Emitter, x: Operand, shape: Sequence[int]) -> Operand:
    type = x.type.with_shape(tuple(shape))
    return Operand(e.op("stablehlo.reshape", (x.name,), (x.type,), type), type)


def _slice(e: Emitter, x: Operand, start: Sequence[int], strides: Sequence[int], sizes: Sequence[int]) -> Operand:
    """`sizes` elements from `start` on, `strides` apart."""
    limits = [begin + (n - 1) * step + 1 for begin, step, n in zip(start, strides, sizes, strict=True)]
    type = x.type.with_shape(tuple(sizes))
    attributes = (
        f"start_indices = {i64_array(start)}, limit_indices = {i64_array(limits)}, strides = {i64_array(strides)}"
    )
    return Operand(e.op("stablehlo.slice", (x.name,), (x.type,), type, attributes), type)


def _part(e: Emitter, x: Operand, axis: int, begin: int, size: int) -> Operand:
    """x[begin : begin + size] along an axis."""
    start, sizes = [0] * x.type.ndim, list(x.type.shape)
    start[axis], sizes[axis] = begin, size
    return _slice(e, x, start, (1,) * x.type.ndim, sizes)


def _conv(e: Emitter, node: Node, operands: list[str]) -> str:
    """Complex ones by parts, (a + ib) * (c + id) = a * c - b * d + i (a * d + b * c): few devices know them."""
    params, result = dict(node.params), node.results[0].type
    groups = params.pop("feature_groups"), params.pop("batch_groups")
    x, w = (Operand(name, value.type) for name, value in zip(operands, node.operands, strict=True))
    if result.size == 0 or x.type.size == 0 or w.type.size == 0:
        return e.constant(0, result)
    at = Geometry(**params)
    if kind(result.dtype) != "c":
        return _grouped(e, x, w, at, *groups).name
    real = result.with_dtype(real_dtype(result.dtype))

    def parts(z: Operand) -> list[Operand]:
        type = z.type.with_dtype(real.dtype)
        return [Operand(e.op(f"stablehlo.{part}", (z.name,), (z.type,), type), type) for part in ("real", "imag")]

    (a, b), (c, d) = parts(x), parts(w)
    ac, bd, ad, bc = (_grouped(e, x, w, at, *groups).name for x, w in ((a, c), (b, d), (a, d), (b, c)))
    difference = e.op("stablehlo.subtract", (ac, bd), (real, real), real)
    total = e.op("stablehlo.add", (ad, bc), (real, real), real)
    return e.op("stablehlo.complex", (difference, total), (real, real), result)


def _window_reduction(operation: str, initial: Callable[[np.dtype], Any]) -> Rule:
    """Axis by axis on CPU, where the time of a window goes with its size; the result is the same."""

    def once(e: Emitter, x: str, type: TensorType, at: Pooling) -> tuple[str, TensorType]:
        scalar = TensorType((), type.dtype)
        result = type.with_shape(at.shape(type.shape))
        attributes = (
            f"window_dimensions = {i64_array(at.window)}, window_strides = {i64_array(at.strides)}, "
            f"window_dilations = {i64_array(at.dilation)}, padding = {padding(at.low, at.high)}"
        )
        start = e.constant(initial(type.dtype), scalar)
        reducer = e.reducer(operation, type.dtype)
        return e.op("stablehlo.reduce_window", (x, start), (type, scalar), result, attributes, reducer), result

    def rule(e: Emitter, node: Node, operands: list[str]) -> str:
        x, type, result = operands[0], node.operands[0].type, node.results[0].type
        at = Pooling(**node.params)
        if result.size == 0 or type.size == 0:
            return e.constant(initial(type.dtype), result)
        whole = at.whole_axes(type.shape)
        if whole:
            x = reduce(e, operation, initial(type.dtype), x, type, whole)
            kept = type.with_shape(tuple([1 if axis in whole else n for axis, n in enumerate(type.shape)]))
            left = type.with_shape(tuple([n for axis, n in enumerate(type.shape) if axis not in whole]))
            x, type = e.op("stablehlo.reshape", (x,), (left,), kept), kept
        rest = tuple([axis for axis in at.pooled_axes() if axis not in whole])
        for axes in [(axis,) for axis in rest] if e.platform == "cpu" else [rest] if rest else []:
            x, type = once(e, x, type, at.of_axes(axes))
        return x

    return rule


RULES.update(
    {
        "conv": _conv,
        "reduce_window_sum": _window_reduction("stablehlo.add", lambda dtype: 0),
        "reduce_window_max": _window_reduction("stablehlo.maximum", lowest),
    }
)
