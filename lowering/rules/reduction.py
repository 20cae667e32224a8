"""StableHLO for reductions and positions of extrema."""

from __future__ import annotations

from typing import Any

import numpy as np

from lilith.ir.graph import Node
from lilith.ir.type import TensorType, kind
from lowering.bounds import recipe
from lowering.calls import region
from lowering.emit import RULES, Emitter, Rule, i64_array, tensor_type, while_loop
from lowering.rules.elementwise import compare


def lowest(dtype: np.dtype) -> Any:
    """The identity of max: -inf, the least integer, False."""
    letter = kind(dtype)
    return -np.inf if letter == "f" else False if letter == "b" else int(np.iinfo(dtype).min)


def highest(dtype: np.dtype) -> Any:
    """The identity of min: +inf, the greatest integer, True."""
    letter = kind(dtype)
    return np.inf if letter == "f" else True if letter == "b" else int(np.iinfo(dtype).max)


_BOOL = np.dtype(bool)


def _all_bits(dtype: np.dtype) -> Any:
    """The identity of a bitwise and."""
    letter = kind(dtype)
    return True if letter == "b" else -1 if letter == "i" else int(np.iinfo(dtype).max)


def reduce(e: Emitter, name: str, initial: Any, x: str, type: TensorType, axes: tuple[int, ...]) -> str:
    """x combined along axes with the operation `name`, starting from `initial`."""
    if not axes:
        return x
    scalar = TensorType((), type.dtype)
    result = TensorType(tuple([n for axis, n in enumerate(type.shape) if axis not in axes]), type.dtype)
    return e.op(
        "stablehlo.reduce",
        (x, e.constant(initial, scalar)),
        (type, scalar),
        result,
        f"dimensions = {i64_array(axes)}",
        e.reducer(name, type.dtype),
    )


def _reduction(name: str, initial: Any) -> Rule:
    """The rule of a reduction; `initial` is a number, or a function from the dtype to it."""

    def rule(e: Emitter, node: Node, operands: list[str]) -> str:
        type = node.operands[0].type
        start = initial(type.dtype) if callable(initial) else initial
        return reduce(e, name, start, operands[0], type, node.params["axes"])

    return rule


def _first_best(e: Emitter, direction: str, value: TensorType, index: TensorType) -> str:
    """A region `(x, i, y, j) -> (x, i) or (y, j)`: the better value, of equal ones the smaller index; NaN is best.

    It is commutative, so that the order in which a device combines elements does not matter.
    """
    flag = TensorType((), np.dtype(bool))
    x, i, y, j = (e.fresh() for _ in range(4))
    outer, e.lines = e.lines, []

    def at_least(a: str, b: str) -> str:
        good = compare(e, direction, a, b, value)
        if kind(value.dtype) != "f":
            return good
        return e.op("stablehlo.or", (good, compare(e, "NE", a, a, value)), (flag, flag), flag)

    x_good, y_good = at_least(x, y), at_least(y, x)
    worse = e.op("stablehlo.not", (y_good,), (flag,), flag)
    earlier = e.op("stablehlo.or", (worse, compare(e, "LT", i, j, index)), (flag, flag), flag)
    chosen = e.op("stablehlo.and", (x_good, earlier), (flag, flag), flag)
    best = e.op("stablehlo.select", (chosen, x, y), (flag, value, value), value)
    place = e.op("stablehlo.select", (chosen, i, j), (flag, index, index), index)
    e.several("stablehlo.return", (best, place), (value, index), (), "")
    body, e.lines = "\n".join(e.lines), outer
    arguments = ", ".join(f"{name}: {tensor_type(t)}" for name, t in ((x, value), (i, index), (y, value), (j, index)))
    return f"{{ ^bb0({arguments}):\n{body} }}"


