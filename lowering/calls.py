"""What rules need beyond one operation: calls into vendors' libraries, and rules written as functions of primitives.

A library call is a custom call of XLA's typed foreign function interface (api_version 4). Targets, attributes and
layouts are those that the carrier registers; a test compares them with what the carrier itself writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Builder, Value
from lilith.ir.type import TensorType, dtype_name, kind
from lowering.emit import Emitter, i64_array, string
from lowering.rules.elementwise import compare

LAPACK_LETTER = {"f32": "s", "f64": "d", "c64": "c", "c128": "z"}
GPU_PREFIX = {"cuda": "cu", "rocm": "hip"}


def letter(text: str) -> str:
    """An attribute that holds one character, as LAPACK's flags are."""
    return f"{ord(text)} : ui8"


def lapack(name: str, dtype: np.dtype) -> str:
    """The target of a LAPACK routine: `lapack_dpotrf_ffi`."""
    return f"lapack_{LAPACK_LETTER[dtype_name(dtype)]}{name}_ffi"


def _layout(ndim: int, column_major: bool) -> str:
    axes = list(range(ndim))[::-1]
    if column_major and ndim >= 2:
        axes[:2] = axes[1], axes[0]
    return f"dense<{axes if ndim > 1 else axes[0] if axes else ''}> : tensor<{ndim}xindex>"


def library_call(
    e: Emitter,
    target: str,
    operands: Sequence[str],
    operand_types: Sequence[TensorType],
    results: Sequence[TensorType],
    config: dict[str, str] | None = None,
    *,
    column_major: bool = True,
    in_place: int | None = None,
    matrix_axes: int = 2,
) -> tuple[str, ...]:
    """Call a routine on stacks of matrices.

    Arguments:
        config: the routine's own attributes, as MLIR text.
        column_major: matrices are passed by columns, as LAPACK wants them; else by rows.
        in_place: the operand whose memory the first result takes.
        matrix_axes: how many axes of the largest operand are not the stack's.
    """
    ndim = max(t.ndim for t in operand_types)

    def layouts(types: Sequence[TensorType]) -> str:
        return f"[{', '.join(_layout(t.ndim, column_major and t.ndim == ndim) for t in types)}]"

    own = ", ".join(f"{key} = {value}" for key, value in (config or {}).items())
    attributes = [
        f"call_target_name = {string(target)}",
        "api_version = 4 : i32",
        f"backend_config = {{{own}}}",
        f'mhlo.frontend_attributes = {{num_batch_dims = "{ndim - matrix_axes}"}}',
        f"operand_layouts = {layouts(operand_types)}",
        f"result_layouts = {layouts(results)}",
    ]
    if in_place is not None:
        place = "[0]" if len(results) > 1 else "[]"
        attributes.append(
            "output_operand_aliases = [#stablehlo.output_operand_alias<"
            f"output_tuple_indices = {place}, operand_index = {in_place}, operand_tuple_indices = []>]"
        )
    return e.several("stablehlo.custom_call", operands, operand_types, results, ", ".join(attributes))


def info_type(type: TensorType) -> TensorType:
    """The type of what a routine reports: one int32 per matrix."""
    return TensorType(type.shape[:-2], np.dtype(np.int32))


def broadcast(e: Emitter, x: str, type: TensorType, shape: tuple[int, ...]) -> str:
    """x with new axes at the end, repeated to a shape."""
    result = type.with_shape(shape)
    if result.shape == type.shape:
        return x
    axes = i64_array(range(type.ndim))
    return e.op("stablehlo.broadcast_in_dim", (x,), (type,), result, f"broadcast_dimensions = {axes}")


def succeeded(e: Emitter, info: str, type: TensorType, direction: str = "EQ") -> str:
    """One flag per matrix of a stack like `type`: info == 0, or another comparison."""
    t = info_type(type)
    return compare(e, direction, info, e.constant(0, t), t)


def nan_unless(e: Emitter, ok: str, x: str, type: TensorType, stack: int) -> str:
    """x where `ok`, one flag per matrix, holds; else NaN. The stack has `stack` axes."""
    nan = complex(np.nan, np.nan) if kind(type.dtype) == "c" else np.nan
    flag = np.dtype(bool)
    mask = broadcast(e, ok, TensorType(type.shape[:stack], flag), type.shape)
    return e.op("stablehlo.select", (mask, x, e.constant(nan, type)), (type.with_dtype(flag), type, type), type)


def transposed(e: Emitter, x: str, type: TensorType) -> tuple[str, TensorType]:
    """The transposes of matrices."""
    n = type.ndim
    axes = [*range(n - 2), n - 1, n - 2]
    result = type.with_shape(tuple([type.shape[axis] for axis in axes]))
    return e.op("stablehlo.transpose", (x,), (type,), result, f"permutation = {i64_array(axes)}"), result


def composed(e: Emitter, function: Callable[..., Any], operands: Sequence[str], types: Sequence[TensorType]) -> Any:
    """Write what a function of Values does with primitives, by their rules; returns the names of its results."""
    values = [Value(t) for t in types]
    with Builder() as builder:
        out = function(*values)
    results = out if isinstance(out, tuple) else (out,)
    names = e.write(builder.nodes, dict(zip(values, operands, strict=True)), results)
    return tuple(names) if isinstance(out, tuple) else names[0]


def region(e: Emitter, write: Callable[[], Sequence[str]], types: Sequence[TensorType]) -> str:
    """A region without arguments that returns what `write` writes; it reads names from around it."""
    outer, e.lines = e.lines, []
    results = write()
    e.several("stablehlo.return", results, types, (), "")
    body, e.lines = "\n".join(e.lines), outer
    return f"{{ {body} }}"
