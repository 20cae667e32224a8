"""Executable: one compiled program, called with the dynamic leaves of a call and answering with the user's result."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from lilith.derive import Derivation
from lilith.ir.graph import Graph
from lilith.result import GradResult
from lilith.signature import describe
from lilith.source import LilithWarning
from lilith.trace import Traced
from lilith.transform.batch import batch_at
from lilith.transform.pack import pack
from lowering.carrier import Loaded, Module, block_until_ready, to_device, x64_is_on
from lowering.emit import emit
from lowering.runtime import JAX, Place, unpacker

_warned: set[str] = set()


def module_of(graph: Graph) -> Module:
    """The graph as the carrier takes it."""
    from lilith.printing import show

    return Module(
        graph.name,
        emit(graph),
        tuple(y.type for y in graph.outputs),
        lambda axes, size: module_of(batch_at(graph, axes, size)),
        show,
    )


class Executable:
    """A derivation, compiled.

    Attributes:
        derivation: the graph it runs, and how its outputs make up the result.
        description: the parts of its cache key as text, for `explain_cache`.
        calls: whether it was used since the cache last looked.
    """

    __slots__ = (
        "_constants",
        "_loaded",
        "_simple",
        "_swapped",
        "_sync",
        "_unpack",
        "calls",
        "derivation",
        "description",
        "source",
    )

    def __init__(self, derivation: Derivation, leaves: Sequence[Any], description: dict[str, str]):
        self.derivation = derivation
        self.description = description
        self.calls = 0
        graph, kinds = derivation.graph, derivation.kinds
        packed, places = pack(graph, [i for i, kind in enumerate(kinds) if kind != JAX])
        self._loaded = Loaded(module_of(packed))
        self._constants = tuple(to_device(array) for array in derivation.hoisted)
        self._unpack = unpacker([y.type for y in graph.outputs], kinds, [Place(*p) for p in places])
        # an array that the caller may change right after the call must have been read by then
        self._sync = JAX in kinds and any(describe(x)[0] != JAX for x in leaves)
        self._swapped = [i for i, x in enumerate(leaves) if isinstance(x, np.ndarray) and not x.dtype.isnative]
        self._simple = _simple(derivation)
        _warn_of_decay(graph, kinds)

    def __call__(self, leaves: list[Any], cotangent: Sequence[Any] = ()) -> Any:
        """Run on the dynamic leaves of arguments and captures; returns what the user gets."""
        self.calls = 1
        for i in self._swapped:
            leaves[i] = leaves[i].astype(leaves[i].dtype.newbyteorder("="))
        outputs = self._loaded(*leaves, *self._constants, *cotangent)
        if self._sync:
            block_until_ready(outputs)
        values = self._unpack(outputs)
        if self._simple:
            return values[0], GradResult(values[1:], self.derivation.labels)
        return self.derivation.assemble(values)


def _simple(derivation: Derivation) -> bool:
    """Whether the outputs are the value and one array per argument, so that nothing needs to be put together."""
    if (
        derivation.labels is None
        or len(derivation.value_leaves) != 1
        or not isinstance(derivation.value_leaves[0], Traced)
    ):
        return False
    plain = derivation.value(("value", *(None for _ in derivation.kinds[1:]))) == "value"
    indices = [entry and entry[1] for entry in derivation.entries]
    single = [i if i is not None and len(i) == 1 else None for i in indices]
    if not plain or single != [[k + 1] for k in range(len(single))]:
        return False
    probe = derivation.gradients(range(len(derivation.kinds)))
    return probe == list(range(1, len(derivation.kinds)))


def _warn_of_decay(graph: Graph, kinds: Sequence[str]) -> None:
    """JAX's own operations turn a 64-bit jax.Array to 32 bits while its flag is off: say so once."""
    wide = [y.type for y, kind in zip(graph.outputs, kinds, strict=True) if kind == JAX and y.dtype.itemsize >= 8]
    if wide and not x64_is_on() and "x64" not in _warned:
        _warned.add("x64")
        warnings.warn(
            f"{graph.name} returns {wide[0]} as a jax.Array while jax_enable_x64 is off: JAX's own operations on it "
            "(x * 2, x.sum()) will give 32-bit results; set jax.config.update('jax_enable_x64', True)",
            LilithWarning,
            stacklevel=2,
        )
