"""StableHLO for sorting primitives.

XLA:CPU calls a compiled comparator per comparison, unless one array of integers is sorted by `<`: that runs at the
speed of std::stable_sort, five to six times as fast. So keys become integers that order as they do, and each is packed
into one 64-bit integer with its position. Keys of 64 bits take two such sorts, by the low and then by the high half.
"""

from __future__ import annotations

import numpy as np

from lilith.ir.graph import Node
from lilith.ir.type import TensorType, kind
from lowering.emit import RULES, Emitter, i64_array, tensor_type
from lowering.rules.elementwise import compare

_INT32, _INT64 = np.dtype(np.int32), np.dtype(np.int64)
_HALF = 32


def _binary(e: Emitter, name: str, x: str, number: int, type: TensorType) -> str:
    """`name(x, number)`, element by element."""
    return e.op(f"stablehlo.{name}", (x, e.constant(number, type)), (type, type), type)


def _as(e: Emitter, x: str, type: TensorType, dtype: np.dtype, how: str = "convert") -> tuple[str, TensorType]:
    """x in another dtype, converted or bit for bit."""
    result = type.with_dtype(dtype)
    return (x if type.dtype == dtype else e.op(f"stablehlo.{how}", (x,), (type,), result)), result


def _float_key(e: Emitter, x: str, type: TensorType) -> tuple[str, TensorType]:
    """Signed integers that order as floats do: -0.0 is 0.0, all NaNs are one number, after infinity.

    The bits of a float, read as an integer, order positive floats; those of negative ones have to be reversed.
    """
    if type.dtype.itemsize == 2:
        x, type = _as(e, x, type, np.dtype(np.float32))
    flag = type.with_dtype(np.dtype(bool))
    zero, nan = e.constant(0.0, type), e.constant(np.nan, type)
    select = "stablehlo.select"
    x = e.op(select, (compare(e, "EQ", x, zero, type), zero, x), (flag, type, type), type)
    x = e.op(select, (compare(e, "NE", x, x, type), nan, x), (flag, type, type), type)
    bits, result = _as(e, x, type, np.dtype(f"i{type.dtype.itemsize}"), "bitcast_convert")
    reversed_ = _binary(e, "xor", bits, int(np.iinfo(result.dtype).max), result)
    negative = compare(e, "LT", bits, e.constant(0, result), result)
    return e.op(select, (negative, reversed_, bits), (flag, result, result), result), result


def _key(e: Emitter, x: str, type: TensorType) -> tuple[str, TensorType]:
    """Integers of 32 or 64 bits, signed, that order as x does."""
    if kind(type.dtype) == "f":
        return _float_key(e, x, type)
    if type.dtype == np.uint64:
        bits, result = _as(e, x, type, _INT64, "bitcast_convert")
        return _binary(e, "xor", bits, int(np.iinfo(_INT64).min), result), result
    return _as(e, x, type, _INT64 if type.dtype.itemsize == 8 or type.dtype == np.uint32 else _INT32)


def _less(e: Emitter, *types: TensorType) -> str:
    """A region that compares the first of the arrays that are sorted together."""
    scalars = [TensorType((), t.dtype) for t in types]
    names = [(e.fresh(), e.fresh()) for _ in types]
    outer, e.lines = e.lines, []
    e.several("stablehlo.return", (compare(e, "LT", *names[0], scalars[0]),), (TensorType((), np.dtype(bool)),), (), "")
    body, e.lines = "\n".join(e.lines), outer
    pairs = zip(names, scalars, strict=True)
    arguments = ", ".join(f"{name}: {tensor_type(t)}" for pair, t in pairs for name in pair)
    return f"{{ ^bb0({arguments}):\n{body} }}"


def _sort(e: Emitter, operands: tuple[str, ...], types: tuple[TensorType, ...], axis: int) -> tuple[str, ...]:
    attributes = f"dimension = {axis} : i64, is_stable = true"
    if len(operands) == 1:
        return (e.op("stablehlo.sort", operands, types, types[0], attributes, _less(e, *types)),)
    return e.several("stablehlo.sort", operands, types, types, attributes, _less(e, *types))


def _packed_order(e: Emitter, key: str, type: TensorType) -> str:
    """The permutation that sorts lines (the last axis) of numbers of 32 bits that are held by 64-bit ones."""
    high = _binary(e, "shift_left", key, _HALF, type)
    position = e.op("stablehlo.iota", (), (), type, f"iota_dimension = {type.ndim - 1} : i64")
    (ordered,) = _sort(e, (e.op("stablehlo.or", (high, position), (type, type), type),), (type,), type.ndim - 1)
    return _binary(e, "and", ordered, (1 << _HALF) - 1, type)


def _picked(e: Emitter, x: str, order: str, type: TensorType) -> str:
    """The elements of lines of x at the places that lines of `order` name."""
    lines, n = type.shape
    index = type.with_shape((lines, n, 1))
    places = e.op("stablehlo.reshape", (order,), (type,), index)
    numbers = (
        "collapsed_slice_dims = [1], operand_batching_dims = [0], start_indices_batching_dims = [0], "
        "start_index_map = [1], index_vector_dim = 2"
    )
    attributes = f"dimension_numbers = #stablehlo.gather<{numbers}>, slice_sizes = {i64_array((1, 1))}"
    return e.op("stablehlo.gather", (x, places), (type, index), type, attributes)


def _order(e: Emitter, key: str, type: TensorType, wide: bool) -> str:
    """The permutation that sorts lines of 64-bit numbers; `wide` tells whether they use more than 32 bits."""
    if not wide:
        return _packed_order(e, key, type)
    low = _binary(e, "xor", key, 1 << (_HALF - 1), type)  # its sign bit turned: the shift makes it signed
    first = _packed_order(e, low, type)
    high = _binary(e, "shift_right_arithmetic", key, _HALF, type)
    second = _packed_order(e, _picked(e, high, first, type), type)
    return _picked(e, first, second, type)


def _argsort(e: Emitter, node: Node, operands: list[str]) -> str:
    (x,), type, axis = operands, node.operands[0].type, node.params["axis"]
    result, n = node.results[0].type, type.shape[axis]
    if type.size == 0 or n == 1:
        return e.constant(0, result)
    key, narrow = _key(e, x, type)
    if e.platform != "cpu" or n >= 1 << (_HALF - 1):
        position = e.op("stablehlo.iota", (), (), result, f"iota_dimension = {axis} : i64")
        return _sort(e, (key, position), (narrow, result), axis)[1]
    wide = narrow.dtype == _INT64 and type.dtype != np.uint32
    if type.dtype == np.uint32:
        narrow = type.with_dtype(_INT64)
        key = _binary(e, "xor", key, 1 << (_HALF - 1), narrow)
    key, full = _as(e, key, narrow, _INT64)
    others = [k for k in range(type.ndim) if k != axis]
    moved = full.with_shape(tuple([type.shape[k] for k in (*others, axis)]))
    lines = full.with_shape((type.size // n, n))
    if axis != type.ndim - 1:
        key = e.op("stablehlo.transpose", (key,), (full,), moved, f"permutation = {i64_array((*others, axis))}")
    order = _order(e, e.op("stablehlo.reshape", (key,), (moved,), lines), lines, wide)
    order = e.op("stablehlo.reshape", (order,), (lines,), moved)
    if axis != type.ndim - 1:
        back = (*range(axis), type.ndim - 1, *range(axis, type.ndim - 1))
        order = e.op("stablehlo.transpose", (order,), (moved,), result, f"permutation = {i64_array(back)}")
    return order


RULES["argsort"] = _argsort
