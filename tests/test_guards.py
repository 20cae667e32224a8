"""Python decisions on traced values: the result is always that of the path that plain Python would take."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lilith
from lilith import guards, paths
from lilith.source import LilithWarning, TraceError


def branch(x):
    if x > 0:
        return x * x
    return -3.0 * x


def early(x):
    total = 0.0
    for i in range(x.shape[0]):
        if x[i] < 0:
            return total
        total = total + x[i] ** 2
    return total + 1.0


def newton(a):
    x = a
    while abs(x * x - a) > 1e-12:
        x = 0.5 * (x + a / x)
    return x


def boolean(x):
    if (x[0] > 0 and not x[1] > 0) or x[2] > 2:
        return x[0] * x[1]
    return x[1] + x[2]


def middle(x):
    return sorted(x)[1] * max(x[0], x[2]) + min(x)


def contains(x):
    return np.sum(x) if 1.0 in x else -np.sum(x)


def caught(x):
    try:
        if x[0] < 0:
            raise ValueError("negative")
        return np.sqrt(x[0])
    except ValueError:
        return 2.0 * x[0]


def looked_up(x):
    return [1.0, 2.0, 3.0][int(x[0])] * x[0]


def matched(x):
    match int(x[0]):
        case 0:
            return x[1]
        case n if n > 1:
            return n * x[1]
    return x[1] ** 2


def nested(x):
    return lilith.grad(branch, x[0])[1][0] * x[1] + branch(x[1])


ARRAYS = [
    np.array([3.0, 1.0, 2.0]),
    np.array([-1.0, 2.0, 0.5]),
    np.array([0.5, -2.0, 2.5]),
    np.array([1.0, 1.5, -0.5]),
    np.array([2.5, 0.3, 1.0]),
]
FUNCTIONS = {
    f.__name__: f for f in (early, boolean, middle, contains, caught, looked_up, matched, nested)
}  # fmt: skip


def usable(name: str, x: np.ndarray) -> bool:
    return name != "looked_up" or 0 <= x[0] < 3


def derivative(f: Any, x: Any, h: float = 1e-6) -> np.ndarray:
    steps = h * np.eye(x.size)
    return np.array([(f(x + s) - f(x - s)) / (2 * h) for s in steps])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_path_of_plain_python_is_taken(name: str) -> None:
    f = FUNCTIONS[name]
    plain = (lambda x: np.where(x[0] > 0, 2 * x[0], -3.0) * x[1] + branch(x[1])) if name == "nested" else f
    # away from the jumps, but for the function that is about equality
    points = ARRAYS if name == "contains" else [x + 0.013 for x in ARRAYS]
    for x in [x for x in points * 2 if usable(name, x)]:
        value, g = lilith.grad(f, x)
        assert value == pytest.approx(plain(x), rel=1e-12)
        slope = np.full(3, 1.0 if 1.0 in x else -1.0) if name == "contains" else derivative(plain, x)
        np.testing.assert_allclose(g[0], slope, rtol=1e-5, atol=1e-7)


def test_scalars_and_loops() -> None:
    for x in (2.0, -1.0, 3.0, -2.0, -4.0, -5.0, 0.0):
        assert lilith.grad(branch, x)[0] == branch(x)
        assert lilith.grad(branch, x)[1][0] == (2 * x if x > 0 else -3.0)
    for a in (2.0, 9.0, 1e-3, 5.0):
        value, g = lilith.grad(newton, a)
        assert value == pytest.approx(a**0.5) and g[0] == pytest.approx(0.5 / a**0.5, rel=1e-6)


def test_integers_are_lengths_and_positions() -> None:
    def powers(x, n):
        return sum((np.sum(x**i) for i in range(int(n))), 0.0)

    x = np.array([1.0, 2.0])
    for n in (1, 3, 2, 3, 0):
        value, g = lilith.grad(powers, x, np.int64(n))
        assert value == powers(x, n)
        np.testing.assert_allclose(g[0], sum(i * x ** max(i - 1, 0) for i in range(n)) + 0 * x)
    assert lilith.jit(lambda x, n: np.linspace(0.0, 1.0, n) * x)(2.0, np.int64(3)).tolist() == [0.0, 1.0, 2.0]


def test_the_length_of_a_range_is_a_decision() -> None:
    def f(start, step):
        return np.sum(lilith.numpy.arange(start, 2.0, step) ** 2)

    for start, step in ((1.0, 0.25), (0.5, 0.4), (1.0, 0.23), (3.0, 0.5)):
        value, g = lilith.grad(f, start, step)
        x, i = np.arange(start, 2.0, step), np.arange(len(np.arange(start, 2.0, step)))
        assert value == pytest.approx(f(start, step))
        assert g[0] == pytest.approx(np.sum(2 * x)) and g[1] == pytest.approx(np.sum(2 * x * i))
    assert lilith.jit(lambda n: lilith.numpy.arange(n) * 2)(np.int64(3)).tolist() == [0, 2, 4]


def test_programs_are_compiled_once_per_path() -> None:
    runs = []

    def counted(x):
        runs.append(None)
        return branch(x)

    for _ in range(5):
        for x in (1.0, -1.0, 2.0, -2.0):
            assert lilith.jit(counted)(x) == branch(x)
    assert len(runs) == 2
    text = lilith.explain_cache(counted)
    assert "path: if x > 0: (test_guards.py:" in text and ") is True" in text and ") is False" in text


def test_what_is_needed_more_often_is_tried_first() -> None:
    def f(x):
        return branch(x)

    g = lilith.jit(f)
    assert g(1.0) == 1.0 and g(1.0) == 1.0
    for _ in range(6):
        assert g(-1.0) == 3.0
    entry = lilith.cache.entries[id(f.__code__)]
    (first,) = entry.programs()
    assert first.path == (0,) and len(first.paths.programs) == 2


def test_jax_arrays_decide_too() -> None:
    for x in (2.0, -2.0, 3.0):
        value, g = lilith.grad(branch, jax.numpy.float32(x))
        assert isinstance(value, jax.Array) and float(value) == branch(x) and isinstance(g[0], jax.Array)


def test_structures_aux_and_cotangents() -> None:
    def f(model, x):
        y = model["w"] * x
        if np.any(y > 10.0):
            y = y / 2
        return y, {"big": y[0] > 1}

    for w in (1.0, 20.0, 2.0):
        x = np.array([1.0, 2.0])
        (y, aux), g = lilith.grad(f, {"w": w}, x, has_aux=True, cotangent=np.ones(2))
        scale = 0.5 if w * 2 > 10 else 1.0
        np.testing.assert_allclose(y, w * x * scale)
        assert g[0]["w"] == pytest.approx(3.0 * scale) and bool(aux["big"]) == (w * scale > 1)


def test_second_derivatives_along_a_path() -> None:
    def slope(x):
        return lilith.grad(lambda y: y**3 if y > 1 else y**2, x)[1][0]

    for x in (2.0, 0.5, 3.0):
        assert lilith.grad(slope, x)[1][0] == pytest.approx(6 * x if x > 1 else 2.0)


def test_exceptions_of_a_path_are_the_users_and_leave_nothing() -> None:
    def f(x):
        assert x > 0, "must be positive"
        return np.log(x)

    assert lilith.grad(f, 1.0)[1][0] == 1.0
    for _ in range(2):
        with pytest.raises(AssertionError, match="must be positive"):
            lilith.grad(f, -1.0)
    assert lilith.grad(f, 2.0)[1][0] == 0.5
    assert lilith.explain_cache(f).count("path:") == 1


def test_captured_values_that_decide_are_part_of_the_key() -> None:
    limit = 1.0

    def f(x):
        return x * x if limit > 0 else x

    assert lilith.grad(f, 3.0)[1][0] == 6.0
    limit = -1.0
    assert lilith.grad(f, 3.0)[1][0] == 1.0
    assert "path:" not in lilith.explain_cache(f)


def test_captured_and_given_values_together() -> None:
    limit = 1.0

    def f(x):
        return x * x if x > limit else x

    assert lilith.grad(f, 3.0)[1][0] == 6.0
    limit = 4.0
    assert lilith.grad(f, 3.0)[1][0] == 1.0
    assert lilith.explain_cache(f).count("1. grad()") == 1


def test_inner_functions_decide_on_outer_arrays() -> None:
    def f(x, y):
        def inner(z):
            return z * x if x > 0 else z * z * y

        return lilith.grad(inner, y)[1][0] * (1.0 if y > 0 else 2.0)

    def plain(x, y):
        return (x if x > 0 else 2 * y * y) * (1.0 if y > 0 else 2.0)

    for x, y in ((1.0, 2.0), (-1.0, 2.0), (-1.0, -2.0), (1.0, -2.0), (3.0, 4.0)):
        assert lilith.jit(f)(x, y) == pytest.approx(plain(x, y))


def test_calls_on_plain_arrays_inside_decide_for_themselves() -> None:
    def f(x):
        scale = lilith.jit(branch)(np.float64(-2.0))
        return scale * x if x > 1 else x

    assert [float(lilith.grad(f, x)[1][0]) for x in (2.0, 0.5, 3.0)] == [6.0, 1.0, 6.0]


def test_where_no_value_is_known() -> None:
    for call in (
        lambda: jax.jit(lambda x: lilith.grad(branch, x)[0])(1.0),
        lambda: jax.vmap(lambda x: lilith.grad(branch, x)[0])(np.ones(2, np.float32)),
        lambda: lilith.lower(branch, lilith.spec("f64[]")),
        lambda: lilith.trace_grad(branch, lilith.spec("f64[]")),
    ):
        with pytest.raises(TraceError, match=r"is not known here(.|\n)*test_guards(.|\n)*lilith\.cond"):
            call()


def test_a_lowered_path_is_that_path_only(tmp_path) -> None:
    lowered = lilith.lower_grad(branch, 2.0)
    compiled = lowered.compile()
    expected = lilith.grad(branch, 3.0)
    value, g = compiled(3.0)
    assert (value, g[0]) == (expected[0], expected[1][0])
    with pytest.raises(TraceError, match=r"lowered for the path on which (.|\n)*is True(.|\n)*test_guards"):
        compiled(-2.0)
    for refused in (lambda: lilith.export(tmp_path / "x.lilith", lowered), compiled.serialize):
        with pytest.raises(lilith.UnsupportedError, match="decides in Python on traced values"):
            refused()
    assert lilith.lower(lambda x: x * 2 if x > 0 else -x, jax.numpy.float32(1), donate=0).donated == ()
    assert len(lilith.trace(branch, 2.0).outputs) == 1
    assert str(lilith.trace(branch, 2.0)) != str(lilith.trace(branch, -2.0))


def test_interpreted_runs_decide_by_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lilith.config, "interpret", True)
    assert [lilith.grad(branch, x)[1][0] for x in (2.0, -2.0)] == [4.0, -3.0]
    assert lilith.jit(nested)(ARRAYS[0]) == pytest.approx(2 * 3.0 * 1.0 + 1.0)


def test_many_paths_are_warned_of_with_the_loops_line() -> None:
    def halve(x):
        steps = 0.0
        while x > 1.0:
            x = x / 2
            steps = steps + x
        return steps

    f = lilith.jit(halve)
    with pytest.warns(LilithWarning, match=r"16 paths(.|\n)*while x > 1.0:(.|\n)*lilith.while_loop") as caught:
        for n in range(18):
            assert f(1.5 * 2.0**n) == halve(1.5 * 2.0**n)
    assert len(caught) == 1


def test_the_number_of_paths_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "KEPT", 3)

    def f(x):
        return x * int(x)

    for n in (1, 2, 3, 4, 5, 1, 2):
        assert lilith.jit(f)(n + 0.5) == n * (n + 0.5)
    (program,) = lilith.cache.entries[id(f.__code__)].programs()
    assert len(program.paths.programs) <= 3


# ---- paths taken in turn ------------------------------------------------------------------------------------------


def first_program(f: Any) -> Any:
    (program,) = lilith.cache.entries[id(f.__code__)].programs()
    return program


def test_two_hot_paths_become_one_program() -> None:
    low, high = np.linspace(0.0, 1.0, 300), np.linspace(1.0, 2.0, 300)

    def f(model, x):
        y = model["w"] * x
        if y > 1.0:
            y = y * np.sum(high)
        else:
            y = y * y * np.sum(low)
        if y > 400.0:
            return y + 1.0, {"y": y}
        return y, {"y": y}

    def plain(w, x):
        (value, _), slope = f({"w": w}, x), 1e-6
        (up, _), (down, _) = f({"w": w + slope}, x), f({"w": w - slope}, x)
        return value, (up - down) / (2 * slope)

    for i in range(60):
        w, x = 0.3 + 0.013 * (i % 7), 2.0 if i % 2 else 4.0
        (value, aux), g = lilith.grad(f, {"w": w}, x, has_aux=True)
        expected, slope = plain(w, x)
        assert value == pytest.approx(expected) and g[0]["w"] == pytest.approx(slope, rel=1e-6)
        assert aux["y"] == value - (value > 400.0) and g["x"] == pytest.approx(slope * w / x, rel=1e-6)
    program = first_program(f)
    assert program.parts is not None and program.path[-1] == 1
    assert lilith.grad(f, {"w": 2.0}, 4.0, has_aux=True)[0][0] == f({"w": 2.0}, 4.0)[0]  # a third path


def test_merged_paths_of_device_arrays_and_cotangents() -> None:
    def f(x):
        return np.sin(x) if np.sum(x) > 0 else np.stack([x[1], x[0]])

    gradient = lilith.value_and_grad(f, cotangent=np.array([1.0, 3.0], np.float32))
    for i in range(60):
        x = np.array([0.5, 0.25 if i % 2 else -2.0], np.float32)
        value, g = gradient(jax.numpy.asarray(x))
        expected = np.cos(x) * [1, 3] if x.sum() > 0 else [3.0, 1.0]
        assert isinstance(value, jax.Array)
        np.testing.assert_allclose(value, f(x), rtol=1e-6)
        np.testing.assert_allclose(g[0], expected, rtol=1e-6)
    assert first_program(f).parts is not None


def test_paths_with_results_of_other_types_stay_apart() -> None:
    def f(x):
        return (x, x) if x > 0 else x * 2.0

    for i in range(60):
        x = 1.0 if i % 2 else -1.0
        assert lilith.jit(f)(x) == f(x)
    assert first_program(f).parts is None


# ---- XLA's outcome counts -------------------------------------------------------------------------------------------


def stairs(x):
    """Which of three steps the sum is on, by decisions that build on each other."""
    total = np.sum(x)
    y = total
    if total > 1.0:
        y = y * 2.0
        if y > 3.0:
            y = y + 10.0
    for limit in (0.5, 1.5):
        if total > limit:
            y = y + 100.0
    return y


def test_wrong_answers_of_numpy_never_reach_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Predicates are flipped at random while tracing; XLA's outcomes mend every path."""
    rng = np.random.default_rng(0)
    honest = guards.Knowledge.value_of

    def flipping(self: Any, value: Any, *rest: Any) -> np.ndarray:
        found = honest(self, value, *rest)
        return np.logical_xor(found, rng.random() < 0.5) if found.dtype == bool else found

    monkeypatch.setattr(guards.Knowledge, "value_of", flipping)
    f = lilith.value_and_grad(stairs)
    for _ in range(40):
        x = rng.uniform(-1.0, 1.5, 3)
        value, g = f(x)
        assert value == pytest.approx(stairs(x))
        np.testing.assert_allclose(g[0], 2.0 if np.sum(x) > 1.0 else 1.0)


