"""What to call in place of a function that NumPy runs itself although it was given a tracer, or that means nothing."""

from __future__ import annotations

import difflib
import dis
import sys
from collections.abc import Callable, Iterable
from types import CodeType, FrameType
from typing import Any, NoReturn

import numpy as np

from lilith.source import UnsupportedError

REPLACEMENTS: dict[CodeType, str | Callable[[FrameType], str | None]] = {}
"""Functions that make plain arrays of their arguments, by their code: what to call in their place. Where one code
stands for many functions, a function that finds out from the frame."""

LATE_REPLACEMENTS: list[Callable[[], None]] = []
"""Called before REPLACEMENTS is read: they add functions of modules that are loaded only by then."""

REFUSALS: dict[Any, tuple[str, str]] = {}
"""Functions that mean nothing on traced arrays: why, and what to do."""


def replacement() -> str | None:
    """The hint where a function that has a replacement makes a plain array of a tracer."""
    for add in LATE_REPLACEMENTS:
        add()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        found = REPLACEMENTS.get(frame.f_code)
        text = found(frame) if callable(found) else found
        if text is not None:
            return f"call {text}, which takes traced arrays"
        frame = frame.f_back
    return None


def table_hint() -> str | None:
    """The hint where a plain array or list is indexed with a tracer: NumPy and Python ask it for plain numbers."""
    frame = sys._getframe(2)
    instruction = frame.f_code.co_code[frame.f_lasti : frame.f_lasti + 2]
    name = dis.opname[instruction[0]] if instruction else ""
    if name == "BINARY_SUBSCR" or (name == "BINARY_OP" and instruction[1] == _SUBSCRIPT):
        return "lilith.numpy.take(table, i, axis=0) takes traced indices; np.stack makes one array of a list of arrays"
    return None


# table[i] as Python 3.14 compiles it
_SUBSCRIPT = 26


def unsupported(function: Any, supported: Iterable[Any]) -> NoReturn:
    """Raise the error for a NumPy function that has no rule, naming those of the supported ones with a near name."""
    name = getattr(function, "__name__", str(function))
    module = getattr(function, "__module__", None) or "numpy"
    if function in REFUSALS:
        reason, hint = REFUSALS[function]
        raise UnsupportedError(f"{_written(function)} of traced arrays: {reason}", hint=replacement() or hint)
    known = [_written(f) for f in supported if callable(f)]
    near = _near(name, [full for full in known if full.rpartition(".")[0] == module.replace("numpy", "np")])
    near = near or _near(name, known)
    hint = f"near names that work: {', '.join(near)}" if near else "lilith.numpy.supported() names those that work"
    hint = replacement() or hint
    raise UnsupportedError(f"{module}.{name} is not supported on traced arrays", hint=hint)


def _written(function: Any) -> str:
    """How a user writes a NumPy or SciPy function: np.sum, np.linalg.norm, scipy.special.erf."""
    name, module = function.__name__, getattr(function, "__module__", None) or "numpy"
    if isinstance(function, np.ufunc):
        module = "numpy" if getattr(np, name, None) is function else "scipy.special"
    return f"{module.replace('numpy', 'np')}.{name}"


def _near(name: str, known: list[str]) -> list[str]:
    """Up to three of the known names whose last part is close to a name."""
    by_name = {full.rpartition(".")[2]: full for full in reversed(known)}
    return [by_name[n] for n in difflib.get_close_matches(name, by_name, 3, cutoff=0.75)]
