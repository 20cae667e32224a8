"""gmm: log posterior of a Gaussian mixture, with a Wishart prior on its precision matrices Qᵀ Q, and its gradient."""

from __future__ import annotations

import numpy as np
from scipy.special import multigammaln

from bench.gradbench.task import Task
from lilith import grad, jit


def logsumexp(x):
    top = np.max(x, axis=-1, keepdims=True)
    return top[..., 0] + np.log(np.sum(np.exp(x - top), axis=-1))


def factors(q, below):
    """Q, lower triangular: exp(q) on the diagonal, the rest column by column."""
    k, d = q.shape
    column, row = np.triu_indices(d, 1)
    place = np.zeros((d, d), np.int64)
    place[row, column] = np.arange(len(row))
    lower = np.tril(np.take(below, place, axis=1), -1) if len(row) else np.zeros((k, d, d))
    return lower + np.exp(q)[:, :, None] * np.eye(d)


def objective(independent, x, m, gamma):
    alpha, mu, q, below = independent
    n, d = x.shape
    k = len(alpha)
    Q = factors(q, below)
    sums = np.sum(q, axis=1)
    scaled = (x - mu[:, None, :]) @ np.swapaxes(Q, 1, 2)  # a row of Q (xᵢ - μ) for each component and point
    beta = alpha[:, None] + sums[:, None] - 0.5 * np.sum(scaled**2, axis=2)
    likelihood = np.sum(logsumexp(beta.T)) - n * (0.5 * d * np.log(2.0 * np.pi) + logsumexp(alpha))
    freedom = d + m + 1
    constant = k * (freedom * d * np.log(gamma / np.sqrt(2.0)) - multigammaln(0.5 * freedom, d))
    return likelihood + constant - 0.5 * gamma**2 * np.sum(Q**2) + m * np.sum(sums)


def gradient(independent, x, m, gamma):
    return grad(objective, independent, x, m, gamma, wrt="independent")[1]["independent"]


def prepare(given):
    k, d = given["k"], given["d"]
    shapes = {"alpha": (k,), "mu": (k, d), "q": (k, d), "l": (k, d * (d - 1) // 2)}
    independent = tuple([np.array(given[name], np.float64).reshape(shape) for name, shape in shapes.items()])
    return independent, np.array(given["x"], np.float64), given["m"], float(given["gamma"])


def report(result):
    return {name: g.tolist() for name, g in zip(("alpha", "mu", "q", "l"), result, strict=True)}


TASKS = {"objective": Task(prepare, jit(objective), float), "jacobian": Task(prepare, gradient, report)}
