"""StableHLO for sorting primitives.

XLA:CPU calls a compiled comparator per comparison, unless one array of integers is sorted by `<`: that runs at the
speed of std::stable_sort, five to six times as fast. So keys become integers that order as they do, and each is packed
into one 64-bit integer with its position. Keys of 64 bits take two such sorts, by the low and then by the high half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lilith.ir.graph import Node
from lilith.ir.type import TensorType, kind
from lowering.emit import RULES, Emitter, i64_array, tensor_type
from lowering.rules.elementwise import compare
from lowering.rules.reduction import reduce

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

    The bits of a float but its sign, read as an integer, order absolute values. Only integers are compared: XLA's
    comparisons of floats take subnormal numbers for zero.
    """
    bits, result = _as(e, x, type, np.dtype(f"i{type.dtype.itemsize}"), "bitcast_convert")
    flag, select, largest = result.with_dtype(np.dtype(bool)), "stablehlo.select", int(np.iinfo(result.dtype).max)
    size = _binary(e, "and", bits, largest, result)
    opposite = e.op("stablehlo.negate", (size,), (result,), result)
    negative = compare(e, "LT", bits, e.constant(0, result), result)
    key = e.op(select, (negative, opposite, bits), (flag, result, result), result)
    infinity = int(np.array(np.inf, type.dtype).view(result.dtype))
    nan = compare(e, "GT", size, e.constant(infinity, result), result)
    return e.op(select, (nan, e.constant(largest, result), key), (flag, result, result), result), result


def _key(e: Emitter, x: str, type: TensorType) -> tuple[str, TensorType]:
    """Integers of 32 or 64 bits, signed, that order as x does."""
    if kind(type.dtype) == "f":
        x, type = _float_key(e, x, type)
    if type.dtype == np.uint64:
        bits, result = _as(e, x, type, _INT64, "bitcast_convert")
        return _binary(e, "xor", bits, int(np.iinfo(_INT64).min), result), result
    return _as(e, x, type, _INT64 if type.dtype.itemsize == 8 or type.dtype == np.uint32 else _INT32)


_Returned = tuple[Sequence[str], Sequence[TensorType]]


def _region(e: Emitter, types: Sequence[TensorType], write: Callable[..., _Returned]) -> str:
    """A region: `write(*arguments)` writes its operations and gives what it returns, with the types."""
    names = [e.fresh() for _ in types]
    outer, e.lines = e.lines, []
    results, result_types = write(*names)
    e.several("stablehlo.return", results, result_types, (), "")
    body, e.lines = "\n".join(e.lines), outer
    arguments = ", ".join(f"{name}: {tensor_type(t)}" for name, t in zip(names, types, strict=True))
    return f"{{ ^bb0({arguments}):\n{body} }}"


_FLAG = TensorType((), np.dtype(bool))


def _less(e: Emitter, *types: TensorType) -> str:
    """A region that compares the first of the arrays that are sorted together."""
    scalars = [TensorType((), t.dtype) for t in types for _ in range(2)]
    return _region(e, scalars, lambda x, y, *_: ((compare(e, "LT", x, y, scalars[0]),), (_FLAG,)))


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


def _picked(e: Emitter, x: str, type: TensorType, places: str, place: TensorType) -> str:
    """The elements of lines of x [l, n] at places [l, m]."""
    index = place.with_shape((*place.shape, 1))
    vectors = e.op("stablehlo.reshape", (places,), (place,), index)
    numbers = (
        "collapsed_slice_dims = [1], operand_batching_dims = [0], start_indices_batching_dims = [0], "
        "start_index_map = [1], index_vector_dim = 2"
    )
    attributes = f"dimension_numbers = #stablehlo.gather<{numbers}>, slice_sizes = {i64_array((1, 1))}"
    return e.op("stablehlo.gather", (x, vectors), (type, index), place.with_dtype(type.dtype), attributes)


def _order(e: Emitter, key: str, type: TensorType, wide: bool) -> str:
    """The permutation that sorts lines of 64-bit numbers; `wide` tells whether they use more than 32 bits."""
    if not wide:
        return _packed_order(e, key, type)
    low = _binary(e, "xor", key, 1 << (_HALF - 1), type)  # its sign bit turned: the shift makes it signed
    first = _packed_order(e, low, type)
    high = _binary(e, "shift_right_arithmetic", key, _HALF, type)
    second = _packed_order(e, _picked(e, high, type, first, type), type)
    return _picked(e, first, type, second, type)


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


