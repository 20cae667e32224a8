"""What is kept: the programs of each function, by its code, by the state of its captures, by the call's signature."""

from __future__ import annotations

import functools
import threading
import types
from collections import deque
from collections.abc import Callable
from typing import Any

from lilith.asked import Spec, function_name
from lilith.captures import Captures
from lilith.config import config
from lilith.derive import Derivation, NeedsContent
from lilith.executable import Executable
from lilith.straight import MISS

_MAX_FAST = 4


class Variant:
    """One function with one state of its static captures: its programs, and how its captures are read.

    Attributes:
        key: the static captures.
        plan: reads the dynamic ones; it holds none of the user's objects.
        programs: compiled, by (spec, signature of the arguments, of the captures, of the cotangent).
        derivations: for calls inside of other traces, which inline the graph instead of running it.
        building: a lock per program that is being built, so that it is built once.
    """

    __slots__ = ("building", "derivations", "key", "plan", "programs")

    def __init__(self, captures: Captures):
        self.key = captures.key
        self.plan = captures.plan
        self.programs: dict[tuple, Executable] = {}
        self.derivations: dict[tuple, Derivation] = {}
        self.building: dict[tuple, threading.RLock] = {}

    def lock(self, key: tuple) -> threading.RLock:
        """The lock of a program that is being built."""
        return self.building.setdefault(key, threading.RLock())


_Fast = Callable[..., Any]


def _no_fast_path(f: Any, args: tuple, given: Any = None) -> Any:
    return MISS


class FastPaths:
    """The warm paths for one code object and one Spec, the latest first.

    Attributes:
        first: the one to try; `others` are those after it.
    """

    __slots__ = ("_pairs", "first", "others")

    def __init__(self) -> None:
        self._set(())

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:  # written out: a function that calls a compiled one has this as a part of its key
        return id(self)

    def _set(self, pairs: tuple[tuple[Executable, _Fast], ...]) -> None:
        self._pairs = pairs[:_MAX_FAST]
        functions = [function for _, function in self._pairs]
        self.others: tuple[_Fast, ...] = tuple(functions[1:])
        self.first: _Fast = functions[0] if functions else _no_fast_path

    def add(self, program: Executable, function: _Fast) -> None:
        self.drop(program)
        self._set(((program, function), *self._pairs))

    def clear(self) -> None:
        for program, _ in self._pairs:
            program.fast_plan = None
        self._set(())

    def drop(self, program: Any) -> None:
        self._set(tuple([pair for pair in self._pairs if pair[0] is not program]))

    def later(self, f: Any, args: tuple, *given: Any) -> Any:
        """What `first` has missed, by the others; MISS if they miss it too."""
        for fast in self.others:
            result = fast(f, args, *given)
            if result is not MISS:
                return result
        return MISS


class Entry:
    """Everything known about one code object; fresh closures of the same code share it.

    Attributes:
        anchor: the code object; it is held, so that its id stays its own.
        name: of the function, for texts.
        variants: the one used last comes first.
        fast: by the id of a Spec, the generated warm paths and the programs that they run.
        pinned, whole: how captures must be read (`lilith.captures.scan`), as traces found out.
        static_ints: which values static int arguments have had.
    """

    __slots__ = ("anchor", "fast", "name", "pinned", "static_ints", "variants", "whole")

    def __init__(self, anchor: Any, name: str):
        self.anchor = anchor
        self.name = name
        self.variants: list[Variant] = []
        self.fast: dict[int, FastPaths] = {}
        self.pinned: frozenset[str] = frozenset()
        self.whole = False
        self.static_ints: dict[tuple, set[int]] = {}

    def programs(self) -> list[Executable]:
        """Those that are tried first, one for each signature."""
        return [p for v in self.variants for p in list(v.programs.values())]

    def descriptions(self) -> list[dict[str, str]]:
        return [p.description for p in self.programs()]

    def learn(self, need: NeedsContent) -> None:
        """Note how captures must be read; the user's error where that is known already and did not help."""
        if need.names <= self.pinned and (self.whole or not need.whole):
            raise need.error or need from None
        self.pinned |= need.names
        self.whole = self.whole or need.whole


