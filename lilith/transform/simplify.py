"""Simplify: dead nodes, common subexpressions, constant folding, identities; Graph -> Graph of the same meaning.

What IEEE arithmetic distinguishes stays distinguished (x * 0 and x - x are kept: x may be infinite), with one
exception, as in every compiler of this kind: x + 0 is x, so that the sign of a zero may differ. Sums of products may be
added up in another order (`transform.contract`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Builder, Graph, Node, Value
from lilith.ir.interpret import evaluate
from lilith.ir.primitive import PRIMITIVES, Primitive
from lilith.ops import bessel, elementwise, special
from lilith.transform.contract import contracted
from lilith.transform.contract.terms import DTYPES
from lilith.transform.prune import live_nodes, remove_dead
from lilith.transform.shifts import without_shifts
from lilith.transform.tell import told_case, told_scan

_ELEMENTWISE = frozenset(
    p for family in (elementwise, special, bessel) for p in vars(family).values() if isinstance(p, Primitive)
)


__all__ = ["remove_dead", "simplify"]


def simplify(graph: Graph) -> Graph:
    """The graph without dead, repeated and foldable nodes; the bodies of its loops and branches too."""
    return _Simplifier(graph, {}).run()


def parameters_key(params: dict[str, Any]) -> tuple:
    """Parameters as a key. Numbers go by type and text as well: 0.0 is not -0.0, nor True 1."""
    if not params:
        return ()
    number = params.get("value")
    return (*sorted(params.items()), None if number is None else (type(number), str(number)))


class _Simplifier:
    def __init__(self, graph: Graph, bodies: dict[Graph, Graph]):
        self.graph = without_shifts(graph, differentiated=False)
        self.bodies = bodies  # as they were and as they are now: a body stays the same graph in all that have it
        self.env: dict[Value, Value] = {}
        self.producer: dict[Value, Node] = {}
        self.known: dict[tuple, tuple[Value, ...]] = {}
        self.uses: Counter[Value] = Counter()  # how often a value of the graph as it was is read

    def run(self) -> Graph:
        """The graph simplified; again where sums in it have been contracted."""
        simple = self.walked()
        found = contracted(simple)
        return simple if found is simple else _Simplifier(found, self.bodies).walked()

    def walked(self) -> Graph:
        graph, env = self.graph, self.env
        nodes = live_nodes(graph.nodes, graph.outputs)
        self.uses = Counter([x for node in nodes for x in node.operands] + list(graph.outputs))
        with Builder() as builder:
            for node in nodes:
                self.visit(builder, node, tuple([env.get(x, x) for x in node.operands]))
        outputs = tuple([env.get(y, y) for y in graph.outputs])
        nodes = live_nodes(builder.nodes, outputs)
        return Graph(graph.name, graph.inputs, graph.input_names, nodes, outputs)

    def visit(self, builder: Builder, node: Node, operands: tuple[Value, ...]) -> None:
        """Replace a node by a value that is already there, or keep it."""
        if node.primitive.graphs:
            if node.primitive.name == "case" and self.take_branch(builder, node, operands):
                return
            node, operands = self.with_simple_bodies(node, operands)
        rule = IDENTITIES.get(node.primitive.name)
        if rule is not None:
            builder.source = node.source
            start = len(builder.nodes)
            value = rule(self, node, operands)
            if value is not None:
                self.adopt(builder, node, value, start)
                return
        if operands and node.primitive in _ELEMENTWISE and self.fold(builder, node, operands):
            return
        key = (node.primitive, operands, parameters_key(node.params))
        found = self.known.get(key)
        if found is not None and not node.effect:
            self.env.update(zip(node.results, found, strict=True))
            return
        if operands != node.operands:
            node = Node(node.primitive, operands, node.params, node.results, node.source)
        self.known[key] = node.results
        for result in node.results:
            self.producer[result] = node
        builder.nodes.append(node)

    def take_branch(self, builder: Builder, node: Node, operands: tuple[Value, ...]) -> bool:
        """A case whose index is known is the branch."""
        index, branches = self.filled(operands[0]), node.params["branches"]
        if index is None:
            return False
        start = len(builder.nodes)
        builder.source = node.source
        results = builder.inline(branches[index if 0 <= index < len(branches) else -1], operands[1:])
        fresh = builder.nodes[start:]
        del builder.nodes[start:]
        for new in fresh:
            self.visit(builder, new, tuple([self.env.get(x, x) for x in new.operands]))
        self.env.update({y: self.env.get(x, x) for y, x in zip(node.results, results, strict=True)})
        return True

    def body(self, graph: Graph) -> Graph:
        """A nested graph, simplified."""
        found = self.bodies.get(graph)
        if found is None:
            found = self.bodies[graph] = _Simplifier(graph, self.bodies).run()
            self.bodies[found] = found
        return found

    def with_simple_bodies(self, node: Node, operands: tuple[Value, ...]) -> tuple[Node, tuple[Value, ...]]:
        """A loop or branch with its graphs simplified. What is the same number everywhere, or the same in all steps of
        a scan, is told to its body."""
        params = dict(node.params)
        for name in node.primitive.graphs:
            value = params[name]
            params[name] = tuple(map(self.body, value)) if isinstance(value, tuple) else self.body(value)
        results = node.results
        if node.primitive.name == "scan":
            params, operands, results, settled = told_scan(params, operands, results, self.filled)
            self.env.update(settled)
            if params["body"] is not node.params["body"]:
                params["body"] = self.body(params["body"])
        elif node.primitive.name == "case":
            params, operands = told_case(params, operands, self.filled)
            params["branches"] = tuple(map(self.body, params["branches"]))
        return Node(node.primitive, operands, params, results, node.source), operands

    def adopt(self, builder: Builder, node: Node, value: Value, start: int) -> None:
        """Use `value` for the node; what the rule emitted to compute it goes through the simplifier as well."""
        fresh = builder.nodes[start:]
        del builder.nodes[start:]
        for new in fresh:
            self.visit(builder, new, tuple([self.env.get(x, x) for x in new.operands]))
        self.env[node.results[0]] = self.env.get(value, value)

    def fold(self, builder: Builder, node: Node, operands: tuple[Value, ...]) -> bool:
        """An elementwise node of constants with one repeated element is such a constant."""
        numbers = [self.filled(x) for x in operands]
        if any(number is None for number in numbers):
            return False
        scalars = [np.asarray(number, dtype=x.dtype) for number, x in zip(numbers, operands, strict=True)]
        result = node.results[0]
        scalar = Node(node.primitive, (), node.params, (Value(result.type.with_shape(())),), None)
        (array,) = evaluate(scalar, scalars)
        start = len(builder.nodes)
        builder.source = node.source
        value = PRIMITIVES["fill"](value=array.item(), shape=result.shape, dtype=result.dtype)
        self.adopt(builder, node, value, start)
        return True

    def made_by(self, x: Value, name: str) -> Node | None:
        """The node that computes x if it is of that primitive."""
        node = self.producer.get(x)
        return node if node is not None and node.primitive.name == name else None

    def filled(self, x: Value) -> Any:
        """The one number that all elements of x are, None where that is not known."""
        node = self.made_by(x, "fill")
        return node.params["value"] if node is not None else None


# ---- identities: rule(simplifier, node, operands) gives the value to use instead, or None -----------------------

_Rule = Callable[[_Simplifier, Node, tuple[Value, ...]], Value | None]


def _add(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    x, y = operands
    if s.filled(x) == 0 or s.filled(y) == 0:
        return x if s.filled(y) == 0 else y
    if (minus := s.made_by(y, "neg")) is not None:
        return PRIMITIVES["sub"](x, minus.operands[0])
    if (minus := s.made_by(x, "neg")) is not None:
        return PRIMITIVES["sub"](y, minus.operands[0])
    return _one_sum(s, node, operands)


def _one_sum(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    """Two sums over arrays of one shape, which nobody else wants, are one: a single pass over what they add up. What
    products and extrema are summed to has better forms than that."""
    sums = [s.made_by(x, "reduce_sum") for x in operands]
    if sums[0] is None or sums[1] is None or any(s.uses[x] != 1 for x in node.operands):
        return None
    x, y = [total.operands[0] for total in sums if total is not None]
    makers = [s.producer.get(x), s.producer.get(y)]
    if (
        sums[0].params != sums[1].params or x.shape != y.shape or x.dtype not in DTYPES
    ):  # short dtypes are added up in longer ones
        return None
    if any(made is None or made.primitive not in _ELEMENTWISE for made in makers):
        return None
    return PRIMITIVES["reduce_sum"](PRIMITIVES["add"](x, y), **sums[0].params)


def _sub(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    x, y = operands
    if (minus := s.made_by(y, "neg")) is not None:
        return PRIMITIVES["add"](x, minus.operands[0])
    return x if s.filled(y) == 0 else None


def _mul(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    x, y = operands
    if s.filled(x) == 1:
        return y
    if s.filled(y) == 1:
        return x
    if s.filled(x) == -1 or s.filled(y) == -1:
        return PRIMITIVES["neg"](y if s.filled(x) == -1 else x)
    # a minus sign moves out, to where it is added
    if (minus := s.made_by(x, "neg")) is not None:
        return PRIMITIVES["neg"](PRIMITIVES["mul"](minus.operands[0], y))
    if (minus := s.made_by(y, "neg")) is not None:
        return PRIMITIVES["neg"](PRIMITIVES["mul"](x, minus.operands[0]))
    return None


def _div(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    return operands[0] if s.filled(operands[1]) == 1 else None


def _neg(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    inner = s.made_by(operands[0], "neg")
    return inner.operands[0] if inner is not None else None


def _scale_cotangent(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    """A known cotangent or a finite derivative needs no guard."""
    g, d = operands
    if s.filled(g) == 0:
        return g
    number = s.filled(d)
    if s.filled(g) is not None or (number is not None and np.isfinite(number)):
        return PRIMITIVES["mul"](g, d)
    return None


def _select(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    p, x, y = operands
    chosen = s.filled(p)
    return (x if chosen else y) if chosen is not None else x if x is y else None


def _integer_pow(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    return operands[0] if node.params["exponent"] == 1 else None


def _convert(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    return operands[0] if node.params["dtype"] == operands[0].dtype else None


def _same_shape(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    """Moving elements around: nothing to do where they do not move, and where all of them are equal."""
    (x,) = operands
    number = s.filled(x)
    if number is not None:
        return PRIMITIVES["fill"](value=number, shape=node.results[0].shape, dtype=x.dtype)
    return None


def _reshape(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    (x,) = operands
    shape = node.params["shape"]
    if shape == x.shape:
        return x
    inner = s.made_by(x, "reshape")
    if inner is not None:
        return PRIMITIVES["reshape"](inner.operands[0], shape=shape)
    return _same_shape(s, node, operands)


def _transpose(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    (x,) = operands
    axes = node.params["axes"]
    if axes == tuple(range(x.ndim)):
        return x
    inner = s.made_by(x, "transpose")
    if inner is not None:
        return PRIMITIVES["transpose"](inner.operands[0], axes=tuple(inner.params["axes"][a] for a in axes))
    return _same_shape(s, node, operands)


def _broadcast_in_dim(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    (x,) = operands
    shape, axes = node.params["shape"], node.params["axes"]
    if shape == x.shape and axes == tuple(range(x.ndim)):
        return x
    inner = s.made_by(x, "broadcast_in_dim")
    if inner is not None:
        through = tuple(axes[a] for a in inner.params["axes"])
        return PRIMITIVES["broadcast_in_dim"](inner.operands[0], shape=shape, axes=through)
    return _same_shape(s, node, operands)


def _slice(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    (x,) = operands
    return x if node.results[0].shape == x.shape else _same_shape(s, node, operands)


def _taken(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    """Windows of an array whose elements are all equal."""
    return _same_shape(s, node, operands[:1])


def _scatter_add(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    return operands[0] if s.filled(operands[2]) == 0 else None


def _concatenate(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    return operands[0] if len(operands) == 1 else None


def _pad(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    trivial = not any(node.params["low"]) and not any(node.params["high"]) and not any(node.params["interior"])
    return operands[0] if trivial else None


def _reduce_sum(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    """A sum of a transposed array is a transposed sum; a sum of products is one product, contracted over the sum; what
    was shared among extrema is whole again when their shares are summed."""
    (x,) = operands
    axes = node.params["axes"]
    if not axes:
        return x
    shared = s.made_by(x, "extremum_cotangent")
    if shared is not None and sorted(shared.params["axes"]) == sorted(axes):
        return shared.operands[0]
    moved = s.made_by(x, "transpose")
    if moved is not None:
        order = moved.params["axes"]
        summed = tuple(sorted([order[axis] for axis in axes]))
        total = PRIMITIVES["reduce_sum"](moved.operands[0], axes=summed)
        left = [axis for axis in range(x.ndim) if axis not in summed]
        kept = tuple([left.index(order[axis]) for axis in range(x.ndim) if axis not in axes])
        return PRIMITIVES["transpose"](total, axes=kept)
    product = s.made_by(x, "dot_general")
    return _contracted(product, axes) if product is not None and s.uses.get(x, 1) == 1 else None


def _contracted(product: Node, axes: tuple[int, ...]) -> Value | None:
    """The sum of a product over some of its batch axes, as a product contracted over them."""
    batch, contract = product.params["batch"], product.params["contract"]
    count = len(batch[0])
    if not any(axis < count for axis in axes):
        return None
    summed = [axis for axis in axes if axis < count]
    pairs = [tuple([side[axis] for axis in range(count) if axis not in summed]) for side in batch]
    both = [*zip(*contract, strict=True), *[(batch[0][axis], batch[1][axis]) for axis in summed]]
    inner = tuple(zip(*sorted(both), strict=True))  # in the order of the first operand's axes, which moves least
    total = PRIMITIVES["dot_general"](*product.operands, contract=inner, batch=tuple(pairs))
    rest = tuple([axis - len(summed) for axis in axes if axis >= count])
    return PRIMITIVES["reduce_sum"](total, axes=rest) if rest else total


def _dot_general(s: _Simplifier, node: Node, operands: tuple[Value, ...]) -> Value | None:
    """A minus sign moves out of a product that is smaller."""
    for i, x in enumerate(operands):
        minus = s.made_by(x, "neg")
        if minus is not None and node.results[0].type.size <= x.type.size:
            factors = tuple([minus.operands[0] if j == i else y for j, y in enumerate(operands)])
            return PRIMITIVES["neg"](PRIMITIVES["dot_general"](*factors, **node.params))
    return None


IDENTITIES: dict[str, _Rule] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "scale_cotangent": _scale_cotangent,
    "select": _select,
    "integer_pow": _integer_pow,
    "convert": _convert,
    "dot_general": _dot_general,
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast_in_dim": _broadcast_in_dim,
    "slice": _slice,
    "gather": _taken,
    "dynamic_slice": _taken,
    "scatter_add": _scatter_add,
    "rev": _same_shape,
    "concatenate": _concatenate,
    "pad": _pad,
    "reduce_sum": _reduce_sum,
}
