"""Dead nodes, and dead parts of branches and loops: results nobody uses, and what only they need."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lilith.ir.graph import Graph, Node, Value


def remove_dead(graph: Graph) -> Graph:
    """The graph without nodes that neither reach an output nor have an effect."""
    live = live_nodes(graph.nodes, graph.outputs)
    if len(live) == len(graph.nodes) and all(a is b for a, b in zip(live, graph.nodes, strict=True)):
        return graph
    return Graph(graph.name, graph.inputs, graph.input_names, live, graph.outputs)


def live_nodes(nodes: Sequence[Node], outputs: Sequence[Value]) -> tuple[Node, ...]:
    """The nodes that reach an output or have an effect; loops and branches without what is dead in them."""
    needed = set(outputs)
    live: list[Node] = []
    for node in reversed(nodes):
        primitive = node.primitive
        if not needed.isdisjoint(node.results) or primitive.effect or (primitive.graphs and node.effect):
            if primitive.graphs:
                rule = _PRUNE.get(primitive.name)
                node = node if rule is None else rule(node, needed)
            needed.update(node.operands)
            live.append(node)
    return tuple(reversed(live))


def _reached(graph: Graph, outputs: Sequence[Value]) -> tuple[set[Value], tuple[Node, ...]]:
    """What the outputs and the effects of a graph need: its inputs among it, and its nodes."""
    nodes = live_nodes(graph.nodes, outputs)
    return {*outputs, *[x for node in nodes for x in node.operands]}, nodes


def _case(node: Node, needed: set[Value]) -> Node:
    kept = [i for i, r in enumerate(node.results) if r in needed]
    branches = node.params["branches"]
    parts = [_reached(b, [b.outputs[i] for i in kept]) for b in branches]
    used = [
        j
        for j in range(len(node.operands) - 1)
        if any(b.inputs[j] in r for b, (r, _) in zip(branches, parts, strict=True))
    ]
    if len(kept) == len(node.results) and len(used) == len(node.operands) - 1:
        return node
    smaller = tuple(
        [
            Graph(
                b.name,
                tuple([b.inputs[j] for j in used]),
                tuple([b.input_names[j] for j in used]),
                nodes,
                tuple([b.outputs[i] for i in kept]),
            )
            for b, (_, nodes) in zip(branches, parts, strict=True)
        ]
    )
    operands = (node.operands[0], *[node.operands[1 + j] for j in used])
    results = tuple([node.results[i] for i in kept])
    return Node(node.primitive, operands, {"branches": smaller}, results, node.source)


def _scan(node: Node, needed: set[Value]) -> Node:
    body, constants, carries = node.params["body"], node.params["constants"], node.params["carries"]
    fixed = constants + carries
    rows = [j for j in range(carries, len(node.results)) if node.results[j] in needed]
    kept = [k for k in range(carries) if node.results[k] in needed]
    while True:
        outputs = [body.outputs[j] for j in (*kept, *rows)]
        reached, nodes = _reached(body, outputs)
        more = [k for k in range(carries) if k in kept or body.inputs[1 + constants + k] in reached]
        if more == kept:
            break
        kept = more
    used = [i for i in range(constants) if body.inputs[1 + i] in reached]
    used += [constants + k for k in kept]
    used += [i for i in range(fixed, len(node.operands)) if body.inputs[1 + i] in reached]
    if len(used) == len(node.operands) and len(outputs) == len(node.results):
        return node
    places = [0, *[1 + i for i in used]]
    smaller = Graph(
        body.name,
        tuple([body.inputs[i] for i in places]),
        tuple([body.input_names[i] for i in places]),
        nodes,
        tuple(outputs),
    )
    params = {**node.params, "body": smaller, "constants": sum(i < constants for i in used), "carries": len(kept)}
    results = tuple([node.results[j] for j in (*kept, *rows)])
    return Node(node.primitive, tuple([node.operands[i] for i in used]), params, results, node.source)


def _reverse_while(node: Node, needed: set[Value]) -> Node:
    """Cotangents of constants that nobody uses are not added up."""
    active, constants, pull = node.params["active"], node.params["constants"], node.params["pull"]
    kept = [n for n, i in enumerate(active) if i >= constants or node.results[n] in needed]
    if len(kept) == len(active):
        return node
    params = {**node.params, "active": tuple([active[n] for n in kept])}
    params["pull"] = remove_dead(pull.with_outputs([pull.outputs[n] for n in kept]))
    return Node(node.primitive, node.operands, params, tuple([node.results[n] for n in kept]), node.source)


_PRUNE: dict[str, Callable[[Node, set[Value]], Node]] = {
    "case": _case,
    "scan": _scan,
    "reverse_while": _reverse_while,
}
