"""When something is compiled, and when not; captured values; threads."""

from __future__ import annotations

import functools
import gc
import math
import os
import subprocess
import sys
import threading
import types
import warnings
import weakref

import jax
import numpy as np
import pytest

import lilith
from lilith import explain_cache, grad, jit, value_and_grad

X = np.array([1.0, 2.0, 3.0])
SCALE = np.array([1.0, 10.0, 100.0])
FACTOR = 2.0


def programs(f) -> int:
    return int(explain_cache(f).split(": ")[1].split()[0])


def test_the_second_call_only_runs():
    runs = []

    def f(x):
        runs.append(1)
        return np.sum(x * x)

    for _ in range(3):
        grad(f, X)
    assert len(runs) == 1 and programs(f) == 1
    grad(f, np.ones(4))
    assert len(runs) == 2 and programs(f) == 2


def test_a_fresh_lambda_of_the_same_code_does_not_compile_again():
    runs = []

    def make(w):
        return lambda x: (runs.append(1), np.sum(x * w))[1]

    for i in range(100):
        f = make(np.full(3, float(i)))
        value, g = grad(f, X)
        assert value == 6.0 * i and np.all(g[0] == i)
    assert len(runs) == 1


def uses_globals(x):
    return np.sum(x * SCALE) * FACTOR


def test_rebound_and_changed_globals_are_seen():
    global SCALE, FACTOR
    old = SCALE
    try:
        assert grad(uses_globals, X)[0] == 642.0
        SCALE = np.array([0.0, 0.0, 1.0])
        assert grad(uses_globals, X)[0] == 6.0
        SCALE[0] = 5.0
        assert grad(uses_globals, X)[0] == 16.0
        FACTOR = 1.0
        assert grad(uses_globals, X)[0] == 8.0
        assert programs(uses_globals) == 1
    finally:
        SCALE, FACTOR = old, 2.0


def normalised(data, x):
    standard = (data - data.mean()) / data.std()
    return np.sum(standard * x)


def test_what_is_derived_from_a_capture_follows_it():
    data = np.array([1.0, 2.0, 4.0])

    def f(x):
        standard = (data - data.mean()) / data.std()
        return np.sum(standard * x)

    for new in (data.copy(), np.array([3.0, -1.0, 5.0]), np.array([0.0, 0.5, 9.0])):
        data[:] = new
        np.testing.assert_allclose(grad(f, X)[0], normalised(new, X), rtol=1e-13)
    assert programs(f) == 1


class Scaler:
    shift = 0.0

    def __init__(self, w):
        self.w = w
        self.options = {"power": 2, "weights": [w, 2 * w]}

    def loss(self, x):
        return np.sum((x * self.w) ** self.options["power"]) + np.sum(self.options["weights"][1]) + self.shift

    def __call__(self, x):
        return self.loss(x)


@pytest.mark.parametrize("get", [lambda s: s.loss, lambda s: s, lambda s: functools.partial(Scaler.loss, s)])
def test_attributes_at_any_depth(get):
    s = Scaler(np.ones(3))
    check = lambda: np.testing.assert_allclose(grad(get(s), X)[0], s.loss(X), rtol=1e-14)  # noqa: E731
    check()
    s.w = np.full(3, 2.0)
    check()
    s.w[0] = 7.0
    check()
    s.options["weights"][1] = np.full(3, 5.0)
    check()
    s.options["power"] = 3
    check()
    s.options["weights"].append(1.0)
    check()
    s.shift = 4.0
    check()


def helper(x):
    return x * 2.0


def uses_helper(x):
    return np.sum(helper(x))


def test_a_replaced_helper_is_seen():
    global helper
    old = helper
    try:
        assert grad(uses_helper, X)[0] == 12.0
        helper = lambda x: x * 3.0  # noqa: E731
        assert grad(uses_helper, X)[0] == 18.0
        helper = old
        assert grad(uses_helper, X)[0] == 12.0
    finally:
        helper = old


def test_helpers_in_other_modules():
    other = types.ModuleType("other_module")
    exec(
        "import numpy as np\nW = np.array([1.0, 2.0, 3.0])\ndef weigh(x):\n    return x * W * OFFSET\nOFFSET = 1.0",
        other.__dict__,
    )
    sys.modules["other_module"] = other
    try:
        f = lambda x: np.sum(other.weigh(x))  # noqa: E731
        assert grad(f, X)[0] == 14.0
        other.W = np.ones(3)
        assert grad(f, X)[0] == 6.0
        other.OFFSET = 2.0
        assert grad(f, X)[0] == 12.0
    finally:
        del sys.modules["other_module"]


