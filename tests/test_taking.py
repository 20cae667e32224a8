"""Functions that take and write elements, where the table of NumPy's functions says too little; and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lilith
import lilith.numpy as lnp
from lilith.source import DtypeError, IndexingError, LilithError, ShapeError, TraceError, UnsupportedError
from lilith.testing import check_grads
from tests.agreement import agrees, evaluate, traced

X = np.linspace(-1.0, 2.0, 24).reshape(2, 3, 4)
M = X[0]
V = X[0, 0]
A = np.array

# ---- functional writes ----------------------------------------------------------------------------------------------

I = A([[2, 0, -1]])  # noqa: E741
WRITTEN: dict[str, tuple[str, tuple]] = {
    "put_along_axis": ("put_along_axis", (M, np.argsort(M[::-1] ** 2, 1)[:, :2], M[:, 1:3], 1)),
    "put_along_axis, one value": ("put_along_axis", (M, I.T, 7.0, -1)),
    "put_along_axis, flat": ("put_along_axis", (M, A([0, 5, -1]), A([1.0, 2.0, 3.0]), None)),
    "put_along_axis, twice": ("put_along_axis", (V, A([1, 2, 1, -2]), A([1.0, 2.0, 3.0, 4.0]), 0)),
    "put": ("put", (M, [0, -1, 3], V)),
    "put, repeated values": ("put", (M, A([[0, 1], [2, 0]]), [1.5, 2.5])),
    "put, clip": ("put", (M, [99, -99], [1.5, 2.5], "clip")),
    "put, wrap": ("put", (M, [99, -99, 14], V, "wrap")),
    "put nothing": ("put", (M, [], [])),
    "place": ("place", (X, X > 0.3, V)),
    "place one": ("place", (X, X > 0.3, [2.5])),
    "putmask": ("putmask", (X, X > 0.3, X**2)),
    "putmask, repeated": ("putmask", (X, X > 0.3, V)),
    "copyto": ("copyto", (X, V)),
    "copyto where": ("copyto", (X, 3.0, "same_kind", X[0] > 0)),
    "fill_diagonal": ("fill_diagonal", (M, 3.0)),
    "fill_diagonal, tall": ("fill_diagonal", (np.ones((7, 2)), [1.5, 2.5], True)),
    "fill_diagonal, cube": ("fill_diagonal", (np.ones((2, 2, 2)), A([1.5, 2.5]))),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_written(name: str) -> None:
    """The functional form is what NumPy's would leave, and its argument stays as it is."""
    function, (x, *rest) = WRITTEN[name]
    expected, before = x.copy(), x.copy()
    getattr(np, function)(expected, *rest)
    np.testing.assert_array_equal(getattr(lnp, function)(x, *rest), expected)
    np.testing.assert_array_equal(x, before)
    (found,) = evaluate(lambda t: getattr(lnp, function)(t, *rest), x)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_written_in_the_arrays_dtype() -> None:
    cases = {
        "put": (A([1.0, 2.0], "f4"), [0], [2.7]),
        "putmask": (A([1, 2]), A([True, False]), A([9])),
        "place": (A([1.0, 2.0], "f4"), A([True, True]), A([3, 4], "i2")),
    }
    for name, (x, where, v) in cases.items():
        expected = x.copy()
        getattr(np, name)(expected, where, v)
        (found,) = evaluate(lambda t, name=name, where=where, v=v: getattr(lnp, name)(t, where, v), x)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_written_at_traced_places() -> None:
    """Of equal indices the last counts, also in the derivative; masks may be traced."""
    i, v = A([3, 1, -1, 1]), A([1.0, 2.0, 3.0, 4.0])
    value, g = lilith.grad(lambda x, v, i: np.sum(lnp.put(x, i, v) * [1.0, 10.0, 100.0, 1000.0]), V, v, i)
    assert value == pytest.approx(V[0] + 40 + 100 * V[2] + 3000)
    np.testing.assert_allclose(g[0], [1, 0, 100, 0])
    np.testing.assert_allclose(g[1], [0, 0, 1000, 10])
    (found,) = evaluate(lambda x, m: lnp.place(x, m, [1, 2, 3]), A([5, 6, 7, 8, 9]), A([0, 1, 1, 0, 1], bool))
    np.testing.assert_array_equal(found, [5, 1, 2, 8, 3])


# ---- positions of a known number ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 2, 5, 12, 20])
def test_positions(size: int) -> None:
    x = A([[0, 1, 0, 2], [3, 0, 0, 0], [0, 4, 5, 0]])
    for fill in (0, -7):
        options = {"size": size, "fill_value": fill}
        agrees(lambda t, o=options: [*lnp.nonzero(t, **o), lnp.flatnonzero(t, **o), lnp.argwhere(t, **o)], x)
    expected = [np.concatenate([row, [0] * size])[:size] for row in np.nonzero(x)]
    np.testing.assert_array_equal(np.stack(lnp.nonzero(x, size=size)), np.stack(expected))


def test_positions_select_by_a_traced_mask() -> None:
    value, g = lilith.grad(lambda x: np.sum(x[lnp.nonzero(x > 0.5, size=9)] ** 2), X)
    first = np.flatnonzero(X > 0.5)[:9]
    assert value == pytest.approx(np.sum(X.reshape(-1)[first] ** 2))
    expected = np.zeros(24)
    expected[first] = 2 * X.reshape(-1)[first]
    np.testing.assert_allclose(g[0].reshape(-1), expected)


# ---- errors ---------------------------------------------------------------------------------------------------------

