"""Sorting and searching on tracers: as NumPy, with derivatives that follow the permutation."""

from __future__ import annotations

from typing import Any

import hypothesis
import ml_dtypes
import numpy as np
import pytest
from hypothesis import strategies as st

import lilith
import lilith.numpy as lnp
from lilith.ir import Builder, Graph, TensorType, Value, primitive
from lilith.ir.interpret import interpret
from lilith.source import ArgumentError, ShapeError, UnsupportedError
from lowering.carrier import Loaded, Module, pretty
from lowering.emit import PLATFORMS, emit
from tests.agreement import RNG, M, T, agrees, check_derivatives, check_gradient, evaluate
from tests.compiled import together
from tests.samples import samples

X = np.array([3.0, 1.0, np.nan, 2.0, -0.0, 0.0, 1.0, -np.inf, np.inf, -np.nan, 1.0])
Z = np.array(
    [1 + 2j, 1 - 1j, complex(np.nan, 1), complex(2, np.nan), complex(np.nan, np.nan), complex(0, np.nan), 1 + 2j, 0]
)
DTYPES = [np.dtype(d) for d in "?bhilBHILefdFD"]


def stable(f):
    """A NumPy function with kind="stable": the order of equal elements is fixed then."""
    return lambda x, **options: f(x, kind="stable", **options)


# ---- sorting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [np.sort, np.argsort])
def test_sort_and_argsort(f) -> None:
    for x in (X, X.astype("f4"), Z, Z.astype("c8"), np.zeros(0), np.zeros((2, 0, 3)), np.array([1.0])):
        agrees(lambda x: stable(f)(x), x)
    for axis in (0, 1, 2, -1, None):
        agrees(lambda x, axis=axis: f(x, axis=axis, kind="stable"), T)
    for dtype in DTYPES:
        agrees(lambda x: f(x, axis=0, kind="stable"), RNG.integers(0, 9, (7, 3)).astype(dtype))
    agrees(lambda x: f(x, stable=True), X)
    wide = RNG.integers(-(2**63), 2**63 - 1, 200)
    agrees(f, np.concatenate([wide, wide >> 33, wide >> 31 << 31]) if f is np.sort else wide)


def test_sort_of_zeros_keeps_their_signs_in_order() -> None:
    x = np.array([0.0, -0.0, 0.0, -0.0])
    np.testing.assert_array_equal(np.signbit(evaluate(np.sort, x)[0]), np.signbit(x))


def test_sort_of_bfloat16() -> None:
    x = np.array([3, 1, np.nan, -2, 2, -np.inf], ml_dtypes.bfloat16)
    found = evaluate(lambda x: np.sort(x), x)[0]
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found.astype("f4"), np.sort(x.astype("f4")))


def test_scalars_and_wrong_options() -> None:
    agrees(lambda x: np.argsort(x), np.array(2.0))
    for f, error in [
        (lambda x: np.sort(x), ShapeError),
        (lambda x: np.sort(np.stack([x]), axis=1), ShapeError),
        (lambda x: np.sort(np.stack([x]), order="a"), UnsupportedError),
        (lambda x: np.sort(np.stack([x]), kind="fast"), ArgumentError),
        (lambda x: np.partition(np.stack([x]), 1), ShapeError),
        (lambda x: np.searchsorted(x, x), ShapeError),
        (lambda x: np.searchsorted(np.stack([x]), x, side="up"), ArgumentError),
        (lambda x: np.digitize(x, [1.0, 3.0, 2.0]), ArgumentError),
    ]:
        with pytest.raises(error):
            evaluate(f, np.array(2.0))
    with pytest.raises(TypeError, match="it returns NoneType None"):  # as in NumPy: it sorts in place
        lilith.grad(lambda x: x.sort(), np.ones(3))


def test_partition() -> None:
    for axis in (0, 1, None):
        found = evaluate(lambda x, axis=axis: np.partition(x, 2, axis=axis), M)[0]
        np.testing.assert_array_equal(found, np.sort(M, axis=axis))
        order = evaluate(lambda x, axis=axis: np.argpartition(x, (0, -1), axis=axis), M)[0]
        np.testing.assert_array_equal(order, np.argsort(M, axis=axis))
    agrees(lambda x: np.partition(x, 3)[3], X)
    np.testing.assert_array_equal(np.sort(evaluate(_partitioned, X)[0]), np.sort(X))
    assert evaluate(_partitioned, X)[0][2] == np.sort(X)[2]


