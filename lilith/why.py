"""Why a gradient is None, zero or NaN: the function is traced again, and the way back is walked with its values."""

from __future__ import annotations

import linecache
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lilith import tree
from lilith.asked import Spec, cotangent_leaves, function_name, split_aux
from lilith.captures import Captures
from lilith.compile import with_captures
from lilith.derive import record
from lilith.guards import Decisions
from lilith.ir.graph import Graph, Node, Source, Value
from lilith.ir.interpret import evaluate, interpret, watching
from lilith.ir.primitive import ZERO
from lilith.ir.type import is_inexact, kind
from lilith.signature import STATIC, Arguments, Leaf, take_apart
from lilith.source import GradientError
from lilith.trace import Traced
from lilith.tracer import Tracer
from lilith.transform.reverse import active_values, reverse

_NEVER_ZERO = frozenset({"exp", "logistic", "exp2", "rsqrt"})
"""Zero only where the exact value is too small for the dtype."""

_SATURATING = frozenset({"tanh", "logistic", "erf", "erfc", "atan"})
"""Flat far out: their slope underflows there."""

_SELECTS = frozenset({"select", "max", "min", "clamp", "reduce_max", "reduce_min", "case", "sort", "gather", "slice"})


_OTHERWISE = (
    " (The gradient found was another one: the arguments have changed since the call, and this is about what they are "
    "now; or the compiled program rounds or simplifies where this reasoning does not.)"
)


class _Traced(NamedTuple):
    """The function's graph, what its inputs are worth, and the input in question."""

    graph: Graph
    values: list[Any]
    seeds: list[Any]
    wanted: int


def explain(asking: tuple, path: str, found: Any) -> str:
    """Why the gradient of the leaf with that field path is what it is, as a sentence or two.

    Arguments:
        asking: `(f, spec, args, kwargs, cotangent)`, the call of grad.
        found: the gradient that it gave.
    """
    f, spec, args, kwargs, cotangent = asking
    arguments = take_apart(f, args, kwargs).tied()
    for x in arguments.leaves:
        tree.check_there(x.value, x.path, "why: the argument ")
        if isinstance(x.value, Tracer):
            raise GradientError(
                f"why: {x.path} is traced, its value is not known", hint="ask outside of the traced function"
            )
    leaf = next((leaf for leaf in arguments.leaves if leaf.path == path), None)
    if leaf is None:
        return f"{path}: the argument has changed since the call, and has no such part any more."
    if arguments.declared_static()[next(i for i, x in enumerate(arguments.leaves) if x is leaf)]:
        return f"{path} is {leaf.value!r}: its class declares the field to be static, no data to differentiate by."
    if leaf.kind == STATIC:
        return _of_static(leaf)
    assert leaf.type is not None
    if not is_inexact(leaf.type.dtype):
        return f"{path} is {leaf.type}: integers and booleans are data without a derivative. Pass {path}.astype(float)."
    traced = with_captures(f, lambda captures: _trace(f, spec, cotangent, arguments, captures, leaf))
    return f"{path}: " + (_structural(traced, function_name(f)) or _numeric(traced, found))


def _of_static(leaf: Leaf) -> str:
    x = leaf.value
    if type(x) is int:
        return f"{leaf.path} is the int {x}: ints are configuration, part of what is compiled. Pass {float(x)!r}."
    return f"{leaf.path} is {x!r} ({type(x).__name__}): configuration, not a number to differentiate by."


def _trace(
    f: Callable[..., Any], spec: Spec, cotangent: Any, arguments: Arguments, captures: Captures, leaf: Leaf
) -> _Traced:
    recorded = record(f, arguments, captures, decisions=Decisions(), whole=True)
    dynamic = [x for x in arguments.leaves if x.kind != STATIC]
    place = next(i for i, x in enumerate(dynamic) if x.path == leaf.path)
    values = [*[x.value for x in dynamic], *captures.leaves, *recorded.hoisted]
    leaves, _ = split_aux(f, spec, recorded)
    main = [y.output for y in leaves if isinstance(y, Traced)]
    graph = recorded.graph.with_outputs(tuple([recorded.graph.outputs[i] for i in main]))
    seeds = [y for y in graph.outputs if is_inexact(y.dtype)]
    given = (
        [np.ones(y.shape, y.dtype) for y in seeds]
        if not spec.cotangent
        else [np.asarray(g, y.dtype) for g, y in zip(cotangent_leaves(cotangent), seeds, strict=True)]
    )
    return _Traced(graph, values, given, arguments.first_of(place))


