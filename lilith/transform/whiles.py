"""The rules of `while_loop` and `reverse_while`: reverse mode, forward mode, batching.

With z = (constants, first carry) and F(z) the last carry, reverse_while(z, g) = F'(z)ᵀ g. It closes under derivatives.
Let G(z, v) = (F(z), F'(z) v), the loop that carries its tangent along. Then, for a cotangent v of reverse_while's
result, <v, F'(z)ᵀ g> = <F'(z) v, g>: the cotangent of g is F'(z) v, a forward loop, and that of z is the z part of
G'(z, v)ᵀ (0, g). And G'(z, ż)ᵀ (ġ, g) is the tangent of reverse_while's result and the result itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from lilith.ir.graph import Builder, Graph, Value, current_builder, fill_like
from lilith.ops.elementwise import repeat_leading, select
from lilith.ops.loops import reverse_while, while_loop
from lilith.ops.reduction import reduce_or
from lilith.ops.shape import broadcast_in_dim
from lilith.transform.batch import batch, batched_outputs
from lilith.transform.branches import bound_to_zero
from lilith.transform.forward import forward
from lilith.transform.loops import active_operands
from lilith.transform.parts import between, without_effects
from lilith.transform.reverse import carries_derivative, reverse
from lilith.transform.simplify import simplify


def _names(count: int) -> tuple[str, ...]:
    return tuple([f"x{i}" for i in range(count)])


def reverse_of_while(
    g: Sequence[Value],
    operands: Sequence[Value],
    wanted: Sequence[bool],
    *,
    cond: Graph,
    body: Graph,
    constants: int,
    checkpoints: int,
) -> tuple[Any, ...]:
    """z̄ = F'(z)ᵀ g: one reverse_while; None for operands whose cotangent is not wanted."""
    active = active_operands(body, wanted, constants, len(body.outputs), 0)
    positions = [i for i, a in enumerate(active) if a]
    pulled = reverse(body, positions, current_builder().strong_zeros)
    smooth = [k for k, y in enumerate(body.outputs) if carries_derivative(y)]
    seeds = dict(zip(smooth, pulled.inputs[len(body.inputs) :], strict=True))
    live = [k for k in smooth if active[constants + k]]
    graph = simplify(bound_to_zero(pulled, [seeds[k] for k in smooth if k not in live]))
    pull = between(graph, graph.inputs, graph.outputs[len(body.outputs) :])
    out = reverse_while(
        *operands,
        *[g[k] for k in live],
        cond=without_effects(cond),
        body=without_effects(body),
        pull=pull,
        constants=constants,
        active=tuple(positions),
        checkpoints=checkpoints,
    )
    found: list[Any] = [None] * len(operands)
    for i, cotangent in zip(positions, out, strict=True):
        if wanted[i]:
            found[i] = cotangent
    return tuple(found)


class _Joint(NamedTuple):
    """The loop that carries tangents along.

    Attributes:
        params: of the while_loop.
        fixed: how many constants the original loop has.
        moved: which of the original operands have a tangent.
    """

    params: dict[str, Any]
    fixed: int
    moved: list[int]

    def operands(self, values: Sequence[Any], tangents: dict[int, Any]) -> list[Any]:
        """Constants, their tangents, carry, its tangents."""
        return [
            x
            for low, high in ((0, self.fixed), (self.fixed, len(values)))
            for x in (*values[low:high], *[tangents[i] for i in self.moved if low <= i < high])
        ]


def _joint(cond: Graph, body: Graph, constants: int, checkpoints: int, flags: Sequence[bool]) -> _Joint:
    """The loop over (z, v); `flags` says which operands have a tangent to begin with."""
    active = active_operands(body, flags, constants, len(body.outputs), 0)
    moved = [i for i, a in enumerate(active) if a]
    pushed = forward(body, moved)
    own = dict(zip(moved, pushed.inputs[len(body.inputs) :], strict=True))
    smooth = [k for k, y in enumerate(body.outputs) if carries_derivative(y)]
    slopes = dict(zip(smooth, pushed.outputs[len(body.outputs) :], strict=True))
    following = [slopes[i - constants] for i in moved if i >= constants]
    extra = sum(i < constants for i in moved)
    joint = _Joint({"constants": constants + extra, "checkpoints": checkpoints}, constants, moved)
    inputs = tuple(joint.operands(body.inputs, own))
    names = _names(len(inputs))
    outputs = (*pushed.outputs[: len(body.outputs)], *following)
    joint.params["body"] = simplify(Graph(body.name, inputs, names, pushed.nodes, outputs))
    tested = tuple(joint.operands(cond.inputs, {i: Value(own[i].type) for i in moved}))
    joint.params["cond"] = Graph(cond.name, tested, names, cond.nodes, cond.outputs)
    return joint


