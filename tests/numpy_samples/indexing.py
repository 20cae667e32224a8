"""Functions that pick and write elements by position.

Those that NumPy lets change an array in place are here as lilith.numpy has them: they return the new array.
"""

from __future__ import annotations

import numpy as np

import lilith.numpy as lnp
from tests.agreement import M, T, V
from tests.numpy_samples.making import row

I = np.array([[2, 0, -1]])  # noqa: E741
ORDER = np.argsort(-T, 1)
A = np.array

TAKING = [
    row("take", lambda x: [np.take(x, [0, 2], axis=1), x.take(5), np.take(x, 1, axis=0)], M),
    row("take", lambda x: [x.take([[0, -1]], 1), np.take(x, [], 0), np.take(x, [True, False], 2)], T),
    row("take", lambda x: [np.take(x, [9, -9], 1, mode="clip"), x.take([7, -5], mode="wrap")], T),
    row("take", lambda x, i: np.take(x, i, -1), M, I),
    row("take_along_axis", lambda x, i: np.take_along_axis(x, i, 1), T, ORDER),
    row("take_along_axis", lambda x: np.take_along_axis(x, A([[[1], [-1]]]), axis=2), T[:, :2]),
    row("take_along_axis", lambda x: np.take_along_axis(x, np.zeros((5, 2), int), 1), M[:1]),
    row("take_along_axis", lambda x, i: np.take_along_axis(x, i, None), M, A([5, -1, 0, 5])),
    row("choose", lambda x, y: np.choose(A([0, 1, 2, 1]), [x, y, 3.0]), V, M),
    row("choose", lambda x: np.choose([2, 0, 1, 1], x), M),
    row("choose", lambda x: [np.choose([5, -1, 1, 3], x, mode=mode) for mode in ("wrap", "clip")], M),
    row("choose", lambda i: np.choose(i, [10, 20, 30]), A([0, 2, 1], "u1"), smooth=False),
    row("choose", lambda i, x: np.choose(i, x), A([0, 39, 17]), np.linspace(-1, 1, 120).reshape(40, 3)),
    row("compress", lambda x: [x.compress([True, False, True], axis=1), np.compress([0, 1, 1], x)], T),
    row("extract", lambda x: np.extract(np.arange(24) % 5 > 2, x), T),
    row("delete", lambda x: [np.delete(x, 1), np.delete(x, [0, -1], 2)], T),
    row("delete", lambda x: [np.delete(x, slice(1), 1), np.delete(x, [True, False], 0)], T),
    row("insert", lambda x, y: [np.insert(x, 1, y[:, 0], axis=1), np.insert(x, [0, 3], y[1], axis=0)], M, T[1]),
    row("insert", lambda x: [np.insert(x, 2, 7.0), np.insert(x, [1, 1, -1], [1.0, 2.0, 3.0])], M),
    row("insert", lambda x, y: np.insert(x, slice(0, 2), y[:, :2], axis=1), M, T[1]),
    row("insert", lambda x: np.insert(x, 1, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], axis=1), M),
    row("insert", lambda x: np.insert(x, [1], [[1.0], [2.0], [3.0]], axis=1), M),
    row("insert", lambda x: np.insert(x, A([True, False, True]), 0.5, axis=0), M),
    row("resize", lambda x: [np.resize(x, (5, 7)), np.resize(x, 3), np.resize(x, (0, 2))], M),
    row("ix_", lambda x: x[np.ix_([1, 0], [2, 2], A([True, False, True, True]))], T),
    row("ix_", lambda i, x: [*np.ix_(i, [2, 0]), x[np.ix_(i, [2, 0])]], A([1, 2]), M),
    row("diag_indices_from", lambda x: x[np.diag_indices_from(x)], M[:, :3]),
    row("tril_indices_from", lambda x: x[np.tril_indices_from(x, -1)], M),
    row("triu_indices_from", lambda x: x[np.triu_indices_from(x)], M),
    row("unravel_index", lambda i: np.unravel_index(i, (2, 3, 4)), A([[0, 23], [7, 13]]), smooth=False),
    row("unravel_index", lambda i: np.unravel_index(i, (2, 3, 4), order="F"), A([0, 23, 7]), smooth=False),
    row("ravel_multi_index", lambda i, j: np.ravel_multi_index((i, j), (4, 5)), A([0, 3]), A([4, 2]), smooth=False),
    row(
        "ravel_multi_index",
        lambda i, j: np.ravel_multi_index((i, j), (4, 5), mode=("wrap", "clip"), order="F"),
        A([-1, 9, 1]),
        A([-4, 9, 0]),
        smooth=False,
    ),
]

