"""Structures of other libraries work as they are: flax, equinox, classes that JAX knows; optax takes our gradients."""

from __future__ import annotations

from typing import Any

import equinox
import flax.core
import flax.linen
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState

import lilith
from lilith import grad, tree


class Line(equinox.Module):
    weight: jax.Array
    activation: Any = equinox.field(static=True)

    def __call__(self, x: Any) -> Any:
        return self.activation(self.weight @ x)


@flax.struct.dataclass
class State:
    w: Any
    power: int = flax.struct.field(pytree_node=False, default=2)


@jax.tree_util.register_pytree_node_class
class Registered:
    def __init__(self, a: Any, b: Any):
        self.a, self.b = a, b

    def tree_flatten(self) -> Any:
        return (self.b, self.a), None

    @classmethod
    def tree_unflatten(cls, _: Any, children: Any) -> Registered:
        return cls(*reversed(children))


def test_an_equinox_module() -> None:
    model = Line(jnp.eye(2), np.tanh)
    for _ in range(3):
        _, g = grad(lambda m, x: np.sum(m(x)), model, jnp.array([0.5, -1.0]))
        assert type(g[0]) is Line and g[0].activation is np.tanh and g["m.activation"] is None
    expected = jax.grad(lambda w: jnp.sum(jnp.tanh(w @ jnp.array([0.5, -1.0]))))(jnp.eye(2))
    np.testing.assert_allclose(g["m.weight"], expected, rtol=1e-6)
    updated = lilith.update(model, g[0], lambda w, dw: w - dw)
    assert type(updated) is Line and updated.activation is np.tanh
    with pytest.raises(lilith.ArgumentError, match="cannot be changed"):
        lilith.update_(model, g[0], lambda w, dw: w - dw)


