"""The rows of `python -m bench numpy`: functions, written once over namespaces, and their arguments.

A row's `ours` is a function of namespaces by name: `np` (numpy, jax.numpy), `xp` (lilith.numpy, jax.numpy),
`special` (lilith.special, jax.scipy.special), `linalg` (lilith.linalg, jax.scipy.linalg), `nn` (lilith.nn, jax.nn),
`random` (lilith.random, jax.random). It returns the function that is timed. Where jax spells it otherwise, `theirs` is
jax's spelling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy

Argument = Callable[[numpy.random.Generator, str], numpy.ndarray]
"""Makes one argument: `argument(rng, dtype)`."""

F32, F64 = "float32", "float64"


class Row(NamedTuple):
    """A function and arguments for it.

    Attributes:
        group, name: what the table says.
        ours, theirs: functions of namespaces that return the function to time.
        arguments: how to make its arguments; the floating ones are differentiated.
        dtypes: the dtypes of the floating arguments, a row of the table each.
        alike: the two draw other random numbers, so that only their distributions are compared.
    """

    group: str
    name: str
    ours: Callable[..., Callable[..., Any]]
    arguments: tuple[Argument, ...]
    dtypes: tuple[str, ...]
    theirs: Callable[..., Callable[..., Any]]
    alike: bool = False


ROWS: list[Row] = []


def group(name: str, *dtypes: str, alike: bool = False) -> Callable[..., None]:
    """A function that adds rows to a group: `add(name, ours, *arguments, theirs=ours, dtypes=dtypes)`."""

    def add(title: str, ours: Any, *arguments: Argument, theirs: Any = None, dtypes: tuple[str, ...] = dtypes) -> None:
        ROWS.append(Row(name, title, ours, arguments, dtypes, theirs or ours, alike))

    return add


# ---- arguments ------------------------------------------------------------------------------------------------------


def normal(*shape: int) -> Argument:
    return lambda rng, dtype: rng.standard_normal(shape).astype(dtype)


def uniform(low: float, high: float, *shape: int) -> Argument:
    return lambda rng, dtype: rng.uniform(low, high, shape).astype(dtype)


def integers(high: int, *shape: int) -> Argument:
    return lambda rng, dtype: rng.integers(0, high, shape)


def seed() -> Argument:
    return lambda rng, dtype: numpy.asarray(7, numpy.int32)


def flags(*shape: int) -> Argument:
    return lambda rng, dtype: rng.random(shape) < 0.5


def increasing(n: int) -> Argument:
    return lambda rng, dtype: numpy.linspace(-4, 4, n).astype(dtype)


def positive_definite(*shape: int) -> Argument:
    def make(rng: numpy.random.Generator, dtype: str) -> numpy.ndarray:
        a = rng.standard_normal(shape)
        return (a @ numpy.swapaxes(a, -1, -2) / shape[-1] + numpy.eye(shape[-1])).astype(dtype)

    return make


def well_conditioned(*shape: int) -> Argument:
    """Random matrices plus a multiple of the identity."""
    return lambda rng, dtype: (rng.standard_normal(shape) / shape[-1] ** 0.5 + 3 * numpy.eye(shape[-1])).astype(dtype)
