"""Donation: arguments whose memory a program may use for its results."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith import tree
from lilith.asked import Spec, chosen_arguments, function_name
from lilith.ir.graph import Graph
from lilith.signature import STATIC, Arguments
from lilith.source import ArgumentError, LilithWarning
from lilith.transform.simplify import remove_dead
from lowering.runtime import JAX

_warned: set[tuple[str, str]] = set()


def given_up(f: Callable[..., Any], spec: Spec, arguments: Arguments) -> list[int]:
    """Indices, among the dynamic leaves, of those in the arguments that are given up."""
    if not spec.donate:
        return []
    chosen = chosen_arguments(f, "donate", spec.donate, arguments)
    dynamic = [leaf for leaf in arguments.leaves if leaf.kind != STATIC]
    return [i for i, leaf in enumerate(dynamic) if leaf.argument in chosen]


def donated_leaves(f: Callable[..., Any], spec: Spec, arguments: Arguments) -> tuple[int, ...]:
    """Those of them that are jax.Arrays; a warning, once, for NumPy arrays."""
    dynamic = [leaf for leaf in arguments.leaves if leaf.kind != STATIC]
    chosen = given_up(f, spec, arguments)
    kept = next((dynamic[i] for i in chosen if isinstance(dynamic[i].value, np.ndarray)), None)
    name = function_name(f)
    if kept is not None and (name, arguments.names[kept.argument]) not in _warned:
        _warned.add((name, arguments.names[kept.argument]))
        warnings.warn(
            f"{name}: {kept.path} is a NumPy array, whose memory stays yours: donating it changes nothing\n"
            f"  hint: start with arrays on a device, lilith.to_device({arguments.names[kept.argument]}, 'cpu'); what "
            "the function returns is there too",
            LilithWarning,
            stacklevel=2,
        )
    return tuple([i for i in chosen if dynamic[i].kind == JAX])


def reused(
    graph: Graph, donated: Sequence[int], leaves: Sequence[Any] | None = None, kinds: Sequence[str] | None = None
) -> list[int]:
    """Those of the donated inputs in whose place a result of the graph can be put: one result for each.

    Arguments:
        leaves: what the inputs are given; an array that is in two places is in none of them given up.
        kinds: of the outputs; one that does not stay on the device takes no place.
    """
    stay = [kinds is None or (i < len(kinds) and kinds[i] == JAX) for i in range(len(graph.outputs))]
    free = Counter([_type(y) for y, on_device in zip(graph.outputs, stay, strict=True) if on_device])
    places = Counter(map(id, leaves or ()))
    found = []
    for i in donated:
        wanted = _type(graph.inputs[i])
        if free[wanted] and (leaves is None or places[id(leaves[i])] == 1):
            free[wanted] -= 1
            found.append(i)
    return found


def _type(x: Any) -> tuple:
    return x.shape, np.dtype(x.dtype)


def predicates(graph: Graph, count: int) -> Graph:
    """The graph to its last `count` outputs alone. It prints nothing: the program that follows does."""
    first = len(graph.outputs) - count
    nodes = tuple([node for node in graph.nodes if not node.effect])
    alone = Graph(graph.name, graph.inputs, graph.input_names, nodes, graph.outputs[first:])
    return remove_dead(alone)


def refuse_shared(graph: Graph, donated: Sequence[int], leaves: Sequence[Any]) -> None:
    """The error for an array that is donated and, in the same call, given as another argument too.

    In two places of one argument, tied, it counts as one.
    """
    for i in donated:
        for k, x in enumerate(leaves):
            if x is leaves[i] and argument_of(graph.input_names[k]) != argument_of(graph.input_names[i]):
                raise ArgumentError(
                    f"{graph.name}: {graph.input_names[i]} and {graph.input_names[k]} are the same array, and it is "
                    "donated",
                    hint="pass a copy, or leave it out of donate=",
                )


def argument_of(path: str) -> str:
    """The argument that a field path begins with."""
    return path[: min([path.find(c) for c in ".[" if c in path], default=len(path))]


def refuse_deleted(name: str, paths: Sequence[str], leaves: Sequence[Any]) -> None:
    """The error for an array whose memory is gone."""
    for path, x in zip(paths, leaves, strict=True):
        tree.check_there(x, path, f"{name}: ")
