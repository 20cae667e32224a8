"""Samples of branches and loops: small graphs as bodies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.ir import Builder, Graph, TensorType, Value, primitive
from lilith.ir.graph import fill_like
from lilith.transform.reverse import reverse
from tests.samples.making import BOOL, F32, F64, I32, I64, Sample, sample, values


def graph(name: str, types: Sequence[Any], make: Callable[..., Any]) -> Graph:
    """The graph of a function of Values; a type is an array of that type, or a dtype for a scalar."""
    arrays = [np.zeros((), t) if isinstance(t, np.dtype) else np.asarray(t) for t in types]
    inputs = tuple([Value(TensorType(a.shape, a.dtype)) for a in arrays])
    with Builder() as builder:
        out = make(*inputs)
    outputs = out if isinstance(out, tuple) else (out,)
    names = tuple([f"x{i}" for i in range(len(inputs))])
    return Graph(name, inputs, names, tuple(builder.nodes), outputs).verify()


def _do(name: str, *operands: Value, **params: Any) -> Any:
    return primitive(name)(*operands, **params)


def _product(x: Value, w: Value) -> Value:
    return _do("dot_general", x, w, contract=((0,), (0,)), batch=((), ()))


def _float(i: Value, like: Value) -> Value:
    return _do("broadcast_in_dim", _do("convert", i, dtype=like.dtype), shape=like.shape, axes=())


def _case() -> list[Sample]:
    x, w = values(F64, (3,)), values(F64, (3, 3))
    branches = (
        graph("sine", (x, w), lambda x, w: (_do("sin", x), _do("reduce_sum", w, axes=(0,)))),
        graph("product", (x, w), lambda x, w: (_do("exp", _product(_do("sin", _product(x, w)), w)), x)),
        graph("constant", (x, w), lambda x, w: (x * x, fill_like(x, 2.0))),
    )
    found = [sample(np.int32(i), x, w, branches=branches) for i in (0, 1, 2, -1, 7)]
    found += [sample(np.asarray(flag), x, w, branches=branches[:2]) for flag in (False, True)]
    n = values(I32, (2,))
    counts = (graph("double", (n,), lambda n: n + n), graph("negative", (n,), lambda n: _do("neg", n)))
    return [*found, sample(np.int64(1), n, branches=counts)]


def _scan_body(w: np.ndarray, h: np.ndarray, x: np.ndarray) -> Graph:
    """h = tanh(h w + x + 0.1 i), y = h * x, h."""

    def body(i: Value, w: Value, s: Value, h: Value, n: Value, x: Value) -> tuple[Value, ...]:
        scale = _do("broadcast_in_dim", s, shape=h.shape, axes=())
        new = _do("tanh", _product(h, w) * scale + x + 0.1 * _float(i, h))
        return new, n + n, new * x, _do("sin", h)

    return graph("step", (np.dtype(I64), w, np.dtype(F64), h, np.dtype(I32), x), body)


def _scan() -> list[Sample]:
    w, h = values(F64, (3, 3)), values(F64, (3,))
    found = []
    for length, down in ((4, False), (3, True), (1, False), (0, False)):
        xs = values(F64, (length, 3), seed=length)
        params = {"length": length, "constants": 2, "carries": 2, "reverse": down}
        body = _scan_body(w, h, h)
        found.append(sample(w, np.float64(0.7), h, np.int32(1), xs, body=body, **params))
    count = graph("count", (np.dtype(I64), np.dtype(F32)), lambda i, t: (t + _float(i, t), i))
    found.append(sample(np.float32(0.5), body=count, length=5, constants=0, carries=1, reverse=False))
    return found


def _while() -> list[Sample]:
    a, x = values(F64, (2,)), values(F64, (2,), 0.5, 1.5, seed=3)

    def step(a: Value, x: Value, n: Value) -> tuple[Value, Value]:
        return _do("sin", a * x) + x * 0.5 + 0.01 * _float(n, x), n + 1

    def under(limit: int) -> Graph:
        return graph("under", (a, x, np.dtype(I32)), lambda a, x, n: _do("lt", n, fill_like(n, limit)))

    body = graph("step", (a, x, np.dtype(I32)), step)
    params = {"body": body, "constants": 1}
    found = [
        sample(a, x, np.int32(0), cond=under(limit), checkpoints=checkpoints, **params)
        for limit, checkpoints in ((0, 4), (1, 2), (5, 2), (5, 8))
    ]
    below = graph("below", (np.dtype(F64), np.dtype(F64)), lambda s, x: _do("lt", x, fill_like(x, 30.0)))
    grow = graph("grow", (np.dtype(F64), np.dtype(F64)), lambda s, x: x * s + 0.1 * x)
    found.append(sample(np.float64(1.7), np.float64(1.1), cond=below, body=grow, constants=1, checkpoints=2))
    never = graph("never", (np.dtype(BOOL), np.dtype(F32)), lambda p, x: p)
    off = graph("off", (np.dtype(BOOL), np.dtype(F32)), lambda p, x: (_do("not", p), x + x))
    found.append(sample(np.asarray(True), np.float32(1), cond=never, body=off, constants=0, checkpoints=2))
    return found


def _reverse_while(loops: Sequence[Sample]) -> list[Sample]:
    """From the derivatives of the samples of while_loop."""
    found = []
    for loop in loops:
        types = [np.asarray(x) for x in loop.operands]
        whole = graph("loop", types, lambda *xs, loop=loop: _do("while_loop", *xs, **loop.params))
        wanted = [i for i, smooth in enumerate(loop.differentiable) if smooth]
        (node,) = [n for n in reverse(whole, wanted).nodes if n.primitive.name == "reverse_while"]
        g = [values(x.dtype, x.shape, seed=5 + k) for k, x in enumerate(node.operands[len(types) :])]
        found.append(sample(*loop.operands, *g, **node.params))
    return found


def samples() -> dict[str, list[Sample]]:
    loops = _while()
    return {"case": _case(), "scan": _scan(), "while_loop": loops, "reverse_while": _reverse_while(loops)}
