"""The examples that `python -m lilith demo NAME` runs: plain NumPy programs on data that packages ship."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import NamedTuple


class Demo(NamedTuple):
    """An example: what it shows, and the packages that it needs besides Lilith, as pip and as Python know them."""

    title: str
    needs: tuple[tuple[str, str], ...] = ()


_DATA = ("scikit-learn", "sklearn")
DEMOS = {
    "tutorial": Demo("value, gradients, graph and StableHLO of a loss, and what a call costs"),
    "logistic": Demo("logistic regression by L-BFGS on the breast cancer data", (_DATA,)),
    "digits": Demo("a perceptron on handwritten digits, by Adam of optax", (_DATA, ("optax", "optax"))),
    "convolution": Demo("a convolutional net on handwritten digits, to 98 % and more", (_DATA, ("optax", "optax"))),
    "mixture": Demo("a Gaussian mixture of the wine data by maximum likelihood, beside EM", (_DATA,)),
    "language": Demo("an LSTM that learns to write Lilith's README", (("optax", "optax"),)),
    "vae": Demo(
        "a variational autoencoder of digits, with a picture of reconstructions",
        (_DATA, ("optax", "optax"), ("matplotlib", "matplotlib")),
    ),
}
"""By the name of the module here."""


def listing() -> str:
    """All examples, a line each."""
    width = max(map(len, DEMOS))
    return "\n".join([f"{name:{width}}  {demo.title}" for name, demo in DEMOS.items()])


def run(name: str) -> int:
    """Run an example; the exit status."""
    missing = [pip for pip, module in DEMOS[name].needs if importlib.util.find_spec(module) is None]
    if missing:
        print(f"lilith demo {name} needs {', '.join(missing)}: pip install {' '.join(missing)}", file=sys.stderr)
        return 1
    importlib.import_module(f"lilith.demos.{name}").main()
    return 0
