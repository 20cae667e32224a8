"""A trace must not draw random numbers: they would be the same in every later call."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from lilith.ir.graph import Source
from lilith.source import RandomnessError

_HINT = (
    "draw the numbers outside and pass them as an argument, or keep the generator out of the function: the compiled "
    "program would repeat the same numbers in every call"
)


def _get(generator: Any) -> Any:
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return generator.getstate()


def _set(generator: Any, state: Any) -> None:
    if isinstance(generator, np.random.Generator):
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


@contextmanager
def no_randomness(generators: Sequence[Any], function: str, source: Source | None) -> Iterator[None]:
    """Raise a RandomnessError if the block draws from `random`, `np.random` or one of the generators.

    Their states are put back, so that nothing is lost by the refusal.
    """
    sources = [(s.name, s.get, s.set) for s in _GLOBALS]
    for g in generators:
        sources.append((type(g).__name__, lambda g=g: _get(g), lambda state, g=g: _set(g, state)))
    before = [get() for _, get, _ in sources]
    yield
    drawn = [i for i, (_, get, _) in enumerate(sources) if not _same(before[i], get())]
    for i in drawn:
        sources[i][2](before[i])
    if drawn:
        names = ", ".join(sources[i][0] for i in drawn)
        raise RandomnessError(
            f"{function} draws random numbers ({names}) while it is traced", hint=_HINT, source=source
        )
