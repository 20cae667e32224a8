"""StableHLO for functions of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Node, Value, fill_like
from lilith.ir.primitive import primitive
from lilith.ir.type import TensorType
from lilith.ops import elementwise
from lilith.ops.factorization import INDEX
from lilith.ops.linalg import product
from lilith.ops.matrix_functions import lyapunov_by_eigenvalues, root_of_eigenvalues, square_of_parts
from lilith.ops.shape import broadcast_in_dim
from lowering.calls import composed
from lowering.emit import RULES, Emitter, tensor_type
from lowering.rules.elementwise import compare


def _squared(step: Value, count: Value, *parts: Value) -> tuple[Value, ...]:
    """The squares of those matrices that have not been squared often enough."""
    squares = square_of_parts(list(parts), product)
    if count.ndim:
        further = elementwise.lt(broadcast_in_dim(step, shape=count.shape, axes=()), count)
        flags = broadcast_in_dim(further, shape=parts[0].shape, axes=tuple(range(count.ndim)))
        squares = [elementwise.select(flags, y, x) for x, y in zip(parts, squares, strict=True)]
    return tuple(squares)


def _most(count: Value) -> Value:
    return primitive("reduce_max")(elementwise.max(count, fill_like(count, 0)), axes=tuple(range(count.ndim)))


def _repeatedly_squared(e: Emitter, node: Node, operands: list[str]) -> Any:
    """A loop that ends when the matrix with the largest count is done."""
    (count, *parts), (count_type, *types) = operands, [x.type for x in node.operands]
    if types[0].size == 0:
        return parts[0] if len(parts) == 1 else tuple(parts)
    index, flag = TensorType((), INDEX), TensorType((), np.dtype(bool))
    most = composed(e, _most, (count,), (count_type,))
    carried = (index, *types)

    def head(names: Sequence[str]) -> str:
        return ", ".join(f"{name}: {tensor_type(c)}" for name, c in zip(names, carried, strict=True))

    first, second = [[e.fresh() for _ in carried] for _ in range(2)]
    outer, e.lines = e.lines, []
    going = compare(e, "LT", first[0], most, index)
    e.several("stablehlo.return", (going,), (flag,), (), "")
    condition, e.lines = "\n".join(e.lines), []
    squares = composed(e, _squared, (second[0], count, *second[1:]), (index, count_type, *types))
    step = e.op("stablehlo.add", (second[0], e.constant(1, index)), (index, index), index)
    e.several("stablehlo.return", (step, *squares), carried, (), "")
    body, e.lines = "\n".join(e.lines), outer
    regions = f"{{ ^bb0({head(first)}):\n{condition} }}, {{ ^bb0({head(second)}):\n{body} }}"
    found = e.several("stablehlo.while", (e.constant(0, index), *parts), carried, carried, "", regions)[1:]
    return found[0] if len(found) == 1 else found


def _matrix_sqrt(e: Emitter, node: Node, operands: list[str]) -> str:
    return composed(e, root_of_eigenvalues, operands[1:], [x.type for x in node.operands][1:])


def _lyapunov(e: Emitter, node: Node, operands: list[str]) -> str:
    return composed(e, lyapunov_by_eigenvalues, operands[1:], [x.type for x in node.operands][1:])


_RULES: dict[str, Any] = {
    "repeatedly_squared": _repeatedly_squared,
    "matrix_sqrt": _matrix_sqrt,
    "lyapunov": _lyapunov,
}
RULES.update(_RULES)
