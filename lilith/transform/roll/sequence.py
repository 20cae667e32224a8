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
    """A strided region of a root in the shape `base`: where it begins and how many elements it has along each axis; in
    the shape `shape`."""

    root: Value
    base: Axes
    start: Axes
    sizes: Axes
    stride: Axes
    shape: Axes

    @property
    def limit(self) -> Axes:
        """Where the region ends."""
        each = zip(self.start, self.sizes, self.stride, strict=True)
        return tuple([begin + (n - 1) * step + 1 for begin, n, step in each])

    @property
    def form(self) -> tuple:
        """All but the place: views of one form differ only in where they begin."""
        return self.root.type, self.base, self.sizes, self.stride, self.shape

    @property
    def whole(self) -> bool:
        """Whether it is all of the root, in some shape."""
        return self.sizes == self.base and max(self.stride, default=1) == 1

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
        self.views: dict[Value, View] = {}
        self.constants: dict[Value, Node] = {}
        known: dict[tuple, int] = {}
        codes: list[int] = []
        for node in graph.nodes:
            name = node.primitive.name
            self.values += node.results
            if name in _CONSTANTS:
                self.constants[node.results[0]] = node
            elif (name != "slice" and name != "reshape") or not self._add_view(node):
                self.members.append(node)
                alone = (fences and any([y in fences for y in node.results])) or node.effect
                codes.append(known.setdefault((node,) if alone else _code(node), len(known)))
        self.codes = np.array(codes, dtype=np.int64)
        self.numbers = {x: i for i, x in enumerate(self.values)}
        self._describe()

    def _describe(self) -> None:
        """Fill the arrays."""
        numbers, count = self.numbers, len(self.values)
        self.root = np.arange(count)
        self.form, self.member, self.result = np.full((3, count), -1)
        self.constant = np.zeros(count, dtype=bool)
        self.constant[[numbers[x] for x in self.constants]] = True
        first = [numbers[node.results[0]] for node in self.members if node.results]
        self.member[first] = [i for i, node in enumerate(self.members) if node.results]
        self.result[first] = 0
        for i, node in enumerate(self.members):
            for k, y in enumerate(node.results[1:], 1):
                self.member[numbers[y]], self.result[numbers[y]] = i, k
        viewed = [numbers[y] for y in self.views]
        roots = [numbers[view.root] for view in self.views.values()]
        forms: dict[tuple, int] = {}
        self.form[viewed] = [forms.setdefault(view.form, len(forms)) for view in self.views.values()]
        self.root[viewed], self.member[viewed], self.result[viewed] = roots, self.member[roots], self.result[roots]
        self.offsets = np.cumsum([0, *[len(node.operands) for node in self.members]], dtype=np.int64)
        self.operands = np.array([numbers[x] for node in self.members for x in node.operands], dtype=np.int64)

    def _add_view(self, node: Node) -> bool:
        """Describe a slice or reshape by its root; False where it cannot be."""
        x, y, params = node.operands[0], node.results[0], node.params
        shape = y.type.shape
        if x in self.constants or 0 in shape:
            return False
        view = self.views.get(x)
        if node.primitive.name == "reshape":
            view = view or view_of(x)
            self.views[y] = View(view.root, view.base, view.start, view.sizes, view.stride, shape)
            return True
        if view is None:
            view = View(x, x.type.shape, params["start"], shape, _stride(params, y), shape)
        else:
            view = sliced(view, params["start"], params["stride"], shape)
            if view is None:
                return False
        self.views[y] = view
        return True

    def root_of(self, x: Value) -> Value:
        """What a value is a view of, or itself."""
        view = self.views.get(x)
        return x if view is None else view.root


def _code(node: Node) -> tuple:
    types = [x.type.strong if x.type.weak else x.type for x in node.operands]
    return node.primitive, tuple(sorted(node.params.items())) if node.params else (), *types


def _stride(params: dict, y: Value) -> Axes:
    """The strides of a slice; 1 along axes with one element, so that equal regions are equal."""
    stride: Axes = params["stride"]
    if max(stride, default=1) == 1:
        return stride
    return tuple([step if n > 1 else 1 for step, n in zip(stride, y.type.shape, strict=True)])


def view_of(x: Value, base: Axes | None = None) -> View:
    """All of x, in another shape."""
    base = x.type.shape if base is None else base
    return View(x, base, (0,) * len(base), base, (1,) * len(base), base)


def sliced(view: View, start: Axes, stride: Axes, shape: Axes) -> View | None:
    """A slice of a view: of the region, where the view's shape is the region's but for axes of size 1; or of all of the
    root in the view's shape."""
    axes = _matched(view.sizes, view.shape)
    if axes is None:
        return sliced(view_of(view.root, view.shape), start, stride, shape) if view.whole else None
    begins, sizes, steps = list(view.start), list(view.sizes), list(view.stride)
    for axis, place in enumerate(axes):
        if place is not None:
            begins[axis] += start[place] * steps[axis]
            sizes[axis] = shape[place]
            steps[axis] = steps[axis] * stride[place] if shape[place] > 1 else 1
    return View(view.root, view.base, tuple(begins), tuple(sizes), tuple(steps), shape)


def _matched(sizes: Axes, shape: Axes) -> list[int | None] | None:
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
