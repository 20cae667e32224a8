"""First calls: from the Python function to StableHLO, and from there to the result."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lilith
from bench.timing import Comparison, in_turns, machine, table, unit
from bench.workloads import Workload, first_call_workloads
from lilith.asked import Spec
from lilith.captures import scan
from lilith.derive import derive
from lowering import carrier
from lowering.emit import emit


def _fresh(make: Callable[[Any], Callable[..., Any]], np: Any) -> Callable[..., Any]:
    """A function object that no cache has seen."""
    f = make(np)
    return lambda *args: f(*args)


def ours_to_text(w: Workload) -> str:
    """Trace, reverse, simplify, emit."""
    f = w.make(np)
    return emit(derive(f, Spec(gradient=True, wrt=0), w.args, {}, scan(f)).graph)


def theirs_to_text(w: Workload) -> Any:
    """jax's trace and lower of the same."""
    return jax.jit(jax.value_and_grad(_fresh(w.make, jnp))).trace(*w.args).lower()


def carrier_cost(text: str, w: Workload) -> float:
    """Seconds that the carrier takes to bring finished text into JAX's own Lowered object (parsing included)."""
    f = w.make(np)
    graph = derive(f, Spec(gradient=True, wrt=0), w.args, {}, scan(f)).graph
    module = carrier.Module(graph.name, lambda _: text, graph.input_names, tuple(y.type for y in graph.outputs))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        carrier.lower_ahead(module, [x.type for x in graph.inputs])
        times.append(time.perf_counter() - start)
    return min(times)


def whole(w: Workload) -> tuple[float, float]:
    """Seconds of one first call, from function to result: ours and jax's."""
    f = w.make(np)
    start = time.perf_counter()
    value, g = lilith.grad(f, *w.args, wrt=0)
    ours = time.perf_counter() - start
    theirs = jax.jit(jax.value_and_grad(_fresh(w.make, jnp)))
    start = time.perf_counter()
    expected, expected_g = jax.block_until_ready(theirs(*w.args))
    seconds = time.perf_counter() - start
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    mine = jax.tree.leaves(g[0])
    for a, b in zip(mine, jax.tree.leaves(expected_g), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)
    return ours, seconds


def main(rounds: int = 7) -> None:
    jax.config.update("jax_enable_x64", True)
    print(machine())
    targets = {"(a)": 5.0, "(b)": 3.0, "(c)": 5.0}
    rows = []
    for w in first_call_workloads():
        c: Comparison = in_turns(lambda w=w: ours_to_text(w), lambda w=w: theirs_to_text(w), rounds)
        fixed = carrier_cost(ours_to_text(w), w)
        ours, theirs = whole(w)
        rows.append(
            [
                w.name,
                unit(min(c.ours)),
                unit(min(c.theirs)),
                f"{1 / c.ratio:.1f}x",
                f"{targets[w.name[:3]]:.0f}x",
                unit(fixed),
                unit(ours),
                unit(theirs),
                f"{ours / theirs:.2f}",
            ]
        )
    header = (
        "",
        "trace..emit",
        "jax trace+lower",
        "faster",
        "target",
        "carrier",
        "first call",
        "jax first call",
        "ratio",
    )
    table("first call: value and gradient", header, rows)
