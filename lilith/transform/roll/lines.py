"""The line of the user's loop from the lines of what it repeats."""

from __future__ import annotations

import dis
import functools
from collections.abc import Sequence
from typing import Any

from lilith.ir.graph import Node, Source


def loop_source(nodes: Sequence[Node]) -> Source | None:
    """The `for` or `while` around the innermost loop that holds all these nodes, as far as one function has them; or
    else the line of the first."""
    sources = [node.source for node in nodes if node.source is not None]
    if not sources:
        return None
    codes = {source.code for source in sources}
    for code in codes:
        offsets = [source.offset for source in sources if source.code is code]
        around = [loop for loop in _loops(code) if loop[0] <= min(offsets) and max(offsets) < loop[1]]
        if around:
            return Source(code, min(around, key=lambda loop: loop[1] - loop[0])[2])
    return sources[0]


@functools.lru_cache(maxsize=256)
def _loops(code: Any) -> tuple[tuple[int, int, int], ...]:
    """The loops of a function: where their instructions begin and end, and the one that decides to go on."""
    found = []
    instructions = {i.offset: i for i in dis.get_instructions(code)}
    for i in instructions.values():
        if "JUMP" in i.opname and isinstance(i.argval, int) and i.argval < i.offset:
            target = instructions.get(i.argval)
            head = target is not None and target.opname == "FOR_ITER"
            found.append((i.argval, i.offset + 2, i.argval if head else i.offset))
    return tuple(found)