entries: dict[int, Entry] = {}

fast_paths: dict[tuple[int, int], FastPaths] = {}
"""The warm paths by the ids of code object and Spec: what `grad` looks at before anything else."""

table_lock = threading.Lock()

_order: deque[tuple[Entry, Variant, dict, tuple]] = deque()

_MAX_VARIANTS = 64


def anchor_of(f: Any) -> Any:
    """The object that stands for a callable in the cache: its code, shared by all closures made from it."""
    while isinstance(f, functools.partial):
        f = f.func
    if isinstance(f, types.MethodType):
        f = f.__func__
    code = getattr(f, "__code__", None)
    if code is None and not isinstance(f, type):
        code = getattr(type(f).__call__, "__code__", None)
    return code if code is not None else f


def fast_paths_of(f: Any, spec: Spec) -> FastPaths:
    """The warm paths for a function; there may be none yet."""
    entry = entry_of(f)
    with table_lock:
        return warm_paths(entry, spec)


def warm_paths(entry: Entry, spec: Spec) -> FastPaths:
    """The warm paths of an entry; the caller holds the lock."""
    found = entry.fast.get(id(spec))
    if found is None:
        found = entry.fast[id(spec)] = fast_paths[id(entry.anchor), id(spec)] = FastPaths()
    return found


def forget_warm_paths() -> None:
    """Have every call look its program up: a setting that is part of the key has changed."""
    with table_lock:
        for found in fast_paths.values():
            found.clear()


config.when_roll_changes.append(forget_warm_paths)


def entry_of(f: Any) -> Entry:
    anchor = anchor_of(f)
    with table_lock:
        entry = entries.get(id(anchor))
        if entry is None:
            if len(entries) > 2 * config.cache_size:
                _forget_empty_entries()
            entry = entries[id(anchor)] = Entry(anchor, function_name(f))
        return entry


def _forget_empty_entries() -> None:
    """Functions that were looked at but have nothing compiled (any more)."""
    for entry in list(entries.values()):
        if not any(v.programs or v.derivations or v.building for v in entry.variants):
            _forget(entry)


def _forget(entry: Entry) -> None:
    entries.pop(id(entry.anchor), None)
    for spec in entry.fast:
        fast_paths.pop((id(entry.anchor), spec), None)


def variant_of(entry: Entry, captures: Captures) -> Variant:
    """The variant for this state of the static captures; it becomes the one that is tried first."""
    with table_lock:
        variant = next((v for v in entry.variants if v.key == captures.key), None) or Variant(captures)
        variant.plan = captures.plan
        entry.variants = [variant, *[v for v in entry.variants if v is not variant]][:_MAX_VARIANTS]
        return variant


def remember(entry: Entry, variant: Variant, table: dict[tuple, Any], full: tuple, made: Any) -> None:
    """Keep what was made, and let go of what has not been used for long."""
    with table_lock:
        table[full] = made
        _order.append((entry, variant, table, full))
        while len(_order) > config.cache_size:
            _evict()


def _evict() -> None:
    """Second chance: a program used since the last look goes to the end of the line once more; one with a warm path
    loses that first, so that its next use is seen."""
    entry, variant, table, full = _order.popleft()
    made = table.get(full)
    for fast in entry.fast.values():
        fast.drop(made)
    if isinstance(made, Executable) and made.recent:
        made.recent, made.fast_plan = False, None
        _order.append((entry, variant, table, full))
        return
    table.pop(full, None)
    if not variant.programs and not variant.derivations:
        entry.variants = [v for v in entry.variants if v is not variant]
    if not entry.variants and entries.get(id(entry.anchor)) is entry:
        _forget(entry)
