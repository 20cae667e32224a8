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

# The limits, drawn where a kernel was as fast as the kernels that XLA makes by itself, which may use several cores: the
# numbers an operation makes, at most and on average, and those that a step makes.
LARGEST = 2**14
PER_OPERATION = 2**12
WORK = 2**18
_OPERATIONS = 1000
# Of more than so many numbers XLA has a reduction or a product done by a library, which no kernel can call (it does so
# from 4096 on); products of a matrix and a vector are its own.
_REDUCED = 256
_MATRIX = 4096


class Cost(NamedTuple):
    """How many operations the graphs of a loop or a branch have, and the numbers these make, in all and at most."""

    operations: int
    numbers: int
    largest: int


def cost(graphs: Sequence[Graph]) -> Cost | None:
    """The cost of one step; None if there are too many operations, or one that no kernel can hold."""
    operations, numbers, largest = 0, 0, 0
    for node in [node for graph in graphs for node in expand(graph).nodes]:
        name = node.primitive.name
        if name not in KERNEL_PRIMITIVES or node.effect or not _is_own(node) or operations > _OPERATIONS:
            return None
        found: Cost | None
        if node.primitive.graphs:
            found = cost(node.graphs())
            if found is None:
                return None
        else:
            size = (node.operands[1] if name == "dynamic_update_slice" else node.results[0]).type.size
            found = Cost(0, size, size)
        operations, numbers = operations + 1 + found.operations, numbers + found.numbers
        largest = max(largest, found.largest)
    return Cost(operations, numbers, largest)


def fits(graphs: Sequence[Graph]) -> bool:
    """Whether a loop of these graphs is small: then it is best as one kernel."""
    found = cost(graphs)
    return (
        found is not None and found.largest <= LARGEST and found.numbers <= min(WORK, PER_OPERATION * found.operations)
    )


def terms(product: Node) -> int:
    """How many products of numbers a dot_general adds up, for all elements together."""
    x = product.operands[0].type
    return product.results[0].type.size * math.prod([x.shape[axis] for axis in product.params["contract"][0]])


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
