"""The body of a scan by its parts; and slices of constants by the number of the step, which are rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lilith.ir.graph import Graph, Node, Value, current_builder
from lilith.ir.interpret import interpret
from lilith.ir.primitive import primitive
from lilith.ops.shape import reshape, rev
from lilith.ops.slicing import slice
from lilith.transform.batch import batch
from lilith.transform.parts import between


class Body(NamedTuple):
    """A body with its inputs by their parts; `sums` of its outputs are to be added up, not stacked."""

    graph: Graph
    fixed: tuple[Value, ...]
    before: tuple[Value, ...]
    rows: tuple[Value, ...]
    after: tuple[Value, ...]
    stacked: tuple[Value, ...]
    summed: tuple[Value, ...]

    @property
    def step(self) -> Value:
        """The number of the step."""
        return self.graph.inputs[0]


def taken_apart(graph: Graph, constants: int, carries: int, sums: int) -> Body:
    own = graph.inputs[1:]
    stop = len(graph.outputs) - sums
    return Body(
        graph,
        own[:constants],
        own[constants : constants + carries],
        own[constants + carries :],
        graph.outputs[:carries],
        graph.outputs[carries:stop],
        graph.outputs[stop:],
    )


def with_slices_as_rows(b: Body, fixed: list[Value], rows: list[Value], length: int) -> tuple[Body, list[Value]]:
    """The body with `x[i]`, x constant and i evenly spaced from step to step, as a row of its own.

    A loop that reads x[i] is then one that scans over x: the cotangents of the rows are stacked, instead of every step
    adding one of them to an array of x's size.
    """
    if length < 2:
        return b, rows
    still, known = set(b.fixed), {b.step}
    found: dict[Value, Value] = {}
    for node in b.graph.nodes:
        if still.issuperset(node.operands):
            still.update(node.results)
        if known.issuperset(node.operands):
            known.update(node.results)
        name = node.primitive.name
        if name == "dynamic_slice" and node.operands[0] in still and known.issuperset(node.operands[1:]):
            row = _row(b, node, fixed, length)
            if row is not None:
                found[node.results[0]] = row
    if not found:
        return b, rows
    inputs = (*b.graph.inputs, *found)
    graph = between(b.graph, inputs, b.graph.outputs)
    added = taken_apart(graph, len(b.fixed), len(b.before), len(b.summed))
    return added, [*rows, *found.values()]


def _row(b: Body, node: Node, fixed: list[Value], length: int) -> Value | None:
    """What a dynamic slice takes in all steps, stacked; None where that is no strided slice along one axis."""
    x, *starts = node.operands
    sizes = node.params["sizes"]
    part = batch(between(b.graph, (b.step,), starts), [True], length)
    places = interpret(part, [np.arange(length)])
    limits = [n - size for n, size in zip(x.shape, sizes, strict=True)]
    begins = [np.clip(p.astype(np.int64), 0, limit) for p, limit in zip(places, limits, strict=True)]
    moving = [k for k, p in enumerate(begins) if p[0] != p[-1]]
    if len(moving) != 1 or sizes[moving[0]] != 1:
        return None
    axis = moving[0]
    steps = np.diff(begins[axis])
    if any(np.any(p != p[0]) for k, p in enumerate(begins) if k != axis) or np.any(steps != steps[0]):
        return None
    first, stride = int(begins[axis][0]), int(steps[0])
    low = [int(p[0]) for p in begins]
    high = [begin + size for begin, size in zip(low, sizes, strict=True)]
    low[axis], high[axis] = min(first, first + stride * (length - 1)), max(first, first + stride * (length - 1)) + 1
    (array,) = current_builder().inline(between(b.graph, b.fixed, [x]), fixed)
    strides = tuple([abs(stride) if k == axis else 1 for k in range(x.ndim)])
    taken = slice(array, start=tuple(low), limit=tuple(high), stride=strides)
    taken = rev(taken, axes=(axis,)) if stride < 0 else taken
    order = (axis, *[k for k in range(x.ndim) if k != axis])
    return reshape(primitive("transpose")(taken, axes=order), shape=(length, *sizes))
