"""Kinds of nodes: functions, cells, methods, containers, objects, modules, classes; and what each leads to."""

from __future__ import annotations

import collections
import functools
import inspect
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from operator import getitem
from typing import TYPE_CHECKING, Any

from lilith import tree
from lilith.captures import reads
from lilith.captures.code import facts_of
from lilith.captures.content import is_number_table, is_plain_tuple
from lilith.source import is_internal
from lilith.tree import Same

if TYPE_CHECKING:
    from lilith.captures.walk import Fields, Names, Walk


class Kind:
    """A kind of node.

    Arguments:
        name: for the key.
        describe: what of a value itself, apart from what is read from it, the key holds; hashable.
        enter: called with the walk and a node's index: asks for the reads that lead on.
    """

    __slots__ = ("describe", "enter", "name")

    def __init__(self, name: str, describe: Callable[[Any], Any], enter: Callable[[Walk, int], None]):
        self.name, self.describe, self.enter = name, describe, enter


def join(name: str, part: str) -> str:
    """`part` of what is called `name`; the function itself has no name."""
    return f"{name}.{part}" if name else part


# ---- functions -----------------------------------------------------------------------------------------------------


def describe_function(f: Any) -> tuple:
    """Code, number of defaults, names of keyword-only defaults."""
    return Same(f.__code__), len(f.__defaults__ or ()), tuple(f.__kwdefaults__ or ())


def _enter_function(walk: Walk, index: int) -> None:
    node = walk.nodes[index]
    f, name = node.value, node.name
    code = f.__code__
    users = walk.is_users(code.co_filename)
    facts = facts_of(code)
    for i, variable in enumerate(code.co_freevars):
        # of a library's function only this is known: what it closes over may be the user's function
        if not users or variable in facts.free:
            label = join(name, variable)
            cell = walk.link(index, reads.read_cell, i, label)
            read, fields = (facts.free[variable], facts.fields[variable]) if users else (True, None)
            walk.push(cell, reads.read_contents, None, label, written=not read, fields=fields)
    defaults = f.__defaults__ or ()
    parameters = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
    for i, parameter in enumerate(parameters):
        walk.push(index, reads.read_default, i, join(name, parameter))
    for parameter in f.__kwdefaults__ or ():
        walk.push(index, reads.read_keyword_default, parameter, join(name, parameter))
    if not users:
        return
    if f.__dict__:
        walk.watch(index, _enter_attributes)
    namespace = walk.link(index, reads.read_globals, None, "")
    if walk.root_globals is None:
        walk.root_globals = f.__globals__
    prefix = "" if f.__globals__ is walk.root_globals else (f.__module__ or "").rpartition(".")[2]
    for variable, read in facts.globals.items():
        fields = facts.fields[variable]
        walk.push(namespace, reads.read_global, variable, join(prefix, variable), written=not read, fields=fields)
    for module, level in facts.imports:
        walk.push(namespace, reads.read_import, (module, level), module, fixed=True)
    walk.take_up(facts)


def _enter_method(walk: Walk, index: int) -> None:
    node = walk.nodes[index]
    code = getattr(node.value.__func__, "__code__", None)
    own = code.co_varnames[0] if code is not None and code.co_argcount else "self"
    walk.push(index, reads.read_part, "__func__", node.name)
    walk.push(index, reads.read_part, "__self__", join(node.name, own))


def _enter_partial(walk: Walk, index: int) -> None:
    node = walk.nodes[index]
    code = getattr(node.value.func, "__code__", None)
    names = code.co_varnames[: code.co_argcount] if code is not None else ()
    walk.push(index, reads.read_part, "func", node.name)
    for i in range(len(node.value.args)):
        walk.push(index, reads.read_argument, i, join(node.name, names[i] if i < len(names) else f"args[{i}]"))
    for keyword in node.value.keywords:
        walk.push(index, reads.read_argument, keyword, join(node.name, keyword))


def _enter_nothing(walk: Walk, index: int) -> None:
    """What leads on from here is asked for by the functions that lead here."""


def _enter_parts(*parts: str) -> Callable[[Walk, int], None]:
    def enter(walk: Walk, index: int) -> None:
        node = walk.nodes[index]
        for part in parts:
            if getattr(node.value, part, None) is not None:
                walk.push(index, reads.read_part, part, node.name)

    return enter


FUNCTION = Kind("function", describe_function, _enter_function)
CELL = Kind("cell", lambda cell: None, _enter_nothing)
GLOBALS = Kind("globals", lambda namespace: None, _enter_nothing)
METHOD = Kind("method", type, _enter_method)
PARTIAL = Kind("partial", lambda p: (type(p), len(p.args), tuple(p.keywords)), _enter_partial)
BUILTIN = Kind("builtin method", lambda f: f.__name__, _enter_parts("__self__"))
WRAPPED = Kind("wrapped", Same, _enter_parts("__wrapped__"))
DESCRIPTOR = Kind("descriptor", type, _enter_parts("fget", "__func__", "func"))


# ---- containers ----------------------------------------------------------------------------------------------------


