"""What the copies of one operation read: how an operand goes on from one copy of a stretch to the next."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lilith.ir.graph import Literal, Node, Value
from lilith.ir.interpret import evaluate
from lilith.transform.roll.sequence import Axes, Place, Sequence, View

MOST_DELAYED = 8
"""A carry may come from so many copies before."""


class Same(NamedTuple):
    """A result of the same copy, or a view of one."""

    place: Place
    view: View | None


class Moving(NamedTuple):
    """A region that lies elsewhere in every copy, of a result of this copy (`delay` 0) or of one before."""

    place: Place
    delay: int
    view: View
    starts: bytes


class Carry(NamedTuple):
    """A result of the copy `delay` copies before, or a view of one; the first copies read `first`.

    Attributes:
        carried: the view that is carried, None for the result itself.
        view: the view of what is carried that is read, None for all of it.
    """

    place: Place
    delay: int
    carried: View | None
    view: View | None


class Fixed(NamedTuple):
    """The same value in all copies, or a view of one."""

    value: Value
    view: View | None


class Constant(NamedTuple):
    """The same constant in all copies."""

    key: tuple
    node: Node


class Table(NamedTuple):
    """Constants, a row per copy; where `shape` is given each row is one number that fills that shape."""

    key: tuple
    shape: Axes | None


class Rows(NamedTuple):
    """Regions of one value that is there before the loop."""

    root: Value
    view: View
    starts: bytes


class Stack(NamedTuple):
    """A value of its own for every copy, all of them there before the loop."""

    values: tuple[Value, ...]


Kind = Any


class Window(NamedTuple):
    """The copies of a stretch: those from `low` up to `high` of the copies of `period` members from `start` on."""

    start: int
    period: int
    low: int
    high: int

    @property
    def copies(self) -> int:
        return self.high - self.low

    @property
    def first(self) -> int:
        """The first member."""
        return self.start + self.low * self.period

    @property
    def end(self) -> int:
        """The member after the last."""
        return self.start + self.high * self.period


def constant_key(node: Node) -> tuple:
    """What a constant is: two of one key are equal, bit for bit."""
    value, params = node.params.get("value"), node.params
    if node.primitive.name == "fill":
        return "fill", type(value), str(value), params["shape"], params["dtype"]
    return node.primitive.name, tuple(sorted(params.items()))


class Slot:
    """One operand of one member of a stretch, in all copies of a window: arrays with an element per copy.

    Arguments:
        sequence: the whole.
        member: the number of the member within a copy; `operand`: of the operand.

    Attributes:
        numbers: of the values.
        inside: whether the value is a result of one of the copies, or a view of such a result.
        copy, place, result: of which copy, by which of its members, which of its results.
    """

    def __init__(self, sequence: Sequence, window: Window, member: int, operand: int):
        self.sequence = sequence
        offsets, first = sequence.offsets, window.first
        begin = int(offsets[first + member]) + operand
        step = int(offsets[first + window.period] - offsets[first])
        self.numbers = sequence.operands[begin : begin + step * (window.copies - 1) + 1 : step]
        place = sequence.member[self.numbers] - first
        self.inside = place >= 0
        self.copy, self.place = np.divmod(place, window.period)
        self.result = sequence.result[self.numbers]
        self.form = sequence.form[self.numbers]
        self.steps = np.arange(window.copies)

    def extent(self) -> tuple[int, int]:
        """The copies over which this operand goes on as it does in the middle."""
        middle = len(self.numbers) // 2
        best = (middle, middle + 1)
        number, constant = self.numbers[middle], self.sequence.constant[self.numbers]
        before = ~self.inside | (self.copy < self.steps)
        tests = [(before & (self.numbers == number), 0)]
        if self.inside[middle]:
            delay = int(middle - self.copy[middle])
            if delay <= MOST_DELAYED:
                tests.append((self.follows(middle, delay), delay))
        elif constant[middle]:
            tests.append((constant, 0))
        elif self.form[middle] >= 0:
            root = self.sequence.root[self.numbers]
            tests.append((~self.inside & (root == root[middle]) & (self.form == self.form[middle]), 0))
        for holds, delay in tests:
            found = _around(holds, middle)
            if delay:
                found = self._with_first(found[0], delay), found[1]
            best = max(best, found, key=_length)
        # a value of its own for every copy is the last resort: then rather leave out the first and the last
        anything = _around(~self.inside, middle) if not self.inside[middle] else best
        return anything if _length(anything) > _length(best) + 2 else best

    def follows(self, last: int, delay: int) -> np.ndarray:
        """Whether the value is what it is in copy `last`, but of the copy `delay` copies before."""
        same = (self.place == self.place[last]) & (self.result == self.result[last]) & (self.form == self.form[last])
        return self.inside & (self.copy == self.steps - delay) & same

    def _with_first(self, begin: int, delay: int) -> int:
        """The first copies read what was there before."""
        for earlier in range(min(delay, begin), 0, -1):
            low = begin - earlier
            if np.all(~self.inside[low:begin] | (self.copy[low:begin] < low)):
                return low
        return begin


def _length(extent: tuple[int, int]) -> int:
    return extent[1] - extent[0]


def _around(holds: np.ndarray, middle: int) -> tuple[int, int]:
    """The stretch around the middle in which all holds."""
    if not holds[middle]:
        return middle, middle
    before, after = np.flatnonzero(~holds[:middle]), np.flatnonzero(~holds[middle:])
    return int(before[-1]) + 1 if len(before) else 0, middle + int(after[0]) if len(after) else len(holds)


class Operand(NamedTuple):
    """What an operand is in a window of copies, and its values there."""

    kind: Kind
    values: list[Value]


def classify(sequence: Sequence, window: Window, member: int, operand: int) -> Operand | None:
    """The kind of an operand in all copies of a window; None where it is of none."""
    slot = Slot(sequence, window, member, operand)
    values = [sequence.values[i] for i in slot.numbers.tolist()]
    kind = _inside(sequence, slot, values) if slot.inside.any() else _given(sequence, slot, values)
    return None if kind is None else Operand(kind, values)


def _given(sequence: Sequence, slot: Slot, values: list[Value]) -> Kind:
    """The kind of an operand that is there before the loop in all copies."""
    if (slot.numbers == slot.numbers[0]).all() and values[0] not in sequence.constants:
        return Fixed(values[0], None)
    if sequence.constant[slot.numbers].all():
        return _constant([sequence.constants[x] for x in values])
    root = sequence.root[slot.numbers]
    if slot.form[0] >= 0 and (slot.form == slot.form[0]).all() and (root == root[0]).all():
        views = [sequence.views[x] for x in values]
        starts = starts_of(views)
        if (starts == starts[0]).all():
            return Fixed(views[0].root, views[0])
        return Rows(views[0].root, views[0], starts.tobytes())
    return Stack(tuple(values))


def starts_of(views: list[View]) -> np.ndarray:
    """Where views begin, a row per view."""
    return np.array([v.start for v in views], dtype=np.int64).reshape(len(views), -1)


def _constant(nodes: list[Node]) -> Kind:
    keys = [constant_key(node) for node in nodes]
    if all(key == keys[0] for key in keys):
        return Constant(keys[0], nodes[0])
    y = nodes[0].results[0]
    if all(node.primitive.name == "fill" for node in nodes):
        array = np.array([node.params["value"] for node in nodes], dtype=y.dtype)
        return Table(Literal(array).key, y.shape)
    return Table(Literal(np.stack([np.asarray(evaluate(node, [])[0]) for node in nodes])).key, None)


def _inside(sequence: Sequence, slot: Slot, values: list[Value]) -> Kind:
    """The kind of an operand that is a result of one of the copies, but for the first of them."""
    last = len(values) - 1
    delay = int(last - slot.copy[last])
    if not slot.inside[last] or not 0 <= delay <= MOST_DELAYED:
        return None
    if not slot.follows(last, delay)[delay:].all() or slot.inside[:delay].any():
        return None
    place = Place(int(slot.place[last]), int(slot.result[last]))
    view = sequence.views.get(values[last])
    if view is None:
        return Same(place, None) if delay == 0 else Carry(place, delay, None, None)
    starts = starts_of([sequence.views[x] for x in values[delay:]])
    still = bool((starts == starts[0]).all())
    if delay == 0:
        return Same(place, view) if still else Moving(place, 0, view, starts.tobytes())
    # where the first copies read a view of something, as the others do, that something is carried
    first = [sequence.views.get(x) for x in values[:delay]]
    alike = all(v is not None and v.form == view.form for v in first)
    if still and not (alike and all(v is not None and v.start == view.start for v in first)):
        return Carry(place, delay, view, None)
    if still:
        return Carry(place, delay, None, view)
    return Moving(place, delay, view, starts_of([sequence.views[x] for x in values]).tobytes()) if alike else None
