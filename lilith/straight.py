"""Straight-line Python, written per program: code that takes one known structure apart, code that builds one.

Taking apart checks whatever the key of a call would hold, class by class, key by key, static value by static value, so
that a structure changed since the code was written is never mistaken for the one it was written for.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith import tree
from lilith.signature import is_iterator, is_plain, is_static, leaf_key
from lowering.carrier import ArrayImpl

MISS: Any = object()
"""What generated code returns for a call that it was not written for."""

_MAX_LEAVES, _MAX_DEPTH = 2000, 40
_CONTAINERS = (*tree.BUILT_IN, types.SimpleNamespace)


class TooRich(Exception):
    """A structure for which no straight-line code is written: the general way takes it."""


class Writer:
    """The source of one function, and the objects that it names."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"MISS": MISS}
        self._known: dict[int, str] = {}
        self._count = 0
        self._classes: set[type] = set()

    def name(self, value: Any) -> str:
        """A name for an object."""
        found = self._known.get(id(value))
        if found is None:
            found = self._known[id(value)] = f"k{len(self.names)}"
            self.names[found] = value  # held from now on, so that its id stays its own
        return found

    def fresh(self, prefix: str, count: int) -> list[str]:
        """Names for variables."""
        self._count += count
        return [f"{prefix}{i}" for i in range(self._count - count, self._count)]

    def line(self, text: str) -> None:
        self.lines.append("    " + text)

    def unpack(self, prefix: str, sequence: str, count: int) -> list[str]:
        """Names for the items of a sequence of that length."""
        names = self.fresh(prefix, count)
        if names:
            self.line(f"{', '.join(names)}, = {sequence}")
        return names

    def function(self, name: str, parameters: str, of: str) -> Callable[..., Any]:
        """Compile the lines as the body of a function."""
        source = "\n".join([f"def {name}({parameters}):", *self.lines])
        exec(compile(source, f"<lilith {name} of {of}>", "exec"), self.names)
        return self.names[name]

    # ---- taking apart ------------------------------------------------------------------------------------------------

    def take(self, x: str, example: Any, found: list[tuple[str, Any]], depth: int = 0) -> None:
        """Check that x is what the example is, save its numbers, and append its dynamic leaves: their names and those
        of the example.

        Raises:
            TooRich: the example is more than what such code is written for.
        """
        cls, first = type(example), len(found)
        if is_plain(example):
            self._check(x, example)
            if not is_static(example):
                found.append((x, example))
        elif depth > _MAX_DEPTH or len(found) > _MAX_LEAVES:
            raise TooRich
        elif cls is dict:
            self._take_dict(x, example, found, depth)
        elif cls in (list, tuple) or (tree.is_namedtuple_class(cls) and _iterates_as_tuple(cls)):
            self.line(f"if {x}.__class__ is not {self.name(cls)} or len({x}) != {len(example)}: return MISS")
            for name, item in zip(self.unpack("v", x, len(example)), example, strict=True):
                self.take(name, item, found, depth + 1)
        elif tree.is_opened(cls):
            self._take_object(x, example, found, depth)
        elif tree.is_leaf_class(cls) and not tree.is_dynamic(example) and not is_iterator(example):
            key = self.name(leaf_key(example))
            self.line(f"if type({x}) is not {self.name(cls)} or {self.name(leaf_key)}({x}) != {key}: return MISS")
        else:
            raise TooRich
        if depth == 0 and not is_plain(example):
            self._check_ties(found[first:])

    def _check_ties(self, found: list[tuple[str, Any]]) -> None:
        """Leave with MISS unless the same ones of a structure's arrays are one array."""
        arrays = [(name, example) for name, example in found if tree.is_array(example)]
        tied = tree.ties([example for _, example in arrays]) or range(len(arrays))
        for (name, _), i in zip(arrays, tied, strict=True):
            if arrays[i][0] != name:
                self.line(f"if {name} is not {arrays[i][0]}: return MISS")
        single = [name for k, ((name, _), i) in enumerate(zip(arrays, tied, strict=True)) if i == k]
        if len(single) > 1:
            ids = ", ".join([f"{self.name(id)}({name})" for name in single])
            self.line(f"if len({{{ids}}}) != {len(single)}: return MISS")

    def check_ties(self, found: Sequence[tuple[str, Any]]) -> None:
        """Check that those leaves of one argument are the same array that are so in the example, and no others."""
        arrays = [(x, example) for x, example in found if tree.is_array(example)]
        tied = tree.ties([example for _, example in arrays])
        for i, first in enumerate(tied):
            if i != first:
                self.line(f"if {arrays[i][0]} is not {arrays[first][0]}: return MISS")
        alike: dict[Any, list[str]] = {}
        for i, (x, example) in enumerate(arrays):
            if not tied or tied[i] == i:
                alike.setdefault(leaf_key(example), []).append(x)
        for names in alike.values():
            if len(names) == 2:
                self.line(f"if {names[0]} is {names[1]}: return MISS")
            elif len(names) > 2:
                self.line(f"if len({{*map(id, ({', '.join(names)}))}}) != {len(names)}: return MISS")

    def _take_dict(self, x: str, example: dict, found: list[tuple[str, Any]], depth: int) -> None:
        if not all(type(key) in (str, int) for key in example):
            raise TooRich
        if not example:
            self.line(f"if {x}.__class__ is not dict or {x}: return MISS")
            return
        # their order too: it is part of the structure
        self.line(f"if {x}.__class__ is not dict or [*{x}] != {self.name(list(example))}: return MISS")
        for name, item in zip(self.unpack("v", f"{x}.values()", len(example)), example.values(), strict=True):
            self.take(name, item, found, depth + 1)

    def _take_object(self, x: str, example: Any, found: list[tuple[str, Any]], depth: int) -> None:
        cls = type(example)
        held, slots = tree.attributes(example), tree.slots(cls)
        if not held or issubclass(cls, tuple(tree.BUILT_IN)) or (slots and set(slots) != set(held)):
            raise TooRich
        self.line(f"if type({x}) is not {self.name(cls)}: return MISS")
        if cls not in self._classes:
            self._classes.add(cls)
            state = self.name(tree.class_state(cls))
            self.line(f"if {self.name(tree.class_state)}({self.name(cls)}) != {state}: return MISS")
        if slots:
            names = self.fresh("v", len(held))
            get = self.name(object.__getattribute__)
            self.line("try:")
            for name, attribute in zip(names, held, strict=True):
                self.line(f"    {name} = {get}({x}, {attribute!r})")
            self.line("except AttributeError: return MISS")
            if cls.__dictoffset__:
                self.line(f"if {x}.__dict__: return MISS")
        else:
            (inside,) = self.fresh("d", 1)
            self.line(f"{inside} = {x}.__dict__")
            self.line(f"if [*{inside}] != {self.name(list(held))}: return MISS")
            names = self.unpack("v", f"{inside}.values()", len(held))
        for name, item in zip(names, held.values(), strict=True):
            self.take(name, item, found, depth + 1)

    def _check(self, x: str, example: Any) -> None:
        """Leave with MISS unless x has the example's class, and its shape and dtype, or its value if it is static."""
        cls = self.name(type(example))
        if type(example) is ArrayImpl:
            # its own shape and dtype are Python properties; results of one program share their aval
            aval, shape, dtype = map(self.name, (example.aval, example.shape, example.dtype))
            self.line(
                f"if {x}.__class__ is not {cls} or ({x}.aval is not {aval} and "
                f"({x}.aval.shape != {shape} or {x}.aval.dtype != {dtype})): return MISS"
            )
        elif type(example) is np.ndarray:
            shape, dtype = self.name(example.shape), self.name(example.dtype)
            self.line(
                f"if {x}.__class__ is not {cls} or {x}.shape != {shape} or "
                f"({x}.dtype is not {dtype} and {x}.dtype != {dtype}): return MISS"
            )
        elif is_static(example):
            self.line(f"if {x}.__class__ is not {cls} or {x} != {self.name(example)}: return MISS")
        else:
            self.line(f"if {x}.__class__ is not {cls}: return MISS")

    # ---- putting together --------------------------------------------------------------------------------------------

    def build(self, structure: Any, leaves: Sequence[str]) -> str:
        """The structure with leaves given by expressions, as an expression."""
        try:
            return self._display(tree.unflatten(structure, range(len(leaves))), leaves, 0)
        except TooRich:
            return f"{self.name(tree.unflatten)}({self.name(structure)}, [{', '.join(leaves)}])"

    def _display(self, template: Any, leaves: Sequence[str], depth: int) -> str:
        cls = type(template)
        if cls is int:
            return leaves[template]
        if depth > _MAX_DEPTH:
            raise TooRich
        if cls is dict:
            items = [f"{self.name(k)}: {self._display(v, leaves, depth + 1)}" for k, v in template.items()]
            return f"{{{', '.join(items)}}}"
        if cls in (list, tuple):
            inner = "".join([f"{self._display(v, leaves, depth + 1)}, " for v in template])
            return f"[{inner}]" if cls is list else f"({inner})"
        if tree.is_opened(cls):
            children, rest, _ = tree.take_apart(template)
            inner = "".join([f"{self._display(v, leaves, depth + 1)}, " for v in children])
            if children and not tree.slots(cls) and not issubclass(cls, _CONTAINERS):
                names = self.name(tuple(tree.attributes(template)))
                return f"{self.name(_instance)}({self.name(cls)}, {names}, ({inner}))"
            return f"{self.name(tree.put_together)}({self.name(rest)}, ({inner}))"
        if tree.is_namedtuple_class(cls) and _iterates_as_tuple(cls):
            return f"{self.name(cls)}({', '.join([self._display(v, leaves, depth + 1) for v in template])})"
        raise TooRich


def _instance(cls: type, names: Sequence[str], values: Sequence[Any]) -> Any:
    """An object that holds its attributes in its `__dict__`, made without `__init__`."""
    new: Any = object.__new__(cls)
    new.__dict__.update(zip(names, values, strict=True))
    return new


def _iterates_as_tuple(cls: Any) -> bool:
    return cls.__iter__ is tuple.__iter__ and cls.__len__ is tuple.__len__
