"""The cache: which compiled program answers a call.

A call is looked up by the function's code, what the function reads besides its arguments (`lilith.captures`), the
options of the transform, and the signature of the arguments. A miss traces, derives and compiles, once however many
threads ask.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from lilith import explain
from lilith.asked import Spec, cotangent_key, cotangent_leaves, function_name
from lilith.cache import (
    Entry,
    FastPaths,
    Variant,
    anchor_of,
    entries,
    entry_of,
    remember,
    table_lock,
    variant_of,
    warm_paths,
)
from lilith.callpath import Diverged, fast_path
from lilith.captures import Captures, scan
from lilith.config import config
from lilith.derive import Derivation, NeedsContent, derive, enclosing_decisions, given_values, hidden_state
from lilith.donating import refuse_deleted
from lilith.executable import Executable, module_of
from lilith.guards import Decisions
from lilith.interpreted import run_interpreted
from lilith.ir.type import TensorType
from lilith.merging import merged
from lilith.paths import Paths, describe, settle
from lilith.signature import STATIC, leaf_key, sign, take_apart
from lilith.source import ArgumentError
from lilith.straight import MISS
from lilith.trace import current_trace, is_tracing
from lilith.tracer import Tracer
from lowering import carrier


def run(f: Callable[..., Any], spec: Spec, args: tuple, kwargs: dict[str, Any], cotangent: Any = None) -> Any:
    """Answer one call: with the compiled program there is, or with a new one."""
    if config.interpret:
        return with_captures(f, lambda captures: _interpret(f, spec, args, kwargs, cotangent, captures))
    entry = entries.get(id(f.__code__ if f.__class__ is types.FunctionType else anchor_of(f)))
    if entry is not None:
        found = _find(entry, f, spec, args, kwargs, cotangent)
        if found is not None:
            variant, full, program, leaves = found
            program.recent = True
            given = given_values(program.derivation, cotangent_leaves(cotangent)) if spec.cotangent else ()
            result = program.run(leaves, given)
            if result.__class__ is not Diverged:
                return result
            call = Call(f, spec, args, kwargs, cotangent)
            return _diverge(entry, variant, full, call, program, result.outcomes, leaves)
    return with_captures(f, lambda captures: _miss(f, spec, args, kwargs, cotangent, captures))


def missed(paths: FastPaths, f: Callable[..., Any], spec: Spec, args: tuple, *given: Any) -> Any:
    """Answer a call that the first warm path has missed."""
    result = paths.later(f, args, *given)
    return run(f, spec, args, {}, *given) if result is MISS else result


def _find(
    entry: Entry, f: Any, spec: Spec, args: tuple, kwargs: dict[str, Any], cotangent: Any
) -> tuple[Variant, tuple, Executable, list[Any]] | None:
    """The program for a call, where it is kept, and the leaves to run it on."""
    key, leaves = sign(args, kwargs)
    for variant in entry.variants:
        captured = variant.plan.read(f)
        if captured is not None:
            full = _full_key(spec, key, captured, cotangent)
            program = variant.programs.get(full)
            if program is None:
                return None
            if not kwargs and program.fast_plan is not variant.plan:
                _remember_fast(entry, variant, full, program, Call(f, spec, args, kwargs, cotangent), captured)
            return variant, full, program, leaves + captured
    return None


def _full_key(spec: Spec, key: tuple, captured: list[Any], cotangent: Any) -> tuple:
    given = cotangent_key(cotangent) if spec.cotangent else None
    return spec, key, tuple([leaf_key(x) for x in captured]), given, config.roll


def with_captures(f: Callable[..., Any], make: Callable[[Captures], Any]) -> Any:
    """`make(captures)`, again with more of the captures' content in the key if the trace turns out to need it."""
    entry = entry_of(f)
    while True:
        captures = scan(f, whole=entry.whole, pinned=entry.pinned)
        try:
            return make(captures)
        except NeedsContent as need:
            entry.learn(need)


