"""`python -m bench [WORKLOAD ...]` is the comparison with every peer, `python -m bench compare OLD NEW` compares two of
them; `python -m bench NAME [--rounds N]`, NAME one of NAMES, looks at one side of Lilith beside jax alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any


def _benchmarks() -> dict[str, Callable[..., None]]:
    from bench import dispatch, first_call, gpu, loops, numpy, steady, transforms

    modules = (dispatch, first_call, gpu, loops, numpy, steady, transforms)
    return {module.__name__.rpartition(".")[2]: module.main for module in modules}


NAMES = {
    "dispatch": "cost of a warm call",
    "first_call": "from function to StableHLO to result",
    "gpu": "warm workloads on a GPU, not part of all",
    "loops": "gradients of loops, in time and memory",
    "numpy": "functions one by one",
    "steady": "warm workloads",
    "transforms": "Hessian, its product with a vector, Jacobian, gradients per example",
}


def one_side(arguments: Sequence[str]) -> None:
    """Lilith beside jax, in one respect."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Lilith beside jax, in turns, in one process.")
    parser.add_argument("name", choices=[*NAMES, "all"], help="; ".join(f"{n}: {text}" for n, text in NAMES.items()))
    parser.add_argument("--rounds", type=int, help="how often each pair is timed (default: the benchmark's own)")
    parser.add_argument("--rows", help="numpy: a regular expression for the rows to run, such as '^linalg|cumsum'")
    options = parser.parse_args(arguments)
    benchmarks = _benchmarks()
    for name in sorted(benchmarks.keys() - {"gpu"}) if options.name == "all" else [options.name]:
        given: dict[str, Any] = {"rounds": options.rounds} if options.rounds else {}
        if options.rows and name == "numpy":
            given["rows"] = options.rows
        benchmarks[name](**given)


def main() -> int:
    arguments = sys.argv[1:]
    first = arguments[0] if arguments else ""
    if first in NAMES or first == "all":
        one_side(arguments)
        return 0
    if first == "compare":
        from bench.comparison.compare import main as compare

        return compare(arguments[1:])
    from bench.comparison.main import main as comparison

    return comparison(arguments)


if __name__ == "__main__":
    sys.exit(main())
