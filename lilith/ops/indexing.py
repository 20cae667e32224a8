"""gather, scatter and scatter_add; dynamic_slice and dynamic_update_slice: windows at places that are computed.

A window lies at a start position that is brought into the array (clamped), in gather and in scatter alike, so that
gather and scatter_add are each other's transposes wherever the indices point.
"""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.primitive import Deferred, Primitive, per_operand
from lilith.ir.type import TensorType
from lilith.ops.elementwise import ANY, INTEGER, NUMBER, add, check_kind, convert, eq, repeat_leading, select
from lilith.ops.shape import concatenate, fill, iota, reshape, shifted
from lilith.ops.slicing import slice
from lilith.ops.windows import Windows, check_windows, clamped, places_of, window_sizes, windows_shape
from lilith.source import DtypeError, ShapeError

__all__ = [
    "Windows",
    "dynamic_slice",
    "dynamic_update_slice",
    "gather",
    "scatter",
    "scatter_add",
    "scatter_add_along",
    "scatter_along",
    "slice",
    "take",
    "take_along",
]

Axes = tuple[int, ...]


# ---- types ----------------------------------------------------------------------------------------------------------


def _gather_type(
    x: TensorType, indices: TensorType, *, windows: Windows, sizes: Axes, sorted: bool, unique: bool
) -> TensorType:
    check_windows("gather", x, indices, sizes, windows)
    return x.with_shape(windows_shape(indices, sizes, windows))


def _scatter_type(name: str, kinds: str) -> Callable[..., TensorType]:
    def type(
        x: TensorType, indices: TensorType, updates: TensorType, *, windows: Windows, sorted: bool, unique: bool
    ) -> TensorType:
        check_kind(name, kinds, x)
        if updates.dtype != x.dtype:
            raise DtypeError(f"{name}: {x} and updates {updates} differ in dtype", hint="convert one of them first")
        if len(windows.offset) != len(windows.kept(x.ndim)):
            raise ShapeError(f"{name}: {windows} does not fit {x}", hint="one offset axis per axis of a window")
        sizes = window_sizes(x, updates, windows)
        check_windows(name, x, indices, sizes, windows)
        expected = windows_shape(indices, sizes, windows)
        if updates.shape != expected:
            raise ShapeError(f"{name}: updates {updates} for windows {list(expected)}", hint="one element per place")
        return x.strong

    return type


# ---- reference -----------------------------------------------------------------------------------------------------


def _gather_eval(
    x: np.ndarray, indices: np.ndarray, windows: Windows, sizes: Axes, sorted: bool, unique: bool
) -> np.ndarray:
    return x.reshape(-1)[places_of(x.shape, indices, sizes, windows)]


def _scatter_eval(write: Callable[[np.ndarray, np.ndarray, np.ndarray], None]) -> Callable[..., np.ndarray]:
    def eval(
        x: np.ndarray, indices: np.ndarray, updates: np.ndarray, windows: Windows, sorted: bool, unique: bool
    ) -> np.ndarray:
        sizes = window_sizes(TensorType(x.shape, x.dtype), TensorType(updates.shape, x.dtype), windows)
        y = np.array(x).reshape(-1)
        write(y, places_of(x.shape, indices, sizes, windows).reshape(-1), updates.reshape(-1))
        return y.reshape(x.shape)

    return eval


# ---- derivatives ----------------------------------------------------------------------------------------------------


def _zeros(type: TensorType) -> Value:
    return fill(value=type.dtype.type(0).item(), shape=type.shape, dtype=type.dtype)