LIMIT = 1.0
ROWS = np.array([0, 2])


def test_captures_whose_values_steer_the_trace():
    global LIMIT, ROWS
    coefficients = [0.5, 2.0]

    def f(x):
        y = x[ROWS] if LIMIT > 0.5 else x * math.sqrt(2 * LIMIT)
        for i in ROWS:
            y = y + x[i]
        return np.sum(y) + np.sum(np.array(coefficients) * x[:2]) + np.sum(np.sort(coefficients))

    try:
        check = lambda: np.testing.assert_allclose(grad(f, X)[0], f(X), rtol=1e-14)  # noqa: E731
        check()
        assert np.all(grad(f, X)[1][0] == [3.5, 2.0, 3.0])
        ROWS = np.array([1, 2])
        check()
        ROWS[0] = 0
        check()
        LIMIT = 0.25
        check()
        coefficients[1] = 5.0
        check()
    finally:
        LIMIT, ROWS = 1.0, np.array([0, 2])


class Counter:
    def __init__(self):
        self.total, self.seen = np.zeros(3), 0


def test_a_returned_capture_is_whole_and_fresh():
    counter = Counter()
    f = jit(lambda x: (x + 1.0, counter))
    assert f(X)[1].seen == 0 and np.all(f(X)[1].total == 0)
    counter.seen, counter.total = 5, np.ones(3)
    assert f(X)[1].seen == 5 and np.all(f(X)[1].total == 1)


def test_warm_paths_of_several_signatures_take_turns():
    weights = [np.ones(3), 2.0]

    def f(x, scale, mode="a", n=2):
        return np.sum(x * weights[0][: x.shape[0]]) * scale * weights[1] * (n if mode == "a" else -n)

    calls = [
        ((X, 2.0), {}),
        ((X[:2], 2.0), {}),
        ((X.astype(np.float32), 2.0), {}),
        ((X, np.float64(2.0)), {}),
        ((X, 2.0, "b"), {}),
        ((X, 2.0, "a", 3), {}),
        ((X, 2.0), {"n": 3}),
        ((X.reshape(3, 1), 2.0), {}),
        ((X.astype(">f8"), 2.0), {}),
        ((X[::-1], 2.0), {}),
        ((X[:, None][:, 0], 2.0), {}),
    ]
    for round in range(4):
        for args, kwargs in calls:
            value, g = grad(f, *args, **kwargs)
            np.testing.assert_allclose(value, f(*args, **kwargs), rtol=1e-6)
            assert g[0].shape == args[0].shape and g[0].flags.writeable
            assert type(g[1]) is type(args[1])
        weights[0], weights[1] = weights[0] + 1.0, weights[1] + 1.0 + round


def test_static_arguments_are_part_of_the_key():
    def f(x, mode, activation, n):
        y = activation(x) if mode == "on" else x
        return np.sum(y**n)

    assert grad(f, X, "on", np.sqrt, 2)[0] == pytest.approx(6.0)
    assert grad(f, X, "off", np.sqrt, 2)[0] == 14.0
    assert grad(f, X, "off", np.sqrt, 1)[0] == 6.0
    assert grad(f, X, "on", np.exp, 1)[0] == pytest.approx(np.sum(np.exp(X)))
    assert grad(f, X, "on", np.sqrt, True)[0] == pytest.approx(np.sum(np.sqrt(X)))


def test_what_a_callable_argument_reads_is_seen():
    state = [2.0]
    scaler = Scaler(np.ones(3))

    def apply(x, h):
        return np.sum(h(x))

    for h in (lambda q: q * state[0], functools.partial(lambda w, q: q * w[0], state), scaler.loss):
        assert grad(apply, X, h)[0] == pytest.approx(apply(X, h))
        state[0] += 3.0
        scaler.w[:] += 1.0
        assert grad(apply, X, h)[0] == pytest.approx(apply(X, h))
        assert grad(apply, X, h)[0] == pytest.approx(apply(X, h))
    before = programs(apply)
    for _ in range(3):
        grad(apply, X, lambda q: np.sin(q))  # a fresh lambda of the same code
    assert programs(apply) == before + 1


