"""Flatten and unflatten: optree does it, once it knows a class."""

from __future__ import annotations

import threading
import types
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
import optree

from lilith.source import ArgumentError
from lilith.tracer import Tracer
from lilith.tree.classes import BUILT_IN, attributes, blank, fill, is_structure_class, option, set_attribute
from lilith.tree.leaves import Same, content_key

_NAMESPACE = "lilith"
# the order of a dict's keys is part of its structure: a function may depend on it; set as long as this object lives
_insertion_order = optree.dict_insertion_ordered(True, namespace=_NAMESPACE)
_insertion_order.__enter__()


class _Entry(optree.PyTreeEntry):
    """A step of a field path that is already text: `.W` or `['k']`."""

    def codify(self, node: str = "") -> str:
        return f"{node}{self.entry}"


def _is_sentinel(cls: type) -> bool:
    """A class without methods of its own: an instance without attributes can only be meant by its identity."""
    own = [name for base in cls.__mro__[:-1] for name, value in base.__dict__.items() if callable(value)]
    return all(name.startswith("__") and name not in ("__call__", "__eq__") for name in own)


_class_data: dict[type, tuple[tuple[int, ...], tuple[tuple[type, str], ...]]] = {}


def class_state(cls: type) -> tuple:
    """What a class and its bases hold besides methods, by content: `lr = 0.1` in a class body can be changed there."""
    sizes = tuple([len(base.__dict__) for base in cls.__mro__])
    known = _class_data.get(cls)
    if known is None or known[0] != sizes:
        names = tuple([(base, name) for base in cls.__mro__ for name in base.__dict__ if _is_data(base, name)])
        known = _class_data[cls] = (sizes, names)
    return tuple([content_key(base.__dict__.get(name)) for base, name in known[1]]) if known[1] else ()


def _is_data(base: type, name: str) -> bool:
    """Whether a name in a class is neither Python's own nor a method, property, slot or nested class."""
    value = base.__dict__[name]
    return not (name.startswith("__") or name == "_abc_impl" or callable(value) or hasattr(value, "__get__"))


def take_apart(x: Any) -> tuple[list[Any], Any, list[str]]:
    """Children, hashable rest and path steps of a structure's outermost level: items first, then attributes."""
    cls = type(x)
    children: list[Any] = []
    steps: list[str] = []
    keys: Any = None
    if isinstance(x, dict):
        keys = tuple(x)
        children += dict.values(x)
        steps += [f"[{k!r}]" for k in keys]
    elif isinstance(x, (list, tuple, deque)):
        children += x
        keys = len(children)
        fields = getattr(x, "_fields", None)
        steps += [f".{name}" for name in fields] if fields else [f"[{i}]" for i in range(keys)]
    held = attributes(x)
    if not held and keys is None and _is_sentinel(cls):
        return [], Same(x), []
    children += held.values()
    steps += [f".{name}" for name in held]
    return children, (cls, keys, option(x), tuple(held), class_state(cls)), steps


def put_together(rest: Any, children: Iterable[Any]) -> Any:
    """What `take_apart` took apart, with other children."""
    if isinstance(rest, Same):
        return rest.object
    cls, keys, kept, names, _ = rest
    values = list(children)
    items, held = values[: len(values) - len(names)], values[len(values) - len(names) :]
    if issubclass(cls, tuple):
        new = tuple.__new__(cls, items)
    else:
        new = blank(cls, kept)
        fill(new, zip(keys, items, strict=True) if issubclass(cls, dict) else items)
    for name, value in zip(names, held, strict=True):
        set_attribute(new, name, value)
    return new


_leaf_types: set[type] = {type(None), int, bool, str, float, complex, np.ndarray, Tracer, types.FunctionType}
_registering = threading.Lock()


_opened: set[type] = set()


def is_opened(cls: type) -> bool:
    """Whether instances of a class, one that `flatten` has met, are taken apart by `take_apart`."""
    return cls in _opened


def is_leaf_class(cls: type) -> bool:
    """Whether instances of a class, one that `flatten` has met, are leaves."""
    return cls in _leaf_types


def is_namedtuple_class(cls: type) -> bool:
    """Whether `flatten` takes a class's instances for tuples with names."""
    return optree.is_namedtuple_class(cls) and cls not in _opened


