"""StableHLO for indexing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lilith.ir.graph import Node
from lilith.ir.type import TensorType
from lilith.ops.windows import Windows, window_sizes
from lowering.emit import RULES, Emitter, i64_array, tensor_type
from lowering.rules.elementwise import compare
from lowering.rules.shape import attributed, padded

RULES["slice"] = attributed(
    "stablehlo.slice", {"start_indices": "start", "limit_indices": "limit", "strides": "stride"}
)

_I32 = np.dtype(np.int32)


def _wide(e: Emitter, indices: str, type: TensorType) -> tuple[str, TensorType]:
    """Indices in a dtype in which XLA's own arithmetic with sizes does not overflow."""
    if type.dtype.itemsize >= 4:
        return indices, type
    wide = type.with_dtype(_I32)
    return e.op("stablehlo.convert", (indices,), (type,), wide), wide


def _clamped(e: Emitter, indices: str, type: TensorType, last: Sequence[int]) -> str:
    """Index vectors brought into 0 .. last, component by component: scatter leaves out what gather clamps."""
    limit = int(np.iinfo(type.dtype).max)
    bounds = [min(n, limit) for n in last]
    scalar = TensorType((), type.dtype)
    if len(set(bounds)) <= 1:
        low, high, bound = e.constant(0, scalar), e.constant(bounds[0] if bounds else 0, scalar), scalar
    else:
        vector, bound = TensorType((len(bounds),), type.dtype), type
        low = e.constant(0, type)
        high = e.op(
            "stablehlo.broadcast_in_dim",
            (e.constant(np.array(bounds, type.dtype), vector),),
            (vector,),
            type,
            f"broadcast_dimensions = {i64_array((type.ndim - 1,))}",
        )
    return e.op("stablehlo.clamp", (low, indices, high), (bound, type, bound), type)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _numbers(parts: dict[str, Sequence[int]], vector: int) -> str:
    """The inside of a dimension numbers attribute; empty lists are left out."""
    lists = [f"{name} = [{', '.join(map(str, axes))}]" for name, axes in parts.items() if axes]
    return ", ".join([*lists, f"index_vector_dim = {vector}"])


def _gather_op(
    e: Emitter,
    operands: Sequence[str],
    types: Sequence[TensorType],
    result: TensorType,
    windows: Windows,
    sizes: Sequence[int],
    sorted: bool,
) -> str:
    numbers = _numbers(
        {
            "offset_dims": windows.offset,
            "collapsed_slice_dims": windows.collapsed,
            "operand_batching_dims": windows.batch,
            "start_indices_batching_dims": windows.indices_batch,
            "start_index_map": windows.start,
        },
        types[1].ndim - 1,
    )
    text = (
        f"dimension_numbers = #stablehlo.gather<{numbers}>, slice_sizes = {i64_array(sizes)}, "
        f"indices_are_sorted = {_flag(sorted)}"
    )
    return e.op("stablehlo.gather", operands, types, result, text)


def _gather(e: Emitter, node: Node, operands: list[str]) -> str:
    x, indices = node.operands
    wide, type = _wide(e, operands[1], indices.type)
    params = node.params
    return _gather_op(
        e,
        (operands[0], wide),
        (x.type, type),
        node.results[0].type,
        params["windows"],
        params["sizes"],
        params["sorted"],
    )


def _scatter_op(
    e: Emitter,
    operands: Sequence[str],
    types: Sequence[TensorType],
    windows: Windows,
    sorted: bool,
    unique: bool,
    region: str,
) -> str:
    numbers = _numbers(
        {
            "update_window_dims": windows.offset,
            "inserted_window_dims": windows.collapsed,
            "input_batching_dims": windows.batch,
            "scatter_indices_batching_dims": windows.indices_batch,
            "scatter_dims_to_operand_dims": windows.start,
        },
        types[1].ndim - 1,
    )
    text = (
        f"scatter_dimension_numbers = #stablehlo.scatter<{numbers}>, indices_are_sorted = {_flag(sorted)}, "
        f"unique_indices = {_flag(unique)}"
    )
    return e.op("stablehlo.scatter", operands, types, types[0], text, region)


def _replacing(e: Emitter, type: TensorType) -> str:
    """A region `(x, y) -> y` on scalars."""
    a, b, t = e.fresh(), e.fresh(), tensor_type(TensorType((), type.dtype))
    return f'{{ ^bb0({a}: {t}, {b}: {t}): "stablehlo.return"({b}) : ({t}) -> (){e.location} }}'


