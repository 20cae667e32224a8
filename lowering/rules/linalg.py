"""StableHLO for products of arrays."""

from __future__ import annotations

from collections.abc import Sequence

from lilith.ir.graph import Node
from lowering.emit import RULES, Emitter


def _axes(numbers: Sequence[int]) -> str:
    return f"[{', '.join(map(str, numbers))}]"


def _dot_general(e: Emitter, node: Node, operands: list[str]) -> str:
    """Full precision of the dtype: without it GPUs round float32 operands to fewer bits."""
    contract, batch = node.params["contract"], node.params["batch"]
    numbers = {
        "lhs_batching_dimensions": batch[0],
        "rhs_batching_dimensions": batch[1],
        "lhs_contracting_dimensions": contract[0],
        "rhs_contracting_dimensions": contract[1],
    }
    # the attribute's parser does not take empty lists
    given = ", ".join(f"{key} = {_axes(axes)}" for key, axes in numbers.items() if axes)
    highest = "#stablehlo<precision HIGHEST>"
    return e.op(
        "stablehlo.dot_general",
        operands,
        [x.type for x in node.operands],
        node.results[0].type,
        f"dot_dimension_numbers = #stablehlo.dot<{given}>, precision_config = [{highest}, {highest}]",
    )


RULES["dot_general"] = _dot_general
