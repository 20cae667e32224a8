"""Small loops become one kernel on a CPU: every primitive that may be in one, and what no kernel can hold."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import lilith
from lilith.ir import Builder, Graph, Value, primitive
from lilith.ir.interpret import interpret
from lilith.ops.loops import INDEX
from lowering.emit import emit
from lowering.small import KERNEL_PRIMITIVES
from tests.compiled import run_xla, together
from tests.samples import Sample, samples
from tests.test_registry import assert_close, graph_of

MARK = "xla_cpu_small_call"


def has_kernel(f: Any, *args: Any) -> bool:
    return MARK in str(lilith.lower(f, *args))


def scanned(graphs: list[Graph], rows: int) -> Graph:
    """A scan whose steps are these graphs, each over rows of its own."""
    body = together("body", graphs)
    index = Value(INDEX)
    body = Graph("body", (index, *body.inputs), ("i", *body.input_names), body.nodes, body.outputs).verify()
    inputs = tuple(Value(x.type.with_shape((rows, *x.type.shape))) for x in body.inputs[1:])
    with Builder() as builder:
        out = primitive("scan")(*inputs, body=body, length=rows, constants=0, carries=0, reverse=False)
    return Graph("scanned", inputs, body.input_names[1:], tuple(builder.nodes), tuple(out)).verify()


def fits(name: str, sample: Sample) -> bool:
    return MARK in emit(scanned([graph_of(name, sample)], 2))


FOUND = samples()
FITTING = [
    (name, sample) for name in sorted(KERNEL_PRIMITIVES) for sample in [s for s in FOUND[name] if fits(name, s)][:2]
]


def test_each_has_a_sample():
    assert {name for name, _ in FITTING} == KERNEL_PRIMITIVES


@pytest.mark.parametrize("part", range(2))
def test_every_primitive_of_a_kernel(part):
    """In a kernel each gives what the interpreter gives."""
    given = FITTING[part::2]
    graphs = [graph_of(name, sample) for name, sample in given]
    operands = [x for _, sample in given for x in sample.operands]
    whole = scanned(graphs, 2)
    assert MARK in emit(whole)
    out = run_xla(whole, [np.stack([x, x]) for x in operands])
    expected = interpret(together("alone", graphs), operands)
    for row in (0, 1):
        assert_close([y[row] for y in out], expected, "kernel", 100)


def product(x: np.ndarray, y: np.ndarray, contract: tuple) -> tuple[str, Sample]:
    return "dot_general", Sample((x, y), {"contract": contract, "batch": ((), ())}, (True, True))


def around_the_limits() -> list[tuple[str, Sample]]:
    """Reductions and products of sizes at which XLA may prefer a library."""
    found = []
    for dtype, n in [("f4", 4), ("f4", 16), ("f8", 16), ("f4", 64), ("f8", 64)]:
        A, v = np.random.default_rng(0).random((n, n)).astype(dtype), np.arange(n, dtype=dtype)
        pairs = [(A, v, ((1,), (0,))), (v, A, ((0,), (0,))), (A, v, ((0,), (0,))), (v, A, ((0,), (1,)))]
        pairs += [(A, A, ((1,), (0,))), (A, A, ((1,), (1,))), (A, A, ((0, 1), (0, 1))), (v, v, ((0,), (0,)))]
        found += [product(*pair) for pair in [*pairs, (v, v, ((), ()))]]
        for name, axes in itertools.product(("sum", "max", "min", "prod"), ((0,), (1,), (0, 1))):
            found.append((f"reduce_{name}", Sample((A,), {"axes": axes}, (True,))))
    return found


def test_reductions_and_products():
    given = [(name, sample) for name, sample in around_the_limits() if fits(name, sample)]
    assert len(given) > 40
    graphs = [graph_of(name, sample) for name, sample in given]
    operands = [x for _, sample in given for x in sample.operands]
    out = run_xla(scanned(graphs, 2), [np.stack([x, x]) for x in operands])
    expected = interpret(together("alone", graphs), operands)
    assert_close([y[1] for y in out], expected, "kernel", 1000)


# ---- constants ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [10, 1000, 2000])
def test_a_carry_that_starts_as_a_constant(n):
    """XLA makes a constant of the first carry, which a kernel cannot hold beyond 10,000 bytes."""

    def f(x):
        start = np.concatenate([np.zeros(n - 1), np.ones(1)]) if n < 100 else np.pad(np.stack([1.0]), (n - 1, 0))
        return lilith.fori_loop(0, 3, lambda i, y: y * 0.5 + x, lilith.numpy.asarray(start) + lilith.numpy.arange(n))

    x = np.ones(n)
    expected = f(x)
    np.testing.assert_allclose(lilith.jit(f)(x), expected)


@pytest.mark.parametrize("n", [100, 2000])
def test_a_constant_inside_of_a_step(n):
    """An iota plus itself is a constant to XLA, wherever it is."""

    def f(x):
        def step(i, y):
            ramp = lilith.numpy.arange(n) * 0.5 + lilith.numpy.arange(n)
            return y + np.sum(np.where(ramp > y, 1.0, 0.0)) if n < 200 else y + ramp[0] + ramp[-1]

        return lilith.fori_loop(0, 3, step, x)

    np.testing.assert_allclose(lilith.jit(f)(1.0), f(1.0))


def test_one_step():
    """Of a loop of one step XLA makes plain operations, in which the first carry is a constant."""

    def f(x):
        def inner(i, total):
            _, rows = lilith.scan(lambda c, _: (c, c), np.arange(2000.0), None, length=1)
            return total + rows[0, -1] * x

        return lilith.fori_loop(0, 2, inner, x)

    np.testing.assert_allclose(lilith.jit(f)(2.0), f(2.0))
