"""Donation: a training step reuses the memory of what it is given up; what is gone is said so; calls do not wait."""

from __future__ import annotations

import collections
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lilith

State = collections.namedtuple("State", "momentum count")


def loss(params, x):
    h = np.tanh(x @ params["layers"][0] + params["bias"])
    return np.mean((h @ params["layers"][1]) ** 2)


RATE = np.float32(0.1)


def train_step(params, state, x):
    value, g = lilith.grad(loss, params, x, wrt=0)
    momentum = lilith.tree.unflatten(
        lilith.tree.flatten(params)[1],
        [
            np.float32(0.9) * m + d
            for m, d in zip(lilith.tree.flatten(state.momentum)[0], lilith.tree.flatten(g[0])[0], strict=True)
        ],
    )
    updated = lilith.update(params, momentum, lambda w, m: w - RATE * m)
    return updated, State(momentum, state.count + 1), value


def _start(n=32):
    rng = np.random.default_rng(0)
    host = {
        "layers": [rng.normal(size=(n, n)).astype(np.float32), rng.normal(size=(n, 2)).astype(np.float32)],
        "bias": np.zeros(n, np.float32),
    }
    params = jax.tree.map(jnp.asarray, host)
    state = State(jax.tree.map(jnp.zeros_like, params), jnp.zeros((), jnp.int32))
    return params, state, jnp.asarray(rng.normal(size=(8, n)).astype(np.float32))


def _arrays(x):
    return [leaf for leaf in lilith.tree.flatten(x)[0] if isinstance(leaf, jax.Array)]


