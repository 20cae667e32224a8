"""Reverse mode: Graph -> Graph. One walk backward over the nodes that lie between wanted inputs and outputs.

Linnainmaa 1976; Griewank and Walther, Evaluating Derivatives, 2nd ed. 2008, section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lilith.ir.graph import Builder, Graph, Node, Value, fill_like
from lilith.ir.primitive import ZERO, Deferred, NoGradient
from lilith.ir.type import is_inexact
from lilith.source import GradientError
from lilith.transform.shifts import without_shifts


def carries_derivative(value: Value) -> bool:
    """Whether derivatives flow through a value: floating and complex ones."""
    return is_inexact(value.dtype)


def active_values(graph: Graph, wanted: Sequence[int]) -> set[Value]:
    """The values that depend on a wanted input in a differentiable way."""
    active = {graph.inputs[i] for i in wanted if carries_derivative(graph.inputs[i])}
    for node in graph.nodes:
        if node.primitive.vjp is not ZERO and not active.isdisjoint(node.operands):
            active.update(r for r in node.results if carries_derivative(r))
    return active


def structural_zeros(graph: Graph, wanted: Sequence[int]) -> tuple[bool, ...]:
    """For each wanted input, whether no output depends on it in a differentiable way."""
    active = active_values(graph, wanted)
    needed = {y for y in graph.outputs if y in active}
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.results):
            needed.update(x for x in node.operands if x in active)
    return tuple(graph.inputs[i] not in needed for i in wanted)


def reverse(graph: Graph, wanted: Sequence[int], strong: bool = False) -> Graph:
    """The vector-Jacobian product of a graph.

    Arguments:
        graph: `(x...) -> (y...)`.
        wanted: indices of the inputs whose cotangents are computed; nothing else is.
        strong: the cotangents given have all come through a selection: their zeros stay zero (see `Primitive.masks`).

    Returns:
        The graph `(x..., ȳ...) -> (y..., x̄...)`: one cotangent input per floating or complex output, one cotangent
        output per wanted input, of its shape and dtype, a constant zero where no output depends on it.

    Raises:
        GradientError: a wanted input is not floating or complex, or a node on the path has no derivative.
    """
    for i in wanted:
        if not carries_derivative(graph.inputs[i]):
            raise GradientError(f"{graph.input_names[i]} is {graph.inputs[i].type}: it has no derivative")
    graph = without_shifts(graph, differentiated=True)
    active = active_values(graph, wanted)
    cotangents: dict[Value, list[Value | Deferred]] = {}
    unmasked: set[Value] = set()
    seeds: list[Value] = []
    seed_names: list[str] = []
    for i, y in enumerate(graph.outputs):
        if carries_derivative(y):
            seed = Value(y.type.strong)
            seeds.append(seed)
            seed_names.append("g" if len(graph.outputs) == 1 else f"g{i}")
            if y in active:
                cotangents.setdefault(y, []).append(seed)
                if not strong:
                    unmasked.add(y)
    with Builder() as builder:
        builder.nodes.extend(graph.nodes)
        for node in reversed(graph.nodes):
            if any(r in cotangents for r in node.results):
                _pull_back(builder, node, active, cotangents, unmasked)
        builder.source = None
        results = [_total(graph.inputs[i], cotangents) for i in wanted]
    return Graph(
        graph.name,
        graph.inputs + tuple(seeds),
        graph.input_names + tuple(seed_names),
        tuple(builder.nodes),
        graph.outputs + tuple(results),
    )


def _pull_back(
    builder: Builder,
    node: Node,
    active: set[Value],
    cotangents: dict[Value, list[Value | Deferred]],
    unmasked: set[Value],
) -> None:
    """Send the cotangents of a node's results to its operands.

    `unmasked` collects the values that matter beyond a selection: some of what arrives there has come through no
    select, max or slice. A zero cotangent of any other value is a strong one (see `Primitive.masks`).
    """
    wanted = tuple([x in active for x in node.operands])
    if True not in wanted:
        return
    rule = node.primitive.vjp
    builder.source = node.source
    if isinstance(rule, NoGradient):
        raise GradientError(
            f"{node.primitive.name}: {rule.reason}",
            hint="lilith.stop_gradient(x) where it is meant",
            source=node.source,
        )
    g: Any = tuple([_total(r, cotangents) for r in node.results])
    y: Any = node.results
    if len(node.results) == 1:
        (g,), (y,) = g, y
    builder.strong_zeros = strong = unmasked.isdisjoint(node.results)
    contributions = rule(g, y, *node.operands, wanted=wanted, **node.params)
    for x, contribution, masked in zip(node.operands, contributions, masks(node), strict=True):
        if contribution is not None:
            cotangents.setdefault(x, []).append(contribution)
            if not (strong or masked):
                unmasked.add(x)
    builder.strong_zeros = False


def masks(node: Node) -> tuple[bool, ...]:
    """For each operand, whether all that a node sends back to it has come through a selection."""
    name = node.primitive.name
    if name == "case":
        unmasked = [_reached(branch) for branch in node.params["branches"]]
        return (True, *[not any(flags) for flags in zip(*unmasked, strict=True)])
    if name in ("scan", "while_loop"):
        reached = _reached(node.params["body"])
        return tuple([not flag for flag in reached[len(reached) - len(node.operands) :]])
    return (node.primitive.masks,) * len(node.operands)


def _reached(graph: Graph) -> list[bool]:
    """For each input, whether a way leads from an output back to it that passes no selection."""
    found = set(graph.outputs)
    for node in reversed(graph.nodes):
        if not found.isdisjoint(node.results):
            found.update([x for x, masked in zip(node.operands, masks(node), strict=True) if not masked])
    return [x in found for x in graph.inputs]


def _total(x: Value, cotangents: dict[Value, list[Value | Deferred]]) -> Value:
    """The sum of what arrived at x; zeros where nothing did."""
    parts = cotangents.pop(x, None)
    if parts is None:
        return fill_like(x, 0)
    arrays = [part for part in parts if isinstance(part, Value)]
    deferred: dict[type[Deferred], list[Deferred]] = {}
    for part in parts:
        if isinstance(part, Deferred):
            deferred.setdefault(type(part), []).append(part)
    arrays += [kind.join(x.type.strong, group) for kind, group in deferred.items()]
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return total
