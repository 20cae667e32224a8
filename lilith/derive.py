"""From a function and the arguments of one call to the graph that answers it: trace, reverse, simplify."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lilith import tree
from lilith.asked import (
    LEAF,
    Kept,
    Spec,
    check_cotangent,
    check_scalar,
    function_name,
    gradient_entries,
    gradient_source,
    leaf_types,
    split_aux,
    value_kind,
    wanted_leaves,
)
from lilith.buffers import Makers, with_buffers
from lilith.captures import Captures, content_scan, substitute
from lilith.config import config
from lilith.donating import donated_leaves
from lilith.guards import Decisions, Guard
from lilith.ir.graph import Graph, Source, Value, current, fill_like
from lilith.ir.type import TensorType
from lilith.numpy.views import Storage
from lilith.randomness import ENTROPY, GENERATORS, refuse_entropy, without_randomness
from lilith.result import GradResult, Labels
from lilith.signature import (
    STATIC,
    Arguments,
    is_iterator,
    is_users_callable,
    take_apart,
    type_of,
)
from lilith.source import TraceError, definition
from lilith.trace import Recorded, Traced, collector_paused, trace_call, uncovered
from lilith.tracer import Tracer
from lilith.transform.reverse import reverse, structural_zeros
from lilith.transform.roll import Columns, roll
from lilith.transform.simplify import remove_dead, simplify
from lowering.carrier import Array, JaxTracer, readable
from lowering.runtime import ARRAY


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
            indices, None or `Kept`; None for arguments that have no gradient.
        labels: for GradResult.
        outer, hoisted: what the extra inputs are given.
        guards: the decisions that the function made on traced values; their predicates are the graph's last outputs.
        stages: the graphs that it went through before it was simplified, by name; kept for `config.dump` only.
        finish: makes the user's result of value and gradients; None where these are the result.
        residuals: so many outputs before the guards' predicates stay on the device, for a later program.
        donated: which of the arguments' dynamic leaves are given up with the call.
        rolled: which repeats became loops, as texts.
        beside: (output, input) pairs: gradients that lie on the devices as the arguments do that they belong to.
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
    finish: Callable[[Any], Any] | None = None
    residuals: int = 0
    donated: tuple[int, ...] = ()
    rolled: tuple[str, ...] = ()
    beside: tuple[tuple[int, int], ...] = ()

    def assemble(self, outputs: Sequence[Any]) -> Any:
        """The user's result from the graph's outputs: `value`, or `(value, GradResult)` for a gradient."""
        if self.value_structure is LEAF:
            (leaf,) = self.value_leaves
            value = outputs[leaf.output] if leaf.__class__ is Traced else unshared(leaf)
        else:
            leaves = [outputs[x.output] if isinstance(x, Traced) else unshared(x) for x in self.value_leaves]
            value = tree.unflatten(self.value_structure, leaves)
        if self.labels is not None:
            value = value, GradResult([self._gradient(entry, outputs) for entry in self.entries], self.labels)
        return value if self.finish is None else self.finish(value)

    def _gradient(self, entry: Any, outputs: Sequence[Any]) -> Any:
        if entry.__class__ is int:
            return outputs[entry]
        if entry is None:
            return None
        structure, indices = entry
        leaves = [None if i is None else i.value if isinstance(i, Kept) else outputs[i] for i in indices]
        return tree.unflatten(structure, leaves)


def given_values(derivation: Derivation, leaves: Sequence[Any]) -> list[Any]:
    """What is given besides arguments, in the dtypes of the graph's last inputs: a Python number adapts."""
    inputs = derivation.graph.inputs[len(derivation.graph.inputs) - len(leaves) :]
    return [
        leaf if isinstance(leaf, (Array, JaxTracer, Tracer)) else np.asarray(leaf, dtype=x.dtype)
        for x, leaf in zip(inputs, leaves, strict=True)
    ]


def unshared(x: Any) -> Any:
    """A static result: mutable ones are copied, for the next call gets it too."""
    return copy.copy(x) if isinstance(x, (set, bytearray)) else x