class Rates:
    rate = 2.0
    table = np.ones(3)

    def __init__(self, w):
        self.w = w


class Inherited(Rates):
    pass


def test_what_the_class_of_an_argument_holds_is_seen():
    f = lambda m, x: np.sum(m.w * x) * m.rate * np.sum(m.table)  # noqa: E731
    g = lambda x, cls: np.sum(x) * cls.rate  # noqa: E731
    try:
        for rate in (2.0, 3.0):
            Rates.rate = rate
            for m in (Rates(np.ones(3)), Inherited(np.ones(3))):
                assert grad(f, m, X)[0] == 18.0 * rate
                assert grad(f, m, X)[1][0].w.shape == (3,)
            assert grad(g, X, Rates)[0] == 6.0 * rate
        Rates.table[:] = 2.0
        assert grad(f, Rates(np.ones(3)), X)[0] == 108.0
        before = programs(f)
        assert grad(f, Rates(np.zeros(3)), X)[0] == 0.0 and programs(f) == before
    finally:
        Rates.rate, Rates.table = 2.0, np.ones(3)


def test_an_iterator_argument_is_never_frozen():
    numbers = iter(range(1, 100))
    f = lambda x, it: np.sum(x) * float(next(it))  # noqa: E731
    with pytest.warns(lilith.LilithWarning, match="it"):
        assert grad(f, X, numbers)[0] == 6.0
    assert grad(f, X, numbers)[0] == 12.0


class Thermometer:
    def __init__(self):
        self.value, self.marks = 2.0, 2

    def __float__(self):
        return self.value

    def __str__(self):
        return str(self.marks)


def test_objects_that_become_numbers_or_text():
    thermometer = Thermometer()
    for f in (lambda x: np.sum(x) * float(thermometer), lambda x: np.sum(x) * float(f"{thermometer}")):
        thermometer.value, thermometer.marks = 2.0, 2
        assert grad(f, X)[0] == 12.0
        thermometer.value, thermometer.marks = 3.0, 3
        assert grad(f, X)[0] == 18.0


def test_a_changing_static_int_warns_after_four_compiles():
    def f(x, t):
        return np.sum(x) * t

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for t in range(6):
            grad(f, X, t, wrt=0)
    texts = [str(w.message) for w in caught]
    assert len(texts) == 1 and "np.int64(t)" in texts[0] and "'t'" in texts[0]
    assert [grad(f, X, np.int64(t), wrt=0)[0] for t in range(6)] == [6.0 * t for t in range(6)]


def test_explain(capsys):
    lilith.config.explain = True
    try:
        f = lambda x: np.sum(x)  # noqa: E731
        grad(f, X)
        grad(f, np.ones(4))
        grad(f, np.ones(4, np.float32))
    finally:
        lilith.config.explain = False
    lines = capsys.readouterr().err.splitlines()
    assert "for the first time" in lines[0]
    assert "argument x: f64[3] ndarray -> f64[4] ndarray" in lines[1]
    assert "argument x: f64[4] ndarray -> f32[4] ndarray" in lines[2]


