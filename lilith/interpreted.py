"""Interpreted runs (`config.interpret`): node by node in NumPy, with a look for the first NaN."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from lilith.derive import Derivation
from lilith.ir.interpret import interpret
from lilith.ir.type import TensorType
from lilith.source import LilithWarning
from lowering.carrier import to_device
from lowering.runtime import JAX, PYTHON, SCALAR


def run_interpreted(derivation: Derivation, values: Sequence[Any]) -> Any:
    """The user's result, from the values of the graph's inputs."""
    outputs = interpret(derivation.graph, values, NanFinder())
    return derivation.assemble([as_kind(y, k) for y, k in zip(outputs, derivation.kinds, strict=True)])


def as_kind(array: Any, kind: str) -> Any:
    """An array, of NumPy's or JAX's, as a result of that kind; NumPy results are writeable."""
    if kind == JAX:
        return to_device(array) if isinstance(array, np.ndarray) else array
    array = np.asarray(array)
    if kind == PYTHON:
        return array.item()
    return array[()] if kind == SCALAR else np.array(array)


class NanFinder:
    """Warns of the first node that makes a NaN out of operands without one."""

    def __init__(self) -> None:
        self.found = False

    def __call__(self, node: Any, operands: tuple, results: tuple) -> None:
        if self.found or not any(_has_nan(y) for y in results) or any(_has_nan(x) for x in operands):
            return
        self.found = True
        given = ", ".join(repr(TensorType(x.shape, x.dtype)) for x in operands)
        text = f"the first NaN appears in {node.primitive.name}({given})"
        if node.source is None:
            warnings.warn(text, LilithWarning, stacklevel=2)
        else:
            file, line = node.source.file, node.source.line
            warnings.warn_explicit(f"{text} at {file}:{line} in {node.source.function}", LilithWarning, file, line)


def _has_nan(array: np.ndarray) -> bool:
    return array.dtype.kind in "fcV" and bool(np.isnan(array).any())
