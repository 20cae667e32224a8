"""Losses: the tutorial's, softmax cross entropy, logsumexp, layer norm, many small parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from bench.comparison.workload import Size, Workload, add, normal

# ---- the tutorial's loss -------------------------------------------------------------------------------------------


def tutorial(np: Any, kit: Any) -> Callable[..., Any]:
    def my_loss(y_pred, y_true):
        return np.sum((y_pred - y_true) ** 2)

    return my_loss


def tutorial_by_hand(y_pred: Any, y_true: Any) -> Any:
    d = y_pred - y_true
    return numpy.sum(d**2), (2 * d, -2 * d)


add(
    Workload(
        "tutorial",
        "sum of squared differences, NumPy arrays in and out: what a call costs",
        tutorial,
        tuple(
            Size(f"{n:,}", lambda rng, n=n: (normal(rng, n), normal(rng, n)))  # type: ignore[misc]
            for n in (10, 1_000_000)
        ),
        wrt=(0, 1),
        torch=tutorial,
        by_hand=tutorial_by_hand,
        host=True,
    )
)


# ---- many small parameters -----------------------------------------------------------------------------------------


def parameters(np: Any, kit: Any) -> Callable[..., Any]:
    def sum_of_squares(p):
        total = 0.0
        for name in sorted(p):
            total = total + np.sum(p[name] ** 2)
        return total

    return sum_of_squares


def parameters_by_hand(p: Any) -> Any:
    return sum(numpy.sum(x**2) for x in p.values()), ({name: 2 * x for name, x in p.items()},)


def _many(count: int) -> Callable[..., Any]:
    return lambda rng: ({f"w{i:03d}": normal(rng, 3, 4) for i in range(count)},)


add(
    Workload(
        "parameters",
        "sum of squares over a dict of small parameters, NumPy arrays in and out: what a structured call costs",
        parameters,
        (Size("10 of 3x4", _many(10)), Size("100 of 3x4", _many(100))),
        torch=parameters,
        by_hand=parameters_by_hand,
        host=True,
        rolled=True,
    )
)


# ---- softmax cross entropy -----------------------------------------------------------------------------------------


def cross_entropy(np: Any, kit: Any) -> Callable[..., Any]:
    def softmax_cross_entropy(logits, targets):
        shifted = logits - np.max(logits, axis=1, keepdims=True)
        log_probabilities = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
        return -np.sum(log_probabilities * targets) / logits.shape[0]

    return softmax_cross_entropy


def cross_entropy_torch(torch: Any, kit: Any) -> Callable[..., Any]:
    def softmax_cross_entropy(logits, targets):
        shifted = logits - torch.amax(logits, dim=1, keepdim=True)
        log_probabilities = shifted - torch.log(torch.sum(torch.exp(shifted), dim=1, keepdim=True))
        return -torch.sum(log_probabilities * targets) / logits.shape[0]

    return softmax_cross_entropy


def cross_entropy_by_hand(logits: Any, targets: Any) -> Any:
    shifted = logits - logits.max(axis=1, keepdims=True)
    e = numpy.exp(shifted)
    total = e.sum(axis=1, keepdims=True)
    value = -numpy.sum((shifted - numpy.log(total)) * targets) / len(logits)
    return value, ((e / total * targets.sum(axis=1, keepdims=True) - targets) / len(logits),)


def one_hot(rng: numpy.random.Generator, rows: int, classes: int, dtype: str) -> numpy.ndarray:
    return numpy.eye(classes, dtype=dtype)[rng.integers(0, classes, rows)]


add(
    Workload(
        "softmax-cross-entropy",
        "softmax cross entropy of logits, float32",
        cross_entropy,
        tuple(
            Size(f"{n}x{k}", lambda rng, n=n, k=k: (normal(rng, n, k, dtype="float32"), one_hot(rng, n, k, "float32")))  # type: ignore[misc]
            for n, k in ((32, 10), (512, 1000), (4096, 1000))
        ),
        torch=cross_entropy_torch,
        by_hand=cross_entropy_by_hand,
    )
)


# ---- logsumexp -----------------------------------------------------------------------------------------------------


def logsumexp(np: Any, kit: Any) -> Callable[..., Any]:
    def logsumexp_sum(x):
        top = np.max(x, axis=1, keepdims=True)
        return np.sum(np.log(np.sum(np.exp(x - top), axis=1)) + top[:, 0])

    return logsumexp_sum


def logsumexp_torch(torch: Any, kit: Any) -> Callable[..., Any]:
    def logsumexp_sum(x):
        top = torch.amax(x, dim=1, keepdim=True)
        return torch.sum(torch.log(torch.sum(torch.exp(x - top), dim=1)) + top[:, 0])

    return logsumexp_sum


def logsumexp_by_hand(x: Any) -> Any:
    top = x.max(axis=1, keepdims=True)
    e = numpy.exp(x - top)
    total = e.sum(axis=1, keepdims=True)
    return numpy.sum(numpy.log(total) + top), (e / total,)


add(
    Workload(
        "logsumexp",
        "log of the sum of exponentials of each row",
        logsumexp,
        tuple(
            Size(f"{n}x{k}", lambda rng, n=n, k=k: (normal(rng, n, k),))  # type: ignore[misc]
            for n, k in ((10, 10), (1000, 1000), (1, 1_000_000))
        ),
        torch=logsumexp_torch,
        by_hand=logsumexp_by_hand,
    )
)


# ---- layer norm ----------------------------------------------------------------------------------------------------


def layer_norm(np: Any, kit: Any) -> Callable[..., Any]:
    def layer_norm_loss(x, scale, shift, weights):
        mean = np.mean(x, axis=1, keepdims=True)
        variance = np.mean((x - mean) ** 2, axis=1, keepdims=True)
        return np.sum(((x - mean) / np.sqrt(variance + 1e-5) * scale + shift) * weights)

    return layer_norm_loss


def layer_norm_torch(torch: Any, kit: Any) -> Callable[..., Any]:
    def layer_norm_loss(x, scale, shift, weights):
        mean = torch.mean(x, dim=1, keepdim=True)
        variance = torch.mean((x - mean) ** 2, dim=1, keepdim=True)
        return torch.sum(((x - mean) / torch.sqrt(variance + 1e-5) * scale + shift) * weights)

    return layer_norm_loss


def layer_norm_by_hand(x: Any, scale: Any, shift: Any, weights: Any) -> Any:
    d = x - x.mean(axis=1, keepdims=True)
    inverse = 1 / numpy.sqrt((d * d).mean(axis=1, keepdims=True) + x.dtype.type(1e-5))
    y = d * inverse
    g = weights * scale
    of_x = inverse * (g - g.mean(axis=1, keepdims=True) - y * (g * y).mean(axis=1, keepdims=True))
    value = numpy.sum((y * scale + shift) * weights)
    return value, (of_x, (weights * y).sum(axis=0), weights.sum(axis=0))


def _layer_norm_arguments(n: int, k: int) -> Callable[..., Any]:
    f = "float32"
    return lambda rng: (
        normal(rng, n, k, dtype=f),
        normal(rng, k, dtype=f),
        normal(rng, k, dtype=f),
        normal(rng, n, k, dtype=f),
    )


add(
    Workload(
        "layer-norm",
        "layer normalisation with scale and shift, float32",
        layer_norm,
        tuple(Size(f"{n}x{k}", _layer_norm_arguments(n, k)) for n, k in ((8, 16), (1024, 256), (1024, 1024))),
        wrt=(0, 1, 2),
        torch=layer_norm_torch,
        by_hand=layer_norm_by_hand,
    )
)
