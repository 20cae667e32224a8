"""Leaves: which are data and which configuration, their keys, and what other libraries hold numbers in."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import numpy as np

from lilith.ir.type import TensorType, is_supported
from lilith.source import ArgumentError, DtypeError
from lilith.tracer import Tracer
from lilith.tree.classes import root_module

_DYNAMIC, _STATIC, _ARRAY = "dynamic", "static", "array"
_leaf_kinds: dict[type, str] = {}


def _leaf_kind(cls: type) -> str:
    if issubclass(cls, (enum.Enum, type)):
        return _STATIC
    if issubclass(cls, np.ndarray) or issubclass(cls, (np.number, np.bool_)):
        return _ARRAY
    if root_module(cls) == "ml_dtypes" and issubclass(cls, np.generic):
        return _DYNAMIC
    return _DYNAMIC if issubclass(cls, (float, complex, Tracer, TensorType)) or is_jax_array(cls) else _STATIC


def is_jax_array(cls: type) -> bool:
    """Whether a class is one of JAX's arrays or tracers, told without importing JAX."""
    return root_module(cls) in ("jax", "jaxlib") and hasattr(cls, "aval") and not issubclass(cls, type)


def is_dynamic(leaf: Any) -> bool:
    """Whether a leaf is data (floats, complex numbers, NumPy scalars, arrays) or configuration (ints, strings, ...).

    Raises:
        DtypeError: an array of objects, strings, dates or another dtype that cannot be traced.
    """
    cls = type(leaf)
    kind = _leaf_kinds.get(cls)
    if kind is None:
        kind = _leaf_kinds[cls] = _leaf_kind(cls)
    if kind is not _ARRAY:
        return kind is _DYNAMIC
    if not is_supported(leaf.dtype) and not is_supported(leaf.dtype.newbyteorder("=")):
        raise DtypeError(
            f"an array of dtype {leaf.dtype} cannot be traced",
            hint="use a bool, integer, float16/32/64, bfloat16 or complex64/128 array, e.g. x.astype(np.float64)",
        )
    return True


def is_array(leaf: Any) -> bool:
    """Whether a leaf is an array, so that finding the same object in two places means one array in two places."""
    cls = type(leaf)
    return cls is np.ndarray or cls is Tracer or is_jax_array(cls) or isinstance(leaf, (np.ndarray, Tracer))


def ties(leaves: Sequence[Any]) -> tuple[int, ...]:
    """For each leaf the index of the first one that is the same array; () where no array is there twice.

    >>> w = np.ones(2)
    >>> ties([w, 1.0, w]), ties([w, 1.0, w.copy()])
    ((0, 1, 0), ())
    """
    if len(set(map(id, leaves))) == len(leaves):
        return ()
    first: dict[int, int] = {}
    found = tuple([first.setdefault(id(leaf), i) if is_array(leaf) else i for i, leaf in enumerate(leaves)])
    return found if any([i != j for i, j in enumerate(found)]) else ()


class Same:
    """An object as a key: equal to itself only. It keeps the object alive, so that its id is not used again."""

    __slots__ = ("object",)

    def __init__(self, object: Any):
        self.object = object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.object is other.object

    def __hash__(self) -> int:
        return id(self.object)

    def __repr__(self) -> str:
        return f"<{type(self.object).__name__} {getattr(self.object, '__qualname__', hex(id(self.object)))}>"


def static_key(leaf: Any) -> Any:
    """A hashable key of a static leaf: type and value, so that 1, True and 1.0 differ; else its identity.

    The key of an object without a hash keeps it alive.
    """
    cls = type(leaf)
    if cls in (int, bool, str, type(None), bytes):
        return cls, leaf
    if isinstance(leaf, (float, complex)):
        return cls, np.asarray(leaf).tobytes()  # nan equals itself, -0.0 is not 0.0
    if isinstance(leaf, np.generic):
        return cls, str(leaf.dtype), leaf.tobytes()
    if cls in (set, frozenset):
        return cls, frozenset(map(static_key, leaf))
    if cls is tuple:
        return cls, tuple(map(static_key, leaf))
    if cls is slice:
        return cls, static_key((leaf.start, leaf.stop, leaf.step))
    if cls is bytearray:
        return cls, bytes(leaf)
    try:
        hash(leaf)
    except Exception:  # a TypeError, or what a class's own __hash__ raises
        return cls, Same(leaf)
    return cls, leaf


