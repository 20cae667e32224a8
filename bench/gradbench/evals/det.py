"""det: the determinant by expansion by minors along the first row, and its gradient."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from bench.gradbench.task import Task, listed
from lilith import grad, jit


def minors(A, m):
    """Determinants of the m x m matrices that the last m rows have, one for each choice of m columns, in order.

    Each is the alternating sum, over its columns, of an element of its first row times the minor without that column.
    Minors that several larger ones expand to are computed once.
    """
    n = len(A)
    if m == 0:
        return np.ones(1)
    smaller = {columns: i for i, columns in enumerate(combinations(range(n), m - 1))}
    chosen = list(combinations(range(n), m))
    without = np.array([[smaller[c[:j] + c[j + 1 :]] for j in range(m)] for c in chosen])
    signs = (-1.0) ** np.arange(m)
    return np.sum(signs * A[n - m][np.array(chosen)] * np.take(minors(A, m - 1), without), axis=1)


def primal(A):
    return minors(A, len(A))[0]


def gradient(A):
    return grad(primal, A)[1][0]


def prepare(given):
    return (np.array(given["A"], np.float64).reshape(given["ell"], given["ell"]),)


def flat(result):
    return listed(result.ravel())


TASKS = {"primal": Task(prepare, jit(primal), float), "gradient": Task(prepare, gradient, flat)}
