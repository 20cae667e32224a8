"""ndarray's methods on tracers, which are NumPy's functions under another name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.source import DtypeError
from lilith.tracer import FUNCTIONS, UFUNCS, Tracer, call_rule


def _methods() -> None:
    """Attach ndarray's methods that are functions of NumPy's main namespace."""

    def method(function: Any) -> Callable[..., Any]:
        def call(self: Tracer, *args: Any, **kwargs: Any) -> Any:
            if kwargs.get("out") is not None:
                out = kwargs.pop("out")
                return FUNCTIONS["out"](
                    function.__name__, out, lambda: call_rule(FUNCTIONS.get(function), function, (self, *args), kwargs)
                )
            return call_rule(FUNCTIONS.get(function), function, (self, *args), kwargs)

        call.__name__ = function.__name__
        call.__doc__ = f"numpy.{function.__name__} of this array."
        return call

    for name in (
        "all any argmax argmin argpartition argsort choose clip cumprod cumsum diagonal dot max mean min "
        "nonzero prod ravel repeat round searchsorted squeeze std sum swapaxes take trace var"
    ).split():
        setattr(Tracer, name, method(getattr(np, name)))


_methods()


def _variadic(self: Tracer, args: tuple) -> Any:
    return args[0] if len(args) == 1 and not isinstance(args[0], (int, np.integer)) else args


def _reshape(self: Tracer, *shape: Any, order: str = "C", copy: bool | None = None) -> Tracer:
    """numpy.reshape; the shape as one tuple or as several ints."""
    return FUNCTIONS[np.reshape](self, _variadic(self, shape), order=order)


def _transpose(self: Tracer, *axes: Any) -> Tracer:
    """numpy.transpose; the axes as one tuple or as several ints."""
    return FUNCTIONS[np.transpose](self, _variadic(self, axes) if axes else None)


def _astype(self: Tracer, dtype: Any, order: str = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True):
    """A copy of another dtype."""
    if not np.can_cast(self.dtype, dtype, casting):
        raise DtypeError(
            f"astype: {self.value.type} to {np.dtype(dtype)} is no {casting!r} cast", hint="casting='unsafe'"
        )
    return FUNCTIONS[np.astype](self, dtype)


def _conjugate(self: Tracer) -> Tracer:
    """numpy.conjugate of this array; a real array itself."""
    if self.dtype.kind != "c":
        return self
    return UFUNCS[np.conjugate](self)


def _copy(self: Tracer, order: str = "C") -> Tracer:
    """A copy."""
    return FUNCTIONS["copy"](self)


def _compress(self: Tracer, condition: Any, axis: Any = None) -> Tracer:
    """numpy.compress of this array with a known mask."""
    return call_rule(FUNCTIONS.get(np.compress), np.compress, (condition, self, axis), {})


def _flatten(self: Tracer, order: str = "C") -> Tracer:
    """A copy of numpy.ravel of this array."""
    return FUNCTIONS["copy"](FUNCTIONS[np.ravel](self, order=order))


def _view(self: Tracer) -> Tracer:
    """This array under another name: it has the same memory."""
    return self[...]


Tracer.reshape, Tracer.transpose, Tracer.astype = _reshape, _transpose, _astype  # type: ignore[attr-defined]
Tracer.conj, Tracer.conjugate = _conjugate, _conjugate  # type: ignore[attr-defined]
Tracer.copy, Tracer.flatten = _copy, _flatten  # type: ignore[attr-defined]
Tracer.compress, Tracer.view = _compress, _view  # type: ignore[attr-defined]
