"""grad() as users meet it: values, kinds, structures, options, nesting."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import ml_dtypes
import numpy as np
import pytest

import lilith
from lilith import grad, jit, stop_gradient, trace, trace_grad, value_and_grad
from lilith.testing import check_grads

D = np.array(
    [
        -0.87848431743822,
        1.2165144839180422,
        -0.5007782854022085,
        -1.6989762691502182,
        0.15510918492280146,
        0.2399934876212826,
        1.3228758302794104,
        -1.4021136439424584,
        0.08987909227352509,
        -0.04897310185926251,
    ]
)


def my_loss(y_pred, y_true):
    return np.sum((y_pred - y_true) ** 2)


def test_the_tutorial():
    y_true = np.zeros(10)
    val, g = grad(my_loss, y_true + D / 2, y_true)
    np.testing.assert_allclose(val, 2.2992492304954895, rtol=1e-15)
    np.testing.assert_allclose(g[0], D, rtol=1e-15)
    np.testing.assert_allclose(g[1], -D, rtol=1e-15)
    assert repr(g) == "GradResult(2)" and len(g) == 2
    first, second = g
    assert first is g[0] and second is g["y_true"] and g[-1] is g[1]
    assert isinstance(val, np.float64) and isinstance(g[0], np.ndarray)


def test_gradients_are_ordinary_writeable_arrays():
    x = np.random.rand(3, 2)
    _, g = grad(lambda x, y: np.sum(x * y), x, x.copy())
    for array in g:
        assert array.flags.writeable and array.dtype == np.float64 and array.shape == (3, 2)
        array += 1.0
    _, big = grad(lambda x: np.sum(x * x), np.ones((100, 100)))
    big[0][0, 0] = 5.0
    _, again = grad(lambda x: np.sum(x * x), np.ones((100, 100)))
    assert again[0][0, 0] == 2.0


def test_the_caller_sees_its_own_kinds():
    value, g = grad(lambda x: x * x, 3.0)
    assert type(value) is float and type(g[0]) is float and g[0] == 6.0
    value, g = grad(lambda x: np.sin(x), 3.0)
    assert type(value) is np.float64 and type(g[0]) is float
    value, g = grad(lambda x: x * x, np.float32(3.0))
    assert type(value) is np.float32 and type(g[0]) is np.float32
    value, g = grad(lambda x: x * x, np.array(3.0))
    assert isinstance(g[0], np.ndarray) and g[0].shape == ()


@pytest.mark.filterwarnings("ignore:.*jax_enable_x64.*")
def test_jax_arrays_stay_jax_arrays_in_float64():
    with jax.enable_x64(True):
        x = jax.device_put(np.array([1.0, 1e-17]))
    value, g = grad(lambda x: np.sum(x + x * x), x)
    assert isinstance(value, jax.Array) and isinstance(g[0], jax.Array)
    assert g[0].dtype == np.float64 and np.asarray(g[0])[1] == 1.0 + 2e-17
    assert not jax.config.jax_enable_x64
    value, g = grad(lambda x, y: np.sum(x * y), x, np.ones(2))
    assert isinstance(g[0], jax.Array) and isinstance(g[1], np.ndarray) and isinstance(value, jax.Array)


@pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16, "float32", "float64"])
def test_floating_dtypes_are_preserved(dtype):
    x = np.array([0.5, 2.0, 3.0], dtype)
    value, g = grad(lambda x: np.sum(np.tanh(x) * 2.0), x)
    assert value.dtype == x.dtype and g[0].dtype == x.dtype
    wide = x.astype(np.float64)
    np.testing.assert_allclose(
        g[0].astype(float),
        2 * (1 - np.tanh(wide) ** 2),
        rtol=4 * float(ml_dtypes.finfo(x.dtype).eps),
        atol=1e-2 if x.dtype.itemsize == 2 else 1e-6,
    )


@pytest.mark.parametrize("dtype", [f"{s}int{n}" for s in ("", "u") for n in (8, 16, 32, 64)] + ["bool"])
def test_integer_arrays_are_data(dtype):
    k = np.array([1, 0, 1], dtype)
    value, g = grad(lambda x, k: np.sum(x * k), np.array([1.0, 2.0, 3.0]), k)
    assert value == 4.0 and g[1] is None
    np.testing.assert_array_equal(g[0], k.astype(float))
    assert jit(lambda k: k + k)(k).dtype == (k + k).dtype


def test_strange_arrays():
    base = np.arange(12.0).reshape(3, 4)
    frozen = base.copy()
    frozen.flags.writeable = False
    for x in (base.T, base[::-1], base[:, ::-2], base.astype(">f8"), frozen, np.asfortranarray(base)):
        value, g = grad(lambda x: np.sum(np.sin(x)), x)
        np.testing.assert_allclose(value, np.sum(np.sin(x)), rtol=1e-14)
        np.testing.assert_allclose(g[0], np.cos(x), rtol=1e-14)
        assert g[0].shape == x.shape and g[0].dtype == np.float64
    value, g = grad(lambda x: np.sum(x), np.zeros((0, 3)))
    assert value == 0.0 and g[0].shape == (0, 3)
    value, g = grad(lambda x, y: np.sum(x * y), np.ones((1, 3)), np.ones((2, 1)))
    assert value == 6.0 and g[0].shape == (1, 3) and np.all(g[0] == 2.0) and np.all(g[1] == 3.0)


def test_nan_and_inf_flow_through():
    value, g = grad(lambda x: np.sum(x * x), np.array([np.nan, np.inf, 1.0]))
    assert np.isnan(value) and np.isnan(g[0][0]) and g[0][1] == np.inf and g[0][2] == 2.0


def test_arguments_are_never_changed():
    x = np.arange(3.0)
    grad(lambda x: np.sum(np.exp(x)), x)
    np.testing.assert_array_equal(x, np.arange(3.0))


def test_numpy_scalars_made_inside_of_the_function():
    def f(x):
        return np.sum(x * x[0]) + np.float64(2.0) * np.sum(x) + np.sum(x) * np.float64(3.0) - np.float64(1.0)

    for _ in range(2):  # operand types that were met before take another way through the tracer
        value, g = value_and_grad(lambda x: f(x) + f(x))(np.ones(2))
        assert value == 2 * 11.0 and np.all(g[0] == [16.0, 12.0])


# ---- structures --------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Layer:
    W: Any
    b: Any
    activation: Any = np.tanh


class Point(NamedTuple):
    x: Any
    y: Any


class Model:
    def __init__(self, layers):
        self.layers = layers
        self.name = "model"


def test_gradients_have_the_structure_of_the_argument():
    model = Model([Layer(np.eye(2), np.zeros(2)), Layer(np.ones((2, 2)), np.ones(2))])

    def loss(m, p):
        h = p["in"]
        for layer in m.layers:
            h = layer.activation(h @ layer.W + layer.b)
        return np.sum(h) * p["scale"].x

    value, g = grad(loss, model, {"in": np.array([0.1, 0.2]), "scale": Point(2.0, 7)})
    assert isinstance(g[0], Model) and isinstance(g[0].layers[1], Layer) and g[0].layers[1].W.shape == (2, 2)
    assert isinstance(g[1]["scale"], Point) and g[1]["scale"].x == pytest.approx(value / 2)
    paths = g.paths()
    assert paths["m.layers[1].W"] is g[0].layers[1].W and g["m.layers[0].b"] is g[0].layers[0].b
    assert g["p['in']"] is g[1]["in"]
    assert model.layers[0].W[0, 0] == 1.0


def test_keyword_arguments_are_differentiated():
    _, g = grad(lambda x, scale: np.sum(x) * scale, np.ones(3), scale=2.0)
    assert g["scale"] == 3.0 and len(g) == 2 and np.all(g["x"] == 2.0)


# ---- options -----------------------------------------------------------------------------------------------


def test_wrt_computes_only_what_is_asked_for():
    args = (np.ones(3), np.ones(3), 2.0)

    def f(a, b, scale):
        return np.sum(np.sin(a) * np.cos(b)) * scale

    _, g = grad(f, *args, wrt=1)
    assert len(g) == 1 and next(iter(g)) is g[1]
    with pytest.raises(lilith.GradientError, match="not asked for"):
        g[0]
    with pytest.raises(LookupError, match="no argument 7"):
        g[7]
    with pytest.raises(LookupError, match="no position"):
        g[0:1]
    assert 1 in g and "b" in g and 0 not in g and "scale" not in g and "z" not in g
    _, g = grad(f, *args, wrt=("scale", 0))
    assert len(g) == 2 and g["scale"] == pytest.approx(3 * np.sin(1) * np.cos(1))
    assert len(trace_grad(f, *args, wrt="scale").nodes) < len(trace_grad(f, *args).nodes)


def test_aux_and_cotangent():
    (value, aux), g = grad(lambda x: (np.sum(x * x), {"twice": 2 * x, "note": "kept"}), np.arange(3.0), has_aux=True)
    assert value == 5.0 and aux["note"] == "kept" and np.all(aux["twice"] == [0, 2, 4]) and np.all(g[0] == [0, 2, 4])
    v = np.array([1.0, 10.0, 100.0])
    value, g = grad(lambda x: x * x, np.arange(3.0), cotangent=v)
    assert np.all(value == [0, 1, 4]) and np.all(g[0] == [0, 20, 400])
    value, g = grad(lambda x: {"a": x * x, "b": np.sum(x)}, np.arange(3.0), cotangent={"a": v, "b": 1.0})
    assert np.all(g[0] == [1, 21, 401])
    (value, aux), g = value_and_grad(lambda x: (x * x, x), has_aux=True, cotangent=v)(np.arange(3.0))
    assert np.all(g[0] == [0, 20, 400]) and np.all(aux == np.arange(3.0))


def test_value_and_grad_gives_what_grad_gives():
    x, y = np.random.rand(4), np.random.rand(4)
    a, b = grad(my_loss, x, y), value_and_grad(my_loss)(x, y)
    assert a[0] == b[0] and np.array_equal(a[1][0], b[1][0]) and np.array_equal(a[1][1], b[1][1])


def test_structural_zeros_are_told_from_zero_slopes():
    _, g = grad(lambda x, y, z: np.sum(x * x) + np.sum(np.floor(y)), np.zeros(2), np.ones(2), 1.0)
    assert np.all(g[0] == 0) and not g.is_structural_zero("x")
    assert np.all(g[1] == 0) and g.is_structural_zero(1) and g[1].shape == (2,)
    assert g[2] == 0.0 and g.is_structural_zero("z")
    value, g = grad(lambda x: 5.0, np.ones(3))
    assert value == 5.0 and np.all(g[0] == 0) and g.is_structural_zero(0)
    value, g = grad(lambda x: 3, np.ones(3))
    assert value == 3 and np.all(g[0] == 0) and g.is_structural_zero(0)
    value, g = grad(lambda p: p["a"] * 2.0, {"a": 1.0, "b": 1.0})
    assert g.is_structural_zero("p['b']") and not g.is_structural_zero("p['a']") and not g.is_structural_zero(0)


SINGULAR = {
    "sqrt": (np.sqrt, 0.0),
    "log": (np.log, 0.0),
    "x log x": (lambda x: x * np.log(x), 0.0),
    "1 / x": (lambda x: 1 / x, 0.0),
    "power": (lambda x: x**0.5, 0.0),
    "arccos": (np.arccos, 1.0),
    "arcsin": (np.arcsin, -1.0),
    "sin": (np.sin, np.inf),
    "tanh": (np.tanh, np.nan),
    "abs": (np.abs, np.nan),
    "sqrt sin": (lambda x: np.sqrt(np.sin(x)), 0.0),
    "exp": (np.exp, np.inf),
}


@pytest.mark.parametrize("name", SINGULAR)
def test_a_dead_branch_stays_zero(name):
    f, singular = SINGULAR[name]
    x = np.array([singular, 0.3])

    def chosen(x):
        return np.sum(np.where(np.array([False, True]), f(x), 0.0))

    def slope(x):
        return np.sum(grad(chosen, x)[1][0] ** 2)

    _, g = grad(chosen, x)
    assert g[0][0] == 0.0 and np.isfinite(g[0][1]) and g[0][1] != 0.0
    _, g = grad(slope, x)
    assert g[0][0] == 0.0 and np.isfinite(g[0][1])


def test_what_max_and_clip_leave_out_stays_zero():
    for f in (
        lambda x: np.sqrt(np.maximum(x, 0.0)),
        lambda x: np.sqrt(np.clip(x, 0.0, 1.0)),
        lambda x: np.sqrt(np.max(np.concatenate([np.reshape(x, 1), np.zeros(1)]))),
    ):
        assert grad(f, -1.0)[1][0] == 0.0
    assert np.isnan(grad(lambda x: np.sum(np.where(x > 0, x, 0.0)) + np.sum(np.sqrt(x) * 0.0), np.zeros(2))[1][0][0])


def test_mixed_derivatives_of_powers_at_the_edge():
    def in_x(x, y):
        return grad(lambda x: x**y, x)[1][0]

    def in_y(x, y):
        return grad(lambda y: x**y, y)[1][0]

    for x in (2.0, 0.5):
        assert grad(in_x, x, 0.0)[1][1] == pytest.approx(1 / x)
        assert grad(in_y, x, 0.0)[1][0] == pytest.approx(1 / x)
    assert grad(lambda x, y: x**y, 0.0, 0.0)[1][0] == 0.0
    assert grad(lambda x, y: x**y, 0.0, 2.0)[1][0] == 0.0 and grad(lambda x, y: x**y, 0.0, 2.0)[1][1] == 0.0


def test_derivatives_at_large_and_inexact_values():
    _, g = grad(lambda y, x: np.arctan2(y, x), 1e200, 1e200)
    assert g[0] == pytest.approx(5e-201) and g[1] == pytest.approx(-5e-201)
    check_grads(lambda y, x: np.arctan2(y, x), (0.3, -2.0), order=3, rtol=1e-5)
    assert grad(lambda y: np.mod(1.0, y), 0.1)[1][0] == -9.0


def test_stop_gradient():
    assert grad(lambda x: x * stop_gradient(x), 3.0)[1][0] == 3.0
    _, g = grad(lambda x: np.sum(stop_gradient({"a": x})["a"]), np.ones(2))
    assert g.is_structural_zero(0)
    assert stop_gradient(5) == 5


# ---- nesting -----------------------------------------------------------------------------------------------


def test_static_results_are_not_shared_between_calls():
    f = jit(lambda x: (x, {1, 2}))
    f(1.0)[1].add(99)
    assert f(1.0)[1] == {1, 2}


def test_grad_of_grad_to_any_order():
    def derivative(f):
        return lambda x: grad(f, x)[1][0]

    f = lambda x: x**5  # noqa: E731
    for expected in (5 * 2.0**4, 20 * 2.0**3, 60 * 2.0**2, 120 * 2.0, 120.0):
        f = derivative(f)
        assert f(2.0) == pytest.approx(expected, rel=1e-14)


def test_levels_are_not_confused():
    assert grad(lambda x: x * grad(lambda y: x + y, 1.0)[1][0], 1.0)[1][0] == 1.0
    assert grad(lambda x: x * grad(lambda y: x * y, 2.0)[1][0], 3.0)[1][0] == 6.0
    assert grad(lambda x: grad(lambda y: grad(lambda z: x * y * z, 1.0)[1][0] * y, 2.0)[1][0], 3.0)[1][0] == 4.0


def test_inner_grad_captures_outer_arrays_in_every_way():
    def outer(x, w):
        def inner(y):
            return np.sum(w["a"] * y * x)

        value, g = grad(inner, x)
        return np.sum(g[0] * w["a"]) + value

    check_grads(outer, (np.array([1.0, 2.0]), {"a": np.array([0.5, -1.5])}))


def test_jit_inside_of_grad():
    square = jit(lambda x: x * x)
    assert grad(lambda x: square(x) * 2.0, 3.0)[1][0] == 12.0


def test_second_order_of_a_small_network():
    r = np.random.default_rng(0)
    args = (r.normal(size=(3, 4)), r.normal(size=(4,)), r.normal(size=(2, 3)))
    check_grads(lambda W, b, x: np.mean(np.tanh(x @ W + b) ** 2), args, order=3, rtol=1e-5)


def test_check_grads_finds_a_wrong_gradient():
    with pytest.raises(AssertionError, match="finite differences"):
        check_grads(lambda x: x * stop_gradient(x), (3.0,))
    with pytest.raises(lilith.ArgumentError, match="float32"):
        check_grads(lambda x: np.sum(x), (np.ones(2, np.float32),))


# ---- graphs ------------------------------------------------------------------------------------------------


def test_trace_shows_the_users_lines():
    text = str(trace(my_loss, np.ones(10), np.ones(10)))
    line = my_loss.__code__.co_firstlineno + 1
    assert text.startswith("graph my_loss(y_pred: f64[10], y_true: f64[10]) {")
    assert text.count(f"# test_grad.py:{line} in my_loss") == 3


def test_a_graph_of_a_hundred_thousand_nodes(monkeypatch):
    from lilith.asked import Spec
    from lilith.captures import scan
    from lilith.derive import derive
    from lowering.emit import emit

    def long(x):
        for _ in range(50_000):
            x = np.sin(x)
        return x

    monkeypatch.setattr(lilith.config, "roll", False)
    graph = derive(long, Spec(gradient=True), (1.0,), {}, scan(long)).graph
    assert len(graph.nodes) > 100_000
    assert emit(graph).count("stablehlo.sine") == 50_000
    del graph


def test_keyword_and_default_arguments_of_f_work_as_in_python():
    def f(x, power=2, *, shift=0.0):
        return np.sum((x + shift) ** power)

    assert grad(f, np.ones(2))[0] == 2.0
    assert grad(f, np.ones(2), 3)[1][0][0] == 3.0
    assert grad(f, np.ones(2), power=3, shift=1.0)[1]["shift"] == 24.0
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        grad(my_loss, np.ones(2))
