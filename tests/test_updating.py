"""update, update_ and minimize."""

from __future__ import annotations

import dataclasses
import types
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import lilith
from lilith import grad, minimize, update, update_
from lilith.source import ArgumentError, DtypeError, LilithError, ShapeError


class Layer:
    def __init__(self, weights: np.ndarray, bias: Any):
        self.weights, self.bias, self.name = weights, bias, "layer"


class Pair(NamedTuple):
    a: Any
    b: Any


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: Any


def model() -> dict:
    return {
        "layers": [Layer(np.ones((2, 2), np.float32), np.zeros(2)), Layer(np.eye(2), 0.5)],
        "pair": Pair(2.0, Frozen(np.float64(3.0))),
        "count": 4,
        "table": np.arange(3),
    }


def loss(m: dict, x: np.ndarray) -> Any:
    for layer in m["layers"]:
        x = np.tanh(x @ layer.weights + layer.bias)
    return np.sum(x) * m["pair"].a + m["pair"].b.x * m["count"] + np.sum(m["table"])


def step(w: Any, dw: Any) -> Any:
    return w - 0.5 * dw


def test_update_makes_a_new_structure_and_keeps_classes_dtypes_and_kinds() -> None:
    m = model()
    _, g = grad(loss, m, np.ones(2))
    new = update(m, g[0], step)
    assert new["layers"][0] is not m["layers"][0] and type(new["layers"][0]) is Layer
    assert new["layers"][0].weights.dtype == np.float32 and new["layers"][0].name == "layer"
    np.testing.assert_allclose(new["layers"][0].weights, 1 - 0.5 * g[0]["layers"][0].weights, rtol=1e-6)
    assert type(new["pair"]) is Pair and type(new["pair"].a) is float and type(new["layers"][1].bias) is float
    assert isinstance(new["pair"].b, Frozen) and new["pair"].b.x == 3.0 - 0.5 * 4
    assert new["count"] == 4 and new["table"] is m["table"]
    np.testing.assert_array_equal(m["layers"][0].weights, 1)  # the old one is as it was


def test_update_keeps_the_dtype_whatever_the_rule_computes_in() -> None:
    assert update(np.ones(2, np.float32), np.ones(2, np.float32), lambda w, dw: w - np.float64(0.1) * dw).dtype == "f4"
    assert type(update(1.0, 2.0, lambda w, dw: np.float64(w - dw))) is float
    found = update(jnp.ones(2), jnp.ones(2), step)
    assert isinstance(found, jax.Array) and found.dtype == "f4"


def test_update_with_momenta() -> None:
    m, g, v = {"a": 1.0, "b": np.ones(2)}, {"a": 2.0, "b": None}, {"a": 10.0, "b": None}
    assert update(m, g, lambda w, dw, u: w - dw + u, v) == {"a": 9.0, "b": m["b"]}


def test_update_inside_of_a_compiled_step() -> None:
    m = {"w": np.array([1.0, -2.0]), "b": 0.5}
    f = lambda m: np.sum((m["w"] - 3.0) ** 2) + m["b"] ** 2  # noqa: E731
    found = lilith.jit(lambda m: update(m, grad(f, m)[1][0], step))(m)
    expected = update(m, grad(f, m)[1][0], step)
    np.testing.assert_allclose(found["w"], expected["w"])
    np.testing.assert_allclose(found["b"], expected["b"])


def test_update_in_place_writes_into_arrays_and_replaces_numbers() -> None:
    m = {"layers": [Layer(np.ones(2), 2.0)], "list": [1.0, np.float32(2.0)], "j": jnp.ones(2)}
    weights, inner = m["layers"][0].weights, m["list"]
    g = {"layers": [Layer(np.ones(2), 1.0)], "list": [1.0, np.float32(1.0)], "j": jnp.ones(2)}
    update_(m, g, step)
    assert m["layers"][0].weights is weights and m["list"] is inner
    np.testing.assert_array_equal(weights, 0.5)
    assert m["layers"][0].bias == 1.5 and m["list"] == [0.5, 1.5] and type(m["list"][1]) is np.float32
    np.testing.assert_array_equal(m["j"], 0.5)


