"""A graph as a sequence of operations in which repeats can be seen.

Constants, and slices and reshapes of other values (views), are no members of the sequence: user code makes a constant
once and an element `x[i]` wherever it likes. They are what operands are described by.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from lilith.ir.graph import Graph, Node, Value

Axes = tuple[int, ...]

_CONSTANTS = frozenset({"fill", "constant", "iota"})


class View(NamedTuple):
    """A strided region of a root in the shape `base`, in the shape `shape`."""

    root: Value
    base: Axes
    start: Axes
    limit: Axes
    stride: Axes
    shape: Axes

    @property
    def form(self) -> tuple:
        """All but the place: views of one form differ only in where they begin."""
        sizes = tuple([end - begin for begin, end in zip(self.start, self.limit, strict=True)])
        return self.root.type, self.base, sizes, self.stride, self.shape

    @property
    def whole(self) -> bool:
        """Whether it is all of the root, in some shape."""
        return not any(self.start) and self.limit == self.base and all(step == 1 for step in self.stride)

    @property
    def trivial(self) -> bool:
        """Whether it is all of the root, as it is."""
        return self.shape == self.root.type.shape and self.whole


class Place(NamedTuple):
    """Who computes a value: the number of a member and of its result."""

    member: int
    result: int


class Sequence:
    """The operations of a graph, and its values by numbers.

    Attributes:
        graph: the graph.
        members: the nodes that are neither constants nor views, in order.
        codes: a number per member: equal for the same primitive, parameters and types.
        values, numbers: the values by their numbers, and the other way round.
        places: who computes a value.
        views: the values that are views.
        constants: the nodes of the values that are constants.
        operands: the numbers of all operands of all members, one after the other; `offsets`: where each member's begin.
        root, member, result: by value: the number of its root, and who computes that; -1 where nobody does.
        form: by value: equal for views of one form; -1 for what is no view.
        constant: by value: whether it is one.
    """

    def __init__(self, graph: Graph, fences: Collection[Value] = ()):
        self.graph = graph
        self.members: list[Node] = []
        self.values: list[Value] = list(graph.inputs)
        self.places: dict[Value, Place] = {}
        self.views: dict[Value, View] = {}
        self.constants: dict[Value, Node] = {}
        known: dict[tuple, int] = {}
        codes: list[int] = []
        for node in graph.nodes:
            name = node.primitive.name
            self.values += node.results
            if name in _CONSTANTS:
                self.constants[node.results[0]] = node
            elif name not in ("slice", "reshape") or not self._add_view(node):
                for k, y in enumerate(node.results):
                    self.places[y] = Place(len(self.members), k)
                self.members.append(node)
                alone = node.effect or (bool(fences) and any(y in fences for y in node.results))
                codes.append(known.setdefault((node,) if alone else _code(node), len(known)))
        self.codes = np.array(codes, dtype=np.int64)
        self.numbers = {x: i for i, x in enumerate(self.values)}
        self._describe()

    def _describe(self) -> None:
        """Fill the arrays."""
        numbers, views, places, nowhere = self.numbers, self.views, self.places, Place(-1, -1)
        forms: dict[tuple, int] = {}
        root, form, who = [], [], []
        for i, x in enumerate(self.values):
            view = views.get(x)
            form.append(-1 if view is None else forms.setdefault(view.form, len(forms)))
            root.append(i if view is None else numbers[view.root])
            who.append(places.get(x if view is None else view.root, nowhere))
        self.root, self.form = np.array(root, dtype=np.int64), np.array(form, dtype=np.int64)
        by_value = np.array(who, dtype=np.int64).reshape(-1, 2)
        self.member, self.result = by_value[:, 0], by_value[:, 1]
        self.constant = np.array([x in self.constants for x in self.values], dtype=bool)
        counts = [len(node.operands) for node in self.members]
        self.offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        flat = [numbers[x] for node in self.members for x in node.operands]
        self.operands = np.array(flat, dtype=np.int64)

    def _add_view(self, node: Node) -> bool:
        """Describe a slice or reshape by its root; False where it cannot be."""
        (x,), y, params = node.operands, node.results[0], node.params
        if x in self.constants or not y.type.size:
            return False
        view = self.views.get(x) or view_of(x)
        if node.primitive.name == "slice":
            found = sliced(view, params["start"], params["limit"], params["stride"], y.type.shape)
            if found is None:
                return False
            view = found
        else:
            view = view._replace(shape=y.type.shape)
        self.views[y] = view
        return True

    def root_of(self, x: Value) -> Value:
        """What a value is a view of, or itself."""
        view = self.views.get(x)
        return x if view is None else view.root


def _code(node: Node) -> tuple:
    params = node.params
    types = [x.type.strong for x in node.operands]
    return node.primitive, tuple(sorted(params.items())) if params else (), *types


def view_of(x: Value, base: Axes | None = None) -> View:
    """All of x, in another shape."""
    base = x.type.shape if base is None else base
    return View(x, base, (0,) * len(base), base, (1,) * len(base), base)


def sliced(view: View, start: Axes, limit: Axes, stride: Axes, shape: Axes) -> View | None:
    """A slice of a view: of the region, where the view's shape is the region's but for axes of size 1; or of all of the
    root in the view's shape."""
    sizes = [-(-(end - begin) // step) for begin, end, step in zip(view.start, view.limit, view.stride, strict=True)]
    axes = _matched(sizes, view.shape)
    if axes is None:
        return sliced(view_of(view.root, view.shape), start, limit, stride, shape) if view.whole else None
    begins, ends, steps = list(view.start), list(view.limit), list(view.stride)
    for axis, place in enumerate(axes):
        if place is not None:
            first, last = start[place], start[place] + (shape[place] - 1) * stride[place]
            origin, step = view.start[axis], view.stride[axis]
            begins[axis], ends[axis] = origin + first * step, origin + last * step + 1
            steps[axis] = step * stride[place] if shape[place] > 1 else 1
    return View(view.root, view.base, tuple(begins), tuple(ends), tuple(steps), shape)


def _matched(sizes: list[int], shape: Axes) -> list[int | None] | None:
    """For each axis of a region the axis of its shape that it became; None for those of size 1 that are gone."""
    found: list[int | None] = []
    place = 0
    for size in sizes:
        if size == 1:
            found.append(None)
            continue
        while place < len(shape) and shape[place] == 1:
            place += 1
        if place == len(shape) or shape[place] != size:
            return None
        found.append(place)
        place += 1
    return found if all(n == 1 for n in shape[place:]) else None
