"""saddle: the least greatest value of (x₁² + y₁²) - (x₂² + y₂²), by gradient descents inside of a gradient descent.

The first letter of a function is the mode of the outer derivative, the second that of the inner one: r for reverse, f
for forward.
"""

from __future__ import annotations

import numpy as np

from bench.gradbench.evals.descent import argmax, argmin, forward, reverse
from bench.gradbench.task import Task, arrays, listed
from lilith import jit


def difference(p, q):
    return np.sum(p**2) - np.sum(q**2)


def saddle(outer, inner):
    def solve(start):
        def greatest(p):
            return difference(p, argmax(lambda q: difference(p, q), start, inner))

        p = argmin(greatest, start, outer)
        return np.concatenate([p, argmax(lambda q: difference(p, q), start, outer)])

    return jit(solve)


MODES = {"r": reverse, "f": forward}
TASKS = {o + i: Task(arrays("start"), saddle(MODES[o], MODES[i]), listed) for o in MODES for i in MODES}
