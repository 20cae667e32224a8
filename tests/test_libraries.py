"""Structures of other libraries work as they are: flax, equinox, classes that JAX knows; optax takes our gradients."""

from __future__ import annotations

from typing import Any

import equinox
import flax.core
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

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
        assert type(g[0]) is Line and g[0].activation is None
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