class GatherCotangent(Deferred):
    """The cotangent g of windows of x, not yet brought to x's shape."""

    __slots__ = ("g", "indices", "sorted", "unique", "windows")

    def __init__(self, g: Value, indices: Value, windows: Windows, sorted: bool, unique: bool):
        self.g = g
        self.indices = indices
        self.windows = windows
        self.sorted = sorted
        self.unique = unique

    @staticmethod
    def join(type: TensorType, parts: Sequence[GatherCotangent]) -> Value:
        """The sum: parts that differ only in where their windows lie are scattered at once, others one by one."""
        alike: dict[tuple, list[GatherCotangent]] = {}
        for part in parts:
            if 0 not in part.g.shape:
                listed = part if len(parts) == 1 else part._listed()
                window = tuple([listed.g.shape[axis] for axis in listed.windows.offset])
                key = (listed.windows, window, listed.indices.shape[1:], listed.indices.dtype, _free_axis(listed))
                alike.setdefault(key if key[-1] is not None else (part,), []).append(listed)
        # an element that is taken a thousand times gets a thousand terms, which 16 bits cannot add up
        narrow = type.dtype.itemsize == 2 and not (len(parts) == 1 and parts[0].unique)
        dtype = np.dtype(np.float32) if narrow else type.dtype
        total = _zeros(type.with_dtype(dtype))
        for group in alike.values():
            part = _joined(group)
            g = convert(part.g, dtype=dtype) if narrow else part.g
            total = scatter_add(total, part.indices, g, windows=part.windows, sorted=part.sorted, unique=part.unique)
        return convert(total, dtype=type.dtype) if narrow else total

    def _listed(self) -> GatherCotangent:
        """The same with one batch axis where the axes of the batch lie side by side."""
        axes = self.windows.batch_axes(self.g.ndim)
        if self.windows.indices_batch or axes != tuple(range(axes[0], axes[0] + len(axes)) if axes else ()):
            return self
        first = axes[0] if axes else 0
        count, length = math.prod(self.indices.shape[:-1]), len(axes)
        offset = tuple([axis if axis < first else axis - length + 1 for axis in self.windows.offset])
        g = reshape(self.g, shape=(*self.g.shape[:first], count, *self.g.shape[first + length :]))
        indices = reshape(self.indices, shape=(count, self.indices.shape[-1]))
        return GatherCotangent(g, indices, self.windows._replace(offset=offset), self.sorted, self.unique)


def _free_axis(part: GatherCotangent) -> int | None:
    """The first axis of the batch that is no axis of x, along which more windows can be listed."""
    return next((k for k in range(part.indices.ndim - 1) if k not in part.windows.indices_batch), None)


def _joined(group: list[GatherCotangent]) -> GatherCotangent:
    """Windows of one kind, one after the other along their free axis."""
    first = group[0]
    free = _free_axis(first)
    if len(group) == 1 or free is None:
        return first
    axes = first.windows.batch_axes(first.g.ndim)
    indices = concatenate(*[part.indices for part in group], axis=free)
    return GatherCotangent(
        concatenate(*[part.g for part in group], axis=axes[free]), indices, first.windows, False, False
    )


def _gather_rule(
    g: Value, y: Value, x: Value, indices: Value, *, windows: Windows, sizes: Axes, sorted: bool, unique: bool
) -> GatherCotangent:
    """x̄ = ȳ added up where y was taken from, zero elsewhere."""
    return GatherCotangent(g, indices, windows, sorted, unique)


def _taken(g: Value, indices: Value, updates: Value, windows: Windows, sorted: bool, unique: bool) -> Value:
    """The elements of g where updates lie."""
    sizes = window_sizes(g.type, updates.type, windows)
    return gather(g, indices, windows=windows, sizes=sizes, sorted=sorted, unique=unique)


def _scatter_rule_x(
    g: Value, y: Value, x: Value, indices: Value, updates: Value, *, windows: Windows, sorted: bool, unique: bool
) -> Value:
    """x̄ = ȳ, zero where x was overwritten."""
    return scatter(g, indices, fill_like(updates, 0), windows=windows, sorted=sorted, unique=unique)


def _scatter_rule_updates(
    g: Value, y: Value, x: Value, indices: Value, updates: Value, *, windows: Windows, sorted: bool, unique: bool
) -> Value:
    """ū = ȳ where u was written to, zero where it was overwritten by a later update."""
    taken = _taken(g, indices, updates, windows, sorted, unique)
    if unique:
        return taken
    where = {"windows": windows, "sorted": sorted, "unique": unique}
    dtype = np.dtype(np.int32 if updates.type.size < 2**31 else np.int64)
    own = reshape(iota(shape=(updates.type.size,), dtype=dtype, axis=0), shape=updates.shape)
    last = scatter(fill(value=0, shape=x.shape, dtype=dtype), indices, own, **where)
    return select(eq(own, _taken(last, indices, updates, windows, sorted, unique)), taken, fill_like(taken, 0))


