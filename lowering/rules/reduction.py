"""StableHLO for reductions, positions of extrema and cumulative sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from lilith.ir.graph import Node
from lilith.ir.type import TensorType, kind
from lowering.emit import RULES, Emitter, Rule, i64_array
from lowering.rules.elementwise import compare


def lowest(dtype: np.dtype) -> Any:
    """The identity of max: -inf, the least integer, False."""
    letter = kind(dtype)
    return -np.inf if letter == "f" else False if letter == "b" else int(np.iinfo(dtype).min)


def highest(dtype: np.dtype) -> Any:
    """The identity of min: +inf, the greatest integer, True."""
    letter = kind(dtype)
    return np.inf if letter == "f" else True if letter == "b" else int(np.iinfo(dtype).max)


def _all_bits(dtype: np.dtype) -> Any:
    """The identity of a bitwise and."""
    letter = kind(dtype)
    return True if letter == "b" else -1 if letter == "i" else int(np.iinfo(dtype).max)


def reduce(e: Emitter, name: str, initial: Any, x: str, type: TensorType, axes: tuple[int, ...]) -> str:
    """x combined along axes with the operation `name`, starting from `initial`."""
    if not axes:
        return x
    scalar = TensorType((), type.dtype)
    result = TensorType(tuple([n for axis, n in enumerate(type.shape) if axis not in axes]), type.dtype)
    return e.op(
        "stablehlo.reduce",
        (x, e.constant(initial, scalar)),
        (type, scalar),
        result,
        f"dimensions = {i64_array(axes)}",
        e.reducer(name, type.dtype),
    )


def _reduction(name: str, initial: Any) -> Rule:
    """The rule of a reduction; `initial` is a number, or a function from the dtype to it."""

    def rule(e: Emitter, node: Node, operands: list[str]) -> str:
        type = node.operands[0].type
        start = initial(type.dtype) if callable(initial) else initial
        return reduce(e, name, start, operands[0], type, node.params["axes"])

    return rule


def _position(name: str, initial: Any) -> Rule:
    """The least index at which x equals its extremum or is NaN: two plain reductions, which vectorise."""

    def rule(e: Emitter, node: Node, operands: list[str]) -> str:
        (x,), type, axis = operands, node.operands[0].type, node.params["axis"]
        n, flag = type.shape[axis], TensorType(type.shape, np.dtype(bool))
        best = reduce(e, name, initial(type.dtype), x, type, (axis,))
        kept = [k for k in range(type.ndim) if k != axis]
        best = e.op(
            "stablehlo.broadcast_in_dim",
            (best,),
            (node.results[0].type.with_dtype(type.dtype),),
            type,
            f"broadcast_dimensions = {i64_array(kept)}",
        )
        found = compare(e, "EQ", x, best, type)
        if kind(type.dtype) == "f":
            found = e.op("stablehlo.or", (found, compare(e, "NE", x, x, type)), (flag, flag), flag)
        index = TensorType(type.shape, np.dtype(np.int32 if n < 2**31 else np.int64))
        positions = e.op("stablehlo.iota", (), (), index, f"iota_dimension = {axis} : i64")
        candidates = e.op("stablehlo.select", (found, positions, e.constant(n, index)), (flag, index, index), index)
        first = reduce(e, "stablehlo.minimum", n, candidates, index, (axis,))
        result = node.results[0].type
        return e.op("stablehlo.convert", (first,), (result.with_dtype(index.dtype),), result)

    return rule


RULES.update(
    {
        "reduce_sum": _reduction("stablehlo.add", 0),
        "reduce_prod": _reduction("stablehlo.multiply", 1),
        "reduce_max": _reduction("stablehlo.maximum", lowest),
        "reduce_min": _reduction("stablehlo.minimum", highest),
        "reduce_and": _reduction("stablehlo.and", _all_bits),
        "reduce_or": _reduction("stablehlo.or", 0),
        "argmax": _position("stablehlo.maximum", lowest),
        "argmin": _position("stablehlo.minimum", highest),
    }
)


def _cumsum(e: Emitter, node: Node, operands: list[str]) -> str:
    type, axis = node.operands[0].type, node.params["axis"]
    n, scalar = type.shape[axis], TensorType((), type.dtype)
    if n <= 1 or type.size == 0:
        return operands[0]
    window = [n if k == axis else 1 for k in range(type.ndim)]
    low, high = (0, n - 1) if node.params["reverse"] else (n - 1, 0)
    rows = ", ".join(f"[{low}, {high}]" if k == axis else "[0, 0]" for k in range(type.ndim))
    return e.op(
        "stablehlo.reduce_window",
        (operands[0], e.constant(0, scalar)),
        (type, scalar),
        type,
        f"window_dimensions = {i64_array(window)}, padding = dense<[{rows}]> : tensor<{type.ndim}x2xi64>",
        e.reducer("stablehlo.add", type.dtype),
    )


RULES["cumsum"] = _cumsum
