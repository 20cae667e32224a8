"""Two hot paths of one function in one program, which chooses by the guard that parts them.

A call that takes the other path than the program it is tried on costs two runs. Where two paths are taken in turn, one
program with a `case` on the predicate answers both in one run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lilith.derive import Derivation
from lilith.guards import INT64, Guard
from lilith.ir.graph import Builder, Graph, Value, fill_like
from lilith.ir.type import TensorType
from lilith.ops.elementwise import convert, eq, mul
from lilith.ops.loops import case
from lilith.ops.shape import fill
from lilith.result import Labels
from lilith.transform.simplify import remove_dead


def merged(a: Derivation, b: Derivation, leaves: int) -> Derivation | None:
    """The derivation that is `a` or `b`, by the first guard that came out differently in them.

    Its guards are those before that one, and one more, which is 1 if all later guards of the path that was taken came
    out as they did in it.

    Arguments:
        leaves: how many inputs the two have in common; hoisted constants, each one's own, follow, then cotangents.

    Returns:
        None where the two do not part by a truth value, or give results of different types.
    """
    place = _parting(a.guards, b.guards)
    if place is None or not _alike(a, b):
        return None
    cotangents = a.graph.inputs[leaves + len(a.hoisted) :]
    common, first, second = a.graph.inputs[:leaves], a.graph.inputs[leaves:], b.graph.inputs[leaves:]
    inputs = (*common, *first[: len(a.hoisted)], *second[: len(b.hoisted)], *cotangents)
    inputs = tuple([Value(x.type) for x in inputs])
    count = len(a.graph.outputs) - len(a.guards)
    with Builder() as builder:
        prefix = remove_dead(a.graph.with_outputs(a.graph.outputs[count : count + place + 1]))
        *before, predicate = builder.inline(prefix, _own(inputs, a, b, leaves, first_one=True))
        branches = [
            _branch(a, inputs, _own(inputs, a, b, leaves, first_one=True), place),
            _branch(b, inputs, _own(inputs, a, b, leaves, first_one=False), place),
        ]
        if a.guards[place].outcome:
            branches.reverse()
        *outputs, fine = case(predicate, *inputs, branches=tuple(branches))
    names = tuple([f"{name}" for name in _names(a, b, leaves)])
    graph = Graph(a.graph.name, inputs, names, tuple(builder.nodes), (*outputs, *before, fine))
    rest = Guard(place, fine, 1, True, a.guards[place].source)
    guards = (*[g._replace(value=y) for g, y in zip(a.guards, before, strict=False)], rest)
    return a._replace(
        graph=graph,
        kinds=(*a.kinds[:count], *[a.kinds[-1]] * len(guards)),
        labels=_labels(a.labels, b.labels),
        hoisted=[*a.hoisted, *b.hoisted],
        guards=guards,
        stages=(),
    )


def _parting(a: Sequence[Guard], b: Sequence[Guard]) -> int | None:
    """The first guard whose outcome differs, if it is a truth value in both."""
    for i, (g, h) in enumerate(zip(a, b, strict=False)):
        if g.outcome != h.outcome:
            return None if g.integer or h.integer else i
    return None


def _alike(a: Derivation, b: Derivation) -> bool:
    """Whether the two results have the same structure, static parts and array types, and are made in the same way.

    A pullback, for one, belongs to one path: it goes back where its forward pass has come.
    """
    if a.finish is not b.finish:
        return False
    count, other = (len(d.graph.outputs) - len(d.guards) for d in (a, b))
    if count != other or a.value_structure != b.value_structure or a.entries != b.entries or a.outer or b.outer:
        return False
    if a.kinds[:count] != b.kinds[:count] or a.value_leaves != b.value_leaves:
        return False
    pairs = zip(a.graph.outputs[:count], b.graph.outputs[:count], strict=True)
    return all(x.type.matches(y.type) for x, y in pairs)


def _own(inputs: Sequence[Value], a: Derivation, b: Derivation, leaves: int, first_one: bool) -> list[Value]:
    """Those of the merged inputs that one of the two has, in its order."""
    middle = leaves + len(a.hoisted)
    end = middle + len(b.hoisted)
    hoisted = inputs[leaves:middle] if first_one else inputs[middle:end]
    return [*inputs[:leaves], *hoisted, *inputs[end:]]


def _names(a: Derivation, b: Derivation, leaves: int) -> list[str]:
    names, others = a.graph.input_names, b.graph.input_names
    own = leaves + len(a.hoisted)
    return [*names[:own], *others[leaves : leaves + len(b.hoisted)], *names[own:]]


def _branch(d: Derivation, inputs: Sequence[Value], own: Sequence[Value], place: int) -> Graph:
    """One of the two as a graph of the merged inputs: its results, and whether its guards after `place` hold."""
    given = {x: Value(x.type) for x in inputs}
    with Builder() as builder:
        outputs = builder.inline(d.graph, [given[x] for x in own])
        count = len(outputs) - len(d.guards)
        fine = fill(value=1, shape=(), dtype=INT64)
        for guard, y in zip(d.guards[place + 1 :], outputs[count + place + 1 :], strict=True):
            fine = mul(fine, convert(eq(y, fill_like(y, guard.outcome)), dtype=INT64))
        results = [_strong(y) for y in outputs[:count]]
    names = tuple([f"x{i}" for i in range(len(inputs))])
    return Graph(d.graph.name, tuple(given.values()), names, tuple(builder.nodes), (*results, fine))


def _strong(y: Value) -> Value:
    """The value without a weak mark, which says nothing in a finished program."""
    if not y.type.weak:
        return y
    z = convert(y, dtype=y.dtype)
    z.type = TensorType(y.shape, np.dtype(y.dtype))
    return z


def _labels(a: Labels | None, b: Labels | None) -> Labels | None:
    """A leaf is a structural zero of both paths or of none."""
    if a is None or b is None:
        return a
    return Labels(a.function, a.positions, a.names, a.asked, a.zeros & b.zeros)
