"""Which scans stay whole.

XLA:CPU runs a loop that fits into one kernel fast (`lilith.ops.small`). What is done for all steps at once, before the
loop or after it (`lilith.transform.fission`), is an operation more, which has to fill memory and to read it again; it
gains what several cores do at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lilith.ir.graph import Graph, Node, Value
from lilith.ops import small
from lilith.transform.cut import SLOW
from lilith.transform.rows import Body

SHORT = 2**20
"""A loop that makes so many numbers in all its steps takes about a millisecond: it stays whole."""

LONG = 2**24
"""Up to so many a loop stays whole if much of it takes part in the recurrence, which has to go step by step."""

_SHARE = 0.25
_SLOW = 16  # how many times as long as a sum a slow function takes

# Sums over steps of products of vectors are one product of matrices after the loop, but for the smallest.
_STEP_WITH_PRODUCTS = 768
_SHORT_WITH_PRODUCTS = 2**17


def is_short(body: Graph, length: int) -> bool:
    """Whether a kernel goes through all steps in the time that a few operations more would take."""
    found = small.cost([body])
    if found is None or not small.fits([body]) or any(node.primitive.graphs for node in body.nodes):
        return False
    products = [node for node in body.nodes if node.primitive.name == "dot_general"]
    if products:
        step = found.numbers + sum(small.terms(node) for node in products)
        return step <= _STEP_WITH_PRODUCTS and length * step <= _SHORT_WITH_PRODUCTS
    return length * found.numbers <= SHORT


def stays_whole(b: Body, length: int) -> bool:
    """Whether all of a scan is best done in the loop."""
    nodes = b.graph.nodes
    if is_short(b.graph, length):
        return True
    if not small.fits([b.graph]) or any(n.primitive.graphs or n.primitive.name == "dot_general" for n in nodes):
        return False
    sizes = {node: node.results[0].type.size for node in nodes}
    if length * sum(sizes.values()) > LONG:
        return False
    core = descendants(nodes, b.before) & ancestors(nodes, b.after)
    time = {node: size * (_SLOW if node.primitive.name in SLOW else 1) for node, size in sizes.items()}
    recurring = sum(t for node, t in time.items() if not core.isdisjoint(node.results))
    return recurring >= _SHARE * sum(time.values())


def descendants(nodes: Sequence[Node], values: Iterable[Value]) -> set[Value]:
    """The values and what is computed from them."""
    found = set(values)
    for node in nodes:
        if not found.isdisjoint(node.operands):
            found.update(node.results)
    return found


def ancestors(nodes: Sequence[Node], values: Iterable[Value]) -> set[Value]:
    """The values and what they are computed from."""
    found = set(values)
    for node in reversed(nodes):
        if not found.isdisjoint(node.results):
            found.update(node.results)
            found.update(node.operands)
    return found