ERRORS: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "out of bounds": (lambda x: x[4], IndexingError, "index 4 is out of bounds for axis 0 with size 2"),
    "array out of bounds": (lambda x: x[:, [0, 3]], IndexingError, "index 3 is out of bounds for axis 1 with size 3"),
    "negative": (lambda x: x[[0, 1], [-4, 0]], IndexingError, "index -4 is out of bounds for axis 1"),
    "too many": (lambda x: x[0, 0, 0, 0], IndexingError, "4 indices .* 3 axes"),
    "ellipses": (lambda x: x[..., 0, ...], IndexingError, "more than one ellipsis"),
    "broadcast": (lambda x: x[[0, 1], [0, 1, 2]], IndexingError, r"\(2,\) and \(3,\) do not broadcast"),
    "mask": (lambda x: x[A([True, False, True])], IndexingError, "mask of 3 elements for axis 0 with size 2"),
    "float": (lambda x: x[A([0.5])], IndexingError, "dtype float64"),
    "float scalar": (lambda x: x[0.5], IndexingError, "float64: 0.5"),
    "string": (lambda x: x["a"], IndexingError, "dtype <U1"),
    "traced float": (lambda x: x[x], IndexingError, r"f64\[2,3,4\].*\n.*\n.*astype"),
    "traced mask": (lambda x: x[x > 0], UnsupportedError, r"traced mask(.|\n)*nonzero\(mask, size=n\)"),
    "traced bound": (lambda x: x[: x.astype(int)[0, 0, 0]], TraceError, r"traced bound(.|\n)*np.arange"),
    "step": (lambda x: x[::0], IndexingError, "step"),
    "empty axis": (lambda x: x[:, :0][:, x.astype(int)[0, 0, 0]], IndexingError, "size 0"),
    "list": (lambda x: [1.0, 2.0][x.astype(int)[0, 0, 0]], TraceError, r"lilith.numpy.take"),
    "plain array": (lambda x: np.ones(3)[x.astype(int)], TraceError, r"lilith.numpy.take"),
    "np.take of a plain array": (lambda x: np.take(np.ones(3), x.astype(int)), TraceError, r"lilith.numpy.take"),
    "take": (lambda x: np.take(x, [3], 1), IndexingError, "out of bounds"),
    "take, mode": (lambda x: np.take(x, [3], 1, mode="drop"), LilithError, "'wrap'"),
    "take_along_axis": (lambda x: np.take_along_axis(x, A([[[7]]]), 1), IndexingError, "index 7 is out of bounds"),
    "take_along_axis, axes": (lambda x: np.take_along_axis(x, A([0]), 1), ShapeError, "1 axes of indices"),
    "choose": (lambda x: np.choose([3, 0, 0, 0], x[0]), IndexingError, "outside of 0 to 2"),
    "compress": (lambda x: x.compress(x[:, 0, 0] > 0, 0), UnsupportedError, "traced mask"),
    "delete": (lambda x: np.delete(x, 99), IndexingError, "99"),
    "delete, traced": (lambda x: np.delete(x, x.astype(int)[0, 0, 0]), UnsupportedError, "np.where"),
    "nonzero": (lambda x: x.nonzero(), UnsupportedError, r"lilith.numpy.nonzero\(x, size=n"),
    "argwhere": (lambda x: np.argwhere(x), UnsupportedError, r"lilith.numpy.argwhere"),
    "unique": (lambda x: np.unique(x), UnsupportedError, "np.sort"),
    "intersect1d": (lambda x: np.intersect1d(x, x), UnsupportedError, "np.isin"),
    "trim_zeros": (lambda x: np.trim_zeros(x[0, 0]), UnsupportedError, "slices"),
    "put_along_axis": (
        lambda x: np.put_along_axis(np.ones(3), A([0]), x[0, 0, :1], 0),
        TraceError,
        "lilith.numpy.zeros",
    ),
    "put in an int": (lambda x: lnp.put(x.astype(int), 0, x[0, 0, :1]), DtypeError, "f64.* into i64"),
    "piecewise": (lambda x: np.piecewise(x, [x > 0], [1, 2, 3]), LilithError, "3 functions for 1 conditions"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    f, error, text = ERRORS[name]
    with pytest.raises(error, match=text):
        traced(f, X)


def test_traced_out_of_bounds_takes_the_nearest() -> None:
    """And its gradient goes there: gather and scatter agree on the place."""
    value, g = lilith.grad(lambda x, i: np.sum(x[i] * [1.0, 10.0, 100.0]), V, A([-9, 1, 7]))
    assert value == pytest.approx(V[0] + 10 * V[1] + 100 * V[3])
    np.testing.assert_allclose(g[0], [1, 10, 0, 100])
    value, g = lilith.grad(lambda x, i: x[i], V, np.int64(9))
    assert value == V[3]
    np.testing.assert_allclose(g[0], [0, 0, 0, 1])


def test_captured_masks_and_indices() -> None:
    """A captured mask is part of the key; captured indices are data."""
    mask, index = V, V

    def loss(x: Any) -> Any:
        return np.sum(x[mask] ** 2) + np.sum(x[index])

    for mask, index in [(V > 0.0, A([1, 1])), (V > -0.8, A([0, 3]))]:
        value, g = lilith.grad(loss, V)
        assert value == pytest.approx(np.sum(V[mask] ** 2) + np.sum(V[index]))
        np.testing.assert_allclose(g[0], np.where(mask, 2 * V, 0) + np.bincount(index, minlength=4))


def test_captured_masks_in_derivatives_of_derivatives() -> None:
    def loss(x: Any) -> Any:
        return np.sum(x[V > 0.0] ** 3)

    check_grads(loss, (V,))
    _, g = lilith.grad(lambda x: np.sum(lilith.grad(lambda y: np.sum(y[V > 0.0] ** 3), x)[1][0]), V)
    np.testing.assert_allclose(g[0], np.where(V > 0, 6 * V, 0))
