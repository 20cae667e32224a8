"""Rows of a stack that are added up again, as `sum` does with a list: the sum over the stack, or over a part of it."""

from __future__ import annotations

from collections import Counter

from lilith.ir.graph import Builder, Graph, Node, Value
from lilith.ir.type import is_inexact
from lilith.ops.elementwise import add
from lilith.ops.reduction import reduce_sum
from lilith.ops.shape import part
from lilith.transform.roll.sequence import Sequence

_FEW = 3


def with_rows_added(graph: Graph) -> Graph:
    """The graph in which sums of many successive rows of one array are sums over that array."""
    if sum(node.primitive.name == "add" for node in graph.nodes) < _FEW:
        return graph
    sequence = Sequence(graph)
    uses = Counter([x for node in graph.nodes for x in node.operands] + list(graph.outputs))
    made = {node.results[0]: node for node in graph.nodes if node.primitive.name == "add"}
    inner = {x for node in made.values() for x in node.operands if x in made and uses[x] == 1}
    sums = [node for y, node in made.items() if y not in inner]
    added = {node: new for node in sums if (new := _added(sequence, node, _terms(node, made, inner))) is not None}
    if not added:
        return graph
    nodes = [new for node in graph.nodes for new in added.get(node, (node,))]
    return Graph(graph.name, graph.inputs, graph.input_names, tuple(nodes), graph.outputs)


def _terms(node: Node, made: dict[Value, Node], inner: set[Value]) -> list[Value]:
    """What is added up, in order."""
    terms: list[Value] = []
    waiting = list(node.operands[::-1])
    while waiting:
        x = waiting.pop()
        if x in inner:
            waiting += made[x].operands[::-1]
        else:
            terms.append(x)
    return terms


def _added(sequence: Sequence, node: Node, terms: list[Value]) -> list[Node] | None:
    """The nodes that compute a sum of these terms; None where few of them are rows of one array."""
    if len(terms) <= _FEW or not is_inexact(node.results[0].dtype):
        return None
    rows: dict[Value | None, list[int]] = {}
    roots = [_root_of_row(sequence, x) for x in terms]
    for x, root in zip(terms, roots, strict=True):
        if root is not None:
            rows.setdefault(root, []).append(sequence.views[x].start[0])
    parts = {root: (min(own), max(own) + 1) for root, own in rows.items() if root is not None and _successive(own)}
    if not parts:
        return None
    with Builder() as builder:
        builder.source = node.source
        sums = [reduce_sum(_rows(root, *ends), axes=(0,)) for root, ends in parts.items()]
        every = [x for x, root in zip(terms, roots, strict=True) if root not in parts] + sums
        total = every[0]
        for x in every[1:]:
            total = add(total, x)
    made = builder.nodes[-1]
    if made.results[0].type != node.results[0].type:
        return None
    return [*builder.nodes[:-1], Node(made.primitive, made.operands, made.params, node.results, made.source)]


def _root_of_row(sequence: Sequence, x: Value) -> Value | None:
    """The array of which x is `root[i]`; None where it is no row."""
    view = sequence.views.get(x)
    if view is None or view.base != view.root.shape or view.sizes != (1, *x.shape) or view.base[1:] != x.shape:
        return None
    return view.root


def _rows(root: Value, begin: int, end: int) -> Value:
    return root if end - begin == root.shape[0] else part(root, 0, begin, end)


def _successive(starts: list[int]) -> bool:
    return len(starts) > _FEW and sorted(starts) == list(range(min(starts), max(starts) + 1))
