"""What leaves a scan: work that takes no part in the recurrence is done for all steps at once, before it or after it.

Before the loop: products whose operands do not depend on the carry become one big product; where memory is small all
that does not depend on the carry is computed there. After the loop: what only feeds stacked results, and above all the
sums over the steps that the cotangents of constants are: the rows from which they follow are stacked, and a sum of
products is contracted once over all steps. Which rows those are says a smallest cut. Small loops stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lilith.ir.graph import Builder, Graph, Node, Value, current_builder, fill_like
from lilith.ops.loops import INDEX, scan
from lilith.ops.reduction import reduce_sum
from lilith.ops.shape import iota
from lilith.transform.batch import batch
from lilith.transform.cut import EXPENSIVE, PRODUCTS, cheapest_cut
from lilith.transform.parts import between
from lilith.transform.prune import remove_dead
from lilith.transform.rows import Body, taken_apart, with_slices_as_rows
from lilith.transform.whole import ancestors, descendants, stays_whole

FREE_BYTES = 2**24
"""How much memory the rows may take with which products leave a loop; or else twice what the loop reads."""

SMALL_BYTES = 2**23
"""Up to this size all rows that do not depend on the carry are computed before the loop, and all sums after it."""

SUM_COST = 0.9
"""What adding a value up in the loop costs, where stacking a row of its size costs 1: a total is read and written in
every step; a row is written, read after the loop, and its place was filled with zeros before."""

_MOVES = frozenset(
    "fill constant iota broadcast_in_dim reshape transpose rev concatenate pad slice gather dynamic_slice convert "
    "bitcast stop_gradient".split()
)
"""What moves and repeats elements: not worth storing rows for."""


def _is_work(node: Node) -> bool:
    return node.primitive.name not in _MOVES


def _is_product(node: Node) -> bool:
    return node.primitive.name in PRODUCTS


def _is_expensive(node: Node) -> bool:
    return node.primitive.name in EXPENSIVE


def emit_scan(
    operands: Sequence[Value],
    *,
    body: Graph,
    length: int,
    constants: int,
    carries: int,
    reverse: bool,
    sums: int = 0,
) -> tuple[Value, ...]:
    """A scan, of whose results the last `sums` are not stacked but added up; what can leave it does."""
    b = taken_apart(body, constants, carries, sums)
    fixed, first = list(operands[:constants]), list(operands[constants : constants + carries])
    b, rows = with_slices_as_rows(b, fixed, list(operands[constants + carries :]), length)
    read = sum(x.type.nbytes for x in rows)
    leaves = length > 1 and carries > 0 and not any(node.effect for node in body.nodes) and not stays_whole(b, length)
    kept = _rows_kept(b, length, read) if leaves else [*b.stacked, *b.summed]
    late = [y for y in dict.fromkeys((*b.stacked, *b.summed)) if y not in kept]
    after = between(b.graph, (*b.graph.inputs, *kept), late)
    needed = {x for node in after.nodes for x in node.operands}.union(b.stacked)
    added = [y for y in dict.fromkeys(b.summed) if y in kept and y not in needed]  # the others are summed as a stack
    stacked = [y for y in dict.fromkeys(kept) if y not in added]
    loop, totals = _with_totals(b, stacked, added)
    first += [fill_like(total, 0) for total in totals]
    if leaves:
        loop, fixed, rows_in = _with_rows_ahead(loop, fixed, rows, length, max(FREE_BYTES, 2 * read))
    else:
        rows_in = rows
    out = scan(
        *fixed,
        *first,
        *rows_in,
        body=loop.graph,
        length=length,
        constants=len(fixed),
        carries=len(first),
        reverse=reverse,
    )
    found = dict(zip(stacked, out[len(first) :], strict=True))
    sums_found = dict(zip(added, out[carries : len(first)], strict=True))
    if late:
        given = dict(zip(b.fixed, operands, strict=False))
        given.update(zip(b.rows, rows, strict=True))
        given.update(found)
        found.update(zip(late, _for_all_steps(b, late, given, length), strict=True))
    every = [sums_found[y] if y in sums_found else reduce_sum(found[y], axes=(0,)) for y in b.summed]
    return (*out[:carries], *[found[y] for y in b.stacked], *every)


def _with_totals(b: Body, stacked: Sequence[Value], added: Sequence[Value]) -> tuple[Body, list[Value]]:
    """The body with a carry for every sum."""
    totals = [Value(y.type.strong) for y in added]
    with Builder() as builder:
        builder.nodes.extend(b.graph.nodes)
        after = [*b.after, *[total + y for total, y in zip(totals, added, strict=True)]]
    inputs = (b.step, *b.fixed, *b.before, *totals, *b.rows)
    whole = Graph(
        b.graph.name, inputs, tuple([f"x{i}" for i in range(len(inputs))]), tuple(builder.nodes), (*after, *stacked)
    )
    graph = remove_dead(whole)
    return taken_apart(graph, len(b.fixed), len(after), 0), totals


# ---- after the loop --------------------------------------------------------------------------------------------------


def _rows_kept(b: Body, length: int, read: int) -> list[Value]:
    """The rows that the loop stacks or adds up; all other results follow from them after it.

    Everything leaves where that is little; else what follows from products that the recurrence does without.
    """
    nodes, everything = b.graph.nodes, list(dict.fromkeys([*b.stacked, *b.summed]))
    core = ancestors(nodes, b.after)
    fast = {y for n in nodes if _is_product(n) and core.isdisjoint(n.results) for y in n.results}
    sources = {*b.before, *[y for n in nodes if _is_expensive(n) for y in n.results if y not in fast]}
    from_products = descendants(nodes, fast)
    cost: dict[Value, float] = {y: SUM_COST * y.type.nbytes for y in b.summed}

    def kept(leaving: list[Value], limit: int) -> list[Value] | None:
        _, rows = cheapest_cut(nodes, leaving, sources, set(), cost)
        own = [y for y in rows if y not in everything]
        own += [y for y in leaving if y not in rows and y not in from_products]
        if length * sum(y.type.nbytes for y in own) > limit:
            return None
        return [*rows, *[y for y in everything if y not in leaving]]

    found = kept(everything, SMALL_BYTES) if b.summed else None
    if found is None and fast:
        found = kept([y for y in everything if y in from_products], max(FREE_BYTES, 2 * read))
    return everything if found is None else list(dict.fromkeys(found))


def _for_all_steps(b: Body, outputs: Sequence[Value], given: dict[Value, Value], length: int) -> list[Value]:
    """The outputs of all steps, stacked, from constants and stacked rows."""
    part = between(b.graph, (b.step, *given), outputs)
    flags = [True, *[x not in b.fixed for x in given]]
    numbers = iota(shape=(length,), dtype=INDEX.dtype, axis=0)
    return current_builder().inline(batch(part, flags, length), [numbers, *given.values()])


# ---- before the loop -------------------------------------------------------------------------------------------------


def _with_rows_ahead(
    b: Body, fixed: list[Value], rows: list[Value], length: int, limit: int
) -> tuple[Body, list[Value], list[Value]]:
    """The loop with what is computed before it as constants and rows: the body, the constants and the rows."""
    moving, still = _independent(b)
    constant = _worth(b, still, _is_expensive, float("inf"))
    ahead = _worth(b, moving, _is_work, SMALL_BYTES // length) or _worth(b, moving, _is_product, limit // length)
    if not constant and not ahead:
        return b, fixed, rows
    once = current_builder().inline(between(b.graph, b.fixed, constant), fixed) if constant else []
    given = dict(zip((*b.fixed, *b.rows), (*fixed, *rows), strict=True))
    stacks = _for_all_steps(b, ahead, given, length) if ahead else []
    constants = list(zip((*b.fixed, *constant), (*fixed, *once), strict=True))
    read = list(zip((*b.rows, *ahead), (*rows, *stacks), strict=True))
    graph = between(b.graph, (b.step, *[x for x, _ in constants], *b.before, *[x for x, _ in read]), b.graph.outputs)
    used = {x for node in graph.nodes for x in node.operands}.union(graph.outputs)
    constants, read = [[pair for pair in pairs if pair[0] in used] for pairs in (constants, read)]
    inputs = (b.step, *[x for x, _ in constants], *b.before, *[x for x, _ in read])
    body = taken_apart(between(graph, inputs, graph.outputs), len(constants), len(b.before), 0)
    return body, [value for _, value in constants], [value for _, value in read]


def _independent(b: Body) -> tuple[list[Node], list[Node]]:
    """The nodes that do not depend on the carry: those that differ from step to step, but for loops and the like, which
    may need much memory for all steps at once; and those that do not."""
    dependent, moved = set(b.before), {b.step, *b.rows}
    moving, still = [], []
    for node in b.graph.nodes:
        steps = not moved.isdisjoint(node.operands)
        if not dependent.isdisjoint(node.operands) or (steps and _is_expensive(node) and not _is_product(node)):
            dependent.update(node.results)
        elif steps:
            moved.update(node.results)
            moving.append(node)
        elif node.operands:
            still.append(node)
    return moving, still


def _worth(b: Body, nodes: Sequence[Node], kind: Callable[[Node], bool], limit: float) -> list[Value]:
    """The smallest rows with which the loop needs none of the nodes of this kind; none where they exceed the limit,
    in bytes per step, or where there is no such node."""
    inside = {y for node in nodes for y in node.results}
    sources = {y for node in nodes if kind(node) for y in node.results}
    needed = {x for node in b.graph.nodes if inside.isdisjoint(node.results) for x in node.operands if x in inside}
    needed.update([y for y in b.graph.outputs if y in inside])
    wanted = [y for node in nodes for y in node.results if y in needed]  # in order: the same in every process
    size, found = cheapest_cut(nodes, wanted, sources, set(), {})
    return found if size <= limit else []
