"""Small loops as one kernel of a CPU.

XLA:CPU runs a step of a loop as a sequence of kernels, each with a cost of its own, which a step that touches few
numbers does not repay. XLA compiles loops whose step touches up to 1024 bytes into one kernel by itself
(xla/service/cpu/small_while_loop_hoisting_pass.cc). A function that is called with the attribute by which it marks
these becomes one as well; here the limit is drawn where it pays.
"""

from __future__ import annotations

import math
from typing import Any

from lilith.ir.graph import Graph, Node
from lilith.ops.checkpoints import expand
from lowering.emit import Emitter, Rule, tensor_type

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

_PER_OPERATION = 256  # numbers: of more, kernels of their own, which use several cores, are as fast
_WORK = 16384
_OPERATIONS = 1000
# Of more than so many numbers XLA has a reduction or a product done by a library, which no kernel can call (it does so
# from 4096 on); products of a matrix and a vector are its own.
_REDUCED = 256
_MATRIX = 4096


KERNEL = 'mhlo.frontend_attributes = {inlineable = "false", xla_cpu_small_call = "true"}'
"""The attribute of a call that becomes a kernel."""


def without_kernels(text: str) -> str:
    """A module for several devices: these may have to talk to each other within a step, which no kernel can."""
    return text.replace(KERNEL, "mhlo.frontend_attributes = {}")


def is_small(e: Emitter, node: Node) -> bool:
    """Whether a loop is to be a kernel."""
    if e.platform != "cpu" or e.in_kernel:
        return False
    cost = _cost(node.graphs())
    return cost is not None and cost[1] <= min(_WORK, _PER_OPERATION * cost[0])


def _cost(graphs: tuple[Graph, ...]) -> tuple[int, int] | None:
    """How many operations the graphs of a loop or a branch have and how many numbers these make; None if there are too
    many, or one that no kernel can hold."""
    operations, work = 0, 0
    for node in [node for graph in graphs for node in expand(graph).nodes]:
        name = node.primitive.name
        if name not in KERNEL_PRIMITIVES or node.effect or not _is_own(node) or operations > _OPERATIONS:
            return None
        operations += 1
        if node.primitive.graphs:
            inner = _cost(node.graphs())
            if inner is None:
                return None
            operations, work = operations + inner[0], work + inner[1]
        else:
            work += (node.operands[1] if name == "dynamic_update_slice" else node.results[0]).type.size
    return operations, work


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


def as_kernel_if_small(rule: Rule) -> Rule:
    """The rule of a loop, or a call of a function that it writes.

    The emitter of kernels (jaxlib 0.10 to 0.12) ends the process at an argument that nobody uses. So the function
    returns its arguments as well, which costs nothing, and a barrier hides from XLA which of them are constants: it
    would put these in the arguments' place.
    """

    def maybe_kernel(e: Emitter, node: Node, operands: list[str]) -> Any:
        if not is_small(e, node):
            return rule(e, node, operands)
        types, results = [x.type for x in node.operands], [y.type for y in node.results]
        outer, e.lines, e.in_kernel = e.lines, [], True
        names = [e.fresh() for _ in types]
        e.several("func.return", [*rule(e, node, names), *names], [*results, *types], (), "")
        body, e.lines, e.in_kernel = "\n".join(e.lines), outer, False
        name = f"loop_{len(e.functions)}"
        arguments = ", ".join(f"{x}: {tensor_type(t)}" for x, t in zip(names, types, strict=True))
        returned = ", ".join(map(tensor_type, [*results, *types]))
        e.functions.append(f"func.func private @{name}({arguments}) -> ({returned}) {{\n{body}\n}} loc(unknown)")
        hidden = e.several("stablehlo.optimization_barrier", operands, types, types, "") if operands else ()
        call = f"callee = @{name}, {KERNEL}"
        return e.several("func.call", hidden, types, [*results, *types], call)[: len(results)]

    return maybe_kernel
