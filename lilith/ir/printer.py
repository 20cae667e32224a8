"""Graph -> text. The same graph always gives the same text."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from lilith.ir.graph import Graph, Node, Value
from lilith.ir.type import dtype_name


def format_param(value: Any) -> str:
    """One static parameter as text: dtypes by their short names, no spaces."""
    if isinstance(value, np.dtype):
        return dtype_name(value)
    if isinstance(value, tuple):
        inner = ",".join(map(format_param, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, Graph):
        return f"@{value.name}"
    return repr(value)


def format_source(node: Node) -> str:
    """`losses.py:4 in my_loss`, or nothing where the line is not known."""
    if node.source is None:
        return ""
    return f"{os.path.basename(node.source.file)}:{node.source.line} in {node.source.function}"


def print_graph(graph: Graph) -> str:
    """The text of a graph: a line per node, `%n: type = primitive operands params   # file:line in function`."""
    names: dict[Value, str] = {}

    def define(value: Value) -> str:
        names[value] = f"%{len(names)}"
        return names[value]

    for value in graph.inputs:
        define(value)
    inputs = ", ".join(f"{name}: {x.type}" for name, x in zip(graph.input_names, graph.inputs, strict=True))
    lines = [f"graph {graph.name}({inputs}) {{"]
    for node in graph.nodes:
        operands = ", ".join(names[x] for x in node.operands)
        params = " ".join(f"{key}={format_param(value)}" for key, value in sorted(node.params.items()))
        right = " ".join(part for part in (node.primitive.name, operands, params) if part)
        left = ", ".join(f"{define(r)}: {r.type}" for r in node.results)
        text = f"  {left} = {right}" if left else f"  {right}"
        source = format_source(node)
        lines.append(f"{text:<47} # {source}" if source else text)
    lines.append(f"  return {', '.join(names[y] for y in graph.outputs)}")
    lines.append("}")
    return "\n".join(lines)
