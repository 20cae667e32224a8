"""Whose code is it, which classes are structures, and what an object holds."""

from __future__ import annotations

import enum
import os
import sys
import sysconfig
import types
from abc import ABCMeta
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable
from typing import Any

from lilith.source import is_internal

# ---- whose code is it ----------------------------------------------------------------------------------------------

_STDLIB = tuple({os.path.join(sysconfig.get_path(p), "") for p in ("stdlib", "platstdlib")})
_library_files: dict[str, bool] = {}


def is_library_file(filename: str) -> bool:
    """Whether a source file belongs to Python, an installed package or Lilith: then it is not the user's program."""
    found = _library_files.get(filename)
    if found is None:
        parts = filename.split(os.sep)
        found = _library_files[filename] = (
            is_internal(filename)
            or "site-packages" in parts
            or "dist-packages" in parts
            or filename.startswith(("<frozen", "<lilith", *_STDLIB))
        )
    return found


def is_library_module(name: str) -> bool:
    """The same for a module, by its name."""
    module = sys.modules.get(name)
    filename = getattr(module, "__file__", None)
    return is_library_file(filename) if filename else name.partition(".")[0] in sys.stdlib_module_names


# ---- which classes are structures ----------------------------------------------------------------------------------

BUILT_IN = frozenset({dict, list, tuple, OrderedDict, defaultdict, deque})
_OPEN_STANDARD = {"argparse.Namespace", "collections.Counter", "collections.UserDict", "collections.UserList"}
_CLOSED = frozenset({"torch", "pandas", "tensorflow", "jax", "jaxlib", "lilith", "lowering", "optree"})
_CLOSED_ITSELF = _CLOSED | {"numpy", "scipy", "ml_dtypes", "builtins", "xarray", "polars", "cupy"}
_HEAP_TYPE = 1 << 9
OPENED: set[type] = set()
"""Classes of Lilith's own that are taken apart like the user's, without the slots that they name in `_not_held`."""


def root_module(cls: type) -> str:
    """The package a class comes from: `torch` for torch.nn.Linear."""
    return str(cls.__module__).partition(".")[0]


def is_structure_class(cls: type) -> bool:
    """Whether instances of a class are taken apart: containers and classes written in Python, by whoever."""
    if cls in BUILT_IN or cls in OPENED or cls is types.SimpleNamespace:
        return True
    if issubclass(cls, (enum.Enum, type, BaseException)) or root_module(cls) in _CLOSED_ITSELF:
        return False
    standard = root_module(cls) in sys.stdlib_module_names and is_library_module(cls.__module__)
    if standard and f"{cls.__module__}.{cls.__name__}" not in _OPEN_STANDARD:
        return False
    if any(root_module(base) in _CLOSED for base in cls.__mro__):
        return False
    ready = (object, types.SimpleNamespace, *BUILT_IN)
    return all(_is_written_in_python(base) for base in cls.__mro__ if base not in ready)


def _is_written_in_python(cls: type) -> bool:
    """A class made by a class statement: what its instances hold is in `__dict__` and `__slots__`, nothing in C."""
    metaclass: type = type(cls)
    if not all(m in (type, object, ABCMeta) or m.__flags__ & _HEAP_TYPE for m in (cls, *metaclass.__mro__)):
        return False
    new = cls.__dict__.get("__new__")
    if not (new is None or isinstance(new, (staticmethod, types.FunctionType))):
        return False
    return cls.__dictoffset__ != 0 or "__slots__" in cls.__dict__ or cls.__module__ == "typing"


_slots: dict[type, tuple[str, ...]] = {}


def slots(cls: type) -> tuple[str, ...]:
    """The names of the slots of a class and its bases, as attributes."""
    found = _slots.get(cls)
    if found is None:
        names = []
        for base in cls.__mro__:
            declared = base.__dict__.get("__slots__", ())
            apart = base.__dict__.get("_not_held", ()) if base in OPENED else ()
            for name in (declared,) if isinstance(declared, str) else declared:
                if name in apart:
                    continue
                if name.startswith("__") and not name.endswith("__"):
                    name = f"_{base.__name__.lstrip('_')}{name}"
                if isinstance(base.__dict__.get(name), types.MemberDescriptorType):
                    names.append(name)
        found = _slots[cls] = tuple(names)
    return found


def attributes(x: Any) -> dict[str, Any]:
    """What an object holds: its `__dict__` and its slots that are set."""
    found = dict(getattr(x, "__dict__", ()))
    for name in slots(type(x)):
        try:
            found[name] = object.__getattribute__(x, name)
        except AttributeError:  # a slot never assigned
            continue
    return found


def set_attribute(x: Any, name: str, value: Any) -> None:
    """Set what `attributes` reads, also on frozen objects, without the class's own `__setattr__`."""
    if name in slots(type(x)):
        object.__setattr__(x, name, value)
    else:
        x.__dict__[name] = value


def option(x: Any) -> Any:
    """What a container is made with: a defaultdict's factory, a deque's length."""
    return x.default_factory if isinstance(x, defaultdict) else x.maxlen if isinstance(x, deque) else None


def blank(cls: type, option: Any = None) -> Any:
    """An empty instance, made without `__init__`. Not for tuples."""
    if issubclass(cls, defaultdict):
        table: Any = defaultdict.__new__(cls)
        table.default_factory = option
        return table
    if issubclass(cls, deque):
        queue: Any = deque.__new__(cls)
        deque.__init__(queue, maxlen=option)
        return queue
    bases: tuple[Any, ...] = (OrderedDict, dict, list, types.SimpleNamespace)
    for base in bases:
        if issubclass(cls, base):
            return base.__new__(cls)
    return object.__new__(cls)


def fill(new: Any, items: Iterable[Any]) -> None:
    """Put items into an empty container, past the class's own methods; a dict's items are pairs."""
    if isinstance(new, dict):
        put = OrderedDict.__setitem__ if isinstance(new, OrderedDict) else dict.__setitem__
        for key, value in items:
            put(new, key, value)
    elif isinstance(new, list):
        list.extend(new, items)
    elif isinstance(new, deque):
        deque.extend(new, items)


def shallow_copy(x: Any) -> Any:
    """A new object of the same class and contents, made without `__init__`. Not for tuples."""
    new = blank(type(x), option(x))
    fill(new, dict.items(x) if isinstance(x, dict) else x if isinstance(x, (list, deque)) else ())
    for name, value in attributes(x).items():
        set_attribute(new, name, value)
    return new