def forward_while(
    tangents: tuple, operands: tuple[Value, ...], *, cond: Graph, body: Graph, constants: int, checkpoints: int
) -> tuple:
    """The loop and its derivative in one."""
    joint = _joint(cond, body, constants, checkpoints, [t is not None for t in tangents])
    moves = {i: fill_like(operands[i], 0) if tangents[i] is None else tangents[i] for i in joint.moved}
    values = joint.operands(operands, moves)
    out = while_loop(*values, **joint.params)
    count = len(body.outputs)
    found: list[Any] = [None] * count
    for i, slope in zip([i for i in joint.moved if i >= constants], out[count:], strict=True):
        found[i - constants] = slope
    return out[:count], tuple(found)


def reverse_of_reverse_while(
    v: tuple, operands: tuple[Value, ...], wanted: tuple[bool, ...], params: dict[str, Any]
) -> tuple:
    """The cotangents of z and g, for a cotangent v of F'(z)ᵀ g."""
    body, constants, active = params["body"], params["constants"], params["active"]
    count = len(body.inputs)
    z, g = operands[:count], operands[count:]
    loop = {name: params[name] for name in ("cond", "body", "constants", "checkpoints")}
    carried = [i for i in active if i >= constants]
    tangents: list[Any] = [None] * count
    for i, t in zip(active, v, strict=True):
        tangents[i] = t
    found: list[Any] = [None] * len(operands)
    if any(wanted[count:]):
        slopes = forward_while(tuple(tangents), z, **loop)[1]
        for n, i in enumerate(carried):
            found[count + n] = slopes[i - constants] if wanted[count + n] else None
    if any(wanted[:count]):
        joint = _joint(**loop, flags=[t is not None for t in tangents])
        values = joint.operands(z, dict(zip(active, v, strict=True)))
        into = dict(zip(carried, g, strict=True))
        seeds = [fill_like(y, 0) for y in body.outputs] + [into[i] for i in joint.moved if i >= constants]
        flags = joint.operands(wanted[:count], dict.fromkeys(joint.moved, False))
        out = reverse_of_while(seeds, values, flags, **joint.params)
        found[:count] = _parts(joint, out, count)[0]
    return tuple(found)


def _parts(joint: _Joint, out: Sequence[Any], count: int) -> tuple[list[Any], dict[int, Any]]:
    """What belongs to z and what to v, in what belongs to the operands of a joint loop."""
    places = joint.operands(list(range(count)), {i: count + i for i in joint.moved})
    by_place = dict(zip(places, out, strict=True))
    return [by_place[i] for i in range(count)], {i: by_place[count + i] for i in joint.moved}


def forward_reverse_while(tangents: tuple, operands: tuple[Value, ...], params: dict[str, Any]) -> tuple:
    """F'(z)ᵀ g and its tangent, both from one loop where z has one."""
    body, constants, active = params["body"], params["constants"], params["active"]
    count = len(body.inputs)
    z, g = operands[:count], operands[count:]
    slopes_of_g = [fill_like(x, 0) if t is None else t for t, x in zip(tangents[count:], g, strict=True)]
    if all(t is None for t in tangents[:count]):
        return reverse_while(*operands, **params), reverse_while(*z, *slopes_of_g, **params)
    loop = {name: params[name] for name in ("cond", "body", "constants", "checkpoints")}
    joint = _joint(**loop, flags=[t is not None or i in active for i, t in enumerate(tangents[:count])])
    carried = [i for i in active if i >= constants]
    values = joint.operands(z, {i: fill_like(z[i], 0) if tangents[i] is None else tangents[i] for i in joint.moved})
    first, second = dict(zip(carried, slopes_of_g, strict=True)), dict(zip(carried, g, strict=True))

    def seed(into: dict[int, Value], i: int) -> Value:
        return into[i] if i in into else fill_like(body.outputs[i - constants], 0)

    seeds = [seed(first, constants + k) for k in range(len(body.outputs))]
    seeds += [seed(second, i) for i in joint.moved if i >= constants]
    flags = joint.operands([i in active for i in range(count)], {i: i in active for i in joint.moved})
    out = reverse_of_while(seeds, values, flags, **joint.params)
    slopes, results = _parts(joint, out, count)
    return tuple([results[i] for i in active]), tuple([slopes[i] for i in active])


# ---- batching -------------------------------------------------------------------------------------------------------


