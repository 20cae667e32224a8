"""What the Python Array API standard (2024.12) asks for beyond NumPy's functions, and NumPy's static functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.numpy.core import check_device, lift, wrap
from lilith.numpy.inquiries import finfo, iinfo
from lilith.source import ArgumentError
from lilith.trace import current_trace

STATIC = (
    "arange bartlett blackman broadcast_shapes diag_indices empty eye fft.fftfreq fft.rfftfreq fromfunction hamming "
    "hanning identity indices isdtype isscalar issubdtype iterable mask_indices mintypecode ones promote_types "
    "row_stack tri tril_indices triu_indices zeros"
).split()
"""Functions whose arguments are static, or that are made of others: NumPy's own work while a function is traced."""


class Namespace:
    """A namespace in which some names are replaced.

    Arguments:
        name: of the namespace.
        origin: the module that has all other names.
        replaced: the values of names.
    """

    def __init__(self, name: str, origin: Any, replaced: dict[str, Any]):
        self.__name__ = name
        self.__doc__ = origin.__doc__
        self.__dict__.update(replaced)
        self._origin = origin

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") and not name.startswith("__array_"):
            raise AttributeError(name)
        return getattr(self._origin, name)

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._origin), *self.__dict__} - {"_origin"})

    def __repr__(self) -> str:
        return f"<namespace {self.__name__}>"


def _traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """A creation function whose arrays are traced: all arrays of a namespace have one type."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        current_trace()
        y = function(*args, **kwargs)
        return wrap(lift(y)) if isinstance(y, np.ndarray | np.generic) else y

    return call


_CREATION = "arange asarray empty eye from_dlpack full linspace ones zeros".split()


def traced_namespace(api_version: str | None = None) -> Namespace:
    """What `x.__array_namespace__()` of a traced array gives: lilith.numpy, with creation functions that give traced
    arrays, and `special`, which SciPy looks for.

    Raises:
        ArgumentError: a version of the standard that is not known.
    """
    if api_version not in (None, "2021.12", "2022.12", "2023.12", "2024.12"):
        raise ArgumentError(f"__array_namespace__: api_version={api_version!r}", hint="'2024.12' or earlier")
    return _namespace()


@functools.cache
def _namespace() -> Namespace:
    import lilith.numpy
    import lilith.special

    replaced = {name: _traced(getattr(lilith.numpy, name)) for name in _CREATION}
    return Namespace("lilith.numpy", lilith.numpy, {**replaced, "special": lilith.special})


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
    "finfo": finfo,
    "iinfo": iinfo,
}
"""What `lilith.numpy` has under these names, in place of NumPy's."""