def _partitioned(x: Any) -> Any:
    x = x.copy()
    assert x.partition(2) is None  # in place, as in NumPy
    return x


def test_lexsort() -> None:
    a, b, c = RNG.integers(0, 3, (3, 20)).astype(float)
    agrees(lambda a, b: np.lexsort((a, b)), a, b)
    agrees(lambda a, b, c: np.lexsort((a, b, c)), a, b, c)
    agrees(lambda a: np.lexsort(a), np.stack([a, b]))
    agrees(lambda a, b: np.lexsort((a, b), axis=0), *RNG.integers(0, 3, (2, 6, 4)))
    agrees(lambda a, b: np.lexsort((a, b)), a, b.astype(complex) + 1j * c)
    agrees(lambda a, b: np.lexsort((b, a)), a, b + 1j * c)
    agrees(lambda a, b: np.lexsort((a, b)), np.array(1.0), np.array(2.0))


def test_sort_complex() -> None:
    for x in (X, Z, X.astype("f4"), np.array([3, 1, 2]), np.array([3, 1, 2], "i2"), Z.astype("c8")):
        agrees(np.sort_complex, x)


def test_methods() -> None:
    agrees(lambda x: x.argsort(kind="stable"), X)
    agrees(lambda x: x.argpartition(2)[2:3] * 0, M)
    agrees(lambda x: x.searchsorted([0.5, 1.0]), np.sort(M[0]))


def test_descending() -> None:
    """The Array API's option; stable, and the same for plain arrays."""
    x = np.array([[2.0, 3.0, 2.0, 1.0], [0.0, -1.0, 0.0, 5.0]])
    for axis in (0, 1, -1, None):
        order = np.argsort(-x, axis=axis, kind="stable")
        expected = np.flip(np.sort(x, axis=axis), -1 if axis is None else axis)
        for f in (lambda f: f(x), lambda f: evaluate(f, x)[0]):
            np.testing.assert_array_equal(f(lambda x, a=axis: lnp.argsort(x, axis=a, descending=True)), order)
            found = f(lambda x, a=axis: lnp.sort(x, axis=a, descending=True))
            np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(lnp.sort(x), np.sort(x))
    np.testing.assert_array_equal(evaluate(lambda x: lnp.argsort(x), x)[0], np.argsort(x))


# ---- derivatives ----------------------------------------------------------------------------------------------------


def test_gradients_follow_the_permutation() -> None:
    weights = np.arange(12.0).reshape(3, 4) ** 2
    for axis in (0, 1):
        check_gradient(lambda x, axis=axis: np.sort(x, axis=axis) * weights, M)
    check_gradient(lambda x: np.partition(x, 1, axis=None)[1:5] ** 2, M)
    check_derivatives(lambda x, y: x[np.argsort(y)] ** 3 * weights[0], M[0], M[1])
    check_derivatives(lambda x: np.take_along_axis(x, x.argsort(1), 1) ** 3 * weights, M)
    check_derivatives(lambda x: np.sum(np.sort(x, axis=0) ** 3 * weights), M)
    check_derivatives(lambda x: np.sum(lnp.sort(x, axis=None, descending=True) ** 3 * weights.ravel()), M)
    check_derivatives(lambda a, b: np.sum(np.real(np.sort(a + 1j * b) ** 2 * weights[0])), M[0], M[1])


def test_ties_go_by_the_stable_permutation() -> None:
    """Of equal elements the earlier one gets the cotangent of the earlier place."""
    _, g = lilith.grad(lambda x: np.sum(np.sort(x) * np.arange(4.0)), np.array([2.0, 1.0, 2.0, 1.0]))
    np.testing.assert_array_equal(g[0], [2.0, 0.0, 3.0, 1.0])
    _, g = lilith.grad(lambda x: np.sum(np.sort(x)[:2]), np.array([np.nan, 1.0, -np.inf]))
    np.testing.assert_array_equal(g[0], [0.0, 1.0, 1.0])