def _miss(f: Any, spec: Spec, args: tuple, kwargs: dict[str, Any], cotangent: Any, captures: Captures) -> Any:
    """The slow path: inline into the trace that is running, bind in JAX's, or compile and run."""
    entry = entry_of(f)
    variant = variant_of(entry, captures)
    key, leaves = sign(args, kwargs)
    captured = list(captures.leaves)
    full = _full_key(spec, key, captured, cotangent)
    leaves += captured
    given = leaves + (cotangent_leaves(cotangent) if spec.cotangent else [])
    _refuse_types(entry.name, given)
    arguments = take_apart(f, args, kwargs)
    paths = [leaf.path for leaf in arguments.leaves if leaf.kind != STATIC]
    refuse_deleted(entry.name, [*paths, *captures.names], leaves)
    _, opaque = hidden_state(arguments, captures)
    if any(isinstance(x, (Tracer, carrier.JaxTracer)) for x in given):
        derivation = variant.derivations.get(full)
        if derivation is None:
            derivation = derive(f, spec, args, kwargs, captures, cotangent)
            if not (derivation.outer or opaque or derivation.guards):
                remember(entry, variant, variant.derivations, full, derivation)
        inside = any(isinstance(x, Tracer) for x in given)
        return (inline_derivation if inside else bind_derivation)(derivation, leaves, cotangent)
    # inside of a trace no lock is taken: waiting there for a build of another thread could wait for ever
    lock = contextlib.nullcontext() if is_tracing() else variant.lock(full)
    with lock, _removed_after(variant.building, full):
        program = variant.programs.get(full)
        if program is None:
            derivation = _derived_alone(f, spec, args, kwargs, captures, cotangent)
            if derivation.outer:
                return inline_derivation(derivation, leaves, cotangent)
            description = explain.describe_call(f, spec, args, kwargs, captures)
            program = Executable(derivation, leaves, cotangent_leaves(cotangent) if spec.cotangent else (), description)
            program.paths = Paths(program)
            if config.explain:
                explain.explain_miss(entry.name, entry.descriptions(), program.description)
        result = program.run(
            leaves, given_values(program.derivation, cotangent_leaves(cotangent)) if spec.cotangent else ()
        )
        if result.__class__ is Diverged:
            call = Call(f, spec, args, kwargs, cotangent)
            result = _diverge(entry, variant, full, call, program, result.outcomes, leaves)
        if opaque:
            explain.warn_opaque(entry.name, opaque)
        elif full not in variant.programs:
            remember(entry, variant, variant.programs, full, program)
    explain.warn_static_ints(entry.name, entry.static_ints, spec, f, args, kwargs)
    return result


def _refuse_types(name: str, given: list[Any]) -> None:
    """The error for `lilith.spec(...)` in the place of an array."""
    for x in given:
        if isinstance(x, TensorType):
            raise ArgumentError(
                f"{name} was called with the type {x}, which has no data",
                hint="pass an array; types are for lilith.lower, lower_grad, trace and trace_grad",
            )


def _derived_alone(
    f: Any, spec: Spec, args: tuple, kwargs: dict[str, Any], captures: Captures, cotangent: Any
) -> Derivation:
    """The derivation of a call that is compiled by itself, unless it turns out to use an enclosing trace's arrays."""
    enclosing = enclosing_decisions()
    if enclosing is None:
        return derive(f, spec, args, kwargs, captures, cotangent, decisions=Decisions())
    first = enclosing.count
    derivation = derive(f, spec, args, kwargs, captures, cotangent)
    if derivation.outer or not derivation.guards:
        return derivation
    enclosing.count = first  # these decisions are not the enclosing function's
    return derive(f, spec, args, kwargs, captures, cotangent, decisions=Decisions())


class Call(NamedTuple):
    """One call of a function under a transform."""

    f: Any
    spec: Spec
    args: tuple
    kwargs: dict[str, Any]
    cotangent: Any


def _diverge(
    entry: Entry,
    variant: Variant,
    full: tuple,
    call: Call,
    program: Executable,
    found: tuple[int, ...],
    leaves: list[Any],
) -> Any:
    """Answer a call whose guards came out otherwise than on the program's path: by the program of another one.

    A program that is wrong more often than right loses its place as the first to be tried.
    """

    def build(prefix: tuple[int, ...]) -> Executable:
        lock = contextlib.nullcontext() if is_tracing() else variant.lock((full, prefix))
        with lock, _removed_after(variant.building, (full, prefix)):
            return program.paths.find(prefix) or _path_program(entry, call, program, prefix, leaves)

    given = given_values(program.derivation, cotangent_leaves(call.cotangent)) if call.spec.cotangent else ()
    result, right = settle(program, found, leaves, given, build)
    paths = program.paths
    with table_lock:
        paths.used(right)
        hot = paths.are_hot(program, right)
        often = paths.misses > program.layout.served[0]
    first = _merged_program(program, right, call, leaves) if hot else None
    if first is not None or often:
        _try_first(entry, variant, full, call.spec, program, first or right)
    return result


def _try_first(entry: Entry, variant: Variant, full: tuple, spec: Spec, old: Executable, new: Executable) -> None:
    """Let another program of the same calls be the one that is tried first."""
    with table_lock:
        if variant.programs.get(full) is old:
            variant.programs[full] = new
            new.paths.misses = new.layout.served[0] = 0
            old.fast_plan = new.fast_plan = None
            warm_paths(entry, spec).drop(old)


def _merged_program(a: Executable, b: Executable, call: Call, leaves: list[Any]) -> Executable | None:
    """One program for two paths that are taken in turn, where that can be."""
    # a merged program decides for itself, and where arguments are given up that must have been done before
    derivation = None if call.spec.donate else merged(a.derivation, b.derivation, len(leaves))
    if derivation is None:
        return None
    cotangents = cotangent_leaves(call.cotangent) if call.spec.cotangent else ()
    program = Executable(derivation, leaves, cotangents, a.description)
    program.paths, program.parts = a.paths, (a, b)
    return program


