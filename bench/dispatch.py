"""Warm calls of the tutorial's loss: what a call costs besides the arithmetic."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import lilith
from bench.timing import HEADER, calls_for, in_turns, machine, row, table
from bench.workloads import tutorial


def main(rounds: int = 201) -> None:
    jax.config.update("jax_enable_x64", True)
    print(machine())
    loss = tutorial(np)
    kept = lilith.value_and_grad(loss)
    theirs = jax.jit(jax.value_and_grad(tutorial(jnp), (0, 1)))
    a, b = np.random.rand(10), np.random.rand(10)
    on_device = jax.device_put(a), jax.device_put(b)

    def jax_numpy():
        value, (ga, gb) = theirs(a, b)
        return np.asarray(value), np.asarray(ga), np.asarray(gb)

    def jax_device():
        return jax.block_until_ready(theirs(*on_device))

    def ours_device(f):
        def call():
            value, g = f(*on_device)
            return jax.block_until_ready((value, g[0], g[1]))

        return call

    expected, got = jax_numpy(), lilith.grad(loss, a, b)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-15)
    np.testing.assert_allclose(got[1][0], expected[1], rtol=1e-15)
    n = calls_for(jax_numpy, 0.005)
    rows = [
        row("NumPy in and out, grad(f, ...)", in_turns(lambda: lilith.grad(loss, a, b), jax_numpy, rounds, n), "1.00"),
        row("NumPy in and out, kept value_and_grad(f)", in_turns(lambda: kept(a, b), jax_numpy, rounds, n), "1.00"),
        row(
            "device arrays, grad(f, ...)",
            in_turns(ours_device(lambda *x: lilith.grad(loss, *x)), jax_device, rounds, n),
            "1.50",
        ),
        row("device arrays, kept value_and_grad(f)", in_turns(ours_device(kept), jax_device, rounds, n), "1.25"),
    ]
    table("warm call, value and both gradients of sum((y_pred - y_true)**2), 10 elements", HEADER, rows)
    table("warm call, value and gradient of the sum of squares of 100 arrays (3, 4)", HEADER, many_parameters(rounds))
    print(f"\nfresh lambda, new captured arrays, 100 calls: {fresh_lambdas()} compile(s), target 1")


def many_parameters(rounds: int) -> list[list[str]]:
    """A loss over a dict and a list of a hundred small arrays: what structures cost."""
    rng = np.random.default_rng(0)
    as_dict = {f"p{i}": rng.normal(size=(3, 4)) for i in range(100)}
    found = []
    for name, values, p in (
        ("dict", lambda p: p.values(), as_dict),
        ("list", lambda p: p, list(as_dict.values())),
    ):
        theirs = jax.jit(jax.value_and_grad(lambda p, values=values: sum([jnp.sum(x * x) for x in values(p)])))
        ours = lilith.value_and_grad(lambda p, values=values: sum([np.sum(x * x) for x in values(p)]))
        on_device = jax.device_put(p)

        def jax_numpy(theirs=theirs, p=p):
            return jax.tree.map(np.asarray, theirs(p))

        def jax_device(theirs=theirs, p=on_device):
            return theirs(p)[0].block_until_ready()

        def ours_device(ours=ours, p=on_device):
            return ours(p)[0].block_until_ready()

        n = calls_for(jax_numpy, 0.005)
        ours(p), ours_device()
        found.append(
            row(f"{name}, NumPy in and out", in_turns(lambda ours=ours, p=p: ours(p), jax_numpy, rounds, n), "1.00")
        )
        found.append(row(f"{name}, device arrays", in_turns(ours_device, jax_device, rounds, n), "1.00"))
    return found


def fresh_lambdas(calls: int = 100) -> int:
    """How many programs a hundred closures of the same code need."""
    loss = tutorial(np)

    def one(i):
        scale, shift = np.full(10, float(i)), np.random.rand(10)
        return lambda x: loss(scale * x, shift)

    for i in range(calls):
        f = one(i)
        value, _ = lilith.grad(f, np.ones(10))
        np.testing.assert_allclose(value, f(np.ones(10)), rtol=1e-12)
    return lilith.explain_cache(f).count("grad()")
