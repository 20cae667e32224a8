"""The derivation of vmap: a function of arrays becomes one of stacks of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lilith import tree
from lilith.asked import function_name
from lilith.derive import MODES, Asked, Derivation
from lilith.ir.graph import Builder, Graph, Value
from lilith.ir.type import TensorType
from lilith.modes import Record, finished
from lilith.ops.shape import transpose
from lilith.signature import STATIC, Leaf
from lilith.source import ArgumentError, ShapeError
from lilith.trace import Recorded, Traced
from lilith.transform.batch import batch_at, batched_outputs
from lilith.transform.roll import Columns
from lilith.transform.simplify import remove_dead
from lowering.runtime import ARRAY, JAX, SCALAR

_HINT = "an axis for all, or a tuple with one for each argument; None for what is shared"


def axes_key(name: str, axes: Any) -> tuple[tuple[int | None, ...], Any]:
    """`in_axes` or `out_axes` in a form that can be a key."""
    leaves, structure = tree.flatten(tuple(axes) if isinstance(axes, list) else axes)
    for axis in leaves:
        if axis is not None and (isinstance(axis, bool) or not isinstance(axis, (int, np.integer))):
            raise ArgumentError(f"vmap: {axis!r} in {name} is no axis", hint=_HINT)
    return tuple([axis if axis is None else int(axis) for axis in leaves]), structure


def _spread(axes: Any, x: Any, what: str) -> list[int | None]:
    """An axis for each leaf of x, from a structure whose leaves may stand for whole parts of x."""
    leaves, structure = tree.flatten(x)
    if axes is None or isinstance(axes, int):
        return [axes] * len(leaves)
    if isinstance(axes, dict) and isinstance(x, dict) and set(axes) == set(x):
        return [axis for key, part in x.items() for axis in _spread(axes[key], part, what)]
    if isinstance(axes, (list, tuple)) and isinstance(x, (list, tuple)) and len(axes) == len(x):
        return [axis for a, part in zip(axes, x, strict=True) for axis in _spread(a, part, what)]
    own, own_structure = tree.flatten(axes)
    if own_structure != structure:
        raise ArgumentError(f"vmap: the axes {axes!r} do not fit to the structure of {what}", hint=_HINT)
    return own


def _input_axes(asked: Asked) -> list[int | None]:
    """The axis of each dynamic leaf, not negative; None for those that all slices share."""
    arguments = asked.arguments
    leaves, structure = asked.spec.options[0]
    axes = tree.unflatten(structure, leaves)
    count = sum(p is not None for p in arguments.positions)
    if axes is None or isinstance(axes, int):
        per_argument = [axes] * count
    elif isinstance(axes, tuple) and len(axes) == count:
        per_argument = list(axes)
    else:
        raise ArgumentError(
            f"vmap of {function_name(asked.f)}: in_axes={axes!r} for {count} positional arguments", hint=_HINT
        )
    per_argument += [0] * (len(arguments.names) - count)
    found: list[int | None] = []
    for i, (name, shape, axis) in enumerate(zip(arguments.names, arguments.structures, per_argument, strict=True)):
        own = [leaf for leaf in arguments.leaves if leaf.argument == i]
        spread = _spread(axis, tree.unflatten(shape, range(len(own))), name)
        found += [_axis(asked, x, a) for x, a in zip(own, spread, strict=True) if x.kind != STATIC]
    return found


def _axis(asked: Asked, leaf: Leaf, axis: int | None) -> int | None:
    if axis is None or leaf.type is None:
        return None
    ndim = leaf.type.ndim
    if not -ndim <= axis < ndim:
        raise ShapeError(
            f"vmap of {function_name(asked.f)}: {leaf.path} is {leaf.type}, which has no axis {axis}",
            hint="in_axes=(..., None, ...) shares an argument among all slices",
        )
    return axis % ndim


def _size(asked: Asked, leaves: Sequence[Leaf], axes: Sequence[int | None]) -> int:
    sizes = {
        leaf.path: leaf.type.shape[axis]
        for leaf, axis in zip(leaves, axes, strict=True)
        if axis is not None and leaf.type is not None
    }
    name = function_name(asked.f)
    if not sizes:
        raise ArgumentError(f"vmap of {name}: no argument has an axis to take apart", hint=_HINT)
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{path}: {size}" for path, size in sizes.items())
        raise ShapeError(
            f"vmap of {name}: the axes that are taken apart differ in length ({listed})",
            hint="they must be equal; in_axes tells which axis is meant",
        )
    return next(iter(sizes.values()))


def _without(type: TensorType, axis: int | None) -> TensorType:
    return type if axis is None else type.with_shape(type.shape[:axis] + type.shape[axis + 1 :])


def _output_axes(asked: Asked, recorded: Recorded) -> list[int | None]:
    """The place of the new axis in each output."""
    leaves, structure = asked.spec.options[1]
    numbered = tree.unflatten(recorded.structure, range(len(recorded.leaves)))
    axes = _spread(tree.unflatten(structure, leaves), numbered, f"the result of {function_name(asked.f)}")
    return [axis for axis, leaf in zip(axes, recorded.leaves, strict=True) if isinstance(leaf, Traced)]


def _placed(
    asked: Asked, graph: Graph, batched: Graph, axes: Sequence[int | None], out_axes: Sequence[int | None]
) -> Graph:
    """The batched graph with its outputs' new axis, which is in front, moved to where it is wanted."""
    with Builder() as builder:
        builder.nodes.extend(batched.nodes)
        outputs = []
        for y, stack, axis in zip(graph.outputs, batched.outputs, out_axes, strict=True):
            if axis is None:
                outputs.append(_shared(asked, builder, graph.with_outputs([y]), batched, axes))
                continue
            if not -stack.ndim <= axis < stack.ndim:
                raise ShapeError(
                    f"vmap of {function_name(asked.f)}: out_axes {axis} for a result {stack.type}",
                    hint=f"an axis from {-stack.ndim} to {stack.ndim - 1}",
                )
            order = list(range(1, stack.ndim))
            order.insert(axis % stack.ndim, 0)
            outputs.append(transpose(stack, axes=tuple(order)) if axis % stack.ndim else stack)
    return Graph(graph.name, batched.inputs, batched.input_names, tuple(builder.nodes), tuple(outputs))


