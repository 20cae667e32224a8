"""An LSTM that learns to write Lilith's README, character by character."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import lilith
from lilith import nn
from lilith.demos.training import adam


def readme() -> str:
    """The README's text: from the clone, or from what pip has installed."""
    clone = Path(__file__).parents[2]
    file = clone / "README.md"
    if file.exists() and (clone / "pyproject.toml").exists():  # site-packages may hold another project's README.md
        return file.read_text(encoding="utf-8")
    return importlib.metadata.metadata("lilith").get_payload()  # type: ignore[attr-defined]


def lstm(model: dict, state: tuple, x: Any) -> tuple:
    """One step of an LSTM (Hochreiter and Schmidhuber 1997; Gers et al. 2000): the new output and cell."""
    h, cell = state
    gates = x + h @ model["recurrent"] + model["bias"]
    forget, write, read, candidate = np.split(gates, 4, axis=-1)
    cell = nn.sigmoid(forget + 1.0) * cell + nn.sigmoid(write) * np.tanh(candidate)
    return nn.sigmoid(read) * np.tanh(cell), cell


def loss(model: dict, text: Any) -> Any:
    """Mean cross entropy in nats of each character given those before it; text: batch x length, integers."""
    inputs = np.swapaxes(lilith.numpy.take(model["embedding"], text[:, :-1], axis=0), 0, 1)
    zero = np.zeros((text.shape[0], model["recurrent"].shape[0]), model["recurrent"].dtype)

    def step(state: tuple, x: Any) -> tuple:
        state = lstm(model, state, x)
        return state, state[0]

    _, outputs = lilith.scan(step, (zero, zero), inputs)
    logits = np.swapaxes(outputs, 0, 1) @ model["out"]
    return nn.cross_entropy(logits.reshape(-1, logits.shape[-1]), text[:, 1:].reshape(-1))


def initial(generator: np.random.Generator, characters: int, size: int) -> dict[str, np.ndarray]:
    """A model with small random weights."""

    def normal(*shape: int) -> np.ndarray:
        return generator.normal(0.0, shape[0] ** -0.5, shape).astype(np.float32)

    return {
        "embedding": normal(characters, 4 * size) * 3.0,
        "recurrent": normal(size, 4 * size),
        "bias": np.zeros(4 * size, np.float32),
        "out": normal(size, characters),
    }


def sample(model: dict, start: str, alphabet: str, count: int) -> str:
    """What the model writes after a beginning, at a temperature of 1/2."""
    generator = np.random.default_rng(0)
    step = lilith.jit(lambda model, state, i: lstm(model, state, model["embedding"][i]))
    size = model["recurrent"].shape[0]
    state = (np.zeros(size, np.float32), np.zeros(size, np.float32))
    written = start
    for position in range(len(start) + count - 1):
        state = step(model, state, np.array(alphabet.index(written[position])))
        if position >= len(start) - 1:
            scores = 2.0 * (np.asarray(state[0]) @ np.asarray(model["out"])).astype(float)
            weights = np.exp(scores - scores.max())
            written += alphabet[generator.choice(len(alphabet), p=weights / weights.sum())]
    return written


def train(
    steps: int = 600, seed: int = 0, size: int = 128, report: Callable[[str], None] = print
) -> tuple[float, float, dict, str]:
    """Bits per character at the beginning and at the end, the model, and its alphabet."""
    text = readme()
    alphabet = "".join(sorted(set(text)))
    codes = np.array([alphabet.index(c) for c in text])
    generator, length = np.random.default_rng(seed), 64
    init, step = adam(loss, 1e-2, steps)
    state, start, bits = init(initial(generator, len(alphabet), size)), time.perf_counter(), []
    for i in range(1, steps + 1):
        begins = generator.integers(0, len(codes) - length, 32)
        state, value = step(state, codes[begins[:, None] + np.arange(length + 1)])
        bits.append(float(value) / np.log(2.0))
        if i % max(steps // 10, 1) == 0:
            recent = np.mean(bits[-max(steps // 10, 1) :])
            report(f"step {i:4d}  {recent:.3f} bits per character  {time.perf_counter() - start:.1f} s")
    return bits[0], float(np.mean(bits[-max(steps // 20, 1) :])), state["model"], alphabet


def main(steps: int = 600, seed: int = 0) -> None:
    first, last, model, alphabet = train(steps, seed)
    print(f"{first:.2f} bits per character at first, {last:.2f} now; it writes:\n")
    print(sample(model, "Gradient", alphabet, 300))
