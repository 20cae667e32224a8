"""lse: the logarithm of a sum of exponentials, and its gradient."""

from __future__ import annotations

import numpy as np

from bench.gradbench.task import Task, arrays, listed
from lilith import grad, jit


def primal(x):
    top = np.max(x)
    return top + np.log(np.sum(np.exp(x - top)))


def gradient(x):
    return grad(primal, x)[1][0]


TASKS = {"primal": Task(arrays("x"), jit(primal), float), "gradient": Task(arrays("x"), gradient, listed)}
