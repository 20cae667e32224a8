"""Value, Node and Graph: frozen SSA; and the Builder that everything which makes nodes writes to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lilith.ir.type import TensorType


class VerifyError(AssertionError):
    """A graph broke a rule of the graph language; always a mistake in Lilith, never in the user's program."""


class Source(NamedTuple):
    """Where in the user's program a node comes from: a code object and the offset of an instruction in it.

    The line is looked up only when somebody reads it.
    """

    code: Any
    offset: int

    @property
    def file(self) -> str:
        return self.code.co_filename

    @property
    def function(self) -> str:
        return self.code.co_name

    @property
    def line(self) -> int:
        for start, end, line in self.code.co_lines():
            if start <= self.offset < end and line is not None:
                return line
        return self.code.co_firstlineno


class Value:
    """One array in a graph: a type and an identity. Who computes it is known to the graph, not to the value.

    The operators are for derivative rules; they are strict (same type both sides, a Python number adapts).
    """

    __slots__ = ("type",)

    def __init__(self, type: TensorType):
        self.type = type

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    @property
    def dtype(self) -> np.dtype:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return len(self.type.shape)

    def __repr__(self) -> str:
        return f"<value {self.type}>"

    def __add__(self, other: Any) -> Value:
        return _operator("add", self, other)

    def __radd__(self, other: Any) -> Value:
        return _operator("add", other, self)

    def __sub__(self, other: Any) -> Value:
        return _operator("sub", self, other)

    def __rsub__(self, other: Any) -> Value:
        return _operator("sub", other, self)

    def __mul__(self, other: Any) -> Value:
        return _operator("mul", self, other)

    def __rmul__(self, other: Any) -> Value:
        return _operator("mul", other, self)

    def __truediv__(self, other: Any) -> Value:
        return _operator("div", self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return _operator("div", other, self)

    def __neg__(self) -> Value:
        return PRIMITIVES["neg"](self)


def _operator(name: str, x: Any, y: Any) -> Value:
    if not isinstance(x, Value):
        x = fill_like(y, x)
    elif not isinstance(y, Value):
        y = fill_like(x, y)
    return PRIMITIVES[name](x, y)


def fill_like(x: Value, number: Any) -> Value:
    """An array of x's shape and dtype, every element `number`."""
    return PRIMITIVES["fill"](value=x.dtype.type(number).item(), shape=x.shape, dtype=x.dtype)


class Literal:
    """A constant array as a node's parameter: hashable by content, read-only."""

    __slots__ = ("_key", "array")

    def __init__(self, array: Any):
        self.array = np.array(array, order="C")
        self.array.flags.writeable = False
        self._key: tuple | None = None

    @property
    def key(self) -> tuple:
        if self._key is None:
            self._key = (self.array.shape, self.array.dtype, self.array.tobytes())
        return self._key

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Literal) and self.key == other.key)

    def __repr__(self) -> str:
        if self.array.size <= 8:
            return str(self.array.tolist()).replace(" ", "")
        return f"<{TensorType(self.array.shape, self.array.dtype)}>"


class Node:
    """One application of a primitive: operands in, results out, static parameters, the user's line."""

    __slots__ = ("operands", "params", "primitive", "results", "source")

    def __init__(
        self,
        primitive: Primitive,
        operands: tuple[Value, ...],
        params: dict[str, Any],
        results: tuple[Value, ...],
        source: Source | None,
    ):
        self.primitive = primitive
        self.operands = operands
        self.params = params
        self.results = results
        self.source = source

    def graphs(self) -> tuple[Graph, ...]:
        """The graphs among the parameters: branches, the body of a loop."""
        found: list[Graph] = []
        for name in self.primitive.graphs:
            value = self.params[name]
            found += value if isinstance(value, tuple) else (value,)
        return tuple(found)

    @property
    def effect(self) -> bool:
        """Whether the node is kept even when nobody uses its results: it, or a node in one of its graphs."""
        primitive = self.primitive
        return primitive.effect or (
            bool(primitive.graphs) and any(node.effect for graph in self.graphs() for node in graph.nodes)
        )

    def __repr__(self) -> str:
        return f"<node {self.primitive.name}>"


class _Current(threading.local):
    builder: Builder | None = None


current = _Current()
"""`current.builder`: the builder that primitives called in this thread write to, None outside of any."""


def current_builder() -> Builder:
    """The builder that primitives called in this thread write to."""
    builder = current.builder
    if builder is None:
        raise RuntimeError("a primitive was called outside of a builder: call it in a traced function or a rule")
    return builder


