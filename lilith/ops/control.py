"""Primitives that steer a program or act on the outside: stop_gradient, print."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from lilith.ir.graph import Value
from lilith.ir.primitive import ZERO, Primitive
from lilith.ir.type import TensorType
from lilith.source import ArgumentError

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
