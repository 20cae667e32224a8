"""Jacobians: one derivative graph over a stack of unit vectors, compiled once, instead of a loop over rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lilith.ir.graph import Builder, Graph, Value
from lilith.ir.type import TensorType
from lilith.ops.elementwise import convert, eq
from lilith.ops.shape import fill, iota, part, reshape, transpose
from lilith.transform.batch import batch
from lilith.transform.forward import forward
from lilith.transform.reverse import carries_derivative, reverse
from lilith.transform.simplify import simplify

_INT64 = np.dtype(np.int64)


def jacobian(graph: Graph, wanted: Sequence[int], in_reverse: bool) -> Graph:
    """The Jacobian of every floating output by every wanted input.

    Arguments:
        graph: `(x...) -> (y...)`.
        wanted: indices of the inputs to differentiate by.
        in_reverse: a row per element of the outputs (reverse mode), else a column per element of the inputs.

    Returns:
        The graph `(x...) -> (y..., block...)`: for the first floating output its blocks by all wanted inputs, then for
        the next one. A block has the shape `(*y.shape, *x.shape)`.
    """
    count = len(graph.outputs)
    derived = simplify((reverse if in_reverse else forward)(graph, wanted))
    extra = derived.inputs[len(graph.inputs) :]
    size = sum(x.type.size for x in extra)
    results = [y for y in graph.outputs if carries_derivative(y)]
    sources = [graph.inputs[i] for i in wanted]
    flags = [False] * len(graph.inputs) + [True] * len(extra)
    with Builder() as builder:
        builder.nodes.extend(graph.nodes)
        if size:
            stacked = batch(derived.with_outputs(derived.outputs[count:]), flags, size)
            found = builder.inline(stacked, [*graph.inputs, *_units([x.type for x in extra], size)])
            blocks = (_rows if in_reverse else _columns)(results, sources, found)
        else:
            blocks = [fill(value=0.0, shape=y.shape + x.shape, dtype=y.dtype) for y in results for x in sources]
    nodes = tuple(builder.nodes)
    return Graph(graph.name, graph.inputs, graph.input_names, nodes, (*graph.outputs, *blocks))


def _units(types: Sequence[TensorType], size: int) -> list[Value]:
    """The unit vectors of the space of all these arrays together: for each array a stack of `size`."""
    units = []
    start = 0
    for type in types:
        n = type.size
        row = iota(shape=(size, n), axis=0, dtype=_INT64)
        column = iota(shape=(size, n), axis=1, dtype=_INT64)
        diagonal = convert(eq(row, column + start) if start else eq(row, column), dtype=type.dtype)
        units.append(reshape(diagonal, shape=(size, *type.shape)))
        start += n
    return units


def _rows(results: Sequence[Value], sources: Sequence[Value], stacks: Sequence[Value]) -> list[Value]:
    """Blocks from the stack of cotangents of each source, an element of it per element of the results."""
    blocks = []
    start = 0
    for y in results:
        stop = start + y.type.size
        blocks += [
            reshape(part(stack, 0, start, stop), shape=y.shape + x.shape)
            for x, stack in zip(sources, stacks, strict=True)
        ]
        start = stop
    return blocks


def _columns(results: Sequence[Value], sources: Sequence[Value], stacks: Sequence[Value]) -> list[Value]:
    """Blocks from the stack of tangents of each result, an element of it per element of the sources."""
    blocks = []
    for y, stack in zip(results, stacks, strict=True):
        start = 0
        for x in sources:
            stop = start + x.type.size
            moved = transpose(part(stack, 0, start, stop), axes=(*range(1, stack.ndim), 0))
            blocks.append(reshape(moved, shape=y.shape + x.shape))
            start = stop
    return blocks