class Builder:
    """Collects nodes. `with Builder() as b:` makes it the one that primitives write to in this thread.

    Attributes:
        nodes: the nodes so far, in order.
        source: the user's line that new nodes are booked on.
        strong_zeros: whether derivative rules must keep zeros of the incoming cotangent zero (see `Primitive.masks`).
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.source: Source | None = None
        self.strong_zeros = False
        self._outer: list[Builder | None] = []

    def __enter__(self):
        self._outer.append(current.builder)
        current.builder = self
        return self

    def __exit__(self, *_: object) -> None:
        current.builder = self._outer.pop()

    @property
    def around(self) -> Builder | None:
        """The builder that was current before this one."""
        return self._outer[-1] if self._outer else None

    def emit(self, primitive: Primitive, operands: tuple[Value, ...], params: dict[str, Any]) -> Any:
        """Record one node; returns its result, or a tuple of results where the primitive has several."""
        type = primitive.type(*[x.type for x in operands], **params)
        if type.__class__ is tuple:
            results = tuple([Value(t) for t in type])
            self.nodes.append(Node(primitive, operands, params, results, self.source))
            return results
        result = Value(type)
        self.nodes.append(Node(primitive, operands, params, (result,), self.source))
        return result

    def widen(self, results: tuple[Value, ...], params: dict[str, Any]) -> tuple[Value, ...]:
        """Have the node that computes `results` compute more: it gets other parameters, which add results at the end.

        The rule of a loop's derivative uses this to have the loop keep what the way back needs.

        Returns:
            The added results.
        """
        nodes = self.nodes
        place = next(i for i in range(len(nodes) - 1, -1, -1) if nodes[i].results[:1] == results[:1])
        node = nodes[place]
        types = node.primitive.type(*[x.type for x in node.operands], **params)
        added = tuple([Value(t) for t in types[len(results) :]])
        nodes[place] = Node(node.primitive, node.operands, params, results + added, node.source)
        return added

    def inline(self, graph: Graph, values: Sequence[Value]) -> list[Value]:
        """Append a graph's nodes with its inputs replaced by `values`; returns its outputs."""
        env = dict(zip(graph.inputs, values, strict=True))
        append = self.nodes.append
        for node in graph.nodes:
            results = tuple([Value(r.type) for r in node.results])
            operands = tuple([env[x] for x in node.operands])
            append(Node(node.primitive, operands, node.params, results, node.source or self.source))
            env.update(zip(node.results, results, strict=True))
        return [env[y] for y in graph.outputs]


@dataclass(frozen=True, eq=False, slots=True)
class Graph:
    """A program in static single assignment form: every value is an input or the result of exactly one node.

    Attributes:
        name: the user's function.
        inputs, input_names: its parameters.
        nodes: in an order in which they can be run.
        outputs: what it returns.
    """

    name: str
    inputs: tuple[Value, ...]
    input_names: tuple[str, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Value, ...]

    def __str__(self) -> str:
        from lilith.ir.printer import print_graph

        return print_graph(self)

    def __repr__(self) -> str:
        return f"<graph {self.name}: {len(self.inputs)} inputs, {len(self.nodes)} nodes, {len(self.outputs)} outputs>"

    def _repr_html_(self) -> str:
        from lilith.ir.printer import highlighted, print_graph

        return highlighted(print_graph(self), comment="#")

    def dot(self) -> str:
        """The graph in Graphviz's language: what computes the value and what its gradient adds, in two colours."""
        from lilith.ir.dot import dot

        return dot(self)

    def producers(self) -> dict[Value, Node]:
        """Which node computes a value; inputs are absent."""
        return {result: node for node in self.nodes for result in node.results}

    def with_outputs(self, outputs: Iterable[Value]) -> Graph:
        return Graph(self.name, self.inputs, self.input_names, self.nodes, tuple(outputs))

    def bind(self, index: int, make: Callable[[TensorType], Value]) -> Graph:
        """This graph with input `index` computed by `make(type)`, a function that calls primitives, instead of
        given."""
        old = self.inputs[index]
        with Builder() as builder:
            new = make(old.type)
            kept = [x for x in self.inputs if x is not old]
            env: dict[Value, Value] = {old: new}
            for node in self.nodes:
                operands = tuple([env.get(x, x) for x in node.operands]) if old in node.operands else node.operands
                builder.nodes.append(Node(node.primitive, operands, node.params, node.results, node.source))
        names = self.input_names[:index] + self.input_names[index + 1 :]
        outputs = tuple([env.get(y, y) for y in self.outputs])
        return Graph(self.name, tuple(kept), names, tuple(builder.nodes), outputs)

    def verify(self) -> Graph:
        """Check single assignment, order, types and parameters; returns the graph, raises VerifyError."""
        defined: set[Value] = set()
        if len(self.inputs) != len(self.input_names):
            raise VerifyError(f"{self.name}: {len(self.inputs)} inputs but {len(self.input_names)} names")

        def define(value: Value) -> None:
            if value in defined:
                raise VerifyError(f"{self.name}: {value} is defined twice")
            defined.add(value)

        for value in self.inputs:
            define(value)
        for node in self.nodes:
            for x in node.operands:
                if x not in defined:
                    raise VerifyError(f"{self.name}: {node} reads {x} before it is defined")
            types = node.primitive.type(*[x.type for x in node.operands], **node.params)
            types = types if isinstance(types, tuple) else (types,)
            if len(types) != len(node.results) or not all(
                t.matches(r.type) for t, r in zip(types, node.results, strict=True)
            ):
                raise VerifyError(f"{self.name}: {node} gives {types}, its results say {node.results}")
            hash(tuple(sorted(node.params.items())))
            for graph in node.graphs():
                graph.verify()
            for result in node.results:
                define(result)
        for y in self.outputs:
            if y not in defined:
                raise VerifyError(f"{self.name}: output {y} is not defined")
        return self


from lilith.ir.primitive import PRIMITIVES, Primitive  # noqa: E402  (graph and primitive name each other)
