"""Pack: small inputs and outputs of one dtype travel in one buffer, since each costs a call some microseconds."""

from __future__ import annotations

from collections.abc import Sequence

from lilith.ir.graph import Builder, Graph, Value
from lilith.ir.type import TensorType, dtype_name
from lilith.ops.shape import concatenate, reshape
from lilith.ops.slicing import slice

PACK_BYTES = 4096
"""Arrays larger than this stay on their own: copying them would cost more than it saves."""

TANGENT_BYTES = 512
"""The same where tangents come with the arguments: of a kernel that treats both alike XLA compiles one, as long as
neither is a slice of something else; 4 ms each."""


def _groups(values: Sequence[Value], candidates: Sequence[int], limit: int = PACK_BYTES) -> list[list[int]]:
    """Which of the candidates are packed together: small ones of one dtype, at least two."""
    groups: dict[str, list[int]] = {}
    for i in candidates:
        if values[i].type.nbytes <= limit:
            groups.setdefault(dtype_name(values[i].dtype), []).append(i)
    return [members for members in groups.values() if len(members) > 1]


def pack_outputs(graph: Graph, candidates: Sequence[int]) -> tuple[Graph, list[tuple[int, int | None]]]:
    """Join those of the `candidates` among the outputs that are small and not alone with their dtype.

    Returns:
        The packed graph and, for every output of the original one, its place: in which output of the packed graph it
        is, and from which element on (None where it is not packed). Outputs that are not packed come first.
    """
    groups = _groups(graph.outputs, candidates)
    packed = {i for members in groups for i in members}
    outputs = [y for i, y in enumerate(graph.outputs) if i not in packed]
    single = [i for i in range(len(graph.outputs)) if i not in packed]
    places: dict[int, tuple[int, int | None]] = {i: (k, None) for k, i in enumerate(single)}
    with Builder() as builder:
        builder.nodes.extend(graph.nodes)
        for members in groups:
            start, parts = 0, []
            for i in members:
                y = graph.outputs[i]
                places[i] = (len(outputs), start)
                start += y.type.size
                parts.append(reshape(y, shape=(y.type.size,)))
            outputs.append(concatenate(*parts, axis=0))
    result = Graph(graph.name, graph.inputs, graph.input_names, tuple(builder.nodes), tuple(outputs))
    return result, [places[i] for i in range(len(graph.outputs))]


def pack_inputs(graph: Graph, candidates: Sequence[int], limit: int = PACK_BYTES) -> tuple[Graph, list[list[int]]]:
    """Take those of the `candidates` among the inputs that are small and not alone with their dtype from one buffer.

    Returns:
        The packed graph and the groups: the inputs whose elements, flattened and one after the other, make up each of
        the packed graph's first inputs. The other inputs follow in their order.
    """
    groups = _groups(graph.inputs, candidates, limit)
    packed = {i for members in groups for i in members}
    single = [i for i in range(len(graph.inputs)) if i not in packed]
    env: dict[Value, Value] = {}
    buffers, names = [], []
    with Builder() as builder:
        for members in groups:
            size = sum(graph.inputs[i].type.size for i in members)
            buffer = Value(TensorType((size,), graph.inputs[members[0]].dtype))
            buffers.append(buffer)
            names.append("+".join(graph.input_names[i] for i in members))
            start = 0
            for i in members:
                x = graph.inputs[i]
                stop = start + x.type.size
                env[x] = reshape(slice(buffer, start=(start,), limit=(stop,), stride=(1,)), shape=x.shape)
                start = stop
        values = [env.get(x, x) for x in graph.inputs]
        outputs = builder.inline(graph, values)
    inputs = (*buffers, *(graph.inputs[i] for i in single))
    input_names = (*names, *(graph.input_names[i] for i in single))
    return Graph(graph.name, inputs, input_names, tuple(builder.nodes), tuple(outputs)), groups


def join_last(graph: Graph, count: int) -> Graph:
    """The graph with its last `count` outputs, scalars of one dtype, as one vector."""
    first = len(graph.outputs) - count
    with Builder() as builder:
        builder.nodes.extend(graph.nodes)
        parts = [reshape(y, shape=(1,)) for y in graph.outputs[first:]]
        vector = parts[0] if count == 1 else concatenate(*parts, axis=0)
    outputs = (*graph.outputs[:first], vector)
    return Graph(graph.name, graph.inputs, graph.input_names, tuple(builder.nodes), outputs)