def _position(direction: str, initial: Any) -> Rule:
    """A reduction of pairs (value, index)."""

    def rule(e: Emitter, node: Node, operands: list[str]) -> str:
        type, result, axis = node.operands[0].type, node.results[0].type, node.params["axis"]
        dtype = np.dtype(np.int32 if type.shape[axis] < 2**31 else np.int64)
        indices, value, index = TensorType(type.shape, dtype), TensorType((), type.dtype), TensorType((), dtype)
        positions = e.op("stablehlo.iota", (), (), indices, f"iota_dimension = {axis} : i64")
        _, place = e.several(
            "stablehlo.reduce",
            (operands[0], positions, e.constant(initial(type.dtype), value), e.constant(0, index)),
            (type, indices, value, index),
            (result.with_dtype(type.dtype), result.with_dtype(dtype)),
            f"dimensions = {i64_array((axis,))}",
            _first_best(e, direction, value, index),
        )
        return e.op("stablehlo.convert", (place,), (result.with_dtype(dtype),), result)

    return rule


_SMALL = 4096
"""Up to so many elements are looked through for NaN; of more, a sum tells whether that is worth while."""


def _extremum(name: str, initial: Any) -> Rule:
    """The rule of max and min. NaN where there is one: XLA:CPU's fast kernels (jaxlib 0.10.2) leave NaN out of them.

    A bound by what x is made of tells that there is none, where that is much less than x, or a sum of x, which those
    kernels do as fast: it is NaN if any element is (or if there are infinities of both signs). So the comparison of
    every element with itself is left to the arrays that need it. The branch computes x again, which is stored only if
    others read it.
    """
    plain = _reduction(name, initial)

    def rule(e: Emitter, node: Node, operands: list[str]) -> str:
        y, (x,), axes = plain(e, node, operands), operands, node.params["axes"]
        type, result = node.operands[0].type, node.results[0].type
        if e.platform != "cpu" or type.dtype.itemsize < 4 or kind(type.dtype) != "f" or not axes:
            return y
        if type.size <= _SMALL:
            return _with_nan(e, y, x, type, result, axes)
        made = recipe(e, node.operands[0])
        if made is None:
            return _with_nan_if_the_sum_is(e, y, x, type, result, axes)
        again = region(e, lambda: (_with_nan_if_the_sum_is(e, y, made.write(e), type, result, axes),), (result,))
        return _either(e, made.doubtful(e), again, y, result)

    return rule


def _with_nan(e: Emitter, y: str, x: str, type: TensorType, result: TensorType, axes: tuple[int, ...]) -> str:
    """y, and NaN where x holds one."""
    found = reduce(e, "stablehlo.or", False, compare(e, "NE", x, x, type), type.with_dtype(_BOOL), axes)
    chosen = (found, e.constant(np.nan, result), y)
    return e.op("stablehlo.select", chosen, (result.with_dtype(_BOOL), result, result), result)


def _with_nan_if_the_sum_is(
    e: Emitter, y: str, x: str, type: TensorType, result: TensorType, axes: tuple[int, ...]
) -> str:
    """The same, which looks at x only if a sum of it is NaN."""
    total = reduce(e, "stablehlo.add", 0, x, type, axes)
    doubtful = compare(e, "NE", total, total, result)
    flag = reduce(e, "stablehlo.or", False, doubtful, result.with_dtype(_BOOL), tuple(range(result.ndim)))
    return _either(e, flag, region(e, lambda: (_with_nan(e, y, x, type, result, axes),), (result,)), y, result)


def _either(e: Emitter, flag: str, then: str, y: str, result: TensorType) -> str:
    """What the region `then` gives if the flag is set, else y."""
    branches = f"{then}, {region(e, lambda: (y,), (result,))}"
    return e.several("stablehlo.if", (flag,), (TensorType((), _BOOL),), (result,), "", branches)[0]


RULES.update(
    {
        "reduce_sum": _reduction("stablehlo.add", 0),
        "reduce_prod": _reduction("stablehlo.multiply", 1),
        "reduce_max": _extremum("stablehlo.maximum", lowest),
        "reduce_min": _extremum("stablehlo.minimum", highest),
        "exponent_shift": _reduction("stablehlo.maximum", lowest),
        "reduce_and": _reduction("stablehlo.and", _all_bits),
        "reduce_or": _reduction("stablehlo.or", 0),
        "argmax": _position("GE", lowest),
        "argmin": _position("LE", highest),
    }
)

# ---- cotangents of extrema ------------------------------------------------------------------------------------------

