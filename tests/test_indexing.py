"""x[key]: values, dtypes and shapes as in NumPy, gradients against the linear map that indexing is."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lilith
import lilith.numpy as lnp
from lilith.ir.interpret import interpret
from lilith.source import IndexingError
from lilith.transform.batch import batch
from lilith.transform.reverse import reverse
from tests.agreement import agrees, evaluate, gradient, traced
from tests.compiled import run_xla, together

X = np.arange(120.0).reshape(2, 3, 4, 5)
N = np.newaxis
A = np.array


def check(x: np.ndarray, key: Any) -> None:
    """Value, dtype and shape; and the gradient of Σ w x[key], which is w scattered to where x[key] was taken from."""
    agrees(lambda t: t[key], x)
    places = np.arange(x.size).reshape(x.shape)[key]
    weights = np.cos(np.arange(places.size)).reshape(places.shape)
    (found,) = gradient(lambda t, w: t[key] * w, x, weights, wanted=(0,))
    expected = np.bincount(places.reshape(-1), weights.reshape(-1), x.size).reshape(x.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


K = np.s_
KEYS: dict[str, list[Any]] = {
    "basic": [
        1, -1, K[1, 2], K[-1, ..., 0], ..., (), None, K[None, 1, ..., None], K[::-1], K[1:, 2:0:-1], K[0, :, 1, ::2],
        K[2:2, 0], np.int32(1), A(1), (A(1), np.int64(-1)),
    ],
    "one array": [
        [0, 1], K[[1, 0, 0],], A([[0, 1], [1, 1]]), K[:, [2, 0]], K[..., [4, 4, 0]], K[:, ::-1, [3, 0, 3]],
        K[1, [0, 2]], K[:, 1, [0, 2]], K[0:1, 1, [0, 2]], K[0, :, [0, 2]], ([],), K[:, A([], int)], A([0, 1], "u1"),
        A([-1, -2], "i1"), K[..., A([[-1], [2]])],
        range(1), A([1, 0], "u8"), K[None, [1, 0], None], (range(2),), ((0, 1),),
    ],
    "several arrays": [
        K[[0, 1], [2, 0]], K[[0, 1, 1], :, [0, 3, 2]], K[:, [0, 1], [3, 2]], K[:, [0, 1], :, [3, 2]],
        K[[[0], [1]], [2, 0]], K[:, [[0], [1]], [1, 2, 3]], K[[0, 1], 0, [2, 3]], K[0, [0, 1], :, [2, 3]],
        K[[0, 1], None, [2, 0]], K[None, [0, 1], [2, 0]], K[:, None, [0, 1], [2, 3]], K[[1, 0], ..., [4, 0]],
        K[..., [0, 1], [2, 3]], K[[0, 1], [0, 1], [0, 1], [0, 1]], np.ix_([1, 0], [2, 2], [0, 3]),
        (slice(None), *np.ix_([2, 2], [0, 3, 1])), K[[0], [0, 1, 2]], K[[0, 1], ::-2, 2, [4, 4]], K[:, [], [1]],
        K[1:1, [0, 1]], K[[0, 1], [0, 1], ..., [2, 2], [1, 1]],
    ],
    "masks": [
        X > 40, X[..., 0] > 40, X[:, 0, 0, 0] > 10, K[:, A([True, False, True])], K[..., A([True] * 4 + [False])],
        K[:, X[0, :, :, 0] > 30], K[A([True, False]), :, [0, 3]], K[A([True, True]), [0, 2]], X < 0,
        K[0, A([False] * 3)], ([True, False],), K[A([[True, False, True], [False, False, True]]), :, 1],
    ],
    "True and False": [
        True, False, K[True, 0], K[False, [1]], K[True, [0, 1]], K[..., True], K[0, True, ..., None],
        K[True, :, [0, 1]], A(True), K[True, False], K[True, True], K[:, True, [0, 2]], K[:, True, :, [0, 2]],
        K[None, np.False_, 1],
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", KEYS)
def test_keys(kind: str) -> None:
    for key in KEYS[kind]:
        check(X, key)


def test_long_axes() -> None:
    """Indices of a dtype in which the size does not fit; many, regular and not."""
    x = np.arange(1000.0)
    numbers = np.arange(3000)
    listed = [A([-1, 100, -128], "i1"), A([255, 3], "u1"), numbers[::-1] % 1000, numbers * 7 % 1000, x % 3 == 0]
    value, g = lilith.grad(lambda t: sum([np.sum(t[key] ** 2) for key in listed]), x)
    places = np.concatenate([np.arange(1000)[key] for key in listed])
    assert value == pytest.approx(np.sum(places.astype(float) ** 2), rel=1e-12)
    np.testing.assert_array_equal(g[0], 2 * x * np.bincount(places, minlength=1000))


@st.composite
def keys(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple:
    """A key for arrays of a shape: any mixture; index arrays broadcast to one shape."""
    batch = draw(st.sampled_from([(2,), (3,), (2, 3), (1,), (0,)]))
    parts: list[Any] = []
    axis = 0
    dots = False
    while axis < len(shape):
        n = shape[axis]
        what = draw(st.sampled_from("islanmbfe"))
        if what == "i" and n:
            parts.append(draw(st.integers(-n, n - 1)))
        elif what == "n":
            parts.append(None)
            axis -= 1
        elif what == "f" and draw(st.booleans()):
            parts.append(draw(st.booleans()) or batch == (0,))
            axis -= 1
        elif what == "e" and not dots:
            dots = True
            parts.append(...)
            axis += draw(st.integers(-1, len(shape) - axis - 1))
        elif what in "al" and (n or 0 in batch):
            trimmed = batch[draw(st.integers(0, len(batch) - 1)) :]
            size = int(np.prod(trimmed))
            numbers = draw(st.lists(st.integers(-n, n - 1), min_size=size, max_size=size)) if size else []
            index = np.array(numbers, dtype=int).reshape(trimmed)
            parts.append(index.tolist() if what == "l" else index)
        elif what == "m" and n and 0 not in batch:
            # as many as the batch has, or one
            count = draw(st.sampled_from([1, batch[-1]]))
            if count > n:
                continue
            mask = np.zeros(n, bool)
            mask[draw(st.permutations(range(n)))[:count]] = True
            parts.append(mask)
        else:
            bounds = st.none() | st.integers(-n - 1, n + 1)
            parts.append(slice(draw(bounds), draw(bounds), draw(st.sampled_from([None, 1, -1, 2, -2, 3]))))
        axis += 1
        if draw(st.integers(0, 5)) == 0:
            break
    return tuple(parts)


SHAPES = [(4,), (3, 4), (2, 3, 4), (2, 1, 3, 2), (3, 0, 2), ()]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SHAPES).flatmap(lambda shape: st.tuples(st.just(shape), keys(shape))))
def test_any_key(case: tuple[tuple[int, ...], tuple]) -> None:
    shape, key = case
    x = np.arange(float(np.prod(shape))).reshape(shape)
    try:
        x[key]
    except IndexError:
        with pytest.raises(IndexingError):
            evaluate(lambda t: t[key], x)
        return
    check(x, key)


# ---- traced indices -------------------------------------------------------------------------------------------------

I = A([1, 0, -1, 1])  # noqa: E741
J = A([[0, -4], [3, 2]])
TRACED: dict[str, tuple[Any, tuple]] = {
    "scalar": (lambda x, i: x[i], (A(-1),)),
    "scalar after slice": (lambda x, i: x[:, i, 1:], (A(2),)),
    "two scalars": (lambda x, i, j: x[i, ..., j], (A(1, "u1"), A(-5, "i1"))),
    "scalars, None and ints": (lambda x, i: x[0, None, i, ::-2, None], (A(2, "i4"),)),
    "array": (lambda x, i: x[i], (I,)),
    "array in the middle": (lambda x, j: x[:, 1, j], (J,)),
    "reversed beside": (lambda x, i: x[..., i, ::-1], (I,)),
    "two arrays": (lambda x, i, j: x[i, :, j], (A([0, 1]), J)),
    "side by side": (lambda x, i, j: x[:, i, j], (A([0, 2]), J)),
    "with a known array": (lambda x, j: x[[[1], [0]], 1:, j], (J,)),
    "with an int": (lambda x, j: x[0, :, j], (J,)),
    "with a mask": (lambda x, i: x[A([True, True]), i], (A([2, 1]),)),
    "with a scalar": (lambda x, i, j: x[i, :, j], (A(1), J)),
    "with True": (lambda x, i: x[True, i], (A(1),)),
    "list of scalars": (lambda x, i, j: x[[i, j, 0]], (A(1), A(-2))),
    "small dtype": (lambda x, i: x.reshape(-1)[i], (A([100, -100], "i1"),)),
    "unsigned": (lambda x, i: x.reshape(-1)[i], (A([119, 0], "u4"),)),
    "empty": (lambda x, i: x[:, i], (np.zeros((0, 2), int),)),
    "take": (lambda x, i: np.take(x, i, 1), (A([0, -3, 2]),)),
    "take, clip": (lambda x, i: np.take(x, i, -1, mode="clip"), (A([-3, 9, 2]),)),
    "take, wrap": (lambda x, i: x.take(i, mode="wrap"), (A([[-3, 900], [2, 5]]),)),
    "take_along_axis": (lambda x, i: np.take_along_axis(x, i, 2), (A([3, -1, 0]).reshape(1, 3, 1, 1),)),
    "take_along_axis, flat": (lambda x, i: np.take_along_axis(x, i, None), (A([3, -1, 0]),)),
    "take from a constant": (lambda x, i: x[0, 0, 0, 0] * lnp.take([[1.0, 2.0], [3.0, 4.0]], i, 0), (A([1, -1]),)),
}


@pytest.mark.parametrize("name", TRACED)
def test_traced_indices(name: str) -> None:
    f, indices = TRACED[name]
    agrees(f, X, *indices)
    weights = np.cos(np.arange(f(X, *indices).size)).reshape(f(X, *indices).shape)
    (found,) = gradient(lambda t, w, *i: f(t, *i) * w, X, weights, *indices, wanted=(0,))
    basis = np.random.default_rng(0).normal(size=X.shape)
    assert np.sum(found * basis) == pytest.approx(np.sum(f(basis, *indices) * weights), rel=1e-12, abs=1e-12)


def test_traced_indices_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them in one program, value and gradient."""

    def loss(x: Any, indices: Any) -> Any:
        return sum(np.sum(np.sin(f(x, *indices[name]))) for name, (f, _) in TRACED.items())

    indices = {name: i for name, (_, i) in TRACED.items()}
    value, g = lilith.grad(loss, X, indices)
    assert value == pytest.approx(loss(X, indices), rel=1e-12)
    monkeypatch.setattr(lilith.config, "interpret", True)
    _, expected = lilith.grad(loss, X, indices)
    np.testing.assert_allclose(g[0], expected[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", TRACED)
def test_traced_indices_batched(name: str) -> None:
    """Batches of arrays, of indices and of both are stacked loops; the derivative of a batch is a batch of those."""
    f, indices = TRACED[name]
    args = [X, *indices]
    graph, _ = traced(lambda *xs: np.sin(f(*xs)), *args)
    gradient = reverse(graph, (0,))
    elements = [args, [np.flip(x) for x in args]]
    for flags in itertools.product((False, True), repeat=len(args)):
        if not any(flags):
            continue
        whole = [np.stack([e[k] for e in elements]) if b else args[k] for k, b in enumerate(flags)]
        rows = [[e[k] if b else args[k] for k, b in enumerate(flags)] for e in elements]
        lifted = batch(graph, flags, 2).verify()
        (found,) = interpret(lifted, whole)
        np.testing.assert_array_equal(found, np.stack([interpret(graph, row)[0] for row in rows]))
        g = np.cos(np.arange(found.size)).reshape(found.shape)
        slopes = np.stack([interpret(gradient, [*row, v])[1] for row, v in zip(rows, g, strict=True)])
        for derived, expected in (
            (reverse(lifted, (0,)), slopes if flags[0] else slopes.sum(0)),
            (batch(gradient, [*flags, True], 2), slopes),
        ):
            np.testing.assert_allclose(interpret(derived.verify(), [*whole, g])[1], expected, rtol=1e-12, atol=1e-12)


def test_traced_indices_in_batches_of_batches() -> None:
    """Compiled, value and gradient."""
    graphs, values = [], []
    for f, indices in TRACED.values():
        graph = reverse(traced(lambda *xs, f=f: np.sin(f(*xs)), X, *indices)[0], (0,))
        args = [X, *indices, np.ones(graph.outputs[0].shape)]
        every = [True] * len(args)
        graphs.append(batch(batch(graph, every, 2), every, 3))
        values += [np.stack([np.stack([x, x + 1])] * 3) for x in args]
    whole = together("batches", graphs)
    for found, expected in zip(run_xla(whole, values), interpret(whole, values), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
