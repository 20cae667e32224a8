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
from lilith.donating import predicates, refuse_shared, reused
from lilith.dump import write_stages
from lilith.ir.graph import Graph
from lilith.ops.control import show
from lilith.signature import describe
from lilith.source import LilithWarning
from lilith.transform.batch import batch_at
from lilith.transform.pack import PACK_BYTES, TANGENT_BYTES, join_last, pack_inputs, pack_outputs
from lilith.transform.simplify import remove_dead
from lowering.carrier import (
    Loaded,
    Module,
    block_until_ready,
    keep_compiled,
    sharding_of,
    to_device,
    x64_is_on,
)
from lowering.emit import emit
from lowering.module import WHOLE
from lowering.runtime import JAX

_warned: set[str] = set()
config.when_cache_dir_changes.append(keep_compiled)
keep_compiled(config.cache_dir)


def module_of(graph: Graph, layout: tuple[int | None, ...] = (), to_run: bool = True) -> Module:
    """The graph as the carrier takes it, its results laid out over several devices in this way.

    `to_run`: whether it is run as it is, rather than as a part of another program or with arguments that it uses up.
    """
    return Module(
        graph.name,
        functools.partial(emit, graph, to_run=to_run),
        graph.input_names,
        tuple(y.type for y in graph.outputs),
        functools.cache(lambda axes, size: module_of(batch_at(graph, axes, size), to_run=False)),
        show,
        layout,
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
        count = len(kinds) - len(derivation.guards)
        donated = derivation.donated
        refuse_shared(derivation.graph, donated, leaves)
        taken = reused(derivation.graph, donated, leaves, kinds[:count])
        graph, check = _guarded(derivation, bool(taken))
        graph, places = pack_outputs(graph, [i for i, kind in enumerate(kinds[:count]) if kind != JAX])
        first = len(derivation.graph.inputs) - len(cotangent)
        on_host = [i for i, x in enumerate(leaves) if describe(x)[0] != JAX]
        on_host += [first + i for i, x in enumerate(cotangent) if describe(x)[0] != JAX]
        limit = TANGENT_BYTES if cotangent else PACK_BYTES
        graph, groups = pack_inputs(graph, on_host, limit)
        alone = [i for i in range(len(derivation.graph.inputs)) if not any(i in group for group in groups)]
        layout = _laid_out(derivation, places, len(graph.outputs), len(groups), alone)
        if config.dump:
            values = [*leaves, *derivation.hoisted, *cotangent]
            single = [sharding_of(values[i]) for i in alone]
            write_stages(config.dump, derivation, graph, [*[None] * len(groups), *single], layout)
        self.layout = Layout(
            Loaded(module_of(graph, layout, not taken), [len(groups) + alone.index(i) for i in taken]).jitted,
            groups,
            tuple(to_device(array) for array in derivation.hoisted),
            len(graph.outputs),
            places[:count],
            # an array that the caller may change right after the call must have been read by then
            block_until_ready if JAX in kinds and on_host else None,
            places[count][0] if derivation.guards and check is None else None,
            None if check is None else Loaded(module_of(pack_inputs(check, on_host, limit)[0], (WHOLE,))).jitted,
            donated,
            np.array(self.path, np.int64),
            [0],
        )
        self.run = general_path(self.layout, derivation, leaves, given_values(derivation, cotangent))
        _warn_of_decay(derivation.graph, kinds[: count - derivation.residuals])


def _laid_out(
    derivation: Derivation, places: Sequence[tuple[int, int | None]], outputs: int, first: int, alone: Sequence[int]
) -> tuple[int | None, ...]:
    """How a program on several devices lays out its outputs: what the host reads is whole on every device, and a
    gradient lies as its argument does.

    Arguments:
        places: in which of them each of the derivation's outputs is; the guards' are the last, and one.
        first, alone: inputs that are not joined to others, the first of which has this number.
    """
    found: list[int | None] = [None] * outputs
    numbers = {i: first + k for k, i in enumerate(alone)}
    beside = dict(derivation.beside)
    count = len(derivation.kinds) - len(derivation.guards)
    for i, (output, _) in enumerate(places):
        if i >= count or derivation.kinds[i] != JAX:
            found[output] = WHOLE
        elif i in beside:
            found[output] = numbers.get(beside[i])
    return tuple(found)


def _guarded(derivation: Derivation, apart: bool) -> tuple[Graph, Graph | None]:
    """The graph with its guards' predicates as one output, the last; or, where they must be known before, apart from
    it: a graph of their own."""
    graph, count = derivation.graph, len(derivation.guards)
    if not count:
        return graph, None
    joined = join_last(graph, count)
    if not apart:
        return joined, None
    return remove_dead(graph.with_outputs(graph.outputs[:-count])), predicates(joined, 1)


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