# Counting by comparison beats the loop up to about this length on XLA:CPU; it is a hundred times slower at 1000
_COUNTED = 24


def _searchsorted(e: Emitter, node: Node, operands: list[str]) -> str:
    (a, v), (line, sought), result = operands, [x.type for x in node.operands], node.results[0].type
    n, count = line.shape[-1], result.size
    if n == 0 or count == 0:
        return e.constant(0, result)
    lines = count // sought.shape[-1]
    keys, (key_a, type_a), (key_v, type_v) = [], _key(e, a, line), _key(e, v, sought)
    for key, type, size in ((key_a, type_a, n), (key_v, type_v, sought.shape[-1])):
        flat = type.with_shape((lines, size))
        keys.append((e.op("stablehlo.reshape", (key,), (type,), flat), flat))
    direction = "LT" if node.params["side"] == "left" else "LE"
    found, type = (_counted if n <= _COUNTED else _bisected)(e, direction, *keys[0], *keys[1])
    found, type = _as(e, found, type, result.dtype)
    return e.op("stablehlo.reshape", (found,), (type,), result)


def _counted(
    e: Emitter, direction: str, a: str, line: TensorType, v: str, sought: TensorType
) -> tuple[str, TensorType]:
    """How many elements of lines [l, n] lie before those of [l, m], by n comparisons each."""
    (lines, n), m = line.shape, sought.shape[1]
    table, number = line.with_shape((lines, n, m)), sought.with_dtype(_INT32)
    broadcast = "stablehlo.broadcast_in_dim"
    left = e.op(broadcast, (a,), (line,), table, f"broadcast_dimensions = {i64_array((0, 1))}")
    right = e.op(broadcast, (v,), (sought,), table, f"broadcast_dimensions = {i64_array((0, 2))}")
    before = compare(e, direction, left, right, table)
    ones, counts = _as(e, before, table.with_dtype(np.dtype(bool)), _INT32)
    return reduce(e, "stablehlo.add", 0, ones, counts, (1,)), number


def _bisected(
    e: Emitter, direction: str, a: str, line: TensorType, v: str, sought: TensorType
) -> tuple[str, TensorType]:
    """The same by binary search: a loop over the bits of the answer, from the highest.

    The lines are continued by largest elements to a length of 2^k - 1, so that no candidate lies outside of them.
    """
    (lines, n), scalar = line.shape, TensorType((), line.dtype)
    number = sought.with_dtype(_INT32 if n < 2**30 else _INT64)
    step, top = TensorType((), number.dtype), 1 << (n.bit_length() - 1)
    whole = line.with_shape((lines, 2 * top - 1))
    edges = f"edge_padding_low = {i64_array((0, 0))}, edge_padding_high = {i64_array((0, 2 * top - 1 - n))}"
    largest = e.constant(int(np.iinfo(line.dtype).max), scalar)
    padding = f"{edges}, interior_padding = {i64_array((0, 0))}"
    padded = e.op("stablehlo.pad", (a, largest), (line, scalar), whole, padding)
    types = (step, number, whole, sought)

    def goes_on(bit: str, *_: str) -> _Returned:
        return (compare(e, "GT", bit, e.constant(0, step), step),), (_FLAG,)

    def next_bit(bit: str, found: str, a: str, v: str) -> _Returned:
        bits = e.op("stablehlo.broadcast_in_dim", (bit,), (step,), number, f"broadcast_dimensions = {i64_array(())}")
        candidate = e.op("stablehlo.add", (found, bits), (number, number), number)
        element = _picked(e, a, whole, _binary(e, "subtract", candidate, 1, number), number)
        before, flags = compare(e, direction, element, v, sought), number.with_dtype(np.dtype(bool))
        found = e.op("stablehlo.select", (before, candidate, found), (flags, number, number), number)
        return (_binary(e, "shift_right_logical", bit, 1, step), found, a, v), types

    start = (e.constant(top, step), e.constant(0, number), padded, v)
    regions = f"{_region(e, types, goes_on)}, {_region(e, types, next_bit)}"
    found = e.several("stablehlo.while", start, types, types, "", regions)[1]
    return _binary(e, "minimum", found, n, number), number


RULES.update({"argsort": _argsort, "searchsorted": _searchsorted})
