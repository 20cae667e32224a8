"""StableHLO for linear systems, determinants and pseudo-inverses."""

from __future__ import annotations

from typing import Any

import numpy as np

from lilith.ir.graph import Node, Value, fill_like
from lilith.ir.primitive import primitive
from lilith.ir.type import TensorType, real_dtype
from lilith.ops import elementwise
from lilith.ops.factorization import INDEX, row_order
from lilith.ops.linalg import adjoint, as_dtype, columns, diagonal, identity, product, rows
from lilith.ops.linalg import transposed as transpose_of
from lilith.ops.shape import broadcast_in_dim
from lilith.ops.solving import adjugate_by_singular_values, adjugate_derivative_by_singular_values
from lowering.calls import composed, lapack, letter, library_call, nan_unless, region, transposed
from lowering.emit import RULES, Emitter, i64_array, tensor_type

# ---- triangular systems ---------------------------------------------------------------------------------------------


def _trsm(
    e: Emitter, a: str, a_type: TensorType, b: str, b_type: TensorType, *, by_columns: bool, **flags: bool
) -> str:
    """LAPACK's triangular solve without a copy of a matrix: LAPACK reads by columns what lies by rows as the transpose,
    so the transposed problem Xᵀ op(A)ᵀ = Bᵀ is solved. `by_columns`: A lies by columns, as LAPACK's results do."""
    left, lower, transpose = flags["left_side"], flags["lower"], flags["transpose"]
    if not by_columns:
        a, _ = transposed(e, a, a_type)
        lower, transpose = not lower, not transpose
    turned = b_type.shape[-1 if left else -2] > 1  # one column is one row
    if turned:
        b, b_type = transposed(e, b, b_type)
        left, transpose = not left, not transpose
    config = {
        "side": letter("L" if left else "R"),
        "uplo": letter("L" if lower else "U"),
        "trans_x": letter("T" if transpose else "N"),
        "diag": letter("U" if flags["unit_diagonal"] else "N"),
    }
    (x,) = library_call(e, lapack("trsm", a_type.dtype), (a, b), (a_type, b_type), (b_type,), config, in_place=1)
    return transposed(e, x, b_type)[0] if turned else x


def _triangular(
    e: Emitter, a: str, a_type: TensorType, b: str, b_type: TensorType, *, by_columns: bool = False, **flags: bool
) -> str:
    if e.platform == "cpu":
        return _trsm(e, a, a_type, b, b_type, by_columns=by_columns, **flags)
    words = {name: "true" if flags[name] else "false" for name in ("left_side", "lower", "unit_diagonal")}
    attributes = [f"{name} = {word}" for name, word in words.items()]
    attributes.append(f"transpose_a = #stablehlo<transpose {'TRANSPOSE' if flags['transpose'] else 'NO_TRANSPOSE'}>")
    return e.op("stablehlo.triangular_solve", (a, b), (a_type, b_type), b_type, ", ".join(attributes))


def _triangular_solve(e: Emitter, node: Node, operands: list[str]) -> str:
    (a, b), (a_type, b_type) = operands, [x.type for x in node.operands]
    if b_type.size == 0:
        return b
    return _triangular(e, a, a_type, b, b_type, **node.params)


# ---- systems with an LU factorisation -------------------------------------------------------------------------------


def _axes(**lists: list[int]) -> str:
    """Axis lists of an attribute; its parser does not take empty ones."""
    return ", ".join(f"{name} = {numbers}" for name, numbers in lists.items() if numbers)


def _rows_taken(e: Emitter, b: str, t: TensorType, order: str, order_type: TensorType) -> str:
    """Row i of the result is row order[i] of b."""
    stack = list(range(t.ndim - 2))
    row = t.ndim - 2
    numbers = _axes(
        offset_dims=[row + 1],
        collapsed_slice_dims=[row],
        operand_batching_dims=stack,
        start_indices_batching_dims=stack,
        start_index_map=[row],
    )
    sizes = i64_array([*[1] * (row + 1), t.shape[-1]])
    return e.op(
        "stablehlo.gather",
        (b, order),
        (t, order_type),
        t,
        f"dimension_numbers = #stablehlo.gather<{numbers}, index_vector_dim = {order_type.ndim}>, "
        f"slice_sizes = {sizes}, indices_are_sorted = false",
    )


