"""What leaves a scan: work that does not take part in the recurrence is done for all steps at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lilith.ir.graph import Builder, Graph, Value, fill_like
from lilith.ops.loops import scan


def emit_scan(
    operands: Sequence[Value],
    *,
    body: Graph,
    length: int,
    constants: int,
    carries: int,
    reverse: bool,
    sums: int = 0,
) -> tuple[Value, ...]:
    """A scan, of whose results the last `sums` are not stacked but added up."""
    params: dict[str, Any] = dict(length=length, constants=constants, carries=carries, reverse=reverse)
    if not sums:
        return scan(*operands, body=body, **params)
    rows = len(body.outputs) - sums
    totals = [Value(y.type.strong) for y in body.outputs[rows:]]
    with Builder() as builder:
        builder.nodes.extend(body.nodes)
        added = [total + y for total, y in zip(totals, body.outputs[rows:], strict=True)]
    fixed = 1 + constants + carries
    inputs = (*body.inputs[:fixed], *totals, *body.inputs[fixed:])
    outputs = (*body.outputs[:carries], *added, *body.outputs[carries:rows])
    names = tuple([f"x{i}" for i in range(len(inputs))])
    whole = Graph(body.name, inputs, names, tuple(builder.nodes), outputs)
    first = [fill_like(total, 0) for total in totals]
    values = [*operands[: fixed - 1], *first, *operands[fixed - 1 :]]
    out = scan(*values, body=whole, **{**params, "carries": carries + sums})
    return (*out[:carries], *out[carries + sums :], *out[carries : carries + sums])
