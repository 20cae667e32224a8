"""Batching: a graph over arrays becomes a graph over stacks of arrays, one pass forward, a rule per primitive."""

from __future__ import annotations

from collections.abc import Sequence

from lilith.ir.graph import Builder, Graph, Node, Value
from lilith.ir.primitive import primitive
from lilith.ops.elementwise import repeat_leading
from lilith.source import ArgumentError


def batched_outputs(graph: Graph, batched: Sequence[bool]) -> tuple[bool, ...]:
    """For each output, whether it depends on a batched input."""
    found = {x for x, b in zip(graph.inputs, batched, strict=True) if b}
    for node in graph.nodes:
        if not found.isdisjoint(node.operands):
            found.update(node.results)
    return tuple([y in found for y in graph.outputs])


def batch(graph: Graph, batched: Sequence[bool], size: int, repeated: Sequence[bool] | None = None) -> Graph:
    """The graph applied to each of `size` elements at once.

    Arguments:
        graph: `(x...) -> (y...)`.
        batched: for each input, whether it has a new leading axis of length `size`; the others are shared by all.
        size: the length of that axis.
        repeated: for each output, whether it has the new axis even if it does not depend on a batched input; by default
            all outputs do.

    Returns:
        The graph `(x...) -> (y...)` whose outputs have the new leading axis. What does not depend on a batched input is
        computed once, and repeated only where it is an output.
    """
    if len(batched) != len(graph.inputs):
        raise ArgumentError(
            f"batch: {graph.name} has {len(graph.inputs)} inputs, got {len(batched)} flags", hint="one bool per input"
        )
    inputs = tuple(
        [Value(x.type.with_shape((size, *x.shape))) if b else x for x, b in zip(graph.inputs, batched, strict=True)]
    )
    lifted = {x: new for x, new, b in zip(graph.inputs, inputs, batched, strict=True) if b}
    with Builder() as builder:
        for node in graph.nodes:
            flags = tuple([x in lifted for x in node.operands])
            if True not in flags:
                builder.nodes.append(node)
                continue
            builder.source = node.source
            out = node.primitive.batch(flags, *[lifted.get(x, x) for x in node.operands], **node.params)
            results = out if isinstance(out, tuple) else (out,)
            lifted.update(zip(node.results, results, strict=True))
        builder.source = None
        outputs = [
            lifted[y] if y in lifted else repeat_leading(y, size) if repeat else y
            for y, repeat in zip(graph.outputs, repeated or (True,) * len(graph.outputs), strict=True)
        ]
    return Graph(graph.name, inputs, graph.input_names, tuple(builder.nodes), tuple(outputs))


def batch_at(graph: Graph, axes: Sequence[int | None], size: int) -> Graph:
    """`batch` over arguments whose batch axis is at `axes[i]`; None where an argument has none."""
    batched = batch(graph, [axis is not None for axis in axes], size)
    inputs, moves = [], []
    for x, axis in zip(batched.inputs, axes, strict=True):
        if not axis:
            inputs.append(x)
            continue
        given = Value(x.type.with_shape((*x.shape[1 : axis + 1], size, *x.shape[axis + 1 :])))
        inputs.append(given)
        order = (axis, *(k for k in range(x.ndim) if k != axis))
        moves.append(Node(primitive("transpose"), (given,), {"axes": order}, (x,), None))
    return Graph(graph.name, tuple(inputs), graph.input_names, (*moves, *batched.nodes), batched.outputs)
