"""NumPy's functions and methods that change an array: np.put, np.copyto, np.add.at, x.sort(), x.fill(), x.flat."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from lilith.numpy import assigning, inplace, ufuncs, views
from lilith.numpy.core import convert, lift
from lilith.numpy.indexing import take_item
from lilith.ops import indexing as places_ops
from lilith.ops import shape
from lilith.ops.windows import Windows
from lilith.source import UnsupportedError
from lilith.trace import contains_tracer, current_trace
from lilith.tracer import FUNCTIONS, OPERATORS, AssignedPlain, Tracer


def _refuse_plain(name: str, x: Any) -> NoReturn:
    """The error for traced values that are to be written into a plain array."""
    if hasattr(x, "refuse_write"):
        x.refuse_write()
    raise AssignedPlain(
        f"{name} of a plain ndarray with traced values: they cannot be written into it",
        hint="make the array with lilith.numpy.zeros or lilith.numpy.array",
    )


def _changing(function: Any, rule: Callable[..., Any]) -> None:
    """The meaning of a NumPy function that changes its first argument: the rule gives what it becomes."""

    def handler(x: Any, *args: Any, **kwargs: Any) -> None:
        if type(x) is not Tracer:
            _refuse_plain(f"np.{function.__name__}", x)
        current_trace()
        inplace.changeable(x, f"np.{function.__name__}")
        views.write(x, lift(rule(x, *args, **kwargs)))

    handler.__name__ = function.__name__
    FUNCTIONS[function] = handler


for _name in ("put", "place", "putmask", "copyto", "fill_diagonal", "put_along_axis"):
    _changing(getattr(np, _name), getattr(assigning, _name))


def _fill(self: Tracer, value: Any) -> None:
    """Every element becomes `value`."""
    inplace.setitem(self, Ellipsis, value)


def _sort(self: Tracer, axis: int = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> None:
    """numpy.sort of this array, in place."""
    current_trace()
    inplace.changeable(self, "x.sort()")
    views.write(self, lift(np.sort(self, axis=axis, kind=kind, order=order)))


def _partition(self: Tracer, kth: Any, axis: int = -1, kind: str = "introselect", order: Any = None) -> None:
    """numpy.partition of this array, in place."""
    current_trace()
    inplace.changeable(self, "x.partition()")
    views.write(self, lift(np.partition(self, kth, axis=axis)))


def _put(self: Tracer, indices: Any, values: Any, mode: str = "raise") -> None:
    """numpy.put into this array."""
    np.put(self, indices, values, mode)  # type: ignore[arg-type]


Tracer.fill, Tracer.sort, Tracer.partition, Tracer.put = _fill, _sort, _partition, _put  # type: ignore


def _at(ufunc: Any, x: Any, indices: Any, *operands: Any) -> None:
    """np.add.at and the like: equal indices all count, one after the other."""
    if type(x) is not Tracer:
        _refuse_plain(f"np.{ufunc.__name__}.at", x)
    current_trace()
    inplace.changeable(x, f"np.{ufunc.__name__}.at")
    if ufunc in (np.add, np.subtract):
        _add_at(ufunc, x, indices, operands[0])
    else:
        _each_at(ufunc, x, indices, operands)


def _add_at(ufunc: Any, x: Tracer, indices: Any, operand: Any) -> None:
    """Sums: one scatter."""
    base = current_trace().lift(x)
    v = convert(lift(operand), x.dtype)
    parts = indices if type(indices) is tuple else (indices,)
    lead = inplace.leading_axes(parts, base.ndim)
    sizes, rest = base.shape[:lead], base.shape[lead:]
    count = math.prod(sizes)
    numbers = shape.reshape(shape.iota(shape=(count,), dtype=np.dtype(np.int64), axis=0), shape=sizes)
    places = take_item(numbers, indices)
    updates = inplace.fitted(ufuncs.negative(v) if ufunc is np.subtract else v, (*places.shape, *rest), x)
    total = math.prod(places.shape)
    if total == 0 or 0 in rest:
        return
    new = places_ops.scatter_add(
        shape.reshape(base, shape=(count, *rest)),
        shape.reshape(places, shape=(total, 1)),
        shape.reshape(updates, shape=(total, *rest)),
        windows=Windows(offset=tuple(range(1, len(rest) + 1)), collapsed=(0,), start=(0,)),
        sorted=False,
        unique=False,
    )
    views.write(x, shape.reshape(new, shape=base.shape))


_ROUNDS = 64


def _each_at(ufunc: Any, x: Tracer, indices: Any, operands: tuple) -> None:
    """Any ufunc at known indices: one assignment for the first of equal indices, one for the second, and so on."""
    name = f"np.{ufunc.__name__}.at"
    if contains_tracer(indices) or contains_tracer([indices]):
        raise UnsupportedError(
            f"{name} with traced indices", hint="np.add.at and np.subtract.at take them; known indices are no problem"
        )
    base = current_trace().lift(x)
    parts = indices if type(indices) is tuple else (indices,)
    lead = inplace.leading_axes(parts, base.ndim)
    places = np.asarray(inplace.known_places(base, base.shape[:lead], indices, np.dtype(np.int64)))
    order = np.argsort(places, axis=None, kind="stable")
    ranked = places.reshape(-1)[order]
    starts = np.maximum.accumulate(
        np.where(np.r_[True, ranked[1:] != ranked[:-1]][: len(order)], np.arange(len(order)), 0)
    )
    turn = np.empty(places.size, dtype=np.int64)
    turn[order] = np.arange(places.size) - starts
    rounds = int(turn.max(initial=-1)) + 1
    if rounds > _ROUNDS:
        raise UnsupportedError(
            f"{name} where one place is named {rounds} times", hint=f"at most {_ROUNDS} times; or a loop with fori_loop"
        )
    rest = base.shape[lead:]
    given = [Tracer(inplace.fitted(lift(v), (*places.shape, *rest), x), current_trace()) for v in operands]
    rows = [np.reshape(v, (places.size, *rest)) for v in given]
    where = np.unravel_index(places.reshape(-1), base.shape[:lead])
    for k in range(rounds):
        chosen = np.flatnonzero(turn == k)
        key = tuple([axis[chosen] for axis in where])
        inplace.setitem(x, key, OPERATORS[ufunc](x[key], *[v[chosen] for v in rows]) if operands else ufunc(x[key]))


FUNCTIONS["at"] = _at


def _nan_to_num(handler: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, copy: bool = True, **options: Any) -> Any:
        y = handler(x, **options)
        return y if copy or type(x) is not Tracer or views.is_scalar(x) else inplace.assign(x, y, "nan_to_num")

    return call


FUNCTIONS[np.nan_to_num] = _nan_to_num(FUNCTIONS[np.nan_to_num])


class Flat:
    """x.flat: the elements in C order, to go through, to read and to assign by one index."""

    def __init__(self, base: Tracer):
        self.base = base
        self._next = 0

    def __len__(self) -> int:
        return self.base.size

    def __iter__(self) -> Flat:
        return self

    def __next__(self) -> Any:
        if self._next >= self.base.size:
            raise StopIteration
        self._next += 1
        return self[self._next - 1]

    def __getitem__(self, key: Any) -> Any:
        return self.copy()[key] if not inplace.is_basic(key) else _detached(self.copy()[key])

    def __setitem__(self, key: Any, item: Any) -> None:
        flat = self.copy()
        if np.ndim(item):
            part = flat[key]
            item = FUNCTIONS[np.resize](item, part.shape) if type(item) is Tracer else np.resize(item, part.shape)
        flat[key] = item
        views.write(self.base, shape.reshape(lift(flat), shape=self.base.shape))

    def copy(self) -> Tracer:
        """The elements as a new array."""
        return _detached(FUNCTIONS[np.ravel](self.base))


def _detached(x: Tracer) -> Tracer:
    """The same elements in memory of their own."""
    y = Tracer(lift(x), current_trace())
    if not views.is_scalar(x):
        y.memory = views.Storage(True)
    return y


FUNCTIONS["copy"], FUNCTIONS["flat"] = _detached, Flat
