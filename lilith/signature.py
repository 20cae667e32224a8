"""Signature: what of a call's arguments decides which program runs, and the arrays that the program is given."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from types import FunctionType, MethodType
from typing import Any, NamedTuple

import numpy as np

from lilith import tree
from lilith.captures import Contents
from lilith.ir.type import TensorType, is_supported
from lilith.source import DtypeError
from lilith.trace import as_array
from lilith.tracer import Tracer
from lowering.carrier import Array, ArrayImpl, JaxTracer, pytree_leaves
from lowering.runtime import ARRAY, JAX, PYTHON, SCALAR

STATIC, TRACER, JAX_TRACER = "static", "tracer", "JAX tracer"
"""The kinds of leaves, besides those of results (`lowering.runtime`). A gradient has the kind of its argument."""

_STATIC_TYPES = frozenset({int, bool, str, type(None), bytes})
_NUMPY_SCALARS = frozenset(np.dtype(code).type for code in "?bhilqBHILQefdFD")
_ndarray = np.ndarray


def sign(args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, list[Any]]:
    """The key of a call's arguments and its dynamic leaves, in order.

    Two calls with equal keys can run the same program: same structure, shapes, dtypes, kinds, static values.
    """
    key: list[Any] = []
    leaves: list[Any] = []
    for x in args:
        _sign(x, key, leaves)
    if kwargs:
        for name, x in kwargs.items():
            key.append(name)
            _sign(x, key, leaves)
    return tuple(key), leaves


def _sign(x: Any, key: list[Any], leaves: list[Any]) -> None:
    cls = x.__class__
    if cls is _ndarray:
        key.append((x.shape, x.dtype))
        leaves.append(x)
    elif cls is float or cls is complex or cls in _NUMPY_SCALARS:
        key.append(cls)
        leaves.append(x)
    elif cls is ArrayImpl:
        key.append((JAX, x.shape, x.dtype))
        leaves.append(x)
    elif cls in _STATIC_TYPES:
        key.append((cls, x))
    else:
        _sign_structure(x, key, leaves)


def _sign_structure(x: Any, key: list[Any], leaves: list[Any]) -> None:
    parts, structure = tree.flatten(x)
    key.append(structure)
    for leaf in parts:
        key.append(leaf_key(leaf))
        if tree.is_dynamic(leaf):
            leaves.append(leaf)
    if tied := tree.ties(parts):
        key.append(tied)


def leaf_key(leaf: Any) -> Any:
    """The part of the key that one leaf contributes."""
    cls = leaf.__class__
    if cls is _ndarray:
        return leaf.shape, leaf.dtype
    if cls is float or cls is complex or cls in _NUMPY_SCALARS:
        return cls
    if cls is ArrayImpl:
        return JAX, leaf.shape, leaf.dtype
    if not tree.is_dynamic(leaf):
        return _static_key(leaf)
    if cls is Tracer:
        return TRACER, leaf.value.type
    kind, type = describe(leaf)
    return kind, type


_contents = Contents()


def _static_key(leaf: Any) -> Any:
    """A static leaf by its value; the user's callables by all that they read; iterators are never the same again."""
    if is_users_callable(leaf):
        return _contents.key(leaf)
    if isinstance(leaf, type) and tree.is_structure_class(leaf):
        return leaf, tree.class_state(leaf)
    return object() if is_iterator(leaf) else tree.static_key(leaf)


def is_users_callable(x: Any) -> bool:
    """Whether x is a function, method or partial: what it reads can change behind its back."""
    return isinstance(x, (FunctionType, MethodType, functools.partial))


def is_iterator(x: Any) -> bool:
    """Whether reading x changes it: iterators, generators, files."""
    return hasattr(type(x), "__next__")


def describe(leaf: Any) -> tuple[str, TensorType | None]:
    """The kind of a leaf, and the type under which a program takes it (None for static ones)."""
    if isinstance(leaf, Tracer):
        return TRACER, leaf.value.type
    if isinstance(leaf, (Array, JaxTracer)):
        return JAX_TRACER if isinstance(leaf, JaxTracer) else JAX, _jax_type(leaf)
    if not tree.is_dynamic(leaf):
        return STATIC, None
    if isinstance(leaf, TensorType):
        return ARRAY, leaf
    if isinstance(leaf, np.generic):
        array = as_array(leaf)
        return SCALAR, TensorType((), array.dtype)
    if isinstance(leaf, (float, complex)):
        return PYTHON, TensorType((), np.dtype(float if isinstance(leaf, float) else complex), weak=True)
    array = as_array(leaf)
    return ARRAY, TensorType(array.shape, array.dtype)


def _jax_type(x: Any) -> TensorType:
    try:
        dtype = np.dtype(x.dtype)
    except TypeError:
        dtype = None
    if dtype is None or not is_supported(dtype):
        raise DtypeError(
            f"a jax.Array of dtype {x.dtype} cannot be traced", hint="pass numbers; JAX's random keys stay outside"
        )
    return TensorType(x.shape, dtype)


def type_of(leaf: Any) -> TensorType:
    """The type under which a program takes a dynamic leaf."""
    type = describe(leaf)[1]
    if type is None:
        raise TypeError(f"{leaf!r} is static")
    return type


def is_static(x: Any) -> bool:
    """Whether an argument is one of Python's own static values."""
    return x.__class__ in _STATIC_TYPES


def is_plain(x: Any) -> bool:
    """Whether a leaf is a NumPy array, jax.Array, number or static value of exactly such a class."""
    cls = x.__class__
    return cls in (_ndarray, ArrayImpl, float, complex) or cls in _NUMPY_SCALARS or cls in _STATIC_TYPES