def _register(classes: Iterable[type]) -> bool:
    """Sort classes seen for the first time into structures and leaves; whether any was a structure."""
    found = False
    for cls in classes:
        if cls not in BUILT_IN and is_structure_class(cls):
            found = True
            with _registering:
                try:
                    optree.register_pytree_node(
                        cls, take_apart, put_together, path_entry_type=_Entry, namespace=_NAMESPACE
                    )
                except ValueError:  # another thread was first
                    continue
                _opened.add(cls)
        else:
            _leaf_types.add(cls)
    return found


# ---- flatten and unflatten -------------------------------------------------------------------------------------------


def flatten(x: Any) -> tuple[list[Any], Any]:
    """The leaves of a structure, in order, and the structure itself: hashable, comparable, for `unflatten`.

    dict, list, tuple, their subclasses, namedtuples, dataclasses and objects of classes written in Python are entered.
    Arrays, numbers, strings, None, functions, classes, enums and objects of C types are leaves. The order of a dict's
    keys is part of the structure.

    Raises:
        ArgumentError: the structure contains itself.

    >>> leaves, structure = flatten({"a": [1.0, 2.0], "b": None})
    >>> leaves
    [1.0, 2.0, None]
    >>> unflatten(structure, [3.0, 4.0, None])
    {'a': [3.0, 4.0], 'b': None}
    """
    while True:
        try:
            leaves, structure = optree.tree_flatten(x, none_is_leaf=True, namespace=_NAMESPACE)
        except RecursionError:  # optree's limit is 1000 levels; or a cycle
            return _flatten_deep(x)
        unknown = set(map(type, leaves)) - _leaf_types
        if not unknown or not _register(unknown):
            return leaves, structure


def unflatten(structure: Any, leaves: Iterable[Any]) -> Any:
    """The structure with other leaves. Objects are made without running their `__init__`."""
    if type(structure) is DeepStructure:
        return structure.unflatten(leaves)
    return optree.tree_unflatten(structure, leaves)


def paths(x: Any, root: str) -> list[str]:
    """The field path of every leaf of a structure (or of an object): `m.layers[0].W`, `d['k']`.

    >>> paths({"a": [1.0, 2.0]}, "p")
    ["p['a'][0]", "p['a'][1]"]
    """
    structure: Any = x if isinstance(x, (optree.PyTreeSpec, DeepStructure)) else flatten(x)[1]
    if type(structure) is DeepStructure:
        return structure.paths(root)
    return [accessor.codify(root) for accessor in structure.accessors()]


class DeepStructure:
    """A structure of more than 1000 levels, as a flat list in preorder: per node its rest and its path steps.

    A leaf is None in that list.
    """

    __slots__ = ("nodes",)

    def __init__(self, nodes: tuple):
        self.nodes = nodes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DeepStructure) and self.nodes == other.nodes

    def __hash__(self) -> int:
        return hash(self.nodes)

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The structure with these leaves."""
        remaining = list(leaves)
        built: list[Any] = []
        for node in reversed(self.nodes):
            if node is None:
                built.append(remaining.pop())
            else:
                rest, steps = node
                built.append(put_together(rest, [built.pop() for _ in steps]))
        return built.pop()

    def paths(self, root: str) -> list[str]:
        """The leaves' field paths."""
        found, pending = [], [root]
        for node in self.nodes:
            path = pending.pop()
            if node is None:
                found.append(path)
            else:
                pending += [path + step for step in reversed(node[1])]
        return found


def _flatten_deep(x: Any) -> tuple[list[Any], DeepStructure]:
    """`flatten` without recursion; finds cycles."""
    leaves: list[Any] = []
    nodes: list[Any] = []
    above: dict[int, str] = {}
    pending: list[tuple[Any, str, bool]] = [(x, "", True)]
    while pending:
        y, step, entering = pending.pop()
        if not entering:
            del above[id(y)]
            continue
        if id(y) in above:
            names = list(above.values())
            start = "x" + "".join(names[: list(above).index(id(y)) + 1])
            raise ArgumentError(
                f"a structure that contains itself: x{''.join(names)}{step} is {start} again",
                hint="pass the parts with arrays in them, without the reference back",
            )
        if type(y) not in _leaf_types and type(y) not in BUILT_IN and not optree.is_namedtuple_class(type(y)):
            _register({type(y)})
        if type(y) in _leaf_types:
            leaves.append(y)
            nodes.append(None)
            continue
        children, rest, steps = take_apart(y)
        nodes.append((rest, tuple(steps)))
        above[id(y)] = step
        pending.append((y, step, False))
        pending += [(c, s, True) for c, s in zip(reversed(children), reversed(steps), strict=True)]
    return leaves, DeepStructure(tuple(nodes))
