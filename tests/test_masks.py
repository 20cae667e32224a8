"""x[mask] with a traced mask: what NumPy gives on arrays, with derivatives; and errors for what needs the shape."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

import lilith
import lilith.numpy as lnp
from lilith.ir import TensorType
from lilith.ir.interpret import interpret
from lilith.numpy.masks import SAFE
from lilith.source import (
    ArgumentError,
    DtypeError,
    IndexingError,
    LilithError,
    ShapeError,
    TraceError,
    UnsupportedError,
)
from lilith.testing import check_grads
from lilith.trace import Trace
from lilith.tracer import UFUNCS
from lilith.transform.reverse import reverse
from tests.agreement import agrees, check_derivatives

A = np.array
X = A([0.7, -1.3, 2.1, 0.4, -0.2, 1.9])
V = A([1.5, 0.3, -0.8, 2.2, 0.9, -1.1])
M = A([[0.5, -1.2, 2.0], [1.4, 0.3, -0.7], [-0.9, 0.8, 1.1], [2.3, -0.4, 0.6]])
W = A([0.6, -0.5, 1.7])
ROWS, FLAGS = A([0.3, -1.0, 0.8, 1.2]), A([True, False, True, True])

# ---- what NumPy gives -----------------------------------------------------------------------------------------------


def assigned(y: Any, key: Any, v: Any) -> Any:
    y = y * 1.0
    y[key] = v
    return y


def operated(x: Any, v: Any) -> Any:
    y = v * 1.0
    m = x > 0
    y[m] += v[m] * x[m]
    y[m] /= x[m] + 1.0
    y[~m] -= np.exp(x[~m])
    y[x > 1] **= 2
    return y


def kept(x: Any, v: Any) -> Any:
    """A selection is a copy: neither the array nor the mask that are written to later change it."""
    y, m = x * 1.0, x > 0
    s = y[m]
    same = s
    y[0], y[m] = 9.0, v[m]
    t = y[m.copy()]
    same += 1.0
    return np.sum(s) + np.sum(t) * np.sum(s * t)


def mask_written(x: Any, v: Any) -> Any:
    m = x > 0
    s = x[m]
    m[1] = True
    t = v[m]
    return np.sum(s) * np.prod(t)


def two_masks(x: Any, v: Any) -> Any:
    return np.mean(x[(x > 0) & (v > 0)] * 2) - np.mean(x[x < 0])


FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple]] = {
    "assign": (lambda x, v: assigned(v, x > 0, np.exp(x[x > 0])), (X, V)),
    "affine": (lambda x, v: assigned(v, x > 0, v[2] * x[x > 0] + v[0]), (X, V)),
    "operate": (operated, (X, V)),
    "copy": (kept, (X, V)),
    "mask written": (mask_written, (X, V)),
    "two masks": (two_masks, (X, V)),
    "logarithms": (lambda x: np.sum(np.log(x[x > 0]) / np.sqrt(x[x > 0])), (X,)),
    "cubes": (lambda x: np.prod(x[x > 0] ** 3 - 2.0 ** x[x > 0]), (X,)),
    "reflected": (lambda x: np.sum(1.0 / x[x > 0] - W[0] % x[x > 0] + (2 - x[x > 0])), (X,)),
    "array first": (lambda x: np.sum(np.ones((2, 1)) * x[x > 0]) + np.sum(W[:, None] + x[x > 0]), (X,)),
    "where": (lambda x, v: np.sum(np.where(v[x > 0] > 0, x[x > 0], v[x > 0] * 3)), (X, V)),
    "clip": (lambda x: np.sum(np.clip(x[x > 0], 0.5, x[2] - 0.5)) + np.sum(x[x > 0].clip(max=1.0)), (X,)),
    "comparison": (lambda x, v: [np.sum(x[x > 0] > v[x > 0]), np.any(x[x > 0] > 2), (x[x > 0] != 0.7).all()], (X, V)),
    "maximum": (lambda x, v: np.sum(np.maximum(x[x > 0], v[x > 0]) - np.abs(v[x > 0])), (X, V)),
    "unary": (lambda x: np.sum(-x[x > 0] + abs(+x[x > 0])) + np.sum(np.arccosh(1 + x[x > 0])), (X,)),
    "round": (lambda x: [np.sum(np.round(x[x > 0], 1)), np.sum(x[x > 0].round()), np.sum(np.trunc(x[x > 0]))], (X,)),
    "divmod": (lambda x: [np.sum(y) for y in divmod(x[x > 0], 0.5)] + [np.sum(y) for y in np.modf(x[x > 0])], (X,)),
    "reductions": (
        lambda x: [
            f(x[x > 0])
            for f in (np.sum, np.prod, np.mean, np.max, np.min, np.var, np.std, np.ptp, np.linalg.norm)
        ],
        (X,),
    ),
    "methods": (
        lambda x: [
            x[x > 0].sum(), x[x > 0].mean(), x[x > 0].max(), x[x > 0].min(), x[x > 0].var(ddof=1), x[x > 0].std(),
        ],
        (X,),
    ),
    "options": (
        lambda x: [
            np.sum(x[x > 0], initial=3.0, keepdims=True), np.max(x[x > 0], initial=5.0), np.mean(x[x > 0], axis=-1),
            np.sum(x[x > 0], 0), np.std(x[x > 0], ddof=2), np.prod(x[x > 9]), np.sum(x[x > 9]),
            np.min(x[x > 9], initial=1),
        ],
        (X,),
    ),
    "average": (lambda x, v: np.average(v[x > 0], weights=x[x > 0]) + np.average(x[x > 0]), (X, V)),
    "norms": (lambda x: [np.linalg.norm(x[x < 1], ord=p) for p in (1, 2, 3, np.inf)], (X,)),
    "ufunc.reduce": (lambda x: [f.reduce(x[x > 0]) for f in (np.add, np.maximum, np.multiply)], (X,)),
    "counts": (lambda x: [x[x > 0].size + A(0), np.size(x[x > 0]) * A(1.0), np.count_nonzero(x[x > 0] > 1)], (X,)),
    "dot": (
        lambda x, v: [x[x > 0] @ v[x > 0], x[x > 0].dot(v[x > 0])] + [f(x[x > 0], v[x > 0]) for f in (np.dot, np.vdot)],
        (X, V),
    ),
    "rows": (
        lambda m, r: [np.sum(m[r > 0] ** 2, axis=0), np.mean(m[r > 0]), m[r > 0].max(axis=0), m[r > 0].std(0)],
        (M, ROWS),
    ),
    "along rows": (
        lambda m, r: [np.sum(f(m[r > 0], axis=1) * r[r > 0]) for f in (np.sum, np.max, np.mean, np.linalg.norm)],
        (M, ROWS),
    ),
    "rows, keepdims": (lambda m, r: np.sum(m[r > 0] / np.sum(m[r > 0] ** 2, axis=1, keepdims=True)), (M, ROWS)),
    "rows by weights": (lambda m, r, w: np.sum((m[r > 0] @ w - r[r > 0]) ** 2), (M, ROWS, W)),
    "rows by a matrix": (lambda m, r, w: np.sum(np.tanh(m[r > 0] @ (w[:, None] * w)) * w, axis=0), (M, ROWS, W)),
    "matrix by columns": (lambda m, r, w: np.sum(np.sin(w @ m[r > 0].T) * (w[:2] @ w[:2])), (M, ROWS, W)),
    "normal equations": (lambda m, r: np.linalg.solve(m[r > 0].T @ m[r > 0], m[r > 0].T @ r[r > 0]), (M, ROWS)),
    "rows assigned": (lambda m, r, w: assigned(m, r > 0, np.exp(m[r > 0]) * w), (M, ROWS, W)),
    "columns": (lambda m, w: assigned(m, (slice(None), w > 0), m[:, w > 0] * m[..., w > 0].mean(axis=0)), (M, W)),
    "column means": (lambda m, w: m[:, w > 0].mean(axis=1), (M, W)),
    "elements of a matrix": (lambda m: [np.mean(m[m > 0]), np.sum(np.log(m[m > 0])), m[m > 0].min()], (M,)),
    "assigned in a matrix": (lambda m: assigned(m, m > 0, np.sqrt(m[m > 0]) / m[m > 0].sum()), (M,)),
    "a view assigned": (lambda m: assigned(m, 1, assigned(m[1], m[1] > 0, m[1][m[1] > 0] ** 2)), (M,)),
    "a number as mask": (lambda x: np.sum(x[x[0] > 0] ** 2) + np.sum(x[x[1] > 0]), (X,)),
    "a given mask": (
        lambda m, flags: [np.mean(m[flags], axis=0), np.sum(m[flags, :] * 2), np.sum(m[~flags, ...])],
        (M, FLAGS),
    ),
    "special functions": (lambda x: np.sum(scipy.special.gammaln(x[x > 0]) + scipy.special.erf(x[x > 0])), (X,)),
    "nan functions": (lambda x: [f(x[x > 0]) for f in (np.nansum, np.nanmean, np.nanmax, np.nanmin, np.nanstd)], (X,)),
    "all are selected": (lambda x: [np.sum(np.exp(x[x > -9])), x[x > -9].max()], (X,)),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_as_in_numpy(name: str) -> None:
    f, xs = FUNCTIONS[name]
    agrees(f, *xs)
    numbers = [i for i, x in enumerate(xs) if x.dtype.kind == "f"]

    def total(*given: Any) -> Any:
        inputs = [given[numbers.index(i)] if i in numbers else x for i, x in enumerate(xs)]
        y = f(*inputs)
        parts = [np.sum(z) * 1.0 for z in y if z.dtype.kind == "f"] if isinstance(y, list) else [np.sum(y)]
        return sum(parts, 0.0 * np.sum(inputs[numbers[0]]))

    check_derivatives(total, *[xs[i] for i in numbers], tolerance=1e-5)


def test_compiled() -> None:
    """XLA gives what the interpreter gives; one program of all functions."""
    given = (X, V, M, ROWS, W)
    places = {id(x): k for k, x in enumerate(given)}
    calls = [(f, [places[id(x)] for x in xs]) for f, xs in FUNCTIONS.values() if not any(x is FLAGS for x in xs)]

    def everything(*inputs: Any) -> Any:
        return [np.sum(z) * 1.0 for f, chosen in calls for z in _listed(f(*[inputs[k] for k in chosen]))]

    found = lilith.jit(everything)(*given)
    np.testing.assert_allclose(found, [float(y) for y in everything(*given)], rtol=1e-11)
    check_grads(lambda *xs: sum(everything(*xs), 0.0), given, order=1)


def _listed(y: Any) -> list[Any]:
    return y if isinstance(y, list) else [y]


DTYPES = ["f8", "f4", "f2", "c16", "c8", "i8", "i4", "i1", "u2", "?"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype: str) -> None:
    x, m = A([3, 1, 0, 2, 1]).astype(dtype), A([True, False, True, True, True])
    functions: list[Callable[..., Any]] = [
        np.sum,
        np.prod,
        np.any,
        np.all,
        np.mean,
        np.count_nonzero,
        np.var,
        np.linalg.norm,
    ]
    if x.dtype.kind != "c":
        functions += [np.max, np.min]
    if dtype != "?":
        functions += [np.square, np.negative, np.std] if dtype != "u2" else [np.square, np.std]
        functions += [lambda s: s + 1, lambda s: s * A(2, "f4"), lambda s: s + A([1], "i2"), lambda s: s == 1]
    agrees(lambda x, m: [f(x[m]) if np.ndim(f(np.ones(2))) == 0 else np.sum(f(x[m])) for f in functions], x, m)
    agrees(lambda x, m: assigned(x, m, np.sqrt(x[m])).astype(dtype) if dtype != "c8" else x, x, m)
    agrees(lambda x, m: x[m].astype("f4").sum(), x, m)


def test_assigned_in_the_arrays_dtype() -> None:
    def f(x: Any, v: Any) -> Any:
        y = (x * 10).astype("i4")
        y[x > 0] = v[x > 0]
        z = v.astype("f4")
        z[x > 0] += x[x > 0]
        return [y, z]

    agrees(f, X, V)
    with pytest.raises(DtypeError, match="keeps its dtype"):
        lilith.trace(lambda x: x.astype(int)[x > 0].__iadd__(0.5), X)


@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "?"])
def test_nothing_selected(dtype: str) -> None:
    """What NumPy raises an error for is NaN, or the dtype's extreme number; the rest is as in NumPy; no derivative."""
    x, none = X.astype(dtype), np.zeros(6, bool)
    agrees(lambda x, m: [f(x[m]) for f in (np.sum, np.prod, np.mean, np.any, np.all, np.var)], x, none)
    agrees(lambda x, m: assigned(x, m, x[m] * 2), x, none)
    high, low = lilith.jit(lambda x, m: (np.max(x[m]), x[m].min()))(x, none)
    expected = {"f": (np.nan, np.nan), "i": (-(2**31), 2**31 - 1), "b": (False, True)}[x.dtype.kind]
    np.testing.assert_array_equal([high, low], expected)
    for f in (np.max, np.mean, np.sum, np.std):
        _, g = lilith.grad(lambda x, m, f=f: f(np.log(x[m])), X, none)
        np.testing.assert_array_equal(g[0], np.zeros(6))