def test_explain_by_environment_variable():
    program = "import numpy as np, lilith; [lilith.grad(np.sum, np.ones(n)) for n in (2, 3)]"
    environment = {**os.environ, "LILITH_EXPLAIN": "1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert "compiling sum for the first time" in done.stderr and "f64[2] ndarray -> f64[3] ndarray" in done.stderr


def test_one_compile_however_many_threads_ask():
    runs = []

    def f(x):
        runs.append(threading.get_ident())
        return np.sum(np.tanh(x) * x)

    barrier = threading.Barrier(8)
    results = []

    def work():
        barrier.wait()
        results.append(grad(f, X)[0])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(runs) == 1 and len(results) == 8 and len(set(results)) == 1


def test_threads_trace_different_functions_at_once():
    errors = []

    def work(k):
        try:
            for i in range(3):
                n = 3 + i
                f = value_and_grad(lambda x: np.sum(np.sin(x) * k) + grad(lambda y: np.sum(y * y), x)[0])
                x = np.linspace(0, 1, n) + k
                value, g = f(x)
                np.testing.assert_allclose(value, np.sum(np.sin(x) * k) + np.sum(x * x), rtol=1e-13)
                np.testing.assert_allclose(g[0], np.cos(x) * k + 2 * x, rtol=1e-13)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(float(k),)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors


def test_the_cache_is_bounded():
    f = lambda x: np.sum(x)  # noqa: E731
    old = lilith.config.cache_size
    try:
        lilith.config.cache_size = 3
        for n in range(1, 7):
            assert grad(f, np.ones(n))[0] == n
        assert programs(f) <= 3
        assert grad(f, np.ones(1))[0] == 1.0
    finally:
        lilith.config.cache_size = old


def test_captured_arrays_are_not_kept_alive():
    data = np.zeros(1000)
    dead = weakref.ref(holder := Scaler(data))
    grad(holder.loss, np.ones(1000))
    del holder, data
    gc.collect()
    assert dead() is None


def test_large_constants_are_arguments():
    from lowering.stages import Lowered

    def f(x):
        return np.sum(np.eye(40) @ x)

    assert grad(f, np.ones(40))[0] == 40.0
    assert len(str(Lowered(lilith.trace(f, np.ones(40))))) < 2000


def test_a_buffer_reused_inside_of_the_function():
    def f(x):
        buffer, total = np.zeros(3), 0.0
        for i in range(3):
            buffer[:] = i
            total = total + np.sum(x * buffer)
        return total

    def large(x):
        buffer, total = np.zeros(300), 0.0
        for i in range(3):
            buffer[:] = i
            total = total + np.sum(x * buffer)
        return total

    assert grad(f, X)[0] == 18.0
    assert grad(large, np.ones(300))[0] == 900.0


def test_input_changed_right_after_an_asynchronous_call():
    n = 1 << 20
    device = jax.device_put(np.ones(n, np.float32))
    f = value_and_grad(lambda x, w: np.sum(np.sin(x * w)), wrt=0)
    for _ in range(3):
        w = np.ones(n, np.float32)
        _, g = f(device, w)
        w[:] = 0.0
        np.testing.assert_allclose(np.asarray(g[0])[::1000], np.cos(1.0), rtol=1e-6)
    for _ in range(3):
        v = np.ones(n, np.float32)
        _, g = lilith.grad(lambda x: np.sin(x), device, cotangent=v)
        v[:] = 0.0
        np.testing.assert_allclose(np.asarray(g[0])[::1000], np.cos(1.0), rtol=1e-6)


def test_inside_of_jax_jit_and_vmap():
    step = lambda x: value_and_grad(lambda x: np.sum(np.sin(x) * SCALE.astype(np.float32)))(x)[1][0]  # noqa: E731
    x = X.astype(np.float32)
    expected = np.cos(x) * SCALE.astype(np.float32)
    np.testing.assert_allclose(jax.jit(step)(x), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(step)(np.stack([x, x])), np.stack([expected, expected]), rtol=1e-6)
    columns = jax.vmap(step, in_axes=1, out_axes=1)(np.stack([x, x], axis=1))
    np.testing.assert_allclose(columns, np.stack([expected, expected], axis=1), rtol=1e-6)
    with pytest.raises(TypeError, match=r"lilith\.grad"):
        jax.grad(lambda x: jit(lambda x: np.sum(x * x))(x))(x)


def test_lilith_print(capfd):
    def f(x):
        lilith.print("x {} of {:.1f}", x[0], np.sum(x))
        return np.sum(x * x)

    value_and_grad(f)(X)
    value_and_grad(f)(X + 1)
    jax.effects_barrier()
    assert capfd.readouterr().out == "x 1.0 of 6.0\nx 2.0 of 9.0\n"


def test_interpreted_runs():
    seen = []

    def f(x):
        y = np.log(x)
        seen.append(repr(y))
        return np.sum(y * x)

    lilith.config.interpret = True
    try:
        value, g = grad(f, X)
        np.testing.assert_allclose(g[0], np.log(X) + 1, rtol=1e-14)
        assert "value=[0." in seen[0] and isinstance(value, np.float64)
        grad(f, X)
        assert len(seen) == 2
        line = f.__code__.co_firstlineno + 1
        with pytest.warns(lilith.LilithWarning, match=rf"first NaN appears in log.*test_cache\.py:{line}"):
            grad(f, np.array([1.0, -1.0, 2.0]))
    finally:
        lilith.config.interpret = False


def test_a_generator_object_is_retraced_and_said():
    source = iter(range(100))

    def f(x):
        return np.sum(x) * float(next(source))

    with pytest.warns(lilith.LilithWarning, match="source"):
        first = grad(f, X)[0]
    assert grad(f, X)[0] == first + 6.0
