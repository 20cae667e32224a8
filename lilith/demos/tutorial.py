"""The tutorial: value, gradients, the gradient's graph, its StableHLO, times."""

from __future__ import annotations

import time

import numpy as np

import lilith
from lowering.stages import Lowered


def my_loss(y_pred, y_true):
    return np.sum((y_pred - y_true) ** 2)


def main() -> None:
    """Show what one call of grad does."""
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
