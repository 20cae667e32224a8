"""Laws that bind the transforms to one another, for every primitive and for random programs; interpreted, so quick."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import lilith
from lilith.ir.interpret import interpret
from lilith.transform.batch import batch
from lilith.transform.forward import forward
from lilith.transform.jacobian import jacobian
from lilith.transform.reverse import reverse
from lilith.transform.split import split
from tests.samples import Sample
from tests.test_random_programs import STEPS, arguments, build
from tests.test_registry import SMOOTH, WIDE, assert_close, carrying, graph_of, random_like, wanted_of

REAL = [
    case
    for case in SMOOTH
    if all(x.dtype.kind != "c" for x in case.values[1].operands)
    and all(y.dtype in WIDE[:1] or y.dtype.kind in "biu" for y in graph_of(*case.values).outputs)
    and sum(x.size for x in case.values[1].operands) <= 40
]


@pytest.mark.parametrize(("name", "sample"), REAL)
def test_forward_and_reverse_jacobian_agree(name: str, sample: Sample) -> None:
    graph, wanted = graph_of(name, sample), wanted_of(sample)
    if sum(y.type.size for y in graph.outputs) > 60:
        return
    columns = interpret(jacobian(graph, wanted, False).verify(), sample.operands)
    rows = interpret(jacobian(graph, wanted, True).verify(), sample.operands)
    assert_close(columns, rows, name, 1e3)


@pytest.mark.parametrize(("name", "sample"), SMOOTH)
def test_a_split_gradient_is_the_gradient(name: str, sample: Sample) -> None:
    """The forward half and the pullback, one after the other, give what the whole gives."""
    graph = graph_of(name, sample)
    whole = reverse(graph, wanted_of(sample))
    seeds = random_like([y.type for y in carrying(graph.outputs)], seed=5)
    first, second = split(whole, len(graph.inputs), len(graph.outputs))
    outputs = interpret(first.verify(), sample.operands)
    gradients = interpret(second.verify(), [*outputs[len(graph.outputs) :], *seeds])
    expected = interpret(whole, [*sample.operands, *seeds])
    assert_close([*outputs[: len(graph.outputs)], *gradients], expected, name)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, min_size=1, max_size=10), st.integers(0, 2**16))
def test_random_programs(steps: Any, seed: int) -> None:
    """<v, J u> = <Jᵀ v, u>; the Hessian is symmetric and its product with a vector is that of `hvp`; a batch is a stack
    of calls, and so are its gradients."""
    f, args = build(steps), arguments(seed)
    graph = lilith.trace(f, *args)
    u = arguments(seed + 1)
    slope = interpret(forward(graph, (0, 1)).verify(), [*args, *u])[1]
    gradient = reverse(graph, (0, 1))
    value, *g = interpret(gradient, [*args, 1.0])
    np.testing.assert_allclose(slope, sum(np.sum(a * b) for a, b in zip(g, u, strict=True)), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(value, f(*args), rtol=1e-12, atol=1e-12)
    one = gradient.bind(2, lambda type: lilith.ir.graph.fill_like(lilith.ir.graph.Value(type), 1))
    whole = one.with_outputs(one.outputs[1:])
    blocks = interpret(jacobian(whole, (0, 1), False).verify(), args)[2:]
    size = args[0].size
    hessian = np.block([[blocks[2 * i + j].reshape(size, size) for j in range(2)] for i in range(2)])
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-7, atol=1e-8)
    product = interpret(forward(whole, (0, 1)), [*args, *u])[2:]
    flat = np.concatenate([x.ravel() for x in u])
    np.testing.assert_allclose(hessian @ flat, np.concatenate([x.ravel() for x in product]), rtol=1e-7, atol=1e-8)
    elements = [args, u]
    stacked = [np.stack(xs) for xs in zip(*elements, strict=True)]
    together = interpret(batch(whole, (True, True), 2).verify(), stacked)
    for i, xs in enumerate(elements):
        for a, b in zip(interpret(whole, xs), together, strict=True):
            np.testing.assert_allclose(b[i], a, rtol=1e-9, atol=1e-10)
