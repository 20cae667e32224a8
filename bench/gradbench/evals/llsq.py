"""llsq: least squares of a polynomial with coefficients x at n points t from -1 to 1, against the sign of t."""

from __future__ import annotations

import numpy as np

from bench.gradbench.task import Task, listed
from lilith import grad, jit


def primal(x, t):
    powers = np.vander(t, len(x), increasing=True)
    return 0.5 * np.sum((np.sign(t) - powers @ x) ** 2)


def gradient(x, t):
    return grad(primal, x, t, wrt="x")[1]["x"]


def prepare(given):
    """The points are data, so that each run computes their powers."""
    return np.array(given["x"], np.float64), np.linspace(-1.0, 1.0, given["n"])


TASKS = {"primal": Task(prepare, jit(primal), float), "gradient": Task(prepare, gradient, listed)}
