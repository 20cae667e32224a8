"""How a reverse_while is run: a loop that keeps carries in a bounded number of places, and one that goes back.

On the way there every stride-th carry is kept; when all places are taken every second one is given up and the stride
doubles. On the way back the steps after the last carry kept are gone through again, by their number and never by the
condition; carries on this way are kept in the places that are free by now. Sources: Wang, Moin and Iaccarino, Minimal
repetition dynamic checkpointing algorithm for unsteady adjoint calculation, 2009; Griewank and Walther, Algorithm 799,
2000, for the way back in free places.

With n steps and N places: no step is repeated for n <= N, each about once up to n = N²/4, a few times beyond.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lilith.ir.graph import Builder, Graph, Node, Value, current_builder, fill_like
from lilith.ir.type import TensorType
from lilith.ops.elementwise import add, div, eq, gt, logical_and, lt, mul, select, sub
from lilith.ops.indexing import dynamic_slice, dynamic_update_slice
from lilith.ops.loops import INDEX, types_of, while_loop
from lilith.ops.shape import broadcast_in_dim, fill, iota, pad, reshape
from lilith.ops.slicing import slice


def _number(n: int) -> Value:
    return fill(value=n, shape=(), dtype=INDEX.dtype)


def _graph(name: str, types: Sequence[TensorType], make: Callable[..., Sequence[Value]]) -> Graph:
    """The graph of `make`, a function that calls primitives."""
    inputs = [Value(t) for t in types]
    with Builder() as builder:
        outputs = make(inputs)
    names = tuple([f"x{i}" for i in range(len(inputs))])
    return Graph(name, tuple(inputs), names, tuple(builder.nodes), tuple(outputs))


def _loop(name: str, first: Sequence[Value], test: Callable[..., Value], step: Callable[..., Sequence[Value]]) -> Any:
    """A while_loop without constants over `first`, from functions that call primitives."""
    types = types_of(first)
    cond, body = _graph(name, types, lambda xs: [test(xs)]), _graph(name, types, step)
    return while_loop(*first, cond=cond, body=body, constants=0, checkpoints=2)


def _inline(graph: Graph, values: Sequence[Value]) -> list[Value]:
    return current_builder().inline(graph, values)


def _stored(places: Sequence[Value], row: Sequence[Value], at: Value) -> list[Value]:
    """The arrays with a row written."""
    zero = _number(0)
    return [
        dynamic_update_slice(p, reshape(x, shape=(1, *x.shape)), at, *[zero] * x.ndim)
        for p, x in zip(places, row, strict=True)
    ]


def _loaded(places: Sequence[Value], at: Value) -> list[Value]:
    zero = _number(0)
    return [
        reshape(dynamic_slice(p, at, *[zero] * (p.ndim - 1), sizes=(1, *p.shape[1:])), shape=p.shape[1:])
        for p in places
    ]


def _every_second(x: Value) -> Value:
    """The rows 0, 2, 4, ... of the first N of N + 1, in front; zeros after them."""
    count = x.shape[0] - 1
    rest = (0,) * (x.ndim - 1)
    half = slice(x, start=(0, *rest), limit=(count, *x.shape[1:]), stride=(2, *[1] * (x.ndim - 1)))
    zero = fill(value=x.dtype.type(0).item(), shape=(), dtype=x.dtype)
    return pad(half, zero, low=(0, *rest), high=(count + 1 - half.shape[0], *rest), interior=(0, *rest))


class Trail(NamedTuple):
    """What the way there leaves.

    Attributes:
        kept: which carries the places are for: those that the way back reads, and those that these follow from.
        places: by carry, the values kept.
        stride: between them.
        steps: how many there were.
    """

    kept: list[int]
    places: list[Value]
    stride: Value
    steps: Value


def _part(graph: Graph, kept: Sequence[int], constants: int, outputs: Sequence[Value]) -> Graph:
    """The graph to some of its outputs, with inputs for some of the carries only: the others are not read."""
    carries = range(constants, constants + len(kept))
    needed = set(outputs)
    nodes = []
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.results):
            needed.update(node.operands)
            nodes.append(node)
    places = [*range(constants), *[constants + k for k in kept]]
    inputs = tuple([graph.inputs[i] for i in places])
    names = tuple([f"x{i}" for i in range(constants + len(carries))])
    return Graph(graph.name, inputs, names, tuple(reversed(nodes)), tuple(outputs))


def _read(graph: Graph, outputs: Sequence[Value], constants: int, count: int) -> set[int]:
    """The carries that the outputs depend on."""
    needed = set(outputs)
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.results):
            needed.update(node.operands)
    return {k for k in range(count) if graph.inputs[constants + k] in needed}


def carries_read(pulls: Sequence[Graph], body: Graph, constants: int) -> list[int]:
    """The carries that any way back reads, and those from which the body computes them."""
    count = len(body.outputs)
    found = {k for pull in pulls for k in _read(pull, pull.outputs, constants, count)}
    while True:
        more = found | _read(body, [body.outputs[k] for k in found], constants, count)
        if more == found:
            return sorted(found)
        found = more


def there(
    fixed: Sequence[Value], first: Sequence[Value], params: dict[str, Any], kept: Sequence[int]
) -> tuple[list[Value], Trail]:
    """The loop itself, with a trail of the carries in `kept`: the last carry and the trail.

    It carries: fixed, carry, places, place, stride, left, steps. The carry `left` steps on is the next to keep, in
    `place`; the others go to one place more, which nobody reads. Counting avoids a division in every step.
    """
    cond, body, count = params["cond"], params["body"], _even(params["checkpoints"])
    c, k = len(fixed), len(first)
    types = [first[i].type for i in kept]
    empty = [fill(value=t.dtype.type(0).item(), shape=(count + 1, *t.shape), dtype=t.dtype) for t in types]

    def running(xs: Sequence[Value]) -> Value:
        return _inline(cond, xs[: c + k])[0]

    def has_place(xs: Sequence[Value]) -> Value:
        return logical_and(running(xs), lt(xs[-4], _number(count)))

    def step(xs: Sequence[Value]) -> list[Value]:
        place, stride, left, steps = xs[-4:]
        one, on = _number(1), eq(left, _number(0))
        stored = _stored(xs[c + k : -4], [xs[c + i] for i in kept], select(on, place, _number(count)))
        place = select(on, add(place, one), place)
        left = sub(select(on, stride, left), one)
        return [*xs[:c], *_inline(body, xs[: c + k]), *stored, place, stride, left, add(steps, one)]

    def thin(xs: Sequence[Value]) -> list[Value]:
        thinner = [*[_every_second(x) for x in xs[c + k : -4]], _number(count // 2), mul(xs[-3], _number(2))]
        return list(_loop("steps", [*xs[: c + k], *thinner, *xs[-2:]], has_place, step))

    zero = _number(0)
    full = _loop("steps", [*fixed, *first, *empty, zero, _number(1), zero, zero], has_place, step)
    out = _loop("strides", full, running, thin)
    return list(out[c : c + k]), Trail(list(kept), list(out[c + k : -4]), out[-3], out[-1])


class _Back:
    """The loop back. What it carries: fixed, totals, g, places, positions, end, top.

    `places` holds carries, `positions` which step each belongs to; those up to number `top` count. The steps before
    `end` are still to go.
    """

    def __init__(self, fixed: Sequence[Value], g: Sequence[Value], params: dict[str, Any], kept: Sequence[int]):
        body, pull, c = params["body"], params["pull"], len(fixed)
        self.c, self.k = c, len(kept)
        self.body = _part(body, kept, c, [body.outputs[i] for i in kept])
        self.pull = _with_cotangents(pull, kept, c, len(body.outputs))
        self.count = _even(params["checkpoints"])
        self.sums = sum(i < c for i in params["active"])
        self.width = self.sums + len(g)

    def more(self, xs: Sequence[Value]) -> Value:
        return gt(xs[-2], _number(0))

    def step(self, xs: Sequence[Value]) -> list[Value]:
        """Back over the last step."""
        one, c = _number(1), self.c
        totals, g = xs[c : c + self.sums], xs[c + self.sums : c + self.width]
        places, positions, (end, top) = xs[c + self.width : -3], xs[-3], xs[-2:]
        carry, places, positions, top = self.replay(xs[:c], places, positions, end, top)
        moved = _inline(self.pull, [*xs[:c], *carry, *g])
        totals = [add(a, b) for a, b in zip(totals, moved[: self.sums], strict=True)]
        last = sub(end, one)
        (base,) = _loaded([positions], top)
        top = select(eq(base, last), sub(top, one), top)
        return [*xs[:c], *totals, *moved[self.sums :], *places, positions, last, top]

    def replay(
        self, fixed: Sequence[Value], places: Sequence[Value], positions: Value, end: Value, top: Value
    ) -> tuple[Sequence[Value], Sequence[Value], Value, Value]:
        """The carry before the last step, from the last one kept; some on the way are kept."""
        c, k = self.c, self.k
        (base,) = _loaded([positions], top)
        length = sub(end, base)
        stride = _stride(length, sub(_number(self.count - 1), top))
        start = [*fixed, *_loaded(places, top), *places, positions, top]
        start += [base, sub(end, _number(1)), stride, stride]
        out = _loop("replay", start, lambda xs: lt(xs[-4], xs[-3]), self.advance)
        return out[c : c + k], out[c + k : c + 2 * k], out[c + 2 * k], out[c + 2 * k + 1]

    def advance(self, xs: Sequence[Value]) -> list[Value]:
        """One step again. It carries: fixed, carry, places, positions, top, at, last, stride, left."""
        c, k, one = self.c, self.k, _number(1)
        places = xs[c + k : c + 2 * k]
        positions, top, at, last, stride, left = xs[c + 2 * k :]
        following = _inline(self.body, xs[: c + k])
        at, left = add(at, one), sub(left, one)
        on = eq(left, _number(0))
        top = select(on, add(top, one), top)
        kept = _stored([*places, positions], [*following, at], select(on, top, _number(self.count)))
        return [*xs[:c], *following, *kept, top, at, last, stride, select(on, stride, left)]


def _with_cotangents(pull: Graph, kept: Sequence[int], constants: int, count: int) -> Graph:
    """The graph `(constants, carry, g) -> ...` with inputs for the kept carries only."""
    part = _part(pull, kept, constants, pull.outputs)
    inputs = (*part.inputs, *pull.inputs[constants + count :])
    names = tuple([f"x{i}" for i in range(len(inputs))])
    return Graph(pull.name, inputs, names, part.nodes, part.outputs)


def back(fixed: Sequence[Value], trail: Trail, g: Sequence[Value], params: dict[str, Any]) -> list[Value]:
    """The cotangents of the operands that are active, from those of the last carry."""
    way = _Back(fixed, g, params, trail.kept)
    totals = [fill_like(fixed[i], 0) for i in params["active"][: way.sums]]
    positions = mul(
        iota(shape=(way.count + 1,), dtype=INDEX.dtype, axis=0),
        broadcast_in_dim(trail.stride, shape=(way.count + 1,), axes=()),
    )
    top = div(sub(trail.steps, _number(1)), trail.stride)
    out = _loop("back", [*fixed, *totals, *g, *trail.places, positions, trail.steps, top], way.more, way.step)
    return list(out[way.c : way.c + way.width])


def _stride(length: Value, free: Value) -> Value:
    """How far apart carries are kept on `length` steps: 1 where there are places for all of them; else half of the
    free ones are used, and the others left for the parts between."""
    one = _number(1)
    parts = add(div(add(free, one), _number(2)), one)
    spread = div(sub(add(length, parts), one), parts)
    return select(lt(free, sub(length, one)), spread, one)


def _even(checkpoints: int) -> int:
    return checkpoints + checkpoints % 2


def expand(graph: Graph) -> Graph:
    """The graph with every reverse_while written as loops. Where the while_loop it belongs to is in the graph as well
    the way there is gone once, for both."""
    loops = [node for node in graph.nodes if node.primitive.name == "reverse_while"]
    if not loops:
        return graph
    ways: dict[tuple, tuple[list[Value], Trail]] = {}
    pulls: dict[tuple, list[Graph]] = {}
    for node in loops:
        pulls.setdefault(_key(node), []).append(node.params["pull"])
    env: dict[Value, Value] = {}
    with Builder() as builder:
        for node in graph.nodes:
            operands = [env.get(x, x) for x in node.operands]
            builder.source = node.source
            key = _key(node) if node.primitive.name in ("while_loop", "reverse_while") else None
            if key is None or key not in pulls:
                builder.nodes.append(Node(node.primitive, tuple(operands), node.params, node.results, node.source))
                continue
            count, constants = len(node.params["body"].inputs), node.params["constants"]
            fixed = operands[:constants]
            if key not in ways:
                kept = carries_read(pulls[key], node.params["body"], constants)
                ways[key] = there(fixed, operands[constants:count], node.params, kept)
            out, trail = ways[key]
            if node.primitive.name == "reverse_while":
                out = back(fixed, trail, operands[count:], node.params)
            env.update(zip(node.results, out, strict=True))
    outputs = tuple([env.get(y, y) for y in graph.outputs])
    return Graph(graph.name, graph.inputs, graph.input_names, tuple(builder.nodes), outputs)


def _key(node: Node) -> tuple:
    """What a while_loop and its reverse_while have in common."""
    params = node.params
    return node.operands[: len(params["body"].inputs)], params["cond"], params["body"], params["checkpoints"]
