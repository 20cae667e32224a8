"""In-place assignment: x[key] = v, x += v, out=, and NumPy's functions that change an array.

What is written is read first, so that overlapping views are right. The array keeps its shape and dtype.
"""

from __future__ import annotations

import dis
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Value
from lilith.ir.type import dtype_name, kind
from lilith.numpy import indexing, masks, views
from lilith.numpy.core import Shape, adapt, array, convert, expand, full, lift, operand, type_of
from lilith.numpy.indexing import take_item
from lilith.numpy.shaping import reshaped
from lilith.ops import elementwise, shape
from lilith.ops import indexing as places_ops
from lilith.ops.windows import Windows
from lilith.source import DtypeError, IndexingError, ShapeError, TraceError, UnsupportedError
from lilith.trace import contains_tracer, current_trace
from lilith.tracer import FUNCTIONS, OPERATORS, Tracer, refuse_out

_BOOL = np.dtype(bool)

# ---- what is written ------------------------------------------------------------------------------------------------


def _item(v: Any, dtype: np.dtype) -> Value:
    """What is assigned as a Value of the array's dtype, as `x[...] = v` converts it."""
    if isinstance(v, list | tuple):
        v = array(v) if contains_tracer(v) else np.asarray(v)
    x = operand(v)
    given = type_of(x).dtype
    if kind(given) == "c" and kind(dtype) not in "cb":
        raise DtypeError(f"assignment of {type_of(x)} to {dtype_name(dtype)}", hint="assign its .real part")
    if type(x) is not Value:
        if x != x and kind(dtype) in "iu":
            raise DtypeError(f"assignment of NaN to {dtype_name(dtype)}", hint="an array of floats: x.astype(float)")
        return full(x, (), dtype)
    return convert(x, dtype)


def fitted(v: Value, sizes: Shape, x: Tracer) -> Value:
    """v broadcast to the shape of the part that is assigned; leading axes of size 1 fall away, as in NumPy."""
    while v.ndim > len(sizes) and v.shape[0] == 1:
        v = shape.reshape(v, shape=v.shape[1:])
    try:
        fits = np.broadcast_shapes(v.shape, sizes) == sizes
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            f"assignment: {v.type} does not broadcast to the part of {x.value.type} of shape {sizes}",
            hint="the right side needs the shape of the left, or one that broadcasts to it",
        )
    return expand(v, sizes)


def changeable(x: Tracer, what: str) -> None:
    """The error for numbers and for arrays whose memory is not known."""
    if views.is_scalar(x):
        raise TraceError(
            f"{what} of a traced number ({x.value.type}): numbers do not change",
            hint="give the name a new value: x = v; lilith.numpy.zeros(()) is an array without axes",
        )
    if type(x.memory) is views.Refused:
        raise UnsupportedError(
            f"a write to the result of {x.memory.what}, which is a view in NumPy and a copy here",
            hint="take a copy first, y = y.copy(), or write to the array itself",
        )


# ---- x[key] = v -----------------------------------------------------------------------------------------------------


def setitem(x: Tracer, key: Any, item: Any) -> None:
    """x[key] = item."""
    trace = current_trace()
    changeable(x, "item assignment")
    x = views.image(trace, x)
    if type(item) is Tracer and type(item.memory) is views.View:
        if _is_own_part(x, key, item):
            return  # x[key] += v has written already
        _refuse_swap(x, item)
    selection = item if isinstance(item, masks.Selection) else None
    v = _item(item if selection is None else selection.dense, x.dtype)
    if is_basic(key) and selection is None:
        _assign_part(x, key, v)
        return
    entries = list(key) if type(key) is tuple else [key]
    if any(map(masks.is_mask, entries)):
        _assign_where(x, entries, v, selection)
        return
    if selection is not None:
        raise selection.refusal("assignment, by another key,")
    if type(key) is not tuple and not contains_tracer(key) and not v.shape:
        mask = np.asarray(key)
        if mask.dtype == _BOOL and mask.ndim and mask.shape == x.shape[: mask.ndim]:
            _assign_where(x, [trace.lift(mask)], v)
            return
    _assign_places(x, key, v)


FUNCTIONS["setitem"] = setitem


def is_basic(key: Any) -> bool:
    """Whether a key is made of ints, slices, None and ..., traced ints among them: x[key] is a view then."""
    for k in key if type(key) is tuple else (key,):
        if k is None or k is Ellipsis or type(k) in (int, slice) or isinstance(k, np.integer):
            continue
        if isinstance(k, Tracer | Value) and k.shape == () and kind(k.dtype) in "iu":
            continue
        if hasattr(k, "__index__") and not hasattr(k, "__array__") and not isinstance(k, bool):
            continue
        return False
    return True


