"""Warm paths: calls with structures, tangents and cotangents are answered by straight-line code, never wrongly."""

from __future__ import annotations

import collections
import dataclasses
import gc
import types
from functools import partial

import jax
import numpy as np
import pytest

import lilith
import lilith.compile
from lilith.straight import MISS, TooRich, Writer

Pair = collections.namedtuple("Pair", "a b")


@dataclasses.dataclass(frozen=True)
class Layer:
    W: np.ndarray
    b: object
    power: int = 2


@dataclasses.dataclass(slots=True)
class Slotted:
    W: object
    b: float


class Model:
    scale = 1.0

    def __init__(self, W, b, act=np.tanh, name="net"):
        self.layers = [Layer(W, b), {"deep": (W * 2, b)}]
        self.act = act
        self.name = name


class Table(dict):
    pass


def total(m):
    """A number that depends on everything in a structure: arrays, statics, keys, classes, their order."""
    leaves, _ = lilith.tree.flatten(m)
    result = 0.0
    for i, (path, x) in enumerate(zip(lilith.tree.paths(m, type(m).__name__), leaves, strict=True)):
        weight = 1.0 + i + len(path) + sum(map(ord, path)) % 7
        if isinstance(x, (int, str, bool, type(None))):
            result = result + weight * (len(str(x)) + (x if isinstance(x, int) else 0))
        elif callable(x):
            result = result + weight * np.sum(x(np.float64(0.3)))
        else:
            result = result + weight * np.sum(x * x) * getattr(m, "scale", 1.0)
    return result


def _array():
    return np.arange(1.0, 4.0)


def _model(**changed):
    return Model(_array(), 0.5, **changed)


def _set(path):
    def change(m):
        exec(path, {"m": m, "np": np, "Layer": Layer, "Table": Table, "Pair": Pair})

    return change


