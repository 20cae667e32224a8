"""Samples of the operations that have graphs as parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.ir import Builder, Graph, TensorType, Value, primitive
from lilith.ops.nested import Rule
from tests.samples.making import C128, F32, F64, I32, Sample, sample, values

X, Y = values(F64, (2, 3)), values(F64, (3,))


def graph(name: str, arrays: Sequence[np.ndarray], make: Callable[..., Any]) -> Graph:
    """The graph of a function of Values of these arrays' types."""
    inputs = tuple([Value(TensorType(a.shape, a.dtype)) for a in arrays])
    with Builder() as builder:
        out = make(*inputs)
    outputs = out if isinstance(out, tuple) else (out,)
    names = tuple([f"x{i}" for i in range(len(inputs))])
    return Graph(name, inputs, names, tuple(builder.nodes), outputs).verify()


def _do(which: str, /, *operands: Value, **params: Any) -> Any:
    return primitive(which)(*operands, **params)


def _rows(y: Value) -> Value:
    return _do("broadcast_in_dim", y, shape=(2, 3), axes=(1,))


def _columns(g: Value) -> Value:
    return _do("reduce_sum", g, axes=(0,))


def _checkpoint() -> list[Sample]:
    whole = graph("block", (X, Y), lambda x, y: _do("sin", x * _rows(y)))

    def with_saved(x: Value, y: Value) -> tuple:
        h = _do("named", _do("tanh", x), name="h")
        return h * _rows(y), _do("reduce_sum", h, axes=(0, 1)), h

    kept = graph("saving", (X, Y), with_saved)
    return [
        sample(X, Y, body=whole, saved=0, again=False),
        sample(X, Y, body=whole, saved=0, again=True),
        sample(X, Y, body=kept, saved=1, again=False),
        sample(values(F32), body=graph("one", (values(F32),), lambda x: _do("exp", x)), saved=0, again=True),
    ]


def _product_rule(x: Value, y: Value, z: Value, g: Value) -> tuple:
    return g * _rows(y), _columns(g * x)


def _product_tangent(x: Value, y: Value, z: Value, dx: Value, dy: Value) -> Value:
    return dx * _rows(y) + x * _rows(dy)


def _custom() -> list[Sample]:
    body = graph("product", (X, Y), lambda x, y: x * _rows(y))
    vjp = Rule("vjp of product", lambda: graph("vjp", (X, Y, X, X), _product_rule))
    jvp = Rule("jvp of product", lambda: graph("jvp", (X, Y, X, X, Y), _product_tangent))
    return [sample(X, Y, body=body, vjp=a, jvp=b, count=2) for a, b in ((vjp, jvp), (vjp, None), (None, jvp))]


def _linear() -> list[Sample]:
    rule = Rule("scaled", lambda: graph("scaled", (Y, X), lambda y, x: x * _rows(y)))
    results = (TensorType(X.shape, X.dtype),)
    return [sample(Y, X, rule=rule, transposed=rule, count=1, results=results)]


def samples() -> dict[str, list[Sample]]:
    return {
        "named": [sample(values(d), name="h", smooth=d is not I32) for d in (F64, I32, C128)],
        "checkpoint": _checkpoint(),
        "custom": _custom(),
        "linear": _linear(),
    }
