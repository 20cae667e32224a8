"""Maxima that cancel: m = max(x) in log(sum(exp(x - m))) + m keeps exponentials from overflowing, and that is all.

Whether a program is such a one is found by moving m, each of its elements by a number t. Of every value computed from
m it is told how it moves: by a t, or by the factor exp(a t).

    x - m moves by -t,  exp of that by exp(-t),  the sum of those over axes along which t is constant by exp(-t) too,
    its logarithm by -t,  and with + m by 0.

If all that m has an effect on ends in a move by 0, the program does not depend on m, for any t. So its derivative by m
is zero. If the program also tells of NaN in x without the help of m, m need not: `exponent_shift` takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

from lilith.ir.graph import Graph, Node, Value
from lilith.ir.type import kind
from lilith.ops.control import stop_gradient
from lilith.ops.linalg import free_axes
from lilith.ops.reduction import exponent_shift, kept_axes

Axes = tuple[int, ...]
TERM, FACTOR = "term", "factor"
SUMMED = -1


class Move(NamedTuple):
    """How a value v moves with m. Axes of one element are left out of all that is said of axes.

    Attributes:
        by: TERM, to v + a t; FACTOR, to v exp(a t).
        amount: a.
        axes: for each axis of m the axis of v along which it lies.
        cells: for each axis of x the axis of v along which it lies, or SUMMED if v is a sum along it, where NaN in x
            makes NaN of v there; else None.
        told: whether NaN in x makes NaN of all of v that belongs to the same element of m.
    """

    by: str
    amount: Fraction
    axes: Axes
    cells: Axes | None = None
    told: bool = False


def without_shifts(graph: Graph, differentiated: bool) -> Graph:
    """The graph with maxima that cancel as `exponent_shift`.

    Arguments:
        differentiated: it is to be differentiated: minima, and maxima that nobody else tells of NaN for, become
            constants too.
    """
    if not any([_is_extremum(node) for node in graph.nodes]):
        return graph
    last: dict[Value, int] = dict.fromkeys(graph.outputs, len(graph.nodes))
    for i in range(len(graph.nodes) - 1, -1, -1):
        for x in graph.nodes[i].operands:
            last.setdefault(x, i)
    numbers = {node.results[0]: node.params["value"] for node in graph.nodes if node.primitive.name == "fill"}
    nodes: list[Node] = []
    for i, node in enumerate(graph.nodes):
        told = _Search(node, numbers).cancels(graph.nodes, i, last) if _is_extremum(node) else None
        if told and node.primitive.name == "reduce_max":
            nodes.append(Node(exponent_shift, node.operands, node.params, node.results, node.source))
        elif told is not None and differentiated:
            found = Value(node.results[0].type)
            nodes.append(Node(node.primitive, node.operands, node.params, (found,), node.source))
            nodes.append(Node(stop_gradient, (found,), {}, node.results, node.source))
        else:
            nodes.append(node)
    if len(nodes) == len(graph.nodes) and all([a is b for a, b in zip(nodes, graph.nodes, strict=True)]):
        return graph
    return Graph(graph.name, graph.inputs, graph.input_names, tuple(nodes), graph.outputs)


def _is_extremum(node: Node) -> bool:
    return node.primitive.name in ("reduce_max", "reduce_min") and kind(node.results[0].dtype) == "f"


def _long(shape: Sequence[int]) -> Axes:
    """The axes of more than one element."""
    return tuple([axis for axis, n in enumerate(shape) if n != 1])


class _Search:
    """One extremum m over x, followed through the nodes after it.

    Attributes:
        moves: of the values that move.
        cells: where the axes of x lie in x, and in x in other shapes.
        numbers: what the elements of a value all are.
        kept, reduced: which axes of x, by their places among the long ones, m has and has not.
    """

    def __init__(self, node: Node, numbers: dict[Value, float]):
        (x,), (self.m,) = node.operands, node.results
        long, kept = _long(x.shape), kept_axes(x.ndim, node.params["axes"])
        self.kept = tuple([i for i, axis in enumerate(long) if axis in kept])
        self.reduced = tuple([i for i, axis in enumerate(long) if axis not in kept])
        self.moves = {self.m: Move(TERM, Fraction(1), _long(self.m.shape))}
        self.cells: dict[Value, Axes] = {x: long}
        self.numbers = numbers

    def cancels(self, nodes: Sequence[Node], place: int, last: dict[Value, int]) -> bool | None:
        """None if the program may depend on m; else whether it is NaN where NaN in x makes m NaN, whatever m is.

        Arguments:
            place: of m among the nodes.
            last: which node reads a value last; their number for outputs of the program.
        """
        end, told = last.get(self.m, place), True
        while place < end:
            place += 1
            if place == len(nodes):
                return None  # m, or what moves with it, is an output
            node = nodes[place]
            if self.moves.keys().isdisjoint(node.operands):
                self.follow_cells(node)
                continue
            rule = _RULES.get(node.primitive.name)
            move = None if rule is None else rule(self, node)
            if move is None:
                return None
            if move.amount:
                (y,) = node.results
                self.moves[y] = move
                end = max(end, last.get(y, place))
            else:
                told = told and move.told
        return told

    def follow_cells(self, node: Node) -> None:
        """x in another shape is x."""
        operand = node.operands[0] if node.operands else None
        places = _MOVED.get(node.primitive.name)
        if operand in self.cells and places is not None:
            moved = places(node, self.cells[operand])
            if moved is not None:
                self.cells[node.results[0]] = moved

    def of(self, x: Value) -> Move | None:
        """How an operand moves."""
        return self.moves.get(x)

    def cells_in(self, x: Value, axes: Axes) -> Axes | None:
        """Where the cells of an operand lie that does not move, if its axes lie beside those of m."""
        cells = self.cells.get(x)
        return cells if cells is not None and tuple([cells[i] for i in self.kept]) == axes else None


_Rule = Callable[[_Search, Node], Move | None]

# ---- where axes go: places(node, axes) are those of the result, None if one is not an axis there -----------------


def _reshaped(node: Node, axes: Axes) -> Axes | None:
    """Axes of one element come and go."""
    (x,), (y,) = node.operands, node.results
    before, after = _long(x.shape), _long(y.shape)
    if [x.shape[axis] for axis in before] != [y.shape[axis] for axis in after]:
        return None
    return tuple([after[before.index(axis)] for axis in axes])


def _repeated(node: Node, axes: Axes) -> Axes | None:
    return tuple([node.params["axes"][axis] for axis in axes])


def _transposed(node: Node, axes: Axes) -> Axes | None:
    return tuple([node.params["axes"].index(axis) for axis in axes])


def _sliced(node: Node, axes: Axes) -> Axes | None:
    """Of other axes a part may be taken."""
    (x,), (y,) = node.operands, node.results
    params = node.params
    whole = all([x.shape[axis] == y.shape[axis] and params["stride"][axis] == 1 for axis in axes])
    return axes if whole else None


_MOVED: dict[str, Callable[[Node, Axes], Axes | None]] = {
    "reshape": _reshaped,
    "broadcast_in_dim": _repeated,
    "transpose": _transposed,
    "slice": _sliced,
}

# ---- how results move: rule(search, node), where at least one operand moves; None where that cannot be told ------


def _moved(s: _Search, node: Node) -> Move | None:
    """Elements moved around."""
    move, places = s.moves[node.operands[0]], _MOVED[node.primitive.name]
    axes = places(node, move.axes)
    if axes is None:
        return None
    cells, left = move.cells, tuple([axis for axis in move.cells or () if axis != SUMMED])
    moved = places(node, left)
    if cells is not None:
        to = dict(zip(left, moved or (), strict=False))
        cells = None if moved is None else tuple([to.get(axis, SUMMED) for axis in cells])
    return move._replace(axes=axes, cells=cells)


def _neg(s: _Search, node: Node) -> Move | None:
    move = s.moves[node.operands[0]]
    return move._replace(amount=-move.amount) if move.by == TERM else move


def _convert(s: _Search, node: Node) -> Move | None:
    return s.moves[node.operands[0]] if kind(node.results[0].dtype) == "f" else None


def _exp(s: _Search, node: Node) -> Move | None:
    move = s.moves[node.operands[0]]
    return move._replace(by=FACTOR) if move.by == TERM else None


def _log(s: _Search, node: Node) -> Move | None:
    move = s.moves[node.operands[0]]
    return move._replace(by=TERM) if move.by == FACTOR else None


def _together(s: _Search, node: Node, by: str, amount: Fraction) -> Move | None:
    """A result of two operands that moves so; None unless m lies along the same axes in both."""
    moves = [move for x in node.operands if (move := s.of(x)) is not None]
    axes = moves[0].axes
    if any([move.axes != axes for move in moves]):
        return None
    cells = [move.cells for move in moves] + [s.cells_in(x, axes) for x in node.operands if x not in s.moves]
    known = [places for places in cells if places is not None]
    return Move(by, amount, axes, known[0] if known else None, any([move.told for move in moves]))


def _sum(sign: int) -> _Rule:
    def rule(s: _Search, node: Node) -> Move | None:
        """x ± y"""
        x, y = (s.of(operand) for operand in node.operands)
        kinds = {move.by for move in (x, y) if move is not None}
        if kinds == {TERM}:
            amounts = [move.amount if move is not None else Fraction(0) for move in (x, y)]
            return _together(s, node, TERM, amounts[0] + sign * amounts[1])
        # two that grow by one factor
        if x is not None and y is not None and kinds == {FACTOR} and x.amount == y.amount:
            return _together(s, node, FACTOR, x.amount)
        return None

    return rule


def _product(power: int) -> _Rule:
    def rule(s: _Search, node: Node) -> Move | None:
        """x y or x / y"""
        x, y = (s.of(operand) for operand in node.operands)
        if any([move is not None and move.by == TERM for move in (x, y)]):
            return _multiple(s, node, power)
        amounts = [move.amount if move is not None else Fraction(0) for move in (x, y)]
        return _together(s, node, FACTOR, amounts[0] + power * amounts[1])

    return rule


def _multiple(s: _Search, node: Node, power: int) -> Move | None:
    """Something that moves by a term, times a number."""
    x, y = node.operands
    if power == 1 and x in s.numbers:
        x, y = y, x
    move, number = s.of(x), s.numbers.get(y)
    if move is None or move.by != TERM or not number or number in (float("inf"), -float("inf")) or number != number:
        return None
    return _together(s, node, TERM, move.amount * Fraction(number) ** power)


def _reduce_sum(s: _Search, node: Node) -> Move | None:
    (x,) = node.operands
    move, summed = s.moves[x], node.params["axes"]
    if not set(summed).isdisjoint(move.axes):
        return None
    move = _summed(s, move, summed)
    if move.by == FACTOR:
        return move
    size = node.operands[0].type.size // max(1, node.results[0].type.size)
    return move._replace(amount=move.amount * size) if size else None


def _summed(s: _Search, move: Move, summed: Axes) -> Move:
    """How sums over axes move, if no axis of m is among them."""

    def left(axes: Axes) -> Axes:
        return tuple([axis - sum([other < axis for other in summed]) for axis in axes])

    if move.cells is None:
        return move._replace(axes=left(move.axes))
    cells = tuple([SUMMED if axis in (*summed, SUMMED) else left((axis,))[0] for axis in move.cells])
    told = move.told or all([cells[i] == SUMMED for i in s.reduced])
    return move._replace(axes=left(move.axes), cells=cells, told=told)


def _dot_general(s: _Search, node: Node) -> Move | None:
    """Sums of products, of which one operand moves by a factor."""
    sides = [side for side, x in enumerate(node.operands) if x in s.moves]
    side, move = sides[0], s.moves[node.operands[sides[0]]]
    contract, batch = node.params["contract"], node.params["batch"]
    if len(sides) == 2 or move.by == TERM or not set(contract[side]).isdisjoint(move.axes):
        return None
    free = [free_axes(x.ndim, c, b) for x, c, b in zip(node.operands, contract, batch, strict=True)]
    start = len(batch[side]) + side * len(free[0])
    places = {axis: i for i, axis in enumerate(batch[side])} | {axis: start + i for i, axis in enumerate(free[side])}
    told = move.told or (
        move.cells is not None and all([move.cells[i] in (*contract[side], SUMMED) for i in s.reduced])
    )
    return Move(FACTOR, move.amount, tuple([places[axis] for axis in move.axes]), None, told)


_RULES: dict[str, _Rule] = {
    **dict.fromkeys(_MOVED, _moved),
    "neg": _neg,
    "convert": _convert,
    "exp": _exp,
    "log": _log,
    "add": _sum(1),
    "sub": _sum(-1),
    "mul": _product(1),
    "div": _product(-1),
    "reduce_sum": _reduce_sum,
    "dot_general": _dot_general,
}