# ---- what is not selected does no harm ------------------------------------------------------------------------------

UNARY = [np.exp, np.log, np.sqrt, np.sin, np.tanh, np.square, np.arctan, np.log1p, np.reciprocal, np.negative, np.cbrt]
BINARY = [np.add, np.subtract, np.multiply, np.divide, np.maximum, np.power, np.hypot, np.arctan2, np.logaddexp]


@st.composite
def expressions(draw: Any) -> Callable[..., Any]:
    """A function of two selections and a number, made of a few steps that keep all numbers between 0.1 and 10."""
    steps = []
    for _ in range(draw(st.integers(1, 5))):
        if draw(st.booleans()):
            steps.append((draw(st.sampled_from(UNARY)), draw(st.integers(0, 2)), None))
        else:
            steps.append((draw(st.sampled_from(BINARY)), draw(st.integers(0, 2)), draw(st.integers(0, 3))))

    def f(s: Any, t: Any, c: Any) -> Any:
        known = [s, t, s * c, c]
        for function, i, j in steps:
            y = function(known[i]) if j is None else function(known[i], known[j])
            known[i] = 0.1 + np.sqrt(1e-3 + y * y) / (1.0 + np.abs(y) / 9.0)
        return known[0] + known[1] * known[2]

    return f


WAYS: list[Callable[..., Any]] = [
    lambda x, v, m, y: np.sum(y),
    lambda x, v, m, y: np.mean(y) + y.var(),
    lambda x, v, m, y: y @ v[m] + np.linalg.norm(y),
    lambda x, v, m, y: np.max(y, initial=0.05) - np.min(y, initial=99.0),
    lambda x, v, m, y: np.sum(assigned(v, m, y)[::2] ** 2),
    lambda x, v, m, y: np.sum(assigned(x, m, y)[m] * v[m]),
]
POISON = A([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e300, -1e-300, np.nan])


