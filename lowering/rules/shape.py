"""StableHLO for the primitives that make, move and repeat elements."""

from __future__ import annotations

from lilith.ir.graph import Node
from lowering.emit import RULES, Emitter, Rule, i64_array


def attributed(name: str, attributes: dict[str, str]) -> Rule:
    """The rule for one operation whose attributes are integer lists: StableHLO's attribute name -> ours."""

    def rule(e: Emitter, node: Node, operands: list[str]) -> str:
        text = ", ".join(f"{theirs} = {i64_array(node.params[ours])}" for theirs, ours in attributes.items())
        return e.op(name, operands, [x.type for x in node.operands], node.results[0].type, text)

    return rule


padded = attributed(
    "stablehlo.pad", {"edge_padding_low": "low", "edge_padding_high": "high", "interior_padding": "interior"}
)


def _fill(e: Emitter, node: Node, operands: list[str]) -> str:
    return e.constant(node.params["value"], node.results[0].type)


def _constant(e: Emitter, node: Node, operands: list[str]) -> str:
    array = node.params["value"].array
    return e.constant(array if array.ndim else array.item(), node.results[0].type)


def _iota(e: Emitter, node: Node, operands: list[str]) -> str:
    return e.op("stablehlo.iota", (), (), node.results[0].type, f"iota_dimension = {node.params['axis']} : i64")


def _concatenate(e: Emitter, node: Node, operands: list[str]) -> str:
    return e.op(
        "stablehlo.concatenate",
        operands,
        [x.type for x in node.operands],
        node.results[0].type,
        f"dimension = {node.params['axis']} : i64",
    )


RULES.update(
    {
        "fill": _fill,
        "constant": _constant,
        "iota": _iota,
        "broadcast_in_dim": attributed("stablehlo.broadcast_in_dim", {"broadcast_dimensions": "axes"}),
        "reshape": attributed("stablehlo.reshape", {}),
        "transpose": attributed("stablehlo.transpose", {"permutation": "axes"}),
        "rev": attributed("stablehlo.reverse", {"dimensions": "axes"}),
        "concatenate": _concatenate,
        "pad": padded,
    }
)
