"""Timing two things in turns, and tables of their ratios."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Comparison(NamedTuple):
    """Seconds per call of ours and theirs, over all rounds, and the ratios round by round."""

    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float:
        """Median over the rounds of ours / theirs, both measured within the same fraction of a second."""
        return statistics.median(a / b for a, b in zip(self.ours, self.theirs, strict=True))

    @property
    def best_ratio(self) -> float:
        """Ratio of the minima: the two on an undisturbed machine."""
        return min(self.ours) / min(self.theirs)


def in_turns(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int, calls: int = 1) -> Comparison:
    """Time both in turns, A B B A, `calls` calls each; a warm-up call of each comes first."""
    ours(), theirs()
    times: tuple[list[float], list[float]] = ([], [])
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for i in range(rounds):
            order = (0, 1) if i % 2 == 0 else (1, 0)
            for which in order:
                f = (ours, theirs)[which]
                start = time.perf_counter()
                for _ in range(calls):
                    f()
                times[which].append((time.perf_counter() - start) / calls)
    finally:
        if enabled:
            gc.enable()
    return Comparison(*times)


def calls_for(f: Callable[[], Any], seconds: float) -> int:
    """How many calls take about that long."""
    f()
    start = time.perf_counter()
    f()
    return max(1, int(seconds / max(time.perf_counter() - start, 1e-7)))


def unit(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a header, columns aligned."""
    widths = [max(len(r[i]) for r in [header, *rows]) for i in range(len(header))]
    print(f"\n{title}")
    for row in [header, ["-" * w for w in widths], *rows]:
        print(
            "  ".join(
                cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
        )


def row(name: str, c: Comparison, target: str) -> list[str]:
    """A table row: medians, median ratio, ratio of the minima, what is aimed at."""
    return [
        name,
        unit(statistics.median(c.ours)),
        unit(statistics.median(c.theirs)),
        f"{c.ratio:.2f}",
        f"{c.best_ratio:.2f}",
        target,
    ]


HEADER = ("", "lilith", "jax", "ratio", "of minima", "target")


def processor() -> str:
    """The processor's name."""
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            name = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), name)
    return name


def machine() -> str:
    """Processor, cores and versions, for the head of a report."""
    import jax
    import jaxlib
    import numpy as np

    return (
        f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, NumPy {np.__version__}, "
        f"jax {jax.__version__}, jaxlib {jaxlib.__version__}, device {jax.devices()[0].device_kind}"
    )
