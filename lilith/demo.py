"""The examples that `python -m lilith demo` runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def my_loss(y_pred, y_true):
    return np.sum((y_pred - y_true) ** 2)


def tutorial() -> int:
    """The tutorial: value, gradients, the gradient's graph, its StableHLO, times."""
    import lilith
    from lowering.stages import Lowered

    y_pred, y_true = np.random.rand(10), np.random.rand(10)
    start = time.perf_counter()
    val, g = lilith.grad(my_loss, y_pred, y_true)
    first = time.perf_counter() - start
    start = time.perf_counter()
    lilith.grad(my_loss, y_pred, y_true)
    second = time.perf_counter() - start
    start = time.perf_counter()
    for _ in range(1000):
        lilith.grad(my_loss, y_pred, y_true)
    later = (time.perf_counter() - start) / 1000

    print("def my_loss(y_pred, y_true):\n    return np.sum((y_pred - y_true) ** 2)\n")
    print(">>> val, g = grad(my_loss, y_pred, y_true)")
    print(f">>> val, g\n({val!r}, {g!r})")
    print(f">>> g[0]    # gradient of my_loss with respect to y_pred\n{g[0]!r}")
    print(f">>> g[1]    # and to y_true\n{g[1]!r}\n")
    graph = lilith.trace_grad(my_loss, y_pred, y_true)
    print(f"The gradient graph, trace_grad(my_loss, y_pred, y_true):\n\n{graph}\n")
    print(f"Its StableHLO:\n\n{Lowered(graph)}")
    print(f"First call (trace, differentiate, lower, compile, run): {first * 1e3:.1f} ms")
    print(f"Second call (writes the warm path down): {second * 1e6:.0f} us")
    print(f"Each of the next 1000 calls: {later * 1e6:.0f} us")
    return 0


def mlp(parameters: list[dict[str, np.ndarray]], images: Any) -> Any:
    """Class scores of a two-layer perceptron."""
    hidden = np.maximum(images @ parameters[0]["W"] + parameters[0]["b"], 0.0)
    return hidden @ parameters[1]["W"] + parameters[1]["b"]


def digits_loss(parameters: list[dict[str, np.ndarray]], images: Any, targets: Any) -> Any:
    """Mean cross entropy of the softmax, and a little weight decay."""
    scores = mlp(parameters, images)
    shifted = scores - np.max(scores, axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    decay = sum(np.sum(layer["W"] ** 2) for layer in parameters)
    return -np.mean(np.sum(log_probabilities * targets, axis=1)) + 1e-4 * decay


def train_digits(epochs: int = 40, batch: int = 64, report: Callable[[str], None] = print) -> float:
    """Train the perceptron on scikit-learn's handwritten digits by gradient descent with momentum.

    Arguments:
        epochs: passes over the 1,347 training images.
        batch: images per step.
        report: called with a line per epoch.

    Returns:
        The share of the 450 test images that are classified correctly.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    from lilith import grad

    data = load_digits()
    images, labels = data.data / 16.0, data.target
    x, x_test, y, y_test = train_test_split(images, labels, test_size=450, random_state=0, stratify=labels)
    targets = np.eye(10)[y]
    generator = np.random.default_rng(0)
    parameters = [
        {"W": generator.normal(0.0, (2 / m) ** 0.5, (m, n)), "b": np.zeros(n)} for m, n in ((64, 128), (128, 10))
    ]
    velocity = [{name: np.zeros_like(w) for name, w in layer.items()} for layer in parameters]
    start, accuracy = time.perf_counter(), 0.0
    for epoch in range(1, epochs + 1):
        losses = []
        order = generator.permutation(len(x))
        for first in range(0, len(x) - batch + 1, batch):
            chosen = order[first : first + batch]
            loss, g = grad(digits_loss, parameters, x[chosen], targets[chosen], wrt=0)
            losses.append(loss)
            for layer, speed, gradient in zip(parameters, velocity, g[0], strict=True):
                for name in layer:
                    speed[name] = 0.9 * speed[name] - 0.1 * gradient[name]
                    layer[name] = layer[name] + speed[name]
        accuracy = float(np.mean(np.argmax(mlp(parameters, x_test), axis=1) == y_test))
        seconds = time.perf_counter() - start
        report(f"epoch {epoch:3d}  loss {np.mean(losses):.4f}  test accuracy {accuracy:.2%}  {seconds:.1f} s")
    return accuracy


def digits() -> int:
    """Train on the digits and say how it went; scikit-learn brings the data."""
    try:
        import sklearn  # noqa: F401
    except ImportError:
        print("lilith demo digits needs scikit-learn: pip install -e '.[test]'", file=sys.stderr)
        return 1
    accuracy = train_digits()
    print(f"{accuracy:.2%} of the test images are classified correctly")
    return 0