@settings(max_examples=50, deadline=None)
@given(
    f=expressions(),
    way=st.integers(0, len(WAYS) - 1),
    flags=st.lists(st.booleans(), min_size=8, max_size=8),
    seed=st.integers(0, 99),
)
def test_what_is_not_selected_does_no_harm(f: Any, way: int, flags: list[bool], seed: int) -> None:
    """Values and derivatives of first and second order are those without the other elements, whatever these are: NumPy
    gives the value; the derivatives are the same with harmless elements in place of NaN, infinities and zeros, and
    nowhere on the way does a NaN appear."""
    mask = A(flags)
    if way == 1 and not mask.any():
        return
    rng = np.random.default_rng(seed)
    x, v = rng.uniform(0.3, 3.0, 8), rng.uniform(0.3, 3.0, 8)
    c = A(rng.uniform(0.5, 1.5))

    def whole(x: Any, v: Any, c: Any, m: Any) -> Any:
        return WAYS[way](x, v, m, f(x[m], v[m], c))

    bad = np.where(mask, x, rng.permutation(POISON)), np.where(mask, v, rng.permutation(POISON))
    given_bad = (x if way == 5 else bad[0], v if way == 4 else bad[1])  # what is assigned into is read as a whole
    graph = _graph(whole, x, v, c, mask)
    first = reverse(graph, (0, 1, 2))
    second = reverse(first.with_outputs(first.outputs[1:]), (0, 1, 2))
    seeds = [np.float64(1), rng.standard_normal(8), rng.standard_normal(8), A(0.7)]
    good = interpret(second, [x, v, c, mask, *seeds])
    found = interpret(second, [*given_bad, c, mask, *seeds], _no_nan)
    for a, b in zip(found, good, strict=True):
        np.testing.assert_array_equal(a, b)
    (value,) = interpret(graph, [*given_bad, c, mask])
    np.testing.assert_allclose(value, whole(x, v, c, mask), rtol=1e-9)