def test_update_in_place_is_all_or_nothing() -> None:
    fixed = np.ones(2)
    fixed.flags.writeable = False
    for bad, why in (((1.0,), "held by a tuple"), (Frozen(1.0), "held by a Frozen"), (fixed, "read-only array")):
        m = {"a": np.ones(2), "b": 1.0, "c": bad}
        g = {"a": np.ones(2), "b": 1.0, "c": np.ones(2) if bad is fixed else bad}
        with pytest.raises(ArgumentError, match=why):
            update_(m, g, step)
        np.testing.assert_array_equal(m["a"], 1)
        assert m["b"] == 1.0
    with pytest.raises(ArgumentError, match="not held by anything"):
        update_(1.0, 1.0, step)
    a = np.ones(2)
    update_(a, a.copy(), step)  # an array alone is written into
    np.testing.assert_array_equal(a, 0.5)


def test_an_array_in_two_places_is_updated_once_and_stays_one() -> None:
    w = np.ones(2)
    calls = []

    def counted(w: Any, dw: Any) -> Any:
        calls.append(1)
        return w - dw

    new = update({"in": w, "out": w}, {"in": w.copy(), "out": w.copy()}, counted)
    assert new["in"] is new["out"] and len(calls) == 1
    update_({"in": w, "out": w}, {"in": w.copy(), "out": w.copy()}, step)
    np.testing.assert_array_equal(w, 0.5)


M = {"a": np.ones(2), "b": 3}
ERRORS: dict[str, tuple[Any, Any, type[LilithError], str]] = {
    "GradResult": (grad(lambda m: np.sum(m["a"]), M)[1], step, ArgumentError, "gradient of one argument"),
    "structure": ({"a": None}, step, ArgumentError, r"another structure .* differ at model\['b'\]"),
    "number for a part": (1.0, step, ArgumentError, "another structure"),
    "slope of a static": ({"a": None, "b": 1.0}, step, ArgumentError, "is static"),
    "shape": ({"a": np.ones(2), "b": None}, lambda w, dw: dw[0], ShapeError, r"shape \(\) of model\['a'\]: f64\[2\]"),
    "dtype": ({"a": np.ones(2), "b": None}, lambda w, dw: w * 1j, DtypeError, r"complex128 of model\['a'\]"),
    "nothing": ({"a": np.ones(2), "b": None}, lambda w, dw: None, ArgumentError, "made None of"),
}


def test_a_number_of_a_shared_object_is_refused() -> None:
    shared = types.SimpleNamespace(scale=0.5)
    model = [shared, shared]
    _, g = grad(lambda m: m[0].scale * 2.0 + m[1].scale, model)
    with pytest.raises(ArgumentError, match=r"model\[1\].scale and model\[0\].scale are the same number"):
        update_(model, g[0], step)
    assert shared.scale == 0.5


@pytest.mark.parametrize("name", ERRORS)
def test_what_update_refuses(name: str) -> None:
    g, rule, cls, text = ERRORS[name]
    for function in (update, update_):
        with pytest.raises(cls, match=text):
            function(M, g, rule)
    np.testing.assert_array_equal(M["a"], 1)


# ---- minimize ------------------------------------------------------------------------------------------------------


def rosenbrock(p: dict, scale: float = 1.0) -> Any:
    x = p["x"]
    return scale * np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2) + (p["y"] - 2.0) ** 2


METHODS = "L-BFGS-B BFGS CG Newton-CG SLSQP trust-ncg trust-krylov trust-constr trust-exact dogleg Nelder-Mead".split()


@pytest.mark.parametrize("method", METHODS)
def test_every_kind_of_method_finds_the_minimum(method: str) -> None:
    start = {"x": np.array([-1.0, 1.0, 0.5]), "y": 0.0, "name": "start"}
    found = minimize(rosenbrock, start, 2.0, method=method, maxiter=2000)
    np.testing.assert_allclose(found.params["x"], 1, atol=2e-3)
    assert type(found.params["y"]) is float and abs(found.params["y"] - 2.0) < 1e-3
    assert found.success and found.steps > 0 and found.value < 1e-4 and found.params["name"] == "start"
    assert isinstance(found.result, scipy.optimize.OptimizeResult) and found.result.x.shape == (4,)
    assert start["y"] == 0.0 and start["x"][0] == -1.0


def test_minimize_is_given_the_gradient() -> None:
    """As many evaluations as SciPy needs with the gradient written by hand."""
    start = np.linspace(-1, 1, 10)
    found = minimize(lambda x: rosenbrock({"x": x, "y": 2.0}), start)
    expected = scipy.optimize.minimize(scipy.optimize.rosen, start, jac=scipy.optimize.rosen_der, method="L-BFGS-B")
    assert found.result.nfev == expected.nfev
    np.testing.assert_allclose(found.params, expected.x, rtol=1e-8)


