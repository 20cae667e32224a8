"""Losses. `reduction` is "mean" (the default), "sum" or "none"; a target never broadcasts."""

from __future__ import annotations

from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import kind
from lilith.nn.activations import log_one_plus_exp
from lilith.nn.making import check_reduction, choose, common, exceeds, known, real_floating, reduced, same_shape, scalar
from lilith.numpy import reductions
from lilith.numpy.core import convert, expand, lift
from lilith.numpy.eager import array_function
from lilith.numpy.scipy_ufuncs import xlogy
from lilith.ops import elementwise
from lilith.ops.indexing import take
from lilith.ops.reduction import exponent_shift, reduce_sum
from lilith.ops.shape import broadcast_in_dim, iota
from lilith.source import ArgumentError, DtypeError, IndexingError, ShapeError
from lilith.trace import contains_tracer

# ---- of differences -------------------------------------------------------------------------------------------------


def _difference(name: str, input: Any, target: Any) -> Value:
    x, y = common(name, input, target)
    same_shape(name, input=x, target=y)
    return elementwise.sub(x, y)


@array_function
def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """(x - y)².

    >>> float(mse_loss(np.array([1.0, 2.0]), np.array([0.0, 4.0])))
    2.5
    """
    d = _difference("mse_loss", input, target)
    return reduced("mse_loss", elementwise.mul(d, d), reduction)


@array_function
def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """|x - y|, with slope 0 at 0.

    >>> float(l1_loss(np.array([1.0, 2.0]), np.array([0.0, 4.0])))
    1.5
    """
    return reduced("l1_loss", elementwise.abs(_difference("l1_loss", input, target)), reduction)


@array_function
def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """With d = |x - y|: d²/2 where d <= delta, else delta (d - delta/2).

    Huber, Robust estimation of a location parameter, Annals of Mathematical Statistics 35, 1964.

    >>> huber_loss(np.array([0.5, 3.0]), np.zeros(2), reduction="none")
    array([0.125, 2.5  ])
    """
    limit = known(delta)
    if limit is not None and limit <= 0:
        raise ArgumentError(f"nn.huber_loss: delta={delta}", hint="delta must be positive")
    d = _difference("huber_loss", input, target)
    return reduced("huber_loss", _huber(d, scalar("huber_loss", "delta", delta, d)), reduction)


def _huber(difference: Value, limit: Value) -> Value:
    """d²/2 within the limit, and limit (|d| - limit/2) beyond it; d² is not formed where it may overflow."""
    size = elementwise.select(exceeds(difference, 0), difference, elementwise.neg(difference))
    inside = elementwise.le(size, limit)
    square = elementwise.integer_pow(choose(inside, difference, 0.0), exponent=2)
    return elementwise.select(inside, square * 0.5, (size - limit * 0.5) * limit)


@array_function
def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """With d = |x - y|: d²/(2 beta) where d < beta, else d - beta/2; |x - y| for beta = 0.

    Girshick, Fast R-CNN, ICCV 2015, equation 3.

    >>> smooth_l1_loss(np.array([0.5, 3.0]), np.zeros(2), reduction="none")
    array([0.125, 2.5  ])
    """
    limit = known(beta)
    if limit is not None and limit < 0:
        raise ArgumentError(f"nn.smooth_l1_loss: beta={beta}", hint="beta must not be negative")
    d = _difference("smooth_l1_loss", input, target)
    if limit == 0:
        return reduced("smooth_l1_loss", elementwise.abs(d), reduction)
    factor = scalar("smooth_l1_loss", "beta", beta, d)
    loss = _huber(d, factor) / factor
    if limit is None:
        loss = elementwise.select(elementwise.eq(factor, fill_like(factor, 0)), elementwise.abs(d), loss)
    return reduced("smooth_l1_loss", loss, reduction)


# ---- of probabilities -----------------------------------------------------------------------------------------------


def _weighted(name: str, loss: Value, weight: Any) -> Value:
    return loss if weight is None else elementwise.mul(loss, _broadcast(name, "weight", weight, loss))