def test_thresholds_within_rounding() -> None:
    """Sums that NumPy and XLA may round to different sides: the value is that of one consistent side."""
    rng = np.random.default_rng(1)

    def f(x, limit):
        total = np.sum(x * x)
        if total > limit:
            return total * 2.0
        return total - 1.0

    g = lilith.jit(f)
    for _ in range(60):
        x = rng.normal(size=37)
        limit = np.float64(np.sum(x * x)) * (1 + rng.integers(-2, 3) * 2.0**-53)
        total = np.sum(x * x)
        value = float(g(x, limit))
        assert value == pytest.approx(total * 2, rel=1e-12) or value == pytest.approx(total - 1, rel=1e-12)
        assert value in (float(g(x, limit)), value)


def test_threads_share_the_paths() -> None:
    def f(x):
        return branch(x[0]) + (x[1] if x[1] > x[0] else 2.0 * x[1])

    g = lilith.jit(f)
    failures: list[Any] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(100):
            x = rng.normal(size=2)
            if float(g(x)) != pytest.approx(float(f(x))):
                failures.append(x)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    (program,) = lilith.cache.entries[id(f.__code__)].programs()
    assert sorted(p.path for p in program.paths.programs) == sorted({p.path for p in program.paths.programs})
    assert len(program.paths.programs) == 4


