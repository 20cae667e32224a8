"""Rows of a stack that are put together again: the stack itself, or a part of it."""

from __future__ import annotations

from typing import NamedTuple

from lilith.ir.graph import Builder, Graph, Node, Value
from lilith.ops.shape import concatenate, reshape, transpose
from lilith.ops.slicing import slice
from lilith.transform.roll.sequence import Sequence, View

_FEW = 3


class _Piece(NamedTuple):
    """Operands of a concatenation from `begin` to `end`; rows of `root` from `row` on, if it is given."""

    begin: int
    end: int
    root: Value | None
    row: int


def with_stacks_joined(graph: Graph) -> Graph:
    """The graph in which concatenations of many rows of one array, in order, are parts of that array."""
    if not any(node.primitive.name == "concatenate" and len(node.operands) > _FEW for node in graph.nodes):
        return graph
    sequence = Sequence(graph)
    nodes: list[Node] = []
    for node in graph.nodes:
        pieces = _pieces(sequence, node) if node.primitive.name == "concatenate" else []
        if not any(piece.root is not None for piece in pieces):
            nodes.append(node)
            continue
        with Builder() as builder:
            builder.source = node.source
            parts = [x for piece in pieces for x in _parts(node, piece)]
            whole = concatenate(*parts, axis=node.params["axis"]) if len(parts) > 1 else parts[0]
            if whole in node.operands or not builder.nodes:
                whole = reshape(whole, shape=whole.shape)
        made = builder.nodes[-1]
        nodes += [*builder.nodes[:-1], Node(made.primitive, made.operands, made.params, node.results, made.source)]
    return Graph(graph.name, graph.inputs, graph.input_names, tuple(nodes), graph.outputs)


def _pieces(sequence: Sequence, node: Node) -> list[_Piece]:
    """The operands in groups: successive rows of one array, and others."""
    axis: int = node.params["axis"]
    pieces: list[_Piece] = []
    for i, x in enumerate(node.operands):
        view = sequence.views.get(x)
        root, row = (view.root, view.start[0]) if view is not None and _is_row(view, axis) else (None, 0)
        last = pieces[-1] if pieces else _Piece(0, 0, None, 0)
        same = root is not None and last.root is root and x.type is node.operands[last.begin].type
        if same and row == last.row + last.end - last.begin:
            pieces[-1] = last._replace(end=i + 1)
        else:
            pieces.append(_Piece(i, i + 1, root, row))
    return [piece if piece.end - piece.begin > _FEW else piece._replace(root=None) for piece in pieces]


def _is_row(view: View, axis: int) -> bool:
    """Whether it is `root[i]`, with or without an axis of size 1 where the rows are put together."""
    root = view.root
    if not root.shape or view.base != root.shape:
        return False
    whole = view.sizes == (1, *root.shape[1:]) and max(view.stride) == 1
    rest = root.shape[1:]
    return whole and view.shape in (rest, (*rest[:axis], 1, *rest[axis:]))


def _parts(node: Node, piece: _Piece) -> list[Value]:
    if piece.root is None:
        return list(node.operands[piece.begin : piece.end])
    root, axis, count = piece.root, node.params["axis"], piece.end - piece.begin
    x = root
    if count < root.shape[0]:
        none = (0,) * (root.ndim - 1)
        limit = (piece.row + count, *root.shape[1:])
        x = slice(root, start=(piece.row, *none), limit=limit, stride=(1,) * root.ndim)
    if axis:
        x = transpose(x, axes=(*range(1, axis + 1), 0, *range(axis + 1, root.ndim)))
    one = node.operands[piece.begin].shape
    return [reshape(x, shape=(*one[:axis], one[axis] * count, *one[axis + 1 :]))]