def _graph(f: Callable[..., Any], *xs: Any) -> Any:
    with Trace("f") as t:
        inputs = [t.input(TensorType(np.shape(x), np.asarray(x).dtype)) for x in xs]
        y = t.lift(f(*inputs))
        return t.finish([x.value for x in inputs], [f"x{i}" for i in range(len(xs))], [y]).verify()


def _no_nan(node: Any, operands: tuple, results: tuple) -> None:
    made = bool(operands) and any(y.dtype.kind == "f" and np.isnan(y).any() for y in results)
    assert not made or any(x.dtype.kind == "f" and np.isnan(x).any() for x in operands), node


@pytest.mark.parametrize("ufunc", [u for u in UFUNCS if u.signature is None], ids=lambda u: u.__name__)
def test_ufuncs_and_their_derivatives_are_finite_where_nothing_is_selected(ufunc: Any) -> None:
    number = SAFE.get(ufunc.__name__, 1.0)
    numbers = number if isinstance(number, tuple) else (number,) * ufunc.nin
    for dtype in ("f8", "f4", "c16", "i8") if 0.5 not in numbers else ("f8", "f4"):
        xs = [A(x).astype(dtype) for x in numbers]
        try:
            graph = _graph(lambda *xs: ufunc(*xs)[0] if ufunc.nout > 1 else ufunc(*xs), *xs)
        except (DtypeError, LilithError):
            continue
        (y,) = interpret(graph, xs)
        assert np.isfinite(y)
        if y.dtype.kind == "f" and dtype in ("f8", "f4"):
            first = reverse(graph, list(range(len(xs))))
            assert np.isfinite(interpret(first, [*xs, y.dtype.type(1)], _no_nan)[1:]).all()


