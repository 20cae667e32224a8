"""Forward mode as the transpose of reverse mode: no second set of rules.

Reverse mode gives x̄ = Jᵀ ȳ, linear in ȳ. Reversed once more with respect to ȳ, with ẋ as the cotangent of x̄, it
gives J ẋ. The value of ȳ then plays no part. Source: Townsend, A new trick for calculating Jacobian vector products,
2017.
"""

from __future__ import annotations

from collections.abc import Sequence

from lilith.ir.graph import Graph, Value
from lilith.source import GradientError
from lilith.transform.reverse import carries_derivative, reverse
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
