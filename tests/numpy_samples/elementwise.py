"""Functions that work element by element, compare, or ask what an array is."""

from __future__ import annotations

import numpy as np

from tests.agreement import MASK, M, N, V
from tests.numpy_samples.making import row

BYTES = np.array([1, 128, 77], np.uint8)

ROWS = [
    row("subtract.outer", lambda x, y: np.subtract.outer(x, y), V, M),
    row("clip", lambda x: np.clip(x, -0.5, 0.6), M),
    row("clip", lambda x: x.clip(max=0.2), M),
    row("where", lambda x, y: np.where(x > y, x, y * 2), M, N),
    row("where", lambda x: np.where(x > 0, x, 0), M),
    row("where", lambda x, v: np.where(v > 0, x, v), M, V),
    row("select", lambda x: np.select([x > 1, x > 0], [x * x, -x], 7.0), M),
    row("round", lambda x: np.round(x, 2) + 0 * x, M + 0.001, smooth=False),
    row("nan_to_num", lambda x: np.nan_to_num(np.where(MASK, x, np.nan)), M),
    row("angle", lambda x: np.angle(x * 1.0), M),
    row("real", lambda x: np.real(x), M),
    row("astype", lambda x: x.astype(np.float64) * 2, M),
    row("isclose", lambda x: np.isclose(x, x + 1e-9), M, smooth=False),
    row("allclose", lambda x: np.allclose(x, x + 1), M, smooth=False),
    row("array_equal", lambda x: np.array_equal(x, x), M, smooth=False),
    row("array_equal", lambda x: np.array_equal(x, x[0]), M, smooth=False),
    row("round", lambda x: np.round((x * 99).astype(int), -1), M, smooth=False),
    row("add", lambda x: np.add(x, 1, dtype=np.float32), M, smooth=False),
    row("less", lambda x: [x < 0, x <= 0, x > 0, x >= 0, x == 0, x != 0], M, smooth=False),
    row("shape", lambda x: [np.shape(x), np.ndim(x), np.size(x), np.size(x, 1), len(x)], M, smooth=False),
    row("result_type", lambda x: x.astype(np.result_type(x, np.float32)), M, smooth=False),
    row("astype", lambda x: x.astype("int16"), M, smooth=False),
    row("round", lambda x: [abs(x), np.round(x, 1), +x, -x, ~(x > 0)], M, smooth=False),
    row("around", lambda x: np.around(x, 1), M, smooth=False, narrow=False),
    row("imag", lambda x: np.imag(x * (2 + 1j)), M),
    row("real", lambda x: np.real(x * (2 + 1j)), M),
    row("angle", lambda x: [np.angle(x + 2j), np.angle(x + 2j, deg=True)], M),
    row("iscomplexobj", lambda x: [np.iscomplexobj(x), np.iscomplexobj(x * 1j)], M, smooth=False, compiled=False),
    row("isrealobj", lambda x: [np.isrealobj(x), np.isrealobj(x * 1j)], M, smooth=False, compiled=False),
    row("isposinf", lambda x: np.isposinf(x / np.array([0.0, 1.0, 2.0, 0.0])), M, smooth=False),
    row("isneginf", lambda x: np.isneginf(x / np.array([0.0, 1.0, 2.0, 0.0])), M, smooth=False),
    row("isreal", lambda x: np.isreal(np.where(x > 0, x, x * 1j)), M, smooth=False),
    row("ndim", lambda x: [np.ndim(x), np.ndim(x[0])], M, smooth=False, compiled=False),
    row("size", lambda x: [np.size(x), np.size(x, axis=1)], M, smooth=False, compiled=False),
    row("sinc", lambda x: np.sinc(x), M),
    row("iscomplex", lambda x: [np.iscomplex(x), np.iscomplex(np.where(x > 0, x, x * 1j))], M, smooth=False),
    row("fix", lambda x: np.fix(x * 3), M, smooth=False, narrow=False),
    row("array_equiv", lambda x: [np.array_equiv(x, x[None]), np.array_equiv(x, x[:, :2])], M, smooth=False),
    row(
        "can_cast",
        lambda x: [np.can_cast(x, np.float32), np.can_cast(x, "c16")],
        M,
        smooth=False,
        compiled=False,
        narrow=False,
    ),
    row("common_type", lambda x: x.astype(np.common_type(x, x.astype(np.complex64))), M, narrow=False),
    row("promote_types", lambda x: x.astype(np.promote_types(np.float64, "c8")), M, narrow=False),
    row("isdtype", lambda x: np.isdtype(x.dtype, "real floating"), M, smooth=False, compiled=False, narrow=False),
    row("issubdtype", lambda x: np.issubdtype(x.dtype, np.floating), M, smooth=False, compiled=False, narrow=False),
    row("isscalar", lambda x: [np.isscalar(x), np.isscalar(2.0)], M, smooth=False, compiled=False),
    row("iterable", lambda x: [np.iterable(x), np.iterable(x[0, 0] + 0)], M, smooth=False, compiled=False),
    row("mintypecode", lambda x: x.astype(np.mintypecode(["f", "d"])), M, narrow=False),
    row("broadcast_shapes", lambda x: np.broadcast_shapes(x.shape, (5, 1, 1)), M, smooth=False, compiled=False),
    row("packbits", lambda x: [np.packbits(x > 0), np.packbits(x > 0, axis=0, bitorder="little")], M, smooth=False),
    row("unpackbits", lambda n: [np.unpackbits(n), np.unpackbits(n, bitorder="little", count=11)], BYTES, smooth=False),
    row("unpackbits", lambda n: np.unpackbits(n[:, None], axis=1, count=-3), BYTES, smooth=False),
    row("unpackbits", lambda n: np.unpackbits(n[None], axis=0, count=10), BYTES, smooth=False),
    row("i0", lambda x: np.i0(x), M),
]