def content_key(x: Any) -> Any:
    """A hashable key of a value that is not a leaf of its own: arrays and containers by their content too."""
    if isinstance(x, np.ndarray):
        return x.shape, x.dtype.str, x.tobytes()
    if type(x) in (list, tuple):
        return type(x), tuple(map(content_key, x))
    if type(x) is dict:
        return dict, tuple([(content_key(k), content_key(v)) for k, v in x.items()])
    return static_key(x)


# ---- what other libraries hold numbers in --------------------------------------------------------------------------


def convert_foreign(leaf: Any, path: str) -> Any:
    """A torch tensor or a pandas object of numbers as an ndarray; any other leaf as it is.

    Raises:
        ArgumentError, DtypeError: an array-like that is not taken, by its name and with the remedy.
    """
    cls = type(leaf)
    if cls in (np.ndarray, np.memmap) or _leaf_kinds.get(cls) is _DYNAMIC:
        return leaf
    origins = {root_module(base) for base in cls.__mro__}
    if "torch" in origins and hasattr(leaf, "detach"):
        return _from_torch(leaf, path)
    if "pandas" in origins and hasattr(leaf, "to_numpy"):
        return _from_pandas(leaf, path)
    what = f"{path} is a {cls.__module__}.{cls.__qualname__}"
    if isinstance(leaf, np.ma.MaskedArray):
        raise ArgumentError(f"{what}: the mask would be lost", hint=f"pass {path}.filled(0.0) and the mask, apart")
    if isinstance(leaf, np.ndarray) and not isinstance(leaf, np.recarray):
        raise ArgumentError(f"{what}, a subclass of ndarray with rules of its own", hint=f"pass np.asarray({path})")
    if "scipy" in origins and hasattr(leaf, "toarray"):
        raise ArgumentError(f"{what}: sparse matrices are not supported", hint=f"pass {path}.toarray()")
    foreign = hasattr(cls, "__array__") and not isinstance(leaf, np.generic) and not is_jax_array(cls)
    if foreign and not issubclass(cls, Tracer) and not isinstance(leaf, type):
        raise ArgumentError(f"{what}, which is not traced", hint=f"pass np.asarray({path})")
    return leaf


def _from_torch(tensor: Any, path: str) -> np.ndarray:
    where = str(getattr(tensor, "device", "cpu"))
    if where != "cpu":
        raise ArgumentError(f"{path} is a torch tensor on {where}", hint=f"pass {path}.detach().cpu().numpy()")
    try:
        return tensor.detach().numpy()
    except (TypeError, RuntimeError) as error:  # bfloat16, sparse, ...
        raise ArgumentError(
            f"{path} is a torch tensor that has no ndarray: {error}", hint=f"pass {path}.detach().float().numpy()"
        ) from error


def _from_pandas(x: Any, path: str) -> np.ndarray:
    array = x.to_numpy()
    if not is_supported(array.dtype):
        raise DtypeError(
            f"{path} is a pandas {type(x).__name__} that is not all numbers (it becomes an array of {array.dtype})",
            hint=f"choose the columns with numbers, e.g. {path}[[...]].to_numpy(dtype=float)",
        )
    return array


def check_leaf(leaf: Any, path: str) -> None:
    """Raise the error for a leaf that is no argument: torch, pandas, masked and sparse arrays, and the like."""
    if convert_foreign(leaf, path) is not leaf:
        cls = type(leaf)
        remedy = f"{path}.detach().numpy()" if hasattr(leaf, "detach") else f"{path}.to_numpy()"
        raise ArgumentError(f"{path} is a {cls.__module__}.{cls.__qualname__}", hint=f"pass {remedy}")


def check_there(leaf: Any, path: str, of: str = "") -> None:
    """Raise the error for a jax.Array whose memory is gone.

    Arguments:
        of: what needs the array, as the message's beginning.
    """
    concrete = type(leaf).__name__ == "ArrayImpl" and is_jax_array(type(leaf))  # no tracer
    if concrete and leaf.is_deleted():
        raise ArgumentError(
            f"{of}{path} ({leaf.dtype}{list(leaf.shape)}) was donated to an earlier call and is gone",
            hint="use what that call has returned in its place, or leave the argument out of donate=",
        )
