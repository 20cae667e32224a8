"""StableHLO for random bits and samples."""

from __future__ import annotations

from lilith.ir.graph import Node
from lilith.ops.random import FORMULAS, PARITY, ROTATIONS, ROUNDS
from lowering.emit import RULES, Emitter
from lowering.rules.special import formula


def _threefry(e: Emitter, node: Node, operands: list[str]) -> tuple[str, str]:
    """The rounds unrolled: one elementwise kernel, which fuses with what uses the bits."""
    t = node.results[0].type
    k0, k1, x0, x1 = operands

    def op(name: str, x: str, y: str) -> str:
        return e.op(f"stablehlo.{name}", (x, y), (t, t), t)

    def rotated(x: str, distance: int) -> str:
        left = op("shift_left", x, e.constant(distance, t))
        return op("or", left, op("shift_right_logical", x, e.constant(32 - distance, t)))

    keys = (k0, k1, op("xor", op("xor", k0, k1), e.constant(PARITY, t)))
    x0, x1 = op("add", x0, keys[0]), op("add", x1, keys[1])
    for group in range(ROUNDS // 4):
        for distance in ROTATIONS[group % 2]:
            x0 = op("add", x0, x1)
            x1 = op("xor", x0, rotated(x1, distance))
        x0 = op("add", x0, keys[(group + 1) % 3])
        x1 = op("add", x1, op("add", keys[(group + 2) % 3], e.constant(group + 1, t)))
    return x0, x1


RULES["threefry"] = _threefry
RULES.update({name: formula(function) for name, function in FORMULAS.items()})
