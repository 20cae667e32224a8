"""StableHLO (and CHLO, where StableHLO has no such operation) for the elementwise family: a row each."""

from __future__ import annotations

import numpy as np

from lilith.ir.graph import Node
from lilith.ir.type import TensorType, kind, real_dtype
from lowering.emit import RULES, Emitter, Rule, tensor_type


def row(name: str) -> Rule:
    """The rule for a primitive that is one operation without attributes."""

    def rule(e: Emitter, node: Node, operands: list[str]) -> str:
        return e.op(name, operands, [x.type for x in node.operands], node.results[0].type)

    return rule


RULES.update(
    {
        ours: row(theirs)
        for ours, theirs in {
            "neg": "stablehlo.negate",
            "sub": "stablehlo.subtract",
            "mul": "stablehlo.multiply",
            "div": "stablehlo.divide",
            "rem": "stablehlo.remainder",
            "pow": "stablehlo.power",
            "floor": "stablehlo.floor",
            "ceil": "stablehlo.ceil",
            "rint": "stablehlo.round_nearest_even",
            "exp": "stablehlo.exponential",
            "expm1": "stablehlo.exponential_minus_one",
            "log": "stablehlo.log",
            "log1p": "stablehlo.log_plus_one",
            "sqrt": "stablehlo.sqrt",
            "rsqrt": "stablehlo.rsqrt",
            "cbrt": "stablehlo.cbrt",
            "logistic": "stablehlo.logistic",
            "sin": "stablehlo.sine",
            "cos": "stablehlo.cosine",
            "tan": "stablehlo.tan",
            "tanh": "stablehlo.tanh",
            "asin": "chlo.asin",
            "acos": "chlo.acos",
            "atan": "chlo.atan",
            "sinh": "chlo.sinh",
            "cosh": "chlo.cosh",
            "asinh": "chlo.asinh",
            "acosh": "chlo.acosh",
            "atanh": "chlo.atanh",
            "atan2": "stablehlo.atan2",
            "nextafter": "chlo.next_after",
            "complex": "stablehlo.complex",
            "real": "stablehlo.real",
            "imag": "stablehlo.imag",
            "max": "stablehlo.maximum",
            "min": "stablehlo.minimum",
            "select": "stablehlo.select",
            "is_finite": "stablehlo.is_finite",
            "not": "stablehlo.not",
            "and": "stablehlo.and",
            "or": "stablehlo.or",
            "xor": "stablehlo.xor",
            "shift_left": "stablehlo.shift_left",
            "popcount": "stablehlo.popcnt",
            "bitcast": "stablehlo.bitcast_convert",
        }.items()
    }
)


_add = row("stablehlo.add")


def _sum(e: Emitter, node: Node, operands: list[str]) -> str:
    """x + x, which derivatives of squares are full of, as 2 x: the same number, and twice as fast on XLA:CPU."""
    t = node.results[0].type
    if operands[0] != operands[1] or kind(t.dtype) != "f":
        return _add(e, node, operands)
    return e.op("stablehlo.multiply", (operands[0], e.constant(2, t)), (t, t), t)


RULES["add"] = _sum


def compare(e: Emitter, direction: str, x: str, y: str, type: TensorType) -> str:
    """`x direction y` as an i1 tensor; direction is EQ, NE, LT, LE, GT or GE."""
    letter = kind(type.dtype)
    how = "FLOAT" if letter in "fc" else "SIGNED" if letter == "i" else "UNSIGNED"
    return e.op(
        "stablehlo.compare",
        (x, y),
        (type, type),
        TensorType(type.shape, np.dtype(bool)),
        f"comparison_direction = #stablehlo<comparison_direction {direction}>, "
        f"compare_type = #stablehlo<comparison_type {how}>",
    )


def _comparison(direction: str) -> Rule:
    def rule(e: Emitter, node: Node, operands: list[str]) -> str:
        x, y = operands
        return compare(e, direction, x, y, node.operands[0].type)

    return rule


RULES.update({name: _comparison(name.upper()) for name in ("eq", "ne", "lt", "le", "gt", "ge")})


def _convert(e: Emitter, node: Node, operands: list[str]) -> str:
    """Complex to real drops the imaginary part; to bool compares with zero (stablehlo.convert would truncate)."""
    (x,), type, result = operands, node.operands[0].type, node.results[0].type
    if kind(result.dtype) == "b":
        return compare(e, "NE", x, e.constant(0, type), type)
    if kind(type.dtype) == "c" and kind(result.dtype) != "c":
        part = TensorType(type.shape, real_dtype(type.dtype))
        x, type = e.op("stablehlo.real", (x,), (type,), part), part
    if tensor_type(type) == tensor_type(result):
        return x
    return e.op("stablehlo.convert", (x,), (type,), result)


def _scale_cotangent(e: Emitter, node: Node, operands: list[str]) -> str:
    g, d = operands
    t = node.results[0].type
    zero = e.constant(0, t)
    product = e.op("stablehlo.multiply", (g, d), (t, t), t)
    flag = TensorType(t.shape, np.dtype(bool))
    return e.op("stablehlo.select", (compare(e, "EQ", g, zero, t), g, product), (flag, t, t), t)


def _integer_pow(e: Emitter, node: Node, operands: list[str]) -> str:
    """Binary powering: products only, so that x**2 is x*x to the last bit."""
    t = node.results[0].type
    exponent, square = node.params["exponent"], operands[0]
    result, count = "", abs(exponent)
    while count:
        if count & 1:
            result = e.op("stablehlo.multiply", (result, square), (t, t), t) if result else square
        count >>= 1
        if count:
            square = e.op("stablehlo.multiply", (square, square), (t, t), t)
    if not result:
        return e.constant(1, t)
    return result if exponent > 0 else e.op("stablehlo.divide", (e.constant(1, t), result), (t, t), t)


def _shift_right(e: Emitter, node: Node, operands: list[str]) -> str:
    t = node.results[0].type
    how = "arithmetic" if kind(t.dtype) == "i" else "logical"
    return e.op(f"stablehlo.shift_right_{how}", operands, (t, t), t)


def _abs(e: Emitter, node: Node, operands: list[str]) -> str:
    """stablehlo.abs has no unsigned form."""
    t = node.operands[0].type
    return operands[0] if kind(t.dtype) == "u" else e.op("stablehlo.abs", operands, (t,), node.results[0].type)


def _sign(e: Emitter, node: Node, operands: list[str]) -> str:
    """stablehlo.sign has no unsigned form."""
    t = node.results[0].type
    if kind(t.dtype) != "u":
        return e.op("stablehlo.sign", operands, (t,), t)
    return e.op("stablehlo.minimum", (*operands, e.constant(1, t)), (t, t), t)


RULES.update(
    {
        "convert": _convert,
        "scale_cotangent": _scale_cotangent,
        "integer_pow": _integer_pow,
        "shift_right": _shift_right,
        "abs": _abs,
        "sign": _sign,
    }
)