def _enter_sequence(walk: Walk, index: int) -> None:
    node = walk.nodes[index]
    if not _has_fields(walk, node.value, node.fields):
        node.fields = None
    _enter_items(walk, index)
    _enter_rest(walk, index)


def _has_fields(walk: Walk, x: Any, names: Fields) -> bool:
    """Whether x is a namedtuple of the user's class, and attributes of these names are its items."""
    cls = type(x)
    if names is None or not tree.is_namedtuple_class(cls) or not walk.is_users_class(cls):
        return False
    if not names.issubset(cls._fields) or cls.__getattribute__ is not tuple.__getattribute__:
        return False
    return all(type(inspect.getattr_static(cls, name)) is _Field for name in names)


_Field = type(collections.namedtuple("_Pair", "first second").__dict__["first"])


def _enter_items(walk: Walk, index: int) -> None:
    node = walk.nodes[index]
    x = node.value
    get = getitem if type(x) in (list, tuple, deque) else reads.read_item
    fields = getattr(x, "_fields", None) if isinstance(x, tuple) else None
    for i in range(len(x)):
        if node.fields is None or (fields and fields[i] in node.fields):
            walk.push(index, get, i, f"{node.name}.{fields[i]}" if fields else f"{node.name}[{i}]")


def widen(walk: Walk, index: int, fields: Fields) -> None:
    """Read further items of a namedtuple that was entered for some of them."""
    node = walk.nodes[index]
    if node.fields is not None and (fields is None or not fields <= node.fields):
        node.fields = node.fields | fields if fields is not None and _has_fields(walk, node.value, fields) else None
        _enter_items(walk, index)


def _enter_dict(walk: Walk, index: int) -> None:
    node = walk.nodes[index]
    get = getitem if type(node.value) in (dict, OrderedDict, defaultdict) else reads.read_item
    for key in list(node.value):
        walk.push(index, get, key, f"{node.name}[{key!r}]")
    if isinstance(node.value, defaultdict):
        walk.push(index, reads.read_part, "default_factory", f"{node.name}.default_factory")
    _enter_rest(walk, index)


def _enter_rest(walk: Walk, index: int) -> None:
    """The attributes and the class of a container of the user's class."""
    cls = type(walk.nodes[index].value)
    if cls.__module__ not in ("builtins", "collections"):
        _enter_object(walk, index)


# ---- objects, modules, classes ---------------------------------------------------------------------------------------

_EMPTY_BASES = ("builtins", "abc", "typing", "types", "argparse")


def _enter_object(walk: Walk, index: int) -> None:
    """An object of the user's class is read where code names its attributes; of a library's class altogether."""
    node = walk.nodes[index]
    cls = type(node.value)
    if hasattr(cls, "__next__"):
        walk.opaque.append(node.name)
    bases = [base for base in cls.__mro__ if base not in (OrderedDict, defaultdict, deque)]
    if all(walk.is_users_class(base) or base.__module__ in _EMPTY_BASES for base in bases):
        walk.watch(index, _enter_attributes)
        node.whole = False
    else:
        for name in tree.attributes(node.value):
            walk.push(index, reads.read_attribute, name, join(node.name, name))
    if walk.is_users_class(cls):
        walk.push(index, reads.read_type, None, cls.__name__, fixed=True)


def _enter_attributes(walk: Walk, index: int, names: Names) -> None:
    node = walk.nodes[index]
    held = tree.attributes(node.value)
    if walk.reflective and node.kind is not FUNCTION:
        node.whole = True
        names = [(name, True) for name in held]
        widen(walk, index, None)
    for name, read in names:
        if name in held:
            walk.push(index, reads.read_attribute, name, join(node.name, name), written=not read)


def _enter_module(walk: Walk, index: int) -> None:
    walk.watch(index, _enter_variables)


def _enter_variables(walk: Walk, index: int, names: Names) -> None:
    node = walk.nodes[index]
    held = node.value.__dict__
    for name, read in names:
        if name in held:
            walk.push(index, reads.read_variable, name, join(node.name, name), written=not read)


_NOT_RUN = frozenset(
    "__init__ __new__ __post_init__ __init_subclass__ __repr__ __reduce__ __reduce_ex__ "
    "__getstate__ __setstate__ __getnewargs__ __del__ __copy__ __deepcopy__ __sizeof__ __dir__ __class_getitem__ "
    "__set_name__ __replace__ __annotate__ __annotate_func__ __subclasshook__".split()
)
_COMPARISONS = frozenset("__eq__ __ne__ __lt__ __le__ __gt__ __ge__ __contains__ __hash__".split())
_IN_CLASSES = (types.FunctionType, staticmethod, classmethod)


def _enter_class(walk: Walk, index: int) -> None:
    cls = walk.nodes[index].value
    for i, base in enumerate(cls.__bases__):
        if walk.is_users_class(base):
            walk.push(index, reads.read_base, i, base.__name__)
    walk.watch(index, _enter_class_names)


