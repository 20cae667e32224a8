"""Convolution and pooling: against their definitions, as linear maps and their transposes, and on XLA."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

import lilith
from lilith import nn
from lilith.ir import Builder, Graph, TensorType, Value
from lilith.ir.interpret import interpret
from lilith.ops.conv import conv
from lilith.ops.pooling import reduce_window_max, reduce_window_sum
from lilith.transform.reverse import reverse
from lowering.emit import PLATFORMS
from tests.agreement import check_gradient, evaluate, gradient

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def graph_of(function: Callable[..., Value], *arrays: np.ndarray, **params: Any) -> Graph:
    inputs = tuple(Value(TensorType(x.shape, x.dtype)) for x in arrays)
    with Builder() as builder:
        y = function(*inputs, **params)
    return Graph("f", inputs, tuple("xy"[: len(inputs)]), tuple(builder.nodes), (y,)).verify()


# ---- the general convolution ----------------------------------------------------------------------------------------


def convolved(x: np.ndarray, w: np.ndarray, groups: int = 1, batch_groups: int = 1, **at: Any) -> np.ndarray:
    """By the definition: every product of an element of the kernel with one of x goes where it belongs."""
    space = x.ndim - 2
    at = {"strides": 1, "low": 0, "high": 0, "lhs_dilation": 1, "rhs_dilation": 1} | at
    at = {name: v if isinstance(v, tuple) else (v,) * space for name, v in at.items()}
    axes = list(zip(x.shape[2:], w.shape[2:], *at.values(), strict=True))
    rooms = [lo + (n - 1) * base + 1 + hi - (k - 1) * gap - 1 for n, k, _, lo, hi, base, gap in axes]
    sizes = [max(room // entry[2] + 1, 0) for room, entry in zip(rooms, axes, strict=True)]
    y = np.zeros((x.shape[0] // batch_groups, w.shape[0], *sizes))
    per, inputs = w.shape[0] // (groups * batch_groups), w.shape[1]
    for o in range(w.shape[0]):
        channels = slice(o // per * inputs, (o // per + 1) * inputs) if groups > 1 else slice(None)
        n = len(y)
        part = x[o // per * n : (o // per + 1) * n, channels] if batch_groups > 1 else x[:, channels]
        for k in itertools.product(*map(range, w.shape[2:])):
            for i in itertools.product(*map(range, x.shape[2:])):
                places = [
                    divmod(a * base + lo - b * gap, s)
                    for a, b, (_, _, s, lo, _, base, gap) in zip(i, k, axes, strict=True)
                ]
                if all(r == 0 and 0 <= p < size for (p, r), size in zip(places, sizes, strict=True)):
                    p = tuple(p for p, _ in places)
                    y[(slice(None), o, *p)] += part[(slice(None), slice(None), *i)] @ w[(o, slice(None), *k)]
    return y


@st.composite
def convolutions(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]:
    """Shapes of operands and parameters."""
    space = draw(st.integers(1, 2))
    groups, batch_groups = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (3, 1), (1, 2)]))
    inputs, per = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    x = (batch_groups * draw(st.integers(1, 2)), inputs * groups)
    w = (per * groups * batch_groups, inputs)
    x += tuple(draw(st.lists(st.integers(1, 5), min_size=space, max_size=space)))
    w += tuple(draw(st.lists(st.integers(1, 3), min_size=space, max_size=space)))

    def each(least: int, most: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(least, most), min_size=space, max_size=space)))

    at = {"strides": each(1, 3), "low": each(-1, 3), "high": each(-1, 3)}
    at |= {"lhs_dilation": each(1, 3), "rhs_dilation": each(1, 3)}
    return x, w, at | {"feature_groups": groups, "batch_groups": batch_groups}


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.integers(0, 2**32 - 1))
def test_any_convolution_and_its_transposes(case: Any, seed: int) -> None:
    """The value is the definition's; <ȳ, x' * w> = <x̄, x'> and <ȳ, x * w'> = <w̄, w'>, as the map is bilinear."""
    x_shape, w_shape, params = case
    rng = np.random.default_rng(seed)
    x, u, w, v = (rng.standard_normal(s) for s in (x_shape, x_shape, w_shape, w_shape))
    graph = graph_of(conv, x, w, **params)
    (y,) = interpret(graph, (x, w))
    at = {name: params[name] for name in ("strides", "low", "high", "lhs_dilation", "rhs_dilation")}
    np.testing.assert_allclose(y, convolved(x, w, params["feature_groups"], params["batch_groups"], **at), atol=1e-12)
    g = rng.standard_normal(y.shape)
    _, dx, dw = interpret(reverse(graph, (0, 1)).verify(), (x, w, g))
    assert np.sum(dx * u) == pytest.approx(np.sum(g * interpret(graph, (u, w))[0]), abs=1e-9)
    assert np.sum(dw * v) == pytest.approx(np.sum(g * interpret(graph, (x, v))[0]), abs=1e-9)