def _rows_put(e: Emitter, x: str, t: TensorType, order: str, order_type: TensorType) -> str:
    """Row order[i] of the result is row i of x."""
    stack, row, scalar = list(range(t.ndim - 2)), t.ndim - 2, TensorType((), t.dtype)
    numbers = _axes(
        update_window_dims=[row + 1],
        inserted_window_dims=[row],
        input_batching_dims=stack,
        scatter_indices_batching_dims=stack,
        scatter_dims_to_operand_dims=[row],
    )
    old, new = e.fresh(), e.fresh()
    text = tensor_type(scalar)
    put = f'{{ ^bb0({old}: {text}, {new}: {text}): "stablehlo.return"({new}) : ({text}) -> (){e.location} }}'
    return e.op(
        "stablehlo.scatter",
        (e.constant(0, t), order, x),
        (t, order_type, t),
        t,
        f"scatter_dimension_numbers = #stablehlo.scatter<{numbers}, index_vector_dim = {order_type.ndim}>, "
        "indices_are_sorted = false, unique_indices = true",
        put,
    )


def _pivots(packed: Value) -> Value:
    """U's diagonal. LAPACK's results lie by columns, in which the transpose is the matrix by rows."""
    return diagonal(transpose_of(packed))


def _regular(packed: Value) -> Value:
    """Whether U's diagonal has no zero, for each matrix."""
    d = _pivots(packed)
    return primitive("reduce_and")(elementwise.ne(d, fill_like(d, 0)), axes=(d.ndim - 1,))


def _solution(
    e: Emitter, packed: str, b: str, order: str, types: tuple[TensorType, ...], regular: str | None, transpose: bool
) -> str:
    """The solution from the factors, of the types of (packed, b, order); NaN for matrices that are not `regular`.

    NaN goes into the right side and not into the result: the check then lies on the way to the solution. Beside it,
    XLA:CPU would give it to another thread, for more time than a small solution takes.
    """
    a_type, t, order_type = types
    lower = {"left_side": True, "lower": True, "unit_diagonal": True, "by_columns": True, "transpose": transpose}
    upper = lower | {"lower": False, "unit_diagonal": False}
    if not transpose:
        b = _rows_taken(e, b, t, order, order_type)
    if regular is not None:
        b = nan_unless(e, regular, b, t, t.ndim - 2)
    first, second = (upper, lower) if transpose else (lower, upper)
    x = _triangular(e, packed, a_type, b, t, **first)
    x = _triangular(e, packed, a_type, x, t, **second)
    return _rows_put(e, x, t, order, order_type) if transpose else x


def _solve(e: Emitter, node: Node, operands: list[str]) -> str:
    (a_type, t, _, order_type), (_, b, packed, order) = [x.type for x in node.operands], operands
    if t.size == 0:
        return b
    regular = composed(e, _regular, (packed,), (a_type,))
    return _solution(e, packed, b, order, (a_type, t, order_type), regular, node.params["transpose"])


# ---- determinants ---------------------------------------------------------------------------------------------------


def _parity(pivots: Value, dtype: np.dtype) -> Value:
    """The determinant of the permutation: -1 to the number of exchanges."""
    axis = pivots.ndim - 1
    place = primitive("iota")(shape=pivots.shape, dtype=INDEX, axis=axis)
    exchanged = elementwise.convert(elementwise.ne(pivots, place), dtype=INDEX)
    count = primitive("reduce_sum")(exchanged, axes=(axis,))
    odd = elementwise.eq(elementwise.logical_and(count, fill_like(count, 1)), fill_like(count, 1))
    one = primitive("fill")(value=1, shape=count.shape, dtype=dtype)
    return elementwise.select(odd, elementwise.neg(one), one)


def _determinant(packed: Value, pivots: Value) -> Value:
    d = _pivots(packed)
    return elementwise.mul(primitive("reduce_prod")(d, axes=(d.ndim - 1,)), _parity(pivots, d.dtype))


def _sign_and_logarithm(packed: Value, pivots: Value) -> tuple[Value, Value]:
    d = _pivots(packed)
    axes = (d.ndim - 1,)
    sign = primitive("reduce_prod")(elementwise.sign(d), axes=axes)
    logarithm = primitive("reduce_sum")(elementwise.log(elementwise.abs(d)), axes=axes)
    return elementwise.mul(sign, _parity(pivots, d.dtype)), logarithm