# Below this many elements a count of ties costs less than the question whether there are any.
_FEW_ELEMENTS = 4096
_FLAG = TensorType((), np.dtype(bool))


def _repeated(e: Emitter, x: str, type: TensorType, whole: TensorType, axes: tuple[int, ...]) -> str:
    """A reduction's result repeated along the reduced axes."""
    kept = [axis for axis in range(whole.ndim) if axis not in axes]
    result = whole.with_dtype(type.dtype)
    return e.op("stablehlo.broadcast_in_dim", (x,), (type,), result, f"broadcast_dimensions = {i64_array(kept)}")


class _Extremum:
    """The cotangent of one extremum over axes: g is shared by the elements x that are not beaten by the extremum y."""

    def __init__(self, e: Emitter, node: Node, operands: list[str]):
        self.e, self.axes = e, node.params["axes"]
        self.g, self.y, self.x = operands
        self.whole = node.results[0].type
        self.type = node.operands[0].type.strong
        self.direction = "LT" if node.params["largest"] else "GT"

    def beaten(self) -> str:
        """One comparison: False at the extrema; where one element is NaN, False everywhere."""
        repeated = _repeated(self.e, self.y, self.type, self.whole, self.axes)
        return compare(self.e, self.direction, self.x, repeated, self.whole)

    def to_all(self, g: str) -> str:
        """g at the elements that are not beaten, 0 elsewhere."""
        flags, whole = self.whole.with_dtype(_FLAG.dtype), self.whole
        repeated = _repeated(self.e, g, self.type, whole, self.axes)
        operands = (self.beaten(), self.e.constant(0, whole), repeated)
        return self.e.op("stablehlo.select", operands, (flags, whole, whole), whole)

    def converted(self, x: str, type: TensorType, dtype: np.dtype) -> str:
        return x if type.dtype == dtype else self.e.op("stablehlo.convert", (x,), (type,), type.with_dtype(dtype))

    def shared(self) -> str:
        """g / m at the m elements that are not beaten, 0 elsewhere."""
        e, flags = self.e, self.whole.with_dtype(_FLAG.dtype)
        # a narrower dtype would not count to the number of elements
        wide = np.dtype(np.float32) if self.type.dtype.itemsize < 4 else self.type.dtype
        chosen = e.op("stablehlo.not", (self.beaten(),), (flags,), flags)
        ones = self.converted(chosen, flags, wide)
        count, counts = (
            reduce(e, "stablehlo.add", 0, ones, self.whole.with_dtype(wide), self.axes),
            self.type.with_dtype(wide),
        )
        share = e.op("stablehlo.divide", (self.converted(self.g, self.type, wide), count), (counts, counts), counts)
        return self.to_all(self.converted(share, counts, self.type.dtype))

    def shared_where_tied(self) -> str:
        """The same. Every extremum is given all of g first; summed again, that is g unless there are ties (or NaN).

        A CPU sums an array several times faster than it counts what a comparison finds. A loop of one round or none
        divides: XLA lets it work in place.
        """
        e, whole, flags = self.e, self.whole, self.type.with_dtype(_FLAG.dtype)
        undivided = self.to_all(self.g)
        total = reduce(e, "stablehlo.add", 0, undivided, whole, self.axes)
        several = compare(e, "NE", total, self.g, self.type)
        ties = reduce(e, "stablehlo.or", False, several, flags, tuple(range(flags.ndim)))
        start = ((ties, _FLAG), (undivided, whole))
        return while_loop(e, start, lambda now: now[0], lambda _: (e.constant(False, _FLAG), self.shared()))[1]


def _extremum_cotangent(e: Emitter, node: Node, operands: list[str]) -> str:
    """Elementwise operations that follow are one pass with a plain selection; else asking for ties first pays."""
    if not node.params["axes"]:
        return operands[0]
    extremum = _Extremum(e, node, operands)
    if e.platform == "cpu" and extremum.whole.size >= _FEW_ELEMENTS and e.is_stored(node.results[0]):
        return extremum.shared_where_tied()
    return extremum.shared()


RULES["extremum_cotangent"] = _extremum_cotangent
