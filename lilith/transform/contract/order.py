"""In which order a product of a few arrays is contracted, and what that costs: nanoseconds on two cores, rounded.

A factor that has no axis of its own is multiplied into one that has all of its axes; of the others, which are few, all
orders are tried.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from lilith.ir.graph import Node
from lilith.ops.linalg import free_axes
from lilith.transform.contract.terms import Sum, Term

FLOP, ELEMENT, BYTE, STEP = 0.1, 0.4, 0.15, 1000.0
"""An operation of a product of matrices; one on an element in a fused kernel; a byte written or read; a kernel."""

STACKED = 3.0
"""How many times as long a product of a stack of matrices takes."""

LEAST, SHARE = 20_000.0, 0.6
"""What has to be saved, and to which part of the time there was before."""

Axes = frozenset[int]


class Order(NamedTuple):
    """Pairs of factors, by their places among those that are left; the product of a pair comes last."""

    pairs: tuple[tuple[int, int], ...]


class Sizes:
    """The sizes of arrays by the labels of their axes, and what products of them cost."""

    def __init__(self, sizes: Sequence[int], itemsize: int):
        self.sizes, self.itemsize = sizes, itemsize

    def __call__(self, labels: Collection[int]) -> int:
        return math.prod([self.sizes[label] for label in labels])

    def product(self, x: Axes, y: Axes, gone: Axes) -> float:
        """What it costs to multiply two arrays and to sum over the labels `gone`."""
        whole = x | y
        result = 2 * self(whole - gone)
        if is_product(x, y, gone):
            steps = 2 * self(whole) * FLOP * (STACKED if (x & y) - gone else 1.0)
            return STEP + steps + (self(x) + self(y) + result) * self.itemsize * BYTE
        return STEP + self(whole) * ELEMENT * (2 if gone else 1) + result * self.itemsize * BYTE


def is_product(x: Axes, y: Axes, gone: Axes) -> bool:
    """Whether it is a product of matrices."""
    return bool(gone) and not x <= y and not y <= x


def cost_before(nodes: Sequence[Node]) -> float:
    """What the nodes of a sum cost as they are: products are written, all else is one kernel."""
    total = STEP
    for node in nodes:
        y, name = node.results[0], node.primitive.name
        if name == "dot_general":
            a, b = node.operands
            (own, _), (stack, _) = node.params["contract"], node.params["batch"]
            inner = math.prod([a.shape[axis] for axis in own])
            is_matrix = len(free_axes(a.ndim, own, stack)) > 0
            flops = 2 * y.type.size * inner * FLOP * (STACKED if stack and is_matrix else 1.0)
            total += STEP + flops + (a.type.nbytes + b.type.nbytes + 2 * y.type.nbytes) * BYTE
        elif name == "reduce_sum":
            total += node.operands[0].type.size * ELEMENT
        elif name in ("add", "sub", "mul"):
            total += y.type.size * ELEMENT
    return total


def orders(total: Sum, itemsize: int) -> tuple[float, list[Order]]:
    """What a sum costs with all its terms in their best order, and those orders."""
    size, kept = Sizes(total.sizes, itemsize), frozenset([label for label in total.labels if label is not None])
    found = [_best(size, [factor.names for factor in term.factors], kept) for term in total.terms]
    cost = sum([cost for cost, _ in found]) + (len(found) - 1) * size(kept) * ELEMENT
    return STEP + cost, [Order(pairs) for _, pairs in found]


def alone(factors: Sequence[Axes], place: int, kept: Axes) -> Axes:
    """The labels that one factor has alone and that are summed over."""
    return factors[place].difference(kept, *[f for i, f in enumerate(factors) if i != place])


def _best(size: Sizes, factors: list[Axes], kept: Axes) -> tuple[float, tuple[tuple[int, int], ...]]:
    cost = 0.0
    for i, own in enumerate([alone(factors, i, kept) for i in range(len(factors))]):
        if own:
            cost += size(factors[i]) * ELEMENT
            factors = [f - own if k == i else f for k, f in enumerate(factors)]
    if len(factors) == 1:
        return cost, ()
    best: tuple[float, tuple[tuple[int, int], ...]] = (math.inf, ())
    for i, j in _candidates(size, factors):
        rest = [f for k, f in enumerate(factors) if k not in (i, j)]
        x, y = factors[i], factors[j]
        gone = (x | y).difference(kept, *rest)
        later, pairs = _best(size, [*rest, (x | y) - gone], kept)
        now = size.product(x, y, gone)
        if now + later < best[0]:
            best = now + later, ((i, j), *pairs)
    return cost + best[0], best[1]


def _candidates(size: Sizes, factors: Sequence[Axes]) -> list[tuple[int, int]]:
    """The pairs that may be multiplied first."""
    pairs = [(i, j) for j in range(len(factors)) for i in range(j)]
    inside = [(i, j) for i, j in pairs if factors[i] <= factors[j] or factors[j] <= factors[i]]
    return [min(inside, key=lambda pair: size(factors[pair[0]] | factors[pair[1]]))] if inside else pairs


def missing(term: Term) -> Axes:
    """The labels that are summed over and that no factor has: the term is as many times as large."""
    return term.summed.difference(*[factor.names for factor in term.factors])
