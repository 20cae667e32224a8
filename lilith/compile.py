"""The cache: which compiled program answers a call.

A call is looked up by the function's code, what the function reads besides its arguments (`lilith.captures`), the
options of the transform, and the signature of the arguments. A miss traces, derives and compiles, once however many
threads ask.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import types
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lilith import explain
from lilith.callpath import MISS, fast_path
from lilith.captures import Captures, scan
from lilith.config import config
from lilith.derive import (
    Derivation,
    NeedsContent,
    Spec,
    cotangent_key,
    cotangent_leaves,
    derive,
    function_name,
    hidden_state,
)
from lilith.executable import Executable, module_of
from lilith.interpreted import run_interpreted
from lilith.ir.type import TensorType
from lilith.signature import leaf_key, sign, take_apart
from lilith.source import ArgumentError
from lilith.trace import current_trace, is_tracing
from lilith.tracer import Tracer
from lowering import carrier

_MAX_FAST = 4


class Variant:
    """One function with one state of its static captures: its programs, and how its captures are read.

    Attributes:
        key: the static captures.
        plan: reads the dynamic ones; it holds none of the user's objects.
        programs: compiled, by (spec, signature of the arguments, of the captures, of the cotangent).
        derivations: for calls inside of other traces, which inline the graph instead of running it.
        building: a lock per program that is being built, so that it is built once.
    """

    __slots__ = ("building", "derivations", "key", "plan", "programs")

    def __init__(self, captures: Captures):
        self.key = captures.key
        self.plan = captures.plan
        self.programs: dict[tuple, Executable] = {}
        self.derivations: dict[tuple, Derivation] = {}
        self.building: dict[tuple, threading.RLock] = {}


_Fast = Callable[[Any, tuple], Any]


def _no_fast_path(f: Any, args: tuple) -> Any:
    return MISS


class FastPaths:
    """The warm paths for one code object and one Spec, the latest first.

    Attributes:
        first: the one to try; `others` are those after it.
    """

    __slots__ = ("_pairs", "first", "others")

    def __init__(self) -> None:
        self._set(())

    def _set(self, pairs: tuple[tuple[Executable, _Fast], ...]) -> None:
        self._pairs = pairs[:_MAX_FAST]
        functions = [function for _, function in self._pairs]
        self.others: tuple[_Fast, ...] = tuple(functions[1:])
        self.first: _Fast = functions[0] if functions else _no_fast_path

    def add(self, program: Executable, function: _Fast) -> None:
        self.drop(program)
        self._set(((program, function), *self._pairs))

    def drop(self, program: Any) -> None:
        self._set(tuple([pair for pair in self._pairs if pair[0] is not program]))

    def call(self, f: Any, spec: Spec, args: tuple) -> Any:
        """What `first` has missed."""
        for fast in self.others:
            result = fast(f, args)
            if result is not MISS:
                return result
        return run(f, spec, args, {})


class Entry:
    """Everything known about one code object; fresh closures of the same code share it.

    Attributes:
        anchor: the code object; it is held, so that its id stays its own.
        name: of the function, for texts.
        variants: the one used last comes first.
        fast: by the id of a Spec, the generated warm paths and the programs that they run.
        pinned, whole: how captures must be read (`lilith.captures.scan`), as traces found out.
        static_ints: which values static int arguments have had.
    """

    __slots__ = ("anchor", "fast", "name", "pinned", "static_ints", "variants", "whole")

    def __init__(self, anchor: Any, name: str):
        self.anchor = anchor
        self.name = name
        self.variants: list[Variant] = []
        self.fast: dict[int, FastPaths] = {}
        self.pinned: frozenset[str] = frozenset()
        self.whole = False
        self.static_ints: dict[tuple, set[int]] = {}

    def descriptions(self) -> list[dict[str, str]]:
        return [p.description for v in self.variants for p in list(v.programs.values())]

    def learn(self, need: NeedsContent) -> None:
        """Note how captures must be read; the user's error where that is known already and did not help."""
        if need.names <= self.pinned and (self.whole or not need.whole):
            raise need.error or need from None
        self.pinned |= need.names
        self.whole = self.whole or need.whole


_entries: dict[int, Entry] = {}
fast_paths: dict[tuple[int, int], FastPaths] = {}
"""The warm paths by the ids of code object and Spec: what `grad` looks at before anything else."""
_lock = threading.Lock()
_order: deque[tuple[Entry, Variant, dict, tuple]] = deque()
_MAX_VARIANTS = 64


def anchor_of(f: Any) -> Any:
    """The object that stands for a callable in the cache: its code, shared by all closures made from it."""
    while isinstance(f, functools.partial):
        f = f.func
    if isinstance(f, types.MethodType):
        f = f.__func__
    code = getattr(f, "__code__", None)
    if code is None and not isinstance(f, type):
        code = getattr(type(f).__call__, "__code__", None)
    return code if code is not None else f


