"""Small loops, and small programs as a whole (`lowering.emit.emit`), as one kernel of a CPU.

XLA compiles loops whose step touches up to 1024 bytes into one kernel by itself
(xla/service/cpu/small_while_loop_hoisting_pass.cc). A function that is called with the attribute by which it marks
these becomes one as well; the limit is drawn where it pays (`lilith.ops.small`).
"""

from __future__ import annotations

from typing import Any

from lilith.ir.graph import Node
from lilith.ops import small
from lowering.emit import KERNEL, Emitter, Rule


def without_kernels(text: str) -> str:
    """A module for several devices: these may have to talk to each other within a step, which no kernel can."""
    return text.replace(KERNEL, "mhlo.frontend_attributes = {}")


def is_small(e: Emitter, node: Node) -> bool:
    """Whether a loop is to be a kernel."""
    if e.platform != "cpu" or e.in_kernel:
        return False
    return small.is_small_loop(node)


def as_kernel_if_small(rule: Rule) -> Rule:
    """The rule of a loop, or a call of a function that it writes, with a barrier that hides from XLA which of its
    arguments are constants: it would put these in the arguments' place, and then nobody uses these."""

    def maybe_kernel(e: Emitter, node: Node, operands: list[str]) -> Any:
        if not is_small(e, node):
            return rule(e, node, operands)
        types, results = [x.type for x in node.operands], [y.type for y in node.results]
        hidden = e.several("stablehlo.optimization_barrier", operands, types, types, "") if operands else ()
        outer, e.lines, e.in_kernel = e.lines, [], True
        names = [e.fresh() for _ in types]
        out = e.kernel(f"loop_{len(e.functions)}", rule(e, node, names), results, names, hidden, node.operands)
        e.lines, e.in_kernel = [*outer, *e.lines], False
        return out

    return maybe_kernel
