"""The walk from a function to everything it reads besides its arguments: nodes for what is entered, edges for reads."""

from __future__ import annotations

import builtins
import functools
import os
import sys
import types
from collections.abc import Callable, Collection, Sequence
from typing import Any

from lilith import tree
from lilith.captures import content, reads
from lilith.captures.code import Facts
from lilith.captures.kinds import CLASS, FIXED, GLOBALS, SEQUENCE, Kind, construct, kind_of, widen
from lilith.captures.reads import MISSING
from lilith.source import is_internal

NODE, SEEN, ABSENT, WRITTEN = "node", "seen", "absent", "written"
"""How a read can end, besides the roles of leaves: a new node, a node met before, nothing, or only ever written to."""

_WRITABLE = frozenset({list, dict, set, int, float, complex, bool})


Fields = frozenset[str] | None
"""Names of attributes, or all there is."""


class Edge:
    """One read: `value = get(value of the parent node, key)`, and how it ended.

    Attributes:
        name: in the user's terms.
        fixed: no tracer can be put here, so what is found becomes part of the key.
        written: the function only writes to what it finds.
        fields: the attributes through which alone code uses what it finds; None if otherwise.
        outcome: NODE, SEEN, ABSENT, WRITTEN or the role of a leaf.
        target: index of the node, or of the input.
        key_part: what the key holds of it.
    """

    __slots__ = ("fields", "fixed", "get", "key", "key_part", "name", "outcome", "parent", "target", "value", "written")

    def __init__(
        self, parent: int, get: Callable[[Any, Any], Any], key: Any, name: str, fixed: bool, written: bool = False
    ):
        self.parent, self.get, self.key, self.name = parent, get, key, name
        self.fixed, self.written = fixed, written
        self.fields: Fields = None
        self.outcome = ABSENT
        self.target = -1
        self.value: Any = MISSING
        self.key_part: Any = None


class Node:
    """Something entered.

    Attributes:
        fixed: no tracers can be put into it.
        whole: an object that is read with all its attributes, not only with those that code names.
        fields: of a namedtuple, those that are read; None for all.
    """

    __slots__ = ("edges", "fields", "fixed", "kind", "name", "value", "whole")

    def __init__(self, value: Any, kind: Kind | None, name: str, fixed: bool):
        self.value, self.kind, self.name, self.fixed = value, kind, name, fixed
        self.edges: list[Edge] = []
        self.whole = True
        self.fields: Fields = None


Names = Sequence[tuple[str, bool]]
"""Attribute names that code mentions, and whether it reads them or only writes to what they hold."""