# ---- random branching programs --------------------------------------------------------------------------------------

LINES = {
    "if > 0": "if a > 0.1:\n        a = a * b\n    else:\n        b = b - a",
    "while": "k = 0\n    while abs(a) > 1.3 and k < 5:\n        a = a / 2\n        k += 1",
    "swap": "a, b = (b, a) if b < a else (a, b)",
    "min": "a = min(a, b) + 0.3",
    "sorted": "a, b = sorted([a + 0.2, b])",
    "and": "if a > -1 and b < 1 or not a < 2:\n        b = b * 1.5 + 0.1",
    "int": "b = b + 0.5 * int(a)",
    "list": "a = a * [1.0, 2.0, 0.5][int(abs(b)) % 3]",
    "for": "for i in range(int(abs(a)) + 1):\n        b = b + 0.1 * i * a",
}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(sorted(LINES)), min_size=1, max_size=4), st.integers(0, 2**31))
def test_random_branching_programs(lines: list[str], seed: int) -> None:
    body = "\n    ".join(["a, b = x[0], x[1]", *[LINES[line] for line in lines], "return a * a + 0.5 * b"])
    names: dict[str, Any] = {}
    exec(f"def f(x):\n    {body}", names)
    f = names["f"]
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LilithWarning)
        for _ in range(3):
            x = rng.uniform(-2.5, 2.5, 2)
            value, g = lilith.grad(f, x)
            assert value == pytest.approx(f(x), rel=1e-10, abs=1e-10)
            expected = derivative(f, x, 1e-7)
            twice = derivative(f, x, 3e-7)
            if np.allclose(expected, twice, rtol=1e-4, atol=1e-5):  # not within a step of a jump
                np.testing.assert_allclose(g[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "dtype, number, error",
    [
        (np.float64, np.nan, ValueError),
        (np.float64, -np.inf, OverflowError),
        (np.float64, 1e30, OverflowError),
        (np.float32, -1e30, OverflowError),
        (np.float16, np.inf, OverflowError),
        (np.uint64, 2**63 + 5, OverflowError),
    ],
)
def test_no_integer_is_an_error_in_first_and_in_later_calls(dtype, number, error):
    def scaled(x):
        return 2.0 * int(x)

    later = lilith.jit(scaled)
    assert later(np.array(3, dtype)) == 6.0
    for f in (later, lilith.jit(lambda x: 2.0 * int(x))):
        with pytest.raises(error):
            f(np.array(number, dtype))
    assert later(np.array(7, dtype)) == 14.0
