"""What rolling saves and what it costs: milliseconds of compilation by XLA:CPU, value and gradient, rounded.

Measured with `python -m bench first_call`: an elementwise operation in a loop over Python floats costs about 1.5 ms, a
small product 7 ms; a `while` costs 150 ms, less than that where nothing is carried and there is none.
"""

from __future__ import annotations

import numpy as np

from lilith.ir.graph import Graph, Node
from lilith.ir.primitive import Primitive
from lilith.transform.cut import EXPENSIVE, PRODUCTS
from lilith.transform.roll.operands import Window

ELEMENTWISE, PRODUCT, LARGE, LAYOUT = 1.5, 7.0, 30.0, 0.5
FUSED, SMALL = 0.8, 64
"""An elementwise operation on arrays of more than SMALL elements: a loop takes longer to run than one fused kernel."""

LOOP, BATCH, STACKED, TOGETHER = 150.0, 30.0, 9.0, 0.5

FUSIBLE = 16.0
"""What a megabyte of rows costs that each of several columns (those of a Jacobian) writes and reads: unrolled, what the
rows are made of is one kernel with what reads them. 0.05 to 0.7 ms per call, and a program is called many times."""

CLEARLY = 0.75
"""What is left of a graph whose arrays are handed on whole must be less than this part of what is left otherwise."""

ROW_BYTES, STACK_BYTES = 2**16, 2**21
"""How large arrays may be that are handed over as one, and all of them."""

INNER_NODES, INNER_COPIES = 40, 8
"""In a body, which is compiled once, only repeats of so many operations and copies are worth a loop."""

_LAYOUT = frozenset("broadcast_in_dim reshape transpose slice concatenate convert rev pad".split())


def weight(node: Node) -> float:
    """What an operation costs."""
    found = _weights.get(node.primitive)
    if found is None:
        found = _weights[node.primitive] = _weight(node.primitive)
    if found == ELEMENTWISE and node.results and node.results[0].type.size > SMALL:
        return FUSED
    return found


_weights: dict[Primitive, float] = {}


def _weight(primitive: Primitive) -> float:
    name = primitive.name
    if name in _LAYOUT:
        return LAYOUT
    if name in PRODUCTS:
        return PRODUCT
    return LARGE if name in EXPENSIVE or primitive.graphs else ELEMENTWISE


def fuses(node: Node) -> bool:
    """Whether XLA makes one kernel of an operation and of those around it, with nothing written in between."""
    name = node.primitive.name
    return name != "concatenate" and (name in _LAYOUT or _weight(node.primitive) == ELEMENTWISE)


def weights(nodes: list[Node]) -> np.ndarray:
    """The sums of the weights of the first 0, 1, 2, ... operations."""
    return np.cumsum([0.0, *map(weight, nodes)])


def left(graph: Graph) -> float:
    """The weight of all operations, with a loop for every one and what its body has."""
    total = 0.0
    for node in graph.nodes:
        total += weight(node) if not node.primitive.graphs else LOOP + sum(map(left, node.graphs()))
    return total


def pays(saved: float, window: Window, stacked: int, together: int, rows: int, loop: bool, inner: bool) -> bool:
    """Whether a stretch is rolled.

    Arguments:
        saved: the weight of all copies but one.
        window: the copies.
        stacked: how many values have to be put together, and their cotangents taken apart.
        together: how many more are handed over together.
        rows: so many bytes in all columns are stacked that would not be written one by one.
        loop: whether it becomes a loop, or one operation on a batch each.
        inner: whether it is the body of a loop.
    """
    operations = window.copies * window.period
    if inner and (window.copies < INNER_COPIES or operations < INNER_NODES):
        return False
    return saved > (LOOP if loop else BATCH) + STACKED * stacked + TOGETHER * together + FUSIBLE * rows / 1e6
