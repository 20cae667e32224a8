"""The derivations of vjp, jvp, jacobian, hessian, hvp and vmap: from a call to the graph that answers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from lilith import tree
from lilith.asked import (
    asked_arguments,
    check_given,
    check_scalar,
    function_name,
    gradient_entries,
    gradient_source,
    leaf_types,
    plain_leaf,
    shown_structure,
    value_kind,
    wanted_leaves,
)
from lilith.derive import MODES, Asked, Derivation, unused_paths
from lilith.ir.graph import Builder, Graph, Value, fill_like
from lilith.ir.type import TensorType, is_inexact, kind
from lilith.pullback import PullbackPlan
from lilith.signature import STATIC, Leaf
from lilith.source import ArgumentError, DtypeError, GradientError
from lilith.trace import Recorded, Traced
from lilith.transform.forward import forward
from lilith.transform.jacobian import jacobian
from lilith.transform.reverse import reverse
from lilith.transform.roll import Columns
from lilith.transform.simplify import simplify
from lilith.transform.split import split
from lowering.runtime import ARRAY, JAX, PYTHON, SCALAR

Record = Callable[..., Recorded]
_NOTHING = tree.flatten(())[1]
_gradients = itemgetter(1)  # of the pair (value, gradients)


class _Call(NamedTuple):
    """A traced call.

    Attributes:
        recorded: what tracing found.
        graph: the recorded graph; the guards' predicates follow its outputs.
        dynamic: the arguments' leaves that are its first inputs.
        wanted: which of them to differentiate by.
        kinds: of the graph's outputs.
    """

    recorded: Recorded
    graph: Graph
    dynamic: list[Leaf]
    wanted: list[int]
    kinds: list[str]


def _traced(
    asked: Asked, record: Record, wanted: list[int], columns: Callable[[Graph], Columns] | None = None
) -> _Call:
    recorded = record(columns=columns)
    dynamic = _dynamic(asked)
    inputs = [dynamic[i].kind for i in wanted]
    kinds = [value_kind(y.type, inputs) for y in recorded.graph.outputs]
    guards = [guard.value for guard in recorded.guards]
    graph = recorded.graph.with_outputs((*recorded.graph.outputs, *guards))
    return _Call(recorded, graph, dynamic, wanted, kinds)


def _dynamic(asked: Asked) -> list[Leaf]:
    return [leaf for leaf in asked.arguments.leaves if leaf.kind != STATIC]


def finished(
    recorded: Recorded, graph: Graph, kinds: Sequence[str], leaves: list[Any], structure: Any, **more: Any
) -> Derivation:
    """The derivation with a graph whose last outputs are the guards' predicates."""
    entries, labels = more.pop("entries", []), more.pop("labels", None)
    return Derivation(
        simplify(graph),
        (*kinds, *[ARRAY] * len(recorded.guards)),
        leaves,
        plain_leaf(structure),
        entries,
        labels,
        recorded.captured,
        recorded.hoisted,
        recorded.guards,
        rolled=recorded.rolled,
        **more,
    )


def _joined(*parts: tuple[list[Any], Any]) -> tuple[list[Any], Any]:
    """Leaves and structure of the tuple of some structures, each given by its leaves and its structure."""
    every: list[Any] = []
    built = []
    for leaves, structure in parts:
        built.append(tree.unflatten(structure, range(len(every), len(every) + len(leaves))))
        every += leaves
    places, structure = tree.flatten(tuple(built))
    return [every[i] for i in places], structure


# ---- vjp, jvp --------------------------------------------------------------------------------------------------------


