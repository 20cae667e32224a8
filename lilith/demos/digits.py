"""A perceptron of two layers on handwritten digits, by Adam of optax."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import lilith
from lilith import nn
from lilith.demos.training import adam_step, batches, dense, digits


def scores(model: list[dict], images: Any) -> Any:
    """Class scores: 64 pixels, 128 hidden units, 10 classes."""
    hidden = np.maximum(images.reshape(-1, 64) @ model[0]["W"] + model[0]["b"], 0.0)
    return hidden @ model[1]["W"] + model[1]["b"]


def loss(model: list[dict], images: Any, labels: Any) -> Any:
    """Mean cross entropy, and a little weight decay."""
    decay = sum([np.sum(layer["W"] ** 2) for layer in model])
    return nn.cross_entropy(scores(model, images), labels) + 1e-4 * decay


def train(epochs: int = 20, report: Callable[[str], None] = print) -> float:
    """The share of the 450 test images that are classified correctly after some passes over the others."""
    x, x_test, y, y_test = digits()
    generator = np.random.default_rng(0)
    model = lilith.to_device([dense(generator, 64, 128), dense(generator, 128, 10)], lilith.best_available_device())
    init, step = adam_step(loss, 3e-3)
    state, start, accuracy = init(model), time.perf_counter(), 0.0
    for epoch in range(1, epochs + 1):
        values = []
        for chosen in batches(64, len(x), generator):
            model, state, value = step(model, state, x[chosen], y[chosen])
            values.append(value)
        accuracy = float(np.mean(np.argmax(np.asarray(lilith.jit(scores)(model, x_test)), axis=1) == y_test))
        seconds = time.perf_counter() - start
        report(f"epoch {epoch:3d}  loss {np.mean(values):.4f}  test accuracy {accuracy:.2%}  {seconds:.1f} s")
    return accuracy


def main() -> None:
    print(f"{train():.2%} of the test images are classified correctly")
