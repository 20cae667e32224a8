"""Operations that have graphs as parameters: checkpoint, custom, linear; and named, the mark of a value to keep.

A body reads nothing but its inputs, the operands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Builder, Graph, Node, Value, current_builder
from lilith.ir.interpret import interpret
from lilith.ir.primitive import Primitive, per_operand
from lilith.ir.type import TensorType, is_inexact
from lilith.ops.elementwise import repeat_leading
from lilith.ops.reduction import reduce_sum
from lilith.source import GradientError, ShapeError


def as_tuple(x: Any) -> tuple:
    """What a rule gets for one result or for several, as a tuple."""
    return x if isinstance(x, tuple) else (x,)


def _run(*operands: np.ndarray, body: Graph, **_: Any) -> tuple[np.ndarray, ...]:
    return tuple(interpret(body, operands))


def _check_inputs(name: str, body: Graph, operands: Sequence[TensorType]) -> None:
    expected = [x.type for x in body.inputs]
    if len(expected) != len(operands) or not all(a.matches(b) for a, b in zip(expected, operands, strict=True)):
        raise ShapeError(f"{name}: {body.name} takes {expected}, it is given {list(operands)}", hint="same types")


def _batched(body: Graph, batched: Sequence[bool], size: int) -> Graph:
    from lilith.transform.batch import batch

    return batch(body, batched, size)


def _size(batched: Sequence[bool], operands: Sequence[Value]) -> int:
    return next(x.shape[0] for x, b in zip(operands, batched, strict=True) if b)


def inexact(values: Sequence[Value]) -> list[Value]:
    """Those that have a derivative."""
    return [x for x in values if is_inexact(x.dtype)]


def spread(found: Sequence[Any], wanted: Sequence[bool]) -> tuple:
    """One entry per operand: what was found for the wanted ones, None for the others."""
    remaining = iter(found)
    return tuple([next(remaining) if want else None for want in wanted])


named: Primitive = Primitive(
    "named",
    type=lambda x, name: x,
    eval=lambda x, name: x,
    vjp=per_operand(lambda g, y, x, name: g),
    batch=lambda batched, x, name: named(x, name=name),
)

# ---- checkpoint ------------------------------------------------------------------------------------------------------


def _checkpoint_type(*operands: TensorType, body: Graph, saved: int, again: bool) -> tuple[TensorType, ...]:
    _check_inputs("checkpoint", body, operands)
    return tuple([y.type for y in body.outputs])


def _checkpoint_vjp(
    g: Any, y: Any, *operands: Value, wanted: tuple[bool, ...], body: Graph, saved: int, again: bool
) -> tuple:
    """The pullback goes through the body again, from the operands and the saved values, in a node of its own."""
    from lilith.transform.reverse import reverse
    from lilith.transform.simplify import simplify

    count = len(body.outputs) - saved
    kept, results = body.outputs[count:], as_tuple(y)[count:]
    reached = [out for out, part in zip(body.outputs, as_tuple(g), strict=True) if not _is_zero(part)]
    gs = [
        part
        for out, part in zip(body.outputs, as_tuple(g), strict=True)
        if is_inexact(out.dtype) and not _is_zero(part)
    ]
    pulled = reverse(body.with_outputs(reached), [i for i, want in enumerate(wanted) if want])
    place = dict(zip(kept, results, strict=True))
    given = place.keys()
    # what prints has printed
    nodes = tuple([node for node in pulled.nodes if given.isdisjoint(node.results) and not node.primitive.effect])
    inputs = (*body.inputs, *place, *pulled.inputs[len(body.inputs) :])
    names = tuple([f"x{i}" for i in range(len(inputs))])
    again_body = simplify(Graph(f"{body.name}_again", inputs, names, nodes, pulled.outputs[len(reached) :]))
    return spread(_isolated(again_body, [*operands, *place.values(), *gs]), wanted)


def _is_zero(g: Value) -> bool:
    """Whether a cotangent is the zero of a result that nothing has used."""
    made = [node for node in current_builder().nodes[-64:] if node.results[:1] == (g,)]
    return bool(made) and made[0].primitive.name == "fill" and made[0].params["value"] == 0


def _isolated(body: Graph, operands: Sequence[Value]) -> tuple[Value, ...]:
    """A checkpoint node that takes only what its body reads."""
    read = {x for node in body.nodes for x in node.operands}.union(body.outputs)
    used = [i for i, x in enumerate(body.inputs) if x in read]
    inputs, names = tuple([body.inputs[i] for i in used]), tuple([body.input_names[i] for i in used])
    body = Graph(body.name, inputs, names, body.nodes, body.outputs)
    return checkpoint(*[operands[i] for i in used], body=body, saved=0, again=True)


def _checkpoint_batch(batched: tuple[bool, ...], *operands: Value, body: Graph, saved: int, again: bool) -> Any:
    lifted = _batched(body, batched, _size(batched, operands))
    return checkpoint(*operands, body=lifted, saved=saved, again=again)


def _checkpoint_jvp(tangents: tuple, *operands: Value, body: Graph, saved: int, again: bool) -> tuple:
    """The body and its derivative side by side, in one node: nothing is computed twice."""
    from lilith.transform.forward import forward
    from lilith.transform.simplify import simplify

    wanted = [i for i, t in enumerate(tangents) if t is not None]
    pushed = forward(body, wanted)
    results, slopes = pushed.outputs[: len(body.outputs)], pushed.outputs[len(body.outputs) :]
    count = len(results) - saved
    both = simplify(pushed.with_outputs((*results[:count], *slopes, *results[count:])))
    given = [tangents[i] for i in wanted]
    found = as_tuple(checkpoint(*operands, *given, body=both, saved=saved, again=again))
    moved = iter(found[count : count + len(slopes)])
    values = (*found[:count], *found[count + len(slopes) :])
    return values, tuple([next(moved) if is_inexact(y.dtype) else None for y in body.outputs])


checkpoint: Primitive = Primitive(
    "checkpoint",
    type=_checkpoint_type,
    eval=_run,
    vjp=_checkpoint_vjp,
    jvp=_checkpoint_jvp,
    batch=_checkpoint_batch,
    graphs=("body",),
)
"""y = body(x...). The way back keeps the operands and the last `saved` results, and goes through the body again.

