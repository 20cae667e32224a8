"""`python -m lilith demo`: see what Lilith does; `python -m lilith demo digits`: train a classifier with it."""

from __future__ import annotations

import argparse
import sys

from lilith import demo

DEMOS = {"tutorial": demo.tutorial, "digits": demo.digits}


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="lilith", description="Gradients of Python functions, compiled by XLA.")
    commands = parser.add_subparsers(dest="command", required=True)
    demos = commands.add_parser("demo", help="run an example")
    demos.add_argument(
        "name",
        nargs="?",
        default="tutorial",
        choices=list(DEMOS),
        help="tutorial (default): value, gradients, graph, StableHLO, times; digits: train on handwritten digits",
    )
    options = parser.parse_args(argv)
    return DEMOS[options.name]()


if __name__ == "__main__":
    sys.exit(main())
