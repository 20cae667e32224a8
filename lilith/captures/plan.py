"""Plan: the reads of one walk as straight-line Python code, run at every call: about 0.1 microseconds each."""

from __future__ import annotations

import builtins
import keyword
import sys
import types
from collections import Counter
from collections.abc import Callable
from operator import getitem
from typing import Any

import numpy as np

from lilith import tree
from lilith.captures import content, reads
from lilith.captures.kinds import CELL, CLASS, DICT, FUNCTION, GLOBALS, METHOD, MODULE, OBJECT, SEQUENCE
from lilith.captures.reads import MISSING
from lilith.captures.walk import ABSENT, NODE, SEEN, WRITTEN, Edge, Walk
from lilith.tree import BUILT_IN

_IDENTITIES = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type, np.ufunc)
_builtin_values = builtins.__dict__

# reads as expressions of the object `{0}` and the key `{1}`, where the walk found something
_EXPRESSIONS: dict[Callable[[Any, Any], Any], str] = {
    reads.read_cell: "{0}.__closure__[{1}]",
    reads.read_free: "{0}.__closure__[{1}].cell_contents",
    reads.read_contents: "{0}.cell_contents",
    reads.read_globals: "{0}.__globals__",
    reads.read_default: "{0}.__defaults__[{1}]",
    reads.read_keyword_default: "{0}.__kwdefaults__[{1}]",
    reads.read_class: "{0}.__dict__[{1}]",
    reads.read_variable: "{0}.__dict__[{1}]",
    reads.read_base: "{0}.__bases__[{1}]",
    reads.read_type: "{0}.__class__",
    getitem: "{0}[{1}]",
}


class Plan:
    """The reads of a walk, to be done again on functions of the same code.

    It holds library objects and static values, but none of the user's arrays, objects or functions.

    Attributes:
        read: `read(f)` gives the current inputs of f, in order; None if anything static differs from the walk's.
    """

    __slots__ = ("_constants", "_lines", "read")
    read: Callable[[Callable[..., Any]], list[Any] | None]

    def __init__(self, walk: Walk):
        writer = _Writer(walk)
        self._lines, self._constants = writer.lines, writer.constants
        self.read = self._compile_and_read

    @property
    def source(self) -> str:
        """The code of `read`."""
        body = "\n".join(f"        {line}" for line in self._lines)
        # something that was there is no longer: that is a difference like others
        missing = "(AttributeError, KeyError, IndexError, TypeError, ValueError)"
        return f"def read(v0):\n    try:\n{body}\n    except {missing}:\n        return None\n"

    def _compile_and_read(self, f: Callable[..., Any]) -> list[Any] | None:
        """The first call makes the code: a plan of a program that runs once does without."""
        namespace = dict(self._constants)
        exec(compile(self.source, "<lilith plan>", "exec"), namespace)
        self.read = namespace["read"]
        return self.read(f)