def _is_own_part(x: Tracer, key: Any, item: Tracer) -> bool:
    """Whether item is x[key] itself, as the last step of x[key] += v has it."""
    view = item.memory
    if view.parent is not x or not isinstance(view.shadow, Part):
        return False
    known = view.shadow.key
    if known is key:
        return True
    both = [*(known if type(known) is tuple else (known,)), *(key if type(key) is tuple else (key,))]
    return is_basic(key) and not contains_tracer(both) and type(known) is type(key) and bool(known == key)


def _refuse_swap(x: Tracer, item: Tracer) -> None:
    """The error where NumPy's shuffle swaps rows: for its own arrays it knows that they are views, for others not."""
    frame = sys._getframe(2)
    if frame.f_code is not Tracer.__setitem__.__code__ or frame.f_back is None:
        return
    code, place = frame.f_back.f_code.co_code, frame.f_back.f_lasti
    if dis.opname[code[place]].startswith("CALL") and views.same_memory(x, item):
        raise UnsupportedError(
            f"rows of a traced array ({x.value.type}) are swapped by a function that knows nothing of views, as "
            "shuffle does: some would be lost",
            hint="x[:] = x[generator.permutation(len(x))]",
        )


class Part:
    """x[key] on a shadow; traced ints are 0 there."""

    __slots__ = ("key",)

    def __init__(self, key: Any):
        self.key = key

    def __call__(self, x: np.ndarray) -> np.ndarray:
        given = self.key if type(self.key) is tuple else (self.key,)
        plain = tuple([0 if isinstance(k, Tracer | Value) else k for k in given])
        return x[plain]


def getitem(x: Tracer, key: Any) -> Tracer:
    """x[key]; a view where NumPy gives one."""
    trace = current_trace()
    if x.recorder is not trace:
        x = views.image(trace, x)
    source = trace.lift(x)
    cls = type(key)
    if cls is Tracer or cls is tuple:
        selection = masks.selected(source, key)
        if selection is not None:
            return selection
    start = len(trace.nodes)
    value = take_item(source, key)
    y = Tracer(value, trace)
    if cls is int or cls is slice:
        shares = bool(value.type.shape)
    else:
        shares = (bool(value.type.shape) or _has_dots(key)) and is_basic(key)
    if shares:
        views.attach(y, x, source, trace.nodes[start:], Part(key))
    elif type(key) is tuple and len(value.type.shape) > 1 and isinstance(key[0], slice | type(Ellipsis)):
        trace.unordered.add(value)  # x[:, [0, 1]] lies in memory as the transpose of x.T[[0, 1]]
    return y


FUNCTIONS["getitem"] = getitem


def _has_dots(key: Any) -> bool:
    return any([k is Ellipsis for k in key]) if type(key) is tuple else key is Ellipsis


def _assign_part(x: Tracer, key: Any, v: Value) -> None:
    """To a part that is a view."""
    trace = current_trace()
    blank = Value(trace.lift(x).type)
    start = len(trace.nodes)
    part = take_item(blank, key)
    nodes = views.path(trace.nodes[start:], blank)
    # only what computes traced positions stays
    trace.nodes[start:] = [node for node in trace.nodes[start:] if node not in nodes]
    views.write(x, fitted(v, part.shape, x), nodes)


def _assign_where(x: Tracer, entries: list[Any], v: Value, selection: masks.Selection | None = None) -> None:
    """To the places where a traced mask holds: a select. `v` has all elements of a selection by that mask, if given."""
    base = current_trace().lift(x)
    mask, first = masks.masked_axes(base, entries)
    after = base.ndim - first - mask.ndim
    count = 1
    if selection is not None:
        selection.check_fits(mask, after)
        count = mask.type.size
    inner = (*base.shape[:first], count, *base.shape[first + mask.ndim :])
    while v.ndim > len(inner) and v.shape[0] == 1:
        v = shape.reshape(v, shape=v.shape[1:])
    if selection is None and mask.ndim and v.ndim > after and v.shape[v.ndim - after - 1] != 1:
        raise UnsupportedError(
            f"assignment of {v.type} by a traced mask ({mask.type}): where each element goes depends on the mask",
            hint="x[mask] = v[mask] with v of x's shape, np.place(x, mask, v) for one after the other, or "
            "x[lilith.numpy.nonzero(mask, size=n)] = v for a known number n",
            tracers=(Tracer(mask, current_trace()),),
        )
    v = fitted(v, inner, Tracer(base, current_trace()))
    axes = mask.shape if selection is not None else (1,) * mask.ndim
    v = reshaped(v, (*base.shape[:first], *axes, *base.shape[first + mask.ndim :]))
    flags = reshaped(mask, (*mask.shape, *[1] * after))
    views.write(x, elementwise.select(expand(flags, base.shape), expand(v, base.shape), base))


