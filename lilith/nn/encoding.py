"""one_hot, embedding, dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from lilith import random
from lilith.ir.graph import Value, fill_like
from lilith.ir.type import kind
from lilith.nn.making import choose, known, real_floating, scalar
from lilith.numpy.core import convert, dtype_of, lift, static_int, wrap
from lilith.numpy.eager import array_function
from lilith.ops import elementwise
from lilith.ops.control import stop_gradient
from lilith.ops.indexing import take
from lilith.ops.shape import broadcast_in_dim, iota
from lilith.source import ArgumentError, DtypeError, IndexingError, ShapeError
from lilith.trace import contains_tracer


def _indices(name: str, given: Any) -> Value:
    x = lift(given)
    if kind(x.dtype) not in "iu":
        raise DtypeError(f"nn.{name}: indices must be integers, got {x.type}", hint="x.astype(np.int64)")
    return x


def _check_range(name: str, given: Any, count: int) -> None:
    """An error for indices of a plain array that are out of range."""
    if not contains_tracer(given):
        array = np.asarray(given)
        wrong = array[(array < 0) | (array >= count)]
        if wrong.size:
            raise IndexingError(f"nn.{name}: index {wrong.flat[0]} of {count}", hint=f"0 ... {count - 1}")


@array_function
def one_hot(input: Any, num_classes: int = -1, *, dtype: Any = np.int64) -> Any:
    """1 where the last axis has the index, else 0.

    Arguments:
        input: integers of any shape.
        num_classes: the length of the new last axis. By default one more than the largest index, which must be known:
            a traced array needs the number. A traced index out of range gives zeros, one of a plain array an error.
        dtype: of the result, int64 as in PyTorch. With float32 arrays, float32 keeps NumPy from making float64 of both.

    >>> one_hot(np.array([0, 2]), 3)
    array([[1, 0, 0],
           [0, 0, 1]])
    """
    x, count = _indices("one_hot", input), static_int(num_classes, "nn.one_hot", "num_classes")
    if count == -1:
        if contains_tracer(input) or not x.type.size:
            raise ArgumentError("nn.one_hot: the number of classes is not known", hint="give num_classes=")
        count = int(np.max(input)) + 1
    _check_range("one_hot", input, count)
    shape = (*x.shape, count)
    places = iota(shape=shape, dtype=x.dtype, axis=x.ndim)
    return convert(elementwise.eq(places, broadcast_in_dim(x, shape=shape, axes=tuple(range(x.ndim)))), dtype_of(dtype))


@array_function
def embedding(input: Any, weight: Any, padding_idx: Any = None) -> Any:
    """weight[input]: a row for each index; the cotangent is scattered into the rows.

    Arguments:
        input: integers of any shape. One out of range is an error in a plain array; a traced one is brought into range.
        weight: (number of rows, size).
        padding_idx: this row gets no gradient; negative numbers count from the end.

    Returns:
        (*input.shape, size).

    >>> embedding(np.array([2, 0]), np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]))
    array([[4., 5.],
           [0., 1.]])
    """
    x, w = _indices("embedding", input), lift(weight)
    if w.ndim != 2:
        raise ShapeError(f"nn.embedding: weight must be (rows, size), got {w.type}", hint="reshape it")
    _check_range("embedding", input, w.shape[0])
    y = take(w, x, 0)
    if padding_idx is None:
        return y
    row = static_int(padding_idx, "nn.embedding", "padding_idx")
    if not -w.shape[0] <= row < w.shape[0]:
        raise IndexingError(f"nn.embedding: padding_idx={row} of {w.shape[0]} rows", hint="name one of them")
    padding = elementwise.eq(x, fill_like(x, row % w.shape[0]))
    whole = broadcast_in_dim(padding, shape=y.shape, axes=tuple(range(x.ndim)))
    return elementwise.select(whole, stop_gradient(y), y)


@array_function
def dropout(input: Any, p: float = 0.5, training: bool = True, *, key: Any = None) -> Any:
    """x / (1 - p) with probability 1 - p, else 0; x itself if not training.

    Srivastava et al., Dropout, JMLR 15, 2014, with the scale at training time.

    Arguments:
        p: the probability of a zero.
        key: of lilith.random; needed in training. The same key drops the same elements.

    >>> from lilith import random
    >>> dropout(np.ones(6), 0.5, key=random.key(0))
    array([2., 2., 0., 0., 0., 2.])
    """
    x, rate = real_floating("dropout", input), known(p)
    if rate is not None and not 0 <= rate <= 1:
        raise ArgumentError(f"nn.dropout: p={p} is not a probability", hint="between 0 and 1")
    if not training or rate == 0:
        return x
    if key is None:
        raise ArgumentError(
            "nn.dropout: training needs a key",
            hint="key=lilith.random.key(seed), split into a new one for every use; or training=False",
        )
    if rate == 1:
        return fill_like(x, 0)
    # a key that is a constant here is drawn from in the program too, not once and for all
    kept = lift(random.bernoulli(wrap(lift(key)), 1 - p, x.shape))
    return choose(kept, x / (1 - scalar("dropout", "p", p, x)), 0.0)
