"""StableHLO for matrix factorisations: LAPACK on CPU, cuSOLVER and hipSOLVER on GPU, XLA's own on TPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Node, Value, fill_like
from lilith.ir.primitive import primitive
from lilith.ir.type import TensorType, kind
from lilith.ops import elementwise
from lilith.ops.factorization import INDEX, eigh, qr
from lilith.ops.linalg import adjoint, as_dtype, diagonal, identity, lower_part, rows, upper_part
from lilith.ops.shape import broadcast_in_dim, concatenate, fill, pad, part
from lilith.source import UnsupportedError
from lowering.calls import (
    GPU_PREFIX,
    composed,
    info_type,
    lapack,
    letter,
    library_call,
    nan_unless,
    succeeded,
)
from lowering.emit import RULES, Emitter, i64_array, tensor_type
from lowering.rules.elementwise import compare


def _stack(t: TensorType) -> int:
    return t.ndim - 2


def _is_empty(node: Node) -> bool:
    return node.operands[0].type.size == 0


def _constants(e: Emitter, types: Sequence[TensorType]) -> tuple[str, ...]:
    """Results of empty matrices: there is nothing in them, or identity matrices."""
    return tuple(
        [
            composed(e, lambda t=t: identity(fill(value=0, shape=t.shape, dtype=t.dtype)), (), ())
            if t.ndim >= 2 and t.size
            else e.constant(0, t)
            for t in types
        ]
    )


# ---- Cholesky -------------------------------------------------------------------------------------------------------


def _cholesky(e: Emitter, node: Node, operands: list[str]) -> str:
    """On CPU by rows: the lower triangle by rows is the upper one by columns, and no matrix is transposed."""
    t = node.results[0].type
    if _is_empty(node):
        return e.constant(0, t)
    if e.platform == "tpu":
        x = e.op("stablehlo.cholesky", operands, (t,), t, "lower = true")
    else:
        cpu = e.platform == "cpu"
        target = lapack("potrf", t.dtype) if cpu else f"{GPU_PREFIX[e.platform]}solver_potrf_ffi"
        config = {"uplo": letter("U")} if cpu else {"lower": "true"}
        x, info = library_call(e, target, operands, (t,), (t, info_type(t)), config, in_place=0, column_major=not cpu)
        x = nan_unless(e, succeeded(e, info, t), x, t, _stack(t))
    return composed(e, lower_part, (x,), (t,))


# ---- LU -------------------------------------------------------------------------------------------------------------


def _exchange(e: Emitter, i: str, x: str, p: str, order: TensorType, pivots: TensorType) -> str:
    """The order x after exchanging row i with row p[i]."""
    index, axis = TensorType((), INDEX), order.ndim - 1
    one = order.with_shape((*order.shape[:-1], 1))
    sizes = f"slice_sizes = {i64_array(one.shape)}"
    starts = [*[e.constant(0, index)] * axis, i]
    kinds = [index] * order.ndim
    target = e.op("stablehlo.dynamic_slice", (p, *starts), (pivots, *kinds), one, sizes)
    mine = e.op("stablehlo.dynamic_slice", (x, *starts), (order, *kinds), one, sizes)
    if axis == 0:
        place = e.op("stablehlo.reshape", (target,), (one,), index)
        other = e.op("stablehlo.dynamic_slice", (x, place), (order, index), one, sizes)
        x = e.op("stablehlo.dynamic_update_slice", (x, other, i), (order, one, index), order)
        return e.op("stablehlo.dynamic_update_slice", (x, mine, place), (order, one, index), order)

    def chosen(x: Value, target: Value, mine: Value, i: Value) -> Value:
        repeated = [broadcast_in_dim(v, shape=x.shape, axes=tuple(range(x.ndim))) for v in (target, mine)]
        position = primitive("iota")(shape=x.shape, dtype=INDEX, axis=axis)
        there = elementwise.eq(position, repeated[0])
        found = primitive("reduce_sum")(elementwise.select(there, x, fill_like(x, 0)), axes=(axis,))
        other = broadcast_in_dim(found, shape=x.shape, axes=tuple(range(axis)))
        here = elementwise.eq(position, broadcast_in_dim(i, shape=x.shape, axes=()))
        return elementwise.select(here, other, elementwise.select(there, repeated[1], x))

    return composed(e, chosen, (x, target, mine, i), (order, one, one, index))


def _order(e: Emitter, pivots: str, t: TensorType, size: int) -> str:
    """The order of rows after exchanging row i with row pivots[i], for i = 0, 1, ...: a loop, all matrices at once."""
    order, index, flag = t.with_shape((*t.shape[:-1], size)), TensorType((), INDEX), TensorType((), np.dtype(bool))
    start = e.op("stablehlo.iota", (), (), order, f"iota_dimension = {order.ndim - 1} : i64")
    carried = (index, order, t)

    def head(names: tuple[str, ...]) -> str:
        return ", ".join(f"{name}: {tensor_type(c)}" for name, c in zip(names, carried, strict=True))

    first, second = (e.fresh(), e.fresh(), e.fresh()), (e.fresh(), e.fresh(), e.fresh())
    outer, e.lines = e.lines, []
    going = compare(e, "LT", first[0], e.constant(t.shape[-1], index), index)
    e.several("stablehlo.return", (going,), (flag,), (), "")
    condition, e.lines = "\n".join(e.lines), []
    after = _exchange(e, *second, order, t)
    step = e.op("stablehlo.add", (second[0], e.constant(1, index)), (index, index), index)
    e.several("stablehlo.return", (step, after, second[2]), carried, (), "")
    body, e.lines = "\n".join(e.lines), outer
    regions = f"{{ ^bb0({head(first)}):\n{condition} }}, {{ ^bb0({head(second)}):\n{body} }}"
    results = e.several("stablehlo.while", (e.constant(0, index), start, pivots), carried, carried, "", regions)
    return results[1]


def _lu(e: Emitter, node: Node, operands: list[str]) -> tuple[str, ...]:
    t, pivot = [y.type for y in node.results]
    if _is_empty(node):
        return e.constant(0, t), e.constant(0, pivot)
    if e.platform == "tpu":
        results = (t, pivot, pivot.with_shape(t.shape[:-1]))
        return e.several("stablehlo.custom_call", operands, (t,), results, 'call_target_name = "LuDecomposition"')[:2]
    cpu = e.platform == "cpu"
    target = lapack("getrf", t.dtype) if cpu else f"{GPU_PREFIX[e.platform]}solver_getrf_ffi"
    # every matrix has a factorisation: what is reported is a zero on U's diagonal, which shows by itself
    packed, pivots, _ = library_call(e, target, operands, (t,), (t, pivot, info_type(t)), in_place=0)
    pivots = e.op("stablehlo.subtract", (pivots, e.constant(1, pivot)), (pivot, pivot), pivot)
    return packed, pivots


def _row_order(e: Emitter, node: Node, operands: list[str]) -> str:
    t, order = node.operands[0].type, node.results[0].type
    if t.size == 0:
        return e.op("stablehlo.iota", (), (), order, f"iota_dimension = {order.ndim - 1} : i64")
    if e.platform not in GPU_PREFIX:
        return _order(e, operands[0], t, order.shape[-1])
    target = f"{GPU_PREFIX[e.platform]}_lu_pivots_to_permutation"
    return library_call(e, target, operands, (t,), (order,), column_major=False, matrix_axes=1)[0]


# ---- QR -------------------------------------------------------------------------------------------------------------


def _reflected(e: Emitter, x: str, t: TensorType, reflections: TensorType) -> tuple[str, str]:
    """(R above the diagonal and the vectors of Householder reflections below it, their factors)."""
    if e.platform == "tpu":
        packed, factors = e.several(
            "stablehlo.custom_call", (x,), (t,), (t, reflections), 'call_target_name = "Qr", api_version = 1 : i32'
        )
        return packed, factors
    target = lapack("geqrf", t.dtype) if e.platform == "cpu" else f"{GPU_PREFIX[e.platform]}solver_geqrf_ffi"
    packed, factors = library_call(e, target, (x,), (t,), (t, reflections), in_place=0)
    return packed, factors


def _multiplied(e: Emitter, x: str, t: TensorType, factors: str, reflections: TensorType) -> str:
    """The first columns of the product of reflections, as many as x has."""
    types = (t, reflections)
    if e.platform == "tpu":
        target = '"ProductOfElementaryHouseholderReflectors"'
        attributes = f"call_target_name = {target}, api_version = 1 : i32"
        return e.op("stablehlo.custom_call", (x, factors), types, t, attributes)
    if e.platform == "cpu":
        target = lapack("ungqr" if kind(t.dtype) == "c" else "orgqr", t.dtype)
    else:
        target = f"{GPU_PREFIX[e.platform]}solver_orgqr_ffi"
    return library_call(e, target, (x, factors), types, (t,), in_place=0)[0]


def _qr(e: Emitter, node: Node, operands: list[str]) -> tuple[str, ...]:
    """Householder reflections, and their product where Q is read."""
    t, (q, r) = node.operands[0].type, [y.type for y in node.results]
    if _is_empty(node):
        return _constants(e, (q, r))
    k = min(t.shape[-2:])
    reflections = TensorType((*t.shape[:-2], k), t.dtype)
    packed, factors = _reflected(e, operands[0], t, reflections)
    axis = t.ndim - 1
    upper = composed(e, lambda x: upper_part(part(x, axis - 1, 0, r.shape[-2])), (packed,), (t,))
    if node.results[0] not in e.read():
        return "", upper
    missing = q.shape[-1] - t.shape[-1]
    edge, none = (*[0] * axis, max(missing, 0)), (0,) * t.ndim

    def fitted(x: Value) -> Value:
        if missing <= 0:
            return part(x, axis, 0, q.shape[-1])
        return pad(x, fill(value=0, shape=(), dtype=x.dtype), low=none, high=edge, interior=none)

    vectors = composed(e, fitted, (packed,), (t,)) if missing else packed
    return _multiplied(e, vectors, q, factors, reflections), upper


# ---- eigenvalues of Hermitian matrices ------------------------------------------------------------------------------


def _eigh(e: Emitter, node: Node, operands: list[str]) -> tuple[str, ...]:
    """On CPU without the eigenvectors where nobody reads them."""
    (w, v), vectors = [y.type for y in node.results], node.results[1]
    if _is_empty(node):
        return e.constant(0, w), e.constant(0, v)
    if e.platform == "tpu":
        found = e.several(
            "stablehlo.custom_call",
            operands,
            (v,),
            (v, w),
            'call_target_name = "Eigh", api_version = 1 : i32, backend_config = "1,1,100,1e-6"',
        )
        return found[1], found[0]
    if e.platform == "cpu":
        target = lapack("heevd" if kind(v.dtype) == "c" else "syevd", v.dtype)
        config = {"mode": letter("V" if vectors in e.read() else "N"), "uplo": letter("L")}
    else:
        target, config = f"{GPU_PREFIX[e.platform]}solver_syevd_ffi", {"lower": "true", "algorithm": "0 : ui8"}
    x, y, info = library_call(e, target, operands, (v,), (v, w, info_type(v)), config, in_place=0)
    ok = succeeded(e, info, v)
    return nan_unless(e, ok, y, w, _stack(v)), nan_unless(e, ok, x, v, _stack(v))


# ---- singular values ------------------------------------------------------------------------------------------------

_JACOBI_LIMIT, _JACOBI_BATCHED_LIMIT = 1024, 32  # sizes up to which the carrier uses Jacobi's method, and batches it


def _svd(e: Emitter, node: Node, operands: list[str]) -> tuple[str, ...]:
    t, types = node.operands[0].type, tuple([y.type for y in node.results])
    if _is_empty(node):
        return _constants(e, types)
    vectors = node.results[0] in e.read() or node.results[2] in e.read()
    full = node.params["full"]
    if e.platform == "tpu":
        return composed(e, lambda a: _svd_by_eigh(a, full), operands, (t,))
    if e.platform == "cpu":
        mode = letter("N" if not vectors else "A" if full else "S")
        results = (t, types[1], types[0], types[2], info_type(t))
        _, s, u, vh, info = library_call(
            e, lapack("gesdd", t.dtype), operands, (t,), results, {"mode": mode}, in_place=0
        )
    else:
        u, s, vh, info = _gpu_svd(e, operands, t, types, full, vectors)
    ok = succeeded(e, info, t)
    found = [nan_unless(e, ok, x, y, _stack(t)) if x else "" for x, y in zip((u, s, vh), types, strict=True)]
    return tuple(found)


def _gpu_svd(
    e: Emitter, operands: list[str], t: TensorType, types: tuple[TensorType, ...], full: bool, vectors: bool
) -> tuple[str, str, str, str]:
    """(U, s, Vᴴ, info). Jacobi's method for small matrices; else gesvd, which takes tall ones: a wide one goes by rows,
    as its transpose."""
    (u, s, vh), (m, n), stack = types, t.shape[-2:], t.shape[:-2]
    k, prefix = min(m, n), GPU_PREFIX[e.platform]
    config = {"compute_uv": "true" if vectors else "false"}
    if max(m, n) > _JACOBI_LIMIT:
        wide = m < n
        config |= {"full_matrices": "true" if full else "false", "transposed": "true" if wide else "false"}
        scalar = TensorType(stack, t.dtype).with_shape(())
        first, second = (u, vh) if vectors else (scalar, scalar)
        pair = (second, first) if wide else (first, second)
        _, values, x, y, info = library_call(
            e, f"{prefix}solver_gesvd_ffi", operands, (t,), (t, s, *pair, info_type(t)), config,
            in_place=0, column_major=not wide,
        )  # fmt: skip
        if not vectors:
            return "", values, "", info
        return (y, values, x, info) if wide else (x, values, y, info)
    thin = not full and min(m, n) > _JACOBI_BATCHED_LIMIT
    left = TensorType((*stack, m, k if thin else m), t.dtype)
    right = TensorType((*stack, n, k if thin else n), t.dtype)
    config["full_matrices"] = "false" if thin else "true"
    _, values, x, y, info = library_call(
        e, f"{prefix}solver_gesvdj_ffi", operands, (t,), (t, s, left, right, info_type(t)), config, in_place=0
    )
    if not vectors:
        return "", values, "", info
    axis = t.ndim - 1
    x = composed(e, lambda v: part(v, axis, 0, u.shape[-1]), (x,), (left,))
    y = composed(e, lambda v: part(adjoint(v), axis - 1, 0, vh.shape[-2]), (y,), (right,))
    return x, values, y, info


def _svd_by_eigh(a: Value, full: bool) -> tuple[Value, ...]:
    """The SVD from the eigenvalues ±s and eigenvectors (u, ±v) / √2 of the Hermitian matrix [[0, A], [Aᴴ, 0]].

    QR of the parts makes them orthonormal where singular values are close to 0. Source: Golub and Van Loan, Matrix
    Computations, 4th ed. 2013, section 8.6.1.
    """
    m, n = a.shape[-2:]
    k, axis = min(m, n), a.ndim - 1
    lead = a.shape[:-2]
    zeros = [fill(value=0, shape=(*lead, size, size), dtype=a.dtype) for size in (m, n)]
    top, bottom = concatenate(zeros[0], a, axis=axis), concatenate(adjoint(a), zeros[1], axis=axis)
    w, x = eigh(concatenate(top, bottom, axis=axis - 1))
    w, x = [primitive("rev")(part(y, y.ndim - 1, m + n - k, m + n), axes=(y.ndim - 1,)) for y in (w, x)]
    factors = []
    for begin, size in ((0, m), (m, n)):
        q, r = qr(part(x, axis - 1, begin, begin + size), full=full)
        r = diagonal(r)
        r = elementwise.real(r) if a.dtype.kind == "c" else r
        sign = elementwise.select(elementwise.lt(r, fill_like(r, 0)), fill_like(r, -1), fill_like(r, 1))
        sign = as_dtype(sign, a.dtype)
        if full and size > k:
            one = fill(value=1, shape=(*lead, size - k), dtype=a.dtype)
            sign = concatenate(sign, one, axis=sign.ndim - 1)
        factors.append(elementwise.mul(q, rows(sign, size)))
    return factors[0], elementwise.max(w, fill_like(w, 0)), adjoint(factors[1])


# ---- eigenvalues of any matrix --------------------------------------------------------------------------------------


def _eig(e: Emitter, node: Node, operands: list[str]) -> tuple[str, ...]:
    t, (w, v) = node.operands[0].type, [y.type for y in node.results]
    if _is_empty(node):
        return e.constant(0, w), e.constant(0, v)
    if e.platform != "cpu":
        raise UnsupportedError(
            f"eig: eigenvalues of matrices that are not Hermitian are not available on {e.platform}",
            hint="np.linalg.eigh for Hermitian matrices, or compute on the CPU",
        )
    parts = [w.with_dtype(t.dtype)] * (1 if kind(t.dtype) == "c" else 2)
    mode = {"compute_left": letter("N"), "compute_right": letter("V" if node.results[1] in e.read() else "N")}
    *values, _, vectors, info = library_call(
        e, lapack("geev", t.dtype), operands, (t,), (*parts, v, v, info_type(t)), mode
    )
    found = values[0] if len(values) == 1 else e.op("stablehlo.complex", values, parts, w)
    ok = succeeded(e, info, t)
    return nan_unless(e, ok, found, w, _stack(t)), nan_unless(e, ok, vectors, v, _stack(t))


_RULES: dict[str, Any] = {
    "cholesky": _cholesky,
    "lu": _lu,
    "row_order": _row_order,
    "qr": _qr,
    "eigh": _eigh,
    "svd": _svd,
    "eig": _eig,
}
RULES.update(_RULES)