class Walk:
    """One walk from a callable. Node 0 is the callable as it was given.

    Arguments:
        f: the callable.
        whole: read the user's objects with all attributes, not only with those that code names.
        pinned: names of inputs that become part of the key, by their content.

    The order of nodes, edges and inputs depends only on what is found, so that equal keys mean equal order.
    """

    def __init__(self, f: Any, whole: bool = False, pinned: Collection[str] = ()):
        self.pinned = pinned
        self.home = _home_of(f)
        self.root_globals: Any = None
        self.nodes = [Node(f, None, "", False)]
        self.edges: list[Edge] = []
        self.inputs: list[Edge] = []
        self.generators: list[Any] = []
        self.opaque: list[str] = []
        self.names: list[tuple[str, bool]] = []
        self.reflective, self.compares = whole, False
        self._read: dict[str, bool] = {}
        self._memo: dict[tuple[int, bool, bool], int] = {}
        self._asked: dict[tuple[int, Any, Any], Edge] = {}
        self._pending: list[Edge] = []
        self._watching: dict[int, Callable[[Walk, int, Names], None]] = {}
        self._progress: dict[int, tuple[int, bool, bool]] = {}
        self._visit(Edge(0, reads.entry, None, "", False))
        while True:
            while self._pending:
                self._visit(self._pending.pop())
            if not self._grow():
                break

    def push(
        self,
        parent: int,
        get: Callable[[Any, Any], Any],
        key: Any,
        name: str,
        fixed: bool = False,
        written: bool = False,
        fields: Fields = None,
    ) -> None:
        """Ask for a read; the same read is done once, unless it was only for writing before."""
        asked = (parent, get, key)
        known = self._asked.get(asked)
        if known is None or (known.written and not written):
            edge = self._asked[asked] = Edge(parent, get, key, name, fixed or self.nodes[parent].fixed, written)
            edge.fields = fields
            self._pending.append(edge)
        elif known.fields is not None:
            known.fields = None if fields is None else known.fields | fields
            if known.outcome in (NODE, SEEN):
                widen(self, known.target, known.fields)

    def link(self, parent: int, get: Callable[[Any, Any], Any], key: Any, name: str) -> int:
        """Do a read of something that is always a node (a cell, a globals dict) at once; the node's index."""
        edge = Edge(parent, get, key, name, self.nodes[parent].fixed)
        self._visit(edge)
        return edge.target

    def take_up(self, facts: Facts) -> None:
        """Note the attribute names of some code; what holds attributes of these names is looked at again."""
        for name, read in facts.attributes.items():
            if name not in self._read or (read and not self._read[name]):
                self._read[name] = read
                self.names.append((name, read))
        self.reflective |= facts.reflective
        self.compares |= facts.compares

    def watch(self, index: int, enter: Callable[[Walk, int, Names], None]) -> None:
        """Have `enter` called with the attribute names, those known and those found later."""
        self._watching[index] = enter

    def is_users(self, filename: str) -> bool:
        """Whether a source file is the user's; the package that the function itself comes from always is."""
        return not tree.is_library_file(filename) or (self.home is not None and filename.startswith(self.home))

    def is_users_class(self, cls: type) -> bool:
        """The same for a class, by its module."""
        filename = getattr(sys.modules.get(cls.__module__), "__file__", None)
        return self.is_users(filename) if filename else not tree.is_library_module(cls.__module__)

    def is_users_module(self, module: Any) -> bool:
        """The same for a module."""
        filename = getattr(module, "__file__", None)
        return self.is_users(filename) if filename else not tree.is_library_module(module.__name__)

    def key(self) -> tuple:
        """The static description of all that was found."""
        return tuple([(e.parent, e.get, e.key, e.outcome, e.key_part) for e in self.edges])

    def describe(self) -> list[str]:
        """The static reads, as text, in order."""
        texts = []
        for e in self.edges:
            if e.outcome == ABSENT:
                texts.append(f"{e.name or e.key} is missing")
            elif e.name and e.outcome in (content.STATIC, content.CONTENT):
                text = repr(e.value)
                texts.append(f"{e.name}={text if len(text) <= 40 else text[:37] + '...'}")
            elif e.name and e.outcome == NODE and isinstance(e.value, types.FunctionType):
                texts.append(f"{e.name}={e.value.__qualname__}:{e.value.__code__.co_firstlineno}")
        return texts

    def _grow(self) -> bool:
        now = (len(self.names), self.reflective, self.compares)
        for index, enter in list(self._watching.items()):
            before = self._progress.get(index)
            if before != now:
                self._progress[index] = now
                start = before[0] if before is not None and before[1:] == now[1:] else 0
                enter(self, index, self.names[start:])
        self._pending.reverse()
        return bool(self._pending)

    def _visit(self, edge: Edge) -> None:
        self.edges.append(edge)
        parent = self.nodes[edge.parent]
        parent.edges.append(edge)
        try:
            value = edge.value = edge.get(parent.value, edge.key)
        except (AttributeError, KeyError, IndexError):  # another thread took it away
            return
        if value is MISSING:
            return
        if edge.written and type(value) in _WRITABLE:
            edge.outcome, edge.key_part = WRITTEN, type(value)
            return
        kind = GLOBALS if edge.get is reads.read_globals else kind_of(value, self)
        if kind is None:
            self._leaf(edge, value)
            return
        memo = (id(value), edge.fixed or kind in FIXED, kind is GLOBALS)
        edge.target = self._memo.get(memo, -1)
        if edge.target >= 0:
            edge.outcome, edge.key_part = SEEN, edge.target
            widen(self, edge.target, edge.fields)
        else:
            edge.outcome, edge.key_part = NODE, (kind.name, kind.describe(value))
            edge.target = self._memo[memo] = len(self.nodes)
            self.nodes.append(Node(value, kind, edge.name, memo[1]))
            if kind is SEQUENCE and not self.reflective:
                self.nodes[-1].fields = edge.fields
            start = len(self._pending)
            kind.enter(self, edge.target)
            self._pending[start:] = self._pending[start:][::-1]
        if kind is CLASS and edge.get is not reads.read_type and not edge.name.endswith("__class__"):
            construct(self, edge.target)

    def _leaf(self, edge: Edge, value: Any) -> None:
        role = content.role(value)
        if role is content.INPUT:
            if not edge.fixed and edge.name not in self.pinned:
                edge.outcome, edge.target = role, len(self.inputs)
                self.inputs.append(edge)
                return
            role = content.fixed_role(value)
        if role is content.STATIC:
            edge.key_part = tree.static_key(value)
        elif role is content.CONTENT:
            edge.key_part = content.content_key(value)
        elif role is content.GENERATOR:
            self.generators.append(value)
        if role is content.OPAQUE or (role is content.CONTENT and edge.key_part is None) or _is_unbounded(value):
            role = content.OPAQUE
            self.opaque.append(edge.name or type(value).__name__)
        if edge.key_part is None:
            edge.key_part = tree.Same(value)
        edge.outcome = role


def _is_unbounded(value: Any) -> bool:
    """A builtin through which code reads names that it does not name."""
    return value is builtins.globals or value is builtins.eval or value is builtins.exec


def _home_of(f: Any) -> str | None:
    """The folder of the installed package that a function comes from: its helpers there count as the user's."""
    for _ in range(100):
        inner = getattr(f, "__wrapped__", None) if isinstance(f, types.FunctionType) else None
        if isinstance(f, functools.partial):
            inner = f.func
        elif isinstance(f, types.MethodType):
            inner = f.__func__
        if inner is None:
            break
        f = inner
    code = getattr(f, "__code__", None) or getattr(getattr(reads.entry(f), "__func__", None), "__code__", None)
    if code is None or is_internal(code.co_filename):
        return None
    for marker in (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}"):
        before, found, after = code.co_filename.partition(marker)
        if found and os.sep in after:
            return before + found + after.partition(os.sep)[0] + os.sep
    return None
