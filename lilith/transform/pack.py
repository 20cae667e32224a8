"""Pack: small outputs of one dtype leave the program in one buffer, since each output costs a call about a
microsecond."""

from __future__ import annotations

from collections.abc import Sequence

from lilith.ir.graph import Builder, Graph
from lilith.ops.shape import concatenate, reshape

PACK_BYTES = 4096
"""Outputs larger than this stay on their own: copying them would cost more than it saves."""


def pack(graph: Graph, candidates: Sequence[int]) -> tuple[Graph, list[tuple[int, int | None]]]:
    """Join those of the `candidates` among the outputs that are small and not alone with their dtype.

    Returns:
        The packed graph and, for every output of the original one, its place: in which output of the packed graph it
        is, and from which element on (None where it is not packed).
    """
    groups: dict[str, list[int]] = {}
    for i in candidates:
        if graph.outputs[i].type.nbytes <= PACK_BYTES:
            groups.setdefault(str(graph.outputs[i].dtype), []).append(i)
    groups = {dtype: members for dtype, members in groups.items() if len(members) > 1}
    packed = {i for members in groups.values() for i in members}
    outputs = [y for i, y in enumerate(graph.outputs) if i not in packed]
    places: dict[int, tuple[int, int | None]] = {}
    for i in range(len(graph.outputs)):
        if i not in packed:
            places[i] = (len(places), None)
    with Builder() as builder:
        builder.nodes.extend(graph.nodes)
        for members in groups.values():
            start, parts = 0, []
            for i in members:
                y = graph.outputs[i]
                places[i] = (len(outputs), start)
                start += y.type.size
                parts.append(reshape(y, shape=(y.type.size,)))
            outputs.append(concatenate(*parts, axis=0))
    result = Graph(graph.name, graph.inputs, graph.input_names, tuple(builder.nodes), tuple(outputs))
    return result, [places[i] for i in range(len(graph.outputs))]
