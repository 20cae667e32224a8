"""Workloads, written once in NumPy's API over a namespace `np`: Lilith and jax run the very same code."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy


class Workload(NamedTuple):
    """A scalar function of arrays and arguments for it: `make(np)` gives the function over a namespace."""

    name: str
    make: Callable[[Any], Callable[..., Any]]
    args: tuple[Any, ...]


_random = numpy.random.default_rng(0)


def normal(*shape: int, dtype: str = "float64", scale: float = 1.0) -> numpy.ndarray:
    return (scale * _random.standard_normal(shape)).astype(dtype)


def tutorial(np: Any) -> Callable[..., Any]:
    def my_loss(y_pred, y_true):
        return np.sum((y_pred - y_true) ** 2)

    return my_loss


def rosenbrock(np: Any) -> Callable[..., Any]:
    def rosenbrock_loop(x):
        total = 0.0
        for i in range(len(x) - 1):
            total = total + 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
        return total

    return rosenbrock_loop


def mlp(np: Any) -> Callable[..., Any]:
    def mlp_loss(parameters, x, targets):
        h = x
        for W, b in parameters[:-1]:
            h = np.tanh(h @ W + b)
        W, b = parameters[-1]
        logits = h @ W + b
        top = np.max(logits, axis=1, keepdims=True)
        log_sum = top[:, 0] + np.log(np.sum(np.exp(logits - top), axis=1))
        return np.mean(log_sum - np.sum(logits * targets, axis=1))

    return mlp_loss


def recurrence(np: Any) -> Callable[..., Any]:
    def unrolled(W, h, b):
        for _ in range(100):
            h = np.tanh(W @ h + b)
        return np.sum(h)

    return unrolled


def layer_norm(np: Any) -> Callable[..., Any]:
    def layer_norm_loss(x, scale, shift):
        mean = np.mean(x, axis=1, keepdims=True)
        variance = np.mean((x - mean) ** 2, axis=1, keepdims=True)
        return np.sum((x - mean) / np.sqrt(variance + 1e-5) * scale + shift)

    return layer_norm_loss


def logsumexp(np: Any) -> Callable[..., Any]:
    def logsumexp_sum(x):
        top = np.max(x, axis=1, keepdims=True)
        return np.sum(np.log(np.sum(np.exp(x - top), axis=1)) + top[:, 0])

    return logsumexp_sum


def cross_entropy(np: Any) -> Callable[..., Any]:
    def softmax_cross_entropy(logits, targets):
        shifted = logits - np.max(logits, axis=1, keepdims=True)
        log_probabilities = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
        return -np.sum(log_probabilities * targets) / logits.shape[0]

    return softmax_cross_entropy


def pairwise(np: Any) -> Callable[..., Any]:
    def pairwise_distances(x):
        d = x[:, None, :] - x[None, :, :]
        return np.sum(np.sqrt(np.sum(d * d, axis=2) + 1e-9))

    return pairwise_distances


def batched_matmul(np: Any) -> Callable[..., Any]:
    def batched(a, b):
        return np.sum(np.matmul(a, b) ** 2)

    return batched


def _layers(*sizes: int, dtype: str) -> list[tuple[numpy.ndarray, numpy.ndarray]]:
    return [(normal(m, n, dtype=dtype, scale=m**-0.5), normal(n, dtype=dtype)) for m, n in itertools.pairwise(sizes)]


def _one_hot(rows: int, classes: int, dtype: str) -> numpy.ndarray:
    return numpy.eye(classes, dtype=dtype)[_random.integers(0, classes, rows)]


def first_call_workloads() -> list[Workload]:
    layers = _layers(64, 64, 64, 64, 10, dtype="float64")
    return [
        Workload("(a) Rosenbrock, Python loop, n=200", rosenbrock, (normal(200),)),
        Workload("(b) 4-layer MLP", mlp, (layers, normal(32, 64), _one_hot(32, 10, "float64"))),
        Workload("(c) 100 steps of tanh(W @ h + b)", recurrence, (normal(16, 16, scale=0.2), normal(16), normal(16))),
    ]


def steady_workloads() -> list[Workload]:
    f = "float32"
    layers = _layers(256, 512, 512, 10, dtype=f)
    return [
        Workload("MLP 256-512-512-10, batch 128", mlp, (layers, normal(128, 256, dtype=f), _one_hot(128, 10, f))),
        Workload(
            "layer norm 1024x1024",
            layer_norm,
            (normal(1024, 1024, dtype=f), normal(1024, dtype=f), normal(1024, dtype=f)),
        ),
        Workload("logsumexp 1000x1000", logsumexp, (normal(1000, 1000, dtype=f),)),
        Workload("softmax cross entropy 512x1000", cross_entropy, (normal(512, 1000, dtype=f), _one_hot(512, 1000, f))),
        Workload("pairwise distances 500x3", pairwise, (normal(500, 3, dtype=f),)),
        Workload(
            "batched matmul 1000x16x16", batched_matmul, (normal(1000, 16, 16, dtype=f), normal(1000, 16, 16, dtype=f))
        ),
    ]
