"""StableHLO for reductions and positions of extrema."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lilith.ir.graph import Node
from lilith.ir.type import TensorType, kind
from lowering.bounds import recipe
from lowering.calls import region
from lowering.emit import RULES, Emitter, Rule, i64_array, tensor_type
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
"""The extremum of up to so many elements is looked for together with NaN, whatever they are computed from."""


def _extremum(name: str, initial: Any) -> Rule:
    """The rule of max and min. NaN where there is one: XLA:CPU's fast kernels (jaxlib 0.10.2) leave NaN out of them.

    Where the cotangent counts ties, one pass does that and finds NaN. Else a bound by what x is made of may tell that
    there is none; the branch computes x again, which is stored only if others read it. Else NaN is looked for.
    """
    plain = _reduction(name, initial)

    def rule(e: Emitter, node: Node, operands: list[str]) -> str:
        (x,), axes = operands, node.params["axes"]
        type, result = node.operands[0].type, node.results[0].type
        if e.platform != "cpu" or type.dtype.itemsize < 4 or kind(type.dtype) != "f" or not axes:
            return plain(e, node, operands)
        if e.in_kernel:
            return _with_nan(e, plain(e, node, operands), x, type, axes)
        if _is_shared(e, node):
            return _counted(e, node, plain(e, node, operands), x)
        made = recipe(e, node.operands[0]) if type.size > _SMALL else None
        if made is None:
            return _together(e, name, initial(type.dtype), x, type, axes)
        y = plain(e, node, operands)
        again = region(e, lambda: (_with_nan(e, y, made.write(e), type, axes),), (result,))
        branches = f"{again}, {region(e, lambda: (y,), (result,))}"
        return e.several("stablehlo.if", (made.doubtful(e),), (TensorType((), _BOOL),), (result,), "", branches)[0]

    return rule


def _without(type: TensorType, axes: tuple[int, ...]) -> TensorType:
    return TensorType(tuple([n for axis, n in enumerate(type.shape) if axis not in axes]), type.dtype)


def _select(e: Emitter, p: str, x: str, y: str, type: TensorType) -> str:
    return e.op("stablehlo.select", (p, x, y), (type.with_dtype(_BOOL), type, type), type)


def _with_nan(e: Emitter, y: str, x: str, type: TensorType, axes: tuple[int, ...]) -> str:
    """y, and NaN where x holds one."""
    found = reduce(e, "stablehlo.or", False, compare(e, "NE", x, x, type), type.with_dtype(_BOOL), axes)
    result = _without(type, axes)
    return _select(e, found, e.constant(np.nan, result), y, result)


def _together(e: Emitter, name: str, initial: Any, x: str, type: TensorType, axes: tuple[int, ...]) -> str:
    """The extremum, or NaN where x holds one: two reductions in one, which is one pass over x along rows. Along columns
    a sum is fast, of zeros and what is NaN."""
    scalar, flag, result = TensorType((), type.dtype), TensorType((), _BOOL), _without(type, axes)
    if max([axis for axis, n in enumerate(type.shape) if n != 1], default=axes[0]) not in axes:
        good = compare(e, "EQ", x, x, type)
        total = reduce(e, "stablehlo.add", 0, _select(e, good, e.constant(0, type), x, type), type, axes)
        y, found = reduce(e, name, initial, x, type, axes), compare(e, "NE", total, total, result)
    else:
        flags = result.with_dtype(_BOOL)

        def both(names: list[str]) -> list[tuple[str, TensorType]]:
            a, found, b, other = names
            best = e.op(name, (a, b), (scalar, scalar), scalar)
            return [(best, scalar), (e.op("stablehlo.or", (found, other), (flag, flag), flag), flag)]

        y, found = e.several(
            "stablehlo.reduce",
            (x, compare(e, "NE", x, x, type), e.constant(initial, scalar), e.constant(False, flag)),
            (type, type.with_dtype(_BOOL), scalar, flag),
            (result, flags),
            f"dimensions = {i64_array(axes)}",
            e.region((scalar, flag, scalar, flag), both),
        )
    return _select(e, found, e.constant(np.nan, result), y, result)


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

_FEW = 64
"""Fewer results than these do not keep several cores busy. XLA:CPU's fast kernels share one sum of floats."""
_EXACT = {4: 2**24, 8: 2**53}
"""Up to what number floats of so many bytes count."""


