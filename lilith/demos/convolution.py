"""A convolutional net on handwritten digits, to 98 % test accuracy and more."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import lilith
from lilith import nn
from lilith.demos.training import adam, batches, dense, digits


def scores(model: dict, images: Any) -> Any:
    """Two convolutions of 3x3 with a pooling between them, then two dense layers."""
    h = nn.relu(nn.conv2d(images[:, None], model["first"]["W"], model["first"]["b"], padding=1))
    h = nn.max_pool2d(h, 2)
    h = nn.relu(nn.conv2d(h, model["second"]["W"], model["second"]["b"], padding=1))
    h = h.reshape(h.shape[0], -1)
    h = nn.relu(h @ model["hidden"]["W"] + model["hidden"]["b"])
    return h @ model["out"]["W"] + model["out"]["b"]


def loss(model: dict, images: Any, labels: Any) -> Any:
    """Mean cross entropy, and a little weight decay."""
    decay = sum([np.sum(layer["W"] ** 2) for layer in model.values()])
    return nn.cross_entropy(scores(model, images), labels) + 1e-5 * decay


def kernels(generator: np.random.Generator, inputs: int, outputs: int) -> dict[str, np.ndarray]:
    kernels = generator.normal(0.0, (2 / (9 * inputs)) ** 0.5, (outputs, inputs, 3, 3)).astype(np.float32)
    return {"W": kernels, "b": np.zeros(outputs, np.float32)}


def shifted(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Every image moved by up to one pixel each way: what a net should not care about."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    down, right = generator.integers(0, 3, (2, len(images)))
    rows, columns = down[:, None, None] + np.arange(8)[:, None], right[:, None, None] + np.arange(8)
    return padded[np.arange(len(images))[:, None, None], rows, columns]


def train(epochs: int = 35, seed: int = 0, report: Callable[[str], None] = print) -> float:
    """The share of the 450 test images that are classified correctly after some passes over the others."""
    x, x_test, y, y_test = digits()
    generator = np.random.default_rng(seed)
    model = {
        "first": kernels(generator, 1, 16),
        "second": kernels(generator, 16, 32),
        "hidden": dense(generator, 32 * 16, 64),
        "out": dense(generator, 64, 10),
    }
    init, step = adam(loss, 3e-3, epochs * (len(x) // 64))
    classify = lilith.jit(scores)
    state, start, accuracy = init(model), time.perf_counter(), 0.0
    for epoch in range(1, epochs + 1):
        values = []
        for chosen in batches(64, len(x), generator):
            state, value = step(state, shifted(x[chosen], generator), y[chosen])
            values.append(value)
        accuracy = float(np.mean(np.argmax(np.asarray(classify(state["model"], x_test)), axis=1) == y_test))
        seconds = time.perf_counter() - start
        report(f"epoch {epoch:3d}  loss {np.mean(values):.4f}  test accuracy {accuracy:.2%}  {seconds:.1f} s")
    return accuracy


def main(steps: int = 35, seed: int = 0) -> None:
    print(f"{train(steps, seed):.2%} of the test images are classified correctly")
