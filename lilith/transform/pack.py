"""Pack: small inputs and outputs of one dtype travel in one buffer, since each costs a call some microseconds.

So do larger inputs that the program stacks (the weights of layers that are a loop), and outputs that are rows of one
stack: to take a stack apart inside of the program costs XLA:CPU milliseconds per row, outside a row is a view.
"""

from __future__ import annotations

from collections.abc import Sequence

from lilith.ir.graph import Builder, Graph, Value
from lilith.ir.type import TensorType, dtype_name
from lilith.ops.elementwise import convert, logical_and, shift_right
from lilith.ops.shape import broadcast_in_dim, concatenate, fill, iota, reshape
from lilith.ops.slicing import slice
from lilith.transform.prune import remove_dead
from lilith.transform.roll.cost import ROW_BYTES, STACK_BYTES
from lilith.transform.roll.joins import with_stacks_joined
from lilith.transform.roll.sequence import Sequence as Operations

PACK_BYTES = 4096
"""Arrays larger than this stay on their own: copying them would cost more than it saves."""

TANGENT_BYTES = 512
"""The same where tangents come with the arguments: of a kernel that treats both alike XLA compiles one, as long as
neither is a slice of something else; 4 ms each."""

ROWS = 8
"""Fewer rows are no stack."""


def _groups(values: Sequence[Value], candidates: Sequence[int], limit: int = PACK_BYTES) -> list[list[int]]:
    """Which of the candidates are packed together: small ones of one dtype, at least two."""
    groups: dict[str, list[int]] = {}
    for i in candidates:
        if values[i].type.nbytes <= limit:
            groups.setdefault(dtype_name(values[i].dtype), []).append(i)
    return [members for members in groups.values() if len(members) > 1]


def pack_outputs(graph: Graph, candidates: Sequence[int]) -> tuple[Graph, list[tuple[int, int | None]]]:
    """Join those of the `candidates` among the outputs that are small and not alone with their dtype.

    Returns:
        The packed graph and, for every output of the original one, its place: in which output of the packed graph it
        is, and from which element on (None where it is not packed). Outputs that are not packed come first.
    """
    stacks = _output_stacks(graph, candidates)
    rows = {i for members in stacks.values() for i in members}
    groups = _groups(graph.outputs, [i for i in candidates if i not in rows])
    packed = rows.union(*groups)
    outputs = [y for i, y in enumerate(graph.outputs) if i not in packed]
    single = [i for i in range(len(graph.outputs)) if i not in packed]
    places: dict[int, tuple[int, int | None]] = {i: (k, None) for k, i in enumerate(single)}
    with Builder() as builder:
        builder.nodes.extend(graph.nodes)
        for members in groups:
            start, parts = 0, []
            for i in members:
                y = graph.outputs[i]
                places[i] = (len(outputs), start)
                start += y.type.size
                parts.append(reshape(y, shape=(y.type.size,)))
            outputs.append(concatenate(*parts, axis=0))
        for stack, starts in stacks.items():
            places.update({i: (len(outputs), start) for i, start in starts.items()})
            outputs.append(reshape(stack, shape=(stack.type.size,)))
    result = Graph(graph.name, graph.inputs, graph.input_names, tuple(builder.nodes), tuple(outputs))
    result = remove_dead(result) if stacks else result
    return result, [places[i] for i in range(len(graph.outputs))]


def pack_inputs(graph: Graph, candidates: Sequence[int], limit: int = PACK_BYTES) -> tuple[Graph, list[list[int]]]:
    """Take those of the `candidates` among the inputs that are small and not alone with their dtype from one buffer.

    Returns:
        The packed graph and the groups: the inputs whose elements, flattened and one after the other, make up each of
        the packed graph's first inputs. The other inputs follow in their order.
    """
    stacks = _input_stacks(graph, candidates)
    rows = {i for members in stacks for i in members}
    groups = [*stacks, *_groups(graph.inputs, [i for i in candidates if i not in rows], limit)]
    packed = {i for members in groups for i in members}
    single = [i for i in range(len(graph.inputs)) if i not in packed]
    env: dict[Value, Value] = {}
    buffers, names = [], []
    with Builder() as builder:
        for members in groups:
            size = sum(graph.inputs[i].type.size for i in members)
            buffer = Value(TensorType((size,), graph.inputs[members[0]].dtype))
            buffers.append(buffer)
            names.append("+".join(graph.input_names[i] for i in members))
            start = 0
            for i in members:
                x = graph.inputs[i]
                stop = start + x.type.size
                env[x] = reshape(slice(buffer, start=(start,), limit=(stop,), stride=(1,)), shape=x.shape)
                start = stop
        values = [env.get(x, x) for x in graph.inputs]
        outputs = builder.inline(graph, values)
    inputs = (*buffers, *(graph.inputs[i] for i in single))
    input_names = (*names, *(graph.input_names[i] for i in single))
    result = Graph(graph.name, inputs, input_names, tuple(builder.nodes), tuple(outputs))
    return remove_dead(with_stacks_joined(result)) if stacks else result, groups


