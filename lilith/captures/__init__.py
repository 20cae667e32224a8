"""Captures: everything a function reads besides its arguments.

Closure cells, defaults, the globals it names, the attributes of a bound method's object; the same of the user's helper
functions; and what these hold, at any depth. Arrays and floats become inputs of the program; ints, strings and code
become part of its key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from lilith.captures.plan import Plan
from lilith.captures.substitute import Substitution
from lilith.captures.walk import Walk

__all__ = ["Captures", "Contents", "Plan", "content_scan", "scan", "substitute"]


class Captures:
    """What one scan found.

    Attributes:
        key: hashable and complete description of all that is static: code, structure, static values, content of what
            cannot take a tracer. Not the types of the inputs.
        leaves: current values of the inputs: arrays, floats, complex numbers, NumPy scalars, tracers of outer traces.
        names: theirs, as the program calls them: `X`, `self.W`, `model.layers[0].b`, `helper.scale`.
        plan: reads the inputs again; it does not hold the user's objects, as the Captures do.
        generators: random generators that can be reached.
        opaque: names of what may change unseen, such as iterators and files.
        whole: every object was read with all its attributes.
        mentions: the names that the reachable code uses: attributes, globals.
    """

    __slots__ = ("_walk", "generators", "key", "leaves", "mentions", "names", "opaque", "plan", "whole")

    def __init__(self, walk: Walk):
        self._walk = walk
        self.key = walk.key()
        self.leaves = [edge.value for edge in walk.inputs]
        self.names = [edge.name for edge in walk.inputs]
        self.generators = walk.generators
        self.opaque = walk.opaque
        self.whole = all(node.whole for node in walk.nodes)
        self.plan = Plan(walk)
        self.mentions = {name for name, _ in walk.names} | {
            edge.key for edge in walk.edges if isinstance(edge.key, str)
        }

    def describe(self) -> str:
        """The static values, as text: `n=3, mode='fast', helper=<function helper>`."""
        return ", ".join(self._walk.describe())


def scan(f: Callable[..., Any], whole: bool = False, pinned: Collection[str] = ()) -> Captures:
    """Walk through everything that f reads besides its arguments.

    Arguments:
        f: any callable.
        whole: read objects with all their attributes. Otherwise those that no code names are left out: a list of losses
            that a trainer keeps must not make each call of its loss function a new program. What f returns may hold
            such attributes.
        pinned: names (as in `Captures.names`) of inputs whose values the function needs while it is traced: an array of
            indices, a float given to `math.sqrt`. They become part of the key by their content, and f reads them as
            they are.

    >>> import numpy as np
    >>> scale, n = np.ones(3), 2
    >>> def make(scale, n):
    ...     return lambda x: scale * x**n
    >>> captures = scan(make(np.ones(3), 2))
    >>> captures.names, captures.leaves
    (['scale'], [array([1., 1., 1.])])
    >>> captures.key == scan(make(np.zeros(4), 2)).key, captures.key == scan(make(np.ones(3), 3)).key
    (True, False)
    >>> captures.plan.read(make(np.zeros(3), 2)), captures.plan.read(make(np.zeros(3), 3))
    ([array([0., 0., 0.])], None)
    """
    return Captures(Walk(f, whole, pinned))


def substitute(
    f: Callable[..., Any],
    captures: Captures,
    replacements: Sequence[Any],
    stand_in: Callable[[Any], Any] | None = None,
) -> Callable[..., Any]:
    """A copy of f that reads the replacements in place of the captured inputs. f and all it reads stay as they are.

    Without inputs it is f itself.

    Arguments:
        stand_in: what the copy reads in place of a static value (a module, a library's function); None for itself.

    >>> def make(scale):
    ...     return lambda x: scale * x
    >>> f = make(2.0)
    >>> substitute(f, scan(f), [10.0])(3.0), f(3.0)
    (30.0, 6.0)
    """
    if not captures.leaves and stand_in is None:
        return f
    return Substitution(captures._walk, list(replacements), stand_in).run(f)


class Contents:
    """A key of all that a callable reads, its inputs by their content: for callables that are arguments.

    A callable with the same code that reads the same values has the same key; a plan sees at once whether it still
    does.
    """

    def __init__(self, limit: int = 256):
        self._limit = limit
        self._known: dict[int, tuple[Any, list[tuple[Plan, Any]]]] = {}

    def key(self, f: Callable[..., Any]) -> Any:
        """The key, for `f` itself or a fresh closure of the same code."""
        anchor = getattr(f, "__code__", None) or getattr(getattr(f, "__func__", None), "__code__", None) or type(f)
        found = self._known.get(id(anchor))
        if found is not None:
            for plan, key in found[1]:
                if plan.read(f) is not None:
                    return key
        captures = content_scan(f)
        if len(self._known) >= self._limit:
            self._known.clear()
        plans = self._known.setdefault(id(anchor), (anchor, []))[1]
        plans.insert(0, (captures.plan, captures.key))
        del plans[8:]
        return captures.key


def content_scan(f: Callable[..., Any]) -> Captures:
    """A scan in which every input is part of the key."""
    captures = scan(f)
    return scan(f, pinned=captures.names) if captures.leaves else captures
