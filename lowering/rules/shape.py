"""StableHLO for the primitives that make, move and repeat elements."""

from __future__ import annotations

from collections.abc import Sequence

from lilith.ir.graph import Node
from lilith.ir.type import TensorType
from lowering.emit import RULES, Emitter, Rule, i64_array


def attributed(name: str, attributes: dict[str, str]) -> Rule:
    """The rule for one operation whose attributes are integer lists: StableHLO's attribute name -> ours."""

    def rule(e: Emitter, node: Node, operands: list[str]) -> str:
        text = ", ".join(f"{theirs} = {i64_array(node.params[ours])}" for theirs, ours in attributes.items())
        return e.op(name, operands, [x.type for x in node.operands], node.results[0].type, text)

    return rule


def padded(e: Emitter, node: Node, operands: list[str]) -> str:
    """In a kernel, elements between others go behind each of them along an axis of its own, which then joins theirs:
    XLA:CPU has a scatter for them otherwise, which no kernel can hold."""
    (x, value), type, scalar = operands, *[operand.type for operand in node.operands]
    low, high, interior = [list(node.params[name]) for name in ("low", "high", "interior")]
    for axis, between in enumerate(interior):
        if not (e.in_kernel and between and type.shape[axis]):
            continue
        before, n, after = type.shape[:axis], type.shape[axis], type.shape[axis + 1 :]
        apart, spread = [type.with_shape((*before, n, k, *after)) for k in (1, 1 + between)]
        x = e.op("stablehlo.reshape", (x,), (type,), apart)
        none, behind = [0] * apart.ndim, [between * (k == axis + 1) for k in range(apart.ndim)]
        x = _pad(e, (x, value), (apart, scalar), spread, none, behind, none)
        type = type.with_shape((*before, n * (1 + between), *after))
        x = e.op("stablehlo.reshape", (x,), (spread,), type)
        high[axis], interior[axis] = high[axis] - between, 0
    return _pad(e, (x, value), (type, scalar), node.results[0].type, low, high, interior)


def _pad(
    e: Emitter,
    operands: Sequence[str],
    types: Sequence[TensorType],
    result: TensorType,
    low: Sequence[int],
    high: Sequence[int],
    interior: Sequence[int],
) -> str:
    sides = f"edge_padding_low = {i64_array(low)}, edge_padding_high = {i64_array(high)}"
    return e.op("stablehlo.pad", operands, types, result, f"{sides}, interior_padding = {i64_array(interior)}")


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
