"""Graph -> Graphviz: a box per node, grouped by the user's lines, forward and backward in two colours."""

from __future__ import annotations

import math
import os

from lilith.ir.graph import Graph, Node, Source, Value
from lilith.ir.printer import format_param

FORWARD, BACKWARD, ENDS = "#cfe2f3", "#fce5cd", "#e6e6e6"
"""Colours: what the value needs, what only the gradients need, inputs and outputs."""

_INLINE = frozenset({"fill", "constant", "iota"})
_MANY = 200


def dot(graph: Graph, values: int = 1) -> str:
    """The graph's text in the dot language; `dot -Tsvg` draws it.

    Constants are written into the boxes that use them. Edges carry the types. A graph of more than 200 nodes is drawn
    with a box per line of the user's program instead of one per node.

    Arguments:
        values: how many of the first outputs are the function's value; what they need is drawn as forward.
    """
    return _Drawing(graph, values).text()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _line(source: Source | None) -> str:
    """`losses.py:4 in my_loss`."""
    if source is None:
        return ""
    return f"{os.path.basename(source.file)}:{source.line} in {source.function}"


class _Drawing:
    def __init__(self, graph: Graph, values: int):
        self.graph = graph
        self.producers = graph.producers()
        self.forward = self._needed(graph.outputs[:values])
        nodes = [node for node in graph.nodes if node.primitive.name not in _INLINE]
        self.merged = len(nodes) > _MANY
        self.boxes: dict[int, str] = {}
        self.groups: dict[str, list[Node]] = {}
        for node in nodes:
            key = f"{_line(node.source)}{'' if id(node) in self.forward else ' (backward)'}"
            self.groups.setdefault(key, []).append(node)

    def _needed(self, outputs: tuple[Value, ...]) -> set[int]:
        """The ids of the nodes that these outputs depend on."""
        needed, found = set(outputs), set()
        for node in reversed(self.graph.nodes):
            if not needed.isdisjoint(node.results):
                needed.update(node.operands)
                found.add(id(node))
        return found

    def text(self) -> str:
        lines = [
            f"digraph {_quoted(self.graph.name)} {{",
            "  rankdir=TB; nodesep=0.25; ranksep=0.35;",
            '  node [shape=box, style="filled,rounded", fontname="Helvetica", fontsize=10, margin="0.08,0.04"];',
            '  edge [fontname="Helvetica", fontsize=8, color="#666666", arrowsize=0.6];',
        ]
        for i, (x, name) in enumerate(zip(self.graph.inputs, self.graph.input_names, strict=True)):
            lines.append(f'  in{i} [label={_quoted(f"{name}: {x.type}")}, fillcolor="{ENDS}", shape=ellipse];')
        lines += self._merged_boxes() if self.merged else self._single_boxes()
        for i, y in enumerate(self.graph.outputs):
            label = _quoted(f"output {i}: {y.type}")
            lines.append(f'  out{i} [label={label}, fillcolor="{ENDS}", shape=ellipse];')
        return "\n".join([*lines, *self._edges(), "}"])

    def _colour(self, node: Node) -> str:
        return FORWARD if id(node) in self.forward else BACKWARD

    def _single_boxes(self) -> list[str]:
        """A box per node, in a frame per line of the user's."""
        lines = []
        for k, (key, nodes) in enumerate(self.groups.items()):
            lines.append(f"  subgraph cluster_{k} {{")
            lines.append(f'    label={_quoted(key)}; fontname="Helvetica"; fontsize=9; color="#bbbbbb";')
            for node in nodes:
                name = self.boxes[id(node)] = f"n{len(self.boxes)}"
                lines.append(f'    {name} [label={_quoted(self._label(node))}, fillcolor="{self._colour(node)}"];')
            lines.append("  }")
        return lines

    def _merged_boxes(self) -> list[str]:
        """A box per line of the user's, which says what is computed there."""
        lines = []
        for k, (key, nodes) in enumerate(self.groups.items()):
            counts: dict[str, int] = {}
            for node in nodes:
                self.boxes[id(node)] = f"n{k}"
                counts[node.primitive.name] = counts.get(node.primitive.name, 0) + 1
            named = sorted(counts.items(), key=lambda item: -item[1])[:6]
            inside = ", ".join(f"{count} {name}" if count > 1 else name for name, count in named)
            more = " ..." if len(counts) > len(named) else ""
            label = _quoted(f"{key or 'no line'}\n{inside}{more}")
            lines.append(f'  n{k} [label={label}, fillcolor="{self._colour(nodes[0])}"];')
        return lines

    def _label(self, node: Node) -> str:
        """The primitive, its parameters, and the constants among its operands."""
        given = [f"{key}={format_param(value)}" for key, value in sorted(node.params.items())]
        given += [text for x in node.operands if (text := self._constant(x))]
        shown = " ".join(given)
        if len(shown) > 48:
            shown = shown[:45] + "..."
        return f"{node.primitive.name}\n{shown}" if shown else node.primitive.name

    def _constant(self, x: Value) -> str:
        node = self.producers.get(x)
        if node is None or node.primitive.name not in _INLINE:
            return ""
        value = node.params.get("value", node.primitive.name)
        return f"{value:.6g}" if isinstance(value, float) and math.isfinite(value) else str(value)

    def _edges(self) -> list[str]:
        places = {x: f"in{i}" for i, x in enumerate(self.graph.inputs)}
        for node in self.graph.nodes:
            if id(node) in self.boxes:
                places.update(dict.fromkeys(node.results, self.boxes[id(node)]))
        edges: dict[tuple[str, str], list[str]] = {}
        for node in self.graph.nodes:
            box = self.boxes.get(id(node))
            if box is None:
                continue
            for x in node.operands:
                if x in places and places[x] != box:
                    edges.setdefault((places[x], box), []).append(repr(x.type))
        for i, y in enumerate(self.graph.outputs):
            if y in places:
                edges.setdefault((places[y], f"out{i}"), []).append(repr(y.type))
        return [
            f"  {a} -> {b} [label={_quoted(labels[0] if len(labels) == 1 else f'{len(labels)} arrays')}];"
            for (a, b), labels in edges.items()
        ]
