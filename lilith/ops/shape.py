"""Primitives that make, move and repeat elements without arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Literal, Value, fill_like
from lilith.ir.primitive import ZERO, Primitive, per_operand, primitive
from lilith.ir.type import TensorType, dtype_name, is_supported, kind
from lilith.ops.elementwise import NUMBER, check_kind, repeat_leading, select
from lilith.source import DtypeError, ShapeError

Axes = tuple[int, ...]


def shifted(axes: Axes) -> Axes:
    """Axis numbers after a new leading axis."""
    return tuple([axis + 1 for axis in axes])


def check_axes(name: str, x: TensorType, axes: Axes) -> None:
    """The error for numbers that do not name distinct axes of x."""
    if len(set(axes)) != len(axes) or not all(0 <= axis < x.ndim for axis in axes):
        raise ShapeError(f"{name}: axes {axes} are not distinct axes of {x}", hint="0 <= axis < ndim, each once")


def part(x: Value, axis: int, begin: int, end: int) -> Value:
    """x[begin:end] along one axis."""
    start, limit = [0] * x.ndim, list(x.shape)
    start[axis], limit[axis] = begin, end
    return primitive("slice")(x, start=tuple(start), limit=tuple(limit), stride=(1,) * x.ndim)


def _check_dtype(name: str, dtype: np.dtype) -> None:
    if not is_supported(dtype):
        raise DtypeError(
            f"{name}: arrays of dtype {dtype} cannot be traced", hint="use bool, an integer, floating or complex dtype"
        )


def _check_shape(name: str, shape: Axes) -> None:
    if shape and min(shape) < 0:
        raise ShapeError(f"{name}: negative size in shape {shape}", hint="sizes are 0 or larger")


def _no_operands(name: str) -> Callable[..., Value]:
    """The batch rule of a primitive without operands: `transform.batch` keeps such nodes as they are."""

    def batch(batched: tuple[bool, ...], **params: Any) -> Value:
        raise TypeError(f"{name} has no operand that could be batched")

    return batch


# ---- arrays from nothing --------------------------------------------------------------------------------------------


def _fill_type(*, value: Any, shape: Axes, dtype: np.dtype) -> TensorType:
    _check_dtype("fill", dtype)
    _check_shape("fill", shape)
    letter = kind(dtype)
    if letter in "iu":
        limits = np.iinfo(dtype)
        if value != value or not limits.min <= value <= limits.max:
            raise DtypeError(f"fill: {value} does not fit into {dtype_name(dtype)}", hint="use a wider dtype")
    elif letter == "f" and isinstance(value, complex):
        raise DtypeError(f"fill: {value} is complex, {dtype_name(dtype)} is not", hint="use complex64 or complex128")
    return TensorType(shape, dtype)


fill = Primitive(
    "fill",
    type=_fill_type,
    eval=lambda value, shape, dtype: np.full(shape, value, dtype),
    vjp=ZERO,
    batch=_no_operands("fill"),
)


def _constant_type(*, value: Literal) -> TensorType:
    _check_dtype("constant", value.array.dtype)
    return TensorType(value.array.shape, value.array.dtype)


constant = Primitive(
    "constant", type=_constant_type, eval=lambda value: value.array, vjp=ZERO, batch=_no_operands("constant")
)


def _iota_type(*, shape: Axes, dtype: np.dtype, axis: int) -> TensorType:
    _check_dtype("iota", dtype)
    _check_shape("iota", shape)
    result = TensorType(shape, dtype)
    check_kind("iota", NUMBER, result)
    if not 0 <= axis < len(shape):
        raise ShapeError(f"iota: {result} has no axis {axis}", hint="0 <= axis < ndim")
    return result


def _iota_eval(shape: Axes, dtype: np.dtype, axis: int) -> np.ndarray:
    along = [1] * len(shape)
    along[axis] = shape[axis]
    return np.broadcast_to(np.arange(shape[axis]).astype(dtype).reshape(along), shape)


iota = Primitive("iota", type=_iota_type, eval=_iota_eval, vjp=ZERO, batch=_no_operands("iota"))

# ---- broadcasting ---------------------------------------------------------------------------------------------------


def _broadcast_in_dim_type(x: TensorType, *, shape: Axes, axes: Axes) -> TensorType:
    _check_shape("broadcast_in_dim", shape)
    if len(axes) != x.ndim or any(a >= b for a, b in zip((-1, *axes), (*axes, len(shape)), strict=True)):
        raise ShapeError(
            f"broadcast_in_dim: axes {axes} do not place {x} in shape {shape}",
            hint="one increasing result axis per operand axis; transpose first to reorder",
        )
    for n, axis in zip(x.shape, axes, strict=True):
        if n != shape[axis] and n != 1:
            raise ShapeError(
                f"broadcast_in_dim: {x} does not broadcast to shape {shape} along axes {axes}",
                hint="only axes of size 1 are repeated",
            )
    return x.with_shape(shape)


def _broadcast_in_dim_eval(x: np.ndarray, shape: Axes, axes: Axes) -> np.ndarray:
    aligned = [1] * len(shape)
    for n, axis in zip(x.shape, axes, strict=True):
        aligned[axis] = n
    return np.broadcast_to(x.reshape(aligned), shape)


def _broadcast_in_dim_rule(g: Value, y: Value, x: Value, *, shape: Axes, axes: Axes) -> Value:
    """x̄ = the sum of ȳ over the axes along which x was repeated."""
    own = {axis for n, axis in zip(x.shape, axes, strict=True) if n == shape[axis]}
    repeated = tuple([axis for axis in range(len(shape)) if axis not in own])
    total = primitive("reduce_sum")(g, axes=repeated) if repeated else g
    return total if total.shape == x.shape else reshape(total, shape=x.shape)


broadcast_in_dim: Primitive = Primitive(
    "broadcast_in_dim",
    type=_broadcast_in_dim_type,
    eval=_broadcast_in_dim_eval,
    vjp=per_operand(_broadcast_in_dim_rule),
    batch=lambda batched, x, shape, axes: broadcast_in_dim(x, shape=(x.shape[0], *shape), axes=(0, *shifted(axes))),
)

# ---- the same elements in another order -----------------------------------------------------------------------------


def _reshape_type(x: TensorType, *, shape: Axes) -> TensorType:
    result = x.with_shape(shape)
    if (shape and min(shape) < 0) or result.size != x.size:
        raise ShapeError(
            f"reshape: {x} has {x.size} elements, shape {shape} has {result.size}", hint="keep the number of elements"
        )
    return result


reshape: Primitive = Primitive(
    "reshape",
    type=_reshape_type,
    eval=lambda x, shape: x.reshape(shape),
    vjp=per_operand(lambda g, y, x, shape: reshape(g, shape=x.shape)),
    batch=lambda batched, x, shape: reshape(x, shape=(x.shape[0], *shape)),
)


def _transpose_type(x: TensorType, *, axes: Axes) -> TensorType:
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(f"transpose: {axes} is not an order of the axes of {x}", hint="name every axis once")
    return x.with_shape(tuple([x.shape[axis] for axis in axes]))


def inverse_order(axes: Axes) -> Axes:
    """The permutation that undoes a transpose with `axes`."""
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


transpose: Primitive = Primitive(
    "transpose",
    type=_transpose_type,
    eval=lambda x, axes: x.transpose(axes),
    vjp=per_operand(lambda g, y, x, axes: transpose(g, axes=inverse_order(axes))),
    batch=lambda batched, x, axes: transpose(x, axes=(0, *shifted(axes))),
)


def _rev_type(x: TensorType, *, axes: Axes) -> TensorType:
    check_axes("rev", x, axes)
    return x


rev: Primitive = Primitive(
    "rev",
    type=_rev_type,
    eval=lambda x, axes: np.flip(x, axes),
    vjp=per_operand(lambda g, y, x, axes: rev(g, axes=axes)),
    batch=lambda batched, x, axes: rev(x, axes=shifted(axes)),
)

# ---- joining --------------------------------------------------------------------------------------------------------


def _concatenate_type(*xs: TensorType, axis: int) -> TensorType:
    if not xs:
        raise ShapeError("concatenate: nothing to join", hint="give at least one array")
    first = xs[0]
    if not 0 <= axis < first.ndim:
        raise ShapeError(f"concatenate: {first} has no axis {axis}", hint="reshape to add an axis, or stack")
    before, after = first.shape[:axis], first.shape[axis + 1 :]
    length, weak = 0, True
    for x in xs:
        if x is not first:
            if x.ndim != first.ndim or x.shape[:axis] != before or x.shape[axis + 1 :] != after:
                raise ShapeError(
                    f"concatenate: {first} and {x} differ off axis {axis}", hint="only the joined axis may differ"
                )
            if x.dtype != first.dtype:
                raise DtypeError(f"concatenate: {first} and {x} differ in dtype", hint="convert one of them first")
        length += x.shape[axis]
        weak = weak and x.weak
    return TensorType((*before, length, *after), first.dtype, weak)


def _concatenate_vjp(g: Value, y: Value, *xs: Value, wanted: tuple[bool, ...], axis: int) -> tuple[Value | None, ...]:
    """x̄ᵢ = the part of ȳ where xᵢ lies."""
    cotangents: list[Value | None] = []
    end = 0
    for x, want in zip(xs, wanted, strict=True):
        begin, end = end, end + x.shape[axis]
        cotangents.append(part(g, axis, begin, end) if want else None)
    return tuple(cotangents)


def _concatenate_batch(batched: tuple[bool, ...], *xs: Value, axis: int) -> Value:
    size = next(x.shape[0] for x, b in zip(xs, batched, strict=True) if b)
    lifted = [x if b else repeat_leading(x, size) for x, b in zip(xs, batched, strict=True)]
    return concatenate(*lifted, axis=axis + 1)


concatenate = Primitive(
    "concatenate",
    type=_concatenate_type,
    eval=lambda *xs, axis: np.concatenate(xs, axis),
    vjp=_concatenate_vjp,
    batch=_concatenate_batch,
)

# ---- padding --------------------------------------------------------------------------------------------------------


def _pad_type(x: TensorType, v: TensorType, *, low: Axes, high: Axes, interior: Axes) -> TensorType:
    if v.shape != ():
        raise ShapeError(f"pad: the padding value must be a scalar, got {v}", hint="take one element of it")
    if v.dtype != x.dtype:
        raise DtypeError(f"pad: {x} and the padding value {v} differ in dtype", hint="convert one of them first")
    if not len(low) == len(high) == len(interior) == x.ndim or (interior and min(interior) < 0):
        raise ShapeError(
            f"pad: low {low}, high {high}, interior {interior} do not fit {x}",
            hint="one number per axis; interior must not be negative",
        )
    shape = tuple(
        [lo + n + max(n - 1, 0) * gap + hi for n, lo, hi, gap in zip(x.shape, low, high, interior, strict=True)]
    )
    if shape and min(shape) < 0:
        raise ShapeError(f"pad: low {low} and high {high} cut more off {x} than there is", hint="cut less")
    return TensorType(shape, x.dtype, x.weak and v.weak)


def _pad_eval(x: np.ndarray, v: np.ndarray, low: Axes, high: Axes, interior: Axes) -> np.ndarray:
    """Element k of an axis goes to low + k (interior + 1), if that lies in the result."""
    type, number = TensorType(x.shape, x.dtype), TensorType((), x.dtype)
    shape = _pad_type(type, number, low=low, high=high, interior=interior).shape
    y = np.full(shape, v, x.dtype)
    places = [lo + np.arange(n) * (gap + 1) for n, lo, gap in zip(x.shape, low, interior, strict=True)]
    kept = [(place >= 0) & (place < n) for place, n in zip(places, shape, strict=True)]
    y[np.ix_(*[place[keep] for place, keep in zip(places, kept, strict=True)])] = x[np.ix_(*kept)]
    return y


def _strides(interior: Axes) -> Axes:
    """The distance of x's elements in pad(x), by axis: one more than the padding between them."""
    return tuple([gap + 1 for gap in interior])


