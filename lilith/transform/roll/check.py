"""Translation check: the body, gone through copy by copy, computes what the copies compute, operation by operation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from lilith.ir.graph import Literal, Node, Value
from lilith.ir.interpret import evaluate
from lilith.transform.roll.body import Array, Body, Link
from lilith.transform.roll.operands import Rows, Stack
from lilith.transform.roll.sequence import Axes, Place, View, sliced, view_of

SAMPLE = 4
"""So many copies at the beginning and at the end are checked at every call; all of them in tests."""


def translates(body: Body, copies: Iterable[int] | None = None) -> bool:
    """Whether every operation of these copies (by default some at both ends) is that of the body, and so are its
    operands: the results of the same operations, the same constants, or the same regions of the same arrays."""
    count = body.plan.window.copies
    if copies is None:
        copies = sorted({*range(min(SAMPLE, count)), *range(max(0, count - SAMPLE), count)})
    return all(_Copy(body, copy).agrees() for copy in copies)


Token = Any
"""What a value is: a `View`, a `Value`, or a constant's content. Equal where values are."""


def _number(number: Any, shape: Axes, dtype: np.dtype) -> Token:
    return "number", np.asarray(number).astype(dtype).tobytes(), shape, dtype


def _content(array: np.ndarray) -> Token:
    first = array.reshape(-1)[:1]
    if array.size and array.tobytes() == first.tobytes() * array.size:
        return "number", first.tobytes(), array.shape, array.dtype
    return "array", Literal(array).key


def _constant(node: Node) -> Token:
    if node.primitive.name == "fill":
        return _number(node.params["value"], node.params["shape"], node.params["dtype"])
    return _content(np.asarray(evaluate(node, [])[0]))


def _plain(view: View) -> Token:
    return view.root if view.trivial else view


class _Copy:
    """One copy: what the values of the body stand for."""

    def __init__(self, body: Body, copy: int):
        self.body, self.copy, self.sequence = body, copy, body.sequence
        self.stands: dict[Value, Token] = {x: self.described(outer) for outer, x in body.fixed.items()}
        self.stands.update({x: self.carried(link, copy) for link, x in body.carries.items()})
        self.stands.update({x: self.row(kind) for kind, x in body.rows.items()})

    def described(self, x: Value) -> Token:
        node = self.sequence.constants.get(x)
        if node is not None:
            return _constant(node)
        view = self.sequence.views.get(x)
        return x if view is None else _plain(view)

    def carried(self, link: Link, copy: int) -> Token:
        """What a carry is before a copy."""
        delay = len(link.first)
        if copy < delay:
            return self.described(link.first[delay - copy - 1])
        result = self.result(link.place, copy - delay)
        return result if link.carried is None else _plain(link.carried._replace(root=result))

    def result(self, place: Place, copy: int) -> Value:
        window = self.body.plan.window
        return self.sequence.members[window.first + copy * window.period + place.member].results[place.result]

    def row(self, kind: Array | Rows | Stack) -> Token:
        if isinstance(kind, Array):
            return _content(kind.content.array[self.copy])
        if isinstance(kind, Stack):
            return self.described(kind.values[self.copy])
        starts = np.frombuffer(kind.starts, dtype=np.int64).reshape(-1, len(kind.view.base))
        start = tuple(starts[self.copy].tolist())
        return _plain(kind.view._replace(root=kind.root, start=start))

    def agrees(self) -> bool:
        """Whether the body is this copy."""
        window, body = self.body.plan.window, self.body
        first = window.first + self.copy * window.period
        originals = iter(self.sequence.members[first : first + window.period])
        copied = set(body.results.values())
        for node in body.builder.nodes:
            ours = copied.isdisjoint(node.results)
            if not (self.stand(node) if ours else self.same(node, next(originals))):
                return False
        after = [self.stands.get(y) == self.carried(link, self.copy + 1) for link, y in body.after.items()]
        return next(originals, None) is None and all(after)

    def same(self, node: Node, original: Node) -> bool:
        """Whether a node of the body is the original."""
        self.stands.update(zip(node.results, original.results, strict=True))
        pairs = zip(node.operands, original.operands, strict=True)
        alike = node.primitive is original.primitive and node.params == original.params
        return alike and all(self.stands.get(x, self) == self.described(y) for x, y in pairs)

    def stand(self, node: Node) -> bool:
        """Note what a node stands for that only the body has: a constant, a region, a number in a shape."""
        y = node.results[0]
        if not node.operands:
            self.stands[y] = _constant(node)
            return True
        x = self.stands[node.operands[0]]
        if node.primitive.name == "broadcast_in_dim":
            self.stands[y] = (*x[:2], y.type.shape, x[3])
            return x[0] == "number"
        view = x if isinstance(x, View) else view_of(x)
        found = self.region(node, view, y)
        if found is not None:
            self.stands[y] = _plain(found)
        return found is not None

    def region(self, node: Node, view: View, y: Value) -> View | None:
        """The region of a root that a slice or a reshape gives."""
        params, shape = node.params, y.type.shape
        if node.primitive.name == "reshape":
            return view._replace(shape=shape)
        if node.primitive.name == "slice":
            return sliced(view, params["start"], params["stride"], shape)
        begin = tuple([int(np.frombuffer(self.stands[s][1], self.stands[s][3])[0]) for s in node.operands[1:]])
        return sliced(view, begin, (1,) * len(shape), shape)
