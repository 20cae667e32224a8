"""Parts of arrays that were put together: who reads a part that lies in one piece reads the piece.

A function that calls itself for smaller and smaller arrays, `np.concatenate([m[1:, :j], m[1:, j + 1:]], axis=1)`, reads
in the end elements of the array that it started from; only then can it be seen which of the calls are the same.
"""

from __future__ import annotations

from lilith.ir.graph import Builder, Graph, Node, Value
from lilith.ops.shape import reshape
from lilith.ops.slicing import slice
from lilith.transform.roll.sequence import View, sliced, view_of

FEW = 8
"""Fewer arrays that were put together are not looked at."""


def with_parts_read(graph: Graph) -> Graph:
    """The graph in which slices of concatenated arrays are slices of the pieces, where they lie in one."""
    if sum([node.primitive.name == "concatenate" for node in graph.nodes]) < FEW:
        return graph
    reader = _Reader()
    for node in graph.nodes:
        reader.visit(node)
    env = reader.env
    if not env:
        return graph
    outputs = tuple([env.get(y, y) for y in graph.outputs])
    return Graph(graph.name, graph.inputs, graph.input_names, tuple(reader.builder.nodes), outputs)


class _Reader:
    """Goes through the nodes in order.

    Attributes:
        views: what the slices and reshapes are, by their results.
        joins: the concatenations, by their results.
        known: by view, the value that it was read into.
        env: the values that are gone, and what takes their place.
    """

    def __init__(self) -> None:
        self.builder = Builder()
        self.views: dict[Value, View] = {}
        self.joins: dict[Value, Node] = {}
        self.known: dict[View, Value] = {}
        self.env: dict[Value, Value] = {}

    def visit(self, node: Node) -> None:
        operands = tuple([self.env.get(x, x) for x in node.operands])
        name, result = node.primitive.name, node.results[0] if node.results else None
        if operands != node.operands:
            node = Node(node.primitive, operands, node.params, node.results, node.source)
        if result is not None and name in ("slice", "reshape") and result.type.size:
            view = self.view(node)
            if view is not None:
                found = self.in_piece(view)
                if found is not view:
                    self.env[result] = self.read(found, node)
                    return
                self.views[result] = view
        elif result is not None and name == "concatenate":
            self.joins[result] = node
        self.builder.nodes.append(node)

    def view(self, node: Node) -> View | None:
        """What a slice or a reshape is of its root; None where that cannot be said."""
        (x,), shape = node.operands, node.results[0].shape
        view = self.views.get(x) or view_of(x)
        if node.primitive.name == "reshape":
            return view._replace(shape=shape)
        return sliced(view, node.params["start"], node.params["stride"], shape)

    def in_piece(self, view: View) -> View:
        """The view as one of the piece in which it lies, and of what that is a view of; itself where it lies in
        several."""
        join = self.joins.get(view.root)
        if join is None or view.base != view.root.shape:
            return view
        axis, first = join.params["axis"], 0
        for piece in join.operands:
            last = first + piece.shape[axis]
            if first <= view.start[axis] and view.limit[axis] <= last:
                start = (*view.start[:axis], view.start[axis] - first, *view.start[axis + 1 :])
                whole = self.views.get(piece) or view_of(piece)
                found = sliced(whole, start, view.stride, view.sizes)
                return view if found is None else self.in_piece(found._replace(shape=view.shape))
            first = last
        return view

    def read(self, view: View, node: Node) -> Value:
        """The value of a view."""
        found = self.known.get(view)
        if found is not None:
            return found
        self.builder.source = node.source
        with self.builder:
            y = reshape(view.root, shape=view.base) if view.base != view.root.shape else view.root
            if not view.whole:
                y = slice(y, start=view.start, limit=view.limit, stride=view.stride)
            if y.shape != view.shape:
                y = reshape(y, shape=view.shape)
        self.views[y] = view
        self.known[view] = y
        return y