class _Place:
    """A mark in the place of a leaf."""

    __slots__ = ("index",)

    def __init__(self, index: int):
        self.index = index


def declared_static(structure: Any, leaves: Sequence[Any]) -> frozenset[int]:
    """Which leaves of a structure lie in fields that a class known to JAX declares to be no data: `static=True` of
    equinox, `pytree_node=False` of flax, what a flatten function returns besides the children.

    They are not differentiated, and a gradient holds them as they are: JAX's tree functions, and with them optax, take
    two such objects only where these fields are equal.
    """
    if len(leaves) < 2 and structure == _LEAF:
        return frozenset()
    return _declared_static(structure, tuple([x if type(x) is bool or x is None else _DATA for x in leaves]))


_LEAF = tree.flatten(0.0)[1]
_DATA = "data"


@functools.lru_cache(maxsize=256)
def _declared_static(structure: Any, leaves: tuple) -> frozenset[int]:
    """The same. Bools stay what they are while the others are found, for a flatten function may ask them which fields
    are data (flax.nnx); then they are tried one by one."""
    places = [_Place(i) if x is _DATA else x for i, x in enumerate(leaves)]
    data = _marks(structure, places)
    if data is None:
        return frozenset()
    for i, x in enumerate(leaves):
        alone = _marks(structure, [*places[:i], _Place(i), *places[i + 1 :]]) if type(x) is bool else {i}
        if x is not _DATA and i in (alone or ()):
            data.add(i)
    return frozenset(range(len(leaves))) - data


def _marks(structure: Any, leaves: Sequence[Any]) -> set[int] | None:
    """The marks among leaves that JAX finds in the structure; None if a class's own flatten function refuses them."""
    try:
        found = pytree_leaves(tree.unflatten(structure, leaves))
    except Exception:  # which may be any
        return None
    return {x.index for leaf in found for x in tree.flatten(leaf)[0] if isinstance(x, _Place)}


class Leaf(NamedTuple):
    """One leaf of a call's arguments.

    Attributes:
        path: in the user's terms, `model.layers[0].W`.
        argument: which argument it belongs to (positional ones first, then keyword arguments).
        value, kind, type: the object, its kind, and its type unless it is static.
    """

    path: str
    argument: int
    value: Any
    kind: str
    type: TensorType | None


class Arguments(NamedTuple):
    """A call's arguments, taken apart: the slow, complete counterpart of `sign`.

    Attributes:
        names, positions, structures: of each argument; positions are None for keyword arguments.
        leaves: of all arguments.
        ties: for each dynamic leaf the index of the one that stands for it; () where each stands for itself.
    """

    names: tuple[str, ...]
    positions: tuple[int | None, ...]
    structures: tuple[Any, ...]
    leaves: tuple[Leaf, ...]
    ties: tuple[int, ...] = ()

    def tied(self) -> Arguments:
        """The same, where an array that is in several places of one argument counts as one array."""
        found: list[int] = []
        for i in range(len(self.structures)):
            own = [leaf.value for leaf in self.leaves if leaf.argument == i and leaf.kind != STATIC]
            first = len(found)
            found += [first + k for k in tree.ties(own) or range(len(own))]
        return self._replace(ties=tuple(found)) if found != list(range(len(found))) else self

    def first_of(self, i: int) -> int:
        """The first place of the array that is the i-th dynamic leaf."""
        return self.ties[i] if self.ties else i

    def declared_static(self) -> list[bool]:
        """For each leaf whether its class declares it to be no data (`declared_static`)."""
        found: list[bool] = []
        for i, structure in enumerate(self.structures):
            own = [leaf.value for leaf in self.leaves if leaf.argument == i]
            apart = declared_static(structure, own)
            found += [k in apart for k in range(len(own))]
        return found

    def rebuild(self, replacements: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments with the dynamic leaves replaced, in order; of tied ones by the first's."""
        remaining = iter([replacements[i] for i in self.ties] if self.ties else replacements)
        values: list[list[Any]] = [[] for _ in self.structures]
        for leaf in self.leaves:
            values[leaf.argument].append(leaf.value if leaf.kind == STATIC else next(remaining))
        built = [tree.unflatten(s, v) for s, v in zip(self.structures, values, strict=True)]
        count = sum(p is not None for p in self.positions)
        return built[:count], dict(zip(self.names[count:], built[count:], strict=True))


def take_apart(f: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Arguments:
    """Flatten a call's arguments into leaves with their paths."""
    names = [*parameter_names(f, len(args)), *kwargs]
    structures, leaves = [], []
    for i, (name, x) in enumerate(zip(names, [*args, *kwargs.values()], strict=True)):
        parts, structure = tree.flatten(x)
        structures.append(structure)
        for path, leaf in zip(tree.paths(x, name), parts, strict=True):
            tree.check_leaf(leaf, path)
            leaves.append(Leaf(path, i, leaf, *describe(leaf)))
    positions = (*range(len(args)), *(None for _ in kwargs))
    return Arguments(tuple(names), positions, tuple(structures), tuple(leaves))


def parameter_names(f: Callable[..., Any], count: int) -> list[str]:
    """Names for `count` positional arguments of f; `args[2]` for those that `*args` takes."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):  # builtins and ufuncs have none
        return [f"arg{i}" for i in range(count)]
    names: list[str] = []
    for p in parameters:
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            names.append(p.name)
        elif p.kind is p.VAR_POSITIONAL:
            names.extend(f"{p.name}[{i}]" for i in range(max(count - len(names), 0)))
    names.extend(f"arg{i}" for i in range(len(names), count))
    return names[:count]