# ---- batches --------------------------------------------------------------------------------------------------------


def _batched_windows(windows: Windows, indices_batched: bool) -> Windows:
    """Windows with a new leading axis of x: run through by windows, or together with a new axis of the indices."""
    offset, collapsed, start, batch = [shifted(axes) for axes in windows[:4]]
    if not indices_batched:
        return Windows((0, *offset), collapsed, start, batch, windows.indices_batch)
    return Windows(offset, collapsed, start, (0, *batch), (0, *shifted(windows.indices_batch)))


def _gather_batch(
    batched: tuple[bool, ...], x: Value, indices: Value, *, windows: Windows, sizes: Axes, sorted: bool, unique: bool
) -> Value:
    if not batched[0]:
        shifted_ = windows._replace(offset=shifted(windows.offset), indices_batch=shifted(windows.indices_batch))
        return gather(x, indices, windows=shifted_, sizes=sizes, sorted=False, unique=False)
    lead = 1 if batched[1] else x.shape[0]
    return gather(
        x,
        indices,
        windows=_batched_windows(windows, batched[1]),
        sizes=(lead, *sizes),
        sorted=sorted and not batched[1],
        unique=unique,
    )


def _scatter_batch(name: str) -> Callable[..., Value]:
    def batch(
        batched: tuple[bool, ...],
        x: Value,
        indices: Value,
        updates: Value,
        *,
        windows: Windows,
        sorted: bool,
        unique: bool,
    ) -> Value:
        size = next(v.shape[0] for v, b in zip((x, indices, updates), batched, strict=True) if b)
        x, updates = [
            v if b else repeat_leading(v, size) for v, b in zip((x, updates), (batched[0], batched[2]), strict=True)
        ]
        return _SCATTERS[name](
            x,
            indices,
            updates,
            windows=_batched_windows(windows, batched[1]),
            sorted=sorted and not batched[1],
            unique=unique,
        )

    return batch


# ---- definitions ----------------------------------------------------------------------------------------------------

# y[..., window, ...] = x[start : start + size]. `sorted` promises that the index vectors are in ascending order,
# `unique` that no two windows share an element, both after the starts have been brought into the array
gather: Primitive = Primitive(
    "gather", type=_gather_type, eval=_gather_eval, vjp=per_operand(_gather_rule, None), batch=_gather_batch, masks=True
)

# x, with the updates added to its windows; where windows share elements, all of them count
scatter_add: Primitive = Primitive(
    "scatter_add",
    type=_scatter_type("scatter_add", NUMBER),
    eval=_scatter_eval(lambda y, places, updates: np.add.at(y, places, updates)),
    vjp=per_operand(
        lambda g, y, x, indices, updates, windows, sorted, unique: g,
        None,
        lambda g, y, x, indices, updates, windows, sorted, unique: _taken(g, indices, updates, windows, sorted, unique),
    ),
    batch=_scatter_batch("scatter_add"),
)


def _overwrite(y: np.ndarray, places: np.ndarray, updates: np.ndarray) -> None:
    y[places] = updates


# x, with its windows overwritten by the updates; where windows share elements, the last update counts
scatter: Primitive = Primitive(
    "scatter",
    type=_scatter_type("scatter", ANY),
    eval=_scatter_eval(_overwrite),
    vjp=per_operand(_scatter_rule_x, None, _scatter_rule_updates),
    batch=_scatter_batch("scatter"),
    masks=True,
)

_SCATTERS = {"scatter": scatter, "scatter_add": scatter_add}

# ---- one window -----------------------------------------------------------------------------------------------------


def _check_starts(name: str, x: TensorType, starts: Sequence[TensorType], sizes: Axes) -> None:
    if len(starts) != x.ndim or any(start.shape != () for start in starts):
        raise ShapeError(f"{name}: starts {list(starts)} do not fit {x}", hint="one scalar per axis")
    check_kind(name, INTEGER, *starts)
    if len({start.dtype for start in starts}) > 1:
        raise DtypeError(f"{name}: starts {list(starts)} differ in dtype", hint="convert them to one dtype")
    if len(sizes) != x.ndim or any(not 0 <= size <= n for size, n in zip(sizes, x.shape, strict=True)):
        raise ShapeError(f"{name}: a window of sizes {sizes} does not fit into {x}", hint="0 <= size <= the axis's")


