"""What a graph costs: floating-point operations and bytes, primitive by primitive, and XLA's own estimate beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from lilith.ir.graph import Graph, Node
from lilith.ir.type import is_inexact

_MOVES = frozenset(
    "fill constant iota broadcast_in_dim reshape transpose rev concatenate pad slice gather scatter dynamic_slice "
    "dynamic_update_slice convert bitcast select real imag complex stop_gradient print argmax argmin".split()
)
"""Primitives that move, choose or relabel numbers without arithmetic."""


class Row(NamedTuple):
    """What all nodes of one primitive cost together: how many they are, their operations, the bytes of operands and
    results if each were read and written by itself."""

    nodes: int
    flops: int
    bytes: int


@dataclass(frozen=True)
class Cost:
    """The cost of a program.

    Attributes:
        primitives: ours: by primitive, counted in the graph before XLA fuses anything.
        xla: XLA's estimate for the optimised program: `flops`, `bytes accessed`, `transcendentals`; empty before it is
            compiled.
    """

    primitives: dict[str, Row]
    xla: dict[str, float] = field(default_factory=dict)

    @property
    def flops(self) -> int:
        """Floating-point operations, ours."""
        return sum(row.flops for row in self.primitives.values())

    @property
    def bytes(self) -> int:
        """Bytes of all operands and results, ours."""
        return sum(row.bytes for row in self.primitives.values())

    def __str__(self) -> str:
        rows = sorted(self.primitives.items(), key=lambda item: (-item[1].flops, -item[1].bytes, item[0]))
        lines = [f"{'primitive':<20} {'count':>8} {'flops':>16} {'bytes':>16}"]
        lines += [f"{name:<20} {row.nodes:>8,} {row.flops:>16,} {row.bytes:>16,}" for name, row in rows]
        count = sum(row.nodes for row in self.primitives.values())
        lines.append(f"{'all, by the graph':<20} {count:>8,} {self.flops:>16,} {self.bytes:>16,}")
        if self.xla:
            flops, moved = self.xla.get("flops", math.nan), self.xla.get("bytes accessed", math.nan)
            lines.append(f"{'all, by XLA':<20} {'':>8} {flops:>16,.0f} {moved:>16,.0f}")
        return "\n".join(lines)


def cost_of(graph: Graph, xla: dict[str, float] | None = None) -> Cost:
    """The cost of a graph.

    Arguments:
        xla: XLA's estimate, if the program is compiled; the totals are kept, not what it says per operand.
    """
    found: dict[str, Row] = {}
    _count(graph, 1, found)
    totals = {key: value for key, value in (xla or {}).items() if "{" not in key and "operand" not in key}
    return Cost(found, totals)


def _count(graph: Graph, times: int, found: dict[str, Row]) -> None:
    """Add the nodes of a graph that runs so often. The body of a scan counts once a step, all branches of a case and
    one step of a while_loop once: how often they run is not known."""
    for node in graph.nodes:
        old = found.get(node.primitive.name, Row(0, 0, 0))
        if node.primitive.graphs:
            found[node.primitive.name] = Row(old.nodes + times, old.flops, old.bytes)
            for inner in node.graphs():
                _count(inner, times * node.params.get("length", 1), found)
            continue
        moved = sum(x.type.nbytes for x in (*node.operands, *node.results))
        found[node.primitive.name] = Row(
            old.nodes + times, old.flops + times * flops_of(node), old.bytes + times * moved
        )


def flops_of(node: Node) -> int:
    """Floating-point operations of one node: one per element of the result, unless its primitive has a rule."""
    name = node.primitive.name
    if name in _MOVES or not any(is_inexact(x.dtype) for x in (*node.operands, *node.results)):
        return 0
    rule = _RULES.get(name)
    return rule(node) if rule is not None else sum(y.type.size for y in node.results)


def _operand(node: Node) -> int:
    """One per element that is read."""
    return node.operands[0].type.size


def _dot_general(node: Node) -> int:
    """A product and a sum per element of the result and of the contracted axes."""
    x = node.operands[0]
    contracted = math.prod([x.shape[axis] for axis in node.params["contract"][0]])
    return 2 * node.results[0].type.size * contracted


def _factorization(factor: float) -> Callable[[Node], int]:
    """A factor times m n min(m, n), for each matrix: Golub and Van Loan, Matrix Computations, 4th ed. 2013."""

    def rule(node: Node) -> int:
        x = node.operands[0]
        return int(factor * x.type.size * min(x.shape[-2:]))

    return rule


def _substitutions(count: int) -> Callable[[Node], int]:
    """A product and a sum per right side and per element of each triangle."""

    def rule(node: Node) -> int:
        a, b = node.operands[:2]
        return count * a.shape[-1] * b.type.size

    return rule


_RULES: dict[str, Callable[[Node], int]] = {
    "dot_general": _dot_general,
    "cholesky": _factorization(1 / 3),
    "lu": _factorization(2 / 3),
    "qr": _factorization(8 / 3),
    "eigh": _factorization(9),
    "svd": _factorization(21),
    "eig": _factorization(25),
    "triangular_solve": _substitutions(1),
    "solve": _substitutions(2),
    **{name: _operand for name in ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "cumsum")},
}
