"""One copy of a stretch as the body of a loop: what it is given, what it hands on, what it gives."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from lilith.ir.graph import Builder, Graph, Literal, Node, Value
from lilith.ir.type import TensorType
from lilith.ops.indexing import dynamic_slice
from lilith.ops.loops import INDEX
from lilith.ops.shape import broadcast_in_dim, fill, reshape
from lilith.ops.slicing import slice
from lilith.transform.roll.operands import (
    Carry,
    Constant,
    Fixed,
    Kind,
    Moving,
    Operand,
    Rows,
    Same,
    Stack,
    Table,
)
from lilith.transform.roll.plan import Plan
from lilith.transform.roll.sequence import Place, Sequence, View

FEW_PARTS, SMALL = 4, 256
"""Of an array of at most so many elements the body gets all where it reads so many parts of it."""


class Link(NamedTuple):
    """A carry: the value at a place, or a view of it, `len(first)` copies before; `first`: of the first copies."""

    place: Place
    carried: View | None
    first: tuple[Value, ...]


class Array(NamedTuple):
    """Numbers known now, a row per copy."""

    content: Literal


class Body:
    """The body under construction.

    Attributes:
        graph: `(step, constants..., carries..., rows...) -> (carries..., stacked...)`, once `finish` is called.
        fixed: by value outside, the input of the body.
        together: the values of which the body gets all, and reads parts.
        carries: by link, the input; rows: by what is stacked, the input.
        results: by place, the value in the body.
    """

    def __init__(self, sequence: Sequence, plan: Plan, name: str):
        self.sequence, self.plan, self.name = sequence, plan, name
        self.step = Value(INDEX)
        self.fixed: dict[Value, Value] = {}
        self.carries: dict[Link, Value] = {}
        self.rows: dict[Array | Rows | Stack, Value] = {}
        self.results: dict[Place, Value] = {}
        self.known: dict[Kind, Value] = {}
        parts = {x.kind for operands in plan.operands for x in operands if isinstance(x.kind, Fixed) and x.kind.view}
        counts = Counter([part.value for part in parts if part.value.type.size <= SMALL])
        self.together = {x for x, count in counts.items() if count >= FEW_PARTS}
        with Builder() as self.builder:
            window = plan.window
            for j, node in enumerate(sequence.members[window.first : window.first + window.period]):
                self.builder.source = node.source
                operands = tuple([self.read(operand) for operand in plan.operands[j]])
                results = tuple([Value(y.type) for y in node.results])
                self.builder.nodes.append(Node(node.primitive, operands, node.params, results, node.source))
                self.results.update({Place(j, k): y for k, y in enumerate(results)})
            self.after = {link: self._next(link) for link in self.carries}

    def finish(self, stacked: list[Place]) -> Graph:
        """The body, which gives the results at these places besides the carries."""
        inputs = (self.step, *self.fixed.values(), *self.carries.values(), *self.rows.values())
        outputs = (*self.after.values(), *[self.results[place] for place in stacked])
        names = tuple([f"x{i}" for i in range(len(inputs))])
        return Graph(self.name, inputs, ("step", *names[1:]), tuple(self.builder.nodes), outputs)

    # ---- what an operand is in the body

    def read(self, operand: Operand) -> Value:
        """The value of an operand in the body."""
        kind = operand.kind
        found = self.known.get(kind)
        if found is None or isinstance(kind, Carry | Moving):
            found = self.known[kind] = self._made(operand)
        return found

    def _made(self, operand: Operand) -> Value:
        kind, values = operand
        if isinstance(kind, Same):
            return _viewed(self.results[kind.place], kind.view)
        if isinstance(kind, Carry):
            first = [self.sequence.root_of(x) if kind.view is not None else x for x in values[: kind.delay]]
            return _viewed(self._link(kind.place, kind.carried, first), kind.view)
        if isinstance(kind, Fixed):
            if kind.view is not None and kind.value in self.together:
                return _viewed(self._fixed(kind.value), kind.view)
            return self._fixed(values[0])
        if isinstance(kind, Constant):
            self.builder.nodes.append(node := _copied(kind.node))
            return node.results[0]
        if isinstance(kind, Table):
            return self._table(kind, values[0])
        if isinstance(kind, Moving):
            return self._moving(kind, values)
        return self._row(kind, values[0])

    def _fixed(self, x: Value) -> Value:
        return self.fixed.setdefault(x, Value(x.type))

    def _link(self, place: Place, carried: View | None, first: list[Value]) -> Value:
        """The carry whose first values are these, the earliest copy's first."""
        order = tuple(reversed(first))
        for k in range(1, len(order) + 1):
            link = Link(place, carried, order[:k])
            if link not in self.carries:
                self.carries[link] = Value(order[k - 1].type)
        return self.carries[link]

    def _next(self, link: Link) -> Value:
        """What a carry is after a step."""
        if len(link.first) > 1:
            return self.carries[link._replace(first=link.first[:-1])]
        return _viewed(self.results[link.place], link.carried)

    def _row(self, kind: Array | Rows | Stack, like: Value) -> Value:
        return self.rows.setdefault(kind, Value(like.type))

    def _numbers(self, array: np.ndarray) -> Value:
        """The row of an array known now."""
        x = Value(TensorType(array.shape[1:], array.dtype))
        return self.rows.setdefault(Array(Literal(array)), x)

    def _table(self, kind: Table, like: Value) -> Value:
        shape, dtype, content = kind.key
        row = self._numbers(np.frombuffer(content, dtype=dtype).reshape(shape))
        if not kind.shape:
            return row
        return broadcast_in_dim(row, shape=kind.shape, axes=())

    def _moving(self, kind: Moving, values: list[Value]) -> Value:
        """A window at a place that is different in every copy."""
        if kind.delay:
            x = self._link(kind.place, None, [self.sequence.root_of(v) for v in values[: kind.delay]])
        else:
            x = self.results[kind.place]
        x = x if x.shape == kind.view.base else reshape(x, shape=kind.view.base)
        starts = np.frombuffer(kind.starts, dtype=np.int64).reshape(-1, x.ndim)
        fixed = (starts == starts[0]).all(axis=0)
        places = []
        for axis in range(x.ndim):
            if fixed[axis]:
                places.append(fill(value=int(starts[0, axis]), shape=(), dtype=INDEX.dtype))
            else:
                places.append(self._numbers(np.ascontiguousarray(starts[:, axis])))
        each = zip(kind.view.sizes, kind.view.stride, strict=True)
        sizes = tuple([(n - 1) * step + 1 for n, step in each])
        window = dynamic_slice(x, *places, sizes=sizes)
        if any(step != 1 for step in kind.view.stride):
            window = slice(window, start=(0,) * x.ndim, limit=sizes, stride=kind.view.stride)
        return window if window.shape == kind.view.shape else reshape(window, shape=kind.view.shape)


def _copied(node: Node) -> Node:
    return Node(node.primitive, (), node.params, tuple([Value(y.type) for y in node.results]), node.source)


def _viewed(x: Value, view: View | None) -> Value:
    """A view of a value in the body."""
    if view is None:
        return x
    part = x
    if not view.whole:
        part = x if x.shape == view.base else reshape(x, shape=view.base)
        part = slice(part, start=view.start, limit=view.limit, stride=view.stride)
    return part if part.shape == view.shape else reshape(part, shape=view.shape)
