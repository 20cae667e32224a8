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
from lilith.ops.indexing import dynamic_update_slice
from lilith.ops.shape import reshape
from lilith.trace import current_trace
from lilith.tracer import Tracer
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
    for name in ("LOOP", "BATCH", "STACKED", "TOGETHER", "INNER_NODES", "INNER_COPIES", "CLEARLY"):
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
    st.sampled_from(["", "sum", "collect", "inner", "delayed", "write", "update"]),
)


def program(stretches: Any) -> Callable[..., Any]:
    """Python loops one after the other: over carries, with operands that vary, with sums and collected results."""

    def run(x, y):
        h, other, older, total, table = x[0], y, y * 0.5, 0.0, x * 1.0
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
                if extra == "write":
                    table = written(table, (7 - i % 8,), h + 0.1 * table[i % 8])
                if extra == "update":
                    table = written(table, (i % 8, 1), table[i % 8, 1] * np.cos(h[0]))
                if extra == "collect":
                    kept.append(h)
            if kept:
                total = total + np.sum(np.stack(kept) ** 2) + kept[1][0]
        return total + np.sum(h) + np.sum(other * older) + np.sum(table**2)

    return run


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STRETCHES, min_size=1, max_size=3), st.integers(0, 2**16))
@pytest.mark.usefixtures("whatever_it_costs")
def test_generated_programs(stretches: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    agree(program(stretches), rng.normal(size=(8, 3)), rng.normal(size=3))


# ---- named programs --------------------------------------------------------------------------------------------------


def chain(W, h):
    for i in range(30):
        h = np.tanh(W @ h + 0.01 * i)
    return np.sum(h)


def rosenbrock(x):
    total = 0.0
    for i in range(len(x) - 1):
        total = total + 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


def runge_kutta(y):
    def slope(y, t):
        return np.stack([y[1], -np.sin(y[0]) + 0.1 * np.cos(t)])

    step = 0.05
    for i in range(20):
        t = i * step
        k1 = slope(y, t)
        k2 = slope(y + step / 2 * k1, t + step / 2)
        k3 = slope(y + step / 2 * k2, t + step / 2)
        k4 = slope(y + step * k3, t + step)
        y = y + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return np.sum(y * y)


def particles(x):
    energy = 0.0
    for i in range(len(x)):
        for j in range(i):
            d = x[i] - x[j]
            energy = energy + 1.0 / np.sqrt(np.sum(d * d) + 0.1)
    return energy


def lstm(W, U, x):
    n = U.shape[1]
    h, c, found = np.zeros(n), np.zeros(n), []
    for t in range(len(x)):
        z = W @ x[t] + U @ h
        forget, update, output = [1 / (1 + np.exp(-z[k * n : (k + 1) * n])) for k in range(3)]
        c = forget * c + update * np.tanh(z[3 * n :])
        h = output * np.tanh(c)
        found.append(h)
    return np.sum(np.stack(found) ** 2)


def minors(m, rows=None, columns=None):
    rows, columns = (range(len(m)), range(len(m))) if rows is None else (rows, columns)
    if not rows:
        return 1.0
    total = 0.0
    for k, j in enumerate(columns):
        rest = [*columns[:k], *columns[k + 1 :]]
        total = total + (-1.0) ** k * m[rows[0], j] * minors(m, rows[1:], rest)
    return total


def two_loops(x, W):
    found = []
    for _ in range(20):
        x = np.tanh(W @ x)
        found.append(x)
    total = 0.0
    for y in found:
        total = total + np.sum(np.exp(y) * y)
    return total


def horner(c, x):
    y = 0.0 * x
    for k in reversed(range(len(c))):
        y = y * x + c[k]
    return y


def every_third(x, W):
    for i in range(24):
        x = np.sin(W @ x)
        if i % 3 == 0:
            x = x * 1.1 + 0.2
    return np.sum(x)


def nested(x, W):
    for _ in range(10):
        for _ in range(12):
            x = np.tanh(W @ x) + 0.1
        x = x / np.sum(x * x)
    return np.sum(x)


def layers(x, *weights):
    for W in weights:
        x = np.tanh(W @ x)
    return np.sum(x)


SQUARE = RNG.normal(size=(4, 4)) / 2
PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], list[int]]] = {
    "chain": (chain, (SQUARE, np.ones(4)), [30]),
    "Rosenbrock": (rosenbrock, (RNG.normal(size=30),), []),
    "Runge-Kutta": (runge_kutta, (RNG.normal(size=2),), [20]),
    "pairs": (particles, (RNG.normal(size=(9, 3)),), []),
    "LSTM": (lstm, (RNG.normal(size=(12, 2)), RNG.normal(size=(12, 3)), RNG.normal(size=(15, 2))), [15]),
    "minors": (minors, (RNG.normal(size=(5, 5)),), []),
    "two loops": (two_loops, (np.ones(4), SQUARE), [20]),
    "Horner": (horner, (RNG.normal(size=20), 0.7), [20]),
    "every third": (every_third, (np.ones(4), SQUARE), [8]),
    "nested": (nested, (np.ones(4), SQUARE), [10, 12]),
    "layers": (layers, (np.ones(4), *RNG.normal(size=(12, 4, 4)) / 2), [12]),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.usefixtures("whatever_it_costs")
def test_named_programs(name: str) -> None:
    f, args, lengths = PROGRAMS[name]
    after = agree(f, *args, second=name != "minors")
    assert loops(after) == lengths
    if name != "minors":
        assert len(after.nodes) < 40


@pytest.mark.usefixtures("whatever_it_costs")
def test_a_body_that_only_adds_is_one_batch() -> None:
    after, found = roll(unrolled(rosenbrock, np.ones(50)))
    assert [(r.copies, r.loop) for r in found] == [(49, False)]
    assert sum(node.primitive.name == "reduce_sum" for node in after.nodes) == 2


def test_small_graphs_stay_as_they_are() -> None:
    def small(x):
        for _ in range(5):
            x = np.sin(x)
        return x

    graph = unrolled(small, 1.0)
    assert roll(graph) == (graph, ())


# ---- in the public functions -----------------------------------------------------------------------------------------


def test_trace_shows_the_line_of_the_loop() -> None:
    graph = lilith.trace(long_chain, SQUARE)
    (scan,) = [node for node in graph.nodes if node.primitive.name == "scan"]
    assert scan.params["length"] == 60 and scan.source is not None
    assert scan.source.line == long_chain.__code__.co_firstlineno + 2
    assert f"length=60 reverse=False # test_roll.py:{scan.source.line} in long_chain" in str(graph)


def long_chain(W):
    h = W[0]
    for _ in range(60):
        h = np.tanh(W @ h)
    return np.sum(h)


def test_rolling_can_be_switched_off_and_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    f = lilith.value_and_grad(lambda W: long_chain(W) * 1.0)
    value, g = f(SQUARE)
    assert f(SQUARE)[0] == value and len(lilith.trace(long_chain, SQUARE).nodes) < 10
    monkeypatch.setattr(lilith.config, "roll", False)
    assert len(lilith.trace(long_chain, SQUARE).nodes) > 100
    other, h = f(SQUARE)
    np.testing.assert_allclose(other, value, rtol=1e-12)
    np.testing.assert_allclose(h[0], g[0], rtol=1e-9)
    text = lilith.explain_cache(f.__wrapped__)
    assert "2 programs" in text and "60 repeats of 2 operations as a loop" in text
    assert text.count("rolled: ") == 1


@pytest.mark.parametrize("transform", ["jit", "vjp", "jvp", "hvp", "hessian", "jacobian", "vmap"])
def test_every_transform_rolls(transform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def f(x):
        for i in range(40):
            x = np.tanh(SQUARE @ x + 0.01 * i)
        return np.sum(x * x)

    x, v = np.linspace(0.1, 0.4, 4), np.ones(4)
    calls: dict[str, Callable[[], Any]] = {
        "jit": lambda: lilith.jit(f)(x),
        "vjp": lambda: lilith.vjp(f, x)[1](1.0)[0],
        "jvp": lambda: lilith.jvp(f, (x,), (v,))[1],
        "hvp": lambda: lilith.hvp(f, (x,), (v,))[0],
        "hessian": lambda: lilith.hessian(f, x),
        "jacobian": lambda: lilith.jacobian(f, x),
        "vmap": lambda: lilith.vmap(f)(np.stack([x, v])),
    }
    rolled = calls[transform]()
    monkeypatch.setattr(lilith.config, "roll", False)
    np.testing.assert_allclose(rolled, calls[transform](), rtol=1e-9, atol=1e-12)


def test_kinds_of_results_stay() -> None:
    def f(x):
        y = x
        for _ in range(120):
            y = y * x + 0.5
        return y

    value, g = lilith.grad(f, 0.5)
    assert type(value) is float and type(g[0]) is float
    assert lilith.jit(f)(np.float32(0.5)).dtype == np.float32


def test_a_loop_that_decides_keeps_its_decisions() -> None:
    def f(x):
        total = 0.0
        for i in range(len(x)):
            if x[i] > 0:
                total = total + np.sum(np.sin(x[i]) * np.exp(x[i]))
        return total

    for sign in (1.0, -1.0, 1.0):
        x = sign * np.linspace(-1.0, 1.1, 40)
        value, g = lilith.grad(f, x)
        np.testing.assert_allclose(value, np.sum(np.where(x > 0, np.sin(x) * np.exp(x), 0)))
        np.testing.assert_allclose(g[0], np.where(x > 0, (np.sin(x) + np.cos(x)) * np.exp(x), 0))


def test_what_prints_is_not_rolled(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x):
        for i in range(50):
            x = np.sin(x) * np.exp(x)
            if i % 10 == 0:
                lilith.print("{}", x)
        return x

    lilith.jit(f)(0.1)
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_weights_are_handed_over_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Separate weights of layers are one input and their gradients one output; the results are arrays of their own."""
    weights = [(RNG.normal(size=(6, 6)) / 3, RNG.normal(size=6)) for _ in range(48)]

    def f(parameters, x):
        for W, b in parameters:
            x = np.tanh(x @ W + b)
        return np.sum(x * x)

    x = RNG.normal(size=(5, 6))
    value, g = lilith.grad(f, weights, x, wrt=0)
    assert "48 repeats" in lilith.explain_cache(f)
    monkeypatch.setattr(lilith.config, "roll", False)
    other, h = lilith.grad(f, weights, x, wrt=0)
    np.testing.assert_allclose(value, other, rtol=1e-12)
    for mine, theirs in zip(g[0], h[0], strict=True):
        for a, b in zip(mine, theirs, strict=True):
            assert a.flags.writeable and a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_captured_numbers_and_arrays_are_operands_of_the_loop() -> None:
    numbers, table = [0.01 * i for i in range(80)], RNG.normal(size=(80, 3))

    def f(x):
        total = 0.0
        for i in range(80):
            total = total + np.sum(np.sin(x * numbers[i]) * table[i])
        return total

    x = RNG.normal(size=3)
    value, g = lilith.grad(f, x)
    np.testing.assert_allclose(value, sum(np.sum(np.sin(x * n) * t) for n, t in zip(numbers, table, strict=True)))
    np.testing.assert_allclose(g[0], sum(np.cos(x * n) * n * t for n, t in zip(numbers, table, strict=True)))
    numbers[3] = 5.0
    again, _ = lilith.grad(f, x)
    np.testing.assert_allclose(again, sum(np.sum(np.sin(x * n) * t) for n, t in zip(numbers, table, strict=True)))


# ---- arrays that are written -----------------------------------------------------------------------------------------


def written(x: Any, place: tuple[int, ...], value: Any) -> Any:
    """x with value at a place."""
    trace = current_trace()
    array, update = trace.lift(x), trace.lift(value)
    places = [trace.lift(np.int64(i)) for i in (*place, *[0] * (array.ndim - len(place)))]
    update = reshape(update, shape=(1,) * len(place) + update.shape)
    return Tracer(dynamic_update_slice(array, update, *places), trace)


def recurrence(v):
    x = np.zeros(12)
    x = written(x, (0,), v)
    for i in range(1, 12):
        x = written(x, (i,), np.sin(x[i - 1] * v) + 0.1 * x[i - 1])
    return np.sum(x * x)


def rows_backward(v):
    x = v * np.ones((10, 3))
    for i in reversed(range(2, 9)):
        x = written(x, (i,), np.tanh(v[i] * v[1]))
    return np.sum(x * x) + x[3, 1]


def elements(v):
    x = np.zeros((3, 4))
    for i in range(3):
        for j in range(4):
            x = written(x, (i, j), v[i, 0] * np.sin(v[j, 1]))
    return np.sum(x * x) + np.sum(x[1])


def twice(v):
    x = v * 1.0
    for i in range(10):
        x = written(x, (i % 5,), x[i % 5] * np.sin(x[(i + 1) % 5]))
    return np.sum(x * x)


@pytest.mark.parametrize(
    ("f", "argument", "lengths"),
    [
        (recurrence, 0.7, [10]),
        (rows_backward, RNG.normal(size=(10, 3)), []),
        (elements, RNG.normal(size=(4, 2)), []),
        (twice, RNG.normal(size=8), None),
    ],
)
@pytest.mark.usefixtures("whatever_it_costs")
def test_arrays_that_are_written(f: Callable[..., Any], argument: Any, lengths: list[int] | None) -> None:
    after = agree(f, argument)
    assert lengths is None or loops(after) == lengths
