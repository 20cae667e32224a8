"""The rules of `scan`: reverse mode, forward mode, batching. A rule makes a new body from the given one.

Reverse mode of (carry, y[t]) = body(t, constants, carry, x[t]) is a scan the other way, whose carry is the cotangent of
the carry. The body is reversed first; then the smallest cut says what the way there keeps (`lilith.transform.cut`), as
further rows that it stacks; what does not take part in the recurrence leaves the loop (`lilith.transform.fission`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lilith.ir.graph import Graph, Value, current_builder, fill_like
from lilith.ir.primitive import primitive
from lilith.ops.elementwise import repeat_leading
from lilith.ops.shape import concatenate, part, reshape
from lilith.transform.batch import batch, batched_outputs
from lilith.transform.branches import Split, bound_to_zero, is_zero
from lilith.transform.cut import SLOW, smallest_cut
from lilith.transform.fission import SMALL_BYTES, emit_scan
from lilith.transform.forward import forward
from lilith.transform.reverse import active_values, carries_derivative, reverse
from lilith.transform.simplify import simplify
from lilith.transform.whole import is_short

CACHE_BYTES = 2**22
"""Up to this size the rows that are kept cost less than slow functions that are computed again."""


PASSED_BYTES = 2**12
"""Carries up to this size are read from the stack of the next step; larger ones are passed on from step to step."""


def active_operands(body: Graph, flags: Sequence[bool], constants: int, carries: int, shift: int) -> list[bool]:
    """For each operand of a loop, whether it carries a derivative: a carry does if the body makes it depend on one.

    Arguments:
        flags: which operands are to be differentiated.
        shift: how many inputs of the body come before the operands.
    """
    active = [f and carries_derivative(x) for f, x in zip(flags, body.inputs[shift:], strict=True)]
    while True:
        values = active_values(body, [i + shift for i, a in enumerate(active) if a])
        grown = list(active)
        for k, after in enumerate(body.outputs[:carries]):
            grown[constants + k] |= after in values and carries_derivative(body.inputs[shift + constants + k])
        if grown == active:
            return active
        active = grown


class _Pulled:
    """The reversed body of a scan.

    Attributes:
        positions: the operands that have a cotangent.
        seeds: by output of the body, the input that is its cotangent; those that are zero are absent.
        cotangents: by operand, the output that is its cotangent.
        split: the graph.
    """

    def __init__(self, g: tuple, operands: tuple[Value, ...], wanted: Sequence[bool], body: Graph, c: int, k: int):
        builder = current_builder()
        active = active_operands(body, wanted, c, k, 1)
        self.positions = [i for i, a in enumerate(active) if a]
        pulled = reverse(body, [i + 1 for i in self.positions], builder.strong_zeros)
        smooth = [j for j, y in enumerate(body.outputs) if carries_derivative(y)]
        seeds = dict(zip(smooth, pulled.inputs[len(body.inputs) :], strict=True))
        live = [j for j in smooth if (active[c + j] if j < k else not is_zero(g[j], builder))]
        graph = simplify(bound_to_zero(pulled, [seeds[j] for j in smooth if j not in live]))
        self.seeds = dict(zip(live, graph.inputs[len(body.inputs) :], strict=True))
        self.split = Split(graph, len(body.inputs), len(body.outputs))
        self.cotangents = dict(zip(self.positions, graph.outputs[len(body.outputs) :], strict=True))


def reverse_scan(
    g: tuple,
    y: tuple,
    operands: tuple[Value, ...],
    wanted: tuple[bool, ...],
    *,
    body: Graph,
    length: int,
    constants: int,
    carries: int,
    reverse: bool,
) -> tuple:
    """The cotangents of a scan's operands, by a scan the other way."""
    fixed = constants + carries
    pulled = _Pulled(g, operands, wanted, body, constants, carries)
    split, graph = pulled.split, pulled.split.graph
    before = graph.inputs[1 + constants : 1 + fixed]
    after = graph.outputs[:carries]
    kept = _kept(split, before, after, length)
    stacks = _widened(y, split, kept, dict(body=body, length=length, constants=constants, carries=carries), reverse)

    fixed_inputs = dict(zip(graph.inputs[1 : 1 + constants], operands[:constants], strict=True))
    rows = dict(zip(graph.inputs[1 + fixed : len(body.inputs)], operands[fixed:], strict=True))
    rows.update(zip(kept, stacks, strict=True))
    rows.update({seed: g[j] for j, seed in pulled.seeds.items() if j >= carries})
    # the carry after a step is the one before the next step
    passed = {
        a: (b, y[k])
        for k, (b, a) in enumerate(zip(before, after, strict=True))
        if b in rows and a is not b and not (a in rows or a in fixed_inputs or a is graph.inputs[0])
    }
    size = sum(x.type.nbytes for x in passed)
    if 0 < size <= PASSED_BYTES and length * size <= SMALL_BYTES and length and not is_short(graph, length):
        rows.update({a: _one_step_on(rows[b], last, reverse) for a, (b, last) in passed.items()})
        passed = {}
    carried = {seed: g[j] for j, seed in pulled.seeds.items() if j < carries}
    into = [pulled.cotangents[constants + j] for j in pulled.seeds if j < carries]
    summed = [i for i in pulled.positions if i < constants and wanted[i]]
    stacked = [i for i in pulled.positions if i >= fixed and wanted[i]]
    outputs = [pulled.cotangents[i] for i in (*stacked, *summed)]
    inputs = (graph.inputs[0], *fixed_inputs, *carried, *passed, *rows)
    back = split.back(inputs, (*into, *[b for b, _ in passed.values()], *outputs))
    out = emit_scan(
        [*fixed_inputs.values(), *carried.values(), *[last for _, last in passed.values()], *rows.values()],
        body=back,
        length=length,
        constants=constants,
        carries=len(carried) + len(passed),
        reverse=not reverse,
        sums=len(summed),
    )
    found: list[Any] = [None] * len(operands)
    for j, cotangent in zip(pulled.seeds, out, strict=False):
        if j < carries and wanted[constants + j]:
            found[constants + j] = cotangent
    for i, cotangent in zip((*stacked, *summed), out[len(carried) + len(passed) :], strict=True):
        found[i] = cotangent
    return tuple(found)


