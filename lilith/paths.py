"""The paths of one function through its own `if`s and `while`s: a program each, found by how the guards come out."""

from __future__ import annotations

import linecache
import os
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from lilith.callpath import Diverged
from lilith.executable import Executable
from lilith.guards import Guard
from lilith.source import LilithWarning

KEPT = 64
"""So many paths of one call signature are kept; those used longest ago go first."""

HOT = 8
"""Two paths that have been right so often, each, are merged into one program."""

WARNED = 16
"""So many paths, and a warning says where they come from."""


class Paths:
    """The programs for calls of one signature.

    Attributes:
        programs: the one that was needed last comes first.
        misses: how often the program that is tried first was the wrong one since it came to be.
        merged: the pairs of paths that have been merged, or cannot be.
    """

    __slots__ = ("_warned", "merged", "misses", "programs")

    def __init__(self, first: Executable):
        self.programs = [first]
        self.misses = 0
        self.merged: set[frozenset[tuple[int, ...]]] = set()
        self._warned = False

    def find(self, prefix: tuple[int, ...]) -> Executable | None:
        """A program whose guards begin with these outcomes."""
        return next((p for p in self.programs if p.path[: len(prefix)] == prefix), None)

    def add(self, program: Executable, name: str) -> None:
        """Keep a program; the path it has must not be there yet."""
        program.paths = self
        self.programs = [program, *self.programs][:KEPT]
        if len(self.programs) >= WARNED and not self._warned:
            self._warned = True
            self._warn(name)

    def used(self, program: Executable) -> None:
        """Note that a program was needed in place of the one that is tried first."""
        self.misses += 1
        if self.programs[0] is not program and program in self.programs:
            self.programs = [program, *(p for p in self.programs if p is not program)]

    def are_hot(self, a: Executable, b: Executable) -> bool:
        """Whether two programs are worth merging: both needed often, and not tried yet. Answers yes once."""
        pair = frozenset((a.path, b.path))
        if min(a.layout.served[0], b.layout.served[0]) < HOT or pair in self.merged or a.parts or b.parts:
            return False
        self.merged.add(pair)
        return True

    def _warn(self, name: str) -> None:
        lines: Counter[tuple[str, int]] = Counter()
        for program in self.programs:
            lines.update(
                {(g.source.file, g.source.line) for g in program.derivation.guards[-1:] if g.source is not None}
            )
        where = ""
        if lines:
            (file, line), _ = lines.most_common(1)[0]
            text = linecache.getline(file, line).strip()
            where = f"; most of them part at {os.path.basename(file)}:{line}:   {text}"
        warnings.warn(
            f"{name} has taken {len(self.programs)} paths through its own Python branches, each compiled by "
            f"itself{where}\n  hint: lilith.while_loop for a loop whose length depends on the data, lilith.cond or "
            "np.where for a branch",
            LilithWarning,
            stacklevel=2,
        )


def settle(
    program: Executable,
    found: tuple[int, ...],
    leaves: Sequence[Any],
    cotangent: Sequence[Any],
    build: Callable[[tuple[int, ...]], Executable],
) -> tuple[Any, Executable]:
    """The result of a call whose guards came out as `found`, otherwise than on the program's path.

    What a compiled program computes is what counts: NumPy rounds otherwise, and a value close to a threshold may fall
    on either side. So the outcomes up to the first that differs are decided, and a path that begins with them is run,
    or traced with them forced. Of that run only later guards count. Each step decides at least one more, so it ends.

    Arguments:
        build: `(decided outcomes)` makes the program of such a path.
    """
    if program.parts is not None:
        program = program.parts[0]
        result = program.run(leaves, cotangent)
        if result.__class__ is not Diverged:
            return result, program
        found = result.outcomes
    decided = 0
    while True:
        place = next(i for i in range(decided, len(found)) if found[i] != program.path[i])
        prefix = (*program.path[:place], found[place])
        decided = len(prefix)
        program = program.paths.find(prefix) or build(prefix)
        result = program.run(leaves, cotangent, decided)
        if result.__class__ is not Diverged:
            return result, program
        found = result.outcomes


def describe(guards: Sequence[Guard]) -> str:
    """A path in words: `if x > 0: (losses.py:4) is True, ...`, loops in a word."""
    words: list[str] = []
    previous: tuple[Any, int] | None = None
    repeats = 0
    for guard in guards:
        here = (guard.source and (guard.source.file, guard.source.line), guard.outcome)
        if here == previous:
            repeats += 1
            continue
        if repeats:
            words[-1] += f", {repeats + 1} times"
        words.append(_text(guard))
        previous, repeats = here, 0
    if repeats:
        words[-1] += f", {repeats + 1} times"
    return "; ".join(words)


def _text(guard: Guard) -> str:
    source = guard.source
    outcome = str(guard.outcome) if guard.integer else str(bool(guard.outcome))
    if source is None:
        return outcome
    line = linecache.getline(source.file, source.line).strip()
    return f"{line} ({os.path.basename(source.file)}:{source.line}) is {outcome}"
