"""vjp, jvp, jacobian, hessian, hvp: the laws that bind them to one another, to finite differences, to NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import lilith
from lilith import grad, hessian, hvp, jacobian, jvp, vjp
from lilith.source import ArgumentError, DtypeError, GradientError, ShapeError
from lilith.transform.simplify import simplify

X = np.array([0.3, -1.2, 2.0])
A = np.random.default_rng(0).normal(size=(4, 3))


def layer(x: Any, w: Any) -> Any:
    return np.tanh(w @ x) * x[0]


def softmax(x: Any) -> Any:
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def energy(p: Any) -> Any:
    return np.sum(np.sin(p["x"]) ** 2) * p["y"] + np.sum(p["x"]) ** 3


# ---- jvp and vjp -----------------------------------------------------------------------------------------------------


def test_jvp_is_dual_to_vjp() -> None:
    u, v, w = np.array([1.0, 0.5, -2.0]), np.array([1.0, -1.0, 0.3, 2.0]), np.ones((4, 3))
    y, dy = jvp(layer, (X, A), (u, w))
    same, pullback = vjp(layer, X, A)
    gx, gw = pullback(v)
    np.testing.assert_allclose(y, layer(X, A))
    np.testing.assert_array_equal(y, same)
    np.testing.assert_allclose(v @ dy, gx @ u + np.sum(gw * w))


def test_jvp_is_the_slope() -> None:
    u = np.array([1.0, 0.5, -2.0])
    _, dy = jvp(layer, (X, A), (u, None))
    h = 1e-6
    np.testing.assert_allclose(dy, (layer(X + h * u, A) - layer(X - h * u, A)) / (2 * h), rtol=1e-7, atol=1e-9)


def test_structures() -> None:
    def f(p: Any, n: int, name: str) -> Any:
        return {"a": p["x"] * p["y"] ** n, "label": name, "whole": p["x"].astype(int)}, [p["y"]]

    p = {"x": X, "y": 2.0}
    (y, (last,)), (dy, (dlast,)) = jvp(f, (p, 3, "abc"), ({"x": np.ones(3), "y": 1.0}, None, None))
    assert (y["label"], dy["label"], dy["whole"], last, dlast) == ("abc", None, None, 2.0, 1.0)
    np.testing.assert_allclose(dy["a"], 8.0 + X * 12.0)
    _, pullback = vjp(f, p, 3, "abc")
    g = pullback(({"a": np.ones(3), "label": None, "whole": None}, [10.0]))
    np.testing.assert_allclose(g["p"]["x"], np.full(3, 8.0))
    assert g["p"]["y"] == pytest.approx(np.sum(X) * 12.0 + 10.0)
    assert g[1] is None and g[2] is None


def test_the_pullback_does_not_run_the_forward_pass(capfd: pytest.CaptureFixture[str]) -> None:
    def f(x: Any) -> Any:
        lilith.print("forward")
        return np.exp(x) * x

    _, pullback = vjp(f, X)
    first, second = pullback(np.ones(3)), pullback(2 * np.ones(3))
    assert capfd.readouterr().out.count("forward") == 1
    np.testing.assert_allclose(first[0], np.exp(X) * (1 + X))
    np.testing.assert_allclose(second[0], 2 * first[0])


def test_the_pullback_keeps_what_it_needs_of_the_arguments() -> None:
    x = X.copy()
    _, pullback = vjp(lambda x: x**3, x)
    x[:] = 0.0
    np.testing.assert_allclose(pullback(np.ones(3))[0], 3 * X**2)


def test_pullback_of_some_arguments() -> None:
    _, pullback = vjp(lambda x, y, z: x * y + 0 * z, 2.0, 3.0, 1.0, wrt=("y", 2))
    g = pullback(1.0)
    assert (len(g), g["y"], "x" in g) == (2, 2.0, False)
    _, pullback = vjp(lambda x, y: x * 2, 2.0, 3.0)
    assert pullback(1.0).is_structural_zero("y")


def test_dtypes_and_kinds() -> None:
    import jax

    y, dy = jvp(np.sin, (np.float32(1.0),), (1.0,))
    assert (y.dtype, dy.dtype) == (np.float32, np.float32)
    y, dy = jvp(lambda x: x * 2, (1.0,), (3.0,))
    assert type(y) is type(dy) is float
    value, pullback = vjp(np.sin, jax.numpy.ones(3, np.float32))
    g = pullback(np.ones(3, np.float32))
    assert isinstance(value, jax.Array) and isinstance(g[0], jax.Array)
    assert isinstance(hvp(lambda x: x**3, (2.0,), (1.0,))[0], float)


def test_complex_tangents() -> None:
    """The tangent of a complex function of a real number is complex; of a holomorphic one f'(z) dz."""
    _, dy = jvp(lambda t: np.exp(1j * t), (0.7,), (1.0,))
    np.testing.assert_allclose(dy, 1j * np.exp(0.7j))
    z, dz = np.array([0.3 + 1j, -2j]), np.array([1 - 1j, 0.5j])
    np.testing.assert_allclose(jvp(lambda z: z**3, (z,), (dz,))[1], 3 * z**2 * dz)
    np.testing.assert_allclose(jvp(np.abs, (z,), (dz,))[1], np.real(np.conj(z) * dz) / np.abs(z))
    np.testing.assert_allclose(jacobian(lambda t: np.exp(1j * t), X), np.diag(1j * np.exp(1j * X)))