def _vjp(asked: Asked, record: Record) -> Derivation:
    """The value and what the pullback needs; the pullback is a program of its own."""
    f, spec, arguments, _ = asked
    call = _traced(asked, record, wanted_leaves(f, spec, arguments))
    recorded, graph, wanted = call.recorded, call.graph, call.wanted
    count = len(recorded.graph.outputs)
    pulled = simplify(reverse(graph, wanted))
    first, second = split(pulled, len(graph.inputs), len(graph.outputs))
    residuals = first.outputs[len(graph.outputs) :]
    first = first.with_outputs((*first.outputs[:count], *residuals, *first.outputs[count : len(graph.outputs)]))
    unused = unused_paths(arguments, recorded.graph, wanted)
    labels, entries = gradient_entries(f, spec, arguments, wanted, 0, unused)
    plan = PullbackPlan(
        Derivation(
            simplify(second),
            tuple([call.dynamic[i].kind for i in wanted]),
            [],
            _NOTHING,
            entries,
            labels,
            [],
            [],
            finish=_gradients,
        ),
        function_name(f),
        leaf_types(recorded, range(len(recorded.leaves))),
        recorded.structure,
        gradient_source(recorded.graph),
    )
    kept = [Traced(count + i, False) for i in range(len(residuals))]
    leaves, structure = _joined((recorded.leaves, recorded.structure), (kept, tree.flatten(list(range(len(kept))))[1]))
    kinds = [*call.kinds, *[JAX] * len(residuals)]
    return finished(recorded, first, kinds, leaves, structure, finish=plan.bound, residuals=len(residuals))


def _given_tangents(asked: Asked) -> list[int]:
    """Which dynamic leaves have a tangent; errors for tangents that do not fit."""
    f, spec, arguments, tangents = asked
    name = f"{spec.mode} of {function_name(f)}"
    if len(tangents) != len(arguments.names):
        raise ArgumentError(
            f"{name}: {len(tangents)} tangents for {len(arguments.names)} arguments",
            hint="one for each argument, None for an argument that does not move",
        )
    wanted: list[int] = []
    position = 0
    for i, (tangent, structure) in enumerate(zip(tangents, arguments.structures, strict=True)):
        leaves = [leaf for leaf in arguments.leaves if leaf.argument == i]
        given, given_structure = tree.flatten(tangent)
        if tangent is None:
            given = [None] * len(leaves)
        elif given_structure != structure:
            raise ArgumentError(
                f"{name}: the tangent of {arguments.names[i]} has the structure "
                f"{shown_structure(given_structure, len(given))}, not the argument's, "
                f"{shown_structure(structure, len(leaves))}",
                hint="give the same dict, list or object with tangents in place of its arrays",
            )
        for leaf, t in zip(leaves, given, strict=True):
            if t is not None:
                check_given("tangent", leaf.path, t, leaf.type or leaf.value, "an argument")
                if leaf.kind != STATIC:  # what is static may stand in the direction as it is
                    wanted.append(position)
            position += leaf.kind != STATIC
    if not wanted:
        raise GradientError(f"{name}: no argument has a tangent", hint="give one for a float or a float array")
    return wanted


def _jvp(asked: Asked, record: Record) -> Derivation:
    call = _traced(asked, record, _given_tangents(asked))
    recorded, graph = call.recorded, call.graph
    pushed = forward(graph, call.wanted)
    count, total = len(recorded.graph.outputs), len(graph.outputs)
    tangents = pushed.outputs[total:]
    whole = pushed.with_outputs((*pushed.outputs[:count], *tangents, *pushed.outputs[count:total]))
    moving = [i for i, y in enumerate(recorded.graph.outputs) if is_inexact(y.dtype)]
    place = {output: Traced(count + k, False) for k, output in enumerate(moving)}
    dy = [place.get(leaf.output) if isinstance(leaf, Traced) else None for leaf in recorded.leaves]
    leaves, structure = _joined((recorded.leaves, recorded.structure), (dy, recorded.structure))
    return finished(recorded, whole, [*call.kinds, *[call.kinds[i] for i in moving]], leaves, structure)


# ---- jacobian, hessian, hvp ------------------------------------------------------------------------------------------


def _refuse_complex(asked: Asked, leaves: Sequence[Leaf]) -> None:
    for leaf in leaves:
        if leaf.type is not None and kind(leaf.type.dtype) == "c":
            raise DtypeError(
                f"{asked.spec.mode} of {function_name(asked.f)}: {leaf.path} is {leaf.type}; one complex number per "
                "element does not tell how a function changes with real and imaginary part",
                hint="make it a function of the real and the imaginary part, two real arrays",
            )