def test_convolution_is_jaxs() -> None:
    """On XLA, with groups that the lowering treats differently: value and both gradients in one program each."""
    cases = [
        ((2, 4, 6, 5), (8, 4, 3, 2), (2, 1), 1, (1, 2), 1),
        ((2, 4, 6, 5), (8, 2, 3, 2), (1, 2), 2, (1, 1), 1),
        ((2, 4, 6, 5), (8, 1, 3, 2), (2, 1), 4, (1, 1), 2),
        ((1, 18, 4, 4), (9, 2, 3, 2), (1, 1), 9, (2, 2), 1),
        ((2, 12, 4, 4), (12, 1, 3, 3), (2, 2), 12, (1, 1), 1),
    ]
    operands = [(normal(*x).astype(np.float32), normal(*w).astype(np.float32)) for x, w, *_ in cases]

    def ours(xs: list[Any]) -> Any:
        total = 0.0
        for (x, w), (_, _, stride, groups, dilation, padding) in zip(xs, cases, strict=True):
            y = nn.conv2d(x, w, stride=stride, groups=groups, dilation=dilation, padding=padding)
            total = total + np.sum(y**2)
        return total

    def theirs(xs: list[Any]) -> Any:
        total = 0.0
        for (x, w), (_, _, stride, groups, dilation, padding) in zip(xs, cases, strict=True):
            y = jax.lax.conv_general_dilated(
                x, w, stride, [(padding, padding)] * 2, rhs_dilation=dilation, feature_group_count=groups
            )
            total = total + (y**2).sum()
        return total

    value, g = lilith.grad(ours, operands)
    expected, gradients = jax.value_and_grad(theirs)(operands)
    assert value == pytest.approx(float(expected), rel=1e-5)
    for found, wanted in zip(g[0], gradients, strict=True):
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


# ---- nn.conv and its transpose --------------------------------------------------------------------------------------


def test_conv_is_a_correlation() -> None:
    for space, f in enumerate((nn.conv1d, nn.conv2d, nn.conv3d), 1):
        x, w, b = normal(*(5,) * space), normal(*(3, 2, 2)[:space]), np.array([0.5])
        expected = scipy.signal.correlate(x, w, "valid") + 0.5
        np.testing.assert_allclose(f(x[None, None], w[None, None], b)[0, 0], expected)
        np.testing.assert_allclose(evaluate(f, x[None], w[None, None], b)[0][0], expected)