def fast_paths_of(f: Any, spec: Spec) -> FastPaths:
    """The warm paths for a function; there may be none yet."""
    entry = _entry(f)
    with _lock:
        return _fast_paths(entry, spec)


def _fast_paths(entry: Entry, spec: Spec) -> FastPaths:
    found = entry.fast.get(id(spec))
    if found is None:
        found = entry.fast[id(spec)] = fast_paths[id(entry.anchor), id(spec)] = FastPaths()
    return found


def run(f: Callable[..., Any], spec: Spec, args: tuple, kwargs: dict[str, Any], cotangent: Any = None) -> Any:
    """Answer one call: with the compiled program there is, or with a new one."""
    if config.interpret:
        return with_captures(f, lambda captures: _interpret(f, spec, args, kwargs, cotangent, captures))
    entry = _entries.get(id(f.__code__ if f.__class__ is types.FunctionType else anchor_of(f)))
    if entry is not None:
        found = _find(entry, f, spec, args, kwargs, cotangent)
        if found is not None:
            program, leaves = found
            program.recent = True
            return program.run(leaves, _cotangent_values(program.derivation, cotangent) if spec.cotangent else ())
    return with_captures(f, lambda captures: _miss(f, spec, args, kwargs, cotangent, captures))


def _find(
    entry: Entry, f: Any, spec: Spec, args: tuple, kwargs: dict[str, Any], cotangent: Any
) -> tuple[Executable, list[Any]] | None:
    """The program for a call and the leaves to run it on."""
    key, leaves = sign(args, kwargs)
    for variant in entry.variants:
        captured = variant.plan.read(f)
        if captured is not None:
            full = _full_key(spec, key, captured, cotangent)
            program = variant.programs.get(full)
            if program is None:
                return None
            if not kwargs and not spec.cotangent and program.fast_plan is not variant.plan:
                _remember_fast(entry, variant, spec, program, args, captured)
            return program, leaves + captured
    return None


def _full_key(spec: Spec, key: tuple, captured: list[Any], cotangent: Any) -> tuple:
    return spec, key, tuple([leaf_key(x) for x in captured]), cotangent_key(cotangent) if spec.cotangent else None


def _cotangent_values(derivation: Derivation, cotangent: Any) -> list[Any]:
    """The cotangent's arrays in the dtypes of the graph's last inputs: a Python number adapts."""
    leaves = cotangent_leaves(cotangent)
    inputs = derivation.graph.inputs[len(derivation.graph.inputs) - len(leaves) :]
    return [
        leaf if isinstance(leaf, (carrier.Array, carrier.JaxTracer, Tracer)) else np.asarray(leaf, dtype=x.dtype)
        for x, leaf in zip(inputs, leaves, strict=True)
    ]


def with_captures(f: Callable[..., Any], make: Callable[[Captures], Any]) -> Any:
    """`make(captures)`, again with more of the captures' content in the key if the trace turns out to need it."""
    entry = _entry(f)
    while True:
        captures = scan(f, whole=entry.whole, pinned=entry.pinned)
        try:
            return make(captures)
        except NeedsContent as need:
            entry.learn(need)


def _entry(f: Any) -> Entry:
    anchor = anchor_of(f)
    with _lock:
        entry = _entries.get(id(anchor))
        if entry is None:
            if len(_entries) > 2 * config.cache_size:
                _forget_empty_entries()
            entry = _entries[id(anchor)] = Entry(anchor, function_name(f))
        return entry


def _forget_empty_entries() -> None:
    """Functions that were looked at but have nothing compiled (any more)."""
    for entry in list(_entries.values()):
        if not any(v.programs or v.derivations or v.building for v in entry.variants):
            _forget(entry)


def _forget(entry: Entry) -> None:
    _entries.pop(id(entry.anchor), None)
    for spec in entry.fast:
        fast_paths.pop((id(entry.anchor), spec), None)


def _miss(f: Any, spec: Spec, args: tuple, kwargs: dict[str, Any], cotangent: Any, captures: Captures) -> Any:
    """The slow path: inline into the trace that is running, bind in JAX's, or compile and run."""
    entry = _entry(f)
    variant = _variant(entry, captures)
    key, leaves = sign(args, kwargs)
    captured = list(captures.leaves)
    full = _full_key(spec, key, captured, cotangent)
    leaves += captured
    given = leaves + (cotangent_leaves(cotangent) if spec.cotangent else [])
    _refuse_types(entry.name, given)
    _, opaque = hidden_state(take_apart(f, args, kwargs), captures)
    if any(isinstance(x, (Tracer, carrier.JaxTracer)) for x in given):
        derivation = variant.derivations.get(full)
        if derivation is None:
            derivation = derive(f, spec, args, kwargs, captures, cotangent)
            if not derivation.outer and not opaque:
                _remember(entry, variant, variant.derivations, full, derivation)
        inside = any(isinstance(x, Tracer) for x in given)
        return (_inline if inside else _bind)(derivation, leaves, cotangent)
    # inside of a trace no lock is taken: waiting there for a build of another thread could wait for ever
    lock = contextlib.nullcontext() if is_tracing() else variant.building.setdefault(full, threading.RLock())
    with lock, _removed_after(variant.building, full):
        program = variant.programs.get(full)
        if program is None:
            derivation = derive(f, spec, args, kwargs, captures, cotangent)
            if derivation.outer:
                return _inline(derivation, leaves, cotangent)
            description = explain.describe_call(f, spec, args, kwargs, captures)
            program = Executable(derivation, leaves, cotangent_leaves(cotangent) if spec.cotangent else (), description)
            if config.explain:
                explain.explain_miss(entry.name, entry.descriptions(), program.description)
        result = program.run(leaves, _cotangent_values(program.derivation, cotangent) if spec.cotangent else ())
        if opaque:
            explain.warn_opaque(entry.name, opaque)
        elif full not in variant.programs:
            _remember(entry, variant, variant.programs, full, program)
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


