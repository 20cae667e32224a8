"""The examples that `python -m lilith demo NAME` runs: plain NumPy programs on data that packages ship."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from typing import Any, NamedTuple


class Demo(NamedTuple):
    """An example: what it shows, and the packages that it needs besides Lilith, as pip and as Python know them."""

    title: str
    needs: tuple[tuple[str, str], ...] = ()


_DATA = ("scikit-learn", "sklearn")
DEMOS = {
    "tutorial": Demo("value, gradients, graph and StableHLO of a loss, and what a call costs"),
    "logistic": Demo("logistic regression by L-BFGS on the breast cancer data", (_DATA,)),
    "digits": Demo("a perceptron on handwritten digits, by Adam of optax", (_DATA, ("optax", "optax"))),
    "convolution": Demo("a convolutional net on handwritten digits, to 98 % and more", (_DATA,)),
    "mixture": Demo("a Gaussian mixture of the wine data by maximum likelihood, beside EM", (_DATA,)),
    "language": Demo("an LSTM that learns to write Lilith's README"),
    "vae": Demo(
        "a variational autoencoder of digits, with a picture of reconstructions",
        (_DATA, ("matplotlib", "matplotlib")),
    ),
}
"""By the name of the module here."""


def listing() -> str:
    """All examples, a line each."""
    width = max(map(len, DEMOS))
    return "\n".join([f"{name:{width}}  {demo.title}" for name, demo in DEMOS.items()])


def run(name: str, **options: Any) -> int:
    """Run an example with what its main takes of `steps`, `seed` and `out`; None stands for its own choice.

    Returns:
        the exit status: 0, 1 where a package is missing, 2 where the example has no such option.
    """
    missing = [pip for pip, module in DEMOS[name].needs if importlib.util.find_spec(module) is None]
    if missing:
        print(f"lilith demo {name} needs {', '.join(missing)}: pip install {' '.join(missing)}", file=sys.stderr)
        return 1
    main = importlib.import_module(f"lilith.demos.{name}").main
    given = {option: value for option, value in options.items() if value is not None}
    taken = inspect.signature(main).parameters
    for option in given:
        if option not in taken:
            knows = f"it has {', '.join(f'--{t}' for t in taken)}" if taken else "it has none"
            print(f"lilith demo {name} has no option --{option}; {knows}", file=sys.stderr)
            return 2
    main(**given)
    return 0