def test_debuggers_see_no_nan() -> None:
    """Node by node in NumPy the first NaN is looked for: those of elements that are not selected do not appear."""

    def f(x: Any) -> Any:
        y = x * 1.0
        y[x > 0] = np.log(x[x > 0]) / x[x > 0]
        extremes = x[x > 0].max() - np.nanmin(x[x > 0]) + np.ptp(x[x > 0])
        return extremes + np.sum(y) + np.mean(np.sqrt(x[x > 0])) + np.sum(np.arccosh(1 + x[x > 0]) ** x[x > 0])

    lilith.config.interpret = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            value, g = lilith.grad(f, X)
    finally:
        lilith.config.interpret = False
    assert value == pytest.approx(f(X)) and np.isfinite(g[0]).all()


# ---- transforms, loops and branches ---------------------------------------------------------------------------------


def loss(x: Any, v: Any) -> Any:
    y = v * 1.0
    y[x > 0] *= np.log(x[x > 0])
    return np.sum(y) + np.mean(x[x > 0] ** 3)


def test_vmap() -> None:
    batch = np.stack([X, -X, X - 0.5])
    np.testing.assert_allclose(lilith.vmap(loss, in_axes=(0, None))(batch, V), [loss(x, V) for x in batch])
    slopes = lilith.vmap(lambda x: lilith.grad(loss, x, V)[1][0])(batch)
    np.testing.assert_allclose(slopes, [lilith.grad(loss, x, V)[1][0] for x in batch])
    masks = batch > 0
    found = lilith.vmap(lambda m: np.sum(np.exp(X[m])) + np.sum(assigned(V, m, V[m] * X[m])))(masks)
    np.testing.assert_allclose(found, [np.sum(np.exp(X[m])) + np.sum(assigned(V, m, V[m] * X[m])) for m in masks])


