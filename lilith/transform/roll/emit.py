"""From a plan to the operations that take the place of the copies: a scan, or one operation on all copies at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lilith.ir.graph import Builder, Graph, Node, Source, Value, current_builder
from lilith.ir.type import is_inexact
from lilith.ops.elementwise import add, sub
from lilith.ops.reduction import reduce_sum
from lilith.ops.shape import concatenate, constant, iota, part, reshape, rev
from lilith.transform.batch import batch
from lilith.transform.fission import emit_scan
from lilith.transform.parts import between
from lilith.transform.roll.body import Array, Body, Link
from lilith.transform.roll.operands import Rows, Stack
from lilith.transform.roll.rows import row_of, stacked_values, stacked_views
from lilith.transform.roll.sequence import Place
from lilith.transform.roll.writes import depth_of

BATCH_BYTES = 2**26
"""How much memory the results of all copies at once may take."""


class Sum(NamedTuple):
    """A carry to which every step adds terms, and subtracts others; nothing else reads it."""

    link: Link
    terms: tuple[tuple[bool, Value], ...]


def sums_of(body: Body, stacked: list[Place]) -> list[Sum]:
    """The carries that only sums are."""
    readers: dict[Value, list[Node]] = {}
    for node in body.builder.nodes:
        for x in node.operands:
            readers.setdefault(x, []).append(node)
    returned = [*body.after.values(), *[body.results[place] for place in stacked]]
    found = []
    for link, before in body.carries.items():
        terms: list[tuple[bool, Value]] = []
        x, after = before, body.after[link]
        while x is not after:
            if len(readers.get(x, ())) != 1 or x in returned or not is_inexact(x.dtype):
                break
            (node,) = readers[x]
            name, operands = node.primitive.name, node.operands
            if name == "add":
                terms.append((True, operands[1] if operands[0] is x else operands[0]))
            elif name == "sub" and operands[0] is x:
                terms.append((False, operands[1]))
            else:
                break
            x = node.results[0]
        if terms and x is after and x not in readers and returned.count(x) == 1 and len(link.first) == 1:
            found.append(Sum(link, tuple(terms)))
    return found


class Filling(NamedTuple):
    """A carry into which every step writes the next element or row, or the one before; nothing else reads it.

    Attributes:
        update: what is written, in the body.
        depth: the first axes, along which a write is at one place.
        place: the lowest of the places, counted through these axes.
        backward: whether they are gone through from the last to the first.
    """

    link: Link
    update: Value
    depth: int
    place: int
    backward: bool


def fillings_of(body: Body, stacked: list[Place]) -> list[Filling]:
    """The carries that are only written."""
    readers: dict[Value, list[Node]] = {}
    for node in body.builder.nodes:
        for x in node.operands:
            readers.setdefault(x, []).append(node)
    returned = [*body.after.values(), *[body.results[place] for place in stacked]]
    found = []
    for link, x in body.carries.items():
        after = body.after[link]
        if len(readers.get(x, ())) != 1 or x in returned or after in readers or returned.count(after) != 1:
            continue
        (node,) = readers[x]
        own = node.primitive.name == "dynamic_update_slice" and node.operands[0] is x and node.results[0] is after
        if own and len(link.first) == 1:
            filling = _filling(body, link, node)
            found += [filling] if filling is not None else []
    return found


def _filling(body: Body, link: Link, node: Node) -> Filling | None:
    """How a carry is filled, where its places follow one another."""
    x, update, *starts = node.operands
    depth = depth_of(update.shape, x.shape)
    tables = {row: kind.content.array for kind, row in body.rows.items() if isinstance(kind, Array)}
    numbers = {
        n.results[0]: n.params["value"]
        for n in body.builder.nodes
        if n.primitive.name == "fill" and not n.results[0].shape
    }
    if not depth or any(start not in tables and start not in numbers for start in starts):
        return None
    places = np.zeros(body.plan.window.copies, dtype=np.int64)
    for start, n in zip(starts[:depth], x.shape[:depth], strict=True):
        places = places * n + (tables[start] if start in tables else numbers[start])
    step = int(places[1] - places[0])
    if abs(step) != 1 or (np.diff(places) != step).any():
        return None
    return Filling(link, update, depth, int(places.min()), step < 0)


def filled(filling: Filling, stack: Value) -> Value:
    """The array after the loop, from the writes of all steps, stacked."""
    first = filling.link.first[0]
    count, rest = stack.shape[0], first.shape[filling.depth :]
    stack = rev(stack, axes=(0,)) if filling.backward else stack
    rows = reshape(stack, shape=(count, *rest))
    total = math.prod(first.shape[: filling.depth])
    if count < total:
        whole = reshape(first, shape=(total, *rest))
        parts = [part(whole, 0, 0, filling.place), rows, part(whole, 0, filling.place + count, total)]
        rows = concatenate(*[x for x in parts if x.shape[0]], axis=0)
    return reshape(rows, shape=first.shape)


class Emission:
    """The parts of a stretch's body: what is carried, what is added up, what is stacked."""

    def __init__(self, body: Body):
        self.body = body
        self.read = body.plan.read
        self.count = body.plan.window.copies
        stacked = self._stacked()
        self.sums, self.fillings = sums_of(body, stacked), fillings_of(body, stacked)
        self.every_sum = self.sums
        gone = {s.link for s in self.sums} | {filling.link for filling in self.fillings}
        self.carries = [link for link in body.carries if link not in gone]
        self.loop = bool(self.carries) or self._large()
        if self.loop and not self.carries:
            self.sums, self.fillings, self.carries = [], [], list(body.carries)
        self.stacked = self._stacked()

    def _large(self) -> bool:
        own = sum(y.type.nbytes for node in self.body.builder.nodes for y in node.results)
        return own * self.count > BATCH_BYTES

    def final(self, place: Place, copy: int) -> Link | None:
        """The carry that ends as the value of that copy."""
        for link in self.body.carries:
            if link.place == place and link.carried is None and len(link.first) == self.count - copy:
                return link
        return None

    def _stacked(self) -> list[Place]:
        return [place for place, copies in self.read.items() if any(self.final(place, copy) is None for copy in copies)]

    def only_last(self) -> bool:
        """Whether something is stacked of which nothing but the last copy's is read."""
        return any(set(self.read[place]) == {self.count - 1} for place in self.stacked)