# ---- what the graph tells --------------------------------------------------------------------------------------------


def _structural(traced: _Traced, name: str) -> str | None:
    """The reason that holds for all values; None if the result depends on the input differentiably."""
    graph = traced.graph
    x = graph.inputs[traced.wanted]
    reached = _reached(graph, {x})
    users = [node for node in graph.nodes if x in node.operands]
    if not users and x not in graph.outputs:
        return f"zero because {name} does not use it."
    needed = _needed(graph)
    if reached.isdisjoint(graph.outputs):
        last = [n for n in graph.nodes if any(o in reached for o in n.operands)][-1]
        return f"zero because what is computed from it does not reach the result. The last such step is {_at(last)}."
    active = active_values(graph, [traced.wanted])
    if not active.isdisjoint(graph.outputs) and _connected(graph, x, active):
        return None
    cuts = [
        node
        for node in graph.nodes
        if not active.isdisjoint(node.operands)
        and active.isdisjoint(node.results)
        and not needed.isdisjoint(node.results)
    ]
    if not cuts:
        return "zero because every way to the result is cut inside of a loop or branch."
    return f"zero because every way from it to the result is cut: {_listed(cuts)}."


def _listed(cuts: Sequence[Node]) -> str:
    """The cuts, one for each line of the user's: of a line with several the one that is no test."""
    lines: dict[Any, Node] = {}
    for node in cuts:
        place = (node.source.file, node.source.line) if node.source is not None else None
        if place not in lines or kind(lines[place].results[0].dtype) == "b":
            lines[place] = node
    text = "; ".join([f"{_reason(node)} {_place(node.source)}" for node in list(lines.values())[:3]])
    return text + (f"; and on {len(lines) - 3} more lines" if len(lines) > 3 else "")


def _reached(graph: Graph, start: set[Value]) -> set[Value]:
    """All that is computed from some values, themselves included."""
    found = set(start)
    for node in graph.nodes:
        if not found.isdisjoint(node.operands):
            found.update(node.results)
    return found


def _needed(graph: Graph) -> set[Value]:
    """All that the outputs are computed from, themselves included."""
    found = set(graph.outputs)
    for node in reversed(graph.nodes):
        if not found.isdisjoint(node.results):
            found.update(node.operands)
    return found


def _connected(graph: Graph, x: Value, active: set[Value]) -> bool:
    needed = {y for y in graph.outputs if y in active}
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.results):
            needed.update([o for o in node.operands if o in active])
    return x in needed


def _reason(node: Node) -> str:
    name = node.primitive.name
    if name == "stop_gradient":
        return "stop_gradient"
    result = node.results[0]
    if not is_inexact(result.dtype):
        if name == "convert":
            return f"the conversion to {result.dtype.name} has no derivative"
        what = "a comparison or test" if kind(result.dtype) == "b" else "a result of integers"
        return f"{name} gives {what} ({result.type})"
    return (
        f"{name} is constant between its jumps"
        if node.primitive.vjp is ZERO or name == "sign"
        else f"{name} passes none on"
    )


def _at(node: Node) -> str:
    return _place(node.source, f"{node.primitive.name} ")


def _place(source: Source | None, what: str = "") -> str:
    if source is None:
        return f"{what}inside of Lilith"
    line = linecache.getline(source.file, source.line).strip()
    return f"{what}at {os.path.basename(source.file)}:{source.line} in {source.function}: `{line}`"


# ---- what the values tell --------------------------------------------------------------------------------------------


class _Seen(NamedTuple):
    node: Node
    operands: tuple
    results: tuple