def test_an_equinox_layer_stack() -> None:
    mlp = equinox.nn.MLP(2, 1, 4, 2, key=jax.random.key(0))

    def loss(m: Any, x: Any) -> Any:
        for layer in m.layers:
            x = np.tanh(layer.weight @ x + layer.bias)
        return np.sum(x)

    x = jnp.ones(2)
    _, g = grad(loss, mlp, x)

    def theirs(m: Any) -> Any:
        h = x
        for layer in m.layers:
            h = jnp.tanh(layer.weight @ h + layer.bias)
        return jnp.sum(h)

    expected = equinox.filter_grad(theirs)(mlp)
    for a, b in zip(g[0].layers, expected.layers, strict=True):
        np.testing.assert_allclose(a.weight, b.weight, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(a.bias, b.bias, rtol=1e-5, atol=1e-7)


def test_flax_structures() -> None:
    params = flax.core.FrozenDict({"a": np.ones(2), "b": {"c": 2.0}})
    _, g = grad(lambda p: np.sum(p["a"]) * p["b"]["c"], params)
    assert isinstance(g[0], flax.core.FrozenDict) and g[0]["b"]["c"] == 2.0
    np.testing.assert_array_equal(g[0]["a"], 2.0)
    for power in (2, 3):  # static: another program
        _, g = grad(lambda s: np.sum(s.w**s.power), State(np.array([1.0, 2.0]), power))
        assert isinstance(g[0], State)
        np.testing.assert_allclose(g[0].w, power * np.array([1.0, 2.0]) ** (power - 1))


class Normalised(equinox.Module):
    norm: equinox.nn.LayerNorm
    scale: float = equinox.field(static=True)

    def __call__(self, x: Any) -> Any:
        y = (x - np.mean(x)) / np.sqrt(np.var(x) + self.norm.eps)
        return self.scale * (y * self.norm.weight + self.norm.bias)


def test_fields_that_a_class_declares_to_be_no_data() -> None:
    """They are not differentiated, stay as they are in gradients and steps, and another value is seen."""
    model, x = Normalised(equinox.nn.LayerNorm(2), 2.0), np.array([0.3, -0.2], np.float32)
    loss = lambda m, x: np.sum(m(x) ** 2)  # noqa: E731
    for _ in range(3):
        value, g = grad(loss, model, x)
        assert jax.tree.structure(g[0]) == jax.tree.structure(model)
        assert g["m.norm.eps"] is None and g[0].norm.eps == model.norm.eps and g.paths()["m.scale"] is None
    assert "declares the field to be static" in g.why("m.scale")
    new = lilith.update(model, g[0], lambda w, dw: w - dw)
    assert new.norm.eps == model.norm.eps and new.scale == 2.0 and not np.all(new.norm.weight == model.norm.weight)
    found = lilith.minimize(loss, model, x)
    assert found.value < 1e-6 and found.params.norm.eps == model.norm.eps and found.params.scale == 2.0
    np.testing.assert_allclose(grad(loss, Normalised(model.norm, 4.0), x)[0], 4 * value, rtol=1e-6)
    lowered = lilith.lower_grad(loss, model, x)
    assert lowered.compile()(model, x)[1][0].scale == 2.0


def test_an_equinox_module_under_optax() -> None:
    model, x = Normalised(equinox.nn.LayerNorm(2), 2.0), jnp.array([0.3, -0.2])
    optimiser = optax.adam(0.1)
    state = optimiser.init(equinox.filter(model, equinox.is_inexact_array))
    values = []
    for _ in range(5):
        value, g = grad(lambda m, x: np.sum(m(x) ** 2), model, x)
        updates, state = optimiser.update(g[0], state, model)
        model = equinox.apply_updates(model, updates)
        values.append(float(value))
    assert values == sorted(values, reverse=True)


class Layers(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.first, self.second, self.power = nnx.Linear(2, 3, rngs=rngs), nnx.Linear(3, 1, rngs=rngs), 2


def test_an_nnx_module_and_its_optimiser() -> None:
    model, x = Layers(nnx.Rngs(0)), np.array([0.3, -0.2], np.float32)
    optimiser = nnx.Optimizer(model, optax.sgd(0.05), wrt=nnx.Param)

    def loss(m: Layers, np: Any = np) -> Any:
        h = np.tanh(x @ m.first.kernel[...] + m.first.bias[...])
        return np.sum((h @ m.second.kernel[...] + m.second.bias[...]) ** m.power)

    values = []
    for _ in range(3):
        value, g = grad(loss, model)
        expected = nnx.grad(lambda m: loss(m, jnp))(model)
        np.testing.assert_allclose(g[0].first.kernel[...], expected["first"]["kernel"][...], rtol=1e-4)
        optimiser.update(model, g[0])
        values.append(float(value))
    assert values[2] < values[1] < values[0]


def test_a_linen_train_state() -> None:
    x = np.array([0.3, -0.2], np.float32)
    module = flax.linen.Dense(1)
    state = TrainState.create(apply_fn=module.apply, params=module.init(jax.random.key(0), x), tx=optax.sgd(0.1))
    loss = lambda p: np.sum((x @ p["params"]["kernel"] + p["params"]["bias"]) ** 2)  # noqa: E731
    first, g = grad(loss, state.params)
    expected = jax.grad(lambda p: jnp.sum(module.apply(p, x) ** 2))(state.params)
    np.testing.assert_allclose(g["p['params']['kernel']"], expected["params"]["kernel"], rtol=1e-5)
    assert grad(loss, state.apply_gradients(grads=g[0]).params)[0] < first


def test_functions_of_jax_do_not_take_traced_arrays() -> None:
    mlp = equinox.nn.MLP(2, 1, 4, 1, key=jax.random.key(0))
    for f in (lambda x: jnp.sum(jnp.sin(x)), lambda x: np.sum(jax.nn.gelu(x)), lambda x: np.sum(mlp(x))):
        with pytest.raises(lilith.TraceError, match=r"was given a traced array[\s\S]*test_libraries.py"):
            grad(f, np.ones(2, np.float32))


def test_classes_that_jax_knows_and_its_registry_is_left_alone() -> None:
    before = jax.tree.structure(Registered(1.0, 2.0))
    _, g = grad(lambda m: np.sum(m.a * 3.0 + m.b), Registered(np.ones(2), np.ones(2)))
    assert type(g[0]) is Registered
    np.testing.assert_array_equal(g[0].a, 3.0)

    class Plain:
        def __init__(self) -> None:
            self.w = np.ones(2)

    tree.flatten(Plain())
    assert jax.tree.structure(Registered(1.0, 2.0)) == before
    assert jax.tree.leaves(Plain())[0].__class__ is Plain  # still a leaf for JAX


def test_adam_of_optax_on_our_gradients() -> None:
    """The same steps as with jax.grad, and a loss that falls."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 3)).astype(np.float32)
    y = np.tanh(x @ np.array([1.0, -2.0, 0.5], np.float32))

    def loss(p: dict, x: Any, y: Any) -> Any:
        return np.mean((np.tanh(x @ p["w"] + p["b"]) - y) ** 2)

    def theirs(p: dict) -> Any:
        return jnp.mean((jnp.tanh(x @ p["w"] + p["b"]) - y) ** 2)

    params = {"w": jnp.zeros(3), "b": jnp.zeros(())}
    peer = params
    optimiser = optax.adam(0.05)
    state = peer_state = optimiser.init(params)
    first, _ = grad(loss, params, x, y)
    for _ in range(30):
        value, g = grad(loss, params, x, y)
        updates, state = optimiser.update(g[0], state, params)
        params = optax.apply_updates(params, updates)
        updates, peer_state = optimiser.update(jax.grad(theirs)(peer), peer_state, peer)
        peer = optax.apply_updates(peer, updates)
    assert value < 0.1 * first
    for name in params:
        np.testing.assert_allclose(params[name], peer[name], rtol=1e-3, atol=1e-5)


def test_tree_functions_of_jax_take_a_result() -> None:
    """Also two of one structure, from different programs."""
    params = {"w": np.ones((2, 2)), "b": np.ones(2)}
    loss = lambda p, x, n: np.sum((p["w"] @ x + p["b"]) ** n)  # noqa: E731
    _, g = grad(loss, params, np.ones(2), 2)
    _, h = grad(loss, {"w": np.ones((3, 2)), "b": np.ones(3)}, np.ones(2), 2)
    half = jax.tree.map(lambda d: 0.5 * d, g)
    assert type(half) is lilith.GradResult and half["n"] is None and repr(half) == "GradResult(3)"
    np.testing.assert_array_equal(half["p['w']"], 0.5 * g["p['w']"])
    assert len(jax.tree.leaves(g)) == 3 and jax.tree.structure(g) == jax.tree.structure(h)
    shapes = jax.tree.map(lambda a, b: (a.shape, b.shape), g, h)
    assert shapes[0]["b"] == ((2,), (3,))
    assert jax.tree.structure(g) != jax.tree.structure(grad(loss, params, np.ones(2), 2, wrt=0)[1])
    with pytest.raises(lilith.GradientError, match="does not know the call"):
        half.why("n")


def test_a_result_is_an_argument_like_others() -> None:
    """Its gradient is a result with the same entries."""
    _, g = grad(lambda x, y: np.sum(x * y), np.ones(2), np.array([2.0, 3.0]))
    value, h = grad(lambda g: np.sum(g[0] ** 2) + np.sum(g["y"]), g)
    assert value == 15.0 and type(h[0]) is lilith.GradResult
    np.testing.assert_array_equal(h[0]["x"], [4.0, 6.0])
    np.testing.assert_array_equal(h[0][1], [1.0, 1.0])