def _det(e: Emitter, node: Node, operands: list[str]) -> str:
    types = [x.type for x in node.operands]
    return composed(e, _determinant, operands[1:3], types[1:3])


def _slogdet(e: Emitter, node: Node, operands: list[str]) -> Any:
    types = [x.type for x in node.operands]
    return composed(e, _sign_and_logarithm, operands[1:3], types[1:3])


def _well_conditioned(packed: Value) -> Value:
    """Whether no pivot of any matrix is negligible beside the largest one of its matrix."""
    size = elementwise.abs(_pivots(packed))
    axis = size.ndim - 1
    largest = primitive("reduce_max")(size, axes=(axis,))
    limit = elementwise.mul(largest, fill_like(largest, float(np.finfo(real_dtype(packed.dtype)).eps)))
    good = elementwise.gt(size, broadcast_in_dim(limit, shape=size.shape, axes=tuple(range(axis))))
    return primitive("reduce_and")(good, axes=tuple(range(size.ndim)))


def _scaled_identity(a: Value, scalar: Value) -> Value:
    return elementwise.mul(broadcast_in_dim(scalar, shape=a.shape, axes=tuple(range(scalar.ndim))), identity(a))


def _adjugate(e: Emitter, node: Node, operands: list[str]) -> str:
    """A⁻¹ det(A) where A is far from singular, else by singular values, which takes longer: a branch at run time."""
    (t, _, pivot), (a, packed, pivots) = [x.type for x in node.operands], operands
    if t.size == 0:
        return a
    order_type, scalar_type = pivot, TensorType(t.shape[:-2], t.dtype)
    good = composed(e, _well_conditioned, (packed,), (t,))
    scalar = composed(e, _determinant, (packed, pivots), (t, pivot))

    def by_inverse() -> tuple[str]:
        right = composed(e, _scaled_identity, (a, scalar), (t, scalar_type))
        order = composed(e, lambda p: row_order(p, size=t.shape[-1]), (pivots,), (pivot,))
        return (_solution(e, packed, right, order, (t, t, order_type), None, False),)

    inverse = region(e, by_inverse, (t,))
    values = region(e, lambda: (composed(e, adjugate_by_singular_values, (a,), (t,)),), (t,))
    (adj,) = e.several("stablehlo.if", (good,), (TensorType((), np.dtype(bool)),), (t,), "", f"{inverse}, {values}")
    return adj


def _adjugate_derivative(e: Emitter, node: Node, operands: list[str]) -> str:
    if node.results[0].type.size == 0:
        return operands[0]
    types = [x.type for x in node.operands]
    return composed(e, adjugate_derivative_by_singular_values, operands[:2], types[:2])


# ---- pseudo-inverse -------------------------------------------------------------------------------------------------


def _pseudo_inverse(u: Value, inverse: Value, vh: Value) -> Value:
    middle = as_dtype(inverse, u.dtype)
    if u.shape[-2] < vh.shape[-1]:
        return product(adjoint(vh), elementwise.mul(columns(middle, u.shape[-2]), adjoint(u)))
    return product(elementwise.mul(adjoint(vh), rows(middle, vh.shape[-1])), adjoint(u))


def _pinv(e: Emitter, node: Node, operands: list[str]) -> str:
    if node.results[0].type.size == 0:
        return e.constant(0, node.results[0].type)
    return composed(e, _pseudo_inverse, operands[1:], [x.type for x in node.operands][1:])


def _by_singular_values(b: Value, u: Value, inverse: Value, vh: Value) -> Value:
    inner = product(adjoint(u), b)
    return product(adjoint(vh), elementwise.mul(columns(as_dtype(inverse, u.dtype), b.shape[-1]), inner))


def _least_squares(e: Emitter, node: Node, operands: list[str]) -> str:
    if node.results[0].type.size == 0 or node.operands[0].type.size == 0:
        return e.constant(0, node.results[0].type)
    return composed(e, _by_singular_values, operands[1:], [x.type for x in node.operands][1:])


_RULES: dict[str, Any] = {
    "triangular_solve": _triangular_solve,
    "solve": _solve,
    "det": _det,
    "slogdet": _slogdet,
    "adjugate": _adjugate,
    "adjugate_derivative": _adjugate_derivative,
    "pinv": _pinv,
    "least_squares": _least_squares,
}
RULES.update(_RULES)
