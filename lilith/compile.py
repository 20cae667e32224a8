"""The cache: which compiled program answers a call.

A call is looked up by the function's code, what the function reads besides its arguments (`lilith.captures`), the
options of the transform, and the signature of the arguments. A miss traces, derives and compiles, once however many
threads ask.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from lilith import tree
from lilith.captures import Captures, scan
from lilith.config import config
from lilith.derive import Derivation, Spec, cotangent_key, cotangent_leaves, derive, function_name
from lilith.executable import Executable, module_of
from lilith.ir.interpret import interpret
from lilith.ir.type import TensorType
from lilith.signature import (
    STATIC,
    describe,
    leaf_key,
    sign,
    take_apart,
)
from lilith.source import LilithWarning, user_source
from lilith.trace import current_trace, is_tracing
from lilith.tracer import Tracer
from lowering import carrier
from lowering.runtime import JAX, PYTHON, SCALAR


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


class Entry:
    """Everything known about one code object; fresh closures of the same code share it."""

    __slots__ = ("anchor", "name", "static_ints", "variants")

    def __init__(self, anchor: Any, name: str):
        self.anchor = anchor
        self.name = name
        self.variants: list[Variant] = []
        self.static_ints: dict[tuple, set[int]] = {}


_entries: dict[int, Entry] = {}
_entries_lock = threading.Lock()
_order: list[tuple[Variant, tuple]] = []
_MAX_VARIANTS = 64
_warned_opaque: set[str] = set()


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


def run(f: Callable[..., Any], spec: Spec, args: tuple, kwargs: dict[str, Any], cotangent: Any = None) -> Any:
    """Answer one call: with the compiled program there is, or with a new one."""
    if config.interpret:
        return _interpret(f, spec, args, kwargs, cotangent)
    anchor = f.__code__ if f.__class__ is types.FunctionType else anchor_of(f)
    entry = _entries.get(id(anchor))
    if entry is not None:
        key, leaves = sign(args, kwargs)
        for variant in entry.variants:
            captured = variant.plan.read(f)
            if captured is not None:
                capture_key: tuple = ()
                if captured:
                    capture_key = tuple([leaf_key(x) for x in captured])
                    leaves += captured
                if spec.cotangent:
                    found = variant.programs.get((spec, key, capture_key, cotangent_key(cotangent)))
                    if found is not None:
                        found.used = True
                        return found.run(leaves, _cotangent_values(found.derivation, cotangent))
                else:
                    found = variant.programs.get((spec, key, capture_key, None))
                    if found is not None:
                        found.used = True
                        return found.run(leaves)
                break
    return _miss(f, anchor, spec, args, kwargs, cotangent)


def _cotangent_values(derivation: Derivation, cotangent: Any) -> list[Any]:
    """The cotangent's arrays in the dtypes of the graph's last inputs: a Python number adapts."""
    leaves = cotangent_leaves(cotangent)
    inputs = derivation.graph.inputs[len(derivation.graph.inputs) - len(leaves) :]
    return [
        x.dtype.type(leaf) if isinstance(leaf, (float, complex)) else leaf
        for x, leaf in zip(inputs, leaves, strict=True)
    ]


def _miss(f: Any, anchor: Any, spec: Spec, args: tuple, kwargs: dict[str, Any], cotangent: Any) -> Any:
    """The slow path: scan the captures, then inline, bind or build."""
    captures = scan(f)
    key, leaves = sign(args, kwargs)
    captured = list(captures.leaves)
    leaves += captured
    full = (spec, key, tuple([leaf_key(x) for x in captured]), cotangent_key(cotangent) if spec.cotangent else None)
    given = leaves + (cotangent_leaves(cotangent) if spec.cotangent else [])
    variant = _variant(anchor, f, captures)

    def derived() -> Derivation:
        return derive(f, spec, args, kwargs, captures, cotangent)

    if any(isinstance(x, (Tracer, carrier.JaxTracer)) for x in given):
        derivation = variant.derivations.get(full) or derived()
        if not derivation.outer and not captures.opaque:
            variant.derivations[full] = derivation
        inside = any(isinstance(x, Tracer) for x in given)
        return (_inline if inside else _bind)(derivation, leaves, cotangent)
    # inside of a trace no lock is taken: waiting there for a build of another thread could wait for ever
    lock = variant.building.setdefault(full, threading.RLock()) if not is_tracing() else contextlib.nullcontext()
    with lock:
        program = variant.programs.get(full)
        if program is None:
            derivation = derived()
            if derivation.outer:
                return _inline(derivation, leaves, cotangent)
            program = Executable(derivation, leaves, describe_call(f, spec, args, kwargs, captures))
            explain_miss(_entries[id(anchor)], program.description)
        result = program.run(leaves, _cotangent_values(program.derivation, cotangent) if spec.cotangent else ())
        _remember(variant, full, program, captures)
    warn_static_ints(_entries[id(anchor)], spec, f, args, kwargs)
    return result


def _variant(anchor: Any, f: Any, captures: Captures) -> Variant:
    """The variant for this state of the static captures; it becomes the one that is tried first."""
    with _entries_lock:
        entry = _entries.get(id(anchor))
        if entry is None:
            entry = _entries[id(anchor)] = Entry(anchor, function_name(f))
        variant = next((v for v in entry.variants if v.key == captures.key), None) or Variant(captures)
        variant.plan = captures.plan
        entry.variants = [variant, *[v for v in entry.variants if v is not variant]][:_MAX_VARIANTS]
        return variant


def _remember(variant: Variant, full: tuple, program: Executable, captures: Captures) -> None:
    """Keep a program that has run, unless something opaque is involved: then it served this call only."""
    variant.building.pop(full, None)
    if captures.opaque:
        _warn_opaque(program.derivation.graph.name, captures.opaque)
    elif full not in variant.programs:
        variant.programs[full] = program
        _order.append((variant, full))
        while len(_order) > config.cache_size:
            _evict()


def _evict() -> None:
    """Second chance: a program used since the last look goes to the end of the line once more."""
    variant, full = _order.pop(0)
    program = variant.programs.get(full)
    if program is not None and program.used:
        program.used = False
        _order.append((variant, full))
    else:
        variant.programs.pop(full, None)


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


def _interpret(f: Any, spec: Spec, args: tuple, kwargs: dict[str, Any], cotangent: Any) -> Any:
    """Trace with values and run the graph node by node in NumPy; nothing is cached."""
    captures = scan(f)
    _, leaves = sign(args, kwargs)
    leaves += captures.leaves
    if any(isinstance(x, (Tracer, carrier.JaxTracer)) for x in leaves):
        derivation = derive(f, spec, args, kwargs, captures, cotangent)
        inside = any(isinstance(x, Tracer) for x in leaves)
        return (_inline if inside else _bind)(derivation, leaves, cotangent)
    derivation = derive(f, spec, args, kwargs, captures, cotangent, concrete=True)
    if derivation.outer:
        return _inline(derivation, leaves, cotangent)
    values = [*leaves, *derivation.hoisted]
    if spec.cotangent:
        values += _cotangent_values(derivation, cotangent)
    outputs = interpret(derivation.graph, values, NanFinder())
    return derivation.assemble([_as_kind(y, k) for y, k in zip(outputs, derivation.kinds, strict=True)])


def _as_kind(array: np.ndarray, kind: str) -> Any:
    if kind == PYTHON:
        return array.item()
    if kind == SCALAR:
        return array[()]
    return carrier.to_device(array) if kind == JAX else np.array(array)


class NanFinder:
    """Warns of the first node that makes a NaN out of operands without one."""

    def __init__(self) -> None:
        self.found = False

    def __call__(self, node: Any, operands: tuple, results: tuple) -> None:
        if self.found or not any(_has_nan(y) for y in results) or any(_has_nan(x) for x in operands):
            return
        self.found = True
        where = ""
        if node.source is not None:
            where = f" at {node.source.file}:{node.source.line} in {node.source.function}"
        given = ", ".join(repr(TensorType(x.shape, x.dtype)) for x in operands)
        warnings.warn(f"the first NaN appears in {node.primitive.name}({given}){where}", LilithWarning, stacklevel=2)


def _has_nan(array: np.ndarray) -> bool:
    return array.dtype.kind in "fcV" and bool(np.isnan(array).any())


# ---- why something was compiled ---------------------------------------------------------------------------------


def describe_call(f: Any, spec: Spec, args: tuple, kwargs: dict[str, Any], captures: Captures) -> dict[str, str]:
    """The parts of a program's key, as text."""
    parts = {"transform": _spec_text(spec)}
    for leaf in take_apart(f, args, kwargs).leaves:
        text = (
            f"{leaf.type} {leaf.kind}" if leaf.kind != STATIC else f"static {type(leaf.value).__name__} {leaf.value!r}"
        )
        parts[f"argument {leaf.path}"] = text
    for name, x in zip(captures.names, captures.leaves, strict=True):
        kind, type_ = describe(x)
        parts[f"captured {name}"] = f"{type_} {kind}"
    parts["code and static captures"] = captures.describe()
    return parts


