"""What to call in place of a function that NumPy runs itself although it was given a tracer."""

from __future__ import annotations

import dis
import sys
from types import CodeType, FrameType

REPLACEMENTS: dict[CodeType, str] = {}
"""Functions that make plain arrays of their arguments, by their code: what to call in their place."""


def replacement() -> str | None:
    """The hint where a function that has a replacement makes a plain array of a tracer."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code in REPLACEMENTS:
            return f"call {REPLACEMENTS[frame.f_code]}, which takes traced arrays"
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