def test_a_training_step_reuses_parameters_and_state():
    params, state, x = _start()
    expected = [params, state]
    plain, step = lilith.jit(train_step), lilith.jit(train_step, donate=(0, "state"))
    for _ in range(4):
        expected = plain(*expected[:2], x)
    for _ in range(4):
        old = _arrays(params) + _arrays(state)
        params, state, value = step(params, state, x)
        assert all(array.is_deleted() for array in old)
        assert not x.is_deleted()
    assert type(state) is State and int(state.count) == 4
    for a, b in zip(_arrays((params, state, value)), _arrays(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_compiled_program_says_so():
    params, state, x = _start(256)
    donated = sum(array.nbytes for array in _arrays((params, state)))
    with_donation = lilith.lower(train_step, params, state, x, donate=(0, 1)).compile()
    without = lilith.lower(train_step, params, state, x).compile()
    assert with_donation.memory()["reused"] == donated and without.memory()["reused"] == 0
    aliases = with_donation.hlo().splitlines()[0]
    assert aliases.count("-alias") == len(_arrays((params, state))) and "input_output_alias" not in without.hlo()
    of_types = lilith.lower(lambda x, y: (x + y, y * 2), lilith.spec("f32[9]"), lilith.spec("f32[9]"), donate="y")
    assert of_types.compile().memory()["reused"] == 36


def test_the_programs_that_calls_run_have_the_aliases():
    params, state, x = _start()
    step = lilith.jit(train_step, donate=(0, 1))
    pointers = [a.unsafe_buffer_pointer() for a in _arrays((params, state))]
    params, state, _ = step(params, state, x)
    assert sorted(a.unsafe_buffer_pointer() for a in _arrays((params, state))) == sorted(pointers)


def test_what_is_gone_is_named():
    params, state, x = _start()
    step = lilith.jit(train_step, donate=0)
    new = params
    for _ in range(3):
        new, _, _ = step(new, state, x)
    for call in (lambda: step(params, state, x), lambda: step(params=params, state=state, x=x)):
        with pytest.raises(lilith.ArgumentError, match=r"params\['bias'\]|params\['layers'\]\[0\]") as error:
            call()
        assert "donated" in str(error.value) and "test_donating.py" in str(error.value)
    for _ in range(2):  # the first call traces
        lilith.grad(loss, new, x)
        with pytest.raises(lilith.ArgumentError, match=r"\(float32\[.*was donated to an earlier call and is gone"):
            lilith.grad(loss, params, x)
    captured = params["bias"]
    with pytest.raises(lilith.ArgumentError, match=r"captured \(float32\[32\]\) was donated"):
        lilith.grad(lambda y: np.sum(captured * y), x[0])


def test_arrays_that_no_result_replaces_are_gone_too():
    step = lilith.jit(lambda x, y: np.sum(x) * y, donate="x")
    for _ in range(4):
        x, y = jnp.ones(5), jnp.ones(3)
        np.testing.assert_array_equal(step(x, y), np.full(3, 5.0))
        assert x.is_deleted() and not y.is_deleted()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # JAX warns of such arrays
        lilith.jit(lambda x: np.sum(x), donate=0)(jnp.ones(7))


def test_numpy_arrays_are_not_donated_and_that_is_said():
    def f(state, x):
        return state + np.sum(x)

    step = lilith.jit(f, donate="state")
    host = np.ones(3)
    with pytest.warns(lilith.LilithWarning, match=r"(?s)f: state is a NumPy array.*to_device\(state, "):
        np.testing.assert_array_equal(step(host, np.ones(2)), [3.0, 3.0, 3.0])
    np.testing.assert_array_equal(host, np.ones(3))
    np.testing.assert_array_equal(step(host, np.ones(4)), [5.0, 5.0, 5.0])  # it is said once
    mixed = jnp.ones(3)
    np.testing.assert_array_equal(step(mixed, np.ones(2, np.float32)), [3.0, 3.0, 3.0])
    assert mixed.is_deleted()
    assert lilith.jit(lambda n, x: n * x, donate=0)(2.0, 3.0) == 6.0


def test_one_array_in_two_places():
    def f(p, q):
        return {"a": p["a"] + 1, "b": p["b"] * q}

    step = lilith.jit(f, donate=0)
    for _ in range(4):
        a = jnp.ones(4)
        with pytest.raises(lilith.ArgumentError, match=r"p\['a'\] and q are the same array, and it is donated"):
            step({"a": a, "b": a * 2}, a)
        assert not a.is_deleted()
        tied = step({"a": a, "b": a}, jnp.full(4, 3.0))
        np.testing.assert_array_equal(tied["a"], np.full(4, 2.0))
        np.testing.assert_array_equal(tied["b"], np.full(4, 3.0))
        assert a.is_deleted()
        got = step({"a": jnp.ones(4), "b": jnp.ones(4)}, jnp.full(4, 3.0))
        np.testing.assert_array_equal(got["b"], np.full(4, 3.0))


def test_python_branches_are_settled_before_anything_is_given_up():
    def f(x, limit):
        if np.sum(x) > limit:
            x = x / 2
        while np.max(x) > 8:
            x = x - 1
        return x + 1, np.sum(x)

    def expected(x, limit):
        x = np.asarray(x)
        return f(x, limit)

    step = lilith.jit(f, donate=0)
    rng = np.random.default_rng(0)
    for i in range(60):
        host = rng.uniform(0, 11, size=16).astype(np.float32)
        if i % 3:
            host = host / 4
        limit = np.float32(60.0)
        x = jnp.asarray(host)
        y, total = step(x, limit)
        want, want_total = expected(host, limit)
        np.testing.assert_allclose(y, want, rtol=1e-6)
        np.testing.assert_allclose(total, want_total, rtol=1e-5)
        assert x.is_deleted()


def test_a_failed_call_gives_nothing_up():
    def f(x):
        if np.sum(x) > 0:
            raise ValueError("positive")
        return x * 2

    step = lilith.jit(f, donate=0)
    step(-jnp.ones(3))
    x = jnp.ones(3)
    for _ in range(2):
        with pytest.raises(ValueError, match="positive"):
            step(x)
        np.testing.assert_array_equal(x, np.ones(3))


def test_which_arguments():
    def f(x, *, y):
        return x + y

    for wrong, message in ((2, "2 positional|1 positional"), ("z", "without such an argument")):
        with pytest.raises(lilith.ArgumentError, match=message):
            lilith.jit(f, donate=wrong)(jnp.ones(2), y=jnp.ones(2))
    for wrong in (None, 1.0, True, (0, None)):
        with pytest.raises(lilith.ArgumentError, match="donate="):
            lilith.jit(f, donate=wrong)
    for donate, gone in ((-1, "x"), (["y"], "y"), (("x", "y"), "xy")):
        given = {"x": jnp.ones(2), "y": jnp.ones(2)}
        np.testing.assert_array_equal(lilith.jit(f, donate=donate)(given["x"], y=given["y"]), [2.0, 2.0])
        assert {name for name in given if given[name].is_deleted()} == set(gone)
    assert "donate=(-1,)" in lilith.explain_cache(f) and "donate=('x', 'y')" in lilith.explain_cache(f)


def test_inside_of_other_functions_nothing_is_given_up():
    step = lilith.jit(lambda x: 2 * x, donate=0)
    x = jnp.ones(3)
    value, g = lilith.grad(lambda x: np.sum(step(x) * x), x)
    assert value == 6 and not x.is_deleted()
    np.testing.assert_array_equal(g[0], np.full(3, 4.0))
    np.testing.assert_array_equal(jax.jit(step)(x), np.full(3, 2.0))
    assert not x.is_deleted()


def test_calls_with_device_arrays_do_not_wait():
    """The program takes long: when the call is back it has not finished, and the next call takes what it will give."""

    def long(x):
        return lilith.fori_loop(0, 20, lambda i, y: np.tanh(y @ x) / 2, x)

    for step in (lilith.jit(long), lilith.jit(long, donate=0), lambda x: lilith.jvp(long, (x,), (x,))[1]):
        x = jnp.full((600, 600), 0.01, jnp.float32)
        step(jnp.array(x)).block_until_ready(), step(jnp.array(x)).block_until_ready()
        early = 0
        for _ in range(4):
            y = step(jnp.array(x))
            early += not y.is_ready()
            y.block_until_ready()
        assert early > 0
    value, g = lilith.grad(lambda x: np.sum(long(x)), x)
    assert isinstance(value, jax.Array) and isinstance(g[0], jax.Array)


def test_what_is_gone_is_named_wherever_it_is_used(tmp_path) -> None:
    gone, there = jnp.ones(3), jnp.ones(3)
    _, g = lilith.grad(lambda w: np.sum(np.maximum(w, 2.0)), gone)
    pulled = lilith.vjp(lambda w: w * w, there)[1]
    lilith.jit(lambda w: w * 2, donate=0)(gone)
    model = {"w": gone}
    for use in (
        lambda: lilith.update(model, {"w": there}, lambda w, dw: w - dw),
        lambda: lilith.update({"w": there}, model, lambda w, dw: w - dw),
        lambda: lilith.update_(model, {"w": there}, lambda w, dw: w - dw),
        lambda: lilith.save_tree(tmp_path / "model.npz", model),
        lambda: lilith.to_device(model, "cpu"),
        lambda: lilith.minimize(lambda m: np.sum(m["w"] ** 2), model),
        lambda: g.why("w"),
        lambda: lilith.grad(lambda w: w * w, there, cotangent=gone),
        lambda: lilith.jvp(lambda w: w * w, (there,), (gone,)),
        lambda: pulled(gone),
    ):
        for _ in range(2):
            with pytest.raises(lilith.ArgumentError, match="was donated to an earlier call and is gone"):
                use()
    assert not (tmp_path / "model.npz").exists()
