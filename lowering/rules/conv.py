"""StableHLO for convolutions and windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Node
from lilith.ir.type import TensorType, kind, real_dtype
from lilith.ops.pooling import Pooling
from lowering.emit import RULES, Emitter, Rule, i64_array
from lowering.rules.reduction import lowest, reduce


def padding(low: Sequence[int], high: Sequence[int]) -> str:
    """Padding as StableHLO takes it: a matrix with a row per axis."""
    rows = ", ".join(f"[{before}, {after}]" for before, after in zip(low, high, strict=True))
    return f"dense<[{rows}]> : tensor<{len(low)}x2xi64>"


def _convolution(e: Emitter, node: Node, x: str, w: str, dtype: np.dtype) -> str:
    """One convolution. Full precision of the dtype: without it GPUs round float32 operands to fewer bits."""
    params, result = node.params, node.results[0].type.with_dtype(dtype)
    space = ", ".join(map(str, range(result.ndim - 2)))
    highest = "#stablehlo<precision HIGHEST>"
    attributes = (
        f"window_strides = {i64_array(params['strides'])}, padding = {padding(params['low'], params['high'])}, "
        f"lhs_dilation = {i64_array(params['lhs_dilation'])}, rhs_dilation = {i64_array(params['rhs_dilation'])}, "
        f"dimension_numbers = #stablehlo.conv<[b, f, {space}]x[o, i, {space}]->[b, f, {space}]>, "
        f"feature_group_count = {params['feature_groups']} : i64, "
        f"batch_group_count = {params['batch_groups']} : i64, precision_config = [{highest}, {highest}]"
    )
    types = [operand.type.with_dtype(dtype) for operand in node.operands]
    return e.op("stablehlo.convolution", (x, w), types, result, attributes)


def _conv(e: Emitter, node: Node, operands: list[str]) -> str:
    """Complex ones by parts, (a + ib) * (c + id) = a * c - b * d + i (a * d + b * c): few devices know them."""
    result = node.results[0].type
    types = [x.type for x in node.operands]
    if result.size == 0 or any(t.size == 0 for t in types):
        return e.constant(0, result)
    if kind(result.dtype) != "c":
        return _convolution(e, node, operands[0], operands[1], result.dtype)
    real = result.with_dtype(real_dtype(result.dtype))
    (a, b), (c, d) = (
        [e.op(f"stablehlo.{part}", (x,), (t,), t.with_dtype(real.dtype)) for part in ("real", "imag")]
        for x, t in zip(operands, types, strict=True)
    )
    ac, bd, ad, bc = (_convolution(e, node, x, w, real.dtype) for x, w in ((a, c), (b, d), (a, d), (b, c)))
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