def _broadcast(name: str, what: str, given: Any, like: Value) -> Value:
    """A factor brought to the dtype and shape of an array."""
    v = convert(real_floating(name, given), like.dtype)
    sizes = like.shape[like.ndim - v.ndim :] if v.ndim <= like.ndim else None
    if sizes is None or any(n not in (1, m) for n, m in zip(v.shape, sizes, strict=True)):
        raise ShapeError(f"nn.{name}: {what} {v.type} does not broadcast to {like.type}", hint="reshape it")
    return expand(v, like.shape)


@array_function
def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """-(y log x + (1 - y) log(1 - x)) for probabilities x; logarithms are not below -100, where their slope is 0.

    binary_cross_entropy_with_logits(z, y) is exact for all z; prefer it to this of sigmoid(z).

    >>> float(binary_cross_entropy(np.array([0.5, 1.0]), np.array([1.0, 1.0]), reduction="sum"))
    0.6931471805599453
    """
    name = "binary_cross_entropy"
    x, y = common(name, input, target)
    same_shape(name, input=x, target=y)
    one = fill_like(x, 1)

    def logarithm(p: Value) -> Value:
        tiny = elementwise.lt(p, fill_like(p, float(np.exp(-100.0))))
        return choose(tiny, -100.0, elementwise.log(choose(tiny, 1.0, p)))

    other = elementwise.sub(one, x)
    loss = elementwise.neg(y * logarithm(x) + (one - y) * logarithm(other))
    return reduced(name, _weighted(name, loss, weight), reduction)


@array_function
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """-(p y log σ(z) + (1 - y) log(1 - σ(z))), with σ(z) = 1 / (1 + exp(-z)) and p = pos_weight or 1.

    Computed as (1 - y) z + (1 + (p - 1) y) log(1 + exp(-z)): no overflow.

    >>> binary_cross_entropy_with_logits(np.array([-1e4, 1e4]), np.array([0.0, 0.0]), reduction="none")
    array([    0., 10000.])
    """
    name = "binary_cross_entropy_with_logits"
    z, y = common(name, input, target)
    same_shape(name, input=z, target=y)
    one = fill_like(z, 1)
    if pos_weight is None:
        loss = log_one_plus_exp(z) - y * z
    else:
        p = _broadcast(name, "pos_weight", pos_weight, z)
        loss = (one - y) * z + (one + (p - one) * y) * log_one_plus_exp(-z)
    return reduced(name, _weighted(name, loss, weight), reduction)


@array_function
def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """y (log y - x) for log probabilities x and probabilities y; 0 where y is 0. exp(t) (t - x) with log_target.

    Arguments:
        reduction: also "batchmean", the sum divided by the size of the first axis: the divergence's own definition.

    >>> float(kl_div(np.log([0.5, 0.5]), np.array([1.0, 0.0]), reduction="sum"))
    0.6931471805599453
    """
    x, y = common("kl_div", input, target)
    same_shape("kl_div", input=x, target=y)
    check_reduction("kl_div", reduction, "batchmean")
    if log_target:
        loss = elementwise.exp(y) * (y - x)
    else:
        loss = xlogy(y, y) - _weighted_log(y, x)
    if reduction == "batchmean":
        if not x.ndim:
            raise ShapeError("nn.kl_div: a number has no batch", hint="reduction='sum'")
        return reductions.sum(loss) * (1 / x.shape[0])
    return reduced("kl_div", loss, reduction)


def _weighted_log(p: Value, log: Value) -> Value:
    """p log, and 0 where p = 0 and the logarithm is -inf."""
    nothing = elementwise.logical_and(elementwise.eq(p, fill_like(p, 0)), elementwise.eq(log, fill_like(log, -np.inf)))
    return elementwise.mul(p, choose(nothing, 0.0, log))


# ---- of classes -----------------------------------------------------------------------------------------------------


def _class_axis(x: Value) -> int:
    """The axis of classes: the second one, the only one without a batch."""
    return 1 if x.ndim > 1 else 0


