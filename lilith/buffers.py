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
    """An array made at some place is assigned a traced value."""

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


class Makers:
    """The stand-ins of one trace.

    Attributes:
        traced: places whose arrays are traced from the start.
        noting: whether other arrays are made `Noted`.
        helped: whether a call was of help that NumPy could not have answered.
    """

    def __init__(self) -> None:
        self.traced: set[Place] = set()
        self.noting = True
        self.helped = False
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
        try:
            return self._made(f, f(*args, **kwargs), [*args, *kwargs.values()])
        except Exception as error:
            if not isinstance(uncovered(error), AssignedPlain):
                raise
        self.helped = True
        return f(*map(_joined, args), **{name: _joined(x) for name, x in kwargs.items()})

    def _made(self, f: Any, array: Any, given: Sequence[Any]) -> Any:
        if type(array) not in (np.ndarray, Noted) or array.dtype.kind not in "biufc" or not is_tracing():
            return array
        for x in given:
            if isinstance(x, np.ndarray) and np.may_share_memory(array, x):
                return _view(array, x)
        place = _place()
        if place in self.traced:
            plain = np.asarray(array)
            if f in (np.empty, np.empty_like):
                return new_array(full(0, plain.shape, plain.dtype))
            first = plain.reshape(-1)[:1]
            if plain.size > 1 and (plain == first).all():
                return new_array(full(first[0], plain.shape, plain.dtype))
            return new_array(lift(plain))
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
    """Whether x is a function of NumPy's main namespace, no ufunc and no class."""
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

    The error is the first one where that is no help.
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
        except Exception:
            break  # what it is shows in the last trace, where other arrays are plain again
    if not makers.traced and not makers.helped:
        raise first
    makers.noting = False
    try:
        return record(makers)
    except AssignedPlain:
        raise first from None