def _by_argument(asked: Asked, wanted: Sequence[int]) -> tuple[list[int | None], Any]:
    """The structure of what `wrt` names, its leaves the places in `wanted`; None for those that are not in there."""
    spec, arguments = asked.spec, asked.arguments
    place = {leaf: k for k, leaf in enumerate(wanted)}
    leaves: list[list[int | None]] = [[] for _ in arguments.structures]
    count = 0
    for leaf in arguments.leaves:
        leaves[leaf.argument].append(None if leaf.kind == STATIC else place.get(arguments.first_of(count)))
        count += leaf.kind != STATIC
    order = asked_arguments(asked.f, spec, arguments)
    built = [tree.unflatten(arguments.structures[i], leaves[i]) for i in order]
    return tree.flatten(built[0] if isinstance(spec.wrt, (int, str)) else tuple(built))


def _blocks(
    call: _Call, outer: tuple[list[Any], Any], inner: tuple[list[int | None], Any], first: int
) -> tuple[list[Any], Any]:
    """Leaves and structure of a tree of trees: a leaf k of `outer`, combined with a leaf j of `inner`, is the block
    number `k * n + j`, and output number `first` plus that; a leaf None stays None."""
    n = len(call.wanted)
    inside, structure = inner
    rows = [
        None if k is None else tree.unflatten(structure, [None if j is None else k * n + j for j in inside])
        for k in outer[0]
    ]
    numbers, whole = tree.flatten(tree.unflatten(outer[1], rows))
    return [None if i is None else Traced(first + i, False) for i in numbers], whole


def _block_kind(y: TensorType, x: Leaf, inputs: Sequence[str]) -> str:
    if JAX in inputs:
        return JAX
    if y.shape or (x.type is not None and x.type.shape):
        return ARRAY
    return PYTHON if y.weak and x.kind == PYTHON else SCALAR


def _jacobian(asked: Asked, record: Record) -> Derivation:
    f, spec, arguments, _ = asked
    wanted = wanted_leaves(f, spec, arguments)
    call = _traced(asked, record, wanted, lambda graph: _columns(asked, graph, wanted))
    recorded = call.recorded
    _refuse_complex(asked, [call.dynamic[i] for i in call.wanted])
    moving = [i for i, y in enumerate(recorded.graph.outputs) if is_inexact(y.dtype)]
    if not moving:
        raise GradientError(
            f"jacobian of {function_name(f)}: it returns nothing that has a derivative", hint="return floating arrays"
        )
    results = [recorded.graph.outputs[i] for i in moving]
    sources = [call.dynamic[i] for i in call.wanted]
    graph = call.graph.with_outputs((*results, *call.graph.outputs[len(recorded.graph.outputs) :]))
    whole = jacobian(graph, call.wanted, _in_reverse(asked, results, [graph.inputs[i] for i in call.wanted]))
    total = len(graph.outputs)
    whole = whole.with_outputs((*whole.outputs[total:], *whole.outputs[len(results) : total]))
    inputs = [x.kind for x in sources]
    kinds = [_block_kind(y.type, x, inputs) for y in results for x in sources]
    place = {output: k for k, output in enumerate(moving)}
    rows = [place.get(leaf.output) if isinstance(leaf, Traced) else None for leaf in recorded.leaves]
    leaves, structure = _blocks(call, (rows, recorded.structure), _by_argument(asked, call.wanted), 0)
    return finished(recorded, whole, kinds, leaves, structure)


def _columns(asked: Asked, graph: Graph, wanted: Sequence[int]) -> Columns:
    """How many tangents a Jacobian pushes through a graph, or cotangents through its reverse."""
    results, sources = [y for y in graph.outputs if is_inexact(y.dtype)], [graph.inputs[i] for i in wanted]
    if any(kind(x.dtype) == "c" for x in (*results, *sources)):
        return Columns()
    if _in_reverse(asked, results, sources):
        return Columns(sum(y.type.size for y in results), tuple(sources), linear=True)
    return Columns(sum(x.type.size for x in sources), linear=True)


