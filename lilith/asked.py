"""What a call asks for: the options of a transform, the arguments to differentiate by, what the result must be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lilith import tree
from lilith.ir.graph import Graph, Source
from lilith.ir.type import TensorType, dtype_name, is_inexact, kind
from lilith.result import Labels
from lilith.signature import STATIC, Arguments, describe, leaf_key, type_of
from lilith.source import ArgumentError, DtypeError, GradientError, ShapeError, definition
from lilith.trace import Recorded, Traced
from lowering.runtime import ARRAY, JAX, PYTHON, SCALAR


class Spec(NamedTuple):
    """What is wanted of a function.

    Attributes:
        gradient: value and gradient, or the value alone.
        wrt: the arguments to differentiate by (index, name, or a tuple of them); None for all that can be.
        has_aux: the function returns `(value, aux)`.
        cotangent: with each call a structure of further arrays is given: a cotangent of the result, which may then
            have any shape, or tangents.
        mode: another transform than these, by its name in `lilith.derive.MODES`, with its own `options` (hashable).
        donate: the arguments that are given up: their memory may be used for the results.
    """

    gradient: bool
    wrt: Any = None
    has_aux: bool = False
    cotangent: bool = False
    mode: str = ""
    options: Any = None
    donate: tuple[int | str, ...] = ()


_specs: dict[Spec, Spec] = {}


def interned(spec: Spec) -> Spec:
    """The same options always give the same object: warm paths are found by its id."""
    return _specs.setdefault(spec, spec)


LEAF = tree.flatten(0.0)[1]
"""The structure of one array by itself."""


def plain_leaf(structure: Any) -> Any:
    return LEAF if structure == LEAF else structure


def function_name(f: Any) -> str:
    """What the function is called in texts: its name, or its class's."""
    return getattr(f, "__name__", None) or type(f).__name__


def gradient_source(graph: Graph) -> Source | None:
    """The user's line that computed the graph's first output."""
    node = graph.producers().get(graph.outputs[0]) if graph.outputs else None
    return node.source if node is not None else None


# ---- which arguments --------------------------------------------------------------------------------------------


def asked_arguments(f: Callable[..., Any], spec: Spec, arguments: Arguments) -> list[int]:
    """The arguments whose gradients are asked for, in the order of `wrt`."""
    if spec.wrt is None:
        return list(range(len(arguments.names)))
    return chosen_arguments(f, "wrt", spec.wrt if isinstance(spec.wrt, tuple) else (spec.wrt,), arguments)


def chosen_arguments(f: Callable[..., Any], option: str, items: Sequence[Any], arguments: Arguments) -> list[int]:
    """Which arguments an option names, by position or name."""
    chosen = []
    for item in items:
        count = sum(p is not None for p in arguments.positions)
        if isinstance(item, str):
            if item not in arguments.names:
                raise ArgumentError(
                    f"{option}={item!r}: {function_name(f)} was called without such an argument",
                    hint=f"its arguments are {', '.join(arguments.names)}",
                )
            index = arguments.names.index(item)
        elif isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            index = int(item) + count if item < 0 else int(item)
            if not 0 <= index < count:
                raise ArgumentError(
                    f"{option}={item}: {function_name(f)} was called with {count} positional arguments",
                    hint=f"positions count from 0; keyword arguments are named: {option}='scale'",
                )
        else:
            raise ArgumentError(
                f"{option}={item!r}: takes an index, a parameter name or a tuple of them",
                hint=f"e.g. {option}=(0, 'scale')",
            )
        chosen.append(index)
    return chosen