def test_other_derivatives() -> None:
    check_grads(loss, (X, V), order=2)
    f = lambda x: assigned(x * 2, x > 0, np.exp(x[x > 0]) * x[x > 0].sum())  # noqa: E731
    jacobian = lilith.jacobian(f, X)
    for k, direction in enumerate(np.eye(6)):
        np.testing.assert_allclose(lilith.jvp(f, (X,), (direction,))[1], jacobian[:, k])
        h = 1e-6 * direction
        np.testing.assert_allclose(jacobian[:, k], (f(X + h) - f(X - h)) / 2e-6, atol=1e-7)
    hessian = lilith.hessian(lambda x: np.sum(np.log(x[x > 0])), X)
    np.testing.assert_allclose(hessian, np.diag(np.where(X > 0, -1 / X**2, 0.0)), atol=1e-14)


def python_loop(begin: int, end: int, body: Callable[..., Any], c: Any) -> Any:
    for i in range(begin, end):
        c = body(i, c)
    return c


@pytest.mark.parametrize("loop", [lilith.fori_loop, python_loop])
def test_loops(loop: Any) -> None:
    """Selections in the body, of arrays that are written to, and of those and by masks from around it."""

    def f(x: Any, loop: Any) -> Any:
        y, m = x * 1.0, x > 0
        s = x[m]

        def body(i: Any, c: Any) -> Any:
            inner = y > 0.1 * i
            y[inner] *= np.cos(y[inner] + c * 1e-3)
            return c + np.sum(s * y[m]) * 0.1 + np.mean(x[x > 0] * s)

        return loop(0, 12, body, 0.0) + np.sum(y)

    assert lilith.jit(lambda x: f(x, loop))(X) == pytest.approx(f(X, python_loop))
    check_grads(lambda x: f(x, loop), (X,), order=1)


def test_a_python_loop_is_rolled() -> None:
    def f(x: Any) -> Any:
        y = x * 1.0
        for i in range(60):
            m = y > 0.01 * i
            y[m] *= np.cos(y[m])
        return np.sum(y)

    assert "while" in str(lilith.trace(f, X)) or "scan" in str(lilith.trace(f, X))
    assert lilith.jit(f)(X) == pytest.approx(f(X))
    check_grads(f, (X,), order=1)


def test_scan_while_branches_checkpoints_and_nested_gradients() -> None:
    def f(x: Any, v: Any) -> Any:
        a, _ = lilith.scan(lambda c, t: (c + np.sum(x[x > t] * t), c), 0.0, v)
        _, b = lilith.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] + np.mean(x[x > 0.1 * c[0]])), (0, 0.0))
        c = lilith.cond(x[0] > 0, lambda: np.sum(np.log(x[x > 0])), lambda: np.sum(x))
        d = lilith.checkpoint(lambda y: np.sum(np.sqrt(y[x > 0])))(x)
        m = x > 0
        e = np.sum(lilith.grad(lambda y: np.sum(np.log(y[m]) * x[m]), x)[1][0][m] ** 2)
        return a + b + c + d + e

    p = X > 0
    expected = sum(np.sum(X[X > t] * t) for t in V) + sum(np.mean(X[X > 0.1 * i]) for i in range(3))
    expected += np.sum(np.log(X[p])) + np.sum(np.sqrt(X[p])) + np.count_nonzero(p)
    assert lilith.jit(f)(X, V) == pytest.approx(expected)
    check_grads(f, (X, V), order=1)