def _kept(split: Split, before: Sequence[Value], after: Sequence[Value], length: int) -> list[Value]:
    """What the way there keeps. Where that fits into a cache, slow elementwise functions are not computed again."""
    sources, pairs = {*before, *split.expensive}, list(zip(before, after, strict=True))
    moving: set[Value] = set(before)
    slow: set[Value] = set()
    for node in split.primal:
        if not moving.isdisjoint(node.operands):
            moving.update(node.results)
            slow.update(node.results if node.primitive.name in SLOW else ())
    kept = smallest_cut(split.primal, split.needed, sources | slow, pairs)
    if not slow or length * sum(x.type.nbytes for x in kept) <= CACHE_BYTES:
        return kept
    return smallest_cut(split.primal, split.needed, sources, pairs)


def _one_step_on(stack: Value, last: Value, reverse: bool) -> Value:
    """The rows of the next step: a stack without its first step, and the last row after it."""
    end = reshape(last, shape=(1, *last.shape))
    length = stack.shape[0]
    if length == 1:
        return end
    if reverse:
        return concatenate(end, part(stack, 0, 0, length - 1), axis=0)
    return concatenate(part(stack, 0, 1, length), end, axis=0)


def _widened(y: tuple, split: Split, kept: Sequence[Value], params: dict[str, Any], reverse: bool) -> list[Value]:
    """Have the scan that gives y stack the kept values as well; what it stacks already is taken from there."""
    outputs = split.graph.outputs[: split.outputs]
    known = {x: y[j] for j, x in enumerate(outputs) if j >= params["carries"]}
    extra = [x for x in kept if x not in known]
    if extra:
        ahead = split.ahead(extra)
        known.update(zip(extra, current_builder().widen(y, {**params, "body": ahead, "reverse": reverse}), strict=True))
    return [known[x] for x in kept]


