"""StableHLO for cumulative operations and linear recurrences.

On a CPU a step of a `while` costs about as much as the arithmetic on a hundred numbers, so where there are many lines
side by side, one step after the other is fastest. Fewer lines, and all lines elsewhere, are computed in blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Node
from lilith.ir.type import TensorType
from lowering.emit import RULES, Emitter, Rule, i64_array, while_loop
from lowering.rules.elementwise import compare
from lowering.rules.reduction import highest, lowest

_INDEX = TensorType((), np.dtype(np.int64))

# ---- loops ----------------------------------------------------------------------------------------------------------


def loop(
    e: Emitter,
    count: int,
    state: Sequence[tuple[str, TensorType]],
    step: Callable[[str, list[str]], Sequence[str]],
) -> tuple[str, ...]:
    """The state after `state = step(i, state)` for i = 0, ..., count - 1: one `while`."""

    def condition(names: list[str]) -> str:
        return compare(e, "LT", names[0], e.constant(count, _INDEX), _INDEX)

    def body(names: list[str]) -> Sequence[str]:
        results = step(names[0], names[1:])
        return (e.op("stablehlo.add", (names[0], e.constant(1, _INDEX)), (_INDEX, _INDEX), _INDEX), *results)

    return while_loop(e, ((e.constant(0, _INDEX), _INDEX), *state), condition, body)[1:]


class _Rows:
    """Arrays of shape (before, n, after) as n rows. Where `before` is 1 they are flat, which pins their layout: XLA
    would otherwise make a transposition of a neighbour its own and step through memory in strides."""

    def __init__(self, e: Emitter, before: int, n: int, after: int, dtype: np.dtype):
        self.e, self.n, self.after = e, n, after
        self.flat = before == 1
        self.whole = TensorType((n * after,) if self.flat else (before, n, after), dtype)
        self.row = TensorType((after,) if self.flat else (before, 1, after), dtype)

    def reshaped(self, x: str, type: TensorType) -> str:
        return reshape(self.e, x, type, self.whole.shape)[0]

    def number(self, i: str, backward: bool, offset: int = 0) -> str:
        """The number of the row that step i computes, the first one being there already; moved by `offset`."""
        if backward:
            last = self.e.constant(self.n - 2 + offset, _INDEX)
            return self.e.op("stablehlo.subtract", (last, i), (_INDEX, _INDEX), _INDEX)
        return self.e.op("stablehlo.add", (i, self.e.constant(1 + offset, _INDEX)), (_INDEX, _INDEX), _INDEX)

    def _start(self, k: str) -> tuple[str, ...]:
        zero = self.e.constant(0, _INDEX)
        if not self.flat:
            return zero, k, zero
        return (self.e.op("stablehlo.multiply", (k, self.e.constant(self.after, _INDEX)), (_INDEX, _INDEX), _INDEX),)

    def read(self, x: str, k: str) -> str:
        start = self._start(k)
        types = (self.whole, *[_INDEX] * len(start))
        sizes = f"slice_sizes = {i64_array(self.row.shape)}"
        return self.e.op("stablehlo.dynamic_slice", (x, *start), types, self.row, sizes)

    def write(self, x: str, row: str, k: str) -> str:
        start = self._start(k)
        types = (self.whole, self.row, *[_INDEX] * len(start))
        return self.e.op("stablehlo.dynamic_update_slice", (x, row, *start), types, self.whole)


def _stepwise(
    rows: _Rows,
    arrays: Sequence[str],
    combine: Callable[[Sequence[str], Sequence[str], Sequence[str]], Sequence[str]],
    backward: bool,
    others: Sequence[tuple[str, int]] = (),
) -> tuple[str, ...]:
    """Arrays replaced in place, row by row: rows_k = combine(rows before, rows_k, rows_(k+offset) of the others)."""
    e, count = rows.e, len(arrays)
    first = e.constant(rows.n - 1 if backward else 0, _INDEX)
    state = [(x, rows.whole) for x in (*arrays, *[x for x, _ in others])]
    state += [(rows.read(x, first), rows.row) for x in arrays]

    def step(i: str, values: list[str]) -> Sequence[str]:
        k = rows.number(i, backward)
        now = [rows.read(x, k) for x in values[:count]]
        beside = [
            rows.read(x, rows.number(i, backward, offset) if offset else k)
            for x, (_, offset) in zip(values[count:], others, strict=False)
        ]
        after = combine(values[count + len(others) :], now, beside)
        whole = [rows.write(x, row, k) for x, row in zip(values[:count], after, strict=True)]
        return (*whole, *values[count : count + len(others)], *after)

    return loop(e, rows.n - 1, state, step)[:count]


# ---- shapes ---------------------------------------------------------------------------------------------------------


def reshape(e: Emitter, x: str, type: TensorType, shape: tuple[int, ...]) -> tuple[str, TensorType]:
    """x in another shape, with its type."""
    if type.shape == shape:
        return x, type
    result = type.with_shape(shape)
    return e.op("stablehlo.reshape", (x,), (type,), result), result


def transpose(e: Emitter, x: str, type: TensorType, axes: tuple[int, ...]) -> tuple[str, TensorType]:
    """x with its axes in another order, with its type."""
    result = type.with_shape(tuple([type.shape[axis] for axis in axes]))
    return e.op("stablehlo.transpose", (x,), (type,), result, f"permutation = {i64_array(axes)}"), result


def resize(
    e: Emitter, x: str, type: TensorType, axis: int, low: int, high: int, value: Any = 0
) -> tuple[str, TensorType]:
    """x with a number before and after it along an axis, with its type; negative numbers cut off."""
    if low == high == 0:
        return x, type
    result = type.with_shape((*type.shape[:axis], low + type.shape[axis] + high, *type.shape[axis + 1 :]))
    edges = [[n if k == axis else 0 for k in range(type.ndim)] for n in (low, high, 0)]
    names = ("edge_padding_low", "edge_padding_high", "interior_padding")
    attributes = ", ".join(f"{name} = {i64_array(edge)}" for name, edge in zip(names, edges, strict=True))
    scalar = TensorType((), type.dtype)
    return e.op("stablehlo.pad", (x, e.constant(value, scalar)), (type, scalar), result, attributes), result


def repeat(e: Emitter, x: str, type: TensorType, shape: tuple[int, ...], axes: Sequence[int]) -> str:
    """x with its axes placed at `axes` of a shape, repeated along the others."""
    attribute = f"broadcast_dimensions = {i64_array(axes)}"
    return e.op("stablehlo.broadcast_in_dim", (x,), (type,), type.with_shape(shape), attribute)


class _Blocks:
    """A type (n, lines) in blocks of consecutive rows, so arranged that all blocks advance side by side.

    Attributes:
        type: (size of a block, blocks, lines).
        rows: the same for a stepwise computation.
        between: (blocks, lines), one row per block.
    """

    def __init__(self, e: Emitter, type: TensorType, reverse: bool):
        self.e, self.whole, self.reverse = e, type, reverse
        n, lines = type.shape
        self.size = math.isqrt(n)  # as many steps within blocks as from block to block
        self.count = -(-n // self.size)
        self.type = type.with_shape((self.size, self.count, lines))
        self.rows = _Rows(e, 1, self.size, self.count * lines, type.dtype)
        self.between = type.with_shape((self.count, lines))

    def split(self, x: str) -> str:
        """x as `rows.whole`, zeros after it."""
        n, lines = self.whole.shape
        padded, padded_type = resize(self.e, x, self.whole, 0, 0, self.count * self.size - n)
        blocks, blocks_type = reshape(self.e, padded, padded_type, (self.count, self.size, lines))
        return self.rows.reshaped(*transpose(self.e, blocks, blocks_type, (1, 0, 2)))

    def ends(self, x: str) -> str:
        """The last row of every block."""
        end = 0 if self.reverse else self.size - 1
        row, row_type = resize(self.e, x, self.type, 0, -end, end + 1 - self.size)
        return reshape(self.e, row, row_type, self.between.shape)[0]

    def before(self, x: str, outermost: Any) -> str:
        """For every row of a block, what x: (blocks, lines) has for the block before; a number where there is none."""
        moved, _ = resize(self.e, x, self.between, 0, *((-1, 1) if self.reverse else (1, -1)), value=outermost)
        return repeat(self.e, moved, self.between, self.type.shape, (1, 2))

    def is_first(self) -> str:
        """True in the block that no other is before."""
        block = TensorType(self.type.shape, np.dtype(np.int64))
        number = self.e.op("stablehlo.iota", (), (), block, "iota_dimension = 1 : i64")
        first = self.e.constant(self.count - 1 if self.reverse else 0, block)
        return compare(self.e, "EQ", number, first, block)

    def joined(self, x: str) -> str:
        """The whole again."""
        n, lines = self.whole.shape
        blocks, blocks_type = transpose(self.e, x, self.type, (1, 0, 2))
        padded, padded_type = reshape(self.e, blocks, blocks_type, (self.count * self.size, lines))
        return resize(self.e, padded, padded_type, 0, 0, n - self.count * self.size)[0]


def _along_axis(
    e: Emitter,
    arrays: Sequence[str],
    type: TensorType,
    axis: int,
    in_steps: Callable[[_Rows, list[str]], str],
    of_lines: Callable[[list[str], TensorType], str],
) -> str:
    """An operation along an axis, on the arrays as rows if these are long enough, else as lines (n, lines)."""
    before, n, after = _sizes(type, axis)
    if before > 1 and after >= _MANY_LINES:
        rows = _Rows(e, before, n, after, type.dtype)
        return reshape(e, in_steps(rows, [rows.reshaped(x, type) for x in arrays]), rows.whole, type.shape)[0]
    lines = type.with_shape((n, before * after))
    extra = _stagger(lines) if before > 1 else 0
    wide = lines.with_shape((n, before * after + extra))
    moved = []
    for x in arrays:
        split, split_type = reshape(e, x, type, (before, n, after))
        first, first_type = transpose(e, split, split_type, (1, 0, 2)) if before > 1 else (split, split_type)
        moved.append(resize(e, *reshape(e, first, first_type, lines.shape), 1, 0, extra)[0])
    narrow, narrow_type = resize(e, of_lines(moved, wide), wide, 1, 0, -extra)
    split, split_type = reshape(e, narrow, narrow_type, (n, before, after))
    restored, restored_type = transpose(e, split, split_type, (1, 0, 2)) if before > 1 else (split, split_type)
    return reshape(e, restored, restored_type, type.shape)[0]


def _stagger(lines: TensorType) -> int:
    """How many further lines keep the rows of lines from beginning at equal places in the cache: to transpose what lies
    a multiple of a page apart takes up to 3.5 times as long."""
    _, count = lines.shape
    apart = count * lines.dtype.itemsize
    return _CACHE_LINE // lines.dtype.itemsize if apart and apart % _PAGE == 0 else 0


def _sizes(type: TensorType, axis: int) -> tuple[int, int, int]:
    """The number of elements before, along and after an axis."""
    return math.prod(type.shape[:axis]), type.shape[axis], math.prod(type.shape[axis + 1 :])


# ---- sums, products, extrema ----------------------------------------------------------------------------------------

_PAGE, _CACHE_LINE = 4096, 64

# So many numbers side by side pay for a step of a loop.
_MANY_LINES = 64
# So few steps cost no more than blocks do.
_FEW_STEPS = 400
# Blocks beat one window where there are several lines (1.2 to 5 times for 100 lines of 1000).
_BLOCK = 8
_ONE_WINDOW = 64


class _Operation:
    """An associative operation: StableHLO's name, and its neutral element, a number or a function of the dtype."""

    def __init__(self, e: Emitter, name: str, neutral: Any, dtype: np.dtype):
        self.e, self.name = e, name
        self.neutral = neutral(dtype) if callable(neutral) else neutral

    def apply(self, x: str, y: str, type: TensorType) -> str:
        return self.e.op(self.name, (x, y), (type, type), type)

    def window(self, x: str, type: TensorType, axis: int, reverse: bool) -> str:
        """Cumulative along a short axis, each result over its own window."""
        n, scalar = type.shape[axis], TensorType((), type.dtype)
        window = [n if k == axis else 1 for k in range(type.ndim)]
        low, high = (0, n - 1) if reverse else (n - 1, 0)
        rows = ", ".join(f"[{low}, {high}]" if k == axis else "[0, 0]" for k in range(type.ndim))
        return self.e.op(
            "stablehlo.reduce_window",
            (x, self.e.constant(self.neutral, scalar)),
            (type, scalar),
            type,
            f"window_dimensions = {i64_array(window)}, padding = dense<[{rows}]> : tensor<{type.ndim}x2xi64>",
            self.e.reducer(self.name, type.dtype),
        )