class _Writer:
    """Writes the code of a plan.

    `v3` is the value of node 3, `i2` input 2, `c5` a constant.
    """

    def __init__(self, walk: Walk):
        self.walk = walk
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {"MISSING": MISSING}
        self.names: dict[int, str] = {}
        self.cells: dict[int, tuple[int, Any]] = {}  # cells that one function alone has are read through at once
        self.uses = Counter(edge.target for edge in walk.edges if edge.outcome in (NODE, SEEN))
        for edge in walk.edges:
            self._edge(edge)
        for index in range(1, len(walk.nodes)):
            self._attributes(index)
        self.lines.append(f"return [{', '.join(f'i{k}' for k in range(len(walk.inputs)))}]")

    def constant(self, value: Any) -> str:
        """The name of a constant."""
        name = self.names.get(id(value))
        if name is None:
            name = self.names[id(value)] = f"c{len(self.constants)}"
            self.constants[name] = value
        return name

    def require(self, condition: str) -> None:
        """Nothing is known if the condition does not hold."""
        self.lines.append(f"if not ({condition}): return None")

    def _read(self, edge: Edge) -> str:
        """The expression that reads an edge's value again."""
        parent, get, key = edge.parent, edge.get, edge.key
        if parent in self.cells:
            parent, key = self.cells[parent]
            get = reads.read_free
        found = edge.value is not MISSING
        owner = self.walk.nodes[parent].value
        if get is reads.entry and edge.value is owner and type(owner) in (types.FunctionType, types.MethodType):
            return "v0"
        if found and get is reads.read_global and key in owner:
            get = getitem
        if found and get is reads.read_item and _has_plain_items(type(owner)):
            get = getitem
        named = get is reads.read_part or (get is reads.read_attribute and _is_plain_attribute(type(owner), key))
        if found and named and key.isidentifier() and not keyword.iskeyword(key):
            return f"v{parent}.{key}"
        if found and get in _EXPRESSIONS:
            return _EXPRESSIONS[get].format(f"v{parent}", repr(key) if type(key) in (int, str) else self.constant(key))
        return f"{self.constant(get)}(v{parent}, {self.constant(key)})"

    def _edge(self, edge: Edge) -> None:
        outcome, value = edge.outcome, edge.value
        if outcome == NODE and self.walk.nodes[edge.target].kind is CELL and self.uses[edge.target] == 1:
            self.cells[edge.target] = edge.parent, edge.key
            return
        read = self._read(edge)
        if outcome == NODE:
            self._node(edge.target, read)
        elif outcome == SEEN:
            self.require(f"{read} is v{edge.target}")
        elif outcome == ABSENT:
            self._absent(edge, read)
        elif outcome == WRITTEN:
            self.require(f"{read}.__class__ is {self.constant(type(value))}")
        elif outcome == content.INPUT:
            name = f"i{edge.target}"
            self.require(f"({name} := {read}).__class__ is {self.constant(type(value))}")
            if type(value) is np.ndarray:
                dtype = self.constant(value.dtype)
                self.require(f"{name}.dtype is {dtype} or {name}.dtype == {dtype}")
        elif outcome == content.CONTENT:
            known = value if tree.is_jax_array(type(value)) else MISSING  # JAX's arrays do not change
            self.require(f"{self.constant(_HasContent(known, type(value), edge.key_part))}({read})")
        else:
            self._static(edge, read)

    def _absent(self, edge: Edge, read: str) -> None:
        """Nothing is there; as for an import statement in a function: a library's module that is still the same."""
        name, level = edge.key if edge.get is reads.read_import else ("", 1)
        module = sys.modules.get(name) if level == 0 else None
        if module is None or not tree.is_library_module(name):
            self.require(f"{read} is MISSING")
        else:
            self.require(f"{self.constant(sys.modules)}.get({name!r}) is {self.constant(module)}")

    def _node(self, index: int, read: str) -> None:
        node = self.walk.nodes[index]
        kind, value, name = node.kind, node.value, f"v{index}"
        if kind is CLASS:
            self.require(f"({name} := {read}) is {self.constant(value)}")
            return
        self.lines.append(f"{name} = {read}")
        if kind in (CELL, GLOBALS):
            return
        self.require(f"{name}.__class__ is {self.constant(type(value))}")
        if kind is FUNCTION:
            self.require(f"{name}.__code__ is {self.constant(value.__code__)}")
        elif kind is SEQUENCE:
            self.require(f"len({name}) == {len(value)}")
        elif kind is DICT:
            self.require(f"tuple({name}) == {self.constant(tuple(value))}")
        elif kind not in (OBJECT, MODULE, METHOD, None):
            description = self.constant(kind.describe(value))
            self.require(f"{self.constant(kind.describe)}({name}) == {description}")

    def _static(self, edge: Edge, read: str) -> None:
        value = edge.value
        owner = self.walk.nodes[edge.parent].value
        if edge.get is reads.read_global and edge.key not in owner and _builtin_values.get(edge.key) is value:
            read = f"{self.constant(_builtin_values)}[{edge.key!r}]"
            self.require(f"{edge.key!r} not in v{edge.parent} and {read} is {self.constant(value)}")
        elif isinstance(value, _IDENTITIES):
            self.require(f"{read} is {self.constant(value)}")
        else:
            same = self.constant(_IsEqual(value, edge.key_part))
            self.require(f"(x := {read}) is {self.constant(value)} or {same}(x)")

    def _attributes(self, index: int) -> None:
        """Attributes that code names and the object lacks; or, of an object that is read whole, all its names."""
        node = self.walk.nodes[index]
        x = node.value
        if node.kind not in (OBJECT, SEQUENCE, DICT) or type(x) in BUILT_IN:
            return
        held = tree.attributes(x)
        if node.whole:
            self.require(f"tuple({self.constant(tree.attributes)}(v{index})) == {self.constant(tuple(held))}")
            return
        absent = frozenset(name for name, _ in self.walk.names if name not in held)
        slots = tree.slots(type(x))
        if absent and hasattr(x, "__dict__") and not slots:
            self.require(f"v{index}.__dict__.keys().isdisjoint({self.constant(absent)})")
        elif not absent.isdisjoint(slots):
            self.require(f"{self.constant(absent)}.isdisjoint({self.constant(tree.attributes)}(v{index}))")


def _is_plain_attribute(cls: type, name: str) -> bool:
    """Whether `x.name` is what the instance holds, or an error."""
    if cls.__getattribute__ is not object.__getattribute__ or hasattr(cls, "__getattr__"):
        return False
    return name in tree.slots(cls) or not hasattr(cls, name)


def _has_plain_items(cls: type) -> bool:
    """Whether `x[key]` is what the container itself holds: a namedtuple, say."""
    return any(cls.__getitem__ is base.__getitem__ for base in (tuple, list, dict) if issubclass(cls, base))


class _IsEqual:
    """Whether a static value that is not the same object is equal to the one expected, type included."""

    __slots__ = ("cls", "key")

    def __init__(self, expected: Any, key: Any):
        self.cls, self.key = type(expected), key

    def __call__(self, value: Any) -> bool:
        return value.__class__ is self.cls and tree.static_key(value) == self.key


class _HasContent:
    """Whether a value is the one known, or has the content expected."""

    __slots__ = ("cls", "key", "known")

    def __init__(self, known: Any, cls: type, key: Any):
        self.known, self.cls, self.key = known, cls, key

    def __call__(self, value: Any) -> bool:
        return value is self.known or (value.__class__ is self.cls and content.content_key(value) == self.key)