def emitted(e: Emission, graph: Graph, source: Source | None) -> list[Node]:
    """The nodes that compute what is read of a stretch.

    Arguments:
        graph: the body, `(step, constants..., carries..., rows...) -> (carries..., stacked..., terms...)`.
    """
    body, count = e.body, e.count
    with Builder() as builder:
        builder.source = source
        rows = [_stack(kind) for kind in body.rows]
        fixed = list(body.fixed)
        first = [link.first[-1] for link in e.carries]
        terms = sum(len(s.terms) for s in e.sums)
        if e.loop:
            out: Sequence[Value] = emit_scan(
                [*fixed, *first, *rows],
                body=graph,
                length=count,
                constants=len(fixed),
                carries=len(first),
                reverse=False,
                sums=terms,
            )
        else:
            out = _all_at_once(graph, fixed, rows, count, terms)
        given = _given(e, list(out), terms)
    return _renamed(builder.nodes, given)


def _stack(kind: Array | Rows | Stack) -> Value:
    """What is scanned over, a row per copy."""
    if isinstance(kind, Array):
        return constant(value=kind.content)
    if isinstance(kind, Stack):
        return stacked_values(kind.values)
    starts = np.frombuffer(kind.starts, dtype=np.int64).reshape(-1, len(kind.view.base))
    return stacked_views(kind.root, kind.view, starts)


def _all_at_once(graph: Graph, fixed: list[Value], rows: list[Value], count: int, terms: int) -> list[Value]:
    """The stacked results of all copies, and the sums of their terms."""
    flags = [True, *[False] * len(fixed), *[True] * len(rows)]
    numbers = iota(shape=(count,), dtype=graph.inputs[0].dtype, axis=0)
    out = current_builder().inline(batch(graph, flags, count), [numbers, *fixed, *rows])
    stop = len(out) - terms
    return [*out[:stop], *[reduce_sum(y, axes=(0,)) for y in out[stop:]]]


def _given(e: Emission, out: list[Value], terms: int) -> dict[Value, Value]:
    """The values that are read outside of the stretch, by the values that were made for them."""
    last = dict(zip(e.carries, out, strict=False))
    stacks = dict(zip(e.stacked, out[len(e.carries) :], strict=False))
    for filling, writes in zip(e.fillings, out[len(e.carries) + len(e.stacked) :], strict=False):
        last[filling.link] = filled(filling, writes)
    totals = iter(out[len(out) - terms :])
    for s in e.sums:
        total = s.link.first[0]
        for plus, _ in s.terms:
            total = (add if plus else sub)(total, next(totals))
        last[s.link] = total
    given: dict[Value, Value] = {}
    for place, copies in e.read.items():
        for copy, value in copies.items():
            link = e.final(place, copy) if place not in stacks else None
            given[row_of(stacks[place], copy) if link is None else last[link]] = value
    return given


def _renamed(nodes: list[Node], names: dict[Value, Value]) -> list[Node]:
    """The nodes with some values replaced by others."""
    found = []
    for node in nodes:
        operands = tuple([names.get(x, x) for x in node.operands])
        results = tuple([names.get(y, y) for y in node.results])
        found.append(Node(node.primitive, operands, node.params, results, node.source))
    return found


def body_graph(e: Emission) -> Graph:
    """The body with the terms of its sums as last outputs, without what carries these sums."""
    body = e.body
    inputs = (body.step, *body.fixed.values(), *[body.carries[x] for x in e.carries], *body.rows.values())
    terms = [term for s in e.sums for _, term in s.terms]
    stacked = [*[body.results[place] for place in e.stacked], *[filling.update for filling in e.fillings]]
    outputs = (*[body.after[x] for x in e.carries], *stacked, *terms)
    whole = Graph(body.name, inputs, ("",) * len(inputs), tuple(body.builder.nodes), outputs)
    return between(whole, inputs, outputs)
