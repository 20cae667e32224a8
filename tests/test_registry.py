"""Laws that every primitive obeys, checked over the registry and the samples of samples.py."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lilith.ops  # noqa: F401  (fills the registry)
from lilith.ir import PRIMITIVES, ZERO, Builder, Graph, NoGradient, TensorType, Value, primitive
from lilith.ir.interpret import interpret
from lilith.ops.control import format_arrays
from lilith.transform.batch import batch
from lilith.transform.forward import forward
from lilith.transform.reverse import reverse
from lilith.transform.simplify import simplify
from lowering.emit import RULES
from tests.compiled import run_xla, together
from tests.samples import Sample, samples

GOLDEN = Path(__file__).parent / "golden" / "primitives.txt"
SAMPLES = samples()
CASES = [
    pytest.param(name, sample, id=f"{name}-{i}") for name, group in SAMPLES.items() for i, sample in enumerate(group)
]
WIDE = (np.dtype("f8"), np.dtype("c16"))
SMOOTH = [
    case
    for case in CASES
    if any(case.values[1].differentiable)
    and all(
        x.dtype in WIDE or not d for x, d in zip(case.values[1].operands, case.values[1].differentiable, strict=True)
    )
]


def graph_of(name: str, sample: Sample) -> Graph:
    """The graph of one node."""
    inputs = tuple(Value(TensorType(x.shape, x.dtype)) for x in sample.operands)
    with Builder() as builder:
        out = primitive(name)(*inputs, **sample.params)
    outputs = out if isinstance(out, tuple) else (out,)
    names = tuple("xyzuvw"[i] for i in range(len(inputs)))
    return Graph(name, inputs, names, tuple(builder.nodes), outputs).verify()


def wanted_of(sample: Sample) -> tuple[int, ...]:
    return tuple(i for i, smooth in enumerate(sample.differentiable) if smooth)


def random_like(types: Sequence[TensorType], seed: int) -> list[np.ndarray]:
    """Random arrays of these types."""
    rng = np.random.default_rng(seed)
    found = []
    for t in types:
        x = rng.normal(size=t.shape)
        found.append((x + 1j * rng.normal(size=t.shape) if t.dtype.kind == "c" else x).astype(t.dtype))
    return found


def carrying(xs: Sequence[Any]) -> list[Any]:
    """The floating and complex ones: what has a cotangent."""
    return [x for x in xs if x.dtype.kind not in "biu"]


def inner(xs: Sequence[np.ndarray], ys: Sequence[np.ndarray]) -> float:
    """Re Σ x y: the product in which x̄ of a real loss gives its change, dL = <x̄, dx>."""
    return float(sum(np.real(np.sum(x * y)) for x, y in zip(xs, ys, strict=True)))


def assert_close(actual: Sequence[np.ndarray], expected: Sequence[np.ndarray], name: str, scale: float = 1.0) -> None:
    """Equal types; integers equal, floating numbers to a few units in the last place times `scale`."""
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        assert (a.shape, a.dtype) == (e.shape, e.dtype), name
        if a.dtype.kind in "biu":
            np.testing.assert_array_equal(a, e, err_msg=name)
            continue
        part = np.dtype(f"f{a.dtype.itemsize // 2}") if a.dtype.kind == "c" else a.dtype
        digits = {8: 1e-13, 4: 1e-6, 2: 1e-2}[part.itemsize] * scale
        wide = np.complex128 if a.dtype.kind == "c" else np.float64
        np.testing.assert_allclose(a.astype(wide), e.astype(wide), rtol=digits, atol=digits, err_msg=name)


# ---- slots ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_every_slot_is_filled(name: str) -> None:
    p = PRIMITIVES[name]
    assert p.name == name
    assert callable(p.type) and callable(p.eval) and callable(p.batch)
    assert p.vjp is ZERO or isinstance(p.vjp, NoGradient) or callable(p.vjp)
    assert name in RULES, "no lowering rule"
    assert SAMPLES.get(name), "no sample"


def test_no_slot_without_primitive() -> None:
    assert set(RULES) == set(PRIMITIVES) == set(SAMPLES)


# ---- eval, type, XLA ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "sample"), CASES)
def test_eval_has_the_declared_type(name: str, sample: Sample) -> None:
    graph = graph_of(name, sample)
    with np.errstate(all="ignore"):
        out = PRIMITIVES[name].eval(*sample.operands, **sample.params)
    results = tuple(map(np.asarray, out if isinstance(out, tuple) else (out,)))
    assert [(y.shape, y.dtype) for y in results] == [(y.shape, y.dtype) for y in graph.outputs]


# XLA's own approximations, in units of assert_close
LOOSE = {
    "lgamma": 100,
    "digamma": 100,
    "polygamma": 1000,
    "erfc": 10,
    "acosh": 10,
    "asinh": 10,
    "logistic": 10,
    "pow": 10,
}


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_xla_computes_what_eval_computes(name: str) -> None:
    graphs = [graph_of(name, sample) for sample in SAMPLES[name]]
    values = [x for sample in SAMPLES[name] for x in sample.operands]
    whole = together(name, graphs)
    shown: list[str] = []
    actual = run_xla(whole, values, show=lambda text, *arrays: shown.append(format_arrays(text, *arrays)))
    expected = interpret(whole, values)
    assert_close(actual, expected, name, LOOSE.get(name, 1))
    if name == "print":
        assert shown == [format_arrays(s.params["format"], *s.operands) for s in SAMPLES[name]]


# ---- derivatives ----------------------------------------------------------------------------------------------------


def check_gradient(graph: Graph, values: list[np.ndarray], wanted: Sequence[int], hermitian: bool = False) -> None:
    """vjp against a five-point difference of L = Re Σ v y along a random direction, input by input.

    `hermitian`: the first input is one for Hermitian matrices, and so is the direction in it.
    """
    cotangents = random_like([y.type for y in carrying(graph.outputs)], seed=1)
    gradient = reverse(graph, wanted).verify()
    found = interpret(gradient, [*values, *cotangents])[len(graph.outputs) :]
    step = 1e-3
    for i, cotangent in zip(wanted, found, strict=True):
        (direction,) = random_like([graph.inputs[i].type], seed=2 + i)
        if hermitian and i == 0:
            direction = direction + direction.conj().mT

        def loss(offset: float, i: int = i, direction: np.ndarray = direction) -> float:
            moved = [x + offset * direction if k == i else x for k, x in enumerate(values)]
            return inner(carrying(interpret(graph, moved)), cotangents)

        difference = (8 * (loss(step) - loss(-step)) - (loss(2 * step) - loss(-2 * step))) / (12 * step)
        assert cotangent.dtype == values[i].dtype
        assert inner([cotangent], [direction]) == pytest.approx(difference, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize(("name", "sample"), SMOOTH)
def test_vjp_is_the_derivative(name: str, sample: Sample) -> None:
    graph = graph_of(name, sample)
    if any(y.dtype in WIDE for y in graph.outputs):
        check_gradient(graph, list(sample.operands), wanted_of(sample), sample.hermitian)


@pytest.mark.parametrize(("name", "sample"), SMOOTH)
def test_second_derivative(name: str, sample: Sample) -> None:
    graph = graph_of(name, sample)
    wanted = wanted_of(sample)
    seeds = [y.type for y in graph.outputs if y.dtype in WIDE]
    if not seeds:
        return
    gradient = reverse(graph, wanted)
    gradient = simplify(gradient.with_outputs(gradient.outputs[len(graph.outputs) :])).verify()
    values = [*sample.operands, *random_like(seeds, seed=7)]
    check_gradient(gradient, values, [*wanted, *range(len(graph.inputs), len(values))], sample.hermitian)


@pytest.mark.parametrize(("name", "sample"), SMOOTH)
def test_jvp_is_dual_to_vjp(name: str, sample: Sample) -> None:
    """<v, J u> = <Jᵀ v, u>, and J u does not disturb the value."""
    graph = graph_of(name, sample)
    wanted = wanted_of(sample)
    if not any(y.dtype in WIDE for y in graph.outputs):
        return
    tangents = random_like([graph.inputs[i].type for i in wanted], seed=3)
    cotangents = random_like([y.type for y in carrying(graph.outputs)], seed=4)
    pushed = interpret(forward(graph, wanted).verify(), [*sample.operands, *tangents])
    pulled = interpret(reverse(graph, wanted).verify(), [*sample.operands, *cotangents])
    count = len(graph.outputs)
    assert inner(cotangents, pushed[count:]) == pytest.approx(inner(pulled[count:], tangents), rel=1e-10, abs=1e-12)
    assert_close(pushed[:count], interpret(graph, sample.operands), name)


@pytest.mark.parametrize("name", sorted({case.values[0] for case in SMOOTH}))
def test_xla_computes_the_gradient(name: str) -> None:
    """The derivative rules too compile, simplified, to what the interpreter gives."""
    chosen = [case.values[1] for case in SMOOTH if case.values[0] == name]
    graphs = [reverse(graph_of(name, s), wanted_of(s)) for s in chosen]
    values = [
        x
        for s, graph in zip(chosen, graphs, strict=True)
        for x in (*s.operands, *random_like([x.type for x in graph.inputs[len(s.operands) :]], seed=1))
    ]
    whole = together(name, graphs)
    simple = simplify(whole).verify()
    assert_close(run_xla(simple, values), interpret(whole, values), name, 10 * LOOSE.get(name, 1))


# ---- batching -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "sample"), [case for case in CASES if case.values[1].operands])
def test_batch_is_a_stacked_loop(name: str, sample: Sample) -> None:
    """Over two elements: the sample, and the sample with every array reversed."""
    graph = graph_of(name, sample)
    elements = [sample.operands, tuple(np.flip(x) for x in sample.operands)]
    choices = itertools.product((False, True), repeat=len(sample.operands))
    for flags in [choice for choice in choices if any(choice)][:7]:
        lifted = batch(graph, flags, 2).verify()
        whole = [np.stack(xs) if b else xs[0] for xs, b in zip(zip(*elements, strict=True), flags, strict=True)]
        rows = [[x if b else first for x, b, first in zip(e, flags, elements[0], strict=True)] for e in elements]
        expected = [np.stack(ys) for ys in zip(*(interpret(graph, row) for row in rows), strict=True)]
        assert_close(interpret(lifted, whole), expected, name)


# ---- text -----------------------------------------------------------------------------------------------------------


def test_printed_form() -> None:
    """The golden text; LILITH_UPDATE_GOLDEN=1 writes it anew."""
    text = "\n\n".join(str(graph_of(name, SAMPLES[name][0])) for name in sorted(PRIMITIVES)) + "\n"
    if os.environ.get("LILITH_UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")
