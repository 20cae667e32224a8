"""Executable: one compiled program, called with the dynamic leaves of a call and answering with the user's result."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from lilith.callpath import Layout, general_path
from lilith.config import config
from lilith.derive import Derivation, given_values
from lilith.dump import write_stages
from lilith.ir.graph import Graph
from lilith.ops.control import show
from lilith.signature import describe
from lilith.source import LilithWarning
from lilith.transform.batch import batch_at
from lilith.transform.pack import PACK_BYTES, TANGENT_BYTES, join_last, pack_inputs, pack_outputs
from lowering.carrier import Loaded, Module, block_until_ready, keep_compiled, sharding_of, to_device, x64_is_on
from lowering.emit import emit
from lowering.runtime import JAX

_warned: set[str] = set()
config.when_cache_dir_changes.append(keep_compiled)
keep_compiled(config.cache_dir)


def module_of(graph: Graph) -> Module:
    """The graph as the carrier takes it."""
    return Module(
        graph.name,
        functools.partial(emit, graph),
        graph.input_names,
        tuple(y.type for y in graph.outputs),
        functools.cache(lambda axes, size: module_of(batch_at(graph, axes, size))),
        show,
    )


class Executable:
    """A derivation, compiled for leaves of certain types and kinds.

    Attributes:
        derivation: the graph it runs, and how its outputs make up the result.
        description: the parts of its cache key as text, for `explain_cache`.
        layout: how the compiled program is called.
        run: `run(leaves, given=(), decided=0)`, the user's result, or `Diverged`.
        path: the outcomes of the guards under which its results count.
        paths: the programs for other outcomes of the same call, this one included.
        parts: the two programs that it merges, if it does (`lilith.merging`).
        recent: whether it has been used since the cache last looked, as far as the cache knows.
        fast_plan: the plan of the captures for which a warm path has been written.
    """

    __slots__ = ("derivation", "description", "fast_plan", "layout", "parts", "path", "paths", "recent", "run")

    def __init__(
        self, derivation: Derivation, leaves: Sequence[Any], cotangent: Sequence[Any], description: dict[str, str]
    ):
        self.derivation = derivation
        self.path = tuple([guard.outcome for guard in derivation.guards])
        self.description = description
        self.paths: Any = None
        self.parts: tuple[Executable, Executable] | None = None
        self.recent = True
        self.fast_plan: Any = None
        kinds = derivation.kinds
        first = len(derivation.graph.inputs) - len(cotangent)
        on_host = [i for i, x in enumerate(leaves) if describe(x)[0] != JAX]
        on_host += [first + i for i, x in enumerate(cotangent) if describe(x)[0] != JAX]
        count = len(kinds) - len(derivation.guards)
        graph = join_last(derivation.graph, len(derivation.guards)) if derivation.guards else derivation.graph
        graph, places = pack_outputs(graph, [i for i, kind in enumerate(kinds[:count]) if kind != JAX])
        graph, groups = pack_inputs(graph, on_host, TANGENT_BYTES if cotangent else PACK_BYTES)
        if config.dump:
            grouped = {i for group in groups for i in group}
            values = [*leaves, *derivation.hoisted, *cotangent]
            single = [sharding_of(x) for i, x in enumerate(values) if i not in grouped]
            write_stages(config.dump, derivation, graph, [*[None] * len(groups), *single])
        # an array that the caller may change right after the call must have been read by then
        hasty = JAX in kinds and on_host
        self.layout = Layout(
            Loaded(module_of(graph)).jitted,
            groups,
            tuple(to_device(array) for array in derivation.hoisted),
            len(graph.outputs),
            places[:count],
            block_until_ready if hasty else None,
            places[count][0] if derivation.guards else None,
            np.array(self.path, np.int64),
            [0],
        )
        self.run = general_path(self.layout, derivation, leaves, given_values(derivation, cotangent))
        _warn_of_decay(derivation.graph, kinds[: count - derivation.residuals])


def _warn_of_decay(graph: Graph, kinds: Sequence[str]) -> None:
    """JAX's own operations turn a 64-bit jax.Array to 32 bits while its flag is off: say so once."""
    wide = [y.type for y, kind in zip(graph.outputs, kinds, strict=False) if kind == JAX and y.dtype.itemsize >= 8]
    if wide and not x64_is_on() and "x64" not in _warned:
        _warned.add("x64")
        warnings.warn(
            f"{graph.name} returns {wide[0]} as a jax.Array while jax_enable_x64 is off: JAX's own operations on it "
            "(x * 2, x.sum()) will give 32-bit results; set jax.config.update('jax_enable_x64', True)",
            LilithWarning,
            stacklevel=2,
        )
