"""`python -m bench`: the comparison, with its options."""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from bench.comparison import report
from bench.comparison.machine import described, equalise_threads
from bench.comparison.measure import QUICK, Effort, measured
from bench.comparison.peers import PEERS
from bench.comparison.workload import Size, Workload, load


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="python -m bench",
        description="Lilith beside jax.jit, PyTorch, HIPS autograd and NumPy by hand: the same functions, checked "
        "against each other, timed in turns. Writes a table, a JSON file, a plot and a page.",
        epilog=f"workloads: {', '.join(load())}. Other benchmarks: python -m bench "
        "dispatch|first_call|loops|numpy|steady|transforms|all; two runs: python -m bench compare old.json new.json",
    )
    found.add_argument("workloads", nargs="*", help="names of workloads (default: all)")
    found.add_argument("--sizes", choices=("small", "all"), default="all", help="the smallest of each, or all")
    found.add_argument("--peers", help="names, with commas (default: all): " + ", ".join(PEERS))
    found.add_argument("--out", type=Path, default=Path("bench-results"), help="folder for what is written")
    found.add_argument("--json", type=Path, help="the JSON file (default: comparison.json in that folder)")
    found.add_argument("--quick", action="store_true", help="fewer rounds: minutes, and more noise")
    found.add_argument("--rounds", type=int, help="how often each is timed")
    return found


def chosen(options: argparse.Namespace, found: argparse.ArgumentParser) -> list[tuple[Workload, Size]]:
    """The workloads and sizes that were asked for; ends the program where there are none of that name."""
    every = load()
    for name in options.workloads:
        if name not in every:
            found.error(f"there is no workload {name!r}; there are {', '.join(every)}")
    pairs = []
    for name in options.workloads or every:
        sizes = every[name].sizes
        pairs += [(every[name], size) for size in (sizes[:1] if options.sizes == "small" else sizes)]
    return pairs


@contextlib.contextmanager
def progress(total: int) -> Iterator[tuple[Callable[[str], None], Callable[[], None]]]:
    """A bar with `(say, advance)`; without rich, nothing is said."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        yield (lambda text: None), (lambda: None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield (
            lambda text: bar.update(task, description=text),
            lambda: bar.advance(task),
        )


def main(arguments: Sequence[str]) -> int:
    found = parser()
    options = found.parse_args(arguments)
    names = options.peers.split(",") if options.peers else list(PEERS)
    for name in names:
        if name not in PEERS:
            found.error(f"there is no peer {name!r}; there are {', '.join(PEERS)}")
    pairs = chosen(options, found)
    effort = QUICK if options.quick else Effort()
    if options.rounds:
        effort = effort._replace(rounds=options.rounds)
    equalise_threads()
    machine, missing = described({name: PEERS[name] for name in names})
    print("\n".join(report.head(machine)))
    rows: list[dict[str, Any]] = []
    status = 0
    try:
        _measure(rows, pairs, names, missing, effort)
    except KeyboardInterrupt:
        print("interrupted: what was measured so far", file=sys.stderr)
        status = 130
    if not rows:
        return status
    report.print_table(rows)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.json or options.out / "comparison.json"
    shown = {"workloads": options.workloads, "sizes": options.sizes, "peers": names, **effort._asdict()}
    report.write_json(path, machine, shown, rows)
    print(f"\nwritten: {path}")
    _draw(options.out, machine, rows)
    return status


def _measure(
    rows: list[dict[str, Any]],
    pairs: list[tuple[Workload, Size]],
    names: list[str],
    missing: dict[str, str],
    effort: Effort,
) -> None:
    """Append all rows, with a progress bar; jax in 64 bits meanwhile, since the others are."""
    here = {name: PEERS[name] for name in names if name not in missing}
    previous = bool(jax.config.read("jax_enable_x64"))
    jax.config.update("jax_enable_x64", True)
    try:
        with progress(len(pairs)) as (say, advance), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the peers warn about themselves at length
            for w, size in pairs:

                def told(text: str, title: str = f"{w.name} {size.label}") -> None:
                    say(f"{title}: {text}")

                found = {row["peer"]: row for row in measured(w, size, here, effort, told)}
                for name in names:
                    gone = {"workload": w.name, "size": size.label, "kind": w.kind, "peer": name}
                    rows.append(found[name] if name in found else {**gone, "failure": missing[name]})
                advance()
    finally:
        jax.config.update("jax_enable_x64", previous)


def _draw(folder: Path, machine: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        print("no plot and no page: matplotlib is not installed (pip install -e '.[bench]')")
        return
    from bench.comparison import page

    for path in page.write(folder, machine, rows):
        print(f"written: {path}")
