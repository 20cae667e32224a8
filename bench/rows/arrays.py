"""Rows of arrays: reductions, statistics, cumulative, elementwise, products, shapes, indexing, sorting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from bench.rows import F32, F64, flags, group, increasing, integers, normal, uniform

# ---- reductions, statistics -----------------------------------------------------------------------------------------

add = group("reductions", F32, F64)
for _axis in (0, 1):
    for _name in ("sum", "max", "min"):
        add(
            f"{_name} 1000x10000 axis {_axis}",
            lambda np, n=_name, a=_axis: lambda x: getattr(np, n)(x, axis=a),
            normal(1000, 10000),
        )
add("max 1000000", lambda np: lambda x: np.max(x), normal(1000000))
add("abs max 1000000", lambda np: lambda x: np.max(np.abs(x)), normal(1000000))
add("ptp 1000x1000 axis 1", lambda np: lambda x: np.ptp(x, axis=1), normal(1000, 1000))
add("ptp 1000x1000 axis 0", lambda np: lambda x: np.ptp(x, axis=0), normal(1000, 1000))
add("prod 1000x1000 axis 0", lambda np: lambda x: np.prod(x, axis=0), uniform(0.9, 1.1, 1000, 1000))
add("prod 1000x1000 axis 1", lambda np: lambda x: np.prod(x, axis=1), uniform(0.9, 1.1, 1000, 1000))
add("argmax 1000x10000 axis 1", lambda np: lambda x: np.argmax(x, axis=1), normal(1000, 10000))
add("argmin 1000x10000 axis 0", lambda np: lambda x: np.argmin(x, axis=0), normal(1000, 10000))
add(
    "k-means: nearest of 50, 20000 points in 10-d",
    lambda np: lambda x, c: np.min(np.sum(x * x, 1)[:, None] - 2 * (x @ c.T) + np.sum(c * c, 1)[None, :], axis=1),
    normal(20000, 10),
    normal(50, 10),
)

add = group("statistics", F32, F64)
for _axis in (0, 1):
    for _name in ("mean", "var", "std"):
        add(
            f"{_name} 1000x1000 axis {_axis}",
            lambda np, n=_name, a=_axis: lambda x: getattr(np, n)(x, axis=a),
            normal(1000, 1000),
        )
add("average 1000x1000, weights", lambda np: lambda x, w: np.average(x, axis=1, weights=w),
    normal(1000, 1000), uniform(0.5, 1.5, 1000))  # fmt: skip
add("nanmean 1000x1000", lambda np: lambda x: np.nanmean(x, axis=1), normal(1000, 1000))
add("nanmax 1000x1000", lambda np: lambda x: np.nanmax(x, axis=1), normal(1000, 1000))
add("median 1000x1000 axis 1", lambda np: lambda x: np.median(x, axis=1), normal(1000, 1000))
add("quantile 1000x1000, three", lambda np: lambda x: np.quantile(x, np.array([0.1, 0.5, 0.9]), axis=1),
    normal(1000, 1000))  # fmt: skip
add("histogram 100000, 50 bins", lambda np: lambda x: np.histogram(x, bins=50, range=(-4.0, 4.0))[0], normal(100000))
add("histogram 100000, 50 bins, weights", lambda np: lambda w, x: np.histogram(x, bins=50, weights=w)[0],
    normal(100000), integers(100, 100000))  # fmt: skip
add("bincount 100000, weights", lambda xp: lambda i, w: xp.bincount(i, weights=w, length=100),
    integers(100, 100000), normal(100000),
    dtypes=(F64,))  # fmt: skip
add("nanmedian 1000x1000", lambda np: lambda x: np.nanmedian(x, axis=1), normal(1000, 1000))
add("cov 50x1000", lambda np: lambda x: np.cov(x), normal(50, 1000))

# ---- cumulative -----------------------------------------------------------------------------------------------------

add = group("cumulative", F32, F64)
for _name in ("cumsum", "cumprod"):
    _argument = normal if _name == "cumsum" else lambda *shape: uniform(0.9, 1.1, *shape)
    add(f"{_name} 100000", lambda np, n=_name: lambda x: getattr(np, n)(x), _argument(100000))
    for _axis in (0, 1):
        add(
            f"{_name} 1000x1000 axis {_axis}",
            lambda np, n=_name, a=_axis: lambda x: getattr(np, n)(x, axis=a),
            _argument(1000, 1000),
        )
add("maximum.accumulate 100000", lambda np: lambda x: np.maximum.accumulate(x), normal(100000),
    theirs=lambda: lambda x: jax.lax.cummax(x))  # fmt: skip
add("maximum.accumulate 1000x1000 axis 1", lambda np: lambda x: np.maximum.accumulate(x, axis=1), normal(1000, 1000),
    theirs=lambda: lambda x: jax.lax.cummax(x, axis=1))  # fmt: skip
add("logaddexp.accumulate 1000x1000 axis 1", lambda np: lambda x: np.logaddexp.accumulate(x, axis=1),
    normal(1000, 1000), theirs=lambda: lambda x: jax.lax.cumlogsumexp(x, axis=1))  # fmt: skip
add("diff 1000x1000", lambda np: lambda x: np.diff(x, axis=1), normal(1000, 1000))
add("gradient 1000x1000", lambda np: lambda x: np.gradient(x, axis=1), normal(1000, 1000))
add("trapezoid 1000x1000", lambda np: lambda x: np.trapezoid(x, axis=1), normal(1000, 1000))

# ---- elementwise ----------------------------------------------------------------------------------------------------

add = group("elementwise", F32, F64)
for _name in ("exp", "log", "sqrt", "sin", "tanh", "arctan", "cosh", "expm1", "log1p", "square", "reciprocal"):
    add(f"{_name} 1000000", lambda np, n=_name: lambda x: getattr(np, n)(x), uniform(0.1, 2.0, 1000000))
for _name in ("maximum", "minimum", "logaddexp", "hypot", "arctan2", "power", "copysign"):
    add(f"{_name} 1000000", lambda np, n=_name: lambda x, y: getattr(np, n)(x, y),
        uniform(0.1, 2.0, 1000000), uniform(0.1, 2.0, 1000000))  # fmt: skip
add("clip 1000000", lambda np: lambda x: np.clip(x, -1.0, 1.0), normal(1000000))
add("where 1000000", lambda np: lambda x: np.where(x > 0, np.sqrt(np.abs(x)), x), normal(1000000))
add("abs 1000000", lambda np: lambda x: np.abs(x), normal(1000000))
add("polyval degree 9, 100000", lambda np: lambda p, x: np.polyval(p, x), normal(10), uniform(-1, 1, 100000))

# ---- products -------------------------------------------------------------------------------------------------------

add = group("products", F32, F64)
add("matmul 500x500", lambda np: lambda a, b: a @ b, normal(500, 500), normal(500, 500))
add("matmul 1000x16x16", lambda np: lambda a, b: np.matmul(a, b), normal(1000, 16, 16), normal(1000, 16, 16))
add("matmul 4000x4x4", lambda np: lambda a, b: np.matmul(a, b), normal(4000, 4, 4), normal(4000, 4, 4))
add("matvec 2000x2000", lambda np: lambda a, b: a @ b, normal(2000, 2000), normal(2000))
add("outer 1000x1000", lambda np: lambda a, b: np.outer(a, b), normal(1000), normal(1000))
add("kron 30x30, 30x30", lambda np: lambda a, b: np.kron(a, b), normal(30, 30), normal(30, 30))
add("tensordot 30^3, 30^3", lambda np: lambda a, b: np.tensordot(a, b, axes=([1, 0], [0, 2])),
    normal(30, 30, 30), normal(30, 30, 30))  # fmt: skip
add("einsum ij,jk,kl->il 200", lambda np: lambda a, b, c: np.einsum("ij,jk,kl->il", a, b, c),
    normal(200, 200), normal(200, 200), normal(200, 200))  # fmt: skip
add("einsum ibj,jbk->ibk 64", lambda np: lambda a, b: np.einsum("ibj,jbk->ibk", a, b),
    normal(64, 64, 64), normal(64, 64, 64))  # fmt: skip
add("einsum bi,bi->b 1000x1000", lambda np: lambda a, b: np.einsum("bi,bi->b", a, b),
    normal(1000, 1000), normal(1000, 1000))  # fmt: skip
add("transpose and add 2000x2000", lambda np: lambda a, b: a.T + b, normal(2000, 2000), normal(2000, 2000))


def attention(np: Any) -> Callable[..., Any]:
    """softmax(q kᵀ / √d) v, of batches."""

    def apply(q, k, v):
        scores = np.matmul(q, np.swapaxes(k, -1, -2)) / q.shape[-1] ** 0.5
        terms = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
        return np.matmul(terms / np.sum(terms, axis=-1, keepdims=True), v)

    return apply


add("attention 8x128x64", attention, normal(8, 128, 64), normal(8, 128, 64), normal(8, 128, 64))
add("attention 128x8x64, heads in the middle",
    lambda np: lambda q, k, v: np.einsum("hqk,khd->qhd", np.exp(np.einsum("qhd,khd->hqk", q, k) / 64), v),
    normal(128, 8, 64), normal(128, 8, 64), normal(128, 8, 64))  # fmt: skip
add("cross 100000x3", lambda np: lambda a, b: np.cross(a, b), normal(100000, 3), normal(100000, 3))
add("convolve 10000, 100", lambda np: lambda a, b: np.convolve(a, b), normal(10000), normal(100))
add("convolve 10000, 5", lambda np: lambda a, b: np.convolve(a, b), normal(10000), normal(5))
add("correlate 2000, 1000", lambda np: lambda a, b: np.correlate(a, b, "same"), normal(2000), normal(1000))
add("trace 1000x1000", lambda np: lambda a: np.trace(a), normal(1000, 1000))
add("vander 10000, 8", lambda np: lambda x: np.vander(x, 8), uniform(-1, 1, 10000))

# ---- shapes ---------------------------------------------------------------------------------------------------------

add = group("shapes", F64)
add("concatenate 3 of 1000x300", lambda np: lambda a, b, c: np.concatenate([a, b, c], axis=1),
    normal(1000, 300), normal(1000, 300), normal(1000, 300))  # fmt: skip
add("stack 3 of 1000x300", lambda np: lambda a, b, c: np.stack([a, b, c], axis=1),
    normal(1000, 300), normal(1000, 300), normal(1000, 300))  # fmt: skip
add("pad 1000x1000", lambda np: lambda x: np.pad(x, ((1, 2), (3, 4))), normal(1000, 1000))
add("pad 1000x1000 reflect", lambda np: lambda x: np.pad(x, 3, mode="reflect"), normal(1000, 1000))
add("roll 1000x1000", lambda np: lambda x: np.roll(x, 17, axis=1), normal(1000, 1000))
add("tile 100x1000, (10, 1)", lambda np: lambda x: np.tile(x, (10, 1)), normal(100, 1000))
add("repeat 1000x100, 10", lambda np: lambda x: np.repeat(x, 10, axis=1), normal(1000, 100))
add("flip 1000x1000", lambda np: lambda x: np.flip(x, axis=1), normal(1000, 1000))
add("tril 1000x1000", lambda np: lambda x: np.tril(x), normal(1000, 1000))
add("diag 1000x1000", lambda np: lambda x: np.diag(x), normal(1000, 1000))
add("transpose 100x100x100", lambda np: lambda x: np.transpose(x, (2, 0, 1)), normal(100, 100, 100))
add("broadcast_to 1000x1000x3", lambda np: lambda x: np.broadcast_to(x, (3, 1000, 1000)), normal(1000, 1000))
add("split 1000x900", lambda np: lambda x: tuple(np.split(x, 3, axis=1)), normal(1000, 900))
add("x[::2, 1:] 1000x1000", lambda np: lambda x: x[::2, 1:], normal(1000, 1000))

# ---- indexing -------------------------------------------------------------------------------------------------------

add = group("indexing", F32, F64)
add("take 100000 of 100000", lambda np: lambda x, i: np.take(x, i), normal(100000), integers(100000, 100000))
add("embedding 10000x128, 4096", lambda np: lambda w, i: w[i], normal(10000, 128), integers(10000, 4096))
add("take_along_axis 1000x1000, 1", lambda np: lambda x, i: np.take_along_axis(x, i, axis=1),
    normal(1000, 1000), integers(1000, 1000, 1))  # fmt: skip
add("x[i, j] 1000x1000, 10000", lambda np: lambda x, i, j: x[i, j],
    normal(1000, 1000), integers(1000, 10000), integers(1000, 10000))  # fmt: skip
add("x[:, i] 1000x1000, 100", lambda np: lambda x, i: x[:, i], normal(1000, 1000), integers(1000, 100))
add("x[i] 1000x1000, one row", lambda np: lambda x, i: x[i], normal(1000, 1000), integers(1000))
add("where mask 1000x1000", lambda np: lambda x, m: np.where(m, x, 0.0), normal(1000, 1000), flags(1000, 1000))
add("choose of 3, 100000", lambda np: lambda i, a, b, c: np.choose(i, [a, b, c], mode="clip"), integers(3, 100000),
    normal(100000), normal(100000), normal(100000))  # fmt: skip

# ---- sorting, searching, interpolation ------------------------------------------------------------------------------

add = group("sorting", F32, F64)
add("sort 100000", lambda np: lambda x: np.sort(x), normal(100000))
add("sort 1000x1000 axis 1", lambda np: lambda x: np.sort(x, axis=1), normal(1000, 1000))
add("sort 1000x1000 axis 0", lambda np: lambda x: np.sort(x, axis=0), normal(1000, 1000))
add("argsort 100000", lambda np: lambda x: np.argsort(x), normal(100000))
add("partition 100x1000", lambda np: lambda x: np.partition(x, 10, axis=1)[:, 10], normal(100, 1000))
add("searchsorted 1000, 100000", lambda np: lambda a, x: np.searchsorted(a, x), increasing(1000), normal(100000))
add("interp 100000, 1000 knots", lambda np: lambda x, xp, fp: np.interp(x, xp, fp),
    normal(100000), increasing(1000), normal(1000))  # fmt: skip
add("median 100000", lambda np: lambda x: np.median(x), normal(100000))
add("lexsort 100000", lambda np: lambda i, x: np.lexsort((x, i)), integers(50, 100000), normal(100000))
add("isin 100000, 1000", lambda np: lambda i, j: np.isin(i, j), integers(5000, 100000), integers(5000, 1000),
    dtypes=(F64,))  # fmt: skip
add("unwrap 100000", lambda np: lambda x: np.unwrap(x), normal(100000))
