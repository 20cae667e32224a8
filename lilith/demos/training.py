"""What the examples of networks share: data, one compiled step of Adam, epochs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import lilith


def digits(dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """scikit-learn's 8x8 handwritten digits, grey from 0 to 1: 1,347 images and labels to learn from, 450 to test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    images = (data.images / 16.0).astype(dtype)
    x, x_test, y, y_test = train_test_split(images, data.target, test_size=450, random_state=0, stratify=data.target)
    return x, x_test, y, y_test


def adam_step(
    loss: Callable[..., Any], rate: float, steps: int | None = None
) -> tuple[Callable[[Any], Any], Callable[..., Any]]:
    """Adam of optax around our gradient.

    Arguments:
        loss: `(model, *batch) -> scalar`.
        rate: the step size; it falls to zero like a cosine if the number of steps is given.

    Returns:
        `init(model)`, the optimiser's state, and `step(model, state, *batch) -> (model, state, value)`: one program,
        which XLA compiles from our gradient and optax's update, and which puts the new model in the old one's place.
    """
    import jax
    import optax

    optimiser = optax.adam(rate if steps is None else optax.cosine_decay_schedule(rate, steps))

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(model: Any, state: Any, *batch: Any) -> tuple[Any, Any, Any]:
        value, g = lilith.grad(loss, model, *batch, wrt=0)
        changes, state = optimiser.update(g[0], state, model)
        return optax.apply_updates(model, changes), state, value

    return optimiser.init, step


def batches(size: int, count: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """The numbers 0 ... count - 1 in random order, `size` at a time; what is left over waits for the next epoch."""
    order = generator.permutation(count)
    for first in range(0, count - size + 1, size):
        yield order[first : first + size]


def dense(generator: np.random.Generator, inputs: int, outputs: int) -> dict[str, np.ndarray]:
    """A layer's weights, of He's variance 2 / inputs (He et al. 2015), and biases of zero."""
    weights = generator.normal(0.0, (2 / inputs) ** 0.5, (inputs, outputs)).astype(np.float32)
    return {"W": weights, "b": np.zeros(outputs, np.float32)}
