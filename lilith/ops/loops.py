"""Branches and loops: case, scan, while_loop and reverse_while. Their bodies are graphs, given as parameters.

A body reads nothing but its inputs: what it uses from around it is handed in as a constant operand. How the rules of
derivatives and of batching make new bodies from the given ones is in `lilith.transform`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Graph, Value
from lilith.ir.interpret import interpret
from lilith.ir.primitive import Primitive
from lilith.ir.type import TensorType, is_inexact, kind
from lilith.source import DtypeError, ShapeError

INDEX = TensorType((), np.dtype(np.int64))
"""The type of the number of a step."""

FLAG = TensorType((), np.dtype(bool))


def _check_inputs(name: str, graph: Graph, types: Sequence[TensorType]) -> None:
    """The error for a graph that does not take operands of these types."""
    expected = [x.type for x in graph.inputs]
    if len(expected) != len(types) or not all(a.matches(b) for a, b in zip(expected, types, strict=True)):
        raise ShapeError(f"{name}: {graph.name} takes {expected}, it is given {list(types)}", hint="same types")


def _check_same(name: str, what: str, found: Sequence[TensorType], expected: Sequence[TensorType]) -> None:
    if len(found) != len(expected) or not all(a.matches(b) for a, b in zip(found, expected, strict=True)):
        raise ShapeError(f"{name}: {what} {list(found)} instead of {list(expected)}", hint="same types")


def types_of(values: Sequence[Value]) -> list[TensorType]:
    """The types of values."""
    return [x.type for x in values]


# ---- case -----------------------------------------------------------------------------------------------------------


def _case_type(index: TensorType, *operands: TensorType, branches: tuple[Graph, ...]) -> tuple[TensorType, ...]:
    if index.shape != () or kind(index.dtype) not in "biu":
        raise DtypeError(f"case: the index must be a bool or an integer, got {index}", hint="one number")
    for branch in branches:
        _check_inputs("case", branch, operands)
        _check_same("case", f"{branch.name} gives", types_of(branch.outputs), types_of(branches[0].outputs))
    results = zip(*[types_of(branch.outputs) for branch in branches], strict=True)
    return tuple([types[0] if all(t.weak for t in types) else types[0].strong for types in results])


def _case_eval(index: np.ndarray, *operands: np.ndarray, branches: tuple[Graph, ...]) -> tuple[np.ndarray, ...]:
    chosen = int(index)
    return tuple(interpret(branches[chosen if 0 <= chosen < len(branches) else -1], operands))


def _case_vjp(g: Any, y: Any, *operands: Value, wanted: tuple[bool, ...], **params: Any) -> tuple:
    from lilith.transform.branches import reverse_case

    return reverse_case(as_tuple(g), as_tuple(y), operands, wanted, **params)


def _case_jvp(tangents: tuple, *operands: Value, **params: Any) -> tuple:
    from lilith.transform.branches import forward_case

    return forward_case(tangents, operands, **params)


def _case_batch(batched: tuple[bool, ...], *operands: Value, **params: Any) -> tuple:
    from lilith.transform.branches import batch_case

    return batch_case(batched, operands, **params)


def as_tuple(x: Any) -> tuple:
    """What a rule gets for one result or for several, as a tuple."""
    return x if isinstance(x, tuple) else (x,)


# y = branches[index](operands); an index out of range takes the last one, False and True are 0 and 1
case: Primitive = Primitive(
    "case",
    type=_case_type,
    eval=_case_eval,
    vjp=_case_vjp,
    jvp=_case_jvp,
    batch=_case_batch,
    graphs=("branches",),
)

# ---- scan -----------------------------------------------------------------------------------------------------------


def _scan_type(
    *operands: TensorType, body: Graph, length: int, constants: int, carries: int, reverse: bool
) -> tuple[TensorType, ...]:
    rows = operands[constants + carries :]
    for x in rows:
        if not x.shape or x.shape[0] != length:
            raise ShapeError(f"scan: {x} has no leading axis of {length} steps", hint="one row per step")
    given = [INDEX, *operands[: constants + carries], *[x.with_shape(x.shape[1:]) for x in rows]]
    _check_inputs("scan", body, given)
    out = types_of(body.outputs)
    _check_same("scan", f"{body.name} gives the carry", out[:carries], operands[constants : constants + carries])
    return (*out[:carries], *[TensorType((length, *y.shape), y.dtype) for y in out[carries:]])


def _scan_eval(
    *operands: np.ndarray, body: Graph, length: int, constants: int, carries: int, reverse: bool
) -> tuple[np.ndarray, ...]:
    fixed, rows = operands[:constants], operands[constants + carries :]
    carry = list(operands[constants : constants + carries])
    stacks = [np.zeros((length, *y.shape), y.dtype) for y in body.outputs[carries:]]
    for step in reversed(range(length)) if reverse else range(length):
        out = interpret(body, [np.asarray(step), *fixed, *carry, *[x[step] for x in rows]])
        carry = out[:carries]
        for stack, row in zip(stacks, out[carries:], strict=True):
            stack[step] = row
    return (*carry, *stacks)


def _scan_vjp(g: Any, y: Any, *operands: Value, wanted: tuple[bool, ...], **params: Any) -> tuple:
    from lilith.transform.loops import reverse_scan

    return reverse_scan(as_tuple(g), as_tuple(y), operands, wanted, **params)


def _scan_jvp(tangents: tuple, *operands: Value, **params: Any) -> tuple:
    from lilith.transform.loops import forward_scan

    return forward_scan(tangents, operands, **params)


def _scan_batch(batched: tuple[bool, ...], *operands: Value, **params: Any) -> tuple:
    from lilith.transform.loops import batch_scan

    return batch_scan(batched, operands, **params)


# (carry, y[t]) = body(t, constants, carry, x[t]) for t = 0, 1, ..., length - 1, or down from there where `reverse`.
# The operands are the constants, the first carry, and the arrays x; the results the last carry and the arrays y.
scan: Primitive = Primitive(
    "scan",
    type=_scan_type,
    eval=_scan_eval,
    vjp=_scan_vjp,
    jvp=_scan_jvp,
    batch=_scan_batch,
    graphs=("body",),
)

# ---- while_loop -----------------------------------------------------------------------------------------------------


def _while_type(*operands: TensorType, cond: Graph, body: Graph, constants: int) -> tuple[TensorType, ...]:
    _check_inputs("while_loop", cond, operands)
    _check_inputs("while_loop", body, operands)
    _check_same("while_loop", f"{cond.name} gives", types_of(cond.outputs), [FLAG])
    _check_same("while_loop", f"{body.name} gives", types_of(body.outputs), operands[constants:])
    return tuple(types_of(body.outputs))


def _while_eval(*operands: np.ndarray, cond: Graph, body: Graph, constants: int) -> tuple[np.ndarray, ...]:
    fixed, carry = operands[:constants], list(operands[constants:])
    while interpret(cond, [*fixed, *carry])[0]:
        carry = interpret(body, [*fixed, *carry])
    return tuple(carry)


def _while_vjp(g: Any, y: Any, *operands: Value, wanted: tuple[bool, ...], **params: Any) -> tuple:
    from lilith.transform.whiles import reverse_of_while

    return reverse_of_while(as_tuple(g), operands, wanted, **params)


def _while_jvp(tangents: tuple, *operands: Value, **params: Any) -> tuple:
    from lilith.transform.whiles import forward_while

    return forward_while(tangents, operands, **params)


def _while_batch(batched: tuple[bool, ...], *operands: Value, **params: Any) -> tuple:
    from lilith.transform.whiles import batch_while

    return batch_while(batched, operands, **params)


def _checked_while(*operands: TensorType, checkpoints: int, **params: Any) -> tuple[TensorType, ...]:
    return _while_type(*operands, **params)


# carry = body(constants, carry) while cond(constants, carry). The operands are the constants and the first carry.
# `checkpoints`: how many carries its reverse mode may keep.
while_loop: Primitive = Primitive(
    "while_loop",
    type=_checked_while,
    eval=lambda *operands, checkpoints, **params: _while_eval(*operands, **params),
    vjp=_while_vjp,
    jvp=_while_jvp,
    batch=_while_batch,
    graphs=("cond", "body"),
)

# ---- the transpose of a while_loop's derivative ---------------------------------------------------------------------


def _reverse_while_type(
    *operands: TensorType,
    cond: Graph,
    body: Graph,
    pull: Graph,
    constants: int,
    active: tuple[int, ...],
    checkpoints: int,
) -> tuple[TensorType, ...]:
    count = len(body.inputs)
    _while_type(*operands[:count], cond=cond, body=body, constants=constants)
    _check_inputs("reverse_while", pull, operands)
    moved = [operands[i].strong for i in active]
    _check_same(
        "reverse_while", "the cotangents are", operands[count:], [operands[i] for i in active if i >= constants]
    )
    _check_same("reverse_while", f"{pull.name} gives", types_of(pull.outputs), moved)
    if not all(is_inexact(t.dtype) for t in moved) or checkpoints < 2:
        raise DtypeError(f"reverse_while: cotangents {moved} of {checkpoints} checkpoints", hint="floating, at least 2")
    return tuple(moved)


def _reverse_while_eval(
    *operands: np.ndarray,
    cond: Graph,
    body: Graph,
    pull: Graph,
    constants: int,
    active: tuple[int, ...],
    checkpoints: int,
) -> tuple[np.ndarray, ...]:
    count = len(body.inputs)
    fixed, carry, g = operands[:constants], list(operands[constants:count]), list(operands[count:])
    kept = []
    while interpret(cond, [*fixed, *carry])[0]:
        kept.append(carry)
        carry = interpret(body, [*fixed, *carry])
    split = sum(i < constants for i in active)
    totals = [np.zeros_like(operands[i]) for i in active[:split]]
    for carry in reversed(kept):
        out = interpret(pull, [*fixed, *carry, *g])
        totals = [total + part for total, part in zip(totals, out[:split], strict=True)]
        g = out[split:]
    return (*totals, *g)


def _reverse_while_vjp(g: Any, y: Any, *operands: Value, wanted: tuple[bool, ...], **params: Any) -> tuple:
    from lilith.transform.whiles import reverse_of_reverse_while

    return reverse_of_reverse_while(as_tuple(g), operands, wanted, params)


def _reverse_while_jvp(tangents: tuple, *operands: Value, **params: Any) -> tuple:
    from lilith.transform.whiles import forward_reverse_while

    return forward_reverse_while(tangents, operands, params)


def _reverse_while_batch(batched: tuple[bool, ...], *operands: Value, **params: Any) -> tuple:
    from lilith.transform.whiles import batch_reverse_while

    return batch_reverse_while(batched, operands, params)


# With z = (constants, first carry) and F(z) = while_loop(z): z̄ = F'(z)ᵀ g. The operands are z and g, one cotangent per
# carry in `active`; the results z̄, for the operands in `active`. `pull` takes z of one step and the cotangents after
# it, and gives the cotangents before it. It stays one node until it is lowered, so that its own derivatives are again
# such nodes, and no derivative ever stacks checkpoints.
reverse_while: Primitive = Primitive(
    "reverse_while",
    type=_reverse_while_type,
    eval=_reverse_while_eval,
    vjp=_reverse_while_vjp,
    jvp=_reverse_while_jvp,
    batch=_reverse_while_batch,
    graphs=("cond", "body", "pull"),
)