CHANGES = [
    (lambda: {"a": _array(), "b": 2.0}, _set("m['a'] = np.ones(5)")),
    (lambda: {"a": _array(), "b": 2.0}, _set("m['a'] = m['a'].astype(np.float32)")),
    (lambda: {"a": _array(), "b": 2.0}, _set("m['a'][1] = 7.0")),
    (lambda: {"a": _array(), "b": 2.0}, _set("m['b'] = np.float64(3.0)")),
    (lambda: {"a": _array(), "b": 2.0}, _set("m['b'] = 3")),
    (lambda: {"a": _array(), "b": 2.0}, _set("m['c'] = 1.0")),
    (lambda: {"a": _array(), "b": 2.0}, _set("del m['a']")),
    (lambda: {"a": _array(), "b": _array() * 2}, _set("m['a'] = m.pop('a')")),
    (lambda: {"a": {}, "b": 2.0}, _set("m['a']['x'] = 1.0")),
    (lambda: {"a": {1: 2.0, 2: 3.0}}, _set("m['a'] = {1: 2.0, 3: 3.0}")),
    (lambda: {"a": {"x": 1.0}}, _set("m['a'] = Table(x=1.0)")),
    (lambda: {"a": [1.0, 2.0]}, _set("m['a'].append(3.0)")),
    (lambda: {"a": [1.0, 2.0]}, _set("m['a'] = (1.0, 2.0)")),
    (lambda: {"a": (1.0, 2.0)}, _set("m['a'] = Pair(1.0, 2.0)")),
    (lambda: {"a": Pair(1.0, 2.0)}, _set("m['a'] = (1.0, 2.0)")),
    (lambda: {"a": Pair(1.0, 2.0)}, _set("m['a'] = Pair(1.0, np.ones(2))")),
    (lambda: [_array(), _array(), _array()], _set("m[2] = m[0]")),
    (lambda: [_array(), _array()], _set("m[1] = m[0]")),
    (lambda: [_array()] * 2, _set("m[1] = np.ones(3)")),
    (lambda: [_array(), *[_array() * 2] * 2], _set("m[0], m[1] = m[1], m[0]")),
    (lambda: [1.0, None, "x", True], _set("m[1] = 4.0")),
    (lambda: [1.0, None, "x", True], _set("m[2] = 'longer'")),
    (lambda: [1.0, None, "x", True], _set("m[3] = 1")),
    (lambda: [np.float32(1.0), jax.numpy.ones(3)], _set("m[1] = np.ones(3)")),
    (lambda: [np.float32(1.0), jax.numpy.ones(3)], _set("m[1] = m[1][:2]")),
    (_model, _set("m.name = 'other'")),
    (_model, _set("m.act = np.sin")),
    (_model, _set("m.act = lambda x: 2 * x")),
    (_model, _set("m.extra = 1.0")),
    (_model, _set("del m.name")),
    (_model, _set("m.layers[0] = Layer(m.layers[0].W, 0.5, 3)")),
    (_model, _set("m.layers[1]['deep'] = (np.ones(2), 0.5)")),
    (_model, _set("m.layers[0] = m.layers[1]")),
    (lambda: [Slotted(_array(), 1.0)], _set("m[0].W = 2.0")),
    (lambda: [Slotted(_array(), 1.0)], _set("del m[0].b")),
    (lambda: [types.SimpleNamespace(a=1.0, b=_array())], _set("m[0].a = _ = np.ones(3)")),
    (lambda: [collections.OrderedDict(a=1.0, b=2.0)], _set("m[0].move_to_end('a')")),
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_a_changed_structure_is_seen(number):
    make, change = CHANGES[number]
    kept = lilith.jit(total)
    for call in (kept, lambda m: lilith.grad(total, m)[0]):
        m = make()
        for _ in range(3):
            np.testing.assert_allclose(call(m), total(m), rtol=1e-6)
        change(m)
        np.testing.assert_allclose(call(m), total(m), rtol=1e-6)
        np.testing.assert_allclose(call(make()), total(make()), rtol=1e-6)
        np.testing.assert_allclose(call(m), total(m), rtol=1e-6)


def test_tied_arrays_have_one_gradient_also_when_warm():
    def f(m):
        return np.sum(m[0] * m[1]) + np.sum(m[2])

    w, v = _array(), np.ones(3)
    for m in ([w, v, v], [w, v, w], [w, v, np.ones(3)], [w, w, w], [v, w, w], [w, w, v]) * 3:
        slopes = [m[1], m[0], np.ones(3)]
        sums = [sum(s for x, s in zip(m, slopes, strict=True) if x is y) for y in m]
        for got, expected in zip(lilith.grad(f, m)[1][0], sums, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_class_attributes_and_what_a_callable_reads_are_seen():
    rate = 2.0
    m = _model(act=lambda x: rate * x)
    call = lilith.jit(total)
    for _ in range(3):
        call(m)
    rate = 5.0
    np.testing.assert_allclose(call(m), total(m))
    try:
        Model.scale = 3.0
        np.testing.assert_allclose(call(m), total(m))
    finally:
        Model.scale = 1.0
    np.testing.assert_allclose(call(m), total(m))


def test_results_have_their_structure():
    class Box:
        def __init__(self, inside):
            self.inside = inside
            raise AssertionError("results are made without __init__")

    def parts(x, y):
        box = object.__new__(Box)
        box.inside = Pair({"x": x, 1: [2 * y, None]}, ("text", np.sum(x)))
        return {"box": box, "slotted": Slotted(x, 3.0 * y), "deque": collections.deque([x]), "set": {1}}

    call = lilith.jit(parts)
    first = None
    for _ in range(4):
        got = call(np.ones(2), 4.0)
        assert list(got) == ["box", "slotted", "deque", "set"] and type(got["box"]) is Box
        pair = got["box"].inside
        assert type(pair) is Pair and list(pair.a) == ["x", 1] and type(pair.a[1]) is list
        np.testing.assert_array_equal(pair.a["x"], np.ones(2))
        assert pair.a[1] == [8.0, None] and pair.b == ("text", 2.0) and got["slotted"].b == 12.0
        assert type(got["deque"]) is collections.deque
        pair.a["x"][:] = 9.0  # a result of one call is nothing of the next
        got["set"].add(2)
        assert first is not got
        first = got


def test_gradients_of_structures_have_theirs():
    m = _model()
    for _ in range(4):
        _, g = lilith.grad(total, m)
        found = g[0]
        assert type(found) is Model and type(found.layers[0]) is Layer and found.layers[0].power is None
        assert isinstance(found.layers[0].b, float) and found.name is None
        assert list(g.paths()) == lilith.tree.paths(m, "m")


TRANSFORMS = {
    "grad": lambda f, x, v: lilith.grad(f, x)[1][0],
    "cotangent": lambda f, x, v: lilith.grad(f, x, cotangent=3.0)[1][0],
    "kept": lambda f, x, v: lilith.value_and_grad(f, cotangent=3.0)(x)[1][0],
    "jvp": lambda f, x, v: lilith.jvp(f, (x,), (v,)),
    "hvp": lambda f, x, v: lilith.hvp(f, (x,), (v,))[0],
    "vjp": lambda f, x, v: lilith.vjp(f, x)[1](2.0)[0],
    "hessian": lambda f, x, v: lilith.hessian(f, x),
}


def _cubes(m):
    return np.sum(m["a"] ** 3) * m["b"] + m["b"] ** 3


def _close(got, expected):
    got, expected = lilith.tree.flatten(got), lilith.tree.flatten(expected)
    assert got[1] == expected[1]
    for a, b in zip(got[0], expected[0], strict=True):
        assert type(a) is type(b)
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_are_warm_and_right(name, monkeypatch):
    transform = TRANSFORMS[name]
    inputs = []
    for put in (np.asarray, jax.numpy.asarray):
        for n in (3, 2):
            x, v = put(np.arange(1, n + 1, dtype=np.float32)), put(np.ones(n, np.float32))
            b, c = np.float32(2.0), np.float32(0.5)
            inputs += [({"a": x, "b": b}, {"a": v, "b": c}), ({"b": b, "a": x}, {"b": c, "a": v})]
    previous, lilith.config.interpret = lilith.config.interpret, True
    try:
        expected = [transform(_cubes, x, v) for x, v in inputs]
    finally:
        lilith.config.interpret = previous
    cold = [transform(_cubes, x, v) for x, v in inputs]
    for _ in range(2):
        for (x, v), want, first in zip(inputs, expected, cold, strict=True):
            got = transform(_cubes, x, v)
            _close(got, first)
            for a, b in zip(lilith.tree.flatten(got)[0], lilith.tree.flatten(want)[0], strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-6)
    monkeypatch.setattr(lilith.compile, "_find", lambda *_: pytest.fail("looked up"))
    x, v = inputs[-1]
    _close(transform(_cubes, x, v), cold[-1])


def test_tangents_of_other_kinds_are_seen():
    def f(x, y):
        return np.sum(x * x) * y

    x = np.array([1.0, 2.0], np.float32)
    for _ in range(3):
        _, dy = lilith.jvp(f, (x, 3.0), (np.ones(2, np.float32), None))
        assert dy == np.float32(18.0)
    assert lilith.jvp(f, (x, 3.0), (np.ones(2, np.float32), 1.0))[1] == np.float32(23.0)
    assert lilith.jvp(f, (x, 3.0), (None, 1.0))[1] == np.float32(5.0)
    with pytest.raises(lilith.ShapeError, match="tangent"):
        lilith.jvp(f, (x, 3.0), (np.ones(3, np.float32), None))
    with pytest.raises(lilith.DtypeError, match="tangent"):
        lilith.jvp(f, (x, 3.0), (np.ones(2), None))
    assert lilith.jvp(f, [x, 3.0], [np.ones(2, np.float32), None])[1] == np.float32(18.0)


def test_a_warm_pullback_checks_its_cotangent():
    _, pullback = lilith.vjp(lambda x, A: {"y": A @ np.sin(x), "n": 3}, np.zeros(2), np.eye(2))
    for _ in range(3):
        np.testing.assert_array_equal(pullback({"y": np.ones(2), "n": None})["x"], np.ones(2))
    np.testing.assert_array_equal(pullback({"y": np.array([1.0, 2.0]), "n": None})["x"], [1.0, 2.0])
    with pytest.raises(lilith.ShapeError, match="cotangent"):
        pullback({"y": np.ones(3), "n": None})
    with pytest.raises(lilith.ArgumentError, match="structure"):
        pullback([np.ones(2), None])
    gradient = lilith.grad(lambda c: np.sum(pullback({"y": c, "n": None})["x"] ** 2), np.array([1.0, 2.0]))[1][0]
    np.testing.assert_allclose(gradient, [2.0, 4.0])
    outer = lilith.grad(lambda x: lilith.vjp(lambda z: np.sum(z**3), x)[1](1.0)[0].sum(), np.array([1.0, 2.0]))
    for _ in range(2):
        np.testing.assert_allclose(outer[1][0], [6.0, 12.0])


def test_keyword_arguments_and_partials_with_structures():
    def f(p, *, scale):
        return np.sum(p["x"]) * scale["s"]

    p = {"x": np.ones(3)}
    for s in (2.0, 2.0, 3.0, 3.0):
        assert lilith.grad(f, p, scale={"s": s})[0] == 3 * s
        assert lilith.jit(partial(f, scale={"s": s}))(p) == 3 * s


def test_guards_with_structures_and_tangents():
    def f(m):
        return m["x"] ** 2 if m["x"] > 0 else m["x"] ** 3

    for x in (1.0, 2.0, -1.0, -2.0, 3.0, -3.0, 4.0, 4.0, -4.0):
        slope = 2 * x if x > 0 else 3 * x * x
        assert lilith.grad(f, {"x": x})[1]["m['x']"] == slope
        assert lilith.jvp(f, ({"x": x},), ({"x": 2.0},))[1] == 2 * slope
        assert lilith.vjp(f, {"x": x})[1](1.0)[0] == {"x": slope}


def test_what_is_too_rich_goes_the_general_way():
    cyclic_free = [iter([1.0])]
    for example in (cyclic_free, {1.5: 2.0}, collections.deque([1.0]), Table(a=1.0)):
        lilith.tree.flatten(example)
        with pytest.raises(TooRich):
            Writer().take("x", example, [])
    nested = 1.0
    for _ in range(60):
        nested = [nested]
    with pytest.raises(TooRich):
        Writer().take("x", nested, [])
    for _ in range(3):
        assert lilith.grad(lambda m: m["a"] ** 2, Table(a=3.0))[1][0] == {"a": 6.0}


def test_code_that_takes_apart_finds_what_flatten_finds():
    for make, change in CHANGES:
        m = make()
        lilith.tree.flatten(m)
        writer, found = Writer(), []
        try:
            writer.take("x", m, found)
        except TooRich:
            continue
        writer.line(f"return [{', '.join(name for name, _ in found)}]")
        taken = writer.function("taken", "x", "test")
        wanted = [x for x in lilith.tree.flatten(m)[0] if lilith.tree.is_dynamic(x)]
        assert all(a is b for a, b in zip(taken(m), wanted, strict=True))
        key = lilith.signature.sign((m,), {})[0]
        change(m)
        assert (taken(m) is MISS) == (lilith.signature.sign((m,), {})[0] != key)


def aligned(n: int) -> np.ndarray:
    """An array whose memory XLA takes as it is."""
    raw = np.zeros(n + 8)
    start = -raw.ctypes.data % 64 // 8
    x = raw[start : start + n]
    x[:] = np.arange(n)
    return x


def test_large_results_are_the_callers_own():
    """Results keep XLA's memory: it must not be that of an argument, of another result, of a constant or of the next
    call's result."""
    n = 20_000
    x, table = aligned(n), aligned(n)
    f = lilith.jit(lambda x: (x, x, 2 * x, 2 * x, table, np.ones(n), x[::-1], x.reshape(2, -1)))
    first, want = f(x), [x.copy(), x.copy(), 2 * x, 2 * x, table.copy(), np.ones(n), x[::-1].copy(), x.reshape(2, -1)]
    want = [w.copy() for w in want]
    for y in first:
        assert y.flags.writeable and y.flags.c_contiguous and not np.shares_memory(y, x)
        assert not np.shares_memory(y, table)
    second = f(x)
    for i, y in enumerate(first):
        y += 1.0
        for other in [*first[i + 1 :], *second]:
            assert not np.shares_memory(y, other)
    for y, w in zip(second, want, strict=True):
        np.testing.assert_array_equal(y, w)
    for y, w in zip(f(x), want, strict=True):
        np.testing.assert_array_equal(y, w)
    np.testing.assert_array_equal(x, np.arange(n))
    np.testing.assert_array_equal(table, np.arange(n))


def test_large_results_outlive_what_made_them():
    n = 50_000
    kept = [lilith.jit(eval(f"lambda x: {k} * x"))(np.ones(n)) for k in range(1, 5)]
    views = [y[::2] for y in kept]
    del kept
    gc.collect()
    others = [np.full(n, 7.0) for _ in range(8)]
    for k, view in enumerate(views, 1):
        np.testing.assert_array_equal(view, np.full(n // 2, float(k)))
    assert len(others) == 8


def test_a_large_gradient_shared_by_numpy_and_jax_arguments():
    n = 20_000
    x, y = np.ones(n), jax.device_put(np.ones(n, np.float32))
    for _ in range(2):
        _, g = lilith.grad(lambda x, y: np.sum((x + y) ** 2), x.astype(np.float32), y)
        g[0][:] = -1.0
        np.testing.assert_array_equal(np.asarray(g[1]), np.full(n, 4.0))


@pytest.mark.filterwarnings("ignore:.*jax_enable_x64")
def test_small_captured_arrays_are_read_at_every_call():
    """Whatever becomes of one: changed in place, also while the program runs, replaced, of another type or place."""
    w = np.array([1.0, 2.0])
    device = [lilith.to_device(np.array([3.0, -1.0]), "cpu")]
    derived = lilith.value_and_grad(lambda x: np.sum(x * x * w))

    def check():
        for x in device:
            value, g = derived(x)
            now = w.copy()
            w[...] = np.nan  # what was handed over has been read
            np.testing.assert_array_equal(np.asarray(g[0]), 2 * np.asarray(x) * now)
            assert float(value) == float(np.sum(np.asarray(x) ** 2 * now))
            w[...] = now

    for _ in range(3):
        check()
        w *= -2.0
        w[0] = -0.0
        check()
    w = np.array([5.0, 7.0])
    check()
    w = w[::-1]
    check()
    w = np.array([5.0, 7.0], np.float32)
    check()
    w = np.array([5.0, 7.0]).astype(">f8")
    check()
    w = np.ones((3, 2))
    assert derived(device[0])[1][0].tolist() == [18.0, -6.0]
    w = np.array([0.5, 0.25])
    device += [lilith.to_device(device[0], jax.devices()[-1]), np.array([1.0, 2.0])]
    for _ in range(3):
        check()