# ---- masks that are known -------------------------------------------------------------------------------------------


def test_known_masks_keep_their_way() -> None:
    """Those of captured values become part of the key, with the shapes that depend on them; no select is made."""
    mask, limit = V > 0.0, V

    def f(x: Any) -> Any:
        y = x * 1.0
        y[limit > 0.5] = x[: int(np.sum(limit > 0.5))]
        y[mask] += x[mask] * x[mask].shape[0]
        return np.sort(x[mask]), x[limit > 0.5].reshape(1, -1), y

    for mask, limit in [(V > 0.0, V), (V > 1.0, V + 0.2)]:
        expected = A([0.0])
        found = lilith.jit(f)(X)
        y = X.copy()
        y[limit > 0.5] = X[: int(np.sum(limit > 0.5))]
        y[mask] += X[mask] * X[mask].shape[0]
        for a, expected in zip(found, (np.sort(X[mask]), X[limit > 0.5].reshape(1, -1), y), strict=True):
            np.testing.assert_array_equal(a, expected)
    assert "select" not in str(lilith.trace(lambda x: np.sum(np.log(x[mask])), X))


def test_plain_arrays_by_traced_masks() -> None:
    """Captured ones, and those that NumPy makes in the function."""

    def f(x: Any) -> Any:
        table = np.linspace(0.5, 2.0, 6)
        return np.sum(table[x > 0] * x[x > 0] + V[x > 0]) + np.mean(table[x > 0])

    assert lilith.jit(f)(X) == pytest.approx(f(X))
    check_grads(f, (X,), order=1)

    def made(x: Any) -> Any:
        y = np.zeros(6)
        y[x > 0] += V[x > 0] * np.log(x[x > 0])
        return y

    np.testing.assert_allclose(lilith.jit(made)(X), made(X))


# ---- errors ---------------------------------------------------------------------------------------------------------

