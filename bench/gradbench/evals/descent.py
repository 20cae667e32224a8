"""The optimiser of the evals particle and saddle (GradBench, cpp/gradbench/gd.hpp): gradient descent with a step that
doubles after ten successes and halves after a failure, compiled as one loop. Its gradient is by either mode."""

from __future__ import annotations

import numpy as np

from lilith import jvp, value_and_grad, vmap, while_loop

TOLERANCE = 1e-5


def reverse(f, x):
    """Value and gradient of f by reverse mode."""
    value, g = value_and_grad(f)(x)
    return value, g[0]


def forward(f, x):
    """Value and gradient of f by forward mode: its derivative along each axis."""
    values, slopes = vmap(lambda direction: jvp(f, (x,), (direction,)))(np.eye(len(x)))
    return values[0], slopes


def magnitude(x):
    return np.sqrt(np.sum(x**2))


def argmin(f, x, derivative):
    """Where f, a function of a vector, is least, from x on."""

    def step(state):
        x, value, g, rate, successes, _ = state
        rate = np.where(successes == 10, 2.0 * rate, rate)
        there = x - rate * g
        still = magnitude(there - x) <= TOLERANCE
        new, slope = derivative(f, there)
        better = ~still & (new < value)
        return (
            np.where(better, there, x),
            np.where(better, new, value),
            np.where(better, slope, g),
            np.where(better, rate, 0.5 * rate),
            np.where(better, np.where(successes == 10, 0, successes) + 1, 0),
            still | (better & (magnitude(slope) <= TOLERANCE)),
        )

    value, g = derivative(f, x)
    state = (x, value, g, 1e-5, 0, magnitude(g) <= TOLERANCE)
    return while_loop(lambda state: ~state[-1], step, state)[0]


def argmax(f, x, derivative):
    return argmin(lambda x: -f(x), x, derivative)
