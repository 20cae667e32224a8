"""Functions that join arrays and take them apart."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.agreement import M, N, T, V
from tests.numpy_samples.making import row


def _quietly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Without NumPy's warning that the function is deprecated."""

    def call(*args: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*args)

    return call


ROWS = [
    row("concatenate", lambda x, y: np.concatenate([x, y]), M, N),
    row("concatenate", lambda x, y: np.concatenate((x, y), axis=-1), M, N),
    row("concatenate", lambda x, v: np.concatenate([x, v], axis=None), M, V),
    row("stack", lambda x, y: np.stack([x, y], axis=-1), M, N),
    row("stack", lambda x: np.stack([x[0], 1.0, x[1]]), V),
    row("hstack", lambda x, y: np.hstack([x, y]), M, N),
    row("vstack", lambda x, v: np.vstack([x, v]), M, V),
    row("dstack", lambda x, y: np.dstack([x, y]), M, N),
    row("column_stack", lambda x, v: np.column_stack([x, v]), M.T, V),
    row("append", lambda x, v: np.append(x, v), M, V),
    row("block", lambda x, y: np.block([[x, y], [y, x]]), M, N),
    row("split", lambda x: np.split(x, 2, axis=1), M),
    row("split", lambda x: np.split(x, [1, 3], axis=1), M),
    row("array_split", lambda x: np.array_split(x, 3, axis=1), M),
    row("hsplit", lambda x: np.hsplit(x, 2), M),
    row("vsplit", lambda x: np.vsplit(x, 3), M),
    row("unstack", lambda x: np.unstack(x, axis=1), M),
    row("dsplit", lambda x: np.dsplit(x, 2), T),
]
if hasattr(np, "row_stack"):  # deprecated
    ROWS.append(row("row_stack", lambda x, v: _quietly(np.row_stack)([x, v]), M, V))
