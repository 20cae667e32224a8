"""`python -m bench.gradbench [--multithreaded]`: a GradBench tool on standard input and output."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

from bench.gradbench.protocol import serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.gradbench", description="Lilith as a tool for GradBench.")
    parser.add_argument("--multithreaded", action="store_true", help="use all cores (default: one, as other tools do)")
    options = parser.parse_args()
    if not options.multithreaded and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # what else is printed must not come between the answers
        serve(sys.stdin, answers, {"multithreaded": options.multithreaded})


if __name__ == "__main__":
    main()
