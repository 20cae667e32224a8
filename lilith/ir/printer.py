"""Graph -> text. The same graph always gives the same text."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from lilith.ir.graph import Graph, Node, Value
from lilith.ir.type import dtype_name


def format_param(value: Any, names: dict[Graph, str] | None = None) -> str:
    """One static parameter as text: dtypes by their short names, graphs as `@name`, no spaces."""
    if isinstance(value, np.dtype):
        return dtype_name(value)
    if isinstance(value, Graph):
        return f"@{names[value] if names else value.name}"
    if isinstance(value, tuple):
        inner = ",".join([format_param(item, names) for item in value])
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)


def format_source(node: Node) -> str:
    """`losses.py:4 in my_loss`, or nothing where the line is not known."""
    if node.source is None:
        return ""
    return f"{os.path.basename(node.source.file)}:{node.source.line} in {node.source.function}"


def print_graph(graph: Graph) -> str:
    """The text of a graph: a line per node, `%n: type = primitive operands params   # file:line in function`.

    Graphs that nodes have as parameters (branches, bodies of loops) follow, in the order of their first mention.
    """
    names = {graph: graph.name}
    taken = {graph.name}
    texts = []
    pending = [graph]
    while pending:
        shown = pending.pop(0)
        for inner in [inner for node in shown.nodes for inner in node.graphs()]:
            if inner not in names:
                count = 1
                name = inner.name
                while name in taken:
                    count += 1
                    name = f"{inner.name}.{count}"
                names[inner] = name
                taken.add(name)
                pending.append(inner)
        texts.append(_print_one(shown, names))
    return "\n".join(texts)


def _print_one(graph: Graph, graphs: dict[Graph, str]) -> str:
    names: dict[Value, str] = {}

    def define(value: Value) -> str:
        names[value] = f"%{len(names)}"
        return names[value]

    for value in graph.inputs:
        define(value)
    inputs = ", ".join(f"{name}: {x.type}" for name, x in zip(graph.input_names, graph.inputs, strict=True))
    lines = [f"graph {graphs[graph]}({inputs}) {{"]
    for node in graph.nodes:
        operands = ", ".join(names[x] for x in node.operands)
        params = " ".join(f"{key}={format_param(value, graphs)}" for key, value in sorted(node.params.items()))
        right = " ".join(part for part in (node.primitive.name, operands, params) if part)
        left = ", ".join(f"{define(r)}: {r.type}" for r in node.results)
        text = f"  {left} = {right}" if left else f"  {right}"
        source = format_source(node)
        lines.append(f"{text:<47} # {source}" if source else text)
    lines.append(f"  return {', '.join(names[y] for y in graph.outputs)}")
    lines.append("}")
    return "\n".join(lines)
