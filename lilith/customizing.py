"""Derivatives given by the user: custom; and Python functions that a compiled program calls: pure_callback."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from lilith import tree
from lilith.api import check_function
from lilith.asked import function_name, shown_structure
from lilith.cache import anchor_of
from lilith.ir.graph import Graph, Literal, Value
from lilith.ir.primitive import primitive
from lilith.ir.type import TensorType, is_inexact
from lilith.nested import assembled, nested
from lilith.ops import control
from lilith.ops import nested as ops
from lilith.signature import STATIC, Arguments, describe, type_of
from lilith.source import ArgumentError, DtypeError, LeakedTracerError, ShapeError
from lilith.trace import Recorded, Traced, as_array, current_trace, is_tracing, trace_call
from lilith.tracer import Tracer
from lilith.transform.simplify import simplify


class _Tracing(threading.local):
    """The code of the rules that are being traced, innermost last."""

    def __init__(self) -> None:
        self.rules: list[Any] = []


_tracing = _Tracing()


def custom(f: Callable[..., Any]) -> Any:
    """f, with derivatives that you give.

    `@f.vjp` takes a rule `(g, y, *args)`: the cotangents of the arguments for a cotangent g of the value y. `@f.jvp`
    takes a rule `(t, y, *args)`: the tangent of y for the arguments' tangents t, a tuple. One of them is enough; where
    both are given, each is used in its own direction.

    A rule is traced like f. `args` are all of f's arguments, in order, also those given by name or by default. A vjp
    rule returns a tuple with one cotangent per argument (for a single argument the cotangent alone will do), of the
    argument's structure, shapes and dtypes; None for zero, and for ints, strings and other static arguments. It is
    linear in g, a jvp rule in t.

    >>> import numpy as np, lilith
    >>> @custom
    ... def softplus(x):
    ...     return np.log1p(np.exp(x))
    >>> @softplus.vjp
    ... def rule(g, y, x):
    ...     return g * (1 - np.exp(-y))
    >>> lilith.grad(softplus, 0.0)[1][0]
    0.5
    """
    check_function(f)
    rules: dict[str, Callable[..., Any]] = {}

    @functools.wraps(f, updated=())
    def called(*args: Any, **kwargs: Any) -> Any:
        if not is_tracing() or not rules:
            return f(*args, **kwargs)
        return _apply(f, rules, _positional(f, args, kwargs))

    def setter(kind: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def give(rule: Callable[..., Any]) -> Callable[..., Any]:
            check_function(rule)
            rules[kind] = rule
            return rule

        return give

    called.vjp, called.jvp = setter("vjp"), setter("jvp")  # type: ignore[attr-defined]
    return called


def _positional(f: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> tuple:
    """All arguments by position."""
    try:
        bound = inspect.signature(f).bind(*args, **kwargs)
    except TypeError as error:
        raise ArgumentError(f"{function_name(f)}: {error}", hint="call it with its parameters") from error
    except ValueError:  # builtins have no signature
        return args
    bound.apply_defaults()
    if bound.kwargs:
        raise ArgumentError(
            f"custom function {function_name(f)} has keyword-only arguments ({', '.join(bound.kwargs)}), which a rule "
            "cannot tell apart",
            hint="make them positional",
        )
    return bound.args


class _Call(NamedTuple):
    """An application of a custom function: what its rules are traced for.

    Attributes:
        name: of the function.
        arguments, recorded: what it was called with, and its graph.
        types: of the arguments' arrays.
        results: of its graph's outputs, the guards' predicates included.
    """

    name: str
    arguments: Arguments
    recorded: Recorded
    types: list[TensorType]
    results: list[TensorType]

    def given(self, kind: str) -> list[TensorType]:
        """The types of what a rule is given first: cotangents of the results, or tangents of the arguments."""
        return [t.strong for t in (self.results if kind == "vjp" else self.types) if is_inexact(t.dtype)]


class _Made(NamedTuple):
    """A rule's graph: its inputs are the arguments, results, given arrays, and what it uses from around it."""

    graph: Graph
    outer: list[Any]