@pytest.mark.parametrize("groups", [1, 2])
def test_conv_with_all_arguments(groups: int) -> None:
    x, w, b = normal(2, 4, 7, 6), normal(6, 4 // groups, 3, 2), normal(6)
    at = {"strides": (2, 1), "low": (1, 2), "high": (1, 2), "rhs_dilation": (1, 3)}
    expected = convolved(x, w, groups, **at) + b[:, None, None]

    def f(x: Any, w: Any, b: Any) -> Any:
        return nn.conv2d(x, w, b, stride=(2, 1), padding=(1, 2), dilation=(1, 3), groups=groups)

    np.testing.assert_allclose(evaluate(f, x, w, b)[0], expected, atol=1e-12)
    check_gradient(lambda x, w, b: f(x, w, b) ** 2, x, w, b)


def test_padding_by_name() -> None:
    x, w = normal(1, 2, 7), normal(3, 2, 4)
    np.testing.assert_allclose(nn.conv1d(x, w, padding="valid"), nn.conv1d(x, w))
    np.testing.assert_allclose(
        nn.conv1d(x, w, padding="same", dilation=2), convolved(x, w, low=3, high=3, rhs_dilation=2)
    )
    np.testing.assert_allclose(nn.conv1d(x, w, padding="same"), convolved(x, w, low=1, high=2))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("space", [1, 2, 3])
def test_conv_transpose_is_the_transpose(space: int, groups: int) -> None:
    """<conv(x, w), g> = <x, conv_transpose(g, w)>, with the output padding that makes up for the rounding."""
    sizes = (7, 5, 4)[:space]
    conv_, transpose_ = (
        (nn.conv1d, nn.conv_transpose1d),
        (nn.conv2d, nn.conv_transpose2d),
        (nn.conv3d, nn.conv_transpose3d),
    )[space - 1]
    for stride, padding, dilation in ((1, 0, 1), (2, 1, 1), (3, 1, 2)):
        x, w = normal(2, 4, *sizes), normal(6, 4 // groups, *(2,) * space)
        at = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        y = conv_(x, w, **at)
        g = normal(*y.shape)
        rounding = tuple((n + 2 * padding - dilation - 1) % stride for n in sizes)
        back = evaluate(lambda g, w, at=at, r=rounding: transpose_(g, w, output_padding=r, **at), g, w)[0]
        assert back.shape == x.shape
        assert np.sum(back * x) == pytest.approx(np.sum(y * g))
    b = normal(4)
    check_gradient(lambda g, w, b: transpose_(g, w, b, stride=2, groups=groups) ** 2, g, w, b)


def test_conv_promotes_as_numpy() -> None:
    x, w = normal(1, 1, 4).astype(np.float32), normal(1, 1, 2)
    assert nn.conv1d(x, w.astype(np.float32)).dtype == np.float32
    assert nn.conv1d(x, w).dtype == evaluate(nn.conv1d, x, w)[0].dtype == np.float64


# ---- pooling --------------------------------------------------------------------------------------------------------


def pooled(x: np.ndarray, k: int, stride: int, padding: int, dilation: int, ceil: bool, reduce: Any) -> np.ndarray:
    """Over the last axis, by the definition; `reduce` takes a window's elements and how many places of padding."""
    n = x.shape[-1]
    room = n + 2 * padding - dilation * (k - 1) - 1
    count = -(-room // stride) + 1 if ceil else room // stride + 1
    columns = []
    for p in range(count):
        begin = p * stride - padding
        if p * stride >= n + padding:  # it would begin beyond the input and its first padding
            break
        places = begin + dilation * np.arange(k)
        inside = places[(places >= 0) & (places < n)]
        columns.append(reduce(x[..., inside], np.sum(places < n + padding) - len(inside)))
    return np.stack(columns, -1)


POOLINGS = [
    (k, stride, padding, dilation, ceil)
    for k, stride, padding, dilation, ceil in itertools.product((2, 3, 5), (1, 2, 3), (0, 1), (1, 2), (False, True))
]


@pytest.mark.parametrize("n", [9, 12])
def test_max_pool(n: int) -> None:
    x = normal(2, 3, n)
    for k, stride, padding, dilation, ceil in POOLINGS:
        if n + 2 * padding < dilation * (k - 1) + 1:
            continue
        expected = pooled(x, k, stride, padding, dilation, ceil, lambda w, _: w.max(-1))
        np.testing.assert_array_equal(nn.max_pool1d(x, k, stride, padding, dilation, ceil), expected)
        check_gradient(lambda x, a=(k, stride, padding, dilation, ceil): nn.max_pool1d(x, *a) ** 2, x)


@pytest.mark.parametrize("counted", [False, True])
def test_avg_pool(counted: bool) -> None:
    x = normal(2, 3, 11)
    for k, stride, padding, dilation, ceil in POOLINGS:
        if dilation == 1:
            mean = (lambda w, more: w.sum(-1) / (w.shape[-1] + more)) if counted else (lambda w, _: w.mean(-1))
            expected = pooled(x, k, stride, padding, 1, ceil, mean)
            np.testing.assert_allclose(nn.avg_pool1d(x, k, stride, padding, ceil, counted), expected)
            check_gradient(lambda x, a=(k, stride, padding, ceil): nn.avg_pool1d(x, *a, counted) ** 2, x)


def test_pooling_over_two_and_three_axes() -> None:
    x = normal(2, 6, 5, 4)

    def each(x: np.ndarray, reduce: Any) -> np.ndarray:
        for axis, k, stride in ((1, 2, 2), (2, 3, 1), (3, 2, 1)):
            x = np.moveaxis(pooled(np.moveaxis(x, axis, -1), k, stride, 0, 1, False, reduce), -1, axis)
        return x

    window = ((2, 3, 2), (2, 1, 1))
    np.testing.assert_array_equal(nn.max_pool3d(x, *window), each(x, lambda w, _: w.max(-1)))
    np.testing.assert_allclose(nn.avg_pool3d(x, *window), each(x, lambda w, _: w.mean(-1)))
    np.testing.assert_allclose(nn.avg_pool2d(x, 2, divisor_override=8) * 2, nn.avg_pool2d(x, 2))
    np.testing.assert_array_equal(nn.max_pool2d(x, (5, 4))[..., 0, 0], x.max((2, 3)))
    np.testing.assert_array_equal(nn.max_pool2d(x[0], 2), nn.max_pool2d(x, 2)[0])
    check_gradient(lambda x: nn.max_pool2d(x, (5, 4)) ** 2, x)
    check_gradient(lambda x: nn.max_pool2d(x, (6, 3), 1, (3, 1)) ** 2, np.swapaxes(x, 1, 2))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_ties_share_evenly(data: Any) -> None:
    """x̄ by the definition, on arrays full of ties, for windows of every size."""
    n, m = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    x = np.asarray(data.draw(st.lists(st.integers(-2, 1), min_size=n * m, max_size=n * m)), float).reshape(n, m)
    x[x == -2] = -np.inf
    axis = st.tuples(*(st.integers(1, most) for most in (8, 3, 2)))
    (k, s, d), (h, t, e) = data.draw(axis), data.draw(axis)
    low, high = (data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in range(2))
    params = {"window": (k, h), "strides": (s, t), "low": low, "high": high, "dilation": (d, e)}
    graph = graph_of(reduce_window_max, x, **params)
    (y,) = interpret(graph, (x,))
    g = np.random.default_rng(n).standard_normal(y.shape)
    (_, found) = interpret(reverse(graph, (0,)).verify(), (x, g))
    expected = np.zeros_like(x)
    for p, q in np.ndindex(*y.shape):
        rows, columns = p * s - low[0] + d * np.arange(k), q * t - low[1] + e * np.arange(h)
        rows, columns = rows[(rows >= 0) & (rows < n)], columns[(columns >= 0) & (columns < m)]
        part = x[np.ix_(rows, columns)]
        assert y[p, q] == (part.max() if part.size else -np.inf)
        best = part == y[p, q]
        if best.any():
            expected[np.ix_(rows, columns)] += g[p, q] * best / best.sum()
    np.testing.assert_allclose(found, expected, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_windowed_sums_and_their_transposes(data: Any) -> None:
    n, k, s, d, low, high = (data.draw(st.integers(*r)) for r in ((1, 12), (1, 6), (1, 4), (1, 3), (-1, 4), (-1, 4)))
    x, u = (np.random.default_rng(seed).standard_normal((2, n)) for seed in (n, k))
    params = {"window": (1, k), "strides": (1, s), "low": (0, low), "high": (0, high), "dilation": (1, d)}
    graph = graph_of(reduce_window_sum, x, **params)
    (y,) = interpret(graph, (x,))
    kernel = np.ones((1, 1, k))
    np.testing.assert_allclose(
        y, convolved(x[:, None], kernel, strides=s, low=low, high=high, rhs_dilation=d)[:, 0], atol=1e-12
    )
    g = np.random.default_rng(s).standard_normal(y.shape)
    (_, dx) = interpret(reverse(graph, (0,)).verify(), (x, g))
    assert np.sum(dx * u) == pytest.approx(np.sum(g * interpret(graph, (u,))[0]), abs=1e-9)


def test_ties_of_max_pool() -> None:
    x = np.array([[[1.0, 1.0, 0.0, 2.0]]])
    assert gradient(lambda x: nn.max_pool1d(x, 2), x)[0].tolist() == [[[0.5, 0.5, 0, 1]]]


def test_a_small_network() -> None:
    """Compiled, to second order."""
    x, w1, w2, b = normal(2, 1, 8, 8), normal(3, 1, 3, 3), normal(4, 3, 2, 2), normal(4)
    y = np.array([1, 3])

    def loss(w1: Any, w2: Any, b: Any) -> Any:
        h = nn.max_pool2d(nn.silu(nn.conv2d(x, w1, padding=1)), 2)
        h = nn.avg_pool2d(nn.softplus(nn.conv2d(h, w2, b)), 3)
        return nn.cross_entropy_loss(h.reshape(2, 4), y)

    assert lilith.jit(loss)(w1, w2, b) == pytest.approx(loss(w1, w2, b))
    lilith.testing.check_grads(loss, (w1, w2, b))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_modules_for_every_platform(platform: str) -> None:
    """They verify; only on CPU are groups and windows taken apart."""

    def loss(x: Any, w: Any, v: Any) -> Any:
        h = nn.conv2d(nn.conv2d(x, w, groups=4, padding=1), v, groups=2)
        return np.sum(nn.max_pool2d(h, 3, 2) + nn.avg_pool2d(h, 3, 2))

    args = (normal(2, 4, 8, 8), normal(8, 1, 3, 3), normal(4, 4, 2, 2))
    text = lilith.lower_grad(loss, *args, platform=platform).stablehlo()
    split = platform == "cpu"
    assert ("feature_group_count = 4" in text) != split and ("batch_group_count = 2" in text) != split
    assert ("window_dimensions = array<i64: 1, 1, 3, 3>" in text) != split


# ---- errors ---------------------------------------------------------------------------------------------------------

X, W = normal(2, 4, 6), normal(3, 4, 2)
ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.conv2d(X, W), lilith.ShapeError, "2 axes of space"),
    (lambda: nn.conv1d(X, W[0]), lilith.ShapeError, "weight must have 3 axes"),
    (lambda: nn.conv1d(X, W, groups=2), lilith.ShapeError, "groups=2"),
    (lambda: nn.conv1d(X, W, np.ones(2)), lilith.ShapeError, "bias .* 3 output channels"),
    (lambda: nn.conv1d(X, W, stride=0), lilith.ArgumentError, "stride=0"),
    (lambda: nn.conv1d(X, W, stride=(1, 2)), lilith.ArgumentError, "stride=.* has 2 entries"),
    (lambda: nn.conv1d(X, W, padding="full"), lilith.ArgumentError, "padding='full'"),
    (lambda: nn.conv1d(X, W, stride=2, padding="same"), lilith.ArgumentError, "stride must be 1"),
    (lambda: nn.conv1d(X, W, dilation=7), lilith.ShapeError, "larger than the padded input"),
    (lambda: nn.conv1d(X * 1j, W), lilith.DtypeError, "real arrays"),
    (lambda: nn.conv_transpose1d(X, W), lilith.ShapeError, r"\(in, out / groups"),
    (lambda: nn.conv_transpose1d(X, normal(4, 1, 2), output_padding=1), lilith.ArgumentError, "output_padding=1"),
    (lambda: nn.max_pool1d(X, 2, padding=2), lilith.ArgumentError, "half of the kernel"),
    (lambda: nn.max_pool1d(X, 9), lilith.ShapeError, "larger than the padded"),
    (lambda: nn.max_pool2d(X[0], 2), lilith.ShapeError, "2 axes of space"),
    (lambda: nn.avg_pool2d(X, 2, divisor_override=0), lilith.ArgumentError, "divisor_override"),
]


@pytest.mark.parametrize("i", range(len(ERRORS)))
def test_errors_name_the_argument(i: int) -> None:
    call, error, words = ERRORS[i]
    with pytest.raises(error) as caught:
        call()
    assert re.search(words, str(caught.value), re.DOTALL), str(caught.value)
