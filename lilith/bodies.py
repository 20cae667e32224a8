"""Functions as graphs: how the bodies of branches and loops are recorded, and their carries compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lilith import tree
from lilith.derive import function_name
from lilith.ir.graph import Builder, Graph, Value
from lilith.ir.type import TensorType, result_dtype
from lilith.numpy.views import Storage, suspect, write
from lilith.ops import elementwise
from lilith.signature import describe
from lilith.source import ArgumentError, DtypeError, ShapeError
from lilith.trace import SCALAR_TYPES, Trace, Traced, Written, current_trace, trace_call
from lilith.tracer import Tracer

# ---- structures -----------------------------------------------------------------------------------------------------


class Parts(NamedTuple):
    """A structure taken apart.

    Attributes:
        leaves: arrays and numbers, or static objects.
        structure: for `lilith.tree.unflatten`.
        paths: of the leaves, in the user's terms.
        dynamic: which leaves are data: arrays and numbers, Python ints and bools among them where `ints` says so.
    """

    leaves: list[Any]
    structure: Any
    paths: list[str]
    dynamic: list[bool]

    @staticmethod
    def of(x: Any, root: str, ints: bool = True) -> Parts:
        leaves, structure = tree.flatten(x)
        dynamic = [tree.is_dynamic(leaf) or (ints and type(leaf) in (int, bool)) for leaf in leaves]
        return Parts(leaves, structure, tree.paths(structure, root), dynamic)

    @property
    def arrays(self) -> list[Any]:
        """The dynamic leaves."""
        return [leaf for leaf, d in zip(self.leaves, self.dynamic, strict=True) if d]

    @property
    def array_paths(self) -> list[str]:
        """Their paths."""
        return [path for path, d in zip(self.paths, self.dynamic, strict=True) if d]

    def with_arrays(self, arrays: Sequence[Any]) -> Any:
        """The structure with other dynamic leaves."""
        rest = iter(arrays)
        leaves = [next(rest) if d else leaf for leaf, d in zip(self.leaves, self.dynamic, strict=True)]
        return tree.unflatten(self.structure, leaves)


def type_of(leaf: Any) -> TensorType:
    """The type of a dynamic leaf; Python ints are weak."""
    return SCALAR_TYPES.get(type(leaf)) or describe(leaf)[1]  # type: ignore[return-value]


class Recorded(NamedTuple):
    """A function as a graph: its inputs are the given ones, then those for `captured`; `parts` is its result."""

    graph: Graph
    parts: Parts
    captured: list[Any]


def record(f: Callable[..., Any], types: Sequence[TensorType], names: Sequence[str], make: Any, root: str) -> Recorded:
    """Trace `f(*make(tracers))`; every array and number of the result, ints too, is an output of the graph."""
    found: list[Parts] = []

    def call(tracers: list[Tracer]) -> list[Tracer]:
        parts = Parts.of(f(*make(tracers)), root)
        found.append(parts)
        trace = current_trace()
        return [Tracer(trace.lift(leaf), trace) for leaf in parts.arrays]

    recorded = trace_call(call, types, names, function_name(f), carries=True)
    outputs = [recorded.graph.outputs[leaf.output] for leaf in recorded.leaves if isinstance(leaf, Traced)]
    return Recorded(recorded.graph.with_outputs(outputs), found[0], [*recorded.captured, *recorded.hoisted])


def joined(trace: Trace, recorded: Sequence[Recorded], count: int) -> tuple[list[Value], list[Graph]]:
    """What several functions capture, lifted into the trace once; and their graphs, all with inputs for all of it.

    Their own inputs, `count` of them, stay in front.
    """
    places: dict[Value, list[tuple[int, Value]]] = {}
    for k, r in enumerate(recorded):
        for x, own in zip(r.captured, r.graph.inputs[count:], strict=True):
            places.setdefault(trace.lift(x), []).append((k, own))
    graphs = []
    for k, r in enumerate(recorded):
        inputs: list[Value] = []
        env: dict[Value, Value] = {}
        for outer, uses in places.items():
            first, *others = [value for j, value in uses if j == k] or [Value(outer.type)]
            inputs.append(first)
            env.update({value: first for value in others})
        names = tuple([f"captured{i}" for i in range(len(inputs))])
        whole = Graph(
            r.graph.name, (*r.graph.inputs[:count], *inputs), (*r.graph.input_names[:count], *names), r.graph.nodes, ()
        )
        graphs.append(_renamed(whole, env, r.graph.outputs))
    return list(places), graphs


def _renamed(graph: Graph, env: dict[Value, Value], outputs: Sequence[Value]) -> Graph:
    """The graph with these outputs, and inputs that it has twice replaced by their first."""
    if not env:
        return graph.with_outputs(outputs)
    inputs = [*graph.inputs, *env]
    with Builder() as builder:
        fresh = [Value(x.type) for x in graph.inputs]
        known = dict(zip(graph.inputs, fresh, strict=True))
        wide = Graph(graph.name, tuple(inputs), ("",) * len(inputs), graph.nodes, tuple(outputs))
        out = builder.inline(wide, [*fresh, *[known[x] for x in env.values()]])
    return Graph(graph.name, tuple(fresh), graph.input_names, tuple(builder.nodes), tuple(out))


def reordered(graph: Graph, order: Sequence[int]) -> Graph:
    """The graph with its inputs in another order."""
    return Graph(
        graph.name,
        tuple([graph.inputs[i] for i in order]),
        tuple([graph.input_names[i] for i in order]),
        graph.nodes,
        graph.outputs,
    )


def converted(graph: Graph, dtypes: Sequence[np.dtype]) -> Graph:
    """The graph with its first outputs converted to these dtypes."""
    if all(y.dtype == dtype for y, dtype in zip(graph.outputs, dtypes, strict=False)):
        return graph
    with Builder() as builder:
        builder.nodes.extend(graph.nodes)
        first = [
            y if y.dtype == dtype else elementwise.convert(y, dtype=dtype)
            for y, dtype in zip(graph.outputs, dtypes, strict=False)
        ]
    outputs = (*first, *graph.outputs[len(first) :])
    return Graph(graph.name, graph.inputs, graph.input_names, tuple(builder.nodes), outputs)


def lifted(trace: Trace, x: Any, dtype: np.dtype) -> Value:
    value = trace.lift(x)
    return value if value.dtype == dtype else elementwise.convert(value, dtype=dtype)


# ---- arrays that bodies write to ------------------------------------------------------------------------------------


def carrying(attempt: Callable[[list[Tracer]], Any]) -> Any:
    """The result of `attempt(arrays)`, tried again with every array from around that a body is found to write to.

    The attempt gives these to its bodies as carries: `enter` at their start, `contents` at their end, `leave` then.
    """
    arrays: list[Tracer] = []
    while True:
        try:
            return attempt(arrays)
        except Written as written:
            if any([x is written.root for x in arrays]):
                raise
            arrays.append(written.root)


def enter(arrays: Sequence[Tracer], own: Sequence[Tracer]) -> None:
    """Have `own` stand for the arrays in the body that is being traced."""
    trace = current_trace()
    for x, y in zip(arrays, own, strict=True):
        y.memory = Storage(getattr(x.memory, "ordered", False))
        y.memory.suspect = suspect(x)
        trace.entered[id(x)] = x, y


def contents(arrays: Sequence[Tracer]) -> list[Tracer]:
    """What the arrays hold now."""
    trace = current_trace()
    return [Tracer(trace.lift(x), trace) for x in arrays]


def leave(arrays: Sequence[Tracer], values: Sequence[Tracer]) -> None:
    """Write what the bodies left in the arrays."""
    for x, y in zip(arrays, values, strict=True):
        write(x, current_trace().lift(y))


# ---- errors ---------------------------------------------------------------------------------------------------------


def check_structure(name: str, before: Parts, after: Parts, what: str, other: str) -> None:
    """The error for two structures that ought to be the same, or static leaves of them that differ."""
    if before.structure != after.structure:
        raise ArgumentError(
            f"{name}: {what} has the structure {_shown(after)}, {other} has {_shown(before)}",
            hint="both have the same dicts, lists, tuples and objects, with arrays at the same places",
        )
    for path, old, new, was, now in zip(
        *before[2:3], before.leaves, after.leaves, before.dynamic, after.dynamic, strict=True
    ):
        if was != now or not (was or tree.static_key(old) == tree.static_key(new)):
            raise ArgumentError(
                f"{name}: {path} is {_text(new)} in {what} and {_text(old)} in {other}",
                hint="what is no array or number stays what it is",
            )


def _shown(parts: Parts) -> str:
    return repr(tree.unflatten(parts.structure, [_Text(_text(leaf)) for leaf in parts.leaves]))


class _Text:
    """Prints as its text."""

    def __init__(self, text: str):
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _text(leaf: Any) -> str:
    if type(leaf) in SCALAR_TYPES or tree.is_dynamic(leaf):
        return repr(type_of(leaf))
    return repr(leaf)


def _mismatch(name: str, path: str, old: TensorType, new: TensorType, what: str, other: str) -> Exception:
    text = f"{name}: {path} is {new} in {what} and {old} in {other}"
    if old.shape != new.shape:
        return ShapeError(
            text, hint=f"start with an array of shape {new.shape}, e.g. np.zeros, or keep shape {old.shape}"
        )
    return DtypeError(text, hint=f"convert one of them, e.g. x.astype(np.{old.dtype})")


def _meet(name: str, path: str, old: TensorType, new: TensorType) -> TensorType:
    """The type of a carry that is `old` before a step and `new` after it; Python numbers adapt."""
    if old.shape == new.shape:
        if old.dtype == new.dtype:
            return old if new.weak else old.strong
        dtype, weak = result_dtype([old, new])
        if old.weak or (new.weak and dtype == old.dtype):
            return TensorType(old.shape, dtype, weak)
    raise _mismatch(name, path, old, new, "the carry after a step", "the carry before it")


def settled(
    name: str, at: Callable[[list[TensorType]], tuple[list[TensorType], Any]], start: Parts
) -> tuple[list[TensorType], Any]:
    """The types of the carry, and the body recorded for them. Python numbers adapt to what the body makes of them."""
    types = [type_of(leaf) for leaf in start.arrays]
    while True:
        after, recorded = at(types)
        met = [_meet(name, *each) for each in zip(start.array_paths, types, after, strict=True)]
        if met == types:
            return types, recorded
        types = met


def common_type(name: str, path: str, a: TensorType, b: TensorType, what: str, other: str) -> TensorType:
    """The type of a result that is a in one branch and b in another; Python numbers adapt."""
    if a.shape == b.shape and (a.dtype == b.dtype or a.weak or b.weak):
        dtype, weak = result_dtype([a, b])
        if (a.weak or a.dtype == dtype) and (b.weak or b.dtype == dtype):
            return TensorType(a.shape, dtype, weak)
    raise _mismatch(name, path, a, b, what, other)
