"""From a plan to the operations that take the place of the copies: a scan, or one operation on all copies at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lilith.ir.graph import Builder, Graph, Node, Source, Value, current_builder
from lilith.ir.type import is_inexact
from lilith.ops.elementwise import add, sub
from lilith.ops.reduction import reduce_sum
from lilith.ops.shape import constant, iota
from lilith.transform.batch import batch
from lilith.transform.fission import emit_scan
from lilith.transform.parts import between
from lilith.transform.roll.body import Array, Body, Link
from lilith.transform.roll.operands import Rows, Stack
from lilith.transform.roll.rows import row_of, stacked_values, stacked_views
from lilith.transform.roll.sequence import Place

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


class Rolled(NamedTuple):
    """What takes the place of a stretch.

    Attributes:
        nodes: the operations; their results are the values that are read outside of the stretch.
        loop: whether it is a loop.
    """

    nodes: list[Node]
    loop: bool


class Emission:
    """The parts of a stretch's body: what is carried, what is added up, what is stacked."""

    def __init__(self, body: Body):
        self.body = body
        self.read = body.plan.read
        self.count = body.plan.window.copies
        stacked = self._stacked(set())
        self.sums = sums_of(body, stacked)
        gone = {s.link for s in self.sums}
        self.carries = [link for link in body.carries if link not in gone]
        self.loop = bool(self.carries) or self._large()
        if self.loop and not self.carries:
            self.sums, self.carries = [], list(body.carries)
        self.stacked = self._stacked({s.link for s in self.sums})

    def _large(self) -> bool:
        own = sum(y.type.nbytes for node in self.body.builder.nodes for y in node.results)
        return bool(self.body.carries) and own * self.count > BATCH_BYTES

    def final(self, place: Place, copy: int) -> Link | None:
        """The carry that ends as the value of that copy."""
        for link in self.body.carries:
            if link.place == place and link.carried is None and len(link.first) == self.count - copy:
                return link
        return None

    def _stacked(self, summed: set[Link]) -> list[Place]:
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
    outputs = (*[body.after[x] for x in e.carries], *[body.results[place] for place in e.stacked], *terms)
    whole = Graph(body.name, inputs, ("",) * len(inputs), tuple(body.builder.nodes), outputs)
    return between(whole, inputs, outputs)