def _window(shape: Axes, starts: Sequence[np.ndarray], sizes: Axes) -> tuple[builtins.slice, ...]:
    begins = [int(clamped(np.asarray(s), n - size)) for s, size, n in zip(starts, sizes, shape, strict=True)]
    return tuple([builtins.slice(begin, begin + size) for begin, size in zip(begins, sizes, strict=True)])


class DynamicSliceCotangent(Deferred):
    """The cotangent g of a window of x, not yet brought to x's shape."""

    __slots__ = ("g", "starts")

    def __init__(self, g: Value, starts: tuple[Value, ...]):
        self.g = g
        self.starts = starts

    @staticmethod
    def join(type: TensorType, parts: Sequence[DynamicSliceCotangent]) -> Value:
        """The sum: one window is written into zeros, several are scattered."""
        if len(parts) == 1:
            return dynamic_update_slice(_zeros(type), parts[0].g, *parts[0].starts)
        if type.ndim == 0:
            return functools.reduce(add, [part.g for part in parts])
        windows = Windows(offset=tuple(range(type.ndim)), collapsed=(), start=tuple(range(type.ndim)))
        gathers = [GatherCotangent(part.g, _index_vector(part.starts), windows, True, True) for part in parts]
        return GatherCotangent.join(type, gathers)


def _index_vector(starts: Sequence[Value]) -> Value:
    """Scalars as one vector, along the last axis of their batch."""
    return concatenate(*[reshape(s, shape=(*s.shape, 1)) for s in starts], axis=starts[0].ndim)


def _batched_starts(batched: Sequence[bool], starts: Sequence[Value]) -> Value:
    """Index vectors [size, axes] from start positions of which some are batched."""
    size = next(s.shape[0] for s, b in zip(starts, batched, strict=True) if b)
    return _index_vector([s if b else repeat_leading(s, size) for s, b in zip(starts, batched, strict=True)])


def _leading_start(starts: Sequence[Value]) -> Value:
    return fill(value=0, shape=(), dtype=starts[0].dtype if starts else np.dtype(np.int32))


def _dynamic_slice_type(x: TensorType, *starts: TensorType, sizes: Axes) -> TensorType:
    _check_starts("dynamic_slice", x, starts, sizes)
    return x.with_shape(sizes)


def _dynamic_slice_vjp(
    g: Value, y: Value, x: Value, *starts: Value, wanted: tuple[bool, ...], sizes: Axes
) -> tuple[Deferred | None, ...]:
    """x̄ = ȳ in the window, zero elsewhere."""
    return (DynamicSliceCotangent(g, starts) if wanted[0] else None, *[None] * len(starts))


def _dynamic_slice_batch(batched: tuple[bool, ...], x: Value, *starts: Value, sizes: Axes) -> Value:
    if not any(batched[1:]):
        return dynamic_slice(x, _leading_start(starts), *starts, sizes=(x.shape[0], *sizes))
    axes = tuple(range(len(sizes)))
    windows = Windows(offset=axes, collapsed=(), start=axes)
    flags = (batched[0], True)
    indices = _batched_starts(batched[1:], starts)
    return _gather_batch(flags, x, indices, windows=windows, sizes=sizes, sorted=True, unique=True)


# y = x[start : start + size] along every axis, the starts brought into the array
dynamic_slice: Primitive = Primitive(
    "dynamic_slice",
    type=_dynamic_slice_type,
    eval=lambda x, *starts, sizes: x[_window(x.shape, starts, sizes)],
    vjp=_dynamic_slice_vjp,
    batch=_dynamic_slice_batch,
    masks=True,
)


def _dynamic_update_slice_type(x: TensorType, update: TensorType, *starts: TensorType) -> TensorType:
    _check_starts("dynamic_update_slice", x, starts, update.shape)
    if update.dtype != x.dtype:
        raise DtypeError(f"dynamic_update_slice: {x} and {update} differ in dtype", hint="convert one of them first")
    return x.strong


