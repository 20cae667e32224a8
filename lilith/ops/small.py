"""Which loops are small: those that a CPU runs best as one kernel.

XLA:CPU runs a step of a loop as a sequence of kernels, each with a cost of its own, which a step that touches few
numbers does not repay. How such a loop becomes one kernel is in `lowering.small`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from lilith.ir.graph import Graph, Node
from lilith.ops.checkpoints import expand

KERNEL_PRIMITIVES = frozenset(
    """abs acos acosh add and asin asinh atan atan2 atanh bitcast broadcast_in_dim case cbrt ceil complex concatenate
    constant convert cos cosh div dot_general dynamic_slice dynamic_update_slice eq erf erfc exp expm1 exponent_shift
    extremum_cotangent fill floor ge gt imag integer_pow iota is_finite le log log1p logistic lt max min mul named
    ne neg not or pad popcount pow real reduce_and reduce_max reduce_min reduce_or reduce_prod reduce_sum rem reshape
    rev rint rsqrt scale_cotangent scan select shift_left shift_right sign sin sinh slice sqrt stop_gradient sub tan
    tanh threefry transpose while_loop xor""".split()
)
"""What the emitter of kernels knows; a test has each of them in one."""
_REDUCING = ("reduce_", "exponent_shift", "extremum_cotangent")

PER_OPERATION = 256  # numbers: of more, kernels of their own, which use several cores, are as fast
WORK = 16384
_OPERATIONS = 1000
# Of more than so many numbers XLA has a reduction or a product done by a library, which no kernel can call (it does so
# from 4096 on); products of a matrix and a vector are its own.
_REDUCED = 256
_MATRIX = 4096

TINY_STEP = 768
TINY = 2**17
"""A loop is tiny that makes so many numbers in a step and in all."""


class Cost(NamedTuple):
    """How many operations the graphs of a loop or a branch have, and how many numbers these make."""

    operations: int
    numbers: int


def cost(graphs: Sequence[Graph]) -> Cost | None:
    """The cost of one step; None if there are too many operations, or one that no kernel can hold."""
    operations, numbers = 0, 0
    for node in [node for graph in graphs for node in expand(graph).nodes]:
        name = node.primitive.name
        if name not in KERNEL_PRIMITIVES or node.effect or not _is_own(node) or operations > _OPERATIONS:
            return None
        operations += 1
        if node.primitive.graphs:
            inner = cost(node.graphs())
            if inner is None:
                return None
            operations, numbers = operations + inner.operations, numbers + inner.numbers
        else:
            numbers += (node.operands[1] if name == "dynamic_update_slice" else node.results[0]).type.size
    return Cost(operations, numbers)


def fits(graphs: Sequence[Graph]) -> bool:
    """Whether a loop of these graphs is small: then it is best as one kernel."""
    found = cost(graphs)
    return found is not None and found.numbers <= min(WORK, PER_OPERATION * found.operations)


def is_tiny(body: Graph, length: int) -> bool:
    """Whether a kernel goes through all steps in about the time that it takes to start a few others: then nothing of
    it is worth an operation of its own, before the loop or after it."""
    found = cost([body])
    if found is None or any(node.primitive.graphs for node in body.nodes):
        return False
    products = sum(_terms(node) for node in body.nodes if node.primitive.name == "dot_general")
    step = found.numbers + products
    return step <= TINY_STEP and length * step <= TINY


def _terms(node: Node) -> int:
    """How many products are added up in a product."""
    x = node.operands[0].type
    return node.results[0].type.size * math.prod([x.shape[axis] for axis in node.params["contract"][0]])


def _is_own(node: Node) -> bool:
    """Whether XLA writes an operation itself, rather than to call a library or to make a scatter of it."""
    name, params = node.primitive.name, node.params
    if name == "pad":
        return not any(params["interior"])
    if name == "dot_general":
        x, y = [operand.type for operand in node.operands]
        with_vector = x.ndim + y.ndim <= 3 and len(params["contract"][0]) <= 1
        return with_vector and max(x.size, y.size, node.results[0].type.size) <= _MATRIX
    return not name.startswith(_REDUCING) or math.prod(node.operands[-1].type.shape) <= _REDUCED
