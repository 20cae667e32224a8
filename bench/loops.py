"""Gradients of loops: time and temporary memory beside jax's of the same formulation with lax.scan; `while_loop` beside
its own forward loop.

The workloads are written once over a namespace `np` and the loops `lax` (jax.lax, or lilith itself). Memory is XLA's
own figure for the temporary buffers of the compiled program.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy

import lilith
from bench.timing import Comparison, calls_for, in_turns, machine, table, unit
from bench.workloads import normal
from lilith import paths
from lowering.stages import Lowered

HEADER = ("", "lilith", "jax", "ratio", "of minima", "target", "memory", "jax's", "ratio", "target")
FORWARD_HEADER = ("", "gradient", "forward", "ratio", "of minima", "target")


class Counted(NamedTuple):
    """A workload: `make(np, lax)` gives a scalar function; it is differentiated by all arguments listed in `wrt`."""

    name: str
    make: Callable[[Any, Any], Callable[..., Any]]
    args: tuple[Any, ...]
    wrt: tuple[int, ...]
    time: str
    memory: str


def rnn(np: Any, lax: Any) -> Callable[..., Any]:
    def rnn_loss(W, U, h, xs):
        def step(h, x):
            return np.tanh(h @ W + x @ U), None

        return np.sum(lax.scan(step, h, xs)[0] ** 2)

    return rnn_loss


def chain(np: Any, lax: Any, steps: int = 100) -> Callable[..., Any]:
    """Classical Runge-Kutta for dy_0 = x_0, dy_i = x_i y_{i-1} (the ODE of GradBench)."""

    def slope(x, y):
        return np.concatenate([x[:1], x[1:] * y[:-1]])

    def runge_kutta(x):
        h = 1.0 / steps

        def step(i, y):
            k1 = slope(x, y)
            k2 = slope(x, y + h / 2 * k1)
            k3 = slope(x, y + h / 2 * k2)
            k4 = slope(x, y + h * k3)
            return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

        return np.sum(lax.fori_loop(0, steps, step, x))

    return runge_kutta


def lstm(np: Any, lax: Any) -> Callable[..., Any]:
    """Layers whose gates are elementwise (the LSTM of GradBench)."""

    def sigmoid(x):
        return 1.0 / (1.0 + np.exp(-x))

    def predict(main, extra, state, x):
        x = x * extra[0]
        new = []
        for layer in range(main.shape[0] // 2):
            w, b, h, c = main[2 * layer], main[2 * layer + 1], state[2 * layer], state[2 * layer + 1]
            forget, ingate = sigmoid(x * w[0] + b[0]), sigmoid(h * w[1] + b[1])
            outgate, change = sigmoid(x * w[2] + b[2]), np.tanh(h * w[3] + b[3])
            c = c * forget + ingate * change
            h = outgate * np.tanh(c)
            new += [h, c]
            x = h
        return new, x * extra[1] + extra[2]

    def lstm_loss(main, extra, state, sequence):
        def step(carry, pair):
            state, total = carry
            state, y = predict(main, extra, state, pair[0])
            y = y - np.log(2.0 + np.sum(np.exp(y)))
            return (state, total + np.sum(pair[1] * y)), None

        first = ([state[i] for i in range(state.shape[0])], state[0, 0] * 0.0)
        (_, total), _ = lax.scan(step, first, (sequence[:-1], sequence[1:]))
        return -total / sequence[1:].size

    return lstm_loss


def _lstm_args(layers: int, n: int = 14, steps: int = 1024) -> tuple[Any, ...]:
    return (
        normal(2 * layers, 4, n, scale=0.5),
        normal(3, n, scale=0.5),
        normal(2 * layers, n, scale=0.5),
        normal(steps, n),
    )


def counted() -> list[Counted]:
    f = "float32"
    args = (
        normal(128, 128, dtype=f, scale=0.08),
        normal(128, 128, dtype=f, scale=0.08),
        normal(32, 128, dtype=f),
        normal(200, 32, 128, dtype=f),
    )
    return [
        Counted("RNN, 200 steps, 32x128", rnn, args, (0, 1, 2), "0.75", ""),
        Counted("RK4 chain, 100 steps of 100,000", chain, (normal(100_000, scale=0.3),), (0,), "0.6", "0.5"),
        Counted("LSTM, 2 layers, 1024 steps of 14", lstm, _lstm_args(2), (0, 1), "0.8", ""),
        Counted("LSTM, 4 layers, 1024 steps of 14", lstm, _lstm_args(4), (0, 1), "0.8", ""),
    ]


def compare(w: Counted, rounds: int) -> list[str]:
    """A row: gradients checked against each other, time in turns, temporary memory."""
    args = jax.tree.map(jax.device_put, w.args)
    f = w.make(numpy, lilith)
    ours = lilith.value_and_grad(f, wrt=w.wrt)
    theirs = jax.jit(jax.value_and_grad(w.make(jnp, jax.lax), argnums=w.wrt))

    def run_ours() -> Any:
        value, g = ours(*args)
        return jax.block_until_ready((value, [g[i] for i in w.wrt]))

    def run_theirs() -> Any:
        return jax.block_until_ready(theirs(*args))

    for a, b in zip(jax.tree.leaves(run_ours()), jax.tree.leaves(run_theirs()), strict=True):
        numpy.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-4 * float(numpy.max(numpy.abs(b))))
    c = in_turns(run_ours, run_theirs, rounds, calls_for(run_theirs, 0.05))
    memory = Lowered(lilith.trace_grad(f, *w.args, wrt=w.wrt)).compile().memory()["temporaries"]
    jax_memory = theirs.lower(*args).compile().memory_analysis().temp_size_in_bytes
    sizes = [f"{memory / 1e6:.2f} MB", f"{jax_memory / 1e6:.2f} MB", f"{memory / max(jax_memory, 1):.2f}", w.memory]
    return [*_times(w.name, c), w.time, *sizes]


def _times(name: str, c: Comparison) -> list[str]:
    middle = [sorted(times)[len(times) // 2] for times in c]
    return [name, unit(middle[0]), unit(middle[1]), f"{c.ratio:.2f}", f"{c.best_ratio:.2f}"]


def newton(a: Any) -> Any:
    """The cube root of a by Newton's iteration, until it moves by less than 1e-12."""

    def step(state):
        x, _ = state
        return x - (x * x * x - a) / (3.0 * x * x), x

    x, _ = lilith.while_loop(lambda s: numpy.max(numpy.abs(s[0] - s[1])) > 1e-12, step, (a, 0.0 * a))
    return numpy.sum(x)