# ---- jacobian, hessian, hvp ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [lambda x: A @ np.sin(x), softmax, lambda x: np.outer(x, x) @ x, lambda x: np.sum(x**2)])
def test_forward_and_reverse_jacobian(f: Any) -> None:
    columns, rows = jacobian(f, X, mode="forward"), jacobian(f, X, mode="reverse")
    assert columns.shape == (*np.shape(f(X)), 3)
    np.testing.assert_allclose(columns, rows, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(jacobian(f, X), rows if np.size(f(X)) < 3 else columns)
    h = 1e-6
    differences = [(f(X + h * e) - f(X - h * e)) / (2 * h) for e in np.eye(3)]
    np.testing.assert_allclose(columns, np.stack(differences, axis=-1), rtol=1e-6, atol=1e-8)


def test_jacobian_of_arrays_of_matrices() -> None:
    w = np.random.default_rng(1).normal(size=(2, 3))
    for mode in ("forward", "reverse"):
        j = jacobian(lambda w: w @ w.T, w, mode=mode)
        expected = np.einsum("ik,jl->ijkl", np.eye(2), w) + np.einsum("jk,il->ijkl", np.eye(2), w)
        np.testing.assert_allclose(j, expected)


def test_jacobian_is_a_tree_of_trees() -> None:
    def f(p: Any, s: Any) -> Any:
        return {"product": p["x"] * p["y"] * s, "text": "t", "parts": (np.sum(p["x"]), p["x"].astype(int))}

    p = {"x": X, "y": 2.0, "n": 7}
    for mode in ("forward", "reverse"):
        j = jacobian(f, p, 3.0, wrt=(1, "p"), mode=mode)
        assert j["text"] is None and j["parts"][1] is None
        by_s, by_p = j["product"]
        np.testing.assert_allclose(by_s, 2 * X)
        np.testing.assert_allclose(by_p["x"], 6 * np.eye(3))
        np.testing.assert_allclose(by_p["y"], 3 * X)
        assert by_p["n"] is None
        np.testing.assert_allclose(j["parts"][0][1]["x"], np.ones(3))


def test_jacobian_of_an_object() -> None:
    @dataclass
    class Model:
        weight: Any
        name: str

    j = jacobian(lambda m, x: m.weight @ x, Model(A, "a"), X)
    assert type(j) is Model and j.weight.shape == (4, 4, 3) and j.name is None


def test_empty_arrays() -> None:
    assert jacobian(lambda x: x * 2, np.zeros(0)).shape == (0, 0)
    assert jacobian(lambda x: x[:0], X).shape == (0, 3)
    assert hessian(lambda x: np.sum(x**2), np.zeros((2, 0))).shape == (2, 0, 2, 0)


def test_hessian() -> None:
    h = hessian(lambda x: np.sum(np.sin(A @ x) ** 2), X)
    np.testing.assert_allclose(h, h.T, atol=1e-13)

    def gradient(x: Any) -> Any:
        return grad(lambda x: np.sum(np.sin(A @ x) ** 2), x)[1][0]

    step = 1e-5
    differences = [(gradient(X + step * e) - gradient(X - step * e)) / (2 * step) for e in np.eye(3)]
    np.testing.assert_allclose(h, np.stack(differences), rtol=1e-6, atol=1e-8)


def test_hessian_of_a_tree() -> None:
    h = hessian(energy, {"x": X, "y": 2.0})
    np.testing.assert_allclose(h["x"]["y"], np.sin(2 * X))
    np.testing.assert_allclose(h["y"]["x"], np.sin(2 * X))
    np.testing.assert_allclose(h["x"]["x"], np.diag(4 * np.cos(2 * X)) + 6 * np.sum(X), atol=1e-12)
    assert h["y"]["y"] == 0.0


def test_hvp_is_the_hessian_times_a_vector() -> None:
    p, v = {"x": X, "y": 2.0}, {"x": np.array([1.0, -2.0, 0.5]), "y": 0.3}
    h = hessian(energy, p)
    product = hvp(energy, (p,), (v,))[0]
    np.testing.assert_allclose(product["x"], h["x"]["x"] @ v["x"] + h["x"]["y"] * v["y"])
    np.testing.assert_allclose(product["y"], h["y"]["x"] @ v["x"] + h["y"]["y"] * v["y"])
    two = hvp(lambda x, y: np.sum(x**2) * y, (X, 2.0), (np.zeros(3), 1.0))
    np.testing.assert_allclose(two[0], 2 * X)
    assert two[1] == 0.0
    one = hvp(lambda x, y: np.sum(x**2) * y, (X, 2.0), (X, None))
    assert len(one) == 1 and 1 not in one
    np.testing.assert_allclose(one[0], 4 * X)


# ---- nesting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("f", "third"), [(np.sin, -np.cos(0.7)), (np.exp, np.exp(0.7)), (lambda x: x**5, 60 * 0.49)])
def test_third_derivatives(f: Any, third: float) -> None:
    def d(f: Any) -> Any:
        return lambda x: grad(f, x)[1][0]

    def t(f: Any) -> Any:
        return lambda x: jvp(f, (x,), (1.0,))[1]

    for outer, middle, inner in ((d, d, d), (t, t, t), (d, t, d), (t, d, t), (t, t, d), (d, d, t)):
        assert outer(middle(inner(f)))(0.7) == pytest.approx(third, rel=1e-13)
    assert jacobian(lambda x: hessian(f, x), 0.7) == pytest.approx(third, rel=1e-13)


def test_perturbation_confusion() -> None:
    assert grad(lambda x: x * grad(lambda y: x + y, 1.0)[1][0], 1.0)[1][0] == 1.0
    assert grad(lambda x: x * jvp(lambda y: x + y, (1.0,), (1.0,))[1], 1.0)[1][0] == 1.0
    assert jvp(lambda x: x * grad(lambda y: x + y, 1.0)[1][0], (1.0,), (1.0,))[1] == 1.0
    assert jvp(lambda x: x * jvp(lambda y: x + y, (1.0,), (1.0,))[1], (1.0,), (1.0,))[1] == 1.0
    assert jacobian(lambda x: x * jacobian(lambda y: x * y, 2.0), 3.0) == 6.0
    assert grad(lambda x: x * hessian(lambda y: x * y**2, 1.0), 3.0)[1][0] == 12.0
    assert jvp(lambda x: x * vjp(lambda y: x * x * y, 1.0)[1](x)[0], (3.0,), (1.0,))[1] == 4 * 27.0


def test_pullback_inside_of_a_traced_function() -> None:
    def f(x: Any) -> Any:
        y, pullback = vjp(np.sin, x)
        return np.sum(pullback(y)[0])

    value, g = grad(f, X)
    np.testing.assert_allclose(value, np.sum(np.sin(X) * np.cos(X)))
    np.testing.assert_allclose(g[0], np.cos(2 * X), atol=1e-13)
    _, outside = vjp(np.sin, X)
    np.testing.assert_allclose(lilith.jit(lambda v: outside(v * 2)[0])(np.ones(3)), 2 * np.cos(X))


def test_inside_of_jax_jit() -> None:
    import jax

    x = jax.numpy.asarray(X, np.float32)
    np.testing.assert_allclose(jax.jit(lambda x: jacobian(np.sin, x))(x), np.diag(np.cos(X)), rtol=1e-5, atol=1e-7)
    found = jax.jit(lambda x: vjp(np.sin, x)[1](x)[0])(x)
    np.testing.assert_allclose(found, X * np.cos(X), rtol=1e-5)
    np.testing.assert_allclose(jax.jit(lambda x: jvp(np.sin, (x,), (x,))[1])(x), X * np.cos(X), rtol=1e-5)


def test_branches_on_values() -> None:
    def f(x: Any) -> Any:
        return x**3 if x > 0 else x**2

    for x, first, second in ((2.0, 12.0, 12.0), (-2.0, -4.0, 2.0), (3.0, 27.0, 18.0)):
        assert jvp(f, (x,), (1.0,))[1] == first
        assert vjp(f, x)[1](1.0)[0] == first
        assert jacobian(f, x) == first
        assert hessian(f, x) == hvp(f, (x,), (1.0,))[0] == second


def test_paths_taken_in_turn() -> None:
    """Two paths that alternate become one program; a pullback goes back along its own."""

    def f(x: Any) -> Any:
        return np.sin(x) * x if x > 0 else np.cos(x) * x

    def slope(x: float) -> Any:
        return np.cos(x) * x + np.sin(x) if x > 0 else -np.sin(x) * x + np.cos(x)

    for i in range(40):
        x = (0.5 + 0.01 * i) * (-1) ** i
        expected = slope(x)
        assert vjp(f, x)[1](1.0)[0] == pytest.approx(expected)
        assert jvp(f, (x,), (1.0,))[1] == pytest.approx(expected)
        assert jacobian(f, x) == pytest.approx(expected)
        assert hvp(lambda x: f(x) * 1.0, (x,), (1.0,))[0] == pytest.approx(hessian(f, x))


def test_captured_values_are_inputs() -> None:
    scale = 2.0

    def f(x: Any) -> Any:
        return scale * x**2

    assert (hessian(f, 1.0), jvp(f, (1.0,), (1.0,))[1], vjp(f, 1.0)[1](1.0)[0]) == (4.0, 4.0, 4.0)
    scale = 3.0
    assert (hessian(f, 1.0), jvp(f, (1.0,), (1.0,))[1], vjp(f, 1.0)[1](1.0)[0]) == (6.0, 6.0, 6.0)


def test_one_program_for_equal_calls() -> None:
    traced = []

    def f(x: Any) -> Any:
        traced.append(1)
        return np.sum(np.sin(x))

    for x in (X, X + 1, X + 2):
        hessian(f, x), jvp(f, (x,), (x,)), vjp(f, x)[1](1.0), hvp(f, (x,), (x,))
        jacobian(f, x)
    assert len(traced) == 5
    assert "hessian(wrt=0)" in lilith.explain_cache(f)


def test_interpreted() -> None:
    lilith.config.interpret = True
    try:
        np.testing.assert_allclose(jacobian(np.sin, X), np.diag(np.cos(X)))
        np.testing.assert_allclose(vjp(np.sin, X)[1](X)[0], X * np.cos(X))
        np.testing.assert_allclose(jvp(np.sin, (X,), (X,))[1], X * np.cos(X))
    finally:
        lilith.config.interpret = False


# ---- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: jvp(np.sin, 1.0, 1.0), ArgumentError, "jvp: the arguments come as a tuple, got float"),  # type: ignore[arg-type]
        (lambda: jvp(np.sin, (1.0,), (1.0, 2.0)), ArgumentError, "2 tangents for 1 arguments"),
        (lambda: jvp(np.sin, (X,), (np.ones(2),)), ShapeError, r"tangent of x.*: f64\[2\] for an argument f64\[3\]"),
        (lambda: jvp(np.sin, (X,), (np.ones(3, "f4"),)), DtypeError, r"f32\[3\] for an argument f64\[3\]"),
        (lambda: jvp(np.sin, (X,), (None,)), GradientError, "no argument has a tangent"),
        (lambda: jvp(lambda n: n * 2.0, (3,), (1.0,)), DtypeError, "which has no derivative"),
        (lambda: jvp(lambda p: p["a"], ({"a": 1.0},), ({"b": 1.0},)), ArgumentError, "the tangent of p has the struct"),
        (lambda: vjp(np.sin, X)[1](1.0), ShapeError, r"cotangent of sin: f64\[\] for a value f64\[3\]"),
        (lambda: vjp(np.sin, 3), GradientError, "vjp of sin: no differentiable argument"),
        (lambda: jacobian(np.sin, X, mode="backward"), ArgumentError, "mode='backward'"),
        (lambda: jacobian(np.sin, X, wrt=1), ArgumentError, "called with 1 positional arguments"),
        (lambda: jacobian(np.sin, 1j), DtypeError, "one complex number per element"),
        (lambda: jacobian(lambda x: np.exp(1j * x), X, mode="reverse"), GradientError, "it returns complex numbers"),
        (lambda: jacobian(lambda x: x.astype(int), X), GradientError, "nothing that has a derivative"),
        (lambda: hessian(np.sin, X), ShapeError, r"hessian of sin: it returns f64\[3\], not a scalar"),
        (lambda: hvp(np.sin, (X,), (X,)), ShapeError, r"hvp of sin: it returns f64\[3\], not a scalar"),
        (lambda: vjp(1.0), ArgumentError, "the first argument must be a function"),  # type: ignore[arg-type]
        (lambda: jacobian(lambda mode: mode, 1.0, mode="forward"), ArgumentError, "an option of jacobian"),
    ],
)
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


