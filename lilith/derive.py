"""From a function and the arguments of one call to the graph that answers it: trace, reverse, simplify."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lilith import tree
from lilith.captures import Captures, content_scan, substitute
from lilith.config import config
from lilith.guards import Decisions, Guard
from lilith.ir.graph import Graph, Source, Value, current, fill_like
from lilith.ir.type import TensorType, dtype_name, is_inexact, kind
from lilith.randomness import ENTROPY, GENERATORS, refuse_entropy, without_randomness
from lilith.result import GradResult, Labels
from lilith.signature import (
    STATIC,
    Arguments,
    describe,
    is_iterator,
    is_users_callable,
    leaf_key,
    take_apart,
    type_of,
)
from lilith.source import ArgumentError, DtypeError, GradientError, ShapeError, definition
from lilith.trace import Recorded, Traced, trace_call, uncovered
from lilith.tracer import Tracer
from lilith.transform.reverse import reverse, structural_zeros
from lilith.transform.simplify import remove_dead, simplify
from lowering.runtime import ARRAY, JAX, PYTHON, SCALAR


class Spec(NamedTuple):
    """What is wanted of a function.

    Attributes:
        gradient: value and gradient, or the value alone.
        wrt: the arguments to differentiate by (index, name, or a tuple of them); None for all that can be.
        has_aux: the function returns `(value, aux)`.
        cotangent: the result may have any shape; a cotangent of its structure is given with each call.
    """

    gradient: bool
    wrt: Any = None
    has_aux: bool = False
    cotangent: bool = False


LEAF = tree.flatten(0.0)[1]
"""The structure of one array by itself."""


def _leaf(structure: Any) -> Any:
    return LEAF if structure == LEAF else structure


class Derivation(NamedTuple):
    """A graph and how its inputs and outputs belong to the call.

    The graph's inputs are the dynamic leaves of the arguments, the captured leaves, captured tracers of enclosing
    traces, hoisted constants, and the cotangent's leaves. Its outputs are the leaves of the value, those of aux, and
    the gradients.

    Attributes:
        graph: simplified, ready to lower, interpret or inline.
        kinds: of each output: what it becomes when it leaves (`lilith.signature`'s kinds).
        value_leaves, value_structure: the result; leaves are output indices (Traced) or static objects. A structure
            that is one leaf is `LEAF`.
        entries: per argument where its gradient is: the index of an output; `(structure, leaves)`, leaves being such
            indices or None; None for arguments that have no gradient.
        labels: for GradResult.
        outer, hoisted: what the extra inputs are given.
        guards: the decisions that the function made on traced values; their predicates are the graph's last outputs.
        stages: the graphs that it went through before it was simplified, by name; kept for `config.dump` only.
    """

    graph: Graph
    kinds: tuple[str, ...]
    value_leaves: list[Any]
    value_structure: Any
    entries: list[Any]
    labels: Labels | None
    outer: list[Any]
    hoisted: list[np.ndarray]
    guards: tuple[Guard, ...] = ()
    stages: tuple[Graph, ...] = ()

    def assemble(self, outputs: Sequence[Any]) -> Any:
        """The user's result from the graph's outputs: `value`, or `(value, GradResult)` for a gradient."""
        if self.value_structure is LEAF:
            (leaf,) = self.value_leaves
            value = outputs[leaf.output] if leaf.__class__ is Traced else _unshared(leaf)
        else:
            leaves = [outputs[x.output] if isinstance(x, Traced) else _unshared(x) for x in self.value_leaves]
            value = tree.unflatten(self.value_structure, leaves)
        if self.labels is None:
            return value
        return value, GradResult([self._gradient(entry, outputs) for entry in self.entries], self.labels)

    def _gradient(self, entry: Any, outputs: Sequence[Any]) -> Any:
        if entry.__class__ is int:
            return outputs[entry]
        if entry is None:
            return None
        structure, indices = entry
        return tree.unflatten(structure, [None if i is None else outputs[i] for i in indices])


def _unshared(x: Any) -> Any:
    """A static result: mutable ones are copied, for the next call gets it too."""
    return copy.copy(x) if isinstance(x, (set, bytearray)) else x


def record(
    f: Callable[..., Any],
    arguments: Arguments,
    captures: Captures,
    interpreted: bool = False,
    decisions: Decisions | None = None,
) -> Recorded:
    """Trace f on tracers in place of the arguments' and the captures' dynamic leaves.

    Arguments:
        interpreted: let tracers show their values.
        decisions: numbers what Python code decides on traced values; None for those of the enclosing trace. Where there
            are none, such code is an error.
    """
    dynamic = [leaf for leaf in arguments.leaves if leaf.kind != STATIC]
    types = [type_of(x) for x in [*(leaf.value for leaf in dynamic), *captures.leaves]]
    names = [leaf.path for leaf in dynamic] + list(captures.names)

    def run(tracers: list[Any]) -> Any:
        args, kwargs = arguments.rebuild(tracers[: len(dynamic)])
        inner = substitute(f, captures, tracers[len(dynamic) :])
        try:
            return inner(*args, **kwargs)
        except (TypeError, ValueError, RuntimeError) as error:
            shown = uncovered(error)
            if "returned non-float (type Tracer)" in str(shown):  # a captured object's own __float__
                raise NeedsContent(shown, frozenset(captures.names)) from None
            needed = _captures_behind(shown, [t.value for t in tracers], len(dynamic), captures.names)
            if needed:
                raise NeedsContent(shown, needed) from None
            raise shown from error.__cause__

    name = function_name(f)
    values = [leaf.value for leaf in dynamic] + list(captures.leaves)
    generators, _ = hidden_state(arguments, captures)
    if decisions is None:
        decisions = enclosing_decisions()
    first = decisions.count if decisions is not None else 0

    def recorded_once() -> Recorded:
        if decisions is not None:
            decisions.count = first  # a trace that is made again asks the same questions again
        return trace_call(
            run,
            types,
            names,
            name,
            values if decisions is not None else None,
            interpreted=interpreted,
            decisions=decisions,
            pinnable=len(dynamic),
        )

    recorded = without_randomness(recorded_once, generators, name, definition(f))
    if not ENTROPY.isdisjoint(captures.mentions):
        refuse_entropy(recorded, recorded_once(), name, definition(f))
    if not captures.whole and any(isinstance(leaf, Traced) and leaf.constant for leaf in recorded.leaves):
        raise NeedsContent(None, whole=True)
    return recorded


def enclosing_decisions() -> Decisions | None:
    """Those of the trace that is running, if there is one that has any."""
    return getattr(current.builder, "decisions", None)


def hidden_state(arguments: Arguments, captures: Captures) -> tuple[list[Any], list[str]]:
    """The random generators that a call can reach, and the names of what may change unseen (iterators, files)."""
    generators, opaque = list(captures.generators), list(captures.opaque)
    for leaf in arguments.leaves:
        if isinstance(leaf.value, GENERATORS):
            generators.append(leaf.value)
        elif is_users_callable(leaf.value):
            inner = content_scan(leaf.value)
            generators += inner.generators
            opaque += [f"{leaf.path}: {name}" for name in inner.opaque]
        elif leaf.kind == STATIC and is_iterator(leaf.value):
            opaque.append(leaf.path)
    return generators, opaque


class NeedsContent(Exception):
    """The trace must be done again with captures read in another way.

    Arguments:
        error: the user's error, for when it is no help.
        names: captured inputs whose contents the function needs while it is traced (an array of indices, a number in an
            `if`): they become part of the key.
        whole: the result holds constants; they may come from attributes that no code names.
    """

    def __init__(self, error: Exception | None, names: frozenset[str] = frozenset(), whole: bool = False):
        super().__init__(str(error))
        self.error = error
        self.names = names
        self.whole = whole


def _captures_behind(error: Exception, inputs: list[Value], arguments: int, names: Sequence[str]) -> frozenset[str]:
    """The captured inputs that alone determine one of the arrays whose contents an error is about."""
    captured = dict(zip(inputs[arguments:], names, strict=True))
    found: set[str] = set()
    for tracer in getattr(error, "tracers", ()):
        roots = _roots(tracer)
        if roots <= captured.keys():
            found.update([captured[x] for x in roots])
    return frozenset(found)


def _roots(tracer: Tracer) -> set[Value]:
    """The inputs that determine a tracer: of its trace, and in their place, where they were captured, of those around
    it."""
    trace = tracer.recorder
    needed, made = {tracer.value}, {value for _, value in trace.hoisted.values()}
    for node in reversed(trace.nodes):
        if not needed.isdisjoint(node.results):
            made.update(node.results)
            needed.update(node.operands)
    roots = needed - made
    for outer, value in trace.captured.values():
        if value in roots:
            roots = (roots - {value}) | _roots(outer)
    return roots


def function_name(f: Any) -> str:
    """What the function is called in texts: its name, or its class's."""
    return getattr(f, "__name__", None) or type(f).__name__


def derive(
    f: Callable[..., Any],
    spec: Spec,
    args: tuple,
    kwargs: dict[str, Any],
    captures: Captures,
    cotangent: Any = None,
    interpreted: bool = False,
    decisions: Decisions | None = None,
) -> Derivation:
    """The derivation of one call. Raises LilithError where the program or the arguments are wrong."""
    arguments = take_apart(f, args, kwargs)
    wanted = _wanted_leaves(f, spec, arguments) if spec.gradient else []
    recorded = record(f, arguments, captures, interpreted, decisions)
    graph = recorded.graph
    dynamic = [leaf for leaf in arguments.leaves if leaf.kind != STATIC]
    values, structure = _split_aux(f, spec, recorded)
    kinds = [_value_kind(y.type, [dynamic[i].kind for i in wanted] or [x.kind for x in dynamic]) for y in graph.outputs]
    if not spec.gradient:
        return _derivation(recorded, graph, kinds, structure, [], None)
    main = [leaf.output for leaf in values if isinstance(leaf, Traced)]
    if spec.cotangent:
        whole_value = tree.unflatten(recorded.structure, list(range(len(recorded.leaves))))
        _check_cotangent(f, cotangent, whole_value[0] if spec.has_aux else whole_value, recorded)
    else:
        _check_scalar(f, graph, values, main)
    differentiated = graph.with_outputs([graph.outputs[i] for i in main])
    pulled = reverse(differentiated, wanted)
    gradients = pulled.outputs[len(main) :]
    whole = pulled.with_outputs((*graph.outputs, *gradients))
    if not spec.cotangent:
        for _ in range(len(whole.inputs) - len(graph.inputs)):
            whole = whole.bind(len(graph.inputs), lambda type: fill_like(Value(type), 1))
    zeros = [dynamic[i].path for i, zero in zip(wanted, structural_zeros(differentiated, wanted), strict=True) if zero]
    kinds.extend([dynamic[i].kind for i in wanted])
    labels, entries = _entries(f, spec, arguments, wanted, len(graph.outputs), frozenset(zeros))
    return _derivation(recorded, whole, kinds, structure, entries, labels)


def _derivation(
    recorded: Recorded, whole: Graph, kinds: list[str], structure: Any, entries: list[Any], labels: Labels | None
) -> Derivation:
    """The derivation with this graph, to which the guards' predicates are added as outputs."""
    guarded = whole.with_outputs((*whole.outputs, *(guard.value for guard in recorded.guards)))
    return Derivation(
        simplify(guarded),
        (*kinds, *[ARRAY] * len(recorded.guards)),
        recorded.leaves,
        structure,
        entries,
        labels,
        recorded.captured,
        recorded.hoisted,
        recorded.guards,
        (recorded.graph, whole) if config.dump else (),
    )


def gradient_source(graph: Graph) -> Source | None:
    """The user's line that computed the graph's first output."""
    node = graph.producers().get(graph.outputs[0]) if graph.outputs else None
    return node.source if node is not None else None


# ---- which arguments --------------------------------------------------------------------------------------------


def _asked_arguments(f: Callable[..., Any], spec: Spec, arguments: Arguments) -> list[bool]:
    """For each argument, whether its gradient is asked for."""
    if spec.wrt is None:
        return [True] * len(arguments.names)
    asked = [False] * len(arguments.names)
    for item in spec.wrt if isinstance(spec.wrt, tuple) else (spec.wrt,):
        count = sum(p is not None for p in arguments.positions)
        if isinstance(item, str):
            if item not in arguments.names:
                raise ArgumentError(
                    f"wrt={item!r}: {function_name(f)} was called without such an argument",
                    hint=f"its arguments are {', '.join(arguments.names)}",
                )
            index = arguments.names.index(item)
        elif isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            index = int(item) + count if item < 0 else int(item)
            if not 0 <= index < count:
                raise ArgumentError(
                    f"wrt={item}: {function_name(f)} was called with {count} positional arguments",
                    hint="positions count from 0; keyword arguments are named: wrt='scale'",
                )
        else:
            raise ArgumentError(
                f"wrt={spec.wrt!r}: takes an index, a parameter name or a tuple of them", hint="e.g. wrt=(0, 'scale')"
            )
        asked[index] = True
    return asked


def _wanted_leaves(f: Callable[..., Any], spec: Spec, arguments: Arguments) -> list[int]:
    """Indices, among the dynamic leaves, of those to differentiate by."""
    asked = _asked_arguments(f, spec, arguments)
    dynamic = [leaf for leaf in arguments.leaves if leaf.kind != STATIC]
    wanted = [i for i, leaf in enumerate(dynamic) if asked[leaf.argument] and is_inexact(type_of(leaf.value).dtype)]
    explicit = [i for i, a in enumerate(asked) if a] if spec.wrt is not None else []
    for argument in explicit:
        if not any(dynamic[i].argument == argument for i in wanted):
            _refuse_argument(f, arguments, argument)
    if not wanted:
        described = ", ".join(f"{leaf.path}: {_type_text(leaf)}" for leaf in arguments.leaves) or "no arguments"
        first = next((leaf.value for leaf in arguments.leaves if type(leaf.value) is int), None)
        remedy = f"ints are static; say {float(first)!r}" if first is not None else "pass floats or float arrays"
        raise GradientError(
            f"grad of {function_name(f)}: no differentiable argument ({described})",
            hint=f"{remedy}; integer arrays: x.astype(float)",
        )
    return wanted


def _refuse_argument(f: Callable[..., Any], arguments: Arguments, argument: int) -> None:
    leaves = [leaf for leaf in arguments.leaves if leaf.argument == argument]
    raise GradientError(
        f"grad of {function_name(f)}: argument {arguments.names[argument]!r} "
        f"({', '.join(_type_text(leaf) for leaf in leaves)}) is not differentiable",
        hint="pass a float or a float array, e.g. 10.0 instead of 10, x.astype(float)",
    )


def _type_text(leaf: Any) -> str:
    return type(leaf.value).__name__ if leaf.kind in (STATIC, PYTHON) else repr(leaf.type)


def _entries(
    f: Callable[..., Any], spec: Spec, arguments: Arguments, wanted: list[int], first: int, zeros: frozenset[str]
) -> tuple[Labels, list[Any]]:
    """The labels of the result and, per argument, where its gradient's leaves are among the outputs."""
    asked = _asked_arguments(f, spec, arguments)
    output = {leaf: first + k for k, leaf in enumerate(wanted)}
    leaves: list[list[int | None]] = [[] for _ in arguments.structures]
    count = 0
    for leaf in arguments.leaves:
        leaves[leaf.argument].append(None if leaf.kind == STATIC else output.get(count))
        count += leaf.kind != STATIC
    entries = [
        None if all(i is None for i in indices) else indices[0] if structure == LEAF else (structure, indices)
        for structure, indices in zip(arguments.structures, leaves, strict=True)
    ]
    return Labels(function_name(f), arguments.positions, arguments.names, tuple(asked), zeros), entries


# ---- what comes out ---------------------------------------------------------------------------------------------


def _value_kind(type: TensorType, inputs: list[str]) -> str:
    """What a result becomes: a jax.Array if a differentiated argument is one, else what NumPy would give."""
    if JAX in inputs:
        return JAX
    if type.weak and kind(type.dtype) in "fc":
        return PYTHON
    return ARRAY if type.shape else SCALAR


def _split_aux(f: Callable[..., Any], spec: Spec, recorded: Recorded) -> tuple[list[Any], Any]:
    """The leaves of the value without those of aux, and the structure of both."""
    if not spec.has_aux:
        return recorded.leaves, _leaf(recorded.structure)
    whole = tree.unflatten(recorded.structure, list(range(len(recorded.leaves))))
    if not (isinstance(whole, tuple) and len(whole) == 2):
        raise ArgumentError(
            f"has_aux=True: {function_name(f)} must return a pair (value, aux), it returned {type(whole).__name__}",
            hint="return (loss, anything), or leave has_aux out",
        )
    count = len(tree.flatten(whole[0])[0])
    return recorded.leaves[:count], recorded.structure


def _check_scalar(f: Callable[..., Any], graph: Graph, values: list[Any], main: list[int]) -> None:
    """Without a cotangent the value must be one real floating scalar."""
    name, source = function_name(f), gradient_source(graph)
    if len(values) == 1 and not main and isinstance(values[0], int):
        return  # a constant: nothing depends on any argument
    if len(values) == 1 and not main:
        raise GradientError(
            f"grad of {name}: it returns {type(values[0]).__name__} {values[0]!r}, not a number",
            hint="return a real floating number",
            source=definition(f),
        )
    if len(values) != 1:
        got = ", ".join(repr(graph.outputs[v.output].type) if isinstance(v, Traced) else repr(v) for v in values)
        raise GradientError(
            f"grad of {name}: it returns {len(values)} values ({got}), not one scalar",
            hint="return one number; has_aux=True if it returns (value, aux); or give cotangent=",
            source=source,
        )
    got_type = graph.outputs[main[0]].type
    if got_type.shape:
        raise ShapeError(
            f"grad of {name}: it returns {got_type}, not a scalar",
            hint="sum it up, e.g. np.sum(...); or give a cotangent of that shape: grad(f, x, cotangent=v)",
            source=source,
        )
    if kind(got_type.dtype) == "c":
        raise GradientError(
            f"grad of {name}: it returns a complex number ({got_type})",
            hint="return a real one, e.g. np.abs(z) or z.real; or give cotangent=",
            source=source,
        )
    if kind(got_type.dtype) != "f" and not values[0].constant:
        raise GradientError(
            f"grad of {name}: it returns {dtype_name(got_type.dtype)}, which has no derivative",
            hint="return a floating number",
            source=source,
        )


def _check_cotangent(f: Callable[..., Any], cotangent: Any, value: Any, recorded: Recorded) -> None:
    """A cotangent has the value's structure, with arrays of its shapes and dtypes, None for what has no derivative.

    `value` is the result's structure with the positions of its leaves in `recorded.leaves`.
    """
    graph = recorded.graph
    name, source = function_name(f), gradient_source(graph)
    positions, structure = tree.flatten(value)
    given, given_structure = tree.flatten(cotangent)
    if given_structure != structure:
        found, wanted = [
            tree.unflatten(s, ["array"] * n) for s, n in ((given_structure, len(given)), (structure, len(positions)))
        ]
        raise ArgumentError(
            f"cotangent of {name}: its structure {found} is not the value's, {wanted}",
            hint="give an array for an array, a dict with the same keys in the same order for a dict, and so on",
            source=source,
        )
    for leaf, output in zip(given, [recorded.leaves[i] for i in positions], strict=True):
        want = graph.outputs[output.output].type if isinstance(output, Traced) else None
        got = describe(leaf)[1]
        if want is None or not is_inexact(want.dtype):
            if got is not None:
                raise DtypeError(
                    f"cotangent of {name}: {got} for {want or repr(output)}, which has no derivative",
                    hint="give None there",
                    source=source,
                )
        elif got is None or got.shape != want.shape:
            raise ShapeError(
                f"cotangent of {name}: {got or repr(leaf)} for a value {want}",
                hint=f"give an array of shape {want.shape}",
                source=source,
            )
        elif got.dtype != want.dtype and not got.weak:
            raise DtypeError(
                f"cotangent of {name}: {got} for a value {want}",
                hint=f"convert it: v.astype(np.{want.dtype})",
                source=source,
            )


def cotangent_leaves(cotangent: Any) -> list[Any]:
    """The arrays of a cotangent, in the order of the graph's inputs for it."""
    return [leaf for leaf in tree.flatten(cotangent)[0] if tree.is_dynamic(leaf)]


def cotangent_key(cotangent: Any) -> tuple:
    leaves, structure = tree.flatten(cotangent)
    return structure, tuple(leaf_key(leaf) for leaf in leaves)


def raw_graph(f: Callable[..., Any], args: tuple, kwargs: dict[str, Any], captures: Captures) -> Graph:
    """The graph of f itself, as it was recorded."""
    return remove_dead(record(f, take_apart(f, args, kwargs), captures).graph)