class _Batched(NamedTuple):
    """A batched loop.

    Attributes:
        cond, body: of the new loop.
        flags: which operands are batched.
        running: the condition by element, where it is batched.
    """

    cond: Graph
    body: Graph
    flags: list[bool]
    running: Graph | None


def _batched(cond: Graph, body: Graph, constants: int, flags: Sequence[bool], size: int) -> _Batched:
    """The loop for a whole batch. Where elements stop at different times those that have stopped keep their carry."""
    flags = list(flags)
    while True:
        (each,) = batched_outputs(cond, flags)
        after = batched_outputs(body, flags)
        grown = [f or (i >= constants and (each or after[i - constants])) for i, f in enumerate(flags)]
        if grown == flags:
            break
        flags = grown
    lifted = simplify(batch(body, flags, size, flags[constants:]))
    if not each:
        return _Batched(_filled(cond, flags, size), lifted, flags, None)
    running = simplify(batch(cond, flags, size))
    with Builder() as builder:
        inputs = [Value(x.type) for x in lifted.inputs]
        (run,) = builder.inline(running, inputs)
        new = builder.inline(lifted, inputs)
        outputs = [where(run, y, x) for y, x in zip(new, inputs[constants:], strict=True)]
    step = Graph(body.name, tuple(inputs), body.input_names, tuple(builder.nodes), tuple(outputs))
    with Builder() as builder:
        builder.nodes.extend(running.nodes)
        some = reduce_or(running.outputs[0], axes=(0,))
    test = Graph(cond.name, running.inputs, cond.input_names, tuple(builder.nodes), (some,))
    return _Batched(test, simplify(step), flags, running)


def _filled(cond: Graph, flags: Sequence[bool], size: int) -> Graph:
    """A condition that reads no batched operand, for operands some of which are."""
    inputs = [Value(x.type.with_shape((size, *x.shape))) if f else x for x, f in zip(cond.inputs, flags, strict=True)]
    return Graph(cond.name, tuple(inputs), cond.input_names, cond.nodes, cond.outputs)


def where(flags: Value, x: Value, y: Value) -> Value:
    """x for the elements whose flag is set, y for the others."""
    return select(broadcast_in_dim(flags, shape=x.shape, axes=(0,)) if x.ndim > 1 else flags, x, y)


def _repeated(operands: Sequence[Value], batched: Sequence[bool], flags: Sequence[bool], size: int) -> list[Value]:
    return [x if b or not f else repeat_leading(x, size) for x, b, f in zip(operands, batched, flags, strict=True)]


def batch_while(
    batched: tuple[bool, ...],
    operands: tuple[Value, ...],
    *,
    cond: Graph,
    body: Graph,
    constants: int,
    checkpoints: int,
) -> tuple:
    """One loop for the whole batch."""
    size = next(x.shape[0] for x, b in zip(operands, batched, strict=True) if b)
    loop = _batched(cond, body, constants, batched, size)
    values = _repeated(operands, batched, loop.flags, size)
    out = while_loop(*values, cond=loop.cond, body=loop.body, constants=constants, checkpoints=checkpoints)
    return tuple([y if f else repeat_leading(y, size) for y, f in zip(out, loop.flags[constants:], strict=True)])


def batch_reverse_while(batched: tuple[bool, ...], operands: tuple[Value, ...], params: dict[str, Any]) -> tuple:
    """One loop for the whole batch; elements that have stopped pass their cotangents on."""
    body, constants, active = params["body"], params["constants"], params["active"]
    size = next(x.shape[0] for x, b in zip(operands, batched, strict=True) if b)
    count = len(body.inputs)
    flags = [b or i in active for i, b in enumerate(batched[:count])]
    loop = _batched(params["cond"], body, constants, flags, size)
    flags = [*loop.flags, *[True] * (len(operands) - count)]
    pull = batch(params["pull"], flags, size)
    split = sum(i < constants for i in active)
    if loop.running is not None:
        with Builder() as builder:
            inputs = [Value(x.type) for x in pull.inputs]
            (run,) = builder.inline(loop.running, inputs[:count])
            out = builder.inline(pull, inputs)
            parts = [where(run, y, fill_like(y, 0)) for y in out[:split]]
            moved = [where(run, y, g) for y, g in zip(out[split:], inputs[count:], strict=True)]
        pull = Graph(pull.name, tuple(inputs), pull.input_names, tuple(builder.nodes), (*parts, *moved))
    values = _repeated(operands, batched, flags, size)
    return reverse_while(*values, **{**params, "cond": loop.cond, "body": loop.body, "pull": simplify(pull)})
