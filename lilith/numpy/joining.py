"""Functions that join arrays and take them apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from lilith.ir.graph import Value
from lilith.numpy.core import implements, joined, lift, normalize_axis, static_int
from lilith.numpy.indexing import take_item
from lilith.numpy.shaping import atleast_1d, atleast_2d, atleast_3d, ravel, reshaped
from lilith.ops import shape
from lilith.source import ArgumentError, ShapeError

# ---- joining ------------------------------------------------------------------------------------------------------


def items(arrays: Any, name: str) -> list[Any]:
    """A sequence of arrays; an array stands for its items along the first axis."""
    if isinstance(arrays, list | tuple):
        return list(arrays)
    if hasattr(arrays, "shape"):
        x = lift(arrays)
        if x.ndim:
            return [take_item(x, i) for i in range(x.shape[0])]
    raise ArgumentError(f"{name}: takes a sequence of arrays, got {type(arrays).__name__}", hint=f"np.{name}([x, y])")


@implements(np.concatenate)
def concatenate(arrays: Any, /, axis: Any = 0, *, dtype: Any = None) -> Value:
    """numpy.concatenate."""
    found = items(arrays, "concatenate")
    if not found:
        raise ShapeError("concatenate: nothing to join", hint="give at least one array")
    values = joined(*found, dtype=dtype)
    if axis is None:
        values, axis = [ravel(x) for x in values], 0
    if values[0].ndim == 0:
        raise ShapeError("concatenate: arrays without axes cannot be joined", hint="np.stack([x, y])")
    place = normalize_axis(axis, values[0].ndim, "concatenate")
    return shape.concatenate(*values, axis=place) if len(values) > 1 else values[0]


@implements(np.stack)
def stack(arrays: Any, axis: Any = 0, *, dtype: Any = None) -> Value:
    """numpy.stack."""
    found = items(arrays, "stack")
    if not found:
        raise ShapeError("stack: nothing to stack", hint="give at least one array")
    values = joined(*found, dtype=dtype)
    sizes = values[0].shape
    for x in values:
        if x.shape != sizes:
            raise ShapeError(f"stack: {values[0].type} and {x.type} differ in shape", hint="all need the same shape")
    place = normalize_axis(axis, len(sizes) + 1, "stack")
    raised = [shape.reshape(x, shape=(*sizes[:place], 1, *sizes[place:])) for x in values]
    return shape.concatenate(*raised, axis=place) if len(raised) > 1 else raised[0]


@implements(np.vstack)
def vstack(tup: Any, *, dtype: Any = None) -> Value:
    """numpy.vstack."""
    return concatenate([atleast_2d(x) for x in items(tup, "vstack")], dtype=dtype)


@implements(np.hstack)
def hstack(tup: Any, *, dtype: Any = None) -> Value:
    """numpy.hstack."""
    values = [atleast_1d(x) for x in items(tup, "hstack")]
    return concatenate(values, axis=0 if values and values[0].ndim == 1 else 1, dtype=dtype)


@implements(np.dstack)
def dstack(tup: Any) -> Value:
    """numpy.dstack."""
    return concatenate([atleast_3d(x) for x in items(tup, "dstack")], axis=2)


@implements(np.column_stack)
def column_stack(tup: Any) -> Value:
    """numpy.column_stack."""
    values = [lift(x) for x in items(tup, "column_stack")]
    return concatenate([x if x.ndim > 1 else reshaped(x, (x.type.size, 1)) for x in values], axis=1)


@implements(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Value:
    """numpy.append."""
    return concatenate((arr, values), axis=axis)


@implements(np.block)
def block(arrays: Any) -> Value:
    """numpy.block: nested lists, the innermost joined along the last axis."""
    depth, inner = 0, arrays
    while isinstance(inner, list):
        depth, inner = depth + 1, inner[0]
    ndim = max(depth, _deepest(arrays))

    def build(part: Any, level: int) -> Value:
        if not isinstance(part, list):
            x = lift(part)
            return reshaped(x, (1,) * (ndim - x.ndim) + x.shape)
        return concatenate([build(p, level + 1) for p in part], axis=level - depth)

    return build(arrays, 0)


def _deepest(part: Any) -> int:
    return max([_deepest(p) for p in part]) if isinstance(part, list) else lift(part).ndim


# ---- parts --------------------------------------------------------------------------------------------------------


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> list[Value]:
    """numpy.array_split at known places."""
    x = lift(ary)
    place = normalize_axis(axis, x.ndim, "array_split")
    n = x.shape[place]
    if isinstance(indices_or_sections, list | tuple | np.ndarray):
        cuts = [static_int(i, "split", "a place") for i in indices_or_sections]
    else:
        count = static_int(indices_or_sections, "split", "the number of parts")
        if count <= 0:
            raise ArgumentError(f"split: {count} parts", hint="at least one")
        cuts = [i * (n // count) + min(i, n % count) for i in range(1, count)]
    edges = list(zip([0, *cuts], [*cuts, None], strict=True))
    return [take_item(x, (*[slice(None)] * place, slice(begin, end))) for begin, end in edges]


def split_evenly(ary: Any, indices_or_sections: Any, axis: Any = 0) -> list[Value]:
    """numpy.split."""
    x = lift(ary)
    if not isinstance(indices_or_sections, list | tuple | np.ndarray):
        count = static_int(indices_or_sections, "split", "the number of parts")
        n = x.shape[normalize_axis(axis, x.ndim, "split")]
        if count <= 0 or n % count:
            raise ShapeError(f"split: {n} (axis {axis} of {x.type}) is not {count} equal parts", hint="np.array_split")
    return array_split(x, indices_or_sections, axis)


split = implements(np.split)(split_evenly)


@implements(np.hsplit)
def hsplit(ary: Any, indices_or_sections: Any) -> list[Value]:
    """numpy.hsplit."""
    x = lift(ary)
    return split(x, indices_or_sections, 0 if x.ndim == 1 else 1)


@implements(np.vsplit)
def vsplit(ary: Any, indices_or_sections: Any) -> list[Value]:
    """numpy.vsplit."""
    return split(ary, indices_or_sections, 0)


@implements(np.dsplit)
def dsplit(ary: Any, indices_or_sections: Any) -> list[Value]:
    """numpy.dsplit."""
    return split(ary, indices_or_sections, 2)


@implements(np.unstack)
def unstack(x: Any, /, *, axis: Any = 0) -> tuple[Value, ...]:
    """numpy.unstack."""
    x = lift(x)
    place = normalize_axis(axis, x.ndim, "unstack")
    return tuple([take_item(x, (*[slice(None)] * place, i)) for i in range(x.shape[place])])
