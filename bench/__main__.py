"""`python -m bench NAME [--rounds N]`."""

from __future__ import annotations

import argparse

from bench import dispatch, first_call, loops, steady

BENCHMARKS = {"dispatch": dispatch.main, "first_call": first_call.main, "loops": loops.main, "steady": steady.main}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Lilith beside jax, in turns, in one process.")
    parser.add_argument(
        "name",
        choices=[*BENCHMARKS, "all"],
        help="dispatch: cost of a warm call; first_call: from function to StableHLO to result; steady: warm workloads",
    )
    parser.add_argument("--rounds", type=int, help="how often each pair is timed (default: the benchmark's own)")
    options = parser.parse_args()
    for name in BENCHMARKS if options.name == "all" else [options.name]:
        BENCHMARKS[name](**({"rounds": options.rounds} if options.rounds else {}))


if __name__ == "__main__":
    main()