def _input_stacks(graph: Graph, candidates: Sequence[int]) -> list[list[int]]:
    """Which of the candidates are stacked with one another, in order; none is in two stacks."""
    numbers = {graph.inputs[i]: i for i in candidates if graph.inputs[i].type.nbytes <= ROW_BYTES}
    rows: dict[Value, int] = {}
    found: list[list[int]] = []
    taken: set[int] = set()
    for node in graph.nodes:
        if node.primitive is reshape and node.operands[0] in numbers:
            rows[node.results[0]] = numbers[node.operands[0]]
        elif node.primitive is concatenate and node.params["axis"] == 0 and len(node.operands) >= ROWS:
            members = [rows.get(x, -1) for x in node.operands]
            distinct = {*members}
            fits = node.results[0].type.nbytes <= STACK_BYTES and len(distinct) == len(members)
            if fits and -1 not in distinct and distinct.isdisjoint(taken):
                taken |= distinct
                found.append(members)
    return found


def _output_stacks(graph: Graph, candidates: Sequence[int]) -> dict[Value, dict[int, int]]:
    """Which of the candidates are rows of one stack: by stack, the outputs and the elements where they begin."""
    if len(candidates) < ROWS:
        return {}
    views = Operations(graph).views
    found: dict[Value, dict[int, int]] = {}
    for i in candidates:
        y = graph.outputs[i]
        view = views.get(y)
        if view is None or y.type.nbytes > ROW_BYTES:
            continue
        root = view.root
        is_row = view.base == root.shape and view.sizes == (1, *root.shape[1:]) and root.type.nbytes <= STACK_BYTES
        if is_row and root not in graph.inputs:
            found.setdefault(root, {})[i] = view.start[0] * y.type.size
    return {root: starts for root, starts in found.items() if len(starts) >= max(ROWS, root.shape[0] // 2)}


def join_last(graph: Graph, count: int) -> Graph:
    """The graph with its last `count` outputs, scalars of one dtype, as one vector.

    Many that are truth values go into the bits of few numbers and out again: all that leads to one number is one
    kernel, where putting scalars together takes a kernel for each.
    """
    first = len(graph.outputs) - count
    made = graph.producers()
    with Builder() as builder:
        builder.nodes.extend(graph.nodes)
        parts: list[Value] = []
        truths: list[Value] = []
        for y in (*graph.outputs[first:], None):
            node = made.get(y) if y is not None else None
            is_truth = node is not None and node.primitive is convert and node.operands[0].dtype == bool
            if truths and (not is_truth or len(truths) == WORD):
                parts += _through_bits(truths)
                truths = []
            if y is not None and is_truth:
                truths.append(y)
            elif y is not None:
                parts.append(reshape(y, shape=(1,)))
        vector = parts[0] if len(parts) == 1 else concatenate(*parts, axis=0)
    outputs = (*graph.outputs[:first], vector)
    return Graph(graph.name, graph.inputs, graph.input_names, tuple(builder.nodes), outputs)


WORD, FEW_TRUTHS = 31, 4
"""So many truth values go into one number; fewer are put together as they are."""


def _through_bits(truths: Sequence[Value]) -> list[Value]:
    """Vectors of these scalars, each 0 or 1."""
    if len(truths) < FEW_TRUTHS:
        return [reshape(y, shape=(1,)) for y in truths]
    dtype, shape = truths[0].dtype, (len(truths),)
    word = truths[0]
    for k, y in enumerate(truths[1:], 1):
        word = word + y * (1 << k)
    place = iota(shape=shape, dtype=dtype, axis=0)
    shifted = shift_right(broadcast_in_dim(word, shape=shape, axes=()), place)
    return [logical_and(shifted, fill(value=1, shape=shape, dtype=dtype))]
