"""The rules of `case`: reverse mode, forward mode, batching. A rule makes new branches from the given ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Builder, Graph, Value, current_builder, fill_like
from lilith.ir.type import TensorType
from lilith.ops.elementwise import convert, eq, repeat_leading, select
from lilith.ops.loops import case
from lilith.ops.shape import broadcast_in_dim
from lilith.transform.batch import batch
from lilith.transform.cut import EXPENSIVE, smallest_cut
from lilith.transform.forward import forward
from lilith.transform.parts import between
from lilith.transform.reverse import carries_derivative, reverse
from lilith.transform.simplify import remove_dead, simplify


class Split:
    """A graph `(x..., ȳ...) -> (y..., x̄...)` as what comes from x alone, and the rest.

    Attributes:
        graph: simplified.
        count: how many inputs are x.
        primal: the nodes that do not depend on ȳ.
        needed: values from x alone that the others read, or that are results.
    """

    def __init__(self, graph: Graph, count: int, outputs: int):
        self.graph = graph
        self.count = count
        self.outputs = outputs
        linear = set(graph.inputs[count:])
        self.primal = []
        needed: dict[Value, None] = {}
        for node in graph.nodes:
            if linear.isdisjoint(node.operands):
                self.primal.append(node)
            else:
                linear.update(node.results)
                needed.update(dict.fromkeys([x for x in node.operands if x not in linear]))
        needed.update(dict.fromkeys([x for x in graph.outputs[outputs:] if x not in linear]))
        self.needed = list(needed)

    @property
    def expensive(self) -> set[Value]:
        """The results of nodes that are not to be run again."""
        return {y for node in self.primal if node.primitive.name in EXPENSIVE or node.effect for y in node.results}

    def ahead(self, kept: Sequence[Value]) -> Graph:
        """The graph `(x...) -> (y..., kept...)`."""
        inputs, names = self.graph.inputs[: self.count], self.graph.input_names[: self.count]
        outputs = (*self.graph.outputs[: self.outputs], *kept)
        return remove_dead(Graph(self.graph.name, inputs, names, tuple(self.primal), outputs))

    def back(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> Graph:
        """The graph from `inputs`, which may be results of nodes, to `outputs`; only what is needed is run."""
        return between(self.graph, inputs, outputs)


def is_zero(x: Value, builder: Builder) -> bool:
    """Whether x is a constant zero that has been made just now."""
    for node in reversed(builder.nodes[-64:]):
        if node.results and node.results[0] is x:
            return node.primitive.name == "fill" and node.params["value"] == 0
    return False


def bound_to_zero(graph: Graph, dead: Sequence[Value]) -> Graph:
    """The graph with these inputs replaced by zeros."""
    for x in dead:
        graph = graph.bind(graph.inputs.index(x), lambda t: fill_like(Value(t), 0))
    return graph


def reverse_case(
    g: tuple, y: tuple, operands: tuple[Value, ...], wanted: tuple[bool, ...], *, branches: tuple[Graph, ...]
) -> tuple:
    """The same branch's transpose. What is expensive to compute again is kept by the way there, for each branch in the
    same places as far as types agree."""
    builder = current_builder()
    index, given = operands[0], operands[1:]
    positions = [i for i, want in enumerate(wanted[1:]) if want]
    smooth = [j for j, r in enumerate(branches[0].outputs) if carries_derivative(r)]
    live = [j for j in smooth if not is_zero(g[j], builder)]
    splits, kept = [], []
    for branch in branches:
        pulled = reverse(branch, positions, builder.strong_zeros)
        seeds = pulled.inputs[len(given) :]
        pulled = bound_to_zero(pulled, [seed for j, seed in zip(smooth, seeds, strict=True) if j not in live])
        split = Split(simplify(pulled), len(given), len(branch.outputs))
        splits.append(split)
        kept.append(smallest_cut(split.primal, split.needed, split.expensive))
    slots = _slots(kept)
    ahead, back = [], []
    for split, values in zip(splits, kept, strict=True):
        places = _placed(values, slots)
        ahead.append(_with_zeros(split, places, slots))
        inputs = (*split.graph.inputs[: split.count], *[v or Value(t) for v, t in zip(places, slots, strict=True)])
        outputs = split.graph.outputs[split.outputs :]
        back.append(split.back((*inputs, *split.graph.inputs[split.count :]), outputs))
    added = builder.widen(y, {"branches": tuple(ahead)}) if slots else ()
    out = case(index, *given, *added, *[g[j] for j in live], branches=tuple(back))
    found: list[Any] = [None] * len(operands)
    for i, cotangent in zip(positions, out, strict=True):
        found[i + 1] = cotangent
    return tuple(found)


def _slots(kept: Sequence[Sequence[Value]]) -> list[TensorType]:
    """The types of the places that hold what any of the branches keeps."""
    counts: dict[TensorType, int] = {}
    for values in kept:
        own: dict[TensorType, int] = {}
        for x in values:
            own[x.type.strong] = own.get(x.type.strong, 0) + 1
        for t, n in own.items():
            counts[t] = max(counts.get(t, 0), n)
    return [t for t, n in counts.items() for _ in range(n)]


def _placed(values: Sequence[Value], slots: Sequence[TensorType]) -> list[Value | None]:
    """For each place the value that a branch puts there."""
    rest = list(values)
    found: list[Value | None] = []
    for t in slots:
        fitting = next((x for x in rest if x.type.strong is t), None)
        if fitting is not None:
            rest.remove(fitting)
        found.append(fitting)
    return found


def _with_zeros(split: Split, places: Sequence[Value | None], slots: Sequence[TensorType]) -> Graph:
    graph = split.ahead([x for x in places if x is not None])
    kept = iter(graph.outputs[split.outputs :])
    with Builder() as builder:
        builder.nodes.extend(graph.nodes)
        extra = [next(kept) if x is not None else fill_like(Value(t), 0) for x, t in zip(places, slots, strict=True)]
    outputs = (*graph.outputs[: split.outputs], *extra)
    return Graph(graph.name, graph.inputs, graph.input_names, tuple(builder.nodes), outputs)


def forward_case(tangents: tuple, operands: tuple[Value, ...], *, branches: tuple[Graph, ...]) -> tuple:
    """The branch and its derivative."""
    positions = [i for i, t in enumerate(tangents[1:]) if t is not None]
    pushed = tuple([simplify(forward(branch, positions)) for branch in branches])
    out = case(*operands, *[t for t in tangents[1:] if t is not None], branches=pushed)
    count = len(branches[0].outputs)
    moved = iter(out[count:])
    return out[:count], tuple([next(moved) if carries_derivative(r) else None for r in branches[0].outputs])


def batch_case(batched: tuple[bool, ...], operands: tuple[Value, ...], *, branches: tuple[Graph, ...]) -> tuple:
    """One branch for the whole batch where the index is shared; else all branches, and a selection by element."""
    size = next(x.shape[0] for x, b in zip(operands, batched, strict=True) if b)
    index, given = operands[0], operands[1:]
    if not batched[0]:
        lifted = tuple([simplify(batch(branch, batched[1:], size)) for branch in branches])
        return case(index, *given, branches=lifted)
    builder = current_builder()
    results = []
    for branch in branches:
        inner = batch(branch, batched[1:], size) if any(batched[1:]) else branch
        out = builder.inline(inner, given)
        results.append(out if any(batched[1:]) else [repeat_leading(y, size) for y in out])
    chosen = results[-1]
    index = convert(index, dtype=np.dtype(np.int32)) if index.dtype == np.dtype(bool) else index
    for number in range(len(branches) - 1):
        hit = eq(index, fill_like(index, number))
        chosen = [
            select(broadcast_in_dim(hit, shape=a.shape, axes=(0,)), a, b)
            for a, b in zip(results[number], chosen, strict=True)
        ]
    return tuple(chosen)
