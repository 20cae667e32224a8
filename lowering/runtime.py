"""Transfer: from what the caller gives to a program's inputs, and from its outputs to what the caller gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter, methodcaller
from typing import Any, NamedTuple

import numpy as np

from lilith.ir.type import TensorType

JAX, SCALAR, PYTHON, ARRAY = "jax.Array", "NumPy scalar", "Python number", "ndarray"
"""What an output becomes."""


def gatherer(groups: Sequence[Sequence[int]], leaves: Sequence[Any]) -> Callable[[list[Any]], list[Any]]:
    """A function from a call's leaves to the program's inputs.

    Arguments:
        groups: the leaves whose elements, flattened and one after the other, make up the program's first inputs.
        leaves: an example; every call's leaves have the same types.
    """
    swapped = [i for i, x in enumerate(leaves) if isinstance(x, np.ndarray) and not x.dtype.isnative]
    grouped = {i for group in groups for i in group}
    single = [i for i in range(len(leaves)) if i not in grouped]
    joins = [_joiner(group, leaves) for group in groups]
    rest: Callable[[list[Any]], Sequence[Any]] = _pick(single)

    def gather(leaves: list[Any]) -> list[Any]:
        for i in swapped:
            leaves[i] = leaves[i].astype(leaves[i].dtype.newbyteorder("="))
        return [*[join(leaves) for join in joins], *rest(leaves)]

    return gather if joins or swapped else _itself


def _pick(indices: Sequence[int]) -> Callable[[list[Any]], Sequence[Any]]:
    if len(indices) > 1:
        return itemgetter(*indices)
    return itemgetter(slice(indices[0], indices[0] + 1)) if indices else lambda leaves: ()


def _joiner(group: Sequence[int], leaves: Sequence[Any]) -> Callable[[list[Any]], np.ndarray]:
    """How the elements of a group of leaves come into one new array."""
    pick, concatenate = _pick(group), np.concatenate
    if all(isinstance(leaves[i], np.ndarray) and leaves[i].ndim == 1 for i in group):
        return lambda leaves: concatenate(pick(leaves))
    if not any(isinstance(leaves[i], np.ndarray) for i in group):
        dtype = np.asarray(leaves[group[0]]).dtype
        return lambda leaves: np.array(pick(leaves), dtype)
    return lambda leaves: concatenate(pick(leaves), axis=None)


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
            buffer = np.asarray(outputs[0]).copy()
            return [get(buffer) for get in getters]

        return unpack_one

    def unpack(outputs: Sequence[Any]) -> list[Any]:
        arrays = {i: np.asarray(outputs[i]).copy() for i in buffers}
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


def _itself(x: Any) -> Any:
    return x
