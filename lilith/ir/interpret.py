"""Graph -> NumPy values, node by node: the reference that compiled programs are compared with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Graph, Node, Value


def evaluate(node: Node, operands: Sequence[Any]) -> tuple[np.ndarray, ...]:
    """Run one node on NumPy arrays; the results have exactly the types that the node declares."""
    with np.errstate(all="ignore"):
        out = node.primitive.eval(*operands, **node.params)
    outs = out if isinstance(out, tuple) else (out,)
    return tuple(np.asarray(y, dtype=r.dtype).reshape(r.shape) for y, r in zip(outs, node.results, strict=True))


class _Watching(threading.local):
    inner: Callable[[Node, tuple, tuple], None] | None = None


watching = _Watching()
"""`watching.inner` observes the graphs inside of loops and branches, which are run without an observer of their own."""


def interpret(
    graph: Graph, values: Sequence[Any], observe: Callable[[Node, tuple, tuple], None] | None = None
) -> list[np.ndarray]:
    """Run a graph on NumPy arrays.

    Arguments:
        values: one array per input.
        observe: called as `observe(node, operands, results)` after each node.
    """
    observe = observe or watching.inner
    env: dict[Value, np.ndarray] = {x: np.asarray(v, dtype=x.dtype) for x, v in zip(graph.inputs, values, strict=True)}
    for node in graph.nodes:
        operands = tuple(env[x] for x in node.operands)
        results = evaluate(node, operands)
        if observe is not None:
            observe(node, operands, results)
        env.update(zip(node.results, results, strict=True))
    return [env[y] for y in graph.outputs]
