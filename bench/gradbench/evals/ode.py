"""ode: y₀' = x₀, yᵢ' = xᵢ yᵢ₋₁ from y(0) = 0 to t = 2 in s classical Runge-Kutta steps; the gradient of the last y."""

from __future__ import annotations

import numpy as np

from bench.gradbench.task import Task, arrays, listed
from lilith import fori_loop, grad, jit


def slope(x, y):
    return np.concatenate([x[:1], x[1:] * y[:-1]])


def primal(x, s):
    h = 2.0 / s

    def step(_, y):
        k1 = slope(x, y)
        k2 = slope(x, y + h / 2 * k1)
        k3 = slope(x, y + h / 2 * k2)
        k4 = slope(x, y + h * k3)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    return fori_loop(0, s, step, np.zeros_like(x))


def last(x, s):
    return primal(x, s)[-1]


def gradient(x, s):
    return grad(last, x, s)[1][0]


TASKS = {"primal": Task(arrays("x", "s"), jit(primal), listed), "gradient": Task(arrays("x", "s"), gradient, listed)}