def _apply(f: Callable[..., Any], rules: dict[str, Callable[..., Any]], args: tuple) -> Any:
    """Record f as one node with its rules."""
    trace = current_trace()
    source = trace.source
    inner = nested(trace, f, args, {})
    recorded = inner.recorded
    guards = [guard.value for guard in recorded.guards]
    body = simplify(recorded.graph.with_outputs((*recorded.graph.outputs, *guards)))
    types = [type_of(leaf.value) for leaf in inner.arguments.leaves if leaf.kind != STATIC]
    call = _Call(function_name(f), inner.arguments, recorded, types, [y.type for y in body.outputs])
    # a rule that uses its own function is traced when it is needed: it might never end otherwise
    making = {kind: _made(call, kind, rule) for kind, rule in rules.items() if anchor_of(rule) not in _tracing.rules}
    operands = list(inner.operands)
    position = {}
    for kind, made in making.items():
        position[kind] = len(operands)
        operands += [trace.lift(x) for x in made.outer]
    whole = [x.type for x in operands]
    params: dict[str, Any] = {"vjp": None, "jvp": None}
    for kind, rule in rules.items():
        make = functools.partial(_arranged, call, kind, rule, making.get(kind), whole, position.get(kind, 0))
        params[kind] = ops.Rule(f"{kind} of {call.name}", make)
    body = ops.aligned(body, range(len(body.inputs)), whole)
    trace.source = source
    results = ops.custom(*operands, body=body, count=len(types), **params)
    return assembled(trace, recorded, results)


def _arranged(
    call: _Call,
    kind: str,
    rule: Callable[..., Any],
    made: _Made | None,
    operands: list[TensorType],
    position: int,
) -> Graph:
    """The rule's graph with the inputs `(operand..., result..., given...)`.

    Arguments:
        position: among the operands, of what the rule uses from around it.
    """
    graph, outer = made or _made(call, kind, rule)
    if made is None:
        if any(isinstance(x, Tracer) for x in outer):
            raise LeakedTracerError(
                f"the {kind} rule of {call.name} uses its own function, and a traced array from around it",
                hint="make the array an argument of the function",
            )
        for array in reversed(outer):
            graph = graph.bind(len(graph.inputs) - 1, functools.partial(_constant, array))
        outer = []
    arguments, own = len(call.types), len(graph.inputs) - len(outer)
    places = [*range(arguments), *range(len(operands), len(operands) + own - arguments)]
    places += range(position, position + len(outer))
    return ops.aligned(graph, places, [*operands, *[x.type for x in graph.inputs[arguments:own]]])


def _constant(array: np.ndarray, type: TensorType) -> Value:
    return primitive("constant")(value=Literal(array))


def _made(call: _Call, kind: str, rule: Callable[..., Any]) -> _Made:
    """Trace a rule."""
    given = call.given(kind)
    types = [*call.types, *call.results, *given]

    def run(tracers: list[Any]) -> list[Any]:
        xs = tracers[: len(call.types)]
        ys, gs = tracers[len(xs) : len(types) - len(given)], iter(tracers[len(types) - len(given) :])
        args, _ = call.arguments.rebuild(xs)
        leaves, structure = call.recorded.leaves, call.recorded.structure
        y = tree.unflatten(structure, [ys[x.output] if isinstance(x, Traced) else x for x in leaves])
        if kind == "vjp":
            parts = [next(gs) if is_inexact(t.dtype) else None for t in call.results]
            g = tree.unflatten(structure, [parts[x.output] if isinstance(x, Traced) else None for x in leaves])
            return _cotangents(call, rule(g, y, *args))
        return _tangents(call, rule(_per_argument(call, gs), y, *args))

    _tracing.rules.append(anchor_of(rule))
    try:
        names = [f"x{i}" for i in range(len(types))]
        recorded = trace_call(run, types, names, f"{kind}_of_{call.name}")
    finally:
        _tracing.rules.pop()
    return _Made(simplify(recorded.graph), [*recorded.captured, *recorded.hoisted])


def _per_argument(call: _Call, tangents: Iterator[Any]) -> tuple:
    """The tangents in the arguments' structures, None for what has none."""
    leaves: list[list[Any]] = [[] for _ in call.arguments.structures]
    for leaf in call.arguments.leaves:
        moves = leaf.type is not None and is_inexact(leaf.type.dtype)
        leaves[leaf.argument].append(next(tangents) if moves else None)
    return tuple([tree.unflatten(s, own) for s, own in zip(call.arguments.structures, leaves, strict=True)])


def _cotangents(call: _Call, returned: Any) -> list[Any]:
    """One array per floating leaf of the arguments, from what a vjp rule has returned."""
    arguments = call.arguments
    count = len(arguments.names)
    if count == 1 and not (isinstance(returned, tuple) and len(returned) == 1):
        returned = (returned,)
    if not isinstance(returned, tuple) or len(returned) != count:
        got = f"{len(returned)} cotangents" if isinstance(returned, tuple) else type(returned).__name__
        raise ArgumentError(
            f"the vjp rule of {call.name} returned {got} for {count} arguments ({', '.join(arguments.names)})",
            hint="return a tuple with a cotangent for each, None for zero",
        )
    found = []
    for i, (cotangent, structure) in enumerate(zip(returned, arguments.structures, strict=True)):
        own = [leaf for leaf in arguments.leaves if leaf.argument == i]
        what = f"the vjp rule of {call.name} gives the cotangent of"
        parts = _parts(f"{what} {arguments.names[i]}", cotangent, structure, len(own))
        found += [_checked(f"{what} {x.path}", part, x.type) for x, part in zip(own, parts, strict=True)]
    return [x for x in found if x is not None]


