"""First calls: from the Python function to StableHLO, and from there to the result; and those of Python loops."""

from __future__ import annotations

import functools
import multiprocessing
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import lilith
from bench.timing import Comparison, in_turns, machine, table, unit
from bench.workloads import Workload, first_call_workloads, normal, rosenbrock
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


# ---- Python loops ----------------------------------------------------------------------------------------------------

PATIENCE = 100.0
"""Seconds after which jax's first call of an unrolled loop is given up."""


def chain(np: Any, steps: int) -> Callable[..., Any]:
    def unrolled(W, h):
        for i in range(steps):
            h = np.tanh(W @ h + 0.01 * i)
        return np.sum(h)

    return unrolled


def particles(np: Any) -> Callable[..., Any]:
    def energy(x):
        total = 0.0
        for i in range(len(x)):
            for j in range(i + 1, len(x)):
                d = x[i] - x[j]
                total = total + 1.0 / np.sqrt(np.sum(d * d) + 0.01)
        return total

    return energy


def minors(np: Any) -> Callable[..., Any]:
    def determinant(m):
        def of(rows, columns):
            if not rows:
                return 1.0
            total = 0.0
            for k, j in enumerate(columns):
                rest = columns[:k] + columns[k + 1 :]
                total = total + (-1.0) ** k * m[rows[0], j] * of(rows[1:], rest)
            return total

        n = len(m)
        return of(tuple(range(n)), tuple(range(n)))

    return determinant


def submatrices(np: Any) -> Callable[..., Any]:
    def determinant(m):
        if len(m) == 1:
            return m[0, 0]
        total = 0.0
        for j in range(len(m)):
            rest = np.concatenate([m[1:, :j], m[1:, j + 1 :]], axis=1)
            total = total + (-1.0) ** j * m[0, j] * determinant(rest)
        return total

    return determinant


def lstm(np: Any) -> Callable[..., Any]:
    def collected(W, U, b, x):
        n = len(b) // 4
        h, c, found = b[:n] * 0.0, b[:n] * 0.0, []
        for t in range(len(x)):
            z = W @ x[t] + U @ h + b
            forget, update, output = [1.0 / (1.0 + np.exp(-z[k * n : (k + 1) * n])) for k in range(3)]
            c = forget * c + update * np.tanh(z[3 * n :])
            h = output * np.tanh(c)
            found.append(h)
        return np.sum(np.stack(found) ** 2)

    return collected


def layers(np: Any) -> Callable[..., Any]:
    def separate(parameters, x):
        for W, b in parameters:
            x = np.tanh(x @ W + b)
        return np.sum(x * x)

    return separate


class Loop(NamedTuple):
    """A Python loop: `make(np)` gives the function; `target` is for its first call, as a ratio to jax's."""

    name: str
    make: Callable[[Any], Callable[..., Any]]
    args: tuple[Any, ...]
    target: float | None


def python_loops() -> list[Loop]:
    def recurrent(steps: int) -> Callable[[Any], Callable[..., Any]]:
        return functools.partial(chain, steps=steps)

    weights = [(normal(32, 32, scale=0.2), normal(32)) for _ in range(48)]
    return [
        Loop("chain, 100 steps", recurrent(100), (normal(16, 16, scale=0.2), normal(16)), 0.25),
        Loop("chain, 500 steps", recurrent(500), (normal(16, 16, scale=0.2), normal(16)), 0.06),
        Loop("Rosenbrock, n = 200", rosenbrock, (normal(200),), 0.2),
        Loop("Rosenbrock, n = 2000", rosenbrock, (normal(2000),), None),
        Loop("minors by indices, 6x6", minors, (normal(6, 6),), 0.3),
        Loop("minors by submatrices, 6x6", submatrices, (normal(6, 6),), 0.3),
        Loop("pairs of 40 particles", particles, (normal(40, 3),), 0.3),
        Loop("LSTM, 60 steps, collected", lstm, (normal(64, 8), normal(64, 16), normal(64), normal(60, 8)), None),
        Loop("48 layers, separate weights", layers, (weights, normal(8, 32)), 1.0),
    ]


class Timing(NamedTuple):
    """Seconds of a first call and of a warm one, and what came out."""

    first: float
    warm: float
    results: list[np.ndarray]


def _timed(gradient: Callable[..., Any], args: tuple[Any, ...]) -> Timing:
    start = time.perf_counter()
    results = jax.block_until_ready(gradient(*args))
    first = time.perf_counter() - start
    warm = []
    for _ in range(30):
        start = time.perf_counter()
        for _ in range(10):
            jax.block_until_ready(gradient(*args))  # NumPy arrays in on both sides
        warm.append((time.perf_counter() - start) / 10)
    return Timing(first, min(warm), [np.asarray(x) for x in jax.tree.leaves(results)])


def _ours(loop: Loop) -> Timing:
    lilith.grad(lambda x: np.sum(x * x), np.ones(3))
    f = lilith.value_and_grad(loop.make(np), wrt=0)

    def gradient(*args: Any) -> Any:
        value, g = f(*args)
        return value, g[0]

    return _timed(gradient, loop.args)


def _theirs(loop: Loop) -> Timing:
    jax.config.update("jax_enable_x64", True)
    jax.jit(jax.value_and_grad(lambda x: jnp.sum(x * x)))(jnp.ones(3))
    return _timed(jax.jit(jax.value_and_grad(loop.make(jnp))), loop.args)


def _answer(name: str, side: str, pipe: Any) -> None:
    loop = next(loop for loop in python_loops() if loop.name == name)
    pipe.send((_ours if side == "ours" else _theirs)(loop))


def _in_process(name: str, side: str, seconds: float) -> Timing | None:
    """The timing of one side in a process of its own; None where it takes longer than that."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(name, side, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv() if receiver.poll(seconds) else None
    finally:
        process.terminate()
        process.join()


def compare_loop(loop: Loop, patience: float = PATIENCE) -> list[str]:
    """A row of the table; the results agree."""
    ours = _in_process(loop.name, "ours", patience)
    theirs = _in_process(loop.name, "theirs", patience)
    if ours is None:
        return [loop.name, f"> {patience:.0f} s", "", "", "", "", "", ""]
    target = "" if loop.target is None else f"{loop.target:.2f}x"
    if theirs is None:
        ratio = f"< {ours.first / patience:.3f}"
        return [loop.name, unit(ours.first), f"> {patience:.0f} s", ratio, target, unit(ours.warm), "", ""]
    for a, b in zip(ours.results, theirs.results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)
    ratio, warm = ours.first / theirs.first, ours.warm / theirs.warm
    first = [unit(ours.first), unit(theirs.first), f"{ratio:.3f}", target]
    return [loop.name, *first, unit(ours.warm), unit(theirs.warm), f"{warm:.2f}"]


LOOPS_HEADER = ("", "first call", "jax", "ratio", "target", "warm", "jax", "ratio")


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
    rows = [compare_loop(loop) for loop in python_loops()]
    table("first call and warm calls of Python loops: value and gradient, jax unrolled", LOOPS_HEADER, rows)
