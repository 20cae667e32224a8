"""The user's line, and the errors that name it."""

from __future__ import annotations

import inspect
import linecache
import os
import sys
from collections.abc import Sequence
from typing import Any

from lilith.ir.graph import Source, current

_HERE = os.path.dirname(os.path.abspath(__file__))
_OURS = (_HERE + os.sep, os.path.join(os.path.dirname(_HERE), "lowering") + os.sep)
_DEMOS = os.path.join(_HERE, "demos", "")  # their functions stand for the user's
_LIBRARIES = {"numpy", "scipy", "jax", "jaxlib", "optree", "opt_einsum"}
_internal: dict[str, bool] = {}


def is_internal(filename: str) -> bool:
    """Whether a file belongs to Lilith, NumPy, SciPy or JAX and is therefore not the user's."""
    found = _internal.get(filename)
    if found is None:
        parts = filename.split(os.sep)
        installed = "site-packages" in parts or "dist-packages" in parts
        found = _internal[filename] = (
            (filename.startswith(_OURS) and not filename.startswith(_DEMOS))
            or filename.startswith(("<frozen", "<lilith", "<__array_function__", "numpy/random/"))
            or (installed and not _LIBRARIES.isdisjoint(parts))
        )
    return found


def user_source() -> Source | None:
    """The innermost frame of the user's own code on this thread's stack."""
    frame: Any = sys._getframe(1)
    internal = _internal
    while frame is not None:
        code = frame.f_code
        filename = code.co_filename
        known = internal.get(filename)
        if known is False or (known is None and not is_internal(filename)):
            return Source(code, frame.f_lasti)
        frame = frame.f_back
    return None


def definition(f: Any) -> Source | None:
    """The line where a Python function is defined."""
    code = getattr(inspect.unwrap(f) if callable(f) else f, "__code__", None)
    return Source(code, 0) if code is not None else None


class LilithError(Exception):
    """Base of all errors that Lilith raises about the user's program.

    The text says what is wrong with which types, where in the user's file, and what to do.

    Arguments:
        message: what is wrong, e.g. `add: f32[3] and f32[4] do not broadcast`.
        hint: the remedy.
        source: the user's line; without it the innermost frame of the user's code, or the line of the node in hand.
        tracers: the traced arrays whose contents were asked for, if that is what is wrong.
    """

    def __init__(self, message: str, *, hint: str = "", source: Source | None = None, tracers: Sequence[Any] = ()):
        if source is None:
            builder = current.builder
            source = (builder.source if builder is not None else None) or user_source()
        self.message = message
        self.hint = hint
        self.source = source
        self.tracers = tuple(tracers)
        super().__init__(message)

    def __reduce__(self) -> tuple:
        """As text: code and traced arrays do not travel to other processes, which send errors back."""
        return _as_it_reads, (type(self), str(self))

    def __str__(self) -> str:
        text = self.message
        if self.source is not None:
            line = linecache.getline(self.source.file, self.source.line).strip()
            text += (
                f"\n  at {os.path.basename(self.source.file)}:{self.source.line} in {self.source.function}:   {line}"
            )
        if self.hint:
            text += f"\n  hint: {self.hint}"
        return text


def _as_it_reads(cls: type[LilithError], text: str) -> LilithError:
    """An error that has come from another process: its text is all there is."""
    error = cls.__new__(cls)
    error.message, error.hint, error.source, error.tracers = text, "", None, ()
    error.args = (text,)
    return error


class ShapeError(LilithError, ValueError):
    """Shapes that do not fit together."""


class DtypeError(LilithError, TypeError):
    """Dtypes that an operation does not take."""


class NumberRangeError(LilithError, OverflowError):
    """A Python number that the dtype it meets cannot hold."""


class IndexingError(LilithError, IndexError):
    """An index out of bounds, or too many of them."""


class TraceError(LilithError, TypeError):
    """Something that cannot be traced: the value of a traced array is not known while the function is traced."""


class LeakedTracerError(LilithError, RuntimeError):
    """A tracer was used after the trace it belongs to had ended."""


class UnsupportedError(LilithError, NotImplementedError):
    """A NumPy function or option that Lilith does not know."""


class ArgumentError(LilithError, TypeError):
    """A wrong argument of one of Lilith's own functions."""


class GradientError(LilithError, TypeError):
    """A gradient that does not exist or was not asked for."""


class DeviceError(LilithError, RuntimeError):
    """A device that is not there, or arguments on several."""


class RandomnessError(LilithError, RuntimeError):
    """A trace that drew random numbers: they would be frozen into the compiled program."""


class LilithWarning(UserWarning):
    """Base of all warnings that Lilith gives."""