def forward_scan(
    tangents: tuple,
    operands: tuple[Value, ...],
    *,
    body: Graph,
    length: int,
    constants: int,
    carries: int,
    reverse: bool,
) -> tuple:
    """The scan and its derivative in one: the carry goes together with its tangent."""
    fixed = constants + carries
    active = active_operands(body, [t is not None for t in tangents], constants, carries, 1)
    moved = [i for i, a in enumerate(active) if a]
    pushed = forward(body, [i + 1 for i in moved])
    own = dict(zip(moved, pushed.inputs[len(body.inputs) :], strict=True))
    smooth = [j for j, r in enumerate(body.outputs) if carries_derivative(r)]
    slopes = dict(zip(smooth, pushed.outputs[len(body.outputs) :], strict=True))
    groups = [[i for i in moved if low <= i < high] for low, high in ((0, constants), (constants, fixed))]
    groups.append([i for i in moved if i >= fixed])
    after = [j for j in smooth if j < carries and constants + j in own]
    beside = [j for j in smooth if j >= carries]

    def order(values: Sequence[Value], tangents_of: Any) -> list[Value]:
        parts = (values[:constants], values[constants:fixed], values[fixed:])
        return [x for part, group in zip(parts, groups, strict=True) for x in (*part, *[tangents_of(i) for i in group])]

    inputs = (body.inputs[0], *order(body.inputs[1:], own.__getitem__))
    outputs = (*pushed.outputs[:carries], *[slopes[j] for j in after])
    outputs += (*pushed.outputs[carries : len(body.outputs)], *[slopes[j] for j in beside])
    names = tuple([f"x{i}" for i in range(len(inputs))])
    joint = simplify(Graph(body.name, inputs, names, pushed.nodes, outputs))
    values = order(operands, lambda i: tangents[i] if tangents[i] is not None else fill_like(operands[i], 0))
    out = emit_scan(
        values,
        body=joint,
        length=length,
        constants=constants + len(groups[0]),
        carries=carries + len(after),
        reverse=reverse,
    )
    rows = out[carries + len(after) :]
    results = (*out[:carries], *rows[: len(body.outputs) - carries])
    found: list[Any] = [None] * len(body.outputs)
    for j, t in zip(
        (*after, *beside), (*out[carries : carries + len(after)], *rows[len(results) - carries :]), strict=True
    ):
        found[j] = t
    return results, tuple(found)


def batch_scan(
    batched: tuple[bool, ...],
    operands: tuple[Value, ...],
    *,
    body: Graph,
    length: int,
    constants: int,
    carries: int,
    reverse: bool,
) -> tuple:
    """One scan over the whole batch; a carry is batched if the body makes it depend on what is."""
    size = next(x.shape[0] for x, b in zip(operands, batched, strict=True) if b)
    fixed = constants + carries
    flags = list(batched)
    while True:
        after = batched_outputs(body, [False, *flags])
        grown = [f or (constants <= i < fixed and after[i - constants]) for i, f in enumerate(flags)]
        if grown == flags:
            break
        flags = grown
    repeated = [flags[constants + k] if k < carries else False for k in range(len(body.outputs))]
    lifted = simplify(batch(body, [False, *flags], size, repeated))
    values = [
        batch_to_second(x) if b and i >= fixed else x if b or not f else repeat_leading(x, size)
        for i, (x, b, f) in enumerate(zip(operands, batched, flags, strict=True))
    ]
    out = emit_scan(values, body=lifted, length=length, constants=constants, carries=carries, reverse=reverse)
    results = []
    for j, (r, b) in enumerate(zip(out, after, strict=True)):
        if j >= carries and b:
            r = batch_to_second(r)
        elif not (b or (j < carries and flags[constants + j])):
            r = repeat_leading(r, size)
        results.append(r)
    return tuple(results)


def batch_to_second(x: Value) -> Value:
    """x with its first two axes exchanged."""
    return primitive("transpose")(x, axes=(1, 0, *range(2, x.ndim)))
