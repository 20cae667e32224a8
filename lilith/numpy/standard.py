"""What the Python Array API standard (2024.12) asks for beyond NumPy's functions, and NumPy's static functions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from lilith.numpy.core import check_device
from lilith.numpy.inquiries import finfo, iinfo
from lilith.source import ArgumentError

STATIC = (
    "arange bartlett blackman broadcast_shapes diag_indices empty eye fft.fftfreq fft.rfftfreq fromfunction hamming "
    "hanning identity indices isdtype isscalar issubdtype iterable mask_indices mintypecode ones promote_types "
    "row_stack tri tril_indices triu_indices zeros"
).split()
"""Functions whose arguments are static, or that are made of others: NumPy's own work while a function is traced."""


def _frequencies(function: Any) -> Any:
    def rule(n: int, /, *args: Any, d: Any = 1.0, dtype: Any = None, device: Any = None) -> Any:
        if len(args) > 1:
            raise ArgumentError(f"fft.{function.__name__}: takes n and d, got {1 + len(args)} arguments", hint="d=...")
        check_device(device, f"fft.{function.__name__}")
        y = function(n, args[0] if args else d)
        return y if dtype is None else y.astype(dtype)

    rule.__name__ = function.__name__
    rule.__doc__ = f"numpy.fft.{function.__name__} with the standard's `dtype`."
    return rule


class Namespace(SimpleNamespace):
    """A namespace of NumPy with some functions replaced."""

    def __init__(self, name: str, origin: Any, **replaced: Any):
        super().__init__(__name__=name, __doc__=origin.__doc__, **replaced)
        self.__dict__["_origin"] = origin

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_origin"], name)

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._origin), *self.__dict__} - {"_origin"})

    def __repr__(self) -> str:
        return f"<namespace {self.__name__}>"


class Information:
    """What `__array_namespace_info__()` answers."""

    def capabilities(self) -> dict[str, Any]:
        """Shapes are known before values are: no boolean indexing with traced masks."""
        return {"boolean indexing": False, "data-dependent shapes": False, "max dimensions": 64}

    def default_device(self) -> str:
        """The device of NumPy's arrays."""
        return "cpu"

    def devices(self) -> list[str]:
        """The devices: one."""
        return ["cpu"]

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype]:
        """NumPy's default dtypes by kind."""
        check_device(device, "__array_namespace_info__")
        names = {"real floating": "f8", "complex floating": "c16", "integral": "i8", "indexing": "i8"}
        return {key: np.dtype(name) for key, name in names.items()}

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, np.dtype]:
        """The standard's dtypes, all or those of a kind."""
        check_device(device, "__array_namespace_info__")
        names = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128".split()
        found = {name: np.dtype(name) for name in names}
        return found if kind is None else {name: d for name, d in found.items() if np.isdtype(d, kind)}


NAMES: dict[str, Any] = {
    "__array_api_version__": "2024.12",
    "__array_namespace_info__": Information,
    "fft": Namespace(
        "lilith.numpy.fft", np.fft, fftfreq=_frequencies(np.fft.fftfreq), rfftfreq=_frequencies(np.fft.rfftfreq)
    ),
    "finfo": finfo,
    "iinfo": iinfo,
    "linalg": Namespace("lilith.numpy.linalg", np.linalg),
}
"""What `lilith.numpy` has under these names, in place of NumPy's."""
