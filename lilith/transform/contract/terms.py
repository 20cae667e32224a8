"""What is added up, as a sum of products of arrays with named axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lilith.ir.graph import Node, Value
from lilith.ops.linalg import free_axes

DTYPES = frozenset(map(np.dtype, ("f4", "f8", "c8", "c16")))
"""Where the order of additions may be changed, and a library multiplies matrices."""

ADDED = frozenset({"add", "sub", "reduce_sum"})

_TERMS, _FACTORS, _DEPTH = 8, 4, 32
"""So many terms, factors of a term and operations one after the other are looked at."""

Labels = tuple[int | None, ...]


class Factor(NamedTuple):
    """An array and the names of its axes; None for those of size 1."""

    value: Value
    labels: Labels

    @property
    def names(self) -> frozenset[int]:
        return frozenset([label for label in self.labels if label is not None])


class Term(NamedTuple):
    """A product of arrays, summed over some of the labels."""

    factors: tuple[Factor, ...]
    negative: bool = False
    summed: frozenset[int] = frozenset()


class Sum:
    """What a node adds up: products that are summed over all labels that the result does not have.

    Attributes:
        sizes: the length of the axes by their labels.
        labels: of the axes of the result.
        terms: what is added up.
        inner: the nodes that this takes apart.
    """

    def __init__(self, node: Node, inner: Callable[[Value], Node | None]):
        """`inner`: the node that computes a value, if nothing else reads it."""
        self.sizes: list[int] = []
        self.inner: list[Node] = []
        self._maker = inner
        self._room = _TERMS - 1
        self.labels = self._fresh(node.results[0].shape)
        self.terms = self._taken_apart(node, self.labels, 0)

    def _fresh(self, shape: tuple[int, ...]) -> Labels:
        start = len(self.sizes)
        self.sizes += [n for n in shape if n != 1]
        numbers = iter(range(start, len(self.sizes)))
        return tuple([None if n == 1 else next(numbers) for n in shape])

    def _expanded(self, x: Value, labels: Labels, depth: int) -> list[Term]:
        node = self._maker(x)
        if node is None or node.primitive.name not in _RULES or depth == _DEPTH:
            return [Term((Factor(x, labels),))]
        return self._taken_apart(node, labels, depth + 1)

    def _taken_apart(self, node: Node, labels: Labels, depth: int) -> list[Term]:
        place = len(self.inner)
        self.inner.append(node)
        found = _RULES[node.primitive.name](self, node, labels, depth)
        if found is None:
            del self.inner[place:]
            return [Term((Factor(node.results[0], labels),))]
        return found

    def added(self, node: Node, labels: Labels, depth: int) -> list[Term] | None:
        if self._room <= 0:
            return None
        self._room -= 1
        x, y = [self._expanded(x, labels, depth) for x in node.operands]
        return [*x, *(_negated(y) if node.primitive.name == "sub" else y)]

    def negated(self, node: Node, labels: Labels, depth: int) -> list[Term] | None:
        return _negated(self._expanded(node.operands[0], labels, depth))

    def multiplied(self, node: Node, labels: Labels, depth: int) -> list[Term] | None:
        x, y = [self._expanded(x, labels, depth) for x in node.operands]
        if len(x) > 1 and len(y) > 1:
            return None
        both = [Term((*a.factors, *b.factors), a.negative != b.negative, a.summed | b.summed) for a in x for b in y]
        return both if all(len(term.factors) <= _FACTORS for term in both) else None

    def summed(self, node: Node, labels: Labels, depth: int) -> list[Term] | None:
        (x,), axes = node.operands, node.params["axes"]
        own = self._fresh(tuple([x.shape[axis] for axis in axes]))
        kept, gone = iter(labels), iter(own)
        every = tuple([next(gone) if axis in axes else next(kept) for axis in range(x.ndim)])
        new = frozenset([label for label in own if label is not None])
        return [term._replace(summed=term.summed | new) for term in self._expanded(x, every, depth)]

    def repeated(self, node: Node, labels: Labels, depth: int) -> list[Term] | None:
        (x,), axes = node.operands, node.params["axes"]
        return self._expanded(
            x, tuple([None if n == 1 else labels[axis] for n, axis in zip(x.shape, axes, strict=True)]), depth
        )

    def transposed(self, node: Node, labels: Labels, depth: int) -> list[Term] | None:
        axes = node.params["axes"]
        return self._expanded(node.operands[0], tuple([labels[axes.index(i)] for i in range(len(axes))]), depth)

    def reshaped(self, node: Node, labels: Labels, depth: int) -> list[Term] | None:
        (x,), shape = node.operands, node.params["shape"]
        if [n for n in x.shape if n != 1] != [n for n in shape if n != 1]:
            return None
        rest = iter([label for label, n in zip(labels, shape, strict=True) if n != 1])
        return self._expanded(x, tuple([None if n == 1 else next(rest) for n in x.shape]), depth)

    def contracted(self, node: Node, labels: Labels, depth: int) -> list[Term] | None:
        (x, y), (own, other), batch = node.operands, node.params["contract"], node.params["batch"]
        shared = self._fresh(tuple([x.shape[axis] for axis in own]))
        x_free, y_free = free_axes(x.ndim, own, batch[0]), free_axes(y.ndim, other, batch[1])
        count, middle = len(batch[0]), len(batch[0]) + len(x_free)
        stack = labels[:count]
        left = dict(zip((*batch[0], *x_free, *own), (*labels[:middle], *shared), strict=True))
        right = dict(zip((*batch[1], *y_free, *other), (*stack, *labels[middle:], *shared), strict=True))
        first = Factor(x, tuple([left[i] for i in range(x.ndim)]))
        second = Factor(y, tuple([right[i] for i in range(y.ndim)]))
        return [Term((first, second), summed=frozenset([label for label in shared if label is not None]))]


def _negated(terms: list[Term]) -> list[Term]:
    return [term._replace(negative=not term.negative) for term in terms]


_RULES: dict[str, Callable[[Sum, Node, Labels, int], list[Term] | None]] = {
    "add": Sum.added,
    "sub": Sum.added,
    "neg": Sum.negated,
    "mul": Sum.multiplied,
    "reduce_sum": Sum.summed,
    "broadcast_in_dim": Sum.repeated,
    "transpose": Sum.transposed,
    "reshape": Sum.reshaped,
    "dot_general": Sum.contracted,
}
