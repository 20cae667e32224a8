"""Forward mode as the transpose of reverse mode: no second set of rules.

Reverse mode gives x̄ = Jᵀ ȳ, linear in ȳ. Reversed once more with respect to ȳ, with ẋ as the cotangent of x̄, it
gives J ẋ. The value of ȳ then plays no part. Source: Townsend, A new trick for calculating Jacobian vector products,
2017.
"""

from __future__ import annotations

from collections.abc import Sequence

from lilith.ir.graph import Builder, Graph, Node, Value, fill_like
from lilith.source import GradientError
from lilith.transform.reverse import active_values, carries_derivative, reverse
from lilith.transform.simplify import remove_dead


def forward(graph: Graph, wanted: Sequence[int]) -> Graph:
    """The Jacobian-vector product of a graph.

    Arguments:
        graph: `(x...) -> (y...)`.
        wanted: indices of the inputs that have a tangent; the others are constant.

    Returns:
        The graph `(x..., ẋ...) -> (y..., ẏ...)`: one tangent input per wanted input, one tangent output per floating or
        complex output, of its shape and dtype.

    Raises:
        GradientError: a wanted input is not floating or complex, a node on the path has no derivative, or the
            derivative rule of a primitive is not linear in its cotangent.
    """
    active = active_values(graph, wanted)
    if any(node.primitive.jvp is not None and not active.isdisjoint(node.operands) for node in graph.nodes):
        return _by_parts(graph, wanted)
    tangents = remove_dead(_twice_reversed(graph, wanted))
    dummies = tangents.inputs[len(graph.inputs) : len(tangents.inputs) - len(wanted)]
    if not _read(tangents).isdisjoint(dummies):
        raise GradientError(
            f"forward: the derivative rule of {_not_linear(graph, wanted)} is not linear in its cotangent",
            hint="a rule multiplies g, adds it, moves it; it does not compute with g twice or branch on it",
        )
    inputs = graph.inputs + tangents.inputs[len(tangents.inputs) - len(wanted) :]
    names = graph.input_names + tuple([f"d{graph.input_names[i]}" for i in wanted])
    return Graph(graph.name, inputs, names, tangents.nodes, tangents.outputs)


def _by_parts(graph: Graph, wanted: Sequence[int]) -> Graph:
    """The same where nodes have a rule of their own: those by their rule, the runs of nodes between them as one."""
    parts = _Parts(graph)
    given = [Value(graph.inputs[i].type.strong) for i in wanted]
    parts.tangents.update(zip([graph.inputs[i] for i in wanted], given, strict=True))
    with Builder() as builder:
        run: list[Node] = []
        for i, node in enumerate(graph.nodes):
            if node.primitive.jvp is None or parts.tangents.keys().isdisjoint(parts.reach(run, node)):
                run.append(node)
                continue
            parts.push_run(builder, run, graph.nodes[i:])
            parts.push_node(builder, node)
            run = []
        parts.push_run(builder, run, ())
        builder.source = None
        smooth = [y for y in graph.outputs if carries_derivative(y)]
        slopes = [parts.tangents[y] if y in parts.tangents else fill_like(y, 0) for y in smooth]
    names = graph.input_names + tuple([f"d{graph.input_names[i]}" for i in wanted])
    outputs = (*[parts.values.get(y, y) for y in graph.outputs], *slopes)
    return Graph(graph.name, (*graph.inputs, *given), names, tuple(builder.nodes), outputs)


class _Parts:
    """A graph on its way forward: what its values have become, and the tangents of those that have one."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.values: dict[Value, Value] = {}
        self.tangents: dict[Value, Value] = {}

    def reach(self, run: Sequence[Node], node: Node) -> set[Value]:
        """The operands of a node, and what those computed in `run` depend on."""
        found = set(node.operands)
        for earlier in reversed(run):
            if not found.isdisjoint(earlier.results):
                found.update(earlier.operands)
        return found

    def push_node(self, builder: Builder, node: Node) -> None:
        """A node with a rule of its own; its results are new values."""
        builder.source = node.source
        operands = tuple([self.values.get(x, x) for x in node.operands])
        moved = tuple([self.tangents.get(x) for x in node.operands])
        rule = node.primitive.jvp
        assert rule is not None
        if all(t is None for t in moved):
            builder.nodes.append(Node(node.primitive, operands, node.params, node.results, node.source))
            return
        results, slopes = rule(moved, *operands, **node.params)
        self.values.update(zip(node.results, results, strict=True))
        self.tangents.update({y: t for y, t in zip(node.results, slopes, strict=True) if t is not None})

    def push_run(self, builder: Builder, run: Sequence[Node], rest: Sequence[Node]) -> None:
        """Nodes without: as a graph of their own, whose results are what the rest of the nodes reads."""
        made = {y for node in run for y in node.results}
        read = {x for node in rest for x in node.operands}.union(self.graph.outputs)
        outputs = [y for node in run for y in node.results if y in read]
        inputs = list(dict.fromkeys([x for node in run for x in node.operands if x not in made]))
        names = tuple([f"x{i}" for i in range(len(inputs))])
        part = Graph(self.graph.name, tuple(inputs), names, tuple(run), tuple(outputs))
        moved = [i for i, x in enumerate(inputs) if x in self.tangents]
        env = dict(self.values)
        if moved:
            active = active_values(part, moved)
            part = forward(part, moved)
            env.update(zip(part.inputs[len(inputs) :], [self.tangents[inputs[i]] for i in moved], strict=True))
        for node in part.nodes:
            operands = tuple([env.get(x, x) for x in node.operands])
            builder.nodes.append(Node(node.primitive, operands, node.params, node.results, node.source))
        if moved:
            slopes = iter(part.outputs[len(outputs) :])
            for y in outputs:
                if carries_derivative(y):
                    slope = next(slopes)
                    if y in active:
                        self.tangents[y] = env.get(slope, slope)


def _read(graph: Graph) -> set[Value]:
    """The values that some node or output of the graph uses."""
    return {x for node in graph.nodes for x in node.operands}.union(graph.outputs)


def _twice_reversed(graph: Graph, wanted: Sequence[int]) -> Graph:
    """The graph `(x..., ȳ..., ẋ...) -> (y..., ẏ...)`."""
    count = len(graph.outputs)
    pulled = reverse(graph, wanted)
    seeds = range(len(graph.inputs), len(pulled.inputs))
    cotangents = pulled.with_outputs(pulled.outputs[count:])
    pushed = reverse(cotangents, seeds)
    return pushed.with_outputs(graph.outputs + pushed.outputs[len(wanted) :])


def _not_linear(graph: Graph, wanted: Sequence[int]) -> str:
    """The primitive whose rule keeps the dummy cotangent alive, found by trying the nodes one by one."""
    for node in graph.nodes:
        operands: tuple[Value, ...] = tuple(dict.fromkeys(node.operands))
        names = tuple([f"x{i}" for i in range(len(operands))])
        alone = Graph(node.primitive.name, operands, names, (node,), node.results)
        positions = [i for i, x in enumerate(operands) if carries_derivative(x)]
        if not positions or not any(map(carries_derivative, node.results)):
            continue
        twice = remove_dead(_twice_reversed(alone, positions))
        dummies = twice.inputs[len(operands) : len(twice.inputs) - len(positions)]
        if not _read(twice).isdisjoint(dummies):
            return node.primitive.name
    return f"a primitive in {graph.name}"