def _labels(name: str, x: Value, target: Any, ignore_index: int) -> Value:
    """Class indices as a Value of the shape of x without its axis of classes."""
    labels, axis = lift(target), _class_axis(x)
    if kind(labels.dtype) not in "iu":
        raise DtypeError(f"nn.{name}: class indices must be integers, got {labels.type}", hint="y.astype(np.int64)")
    expected = x.shape[:axis] + x.shape[axis + 1 :]
    if labels.shape != expected:
        raise ShapeError(
            f"nn.{name}: input {x.type} needs class indices of shape {expected}, got {labels.type}",
            hint="input is (batch, classes, *any), target is (batch, *any)",
        )
    if not contains_tracer(target):
        given = np.asarray(target)
        wrong = given[((given < 0) | (given >= x.shape[axis])) & (given != ignore_index)]
        if wrong.size:
            raise IndexingError(
                f"nn.{name}: class index {wrong.flat[0]} of {x.shape[axis]} classes", hint=f"0 ... {x.shape[axis] - 1}"
            )
    return convert(labels, np.dtype(np.int64))


def _is_label(x: Value, labels: Value) -> Value:
    """Where along the axis of classes the label stands."""
    axis = _class_axis(x)
    places = iota(shape=x.shape, dtype=labels.dtype, axis=axis)
    others = tuple([a for a in range(x.ndim) if a != axis])
    return elementwise.eq(places, broadcast_in_dim(labels, shape=x.shape, axes=others))


def _picked(x: Value, labels: Value) -> Value:
    """The element of each label. A dense selection: its cotangent is added to that of the normaliser, densely too."""
    return reduce_sum(choose(_is_label(x, labels), x, 0.0), axes=(_class_axis(x),))


def _class_weights(name: str, weight: Any, x: Value) -> Value:
    """One weight per class."""
    w = convert(real_floating(name, weight), x.dtype)
    if w.shape != (x.shape[_class_axis(x)],):
        raise ShapeError(
            f"nn.{name}: weight must have one entry for each of {x.shape[_class_axis(x)]} classes, got {w.type}",
            hint="its shape must be (classes,)",
        )
    return w


def _averaged(loss: Value, labels: Value, classes: int, ignore_index: int, weights: Value | None) -> tuple:
    """The loss without ignored elements and NaN for labels that are no class; and the weight of each element."""
    used = elementwise.ne(labels, fill_like(labels, ignore_index))
    known = elementwise.logical_and(
        elementwise.ge(labels, fill_like(labels, 0)), elementwise.lt(labels, fill_like(labels, classes))
    )
    if weights is None:
        share = convert(used, loss.dtype)
    else:
        share = choose(used, take(weights, choose(known, labels, 0), 0), 0.0)
    return choose(used, choose(known, loss, np.nan), 0.0), share


def _reduced_by_weight(loss: Value, share: Value, reduction: str) -> Value:
    """The mean is weighted, over what is not ignored: NaN if that is nothing."""
    if reduction == "none":
        return loss
    total = reductions.sum(loss)
    return total if reduction == "sum" else elementwise.div(total, reductions.sum(share))


