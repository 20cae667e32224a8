"""Parts of graphs."""

from __future__ import annotations

from collections.abc import Sequence

from lilith.ir.graph import Graph, Node, Value


def between(graph: Graph, inputs: Sequence[Value], outputs: Sequence[Value]) -> Graph:
    """The part of a graph that computes `outputs` from `inputs`, which may be results of its nodes."""
    given = set(inputs)
    needed = {y for y in outputs if y not in given}
    nodes = []
    for node in reversed(graph.nodes):
        if needed.isdisjoint(node.results):
            continue
        needed.update([x for x in node.operands if x not in given])
        if not given.isdisjoint(node.results):
            results = tuple([Value(y.type) if y in given else y for y in node.results])
            node = Node(node.primitive, node.operands, node.params, results, node.source)
        nodes.append(node)
    names = tuple([f"x{i}" for i in range(len(inputs))])
    return Graph(graph.name, tuple(inputs), names, tuple(reversed(nodes)), tuple(outputs))


def without_effects(graph: Graph) -> Graph:
    """The graph without nodes that act on the outside: for steps that are gone through again."""
    if not any(node.effect for node in graph.nodes):
        return graph
    nodes = []
    for node in graph.nodes:
        if node.primitive.effect and not node.results:
            continue
        if node.effect:
            params = dict(node.params)
            for name in node.primitive.graphs:
                value = params[name]
                silent = tuple(map(without_effects, value)) if isinstance(value, tuple) else without_effects(value)
                params[name] = silent
            node = Node(node.primitive, node.operands, params, node.results, node.source)
        nodes.append(node)
    return Graph(graph.name, graph.inputs, graph.input_names, tuple(nodes), graph.outputs)