def test_bounds_and_callback() -> None:
    seen = []
    found = minimize(
        lambda p: np.sum((p["a"] - 3.0) ** 2) + p["b"] ** 2,
        {"a": np.zeros(2), "b": 1.0},
        bounds=({"a": None, "b": 0.25}, {"a": np.array([1.0, 5.0]), "b": None}),
        callback=lambda p, value: seen.append((p["b"], value)),
    )
    np.testing.assert_allclose(found.params["a"], [1.0, 3.0])
    assert found.params["b"] == 0.25 and seen[-1] == (0.25, found.value)

    def stop(p: Any, value: float) -> None:
        raise StopIteration

    for method in ("L-BFGS-B", "TNC"):  # SciPy's own TNC lets the exception through
        found = minimize(rosenbrock, {"x": np.zeros(2), "y": 0.0}, method=method, callback=stop)
        assert found.steps == 1 and not found.success and found.params["y"] != 0.0


def test_parameters_keep_dtype_kind_and_ties() -> None:
    w = np.zeros(2, np.float32)
    found = minimize(
        lambda p: np.sum((p["w"] - 1.0) ** 2) + np.sum((p["again"] - 3.0) ** 2) + np.sum((p["j"] - 2.0) ** 2),
        {"w": w, "again": w, "j": jnp.zeros(2), "n": np.arange(2)},
    )
    assert found.params["w"].dtype == np.float32 and found.params["w"] is found.params["again"]
    np.testing.assert_allclose(found.params["w"], 2.0, rtol=1e-3)  # one array: between 1 and 3
    assert isinstance(found.params["j"], jax.Array)
    np.testing.assert_allclose(found.params["j"], 2.0, rtol=1e-3)


def test_what_minimize_refuses() -> None:
    x = np.ones(2)
    with pytest.raises(ArgumentError, match="no floating-point number"):
        minimize(lambda n: n * 1.0, 3)
    with pytest.raises(DtypeError, match=r"params is complex \(c128\[2\]\)"):
        minimize(lambda z: np.sum(np.abs(z)), x + 0j)
    for bounds, text in (((0.0,), "bounds="), (({"a": 1}, None), "another structure"), ((2.0, 1.0), "above the upper")):
        with pytest.raises(ArgumentError, match=text):
            minimize(lambda x: np.sum(x**2), x, bounds=bounds)
    with pytest.raises(ArgumentError, match="the bound of params"):
        minimize(lambda x: np.sum(x**2), x, bounds=(np.ones(3), None))
    with pytest.raises(ShapeError, match="not a scalar"):
        minimize(lambda x: x**2, x)
    for wrong, text in (
        ({"method": "Newton"}, "no method 'Newton'"),
        ({"method": "BFGS", "bounds": (0.0, 1.0)}, "BFGS takes no bounds"),
        ({"maxit": 3}, "Unknown solver options: maxit"),
    ):
        with pytest.raises(ArgumentError, match=text):
            minimize(lambda x: np.sum(x**2), x, **wrong)


@pytest.mark.parametrize("method", ["Newton-CG", "trust-exact"])
def test_the_hessian_of_an_array_in_two_places_is_that_of_one(method: str) -> None:
    w, n = np.array([1.0, 2.0]), [0]

    def loss(m: dict) -> Any:
        return np.sum((m["a"] ** 2 + m["b"] - 3) ** 2) + np.sum(m["a"] ** 4)

    tied = minimize(loss, {"a": w, "b": w, "n": n}, method=method)
    alone = minimize(lambda w: loss({"a": w, "b": w}), w, method=method)
    assert tied.params["a"] is tied.params["b"] and tied.steps == alone.steps
    np.testing.assert_allclose(tied.params["a"], alone.params, rtol=1e-6)


@pytest.mark.parametrize("option", ["jac", "hess", "constraints", "x0"])
def test_what_scipy_takes_besides_options_is_refused(option):
    with pytest.raises(lilith.ArgumentError, match=f"{option}= is no option"):
        lilith.minimize(lambda x: x * x, 1.0, **{option: ()})


def test_a_bound_that_is_nan_is_refused():
    with pytest.raises(lilith.ArgumentError, match="NaN"):
        lilith.minimize(lambda x: x * x, 1.0, bounds=(np.nan, 1.0))
