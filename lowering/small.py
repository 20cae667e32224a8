"""Small loops as one kernel of a CPU.

XLA compiles loops whose step touches up to 1024 bytes into one kernel by itself
(xla/service/cpu/small_while_loop_hoisting_pass.cc). A function that is called with the attribute by which it marks
these becomes one as well; the limit is drawn where it pays (`lilith.ops.small`).
"""

from __future__ import annotations

from typing import Any

from lilith.ir.graph import Node
from lilith.ops import small
from lowering.emit import Emitter, Rule, tensor_type

KERNEL = 'mhlo.frontend_attributes = {inlineable = "false", xla_cpu_small_call = "true"}'
"""The attribute of a call that becomes a kernel."""


def without_kernels(text: str) -> str:
    """A module for several devices: these may have to talk to each other within a step, which no kernel can."""
    return text.replace(KERNEL, "mhlo.frontend_attributes = {}")


def is_small(e: Emitter, node: Node) -> bool:
    """Whether a loop is to be a kernel."""
    if e.platform != "cpu" or e.in_kernel:
        return False
    return small.fits(node.graphs())


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
