"""Helpers of the tests that compile: many graphs side by side in one program."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from lilith.ir import Graph
from lowering.carrier import Loaded, Module
from lowering.emit import emit


def together(name: str, graphs: Sequence[Graph]) -> Graph:
    """One graph that runs all graphs side by side: one compilation instead of many."""
    inputs = tuple(x for graph in graphs for x in graph.inputs)
    nodes = tuple(node for graph in graphs for node in graph.nodes)
    outputs = tuple(y for graph in graphs for y in graph.outputs)
    return Graph(name, inputs, tuple(f"x{i}" for i in range(len(inputs))), nodes, outputs).verify()


def run_xla(graph: Graph, values: Sequence[np.ndarray], show: Callable[..., None] = print) -> list[np.ndarray]:
    """Compile and run a graph."""
    module = Module(
        graph.name,
        functools.partial(emit, graph),
        graph.input_names,
        tuple(y.type for y in graph.outputs),
        show=show,
    )
    return [np.asarray(y) for y in Loaded(module).call(*values)]
