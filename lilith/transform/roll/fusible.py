"""The rows of a rolled stretch that are written for no reason but the rolling: unrolled, XLA fuses them away."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from lilith.ir.graph import Graph, Node, Value
from lilith.ir.type import is_inexact
from lilith.transform.roll import cost
from lilith.transform.roll.emit import Emission
from lilith.transform.roll.sequence import Sequence


class Columns(NamedTuple):
    """How wide a program gets: of every array there are `width`, as many as a Jacobian has tangents or a map slices.

    Attributes:
        sources: in reverse mode what the derivatives are by: there the cotangents are so many.
        linear: what there is so much of are tangents or cotangents. Sums of their products are contracted (see
            `transform.contract`), without rows; but not where a selection keeps some of them zero.
    """

    width: int = 1
    sources: tuple[Value, ...] = ()
    linear: bool = False


def fusible_bytes(sequence: Sequence, emission: Emission, columns: Columns) -> int:
    """The bytes, in all columns, of all copies' terms of sums and of their results that elementwise operations read,
    where elementwise operations make them; in reverse mode the terms are those of the cotangents of what is the same
    in all copies. What a product makes or reads, and what is returned, is written in any case."""
    if columns.width == 1 or (columns.linear and not any(map(_selects, emission.body.builder.nodes))):
        return 0
    rows = _results(sequence, emission)
    if columns.sources:
        rows += _read_by_all(sequence.graph, emission, columns.sources)
    else:
        made = {y for node in emission.body.builder.nodes if cost.fuses(node) for y in node.results}
        rows += [term for s in emission.every_sum for _, term in s.terms if term in made]
    return columns.width * emission.count * sum([y.type.nbytes for y in rows if is_inexact(y.dtype)])


def _selects(node: Node) -> bool:
    return node.primitive.masks and cost.fuses(node) and node.primitive.name != "slice"


def _results(sequence: Sequence, emission: Emission) -> list[Value]:
    """The stacked results that only elementwise operations make and read."""
    body = emission.body
    made = {y for node in body.builder.nodes if cost.fuses(node) for y in node.results}
    read = {place: set(body.plan.read[place].values()) for place in emission.stacked if body.results[place] in made}
    wanted = {y for values in read.values() for y in values}
    origin = {y: y for y in wanted}
    written = wanted.intersection(sequence.graph.outputs)
    for node in sequence.graph.nodes:
        found = [origin[x] for x in node.operands if x in origin]
        if found and not cost.fuses(node):
            written.update(found)
        elif found and node.primitive.name in ("reshape", "broadcast_in_dim"):  # as np.stack does
            origin.update((y, found[0]) for y in node.results)
    return [body.results[place] for place, values in read.items() if written.isdisjoint(values)]


def _read_by_all(graph: Graph, emission: Emission, sources: Collection[Value]) -> list[Value]:
    """What all copies read in elementwise operations and depends on the sources."""
    active = set(sources)
    for node in graph.nodes:
        if not active.isdisjoint(node.operands):
            active.update(node.results)
    body = emission.body
    fused = {x for node in body.builder.nodes if cost.fuses(node) for x in node.operands}
    return [x for x, inside in body.fixed.items() if x in active and inside in fused]