def _shared(asked: Asked, builder: Builder, graph: Graph, batched: Graph, axes: Sequence[int | None]) -> Value:
    """The one output of a graph that is the same for all slices."""
    if not _varies(graph, axes):
        return graph.outputs[0]
    alone = remove_dead(graph)  # of a loop only what the output comes from
    if not _varies(alone, axes):
        return builder.inline(alone, batched.inputs)[0]
    raise ArgumentError(
        f"vmap of {function_name(asked.f)}: a result of type {graph.outputs[0].type} has out_axes None but is not the "
        "same for all slices",
        hint="give the place of the new axis, e.g. out_axes=0",
    )


def _varies(graph: Graph, axes: Sequence[int | None]) -> bool:
    """Whether the output of a graph differs from slice to slice."""
    return batched_outputs(graph, [axis is not None for axis in axes])[0]


def _vmap(asked: Asked, record: Record) -> Derivation:
    leaves = [leaf for leaf in asked.arguments.leaves if leaf.kind != STATIC]
    axes = _input_axes(asked)
    size = _size(asked, leaves, axes)
    types = [_without(leaf.type, axis) for leaf, axis in zip(leaves, axes, strict=True) if leaf.type is not None]
    recorded = record(types=types, columns=lambda _: Columns(size))
    graph = recorded.graph
    axes += [None] * (len(graph.inputs) - len(axes))
    out_axes = _output_axes(asked, recorded)
    whole = _placed(asked, graph, batch_at(graph, axes, size), axes, out_axes)
    in_jax = any(leaf.kind == JAX for leaf in leaves)
    kinds = [JAX if in_jax else ARRAY if y.shape else SCALAR for y in whole.outputs]
    return finished(recorded, whole, kinds, recorded.leaves, recorded.structure)


MODES["vmap"] = _vmap
