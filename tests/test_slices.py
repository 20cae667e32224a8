"""The cotangents of many slices of one array: their sum, and how few nodes it takes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lilith.ir import Builder, Graph, TensorType, Value, primitive
from lilith.ir.interpret import interpret
from lilith.ops.slicing import slice as slice_
from lilith.transform.reverse import reverse

F64 = np.dtype("f8")
Index = tuple[slice, ...]


def sliced(shape: tuple[int, ...], indices: list[Index]) -> Graph:
    """x -> (x[i], x[j], ...)"""
    x = Value(TensorType(shape, F64))
    with Builder() as builder:
        outputs = []
        for index in indices:
            bounds = [s.indices(n) for s, n in zip(index, shape, strict=True)]
            start, limit, stride = (tuple(row) for row in zip(*bounds, strict=True))
            outputs.append(slice_(x, start=start, limit=limit, stride=stride))
    return Graph("sliced", (x,), ("x",), tuple(builder.nodes), tuple(outputs))


def added(graph: Graph) -> list[str]:
    """The primitives of the nodes that reverse mode added."""
    return [node.primitive.name for node in reverse(graph, (0,)).nodes[len(graph.nodes) :]]


def check(shape: tuple[int, ...], indices: list[Index]) -> list[str]:
    """The cotangent of x equals the dense sum; returns the primitives that compute it."""
    graph = sliced(shape, indices)
    x = np.arange(np.prod(shape), dtype=F64).reshape(shape)
    cotangents = [np.random.default_rng(i).normal(size=y.shape) for i, y in enumerate(graph.outputs)]
    expected = np.zeros(shape)
    for index, g in zip(indices, cotangents, strict=True):
        expected[index] += g
    *_, actual = interpret(reverse(graph, (0,)).verify(), [x, *cotangents])
    np.testing.assert_allclose(actual, expected, rtol=1e-13, atol=1e-13)
    return added(graph)


def at(*where: int | slice) -> Index:
    """An index; a number is a range of one element."""
    return tuple(w if isinstance(w, slice) else slice(w, w + 1, 1) for w in where)


ALL = slice(None)


@pytest.mark.parametrize(
    ("shape", "indices", "most"),
    [
        ((200,), [at(i) for i in range(200)], {"concatenate": 1}),
        ((200,), [at(i) for i in range(200) for _ in range(3)], {"concatenate": 3, "add": 2}),
        ((200,), [at(i) for i in range(200)] + [at(i) for i in range(199)] + [at(ALL)], {"concatenate": 2, "add": 2}),
        ((200,), [at(slice(10, 20)), at(slice(50, 60))], {"pad": 2, "add": 1, "fill": 2}),
        ((12, 10), [at(i, j) for i in range(12) for j in range(10)], {"concatenate": 13}),
        ((12, 10), [at(i, ALL) for i in range(12)], {"concatenate": 1}),
        ((12, 10), [at(ALL, j) for j in range(10)], {"concatenate": 1}),
        ((12, 10), [at(i, ALL) for i in range(12)] + [at(ALL, j) for j in range(10)], {"concatenate": 2, "add": 1}),
        ((12, 10), [at(slice(j, j + 3), j) for j in range(10)], {"concatenate": 1, "pad": 10}),
        ((100,), [at(slice(0, None, 2)), at(slice(1, None, 2))], {"concatenate": 1, "reshape": 3}),
        ((101,), [at(slice(r, None, 3)) for r in range(3)], {"concatenate": 2, "reshape": 4, "slice": 1}),
        ((100,), [at(slice(5, None, 7))], {"pad": 1}),
        ((100,), [at(slice(0, 99)), at(slice(1, 100))], {"pad": 2, "add": 1}),
        ((100,), [at(slice(i, i + 10)) for i in range(0, 91, 5)], {"concatenate": 2, "add": 1}),
        ((5,), [at(slice(2, 2))], {}),
        ((5,), [at(ALL)], {}),
        ((9999,), [at(slice(0, 9000))] * 3, {"add": 2, "pad": 1}),
    ],
)
def test_common_patterns_take_few_nodes(shape: tuple[int, ...], indices: list[Index], most: dict[str, int]) -> None:
    names = [name for name in check(shape, indices) if name != "fill" or "fill" in most]
    assert {name: names.count(name) for name in names} == most


@st.composite
def random_slices(draw: st.DrawFn) -> tuple[tuple[int, ...], list[Index]]:
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    one = st.tuples(
        *[st.builds(slice, st.integers(0, n), st.integers(0, n), st.sampled_from([1, 1, 1, 2, 3])) for n in shape]
    )
    return shape, draw(st.lists(one, min_size=1, max_size=12))


@settings(max_examples=150, deadline=None)
@given(random_slices())
def test_any_slices(case: tuple[tuple[int, ...], list[Index]]) -> None:
    shape, indices = case
    check(shape, [tuple(slice(s.start, max(s.start, s.stop), s.step) for s in index) for index in indices])


def test_second_derivative_of_a_loop_over_elements() -> None:
    """y = Σ xᵢ² xᵢ₊₁: the gradient of v · ∇y, against differences."""
    n = 6
    x = Value(TensorType((n,), F64))
    with Builder() as builder:
        parts = [slice_(x, start=(i,), limit=(i + 1,), stride=(1,)) for i in range(n)]
        total = parts[0] * parts[0] * parts[1]
        for i in range(1, n - 1):
            total = total + parts[i] * parts[i] * parts[i + 1]
        y = primitive("reduce_sum")(total, axes=(0,))
    first = reverse(Graph("y", (x,), ("x",), tuple(builder.nodes), (y,)), (0,))
    first = first.with_outputs(first.outputs[1:])
    second = reverse(first, (0,)).verify()
    at_x, v, step = np.linspace(0.5, 1.5, n), np.cos(np.arange(n)), 1e-5
    found = interpret(second, [at_x, 1.0, v])[1]
    for i, e in enumerate(np.eye(n) * step):
        change = interpret(first, [at_x + e, 1.0])[0] - interpret(first, [at_x - e, 1.0])[0]
        assert found[i] == pytest.approx(change @ v / (2 * step), rel=1e-8)
