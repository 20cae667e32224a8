"""Guards: Python decisions on traced values.

`if x > 0:` asks a tracer for its truth while the function is traced. It is answered with the value that NumPy computes
from the arguments at hand, and the trace goes on along that path. The predicate becomes a guard: the compiled program
returns it, and its result counts only if all guards come out as they did. Otherwise another path of the function is
the right one (`lilith.paths`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lilith.ir.graph import Node, Source, Value
from lilith.ir.interpret import evaluate
from lilith.ir.primitive import primitive
from lilith.source import NumberRangeError

if TYPE_CHECKING:
    from lilith.trace import Trace

INT64 = np.dtype(np.int64)

NO_INTEGER = np.iinfo(np.int64).min
"""What the predicate of an integer is where there is none of 64 bits: NaN, infinities, large numbers."""


class Guard(NamedTuple):
    """One decision.

    Attributes:
        order: which decision of the call it was, counted over all of its traces.
        value: an i64[] of the graph: the predicate, or the integer that was asked for (`NO_INTEGER`: there is none).
        outcome: what it was taken to be.
        integer: an integer was asked for, not a truth value.
        source: the user's line.
    """

    order: int
    value: Value
    outcome: int
    integer: bool
    source: Source | None


class Decisions:
    """What the predicates of one call are taken to be, in the order in which its traces ask.

    Arguments:
        forced: outcomes of the first ones, as a compiled program has found them; beyond, NumPy's answer is taken.
    """

    __slots__ = ("count", "forced")

    def __init__(self, forced: tuple[int, ...] = ()):
        self.forced = forced
        self.count = 0

    def next(self) -> tuple[int, int | None]:
        """The number of the next decision, and its outcome if that is forced."""
        order = self.count
        self.count += 1
        return order, self.forced[order] if order < len(self.forced) else None


class Knowledge:
    """NumPy values of a trace's Values, computed when they are asked for.

    Arguments:
        trace: whose nodes are evaluated.
        given: the values of its inputs: arrays, numbers, or tracers of an enclosing trace.
    """

    def __init__(self, trace: Trace, given: Mapping[Value, Any]):
        self._trace = trace
        self._given = dict(given)
        self._found: dict[Value, np.ndarray] = {}
        self._producers: dict[Value, Node] = {}
        self._seen = 0

    def behind(self, value: Value) -> tuple[list[Node], Set[Value]]:
        """The nodes that compute a value and are not evaluated yet, in order; and the inputs it depends on, in an order
        that is the same in every process: where an array has parts in several, to read it takes them all."""
        nodes = self._trace.nodes
        for made in nodes[self._seen :]:
            self._producers.update(dict.fromkeys(made.results, made))
        self._seen = len(nodes)
        needed: dict[int, Node] = {}
        inputs: dict[Value, None] = {}
        visited = {value}
        pending = [value]
        while pending:
            x = pending.pop()
            node = self._producers.get(x)
            if node is None:
                inputs[x] = None
                continue
            needed[id(node)] = node
            fresh = [operand for operand in node.operands if operand not in visited]
            visited.update(fresh)
            pending += fresh
        position = {id(node): i for i, node in enumerate(nodes)} if len(needed) > 1 else {}
        return sorted(needed.values(), key=lambda node: position.get(id(node), 0)), inputs.keys()

    def value_of(self, value: Value, nodes: Iterable[Node], inputs: Iterable[Value]) -> np.ndarray:
        """The value, from those of the inputs. Raises Unknown where one of them has none."""
        for x in inputs:
            if x not in self._found:
                self._found[x] = np.asarray(self._input(x), dtype=x.dtype)
        for node in nodes:
            if node.results[0] not in self._found:
                results = evaluate(node, [self._found[x] for x in node.operands])
                self._found.update(zip(node.results, results, strict=True))
        return self._found[value]

    def _input(self, x: Value) -> Any:
        for array, value in self._trace.hoisted.values():
            if value is x:
                return array
        for tracer, value in self._trace.captured.values():
            if value is x:
                return tracer.recorder.known(tracer.value)
        if x not in self._given:
            raise Unknown
        found = self._given[x]
        recorder = getattr(found, "recorder", None)
        if recorder is not None:
            return recorder.known(found.value)
        try:
            return np.asarray(found)
        except (RuntimeError, TypeError) as error:  # a jax.Array with parts in other processes; a JAX tracer
            raise Unknown from error


class Unknown(Exception):
    """There is no concrete value: inside of a loop's body, of jax.jit, of a program lowered ahead of time."""


_NO_VALUE = "choose with np.where(condition, a, b), lilith.cond or lilith.while_loop"


def decide(trace: Trace, tracer: Any, integer: bool, error: Callable[[str], Exception]) -> int:
    """What a traced predicate (or integer) is taken to be; a guard of the trace.

    Arguments:
        trace: the tracer's own.
        integer: an integer is wanted, not a truth value.
        error: `error(hint)` makes the error for a value that is not known.

    Raises:
        TraceError: there is no concrete value; or captured values alone decide, which then become part of the key.
        ValueError, OverflowError: the integer of NaN, of an infinity, as Python has it.
        NumberRangeError: the integer has more than 64 bits.
    """
    value = tracer.value
    known = trace.decided.get((value, integer))
    if known is not None:
        return known
    knowledge = trace.knowledge
    if knowledge is None:
        raise error(_NO_VALUE)
    nodes, inputs = knowledge.behind(value)
    if inputs and (inputs <= trace.pinnable or trace.decisions is None):
        raise error(_NO_VALUE)
    try:
        array = knowledge.value_of(value, nodes, inputs)
    except Unknown:
        raise error(_NO_VALUE) from None
    answer = int(array) if integer else int(bool(array))
    if inputs and trace.decisions is not None:  # what depends on nothing is no decision
        order, forced = trace.decisions.next()
        answer = answer if forced is None else forced
        if integer and not NO_INTEGER < answer < -NO_INTEGER:
            raise NumberRangeError(
                f"the Python integer of a traced array ({value.type}) has more than 64 bits here",
                hint="np.trunc(x) is the integer as an array, of any size",
            )
        trace.guards.append(Guard(order, _predicate(trace, value, integer), answer, integer, trace.source))
    trace.decided[value, integer] = answer
    return answer


def _predicate(trace: Trace, value: Value, integer: bool) -> Value:
    """The guard as an i64[] of the trace."""

    def emit(name: str, *operands: Value, **parameters: Any) -> Value:
        return trace.emit(primitive(name), operands, parameters)

    if value.shape:
        value = emit("reshape", value, shape=())
    flag = np.dtype(bool)
    if not integer and value.dtype != flag:
        value = emit("convert", value, dtype=flag)
    if value.dtype == INT64:
        return value
    number = emit("convert", value, dtype=INT64)
    if value.dtype.kind in "bi" or np.can_cast(value.dtype, INT64):
        return number
    with np.errstate(over="ignore"):  # float16 has all of its finite numbers in 64 bits
        limit = np.array(2.0**63).astype(value.dtype).item()
    size = value if value.dtype.kind == "u" else emit("abs", value)
    fits = emit("lt", size, emit("fill", value=limit, shape=(), dtype=value.dtype))  # NaN does not
    return emit("select", fits, number, emit("fill", value=NO_INTEGER, shape=(), dtype=INT64))