def _in_windows(o: _Operation, x: str, type: TensorType, axis: int, reverse: bool) -> str:
    """Cumulative within blocks, then combined with the cumulative totals of the blocks before."""
    e, n = o.e, type.shape[axis]
    if n <= _ONE_WINDOW:
        return o.window(x, type, axis, reverse)
    before, after = type.shape[:axis], type.shape[axis + 1 :]
    count = -(-n // _BLOCK)
    whole, whole_type = resize(e, x, type, axis, 0, count * _BLOCK - n, o.neutral)
    split, blocks = reshape(e, whole, whole_type, (*before, count, _BLOCK, *after))
    within = o.window(split, blocks, axis + 1, reverse)
    edge = _BLOCK - 1
    last, column = resize(e, within, blocks, axis + 1, *((0, -edge) if reverse else (-edge, 0)))
    totals, totals_type = reshape(e, last, column, (*before, count, *after))
    running = _in_windows(o, totals, totals_type, axis, reverse)
    offsets, _ = resize(e, running, totals_type, axis, *((-1, 1) if reverse else (1, -1)), value=o.neutral)
    repeated = repeat(e, offsets, totals_type, blocks.shape, [k for k in range(blocks.ndim) if k != axis + 1])
    joined, _ = reshape(e, o.apply(within, repeated, blocks), blocks, whole_type.shape)
    return resize(e, joined, whole_type, axis, 0, n - count * _BLOCK)[0]


def _in_steps(o: _Operation, rows: _Rows, x: str, reverse: bool) -> str:
    """Cumulative, row by row; x as `rows.whole`."""

    def combine(before: Sequence[str], now: Sequence[str], _: Sequence[str]) -> Sequence[str]:
        return (o.apply(before[0], now[0], rows.row),)

    return _stepwise(rows, (x,), combine, reverse)[0]


def _of_lines(o: _Operation, x: str, type: TensorType, reverse: bool) -> str:
    """Cumulative along the first axis of x: (n, lines); few lines in blocks, all blocks side by side."""
    e, (n, lines) = o.e, type.shape
    if n <= 1:
        return x
    if lines >= _MANY_LINES or n <= _FEW_STEPS:
        rows = _Rows(e, 1, n, lines, type.dtype)
        return reshape(e, _in_steps(o, rows, rows.reshaped(x, type), reverse), rows.whole, type.shape)[0]
    blocks = _Blocks(e, type, reverse)
    within = reshape(e, _in_steps(o, blocks.rows, blocks.split(x), reverse), blocks.rows.whole, blocks.type.shape)[0]
    before = blocks.before(_of_lines(o, blocks.ends(within), blocks.between, reverse), o.neutral)
    return blocks.joined(o.apply(before, within, blocks.type))


def _cumulative(name: str, neutral: Any) -> Rule:
    def rule(e: Emitter, node: Node, operands: list[str]) -> str:
        (x,), type, axis = operands, node.operands[0].type, node.params["axis"]
        reverse = node.params.get("reverse", False)
        if type.shape[axis] <= 1 or type.size == 0:
            return x
        o = _Operation(e, name, neutral, type.dtype)
        if e.platform != "cpu":
            return _in_windows(o, x, type, axis, reverse)
        return _along_axis(
            e,
            operands,
            type,
            axis,
            lambda rows, xs: _in_steps(o, rows, xs[0], reverse),
            lambda xs, lines: _of_lines(o, xs[0], lines, reverse),
        )

    return rule


RULES.update(
    {
        "cumsum": _cumulative("stablehlo.add", 0),
        "cumprod": _cumulative("stablehlo.multiply", 1),
        "cummax": _cumulative("stablehlo.maximum", lowest),
        "cummin": _cumulative("stablehlo.minimum", highest),
    }
)

# ---- linear recurrences ---------------------------------------------------------------------------------------------


def _step(e: Emitter, a: str, y: str, b: str, type: TensorType) -> str:
    """a y + b."""
    product = e.op("stablehlo.multiply", (a, y), (type, type), type)
    return e.op("stablehlo.add", (product, b), (type, type), type)


def _recurrence_in_steps(rows: _Rows, a: str, b: str, reverse: bool, offset: int) -> str:
    """y_k = a_(k+offset) y_before + b_k, row by row; a and b as `rows.whole`."""

    def combine(before: Sequence[str], now: Sequence[str], factors: Sequence[str]) -> Sequence[str]:
        return (_step(rows.e, factors[0], before[0], now[0], rows.row),)

    return _stepwise(rows, (b,), combine, reverse, ((a, offset),))[0]


def _recurrence_of_lines(e: Emitter, a: str, b: str, type: TensorType, reverse: bool, offset: int) -> str:
    """y_k = a_(k+offset) y_before + b_k of a, b: (n, lines); few lines in blocks, all blocks side by side.

    A block that starts from 0 is off by the product of its factors so far times the result of the block before.
    """
    n, lines = type.shape
    if n <= 1:
        return b
    if lines >= _MANY_LINES or n <= _FEW_STEPS:
        rows = _Rows(e, 1, n, lines, type.dtype)
        y = _recurrence_in_steps(rows, rows.reshaped(a, type), rows.reshaped(b, type), reverse, offset)
        return reshape(e, y, rows.whole, type.shape)[0]
    if offset:
        a, _ = resize(e, a, type, 0, -offset, offset)
    blocks = _Blocks(e, type, reverse)
    rows, t = blocks.rows, blocks.type

    def combine(before: Sequence[str], now: Sequence[str], factors: Sequence[str]) -> Sequence[str]:
        product = e.op("stablehlo.multiply", (factors[0], before[1]), (rows.row, rows.row), rows.row)
        return _step(e, factors[0], before[0], now[0], rows.row), product

    factors, numbers = blocks.split(a), blocks.split(b)
    # the factors are read from an array of their own: were they overwritten, XLA would copy all of them in every step
    results = _stepwise(rows, (numbers, factors), combine, reverse, ((factors, 0),))
    y, p = [reshape(e, x, rows.whole, t.shape)[0] for x in results]
    ends = _recurrence_of_lines(e, blocks.ends(p), blocks.ends(y), blocks.between, reverse, 0)
    carried = _step(e, p, blocks.before(ends, 0), y, t)
    # the first block's factors begin with one that belongs to no step, and may be infinite
    flags = TensorType(t.shape, np.dtype(bool))
    return blocks.joined(e.op("stablehlo.select", (blocks.is_first(), y, carried), (flags, t, t), t))


def _recurrence_by_doubling(e: Emitter, a: str, b: str, type: TensorType, axis: int, reverse: bool) -> str:
    """y_k = a_k y_before + b_k in log₂ n passes: pass s joins results of s steps with those of the s steps before.

    What a pass leaves as it is holds factors that belong to no step, and is never multiplied.
    """
    n, step = type.shape[axis], 1
    while step < n:
        rest = n - step
        late, early = ((0, -step), (-step, 0)) if reverse else ((-step, 0), (0, -step))
        outer = (-rest, 0) if reverse else (0, -rest)
        (a_late, t), (b_late, _) = [resize(e, x, type, axis, *late) for x in (a, b)]
        (a_early, _), (b_early, _) = [resize(e, x, type, axis, *early) for x in (a, b)]
        joined = e.op("stablehlo.multiply", (a_late, a_early), (t, t), t), _step(e, a_late, b_early, b_late, t)
        new = []
        for x, part in zip((a, b), joined, strict=True):
            kept, kept_type = resize(e, x, type, axis, *outer)
            parts, types = ((part, kept), (t, kept_type)) if reverse else ((kept, part), (kept_type, t))
            new.append(e.op("stablehlo.concatenate", parts, types, type, f"dimension = {axis} : i64"))
        (a, b), step = new, 2 * step
    return b


def _linear_recurrence(e: Emitter, node: Node, operands: list[str]) -> str:
    (a, b), type, axis, reverse = operands, node.operands[0].type, node.params["axis"], node.params["reverse"]
    if type.shape[axis] <= 1 or type.size == 0:
        return b
    offset = 1 if reverse else 0
    if e.platform != "cpu":
        if offset:
            a, _ = resize(e, a, type, axis, -offset, offset)
        return _recurrence_by_doubling(e, a, b, type, axis, reverse)
    return _along_axis(
        e,
        operands,
        type,
        axis,
        lambda rows, xs: _recurrence_in_steps(rows, xs[0], xs[1], reverse, offset),
        lambda xs, lines: _recurrence_of_lines(e, xs[0], xs[1], lines, reverse, offset),
    )


RULES["linear_recurrence"] = _linear_recurrence
