"""Rolling: what a Python loop recorded again and again becomes one loop in the graph, Graph -> Graph of equal results.

`sequence` describes a graph as a sequence of operations; `repeats` finds the stretches that consist of copies of one
piece; `operands` says how what the copies read goes on from copy to copy; `plan` which copies go on in one way; `body`
makes one copy the body; `emit` the scan, or the operation on all copies at once; `cost` says whether it pays.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from lilith.ir.graph import Graph, Node, Source, Value
from lilith.transform.prune import remove_dead
from lilith.transform.roll import cost
from lilith.transform.roll.body import Body
from lilith.transform.roll.check import translates
from lilith.transform.roll.common import without_repetition
from lilith.transform.roll.emit import Emission, body_graph, emitted
from lilith.transform.roll.fusible import Columns, fusible_bytes
from lilith.transform.roll.joins import with_stacks_joined
from lilith.transform.roll.lines import loop_source
from lilith.transform.roll.operands import Stack, Window
from lilith.transform.roll.parts import with_parts_read
from lilith.transform.roll.plan import Plan, longer, plan_of, planned
from lilith.transform.roll.repeats import LEAST, repeats
from lilith.transform.roll.sequence import Sequence
from lilith.transform.roll.sums import with_rows_added
from lilith.transform.roll.writes import with_writes_read

__all__ = ["Columns", "Repeat", "roll"]

ONE = Columns()

_ROUNDS = 64
"""So many stretches of one graph are rolled, one after the other."""


class Repeat(NamedTuple):
    """One stretch that was rolled.

    Attributes:
        source: the loop's line in the user's program, as far as it is known.
        copies, operations: so many copies of so many operations.
        loop: whether it became a loop, or operations on all copies at once.
    """

    source: Source | None
    copies: int
    operations: int
    loop: bool

    def __str__(self) -> str:
        where = f"{self.source.file}:{self.source.line} in {self.source.function}: " if self.source else ""
        what = "a loop" if self.loop else "one operation each on all of them"
        plural = "s" if self.operations != 1 else ""
        return f"{where}{self.copies} repeats of {self.operations} operation{plural} as {what}"


def roll(
    graph: Graph, guards: int = 0, together: Collection[Value] = (), columns: Columns = ONE
) -> tuple[Graph, tuple[Repeat, ...]]:
    """The graph with its repeats rolled, as far as that pays, and what was rolled.

    Arguments:
        guards: so many of the last outputs are predicates of guards, which end a repeat.
        together: inputs that can be handed over stacked (`lilith.transform.pack`): they and their cotangents cost
            little to put together and to take apart.
        columns: what will be made of it: so many derivatives at once, as for a Jacobian, or so many slices.
    """
    if sum(map(cost.weight, graph.nodes)) < cost.BATCH:
        return graph, ()

    def rolled(graph: Graph) -> tuple[Graph, tuple[Repeat, ...]]:
        roller = _Roller(set(graph.outputs[len(graph.outputs) - guards :]), frozenset(together), columns)
        return roller.rolled(graph, False), tuple(roller.found)

    read = remove_dead(with_writes_read(graph))
    written = remove_dead(graph) if read is not graph else read
    parts = remove_dead(with_parts_read(read))
    unique = without_repetition(parts)
    best = rolled(unique if unique is not parts or parts is read else without_repetition(read))
    left = cost.left(best[0])
    if written is read or left < cost.LOOP:
        return best
    # what is handed on element by element may hide that an array goes through the same in every step
    other = rolled(written)
    return other if cost.left(other[0]) < cost.CLEARLY * left else best


class _Roller:
    """Rolls a graph and the bodies of the loops it becomes.

    Attributes:
        found: what was rolled.
    """

    def __init__(self, fences: Collection[Value], together: frozenset[Value], columns: Columns):
        self.fences, self.together, self.columns = fences, together, columns
        self.found: list[Repeat] = []

    def rolled(self, graph: Graph, inner: bool) -> Graph:
        """The graph with all repeats rolled that pay; `inner`: it is a body."""
        for _ in range(_ROUNDS):
            new = self.one_rolled(Sequence(graph, self.fences), inner)
            if new is None:
                break
            graph = remove_dead(with_rows_added(with_stacks_joined(new)))
        return graph

    def one_rolled(self, sequence: Sequence, inner: bool) -> Graph | None:
        """The graph with the repeat rolled that saves most; None where none pays. Those that need no stack come first:
        after that a stack may be there."""
        total = cost.weights(sequence.members)
        runs = [(_saving(total, run.start, run.stop, run.period), run) for run in repeats(sequence.codes)]
        runs = sorted([pair for pair in runs if pair[0] > cost.BATCH], key=lambda pair: -pair[0])
        late: list[Plan] = []
        for _, run in runs:
            plan = plan_of(sequence, run)
            if plan is None:
                plan = next((plan for more in longer(sequence, run) if (plan := plan_of(sequence, more))), None)
            if plan is not None and _stacks(plan):
                late.append(plan)
            elif plan is not None:
                new = self.with_plan(sequence, plan, total, inner)
                if new is not None:
                    return new
        return next((new for plan in late if (new := self.with_plan(sequence, plan, total, inner)) is not None), None)

    def with_plan(self, sequence: Sequence, plan: Plan, total: np.ndarray, inner: bool) -> Graph | None:
        """The graph with one stretch rolled, if that pays."""
        emission = Emission(Body(sequence, plan, sequence.graph.name))
        window = plan.window
        if emission.loop and emission.only_last() and window.copies > LEAST:
            # the last copy stays as it is: what it reads of the one before it is carried
            shorter = planned(sequence, Window(window.start, window.period, 0, window.copies - 1))
            if shorter is None:
                return None
            plan, window = shorter, shorter.window
            emission = Emission(Body(sequence, plan, sequence.graph.name))
        saved = _saving(total, window.first, window.end, window.period)
        stacks = _stacks(plan)
        easy = sum([len(kind.values) for kind in stacks if self.is_handed_over(kind)])
        others = sum([len(kind.values) for kind in stacks]) - easy
        rows = fusible_bytes(sequence, emission, self.columns)
        if not cost.pays(saved, window, others, easy, rows, emission.loop, inner):
            return None
        if not translates(emission.body):
            return None
        nodes = sequence.members[window.first : window.first + window.period]
        source = loop_source(nodes)
        self.found.append(Repeat(source, window.copies, window.period, emission.loop))
        body = self.rolled(body_graph(emission), True)
        return _replaced(sequence, window, emitted(emission, body, source))

    def is_handed_over(self, stack: Stack) -> bool:
        """Whether the values come as one from outside of the program."""
        sizes = [x.type.nbytes for x in stack.values]
        fits = max(sizes) <= cost.ROW_BYTES and sum(sizes) <= cost.STACK_BYTES
        return fits and self.together.issuperset(stack.values)


def _saving(total: np.ndarray, start: int, stop: int, period: int) -> float:
    return float(total[stop] - total[start] - (total[start + period] - total[start]))


def _stacks(plan: Plan) -> set[Stack]:
    """The values that have to be stacked."""
    return {operand.kind for operands in plan.operands for operand in operands if isinstance(operand.kind, Stack)}


def _replaced(sequence: Sequence, window: Window, nodes: list[Node]) -> Graph:
    """The graph with the members of a window replaced by these nodes."""
    graph = sequence.graph
    members = sequence.members[window.first : window.end]
    gone, last = set(members), members[-1]
    made = {y for node in members for y in node.results}
    before: list[Node] = []
    after: list[Node] = []
    waiting: list[Node] = []
    target = before
    for node in graph.nodes:
        if node in gone:
            if node is last:
                target = after
            continue
        if target is before and not made.isdisjoint(node.operands):
            made.update(node.results)
            waiting.append(node)
        else:
            target.append(node)
    given = {y for node in (*before, *nodes) for y in node.results}.union(graph.inputs)
    for node in waiting:
        if given.issuperset(node.operands):
            given.update(node.results)
            nodes.append(node)
    return Graph(graph.name, graph.inputs, graph.input_names, (*before, *nodes, *after), graph.outputs)