def _path_program(
    entry: Entry, call: Call, program: Executable, prefix: tuple[int, ...], leaves: list[Any]
) -> Executable:
    """Trace and compile the path that begins with these outcomes."""
    f, spec, args, kwargs, cotangent = call
    new = with_captures(
        f,
        lambda captures: Executable(
            derive(f, spec, args, kwargs, captures, cotangent, decisions=Decisions(prefix)),
            leaves,
            cotangent_leaves(cotangent) if spec.cotangent else (),
            program.description,
        ),
    )
    if config.explain:
        explain.explain_path(entry.name, describe(new.derivation.guards))
    with table_lock:
        program.paths.add(new, entry.name)
    return new


@contextlib.contextmanager
def _removed_after(table: dict[tuple, Any], key: tuple) -> Iterator[None]:
    try:
        yield
    finally:
        table.pop(key, None)


def _remember_fast(
    entry: Entry, variant: Variant, full: tuple, program: Executable, call: Call, captured: list[Any]
) -> None:
    """Write the warm path of a program that is used a second time, once per plan of its captures."""
    program.fast_plan = variant.plan
    spec = call.spec

    def resume(f: Any, args: tuple, given: Any, found: tuple[int, ...]) -> Any:
        captured = variant.plan.read(f)
        if captured is None:
            return run(f, spec, args, {}, given)
        again = Call(f, spec, args, {}, given)
        return _diverge(entry, variant, full, again, program, found, sign(args, {})[1] + captured)

    given = (call.cotangent,) if spec.cotangent else ()
    fast = fast_path(program.layout, program.derivation, variant.plan.read, call.args, captured, given, resume)
    if fast is not None:
        with table_lock:
            warm_paths(entry, spec).add(program, fast)


def inline_derivation(derivation: Derivation, leaves: list[Any], cotangent: Any) -> Any:
    """Record the derivation's graph into the trace that is running; the results are tracers."""
    trace = current_trace()
    values = [*leaves, *derivation.outer, *derivation.hoisted]
    if len(values) < len(derivation.graph.inputs):
        values += given_values(derivation, cotangent_leaves(cotangent))
    outputs = trace.inline(derivation.graph, [trace.lift(x) for x in values])
    if trace.decisions is not None:
        predicates = outputs[len(outputs) - len(derivation.guards) :]
        trace.guards += [g._replace(value=y) for g, y in zip(derivation.guards, predicates, strict=True)]
    return derivation.assemble([Tracer(y, trace) for y in outputs])


def bind_derivation(derivation: Derivation, leaves: list[Any], cotangent: Any) -> Any:
    """Use the derivation inside of a user's jax.jit or jax.vmap; the results are JAX tracers."""
    values = [*leaves, *derivation.hoisted]
    if len(values) < len(derivation.graph.inputs):
        values += given_values(derivation, cotangent_leaves(cotangent))
    typed = [
        x if isinstance(x, (carrier.Array, carrier.JaxTracer)) else np.asarray(x, dtype=t.dtype)
        for x, t in zip(values, derivation.graph.inputs, strict=True)
    ]
    return derivation.assemble(carrier.bind(module_of(derivation.graph, to_run=False), typed))


def _interpret(f: Any, spec: Spec, args: tuple, kwargs: dict[str, Any], cotangent: Any, captures: Captures) -> Any:
    """Trace and run the graph node by node; nothing is cached."""
    leaves = [*sign(args, kwargs)[1], *captures.leaves]
    if any(isinstance(x, carrier.JaxTracer) for x in leaves):
        return bind_derivation(derive(f, spec, args, kwargs, captures, cotangent), leaves, cotangent)
    inside = any(isinstance(x, Tracer) for x in leaves)
    decisions = None if inside else Decisions()
    derivation = derive(f, spec, args, kwargs, captures, cotangent, not inside, decisions)
    if inside or derivation.outer:
        return inline_derivation(derivation, leaves, cotangent)
    given = given_values(derivation, cotangent_leaves(cotangent)) if spec.cotangent else []
    return run_interpreted(derivation, [*leaves, *derivation.hoisted, *given])


def explain_cache(f: Callable[..., Any]) -> str:
    """The programs compiled for a function, one paragraph each, and how each key differs from the one before it.

    >>> import numpy as np, lilith
    >>> def loss(x):
    ...     return np.sum(x * x)
    >>> _ = lilith.grad(loss, np.ones(3)), lilith.grad(loss, np.ones(4))
    >>> print(lilith.explain_cache(loss))
    loss: 2 programs
    1. grad()
       argument x: f64[3] ndarray
    2. grad()
       argument x: f64[4] ndarray
       compiled because of argument x: f64[3] ndarray -> f64[4] ndarray
    """
    entry = entries.get(id(anchor_of(f)))
    programs = entry.programs() if entry is not None else []
    paths = [[describe(path.derivation.guards) for path in program.paths.programs] for program in programs]
    repeats = [program.derivation.rolled for program in programs]
    return explain.listing(function_name(f), [program.description for program in programs], paths, repeats)
