"""`python -m bench NAME [--rounds N]`, `python -m bench numpy [--rounds N] [--rows PATTERN]`."""

from __future__ import annotations

import argparse

from bench import dispatch, first_call, gpu, loops, numpy, steady, transforms

BENCHMARKS = {
    "dispatch": dispatch.main,
    "first_call": first_call.main,
    "gpu": gpu.main,
    "loops": loops.main,
    "numpy": numpy.main,
    "steady": steady.main,
    "transforms": transforms.main,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Lilith beside jax, in turns, in one process.")
    parser.add_argument(
        "name",
        choices=[*BENCHMARKS, "all"],
        help="dispatch: cost of a warm call; first_call: from function to StableHLO to result; steady: warm workloads; "
        "gpu: the same on a GPU, larger; "
        "loops: gradients of loops, in time and memory; numpy: functions one by one; "
        "transforms: Hessian, its product with a vector, Jacobian, gradients per example",
    )
    parser.add_argument("--rounds", type=int, help="how often each pair is timed (default: the benchmark's own)")
    parser.add_argument("--rows", help="numpy: a regular expression for the rows to run, such as '^linalg|cumsum'")
    options = parser.parse_args()
    for name in sorted(BENCHMARKS.keys() - {"gpu"}) if options.name == "all" else [options.name]:
        given = {"rounds": options.rounds} if options.rounds else {}
        if options.rows and name == "numpy":
            given["rows"] = options.rows
        BENCHMARKS[name](**given)


if __name__ == "__main__":
    main()