def _enter_class_names(walk: Walk, index: int, names: Names) -> None:
    """What the class holds under the names that code mentions, and its operators, used without their names."""
    node = walk.nodes[index]
    held = node.value.__dict__
    operators = [
        name
        for name, value in held.items()
        if name.startswith("__")
        and isinstance(value, _IN_CLASSES)
        and name not in _NOT_RUN
        and not _is_generated(value)
    ]
    if not walk.compares:
        operators = [name for name in operators if name not in _COMPARISONS]
    every = [n for n, v in held.items() if isinstance(v, _IN_CLASSES) and n[:2] != "__"] if walk.reflective else []
    for name in [*(name for name, _ in names), *operators, *every]:
        if name in held and not isinstance(held[name], (types.MemberDescriptorType, types.GetSetDescriptorType)):
            walk.push(index, reads.read_class, name, join(node.name, name))


def _is_generated(method: Any) -> bool:
    """A frozen dataclass's `__setattr__`: it names all fields, and only to refuse."""
    code = getattr(method, "__code__", None)
    return code is not None and code.co_filename == "<string>" and code.co_name in ("__setattr__", "__delattr__")


def construct(walk: Walk, index: int) -> None:
    """A class that code has in hand may be called: then its `__init__` runs."""
    cls = walk.nodes[index].value
    for name in ("__init__", "__new__", "__post_init__"):
        if isinstance(cls.__dict__.get(name), _IN_CLASSES):
            walk.push(index, reads.read_class, name, join(cls.__name__, name))


SEQUENCE = Kind("sequence", lambda x: (Same(type(x)), len(x)), _enter_sequence)
DICT = Kind("dict", lambda x: (Same(type(x)), tuple(x)), _enter_dict)
OBJECT = Kind("object", lambda x: Same(type(x)), _enter_object)
MODULE = Kind("module", lambda module: None, _enter_module)
CLASS = Kind("class", Same, _enter_class)

FIXED = frozenset({BUILTIN, WRAPPED, DESCRIPTOR, CLASS})
"""Kinds whose parts cannot be replaced by tracers."""


# ---- which kind ------------------------------------------------------------------------------------------------------

_EXACT: dict[type, Kind] = {
    types.FunctionType: FUNCTION,
    types.CellType: CELL,
    types.MethodType: METHOD,
    types.BuiltinFunctionType: BUILTIN,
    functools.partial: PARTIAL,
    property: DESCRIPTOR,
    staticmethod: DESCRIPTOR,
    classmethod: DESCRIPTOR,
    functools.cached_property: DESCRIPTOR,
    functools.partialmethod: DESCRIPTOR,
    types.ModuleType: MODULE,
}
_kinds: dict[type, Kind | None] = {}


def kind_of(value: Any, walk: Walk) -> Kind | None:
    """The kind of node that a value is, or None for a leaf."""
    cls = type(value)
    if cls not in _kinds:
        _kinds[cls] = _kind_of_class(cls)
    kind = _kinds[cls]
    if kind is None:
        return WRAPPED if _wraps_users(value, walk) else None
    if kind is FUNCTION:
        return None if _is_closed(value, walk) else FUNCTION
    if kind is SEQUENCE:
        plain = (cls is tuple and is_plain_tuple(value)) or (cls in (list, tuple) and is_number_table(value))
        return None if plain else SEQUENCE
    if kind is MODULE:
        return MODULE if walk.is_users_module(value) else None
    if kind is CLASS:
        return CLASS if walk.is_users_class(value) else None
    if kind is BUILTIN:
        own = value.__self__
        return None if own is None or isinstance(own, (type, types.ModuleType)) else BUILTIN
    return kind


def _is_closed(f: Any, walk: Walk) -> bool:
    """Whether a function of a library holds nothing of the user's: NumPy, JAX and Lilith have constants for defaults,
    and some of their functions close over one of their own."""
    if walk.is_users(f.__code__.co_filename):
        return False
    if not is_internal(f.__code__.co_filename):
        return not (f.__closure__ or f.__defaults__ or f.__kwdefaults__)
    held = [reads.read_contents(cell) for cell in f.__closure__ or ()]
    return all(type(x) is types.FunctionType and not x.__closure__ and _is_closed(x, walk) for x in held)


def _wraps_users(value: Any, walk: Walk) -> bool:
    """A library's callable around a function of the user's, such as functools.lru_cache makes."""
    try:
        wrapped = value.__wrapped__ if callable(value) else None
    except Exception:  # an object's own __getattr__ may raise anything
        return False
    return type(wrapped) is types.FunctionType and walk.is_users(wrapped.__code__.co_filename)


def _kind_of_class(cls: type) -> Kind | None:
    if cls in _EXACT:
        return _EXACT[cls]
    if issubclass(cls, type):
        return CLASS
    if issubclass(cls, types.ModuleType):
        return MODULE
    if issubclass(cls, functools.partial):
        return PARTIAL
    if not tree.is_structure_class(cls):
        return None
    if issubclass(cls, dict):
        return DICT
    return SEQUENCE if issubclass(cls, (list, tuple, deque)) else OBJECT
