"""Windows: the part of an array that a chain of slices, reversals, transposes and reshapes leads to; read and written.

A chain is split into windows, strided boxes of an array with their axes in some order, and the reshapes between them
that merge or split axes. A window is written by one dynamic_update_slice, or one select where it has steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Node, Value
from lilith.numpy.core import Shape, full
from lilith.ops import elementwise, indexing, shape

_I32 = np.dtype(np.int32)

INVERTIBLE = frozenset(
    {"slice", "rev", "transpose", "reshape", "dynamic_slice", "broadcast_in_dim", "real", "imag", "convert"}
)
"""Names of the primitives of which a view's chain consists."""


class Window:
    """A box of an array.

    Attributes:
        start: per axis of the array its first position: an int, or a traced scalar.
        step, count: per axis how far apart the positions lie (may be negative), and how many there are.
        axes: per axis of the window the array's axis that it runs along; None for an axis of size 1 that is new.
    """

    __slots__ = ("axes", "count", "start", "step")

    def __init__(self, sizes: Shape):
        self.start: list[Any] = [0] * len(sizes)
        self.step = [1] * len(sizes)
        self.count = list(sizes)
        self.axes: list[int | None] = list(range(len(sizes)))

    @property
    def shape(self) -> Shape:
        """The window's own shape."""
        return tuple([1 if axis is None else self.count[axis] for axis in self.axes])

    def follow(self, node: Node) -> bool:
        """Go on through a node; False where what comes then is no window."""
        name, params = node.primitive.name, node.params
        if name == "slice":
            return self._slice(params["start"], params["stride"], node.results[0].shape)
        if name == "rev":
            for k in params["axes"]:
                axis = self.axes[k]
                if axis is not None:
                    if type(self.start[axis]) is not int:
                        return False
                    self.start[axis] += (self.count[axis] - 1) * self.step[axis]
                    self.step[axis] *= -1
            return True
        if name == "transpose":
            self.axes = [self.axes[k] for k in params["axes"]]
            return True
        if name in ("reshape", "broadcast_in_dim"):
            return self._reshape(node.results[0].shape)
        if name == "dynamic_slice":
            return self._dynamic(node)
        return False

    def _slice(self, start: Shape, stride: Shape, sizes: Shape) -> bool:
        if any([self.axes[k] is None and sizes[k] != 1 for k in range(len(sizes))]) or 0 in sizes:
            return False
        for k, (begin, step, count) in enumerate(zip(start, stride, sizes, strict=True)):
            axis = self.axes[k]
            if axis is None:
                continue
            if type(self.start[axis]) is int:
                self.start[axis] += begin * self.step[axis]
            self.step[axis] = self.step[axis] * step if count > 1 else 1
            self.count[axis] = count
        return True

    def _reshape(self, sizes: Shape) -> bool:
        """Axes of size 1 come and go; everything else stays."""
        kept = [axis for axis in self.axes if axis is not None and self.count[axis] != 1]
        if tuple([n for n in sizes if n != 1]) != tuple([self.count[axis] for axis in kept]):
            return False
        rest = iter(kept)
        self.axes = [None if n == 1 else next(rest) for n in sizes]
        return True

    def _dynamic(self, node: Node) -> bool:
        sizes = node.params["sizes"]
        for k, (begin, count) in enumerate(zip(node.operands[1:], sizes, strict=True)):
            axis = self.axes[k]
            if axis is None or count == self.count[axis]:
                continue
            if type(self.start[axis]) is not int or self.step[axis] != 1 or self.start[axis] != 0 or count != 1:
                return False
            self.start[axis], self.count[axis] = begin, count
        return True

    def is_whole(self, sizes: Shape) -> bool:
        """Whether it is all of an array of these sizes, in whatever order."""
        return self.count == list(sizes) and all([step == 1 for step in self.step])


def _folded(base: Value, nodes: Sequence[Node]) -> tuple[Window, int]:
    """The window of the first nodes of a chain, and how many nodes it covers."""
    window = Window(base.shape)
    for k, node in enumerate(nodes):
        trial = Window(base.shape)
        trial.start, trial.step, trial.count = window.start[:], window.step[:], window.count[:]
        trial.axes = window.axes[:]
        if not trial.follow(node):
            return window, k
        window = trial
    return window, len(nodes)


