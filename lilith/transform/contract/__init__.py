"""Sums of products, contracted in the order in which least is computed and written; Graph -> Graph of the same meaning.

A sum over a product of arrays of which none is as large as the product, as `(a[:, :, None] * b).sum(1)` or the tangents
of many points that a few matrices move, is a product of matrices (Einstein's summation). `terms` writes what is added
up as a sum of products of arrays with named axes; `order` says in which order a product is contracted and what that
costs; `emit` writes the operations. Rounding changes, and at which sizes numbers overflow, as with any other order.
"""

from __future__ import annotations

from lilith.ir.graph import Graph, Node, Value
from lilith.transform.contract.emit import emitted
from lilith.transform.contract.order import LEAST, SHARE, cost_before, orders
from lilith.transform.contract.terms import ADDED, DTYPES, Sum

__all__ = ["contracted"]

_STEPS = 8
"""So many additions of terms to a sum are looked at together with it."""


def contracted(graph: Graph) -> Graph:
    """The graph with those sums contracted where that pays; the same graph where there are none. Bodies stay."""
    if not any(_is_sum(node) for node in graph.nodes):
        return graph
    made = {node.results[0]: node for node in graph.nodes if len(node.results) == 1}
    readers = _readers(graph)
    taken: set[Node] = set()
    found: dict[Node, list[Node]] = {}
    for node in reversed(graph.nodes):
        if not _is_sum(node) or node in taken:
            continue
        for root in dict.fromkeys((_whole(node, readers), node)):
            if root in taken:
                continue
            total = Sum(root, made)
            gone = _gone(total.inner, readers)
            new = _contracted(root, total, gone) if taken.isdisjoint(gone) else None
            if new is not None:
                found[root] = new
                taken.update(gone)
                break
    if not found:
        return graph
    nodes = [new for node in graph.nodes for new in found.get(node, (node,))]
    return Graph(graph.name, graph.inputs, graph.input_names, tuple(nodes), graph.outputs)


def _is_sum(node: Node) -> bool:
    return node.primitive.name == "reduce_sum" and node.operands[0].dtype in DTYPES


def _readers(graph: Graph) -> dict[Value, list[Node | None]]:
    """The nodes that read a value; None for the outputs."""
    readers: dict[Value, list[Node | None]] = {y: [None] for y in graph.outputs}
    for node in graph.nodes:
        for x in node.operands:
            readers.setdefault(x, []).append(node)
    return readers


def _whole(node: Node, readers: dict[Value, list[Node | None]]) -> Node:
    """The sum of which a sum is a term, where nobody else reads it."""
    for _ in range(_STEPS):
        reading = readers.get(node.results[0], [])
        if len(reading) != 1 or reading[0] is None or reading[0].primitive.name not in ADDED:
            break
        node = reading[0]
    return node


def _gone(inner: list[Node], readers: dict[Value, list[Node | None]]) -> list[Node]:
    """The nodes that nobody needs when the first of them is computed in another way."""
    gone = {inner[0]}
    waiting = list(dict.fromkeys(inner[1:]))
    while True:
        new = [node for node in waiting if gone.issuperset(readers[node.results[0]])]
        if not new:
            return list(gone)
        gone.update(new)
        waiting = [node for node in waiting if node not in gone]


def _contracted(node: Node, total: Sum, gone: list[Node]) -> list[Node] | None:
    """The operations that compute a sum in its best order; None where what is there is as good."""
    y: Value = node.results[0]
    before = cost_before(gone)
    if before < LEAST:
        return None
    after, found = orders(total, y.dtype.itemsize)
    if after > SHARE * before or before - after < LEAST:
        return None
    nodes = emitted(total, found, node.source)
    last = nodes[-1]
    if last.results[0].type != y.type:
        return None
    return [*nodes[:-1], Node(last.primitive, last.operands, last.params, (y,), last.source)]
