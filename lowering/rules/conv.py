"""StableHLO for convolutions and windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lilith.ir.graph import Node
from lilith.ir.type import kind, real_dtype
from lowering.emit import RULES, Emitter, i64_array


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


RULES["conv"] = _conv
