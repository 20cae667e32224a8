"""Small loops become one kernel on a CPU: every primitive that may be in one, and what no kernel can hold."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import lilith
import lowering.small
from lilith.ir import Builder, Graph, Value, primitive
from lilith.ir.interpret import interpret
from lilith.ops import small
from lilith.ops.loops import INDEX
from lilith.ops.small import KERNEL_PRIMITIVES
from lowering.emit import emit
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


# ---- arguments and constants ----------------------------------------------------------------------------------------
# The emitter of kernels would end the process where XLA finds that an argument is a constant, or that nobody uses it.

P = lilith.numpy


def ramp(n: int) -> Any:
    """A constant to XLA, not to us."""
    return P.arange(n) * 0.5 + P.arange(n)


def unused_start(x):
    return lilith.while_loop(lambda s: s[0] < 1, lambda s: (s[0] + 1, ramp(len(x))), (0, P.arange(len(x)) * 2.0))[1] + x


def constant_start(x):
    return lilith.fori_loop(0, 3, lambda i, y: y * 0.5 + x, ramp(len(x)))


def constant_inside(x):
    return lilith.fori_loop(0, 3, lambda i, y: y * 0.5 + ramp(len(x)), x)


def one_step(x):
    return lilith.scan(lambda c, _: (c, c), x, None, length=1)[1][0]


def constant_rows(x):
    last, rows = lilith.scan(lambda c, _: (c + 1.0, (c, c * 2.0, ramp(len(x)) * c[0])), ramp(len(x)), None, length=3)
    return rows[0] + rows[1] + rows[2] + last + x


def reverse_from_a_constant(x):
    def total(x):
        return np.sum(lilith.fori_loop(0, 3, lambda i, y: np.sin(y) * x, ramp(len(x))))

    return lilith.grad(total, x)[1][0]


def two_stacks_then_a_loop(x):
    """The zeros that both stacks start from are one value to XLA, and the counters of both loops are."""

    def total(x):
        return np.sum(lilith.fori_loop(0, 4, lambda i, y: np.tanh(y) * 1.01 + np.exp(-y), x))

    return lilith.grad(total, x)[1][0]


CASES = [
    unused_start,
    constant_start,
    constant_inside,
    one_step,
    constant_rows,
    reverse_from_a_constant,
    two_stacks_then_a_loop,
]


@pytest.mark.parametrize("n", [3, 1500])
def test_constants(n, monkeypatch):
    """Below and beyond the size from which XLA keeps constants outside of a kernel."""
    monkeypatch.setattr(small, "PER_OPERATION", 10_000)
    monkeypatch.setattr(small, "WORK", 10_000_000)
    x = np.linspace(0.5, 1.0, n)
    for f in CASES:
        assert has_kernel(f, x), f.__name__

    def all_cases(x):
        return [f(x) for f in CASES]

    found = lilith.jit(all_cases)(x)
    monkeypatch.setattr(lilith.config, "interpret", True)
    for f, y in zip(CASES, found, strict=True):
        np.testing.assert_allclose(y, f(x), rtol=1e-12, err_msg=f.__name__)


def test_a_kernel_beside_a_loop(monkeypatch):
    """The loop after it is not small: it changes in place what the kernel got."""
    x = np.linspace(0.5, 1.0, 100)
    expected = lilith.jit(lambda x: two_stacks_then_a_loop(x))(x)
    is_small = lowering.small.is_small
    monkeypatch.setattr(
        lowering.small, "is_small", lambda e, node: not node.params.get("reverse") and is_small(e, node)
    )
    assert str(lilith.lower(two_stacks_then_a_loop, x)).count(MARK) >= 1
    np.testing.assert_allclose(lilith.jit(lambda x: two_stacks_then_a_loop(x))(x), expected, rtol=1e-12)


def test_what_is_no_kernel():
    """A step of many numbers, and other platforms."""
    assert not has_kernel(constant_start, np.ones(5000))
    assert MARK not in str(lilith.lower(constant_start, np.ones(3), platform="tpu"))
