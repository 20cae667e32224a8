"""Elements and rows that are written into an array and read from it again: the reader takes what was written.

`x[i] = f(x[i - 1])` hands on one element from step to step, not the array; the array is put together after the loop.
"""

from __future__ import annotations

from typing import NamedTuple

from lilith.ir.graph import Builder, Graph, Node, Value
from lilith.ops.slicing import slice

Axes = tuple[int, ...]

FEW = 3
"""Fewer writes are not looked at."""


class _Write(NamedTuple):
    version: int
    update: Value


class _Lineage:
    """An array and its successive states, in each of which one more element or row has been written.

    Attributes:
        base: the array before all writes.
        depth: so many of its first axes have one number in the place of a write; the others are written whole.
        latest: the number of the last state.
        writes: by place.
    """

    def __init__(self, base: Value, depth: int):
        self.base, self.depth, self.latest = base, depth, 0
        self.writes: dict[Axes, list[_Write]] = {}

    def before(self, place: Axes, version: int) -> Value | None:
        """What was last written at a place until some state; None if nothing was."""
        found = [write for write in self.writes.get(place, ())[-2:] if write.version <= version]
        if not found:
            found = [write for write in self.writes.get(place, ()) if write.version <= version]
        return found[-1].update if found else None


def with_writes_read(graph: Graph) -> Graph:
    """The graph in which slices of arrays that were written element by element, or row by row, are what was written."""
    if sum([node.primitive.name == "dynamic_update_slice" for node in graph.nodes]) < FEW:
        return graph
    numbers: dict[Value, int] = {}
    states: dict[Value, tuple[_Lineage, int]] = {}
    env: dict[Value, Value] = {}
    origins: dict[Value, Value | tuple[Value, Axes, Axes]] = {}
    with Builder() as builder:
        for node in graph.nodes:
            operands = tuple([env.get(x, x) for x in node.operands])
            name = node.primitive.name
            if name == "fill" and not node.params["shape"] and isinstance(node.params["value"], int):
                numbers[node.results[0]] = node.params["value"]
            elif name == "dynamic_update_slice":
                if _changes_nothing(operands, numbers, states, origins):
                    env[node.results[0]] = operands[0]
                    continue
                _note_write(node.results[0], operands, numbers, states)
            elif name == "reshape":
                origins[node.results[0]] = origins.get(operands[0], operands[0])
            elif name == "slice" and operands[0] in states:
                builder.source = node.source
                found = _read(node, *states[operands[0]])
                if found is not None:
                    env[node.results[0]] = found
                    made = builder.nodes[-1]
                    if found in made.results and made.primitive.name == "slice":
                        origins[found] = _region(made)
                    continue
            elif name == "slice":
                origins[node.results[0]] = _region(node)
            changed = operands != node.operands
            builder.nodes.append(
                Node(node.primitive, operands, node.params, node.results, node.source) if changed else node
            )
    if not env:
        return graph
    outputs = tuple([env.get(y, y) for y in graph.outputs])
    return Graph(graph.name, graph.inputs, graph.input_names, tuple(builder.nodes), outputs)


def _region(node: Node) -> tuple[Value, Axes, Axes]:
    """Which elements a slice is."""
    return node.operands[0], node.params["start"], node.results[0].shape


def _changes_nothing(
    operands: tuple[Value, ...],
    numbers: dict[Value, int],
    states: dict[Value, tuple[_Lineage, int]],
    origins: dict[Value, Value | tuple[Value, Axes, Axes]],
) -> bool:
    """Whether what is written is what is there: d[i] = min(d[i], x) where the first is the smaller one."""
    x, update, *starts = operands
    depth, start = depth_of(update.shape, x.shape), tuple([numbers.get(start, -1) for start in starts])
    if not depth or -1 in start:
        return False
    lineage, version = states.get(x, (None, 0))
    if lineage is not None and lineage.depth != depth:
        return False
    own = origins.get(update, update)
    written = lineage.before(start[:depth], version) if lineage is not None else None
    if written is not None:
        return origins.get(written, written) == own
    return own == (x if lineage is None else lineage.base, start, update.shape)


def depth_of(sizes: Axes, shape: Axes) -> int:
    """How many first axes of a window have size 1, if the window is whole along all others; 0 if it is not."""
    depth = 0
    while depth < len(shape) and sizes[depth] == 1:
        depth += 1
    return depth if sizes[depth:] == shape[depth:] else 0


def _note_write(
    y: Value,
    operands: tuple[Value, ...],
    numbers: dict[Value, int],
    states: dict[Value, tuple[_Lineage, int]],
) -> None:
    x, update, *starts = operands
    depth, shape = depth_of(update.shape, x.shape), x.shape
    places = [numbers.get(start, -1) for start in starts]
    inside = all(0 <= place <= n - size for place, n, size in zip(places, shape, update.shape, strict=True))
    if not depth or not inside:
        return
    lineage, version = states.get(x, (None, 0))
    if lineage is None or lineage.depth != depth or version != lineage.latest:
        lineage = _Lineage(x, depth)
    lineage.latest += 1
    lineage.writes.setdefault(tuple(places[:depth]), []).append(_Write(lineage.latest, update))
    states[y] = lineage, lineage.latest


def _read(node: Node, lineage: _Lineage, version: int) -> Value | None:
    """What a slice of some state of an array is: a part of what was written there, or of the array as it was."""
    start, limit, stride = [node.params[name] for name in ("start", "limit", "stride")]
    depth = lineage.depth
    if any(end - begin != 1 for begin, end in zip(start[:depth], limit[:depth], strict=True)):
        return None
    written = lineage.before(start[:depth], version)
    if written is None:
        return slice(lineage.base, start=start, limit=limit, stride=stride)
    if written.shape == node.results[0].shape:
        return written
    first, last = (0,) * depth + start[depth:], (1,) * depth + limit[depth:]
    return slice(written, start=first, limit=last, stride=stride)