@contextlib.contextmanager
def _removed_after(table: dict[tuple, Any], key: tuple) -> Iterator[None]:
    try:
        yield
    finally:
        table.pop(key, None)


def _variant(entry: Entry, captures: Captures) -> Variant:
    """The variant for this state of the static captures; it becomes the one that is tried first."""
    with _lock:
        variant = next((v for v in entry.variants if v.key == captures.key), None) or Variant(captures)
        variant.plan = captures.plan
        entry.variants = [variant, *[v for v in entry.variants if v is not variant]][:_MAX_VARIANTS]
        return variant


def _remember(entry: Entry, variant: Variant, table: dict[tuple, Any], full: tuple, made: Any) -> None:
    """Keep what was made, and let go of what has not been used for long."""
    with _lock:
        table[full] = made
        _order.append((entry, variant, table, full))
        while len(_order) > config.cache_size:
            _evict()


def _evict() -> None:
    """Second chance: a program used since the last look goes to the end of the line once more; one with a warm path
    loses that first, so that its next use is seen."""
    entry, variant, table, full = _order.popleft()
    made = table.get(full)
    for fast in entry.fast.values():
        fast.drop(made)
    if isinstance(made, Executable) and made.recent:
        made.recent, made.fast_plan = False, None
        _order.append((entry, variant, table, full))
        return
    table.pop(full, None)
    if not variant.programs and not variant.derivations:
        entry.variants = [v for v in entry.variants if v is not variant]
    if not entry.variants and _entries.get(id(entry.anchor)) is entry:
        _forget(entry)


def _remember_fast(
    entry: Entry, variant: Variant, spec: Spec, program: Executable, args: tuple, captured: list[Any]
) -> None:
    """Write the warm path of a program that is used a second time, once per plan of its captures."""
    program.fast_plan = variant.plan
    fast = fast_path(program.layout, program.derivation, variant.plan.read, args, captured)
    if fast is not None:
        with _lock:
            _fast_paths(entry, spec).add(program, fast)


def _inline(derivation: Derivation, leaves: list[Any], cotangent: Any) -> Any:
    """Record the derivation's graph into the trace that is running; the results are tracers."""
    trace = current_trace()
    values = [*leaves, *derivation.outer, *derivation.hoisted]
    if len(values) < len(derivation.graph.inputs):
        values += _cotangent_values(derivation, cotangent)
    outputs = trace.inline(derivation.graph, [trace.lift(x) for x in values])
    return derivation.assemble([Tracer(y, trace) for y in outputs])


def _bind(derivation: Derivation, leaves: list[Any], cotangent: Any) -> Any:
    """Use the derivation inside of a user's jax.jit or jax.vmap; the results are JAX tracers."""
    values = [*leaves, *derivation.hoisted]
    if len(values) < len(derivation.graph.inputs):
        values += _cotangent_values(derivation, cotangent)
    typed = [
        x if isinstance(x, (carrier.Array, carrier.JaxTracer)) else np.asarray(x, dtype=t.dtype)
        for x, t in zip(values, derivation.graph.inputs, strict=True)
    ]
    return derivation.assemble(carrier.bind(module_of(derivation.graph), typed))


def _interpret(f: Any, spec: Spec, args: tuple, kwargs: dict[str, Any], cotangent: Any, captures: Captures) -> Any:
    """Trace with values and run the graph node by node; nothing is cached."""
    leaves = [*sign(args, kwargs)[1], *captures.leaves]
    if any(isinstance(x, carrier.JaxTracer) for x in leaves):
        return _bind(derive(f, spec, args, kwargs, captures, cotangent), leaves, cotangent)
    inside = any(isinstance(x, Tracer) for x in leaves)
    derivation = derive(f, spec, args, kwargs, captures, cotangent, concrete=not inside)
    if inside or derivation.outer:
        return _inline(derivation, leaves, cotangent)
    given = _cotangent_values(derivation, cotangent) if spec.cotangent else []
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
    entry = _entries.get(id(anchor_of(f)))
    return explain.listing(function_name(f), entry.descriptions() if entry is not None else [])