def _spec_text(spec: Spec) -> str:
    options = {"wrt": spec.wrt, "has_aux": spec.has_aux or None, "cotangent": spec.cotangent or None}
    shown = ", ".join(f"{k}={v!r}" for k, v in options.items() if v is not None)
    return f"{'grad' if spec.gradient else 'jit'}({shown})"


def difference(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """What differs between two keys, as lines `argument x: f64[3] ndarray -> f64[4] ndarray`."""
    lines = []
    for part in [*new, *[p for p in old if p not in new]]:
        before, after = old.get(part, "absent"), new.get(part, "absent")
        if before != after:
            lines.append(f"{part}: {before} -> {after}" if len(before + after) < 200 else f"{part} changed")
    return lines


def explain_miss(entry: Entry, description: dict[str, str]) -> None:
    """With `config.explain`: say on stderr what is compiled, and how its key differs from the nearest one there is."""
    if not config.explain:
        return
    known = [p.description for v in entry.variants for p in v.programs.values()]
    if not known:
        print(f"lilith: compiling {entry.name} for the first time", file=sys.stderr)
        return
    lines = min((difference(old, description) for old in reversed(known)), key=len)
    reason = "; ".join(lines) or "the program was evicted from the cache, or a static capture changed"
    print(f"lilith: compiling {entry.name} again: {reason}", file=sys.stderr)


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
    programs = [p for v in entry.variants for p in v.programs.values()] if entry is not None else []
    lines = [f"{function_name(f)}: {len(programs)} program{'s' if len(programs) != 1 else ''}"]
    for i, program in enumerate(programs):
        description = program.description
        lines.append(f"{i + 1}. {description['transform']}")
        lines += [f"   {k}: {v}" for k, v in description.items() if k.startswith(("argument", "captured"))]
        if i:
            changed = min((difference(p.description, description) for p in reversed(programs[:i])), key=len)
            lines.append(f"   compiled because of {'; '.join(changed) or 'a static capture that changed'}")
    return "\n".join(lines)


def _warn_opaque(name: str, opaque: list[str]) -> None:
    if name not in _warned_opaque:
        _warned_opaque.add(name)
        warnings.warn(
            f"{name} reads {', '.join(opaque)}, whose changes cannot be seen: it is traced and compiled at every call; "
            "pass it as an argument, or read what is needed from it outside of the function",
            LilithWarning,
            stacklevel=2,
        )


def warn_static_ints(entry: Entry, spec: Spec, f: Any, args: tuple, kwargs: dict[str, Any]) -> None:
    """A Python int is static; one that changes at every call compiles at every call. After four, say so."""
    leaves = take_apart(f, args, kwargs).leaves
    keys = [(leaf.path, leaf.value if leaf.kind == STATIC else leaf.type) for leaf in leaves]
    for i, leaf in enumerate(leaves):
        if leaf.kind != STATIC or type(leaf.value) is not int:
            continue
        others = (
            spec,
            i,
            *[tree.static_key(k) if not isinstance(k, TensorType) else k for j, (_, k) in enumerate(keys) if j != i],
        )
        seen = entry.static_ints.setdefault(others, set())
        seen.add(leaf.value)
        if len(seen) == 4:
            source = user_source()
            where = f" ({source.file}:{source.line})" if source is not None else ""
            warnings.warn(
                f"{entry.name} was compiled for {len(seen)} values of its int argument {leaf.path!r}{where}: ints are "
                f"static; pass np.int64({leaf.path}) to make it data of one program",
                LilithWarning,
                stacklevel=2,
            )
