"""Graph -> text. The same graph always gives the same text."""

from __future__ import annotations

import html
import os
import re
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


_PARTS = re.compile(
    r"(?P<string>\"[^\"]*\")|(?P<value>%[\w#]+)|(?P<type>\b(?:[fiuc]\d+|bf16|bool)\[[\d,]*\]|tensor<[^>]*>+)"
)
_COLOURS = {"string": "#7a5c00", "value": "#1a5fb4", "type": "#26743c"}
_COMMENT = "#77767b"


def highlighted(text: str, comment: str) -> str:
    """A program's text as HTML for a notebook: values, types and comments in colours.

    Arguments:
        comment: what starts a comment, `#` or `//`.
    """
    lines = []
    for line in text.splitlines():
        code, mark, rest = line.partition(f" {comment} ")
        shown = _coloured(code)
        lines.append(f'{shown}<span style="color:{_COMMENT}">{html.escape(mark + rest)}</span>' if mark else shown)
    body = "\n".join(lines)
    return f'<pre style="line-height:1.35;max-height:40em;overflow:auto">{body}</pre>'


def _coloured(code: str) -> str:
    pieces, position = [], 0
    for match in _PARTS.finditer(code):
        pieces.append(html.escape(code[position : match.start()]))
        pieces.append(f'<span style="color:{_COLOURS[match.lastgroup or ""]}">{html.escape(match.group())}</span>')
        position = match.end()
    return "".join([*pieces, html.escape(code[position:])])
