"""Functions one by one: value and gradient, Lilith beside jax.jit(jax.value_and_grad) of the same formulation.

A function's result is weighted with random numbers and summed, so that every element of it counts; functions with
integer results are run as they are. Both get the same arrays on the device; every result is compared before a time
counts. A row whose function is not there is listed as missing, with the reason.
"""

from __future__ import annotations

import importlib
import inspect
import re
import statistics
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy
import numpy as np

import lilith
from bench.rows import F32, ROWS, Row
from bench.timing import Comparison, calls_for, in_turns, machine, table, unit

LIMIT = 1.1
"""The ratio aimed at on every row."""

_OURS = {
    "np": "numpy",
    "xp": "lilith.numpy",
    **{name: f"lilith.{name}" for name in ("special", "linalg", "nn", "random")},
}
_THEIRS = {
    "np": "jax.numpy",
    "xp": "jax.numpy",
    "special": "jax.scipy.special",
    "linalg": "jax.scipy.linalg",
    "nn": "jax.nn",
    "random": "jax.random",
}


class Result(NamedTuple):
    """What a row came to: a comparison and first calls in seconds, or why there is none."""

    name: str
    comparison: Comparison | None = None
    first: tuple[float, float] = (0.0, 0.0)
    problem: str = ""


class Missing(Exception):
    """The function is not there; says why."""


def _function(make: Callable[..., Any], modules: dict[str, str]) -> Callable[..., Any]:
    """The function that a row makes of the namespaces it names."""
    return make(**{name: importlib.import_module(modules[name]) for name in inspect.signature(make).parameters
                   if name in modules})  # fmt: skip


def _inexact(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.inexact)


def _weighted(f: Callable[..., Any], np: Any) -> Callable[..., Any]:
    """The sum of f's results times weights; real parts."""

    def loss(weights, *args):
        results = f(*args)
        results = list(results) if isinstance(results, tuple | list) else [results]
        total = 0.0
        for y, w in zip(results, weights, strict=True):
            total = total + np.sum(np.real(y * w))
        return total

    return loss


def _arguments(row: Row, dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(zlib.crc32(row.name.encode()))
    return [make(rng, dtype) for make in row.arguments]


def _check(ours: Any, theirs: Any, dtype: str) -> None:
    """Equal shapes; integers equal, floats up to rounding relative to the largest."""
    mine, expected = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    assert len(mine) == len(expected), f"{len(mine)} results, jax has {len(expected)}"
    tolerance = 1e-3 if dtype == F32 else 1e-8
    for a, b in zip(map(np.asarray, mine), map(np.asarray, expected), strict=True):
        largest = float(np.max(np.abs(b), initial=0.0)) if b.dtype.kind in "fc" else 0.0
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * largest)


def _check_alike(ours: Any, theirs: Any) -> None:
    """Equal shapes; means and deviations as close as samples of that size of one distribution are."""
    for a, b in zip(map(np.asarray, jax.tree.leaves(ours)), map(np.asarray, jax.tree.leaves(theirs)), strict=True):
        assert a.shape == b.shape, f"shape {a.shape}, jax has {b.shape}"
        a, b = a.astype(float), b.astype(float)
        spread = 10 * np.std(b) / max(b.size, 1) ** 0.5
        np.testing.assert_allclose([np.mean(a), np.std(a)], [np.mean(b), np.std(b)], rtol=1e-2, atol=spread)


