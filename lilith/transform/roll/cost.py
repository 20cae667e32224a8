"""What rolling saves and what it costs: milliseconds of compilation by XLA:CPU, value and gradient, rounded.

Measured with `python -m bench first_call`: an elementwise operation in a loop over Python floats costs about 1.5 ms, a
small product 7 ms; a `while` costs 150 ms, less than that where nothing is carried and there is none.
"""

from __future__ import annotations

import numpy as np

from lilith.ir.graph import Node
from lilith.ir.primitive import Primitive
from lilith.transform.cut import EXPENSIVE, PRODUCTS

ELEMENTWISE, PRODUCT, LARGE, LAYOUT = 1.5, 7.0, 30.0, 0.5
LOOP, BATCH, STACKED = 150.0, 30.0, 9.0

INNER_NODES, INNER_COPIES = 40, 8
"""In a body, which is compiled once, only repeats of so many operations and copies are worth a loop."""

_LAYOUT = frozenset("broadcast_in_dim reshape transpose slice concatenate convert rev pad".split())


def weight(node: Node) -> float:
    """What an operation costs."""
    found = _weights.get(node.primitive)
    if found is None:
        found = _weights[node.primitive] = _weight(node.primitive)
    return found


_weights: dict[Primitive, float] = {}


def _weight(primitive: Primitive) -> float:
    name = primitive.name
    if name in _LAYOUT:
        return LAYOUT
    if name in PRODUCTS:
        return PRODUCT
    return LARGE if name in EXPENSIVE or primitive.graphs else ELEMENTWISE


def weights(nodes: list[Node]) -> np.ndarray:
    """The sums of the weights of the first 0, 1, 2, ... operations."""
    return np.cumsum([0.0, *map(weight, nodes)])


def pays(saved: float, copies: int, operations: int, stacked: int, loop: bool, inner: bool) -> bool:
    """Whether a stretch is rolled.

    Arguments:
        saved: the weight of all copies but one.
        copies, operations: how many copies of how many operations.
        stacked: how many values have to be put together, and their cotangents taken apart.
        loop: whether it becomes a loop, or one operation on a batch each.
        inner: whether it is the body of a loop.
    """
    if inner and (copies < INNER_COPIES or copies * operations < INNER_NODES):
        return False
    return saved > (LOOP if loop else BATCH) + STACKED * stacked
