"""StableHLO for products of arrays."""

from __future__ import annotations

from collections.abc import Sequence

from lilith.ir.graph import Node
from lilith.ir.type import TensorType
from lilith.ops.small import is_with_vector
from lowering.emit import RULES, Emitter, i64_array


def _axes(numbers: Sequence[int]) -> str:
    return f"[{', '.join(map(str, numbers))}]"


def _dot_general(e: Emitter, node: Node, operands: list[str]) -> str:
    """Full precision of the dtype: without it GPUs round float32 operands to fewer bits."""
    if e.in_kernel and not is_with_vector(node):
        return _sum_of_products(e, node, operands)
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


def _sum_of_products(e: Emitter, node: Node, operands: list[str]) -> str:
    """The same written out, for kernels, which cannot call the library that XLA has for products of matrices."""
    contract, batch, result = node.params["contract"], node.params["batch"], node.results[0].type
    x, y = [operand.type for operand in node.operands]
    free = [
        [axis for axis in range(t.ndim) if axis not in (*c, *b)]
        for t, c, b in zip((x, y), contract, batch, strict=True)
    ]
    ends = [len(batch[0]), len(batch[0]) + len(free[0]), result.ndim]
    contracted = [x.shape[axis] for axis in contract[0]]
    full = result.with_shape((*result.shape, *contracted))
    last = range(result.ndim, full.ndim)
    factors = []
    for k, (name, t) in enumerate(zip(operands, (x, y), strict=True)):
        order = (*batch[k], *free[k], *contract[k])
        moved = t.with_shape(tuple([t.shape[axis] for axis in order]))
        if order != tuple(range(t.ndim)):
            name = e.op("stablehlo.transpose", (name,), (t,), moved, f"permutation = {i64_array(order)}")
        places = (*range(ends[0]), *range(ends[k], ends[k + 1]), *last)
        spread = f"broadcast_dimensions = {i64_array(places)}"
        factors.append(e.op("stablehlo.broadcast_in_dim", (name,), (moved,), full.with_dtype(t.dtype), spread))
    product = e.op("stablehlo.multiply", factors, (full, full), full)
    if not contracted:
        return product
    scalar = TensorType((), result.dtype)
    region = e.reducer("stablehlo.add", result.dtype)
    zero = e.constant(result.dtype.type(0).item(), scalar)
    dimensions = f"dimensions = {i64_array(tuple(last))}"
    return e.op("stablehlo.reduce", (product, zero), (full, scalar), result, dimensions, region)


RULES["dot_general"] = _dot_general
