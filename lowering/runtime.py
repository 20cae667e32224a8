"""Transfer: from a program's outputs, which are jax.Arrays, to what the caller gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    buffers = sorted({p.output for p, kind in zip(places, kinds, strict=True) if kind != JAX})
    steps = []
    for type, kind, place in zip(types, kinds, places, strict=True):
        start = place.start or 0
        steps.append((kind, place.output, start, start + type.size, type.shape, place.start is None))

    def unpack(outputs: Sequence[Any]) -> list[Any]:
        arrays = {i: np.array(outputs[i]) for i in buffers}
        values = []
        for kind, output, start, stop, shape, whole in steps:
            if kind == JAX:
                values.append(outputs[output])
            elif kind == PYTHON:
                values.append(arrays[output].item(start))
            elif kind == SCALAR:
                values.append(arrays[output][() if whole else start])
            elif whole:
                values.append(arrays[output])
            elif len(shape) == 1:
                values.append(arrays[output][start:stop])
            else:
                values.append(arrays[output][start:stop].reshape(shape))
        return values

    return unpack