APPLYING = [
    row("apply_along_axis", lambda x, y: np.apply_along_axis(lambda v: v * v[0] + y[1], 1, x), T, V[:3]),
    row("apply_along_axis", lambda x: np.apply_along_axis(np.sum, 0, x), T),
    row("apply_along_axis", lambda x: np.apply_along_axis(lambda v: np.stack([v, 2 * v]), 2, x), T),
    row("apply_along_axis", lambda i: np.apply_along_axis(lambda v: v[::-1] * 2, 0, i), ORDER[0], smooth=False),
    row("apply_over_axes", lambda x: np.apply_over_axes(np.sum, x, [0, -1]), T),
    row("piecewise", lambda x: np.piecewise(x, [x < -0.5, x > 0.5], [lambda v: v * v, 2.0, np.exp]), M),
    row("piecewise", lambda x: np.piecewise(x, [x > 0], [np.sqrt, 0.0]), M),
    row("piecewise", lambda v: np.piecewise(v, v > 0, [lambda u, k: k * u, 0.5], 3.0), V),
]

WRITING = [
    row("put_along_axis", lambda x, y: lnp.put_along_axis(x, ORDER[0, :, ::2], y, 1), M, M[:, 1:3]),
    row("put_along_axis", lambda x: lnp.put_along_axis(x, I.T, 7.0, -1), M),
    row("put_along_axis", lambda x, v: lnp.put_along_axis(x, A([0, 5, -1]), v, None), M, V[:3]),
    row("put_along_axis", lambda x, v: lnp.put_along_axis(x, A([1, 2, 1, -2]), v, 0), V, M[0]),
    row("put", lambda x, v: [lnp.put(x, [0, -1, 3], v), lnp.put(x, A([[0, 1], [2, 0]]), v[:2])], M, V),
    row("put", lambda x, v: [lnp.put(x, [99, -99], v, mode) for mode in ("clip", "wrap")], M, V),
    row("put", lambda x: lnp.put(x, [], []), M),
    row("place", lambda x, v: [lnp.place(x, T > 0.3, v), lnp.place(x, T > 0.3, v[:1])], T, V),
    row("putmask", lambda x, v: [lnp.putmask(x, T > 0.3, x**2), lnp.putmask(x, T > 0.3, v)], T, V),
    row("copyto", lambda x, v: [lnp.copyto(x, v), lnp.copyto(x, 3.0, where=T[0] > 0)], T, V),
    row("fill_diagonal", lambda x: lnp.fill_diagonal(x, 3.0), M),
    row("fill_diagonal", lambda x, v: lnp.fill_diagonal(x, v, True), np.linspace(0, 1, 14).reshape(7, 2), V[:2]),
    row("fill_diagonal", lambda x, v: lnp.fill_diagonal(x, v), T[:, :2, :2], V[:2]),
]

POSITIONS = [
    row("nonzero", lambda x: lnp.nonzero(x > 0, size=5, fill_value=-1), M, smooth=False),
    row("nonzero", lambda x: x[lnp.nonzero(M > 0.2, size=9)], M),
    row("flatnonzero", lambda x: lnp.flatnonzero(x > 0, size=20), M, smooth=False),
    row("argwhere", lambda x: lnp.argwhere(x > 0, size=3), M, smooth=False),
]

STATIC = [
    row("diag_indices", lambda x: x * np.diag_indices(4)[0], M),
    row("tril_indices", lambda x: x + np.tril_indices(3, -1)[0][:, None], M),
    row("triu_indices", lambda x: x + np.triu_indices(3, 1)[0][:, None], M),
    row("mask_indices", lambda x: x + np.mask_indices(3, np.triu, 1)[0][:, None], M),
]

ROWS = TAKING + APPLYING + WRITING + POSITIONS + STATIC
