"""What NumPy's protocols do not reach: np.zeros(n) in the function, then out[i] = x[i]; np.array([x[0], x[1]]).

NumPy cannot put a traced value into its own memory. When a trace fails for that, it is made again, with stand-ins for
the numpy module and its functions in the namespaces of the user's functions (which are copies anyway). They note where
each array was made. The assignment that failed then tells the place, and the trace is made once more, in which the
arrays made at that place are traced from the start. All other arrays stay NumPy's own. Functions to which NumPy gives
no protocol (np.array, np.asarray, np.full) are Lilith's in such a trace, and lists of traced values are joined.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.numpy.core import full, lift
from lilith.numpy.creation import INSTEAD, make_array
from lilith.numpy.views import new_array
from lilith.source import TraceError, is_internal
from lilith.trace import contains_tracer, is_tracing, trace_call, uncovered
from lilith.tracer import AssignedPlain

Place = tuple[tuple[types.CodeType, int], ...]


class Assigned(BaseException):
    """An array made at some place is assigned a traced value, or read at a traced index."""

    def __init__(self, place: Place):
        super().__init__()
        self.place = place


class Noted(np.ndarray):
    """A plain array, or one computed from it, with the place where it was made."""

    place: Place | None = None

    def __array_finalize__(self, source: Any) -> None:
        self.place = getattr(source, "place", None)

    def __setitem__(self, key: Any, item: Any) -> None:
        parts = key if isinstance(key, tuple) else (key,)
        if self.place is not None and contains_tracer([item, *parts]):
            raise Assigned(self.place)
        super().__setitem__(key, item)

    def __getitem__(self, key: Any) -> Any:
        if self.place is not None and contains_tracer(key if isinstance(key, tuple) else [key]):
            raise Assigned(self.place)  # an array of the program takes traced indices
        return super().__getitem__(key)

    def fill(self, value: Any) -> None:
        """numpy.ndarray.fill."""
        self[...] = value

    def put(self, indices: Any, values: Any, mode: Any = "raise") -> None:
        """numpy.ndarray.put."""
        if contains_tracer([indices, values]):
            self.refuse_write()
        super().put(indices, values, mode)

    def refuse_write(self) -> None:
        """Called where a traced result is to be written into it."""
        if self.place is not None:
            raise Assigned(self.place)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("real", "imag", "flat") and contains_tracer(value):
            self.refuse_write()
        super().__setattr__(name, value)

    @property
    def flat(self) -> Any:
        """numpy.ndarray.flat."""
        return NotedFlat(self)

    @flat.setter
    def flat(self, value: Any) -> None:
        self[...].view(np.ndarray).flat[:] = value


class NotedFlat:
    """The `flat` of a noted array, to go through, to read and to assign."""

    def __init__(self, base: Noted):
        self.base = base
        self._elements = np.asarray(base).flat

    def __getattr__(self, name: str) -> Any:
        return getattr(self._elements, name)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self._elements, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        return len(self._elements)

    def __iter__(self) -> NotedFlat:
        return self

    def __next__(self) -> Any:
        return next(self._elements)

    def __getitem__(self, key: Any) -> Any:
        found = self._elements[key]
        if type(found) is np.ndarray:
            noted = found.view(Noted)
            noted.place = self.base.place
            return noted
        return found

    def __setitem__(self, key: Any, item: Any) -> None:
        if contains_tracer([key, item]):
            self.base.refuse_write()
        self._elements[key] = item


class Makers:
    """The stand-ins of one trace.

    Attributes:
        traced: places whose arrays are traced from the start.
        noting: whether other arrays are made `Noted`.
        helped: whether a call was of help that NumPy could not have answered.
        decides_items: whether numbers are decided that are assigned into plain arrays of ints or bools.
    """

    def __init__(self) -> None:
        self.traced: set[Place] = set()
        self.noting = True
        self.helped = self.decides_items = False
        self._module = _Module(self)
        self._functions: dict[Any, Callable[..., Any]] = {}

    def stand_in(self, x: Any) -> Any:
        """What a namespace holds in place of x; None for x itself."""
        if x is np:
            return self._module
        if _makes_arrays(x):
            return self.function(x)
        return None

    def function(self, f: Any) -> Callable[..., Any]:
        """The stand-in of one of NumPy's functions."""
        found = self._functions.get(f)
        if found is None:

            def made(*args: Any, **kwargs: Any) -> Any:
                if is_tracing() and contains_tracer([*args, *kwargs.values()]):
                    return self._of_tracers(f, args, kwargs)
                return self._made(f, f(*args, **kwargs), [*args, *kwargs.values()])

            made.__name__ = f.__name__
            found = self._functions[f] = made
        return found

    def _of_tracers(self, f: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        """One of NumPy's functions of traced arrays, or of lists of them."""
        instead = INSTEAD.get(f.__name__)
        if instead is not None:
            self.helped = True
            return instead(*args, **kwargs)
        if f is np.fill_diagonal and args and isinstance(args[0], Noted):
            args[0].refuse_write()
        for helping in (None, _items_joined, _joined):
            given, options = args, kwargs
            if helping is not None:
                self.helped = True
                given, options = tuple(map(helping, args)), {name: helping(x) for name, x in kwargs.items()}
            try:
                return self._made(f, f(*given, **options), [*given, *options.values()])
            except Exception as error:
                if helping is _joined or not isinstance(uncovered(error), AssignedPlain):
                    raise
        raise AssertionError("the last way returns or raises")

    def _made(self, f: Any, array: Any, given: Sequence[Any]) -> Any:
        if type(array) not in (np.ndarray, Noted) or array.dtype.kind not in "biufc" or not is_tracing():
            return array
        for x in given:
            if isinstance(x, np.ndarray) and np.may_share_memory(array, x):
                return _view(array, x)
        place = _place()
        if place in self.traced:
            plain = np.asarray(array)
            ordered = plain.flags.c_contiguous
            if f in (np.empty, np.empty_like):
                return new_array(full(0, plain.shape, plain.dtype), ordered)
            first = plain.reshape(-1)[:1]
            if plain.size > 1 and (plain == first).all():
                return new_array(full(first[0], plain.shape, plain.dtype), ordered)
            return new_array(lift(plain), ordered)
        if not self.noting:
            return array
        noted = array.view(Noted)
        noted.place = place
        return noted


class _Module(types.ModuleType):
    """numpy, whose functions note where they make arrays."""

    def __init__(self, makers: Makers):
        super().__init__("numpy")
        self.__dict__["_makers"] = makers

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        return self.__dict__["_makers"].function(found) if _makes_arrays(found) else found


def _makes_arrays(x: Any) -> bool:
    """Whether x is a function of NumPy's main namespace, no ufunc and no class but ndenumerate."""
    if x is np.ndenumerate:
        return True
    name = getattr(x, "__name__", None)
    return (
        callable(x)
        and not isinstance(x, type | np.ufunc)
        and isinstance(name, str)
        and (getattr(x, "__module__", None) or "").partition(".")[0] == "numpy"
        and getattr(np, name, None) is x
    )


def _view(array: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A view of x was made where x was: what is assigned to it is assigned to x."""
    if array is x or not isinstance(x, Noted):
        return array
    noted = array.view(Noted)
    noted.place = x.place
    return noted


def _items_joined(x: Any) -> Any:
    """A list of arrays and lists of traced values as a list of arrays: what np.concatenate([y, [x[0]]]) joins."""
    return [_joined(item) for item in x] if isinstance(x, (list, tuple)) else x


def _joined(x: Any) -> Any:
    """A list of traced values as one array; anything else as it is."""
    return make_array(x) if isinstance(x, (list, tuple)) and contains_tracer(x) else x


def _place() -> Place:
    """The calls that lead to the one that makes an array, from the traced function on."""
    frame = sys._getframe(2)
    found: list[tuple[types.CodeType, int]] = []
    while frame is not None and frame.f_code is not trace_call.__code__:
        if not is_internal(frame.f_code.co_filename):
            found.append((frame.f_code, frame.f_lasti))
        frame = frame.f_back  # type: ignore[assignment]
    return tuple(found)


def with_buffers(record: Callable[[Makers | None], Any]) -> Any:
    """`record(None)`; where that asks a traced array to be a plain one, with stand-ins: `record(makers)`.

    The error is the first one where that is no help. Into an array of ints or bools that cannot be traced goes the
    number that is decided.
    """
    try:
        return record(None)
    except AssignedPlain as error:
        first = TraceError(error.message, hint=error.hint, source=error.source, tracers=error.tracers)
        first.__cause__ = error.__cause__
    makers = Makers()
    while True:
        try:
            record(makers)
            break
        except Assigned as assigned:
            if assigned.place in makers.traced:
                raise first from None
            makers.traced.add(assigned.place)
        except AssignedPlain:
            if makers.decides_items:
                break
            makers.decides_items = True
        except Exception:
            break  # what it is shows in the last trace, where other arrays are plain again
    if not makers.traced and not makers.helped and not makers.decides_items:
        raise first
    makers.noting = False
    try:
        return record(makers)
    except AssignedPlain:
        raise first from None
