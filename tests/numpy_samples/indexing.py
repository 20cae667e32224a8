"""Functions that pick elements by position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import lilith
from tests.agreement import K, M, N, S, V
from tests.numpy_samples.making import row

ORDER = np.argsort(M, 1)
POSITIONS = np.array([[0, 3, 0], [1, 0, 2]])


def _sized(function: Any) -> Callable[..., Any]:
    """A function whose result is as long as there are positions; lilith.numpy's takes their number."""
    ours = getattr(lilith.numpy, function.__name__)
    return lambda x: ours(x, size=3) if isinstance(x, lilith.Tracer) else function(x)


def _changed(function: Any, x: Any, *args: Any, **options: Any) -> Any:
    """x after a function that changes it; lilith.numpy's gives it back."""
    if isinstance(x, lilith.Tracer):
        return getattr(lilith.numpy, function.__name__)(x, *args, **options)
    y = np.array(x)
    function(y, *args, **options)
    return y


ROWS = [
    row("take", lambda x: [np.take(x, [0, 2], axis=1), x.take(5), np.take(x, 1, axis=0)], M),
    row("diag_indices", lambda x: x * np.diag_indices(4)[0], M),
    row("diag_indices_from", lambda x: np.diag_indices_from(x), S, smooth=False, compiled=False),
    row("tril_indices", lambda x: x + np.tril_indices(3, -1)[0][:, None], M),
    row("triu_indices", lambda x: x + np.triu_indices(3, 1)[0][:, None], M),
    row("tril_indices_from", lambda x: np.tril_indices_from(x, 1), M, smooth=False, compiled=False),
    row("triu_indices_from", lambda x: np.triu_indices_from(x, -1), M, smooth=False, compiled=False),
    row("mask_indices", lambda x: x + np.mask_indices(3, np.triu, 1)[0][:, None], M),
    row(
        "ravel_multi_index",
        lambda i, j: np.ravel_multi_index((i, j), (9, 5)),
        np.array([1, 8]),
        np.array([0, 4]),
        smooth=False,
    ),
    row("ravel_multi_index", lambda i: np.ravel_multi_index((i, 2 * i), (3, 4), "wrap", "F"), K, smooth=False),
    row("ravel_multi_index", lambda i: np.ravel_multi_index((i, i), (3, 4), mode=("clip", "wrap")), K, smooth=False),
    row("take_along_axis", lambda x: np.take_along_axis(x, ORDER, axis=1), M),
    row("choose", lambda x, y: np.choose([0, 1, 1, 0], [x, y]), V, M),
    row("compress", lambda x: [np.compress([0, 1, 1], x, axis=0), x.compress([True, False, True])], M),
    row("extract", lambda x: np.extract(np.arange(12) % 5 > 2, x), M),
    row("delete", lambda x: [np.delete(x, 1), np.delete(x, [0, -1], axis=1)], M),
    row("insert", lambda x, v: [np.insert(x, 1, v, axis=0), np.insert(x, [1, 5], 7.0)], M, V),
    row("ix_", lambda x: x[np.ix_([2, 0], [1, 1, 3])], M),
    row("unravel_index", lambda i: np.unravel_index(i, (3, 4)), np.array([[1, 7], [11, 0]])),
    row("apply_along_axis", lambda x: np.apply_along_axis(lambda v: v * v[0], 1, x), M),
    row("piecewise", lambda x: np.piecewise(x, [x < 0, x > 1], [lambda v: v * v, 2.0, np.exp]), M),
    row("argwhere", lambda x: _sized(np.argwhere)(x), POSITIONS, smooth=False),
    row("flatnonzero", lambda x: _sized(np.flatnonzero)(x), POSITIONS, smooth=False),
    row("nonzero", lambda x: _sized(np.nonzero)(x), POSITIONS, smooth=False),
    row("put", lambda x, v: _changed(np.put, x, [0, 5, -1], v), M, V[:3]),
    row("put_along_axis", lambda x, v: _changed(np.put_along_axis, x, ORDER[:, :2], v, 1), M, N[:, :2]),
    row("place", lambda x, v: _changed(np.place, x, M > 0.1, v), M, V),
    row("putmask", lambda x, v: _changed(np.putmask, x, M > 0.1, v), M, V),
    row("copyto", lambda x, v: _changed(np.copyto, x, v, where=M > 0.1), M, V),
    row("fill_diagonal", lambda x: _changed(np.fill_diagonal, x, 2.0), M),
]
