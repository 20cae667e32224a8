"""Common subexpressions where they are most of the graph: a function that calls itself for the same parts again."""

from __future__ import annotations

from collections.abc import Sequence

from lilith.ir.graph import Graph, Node, Value

SHRINKS, PROBE, FEW = 3.0, 2048, 1200
"""How many times fewer operations there must be; how many of them are looked at first; how many may be left: XLA:CPU
takes more than proportionally long for many that depend on one another crosswise."""

_MOVES = frozenset("slice reshape fill constant broadcast_in_dim".split())


def without_repetition(graph: Graph) -> Graph:
    """The graph with every operation once, if that leaves less than a third of them; or else as it is.

    Folding an accidental common subexpression would destroy a period, so this is done where it is what matters.
    """
    probe = graph.nodes[:PROBE]
    if _work(probe) < 1.5 * _work(_unique(probe, {})):
        return graph
    env: dict[Value, Value] = {}
    nodes = _unique(graph.nodes, env)
    if _work(graph.nodes) < SHRINKS * _work(nodes) or _work(nodes) > FEW:
        return graph
    outputs = tuple([env.get(y, y) for y in graph.outputs])
    return Graph(graph.name, graph.inputs, graph.input_names, tuple(nodes), outputs)


def _work(nodes: Sequence[Node]) -> int:
    return sum([node.primitive.name not in _MOVES for node in nodes])


def _unique(nodes: Sequence[Node], env: dict[Value, Value]) -> list[Node]:
    """The nodes without those that compute what an earlier one has computed; `env`: by the values that are gone, those
    they are equal to."""
    known: dict[tuple, tuple[Value, ...]] = {}
    kept: list[Node] = []
    for node in nodes:
        operands = tuple([env.get(x, x) for x in node.operands])
        number = node.params.get("value")
        params = tuple(sorted(node.params.items())) if node.params else ()
        text = str(number) if number is not None else ""  # 0.0 is not -0.0, nor True 1
        key = (node.primitive, operands, params, type(number), text, *[y.type for y in node.results])
        found = known.setdefault(key, node.results)
        if found is not node.results and not node.effect:
            env.update(zip(node.results, found, strict=True))
        else:
            same = operands == node.operands
            kept.append(node if same else Node(node.primitive, operands, node.params, node.results, node.source))
    return kept