def _tangents(call: _Call, returned: Any) -> list[Any]:
    """One array per floating result, from what a jvp rule has returned."""
    leaves, structure = call.recorded.leaves, call.recorded.structure
    what = f"the jvp rule of {call.name} gives the tangent of the value"
    parts = _parts(what, returned, structure, len(leaves))
    found: dict[int, Any] = {}
    for leaf, part in zip(leaves, parts, strict=True):
        checked = _checked(what, part, call.results[leaf.output] if isinstance(leaf, Traced) else None)
        if checked is not None:
            found[leaf.output] = checked
    return [found[i] for i in sorted(found)]


def _parts(what: str, x: Any, structure: Any, count: int) -> list[Any]:
    if x is None:
        return [None] * count
    leaves, own = tree.flatten(x)
    if own != structure:
        raise ArgumentError(
            f"{what} with the structure {shown_structure(own, len(leaves))}, not {shown_structure(structure, count)}",
            hint="give the same dict, list or object with arrays of the same shapes; None for zero",
        )
    return leaves


def _checked(what: str, x: Any, want: TensorType | None) -> Any:
    """x as a traced array of the type wanted; None where nothing has a derivative."""
    trace = current_trace()
    if want is None or not is_inexact(want.dtype):
        if x is not None:
            raise DtypeError(f"{what}, which has no derivative", hint="give None there")
        return None
    if x is None:
        return Tracer(primitive("fill")(value=0.0, shape=want.shape, dtype=want.dtype), trace)
    got = describe(x)[1]
    if got is None or got.shape != want.shape:
        raise ShapeError(f"{what} as {got or repr(x)}, not as {want}", hint=f"an array of shape {want.shape}")
    if got.dtype != want.dtype:
        if not got.weak:
            raise DtypeError(f"{what} as {got}, not as {want}", hint=f"convert it: g.astype(np.{want.dtype})")
        return Tracer(primitive("convert")(trace.lift(x), dtype=want.dtype), trace)
    return x


# ---- callbacks -------------------------------------------------------------------------------------------------------


def pure_callback(f: Callable[..., Any], result: Any, *args: Any) -> Any:
    """Call a Python function of NumPy arrays from inside of a compiled program.

    f must be pure: the program may call it more than once, or not at all when nobody needs the result. It has no
    derivative unless `custom` gives it one, and a program that has it cannot be exported.

    Arguments:
        f: takes NumPy arrays, in the structures of args; it returns NumPy arrays of the declared types.
        result: what f returns: a type from `lilith.spec`, an array like it, or a structure of these.
        *args: arrays, or structures of them.

    >>> import numpy as np, lilith, math
    >>> def gamma(x):
    ...     return lilith.pure_callback(lambda x: np.asarray(math.gamma(x)), lilith.spec("f64[]"), x)
    >>> lilith.jit(gamma)(5.0)
    np.float64(24.0)
    """
    check_function(f)
    declared, structure = tree.flatten(result)
    types = tuple([x.strong if isinstance(x, TensorType) else type_of(x).strong for x in declared])
    leaves, taken = tree.flatten(args)
    dynamic = [i for i, leaf in enumerate(leaves) if tree.is_dynamic(leaf)]

    def call(*arrays: Any) -> tuple:
        given = list(leaves)
        for i, array in zip(dynamic, arrays, strict=True):
            given[i] = array
        returned, own = tree.flatten(f(*tree.unflatten(taken, given)))
        if own != structure:
            raise ArgumentError(
                f"pure_callback: {function_name(f)} returned the structure {shown_structure(own, len(returned))}, "
                f"{shown_structure(structure, len(types))} was declared",
                hint="return what was declared",
            )
        return tuple(returned)

    function = control.Callback(function_name(f), call)
    if not is_tracing():
        return tree.unflatten(structure, control.called(function, types, [as_array(leaves[i]) for i in dynamic]))
    trace = current_trace()
    operands = [trace.lift(leaves[i]) for i in dynamic]
    leaves = [None if i in dynamic else leaf for i, leaf in enumerate(leaves)]  # no tracer stays behind
    results = control.callback(*operands, function=function, results=types)
    return tree.unflatten(structure, [Tracer(y, trace) for y in results])
