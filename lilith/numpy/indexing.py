"""x[key] with indices that are known while tracing."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from lilith.ir.graph import Value
from lilith.numpy.core import full, implements, lift, normalize_axis
from lilith.ops import indexing, shape
from lilith.source import IndexingError, UnsupportedError
from lilith.trace import current_trace
from lilith.tracer import FUNCTIONS, Tracer

FEW = 16
"""Up to so many rows are picked one by one."""

_INTS = (int, np.integer)


def getitem(x: Tracer, key: Any) -> Tracer:
    """x[key]."""
    trace = current_trace()
    value = trace.lift(x)
    return Tracer(take_item(value, key), trace)


FUNCTIONS["getitem"] = getitem


def take_item(x: Value, key: Any) -> Value:
    """x[key] as a Value: slices, then reversals, then one reshape for the axes that ints remove and None adds."""
    if type(key) is int and x.ndim:
        return _leading(x, (key,))
    if type(key) is not tuple:
        key = (key,)
    elif key and len(key) <= x.ndim and all([type(k) is int for k in key]):
        return _leading(x, key)
    if not all([_is_basic(k) for k in key]):
        return _advanced(x, key)
    start, limit, stride, reversed_, result = _regions(x, _full_key(x, key))
    y = x
    if limit != x.shape or any(start) or any([s != 1 for s in stride]):
        y = indexing.slice(x, start=start, limit=limit, stride=stride)
    if reversed_:
        y = shape.rev(y, axes=reversed_)
    return y if y.shape == result else shape.reshape(y, shape=result)


def _leading(x: Value, key: tuple[int, ...]) -> Value:
    """x[i, j] with Python ints, the quick way."""
    sizes = x.type.shape
    start = list(key)
    for axis, i in enumerate(key):
        n = sizes[axis]
        if i < 0:
            start[axis] = i + n
        if not -n <= i < n:
            raise _out_of_bounds(i, axis, x)
    count = len(key)
    rest = sizes[count:]
    part = indexing.slice(
        x,
        start=(*start, *[0] * len(rest)),
        limit=(*[i + 1 for i in start], *rest),
        stride=(1,) * len(sizes),
    )
    return shape.reshape(part, shape=rest)


def _out_of_bounds(i: int, axis: int, x: Value) -> IndexingError:
    n = x.shape[axis]
    return IndexingError(
        f"index {i} is out of bounds for axis {axis} with size {n} ({x.type})", hint=f"{-n} <= index < {n}"
    )


def _is_basic(k: Any) -> bool:
    """Whether NumPy treats it as a basic index; tracers are asked for their value (a guard) where they are integers."""
    return k is None or k is Ellipsis or isinstance(k, slice) or (isinstance(k, _INTS) and not isinstance(k, bool))


def _full_key(x: Value, key: tuple) -> list[Any]:
    """The key with the ellipsis written out and full slices at the end."""
    used = sum([k is not None and k is not Ellipsis for k in key])
    if used > x.ndim:
        raise IndexingError(f"{used} indices for {x.type}, which has {x.ndim} axes", hint=f"at most {x.ndim} indices")
    dots = sum([k is Ellipsis for k in key])
    if dots > 1:
        raise IndexingError("an index has more than one ellipsis (...)", hint="write : for the other axes")
    rest = [slice(None)] * (x.ndim - used)
    if not dots:
        return [*key, *rest]
    place = next(i for i, k in enumerate(key) if k is Ellipsis)
    return [*key[:place], *rest, *key[place + 1 :]]


def _regions(x: Value, key: list[Any]) -> tuple[tuple, tuple, tuple, tuple, tuple]:
    """Start, limit and stride per axis, the axes to reverse, and the result's shape."""
    start: list[int] = []
    limit: list[int] = []
    stride: list[int] = []
    backward: list[int] = []
    result: list[int] = []
    for k in key:
        axis = len(start)
        if k is None:
            result.append(1)
            continue
        if isinstance(k, slice):
            begin, step, count = _region(k, x.shape[axis])
            if step < 0:
                begin, step = begin + (count - 1) * step, -step
                if count > 1:
                    backward.append(axis)
            result.append(count)
        else:
            begin, step, count = _position(int(k), axis, x), 1, 1
        begin, step = (begin, step) if count else (0, 1)
        start.append(begin)
        limit.append(begin + (count - 1) * step + 1 if count else begin)
        stride.append(step if count > 1 else 1)
    return tuple(start), tuple(limit), tuple(stride), tuple(backward), tuple(result)


def _region(k: slice, n: int) -> tuple[int, int, int]:
    """First element, step and number of elements of a slice of an axis of length n."""
    try:
        begin, end, step = k.indices(n)
    except ValueError as error:
        raise IndexingError(f"slice {k}: {error}", hint="a step that is not 0") from error
    return begin, step, len(range(begin, end, step))


def _position(i: int, axis: int, x: Value) -> int:
    n = x.shape[axis]
    if not -n <= i < n:
        raise _out_of_bounds(i, axis, x)
    return i + n if i < 0 else i


# ---- index arrays --------------------------------------------------------------------------------------------------


