"""The order of elements.

One primitive: the permutation that sorts. Sorted values are a gather by it and their cotangent is a scatter, so that
everything made of sorting (sort, median, quantile, lexsort, ...) has sparse derivatives of any order.
"""

from __future__ import annotations

import numpy as np

from lilith.ir.graph import Value
from lilith.ir.primitive import NoGradient, Primitive
from lilith.ir.type import BFLOAT16, TensorType
from lilith.ops.elementwise import ORDERED, check_kind
from lilith.ops.shape import check_axes


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
