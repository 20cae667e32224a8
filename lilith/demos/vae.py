"""A variational autoencoder of handwritten digits, with a picture of what it makes of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import lilith
from lilith import nn
from lilith.demos.training import adam, batches, dense, digits

LATENT = 8


def encode(model: dict, images: Any) -> tuple[Any, Any]:
    """Mean and logarithm of the deviation of the latent variables, given images as rows of 64 pixels."""
    h = np.tanh(images @ model["in"]["W"] + model["in"]["b"])
    found = h @ model["latent"]["W"] + model["latent"]["b"]
    return found[:, :LATENT], found[:, LATENT:]


def decode(model: dict, z: Any) -> Any:
    """Scores of the pixels, given latent variables: their sigmoid is the grey value."""
    h = np.tanh(z @ model["back"]["W"] + model["back"]["b"])
    return h @ model["out"]["W"] + model["out"]["b"]


def loss(model: dict, key: Any, images: Any) -> Any:
    """The negative evidence lower bound per image, in nats, by one sample each (Kingma and Welling 2014, eq. 10)."""
    mean, log_deviation = encode(model, images)
    z = mean + np.exp(log_deviation) * lilith.random.normal(key, mean.shape, dtype=np.float32)
    scores = decode(model, z)
    cross_entropy = np.sum(nn.softplus(scores) - images * scores, axis=1)
    divergence = 0.5 * np.sum(mean**2 + np.exp(2 * log_deviation) - 1 - 2 * log_deviation, axis=1)
    return np.mean(cross_entropy + divergence)


def train(epochs: int = 40, seed: int = 0, report: Callable[[str], None] = print) -> tuple[dict, list[float]]:
    """The model, and the evidence lower bound on the 450 test images after each epoch."""
    x, x_test, _, _ = digits()
    x, x_test = x.reshape(-1, 64), x_test.reshape(-1, 64)
    generator = np.random.default_rng(seed)
    sizes = {"in": (64, 128), "latent": (128, 2 * LATENT), "back": (LATENT, 128), "out": (128, 64)}
    model = {name: dense(generator, *size) for name, size in sizes.items()}
    model["latent"]["W"] *= 0.1
    init, step = adam(loss, 3e-3, epochs * (len(x) // 64))
    test = lilith.jit(loss)
    state, start, bounds = init(model), time.perf_counter(), []
    for epoch in range(1, epochs + 1):
        for chosen in batches(64, len(x), generator):
            key = lilith.random.key(int(generator.integers(1 << 31)))
            state, _ = step(state, key, x[chosen])
        bounds.append(-float(test(state["model"], lilith.random.key(0), x_test)))
        report(f"epoch {epoch:3d}  test evidence bound {bounds[-1]:.3f} nats  {time.perf_counter() - start:.1f} s")
    return state["model"], bounds


def picture(model: dict, path: str, count: int = 10) -> float:
    """Write test images (above) and their reconstructions (below) as a PNG; returns their mean squared difference."""
    from matplotlib.image import imsave

    _, x_test, _, _ = digits()
    images = x_test[:count]
    scores = np.asarray(decode(model, encode(model, images.reshape(-1, 64))[0]))
    again = (1.0 / (1.0 + np.exp(-scores))).reshape(-1, 8, 8)
    rows = [np.concatenate(list(np.pad(r, ((0, 0), (1, 1), (1, 1)))), axis=1) for r in (images, again)]
    imsave(path, np.kron(np.concatenate(rows), np.ones((8, 8))), cmap="gray_r", vmin=0.0, vmax=1.0)
    return float(np.mean((images - again) ** 2))


def main(steps: int = 40, seed: int = 0, out: str = "vae_digits.png") -> None:
    model, bounds = train(steps, seed)
    difference = picture(model, out)
    print(f"evidence bound {bounds[0]:.2f} -> {bounds[-1]:.2f} nats; mean square of the pixels' error {difference:.4f}")
    print(f"test images and their reconstructions: {out}")