def _advanced(x: Value, key: tuple) -> Value:
    """Index arrays, masks and traced ints. Their contents must be known, and one axis at a time is picked from."""
    if len(key) == 1 and isinstance(key[0], bool | np.bool_):
        return _bool_scalar(x, bool(key[0]))
    arrays = [i for i, k in enumerate(key) if not _is_basic(k)]
    for i in arrays:
        if isinstance(key[i], Tracer):
            key = (*key[:i], _traced(key[i]), *key[i + 1 :])
    arrays = [i for i in arrays if not _is_basic(key[i])]
    if not arrays:
        return take_item(x, key)
    if len(arrays) > 1:
        raise UnsupportedError(
            f"x[{_text(key)}] of a traced array ({x.type}): several index arrays",
            hint="index one axis at a time, x[i][:, j]; or sum x * mask with a mask made by np.where or np.eye",
        )
    place = arrays[0]
    indices = _static_indices(key[place], x, key, place)
    axis = sum([k is not None and k is not Ellipsis for k in key[:place]])
    if Ellipsis in [k for k in key[:place] if k is Ellipsis]:
        axis = x.ndim - sum([k is not None for k in key[place:]])
    rows = take_item(x, tuple([slice(None)] * axis)) if axis else x
    picked = _pick(rows, indices.reshape(-1), axis)
    picked = shape.reshape(picked, shape=(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    others = (*key[:place], *[slice(None)] * indices.ndim, *key[place + 1 :])
    if any([isinstance(k, _INTS) for k in others]):
        raise UnsupportedError(
            f"x[{_text(key)}] of a traced array ({x.type}): an int beside an index array", hint="index twice: x[i][j]"
        )
    return take_item(picked, others)


def _bool_scalar(x: Value, given: bool) -> Value:
    """x[True] is x with a new axis of size 1, x[False] one of size 0."""
    return shape.reshape(x, shape=(1, *x.shape)) if given else full(0, (0, *x.shape), x.dtype)


def _traced(k: Tracer) -> Any:
    """A traced scalar index as the int that `operator.index` gives; a traced index array has no known contents."""
    if k.shape == () and k.dtype.kind in "iu":
        return operator.index(k)
    raise UnsupportedError(
        f"indexing with a traced array ({k.value.type}), whose contents are not known while tracing",
        hint="choose with np.where(mask, x, y), slice with Python ints, or pass the index as a Python int",
        tracers=(k,),
    )


def _static_indices(k: Any, x: Value, key: tuple, place: int) -> np.ndarray:
    """An index array or mask with known contents, as integers."""
    indices = np.asarray(k)
    if indices.size == 0:
        indices = indices.astype(int)
    if indices.dtype == bool and indices.ndim == 1:
        axis = sum([k is not None for k in key[:place]])
        if axis < x.ndim and indices.size != x.shape[axis]:
            raise IndexingError(
                f"a mask of {indices.size} elements for axis {axis} with size {x.shape[axis]} ({x.type})",
                hint="the mask needs the axis's size",
            )
        return np.flatnonzero(indices)
    if indices.dtype.kind not in "iu":
        raise UnsupportedError(
            f"x[{_text(key)}] of a traced array ({x.type})", hint="index with ints, slices, None, ... or integer arrays"
        )
    return indices


def _pick(x: Value, indices: np.ndarray, axis: int) -> Value:
    """Rows of x along an axis: runs of equal steps as slices, joined; a refusal where there are many runs."""
    n = x.shape[axis]
    for i in indices.tolist():
        if not -n <= i < n:
            raise _out_of_bounds(i, axis, x)
    runs = _runs([i % n for i in indices.tolist()])
    if len(runs) > FEW:
        raise UnsupportedError(
            f"indexing a traced array ({x.type}) with {indices.size} scattered indices",
            hint="use slices, np.where(mask, x, y), or a product with a matrix of zeros and ones: np.eye(n)[i] @ x",
        )
    parts = [take_item(x, (*[slice(None)] * axis, run)) for run in runs]
    if not parts:
        return full(0, (*x.shape[:axis], 0, *x.shape[axis + 1 :]), x.dtype)
    return parts[0] if len(parts) == 1 else shape.concatenate(*parts, axis=axis)


def _runs(indices: list[int]) -> list[slice]:
    """The fewest slices, taken greedily, that list the indices in order."""
    runs: list[slice] = []
    i = 0
    while i < len(indices):
        step = indices[i + 1] - indices[i] if i + 1 < len(indices) else 1
        j = i + 1
        while step and j < len(indices) and indices[j] - indices[j - 1] == step:
            j += 1
        step = step or 1
        end = indices[i] + (j - i - 1) * step + (1 if step > 0 else -1)
        runs.append(slice(indices[i], end if end >= 0 else None, step))
        i = j
    return runs


def _text(key: tuple) -> str:
    parts = []
    for k in key:
        if isinstance(k, Tracer):
            parts.append(repr(k.value.type))
        elif isinstance(k, slice):
            parts.append(":")
        else:
            parts.append("..." if k is Ellipsis else type(k).__name__ if isinstance(k, np.ndarray) else str(k))
    return ", ".join(parts)


@implements(np.take)
def take(a: Any, indices: Any, axis: Any = None) -> Value:
    """numpy.take at known positions."""
    x = lift(a)
    if axis is None:
        x, axis = shape.reshape(x, shape=(x.type.size,)), 0
    return take_item(x, (*[slice(None)] * normalize_axis(axis, x.ndim, "take"), _as_index(indices)))


def _as_index(indices: Any) -> Any:
    return np.asarray(indices) if isinstance(indices, list | tuple) else indices