def _dynamic_update_slice_eval(x: np.ndarray, update: np.ndarray, *starts: np.ndarray) -> np.ndarray:
    y = np.array(x)
    y[_window(x.shape, starts, update.shape)] = update
    return y


def _dynamic_update_slice_vjp(
    g: Value, y: Value, x: Value, update: Value, *starts: Value, wanted: tuple[bool, ...]
) -> tuple[Value | None, ...]:
    """x̄ = ȳ outside of the window; ū = ȳ in it."""
    outside = dynamic_update_slice(g, fill_like(update, 0), *starts) if wanted[0] else None
    inside = dynamic_slice(g, *starts, sizes=update.shape) if wanted[1] else None
    return (outside, inside, *[None] * len(starts))


def _dynamic_update_slice_batch(batched: tuple[bool, ...], x: Value, update: Value, *starts: Value) -> Value:
    size = next(v.shape[0] for v, b in zip((x, update, *starts), batched, strict=True) if b)
    x, update = [v if b else repeat_leading(v, size) for v, b in zip((x, update), batched[:2], strict=True)]
    if not any(batched[2:]):
        return dynamic_update_slice(x, update, _leading_start(starts), *starts)
    axes = tuple(range(len(starts)))
    windows = _batched_windows(Windows(offset=axes, collapsed=(), start=axes), True)
    return scatter(x, _batched_starts(batched[2:], starts), update, windows=windows, sorted=True, unique=True)


# x with the update written into it at the starts, which are brought into the array
dynamic_update_slice: Primitive = Primitive(
    "dynamic_update_slice",
    type=_dynamic_update_slice_type,
    eval=_dynamic_update_slice_eval,
    vjp=_dynamic_update_slice_vjp,
    batch=_dynamic_update_slice_batch,
    masks=True,
)


# ---- along one axis -------------------------------------------------------------------------------------------------


def take(x: Value, indices: Value, axis: int, *, sorted: bool = False, unique: bool = False) -> Value:
    """x[..., indices, ...] along one axis: its shape is replaced by that of the indices."""
    n = indices.ndim
    offset = tuple([k if k < axis else k + n - 1 for k in range(x.ndim) if k != axis])
    sizes = tuple([1 if k == axis else size for k, size in enumerate(x.shape)])
    return gather(
        x,
        reshape(indices, shape=(*indices.shape, 1)),
        windows=Windows(offset=offset, collapsed=(axis,), start=(axis,)),
        sizes=sizes,
        sorted=sorted,
        unique=unique,
    )


def _along(ndim: int, axis: int) -> Windows:
    others = tuple([k for k in range(ndim) if k != axis])
    return Windows(offset=(), collapsed=(axis,), start=(axis,), batch=others, indices_batch=others)


def take_along(x: Value, indices: Value, axis: int, *, unique: bool = False) -> Value:
    """y[..., k, ...] = x[..., indices[..., k, ...], ...]; the indices have x's shape but along `axis`."""
    vectors = reshape(indices, shape=(*indices.shape, 1))
    sizes = (1,) * x.ndim
    return gather(x, vectors, windows=_along(x.ndim, axis), sizes=sizes, sorted=False, unique=unique)


def scatter_along(x: Value, indices: Value, updates: Value, axis: int, *, unique: bool = False) -> Value:
    """x with x[..., indices[..., k, ...], ...] = updates[..., k, ...]; of equal indices the last counts."""
    vectors = reshape(indices, shape=(*indices.shape, 1))
    return scatter(x, vectors, updates, windows=_along(x.ndim, axis), sorted=False, unique=unique)


def scatter_add_along(x: Value, indices: Value, updates: Value, axis: int, *, unique: bool = False) -> Value:
    """x with updates[..., k, ...] added to x[..., indices[..., k, ...], ...]; equal indices all count."""
    vectors = reshape(indices, shape=(*indices.shape, 1))
    return scatter_add(x, vectors, updates, windows=_along(x.ndim, axis), sorted=False, unique=unique)