def _in_reverse(asked: Asked, results: Sequence[Value], sources: Sequence[Value]) -> bool:
    """Whether reverse mode is asked for or, if that is left open, has fewer rows than forward mode has columns."""
    mode = asked.spec.options
    has_complex = any(kind(y.dtype) == "c" for y in results)
    if mode == "reverse" and has_complex:
        raise GradientError(
            f"jacobian of {function_name(asked.f)} in reverse mode: it returns complex numbers", hint='mode="forward"'
        )
    rows, columns = sum(y.type.size for y in results), sum(x.type.size for x in sources)
    return not has_complex and (mode == "reverse" or (mode == "auto" and rows < columns))


def _gradient_graph(asked: Asked, call: _Call, differentiable: list[int]) -> Graph:
    """`(x...) -> (x̄..., guard...)` of a scalar function."""
    recorded = call.recorded
    main = [leaf.output for leaf in recorded.leaves if isinstance(leaf, Traced)]
    check_scalar(asked.f, recorded.graph, recorded.leaves, main, asked.spec.mode)
    guards = call.graph.outputs[len(recorded.graph.outputs) :]
    pulled = reverse(call.graph.with_outputs((*[call.graph.outputs[i] for i in main], *guards)), differentiable)
    pulled = pulled.with_outputs((*pulled.outputs[len(main) + len(guards) :], *guards))
    for _ in range(len(pulled.inputs) - len(call.graph.inputs)):
        pulled = pulled.bind(len(call.graph.inputs), lambda type: fill_like(Value(type), 1))
    return simplify(pulled)


def _hessian(asked: Asked, record: Record) -> Derivation:
    """Forward over reverse: the Jacobian of the gradient, a column per element."""
    f, spec, arguments, _ = asked
    call = _traced(asked, record, wanted_leaves(f, spec, arguments))
    sources = [call.dynamic[i] for i in call.wanted]
    _refuse_complex(asked, sources)
    graph = _gradient_graph(asked, call, call.wanted)
    whole = jacobian(graph, call.wanted, False)
    total = len(graph.outputs)
    whole = whole.with_outputs((*whole.outputs[total:], *whole.outputs[len(sources) : total]))
    inputs = [x.kind for x in sources]
    types = [graph.inputs[i].type for i in call.wanted]
    kinds = [_block_kind(y, x, inputs) for y in types for x in sources]
    trees = _by_argument(asked, call.wanted)
    leaves, structure = _blocks(call, trees, trees, 0)
    return finished(call.recorded, whole, kinds, leaves, structure)


def _hvp(asked: Asked, record: Record) -> Derivation:
    """Forward over reverse along one direction, in the arguments that have a part of the direction.

    An array in several places moves in all of them; what belongs to it is the sum over its places.
    """
    f, spec = asked.f, asked.spec
    arguments = asked.arguments.tied()
    call = _traced(asked, record, _given_tangents(asked))
    sources = [call.dynamic[i] for i in call.wanted]
    _refuse_complex(asked, sources)
    graph = _gradient_graph(asked, call, call.wanted)
    total = len(graph.outputs)
    pushed = forward(graph, call.wanted)
    owners = [arguments.first_of(i) for i in call.wanted]
    whole = _summed(pushed, pushed.outputs[total:], owners, pushed.outputs[len(sources) : total])
    moving = tuple(dict.fromkeys([x.argument for x in sources]))
    wanted = list(dict.fromkeys(owners))
    labels, entries = gradient_entries(f, spec._replace(wrt=moving), arguments, wanted, 0, frozenset())
    kinds = [call.dynamic[i].kind for i in wanted]
    return finished(call.recorded, whole, kinds, [], _NOTHING, entries=entries, labels=labels, finish=_gradients)


def _summed(graph: Graph, parts: Sequence[Value], owners: Sequence[int], rest: Sequence[Value]) -> Graph:
    """The graph whose outputs are the sums of the parts with the same owner, in the order of owners, then the rest."""
    totals: dict[int, Value] = {}
    with Builder() as builder:
        builder.nodes.extend(graph.nodes)
        for part, owner in zip(parts, owners, strict=True):
            totals[owner] = totals[owner] + part if owner in totals else part
    return Graph(graph.name, graph.inputs, graph.input_names, tuple(builder.nodes), (*totals.values(), *rest))


MODES.update({"vjp": _vjp, "jvp": _jvp, "jacobian": _jacobian, "hessian": _hessian, "hvp": _hvp})
