"""What is known around a loop or branch, told to its body: constants, and what does not change from step to step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lilith.ir.graph import Builder, Graph, Node, Value
from lilith.ops.shape import fill

Filled = Callable[[Value], Any]
"""The one number that all elements of a value are, None where that is not known."""


def with_inputs_known(graph: Graph, known: dict[Value, Any], same: dict[Value, Value]) -> Graph:
    """The graph without some of its inputs: those in `known` are filled with a number, those in `same` are another."""
    if not known and not same:
        return graph
    env = dict(same)
    with Builder() as builder:
        for x, number in known.items():
            env[x] = fill(value=number, shape=x.shape, dtype=x.dtype)
        for node in graph.nodes:
            operands = tuple([env.get(x, x) for x in node.operands])
            builder.nodes.append(Node(node.primitive, operands, node.params, node.results, node.source))
    kept = [i for i, x in enumerate(graph.inputs) if x not in env]
    return Graph(
        graph.name,
        tuple([graph.inputs[i] for i in kept]),
        tuple([graph.input_names[i] for i in kept]),
        tuple(builder.nodes),
        tuple([env.get(y, y) for y in graph.outputs]),
    )


def _told(inputs: Sequence[Value], operands: Sequence[Value], filled: Filled) -> tuple[dict, dict, list[int]]:
    """Which inputs are numbers, which are the same as others, and the places of those that stay."""
    known: dict[Value, Any] = {}
    same: dict[Value, Value] = {}
    seen: dict[Value, Value] = {}
    kept = []
    for i, (own, x) in enumerate(zip(inputs, operands, strict=True)):
        number = filled(x)
        if number is not None:
            known[own] = number
        elif x in seen:
            same[own] = seen[x]
        else:
            seen[x] = own
            kept.append(i)
    return known, same, kept


def told_scan(
    params: dict[str, Any], operands: tuple[Value, ...], results: tuple[Value, ...], filled: Filled
) -> tuple[dict[str, Any], tuple[Value, ...], tuple[Value, ...], dict[Value, Value]]:
    """A scan whose constants and rows that are filled with one number, or given twice, are known to its body; a carry
    that no step changes becomes a constant.

    Returns:
        Parameters, operands, results, and what the results that are gone are the same as.
    """
    body, constants, carries = params["body"], params["constants"], params["carries"]
    fixed = constants + carries
    own = body.inputs[1:]
    still = [k for k in range(carries) if body.outputs[k] is own[constants + k]]
    settled = {results[k]: operands[constants + k] for k in still}
    moving = [k for k in range(carries) if k not in still]
    first = [*range(constants), *[constants + k for k in still]]
    known, same, kept = _told([own[i] for i in first], [operands[i] for i in first], filled)
    rows = range(fixed, len(operands))
    known_rows, same_rows, kept_rows = _told([own[i] for i in rows], [operands[i] for i in rows], filled)
    known.update(known_rows)
    same.update(same_rows)
    if not known and not same and not still:
        return params, operands, results, {}
    order = [*[first[i] for i in kept], *[constants + k for k in moving], *[rows[i] for i in kept_rows]]
    inputs = (body.inputs[0], *[own[i] for i in order])
    gone = [x for x in own if x in known or x in same]
    outputs = tuple([y for k, y in enumerate(body.outputs) if k not in still])
    names = tuple([f"x{i}" for i in range(len(inputs))]) + ("",) * len(gone)
    whole = Graph(body.name, (*inputs, *gone), names, body.nodes, outputs)
    told = {
        **params,
        "body": with_inputs_known(whole, known, same),
        "constants": len(kept),
        "carries": len(moving),
    }
    left = tuple([r for k, r in enumerate(results) if k not in still])
    return told, tuple([operands[i] for i in order]), left, settled


def told_case(
    params: dict[str, Any], operands: tuple[Value, ...], filled: Filled
) -> tuple[dict[str, Any], tuple[Value, ...]]:
    """The same for the operands of branches."""
    index, given = operands[0], operands[1:]
    found = [_told(branch.inputs, given, filled) for branch in params["branches"]]
    kept = found[0][2]
    if len(kept) == len(given):
        return params, operands
    branches = [
        with_inputs_known(b, known, same) for b, (known, same, _) in zip(params["branches"], found, strict=True)
    ]
    return {"branches": tuple(branches)}, (index, *[given[i] for i in kept])
