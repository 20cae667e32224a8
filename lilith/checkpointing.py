"""checkpoint: spend time instead of memory in the reverse pass."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from lilith import tree
from lilith.api import check_function
from lilith.nested import assembled, nested
from lilith.ops import nested as ops
from lilith.source import ArgumentError
from lilith.trace import current_trace, is_tracing
from lilith.tracer import Tracer
from lilith.transform.simplify import simplify


def checkpoint(f: Callable[..., Any], save: str | Sequence[str] = ()) -> Callable[..., Any]:
    """f, whose intermediate results the reverse pass does not keep: it computes them again.

    A chain of blocks, each checkpointed, needs memory for the blocks' arguments and for the inside of one block.

    Arguments:
        f: any function of arrays or structures.
        save: names of values that are kept all the same, as `lilith.named` gave them.

    >>> import numpy as np, lilith
    >>> block = checkpoint(lambda x: np.tanh(np.sin(x) * 2))
    >>> value, g = lilith.grad(lambda x: block(block(x)), 0.0)
    >>> g[0]
    4.0
    """
    check_function(f)
    names = frozenset([save] if isinstance(save, str) else save)
    if not all(isinstance(name, str) for name in names):
        raise ArgumentError(f"checkpoint: save={save!r} is no name", hint="save='hidden', or a tuple of names")

    @functools.wraps(f, updated=())
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        if not is_tracing():
            return f(*args, **kwargs)
        trace = current_trace()
        source = trace.source
        inner = nested(trace, f, args, kwargs)
        recorded = inner.recorded
        guards = [guard.value for guard in recorded.guards]
        kept = [
            y
            for node in recorded.graph.nodes
            if node.primitive is ops.named and node.params["name"] in names
            for y in node.results
        ]
        body = simplify(recorded.graph.with_outputs((*recorded.graph.outputs, *guards, *kept)))
        trace.source = source
        results = ops.checkpoint(*inner.operands, body=body, saved=len(kept), again=False)
        return assembled(trace, recorded, results)

    return checkpointed


def named(x: Any, name: str) -> Any:
    """x, under a name by which `checkpoint(f, save=...)` knows it; any structure.

    >>> named(3.0, "hidden")
    3.0
    """
    if not isinstance(name, str):
        raise ArgumentError(f"named: the name is {name!r}", hint="named(x, 'hidden')")
    if not is_tracing():
        return x
    leaves, structure = tree.flatten(x)
    trace = current_trace()
    marked = [
        Tracer(ops.named(trace.lift(leaf), name=name), trace) if isinstance(leaf, Tracer) else leaf for leaf in leaves
    ]
    return tree.unflatten(structure, marked)