def _timed_first(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def _programs(row: Row, args: Sequence[Any]) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Calls that run ours and jax's to the end: value and gradients, or the value where it is an integer."""
    theirs, ours = _function(row.theirs, _THEIRS), _ours(row)
    results = jax.tree.leaves(jax.eval_shape(theirs, *args))
    wanted = tuple(i + 1 for i, x in enumerate(args) if _inexact(x))
    if not wanted or not all(map(_inexact, results)):
        kept, jitted = lilith.jit(ours), jax.jit(theirs)
        return lambda: jax.block_until_ready(kept(*args)), lambda: jax.block_until_ready(jitted(*args))
    rng = np.random.default_rng(0)
    draw = np.ones if row.alike else rng.standard_normal
    weights = [jax.device_put(draw(y.shape).astype(y.dtype)) for y in results]
    our_gradient = lilith.value_and_grad(_weighted(ours, np), wrt=wanted)
    their_gradient = jax.jit(jax.value_and_grad(_weighted(theirs, jnp), wanted))

    def run_ours() -> Any:
        value, g = our_gradient(weights, *args)
        return jax.block_until_ready((value, tuple(g)))

    return run_ours, lambda: jax.block_until_ready(their_gradient(weights, *args))


def _ours(row: Row) -> Callable[..., Any]:
    try:
        return _function(row.ours, _OURS)
    except ImportError as error:
        raise Missing(str(error)) from error


def compare(row: Row, dtype: str, rounds: int, seconds: float) -> Result:
    """Time one row: first calls, a check of the results, then calls in turns."""
    name = f"{row.group}: {row.name}" + (f" {dtype}" if len(row.dtypes) > 1 else "")
    args = [jax.device_put(x) for x in _arguments(row, dtype)]
    try:
        ours, theirs = _programs(row, args)
        first, mine = _timed_first(ours)
    except (Missing, lilith.LilithError, AttributeError) as error:
        return Result(name, problem="missing: " + str(error).split("\n")[0])
    first_theirs, expected = _timed_first(theirs)
    try:
        if row.alike:
            _check_alike(mine, expected)
        else:
            _check(mine, expected, dtype)
    except AssertionError as error:
        return Result(name, problem="differs: " + " ".join(str(error).split())[:200])
    return Result(name, in_turns(ours, theirs, rounds, calls_for(theirs, seconds)), (first, first_theirs))


def _is_over(c: Comparison) -> bool:
    """Whether a row misses the limit; both ratios have to say so, as either may be disturbed."""
    return min(c.ratio, c.best_ratio) > LIMIT


def _cells(r: Result) -> list[str]:
    c = r.comparison
    if c is None:
        return [r.name, *[""] * 6, r.problem.split(":")[0]]
    return [
        r.name,
        unit(statistics.median(c.ours)),
        unit(statistics.median(c.theirs)),
        f"{c.ratio:.2f}",
        f"{c.best_ratio:.2f}",
        unit(r.first[0]),
        f"{r.first[0] / r.first[1]:.2f}",
        "over" if _is_over(c) else "",
    ]


def chosen(rows: str) -> list[tuple[Row, str]]:
    """The rows, by dtype, whose `group: name dtype` a regular expression finds."""
    from bench.rows import arrays, fields  # noqa: F401  (they fill ROWS)

    pattern = re.compile(rows)
    return [(r, d) for r in ROWS for d in r.dtypes if pattern.search(f"{r.group}: {r.name} {d}")]


def summary(results: Sequence[Result]) -> str:
    """Geometric means and what is above the limit, missing or different."""
    timed = [r for r in results if r.comparison is not None]
    comparisons = [r.comparison for r in results if r.comparison is not None]
    lines = []
    if comparisons:
        ratio = statistics.geometric_mean([c.ratio for c in comparisons])
        best = statistics.geometric_mean([c.best_ratio for c in comparisons])
        first = statistics.geometric_mean([r.first[0] / r.first[1] for r in timed])
        lines.append(
            f"geometric mean of {len(timed)} rows: {ratio:.2f}, of minima {best:.2f}, of first calls {first:.2f}"
        )
    over = [f"{r.name} ({c.ratio:.2f})" for r, c in zip(timed, comparisons, strict=True) if _is_over(c)]
    lines += [f"{len(over)} rows above {LIMIT}x", *[f"  {name}" for name in over]]
    for kind in ("missing", "differs"):
        found = [f"  {r.name}: {r.problem.split(': ', 1)[1]}" for r in results if r.problem.startswith(kind)]
        lines += [f"{len(found)} rows: {kind}", *found]
    return "\n".join(lines)


def main(rounds: int = 21, rows: str = "", seconds: float = 0.02) -> None:
    """Run the rows that `rows` finds; a round of a row takes about `seconds` a side."""
    jax.config.update("jax_enable_x64", True)
    print(machine())
    lilith.grad(lambda x: x * x, 1.0)
    jax.jit(jax.value_and_grad(lambda x: x * x))(1.0)
    results = [compare(row, dtype, rounds, seconds) for row, dtype in chosen(rows)]
    header = ("", "lilith", "jax", "ratio", "of minima", "first call", "of jax's", "")
    table("value and gradient, device arrays", header, [_cells(r) for r in results])
    print("\n" + summary(results))
