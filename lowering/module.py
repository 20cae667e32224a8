"""Module: a program in the form that the carrier takes."""

from __future__ import annotations

import dataclasses
import itertools
import weakref
from collections.abc import Callable
from typing import Any

from lilith.ir.type import TensorType

WHOLE = -1
"""The layout of a result that every device has all of."""


@dataclasses.dataclass(eq=False, weakref_slot=True, slots=True)
class Module:
    """A program in the form the carrier takes.

    Attributes:
        name: of the function, in dumps and profiles.
        text: `(platform) -> str`, the StableHLO module for one of `lowering.emit.PLATFORMS`.
        parameters: the names of its parameters.
        results: the types of its results.
        batch: `(axes, size) -> Module`, for jax.vmap: the program over arguments that have a batch axis of that size at
            axes[i] (None: they have none), with results that have it in front.
        show: `(format, *arrays)`, what `print` nodes call on the host.
        layout: where a program for several devices puts its results, each: as the parameter of this number lies, or
            WHOLE on every device, or (None) as XLA sees fit. () for all as XLA sees fit.
        token: stands for the module in JAX's caches.
    """

    name: str
    text: Callable[[str], str]
    parameters: tuple[str, ...]
    results: tuple[TensorType, ...]
    batch: Any = None
    show: Any = None
    layout: tuple[int | None, ...] = ()
    token: int = dataclasses.field(default_factory=itertools.count(1).__next__)

    def __post_init__(self) -> None:
        modules[self.token] = self


modules: weakref.WeakValueDictionary[int, Module] = weakref.WeakValueDictionary()
"""All that there are, by their tokens."""