def wanted_leaves(f: Callable[..., Any], spec: Spec, arguments: Arguments) -> list[int]:
    """Indices, among the dynamic leaves, of those to differentiate by."""
    asked = asked_arguments(f, spec, arguments)
    pairs = zip(arguments.leaves, arguments.declared_static(), strict=True)
    flags = [(leaf, static) for leaf, static in pairs if leaf.kind != STATIC]
    dynamic = [leaf for leaf, _ in flags]
    wanted = [
        i
        for i, (leaf, static) in enumerate(flags)
        if leaf.argument in asked
        and not static
        and is_inexact(type_of(leaf.value).dtype)
        and arguments.first_of(i) == i
    ]
    for argument in sorted(asked) if spec.wrt is not None else ():
        if not any(dynamic[i].argument == argument for i in wanted):
            _refuse_argument(f, spec, arguments, argument)
    if not wanted:
        described = ", ".join(f"{leaf.path}: {_type_text(leaf)}" for leaf in arguments.leaves) or "no arguments"
        first = next((leaf.value for leaf in arguments.leaves if type(leaf.value) is int), None)
        remedy = f"ints are static; say {float(first)!r}" if first is not None else "pass floats or float arrays"
        raise GradientError(
            f"{spec.mode or 'grad'} of {function_name(f)}: no differentiable argument ({described})",
            hint=f"{remedy}; integer arrays: x.astype(float)",
        )
    return wanted


def _refuse_argument(f: Callable[..., Any], spec: Spec, arguments: Arguments, argument: int) -> None:
    leaves = [leaf for leaf in arguments.leaves if leaf.argument == argument]
    raise GradientError(
        f"{spec.mode or 'grad'} of {function_name(f)}: argument {arguments.names[argument]!r} "
        f"({', '.join(_type_text(leaf) for leaf in leaves)}) is not differentiable",
        hint="pass a float or a float array, e.g. 10.0 instead of 10, x.astype(float)",
    )


def _type_text(leaf: Any) -> str:
    return type(leaf.value).__name__ if leaf.kind in (STATIC, PYTHON) else repr(leaf.type)


class Kept:
    """What a gradient has of the argument itself: a field that its class declares to be no data."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kept) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def gradient_entries(
    f: Callable[..., Any], spec: Spec, arguments: Arguments, wanted: list[int], first: int, zeros: frozenset[str]
) -> tuple[Labels, list[Any]]:
    """The labels of the result and, per argument, where its gradient's leaves are among the outputs."""
    asked = asked_arguments(f, spec, arguments)
    output = {leaf: first + k for k, leaf in enumerate(wanted)}
    leaves: list[list[int | Kept | None]] = [[] for _ in arguments.structures]
    count = 0
    for leaf, static in zip(arguments.leaves, arguments.declared_static(), strict=True):
        place = None if leaf.kind == STATIC else output.get(arguments.first_of(count))
        leaves[leaf.argument].append(Kept(leaf.value) if static and place is None else place)
        count += leaf.kind != STATIC
    entries = [
        None
        if not any(isinstance(i, int) for i in indices)
        else indices[0]
        if structure == LEAF
        else (structure, indices)
        for structure, indices in zip(arguments.structures, leaves, strict=True)
    ]
    return Labels(
        function_name(f),
        arguments.positions,
        arguments.names,
        tuple([i in asked for i in range(len(arguments.names))]),
        zeros,
    ), entries


# ---- what comes out ---------------------------------------------------------------------------------------------


def value_kind(type: TensorType, inputs: list[str]) -> str:
    """What a result becomes: a jax.Array if a differentiated argument is one, else what NumPy would give."""
    if JAX in inputs:
        return JAX
    if type.weak and kind(type.dtype) in "fc":
        return PYTHON
    return ARRAY if type.shape else SCALAR


def split_aux(f: Callable[..., Any], spec: Spec, recorded: Recorded) -> tuple[list[Any], Any]:
    """The leaves of the value without those of aux, and the structure of both."""
    if not spec.has_aux:
        return recorded.leaves, plain_leaf(recorded.structure)
    whole = tree.unflatten(recorded.structure, list(range(len(recorded.leaves))))
    if not (isinstance(whole, tuple) and len(whole) == 2):
        raise ArgumentError(
            f"has_aux=True: {function_name(f)} must return a pair (value, aux), it returned {type(whole).__name__}",
            hint="return (loss, anything), or leave has_aux out",
        )
    count = len(tree.flatten(whole[0])[0])
    return recorded.leaves[:count], recorded.structure


