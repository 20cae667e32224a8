"""Lowered and Compiled: a graph as StableHLO, and as what XLA made of it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from lilith.ir.graph import Graph
from lowering import carrier
from lowering.emit import emit


class Lowered:
    """A graph as a StableHLO module.

    Arguments:
        graph: any Graph; its inputs become the parameters of `main`.
    """

    def __init__(self, graph: Graph):
        self.graph = graph
        self._text = emit(graph)

    def stablehlo(self, *, generic: bool = False, locations: bool = False) -> str:
        """The module's text: pretty or in MLIR's generic form, with the user's lines as locations if wanted."""
        return self._text if generic else carrier.pretty(self._text, locations)

    def __str__(self) -> str:
        return self.stablehlo()

    def compile(self) -> Compiled:
        """Have XLA compile it for the default device."""
        module = carrier.Module(
            self.graph.name,
            functools.partial(emit, self.graph),
            self.graph.input_names,
            tuple(y.type for y in self.graph.outputs),
        )
        return Compiled(carrier.lower_ahead(module, [x.type for x in self.graph.inputs]).compile())


class Compiled:
    """What XLA made of a module."""

    def __init__(self, executable: Any):
        self._executable = executable

    def hlo(self) -> str:
        """The optimised HLO."""
        return self._executable.as_text()

    def cost(self) -> dict[str, float]:
        """XLA's own estimates, e.g. `flops` and `bytes accessed`."""
        return dict(self._executable.cost_analysis() or {})

    def memory(self) -> dict[str, int]:
        """Sizes in bytes: of arguments, outputs, temporaries and code."""
        stats = self._executable.memory_analysis()
        return {
            "arguments": stats.argument_size_in_bytes,
            "outputs": stats.output_size_in_bytes,
            "temporaries": stats.temp_size_in_bytes,
            "code": stats.generated_code_size_in_bytes,
        }

    def __call__(self, *args: Any) -> Sequence[Any]:
        """Run it: one array per parameter in, a list of jax.Arrays out."""
        return carrier.call_ahead(self._executable, args)
