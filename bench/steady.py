"""Warm time of whole workloads, arrays on the device."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lilith
from bench.timing import HEADER, calls_for, in_turns, machine, row, table
from bench.workloads import Workload, steady_workloads


def compare(w: Workload, rounds: int) -> list[str]:
    """One row: the gradient for the first argument by both, checked against each other."""
    args = jax.tree.map(jax.device_put, w.args)
    ours = lilith.value_and_grad(w.make(np), wrt=0)
    theirs = jax.jit(jax.value_and_grad(w.make(jnp)))

    def run_ours() -> Any:
        value, g = ours(*args)
        return jax.block_until_ready((value, g[0]))

    def run_theirs() -> Any:
        return jax.block_until_ready(theirs(*args))

    for a, b in zip(jax.tree.leaves(run_ours()), jax.tree.leaves(run_theirs()), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-4 * float(np.max(np.abs(b))))
    c = in_turns(run_ours, run_theirs, rounds, calls_for(run_theirs, 0.02))
    return row(w.name, c, "1.05")


def main(rounds: int = 41) -> None:
    jax.config.update("jax_enable_x64", True)
    print(machine())
    table("warm value and gradient, float32, device arrays", HEADER, [compare(w, rounds) for w in steady_workloads()])