def replay(nodes: Sequence[Node], base: Value) -> Value:
    """What the nodes of a chain, or of several in a row, make of `base`. Each goes on with what the one before gave."""
    for node in nodes:
        base = node.primitive(base, *node.operands[1:], **node.params)
    return base


def put(base: Value, nodes: Sequence[Node], new: Value) -> Value:
    """`base` with the part to which the nodes lead replaced by `new`."""
    if not nodes:
        return new
    if 0 in new.shape:
        return base
    window, covered = _folded(base, nodes)
    if covered:
        if covered < len(nodes):
            new = put(replay(nodes[:covered], base), nodes[covered:], new)
        return _write(base, window, new)
    node = nodes[0]
    name = node.primitive.name
    if name == "convert":
        return put(base, nodes[1:], new)
    inner = put(replay(nodes[:1], base), nodes[1:], new)
    if name == "reshape":
        return shape.reshape(inner, shape=base.shape)
    if name == "real":
        return elementwise.complex(inner, elementwise.imag(base))
    if name == "imag":
        return elementwise.complex(elementwise.real(base), inner)
    raise AssertionError(f"a view by {name} is read-only")


def _write(base: Value, window: Window, new: Value) -> Value:
    """`base` with a window replaced."""
    present = [axis for axis in window.axes if axis is not None]
    new = _reshaped(new, tuple([window.count[axis] for axis in present]))
    order = sorted(range(len(present)), key=lambda k: present[k])
    if order != list(range(len(order))):
        new = shape.transpose(new, axes=tuple(order))
    new = _reshaped(new, tuple(window.count))
    start = list(window.start)
    backward = tuple([axis for axis, step in enumerate(window.step) if step < 0 and window.count[axis] > 1])
    if backward:
        new = shape.rev(new, axes=backward)
        for axis in backward:
            start[axis] += (window.count[axis] - 1) * window.step[axis]
    if new.shape == base.shape:
        return new
    step = [abs(s) if n > 1 else 1 for s, n in zip(window.step, window.count, strict=True)]
    if all([s == 1 for s in step]):
        return _updated(base, new, start)
    if all([type(s) is int for s in start]):
        return _woven(base, new, start, step)
    traced = [axis for axis, s in enumerate(start) if type(s) is not int]
    sizes = tuple([1 if axis in traced else n for axis, n in enumerate(base.shape)])
    starts = _starts([s if axis in traced else 0 for axis, s in enumerate(start)])
    part = indexing.dynamic_slice(base, *starts, sizes=sizes)
    part = _woven(part, new, [0 if axis in traced else s for axis, s in enumerate(start)], step)
    return indexing.dynamic_update_slice(base, part, *starts)


def _reshaped(x: Value, sizes: Shape) -> Value:
    return x if x.shape == sizes else shape.reshape(x, shape=sizes)


def _starts(start: Sequence[Any]) -> list[Value]:
    given = [s for s in start if type(s) is not int]
    dtype = given[0].dtype if given else _I32
    return [full(s, (), dtype) if type(s) is int else s for s in start]


def _updated(base: Value, new: Value, start: Sequence[Any]) -> Value:
    return indexing.dynamic_update_slice(base, new, *_starts(start))


def _woven(base: Value, new: Value, start: Sequence[int], step: Sequence[int]) -> Value:
    """`base` with every so many elements replaced: these are spread out, and a mask chooses between them and `base`."""
    high = tuple([n - s - ((m - 1) * d + 1) for n, s, m, d in zip(base.shape, start, new.shape, step, strict=True)])
    edges = {"low": tuple(start), "high": high, "interior": tuple([d - 1 for d in step])}
    spread = shape.pad(new, full(0, (), new.dtype), **edges)
    flag = np.dtype(bool)
    mask = shape.pad(full(True, new.shape, flag), full(False, (), flag), **edges)
    return elementwise.select(mask, spread, base)
