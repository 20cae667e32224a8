"""The operations that contract the terms of a sum; products of matrices that are added up become one product."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from lilith.ir.graph import Builder, Node, Source, Value, fill_like
from lilith.ops.elementwise import add, mul, neg, sub
from lilith.ops.linalg import dot_general
from lilith.ops.reduction import reduce_sum
from lilith.ops.shape import broadcast_in_dim, concatenate, reshape, transpose
from lilith.transform.contract.order import Order, alone, is_product, missing
from lilith.transform.contract.terms import Factor, Sum, Term


class Array:
    """A value and the labels of its axes, all of them."""

    def __init__(self, value: Value, labels: tuple[int, ...]):
        self.value, self.labels = value, labels
        self.names = frozenset(labels)

    def ordered(self, labels: Sequence[int]) -> Array:
        """With its axes in another order."""
        if tuple(labels) == self.labels:
            return self
        axes = tuple([self.labels.index(label) for label in labels])
        return Array(transpose(self.value, axes=axes), tuple(labels))

    def summed(self, labels: Collection[int]) -> Array:
        """Summed over some axes."""
        if not labels:
            return self
        axes = tuple([i for i, label in enumerate(self.labels) if label in labels])
        return Array(reduce_sum(self.value, axes=axes), tuple([x for x in self.labels if x not in labels]))


class Product:
    """The last product of a term: of two arrays that have no axis of the result in common.

    Attributes:
        x, y: the arrays; x has the larger part of the result's axes.
        gone: what is summed over.
    """

    def __init__(self, x: Array, y: Array, gone: frozenset[int], negative: bool):
        self.x, self.y, self.gone, self.negative = x, y, gone, negative
        self.names = x.names - gone, y.names - gone


class Emission:
    def __init__(self, total: Sum):
        self.total = total
        self.kept = tuple([label for label in total.labels if label is not None])
        self.arrays: dict[Factor, Array] = {}

    def size(self, labels: Collection[int]) -> int:
        return math.prod([self.total.sizes[label] for label in labels])

    def in_order(self, labels: Collection[int]) -> tuple[int, ...]:
        """Labels of the result in its order, then others."""
        own = [label for label in self.kept if label in labels]
        return (*own, *sorted([label for label in labels if label not in self.kept]))

    def spread(self, x: Array, labels: tuple[int, ...]) -> Value:
        """x with these axes, in this order, repeated along those it lacks."""
        x = x.ordered([label for label in labels if label in x.names])
        if x.labels == labels:
            return x.value
        shape = tuple([self.total.sizes[label] for label in labels])
        return broadcast_in_dim(x.value, shape=shape, axes=tuple([labels.index(label) for label in x.labels]))

    def array(self, factor: Factor) -> Array:
        """A factor without axes of size 1; the same array for the same factor."""
        found = self.arrays.get(factor)
        if found is None:
            labels = tuple([label for label in factor.labels if label is not None])
            x = factor.value
            found = Array(x if len(labels) == x.ndim else reshape(x, shape=self._shape(labels)), labels)
            self.arrays[factor] = found
        return found

    def _shape(self, labels: Sequence[int]) -> tuple[int, ...]:
        return tuple([self.total.sizes[label] for label in labels])

    def product(self, x: Array, y: Array, gone: frozenset[int]) -> Array:
        """The product of two arrays, summed over `gone`."""
        if is_product(x.names, y.names, gone):
            return self._multiplied(x, y, gone)
        labels = next((a.labels for a in (x, y) if a.names >= x.names | y.names), self.in_order(x.names | y.names))
        return Array(mul(self.spread(x, labels), self.spread(y, labels)), labels).summed(gone)

    def _multiplied(self, x: Array, y: Array, gone: frozenset[int]) -> Array:
        if self.size(y.names - gone) > self.size(x.names - gone):
            x, y = y, x
        shared = sorted(gone)
        stack = [label for label in x.labels if label in y.names and label not in gone]
        y = y.ordered([*stack, *shared, *self.in_order(y.names - gone - {*stack})])
        contract, batch = [
            tuple([tuple([a.labels.index(label) for label in labels]) for a in (x, y)]) for labels in (shared, stack)
        ]
        rest = [label for label in (*x.labels, *y.labels) if label not in gone and label not in stack]
        return Array(dot_general(x.value, y.value, contract=contract, batch=batch), (*stack, *rest))

    def term(self, term: Term, order: Order) -> Product | Array:
        """What a term is, up to its sign: with the last product left to do where it may be done with others."""
        factors = [self.array(factor) for factor in term.factors]
        kept = frozenset(self.kept)
        owns = [alone([f.names for f in factors], i, kept) for i in range(len(factors))]
        factors = [f.summed(own) for f, own in zip(factors, owns, strict=True)]
        repeats = self.size(missing(term)) * abs(term.scale)
        if repeats != 1:
            small = min(range(len(factors)), key=lambda i: self.size(factors[i].names))
            x = factors[small]
            factors[small] = Array(mul(x.value, fill_like(x.value, repeats)), x.labels)
        for i, j in order.pairs:
            x, y = factors[i], factors[j]
            rest = [f for k, f in enumerate(factors) if k not in (i, j)]
            gone = (x.names | y.names) - kept.union(*[f.names for f in rest])
            if not rest and not (x.names & y.names) - gone and not x.names <= y.names and not y.names <= x.names:
                if self.size(y.names - gone) > self.size(x.names - gone):
                    x, y = y, x
                return Product(x, y, gone, term.scale < 0)
            factors = [*rest, self.product(x, y, gone)]
        return factors[0]

    def distributed(self, products: Sequence[Product]) -> list[Product]:
        """x y + x z is x (y + z): the products with one factor in common as one."""
        found: list[Product] = []
        for p in products:
            for k, q in enumerate(found):
                if p.gone == q.gone and (p.x is q.x or p.y is q.y):
                    a, b = (p.y, q.y) if p.x is q.x else (p.x, q.x)
                    other = b.ordered(a.labels).value
                    same = p.negative == q.negative
                    total = Array(add(a.value, other) if same else sub(a.value, other), a.labels)
                    x, y = (p.x, total) if p.x is q.x else (total, p.y)
                    found[k] = Product(x, y, p.gone, p.negative)
                    break
            else:
                found.append(p)
        return found

    def joined(self, products: Sequence[Product]) -> list[tuple[Value, bool]]:
        """The sum of products with the same axes: as one product where the result is larger than what it is made of."""
        own = sum([self.size(p.x.names) + self.size(p.y.names) for p in products])
        if own > (len(products) - 1) * self.size(self.kept):
            return [(self.whole(self.product(p.x, p.y, p.gone)), p.negative) for p in products]
        rows, columns = [self.in_order(labels) for labels in products[0].names]
        left, right = [], []
        for p in products:
            shared, inner = sorted(p.gone), self.size(p.gone)
            x, y = p.x.ordered([*rows, *shared]).value, p.y.ordered([*shared, *columns]).value
            left.append(reshape(x, shape=(*self._shape(rows), inner)))
            y = reshape(y, shape=(inner, *self._shape(columns)))
            right.append(neg(y) if p.negative else y)
        x, y = concatenate(*left, axis=len(rows)), concatenate(*right, axis=0)
        product = dot_general(x, y, contract=((len(rows),), (0,)), batch=((), ()))
        return [(self.whole(Array(product, (*rows, *columns))), False)]

    def whole(self, x: Array) -> Value:
        """x with all axes of the result but those of size 1."""
        return self.spread(x, self.kept)


def emitted(total: Sum, orders: Sequence[Order], source: Source | None) -> list[Node]:
    """The nodes that compute a sum, the last of them its value."""
    e = Emission(total)
    shape = tuple([1 if label is None else total.sizes[label] for label in total.labels])
    with Builder() as builder:
        builder.source = source
        values: list[tuple[Value, bool]] = []
        products: dict[tuple[frozenset[int], frozenset[int]], list[Product]] = {}
        for term, order in zip(total.terms, orders, strict=True):
            found = e.term(term, order)
            if isinstance(found, Product):
                products.setdefault(found.names, []).append(found)
            else:
                values.append((e.whole(found), term.scale < 0))
        for group in products.values():
            values += e.joined(e.distributed(group))
        values.sort(key=lambda pair: pair[1])  # what is subtracted last
        y, negative = values[0]
        y = neg(y) if negative else y
        for x, negative in values[1:]:
            y = sub(y, x) if negative else add(y, x)
        reshape(y, shape=shape)
    return builder.nodes
