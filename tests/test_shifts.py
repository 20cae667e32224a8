"""Maxima that cancel are constants: found where a program does not depend on them, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

import lilith
from lilith.testing import check_grads

RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 5))
W = RNG.standard_normal((5, 5))


def logsumexp(x, w):
    top = np.max(x, axis=1, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=1)) + top[:, 0]


def logsumexp_of_all(x, w):
    top = np.max(x)
    return top + np.log(np.exp(x - top).sum())


def logsumexp_over_two_axes(x, w):
    y = x[:, None, :] + w[:, :, None]
    top = y.max(axis=(0, 2))
    return np.log(np.sum(np.exp(y - top[:, None]), axis=2).sum(axis=0)) + top


def log_softmax(x, w):
    shifted = x - np.max(x, axis=0)
    return (shifted - np.log(np.sum(np.exp(shifted), axis=0))) * w


def softmax(x, w):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True) * w


def attention(x, w):
    scores = x @ x.T
    e = np.exp((scores - np.max(scores, axis=1)[:, None]) * 0.5)
    return (e @ w) / e.sum(axis=1)[:, None]


def batched_attention(x, w):
    scores = np.stack([x @ x.T, x @ w.T])
    e = np.exp(scores - np.max(scores, axis=2, keepdims=True))
    return np.einsum("bij,jk->bik", e, w) / np.sum(e, axis=2)[:, :, None]


def turned(x, w):
    top = np.max(x, axis=0)
    e = np.exp(-(top[:, None] - x.T) / 3.0)
    return np.log(1.0 / e.sum(axis=1)) * 3.0 - top


def squares(x, w):
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return np.sum(e * e, axis=1) / np.sum(e, axis=1) ** 2


CANCEL = (
    logsumexp, logsumexp_of_all, logsumexp_over_two_axes, log_softmax, softmax, attention, batched_attention, turned,
    squares,
)  # fmt: skip


def softmin(x, w):
    """A minimum is no `exponent_shift`, but a constant."""
    low = np.min(x, axis=1, keepdims=True)
    e = np.exp(low - x)
    return e / np.sum(e, axis=1, keepdims=True) * w


def shifted_by_all(x, w):
    """NaN in one row is in all of NumPy's results."""
    e = np.exp(x - np.max(x))
    return e / np.sum(e, axis=1, keepdims=True) * w


def shifted_by_others(x, w):
    """NaN in w is seen in nothing but its maximum."""
    top = np.max(w, axis=1, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=1)) + top[:, 0]


def shifted_along_columns(x, w):
    """Rows have the maxima, columns are shifted by them."""
    top = np.max(x, axis=1)
    return np.log(np.sum(np.exp(x - top), axis=0)) + top


CONSTANT = (softmin, shifted_by_all, shifted_by_others, shifted_along_columns)


def unshifted(x, w):
    top = np.max(x, axis=1, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=1))


def shifted_twice(x, w):
    top = np.max(x, axis=1, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=1)) + 2 * top[:, 0]


def summed_the_other_way(x, w):
    top = np.max(x, axis=1, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=0)) + top[:, 0]


def along_the_other_axis(x, w):
    top = np.max(x, axis=1)
    return np.log(np.sum(np.exp(x - top), axis=1)) + top


def crossed(x, w):
    top = np.max(x, axis=1)
    return np.exp(x - top[:, None]) * np.exp(top)


def one_more_use(x, w):
    top = np.max(x, axis=1, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=1)) + top[:, 0] + np.tanh(top[:, 0])


def other_scale(x, w):
    top = np.max(x, axis=1, keepdims=True)
    return np.log(np.sum(np.exp((x - top) * 0.5), axis=1)) + top[:, 0]


def some_rows(x, w):
    top = np.max(x, axis=1, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=1)) + np.flip(top[:, 0])


def product_of_two(x, w):
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return (e @ e.T) / np.sum(e, axis=1)


def variance(x, w):
    return np.sum((x - np.max(x, axis=1, keepdims=True)) ** 2)


STAY = (
    unshifted, shifted_twice, summed_the_other_way, along_the_other_axis, crossed, one_more_use, other_scale, some_rows,
    product_of_two, variance,
)  # fmt: skip


def total(f):
    return lambda x, w: np.sum(np.sin(f(x, w)))


@pytest.mark.parametrize("f", [*CANCEL, *CONSTANT, *STAY], ids=lambda f: f.__name__)
def test_what_is_a_constant_and_what_is_not(f):
    text = str(lilith.trace_grad(total(f), X, W))
    assert ("extremum_cotangent" in text) == (f in STAY)
    assert ("exponent_shift" in text) == (f in CANCEL)
    assert ("reduce_m" in text) == (f not in CANCEL)
    check_grads(total(f), (X, W), order=1)


@pytest.mark.parametrize("f", [logsumexp, attention, softmin], ids=lambda f: f.__name__)
def test_second_derivatives(f):
    check_grads(total(f), (X, W))


def test_functions_alone():
    """Without a derivative what is as large as in NumPy need only be told of."""
    assert "exponent_shift" in str(lilith.lower(logsumexp, X, W).graph)
    assert "reduce_min" in str(lilith.lower(softmin, X, W).graph)
    assert "stop_gradient" not in str(lilith.lower(softmin, X, W).graph)


def test_other_transforms():
    rows = np.exp(X - logsumexp(X, W)[:, None])
    expected = np.einsum("ij,ik->ikj", rows, np.eye(5))
    np.testing.assert_allclose(lilith.jacobian(logsumexp, X, W, wrt=0), expected, rtol=1e-13)
    pushed = lilith.jvp(logsumexp, (X, W), (W, None))[1]
    np.testing.assert_allclose(pushed, np.sum(rows * W, axis=1), rtol=1e-13)
    _, g = lilith.grad(lambda x: np.sum(lilith.vmap(logsumexp_of_all, in_axes=(0, None))(x, 0.0)), X)
    np.testing.assert_allclose(g[0], rows, rtol=1e-13)


def test_in_a_loop_and_in_a_branch():
    def steps(x):
        x = lilith.fori_loop(0, 3, lambda i, x: softmax(x, 2.0), x)
        return np.sum(lilith.cond(x[0, 0] > 0, lambda x: logsumexp(x, W), lambda x: x[0], x))

    assert "extremum_cotangent" not in str(lilith.trace_grad(steps, X))
    check_grads(steps, (X,), order=1)


@pytest.mark.parametrize("rows, columns", [(5, 5), (70, 90)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_not_finite_is_where_it_is_in_numpy(rows, columns):
    functions = [*CANCEL, *CONSTANT]
    if rows != columns:
        functions = [logsumexp, logsumexp_of_all, log_softmax, softmax, turned, squares, softmin, shifted_by_all]
    run = lilith.jit(lambda x, w: [f(x, w) for f in functions])
    for x_holds, w_holds in ((np.nan, 1.0), (-np.nan, 1.0), (np.inf, 1.0), (-np.inf, 1.0), (1.0, np.nan)):
        x, w = RNG.standard_normal((2, rows, columns))
        x[3, 2], w[1, 4] = x_holds, w_holds
        for f, found in zip(functions, run(x, w), strict=True):
            np.testing.assert_allclose(found, f(x, w), rtol=1e-11, atol=1e-11, err_msg=f.__name__)


def test_large_arguments_do_not_overflow():
    x = 1e4 * X
    value, g = lilith.grad(lambda x: np.sum(logsumexp(x, None)), x)
    assert value == pytest.approx(np.sum(np.max(x, axis=1)))
    np.testing.assert_allclose(g[0], x == np.max(x, axis=1, keepdims=True))
