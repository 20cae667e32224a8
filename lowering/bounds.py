"""Whether an array may hold NaN, told from the smaller arrays that it is made of.

|x| has a bound by the sums of the magnitudes of what x is computed from, if only sums, products and moves lie between:

    |a + b| <= |a| + |b|,    |a b| <= |a| |b|,    |sum of n products a b| <= n |a| |b|.

While the bound is finite, no step overflows, so that x holds no infinity and no NaN. That takes no pass over x, which
XLA then need not store.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lilith.ir.graph import Node, Value
from lilith.ir.primitive import primitive
from lilith.ops import elementwise
from lowering.calls import composed
from lowering.emit import Emitter

_MOVES = frozenset("broadcast_in_dim neg reshape rev slice transpose".split())
_BOUNDED = _MOVES | frozenset("add dot_general fill mul reduce_sum sub".split())
_MOST_NODES = 24
_MOST_TERMS = 2**20
"""Of so many terms or fewer, a sum that is rounded in single precision stays below twice the bound of the exact one."""
_SMALLER = 8
"""What is so many times smaller than x is not looked behind."""


@dataclass(frozen=True)
class Recipe:
    """How x is computed: by these nodes, from these values."""

    x: Value
    nodes: tuple[Node, ...]
    sources: tuple[Value, ...]

    def write(self, e: Emitter) -> str:
        """x computed again; returns its name."""
        return e.write(self.nodes, {source: e.names[source] for source in self.sources}, (self.x,))[0]

    def doubtful(self, e: Emitter) -> str:
        """A flag: False only if x holds neither NaN nor an infinity."""
        names = [e.names[source] for source in self.sources]
        return composed(e, self._is_unbounded, names, [source.type for source in self.sources])

    def _is_unbounded(self, *sources: Value) -> Value:
        """The flag of source values. A bound that is infinite or NaN on the way stays so."""
        bounds = {source: _magnitude(value) for source, value in zip(self.sources, sources, strict=True)}
        for node in self.nodes:
            bounds[node.results[0]] = _bound(node, [bounds[operand] for operand in node.operands])
        infinity = primitive("fill")(value=np.inf, shape=(), dtype=self.x.dtype)
        return elementwise.logical_not(elementwise.lt(bounds[self.x], infinity))


def recipe(e: Emitter, x: Value) -> Recipe | None:
    """How x is computed, if what it is computed from tells of NaN at less than the cost of a pass over x."""
    makers = e.makers()
    nodes: dict[Node, None] = {}
    sources: dict[Value, None] = {}

    def visit(value: Value, depth: int) -> None:
        node = makers.get(value) if depth < _MOST_NODES else None
        if node is None or not _is_bounded(node, x.dtype) or _SMALLER * value.type.size <= x.type.size:
            sources[value] = None
        elif node not in nodes and len(nodes) <= _MOST_NODES:
            for operand in node.operands:
                visit(operand, depth + 1)
            nodes[node] = None

    visit(x, 0)
    pays = sum(source.type.size for source in sources) < x.type.size
    return Recipe(x, tuple(nodes), tuple(sources)) if pays and len(nodes) <= _MOST_NODES else None


def _is_bounded(node: Node, dtype: np.dtype) -> bool:
    """Whether a bound of a node's result follows from those of its operands."""
    if node.primitive.name not in _BOUNDED or _terms(node) > _MOST_TERMS:
        return False
    return all(value.dtype == dtype for value in (*node.operands, *node.results))


def _terms(node: Node) -> int:
    """How many terms each element of the result is the sum of."""
    axes: tuple[int, ...] = ()
    if node.primitive.name == "reduce_sum":
        axes = node.params["axes"]
    elif node.primitive.name == "dot_general":
        axes = node.params["contract"][0]
    return math.prod(node.operands[0].shape[axis] for axis in axes)


def _magnitude(x: Value) -> Value:
    """Sum |x|: no less than any element's magnitude, also as it is rounded; NaN or infinite if an element is."""
    return primitive("reduce_sum")(elementwise.abs(x), axes=tuple(range(x.ndim)))


def _bound(node: Node, bounds: list[Value]) -> Value:
    """A bound of the magnitudes in a node's result; twice the exact one, for rounding, where it computes."""
    name = node.primitive.name
    if name in _MOVES:
        return bounds[0]
    if name == "fill":
        return primitive("fill")(value=abs(node.params["value"]), shape=(), dtype=node.results[0].dtype)
    if name in ("add", "sub"):
        return 2.0 * (bounds[0] + bounds[1])
    bound = bounds[0] if name == "reduce_sum" else bounds[0] * bounds[1]
    return (2.0 * _terms(node)) * bound
