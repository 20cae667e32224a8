"""`python -m bench compare old.json new.json`: what got slower beyond noise."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.comparison.report import REFERENCE, read_json
from bench.timing import unit

Row = dict[str, Any]


def slower(old: Row, new: Row, tolerance: float) -> str | None:
    """What a row lost, as text; None if it lost nothing.

    Slower beyond noise is a median larger by more than the tolerance whose lower quartile lies over the old upper
    quartile. Memory is no noise: more than the tolerance (and 4 kB) counts.
    """
    if "failure" in new:
        return f"fails: {new['failure']}" if "failure" not in old else None
    if "failure" in old:
        return None
    found = [*_times(old, new, tolerance)]
    before, after = old.get("memory"), new.get("memory")
    if before is not None and after is not None and after > before * (1 + tolerance) + 4096:
        found.append(f"memory {before} -> {after} bytes")
    if "first_call_failure" in new and "first_call_failure" not in old:
        found.append(f"first call fails: {new['first_call_failure']}")
    return "; ".join(found) or None


def _times(old: Row, new: Row, tolerance: float) -> Iterator[str]:
    for what in ("warm", "first_call"):
        if what in old and what in new:
            a, b = old[what], new[what]
            if b["median"] > a["median"] * (1 + tolerance) and b["low"] > a["high"] and b["minimum"] > a["minimum"]:
                times = b["median"] / a["median"]
                yield f"{what.replace('_', ' ')} {unit(a['median'])} -> {unit(b['median'])} ({times:.2f}x)"


def slower_than_reference(old: Row, new: Row, tolerance: float) -> str | None:
    """The same by the ratios to the reference, which were measured in turns: for runs on a busy or another machine."""
    a = old.get("ratio", {}).get(REFERENCE)
    b = new.get("ratio", {}).get(REFERENCE)
    if "failure" in new or not a or not b:
        return slower(old, new, tolerance) if "failure" in new else None
    if min(b["median"], b["minima"]) > max(a["median"], a["minima"]) * (1 + tolerance):
        return f"warm {a['median']:.2f} -> {b['median']:.2f} times {REFERENCE}"
    return None


def main(arguments: Sequence[str]) -> int:
    """The exit status: 1 if anything got slower, 2 if the files cannot be compared."""
    parser = argparse.ArgumentParser(prog="python -m bench compare", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.1, help="how much slower counts (default: 0.1)")
    parser.add_argument("--peer", default="lilith", help="whose rows are compared (default: lilith)")
    parser.add_argument("--relative", action="store_true", help=f"compare ratios to {REFERENCE}, not times")
    options = parser.parse_args(arguments)
    try:
        old, new = read_json(options.old), read_json(options.new)
    except (OSError, ValueError) as error:
        print(f"cannot compare: {error}", file=sys.stderr)
        return 2
    if old["machine"]["processor"] != new["machine"]["processor"] and not options.relative:
        print("the runs are of different processors: compare them with --relative")
    kept = _by_place(old, options.peer)
    lost = []
    compared = _by_place(new, options.peer)
    for place, row in compared.items():
        if place in kept:
            text = (slower_than_reference if options.relative else slower)(kept[place], row, options.tolerance)
            if text:
                lost.append(f"{' '.join(place)}: {text}")
    common = len(kept.keys() & compared.keys())
    print(f"{common} rows of {options.peer} in both, {len(lost)} slower")
    print("".join(f"  {line}\n" for line in lost), end="")
    if not common:
        print("cannot compare: no row is in both", file=sys.stderr)
        return 2
    return 1 if lost else 0


def _by_place(data: dict[str, Any], peer: str) -> dict[tuple[str, str], Row]:
    return {(row["workload"], row["size"]): row for row in data["rows"] if row["peer"] == peer}
