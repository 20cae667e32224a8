"""Functions that move, repeat and pad elements."""

from __future__ import annotations

import numpy as np

from tests.agreement import M, T, V
from tests.numpy_samples.making import row

ROWS = [
    row("reshape", lambda x: np.reshape(x, (2, -1)), M),
    row("reshape", lambda x: np.reshape(x, (4, 3), order="F"), M),
    row("reshape", lambda x: x.reshape(6, 2), M),
    row("ravel", lambda x: np.ravel(x), M),
    row("ravel", lambda x: x.ravel(order="F"), M),
    row("ravel", lambda x: x.flatten(), M),
    row("transpose", lambda x: np.transpose(x, (1, 2, 0)), T),
    row("transpose", lambda x: x.transpose(2, 0, 1), T),
    row("transpose", lambda x: x.T, T),
    row("matrix_transpose", lambda x: x.mT, T),
    row("permute_dims", lambda x: np.permute_dims(x, (2, 1, 0)), T),
    row("swapaxes", lambda x: np.swapaxes(x, 0, -1), T),
    row("moveaxis", lambda x: np.moveaxis(x, 0, -1), T),
    row("moveaxis", lambda x: np.moveaxis(x, (0, 1), (-1, 0)), T),
    row("rollaxis", lambda x: np.rollaxis(x, 2), T),
    row("squeeze", lambda x: np.squeeze(x[None, :, None]), M),
    row("squeeze", lambda x: np.squeeze(x[None, :, None], axis=0), M),
    row("expand_dims", lambda x: np.expand_dims(x, (0, -1)), M),
    row("broadcast_to", lambda v: np.broadcast_to(v, (2, 3, 4)), V),
    row("broadcast_arrays", lambda x, v: np.broadcast_arrays(x, v), M, V),
    row("atleast_2d", lambda v: np.atleast_2d(v), V),
    row("atleast_3d", lambda x, v: np.atleast_3d(x, v), M, V),
    row("flip", lambda x: np.flip(x), M),
    row("flip", lambda x: np.flip(x, 1), M),
    row("fliplr", lambda x: np.fliplr(x), M),
    row("flipud", lambda x: np.flipud(x), M),
    row("rot90", lambda x: [np.rot90(x, k) for k in range(4)], M),
    row("roll", lambda x: np.roll(x, 5), M),
    row("roll", lambda x: np.roll(x, (1, -2), axis=(0, 1)), M),
    row("tile", lambda x: np.tile(x, (2, 1, 3)), M),
    row("tile", lambda x: np.tile(x, 2), T),
    row("repeat", lambda x: np.repeat(x, 2, axis=1), M),
    row("repeat", lambda x: x.repeat(3), M),
    row("repeat", lambda v: np.repeat(v, [1, 0, 2, 1]), V),
    row("pad", lambda x: np.pad(x, ((1, 2), (0, 3))), M),
    row("pad", lambda v: np.pad(v, 2, constant_values=1.5), V),
    row("pad", lambda v: np.pad(v, (1, 2), constant_values=(1.5, 2.5)), V),
    row("pad", lambda x: np.pad(x, 2, mode="edge"), M),
    row("pad", lambda x: np.pad(x, 2, mode="reflect"), M),
    row("pad", lambda x: np.pad(x, (1, 2), mode="symmetric"), M),
    row("pad", lambda x: np.pad(x, 2, "wrap"), M),
    row("tril", lambda x: np.tril(x, -1), T),
    row("triu", lambda x: np.triu(x, 1), M),
    row("diag", lambda v: [np.diag(v, k) for k in (0, 1, -2)], V),
    row("diag", lambda x: [np.diag(x, k) for k in (0, 2, -1)], M),
    row("diagonal", lambda x: np.diagonal(x, 1, 0, 2), T),
    row("atleast_1d", lambda x, v: np.atleast_1d(x[0], v), V, M),
    row("diagflat", lambda x: np.diagflat(x, 1), M[:2, :2]),
]