SHAPE = r"of x\[mask\] with a traced mask \(bool\[6\]\)(.|\n)*test_masks.py(.|\n)*nonzero\(mask, size=n\)"
ERRORS: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "returned": (lambda x: x[x > 0], UnsupportedError, "an array of known shape made " + SHAPE),
    "returned in a dict": (lambda x: {"a": x[x > 0]}, UnsupportedError, SHAPE),
    "shape": (lambda x: x[x > 0].shape, UnsupportedError, "the shape " + SHAPE),
    "len": (lambda x: len(x[x > 0]), UnsupportedError, r"len\(\) of (.|\n)*.size is the number"),
    "iteration": (lambda x: sum(x[x > 0]), UnsupportedError, SHAPE),
    "reshape": (lambda x: x[x > 0].reshape(2, 2), UnsupportedError, SHAPE),
    "sort": (lambda x: np.sort(x[x > 0]), UnsupportedError, "np.sort " + SHAPE),
    "median": (lambda x: np.median(x[x > 0]), UnsupportedError, "np.median " + SHAPE),
    "cumsum": (lambda x: x[x > 0].cumsum(), UnsupportedError, SHAPE),
    "concatenate": (lambda x: np.concatenate([x[x > 0], x]), UnsupportedError, "np.concatenate " + SHAPE),
    "stack": (lambda x: np.stack([x[x > 0], x[x > 0]]), UnsupportedError, "np.stack " + SHAPE),
    "array": (lambda x: lnp.array([x[x > 0]]), UnsupportedError, SHAPE),
    "index": (lambda x: x[x > 0][0], UnsupportedError, "indexing " + SHAPE),
    "item assigned": (lambda x: x[x > 0].__setitem__(0, 1.0), UnsupportedError, SHAPE),
    "used as mask": (lambda x: x[x[x > 0] > 0], UnsupportedError, SHAPE),
    "other masks": (lambda x: np.sum(x[x > 0] + x[x < 1]), UnsupportedError, "different traced masks"),
    "assigned by another mask": (lambda x: x.__setitem__(x < 1, x[x > 0]), UnsupportedError, "different traced masks"),
    "assigned by a slice": (lambda x: x.__setitem__(slice(None), x[x > 0]), UnsupportedError, SHAPE),
    "a whole array beside it": (lambda x: np.sum(x[x > 0] + x), ShapeError, r"f64\[6\] beside x(.|\n)*v\[mask\]"),
    "a whole array assigned": (lambda x: x.__setitem__(x > 0, x), UnsupportedError, r"x\[mask\] = v\[mask\]"),
    "axes": (lambda x: np.sum((x[:, None] * x)[x > 0] + x[x > 0]), ShapeError, "do not lie side by side"),
    "axes assigned": (lambda x: (x[:, None] * x).__setitem__(x > 0, x[x > 0]), ShapeError, "number of axes"),
    "size of the mask": (lambda x: x[x[:3] > 0], IndexingError, "the shape of the axes"),
    "beside an index": (lambda x: (x[:, None] * x)[x > 0, 0], UnsupportedError, r"column = x\[:, i\]"),
    "bool": (lambda x: bool(x[x > 0] > 1), UnsupportedError, "truth value"),
    "float": (lambda x: float(x[x > 0]), UnsupportedError, SHAPE),
    "item": (lambda x: x[x > 0].item(), UnsupportedError, "truth value or number"),
    "None": (lambda x: x[x > 0] == None, UnsupportedError, "None"),  # noqa: E711
    "attribute": (lambda x: x[x > 0].nothing, AttributeError, "nothing"),
    "where=": (lambda x: np.sum(x[x > 0], where=x > 0), UnsupportedError, "np.sum with where="),
    "out=": (lambda x: np.exp(x[x > 0], out=x), UnsupportedError, "np.exp with out="),
    "accumulate": (lambda x: np.add.accumulate(x[x > 0]), UnsupportedError, "np.add.accumulate " + SHAPE),
    "outer": (lambda x: np.multiply.outer(x[x > 0], x), UnsupportedError, "np.multiply.outer " + SHAPE),
    "Gram matrix": (lambda x: (x[:, None] * x)[x > 0] @ (x[:, None] * x)[x > 0].T, UnsupportedError, "such a product"),
    "norm": (lambda x: np.linalg.norm(x[x > 0], ord=-1), UnsupportedError, "ord=-1"),
    "shared": (lambda x: (lambda s: (s.T, s.__iadd__(1.0)))(x[x > 0]), TraceError, r"s.copy\(\)"),
    "grown": (lambda x: x[x > 0].__iadd__(np.ones((2, 1))), ShapeError, "keeps its shape"),
    "a loop's carry": (lambda x: lilith.fori_loop(0, 3, lambda i, c: c + 1.0, x[x > 0]), UnsupportedError, SHAPE),
    "a loop's body": (
        lambda x: (lambda s: lilith.fori_loop(0, 3, lambda i, c: np.sum(s.__iadd__(c)), 0.0))(x[x > 0]),
        TraceError,
        "from around",
    ),
    "a branch's result": (lambda x: lilith.cond(x[0] > 0, lambda: x[x > 0], lambda: x), UnsupportedError, SHAPE),
    "a function's argument": (lambda x: lilith.vmap(np.sin)(x[x > 0]), UnsupportedError, SHAPE),
    "a function's capture": (
        lambda x: (lambda s: lilith.grad(lambda y: np.sum(s * y), 2.0)[1][0])(x[x > 0]), UnsupportedError, SHAPE
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    f, error, text = ERRORS[name]
    with pytest.raises(error, match=text):
        lilith.trace(f, X)


def test_arguments_of_reductions() -> None:
    with pytest.raises(ArgumentError, match=r"np\.sum"):
        lilith.trace(lambda x: x[x > 0].sum(nothing=1), X)


def test_what_is_known() -> None:
    seen = []

    def f(x: Any) -> Any:
        s = x.astype("f4")[x > 0]
        seen.extend([s.dtype, s.ndim, np.ndim(s), repr(s)])
        return np.sum(s)

    lilith.trace(f, X)
    assert seen[:4] == [np.float32, 1, 1, "Selection(f32[6] by bool[6])"]
