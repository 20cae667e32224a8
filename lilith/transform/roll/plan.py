"""Which copies of a stretch are rolled: from where to where, what they read, and what is read of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lilith.ir.graph import Value
from lilith.transform.roll.operands import Operand, Slot, Window, classify
from lilith.transform.roll.repeats import LEAST, Run, repeats
from lilith.transform.roll.sequence import Place, Sequence


class Plan(NamedTuple):
    """Copies of a stretch as one body.

    Attributes:
        window: the copies.
        operands: by member of a copy and by operand.
        read: what is read outside of the stretch: by place in a copy, the numbers of copies and the values.
    """

    window: Window
    operands: list[list[Operand]]
    read: dict[Place, dict[int, Value]]


def plan_of(sequence: Sequence, run: Run) -> Plan | None:
    """The plan for a run of copies; None where fewer than three of them go on in one way."""
    start = run.start + _phase(sequence, run)
    window = Window(start, run.period, 0, (run.stop - start) // run.period)
    if window.copies < LEAST:
        window = Window(run.start, run.period, 0, (run.stop - run.start) // run.period)
    found = _settled(sequence, window)
    if found is None:
        return None
    plan = planned(sequence, found)
    if plan is None and found.copies > LEAST:
        plan = planned(sequence, found._replace(low=found.low + 1))  # the first reads something of another kind
    return plan


def longer(sequence: Sequence, run: Run) -> list[Run]:
    """Runs of several copies of a run as one: where the copies read what is so many copies before them, and that comes
    again, the inner loop's steps are one step of the outer one."""
    window = Window(run.start, run.period, 0, (run.stop - run.start) // run.period)
    if window.copies < LEAST * 2:
        return []
    rows = []
    for j, node in enumerate(sequence.members[run.start : run.start + run.period]):
        for o in range(len(node.operands)):
            slot = Slot(sequence, window, j, o)
            rows += [np.where(slot.inside, slot.steps - slot.copy, -1), np.where(slot.inside, slot.place, -1)]
            rows.append(slot.form)
    if not rows:
        return []
    codes = np.unique(np.stack(rows), axis=1, return_inverse=True)[1].reshape(-1)
    start, period = run.start, run.period
    found = [r for r in repeats(codes) if r.period > 1]
    return [Run(start + r.start * period, start + r.stop * period, r.period * period) for r in found]


def planned(sequence: Sequence, window: Window) -> Plan | None:
    """The plan for a window of copies that go on in one way."""
    nodes = sequence.members[window.first : window.first + window.period]
    operands = []
    for j, node in enumerate(nodes):
        found = [classify(sequence, window, j, o) for o in range(len(node.operands))]
        if any(x is None for x in found):
            return None
        operands.append(found)
    return Plan(window, operands, _read_outside(sequence, window))  # type: ignore[arg-type]


def _settled(sequence: Sequence, window: Window) -> Window | None:
    """The copies of a window over which every operand goes on as it does in the middle."""
    low, high = 0, window.copies
    nodes = sequence.members[window.first : window.first + window.period]
    for j, node in enumerate(nodes):
        for o in range(len(node.operands)):
            begin, end = Slot(sequence, window, j, o).extent()
            low, high = max(low, begin), min(high, end)
            if high - low < LEAST:
                return None
    first = window.first + low * window.period
    return Window(first, window.period, 0, high - low)


def _phase(sequence: Sequence, run: Run) -> int:
    """Where in a run its copies begin: where the fewest bytes are handed from one to the next."""
    period = run.period
    middle = run.start + (run.stop - run.start) // period // 2 * period
    begin, end = max(run.start, middle - 2 * period), min(run.stop, middle + 3 * period)
    size = end - begin
    last = np.arange(size)
    flat = sequence.operands[sequence.offsets[begin] : sequence.offsets[end]]
    users = np.repeat(last, np.diff(sequence.offsets[begin : end + 1]))
    made = sequence.member[flat] - begin
    near = (made >= 0) & (users - made < 2 * period)
    np.maximum.at(last, made[near], users[near])
    sizes = np.array([sum([y.type.nbytes for y in node.results]) for node in sequence.members[begin:end]])
    change = np.zeros(size + 2)
    np.add.at(change, np.arange(size) + 1, sizes)
    np.add.at(change, last + 1, -sizes)
    live = np.cumsum(change)[middle - begin : middle - begin + period]
    return int(np.argmin(live))


def _read_outside(sequence: Sequence, window: Window) -> dict[Place, dict[int, Value]]:
    """The results of the copies that are read by others or returned."""
    first, end, offsets = window.first, window.end, sequence.offsets
    returned = np.array([sequence.numbers[y] for y in sequence.graph.outputs], dtype=np.int64)
    others = np.concatenate([sequence.operands[: offsets[first]], sequence.operands[offsets[end] :], returned])
    made = sequence.member[others]
    inside = (made >= first) & (made < end)
    found: dict[Place, dict[int, Value]] = {}
    for member, result in np.unique(np.stack([made[inside], sequence.result[others[inside]]], axis=1), axis=0).tolist():
        copy, place = divmod(member - first, window.period)
        found.setdefault(Place(place, result), {})[copy] = sequence.members[member].results[result]
    return found
