"""custom: derivatives given by the user; pure_callback: Python functions that a program calls."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import lilith
from lilith import custom, grad, hessian, hvp, jacobian, jvp, pure_callback, vjp, vmap
from lilith.source import ArgumentError, DtypeError, GradientError, ShapeError, TraceError, UnsupportedError

X = np.array([0.3, -1.2, 2.0])


@custom
def softplus(x: Any) -> Any:
    return np.log1p(np.exp(x))


@softplus.vjp
def softplus_rule(g: Any, y: Any, x: Any) -> Any:
    return g * (1 - np.exp(-y))


@custom
def scaled(p: Any, n: int, w: Any = 2.0) -> Any:
    """Its rules are deliberately not its derivative, so that one sees which was used."""
    return {"y": p["x"] * w**n, "label": "s"}


@scaled.vjp
def scaled_vjp(g: Any, y: Any, p: Any, n: int, w: Any) -> Any:
    return {"x": 10.0 * g["y"], "k": None}, None, np.sum(g["y"] * y["y"])


@scaled.jvp
def scaled_jvp(t: Any, y: Any, p: Any, n: int, w: Any) -> Any:
    dx = 0.0 * p["x"] if t[0] is None else t[0]["x"]
    return {"y": 100.0 * dx, "label": None}


@custom
def sine(x: Any) -> Any:
    return np.sin(x)


@custom
def cosine(x: Any) -> Any:
    return np.cos(x)


@sine.vjp
def sine_rule(g: Any, y: Any, x: Any) -> Any:
    return (g * cosine(x),)


@cosine.vjp
def cosine_rule(g: Any, y: Any, x: Any) -> Any:
    return -g * sine(x)


@custom
def product(x: Any, y: Any) -> Any:
    return x * y


@product.jvp
def product_rule(t: Any, z: Any, x: Any, y: Any) -> Any:
    return t[0] * y + x * t[1]


def test_a_vjp_rule() -> None:
    logistic = 1 / (1 + np.exp(-X))
    assert softplus(0.0) == np.log(2)
    np.testing.assert_allclose(grad(lambda x: np.sum(softplus(x)), X)[1][0], logistic)
    np.testing.assert_allclose(jvp(softplus, (X,), (X,))[1], logistic * X)
    np.testing.assert_allclose(jacobian(softplus, X), np.diag(logistic))
    np.testing.assert_allclose(hessian(lambda x: np.sum(softplus(x)), X), np.diag(logistic * (1 - logistic)))
    np.testing.assert_allclose(vmap(lambda x: grad(softplus, x)[1][0])(X), logistic)
    np.testing.assert_allclose(grad(lambda x: np.sum(vmap(softplus)(x)), X)[1][0], logistic)


def test_both_rules_are_used_each_in_its_direction() -> None:
    p = {"x": X, "k": 5}
    value, g = grad(lambda p, w: np.sum(scaled(p, 2, w=w)["y"]), p, 3.0)
    assert value == pytest.approx(9 * np.sum(X))
    np.testing.assert_allclose(g[0]["x"], 10.0)
    assert g[1] == pytest.approx(9 * np.sum(X)) and g[0]["k"] is None
    _, dy = jvp(lambda p: scaled(p, 2)["y"], (p,), ({"x": np.ones(3), "k": None},))
    np.testing.assert_allclose(dy, 100.0)
    batched = vmap(lambda x: vjp(lambda x: scaled({"x": x, "k": 5}, 2)["y"], x)[1](1.0)[0])(X)
    np.testing.assert_allclose(batched, 10.0)
    pushed = vmap(lambda x: jvp(lambda x: scaled({"x": x, "k": 5}, 2)["y"], (x,), (1.0,))[1])(X)
    np.testing.assert_allclose(pushed, 100.0)


def test_a_jvp_rule() -> None:
    assert list(grad(product, 2.0, 3.0)[1]) == [3.0, 2.0]
    assert jvp(product, (2.0, 3.0), (1.0, None))[1] == 3.0
    assert hvp(product, (2.0, 3.0), (1.0, 10.0))[0] == 10.0
    np.testing.assert_allclose(grad(lambda x, y: np.sum(vmap(product, (0, None))(x, y)), X, 2.0)[1][1], np.sum(X))


def test_rules_that_use_each_other() -> None:
    def d(f: Any) -> Any:
        return lambda x: grad(f, x)[1][0]

    assert d(sine)(0.7) == pytest.approx(np.cos(0.7))
    assert d(d(sine))(0.7) == pytest.approx(-np.sin(0.7))
    assert d(d(d(sine)))(0.7) == pytest.approx(-np.cos(0.7))
    assert d(d(d(d(sine))))(0.7) == pytest.approx(np.sin(0.7))
    np.testing.assert_allclose(vmap(d(d(sine)))(X), -np.sin(X))


def test_values_from_around() -> None:
    """Captured values are inputs, also of rules; arrays of the function around have no derivative."""
    scale, slope = 2.0, np.full(300, 5.0)

    @custom
    def f(x: Any) -> Any:
        return x * scale

    @f.vjp
    def rule(g: Any, y: Any, x: Any) -> Any:
        return g * slope

    def loss(x: Any) -> Any:
        return np.sum(f(x))

    assert grad(loss, np.ones(300))[1][0][0] == 5.0
    slope = np.full(300, 7.0)
    assert grad(loss, np.ones(300))[1][0][0] == 7.0
    scale = 3.0
    assert grad(loss, np.ones(300))[0] == 900.0

    def around(x: Any, w: Any) -> Any:
        @custom
        def inner(x: Any) -> Any:
            return x * w

        @inner.vjp
        def inner_rule(g: Any, y: Any, x: Any) -> Any:
            return g * w

        return inner(x)

    assert grad(around, 2.0, 3.0, wrt=0)[1][0] == 3.0
    with pytest.raises(GradientError, match="inner uses an array of the function around it"):
        grad(around, 2.0, 3.0)


def test_branches_on_values() -> None:
    @custom
    def f(x: Any) -> Any:
        return x**2 if x > 0 else x

    @f.vjp
    def rule(g: Any, y: Any, x: Any) -> Any:
        return g * y

    assert [grad(f, x)[1][0] for x in (3.0, -1.0, 2.0)] == [9.0, -1.0, 4.0]

    @f.vjp
    def deciding(g: Any, y: Any, x: Any) -> Any:
        return g if x > 0 else -g

    with pytest.raises(TraceError, match=r"np\.where"):
        grad(f, 1.0)


def broken(*returned: Any, kind: str = "vjp") -> Any:
    @custom
    def f(x: Any, y: Any) -> Any:
        return x * np.sum(y)

    getattr(f, kind)(lambda g, z, *args: returned if len(returned) != 1 else returned[0])
    return (lambda: grad(f, 1.0, X)) if kind == "vjp" else (lambda: jvp(f, (1.0, X), (1.0, X)))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (broken(1.0), ArgumentError, r"the vjp rule of f returned Tracer for 2 arguments \(x, y\)"),
        (broken(1.0, X, X), ArgumentError, "returned 3 cotangents for 2 arguments"),
        (broken(1.0, X[:2]), ShapeError, r"cotangent of y as f64\[2\], not as f64\[3\]"),
        (broken(1.0, X.astype("f4")), DtypeError, r"cotangent of y as f32\[3\], not as f64\[3\]"),
        (broken(1.0, [X]), ArgumentError, "cotangent of y with the structure"),
        (
            broken(X, kind="jvp"),
            ShapeError,
            r"the jvp rule of f gives the tangent of the value as f64\[3\], not as f64\[\]",
        ),
        (lambda: custom(3.0), ArgumentError, "must be a function"),
        (lambda: grad(scaled, {"x": 1.0}, 2, 3.0, 4.0), TypeError, "too many positional"),
    ],
)
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_a_rule_that_is_not_linear() -> None:
    @custom
    def f(x: Any) -> Any:
        return x

    f.vjp(lambda g, y, x: g * g)
    with pytest.raises(GradientError, match="not linear"):
        jvp(f, (1.0,), (1.0,))


# ---- pure_callback ---------------------------------------------------------------------------------------------------


def opaque_gamma(x: Any) -> Any:
    def gammas(x: np.ndarray) -> np.ndarray:
        return np.vectorize(math.gamma, otypes=[float])(x)

    return pure_callback(gammas, lilith.spec(np.shape(x), np.float64), x)


def test_callback() -> None:
    np.testing.assert_allclose(lilith.jit(opaque_gamma)(np.array([3.0, 5.0])), [2.0, 24.0])
    np.testing.assert_allclose(opaque_gamma(np.array([3.0, 5.0])), [2.0, 24.0])
    np.testing.assert_allclose(vmap(opaque_gamma)(np.array([3.0, 5.0])), [2.0, 24.0])
    two = lilith.jit(lambda x: pure_callback(lambda d, n: {"a": d["x"] * n}, {"a": np.ones(3)}, {"x": x}, 2)["a"] + 1)
    np.testing.assert_allclose(two(X), 2 * X + 1)


def test_callback_with_a_rule() -> None:
    f = custom(opaque_gamma)

    @f.vjp
    def rule(g: Any, y: Any, x: Any) -> Any:
        return g * y * lilith.special.digamma(x)

    x = np.array([3.0, 5.0])
    expected = grad(lambda x: np.sum(np.exp(lilith.special.gammaln(x))), x)[1][0]
    np.testing.assert_allclose(grad(lambda x: np.sum(f(x)), x)[1][0], expected)
    np.testing.assert_allclose(vmap(lambda x: grad(f, x)[1][0])(x), expected)


def test_callback_errors(tmp_path: Any) -> None:
    with pytest.raises(GradientError, match=r"callback: .* give it a rule with @lilith.custom"):
        grad(opaque_gamma, 3.0)
    with pytest.raises(UnsupportedError, match=r"calls back into Python \(gammas\)"):
        lilith.export(tmp_path / "x.lilith", lilith.lower(opaque_gamma, 3.0))
    with pytest.raises(UnsupportedError, match=r"calls back into Python \(gammas\)"):
        lilith.export(tmp_path / "x.lilith", lilith.lower(lilith.checkpoint(opaque_gamma), 3.0))
    with pytest.raises(ShapeError, match=r"<lambda> gave \[f64\[2\]\], \[f64\[3\]\] was declared"):
        pure_callback(lambda x: x[:2], X, X)


@pytest.mark.parametrize("both", [False, True])
def test_what_a_batch_shares_stays_shared(both: bool) -> None:
    def plain(w: Any, x: Any) -> Any:
        return np.sin(w * x) + w

    f = custom(plain)
    f.vjp(lambda g, y, w, x: (g * (np.cos(w * x) * x + 1), g * np.cos(w * x) * w))
    if both:
        f.jvp(lambda t, y, w, x: t[0] * (np.cos(w * x) * x + 1) + t[1] * np.cos(w * x) * w)
    x = np.array([1.0, 2.0, 3.0])

    def mapped(h: Any, w: Any) -> Any:
        return vmap(h, in_axes=(None, 0))(w, x)

    def slopes(h: Any, w: Any) -> Any:
        return mapped(lambda w, x: grad(h, w, x, wrt=0)[1][0], w)

    for call in (
        lambda h: mapped(h, 2.0),
        lambda h: grad(lambda w: np.sum(mapped(h, w) ** 2), 2.0)[1][0],
        lambda h: slopes(h, 2.0),
        lambda h: jvp(lambda w: mapped(h, w), (2.0,), (1.0,))[1],
        lambda h: jvp(lambda w: slopes(h, w), (2.0,), (1.0,))[1],
        lambda h: hessian(lambda w: np.sum(mapped(h, w) ** 2), 2.0),
        lambda h: grad(lambda w: np.sum(slopes(h, w) ** 2), 2.0)[1][0],
    ):
        np.testing.assert_allclose(call(f), call(plain), rtol=1e-10)
    assert "(w: f64[]," in str(lilith.trace(lambda w: mapped(f, w), 2.0))
    (node,) = lilith.trace(lambda w: mapped(f, w), 2.0).nodes
    assert [x.shape for x in node.operands] == [(), (3,)]