`again`: such a way back. The compiler must not find out that it repeats what was computed before.
"""

# ---- custom ----------------------------------------------------------------------------------------------------------


class Rule:
    """A graph that is made when it is needed, and then kept.

    Arguments:
        name: in texts.
        make: makes it.
    """

    __slots__ = ("_graph", "_make", "name")

    def __init__(self, name: str, make: Callable[[], Graph]):
        self.name = name
        self._make = make
        self._graph: Graph | None = None

    def graph(self) -> Graph:
        """The graph."""
        if self._graph is None:
            self._graph = self._make()
        return self._graph

    def __repr__(self) -> str:
        return f"@{self.name}"


def _custom_type(
    *operands: TensorType, body: Graph, vjp: Rule | None, jvp: Rule | None, count: int
) -> tuple[TensorType, ...]:
    _check_inputs("custom", body, operands)
    return tuple([y.type for y in body.outputs])


def _custom_vjp(
    g: Any,
    y: Any,
    *operands: Value,
    wanted: tuple[bool, ...],
    body: Graph,
    vjp: Rule | None,
    jvp: Rule | None,
    count: int,
) -> tuple:
    if any(wanted[count:]):
        raise GradientError(
            f"{body.name} uses an array of the function around it that has a derivative; its rule has none for it",
            hint="make it an argument, or pass lilith.stop_gradient of it",
        )
    gs = [part for part, out in zip(as_tuple(g), body.outputs, strict=True) if is_inexact(out.dtype)]
    context = [*operands, *as_tuple(y)]
    own = inexact(operands[:count])
    if vjp is not None and jvp is None:
        found = _inlined(vjp.graph(), [*context, *gs])
    else:
        pushed = jvp or Rule(f"jvp of {body.name}", lambda: _transposed(vjp, len(context)))
        pulled = vjp or Rule(f"vjp of {body.name}", lambda: _transposed(pushed, len(context)))
        types = tuple([x.type.strong for x in own])
        found = linear(*context, *gs, rule=pulled, transposed=pushed, count=len(context), results=types)
    every = spread(found, [i < count and is_inexact(x.dtype) for i, x in enumerate(operands)])
    return tuple([x if want else None for x, want in zip(every, wanted, strict=True)])


def _inlined(graph: Graph, values: Sequence[Value]) -> list[Value]:
    return current_builder().inline(graph, values)


def _transposed(rule: Rule | None, count: int) -> Graph:
    """The graph of the transpose: `(context..., x...) -> y...` becomes `(context..., ȳ...) -> x̄...`."""
    from lilith.transform.reverse import reverse
    from lilith.transform.simplify import simplify

    assert rule is not None
    graph = rule.graph()
    pulled = reverse(graph, range(count, len(graph.inputs)))
    pulled = simplify(pulled.with_outputs(pulled.outputs[len(graph.outputs) :]))
    read = {x for node in pulled.nodes for x in node.operands}.union(pulled.outputs)
    if not read.isdisjoint(pulled.inputs[count : len(graph.inputs)]):
        raise GradientError(f"{rule.name} is not linear in what it is given first", hint="multiply it, add it, move it")
    inputs = pulled.inputs[:count] + pulled.inputs[len(graph.inputs) :]
    names = pulled.input_names[:count] + pulled.input_names[len(graph.inputs) :]
    return Graph(f"{graph.name}_transposed", inputs, names, pulled.nodes, pulled.outputs)


def _batched_rule(
    rule: Rule | None, batched: Sequence[bool], size: int, moved: Sequence[bool] = (), shared: Sequence[bool] = ()
) -> Rule | None:
    """The rule over operands of which some are batched.

    Arguments:
        batched: for each operand, whether it is.
        moved: the same for the last inputs, what the rule is given first; the inputs between are batched, all of them.
        shared: for each result, whether it is the cotangent of an operand that all of the batch share: a sum over it.
    """
    if rule is None:
        return None

    def make() -> Graph:
        graph = rule.graph()
        between = len(graph.inputs) - len(batched) - len(moved)
        lifted = _batched(graph, [*batched, *[True] * between, *moved], size)
        with Builder() as builder:
            builder.nodes.extend(lifted.nodes)
            flags = shared or [False] * len(lifted.outputs)
            outputs = [reduce_sum(y, axes=(0,)) if s else y for y, s in zip(lifted.outputs, flags, strict=True)]
        return Graph(lifted.name, lifted.inputs, lifted.input_names, tuple(builder.nodes), tuple(outputs))

    return Rule(rule.name, make)


def _custom_batch(
    batched: tuple[bool, ...], *operands: Value, body: Graph, vjp: Rule | None, jvp: Rule | None, count: int
) -> Any:
    size = _size(batched, operands)
    moved = [b for x, b in zip(operands[:count], batched, strict=False) if is_inexact(x.dtype)]
    pulled = _batched_rule(vjp, batched, size, shared=[not b for b in moved])
    pushed = _batched_rule(jvp, batched, size, moved)
    return custom(*operands, body=_batched(body, batched, size), vjp=pulled, jvp=pushed, count=count)


custom: Primitive = Primitive(
    "custom", type=_custom_type, eval=_run, vjp=_custom_vjp, batch=_custom_batch, graphs=("body",)
)
"""y = body(x...), with derivatives given by the user.

