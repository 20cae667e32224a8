"""Repeats in a sequence of numbers: every stretch that consists of three or more copies of one piece."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

LEAST = 3
"""So many copies in a row are a repeat."""


class Run(NamedTuple):
    """`codes[start:stop]` has this period; a copy at its end may be incomplete."""

    start: int
    stop: int
    period: int


def repeats(codes: np.ndarray) -> list[Run]:
    """All runs of every period, each as long as it can be.

    Prefix doubling (Karp, Miller and Rosenberg 1972): at level k every place is ranked by the 2^k codes that follow it.
    Where the next place of the same rank is p <= 2^k further on, the codes have period p there; if p is the smallest
    period of a run, that holds all through the run (Fine and Wilf 1965).  O(n log^2 n).

    >>> repeats(np.array([7, 1, 2, 1, 2, 1, 2, 9]))
    [Run(start=1, stop=7, period=2)]
    """
    n = len(codes)
    found: list[Run] = []
    ranks = codes
    width = 1
    if n < LEAST:
        return found
    while True:
        found += _at_level(ranks, width)
        if width >= n // LEAST or len(ranks) <= width:
            return found
        pairs = ranks[:-width].astype(np.int64) * (n + 1) + ranks[width:]
        ranks = np.unique(pairs, return_inverse=True)[1].reshape(-1)
        width *= 2


def _at_level(ranks: np.ndarray, width: int) -> list[Run]:
    """The runs whose period is at most `width` and more than half of it."""
    n = len(ranks)
    order = np.argsort(ranks, kind="stable")
    ordered = ranks[order]
    same = ordered[1:] == ordered[:-1]
    distance = np.zeros(n, dtype=np.int64)
    gaps = order[1:] - order[:-1]
    near = same & (gaps <= width) & (2 * gaps > width)
    distance[order[:-1][near]] = gaps[near]
    edges = np.flatnonzero(np.diff(distance)) + 1
    bounds = [0, *edges.tolist(), n]
    found = []
    for begin, end in pairwise(bounds):
        period = int(distance[begin])
        if period:
            stop = end - 1 + width + period
            if stop - begin >= LEAST * period:
                found.append(Run(begin, stop, period))
    return found
