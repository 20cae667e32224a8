"""What the rows of the table of NumPy's functions are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Row(NamedTuple):
    """One use of a function: what it gives in NumPy, it must give on traced arrays.

    Attributes:
        name: as it is written after `np.`: `sum`, `linalg.norm`, `fft.rfft`, `add.reduce`.
        function: of the arrays; it gives an array or a nested list or tuple of them.
        arrays: float64, complex128, integer or bool.
        smooth: whether derivatives are compared with finite differences, those of the second order too.
        narrow: whether the values hold in float32 and bfloat16, up to rounding. They do not where a function is
            discontinuous, or where NumPy has no such dtype.
        bfloat16: the same for bfloat16 alone.
        float32: the tolerance in float32, relative to the largest number of the result.
        compiled: whether XLA gives the values too (not where the rows only ask for shapes or static answers).
    """

    name: str
    function: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    smooth: bool
    narrow: bool
    bfloat16: bool
    float32: float
    compiled: bool


def row(
    name: str,
    function: Callable[..., Any],
    *arrays: Any,
    smooth: bool = True,
    narrow: bool = True,
    bfloat16: bool = True,
    float32: float = 1e-4,
    compiled: bool = True,
) -> Row:
    """A row of the table."""
    return Row(
        name, function, tuple(np.asarray(x) for x in arrays), smooth, narrow, narrow and bfloat16, float32, compiled
    )