def euler(y: Any, rate: Any) -> Any:
    """A damped fall until it reaches the ground: height, speed and drag in fixed steps."""

    def step(state):
        height, speed = state
        return height + 0.01 * speed, speed - 0.01 * (9.81 + rate * speed)

    return lilith.while_loop(lambda s: s[0] > 0.0, step, (y, 0.0 * y))[1]


def unknown(rounds: int) -> list[list[str]]:
    """Gradient through a while_loop against the forward loop, both compiled by us."""
    cases = [
        ("Newton iteration, 1000 roots", newton, (numpy.abs(normal(1000)) + 1.0,), "2.5"),
        ("Euler until y < 0, about 350 steps", euler, (numpy.float64(35.0), numpy.float64(0.3)), "2.5"),
        ("Euler until y < 0, about 1e5 steps", euler, (numpy.float64(32_670.0), numpy.float64(0.3)), "5"),
    ]
    rows = []
    for name, f, args, target in cases:
        on_device = jax.tree.map(jax.device_put, args)
        gradient, forward = lilith.value_and_grad(f), lilith.jit(f)

        def run_gradient(gradient: Any = gradient, args: Any = on_device) -> Any:
            value, g = gradient(*args)
            return jax.block_until_ready((value, list(g)))

        def run_forward(forward: Any = forward, args: Any = on_device) -> Any:
            return jax.block_until_ready(forward(*args))

        rows.append([*_times(name, in_turns(run_gradient, run_forward, rounds, calls_for(run_forward, 0.05))), target])
    return rows


def _branching(x: Any) -> Any:
    return numpy.sum(numpy.sin(x) * x) if x[0] > 0 else numpy.sum(numpy.cos(x) * x)


def branches(rounds: int) -> list[list[str]]:
    """A function with one `if`, its branches taken in turn, against the function without: NumPy in, NumPy out."""
    x = numpy.abs(normal(10_000)) + 0.1
    plain = lilith.value_and_grad(lambda x: numpy.sum(numpy.sin(x) * x))
    rows = []
    hot = paths.HOT
    for name, limit, target in (("two programs", sys.maxsize, "2.5"), ("merged into one", hot, "1.5")):
        paths.HOT = limit
        try:
            steered = lilith.value_and_grad(types.FunctionType(_branching.__code__.replace(), globals()))
            for _ in range(4 * hot):
                steered(x), steered(-x)
            c = in_turns(lambda f=steered: (f(x), f(-x)), lambda: (plain(x), plain(-x)), rounds, 50)
        finally:
            paths.HOT = hot
        rows.append([*_times(f"if x[0] > 0, {name}", c), target])
    return rows


def main(rounds: int = 21) -> None:
    jax.config.update("jax_enable_x64", True)
    print(machine())
    table("gradients of counted loops, device arrays", HEADER, [compare(w, rounds) for w in counted()])
    table("gradients through while_loop, against the loop alone", FORWARD_HEADER, unknown(rounds))
    table(
        "a Python branch on a traced value",
        ("", "with if", "without", "ratio", "of minima", "target"),
        branches(rounds),
    )
