"""Rows of a stack that are put together again: the stack itself, or a part of it."""

from __future__ import annotations

from typing import NamedTuple

from lilith.ir.graph import Builder, Graph, Node, Value
from lilith.ops.shape import concatenate, reshape, transpose
from lilith.ops.slicing import slice
from lilith.transform.roll.sequence import Sequence, View

_FEW = 3


class _Piece(NamedTuple):
    """Operands of a concatenation from `begin` to `end`: parts of `root` that follow one another along its first axis
    from `start` on, if it is given, each of `size` rows."""

    begin: int
    end: int
    root: Value | None
    start: int
    size: int


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
        if view is None or not _is_part(view, axis):
            pieces.append(_Piece(i, i + 1, None, 0, 0))
            continue
        root, start, size = view.root, view.start[0], view.sizes[0]
        last = pieces[-1] if pieces else _Piece(0, 0, None, 0, 0)
        same = last.root is root and last.size == size and x.type is node.operands[last.begin].type
        if same and start == last.start + size * (last.end - last.begin):
            pieces[-1] = last._replace(end=i + 1)
        else:
            pieces.append(_Piece(i, i + 1, root, start, size))
    return [piece if piece.end - piece.begin > _FEW else piece._replace(root=None) for piece in pieces]


def _is_part(view: View, axis: int) -> bool:
    """Whether it is `root[i : i + n]`; along another axis than the first: `root[i]`, with or without an axis of size 1
    where such rows are put together."""
    root = view.root
    if not root.shape or view.base != root.shape:
        return False
    rest = root.shape[1:]
    if view.sizes[1:] != rest or max(view.stride) != 1:
        return False
    return axis == 0 or (view.sizes[0] == 1 and view.shape in (rest, (*rest[:axis], 1, *rest[axis:])))


def _parts(node: Node, piece: _Piece) -> list[Value]:
    if piece.root is None:
        return list(node.operands[piece.begin : piece.end])
    root, axis, count = piece.root, node.params["axis"], piece.end - piece.begin
    x = root
    if count * piece.size < root.shape[0]:
        none = (0,) * (root.ndim - 1)
        limit = (piece.start + count * piece.size, *root.shape[1:])
        x = slice(root, start=(piece.start, *none), limit=limit, stride=(1,) * root.ndim)
    if axis:
        x = transpose(x, axes=(*range(1, axis + 1), 0, *range(axis + 1, root.ndim)))
    one = node.operands[piece.begin].shape
    return [reshape(x, shape=(*one[:axis], one[axis] * count, *one[axis + 1 :]))]
