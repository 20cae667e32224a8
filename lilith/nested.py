"""Tracing a function inside of a traced one, to a graph of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lilith import tree
from lilith.asked import function_name
from lilith.ir.graph import Value
from lilith.signature import STATIC, Arguments, take_apart, type_of
from lilith.trace import Recorded, Trace, Traced, trace_call
from lilith.tracer import Tracer


class Nested(NamedTuple):
    """A function's own graph.

    Attributes:
        arguments: what it was called with.
        recorded: its graph, whose inputs are the arguments' arrays and what it uses from around it.
        operands: these inputs as Values of the trace around it.
    """

    arguments: Arguments
    recorded: Recorded
    operands: list[Value]


def nested(trace: Trace, f: Callable[..., Any], args: tuple, kwargs: dict[str, Any], decides: bool = True) -> Nested:
    """Trace f to a graph of its own.

    Arguments:
        decides: Python code in f may decide on values, as the function around it may.
    """
    arguments = take_apart(f, args, kwargs)
    dynamic = [leaf for leaf in arguments.leaves if leaf.kind != STATIC]

    def run(tracers: list[Any]) -> Any:
        positional, named = arguments.rebuild(tracers)
        return f(*positional, **named)

    types = [type_of(leaf.value) for leaf in dynamic]
    values = [leaf.value for leaf in dynamic]
    decisions = trace.decisions if decides else None
    recorded = trace_call(
        run,
        types,
        [leaf.path for leaf in dynamic],
        function_name(f),
        values if decisions is not None else None,
        interpreted=trace.interpreted,
        decisions=decisions,
    )
    operands = [trace.lift(x) for x in [*values, *recorded.captured, *recorded.hoisted]]
    return Nested(arguments, recorded, operands)


def assembled(trace: Trace, recorded: Recorded, results: Sequence[Value]) -> Any:
    """The function's result from the Values of its arrays; the guards, which follow these, become the trace's own."""
    if trace.decisions is not None:
        predicates = results[len(recorded.graph.outputs) :]
        trace.guards += [g._replace(value=y) for g, y in zip(recorded.guards, predicates, strict=False)]
    leaves = [Tracer(results[x.output], trace) if isinstance(x, Traced) else x for x in recorded.leaves]
    return tree.unflatten(recorded.structure, leaves)
