"""StableHLO for primitives that steer a program or act on the outside."""

from __future__ import annotations

from lilith.ir.graph import Node
from lowering.emit import RULES, Emitter, string


def _stop_gradient(e: Emitter, node: Node, operands: list[str]) -> str:
    return operands[0]


def _print(e: Emitter, node: Node, operands: list[str]) -> tuple[str, ...]:
    """A custom call that the carrier replaces by a host callback; `backend_config` holds the format."""
    return e.several(
        "stablehlo.custom_call",
        operands,
        [x.type for x in node.operands],
        (),
        f'call_target_name = "lilith_print", has_side_effect = true, backend_config = {string(node.params["format"])}',
    )


def _callback(e: Emitter, node: Node, operands: list[str]) -> tuple[str, ...]:
    """A custom call that the carrier replaces by a host callback; `backend_config` holds the callback's token."""
    return e.several(
        "stablehlo.custom_call",
        operands,
        [x.type for x in node.operands],
        [y.type for y in node.results],
        f'call_target_name = "lilith_callback", backend_config = {string(str(node.params["function"].token))}',
    )


RULES.update({"stop_gradient": _stop_gradient, "print": _print, "callback": _callback})