`vjp`: `(x..., y..., ȳ...) -> x̄...`; `jvp`: `(x..., y..., ẋ...) -> ẏ...`; for the first `count` operands, as far as they
are floating.
"""


def _linear_type(
    *operands: TensorType, rule: Rule, transposed: Rule, count: int, results: tuple[TensorType, ...]
) -> tuple[TensorType, ...]:
    return results


def _linear_eval(*operands: np.ndarray, rule: Rule, **_: Any) -> tuple[np.ndarray, ...]:
    return tuple(interpret(rule.graph(), operands))


def _linear_vjp(
    g: Any,
    y: Any,
    *operands: Value,
    wanted: tuple[bool, ...],
    rule: Rule,
    transposed: Rule,
    count: int,
    results: tuple[TensorType, ...],
) -> tuple:
    """For what it is linear in: the transpose that is given. For its context: the derivative of the rule."""
    from lilith.transform.reverse import reverse

    gs = list(as_tuple(g))
    types = tuple([x.type.strong for x in operands[count:]])
    found: list[Any] = [None] * len(operands)
    if any(wanted[count:]):
        swapped = linear(*operands[:count], *gs, rule=transposed, transposed=rule, count=count, results=types)
        found[count:] = as_tuple(swapped)
    context = [i for i in range(count) if wanted[i]]
    if context:
        graph = rule.graph()
        pulled = reverse(graph, context)
        pulled = pulled.with_outputs(pulled.outputs[len(graph.outputs) :])
        for i, x in zip(context, _inlined(pulled, [*operands, *gs]), strict=True):
            found[i] = x
    return tuple([x if want else None for x, want in zip(found, wanted, strict=True)])


def _linear_batch(
    batched: tuple[bool, ...],
    *operands: Value,
    rule: Rule,
    transposed: Rule,
    count: int,
    results: tuple[TensorType, ...],
) -> Any:
    size = _size(batched, operands)
    given = [x if b else repeat_leading(x, size) for x, b in zip(operands[count:], batched[count:], strict=True)]
    operands = (*operands[:count], *given)
    rules = [_batched_rule(r, batched[:count], size) for r in (rule, transposed)]
    types = tuple([t.with_shape((size, *t.shape)) for t in results])
    return linear(*operands, rule=rules[0], transposed=rules[1], count=count, results=types)


linear: Primitive = Primitive("linear", type=_linear_type, eval=_linear_eval, vjp=_linear_vjp, batch=_linear_batch)
"""y = rule(context..., x...), linear in x; ẋ... -> transposed(context..., ȳ...). The first `count` operands are the
context."""


def graphs_of(node: Node) -> list[Graph]:
    """The graphs that a node has as parameters."""
    found: list[Graph] = []
    for value in node.params.values():
        items = value if isinstance(value, tuple) else (value,)
        found += [item for item in items if isinstance(item, Graph)]
    if node.primitive is linear:
        found.append(node.params["rule"].graph())
    return found


def all_nodes(graph: Graph) -> Iterator[Node]:
    """The nodes of a graph and of the graphs inside of it."""
    for node in graph.nodes:
        yield node
        for inner in graphs_of(node):
            yield from all_nodes(inner)


def aligned(graph: Graph, places: Sequence[int], types: Sequence[TensorType]) -> Graph:
    """The graph with further inputs, which it does not read: input i becomes number `places[i]` among inputs of these
    types."""
    inputs = [Value(t) for t in types]
    for i, x in zip(places, graph.inputs, strict=True):
        inputs[i] = x
    names = tuple([f"x{i}" for i in range(len(inputs))])
    return Graph(graph.name, tuple(inputs), names, graph.nodes, graph.outputs)
