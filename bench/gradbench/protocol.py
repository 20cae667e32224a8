"""GradBench's protocol, a JSON message a line and an answer a line (gradbench/gradbench, CONTRIBUTING.md, Protocol)."""

from __future__ import annotations

import importlib
import json
import time
import traceback
from collections.abc import Iterable
from typing import Any, TextIO

import jax

import lilith
from bench.gradbench.task import Task

MODULES = ("ba", "det", "gmm", "hello", "ht", "kmeans", "llsq", "lse", "lstm", "ode", "particle", "saddle")


def serve(messages: Iterable[str], answers: TextIO, config: dict[str, Any]) -> None:
    """Answer messages until there are no more."""
    for line in messages:
        if line.strip():
            print(json.dumps(answer(json.loads(line), config)), file=answers, flush=True)


def answer(message: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """The answer to a message. Whatever goes wrong in a module or a function is told in it, and the session goes on."""
    known: dict[str, Any] = {"id": message["id"]}
    kind = message.get("kind")
    if kind == "start":
        versions = {"lilith": lilith.__version__, "jax": jax.__version__}
        return known | {"tool": "lilith", "config": config | versions}
    if kind not in ("define", "evaluate"):
        return known
    try:
        if kind == "define":
            tasks(message["module"])
            return known | {"success": True}
        return known | evaluate(task(message["module"], message["function"]), message.get("input"))
    except Exception as error:
        return known | {"success": False, "error": "".join(traceback.format_exception(error))}


def tasks(module: str) -> dict[str, Task]:
    """The functions of an eval."""
    if module not in MODULES:
        raise NotImplementedError(f"module {module!r}: there are {', '.join(MODULES)}")
    return importlib.import_module(f"bench.gradbench.evals.{module}").TASKS


def task(module: str, function: str) -> Task:
    found = tasks(module).get(function)
    if found is None:
        raise NotImplementedError(
            f"module {module!r} has no function {function!r}: there are {', '.join(tasks(module))}"
        )
    return found


def evaluate(task: Task, given: Any) -> dict[str, Any]:
    """Run a function at least `min_runs` times and `min_seconds` seconds.

    The timings are `compile`, the first call, in which the function is traced, differentiated, compiled and run once
    (where an earlier message had the same shapes, it is only run); `evaluate` for each later call; and `total`, the sum
    of all these. Parsing, conversion to arrays and back are in none of them.
    """
    least, seconds = (given.get("min_runs", 1), given.get("min_seconds", 0)) if isinstance(given, dict) else (1, 0)
    args = task.prepare(given)
    first, _ = timed(task, args)
    runs: list[int] = []
    while len(runs) < max(least, 1) or sum(runs) < seconds * 1e9:
        nanoseconds, result = timed(task, args)
        runs.append(nanoseconds)
    named = [("compile", first), *[("evaluate", n) for n in runs], ("total", first + sum(runs))]
    return {
        "success": True,
        "output": task.report(result),
        "timings": [{"name": name, "nanoseconds": nanoseconds} for name, nanoseconds in named],
    }


def timed(task: Task, args: tuple[Any, ...]) -> tuple[int, Any]:
    """Nanoseconds of a call, and its result. NumPy arrays go in and come out, so that a call that returns is done."""
    start = time.perf_counter_ns()
    result = jax.block_until_ready(task.run(*args))
    return time.perf_counter_ns() - start, result