def _numeric(traced: _Traced, found: Any) -> str:
    """The reason that the values at hand give."""
    pulled = reverse(traced.graph, [traced.wanted])
    steps: list[_Seen] = []
    outputs = interpret(pulled, [*traced.values, *traced.seeds], lambda *step: steps.append(_Seen(*step)))
    g = outputs[-1]
    size = np.abs(_floats(g))
    if not np.any(_floats(found)) and 0 < size.max(initial=0.0) < np.finfo(g.dtype).tiny:
        return f"zero because it underflows: {size.max():.3g} is less than the smallest normal {g.dtype.name}."
    changed = "" if _alike(g, found) else _OTHERWISE
    forward = len(traced.graph.nodes)
    if not np.all(np.isfinite(_floats(g))):
        return _of_nonfinite(pulled, steps, forward, g) + changed
    zero = np.asarray(g == 0)
    if not zero.all():
        return _of_ordinary(g, zero) + changed
    if g.size == 0:
        return f"it has no elements ({g.shape})."
    carried = _reached(pulled, set(pulled.inputs[len(traced.graph.inputs) :]))
    blocked = _blocked(pulled.outputs[-1], carried, steps, forward)
    if not blocked:
        silent = [node for node in traced.graph.nodes if _is_silent(node, traced)]
        if silent:
            return f"zero because every way from it to the result is cut: {_listed(silent)}." + changed
        inside = [n for n in traced.graph.nodes if n.primitive.graphs and not carried.isdisjoint(n.operands)]
        inside = inside or [n for n in traced.graph.nodes if n.primitive.graphs]
        where = f" {_place(inside[-1].source, 'inside of the loop or branch ')}" if inside else ""
        return f"zero for these values: nothing comes back to it{where}." + changed
    return f"zero for these values because {'; '.join(blocked[:3])}." + changed


def _is_silent(node: Node, traced: _Traced) -> bool:
    """Whether a node lies between the input and the result, and its rule sends nothing back whatever the values."""
    graph = traced.graph
    active = active_values(graph, [traced.wanted])
    inner = [i for i, x in enumerate(node.operands) if x in active]
    if not inner or node.primitive.graphs or _needed(graph).isdisjoint(node.results):
        return False
    inputs = tuple([Value(x.type) for x in node.operands])
    results = tuple([Value(y.type) for y in node.results])
    alone = Graph("", inputs, ("",) * len(inputs), (Node(node.primitive, inputs, node.params, results, None),), results)
    pulled = reverse(alone, inner)
    return _reached(pulled, set(pulled.inputs[len(inputs) :])).isdisjoint(pulled.outputs[len(results) :])


def _floats(x: np.ndarray) -> np.ndarray:
    return np.asarray(x).astype(np.complex128 if np.asarray(x).dtype.kind == "c" else np.float64)


def _alike(a: Any, b: Any) -> bool:
    a, b = _floats(a), _floats(b)
    size = np.max(np.abs(a[np.isfinite(a)]), initial=0.0)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-2, atol=1e-3 * size, equal_nan=True))


def _of_ordinary(g: np.ndarray, zero: np.ndarray) -> str:
    size = np.abs(_floats(g))
    extent = f"{g.item()!r}" if g.ndim == 0 else f"absolute values from {size.min():.3g} to {size.max():.3g}"
    return f"the gradient is fine: {extent}" + (f"; {zero.sum()} of {g.size} elements are zero." if zero.any() else ".")


def _of_nonfinite(pulled: Graph, steps: Sequence[_Seen], forward: int, g: np.ndarray) -> str:
    """Names the step that makes a NaN or an infinity of finite numbers, from which that of the gradient has come."""
    what = "NaN" if np.isnan(_floats(g)).any() else "infinite"
    number = {result: i for i, step in enumerate(steps) for result in step.node.results}
    value = pulled.outputs[-1]
    while value in number:
        step = steps[number[value]]
        bad = [k for k, x in enumerate(step.operands) if _inexact(x) and not _finite([x])]
        if not bad:
            where = "" if number[value] < forward else "the derivative of "
            step = _inside(step)
            made = "NaN" if any(np.isnan(_floats(y)).any() for y in step.results if _inexact(y)) else "an infinity"
            return f"{what} because {where}the value {_place(step.node.source)} makes {made} ({_shown(step)})."
        value = step.node.operands[_carrier(step, bad, step.node.results.index(value))]
    name = pulled.input_names[pulled.inputs.index(value)]
    return f"{what} because {name} is not finite." if name else f"{what} because a value at hand is not finite."