def _traceable(
    f: Callable[..., Any], arguments: Arguments, captures: Captures, count: int, makers: Makers | None
) -> Callable[[list[Any]], Any]:
    """f as a function of the list of its inputs: tracers for `count` leaves of the arguments, then for the captures."""

    dynamic = [leaf.value for leaf in arguments.leaves if leaf.kind != STATIC]

    stand_in = makers.stand_in if makers is not None else None

    def run(tracers: list[Any]) -> Any:
        for x, value in zip(tracers, dynamic, strict=False):
            if isinstance(value, np.ndarray) and not value.shape:
                x.memory = Storage(ordered=True)  # an array without axes, not a number
        for x, value, name in zip(tracers[count:], captures.leaves, captures.names, strict=True):
            if isinstance(value, np.ndarray) or x.shape:
                x.memory = Storage(ordered=True, captured=name, nested=isinstance(value, Tracer))
        args, kwargs = arguments.rebuild(tracers[:count])
        inner = substitute(f, captures, tracers[count:], stand_in)
        current.builder.decides_items = makers is not None and makers.decides_items  # type: ignore[union-attr]
        try:
            return inner(*args, **kwargs)
        except (TypeError, ValueError, RuntimeError) as error:
            shown = uncovered(error)
            if "returned non-float (type Tracer)" in str(shown):  # a captured object's own __float__
                raise NeedsContent(shown, frozenset(captures.names)) from None
            needed = _captures_behind(shown, [t.value for t in tracers], count, captures.names)
            if needed:
                raise NeedsContent(shown, needed) from None
            if "lilith.tracer.Tracer" in str(shown):
                raise _of_another_library(shown) from error
            raise shown from error.__cause__

    return run


def _of_another_library(error: Exception) -> TraceError:
    """The error for jax.numpy and the like, which tell that they do not know what they were given."""
    source, trace = None, error.__traceback__
    while trace is not None:
        if not tree.is_library_file(trace.tb_frame.f_code.co_filename):
            source = Source(trace.tb_frame.f_code, trace.tb_lasti)
        trace = trace.tb_next
    return TraceError(
        "a function of another library was given a traced array, which it does not take",
        hint="numpy's functions, lilith.numpy and lilith.nn do, in the place of jax.numpy and jax.nn",
        source=source,
    )


def record(
    f: Callable[..., Any],
    arguments: Arguments,
    captures: Captures,
    interpreted: bool = False,
    decisions: Decisions | None = None,
    types: Sequence[TensorType] | None = None,
    columns: Callable[[Graph], Columns] | None = None,
    whole: bool = False,
) -> Recorded:
    """Trace f on tracers in place of the arguments' and the captures' dynamic leaves.

    Arguments:
        interpreted: let tracers show their values.
        decisions: numbers what Python code decides on traced values; None for those of the enclosing trace. Where there
            are none, such code is an error.
        types: of the arguments' dynamic leaves, where they are not those of the values: then no values are known.
        columns: of a recorded graph: what becomes of it, as rolling has to know; None for one derivative.
        whole: leave the graph as it was traced, with what the result does not need and with repeats as they are.
    """
    dynamic = [leaf for leaf in arguments.leaves if leaf.kind != STATIC]
    known = types is None
    own = [type_of(leaf.value) for leaf in dynamic] if types is None else types
    types = [*own, *map(type_of, captures.leaves)]
    names = [leaf.path for leaf in dynamic] + list(captures.names)

    name = function_name(f)
    values = [leaf.value for leaf in dynamic] + list(captures.leaves)
    generators, _ = hidden_state(arguments, captures)
    if not known:
        decisions = None
    elif decisions is None:
        decisions = enclosing_decisions()
    first = decisions.count if decisions is not None else 0

    def recorded_once(makers: Makers | None = None) -> Recorded:
        if decisions is not None:
            decisions.count = first  # a trace that is made again asks the same questions again
        return trace_call(
            _traceable(f, arguments, captures, len(dynamic), makers),
            types,
            names,
            name,
            [readable(x) for x in values] if decisions is not None else None,
            interpreted=interpreted,
            decisions=decisions,
            pinnable=len(dynamic),
        )

    recorded = without_randomness(lambda: with_buffers(recorded_once), generators, name, definition(f))
    if not ENTROPY.isdisjoint(captures.mentions):
        refuse_entropy(recorded, with_buffers(recorded_once), name, definition(f))
    if not captures.whole and any(isinstance(leaf, Traced) and leaf.constant for leaf in recorded.leaves):
        raise NeedsContent(None, whole=True)
    if not config.roll or interpreted or whole:
        return recorded
    given = zip(recorded.graph.inputs, values, strict=False)
    together = [x for x, value in given if known and isinstance(value, (np.ndarray, np.generic, float))]
    return rolled(recorded, together, Columns() if columns is None else columns(recorded.graph))


def rolled(recorded: Recorded, together: Sequence[Value], columns: Columns) -> Recorded:
    """What was recorded, with the repeats of its graph as loops; `together`: inputs that come from the host, where it
    costs little to stack them; `columns`: how many derivatives at once are taken of it."""
    graph, guards = recorded.graph, recorded.guards
    asked = graph.with_outputs((*graph.outputs, *[guard.value for guard in guards]))
    whole, repeats = roll(asked, len(guards), together, columns)
    if whole is asked:
        return recorded
    outputs, predicates = whole.outputs[: len(graph.outputs)], whole.outputs[len(graph.outputs) :]
    return recorded._replace(
        graph=whole.with_outputs(outputs),
        guards=tuple([guard._replace(value=y) for guard, y in zip(guards, predicates, strict=True)]),
        rolled=tuple(map(str, repeats)),
    )


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


