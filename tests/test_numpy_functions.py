"""Functions on tracers against NumPy itself: values, dtypes, shapes, derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.agreement import (
    BF16,
    MASK,
    M,
    N,
    S,
    T,
    V,
    agrees,
    check_gradient,
    evaluate,
    leaves,
)

# ---- functions ----------------------------------------------------------------------------------------------------


FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple]] = {
    "sum": (lambda x: np.sum(x), (M,)),
    "sum axis": (lambda x: np.sum(x, axis=-1), (T,)),
    "sum axes": (lambda x: np.sum(x, axis=(0, -1), keepdims=True), (T,)),
    "sum initial where": (lambda x: np.sum(x, axis=0, initial=2.0, where=MASK), (M,)),
    "sum method": (lambda x: x.sum(1), (M,)),
    "prod": (lambda x: np.prod(x, axis=1), (M,)),
    "prod where": (lambda x: np.prod(x, where=MASK), (M,)),
    "mean": (lambda x: np.mean(x, axis=0), (M,)),
    "mean all": (lambda x: x.mean(), (M,)),
    "mean where": (lambda x: np.mean(x, where=MASK), (M,)),
    "var": (lambda x: np.var(x, axis=1, ddof=1), (M,)),
    "var keepdims": (lambda x: np.var(x, axis=1, keepdims=True), (M,)),
    "std": (lambda x: np.std(x, axis=(0, 2)), (T,)),
    "average": (lambda x, w: np.average(x, axis=1, weights=w), (M, V**2)),
    "average full": (lambda x, w: np.average(x, weights=w**2), (M, N)),
    "average returned": (lambda x: np.average(x, axis=0, returned=True), (M,)),
    "max": (lambda x: np.max(x, axis=1), (M,)),
    "max initial": (lambda x: np.max(x, axis=1, initial=0.1), (M,)),
    "max where": (lambda x: np.max(x, axis=1, initial=-9.0, where=MASK), (M,)),
    "min": (lambda x: x.min(), (M,)),
    "ptp": (lambda x: np.ptp(x, axis=0), (M,)),
    "cumsum": (lambda x: np.cumsum(x), (M,)),
    "cumsum axis": (lambda x: np.cumsum(x, axis=1), (M,)),
    "cumprod": (lambda x: np.cumprod(x, axis=1), (M,)),
    "cumulative_sum": (lambda x: np.cumulative_sum(x, axis=0, include_initial=True), (M,)),
    "cumulative_prod": (lambda x: np.cumulative_prod(x), (V,)),
    "maximum.accumulate": (lambda x: np.maximum.accumulate(x, axis=1), (M,)),
    "logaddexp.reduce": (lambda x: np.logaddexp.reduce(x, axis=1), (M,)),
    "logaddexp.accumulate": (lambda x: np.logaddexp.accumulate(x, axis=0), (M,)),
    "hypot.reduce": (lambda x: np.hypot.reduce(x), (M,)),
    "add.reduce": (lambda x: np.add.reduce(x), (M,)),
    "multiply.reduce": (lambda x: np.multiply.reduce(x, axis=(0, 1)), (M,)),
    "subtract.outer": (lambda x, y: np.subtract.outer(x, y), (V, M)),
    "nansum": (lambda x: np.nansum(np.where(MASK, x, np.nan), axis=1), (M,)),
    "nanmean": (lambda x: np.nanmean(np.where(MASK, x, np.nan)), (M,)),
    "nanvar": (lambda x: np.nanvar(np.where(MASK, x, np.nan)), (M,)),
    "nanstd": (lambda x: np.nanstd(np.where(MASK, x, np.nan)), (M,)),
    "nanprod": (lambda x: np.nanprod(np.where(MASK, x, np.nan), axis=0), (M,)),
    "nanmax": (lambda x: np.nanmax(np.where(MASK, x, np.nan), axis=0), (M,)),
    "nanmin": (lambda x: np.nanmin(np.where(MASK, x, np.nan)), (M,)),
    "clip": (lambda x: np.clip(x, -0.5, 0.6), (M,)),
    "clip method": (lambda x: x.clip(max=0.2), (M,)),
    "where": (lambda x, y: np.where(x > y, x, y * 2), (M, N)),
    "where scalar": (lambda x: np.where(x > 0, x, 0), (M,)),
    "where broadcast": (lambda x, v: np.where(v > 0, x, v), (M, V)),
    "select": (lambda x: np.select([x > 1, x > 0], [x * x, -x], 7.0), (M,)),
    "concatenate": (lambda x, y: np.concatenate([x, y]), (M, N)),
    "concatenate axis": (lambda x, y: np.concatenate((x, y), axis=-1), (M, N)),
    "concatenate flat": (lambda x, v: np.concatenate([x, v], axis=None), (M, V)),
    "stack": (lambda x, y: np.stack([x, y], axis=-1), (M, N)),
    "stack numbers": (lambda x: np.stack([x[0], 1.0, x[1]]), (V,)),
    "hstack": (lambda x, y: np.hstack([x, y]), (M, N)),
    "vstack": (lambda x, v: np.vstack([x, v]), (M, V)),
    "dstack": (lambda x, y: np.dstack([x, y]), (M, N)),
    "column_stack": (lambda x, v: np.column_stack([x, v]), (M.T, V)),
    "append": (lambda x, v: np.append(x, v), (M, V)),
    "block": (lambda x, y: np.block([[x, y], [y, x]]), (M, N)),
    "reshape": (lambda x: np.reshape(x, (2, -1)), (M,)),
    "reshape F": (lambda x: np.reshape(x, (4, 3), order="F"), (M,)),
    "reshape method": (lambda x: x.reshape(6, 2), (M,)),
    "ravel": (lambda x: np.ravel(x), (M,)),
    "ravel F": (lambda x: x.ravel(order="F"), (M,)),
    "flatten": (lambda x: x.flatten(), (M,)),
    "transpose": (lambda x: np.transpose(x, (1, 2, 0)), (T,)),
    "transpose method": (lambda x: x.transpose(2, 0, 1), (T,)),
    "T": (lambda x: x.T, (T,)),
    "mT": (lambda x: x.mT, (T,)),
    "permute_dims": (lambda x: np.permute_dims(x, (2, 1, 0)), (T,)),
    "swapaxes": (lambda x: np.swapaxes(x, 0, -1), (T,)),
    "moveaxis": (lambda x: np.moveaxis(x, 0, -1), (T,)),
    "moveaxis many": (lambda x: np.moveaxis(x, (0, 1), (-1, 0)), (T,)),
    "rollaxis": (lambda x: np.rollaxis(x, 2), (T,)),
    "squeeze": (lambda x: np.squeeze(x[None, :, None]), (M,)),
    "squeeze axis": (lambda x: np.squeeze(x[None, :, None], axis=0), (M,)),
    "expand_dims": (lambda x: np.expand_dims(x, (0, -1)), (M,)),
    "broadcast_to": (lambda v: np.broadcast_to(v, (2, 3, 4)), (V,)),
    "broadcast_arrays": (lambda x, v: np.broadcast_arrays(x, v), (M, V)),
    "atleast_2d": (lambda v: np.atleast_2d(v), (V,)),
    "atleast_3d": (lambda x, v: np.atleast_3d(x, v), (M, V)),
    "flip": (lambda x: np.flip(x), (M,)),
    "flip axis": (lambda x: np.flip(x, 1), (M,)),
    "fliplr": (lambda x: np.fliplr(x), (M,)),
    "flipud": (lambda x: np.flipud(x), (M,)),
    "rot90": (lambda x: [np.rot90(x, k) for k in range(4)], (M,)),
    "roll": (lambda x: np.roll(x, 5), (M,)),
    "roll axes": (lambda x: np.roll(x, (1, -2), axis=(0, 1)), (M,)),
    "tile": (lambda x: np.tile(x, (2, 1, 3)), (M,)),
    "tile short": (lambda x: np.tile(x, 2), (T,)),
    "repeat": (lambda x: np.repeat(x, 2, axis=1), (M,)),
    "repeat flat": (lambda x: x.repeat(3), (M,)),
    "repeat counts": (lambda v: np.repeat(v, [1, 0, 2, 1]), (V,)),
    "split": (lambda x: np.split(x, 2, axis=1), (M,)),
    "split at": (lambda x: np.split(x, [1, 3], axis=1), (M,)),
    "array_split": (lambda x: np.array_split(x, 3, axis=1), (M,)),
    "hsplit": (lambda x: np.hsplit(x, 2), (M,)),
    "vsplit": (lambda x: np.vsplit(x, 3), (M,)),
    "unstack": (lambda x: np.unstack(x, axis=1), (M,)),
    "pad": (lambda x: np.pad(x, ((1, 2), (0, 3))), (M,)),
    "pad value": (lambda v: np.pad(v, 2, constant_values=1.5), (V,)),
    "pad values": (lambda v: np.pad(v, (1, 2), constant_values=(1.5, 2.5)), (V,)),
    "pad edge": (lambda x: np.pad(x, 2, mode="edge"), (M,)),
    "pad reflect": (lambda x: np.pad(x, 2, mode="reflect"), (M,)),
    "pad symmetric": (lambda x: np.pad(x, (1, 2), mode="symmetric"), (M,)),
    "pad wrap": (lambda x: np.pad(x, 2, "wrap"), (M,)),
    "tril": (lambda x: np.tril(x, -1), (T,)),
    "triu": (lambda x: np.triu(x, 1), (M,)),
    "diag": (lambda v: [np.diag(v, k) for k in (0, 1, -2)], (V,)),
    "diag of matrix": (lambda x: [np.diag(x, k) for k in (0, 2, -1)], (M,)),
    "diagonal": (lambda x: np.diagonal(x, 1, 0, 2), (T,)),
    "trace": (lambda x: np.trace(x), (S,)),
    "trace method": (lambda x: x.trace(offset=1), (M,)),
    "dot": (lambda x, y: np.dot(x, y), (M, N.T)),
    "dot nd": (lambda x, y: np.dot(x, y), (T, T.transpose(0, 2, 1))),
    "dot method": (lambda x, v: x.dot(v), (M, V)),
    "matmul": (lambda x, y: x @ y, (M, N.T)),
    "matmul vector": (lambda x, v: x @ v, (M, V)),
    "vector matmul": (lambda v, x: v @ x, (V, M.T)),
    "vector vector": (lambda v, w: v @ w, (V, V + 1)),
    "matmul batch": (lambda x, y: x @ y, (T, T.transpose(0, 2, 1))),
    "matmul broadcast": (lambda x, y: x @ y, (T[:, None], T.transpose(0, 2, 1))),
    "matrix times stack": (lambda x, y: x @ y, (M.T, T)),
    "stack times matrix": (lambda x, y: x @ y, (T, M.T)),
    "vector times stack": (lambda x, y: x @ y, (V[:3], T)),
    "vecdot": (lambda x, y: np.vecdot(x, y), (T, M)),
    "inner": (lambda x, y: np.inner(x, y), (M, T)),
    "outer": (lambda x, y: np.outer(x, y), (V, M)),
    "vdot": (lambda x, y: np.vdot(x, y), (M, N)),
    "tensordot": (lambda x, y: np.tensordot(x, y, axes=([1, 2], [0, 1])), (T, M)),
    "tensordot n": (lambda x, y: np.tensordot(x, y, 1), (T, M.T)),
    "kron": (lambda x, y: np.kron(x, y), (M, S)),
    "kron vector": (lambda v, x: np.kron(v, x), (V, M)),
    "multi_dot": (lambda x, y, v: np.linalg.multi_dot([x, y.T, x, v]), (M, N, V)),
    "multi_dot vectors": (lambda v, x, w: np.linalg.multi_dot([v, x, w]), (V[:3], M, V)),
    "matrix_power": (lambda x: [np.linalg.matrix_power(x, n) for n in (0, 1, 2, 5)], (S,)),
    "norm": (lambda x: np.linalg.norm(x), (M,)),
    "norm axis": (lambda x: np.linalg.norm(x, axis=1, keepdims=True), (M,)),
    "norm 1": (lambda v: np.linalg.norm(v, 1), (V,)),
    "norm inf": (lambda x: np.linalg.norm(x, np.inf, axis=0), (M,)),
    "norm -inf": (lambda x: np.linalg.norm(x, -np.inf, axis=0), (M,)),
    "norm 3": (lambda x: np.linalg.norm(x, 3, axis=0), (M,)),
    "norm fro": (lambda x: np.linalg.norm(x, "fro"), (M,)),
    "norm matrix 1": (lambda x: np.linalg.norm(x, 1), (M,)),
    "norm matrix inf": (lambda x: np.linalg.norm(x, np.inf, axis=(2, 0)), (T,)),
    "vector_norm": (lambda x: np.linalg.vector_norm(x, axis=(0, 1)), (T,)),
    "matrix_norm": (lambda x: np.linalg.matrix_norm(x), (T,)),
    "diff": (lambda x: np.diff(x, 2), (M,)),
    "diff prepend": (lambda x: np.diff(x, axis=0, prepend=0.0, append=x[:1]), (M,)),
    "trapezoid": (lambda y, x: np.trapezoid(y, x), (M, V)),
    "trapezoid dx": (lambda y: np.trapezoid(y, dx=0.5, axis=0), (M,)),
    "polyval": (lambda p, x: np.polyval(p, x), (V, M)),
    "cross": (lambda x, y: np.cross(x, y), (S, S + 1)),
    "cross axis": (lambda x, y: np.cross(x, y, axis=0), (M, N)),
    "meshgrid": (lambda x, y: np.meshgrid(x, y), (V, V[:3])),
    "meshgrid ij": (lambda x, y: np.meshgrid(x, y, indexing="ij", sparse=True), (V, V[:3])),
    "round": (lambda x: np.round(x, 2) + 0 * x, (M + 0.001,)),
    "nan_to_num": (lambda x: np.nan_to_num(np.where(MASK, x, np.nan)), (M,)),
    "linspace": (lambda x: np.linspace(x[0], x[1], 5), (V,)),
    "linspace open": (lambda x: np.linspace(0, x, 4, endpoint=False, axis=1), (V,)),
    "angle": (lambda x: np.angle(x * 1.0), (M,)),
    "real": (lambda x: np.real(x), (M,)),
    "astype": (lambda x: x.astype(np.float64) * 2, (M,)),
    "copy": (lambda x: np.copy(x) + x.copy(), (M,)),
    "like": (lambda x: np.ones_like(x) * 2 + np.zeros_like(x) + np.full_like(x, 3) + x, (M,)),
    "like shape": (lambda x: np.ones_like(x, shape=(2, 2)) + x[:2, :2], (M,)),
    "take": (lambda x: [np.take(x, [0, 2], axis=1), x.take(5), np.take(x, 1, axis=0)], (M,)),
    "einsum matmul": (lambda x, y: np.einsum("ij,kj->ik", x, y), (M, N)),
    "einsum implicit": (lambda x, y: np.einsum("ij,kj", x, y), (M, N)),
    "einsum trace": (lambda x: np.einsum("ii", x), (S,)),
    "einsum diagonal": (lambda x: np.einsum("ii->i", x), (S,)),
    "einsum sum": (lambda x: np.einsum("ijk->j", x), (T,)),
    "einsum transpose": (lambda x: np.einsum("ijk->kij", x), (T,)),
    "einsum batch": (lambda x, y: np.einsum("bij,bkj->bik", x, y), (T, T + 1)),
    "einsum ellipsis": (lambda x, y: np.einsum("...ij,...j->...i", x, y), (T, T[:, 0])),
    "einsum outer": (lambda v, w: np.einsum("i,j->ji", v, w), (V, V[:3])),
    "einsum elementwise": (lambda x, y: np.einsum("ij,ij->ij", x, y), (M, N)),
    "einsum chain": (lambda x, y, v: np.einsum("ij,kj,k->i", x, y, v), (M, N, V[:3])),
    "einsum four": (lambda x, y, s, v: np.einsum("ij,kj,kl,j->il", x, y, s, v), (M, N, S, V)),
    "einsum diagonal times": (lambda s, v: np.einsum("ii,i->i", s, v), (S, V[:3])),
    "einsum lists": (lambda x, y: np.einsum(x, [0, 1], y, [2, 1], [0, 2]), (M, N)),
    "einsum ones": (lambda x, y: np.einsum("ij,ij->i", x, y), (M, N[:, :1])),
}  # fmt: skip

GRADIENT_FREE = {"round"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str) -> None:
    f, xs = FUNCTIONS[name]
    agrees(f, *xs)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_in_float32(name: str) -> None:
    f, xs = FUNCTIONS[name]
    agrees(f, *[x.astype(np.float32) for x in xs], tolerance=1e-4)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in GRADIENT_FREE])
def test_gradient_of_function(name: str) -> None:
    f, xs = FUNCTIONS[name]

    def total(*ts: Any) -> Any:
        """A sum with different weights, so that misplaced cotangents are seen."""
        parts = [np.ravel(y) for y in leaves(f(*ts))]
        return sum(np.sum(np.sin(p) * np.linspace(1, 2, p.size)) for p in parts)

    check_gradient(total, *xs, tolerance=1e-5)


STATIC = {
    "all": lambda x: np.all(x > 0, axis=1),
    "any": lambda x: (x > 0).any(),
    "argmax": lambda x: np.argmax(x),
    "argmax axis": lambda x: np.argmax(x, axis=1, keepdims=True),
    "argmin": lambda x: x.argmin(0),
    "count_nonzero": lambda x: np.count_nonzero(x > 0, axis=0),
    "isclose": lambda x: np.isclose(x, x + 1e-9),
    "allclose": lambda x: np.allclose(x, x + 1),
    "array_equal": lambda x: np.array_equal(x, x),
    "array_equal shapes": lambda x: np.array_equal(x, x[0]),
    "logical_and.reduce": lambda x: np.logical_and.reduce(x > 0),
    "logical_xor.reduce": lambda x: np.logical_xor.reduce(x > 0, axis=1),
    "logical_or.accumulate": lambda x: np.logical_or.accumulate(x > 0, axis=1),
    "bitwise_or.reduce": lambda x: np.bitwise_or.reduce((x * 9).astype(int)),
    "bitwise_and.reduce": lambda x: np.bitwise_and.reduce((x * 9).astype(int), axis=None),
    "bitwise_xor.accumulate": lambda x: np.bitwise_xor.accumulate((x * 9).astype(int)),
    "sum of bool": lambda x: np.sum(x > 0),
    "mean of bool": lambda x: np.mean(x > 0, axis=0),
    "sum of int8": lambda x: (x * 9).astype(np.int8).sum(),
    "sum of uint8": lambda x: (np.abs(x) * 9).astype(np.uint8).sum(0),
    "sum dtype": lambda x: np.sum(x, dtype=np.float32),
    "prod of int": lambda x: np.prod((x * 9).astype(np.int32), axis=0),
    "var of int": lambda x: np.var((x * 9).astype(np.int32)),
    "cumsum of bool": lambda x: np.cumsum(x > 0),
    "max of int": lambda x: np.max((x * 9).astype(np.int32)),
    "maximum.reduce": lambda x: np.maximum.reduce(x, axis=None, initial=0),
    "dot of int": lambda x: (x * 9).astype(int) @ (x * 9).astype(int).T,
    "dot of bool": lambda x: (x > 0) @ (x > 0).T,
    "round to tens": lambda x: np.round((x * 99).astype(int), -1),
    "norm 0": lambda x: np.linalg.norm(x, 0, axis=1),
    "dtype=": lambda x: np.add(x, 1, dtype=np.float32),
    "comparisons": lambda x: [x < 0, x <= 0, x > 0, x >= 0, x == 0, x != 0],
    "shape, ndim, size": lambda x: [np.shape(x), np.ndim(x), np.size(x), np.size(x, 1), len(x)],
    "result_type": lambda x: x.astype(np.result_type(x, np.float32)),
    "diff of bool": lambda x: np.diff(x > 0),
    "int astype": lambda x: x.astype("int16"),
    "linspace dtype": lambda x: np.linspace(x[0, 0], x[1, 1] * 20, 5, dtype=int),
    "abs round": lambda x: [abs(x), np.round(x, 1), +x, -x, ~(x > 0)],
    "iteration": lambda x: [row.sum() for row in x],
}


@pytest.mark.parametrize("name", STATIC)
def test_other_function(name: str) -> None:
    agrees(STATIC[name], M)


@pytest.mark.parametrize("dtype", [np.float16, BF16], ids=str)
def test_small_floats_are_summed_in_float32(dtype: Any) -> None:
    x = np.full(4096, 1.0, dtype)
    assert evaluate(lambda x: np.sum(x), x)[0] == 4096 and evaluate(lambda x: x.mean(), x)[0].dtype == dtype
    assert evaluate(lambda x: np.cumsum(x), x)[0][-1] == 4096
