"""The product of arrays, dot_general: matmul, dot, einsum and tensordot are written with it. And what derivative rules
of matrix functions are made of: products, adjoints, triangles and diagonals of stacks of matrices."""

from __future__ import annotations

import numpy as np

from lilith.ir.graph import Value, current_builder, fill_like
from lilith.ir.primitive import Primitive, primitive
from lilith.ir.type import TensorType
from lilith.ops.elementwise import NUMBER, add, check_kind, conj, convert, eq, ge, le, mul, select, sub
from lilith.source import DtypeError, ShapeError

Axes = tuple[int, ...]
Pair = tuple[Axes, Axes]


def free_axes(ndim: int, contract: Axes, batch: Axes) -> Axes:
    """The axes that are neither contracted nor batch axes, in order."""
    used = {*contract, *batch}
    return tuple([axis for axis in range(ndim) if axis not in used])


def _dot_general_type(x: TensorType, y: TensorType, *, contract: Pair, batch: Pair) -> TensorType:
    if x.dtype != y.dtype:
        raise DtypeError(f"dot_general: {x} and {y} differ in dtype", hint="convert one of them first")
    check_kind("dot_general", NUMBER, x, y)
    for t, used in ((x, contract[0] + batch[0]), (y, contract[1] + batch[1])):
        if len(set(used)) != len(used) or not all(0 <= axis < t.ndim for axis in used):
            raise ShapeError(f"dot_general: axes {used} are not distinct axes of {t}", hint="0 <= axis < ndim, once")
    for pair in (contract, batch):
        sizes = tuple([tuple([t.shape[axis] for axis in axes]) for t, axes in zip((x, y), pair, strict=True)])
        if sizes[0] != sizes[1]:
            raise ShapeError(
                f"dot_general: {x} and {y} do not fit along axes {pair[0]} and {pair[1]}", hint="sizes must be equal"
            )
    shape = [x.shape[axis] for axis in batch[0]]
    shape += [x.shape[axis] for axis in free_axes(x.ndim, contract[0], batch[0])]
    shape += [y.shape[axis] for axis in free_axes(y.ndim, contract[1], batch[1])]
    return TensorType(tuple(shape), x.dtype, x.weak and y.weak)


def _dot_general_eval(x: np.ndarray, y: np.ndarray, contract: Pair, batch: Pair) -> np.ndarray:
    """Through a stack of matrices: (batch, x free, contracted) @ (batch, contracted, y free)."""
    x_free, y_free = free_axes(x.ndim, contract[0], batch[0]), free_axes(y.ndim, contract[1], batch[1])
    left = x.transpose(batch[0] + x_free + contract[0])
    right = y.transpose(batch[1] + contract[1] + y_free)
    stack, rows = left.shape[: len(batch[0])], left.shape[len(batch[0]) : left.ndim - len(contract[0])]
    columns = right.shape[right.ndim - len(y_free) :]
    inner = int(np.prod([x.shape[axis] for axis in contract[0]], dtype=int))
    m, n = (int(np.prod(sizes, dtype=int)) for sizes in (rows, columns))
    product = np.matmul(left.reshape((*stack, m, inner)), right.reshape((*stack, inner, n)))
    return product.reshape(stack + rows + columns)


def _restored(product: Value, batch: Axes, first: Axes, second: Axes) -> Value:
    """A product with axes (batch, first, second) brought back to the operand's own order of axes."""
    order = batch + first + second
    axes = tuple(sorted(range(len(order)), key=order.__getitem__))
    return product if axes == tuple(range(len(axes))) else primitive("transpose")(product, axes=axes)


def _dot_general_vjp(
    g: Value, z: Value, x: Value, y: Value, *, wanted: tuple[bool, ...], contract: Pair, batch: Pair
) -> tuple[Value | None, ...]:
    """z = x y: x̄ = z̄ yᵀ, ȳ = xᵀ z̄, contracted over the other operand's free axes."""
    x_free, y_free = free_axes(x.ndim, contract[0], batch[0]), free_axes(y.ndim, contract[1], batch[1])
    count = len(batch[0])
    stack = tuple(range(count))
    rows = tuple(range(count, count + len(x_free)))
    columns = tuple(range(count + len(x_free), g.ndim))
    x_cotangent = y_cotangent = None
    if x is y and contract[0] == contract[1] and batch[0] == batch[1]:
        # x xᵀ: one product for both operands
        g = add(g, primitive("transpose")(g, axes=(*stack, *columns, *rows)))
        wanted = (True, False)
    if wanted[0]:
        product = dot_general(g, y, contract=(columns, y_free), batch=(stack, batch[1]))
        partners = sorted(zip(contract[1], contract[0], strict=True))
        x_cotangent = _restored(product, batch[0], x_free, tuple([own for _, own in partners]))
    if wanted[1]:
        product = dot_general(x, g, contract=(x_free, rows), batch=(batch[0], stack))
        partners = sorted(zip(contract[0], contract[1], strict=True))
        y_cotangent = _restored(product, batch[1], tuple([own for _, own in partners]), y_free)
    return x_cotangent, y_cotangent