class Asked(NamedTuple):
    """A call under one of MODES: the function, what is asked of it, its arguments, and the arrays given besides."""

    f: Callable[..., Any]
    spec: Spec
    arguments: Arguments
    cotangent: Any


MODES: dict[str, Callable[[Asked, Callable[..., Recorded]], Derivation]] = {}
"""The other transforms, by name: `(asked, record) -> Derivation`; `record()` traces the function."""

MOVING = frozenset({"jvp", "hvp", "vmap"})
"""Modes in which an array that is in several places is an input of its own in each: each place has a tangent."""


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
    if spec.mode not in MOVING:
        arguments = arguments.tied()
    with collector_paused():
        return _derived(f, spec, arguments, captures, cotangent, interpreted, decisions)


def _derived(
    f: Callable[..., Any],
    spec: Spec,
    arguments: Arguments,
    captures: Captures,
    cotangent: Any,
    interpreted: bool,
    decisions: Decisions | None,
) -> Derivation:
    if spec.mode:
        call = Asked(f, spec, arguments, cotangent)
        return MODES[spec.mode](call, lambda **how: record(f, arguments, captures, interpreted, decisions, **how))
    wanted = wanted_leaves(f, spec, arguments) if spec.gradient else []
    recorded = record(f, arguments, captures, interpreted, decisions)
    graph = recorded.graph
    dynamic = [leaf for leaf in arguments.leaves if leaf.kind != STATIC]
    values, structure = split_aux(f, spec, recorded)
    kinds = [value_kind(y.type, [dynamic[i].kind for i in wanted] or [x.kind for x in dynamic]) for y in graph.outputs]
    if not spec.gradient:
        plain = _derivation(recorded, graph, kinds, structure, [], None)
        return plain._replace(donated=donated_leaves(f, spec, arguments))
    main = [leaf.output for leaf in values if isinstance(leaf, Traced)]
    if spec.cotangent:
        value = tree.unflatten(recorded.structure, list(range(len(recorded.leaves))))
        positions, shape = tree.flatten(value[0] if spec.has_aux else value)
        types = leaf_types(recorded, positions)
        check_cotangent(function_name(f), cotangent, types, shape, gradient_source(graph))
    else:
        check_scalar(f, graph, values, main)
    differentiated = graph.with_outputs([graph.outputs[i] for i in main])
    pulled = reverse(differentiated, wanted)
    gradients = pulled.outputs[len(main) :]
    whole = pulled.with_outputs((*graph.outputs, *gradients))
    if not spec.cotangent:
        for _ in range(len(whole.inputs) - len(graph.inputs)):
            whole = whole.bind(len(graph.inputs), lambda type: fill_like(Value(type), 1))
    zeros = unused_paths(arguments, differentiated, wanted)
    kinds.extend([dynamic[i].kind for i in wanted])
    labels, entries = gradient_entries(f, spec, arguments, wanted, len(graph.outputs), zeros)
    beside = tuple([(len(graph.outputs) + k, i) for k, i in enumerate(wanted)])
    return _derivation(recorded, whole, kinds, structure, entries, labels)._replace(beside=beside)


def unused_paths(arguments: Arguments, graph: Graph, wanted: list[int]) -> frozenset[str]:
    """The field paths of the leaves that a graph's outputs do not depend on."""
    unused = {i for i, zero in zip(wanted, structural_zeros(graph, wanted), strict=True) if zero}
    dynamic = [leaf for leaf in arguments.leaves if leaf.kind != STATIC]
    return frozenset([leaf.path for i, leaf in enumerate(dynamic) if arguments.first_of(i) in unused])


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
        rolled=recorded.rolled,
    )


def raw_graph(f: Callable[..., Any], args: tuple, kwargs: dict[str, Any], captures: Captures) -> Graph:
    """The graph of f itself, as it was recorded."""
    arguments = take_apart(f, args, kwargs)
    with collector_paused():
        return remove_dead(record(f, arguments, captures, decisions=known_decisions(arguments)).graph)


def known_decisions(arguments: Arguments) -> Decisions | None:
    """Decisions of its own for a call that is only looked at, if all of its values are there."""
    unknown = (TensorType, Tracer, JaxTracer)
    return None if any(isinstance(leaf.value, unknown) for leaf in arguments.leaves) else Decisions()