def _pad_rule_x(g: Value, y: Value, x: Value, v: Value, *, low: Axes, high: Axes, interior: Axes) -> Value:
    """x̄ = the elements of ȳ where those of x lie, zero for those that were cut off."""
    if min((*low, *high), default=0) < 0:
        none = (0,) * x.ndim
        opposite = [tuple([-n for n in edge]) for edge in (low, high)]
        g = pad(g, fill_like(v, 0), low=opposite[0], high=opposite[1], interior=none)
        low = none
    limit = tuple([lo + n + max(n - 1, 0) * gap for n, lo, gap in zip(x.shape, low, interior, strict=True)])
    return primitive("slice")(g, start=low, limit=limit, stride=_strides(interior))


def _padding_mask(x: Value, low: Axes, high: Axes, interior: Axes) -> Value:
    """True where pad(x) holds the padding value."""
    flag = np.dtype(bool)
    inside, outside = fill(value=False, shape=x.shape, dtype=flag), fill(value=True, shape=(), dtype=flag)
    return pad(inside, outside, low=low, high=high, interior=interior)


def _pad_rule_v(g: Value, y: Value, x: Value, v: Value, *, low: Axes, high: Axes, interior: Axes) -> Value:
    """v̄ = the sum of ȳ over the padding."""
    outside = select(_padding_mask(x, low, high, interior), g, fill_like(g, 0))
    return primitive("reduce_sum")(outside, axes=tuple(range(g.ndim)))


def _pad_batch(batched: tuple[bool, ...], x: Value, v: Value, *, low: Axes, high: Axes, interior: Axes) -> Value:
    """A batch of padding values is selected in where padding lies."""
    size = x.shape[0] if batched[0] else v.shape[0]
    x = x if batched[0] else repeat_leading(x, size)
    edges = {"low": (0, *low), "high": (0, *high), "interior": (0, *interior)}
    if not batched[1]:
        return pad(x, v, **edges)
    y = pad(x, fill(value=0, shape=(), dtype=x.dtype), **edges)
    return select(_padding_mask(x, **edges), broadcast_in_dim(v, shape=y.shape, axes=(0,)), y)


pad = Primitive("pad", type=_pad_type, eval=_pad_eval, vjp=per_operand(_pad_rule_x, _pad_rule_v), batch=_pad_batch)
