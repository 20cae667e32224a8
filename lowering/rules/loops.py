"""StableHLO for branches and loops: `case` and `while`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lilith.ir.graph import Graph, Node
from lilith.ir.type import TensorType
from lilith.ops.loops import FLAG, INDEX, types_of
from lowering.emit import RULES, Emitter, i64_array
from lowering.rules.elementwise import compare
from lowering.small import as_kernel_if_small

I32 = TensorType((), np.dtype(np.int32))


def _branch(e: Emitter, graph: Graph, operands: Sequence[str]) -> str:
    return e.region((), lambda _: list(zip(e.body(graph, operands), types_of(graph.outputs), strict=True)))


def _case(e: Emitter, node: Node, operands: list[str]) -> tuple[str, ...]:
    index, type = operands[0], node.operands[0].type
    if type.dtype != I32.dtype:
        index = e.op("stablehlo.convert", (index,), (type,), I32)
    regions = ", ".join([_branch(e, graph, operands[1:]) for graph in node.params["branches"]])
    return e.several("stablehlo.case", (index,), (I32,), types_of(node.results), "", regions)


def loop(
    e: Emitter,
    operands: Sequence[str],
    types: Sequence[TensorType],
    cond: Callable[[list[str]], str],
    body: Callable[[list[str]], Sequence[str]],
) -> tuple[str, ...]:
    """A while of these operands: `cond(names)` writes the condition, `body(names)` a step."""
    regions = ", ".join(
        [
            e.region(types, lambda names: [(cond(names), FLAG)]),
            e.region(types, lambda names: list(zip(body(names), types, strict=True))),
        ]
    )
    return e.several("stablehlo.while", operands, types, types, "", regions)


def _while(e: Emitter, node: Node, operands: list[str]) -> tuple[str, ...]:
    constants = node.params["constants"]
    cond, body = node.params["cond"], node.params["body"]
    out = loop(
        e,
        operands,
        types_of(node.operands),
        lambda names: e.body(cond, names)[0],
        lambda names: [*names[:constants], *e.body(body, names)],
    )
    return out[constants:]


def _row(e: Emitter, x: str, type: TensorType, index: str) -> str:
    """x[index] along the first axis."""
    starts = (index, *[e.constant(0, INDEX)] * (type.ndim - 1))
    slab = type.with_shape((1, *type.shape[1:]))
    sizes = f"slice_sizes = {i64_array(slab.shape)}"
    cut = e.op("stablehlo.dynamic_slice", (x, *starts), (type, *[INDEX] * type.ndim), slab, sizes)
    return e.op("stablehlo.reshape", (cut,), (slab,), type.with_shape(type.shape[1:]))


def _with_row(e: Emitter, x: str, type: TensorType, row: str, index: str) -> str:
    """x with x[index] = row along the first axis."""
    slab = type.with_shape((1, *type.shape[1:]))
    update = e.op("stablehlo.reshape", (row,), (type.with_shape(type.shape[1:]),), slab)
    starts = (index, *[e.constant(0, INDEX)] * (type.ndim - 1))
    return e.op("stablehlo.dynamic_update_slice", (x, update, *starts), (type, slab, *[INDEX] * type.ndim), type)


def _scan(e: Emitter, node: Node, operands: list[str]) -> tuple[str, ...]:
    """A while over a counter, the constants, the carry, the arrays that are read and those that are written."""
    params = node.params
    length, constants, carries = params["length"], params["constants"], params["carries"]
    stacked = node.results[carries:]
    stacks = [e.constant(y.dtype.type(0).item(), y.type) for y in stacked]
    if length == 0:
        return (*operands[constants : constants + carries], *stacks)
    fixed = constants + carries
    types = [INDEX, *types_of(node.operands), *types_of(stacked)]
    read = slice(1 + fixed, 1 + len(operands))

    def body(names: list[str]) -> list[str]:
        e.locate(node.source)
        counter = index = names[0]
        if params["reverse"]:
            index = e.op("stablehlo.subtract", (e.constant(length - 1, INDEX), counter), (INDEX, INDEX), INDEX)
        rows = [_row(e, x, t, index) for x, t in zip(names[read], types[read], strict=True)]
        out = e.body(params["body"], [index, *names[1 : 1 + fixed], *rows])
        e.locate(node.source)
        written = [
            _with_row(e, y, t.type, row, index)
            for y, t, row in zip(names[1 + len(operands) :], stacked, out[carries:], strict=True)
        ]
        following = e.op("stablehlo.add", (counter, e.constant(1, INDEX)), (INDEX, INDEX), INDEX)
        return [following, *names[1 : 1 + constants], *out[:carries], *names[read], *written]

    def cond(names: list[str]) -> str:
        return compare(e, "LT", names[0], e.constant(length, INDEX), INDEX)

    out = loop(e, [e.constant(0, INDEX), *operands, *stacks], types, cond, body)
    return (*out[1 + constants : 1 + fixed], *out[1 + len(operands) :])


def _reverse_while(e: Emitter, node: Node, operands: list[str]) -> list[str]:
    """The loops it stands for. Beside its while_loop it is written together with that (`lilith.ops.checkpoints`)."""
    return e.body(Graph(node.primitive.name, node.operands, ("",) * len(operands), (node,), node.results), operands)


RULES.update(
    {
        "case": _case,
        "while_loop": as_kernel_if_small(_while),
        "scan": as_kernel_if_small(_scan),
        "reverse_while": _reverse_while,
    }
)
