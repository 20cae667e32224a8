"""Substitute: a copy of a function, and of what lies between it and its inputs, that holds other values."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Container
from typing import Any

from lilith import tree
from lilith.captures import content, reads
from lilith.captures.code import facts_of
from lilith.captures.kinds import CELL, FUNCTION, GLOBALS, METHOD, MODULE, PARTIAL
from lilith.captures.walk import NODE, SEEN, Edge, Node, Walk


class Substitution:
    """One copy being made.

    Only nodes from which an input can be reached are copied; all else is shared with the original. Whatever can refer
    to itself (functions, cells, lists, dicts, objects) is made first and filled later; tuples, bound methods and
    partials are made when their parts are there.
    """

    def __init__(self, walk: Walk, replacements: list[Any], stand_in: Callable[[Any], Any] | None = None):
        self.walk = walk
        self.replacements = replacements
        self.others = _others(walk, stand_in) if stand_in is not None else {}
        self.needed = _needed(walk, self.others)
        self.copies: dict[int, Any] = {}

    def run(self, f: Any) -> Any:
        """The copy of what node 1 is: what a call of the function runs; f itself where nothing differs."""
        nodes = self.walk.nodes
        order = sorted(self.needed - {0}, key=lambda i: (nodes[i].kind not in (CELL, GLOBALS), i))
        late = [i for i in order if _is_late(nodes[i])]
        early = [i for i in order if not _is_late(nodes[i])]
        for i in early:
            self.copies[i] = self._shell(nodes[i])
        for i in late:
            self._build(i)
        for i in early:
            self._fill(nodes[i], self.copies[i])
        return self.copies.get(1, f)

    def _value(self, edge: Edge) -> Any:
        """What the copy holds where the original holds `edge.value`."""
        if edge.outcome == content.INPUT:
            return self.replacements[edge.target]
        if id(edge) in self.others:
            return self.others[id(edge)]
        return self.copies.get(edge.target, edge.value) if edge.outcome in (NODE, SEEN) else edge.value

    def _changed(self, node: Node) -> list[Edge]:
        return [edge for edge in node.edges if id(edge) in self.others or _leads(edge, self.needed)]

    def _shell(self, node: Node) -> Any:
        """A copy that may still hold originals."""
        x = node.value
        if node.kind is CELL:
            return types.CellType()
        if node.kind is GLOBALS:
            return dict(x)
        if node.kind is MODULE:
            module = types.ModuleType(x.__name__)
            module.__dict__.update(x.__dict__)
            return module
        if node.kind is FUNCTION:
            return self._function(node)
        return tree.shallow_copy(x)

    def _function(self, node: Node) -> types.FunctionType:
        f = node.value
        closure = list(f.__closure__ or ())
        namespace = f.__globals__
        for edge in node.edges:
            if edge.get is reads.read_cell:
                closure[edge.key] = self._value(edge)
            elif edge.get is reads.read_globals:
                namespace = self._value(edge)
        copy = types.FunctionType(f.__code__, namespace, f.__name__, f.__defaults__, tuple(closure) or None)
        copy.__kwdefaults__ = dict(f.__kwdefaults__) if f.__kwdefaults__ else None
        copy.__dict__.update(f.__dict__)
        copy.__qualname__, copy.__module__ = f.__qualname__, f.__module__
        return copy

    def _fill(self, node: Node, copy: Any) -> None:
        """Put the replaced parts into a copy."""
        for edge in self._changed(node):
            value, get, key = self._value(edge), edge.get, edge.key
            if get is reads.read_contents:
                copy.cell_contents = value
            elif get in (reads.read_global, reads.read_variable):
                namespace = copy if node.kind is GLOBALS else copy.__dict__
                namespace[key] = value
            elif get is reads.read_default:
                copy.__defaults__ = (*copy.__defaults__[:key], value, *copy.__defaults__[key + 1 :])
            elif get is reads.read_keyword_default:
                copy.__kwdefaults__[key] = value
            elif get is reads.read_attribute:
                tree.set_attribute(copy, key, value)
            elif get is reads.read_part:  # a defaultdict's factory
                setattr(copy, key, value)
            elif get is not reads.read_cell and get is not reads.read_globals:
                (dict if isinstance(copy, dict) else type(copy)).__setitem__(copy, key, value)

    def _build(self, index: int) -> None:
        """Make a tuple, bound method or partial, after those that it holds."""
        pending = [index]
        while pending:
            i = pending[-1]
            node = self.walk.nodes[i]
            missing = [
                e.target
                for e in self._changed(node)
                if e.outcome in (NODE, SEEN) and e.target not in self.copies and _is_late(self.walk.nodes[e.target])
            ]
            if missing:
                pending += missing
                continue
            pending.pop()
            if i not in self.copies:
                self.copies[i] = self._immutable(node)

    def _immutable(self, node: Node) -> Any:
        x = node.value
        changed = {(edge.get, edge.key): self._value(edge) for edge in self._changed(node)}
        if node.kind is METHOD:
            function = changed.get((reads.read_part, "__func__"), x.__func__)
            return types.MethodType(function, changed.get((reads.read_part, "__self__"), x.__self__))
        if node.kind is PARTIAL:
            args = [changed.get((reads.read_argument, i), y) for i, y in enumerate(x.args)]
            keywords = {k: changed.get((reads.read_argument, k), y) for k, y in x.keywords.items()}
            return type(x)(changed.get((reads.read_part, "func"), x.func), *args, **keywords)
        items = list(x)
        held = tree.attributes(x)
        for (get, key), value in changed.items():
            if get is reads.read_attribute:
                held[key] = value
            else:
                items[key] = value
        copy = tuple.__new__(type(x), items)
        for name, value in held.items():
            tree.set_attribute(copy, name, value)
        return copy


def _is_late(node: Node) -> bool:
    return node.kind in (METHOD, PARTIAL) or isinstance(node.value, (tuple, functools.partial))


def _leads(edge: Edge, needed: set[int]) -> bool:
    return edge.outcome == content.INPUT or (edge.outcome in (NODE, SEEN) and edge.target in needed)


def _others(walk: Walk, stand_in: Callable[[Any], Any]) -> dict[int, Any]:
    """What some reads give in place of static values, by edge."""
    found = {}
    for node in walk.nodes:
        for edge in node.edges:
            if edge.outcome not in (content.INPUT, NODE, SEEN) and not edge.fixed:
                other = stand_in(edge.value)
                if other is not None:
                    found[id(edge)] = other
    return found


def _needed(walk: Walk, others: Container[int] = ()) -> set[int]:
    """The nodes to copy: those from which an input is reached. A function counts by the globals that it uses itself."""
    above: dict[int, set[int]] = {}
    pending: list[int] = []
    uses = _uses(walk)
    for i, edges in uses.items():
        for edge in edges:
            if edge.outcome == content.INPUT or id(edge) in others:
                pending.append(i)
            elif edge.outcome in (NODE, SEEN):
                above.setdefault(edge.target, set()).add(i)
    needed: set[int] = set()
    while pending:
        i = pending.pop()
        if i not in needed:
            needed.add(i)
            pending += above.get(i, ())
    return needed | _stores(walk, needed)


def _uses(walk: Walk) -> dict[int, list[Edge]]:
    """The edges by which each node depends on others; a global counts for the functions that use its name."""
    uses = {}
    for i, node in enumerate(walk.nodes):
        uses[i] = [e for e in node.edges if e.get is not reads.read_globals]
        for link in node.edges:
            if link.get is reads.read_globals:
                names = facts_of(node.value.__code__).globals
                uses[i] += [e for e in walk.nodes[link.target].edges if e.key in names and e.get is reads.read_global]
    return uses


def _stores(walk: Walk, needed: set[int]) -> set[int]:
    """Functions that assign global names where these are copied: they must write to the copy, too."""
    found = set()
    for i, node in enumerate(walk.nodes):
        if node.kind is FUNCTION and not node.fixed and facts_of(node.value.__code__).stores:
            found |= {i for e in node.edges if e.get is reads.read_globals and e.target in needed}
    return found
