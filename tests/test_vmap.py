"""vmap: the same as a stack of calls, in any composition with the derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lilith
from lilith import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp, vmap
from lilith.source import ArgumentError, ShapeError, TraceError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3))
W = RNG.normal(size=(2, 3))


def loss(w: Any, x: Any) -> Any:
    h = np.tanh(w @ x)
    return np.sum(h**2) + np.max(x) * h[0]


def test_stack_of_calls() -> None:
    for f in (np.sin, np.sum, lambda x: x[::-1] * x[0], lambda x: np.outer(x, x), lambda x: (x @ W.T, 1.0, "t")):
        y = vmap(f)(X)
        rows = [f(x) for x in X]
        if isinstance(y, tuple):
            np.testing.assert_allclose(y[0], np.stack([row[0] for row in rows]))
            np.testing.assert_array_equal(y[1], np.ones(4))
            assert y[2] == "t"
        else:
            np.testing.assert_allclose(y, np.stack(rows))


def test_axes() -> None:
    pair = {"a": X.T, "b": [X, 2.0]}
    y = vmap(lambda p, n: p["a"] @ p["b"][0] * p["b"][1] ** n, in_axes=({"a": -1, "b": (0, None)}, 0))(pair, 3)
    np.testing.assert_allclose(y, 8 * np.sum(X * X, axis=1))
    moved = vmap(lambda x: (x, {"s": np.sum(x)}), out_axes=(-1, {"s": 0}))(X)
    np.testing.assert_array_equal(moved[0], X.T)
    np.testing.assert_allclose(moved[1]["s"], np.sum(X, axis=1))
    shared, _ = vmap(lambda x, y: (y * 2, x), in_axes=(0, None), out_axes=(None, 0))(X, 3.0)
    assert shared == 6.0
    np.testing.assert_allclose(vmap(lambda x, *, y: x * y)(X, y=X), X * X)
    np.testing.assert_allclose(vmap(vmap(np.dot, (None, 0)), (0, None))(X, W), X @ W.T)


def test_random_keys() -> None:
    def draw(seed: Any) -> Any:
        return lilith.random.normal(lilith.random.key(seed), (5,))

    seeds = np.arange(3)
    np.testing.assert_array_equal(vmap(draw)(seeds), np.stack([lilith.jit(draw)(seed) for seed in seeds]))


def test_linear_algebra() -> None:
    a = RNG.normal(size=(5, 3, 3))
    spd = a @ a.mT + 3 * np.eye(3)
    np.testing.assert_allclose(vmap(np.linalg.cholesky)(spd), np.linalg.cholesky(spd))
    np.testing.assert_allclose(vmap(np.linalg.solve, (0, None))(a, X[0]), np.linalg.solve(a, X[0][:, None])[..., 0])
    np.testing.assert_allclose(vmap(lambda m: np.linalg.eigh(m)[0])(spd), np.linalg.eigvalsh(spd))
    np.testing.assert_allclose(vmap(lambda m: np.linalg.svd(m)[1])(a), np.linalg.svd(a)[1])
    text = str(lilith.lower(vmap(np.linalg.cholesky), lilith.spec((5, 3, 3))))
    assert "while" not in text


def test_a_batched_product_is_one_dot_with_the_batch_in_front() -> None:
    graph = lilith.trace(vmap(np.matmul), np.ones((5, 2, 3)), np.ones((5, 3, 4)))
    (node,) = graph.nodes
    assert node.primitive.name == "dot_general" and node.params["batch"] == ((0,), (0,))


def test_per_example_gradients() -> None:
    each = vmap(lambda w, x: grad(loss, w, x)[1][0], in_axes=(None, 0))(W, X)
    np.testing.assert_allclose(each, np.stack([grad(loss, W, x)[1][0] for x in X]), rtol=1e-12)
    values, g = vmap(value_and_grad(loss), in_axes=(None, 0))(W, X)
    np.testing.assert_allclose(values, [loss(W, x) for x in X])
    np.testing.assert_allclose(g[0], each)


def test_gradient_of_the_sum_is_the_sum_of_gradients() -> None:
    whole = grad(lambda w, x: np.sum(vmap(loss, in_axes=(None, 0))(w, x)), W, X)[1]
    each = vmap(lambda w, x: tuple(grad(loss, w, x)[1]), in_axes=(None, 0))(W, X)
    np.testing.assert_allclose(whole[0], np.sum(each[0], axis=0), rtol=1e-12)
    np.testing.assert_allclose(whole[1], each[1], rtol=1e-12)


def test_with_the_other_transforms() -> None:
    def f(x: Any) -> Any:
        return np.sum(np.sin(x) * x[0])

    np.testing.assert_allclose(vmap(lambda x: hessian(f, x))(X), np.stack([hessian(f, x) for x in X]), rtol=1e-12)
    np.testing.assert_allclose(vmap(lambda x: jacobian(np.sin, x))(X), np.stack([np.diag(np.cos(x)) for x in X]))
    pushed = vmap(lambda x, v: jvp(f, (x,), (v,))[1])(X, X)
    np.testing.assert_allclose(pushed, [jvp(f, (x,), (x,))[1] for x in X])
    pulled = vmap(lambda x, v: vjp(np.sin, x)[1](v)[0])(X, X)
    np.testing.assert_allclose(pulled, X * np.cos(X))
    products = vmap(lambda x: hvp(f, (x,), (x,))[0])(X)
    np.testing.assert_allclose(products, np.stack([hvp(f, (x,), (x,))[0] for x in X]), rtol=1e-12)
    np.testing.assert_allclose(jvp(vmap(f), (X,), (X,))[1], pushed)
    blocks = jacobian(vmap(f), X)
    np.testing.assert_allclose(np.einsum("iij->ij", blocks), np.stack([grad(f, x)[1][0] for x in X]))
    pullback = vjp(np.sin, X[0])[1]
    np.testing.assert_allclose(vmap(lambda v: pullback(v)[0])(np.eye(3)), np.diag(np.cos(X[0])), atol=1e-15)


def test_captured_values_are_shared() -> None:
    scale = 2.0
    mapped = vmap(lambda x: x * scale)
    np.testing.assert_array_equal(mapped(X), X * 2)
    scale = 3.0
    np.testing.assert_array_equal(mapped(X), X * 3)


def test_kinds_and_dtypes() -> None:
    import jax

    y = vmap(np.sum)(jax.numpy.ones((4, 3), np.float32))
    assert isinstance(y, jax.Array) and y.dtype == np.float32
    assert type(vmap(np.sum)(np.ones((4, 3), np.float32))) is np.ndarray
    np.testing.assert_allclose(jax.jit(vmap(np.sum))(jax.numpy.ones((4, 3), np.float32)), 3 * np.ones(4))


def test_branches_on_values_that_differ() -> None:
    def f(x: Any) -> Any:
        return x**2 if x > 0 else -x

    with pytest.raises(TraceError, match=r"np\.where.*lilith\.cond"):
        vmap(f)(X[0])
    with pytest.raises(TraceError, match=r"np\.where.*lilith\.cond"):
        lilith.jit(vmap(f))(X[0])
    assert vmap(lambda x, n: x if n > 2 else -x, in_axes=(0, None))(X[0], 3)[0] == X[0, 0]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: vmap(np.add)(X, X[:2]), ShapeError, r"differ in length \(x1: 4, x2: 2\)|differ in length"),
        (lambda: vmap(np.add)(X, 1.0), ShapeError, "which has no axis 0"),
        (lambda: vmap(np.sin, in_axes=2)(X), ShapeError, "which has no axis 2"),
        (lambda: vmap(np.add, in_axes=(0,))(X, X), ArgumentError, "for 2 positional arguments"),
        (lambda: vmap(np.sin, in_axes=None)(X), ArgumentError, "no argument has an axis"),
        (lambda: vmap(np.sin, in_axes="0")(X), ArgumentError, "is no axis"),
        (lambda: vmap(np.sin, out_axes=None)(X), ArgumentError, "is not the same for all slices"),
        (lambda: vmap(np.sin, out_axes=4)(X), ShapeError, "out_axes 4"),
        (lambda: vmap(lambda p: p["a"], in_axes=({"b": 0},))({"a": X}), ArgumentError, "do not fit to the structure"),
        (lambda: vmap(np.sin, out_axes=(0, 0))(X), ArgumentError, "do not fit to the structure of the result"),
        (lambda: vmap(3.0), ArgumentError, "must be a function"),  # type: ignore[arg-type]
    ],
)
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_a_gradient_is_a_structure() -> None:
    """A GradResult goes in and out of compiled functions like a tuple of arrays."""
    g = lilith.jit(lambda w, x: grad(loss, w, x)[1])(W, X[0])
    np.testing.assert_allclose(g["w"], grad(loss, W, X[0])[1][0])
    np.testing.assert_allclose(lilith.jit(lambda g: g[1] * 2)(g), 2 * g["x"])


def test_shared_results_of_a_loop() -> None:
    """A carry that no slice's own values reach is the same for all, also where other carries differ."""

    def f(x: Any, s: Any) -> Any:
        return lilith.scan(lambda c, _: ((c[0] + x * c[1], c[1] * 2), c[1]), (x, s), None, length=3)

    x = np.array([1.0, 2.0, 3.0])
    (carry, doubled), rows = vmap(f, in_axes=(0, None), out_axes=((0, None), None))(x, 2.0)
    np.testing.assert_allclose(carry, [f(value, 2.0)[0][0] for value in x])
    assert doubled == 16.0
    np.testing.assert_array_equal(rows, [2.0, 4.0, 8.0])
    with pytest.raises(ArgumentError, match="not the same for all slices"):
        vmap(f, in_axes=(0, None), out_axes=(None, None))(x, 2.0)
