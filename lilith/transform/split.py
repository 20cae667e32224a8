"""Split: a derivative graph in two programs, what is computed once and what each cotangent needs."""

from __future__ import annotations

from lilith.ir.graph import Builder, Graph, Node, Value
from lilith.transform.simplify import remove_dead

_AGAIN = frozenset({"fill", "constant", "iota", "broadcast_in_dim", "reshape", "transpose", "convert", "eq", "lt"})
"""Operations that are done again rather than have their result kept: it is no smaller than what it is made from."""


def split(graph: Graph, given: int, kept: int) -> tuple[Graph, Graph]:
    """Cut a graph between what depends on its last inputs and what does not.

    Arguments:
        graph: `(x..., g...) -> (y..., z...)`.
        given: the number of x.
        kept: the number of y; they do not depend on g.

    Returns:
        `(x...) -> (y..., residual...)` and `(residual..., g...) -> (z...)`, which read nothing else.
    """
    late = set(graph.inputs[given:])
    before: list[Node] = []
    after: list[Node] = []
    for node in graph.nodes:
        if late.isdisjoint(node.operands):
            before.append(node)
        else:
            late.update(node.results)
            after.append(node)
    producers = {result: node for node in before for result in node.results}
    results = graph.outputs[kept:]
    residuals: dict[Value, None] = {}
    again: dict[int, Node] = {}
    pending = [x for node in after for x in node.operands if x not in late]
    pending += [z for z in results if z not in late]
    while pending:
        x = pending.pop()
        maker = producers.get(x)
        if maker is None or not _is_cheap(maker):
            residuals.setdefault(x)
        elif id(maker) not in again:
            again[id(maker)] = maker
            pending += maker.operands
    repeated = [node for node in before if id(node) in again]
    first = Graph(
        graph.name, graph.inputs[:given], graph.input_names[:given], tuple(before), (*graph.outputs[:kept], *residuals)
    )
    names = (*[f"residual{i}" for i in range(len(residuals))], *graph.input_names[given:])
    inputs = (*residuals, *graph.inputs[given:])
    second = Graph(f"{graph.name}_pullback", inputs, names, (*repeated, *after), results)
    return remove_dead(first), _renamed(second)


def _is_cheap(node: Node) -> bool:
    """Whether what a node computes is moved or repeated elements of at most one operand that is no larger."""
    if node.primitive.name not in _AGAIN or len(node.operands) > 1:
        return False
    return all(x.type.nbytes <= node.results[0].type.nbytes for x in node.operands)


def _renamed(graph: Graph) -> Graph:
    """The graph with values of its own, so that it can be joined with the one it was cut from."""
    inputs = tuple([Value(x.type) for x in graph.inputs])
    with Builder() as builder:
        outputs = builder.inline(graph, inputs)
    return Graph(graph.name, inputs, graph.input_names, tuple(builder.nodes), tuple(outputs))
