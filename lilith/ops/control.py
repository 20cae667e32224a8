"""Primitives that steer a program or act on the outside: stop_gradient, print, callback."""

from __future__ import annotations

import itertools
import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Value
from lilith.ir.primitive import ZERO, NoGradient, Primitive
from lilith.ir.type import TensorType
from lilith.source import ArgumentError, ShapeError

stop_gradient: Primitive = Primitive(
    "stop_gradient", type=lambda x: x, eval=lambda x: x, vjp=ZERO, batch=lambda batched, x: stop_gradient(x)
)


class _Placeholder:
    """Stands for an array of unknown content while a format string is checked: takes any format specification."""

    def __format__(self, specification: str) -> str:
        return ""


class _Shown:
    """An array in a format string: the format specification applies to each element."""

    def __init__(self, array: Any):
        self.array = np.asarray(array)

    def __format__(self, specification: str) -> str:
        if not specification:
            return str(self.array)
        return np.array2string(self.array, formatter={"all": lambda x: format(x, specification)})


def format_arrays(text: str, *arrays: Any) -> str:
    """The line that a print node writes.

    >>> format_arrays("loss {:.2f} at {}", 0.5, np.array([1, 2]))
    'loss 0.50 at [1 2]'
    """
    return text.format(*map(_Shown, arrays))


def show(text: str, *arrays: Any) -> None:
    """Write the line to standard output."""
    sys.stdout.write(format_arrays(text, *arrays) + "\n")


def _print_type(*operands: TensorType, format: str) -> tuple[TensorType, ...]:
    try:
        format.format(*[_Placeholder() for _ in operands])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ArgumentError(
            f"print: the format {format!r} does not fit {len(operands)} arrays ({error})", hint="one {} per array"
        ) from error
    return ()


def _print_eval(*operands: np.ndarray, format: str) -> tuple[()]:
    show(format, *operands)
    return ()


def _print_batch(batched: tuple[bool, ...], *operands: Value, format: str) -> tuple[()]:
    """Prints once, the batched operands as whole batches."""
    return print_(*operands, format=format)


print_ = Primitive("print", type=_print_type, eval=_print_eval, vjp=ZERO, batch=_print_batch, effect=True)


# ---- callbacks -------------------------------------------------------------------------------------------------------


class Callback:
    """A Python function of NumPy arrays that a program calls.

    Attributes:
        name: of the function.
        call: `(*arrays) -> tuple of arrays`.
        token: stands for it in a module's text.
    """

    __slots__ = ("__weakref__", "call", "name", "token")

    def __init__(self, name: str, call: Callable[..., tuple]):
        self.name = name
        self.call = call
        self.token = next(_tokens)
        CALLBACKS[self.token] = self

    def __repr__(self) -> str:
        return f"<{self.name}>"


_tokens = itertools.count(1)
CALLBACKS: weakref.WeakValueDictionary[int, Callback] = weakref.WeakValueDictionary()
"""Callbacks by their tokens, as long as some graph has them."""


def called(function: Callback, results: tuple[TensorType, ...], operands: Sequence[np.ndarray]) -> tuple:
    """What the function gives for these arrays, which must be of the types that were declared."""
    found = tuple(map(np.asarray, function.call(*[np.array(x) for x in operands])))
    types = [TensorType(y.shape, y.dtype) for y in found]
    if len(types) != len(results) or not all(a.matches(b) for a, b in zip(types, results, strict=True)):
        raise ShapeError(
            f"pure_callback: {function.name} gave {types}, {list(results)} was declared",
            hint="return arrays of the declared shapes and dtypes",
        )
    return found


def _callback_batch(
    batched: tuple[bool, ...], *operands: Value, function: Callback, results: tuple[TensorType, ...]
) -> Any:
    """The function is called once per element."""
    size = next(x.shape[0] for x, b in zip(operands, batched, strict=True) if b)

    def each(*arrays: np.ndarray) -> tuple:
        rows = [
            called(function, results, [x[i] if b else x for x, b in zip(arrays, batched, strict=True)])
            for i in range(size)
        ]
        return tuple(
            [np.array([row[k] for row in rows], t.dtype).reshape(size, *t.shape) for k, t in enumerate(results)]
        )

    types = tuple([t.with_shape((size, *t.shape)) for t in results])
    return callback(*operands, function=Callback(function.name, each), results=types)


callback: Primitive = Primitive(
    "callback",
    type=lambda *operands, function, results: results,
    eval=lambda *operands, function, results: called(function, results, operands),
    vjp=NoGradient("a Python function that the program calls has no derivative; give it a rule with @lilith.custom"),
    batch=_callback_batch,
)
