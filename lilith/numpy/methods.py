"""`ufunc.reduce`, `ufunc.accumulate` and `ufunc.reduceat` on tracers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Value
from lilith.ir.type import kind
from lilith.numpy import reductions, ufuncs
from lilith.numpy.core import (
    convert,
    dtype_of,
    full,
    is_default,
    lift,
    normalize_axis,
    raise_unsupported,
    static_int,
    wrap,
)
from lilith.numpy.reductions import (
    BOOL,
    NOT_GIVEN,
    edge,
    kept,
    masked,
    reduced_axes,
    running_log_sum,
    running_product,
    running_sum,
    scanned,
    sum_dtype,
)
from lilith.numpy.shaping import expand_dims, squeeze
from lilith.numpy.ufunc import resolve
from lilith.ops import cumulative, reduction, shape
from lilith.source import IndexingError, ShapeError, UnsupportedError
from lilith.trace import current_trace
from lilith.tracer import ACCUMULATIONS, FUNCTIONS, REDUCTIONS


def _reduce_method(ufunc: Any, function: Callable[..., Value], **fixed: Any) -> None:
    """`ufunc.reduce(x)`: over the first axis unless another is named."""

    def method(
        array: Any,
        axis: Any = 0,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = False,
        initial: Any = NOT_GIVEN,
        where: Any = True,
    ) -> Any:
        current_trace()
        options = {"keepdims": keepdims, "where": where, "initial": initial, "dtype": dtype}
        given = {k: v for k, v in options.items() if k in fixed["takes"]}
        for name in options.keys() - given.keys():
            if not is_default(options[name], {"where": True, "keepdims": False}.get(name, NOT_GIVEN)):
                raise_unsupported(f"{ufunc.__name__}.reduce", name)
        return wrap(function(array, axis, **given))

    REDUCTIONS[ufunc] = method


_ALL_OPTIONS = ("keepdims", "where", "initial", "dtype")
_reduce_method(np.add, reductions.sum, takes=_ALL_OPTIONS)
_reduce_method(np.multiply, reductions.prod, takes=_ALL_OPTIONS)
_reduce_method(np.maximum, reductions.max, takes=("keepdims", "where", "initial"))
_reduce_method(np.minimum, reductions.min, takes=("keepdims", "where", "initial"))
_reduce_method(np.logical_and, reductions.all, takes=("keepdims", "where"))
_reduce_method(np.logical_or, reductions.any, takes=("keepdims", "where"))


def _reduceat(ufunc: Any, array: Any, indices: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    """`ufunc.reduceat(x, indices)` at known places: of x[i:j] for neighbours i < j, else x[i] itself."""
    current_trace()
    name = f"{ufunc.__name__}.reduceat"
    if ufunc not in REDUCTIONS:
        raise UnsupportedError(f"np.{name} of traced arrays is not supported", hint="np.add.reduceat and the like are")
    x = lift(array)
    place = normalize_axis(axis, x.ndim, name)
    n = x.shape[place]
    starts = [static_int(i, name, "an index") for i in np.ravel(indices)]
    for i in starts:
        if not 0 <= i < n:
            raise IndexingError(
                f"{name}: index {i} is out of bounds for axis {axis} with size {n}", hint=f"0 to {n - 1}"
            )
    parts = []
    for i, j in zip(starts, [*starts[1:], n], strict=True):
        piece = shape.part(x, place, i, max(j, i + 1))
        options = {} if dtype is None else {"dtype": dtype}
        parts.append(expand_dims(lift(REDUCTIONS[ufunc](wrap(piece), axis=place, **options)), place))
    if not parts:
        return wrap(shape.part(x, place, 0, 0))
    return wrap(shape.concatenate(*parts, axis=place) if len(parts) > 1 else parts[0])


FUNCTIONS["reduceat"] = _reduceat


def _bitwise(primitive: Any, neutral: int) -> Callable[..., Value]:
    def rule(a: Any, axis: Any = None, keepdims: Any = False, where: Any = True) -> Value:
        x = masked(lift(a), where, neutral if kind(lift(a).dtype) == "i" else edge(lift(a).dtype, not neutral))
        axes = reduced_axes(axis, x.ndim, "reduce")
        return kept(x, axes, primitive(x, axes=axes), keepdims)

    return rule


def _folding(ufunc: ufuncs.Ufunc) -> Callable[..., Value]:
    """The reduction of an associative ufunc without a primitive: halves are combined until one is left."""

    def rule(a: Any, axis: Any = None, keepdims: Any = False) -> Value:
        x = lift(a)
        axes = reduced_axes(axis, x.ndim, f"{ufunc.name}.reduce")
        # one element is no ufunc's work, but has the dtype of its results
        x = convert(x, resolve(ufunc.ufunc, (x.type, x.type), None)[1][0])
        if 0 in [x.shape[place] for place in axes]:
            if ufunc.ufunc.identity is None:
                raise ShapeError(
                    f"{ufunc.name}.reduce: {x.type} is empty along axes {axes}", hint="check for an empty array first"
                )
            x = full(ufunc.ufunc.identity, tuple([1 if i in axes else n for i, n in enumerate(x.shape)]), x.dtype)
        for place in axes:
            while (n := x.shape[place]) > 1:
                half = n // 2
                joined = ufunc(shape.part(x, place, 0, half), shape.part(x, place, half, 2 * half))
                x = shape.concatenate(joined, shape.part(x, place, n - 1, n), axis=place) if n % 2 else joined
        return x if keepdims else squeeze(x, axes)

    return rule


_reduce_method(np.bitwise_and, _bitwise(reduction.reduce_and, -1), takes=("keepdims", "where"))
_reduce_method(np.bitwise_or, _bitwise(reduction.reduce_or, 0), takes=("keepdims", "where"))
for _ufunc in (
    ufuncs.bitwise_xor, ufuncs.logical_xor, ufuncs.logaddexp, ufuncs.logaddexp2, ufuncs.fmax, ufuncs.fmin, ufuncs.hypot
):  # fmt: skip
    _reduce_method(_ufunc.ufunc, _folding(_ufunc), takes=("keepdims",))


def _accumulate_method(ufunc: ufuncs.Ufunc, running: Callable[[Value, int], Value] | None = None) -> None:
    """`ufunc.accumulate(x)` along one axis."""
    widens = ufunc.ufunc in (np.add, np.multiply)
    logical = ufunc.ufunc in (np.logical_and, np.logical_or, np.logical_xor)

    def method(array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        current_trace()
        x = lift(array)
        if dtype is not None:
            x = convert(x, dtype_of(dtype))
        elif widens or logical:
            x = convert(x, BOOL if logical else sum_dtype(x.dtype))
        place = normalize_axis(axis, x.ndim, f"{ufunc.name}.accumulate")
        return wrap(running(x, place) if running else scanned(x, place, ufunc))

    ACCUMULATIONS[ufunc.ufunc] = method


def _extreme(primitive: Any) -> Callable[[Value, int], Value]:
    return lambda x, axis: primitive(x, axis=axis)


for _ufunc, _running in {
    ufuncs.add: running_sum,
    ufuncs.multiply: running_product,
    ufuncs.maximum: _extreme(cumulative.cummax),
    ufuncs.minimum: _extreme(cumulative.cummin),
    ufuncs.logical_or: _extreme(cumulative.cummax),
    ufuncs.logical_and: _extreme(cumulative.cummin),
    ufuncs.logaddexp: running_log_sum,
}.items():
    _accumulate_method(_ufunc, _running)
for _ufunc in (
    ufuncs.fmax, ufuncs.fmin, ufuncs.logical_xor, ufuncs.bitwise_and, ufuncs.bitwise_or, ufuncs.bitwise_xor,
    ufuncs.logaddexp2, ufuncs.hypot,
):  # fmt: skip
    _accumulate_method(_ufunc)
