"""TensorType: what is known of an array before it exists; and the promotion of dtypes (NumPy 2, NEP 50)."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import ml_dtypes
import numpy as np

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

_NAMES = {
    np.dtype(dtype): name
    for dtype, name in {
        "bool": "bool",
        **{f"int{n}": f"i{n}" for n in (8, 16, 32, 64)},
        **{f"uint{n}": f"u{n}" for n in (8, 16, 32, 64)},
        **{f"float{n}": f"f{n}" for n in (16, 32, 64)},
        "complex64": "c64",
        "complex128": "c128",
    }.items()
}
_NAMES[BFLOAT16] = "bf16"

DTYPES: dict[str, np.dtype] = {name: dtype for dtype, name in _NAMES.items()}
"""Every dtype the compiler knows, by its short name: `DTYPES["f64"] == np.float64`."""

_KINDS = {dtype: ("f" if dtype == BFLOAT16 else dtype.kind) for dtype in _NAMES}

_WEAK_EXAMPLE = {"f": 0.0, "i": 0, "u": 0, "c": 0j, "b": False}


def dtype_name(dtype: np.dtype) -> str:
    """The short name of a dtype: `f64`, `bf16`, `i32`, `bool`, `c128`."""
    return _NAMES.get(dtype) or str(dtype)


def is_supported(dtype: np.dtype) -> bool:
    """Whether arrays of this dtype can be traced (object, string, datetime, longdouble cannot)."""
    return dtype in _NAMES


def kind(dtype: np.dtype) -> str:
    """One of `b` bool, `i` signed, `u` unsigned, `f` floating (bfloat16 included), `c` complex."""
    return _KINDS[dtype]


def is_inexact(dtype: np.dtype) -> bool:
    """Whether values of this dtype carry a derivative: floating and complex ones do."""
    return _KINDS[dtype] in "fc"


def real_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of `abs(x)`: complex128 gives float64, real dtypes give themselves."""
    return np.dtype(f"f{dtype.itemsize // 2}") if _KINDS[dtype] == "c" else dtype


class TensorType:
    """The type of an array value.

    Arguments:
        shape: tuple of ints.
        dtype: a NumPy dtype (bfloat16 from ml_dtypes).
        weak: True for values that come from Python scalars. A weak operand adapts to the dtype it meets, as in
            NumPy 2 (NEP 50). Operators between weak values stay weak.

    Types are interned: equal types are one object, so comparing them is cheap.

    >>> TensorType((3, 4), np.dtype("float32"))
    f32[3,4]
    """

    __slots__ = ("_hash", "dtype", "shape", "weak")
    shape: tuple[int, ...]
    dtype: np.dtype
    weak: bool
    _hash: int
    _interned: ClassVar[dict[tuple, TensorType]] = {}

    def __new__(cls, shape: tuple[int, ...], dtype: np.dtype, weak: bool = False) -> TensorType:
        key = (shape, dtype, weak)
        found = cls._interned.get(key)
        if found is not None:
            return found
        self = object.__new__(cls)
        object.__setattr__(self, "shape", tuple(int(n) for n in shape))
        object.__setattr__(self, "dtype", np.dtype(dtype))
        object.__setattr__(self, "weak", bool(weak))
        object.__setattr__(self, "_hash", hash(key))
        return cls._interned.setdefault((self.shape, self.dtype, self.weak), self)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("TensorType is immutable")

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple:
        return TensorType, (self.shape, self.dtype, self.weak)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        size = 1
        for n in self.shape:
            size *= n
        return size

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.size * self.dtype.itemsize

    @property
    def strong(self) -> TensorType:
        """This type without the weak mark."""
        return TensorType(self.shape, self.dtype) if self.weak else self

    def with_shape(self, shape: tuple[int, ...]) -> TensorType:
        return TensorType(shape, self.dtype, self.weak)

    def with_dtype(self, dtype: np.dtype) -> TensorType:
        """The strong type of this shape with another dtype."""
        return TensorType(self.shape, dtype)

    def matches(self, other: TensorType) -> bool:
        """Same shape and dtype; the weak mark does not count."""
        return self is other or (self.shape == other.shape and self.dtype == other.dtype)

    def __repr__(self) -> str:
        return f"{dtype_name(self.dtype)}[{','.join(map(str, self.shape))}]"


def result_dtype(types: list[TensorType]) -> tuple[np.dtype, bool]:
    """The common dtype of operands by NumPy 2's rules, and whether the result is weak (all operands are).

    >>> result_dtype([TensorType((3,), np.dtype("float32")), TensorType((), np.dtype("float64"), weak=True)])
    (dtype('float32'), False)
    """
    strong = [t.dtype for t in types if not t.weak]
    weak = [_WEAK_EXAMPLE[_KINDS[t.dtype]] for t in types if t.weak]
    if not strong:
        return np.result_type(*(np.dtype(type(w)) for w in weak)), True
    dtype = np.result_type(*strong)
    if dtype == BFLOAT16 and weak:
        # NumPy sends bfloat16 with a Python float to float32; NEP 50's intent, a weak float adapts, is kept here
        return (np.dtype("complex64") if any(isinstance(w, complex) for w in weak) else dtype), False
    return np.result_type(dtype, *weak), False


_TYPE = re.compile(r"\s*(\w+)\s*\[\s*((?:\d+\s*(?:,\s*\d+\s*)*)?)\]\s*")


def parse_type(text: str) -> TensorType | None:
    """The type that a text names, as types are printed; None if it names none.

    >>> parse_type("f32[128, 64]"), parse_type("c128[]"), parse_type("float[3]")
    (f32[128,64], c128[], None)
    """
    match = _TYPE.fullmatch(text)
    if match is None or match[1] not in DTYPES:
        return None
    return TensorType(tuple(int(n) for n in match[2].split(",") if n.strip()), DTYPES[match[1]])
