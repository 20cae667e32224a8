"""Whether the peers agree: a time counts only for a result that is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Result = Sequence[np.ndarray]


def tolerance(result: Result, sensitive: bool) -> float:
    """How far results may be apart, relative to the largest number of an array."""
    narrow = any(x.dtype.itemsize <= 4 for x in result if x.dtype.kind == "f")
    return (5e-3 if sensitive else 1e-3) if narrow else (1e-5 if sensitive else 1e-8)


def difference(a: Result, b: Result) -> float:
    """The largest distance of two results, relative to the largest number of an array; inf where shapes differ."""
    if len(a) != len(b):
        return float("inf")
    worst = 0.0
    for x, y in zip(a, b, strict=True):
        if x.shape != y.shape:
            return float("inf")
        if x.size:
            x, y = x.astype(np.float64), y.astype(np.float64)
            distance = np.max(np.abs(x - y)) / max(np.max(np.abs(y)), 1e-30)
            worst = max(worst, float(distance)) if np.isfinite(distance) else float("inf")
    return worst


def disagreeing(results: Mapping[str, Result], sensitive: bool = False) -> dict[str, str]:
    """The peers that differ from the largest group of those that agree, and how; nobody if there is one alone.

    Where two groups are of one size, the one that has the first peer is taken to be wrong with the others: all are
    listed, for nobody knows.
    """
    names = list(results)
    groups = {
        a: {b for b in names if difference(results[b], results[a]) <= tolerance(results[a], sensitive)} for a in names
    }
    best = max(groups.values(), key=len, default=set())
    rivals = [g for g in groups.values() if len(g) == len(best) and not g & best]
    if rivals:
        return {name: "results differ, and there is no majority" for name in names}
    reference = next(name for name in names if groups[name] == best) if best else ""
    return {
        name: f"differs from the others by {difference(results[name], results[reference]):.1e}"
        for name in names
        if name not in best
    }
