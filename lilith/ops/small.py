"""Which loops and programs are small: those that a CPU runs best as one kernel.

XLA:CPU runs a step of a loop as a sequence of kernels, each with a cost of its own, which a step that touches few
numbers does not repay; and each takes milliseconds to compile, so that a small program compiles twice as fast as one
kernel. How they become one is in `lowering.small`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from lilith.ir.graph import Graph, Node
from lilith.ops.checkpoints import expand

KERNEL_PRIMITIVES = frozenset(
    """abs acos acosh add and asin asinh atan atan2 atanh bitcast broadcast_in_dim case cbrt ceil complex concatenate
    constant convert cos cosh div dot_general dynamic_slice dynamic_update_slice eq erf erfc exp expm1
    exponent_shift extremum_cotangent fill floor gather ge gt imag integer_pow iota is_finite le log log1p
    logistic lt max min mul named ne neg not or pad popcount pow real reduce_and reduce_max reduce_min reduce_or
    reduce_prod reduce_sum rem reshape rev rint rsqrt scale_cotangent scan select shift_left shift_right sign sin
    sinh slice sqrt stop_gradient sub tan tanh threefry transpose while_loop xor""".split()
)
"""What the emitter of kernels knows; a test has each of them in one."""
_REDUCING = ("reduce_", "exponent_shift", "extremum_cotangent")

# The limits, drawn where a kernel was as fast as the kernels that XLA makes by itself, which may use several cores: the
# numbers an operation makes, at most and on average, and those that a step makes. A loop of unknown length hands its
# carries over to a kernel and takes them back, however few steps it makes.
LARGEST = 2**14
PER_OPERATION = 2**12
PER_OPERATION_OF_WHILE = 2**8
WORK = 2**18
_OPERATIONS = 1000
PROGRAM = 2**13  # numbers that the operations of a program make that is a kernel as a whole
# Of more than so many numbers XLA has a reduction or a product done by a library, which no kernel can call (it does so
# from 4096 on); products of a matrix and a vector are its own.
_REDUCED = 256
_MATRIX = 4096
_TERMS = 1024  # of products of matrices, which are written out as sums


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


def fits(graphs: Sequence[Graph], per_operation: int | None = None) -> bool:
    """Whether a loop of these graphs is small: then it is best as one kernel."""
    found = cost(graphs)
    if found is None or found.largest > LARGEST:
        return False
    return found.numbers <= min(WORK, (per_operation or PER_OPERATION) * found.operations)


def is_small_loop(node: Node) -> bool:
    """Whether a scan or a while_loop is small."""
    return fits(node.graphs(), PER_OPERATION if node.primitive.name == "scan" else PER_OPERATION_OF_WHILE)


def is_small_program(graph: Graph) -> bool:
    """Whether a whole program is best as one kernel: its loops are, and its other operations are few and small."""
    found = cost([graph])
    if found is None or len(graph.nodes) < 2:
        return False
    loops = [node for node in expand(graph).nodes if node.primitive.name in ("scan", "while_loop")]
    inside = sum(part.numbers for part in [cost(node.graphs()) for node in loops] if part is not None)
    return found.numbers - inside <= PROGRAM and all(is_small_loop(node) for node in loops)


def is_with_vector(product: Node) -> bool:
    """Whether a dot_general has a vector among its operands."""
    x, y = product.operands
    return x.ndim + y.ndim <= 3 and len(product.params["contract"][0]) <= 1


_MOVES = frozenset("bitcast broadcast_in_dim concatenate constant fill iota pad reshape rev slice transpose".split())
_CONSTANTS = frozenset({"constant", "fill", "iota"})
_SCALAR_CODE = range(100, 4000)
_LARGEST_AROUND, _LARGEST_INPUT = 64, 1024


def is_scalar_code(graph: Graph) -> bool:
    """Whether a program consists of many operations, nearly all of them on single numbers: then it is best as one
    kernel, which XLA compiles two to three times as fast."""
    made = graph.producers()
    computing = [node for node in graph.nodes if node.primitive.name not in _MOVES]
    if len(computing) not in _SCALAR_CODE:
        return False
    if any(node.primitive.graphs or node.effect or node.primitive.name not in KERNEL_PRIMITIVES for node in computing):
        return False
    if not all(_is_own(node) and node.results[0].type.size <= _LARGEST_AROUND for node in graph.nodes):
        return False
    outputs = graph.outputs
    computed = all(y in made and made[y].primitive.name not in _CONSTANTS for y in outputs)
    if not computed or len(set(outputs)) < len(outputs):
        return False
    single = sum([node.results[0].type.size == 1 for node in computing])
    return 4 * single >= 3 * len(computing) and all(x.type.size <= _LARGEST_INPUT for x in graph.inputs)


def terms(product: Node) -> int:
    """How many products of numbers a dot_general adds up, for all elements together."""
    x = product.operands[0].type
    return product.results[0].type.size * math.prod([x.shape[axis] for axis in product.params["contract"][0]])


def _is_own(node: Node) -> bool:
    """Whether XLA writes an operation itself, rather than to call a library or to make a scatter of it."""
    name = node.primitive.name
    if name == "dot_general":
        sizes = [x.type.size for x in (*node.operands, *node.results)]
        return max(sizes) <= _MATRIX if is_with_vector(node) else terms(node) <= _TERMS
    return not name.startswith(_REDUCING) or math.prod(node.operands[-1].type.shape) <= _REDUCED
