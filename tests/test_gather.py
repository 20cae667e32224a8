"""gather and scatter beyond the laws of the registry: joined cotangents, repeated indices, other platforms, zeros."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import lilith
from lilith.ir import Builder, Graph, TensorType, Value, primitive
from lilith.ir.interpret import interpret
from lilith.transform.batch import batch
from lilith.transform.reverse import reverse
from lowering.carrier import Loaded, Module
from lowering.emit import emit
from tests.agreement import traced
from tests.compiled import together
from tests.samples import samples

A = np.array


def added(f: Callable[..., Any], *xs: Any) -> list[str]:
    """The primitives of the nodes that reverse mode adds for the first argument."""
    graph, _ = traced(f, *xs)
    return [node.primitive.name for node in reverse(graph, (0,)).nodes[len(graph.nodes) :]]


X = np.arange(40.0).reshape(10, 4)
I, J, K = A([1, 5, 1]), A([[0, 9], [3, 3]]), A([7])  # noqa: E741


def test_gathers_of_one_array_have_one_scatter() -> None:
    def loss(x: Any, *indices: Any) -> Any:
        return sum([np.sum(x[i] ** 2) for i in indices])

    names = added(loss, X, I, J, K)
    assert names.count("scatter_add") == 1
    assert names.count("concatenate") == 2
    _, g = lilith.grad(loss, X, I, J, K)
    expected = np.zeros_like(X)
    for i in (I, J, K):
        np.add.at(expected, i, 2 * X[i])
    np.testing.assert_allclose(g[0], expected)


def test_gathers_of_different_kinds_add_into_one_array() -> None:
    def loss(x: Any, i: Any, j: Any) -> Any:
        return np.sum(x[i] ** 2) + np.sum(x[:, j[0, :1]] ** 3) + np.sum(x[i[0], 1] * x[i[1]])

    names = added(loss, X, I, J)
    assert names.count("scatter_add") == 2
    lilith.testing.check_grads(loss, (X / 10, I, J[::-1] // 3))


def test_dynamic_slices_in_a_loop_have_one_scatter() -> None:
    def loss(x: Any, i: Any) -> Any:
        return sum([np.sum(np.sin(x[i[k]]) * x[k]) for k in range(3)])

    names = added(loss, X, I)
    assert names.count("scatter_add") == 1
    assert "dynamic_update_slice" not in names
    lilith.testing.check_grads(loss, (X, I))
    assert "dynamic_update_slice" in added(lambda x, i: np.sum(x[i[0]]), X, I)


def test_many_terms_in_sixteen_bits() -> None:
    for dtype in (np.float16, ml_dtypes.bfloat16):
        x, i = np.ones(3, dtype), np.zeros(3000, int)
        _, g = lilith.grad(lambda x, i: np.sum(x[i].astype(np.float32)), x, i)
        assert g[0].dtype == dtype
        np.testing.assert_allclose(g[0].astype(float), [3000, 0, 0], rtol=0.01)


def test_what_is_not_taken_stays_zero() -> None:
    """sqrt has an infinite slope at 0, which nobody asked for."""
    x = A([0.0, 4.0, 0.0, 9.0])
    for f in (
        lambda x, i: np.sum(np.sqrt(x)[i]),
        lambda x, i: np.sqrt(x)[i[0]] + np.sqrt(x)[i[1]],
        lambda x, i: np.sum(np.take_along_axis(np.sqrt(x), i, 0)),
        lambda x, i: np.sum(lilith.numpy.put(np.sqrt(x), [0, 2], 0.0)[i]),
    ):
        _, g = lilith.grad(f, x, A([1, 3]))
        np.testing.assert_allclose(g[0], [0, 0.25, 0, 1 / 6])


@pytest.mark.parametrize("name", ["gather", "scatter", "scatter_add"])
def test_every_platform_writes_the_same(name: str) -> None:
    """The modules for devices that write updates in any order give what the reference gives, repeated indices too."""
    graphs = []
    for sample in samples()[name]:
        inputs = tuple(Value(TensorType(x.shape, x.dtype)) for x in sample.operands)
        with Builder() as builder:
            y = primitive(name)(*inputs, **sample.params)
        graphs.append(Graph(name, inputs, tuple("xyz"[: len(inputs)]), tuple(builder.nodes), (y,)))
    values = [x for sample in samples()[name] for x in sample.operands]
    whole = together(name, graphs)
    types = tuple(y.type for y in whole.outputs)
    module = Module(name, lambda platform: emit(whole, "tpu"), whole.input_names, types, show=print)
    for found, expected in zip(Loaded(module).call(*values), interpret(whole, values), strict=True):
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-6)


def test_batches_of_indices() -> None:
    """A batch of gathers is one gather, of scatters one scatter."""
    graph, _ = traced(lambda x, i: lilith.numpy.put(x[i], i, x[0]), X[:, 0], I)
    lifted = batch(graph, [True, True], 2)
    names = [node.primitive.name for node in lifted.nodes]
    assert names.count("gather") == 1 and names.count("scatter") == 1


def test_cotangents_of_batches_of_single_windows() -> None:
    """x[i] and x[j] of a batch have no axis along which they could be listed together: they are added one by one."""
    graph, _ = traced(lambda x, i: np.sum(np.sin(x[i[0]]) * x[i[1]] * x[i[0], 1]), X, I)
    lifted = batch(graph, [True, True], 2)
    stacked = [np.stack([X / 10, X / 7]), np.stack([I, I[::-1] + 2])]
    cotangent = np.array([1.0, -2.0])
    found = interpret(reverse(lifted, (0,)).verify(), [*stacked, cotangent])[1]
    for k in range(2):
        expected = interpret(reverse(graph, (0,)), [stacked[0][k], stacked[1][k], cotangent[k]])[1]
        np.testing.assert_allclose(found[k], expected, rtol=1e-13)


def test_tables_of_indices_are_constants_of_the_program() -> None:
    """XLA then computes what is made of them when it compiles; floats of that size are arguments."""
    x = np.random.default_rng(0).standard_normal(7)
    table, weights = np.arange(4000) % 7, np.linspace(0.0, 1.0, 4000)

    def loss(x, weighted=False):
        index = np.arange(4000)[::-1] % 7
        return np.sum(x[index] * np.linspace(0.0, 1.0, 4000)) if weighted else np.sum(x[index] * x[index])

    assert [len(lilith.trace_grad(loss, x, weighted).inputs) for weighted in (False, True)] == [1, 2]
    captured = lambda x: np.sum(x[table] * weights)  # noqa: E731
    for _ in range(2):
        value, g = lilith.grad(captured, x)
        np.testing.assert_allclose(value, captured(x))
        np.testing.assert_allclose(g[0], np.bincount(table, weights, 7))
        table[...] = (3 * table + 1) % 7
