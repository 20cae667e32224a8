"""What was measured, as a table on the screen and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.timing import table, unit

REFERENCE = "jax.jit"
FORMAT = 1


def write_json(path: Path, machine: dict[str, Any], options: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps({"format": FORMAT, "machine": machine, "options": options, "rows": rows}, indent=1))


def read_json(path: Path) -> dict[str, Any]:
    """A run. Raises ValueError where the file is none."""
    data = json.loads(path.read_text())
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"{path} is no comparison written by this version")
    return data


def head(machine: dict[str, Any]) -> list[str]:
    """The lines above the table: processor, threads, versions."""
    threads = ", ".join(f"{name} {n}" for name, n in machine["threads"].items())
    versions = "; ".join(f"{name}: {v}" for name, v in machine["versions"].items())
    return [
        f"{machine['processor']}, {machine['system']}, Python {machine['python']}, device {machine['device']}",
        f"threads: {threads}",
        versions,
    ]


def relative(row: dict[str, Any], reference: str = REFERENCE) -> float | None:
    """How many times as long as the reference's a row's warm call takes."""
    if row["peer"] == reference and "warm" in row:
        return 1.0
    return row.get("ratio", {}).get(reference, {}).get("median")


def relative_minima(row: dict[str, Any], reference: str = REFERENCE) -> float | None:
    """The same of the minima: the two on an undisturbed machine."""
    return row.get("ratio", {}).get(reference, {}).get("minima")


def size_text(count: int | None) -> str:
    """Bytes for a reader."""
    if count is None:
        return ""
    for name, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {name}"
    return f"{count} B"


HEADER = (
    "workload, size, peer",
    "warm",
    "spread",
    "of jax.jit",
    "minima",
    "/ primal",
    "first call",
    "trace",
    "lower",
    "compile",
    "run",
    "memory",
    "code",
)


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the table."""
    warm, stages = row["warm"], row.get("stages", {})

    def ratio(x: float | None) -> str:
        return "" if x is None else f"{x:.2f}"

    return [
        f"  {row['peer']}",
        unit(warm["median"]),
        f"{100 * (warm['high'] - warm['low']) / warm['median']:.0f}%",
        ratio(relative(row)),
        ratio(relative_minima(row)),
        ratio(row.get("gradient_over_primal")),
        unit(row["first_call"]["median"]) if "first_call" in row else "",
        *[unit(stages[name]) if name in stages else "" for name in ("trace", "lower", "compile", "run")],
        size_text(row.get("memory")),
        size_text(row.get("code")),
    ]


def print_table(rows: list[dict[str, Any]]) -> None:
    """The table, the rows that are none, the geometric means."""
    lines: list[list[str]] = []
    failures = []
    for row in rows:
        title = f"{row['workload']} {row['size']}"
        if row["peer"] == rows[0]["peer"]:
            lines.append([title, *[""] * (len(HEADER) - 1)])
        if "failure" in row:
            lines.append([f"  {row['peer']}", "-", *[""] * (len(HEADER) - 2)])
            failures.append(f"{title}, {row['peer']}: {row['failure']}")
        else:
            lines.append(cells(row))
            parts = {"first call": "first_call_failure", "stages": "stages_failure"}
            failures += [f"{title}, {row['peer']}, {what}: {row[key]}" for what, key in parts.items() if key in row]
    table("warm calls are synchronised; spread: between the quartiles", HEADER, lines)
    if failures:
        print("\nnot measured\n" + "\n".join(f"  {line}" for line in failures))
    for line in means(rows):
        print(line)


def geometric_mean(values: Iterable[float]) -> float | None:
    logs = [math.log(x) for x in values]
    return math.exp(sum(logs) / len(logs)) if logs else None


def means(rows: list[dict[str, Any]]) -> list[str]:
    """Lines with the geometric means of Lilith's times by each peer's, over all that both could do."""
    ours = {(row["workload"], row["size"]): row for row in rows if row["peer"] == "lilith" and "warm" in row}
    lines = []
    for peer in dict.fromkeys(row["peer"] for row in rows if row["peer"] != "lilith"):
        theirs = [row for row in rows if row["peer"] == peer and "warm" in row]
        pairs = [(ours[place], row) for row in theirs if (place := (row["workload"], row["size"])) in ours]
        firsts = [(a, b) for a, b in pairs if "first_call" in a and "first_call" in b]
        columns = {
            "warm": [a["ratio"][peer]["median"] for a, _ in pairs if a.get("ratio", {}).get(peer)],
            "first call": [a["first_call"]["median"] / b["first_call"]["median"] for a, b in firsts],
            "trace and lower": [_front(a) / _front(b) for a, b in pairs if "stages" in a and "stages" in b],
        }
        found = [f"{what} {geometric_mean(values):.3g}" for what, values in columns.items() if values]
        if found:
            lines.append(f"lilith / {peer}, geometric means over {len(pairs)}: {', '.join(found)}")
    return lines


def _front(row: dict[str, Any]) -> float:
    return row["stages"]["trace"] + row["stages"]["lower"]
