"""A trace must not draw random numbers: they would be the same in every later call."""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Literal, Source
from lilith.source import RandomnessError
from lilith.trace import Recorded

_HINT = (
    "draw the numbers outside and pass them as an argument, or draw from a key that is an argument: "
    "lilith.random.normal(key, shape); the compiled program would repeat the same numbers in every call"
)


GENERATORS = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)


ENTROPY = frozenset(
    "SeedSequence RandomState SystemRandom default_rng getrandbits randbits randbelow random_raw token_bytes urandom "
    "uuid1 uuid4 MT19937 PCG64 Philox SFC64 Random".split()
)
"""Names of what can draw from the operating system: a generator made without a seed is another one in every call."""


def _get(generator: Any) -> Any:
    if isinstance(generator, np.random.BitGenerator):
        return generator.state
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return generator.getstate()


def _set(generator: Any, state: Any) -> None:
    if isinstance(generator, np.random.BitGenerator):
        generator.state = state
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.setstate(state)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    return a == b


class _Global:
    """The two global generators, by the functions that read and set their state."""

    def __init__(self, name: str, get: Any, set: Any):
        self.name, self.get, self.set = name, get, set


_GLOBALS = (
    _Global("random", random.getstate, random.setstate),
    _Global("np.random", lambda: np.random.get_state(legacy=False), np.random.set_state),
)


Draw = tuple[str, Callable[[Any], None], Any]


def watch(generators: Sequence[Any]) -> Callable[[], list[Draw]]:
    """Remember the states of `random`, `np.random` and the given generators; returns a function that lists those that
    have changed since, with what puts them back and the state they had."""
    sources = [(s.name, s.get, s.set) for s in _GLOBALS]
    for g in generators:
        sources.append((type(g).__name__, functools.partial(_get, g), functools.partial(_set, g)))
    before = [get() for _, get, _ in sources]

    def drawn() -> list[Draw]:
        return [
            (name, set, state)
            for (name, get, set), state in zip(sources, before, strict=True)
            if not _same(state, get())
        ]

    return drawn


def without_randomness(run: Callable[[], Any], generators: Sequence[Any], function: str, source: Source | None) -> Any:
    """`run()`, a trace; a RandomnessError if it draws random numbers. The states are put back: nothing is lost.

    Where other threads run, a change may be theirs: the trace is refused only if it happens twice, and states are left.
    """
    drawn = watch(generators)
    result = run()
    found = drawn()
    if found and threading.active_count() > 1:
        drawn = watch(generators)
        result = run()
        again = {name for name, _, _ in drawn()}
        found = [draw for draw in found if draw[0] in again]
    elif found:
        for _, put_back, state in found:
            put_back(state)
    if found:
        names = ", ".join(name for name, _, _ in found)
        raise RandomnessError(
            f"{function} draws random numbers ({names}) while it is traced", hint=_HINT, source=source
        )
    return result


def refuse_entropy(first: Recorded, second: Recorded, function: str, source: Source | None) -> None:
    """A RandomnessError if two traces of one function differ: a generator without a seed was made inside of it."""
    if _content(first) != _content(second):
        raise RandomnessError(
            f"{function} draws random numbers from a generator that it makes itself", hint=_HINT, source=source
        )


def _content(recorded: Recorded) -> list[tuple]:
    """All constants of a trace, NaN being equal to itself."""
    nodes = [
        (node.primitive.name, {k: v.key if isinstance(v, Literal) else repr(v) for k, v in node.params.items()})
        for node in recorded.graph.nodes
    ]
    return [*nodes, *((array.shape, array.tobytes()) for array in recorded.hoisted)]
