"""particle: the place of a charge for which a particle, moved by it and another one in Euler steps, meets the origin.

The first letter of a function is the mode of the derivative by that place, the second that of the field's, which each
step takes: r for reverse, f for forward.
"""

from __future__ import annotations

import numpy as np

from bench.gradbench.evals.descent import argmin, forward, magnitude, reverse
from bench.gradbench.task import Task
from lilith import jit, while_loop

TIME_STEP = 0.1


def miss(w, derivative):
    """The square of the place where the particle meets the x-axis, interpolated after the last step above it."""

    def potential(x):
        return 1.0 / magnitude(x - np.stack([10.0, 10.0 - w])) + 1.0 / magnitude(x - np.array([10.0, 0.0]))

    def step(state):
        x, velocity = state
        return x + TIME_STEP * velocity, velocity - TIME_STEP * derivative(potential, x)[1]

    def above(state):
        return (state[0] + TIME_STEP * state[1])[1] > 0.0

    x, velocity = while_loop(above, step, (np.array([0.0, 8.0]), np.array([0.75, 0.0])))
    return (x[0] - x[1] / velocity[1] * velocity[0]) ** 2


def particle(outer, inner):
    return jit(lambda w: argmin(lambda w: miss(w[0], inner), w, outer)[0])


MODES = {"r": reverse, "f": forward}
TASKS = {
    o + i: Task(lambda given: (np.array([given["w"]], np.float64),), particle(MODES[o], MODES[i]), float)
    for o in MODES
    for i in MODES
}