# ---- the size of derived graphs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "args", "nodes"),
    [
        # sin, cos, times dx
        (np.sin, (X,), 3),
        # a b, da b, a db, their sum
        (lambda a, b: a * b, (X, X), 4),
        # two products; da b, a db, their sum, that times c, (a b) dc, their sum
        (lambda a, b, c: a @ b @ c, (np.eye(3), np.eye(3), np.eye(3)), 8),
        # the nine of the value; times e; the sum, repeated; (de - y ds) / s; the maximum is only a shift
        (softmax, (np.ones((2, 3)),), 9 + 1 + 2 + 3),
        # 1 / x: the derivative is -y dx / x
        (lambda x: 1 / x, (X,), 5),
        (lambda x: np.sum(x), (X,), 2),
    ],
)
def test_derived_tangents_are_as_small_as_written_ones(f: Any, args: tuple, nodes: int) -> None:
    def pushed(args: tuple, tangents: tuple) -> Any:
        return jvp(f, args, tangents)

    graph = simplify(lilith.trace(pushed, args, args))
    assert len(graph.nodes) == nodes, graph


def test_a_direction_may_have_the_static_parts_of_its_argument() -> None:
    @dataclass
    class Model:
        n: int
        w: Any
        name: str = "m"

    def loss(m: Any) -> Any:
        return np.sum(m.w**m.n)

    m, v = Model(3, np.array([1.0, 2.0])), Model(3, np.array([1.0, 10.0]))
    np.testing.assert_allclose(hvp(loss, (m,), (v,))[0].w, [6.0, 120.0])
    assert jvp(loss, (m,), (v,))[1] == 123.0


def test_an_array_in_two_places_is_one_in_every_transform():
    w, v = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    tied, moved = {"a": w, "b": w}, {"a": v, "b": v}
    f = lambda m: np.sum(m["a"] ** 2) * np.sum(m["b"])  # noqa: E731
    alone = lambda w: np.sum(w**2) * np.sum(w)  # noqa: E731
    _, dy = jvp(f, (tied,), (moved,))
    assert dy == jvp(alone, (w,), (v,))[1]
    for _ in range(3):  # also where warm paths answer
        h, row, product = hessian(f, tied), jacobian(f, tied), hvp(f, (tied,), (moved,))
        for a in "ab":
            np.testing.assert_allclose(row[a], jacobian(alone, w))
            np.testing.assert_allclose(vjp(f, tied)[1](1.0)[0][a], row[a])
            np.testing.assert_allclose(product[0][a], hvp(alone, (w,), (v,))[0])
            for b in "ab":
                np.testing.assert_allclose(h[a][b], hessian(alone, w))