def _dot_general_batch(batched: tuple[bool, ...], x: Value, y: Value, *, contract: Pair, batch: Pair) -> Value:
    """One product: two batched operands share a batch axis; a single one gains a free axis, moved to the front."""
    shift = tuple([1 if b else 0 for b in batched])
    inner = tuple([tuple([axis + n for axis in axes]) for axes, n in zip(contract, shift, strict=True)])
    stack = tuple([tuple([axis + n for axis in axes]) for axes, n in zip(batch, shift, strict=True)])
    if all(batched):
        return dot_general(x, y, contract=inner, batch=((0, *stack[0]), (0, *stack[1])))
    product = dot_general(x, y, contract=inner, batch=stack)
    place = len(batch[0]) if batched[0] else len(batch[0]) + len(free_axes(x.ndim, inner[0], stack[0]))
    if place == 0:
        return product
    others = [axis for axis in range(product.ndim) if axis != place]
    return primitive("transpose")(product, axes=(place, *others))


dot_general = Primitive(
    "dot_general", type=_dot_general_type, eval=_dot_general_eval, vjp=_dot_general_vjp, batch=_dot_general_batch
)

# ---- matrices: the last two axes; every axis before them is a stack ------------------------------------------------


def product(x: Value, y: Value) -> Value:
    """x @ y for stacks of matrices of one shape."""
    stack = tuple(range(x.ndim - 2))
    return dot_general(x, y, contract=((x.ndim - 1,), (y.ndim - 2,)), batch=(stack, stack))


def transposed(x: Value) -> Value:
    """xᵀ."""
    n = x.ndim
    return primitive("transpose")(x, axes=(*range(n - 2), n - 1, n - 2))


def adjoint(x: Value) -> Value:
    """xᴴ, the conjugate transpose."""
    return transposed(conj(x))


def hermitian_part(x: Value) -> Value:
    """(x + xᴴ) / 2."""
    return mul(add(x, adjoint(x)), fill_like(x, 0.5))


def _difference(x: Value) -> Value:
    """Row number minus column number, of x's shape."""
    axes, index = x.ndim, np.dtype(np.int32)
    row, column = [primitive("iota")(shape=x.shape, dtype=index, axis=axes - k) for k in (2, 1)]
    return sub(row, column)


def lower_part(x: Value, below: int = 0) -> Value:
    """x where row - column >= below, else 0."""
    d = _difference(x)
    return select(ge(d, fill_like(d, below)), x, fill_like(x, 0))


def upper_part(x: Value, above: int = 0) -> Value:
    """x where column - row >= above, else 0."""
    d = _difference(x)
    return select(le(d, fill_like(d, -above)), x, fill_like(x, 0))


def on_diagonal(x: Value) -> Value:
    """True on the diagonal of matrices of x's shape."""
    d = _difference(x)
    return eq(d, fill_like(d, 0))


def identity(x: Value) -> Value:
    """The identity matrices of x's shape."""
    return convert(on_diagonal(x), dtype=x.dtype)


def diagonal(x: Value) -> Value:
    """The diagonals of matrices, of length min(m, n): every (n + 1)th element of all m n in a row."""
    *lead, m, n = x.shape
    k = min(m, n)
    if not k:
        return primitive("fill")(value=0, shape=(*lead, 0), dtype=x.dtype)
    flat = primitive("reshape")(x, shape=(*lead, m * n))
    zeros, ones = (0,) * len(lead), (1,) * len(lead)
    limit = (*lead, (k - 1) * (n + 1) + 1)
    return primitive("slice")(flat, start=(*zeros, 0), limit=limit, stride=(*ones, n + 1))


def rows(d: Value, n: int) -> Value:
    """The matrices with n rows d: element (i, j) is d[j]."""
    axes = (*range(d.ndim - 1), d.ndim)
    return primitive("broadcast_in_dim")(d, shape=(*d.shape[:-1], n, d.shape[-1]), axes=axes)


def columns(d: Value, n: int) -> Value:
    """The matrices with n columns d: element (i, j) is d[i]."""
    return primitive("broadcast_in_dim")(d, shape=(*d.shape, n), axes=tuple(range(d.ndim)))


def diagonal_matrix(d: Value) -> Value:
    """The square matrices with d on the diagonal."""
    spread = rows(d, d.shape[-1])
    return select(on_diagonal(spread), spread, fill_like(spread, 0))


def as_dtype(x: Value, dtype: np.dtype) -> Value:
    """x with another dtype; no node where it has it."""
    return x if x.dtype == dtype else convert(x, dtype=dtype)


def is_zero(g: Value) -> bool:
    """Whether a cotangent is the constant zero that `reverse` writes where none has arrived."""
    for node in reversed(current_builder().nodes):
        if g in node.results:
            return node.primitive.name == "fill" and node.params["value"] == 0
    return False
