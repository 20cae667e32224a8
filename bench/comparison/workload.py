"""What a workload is: a function written once over a namespace, and arguments of several sizes."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy

Maker = Callable[[Any, Any], Callable[..., Any]]
"""`make(np, kit)` gives the function over a namespace `np` (numpy for Lilith, jax.numpy, autograd.numpy; torch for
translations) and a `bench.comparison.peers.peer.Kit`, which has the peer's loops and derivatives."""

GRADIENT = "gradient"
JACOBIAN = "jacobian"
DERIVATIVE = "derivative"
FUNCTION = "function"
KINDS = {
    GRADIENT: "value and gradient (reverse mode)",
    JACOBIAN: "the whole Jacobian",
    DERIVATIVE: "value and derivative along a direction of ones (forward mode)",
    FUNCTION: "the function, which takes derivatives itself",
}


class Size(NamedTuple):
    """A size of a workload: what the table says, and how to make the arguments."""

    label: str
    arguments: Callable[[numpy.random.Generator], tuple[Any, ...]]


class Workload(NamedTuple):
    """A function, and what is asked of it.

    Attributes:
        name: on the command line and in the table.
        about: a line for the page.
        make: the function, over a namespace.
        sizes: the smallest first.
        kind: one of KINDS.
        wrt: the arguments to differentiate by.
        torch: its translation, `make(torch, kit)`; None where PyTorch runs `make` itself through its own namespace.
        by_hand: value and derivative in NumPy, written by hand, as `f(*args)`; None where nobody would.
        forward: the Jacobian has fewer columns than rows: those who have to choose take forward mode.
        host: arguments and results are NumPy arrays for all: how long a call takes, not the arithmetic.
        rolled: a Python loop that Lilith rolls; the others unroll it, so that their sizes are limited.
        sensitive: the result's error grows along the way, so that it is compared with less precision.
    """

    name: str
    about: str
    make: Maker
    sizes: tuple[Size, ...]
    kind: str = GRADIENT
    wrt: tuple[int, ...] = (0,)
    torch: Maker | None = None
    by_hand: Callable[..., Any] | None = None
    forward: bool = False
    host: bool = False
    rolled: bool = False
    sensitive: bool = False

    def arguments(self, size: Size) -> tuple[Any, ...]:
        """The arguments of a size: the same at every call."""
        return size.arguments(numpy.random.default_rng(len(self.name)))


WORKLOADS: dict[str, Workload] = {}


def add(workload: Workload) -> None:
    """Put a workload into the table."""
    if workload.name in WORKLOADS:
        raise ValueError(f"there are two workloads {workload.name}")
    WORKLOADS[workload.name] = workload


def load() -> dict[str, Workload]:
    """All workloads, by name."""
    from bench.comparison import workloads

    for module in pkgutil.iter_modules(workloads.__path__):
        importlib.import_module(f"{workloads.__name__}.{module.name}")
    return WORKLOADS


def normal(rng: numpy.random.Generator, *shape: int, dtype: str = "float64", scale: float = 1.0) -> numpy.ndarray:
    return (scale * rng.standard_normal(shape)).astype(dtype)