def check_scalar(
    f: Callable[..., Any], graph: Graph, values: list[Any], main: list[int], transform: str = "grad"
) -> None:
    """Without a cotangent the value must be one real floating scalar."""
    name, source = function_name(f), gradient_source(graph)
    if len(values) == 1 and not main and isinstance(values[0], int):
        return  # a constant: nothing depends on any argument
    if len(values) == 1 and not main:
        raise GradientError(
            f"{transform} of {name}: it returns {type(values[0]).__name__} {values[0]!r}, not a number",
            hint="return a real floating number",
            source=definition(f),
        )
    if len(values) != 1:
        got = ", ".join(repr(graph.outputs[v.output].type) if isinstance(v, Traced) else repr(v) for v in values)
        raise GradientError(
            f"{transform} of {name}: it returns {len(values)} values ({got}), not one scalar",
            hint="return one number; has_aux=True if it returns (value, aux); or give cotangent=",
            source=source,
        )
    got_type = graph.outputs[main[0]].type
    if got_type.shape:
        raise ShapeError(
            f"{transform} of {name}: it returns {got_type}, not a scalar",
            hint="sum it up, e.g. np.sum(...); or give a cotangent of that shape: grad(f, x, cotangent=v)",
            source=source,
        )
    if kind(got_type.dtype) == "c":
        raise GradientError(
            f"{transform} of {name}: it returns a complex number ({got_type})",
            hint="return a real one, e.g. np.abs(z) or z.real; or give cotangent=",
            source=source,
        )
    if kind(got_type.dtype) != "f" and not values[0].constant:
        raise GradientError(
            f"{transform} of {name}: it returns {dtype_name(got_type.dtype)}, which has no derivative",
            hint="return a floating number",
            source=source,
        )


def check_cotangent(name: str, cotangent: Any, wanted: Sequence[Any], structure: Any, source: Source | None) -> None:
    """A cotangent has the value's structure, with arrays of its shapes and dtypes, None for what has no derivative.

    Arguments:
        wanted: the types of the value's leaves; of static ones the object.
        structure: the value's.
        source: the line that made the value.
    """
    given, given_structure = tree.flatten(cotangent)
    if given_structure != structure:
        raise ArgumentError(
            f"cotangent of {name}: its structure {shown_structure(given_structure, len(given))} is not the value's, "
            f"{shown_structure(structure, len(wanted))}",
            hint="give an array for an array, a dict with the same keys in the same order for a dict, and so on",
            source=source,
        )
    for leaf, want in zip(given, wanted, strict=True):
        check_given("cotangent", name, leaf, want, "a value", source)


def shown_structure(structure: Any, count: int) -> Any:
    """A structure of so many leaves for texts: with `array` in their places."""
    return tree.unflatten(structure, ["array"] * count)


def check_given(what: str, name: str, leaf: Any, want: Any, of: str, source: Source | None = None) -> None:
    """A cotangent (or tangent) of an array has its shape and dtype; None stands for what has no derivative."""
    got = describe(leaf)[1]
    if not isinstance(want, TensorType) or not is_inexact(want.dtype):
        if got is not None:
            shown = want if isinstance(want, TensorType) else repr(want)
            raise DtypeError(
                f"{what} of {name}: {got} for {shown}, which has no derivative", hint="give None there", source=source
            )
    elif got is None or got.shape != want.shape:
        raise ShapeError(
            f"{what} of {name}: {got or repr(leaf)} for {of} {want}",
            hint=f"give an array of shape {want.shape}",
            source=source,
        )
    elif got.dtype != want.dtype and not got.weak:
        raise DtypeError(
            f"{what} of {name}: {got} for {of} {want}", hint=f"convert it: v.astype(np.{want.dtype})", source=source
        )


def leaf_types(recorded: Recorded, positions: Sequence[int]) -> list[Any]:
    """The types of some leaves of a function's result; of static ones the object."""
    leaves = [recorded.leaves[i] for i in positions]
    return [recorded.graph.outputs[x.output].type if isinstance(x, Traced) else x for x in leaves]


def cotangent_leaves(cotangent: Any) -> list[Any]:
    """The arrays of a cotangent, in the order of the graph's inputs for it."""
    return [leaf for leaf in tree.flatten(cotangent)[0] if tree.is_dynamic(leaf)]


def cotangent_key(cotangent: Any) -> tuple:
    leaves, structure = tree.flatten(cotangent)
    return structure, tuple(leaf_key(leaf) for leaf in leaves)
