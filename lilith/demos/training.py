"""What the examples of networks share: data, layers, one compiled step of Adam, and batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import lilith


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """scikit-learn's 8x8 handwritten digits, grey from 0 to 1: 1,347 images and labels to learn from, 450 to test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    images = (data.images / 16.0).astype(np.float32)
    x, x_test, y, y_test = train_test_split(images, data.target, test_size=450, random_state=0, stratify=data.target)
    return x, x_test, y, y_test


def adam(loss: Callable[..., Any], rate: float, steps: int) -> tuple[Callable[[Any], dict], Callable[..., Any]]:
    """Adam (Kingma and Ba 2015, algorithm 1), its step size falling to zero like a cosine.

    Arguments:
        loss: `(model, *batch) -> scalar`.
        rate: the step size at the beginning.
        steps: after how many steps it is zero.

    Returns:
        `init(model) -> state` and `step(state, *batch) -> (state, value)`, one program that puts the new state, which
        holds the model, in the memory of the old one.
    """

    def init(model: Any) -> dict:
        mean, square = (lilith.update(model, model, lambda w, _: np.zeros_like(w)) for _ in range(2))
        state = {"model": model, "mean": mean, "square": square, "count": np.zeros((), np.float32)}
        return lilith.to_device(state, lilith.best_available_device())

    def step(state: dict, *batch: Any) -> tuple[dict, Any]:
        value, g = lilith.grad(loss, state["model"], *batch, wrt=0)
        count = state["count"] + 1
        mean = lilith.update(state["mean"], g[0], lambda m, dw: 0.9 * m + 0.1 * dw)
        square = lilith.update(state["square"], g[0], lambda v, dw: 0.999 * v + 0.001 * dw**2)
        size = rate * 0.5 * (1 + np.cos(np.pi * (count - 1) / steps)) * np.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        model = lilith.update(state["model"], mean, lambda w, m, v: w - size * m / (np.sqrt(v) + 1e-8), square)
        return {"model": model, "mean": mean, "square": square, "count": count}, value

    return init, lilith.jit(step, donate=0)


def batches(size: int, count: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """The numbers 0 ... count - 1 in random order, `size` at a time; what is left over waits for the next epoch."""
    order = generator.permutation(count)
    for first in range(0, count - size + 1, size):
        yield order[first : first + size]


def dense(generator: np.random.Generator, inputs: int, outputs: int) -> dict[str, np.ndarray]:
    """A layer's weights, of He's variance 2 / inputs (He et al. 2015), and biases of zero."""
    weights = generator.normal(0.0, (2 / inputs) ** 0.5, (inputs, outputs)).astype(np.float32)
    return {"W": weights, "b": np.zeros(outputs, np.float32)}
