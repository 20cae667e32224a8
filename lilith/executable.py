"""Executable: one compiled program, called with the dynamic leaves of a call and answering with the user's result."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from lilith.derive import Derivation
from lilith.ir.graph import Graph
from lilith.ops.control import show
from lilith.signature import describe
from lilith.source import LilithWarning
from lilith.transform.batch import batch_at
from lilith.transform.pack import pack_inputs, pack_outputs
from lowering.carrier import Loaded, Module, block_until_ready, to_device, x64_is_on
from lowering.emit import emit
from lowering.runtime import JAX, Place, gatherer, unpacker

_warned: set[str] = set()


def module_of(graph: Graph) -> Module:
    """The graph as the carrier takes it."""
    return Module(
        graph.name,
        emit(graph),
        graph.input_names,
        tuple(y.type for y in graph.outputs),
        lambda axes, size: module_of(batch_at(graph, axes, size)),
        show,
    )


class Executable:
    """A derivation, compiled.

    Attributes:
        run: `run(leaves, cotangent=())`: the user's result from the dynamic leaves of arguments and captures.
        derivation: the graph it runs, and how its outputs make up the result.
        description: the parts of its cache key as text, for `explain_cache`.
        used: whether it was used since the cache last looked.
    """

    __slots__ = ("derivation", "description", "run", "used")

    def __init__(self, derivation: Derivation, leaves: Sequence[Any], description: dict[str, str]):
        self.derivation = derivation
        self.description = description
        self.used = True
        self.run = _runner(derivation, leaves)
        _warn_of_decay(derivation.graph, derivation.kinds)


def _runner(derivation: Derivation, leaves: Sequence[Any]) -> Callable[..., Any]:
    """The function that runs a derivation on leaves of the same types and kinds as these."""
    kinds = derivation.kinds
    on_host = [i for i, x in enumerate(leaves) if describe(x)[0] != JAX]
    graph, places = pack_outputs(derivation.graph, [i for i, kind in enumerate(kinds) if kind != JAX])
    graph, groups = pack_inputs(graph, on_host)
    call = Loaded(module_of(graph)).call
    gather = gatherer(groups, leaves)
    constants = tuple(to_device(array) for array in derivation.hoisted)
    unpack = unpacker([y.type for y in derivation.graph.outputs], kinds, [Place(*p) for p in places])
    # an array that the caller may change right after the call must have been read by then
    wait = block_until_ready if JAX in kinds and on_host else None
    assemble = derivation.assemble

    def run(leaves: list[Any], cotangent: Sequence[Any] = ()) -> Any:
        outputs = call(*gather(leaves), *constants, *cotangent)
        if wait is not None:
            wait(outputs)
        return assemble(unpack(outputs))

    return run


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
