"""Transfer: from a program's outputs, which are jax.Arrays, to what the caller gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter, methodcaller
from typing import Any, NamedTuple

import numpy as np

from lilith.ir.type import TensorType

JAX, SCALAR, PYTHON, ARRAY = "jax.Array", "NumPy scalar", "Python number", "ndarray"
"""What an output becomes."""


class Place(NamedTuple):
    """Where an array is found: in which output of the program, and from which element on.

    `start` is None where it is the whole output.
    """

    output: int
    start: int | None


def unpacker(
    types: Sequence[TensorType], kinds: Sequence[str], places: Sequence[Place]
) -> Callable[[Sequence[Any]], list[Any]]:
    """A function from the program's outputs to arrays of these types and kinds, found at these places.

    NumPy results are writeable: an output is copied once, and arrays packed in one output are views of its one copy.
    """
    buffers = tuple(sorted({p.output for p, kind in zip(places, kinds, strict=True) if kind != JAX}))
    steps = [
        (place.output, None if kind == JAX else _getter(type, kind, place))
        for type, kind, place in zip(types, kinds, places, strict=True)
    ]
    if buffers == (0,) and all(get is not None for _, get in steps):
        getters = [get for _, get in steps if get is not None]

        def unpack_one(outputs: Sequence[Any]) -> list[Any]:
            buffer = np.array(outputs[0])
            return [get(buffer) for get in getters]

        return unpack_one

    def unpack(outputs: Sequence[Any]) -> list[Any]:
        arrays = {i: np.array(outputs[i]) for i in buffers}
        return [outputs[output] if get is None else get(arrays[output]) for output, get in steps]

    return unpack


def _getter(type: TensorType, kind: str, place: Place) -> Callable[[np.ndarray], Any]:
    """How an array of this type and kind is taken out of the NumPy copy of its output."""
    start = place.start or 0
    if kind == PYTHON:
        return methodcaller("item", start)
    if kind == SCALAR:
        return itemgetter(() if place.start is None else start)
    if place.start is None:
        return _itself
    part = itemgetter(slice(start, start + type.size))
    return part if len(type.shape) == 1 else lambda buffer: part(buffer).reshape(type.shape)


def _itself(buffer: np.ndarray) -> np.ndarray:
    return buffer