@array_function
def nll_loss(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """-w[y] x[y] for log probabilities x and class indices y.

    Arguments:
        input: (batch, classes, *any), or (classes,).
        target: integers, (batch, *any) or (). An index that is no class is an error in a plain array; a traced one
            makes the loss NaN.
        weight: (classes,); the mean is the sum divided by the sum of the weights that were used.
        ignore_index: a target that does not count.

    >>> float(nll_loss(np.log([[0.25, 0.75]]), np.array([0])))
    1.3862943611198906
    """
    check_reduction("nll_loss", reduction)
    x = real_floating("nll_loss", input)
    labels = _labels("nll_loss", x, target, ignore_index)
    w = None if weight is None else _class_weights("nll_loss", weight, x)
    loss, share = _averaged(-_picked(x, labels), labels, x.shape[_class_axis(x)], ignore_index, w)
    return _reduced_by_weight(loss if w is None else loss * share, share, reduction)


def _normaliser(x: Value) -> tuple[Value, Value]:
    """log Σ exp(x) over the classes as the sum of two: the maximum, 0 if infinite, a constant; and the rest."""
    axis = _class_axis(x)
    top = exponent_shift(x, axes=(axis,))
    top = choose(elementwise.is_finite(top), top, 0.0)
    others = tuple([a for a in range(x.ndim) if a != axis])
    shifted = elementwise.sub(x, broadcast_in_dim(top, shape=x.shape, axes=others))
    return top, elementwise.log(reduce_sum(elementwise.exp(shifted), axes=(axis,)))


@array_function
def cross_entropy_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """-Σ t[c] w[c] log softmax(x)[c] over the classes c, for targets t; -w[y] log softmax(x)[y] for class indices y.

    Logits of -inf are classes that are excluded: the loss and its slope stay finite if they have no target.

    Arguments:
        input: logits, (batch, classes, *any), or (classes,).
        target: class indices, integers (batch, *any) or (); or probabilities of the input's shape. An index that is no
            class is an error in a plain array; a traced one makes the loss NaN.
        weight: (classes,); with class indices the mean is the sum divided by the sum of the weights that were used.
        ignore_index: a class index that does not count.
        label_smoothing: mixes the targets with this much of the uniform distribution (Szegedy et al., Rethinking the
            Inception architecture, CVPR 2016).

    >>> float(cross_entropy_loss(np.array([[0.0, 0.0], [1e4, 0.0]]), np.array([0, 0]), reduction="sum"))
    0.6931471805599453
    """
    name = "cross_entropy_loss"
    check_reduction(name, reduction)
    smoothing = known(label_smoothing)
    if smoothing is not None and not 0 <= smoothing <= 1:
        raise ArgumentError(f"nn.{name}: label_smoothing={label_smoothing}", hint="between 0 and 1")
    x = real_floating(name, input)
    if not x.ndim:
        raise ShapeError(f"nn.{name}: input must have an axis of classes", hint="(batch, classes)")
    w = None if weight is None else _class_weights(name, weight, x)
    if kind(lift(target).dtype) in "iu":
        return _of_indices(name, x, _labels(name, x, target, ignore_index), w, ignore_index, reduction, label_smoothing)
    return _of_probabilities(name, x, target, w, reduction, label_smoothing)


def _of_indices(
    name: str, x: Value, labels: Value, w: Value | None, ignore_index: int, reduction: str, smoothing: Any
) -> Value:
    axis = _class_axis(x)
    classes = x.shape[axis]
    top, rest = _normaliser(x)
    loss, share = _averaged(rest - (_picked(x, labels) - top), labels, classes, ignore_index, w)
    loss = loss if w is None else loss * share
    if known(smoothing) != 0:
        others = tuple([a for a in range(x.ndim) if a != axis])
        log = elementwise.sub(x, broadcast_in_dim(top + rest, shape=x.shape, axes=others))
        if w is not None:
            log = log * broadcast_in_dim(w, shape=x.shape, axes=(axis,))
        used = elementwise.ne(labels, fill_like(labels, ignore_index))
        uniform = choose(used, reduce_sum(log, axes=(axis,)), 0.0)
        mixed = scalar(name, "label_smoothing", smoothing, loss)
        loss = loss * (1 - mixed) - uniform * mixed * (1 / classes)
    return _reduced_by_weight(loss, share, reduction)


def _of_probabilities(name: str, x: Value, target: Any, w: Value | None, reduction: str, smoothing: Any) -> Value:
    x, t = common(name, x, target)
    same_shape(name, input=x, target=t)
    axis = _class_axis(x)
    if known(smoothing) != 0:
        mixed = scalar(name, "label_smoothing", smoothing, t)
        t = t * (1 - mixed) + mixed * (1 / x.shape[axis])
    top, rest = _normaliser(x)
    others = tuple([a for a in range(x.ndim) if a != axis])
    log = elementwise.sub(x, broadcast_in_dim(top + rest, shape=x.shape, axes=others))
    terms = _weighted_log(t, log)
    if w is not None:
        terms = terms * broadcast_in_dim(convert(w, x.dtype), shape=x.shape, axes=(axis,))
    loss = -reduce_sum(terms, axes=(axis,))
    return reduced(name, loss, reduction)


cross_entropy = cross_entropy_loss
