"""StableHLO for operations that have graphs as parameters."""

from __future__ import annotations

import numpy as np

from lilith.ir.graph import Graph, Node
from lilith.ir.type import TensorType, kind
from lowering.calls import region
from lowering.emit import RULES, Emitter, i64_array
from lowering.rules.elementwise import compare

_FLAG = TensorType((), np.dtype(bool))


def _write(e: Emitter, graph: Graph, operands: list[str]) -> tuple[str, ...]:
    return tuple(e.body(graph, operands))


def _named(e: Emitter, node: Node, operands: list[str]) -> str:
    return operands[0]


def _custom(e: Emitter, node: Node, operands: list[str]) -> tuple[str, ...]:
    return _write(e, node.params["body"], operands)


def _linear(e: Emitter, node: Node, operands: list[str]) -> tuple[str, ...]:
    return _write(e, node.params["rule"].graph(), operands)


def _checkpoint(e: Emitter, node: Node, operands: list[str]) -> tuple[str, ...]:
    """The way back goes through an optimization barrier, and the compiler does not find what was computed before.

    XLA:CPU drops barriers before it looks for common subexpressions. There the way back is one branch of two, and which
    one is taken depends on the data as far as the compiler can see; it is always the same.
    """
    body = node.params["body"]
    if not node.params["again"] or not operands:
        return _write(e, body, operands)
    types = [x.type for x in node.operands]
    if e.platform != "cpu":
        behind = e.several("stablehlo.optimization_barrier", operands, types, types, "")
        if len(operands) == 1:
            behind = (behind[0].removesuffix("#0"),)
        return _write(e, body, list(behind))
    results = [y.type for y in body.outputs]
    taken = _always(e, operands, types)
    if taken is None:
        return _write(e, body, operands)
    away = region(e, lambda: [e.constant(0, t) for t in results], results)
    again = region(e, lambda: _write(e, body, operands), results)
    return e.several("stablehlo.if", (taken,), (_FLAG,), results, "", f"{again}, {away}")


def _always(e: Emitter, operands: list[str], types: list[TensorType]) -> str | None:
    """A flag that is always true, computed from one number so that the compiler does not see it: its last bit is less
    than two."""
    for x, type in zip(reversed(operands), reversed(types), strict=True):
        if not type.size or kind(type.dtype) not in "fiu":
            continue
        scalar = type.with_shape(())
        if type.ndim:
            first = type.with_shape((1,) * type.ndim)
            zeros, ones = i64_array((0,) * type.ndim), i64_array((1,) * type.ndim)
            bounds = f"start_indices = {zeros}, limit_indices = {ones}, strides = {ones}"
            x = e.op("stablehlo.slice", (x,), (type,), first, bounds)
            x = e.op("stablehlo.reshape", (x,), (first,), scalar)
        word = TensorType((), np.dtype(f"u{type.dtype.itemsize}"))
        if word.dtype != type.dtype:
            x = e.op("stablehlo.bitcast_convert", (x,), (scalar,), word)
        bit = e.op("stablehlo.and", (x, e.constant(1, word)), (word, word), word)
        return compare(e, "LT", bit, e.constant(2, word), word)
    return None


RULES.update({"named": _named, "custom": _custom, "linear": _linear, "checkpoint": _checkpoint})
