"""What is added up, as a sum of products of arrays with named axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lilith.ir.graph import Node, Value
from lilith.ops.linalg import free_axes

DTYPES = frozenset(map(np.dtype, ("f4", "f8", "c8", "c16")))
"""Where the order of additions may be changed, and a library multiplies matrices."""

ADDED = frozenset({"add", "sub", "reduce_sum"})

_TERMS, _FACTORS, _NODES = 8, 8, 64
"""So many terms, factors of a term and operations are looked at."""

_LARGEST = 2.0**20
"""Numbers up to this size, and down to its inverse, are multiplied with one another beforehand."""

Labels = tuple[int | None, ...]


class Factor(NamedTuple):
    """An array and the names of its axes; None for those of size 1."""

    value: Value
    labels: Labels

    @property
    def names(self) -> frozenset[int]:
        return frozenset([label for label in self.labels if label is not None])


class Term(NamedTuple):
    """A number times a product of arrays, summed over some of the labels."""

    factors: tuple[Factor, ...]
    scale: float = 1.0
    summed: frozenset[int] = frozenset()

    def covers(self, labels: frozenset[int]) -> bool:
        """Whether one factor alone has all these axes, or nothing is multiplied: then there is nothing to gain."""
        return len(self.factors) < 2 or any(labels <= factor.names for factor in self.factors)


class Sum:
    """What a node adds up: products that are summed over all labels that the result does not have.

    Attributes:
        sizes: the length of the axes by their labels.
        labels: of the axes of the result.
        terms: what is added up.
        inner: the nodes that this takes apart.
    """

    def __init__(self, node: Node, made: Mapping[Value, Node]):
        """`made`: the nodes that compute values."""
        self.sizes: list[int] = []
        self.inner: list[Node] = []
        self._made = made
        self._room = _TERMS - 1
        self.labels = self._fresh(node.results[0].shape)
        self.terms = self._taken_apart(node, self.labels, False)

    def _fresh(self, shape: Sequence[int]) -> Labels:
        start = len(self.sizes)
        self.sizes += [n for n in shape if n != 1]
        numbers = iter(range(start, len(self.sizes)))
        return tuple([None if n == 1 else next(numbers) for n in shape])

    def _expanded(self, x: Value, labels: Labels, inside: bool) -> list[Term]:
        """The terms of a value. `inside`: it is multiplied, or summed over."""
        node = self._made.get(x)
        if node is None or node.primitive.name not in _RULES or len(self.inner) == _NODES:
            return [Term((Factor(x, labels),))]
        return self._taken_apart(node, labels, inside)

    def _taken_apart(self, node: Node, labels: Labels, inside: bool) -> list[Term]:
        place = len(self.inner)
        self.inner.append(node)
        found = _RULES[node.primitive.name](self, node, labels, inside)
        if found is None:
            del self.inner[place:]
            return [Term((Factor(node.results[0], labels),))]
        return found

    def added(self, node: Node, labels: Labels, inside: bool) -> list[Term] | None:
        """A sum. It is multiplied out only where that makes smaller arrays of it, and where one side is rounded: x - y
        may be exact where a x - a y is not."""
        if self._room <= 0:
            return None
        self._room -= 1
        a, b = node.operands
        x = self._expanded(a, labels, inside)
        y = x if a is b else self._expanded(b, labels, inside)
        if inside:
            own = _names(labels)
            smaller = any(not term.covers(own) for term in (*x, *y))
            if not smaller or not (_is_rounded(x) or _is_rounded(y)):
                return None
        return [*x, *(_scaled(y, -1.0) if node.primitive.name == "sub" else y)]

    def negated(self, node: Node, labels: Labels, inside: bool) -> list[Term] | None:
        return _scaled(self._expanded(node.operands[0], labels, inside), -1.0)

    def multiplied(self, node: Node, labels: Labels, inside: bool) -> list[Term] | None:
        for one, other in (node.operands, node.operands[::-1]):
            number = self._number(one)
            if number is not None:
                return _scaled(self._expanded(other, labels, inside), number)
        x, y = [self._expanded(operand, labels, True) for operand in node.operands]
        if len(x) > 1 and len(y) > 1:
            return None
        both = [Term((*a.factors, *b.factors), a.scale * b.scale, a.summed | b.summed) for a in x for b in y]
        if len(both) == 1 and both[0].covers(_names(labels)):
            return None
        return both if all(len(term.factors) <= _FACTORS for term in both) else None

    def _number(self, x: Value) -> float | None:
        """The one number that all elements of x are."""
        node = self._made.get(x)
        while node is not None and node.primitive.name == "broadcast_in_dim":
            node = self._made.get(node.operands[0])
        if node is None or node.primitive.name != "fill" or isinstance(node.params["value"], complex):
            return None
        number = float(node.params["value"])
        return number if 1 / _LARGEST <= abs(number) <= _LARGEST else None

    def summed(self, node: Node, labels: Labels, inside: bool) -> list[Term] | None:
        (x,), axes = node.operands, node.params["axes"]
        own = self._fresh([x.shape[axis] for axis in axes])
        kept, gone = iter(labels), iter(own)
        every = tuple([next(gone) if axis in axes else next(kept) for axis in range(x.ndim)])
        terms = self._expanded(x, every, True)
        return [term._replace(summed=term.summed | _names(own)) for term in terms]

    def repeated(self, node: Node, labels: Labels, inside: bool) -> list[Term] | None:
        (x,), axes = node.operands, node.params["axes"]
        own = tuple([None if n == 1 else labels[axis] for n, axis in zip(x.shape, axes, strict=True)])
        return self._expanded(x, own, inside)

    def transposed(self, node: Node, labels: Labels, inside: bool) -> list[Term] | None:
        axes = node.params["axes"]
        return self._expanded(node.operands[0], tuple([labels[axes.index(i)] for i in range(len(axes))]), inside)

    def reshaped(self, node: Node, labels: Labels, inside: bool) -> list[Term] | None:
        (x,), shape = node.operands, node.params["shape"]
        if [n for n in x.shape if n != 1] != [n for n in shape if n != 1]:
            return None
        rest = iter([label for label, n in zip(labels, shape, strict=True) if n != 1])
        return self._expanded(x, tuple([None if n == 1 else next(rest) for n in x.shape]), inside)

    def contracted(self, node: Node, labels: Labels, inside: bool) -> list[Term] | None:
        (x, y), (own, other), batch = node.operands, node.params["contract"], node.params["batch"]
        shared = self._fresh([x.shape[axis] for axis in own])
        x_free, y_free = free_axes(x.ndim, own, batch[0]), free_axes(y.ndim, other, batch[1])
        count, middle = len(batch[0]), len(batch[0]) + len(x_free)
        left = dict(zip((*batch[0], *x_free, *own), (*labels[:middle], *shared), strict=True))
        right = dict(zip((*batch[1], *y_free, *other), (*labels[:count], *labels[middle:], *shared), strict=True))
        first = Factor(x, tuple([left[i] for i in range(x.ndim)]))
        second = Factor(y, tuple([right[i] for i in range(y.ndim)]))
        return [Term((first, second), summed=_names(shared))]


def _names(labels: Labels) -> frozenset[int]:
    return frozenset([label for label in labels if label is not None])


def _scaled(terms: list[Term], number: float) -> list[Term]:
    return [term._replace(scale=term.scale * number) for term in terms]


def _is_rounded(terms: list[Term]) -> bool:
    return all(len(term.factors) > 1 for term in terms)


_RULES: dict[str, Callable[[Sum, Node, Labels, bool], list[Term] | None]] = {
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