def _carrier(step: _Seen, bad: Sequence[int], result: int) -> int:
    """Which of the operands that are not finite has made the result so: one that is where the result is, if any."""
    y = step.results[result]
    wrong = ~np.isfinite(_floats(y))
    together = [
        k for k in bad if step.operands[k].shape == y.shape and (wrong & ~np.isfinite(_floats(step.operands[k]))).any()
    ]
    return (together or bad)[0]


def _inside(step: _Seen) -> _Seen:
    """Of a loop or branch the step in its body that makes a NaN or an infinity first; any other step itself."""
    if not step.node.primitive.graphs:
        return step
    found: list[_Seen] = []

    def look(node: Node, operands: tuple, results: tuple) -> None:
        if not (found or node.primitive.graphs or _finite(results)) and _finite(operands):
            found.append(_Seen(node, operands, results))

    watching.inner = look
    try:
        evaluate(step.node, step.operands)
    finally:
        watching.inner = None
    return found[0] if found else step


def _inexact(x: np.ndarray) -> bool:
    return is_inexact(x.dtype)


def _finite(arrays: Iterable[np.ndarray]) -> bool:
    return all([bool(np.isfinite(_floats(x)).all()) for x in arrays if _inexact(x)])


def _shown(step: _Seen) -> str:
    numbers = [np.asarray(x) for x in step.operands if np.asarray(x).dtype.kind in "fciub"]
    bad = [~np.isfinite(_floats(y)) for y in step.results if _inexact(y)]
    if len(bad) == 1 and all(x.shape == bad[0].shape for x in numbers) and bad[0].any():
        at = tuple([int(i) for i in np.argwhere(bad[0])[0]])
        values = ", ".join([repr(x[at].item()) for x in numbers])
        return f"{step.node.primitive.name}({values})" + (f" at index {at}" if at else "")
    return step.node.primitive.name


def _blocked(gradient: Value, carried: set[Value], steps: Sequence[_Seen], forward: int) -> list[str]:
    """Where the cotangents on the way to a gradient turn to zero."""
    seen = {result: step for step in steps for result in step.node.results}
    number = {id(step.node): i for i, step in enumerate(steps)}
    pending, visited, reasons = [gradient], set[Value](), list[str]()
    while pending:
        g = pending.pop()
        step = seen.get(g)
        if g in visited or step is None or number[id(step.node)] < forward:
            continue
        visited.add(g)
        sources = [i for i, x in enumerate(step.node.operands) if x in carried]
        alive = [i for i in sources if np.any(step.operands[i])]
        if not alive:
            pending += [step.node.operands[i] for i in sources]
        elif (reason := _killer(step, alive, seen)) not in reasons:
            reasons.append(reason)
    return reasons


def _killer(step: _Seen, alive: list[int], seen: dict[Value, _Seen]) -> str:
    """Why a step gives zero although one of the cotangents that it is given is not."""
    node = step.node
    where = _place(node.source)
    name = node.primitive.name
    if name in ("mul", "scale_cotangent", "div", "dot_general"):
        others = [i for i in range(len(step.operands)) if i not in alive]
        if not others or any(np.any(step.operands[i]) for i in others):
            return f"a product underflows {where}"
        maker = seen.get(node.operands[others[0]])
        if maker is not None and maker.node.primitive.name in _NEVER_ZERO:
            return f"{maker.node.primitive.name} underflows to 0 {_place(maker.node.source)}"
        flat = next((s.node.primitive.name for s in seen.values() if _saturates(s, node.source)), None)
        return f"{flat} is saturated, its slope underflows to 0 {where}" if flat else f"the slope {where} is 0"
    if name in ("add", "sub"):
        return "the contributions to it cancel"
    if name == "case":
        return f"the branch that it goes into is not the one taken {where}"
    if name in _SELECTS or node.primitive.masks or any(np.asarray(x).dtype == bool for x in step.operands):
        return f"what it goes into is not selected {where}"
    what = "the loop" if node.primitive.graphs else name
    return f"{what} passes on nothing but zeros {where}"


def _saturates(step: _Seen, source: Source | None) -> bool:
    """Whether a step is a saturating function on that line, far out."""
    return (
        step.node.primitive.name in _SATURATING
        and step.node.source == source
        and bool(np.all(np.abs(step.operands[0]) > 5))
    )
