"""Reads: every way from one object to the next that the walk takes, as a function of the object and a key.

They are plain functions, so that a read can be done again later on another object (`lilith.captures.plan`).
"""

from __future__ import annotations

import functools
import sys
import types
from typing import Any

from lilith import tree

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "missing", "__slots__": ()})()
"""What is read where nothing is: an empty cell, a global name without a value, an attribute not set."""


def entry(f: Any, key: Any = None) -> Any:
    """What a call of f runs: for a callable object of the user's class its bound `__call__`, to be copied too."""
    if isinstance(f, (types.FunctionType, types.MethodType, functools.partial, type)):
        return f
    call = getattr(type(f), "__call__", None)  # noqa: B004
    return types.MethodType(call, f) if type(call) is types.FunctionType and tree.is_structure_class(type(f)) else f


def read_cell(function: Any, index: int) -> Any:
    """The cell itself of a function's free variable."""
    return function.__closure__[index]


def read_contents(cell: Any, key: Any = None) -> Any:
    """What a cell holds."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def read_free(function: Any, index: int) -> Any:
    """What a function's free variable holds: `read_cell` and `read_contents` in one."""
    try:
        return function.__closure__[index].cell_contents
    except ValueError:
        return MISSING


def read_globals(function: Any, key: Any = None) -> dict[str, Any]:
    """The globals of a function."""
    return function.__globals__


def read_global(namespace: dict[str, Any], name: str) -> Any:
    """A global name, or the builtin behind it."""
    value = namespace.get(name, MISSING)
    if value is MISSING:
        builtins = namespace.get("__builtins__", {})
        builtins = getattr(builtins, "__dict__", builtins)
        value = builtins.get(name, MISSING)
    return value


def read_default(function: Any, index: int) -> Any:
    """A positional parameter's default."""
    return function.__defaults__[index]


def read_keyword_default(function: Any, name: str) -> Any:
    """A keyword-only parameter's default."""
    return function.__kwdefaults__[name]


def read_part(x: Any, name: str) -> Any:
    """A fixed attribute of a function-like object: `__self__`, `func`, `fget`."""
    return getattr(x, name)


def read_argument(partial: Any, key: int | str) -> Any:
    """A positional or keyword argument of a functools.partial."""
    return partial.keywords[key] if isinstance(key, str) else partial.args[key]


def read_item(x: Any, key: Any) -> Any:
    """An item of a container of the user's class, past the class's own methods."""
    base = dict if isinstance(x, dict) else tuple if isinstance(x, tuple) else list
    return base.__getitem__(x, key)


def read_attribute(x: Any, name: str) -> Any:
    """What an instance itself holds under a name, past properties and the class."""
    held = getattr(x, "__dict__", None)
    if held is not None and name in held:
        return held[name]
    if name in tree.slots(type(x)):
        try:
            return object.__getattribute__(x, name)
        except AttributeError:
            return MISSING
    return MISSING


def read_class(cls: type, name: str) -> Any:
    """What a class itself holds under a name, unbound."""
    return cls.__dict__.get(name, MISSING)


def read_base(cls: type, index: int) -> type:
    """A base of a class."""
    return cls.__bases__[index]


def read_type(x: Any, key: Any = None) -> type:
    """The class of an object."""
    return type(x)


def read_variable(module: Any, name: str) -> Any:
    """A variable of a module."""
    return module.__dict__.get(name, MISSING)


def read_import(namespace: dict[str, Any], key: tuple[str, int]) -> Any:
    """The user's module that an import statement inside a function finds, once it is loaded."""
    name, level = key
    if level:
        package = str(namespace.get("__package__") or namespace.get("__name__", "")).split(".")
        name = ".".join([*package[: len(package) - level + 1], *([name] if name else [])])
    module = sys.modules.get(name)
    return MISSING if module is None or tree.is_library_module(name) else module
