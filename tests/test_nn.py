"""lilith.nn: activations, normalisation, losses, embedding and dropout against NumPy and finite differences."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import scipy.special

import lilith
from lilith import nn
from tests.agreement import check_gradient, evaluate, gradient

RNG = np.random.default_rng(0)
X = np.array([[-3.1, -1.2, -0.4, 0.3], [0.7, 1.6, 2.9, -2.2]])
ERF = scipy.special.erf


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def same(f: Callable[..., Any], expected: Any, *xs: Any, tolerance: float = 1e-12) -> None:
    """f gives the expected array, computed at once and traced."""
    with np.errstate(all="ignore"):
        for found in (f(*xs), evaluate(f, *xs)[0]):
            assert (np.shape(found), np.asarray(found).dtype) == (np.shape(expected), np.asarray(expected).dtype)
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


# ---- activations ----------------------------------------------------------------------------------------------------

ACTIVATIONS: dict[str, tuple[Callable[..., Any], dict[str, Any], Callable[[np.ndarray], Any]]] = {
    "relu": (nn.relu, {}, lambda x: np.maximum(x, 0)),
    "leaky_relu": (nn.leaky_relu, {"negative_slope": 0.2}, lambda x: np.where(x > 0, x, 0.2 * x)),
    "elu": (nn.elu, {"alpha": 1.3}, lambda x: np.where(x > 0, x, 1.3 * np.expm1(np.minimum(x, 0)))),
    "selu": (
        nn.selu,
        {},
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    ),
    "gelu": (nn.gelu, {}, lambda x: x * scipy.special.ndtr(x)),
    "gelu tanh": (
        nn.gelu,
        {"approximate": "tanh"},
        lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    ),
    "silu": (nn.silu, {}, lambda x: x * scipy.special.expit(x)),
    "sigmoid": (nn.sigmoid, {}, scipy.special.expit),
    "softplus": (nn.softplus, {}, lambda x: np.logaddexp(x, 0)),
    "softplus beta": (
        nn.softplus,
        {"beta": 2.0, "threshold": 3.0},
        lambda x: np.where(2 * x > 3, x, np.logaddexp(2 * x, 0) / 2),
    ),
    "softsign": (nn.softsign, {}, lambda x: x / (1 + np.abs(x))),
    "logsigmoid": (nn.logsigmoid, {}, lambda x: -np.logaddexp(-x, 0)),
    "tanh": (nn.tanh, {}, np.tanh),
    "hardtanh": (nn.hardtanh, {"min_val": -2.0, "max_val": 1.5}, lambda x: np.clip(x, -2, 1.5)),
    "softmax": (nn.softmax, {"dim": 1}, lambda x: scipy.special.softmax(x, axis=1)),
    "log_softmax": (nn.log_softmax, {"axis": 0}, lambda x: scipy.special.log_softmax(x, axis=0)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    function, options, reference = ACTIVATIONS[name]

    def f(x: Any) -> Any:
        return function(x, **options)

    same(f, reference(X), X)
    check_gradient(lambda x: f(x) ** 2, X)
    for dtype, digits in ((np.float32, 1e-6), (ml_dtypes.bfloat16, 0.02)):
        x = X.astype(dtype)
        (y,) = evaluate(f, x)
        assert y.dtype == f(x).dtype == dtype
        np.testing.assert_allclose(y.astype(float), reference(x.astype(float)), rtol=digits, atol=digits)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_far_out(name: str) -> None:
    function, options, reference = ACTIVATIONS[name]
    x = np.array([[-1e4, -700.0, -30.0], [30.0, 700.0, 1e4]])
    same(lambda x: function(x, **options), reference(x), x, tolerance=1e-9)
    (slope,) = gradient(lambda x: function(x, **options), x)
    assert np.all(np.isfinite(slope))
    step = 1e-3
    difference = (reference(x + step) - reference(x - step)) / (2 * step)
    if name not in ("softmax", "log_softmax"):
        np.testing.assert_allclose(slope, difference, atol=1e-6)


def test_slopes_at_kinks() -> None:
    def slope(f: Callable[..., Any], x: float) -> float:
        return float(gradient(f, np.array(x))[0])

    assert slope(nn.relu, 0.0) == 0
    assert slope(lambda x: nn.leaky_relu(x, 0.3), 0.0) == 0.3
    assert slope(lambda x: nn.elu(x, 1.7), 0.0) == 1.7
    assert [slope(nn.hardtanh, x) for x in (-1.0, 1.0)] == [0, 0]
    assert slope(nn.softplus, 0.0) == 0.5
    assert np.isnan(nn.relu(np.nan)) and np.isnan(nn.hardtanh(np.nan))


def test_softplus_is_smooth_at_zero() -> None:
    lilith.testing.check_grads(lambda x: np.sum(nn.softplus(x) * nn.logsigmoid(x)), (np.array([0.0, 1e-7, -2.0]),))


# ---- normalisation --------------------------------------------------------------------------------------------------


def normalised(x: np.ndarray, axes: tuple[int, ...], eps: float = 1e-5) -> np.ndarray:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def test_layer_norm() -> None:
    x, w, b = normal(3, 4, 5), normal(4, 5), normal(4, 5)
    same(lambda x, w, b: nn.layer_norm(x, (4, 5), w, b), normalised(x, (1, 2)) * w + b, x, w, b)
    same(lambda x: nn.layer_norm(x, 5, eps=0.1), normalised(x, (2,), 0.1), x)
    check_gradient(lambda x, w, b: nn.layer_norm(x, (4, 5), w, b) ** 3, x, w, b)
    x16 = (x * 100).astype(np.float16)
    assert nn.layer_norm(x16, 5).dtype == np.float16
    np.testing.assert_allclose(nn.layer_norm(x16, 5), normalised(x16.astype(float), (2,)), atol=2e-3)


def test_normalisation_survives_a_large_mean() -> None:
    x = (normal(2, 64) + 1e4).astype(np.float32)
    np.testing.assert_allclose(nn.layer_norm(x, 64), normalised(x.astype(float), (1,)), atol=2e-2)


def test_rms_norm() -> None:
    x, w = normal(3, 4), normal(4)
    same(lambda x, w: nn.rms_norm(x, 4, w, eps=0.2), x / np.sqrt((x**2).mean(1, keepdims=True) + 0.2) * w, x, w)
    check_gradient(lambda x, w: nn.rms_norm(x, 4, w) ** 3, x, w)


def test_group_and_instance_norm() -> None:
    x, w, b = normal(2, 6, 3), normal(6), normal(6)
    groups = normalised(x.reshape(2, 3, 6), (2,)).reshape(x.shape)
    same(lambda x, w, b: nn.group_norm(x, 3, w, b), groups * w[:, None] + b[:, None], x, w, b)
    same(lambda x: nn.instance_norm(x), normalised(x, (2,)), x)
    check_gradient(lambda x, w, b: nn.group_norm(x, 3, w, b) ** 3, x, w, b)


def test_batch_norm() -> None:
    x, m, v, w, b = normal(4, 3, 5), normal(3), normal(3) ** 2, normal(3), normal(3)
    along = (slice(None), None)
    expected = normalised(x, (0, 2)) * w[along] + b[along]
    moved = (0.7 * m + 0.3 * x.mean((0, 2)), 0.7 * v + 0.3 * x.var((0, 2), ddof=1))

    def train(*xs: Any) -> Any:
        return nn.batch_norm(*xs, training=True, momentum=0.3)

    same(lambda *xs: train(*xs)[0], expected, x, m, v, w, b)
    for i in range(2):
        same(lambda *xs, i=i: train(*xs)[1][i], moved[i], x, m, v, w, b)
    still = (x - m[along]) / np.sqrt(v[along] + 1e-5)
    same(lambda x, m, v: nn.batch_norm(x, m, v)[0], still, x, m, v)
    assert nn.batch_norm(x, None, None, training=True)[1] == (None, None)
    check_gradient(lambda x, w, b: nn.batch_norm(x, None, None, w, b, training=True)[0] ** 3, x, w, b)
    check_gradient(lambda *xs: nn.batch_norm(*xs)[0] ** 3, x, m, v, w, b)
    assert not np.any(gradient(lambda x: nn.batch_norm(x, m, v, training=True)[1][0], x)[0])


# ---- losses ---------------------------------------------------------------------------------------------------------

Y = normal(2, 4)
P, Q = RNG.uniform(0.1, 0.9, (2, 4)), RNG.uniform(0.1, 0.9, (2, 4))
D = np.abs(X - Y)
LOSSES: dict[str, tuple[Callable[..., Any], dict[str, Any], np.ndarray, np.ndarray, np.ndarray]] = {
    "mse": (nn.mse_loss, {}, X, Y, D**2),
    "l1": (nn.l1_loss, {}, X, Y, D),
    "huber": (nn.huber_loss, {"delta": 0.6}, X, Y, np.where(D <= 0.6, D**2 / 2, 0.6 * (D - 0.3))),
    "smooth l1": (nn.smooth_l1_loss, {"beta": 0.6}, X, Y, np.where(D < 0.6, D**2 / 1.2, D - 0.3)),
    "smooth l1, 0": (nn.smooth_l1_loss, {"beta": 0.0}, X, Y, D),
    "bce": (nn.binary_cross_entropy, {}, P, Q, -(Q * np.log(P) + (1 - Q) * np.log(1 - P))),
    "bce, weight": (nn.binary_cross_entropy, {"weight": P}, P, Q, -P * (Q * np.log(P) + (1 - Q) * np.log(1 - P))),
    "logits": (nn.binary_cross_entropy_with_logits, {}, X, Q, np.logaddexp(X, 0) - Q * X),
    "logits, pos_weight": (
        nn.binary_cross_entropy_with_logits,
        {"pos_weight": P[0]},
        X,
        Q,
        P[0] * Q * np.logaddexp(-X, 0) + (1 - Q) * np.logaddexp(X, 0),
    ),
    "kl": (nn.kl_div, {}, X, P, P * (np.log(P) - X)),
    "kl, log": (nn.kl_div, {"log_target": True}, X, Y, np.exp(Y) * (Y - X)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str) -> None:
    function, options, x, y, expected = LOSSES[name]
    same(lambda x, y: function(x, y, reduction="none", **options), expected, x, y)
    same(lambda x, y: function(x, y, **options), expected.mean(), x, y)
    same(lambda x, y: function(x, y, reduction="sum", **options), expected.sum(), x, y)
    check_gradient(lambda x, y: function(x, y, reduction="none", **options) ** 2, x, y)
    assert function(x.astype(np.float32), y.astype(np.float32), **options).dtype in (np.float32, np.float64)


def test_losses_at_the_edges() -> None:
    z = np.array([-1e4, 1e4, 0.0])
    same(lambda z: nn.binary_cross_entropy_with_logits(z, np.ones(3), reduction="none"), [1e4, 0, np.log(2)], z)
    (slope,) = gradient(lambda z: nn.binary_cross_entropy_with_logits(z, np.ones(3), reduction="sum"), z)
    np.testing.assert_allclose(slope, [-1, 0, -0.5])
    p = np.array([0.0, 1.0, 0.0])
    same(lambda p: nn.binary_cross_entropy(p, np.array([0.0, 1.0, 1.0]), reduction="none"), [0.0, 0.0, 100.0], p)
    assert np.all(np.isfinite(gradient(lambda p: nn.binary_cross_entropy(p, np.array([0.0, 1.0, 1.0])), p)[0]))
    x, y = np.array([[-np.inf, 0.0]]), np.array([[0.0, 1.0]])
    same(lambda x: nn.kl_div(x, y, reduction="batchmean"), 0.0, x)
    np.testing.assert_allclose(gradient(lambda x: nn.kl_div(x, y, reduction="sum"), x)[0], [[0, -1]])
    far = np.array([1e300, -1e300])
    (slope,) = gradient(lambda x: nn.huber_loss(x, np.zeros(2), reduction="sum"), far)
    np.testing.assert_allclose(slope, [1, -1])


def cross_entropy(x: np.ndarray, t: np.ndarray, w: np.ndarray, smoothing: float) -> np.ndarray:
    """-Σ t' w log softmax(x) over axis 1, t' = (1 - smoothing) t + smoothing / classes."""
    shape = (1, -1) + (1,) * (x.ndim - 2)
    mixed = t * (1 - smoothing) + smoothing / x.shape[1]
    return -np.sum(mixed * w.reshape(shape) * scipy.special.log_softmax(x, axis=1), axis=1)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_of_class_indices(smoothing: float, weighted: bool) -> None:
    x, y = normal(3, 4, 5) * 3, RNG.integers(0, 4, (3, 5))
    w = np.array([0.5, 1.0, 2.0, 0.3]) if weighted else np.ones(4)
    options = {"weight": w if weighted else None, "label_smoothing": smoothing, "ignore_index": 2}
    y[0, 0] = 2
    used = y != 2
    full = np.where(used, cross_entropy(x, np.moveaxis(np.eye(4)[y], -1, 1), w, smoothing), 0)
    same(lambda x, y: nn.cross_entropy_loss(x, y, reduction="none", **options), full, x, y)
    same(lambda x, y: nn.cross_entropy_loss(x, y, **options), full.sum() / np.sum(w[y] * used), x, y)
    check_gradient(lambda x: nn.cross_entropy_loss(x, y, reduction="none", **options) ** 2, x)
    if not smoothing:
        logs = scipy.special.log_softmax(x, axis=1)
        same(lambda x, y: nn.nll_loss(x, y, options["weight"], 2), full.sum() / np.sum(w[y] * used), logs, y)
        check_gradient(lambda x: nn.nll_loss(x, y, options["weight"], 2, "none") ** 2, logs)


def test_cross_entropy_of_probabilities() -> None:
    x, t, w = normal(3, 4, 2), RNG.dirichlet(np.ones(4), (3, 2)).transpose(0, 2, 1), np.array([0.5, 1.0, 2.0, 0.3])
    full = cross_entropy(x, t, w, 0.1)

    def f(x: Any, t: Any, reduction: str) -> Any:
        return nn.cross_entropy_loss(x, t, w, reduction=reduction, label_smoothing=0.1)

    same(lambda x, t: f(x, t, "none"), full, x, t)
    same(lambda x, t: f(x, t, "mean"), full.mean(), x, t)
    check_gradient(lambda x, t: f(x, t, "none") ** 2, x, t)


def test_cross_entropy_of_extreme_logits() -> None:
    x = np.array([[1e4, -1e4, 0.0], [-np.inf, 1.0, 1.0], [0.0, -np.inf, -np.inf]])
    y = np.array([1, 2, 0])
    same(lambda x: nn.cross_entropy_loss(x, y, reduction="none"), [2e4, np.log(2), 0.0], x)
    (slope,) = gradient(lambda x: nn.cross_entropy_loss(x, y, reduction="sum"), x)
    np.testing.assert_allclose(slope, [[1, -1, 0], [0, 0.5, -0.5], [0, 0, 0]], atol=1e-12)
    t = np.eye(3)[y]
    same(lambda x: nn.cross_entropy_loss(x, t, reduction="none"), [2e4, np.log(2), 0.0], x)
    assert np.all(np.isfinite(gradient(lambda x: nn.cross_entropy_loss(x, t), x)[0]))
    dead = np.array([[np.nan, np.inf, 0.0], [1.0, 2.0, 0.5]])
    ignored = np.array([-100, 1])
    assert np.isfinite(nn.cross_entropy_loss(dead, ignored))
    (slope,) = gradient(lambda x: nn.cross_entropy_loss(x, ignored), dead)
    assert np.all(slope[0] == 0) and np.all(np.isfinite(slope[1]))


def test_traced_labels_out_of_range_are_not_taken_silently() -> None:
    x, y = normal(3, 4), np.array([0, 4, -1])
    (loss,) = evaluate(lambda x, y: nn.cross_entropy_loss(x, y, reduction="none"), x, y)
    assert np.isnan(loss).tolist() == [False, True, True]


def test_compiled_losses_train() -> None:
    """Through the public interface: labels as data, value and gradient as in NumPy, second derivatives."""
    x, y = normal(5, 3), RNG.integers(0, 3, 5)
    value, g = lilith.grad(nn.cross_entropy_loss, x, y)
    probabilities = scipy.special.softmax(x, axis=1)
    assert value == pytest.approx(nn.cross_entropy_loss(x, y))
    np.testing.assert_allclose(g[0], (probabilities - np.eye(3)[y]) / 5, atol=1e-12)
    lilith.testing.check_grads(lambda x: nn.cross_entropy_loss(x, y, label_smoothing=0.1), (x,))
    lilith.testing.check_grads(lambda x, t: np.sum(nn.huber_loss(nn.gelu(x), t)), (X, Y))


# ---- one_hot, embedding, dropout ------------------------------------------------------------------------------------


def test_one_hot() -> None:
    labels = np.array([[0, 2], [1, 1]])
    same(lambda y: nn.one_hot(y, 4), np.eye(4, dtype=np.int64)[labels], labels)
    same(lambda y: nn.one_hot(y, 4, dtype=np.float32), np.eye(4, dtype=np.float32)[labels], labels)
    np.testing.assert_array_equal(nn.one_hot(labels), np.eye(3, dtype=np.int64)[labels])
    assert evaluate(lambda y: nn.one_hot(y, 2), np.array([2]))[0].tolist() == [[0, 0]]


def test_embedding() -> None:
    w, rows = normal(5, 3), np.array([[0, 4, 4], [2, 0, 4]])
    same(lambda w, i: nn.embedding(i, w), w[rows], w, rows)
    check_gradient(lambda w: nn.embedding(rows, w) ** 2, w)
    (found,) = gradient(lambda w: nn.embedding(rows, w, padding_idx=-1), w)
    expected = np.zeros_like(w)
    np.add.at(expected, rows.ravel(), 1.0)
    expected[4] = 0
    np.testing.assert_array_equal(found, expected)


def test_dropout() -> None:
    key, x = lilith.random.key(3), np.full((40, 50), 2.0)
    y = nn.dropout(x, 0.25, key=key)
    assert set(np.unique(y)) == {0.0, 2 / 0.75}
    assert abs(np.mean(y == 0) - 0.25) < 0.05
    same(lambda x, key: nn.dropout(x, 0.25, key=key), y, x, key)
    np.testing.assert_allclose(gradient(lambda x: nn.dropout(x, 0.25, key=key), x)[0], y / 2)
    same(lambda x: nn.dropout(x, 0.25, training=False), x, x)
    same(lambda x: nn.dropout(x, 1.0, key=key), 0 * x, x)
    assert nn.dropout(x.astype(np.float32), 0.5, key=key).dtype == np.float32


RATE, DELTA, EPSILON, SMOOTHING = 0.4, 0.7, 0.01, 0.1


def test_numbers_of_the_enclosing_scope() -> None:
    """They are traced like arrays: every parameter that is a float may be."""
    slope, beta, low = 0.2, 1.5, -0.5
    key, labels = lilith.random.key(0), np.array([1, 3])

    def f(x: Any) -> Any:
        h = nn.leaky_relu(nn.elu(x, slope), slope) + nn.softplus(x, beta, 3 * beta) + nn.hardtanh(x, low, slope)
        h = nn.dropout(nn.layer_norm(h, 4, eps=EPSILON), RATE, key=key) + nn.rms_norm(h, 4, eps=EPSILON)
        h = h + nn.batch_norm(h, np.zeros(4), np.ones(4), training=True, momentum=slope, eps=EPSILON)[0]
        loss = nn.huber_loss(h, Y, delta=DELTA) + nn.smooth_l1_loss(h, Y, beta=DELTA)
        return loss + nn.cross_entropy_loss(h, labels, label_smoothing=SMOOTHING)

    value, g = lilith.grad(f, X)
    assert value == pytest.approx(f(X))
    step = 1e-6 * np.ones_like(X)
    assert np.sum(g[0]) == pytest.approx((f(X + step) - f(X - step)) / 2e-6, rel=1e-6)


# ---- errors ---------------------------------------------------------------------------------------------------------

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.softmax(X), lilith.ArgumentError, "dim="),
    (lambda: nn.softmax(X, dim=2), lilith.ShapeError, "axis 2"),
    (lambda: nn.gelu(X, "erf"), lilith.ArgumentError, "approximate='erf'.*'tanh'"),
    (lambda: nn.silu(X + 1j), lilith.DtypeError, "nn.silu: takes real arrays"),
    (lambda: nn.hardtanh(X, 2, 1), lilith.ArgumentError, "min_val"),
    (lambda: nn.mse_loss(X, X[0]), lilith.ShapeError, "input .* and target .* differ in shape"),
    (lambda: nn.mse_loss(X, X, "avg"), lilith.ArgumentError, "reduction='avg'"),
    (lambda: nn.huber_loss(X, X, delta=0), lilith.ArgumentError, "delta"),
    (lambda: nn.cross_entropy_loss(X, np.array([0, 4])), IndexError, "class index 4 of 4"),
    (lambda: nn.cross_entropy_loss(X, np.array([0, 1, 2])), lilith.ShapeError, r"class indices of shape \(2,\)"),
    (lambda: nn.nll_loss(X, np.array([0.0, 1.0])), lilith.DtypeError, "must be integers"),
    (lambda: nn.cross_entropy_loss(X, np.array([0, 1]), weight=np.ones(3)), lilith.ShapeError, "each of 4 classes"),
    (lambda: nn.layer_norm(X, 3), lilith.ShapeError, "normalized_shape"),
    (lambda: nn.layer_norm(X, 4, np.ones(3)), lilith.ShapeError, "weight"),
    (lambda: nn.batch_norm(X, None, None), lilith.ArgumentError, "training=True"),
    (lambda: nn.batch_norm(X, np.ones(3), np.ones(4)), lilith.ShapeError, "running_mean"),
    (lambda: nn.group_norm(X, 3), lilith.ShapeError, "4 channels do not fall into 3 groups"),
    (lambda: nn.one_hot(X, 3), lilith.DtypeError, "indices must be integers"),
    (lambda: nn.one_hot(np.array([3]), 3), IndexError, "index 3 of 3"),
    (lambda: evaluate(nn.one_hot, np.array([3])), lilith.ArgumentError, "num_classes="),
    (lambda: nn.embedding(np.array([5]), X), IndexError, "index 5 of 2"),
    (lambda: nn.embedding(np.array([0]), X[0]), lilith.ShapeError, "rows, size"),
    (lambda: nn.dropout(X), lilith.ArgumentError, "key=lilith.random.key"),
    (lambda: nn.dropout(X, 1.5), lilith.ArgumentError, "not a probability"),
]


@pytest.mark.parametrize("i", range(len(ERRORS)))
def test_errors_name_the_argument(i: int) -> None:
    call, error, words = ERRORS[i]
    with pytest.raises(error) as caught:
        call()
    assert isinstance(caught.value, lilith.LilithError)
    assert re.search(words, str(caught.value), re.DOTALL), str(caught.value)


def test_a_traced_beta_of_zero():
    def loss(x, beta):
        return nn.smooth_l1_loss(x, Y, beta=beta)

    for beta in (0.0, 0.6):
        value, g = lilith.grad(loss, X, beta, wrt=0)
        known, same = lilith.grad(lambda x, beta=beta: nn.smooth_l1_loss(x, Y, beta=float(beta)), X, wrt=0)
        np.testing.assert_allclose(value, known)
        np.testing.assert_allclose(g[0], same[0])
        assert np.all(np.isfinite(g[0]))
