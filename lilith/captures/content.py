"""What a captured leaf is for the program: an input, part of the key by value or by content, or beyond explanation."""

from __future__ import annotations

import array
import contextvars
import enum
import hashlib
import pickle
import random
import sys
import threading
import types
from typing import Any

import numpy as np

from lilith import tree
from lilith.ir.type import is_supported
from lilith.tracer import Tracer

INPUT, STATIC, CONTENT, GENERATOR, OPAQUE = "input", "static", "content", "generator", "opaque"
"""The roles of a leaf: an input of the program; a key by `static_key`; a key by `content_key` (it can change in place);
a random generator; something whose changes cannot be seen."""

_ARRAY, _TUPLE = "array", "tuple"
_PLAIN = (int, bool, str, type(None), bytes, type(...), type(NotImplemented), range, slice, np.dtype, np.ufunc)
_PLAIN_TYPES = frozenset({int, bool, str, type(None), bytes})
_NUMBERS = frozenset({int, float, complex, bool})
_GENERATORS = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)
_MUTABLE = (list, set, frozenset, bytearray, memoryview, array.array, types.MappingProxyType, np.ndarray)
_OPAQUE = (contextvars.ContextVar, threading.local, types.CoroutineType, types.AsyncGeneratorType)
_roles: dict[type, str] = {}


def role(value: Any) -> str:
    """The role of a leaf. Never raises."""
    cls = type(value)
    found = _roles.get(cls)
    if found is None:
        found = _roles[cls] = _role_of_class(cls)
    if found is _TUPLE:
        return STATIC if is_plain_tuple(value) else CONTENT
    if found is not _ARRAY:
        return found
    dtype = value.dtype
    return INPUT if is_supported(dtype) or is_supported(dtype.newbyteorder("=")) else CONTENT


def fixed_role(value: Any) -> str:
    """The role of what would be an input, where no tracer can be put."""
    if isinstance(value, Tracer):
        return OPAQUE
    return STATIC if isinstance(value, (float, complex, np.generic)) else CONTENT


def _role_of_class(cls: type) -> str:
    if cls is tuple:
        return _TUPLE
    if cls in (float, complex) or issubclass(cls, Tracer) or tree.is_jax_array(cls):
        return INPUT
    if cls in (np.ndarray, np.memmap) or issubclass(cls, (np.number, np.bool_)):
        return _ARRAY
    if tree.root_module(cls) == "ml_dtypes" and issubclass(cls, np.generic):
        return _ARRAY
    if issubclass(cls, _GENERATORS):
        return GENERATOR
    if issubclass(cls, _OPAQUE) or hasattr(cls, "__next__"):
        return OPAQUE
    if issubclass(cls, _MUTABLE):
        return CONTENT
    if issubclass(cls, (*_PLAIN, enum.Enum, type)):
        return STATIC
    if cls.__hash__ not in (None, object.__hash__) and cls.__eq__ is not object.__eq__:
        return STATIC
    return STATIC if tree.root_module(cls) in sys.stdlib_module_names or _is_function(cls) else CONTENT


def _is_function(cls: type) -> bool:
    """A library's own type of callables, such as numpy's dispatchers: what they do does not change."""
    return hasattr(cls, "__call__") and hasattr(cls, "__get__")  # noqa: B004


def is_plain_tuple(value: tuple) -> bool:
    """A tuple of ints, strings and the like, such as a shape: one static leaf."""
    return _PLAIN_TYPES.issuperset(map(type, value))


def is_number_table(value: Any, limit: int = 32) -> bool:
    """A list or tuple, nested or not, of more than `limit` Python numbers and nothing else: keyed whole.

    As inputs of the program they would be many, and `np.array(table)` could not be told their values.
    """
    count = 0
    rows = [value]
    for _ in range(8):
        inner = []
        for row in rows:
            kinds = set(map(type, row))
            if kinds <= _NUMBERS:
                count += len(row)
            elif kinds <= {list, tuple}:
                inner += row
            else:
                return False
        if not inner:
            return count > limit
        rows = inner
    return False


def content_key(value: Any) -> Any:
    """A hashable digest of what an object holds, equal for equal contents; None where it cannot be told."""
    try:
        return _content(value)
    except Exception:  # pickling runs code of other libraries, which may raise anything
        return None


def _content(value: Any) -> Any:
    cls = type(value)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject and cls is not np.ma.MaskedArray:
        return cls, value.shape, value.dtype.str, _digest(np.ascontiguousarray(value).view(np.uint8).data)
    if isinstance(value, np.ndarray) and cls is np.ndarray:
        return cls, value.shape, tuple([_content(x) for x in value.ravel().tolist()])
    if isinstance(value, (bytearray, memoryview, array.array)):
        return cls, _digest(bytes(value))
    if isinstance(value, (set, frozenset)):
        return cls, frozenset([_content(x) for x in value])
    if isinstance(value, types.MappingProxyType):
        return cls, tuple([(k, _content(v)) for k, v in value.items()])
    if tree.is_jax_array(cls):
        return cls, _content(np.asarray(value))
    if isinstance(value, (float, complex, np.generic, *_PLAIN, enum.Enum, type, types.FunctionType)):
        return tree.static_key(value)
    return cls, _digest(pickle.dumps(value, protocol=5))


def _digest(data: Any) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