def _repeated(e: Emitter, x: str, type: TensorType, whole: TensorType, axes: tuple[int, ...]) -> str:
    """A reduction's result repeated along the reduced axes."""
    kept = [axis for axis in range(whole.ndim) if axis not in axes]
    result = whole.with_dtype(type.dtype)
    return e.op("stablehlo.broadcast_in_dim", (x,), (type,), result, f"broadcast_dimensions = {i64_array(kept)}")


def _converted(e: Emitter, x: str, type: TensorType, dtype: np.dtype) -> str:
    return x if type.dtype == dtype else e.op("stablehlo.convert", (x,), (type,), type.with_dtype(dtype))


def _beaten(e: Emitter, x: str, y: str, whole: TensorType, axes: tuple[int, ...], largest: bool) -> str:
    """One comparison: False at the extrema; where one element is NaN, False everywhere."""
    return compare(e, "LT" if largest else "GT", x, _repeated(e, y, _without(whole, axes), whole, axes), whole)


def _is_shared(e: Emitter, node: Node) -> bool:
    """Whether the cotangent of an extremum is computed beside it."""
    x, y, axes = node.operands[0], node.results[0], node.params["axes"]
    return any(
        user.primitive.name == "extremum_cotangent" and user.operands[1:] == (y, x) and user.params["axes"] == axes
        for user in e.users().get(y, ())
    )


def _counting(whole: TensorType, axes: tuple[int, ...]) -> np.dtype:
    """The dtype to count elements along axes with."""
    n, few = math.prod([whole.shape[axis] for axis in axes]), _without(whole, axes).size < _FEW
    if few and whole.size > _SMALL:
        return whole.dtype if n <= _EXACT[whole.dtype.itemsize] else np.dtype(np.float64)
    return np.dtype(np.int32 if n * (n + 1) < 2**31 else np.int64)


def _counted(e: Emitter, node: Node, y: str, x: str) -> str:
    """The extremum y, or NaN where x holds one, told by the pass that counts how many elements share y.

    Of those that are not beaten, equal ones count 1. What is neither is NaN: it counts as NaN, or for more than all.
    """
    whole, axes = node.operands[0].type, node.params["axes"]
    result, dtype = _without(whole, axes), _counting(whole, axes)
    marks, counts = whole.with_dtype(dtype), result.with_dtype(dtype)
    n = math.prod([whole.shape[axis] for axis in axes])
    beaten = _beaten(e, x, y, whole, axes, node.primitive.name == "reduce_max")
    equal = compare(e, "EQ", x, _repeated(e, y, result, whole, axes), whole)
    neither = _converted(e, x, whole, dtype) if kind(dtype) == "f" else e.constant(n + 1, marks)
    mark = e.op(
        "stablehlo.select", (equal, e.constant(1, marks), neither), (whole.with_dtype(_BOOL), marks, marks), marks
    )
    count = reduce(e, "stablehlo.add", 0, _select(e, beaten, e.constant(0, marks), mark, marks), marks, axes)
    if kind(dtype) == "f":
        found = compare(e, "NE", count, count, counts)
    else:
        found = compare(e, "GT", count, e.constant(n, counts), counts)
    y = _select(e, found, e.constant(np.nan, result), y, result)
    e.counts[y, x, axes] = _select(e, found, e.constant(n, counts), count, counts), counts
    return y


def _extremum_cotangent(e: Emitter, node: Node, operands: list[str]) -> str:
    """g / m at the m elements that are not beaten, 0 elsewhere."""
    (g, y, x), axes, whole = operands, node.params["axes"], node.results[0].type
    if not axes:
        return g
    type, flags = node.operands[0].type.strong, whole.with_dtype(_BOOL)
    beaten = _beaten(e, x, y, whole, axes, node.params["largest"])
    if (y, x, axes) in e.counts:
        count, counts = e.counts[y, x, axes]
    else:
        counts = type.with_dtype(np.dtype(np.int32 if whole.size < 2**31 else np.int64))
        chosen = _converted(e, e.op("stablehlo.not", (beaten,), (flags,), flags), flags, counts.dtype)
        count = reduce(e, "stablehlo.add", 0, chosen, whole.with_dtype(counts.dtype), axes)
    # a narrower dtype would not count to the number of elements
    wide = type.with_dtype(np.dtype(np.float32) if type.dtype.itemsize < 4 else type.dtype)
    count = _converted(e, count, counts, wide.dtype)
    share = e.op("stablehlo.divide", (_converted(e, g, type, wide.dtype), count), (wide, wide), wide)
    repeated = _repeated(e, _converted(e, share, wide, type.dtype), type, whole, axes)
    return _select(e, beaten, e.constant(0, whole), repeated, whole)


RULES["extremum_cotangent"] = _extremum_cotangent
