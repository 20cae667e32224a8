"""The order of elements.

argsort is the permutation that sorts. Sorted values are a gather by it and their cotangent is a scatter, so that
everything made of sorting (sort, median, quantile, lexsort, ...) has sparse derivatives of any order. searchsorted is
a primitive because a binary search is a loop: written out it takes longer to compile and to run.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from lilith.ir.graph import Value
from lilith.ir.primitive import NoGradient, Primitive
from lilith.ir.type import BFLOAT16, TensorType
from lilith.ops.elementwise import ORDERED, check_kind, repeat_leading
from lilith.ops.shape import check_axes, inverse_order, reshape, transpose
from lilith.source import DtypeError, ShapeError


def _argsort_type(x: TensorType, *, axis: int) -> TensorType:
    check_kind("argsort", ORDERED, x)
    check_axes("argsort", x, (axis,))
    return x.with_dtype(np.dtype(np.int64))


def _argsort_eval(x: np.ndarray, axis: int) -> np.ndarray:
    # float32 holds bfloat16 exactly, and NumPy sorts its NaNs last
    return np.argsort(x.astype(np.float32) if x.dtype == BFLOAT16 else x, axis=axis, kind="stable")


def _argsort_batch(batched: tuple[bool, ...], x: Value, *, axis: int) -> Value:
    return argsort(x, axis=axis + 1)


argsort: Primitive = Primitive(
    "argsort",
    type=_argsort_type,
    eval=_argsort_eval,
    vjp=NoGradient("its result is an integer"),
    batch=_argsort_batch,
)
"""p with x[p] ascending along an axis. Stable: equal elements keep their order (so do 0.0 and -0.0); NaNs come last."""


def _searchsorted_type(a: TensorType, v: TensorType, *, side: str) -> TensorType:
    check_kind("searchsorted", ORDERED, a, v)
    if a.dtype != v.dtype:
        raise DtypeError(f"searchsorted: {a} and {v} differ in dtype", hint="convert one of them first")
    if a.ndim == 0 or a.ndim != v.ndim or a.shape[:-1] != v.shape[:-1]:
        raise ShapeError(
            f"searchsorted: {a} and {v} are not lines side by side", hint="they differ in the last axis only"
        )
    return v.with_dtype(np.dtype(np.int64))


def _searchsorted_eval(a: np.ndarray, v: np.ndarray, side: Literal["left", "right"]) -> np.ndarray:
    a, v = [x.astype(np.float32) if x.dtype == BFLOAT16 else x for x in (a, v)]
    found = np.zeros(v.shape, np.int64)
    for line in np.ndindex(v.shape[:-1]):
        found[line] = np.searchsorted(a[line], v[line], side)
    return found


def _searchsorted_batch(batched: tuple[bool, ...], a: Value, v: Value, *, side: str) -> Value:
    """A batch of v in one a is one longer line of v, so that a is not repeated."""
    if batched[0]:
        return searchsorted(a, v if batched[1] else repeat_leading(v, a.shape[0]), side=side)
    size, *lines, m = v.shape
    last = v.ndim - 1
    inward = (*range(1, last), 0, last)
    long = reshape(transpose(v, axes=inward), shape=(*lines, size * m))
    found = reshape(searchsorted(a, long, side=side), shape=(*lines, size, m))
    return transpose(found, axes=inverse_order(inward))


searchsorted: Primitive = Primitive(
    "searchsorted",
    type=_searchsorted_type,
    eval=_searchsorted_eval,
    vjp=NoGradient("its result is an integer"),
    batch=_searchsorted_batch,
)
"""How many elements of the ascending lines of a (the last axis) are less than each element of the lines of v, for side
"left"; for "right", how many are not greater. NaNs are equal, and greater than all numbers."""