def test_compiled_values() -> None:
    """XLA gives what the interpreter gives, in one program."""
    wide = RNG.integers(-(2**62), 2**62, 300)
    a = np.sort(RNG.integers(0, 60, 40) / 4.0)
    v = np.append(RNG.integers(-4, 70, 300) / 4.0, np.nan)

    def f(x, m, z, wide, a, v):
        found = [np.sort(x), np.argsort(x, kind="stable"), np.sort(m, axis=0), np.argsort(z, kind="stable")]
        found += [np.sort(wide), np.argsort(wide.astype("f4"), kind="stable"), np.argsort(wide.astype("u8"))]
        for side in ("left", "right"):
            found += [np.searchsorted(a, v, side=side), np.searchsorted(a[:7], v, side=side)]
        return [*found, np.digitize(v, a[::-1]), np.isin(v, a), np.lexsort((v, np.floor(v)))]

    found = lilith.jit(f)(X, M, Z, wide, a, v)
    for y, expected in zip(found, f(X, M, Z, wide, a, v), strict=True):
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", ["argsort", "searchsorted"])
def test_every_platform_computes_the_same(name: str, platform: str) -> None:
    """The modules verify, and give what the reference gives where they are run."""
    graphs = []
    for sample in samples()[name]:
        inputs = tuple(Value(TensorType(x.shape, x.dtype)) for x in sample.operands)
        with Builder() as builder:
            y = primitive(name)(*inputs, **sample.params)
        graphs.append(Graph(name, inputs, tuple("xy"[: len(inputs)]), tuple(builder.nodes), (y,)))
    values = [x for sample in samples()[name] for x in sample.operands]
    whole = together(name, graphs)
    if platform in ("cuda", "rocm"):
        pretty(emit(whole, platform))
        return
    module = Module(name, lambda _: emit(whole, platform), whole.input_names, tuple(y.type for y in whole.outputs))
    for found, expected in zip(Loaded(module).call(*values), interpret(whole, values), strict=True):
        np.testing.assert_array_equal(np.asarray(found), expected)


# ---- searching ------------------------------------------------------------------------------------------------------


def test_searchsorted() -> None:
    v = np.concatenate([RNG.integers(-4, 60, 30) / 4.0, [np.nan, np.inf, -np.inf]])
    for n in (0, 1, 5, 24, 25, 32, 100):
        a = np.sort(RNG.integers(0, 50, n) / 4.0)
        for line in (a, np.append(a, [np.nan, np.nan]), (4 * a).astype(int)):
            for side in ("left", "right"):
                agrees(lambda a, v, side=side: np.searchsorted(a, v, side=side), line, v)
        agrees(lambda v, a=a: np.searchsorted(a, v), v.reshape(3, 11))
        agrees(lambda a: np.searchsorted(a, 3), a)
    z = np.sort(np.append(RNG.integers(0, 3, 20) + 1j * RNG.integers(0, 3, 20), [1 + np.nan * 1j, np.nan]))
    for side in ("left", "right"):
        agrees(lambda z, v, side=side: np.searchsorted(z, v, side=side), z, np.append(z, [5, 0.5 + 1j, -1]))
    order = RNG.permutation(40)
    agrees(lambda a, s: np.searchsorted(a, 0.3, sorter=s), np.sort(RNG.random(40))[np.argsort(order)], order)
    agrees(lambda a: np.searchsorted(a, 5), np.arange(10, dtype="u8"))


def test_digitize() -> None:
    x = RNG.integers(-2, 12, (4, 5)).astype(float)
    for n in (0, 1, 2, 8, 40):
        edges = np.sort(RNG.integers(0, 10, n).astype(float))
        for bins in (edges, edges[::-1]):
            for right in (False, True):
                agrees(lambda x, b, right=right: np.digitize(x, b, right=right), x, bins)
                agrees(lambda x, b=bins, right=right: np.digitize(x, b, right=right), x)


def test_isin() -> None:
    x, y = RNG.integers(0, 50, (4, 5)), RNG.integers(0, 50, 30)
    agrees(np.isin, x, y)
    agrees(lambda x: np.isin(x, [1, 7, 9], invert=True), x)
    agrees(lambda x: np.isin(x, []), x)
    agrees(lambda y: np.isin(3, y), y)
    agrees(np.isin, X, X[:4])


floats = st.floats(-4, 4, width=32).map(lambda x: round(4 * x) / 4)


@hypothesis.settings(max_examples=40, deadline=None, database=None)
@hypothesis.given(
    st.lists(floats, max_size=70), st.lists(floats, min_size=1, max_size=10), st.sampled_from(["left", "right"])
)
def test_searchsorted_of_anything(a: list[float], v: list[float], side: str) -> None:
    agrees(lambda a, v: np.searchsorted(np.sort(a), v, side=side), np.array(a), np.array(v))