def _assign_places(x: Tracer, key: Any, v: Value) -> None:
    """To places that index arrays name: one scatter. Of equal places the last counts."""
    base = current_trace().lift(x)
    parts = key if type(key) is tuple else (key,)
    lead = leading_axes(parts, base.ndim)
    sizes, rest = base.shape[:lead], base.shape[lead:]
    count = math.prod(sizes)
    dtype = np.dtype(np.int32 if count < 2**31 else np.int64)
    if contains_tracer(list(parts)):
        numbers = shape.reshape(shape.iota(shape=(count,), dtype=dtype, axis=0), shape=sizes)
        places: Any = take_item(numbers, key)
    else:
        places = known_places(base, sizes, key, dtype)
    updates = fitted(v, (*places.shape, *rest), x)
    total = math.prod(places.shape)
    if total == 0 or 0 in rest:
        return
    updates = shape.reshape(updates, shape=(total, *rest))
    unique = sorted_ = False
    if isinstance(places, np.ndarray):
        flat = places.reshape(-1)
        last = total - 1 - np.unique(flat[::-1], return_index=True)[1]
        if last.size != total:
            updates, flat = take_item(updates, last), flat[last]
        unique, sorted_ = True, bool((flat[1:] > flat[:-1]).all())
        places = indexing.constant(flat)
    vectors = shape.reshape(places, shape=(places.type.size, 1))
    windows = Windows(offset=tuple(range(1, len(rest) + 1)), collapsed=(0,), start=(0,))
    rows = shape.reshape(base, shape=(count, *rest))
    new = places_ops.scatter(rows, vectors, updates, windows=windows, sorted=sorted_, unique=unique)
    views.write(x, shape.reshape(new, shape=base.shape))


def known_places(base: Value, sizes: Shape, key: Any, dtype: np.dtype) -> np.ndarray:
    """The flat places that a known key names; NumPy finds them."""
    try:
        return np.arange(math.prod(sizes), dtype=dtype).reshape(sizes)[key]
    except IndexError as error:
        raise IndexingError(f"assignment to {base.type}: {error}", hint="a key that x[key] takes") from error


def leading_axes(parts: tuple, ndim: int) -> int:
    """How many axes a key is about, where the others follow in full."""
    if any([k is Ellipsis for k in parts]):
        return ndim
    used = 0
    for k in parts:
        if k is None or isinstance(k, bool | np.bool_):
            continue
        if isinstance(k, slice) or isinstance(k, Tracer | Value):
            used += 1
            continue
        known = np.asarray(k) if not contains_tracer(k) else None
        used += known.ndim if known is not None and known.dtype == _BOOL else 1
    return min(used, ndim)


# ---- x += v, out= ---------------------------------------------------------------------------------------------------


def assign(x: Any, y: Any, name: str, casting: Any = "same_kind", where: Any = True) -> Any:
    """Write a result into x, as `out=x` does; gives x."""
    if type(x) is not Tracer:
        refuse_out(name, x)
    changeable(x, f"{name}: a write to the memory")
    v = lift(y)
    if not np.can_cast(v.dtype, x.dtype, casting):
        raise DtypeError(
            f"{name}: a result of {v.type} cannot be written into {x.value.type} (casting={casting!r})",
            hint=f"the array keeps its dtype: write x = x.astype(np.{v.dtype}) first, or make a new array",
        )
    sizes = x.shape
    if v.shape != sizes and (name in _WHOLE or np.broadcast_shapes(v.shape, sizes) != sizes):
        raise ShapeError(
            f"{name}: a result of {v.type} cannot be written into {x.value.type}",
            hint="an array keeps its shape; write x = ... to give the name a new array",
        )
    v = expand(convert(v, x.dtype), sizes)
    if where is not True:
        mask = adapt(operand(where), _BOOL, sizes)
        v = elementwise.select(mask, v, current_trace().lift(x))
    views.write(x, v)
    return x


_WHOLE = frozenset({"sum", "dot", "concatenate", "stack"})


def inplace(ufunc: Any, x: Tracer, other: Any) -> Tracer:
    """`x += v`: numbers get a new value, arrays are written to."""
    if views.is_scalar(x):
        return ufunc(x, other) if isinstance(other, masks.Selection) else OPERATORS[ufunc](x, other)
    current_trace()
    changeable(x, "an in-place operator")
    return assign(x, OPERATORS[ufunc](x, other), f"in-place {ufunc.__name__}")


def with_out(name: str, out: Any, compute: Callable[[], Any], casting: Any = "same_kind", where: Any = True) -> Any:
    """What `f(..., out=out)` does: the result is written into `out`, which is returned."""
    targets = out if isinstance(out, tuple) else (out,)
    for target in targets:
        if target is not None and type(target) is not Tracer:
            refuse_out(name, out)
    result = compute()
    results = result if isinstance(result, tuple) else (result,)
    current_trace()
    written = [
        y if target is None else assign(target, y, name, casting, where)
        for target, y in zip(targets, results, strict=True)
    ]
    return tuple(written) if isinstance(result, tuple) else written[0]


FUNCTIONS["inplace"], FUNCTIONS["out"] = inplace, with_out
