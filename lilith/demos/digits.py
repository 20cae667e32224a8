"""A perceptron of two layers on handwritten digits, by Adam of optax."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import lilith
from lilith import nn
from lilith.demos.training import batches, dense, digits


def scores(model: list[dict], images: Any) -> Any:
    """Class scores: 64 pixels, 128 hidden units, 10 classes."""
    hidden = np.maximum(images.reshape(-1, 64) @ model[0]["W"] + model[0]["b"], 0.0)
    return hidden @ model[1]["W"] + model[1]["b"]


def loss(model: list[dict], images: Any, labels: Any) -> Any:
    """Mean cross entropy, and a little weight decay."""
    decay = sum([np.sum(layer["W"] ** 2) for layer in model])
    return nn.cross_entropy(scores(model, images), labels) + 1e-4 * decay


def train(epochs: int = 20, seed: int = 0, report: Callable[[str], None] = print) -> float:
    """The share of the 450 test images that are classified correctly after some passes over the others."""
    import optax

    x, x_test, y, y_test = digits()
    generator = np.random.default_rng(seed)
    model = lilith.to_device([dense(generator, 64, 128), dense(generator, 128, 10)], lilith.best_available_device())
    optimiser = optax.adam(3e-3)
    classify = lilith.jit(scores)
    state, start, accuracy = optimiser.init(model), time.perf_counter(), 0.0
    for epoch in range(1, epochs + 1):
        values = []
        for chosen in batches(64, len(x), generator):
            value, g = lilith.grad(loss, model, x[chosen], y[chosen], wrt=0)
            changes, state = optimiser.update(g[0], state, model)
            model = optax.apply_updates(model, changes)
            values.append(value)
        accuracy = float(np.mean(np.argmax(np.asarray(classify(model, x_test)), axis=1) == y_test))
        seconds = time.perf_counter() - start
        report(f"epoch {epoch:3d}  loss {np.mean(values):.4f}  test accuracy {accuracy:.2%}  {seconds:.1f} s")
    return accuracy


def main(steps: int = 20, seed: int = 0) -> None:
    print(f"{train(steps, seed):.2%} of the test images are classified correctly")