def _places(e: Emitter, node: Node, indices: str) -> tuple[str, TensorType]:
    """The scatter's index vectors, brought into the array."""
    x, given, updates = node.operands
    wide, type = _wide(e, indices, given.type)
    sizes = window_sizes(x.type, updates.type, node.params["windows"])
    last = [x.shape[axis] - sizes[axis] for axis in node.params["windows"].start]
    return _clamped(e, wide, type, last), type


def _scatter_add(e: Emitter, node: Node, operands: list[str]) -> str:
    x, _, updates = node.operands
    places, type = _places(e, node, operands[1])
    region = e.reducer("stablehlo.add", x.dtype)
    return _scatter_op(
        e, (operands[0], places, operands[2]), (x.type, type, updates.type), **node.params, region=region
    )


def _scatter(e: Emitter, node: Node, operands: list[str]) -> str:
    """Devices that write updates in any order find the last update of each element first: that is a maximum."""
    x, _, updates = node.operands
    if updates.type.size == 0:
        return operands[0]
    places, type = _places(e, node, operands[1])
    params = node.params
    if params["unique"] or e.platform == "cpu":
        region = _replacing(e, x.type)
        return _scatter_op(e, (operands[0], places, operands[2]), (x.type, type, updates.type), **params, region=region)
    size = updates.type.size
    dtype = np.dtype(np.int32 if size < 2**31 else np.int64)
    flat, own, where = TensorType((size,), dtype), updates.type.with_dtype(dtype), x.type.with_dtype(dtype)
    numbers = e.op("stablehlo.iota", (), (), flat, "iota_dimension = 0 : i64")
    numbers = e.op("stablehlo.reshape", (numbers,), (flat,), own)
    region = e.reducer("stablehlo.maximum", dtype)
    none = e.constant(-1, where)
    last = _scatter_op(e, (none, places, numbers), (where, type, own), **params, region=region)
    vectors, list_ = where.with_shape((*where.shape, 1)), updates.type.with_shape((size,))
    index = e.op("stablehlo.reshape", (last,), (where,), vectors)
    listed = e.op("stablehlo.reshape", (operands[2],), (updates.type,), list_)
    element = Windows(offset=(), collapsed=(0,), start=(0,))
    chosen = _gather_op(e, (listed, index), (list_, vectors), x.type, element, (1,), False)
    kept, flags = compare(e, "EQ", last, none, where), where.with_dtype(np.dtype(bool))
    return e.op("stablehlo.select", (kept, operands[0], chosen), (flags, x.type, x.type), x.type)


def _dynamic_slice(e: Emitter, node: Node, operands: list[str]) -> str:
    types = [x.type for x in node.operands]
    return e.op(
        "stablehlo.dynamic_slice",
        operands,
        types,
        node.results[0].type,
        f"slice_sizes = {i64_array(node.params['sizes'])}",
    )


RULES.update(
    {
        "gather": _gather,
        "scatter": _scatter,
        "scatter_add": _scatter_add,
        "dynamic_slice": _dynamic_slice,
        "dynamic_update_slice": attributed("stablehlo.dynamic_update_slice", {}),
    }
)

# Where elements lie so far apart, most of the result is padding.
_FAR_APART = 16


def _pad(e: Emitter, node: Node, operands: list[str]) -> str:
    """Far apart along one axis, elements are scattered into the padding: XLA:CPU divides at every element of a pad."""
    low, high, interior = (node.params[name] for name in ("low", "high", "interior"))
    spread = [axis for axis, gap in enumerate(interior) if gap >= _FAR_APART]
    others = [axis for axis in range(len(low)) if axis not in spread]
    if (
        e.platform != "cpu"
        or e.in_kernel
        or len(spread) != 1
        or node.operands[0].type.size == 0
        or any(low[axis] or high[axis] or interior[axis] for axis in others)
        or min(low[spread[0]], high[spread[0]]) < 0
    ):
        return padded(e, node, operands)
    (axis,), x, result = spread, node.operands[0].type, node.results[0].type
    places = TensorType((x.shape[axis], 1), np.dtype(np.int64))
    number = e.op("stablehlo.iota", (), (), places, "iota_dimension = 0 : i64")
    stride, first = (e.constant(n, places) for n in (interior[axis] + 1, low[axis]))
    distance = e.op("stablehlo.multiply", (number, stride), (places, places), places)
    places_name = e.op("stablehlo.add", (distance, first), (places, places), places)
    filled = e.op(
        "stablehlo.broadcast_in_dim", (operands[1],), (x.with_shape(()),), result, "broadcast_dimensions = array<i64>"
    )
    windows = Windows(offset=tuple(others), collapsed=(axis,), start=(axis,), batch=(), indices_batch=())
    region = _replacing(e, result)
    return _scatter_op(e, (filled, places_name, operands[0]), (result, places, x), windows, True, True, region)


RULES["pad"] = _pad
