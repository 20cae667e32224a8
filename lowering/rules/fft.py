"""StableHLO for Fourier transforms."""

from __future__ import annotations

import numpy as np

from lilith.ir.graph import Node
from lilith.ir.type import TensorType
from lowering.emit import RULES, Emitter, i64_array


def _transform(e: Emitter, x: str, type: TensorType, result: TensorType, kind: str, lengths: tuple[int, ...]) -> str:
    attributes = f"fft_length = {i64_array(lengths)}, fft_type = #stablehlo<fft_type {kind.upper()}>"
    return e.op("stablehlo.fft", (x,), (type,), result, attributes)


def _fft(e: Emitter, node: Node, operands: list[str]) -> str:
    (x,), type, result = operands, node.operands[0].type, node.results[0].type
    kind, lengths = node.params["kind"], node.params["lengths"]
    if kind == "irfft" and e.platform != "cpu":
        return _hermitian(e, x, type, result, lengths)
    return _transform(e, x, type, result, kind, lengths)


def _hermitian(e: Emitter, x: str, type: TensorType, result: TensorType, lengths: tuple[int, ...]) -> str:
    """irfft where the library takes the symmetry of its operand for granted (cuFFT does).

    The outer axes are transformed first, as complex numbers; then the last one, with the imaginary parts set to zero
    that a real result cannot have.
    """
    outer = lengths[:-1]
    if outer:
        first = type.ndim - len(lengths)
        order = (*range(first), type.ndim - 1, *range(first, type.ndim - 1))
        moved = TensorType(tuple(type.shape[axis] for axis in order), type.dtype)
        x = e.op("stablehlo.transpose", (x,), (type,), moved, f"permutation = {i64_array(order)}")
        x = _transform(e, x, moved, moved, "ifft", outer)
        back = (*range(first), *range(first + 1, type.ndim), first)
        x = e.op("stablehlo.transpose", (x,), (moved,), type, f"permutation = {i64_array(back)}")
    part = TensorType(type.shape, result.dtype)
    row = np.ones(type.shape[-1], result.dtype)
    row[0] = 0
    if lengths[-1] % 2 == 0:
        row[-1] = 0
    line = TensorType(row.shape, result.dtype)
    mask = e.op(
        "stablehlo.broadcast_in_dim",
        (e.constant(row, line),),
        (line,),
        part,
        f"broadcast_dimensions = {i64_array((type.ndim - 1,))}",
    )
    a, b = (e.op(f"stablehlo.{name}", (x,), (type,), part) for name in ("real", "imag"))
    b = e.op("stablehlo.multiply", (b, mask), (part, part), part)
    x = e.op("stablehlo.complex", (a, b), (part, part), type)
    return _transform(e, x, type, result, "irfft", lengths[-1:])


RULES["fft"] = _fft
