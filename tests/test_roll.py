"""Rolling: what a Python loop records becomes a loop. The rolled graph against the unrolled one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import lilith
from lilith.ir.graph import Graph
from lilith.ir.interpret import interpret
from lilith.transform import roll as package
from lilith.transform.forward import forward
from lilith.transform.reverse import reverse
from lilith.transform.roll import check, cost, roll
from lilith.transform.roll.repeats import LEAST, Run, repeats
from lilith.transform.simplify import simplify

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def every_copy_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def translates(body: Any) -> bool:
        assert check.translates(body, range(body.plan.window.copies))
        return True

    monkeypatch.setattr(package, "translates", translates)


@pytest.fixture
def whatever_it_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Roll whatever can be rolled."""
    for name in ("LOOP", "BATCH", "STACKED", "INNER_NODES", "INNER_COPIES"):
        monkeypatch.setattr(cost, name, 0)


def unrolled(f: Callable[..., Any], *args: Any) -> Graph:
    lilith.config.roll = False
    try:
        return lilith.trace(f, *args)
    finally:
        lilith.config.roll = True


def loops(graph: Graph) -> list[int]:
    """The lengths of the scans of a graph, those in bodies after those around them."""
    found = []
    for node in graph.nodes:
        if node.primitive.name == "scan":
            found.append(node.params["length"])
        for inner in node.graphs():
            found += loops(inner)
    return found


def gradient(graph: Graph, count: int) -> Graph:
    return simplify(reverse(graph, list(range(count)))).verify()


def agree(f: Callable[..., Any], *args: Any, second: bool = True) -> Graph:
    """Value and gradients of first and second order of the rolled graph are those of the unrolled one."""
    before = unrolled(f, *args)
    after, _ = roll(before)
    after.verify()
    assert [y.type.matches(z.type) for y, z in zip(before.outputs, after.outputs, strict=True)]
    values = [np.asarray(x) for x in args]
    same(interpret(after, values), interpret(before, values))
    seeds = [RNG.normal(size=y.shape) for y in before.outputs]
    pair = [gradient(graph, len(args)) for graph in (before, after)]
    same(*[interpret(graph, [*values, *seeds]) for graph in reversed(pair)])
    if second:
        pair = [simplify(forward(graph, list(range(len(args))))).verify() for graph in pair]
        tangents = [RNG.normal(size=x.shape) for x in values]
        same(*[interpret(graph, [*values, *seeds, *tangents]) for graph in reversed(pair)])
    return after


def same(found: list[Any], expected: list[Any]) -> None:
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-9 * max(1.0, float(np.max(np.abs(y), initial=0.0))))


# ---- repeats ---------------------------------------------------------------------------------------------------------


def every_run(codes: list[int]) -> set[Run]:
    """The same by trying all periods; of a run with several periods only the smallest counts."""
    found = set()
    for period in range(1, len(codes) // LEAST + 1):
        start = 0
        while start + period < len(codes):
            stop = start
            while stop + period < len(codes) and codes[stop] == codes[stop + period]:
                stop += 1
            if stop + period - start >= LEAST * period:
                found.add(Run(start, stop + period, period))
            start = max(stop, start + 1) if stop > start else start + 1
    return {
        r
        for r in found
        if not any(
            r.period % s.period == 0 and s.period < r.period and s.start <= r.start and s.stop >= r.stop for s in found
        )
    }


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.integers(1, 6)), max_size=4))
def test_repeats_are_all_runs_of_every_period(pieces: Any) -> None:
    codes = [code for piece, times in pieces for code in piece * times]
    assert set(repeats(np.array(codes, dtype=np.int64))) == every_run(codes)


# ---- generated programs ----------------------------------------------------------------------------------------------

VARYING: dict[str, Callable[..., Any]] = {
    "row": lambda x, i, n: x[i % 8],
    "backward": lambda x, i, n: x[7 - i % 8],
    "strided": lambda x, i, n: x[(2 * i) % 8],
    "table": lambda x, i, n: x[(i * i) % 7],
    "column": lambda x, i, n: x[1:4, i % 3],
    "element": lambda x, i, n: x[i % 8, (2 * i) % 3],
    "window": lambda x, i, n: x[i % 6 : i % 6 + 2].sum(axis=0),
    "chunk": lambda x, i, n: x.reshape(-1)[3 * (i % 8) : 3 * (i % 8) + 3],
    "number": lambda x, i, n: 0.1 * i + 0.3,
    "array": lambda x, i, n: np.array([0.1, 0.2 * i, 0.5]),
    "same": lambda x, i, n: x[3],
    "constant": lambda x, i, n: 0.7,
    "third": lambda x, i, n: x[0] if i % 3 == 0 else x[1] * 0.5,
    "first": lambda x, i, n: x[2] if i == 0 else x[4],
    "last": lambda x, i, n: x[2] if i == n - 1 else x[4],
}
STEPS: dict[str, Callable[..., Any]] = {
    "tanh": lambda h, v, s: np.tanh(h + v),
    "affine": lambda h, v, s: 0.5 * h - v,
    "product": lambda h, v, s: np.sin(h * v),
    "older": lambda h, v, s: np.tanh(0.5 * h + 0.3 * s["older"] * v),
    "swap": lambda h, v, s: s["other"] + 0.1 * v,
    "part": lambda h, v, s: np.concatenate([h[1:] * 0.5, h[:1]]) + v,
}
BODIES = st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.sampled_from(sorted(VARYING))), min_size=1, max_size=3)
STRETCHES = st.tuples(
    st.integers(3, 9),
    BODIES,
    st.sampled_from(["", "sum", "collect", "inner", "delayed"]),
)


def program(stretches: Any) -> Callable[..., Any]:
    """Python loops one after the other: over carries, with operands that vary, with sums and collected results."""

    def run(x, y):
        h, other, older, total = x[0], y, y * 0.5, 0.0
        for n, body, extra in stretches:
            kept = []
            for i in range(n):
                before = h
                for step, varying in body:
                    h = STEPS[step](h, VARYING[varying](x, i, n), {"older": older, "other": other})
                if extra == "inner":
                    for _ in range(4):
                        other = np.cos(other) * 0.9
                if extra == "delayed":
                    older = before
                if extra == "sum":
                    total = total + np.sum(x[i % 8] ** 2) - h[0]
                if extra == "collect":
                    kept.append(h)
            if kept:
                total = total + np.sum(np.stack(kept) ** 2) + kept[1][0]
        return total + np.sum(h) + np.sum(other * older)

    return run


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STRETCHES, min_size=1, max_size=3), st.integers(0, 2**16))
@pytest.mark.usefixtures("whatever_it_costs")
def test_generated_programs(stretches: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    agree(program(stretches), rng.normal(size=(8, 3)), rng.normal(size=3))
