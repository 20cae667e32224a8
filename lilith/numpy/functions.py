"""Functions that work element by element or compare arrays, and a few that NumPy writes with them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import kind
from lilith.numpy import floats, ufuncs
from lilith.numpy.core import (
    accumulator,
    adapt,
    array,
    broadcast_shapes,
    convert,
    dtype_of,
    expand,
    floating,
    full,
    implements,
    lift,
    marked,
    normalize_axis,
    operand,
    promote,
    result_type,
    static_int,
    type_of,
    unify,
)
from lilith.numpy.indexing import take_item
from lilith.numpy.joining import concatenate, stack
from lilith.numpy.reductions import NOT_GIVEN, sum_dtype
from lilith.numpy.reductions import all as all_
from lilith.numpy.reductions import sum as sum_
from lilith.numpy.shaping import broadcast_arrays, diagonal, moveaxis, reshaped
from lilith.ops import elementwise, linalg, shape
from lilith.source import ArgumentError, ShapeError, UnsupportedError

_BOOL = np.dtype(bool)

# ---- choosing -----------------------------------------------------------------------------------------------------


@implements(np.where)
def where(condition: Any, x: Any = None, y: Any = None, /) -> Value:
    """numpy.where with three arguments. A Python int that does not fit is an error, as in NumPy 2.5."""
    if x is None or y is None:
        raise UnsupportedError(
            "np.where(condition) alone gives positions, whose number is not known while tracing",
            hint="np.where(condition, x, y), or lilith.numpy.nonzero(condition, size=n) for the first n",
        )
    p, a, b = operand(condition), operand(x), operand(y)
    dtype = result_type(a, b)
    common = broadcast_shapes("where", [type_of(v) for v in (p, a, b)])
    a, b = [adapt(v, dtype, common) for v in (a, b)]
    return elementwise.select(adapt(p, _BOOL, common), a, b)


@implements(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Value:
    """numpy.select: the first choice whose condition holds."""
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ArgumentError(
            f"select: {len(condlist)} conditions and {len(choicelist)} choices", hint="one condition per choice"
        )
    *choices, y = unify("select", *choicelist, default)
    for condition, x in reversed(list(zip(condlist, choices, strict=True))):
        y = where(condition, x, y)
    return y


@implements(np.clip)
def clip(
    a: Any, a_min: Any = NOT_GIVEN, a_max: Any = NOT_GIVEN, *, min: Any = NOT_GIVEN, max: Any = NOT_GIVEN
) -> Value:
    """numpy.clip: the smaller of a_max and the larger of a_min and a; at a bound the slope is 1/2."""
    low = min if a_min is NOT_GIVEN else a_min
    high = max if a_max is NOT_GIVEN else a_max
    x = marked(lift(a), False)
    limits = np.iinfo(x.dtype) if kind(x.dtype) in "iu" else None
    # Python ints that bound nothing need not fit the dtype
    if low is not NOT_GIVEN and low is not None and not (limits and type(low) is int and low <= limits.min):
        x = ufuncs.maximum(x, low)
    if high is not NOT_GIVEN and high is not None and not (limits and type(high) is int and high >= limits.max):
        x = ufuncs.minimum(x, high)
    return x


# ---- rounding and conversion --------------------------------------------------------------------------------------


@implements(np.round, np.around)
def round(a: Any, decimals: Any = 0) -> Value:
    """numpy.round, half to even."""
    x = lift(a)
    digits = static_int(decimals, "round", "decimals")
    if kind(x.dtype) == "b":
        x = convert(x, np.dtype(np.float16))
    if digits == 0 or (kind(x.dtype) in "iu" and digits > 0):
        return floats.rint(x)
    if kind(x.dtype) in "iu":
        return convert(round(convert(x, np.dtype(np.float64)), digits), x.dtype)
    factor = fill_like(x, 10.0 ** abs(digits))
    up, down = (elementwise.mul, elementwise.div) if digits > 0 else (elementwise.div, elementwise.mul)
    return down(floats.rint(up(x, factor)), factor)


@implements(np.astype)
def astype(x: Any, dtype: Any, /, *, copy: bool = True) -> Value:
    """numpy.astype."""
    return convert(lift(x), dtype_of(dtype))


@implements(np.copy)
def copy(a: Any, order: str = "K") -> Value:
    """numpy.copy."""
    return lift(a)


@implements(np.real)
def real(val: Any) -> Value:
    """numpy.real."""
    x = lift(val)
    return elementwise.real(x) if kind(x.dtype) == "c" else x


@implements(np.imag)
def imag(val: Any) -> Value:
    """numpy.imag."""
    x = lift(val)
    return elementwise.imag(x) if kind(x.dtype) == "c" else full(0, x.shape, x.dtype)


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Value:
    """numpy.angle."""
    x = lift(z)
    y = ufuncs.arctan2(imag(x), real(x))
    return ufuncs.degrees(y) if deg else y


@implements(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Value:
    """numpy.nan_to_num."""
    x = lift(x)
    if kind(x.dtype) in "biu":
        return x
    if kind(x.dtype) == "c":
        parts = [nan_to_num(part, copy, nan, posinf, neginf) for part in (elementwise.real(x), elementwise.imag(x))]
        return elementwise.complex(*parts)
    limits = ml_dtypes.finfo(x.dtype)  # NumPy's own knows no bfloat16
    high, low = (float(limits.max) if posinf is None else posinf), (float(limits.min) if neginf is None else neginf)
    y = where(ufuncs.is_nan(x), nan, x)
    y = where(ufuncs.equal(x, np.inf), high, y)
    return where(ufuncs.equal(x, -np.inf), low, y)


@implements(np.sinc)
def sinc(x: Any) -> Value:
    """numpy.sinc: sin(t) / t with t = πx; for |t| < 1 its series Σ (-t²)ᵏ / (2k + 1)!.

    Value and derivatives up to the third are good to a few units in the last place of max(|t|, 1): the quotient's
    derivatives divide by powers of t, the series is cut off where 1 + the next term is 1, thrice differentiated too.
    """
    t = ufuncs.multiply(lift(x), np.pi)
    near = ufuncs.less(elementwise.abs(t), 1)
    u = elementwise.select(near, elementwise.mul(t, t), fill_like(t, 0))
    series = fill_like(t, 1)
    for k in range(_SINC_TERMS, 0, -1):
        series = fill_like(t, 1) - u / fill_like(t, 2 * k * (2 * k + 1)) * series
    safe = elementwise.select(near, fill_like(t, 1), t)
    return elementwise.select(near, series, elementwise.div(elementwise.sin(safe), safe))


# t²⁰ / 21!, differentiated thrice, is 1e-16 at t = 1
_SINC_TERMS = 10


# ---- comparing arrays ---------------------------------------------------------------------------------------------


@implements(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Value:
    """numpy.isclose: |a - b| <= atol + rtol |b|."""
    x, y = unify("isclose", a, b)
    if kind(x.dtype) in "biu":
        x, y = convert(x, np.dtype(np.float64)), convert(y, np.dtype(np.float64))
    bound = ufuncs.add(atol, ufuncs.multiply(rtol, ufuncs.absolute(y)))
    near = ufuncs.logical_and(ufuncs.less_equal(ufuncs.absolute(ufuncs.subtract(x, y)), bound), ufuncs.isfinite(y))
    close = ufuncs.logical_or(near, ufuncs.equal(x, y))
    if equal_nan:
        close = ufuncs.logical_or(close, ufuncs.logical_and(ufuncs.isnan(x), ufuncs.isnan(y)))
    return close


@implements(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Value:
    """numpy.allclose."""
    return all_(isclose(a, b, rtol, atol, equal_nan))


@implements(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """numpy.array_equal; False at once where the shapes differ."""
    x, y = lift(a1), lift(a2)
    if x.shape != y.shape:
        return False
    same = ufuncs.equal(x, y)
    if equal_nan:
        same = ufuncs.logical_or(same, ufuncs.logical_and(ufuncs.isnan(x), ufuncs.isnan(y)))
    return all_(same)


@implements(np.isposinf)
def isposinf(x: Any) -> Value:
    """numpy.isposinf."""
    return ufuncs.equal(x, np.inf)


@implements(np.isneginf)
def isneginf(x: Any) -> Value:
    """numpy.isneginf."""
    return ufuncs.equal(x, -np.inf)


# ---- differences, integrals, polynomials --------------------------------------------------------------------------


@implements(np.diff)
def diff(a: Any, n: Any = 1, axis: Any = -1, prepend: Any = NOT_GIVEN, append: Any = NOT_GIVEN) -> Value:
    """numpy.diff."""
    x = lift(a)
    place = normalize_axis(axis, x.ndim, "diff")
    times = static_int(n, "diff", "n")
    if times < 0:
        raise ArgumentError(f"diff: n={times}", hint="how often to take differences: 0 or more")
    parts = []
    for extra in (prepend, None, append):
        if extra is None:
            parts.append(x)
        elif extra is not NOT_GIVEN:
            e = lift(extra)
            sizes = tuple([1 if i == place else m for i, m in enumerate(x.shape)])
            parts.append(expand(e, sizes) if e.ndim == 0 else e)
    x = concatenate(parts, place) if len(parts) > 1 else x
    before = (slice(None),) * place
    subtract = ufuncs.not_equal if kind(x.dtype) == "b" else ufuncs.subtract
    for _ in range(times):
        x = subtract(take_item(x, (*before, slice(1, None))), take_item(x, (*before, slice(None, -1))))
    return x


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Value:
    """numpy.trapezoid."""
    v = lift(y)
    place = normalize_axis(axis, v.ndim, "trapezoid")
    if x is None and lift(dx).ndim == 0 and v.shape[place] > 1:
        return ufuncs.multiply(_trapezoid_of_even_steps(floating(v), place), dx)
    if x is None:
        step = dx
    else:
        points = lift(x)
        step = diff(points, axis=0 if points.ndim == 1 else place)
        if points.ndim == 1:
            step = reshaped(step, tuple([step.type.size if i == place else 1 for i in range(v.ndim)]))
    before = (slice(None),) * place
    if type_of(operand(step)).ndim == 0 and kind(v.dtype) in "fc" and v.shape[place] > 1:
        # one pass over all samples, then the ends are half too much
        ends = ufuncs.divide(ufuncs.add(take_item(v, (*before, 0)), take_item(v, (*before, -1))), 2.0)
        return ufuncs.multiply(ufuncs.subtract(sum_(v, place), ends), step)
    pairs = ufuncs.add(take_item(v, (*before, slice(1, None))), take_item(v, (*before, slice(None, -1))))
    return ufuncs.divide(sum_(ufuncs.multiply(step, pairs), place), 2.0)  # halving is exact before and after


def _trapezoid_of_even_steps(x: Value, axis: int) -> Value:
    """x_0 / 2 + x_1 + ... + x_(n-2) + x_(n-1) / 2 along an axis, as a product with the weights."""
    wide = convert(x, accumulator(x.dtype))
    half = shape.fill(value=0.5, shape=(1,), dtype=wide.dtype)
    ones = shape.fill(value=1.0, shape=(x.shape[axis] - 2,), dtype=wide.dtype)
    weights = shape.concatenate(half, ones, half, axis=0)
    return convert(linalg.dot_general(wide, weights, contract=((axis,), (0,)), batch=((), ())), x.dtype)


@implements(np.polyval)
def polyval(p: Any, x: Any) -> Value:
    """numpy.polyval: Horner's scheme, highest power first."""
    coefficients = array(p)
    point = lift(x)
    y: Any = ufuncs.multiply(point, 0)
    for i in range(coefficients.shape[0]):
        y = ufuncs.add(ufuncs.multiply(y, point), take_item(coefficients, i))
    return y


@implements(np.cross)
def cross(a: Any, b: Any, axisa: Any = -1, axisb: Any = -1, axisc: Any = -1, axis: Any = None) -> Value:
    """numpy.cross of vectors with three components (or two: the third component of the product)."""
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = promote(lift(a), lift(b))
    x, y = moveaxis(x, axisa, -1), moveaxis(y, axisb, -1)
    sizes = (x.shape[-1], y.shape[-1])
    if not set(sizes) <= {2, 3}:
        raise ShapeError(f"cross: {x.type} and {y.type}: the vectors must have 2 or 3 components", hint="check axis=")
    u = [take_item(x, (..., i)) if i < sizes[0] else None for i in range(3)]
    v = [take_item(y, (..., i)) if i < sizes[1] else None for i in range(3)]

    def minor(i: int, j: int) -> Value:
        """u_i v_j - u_j v_i, absent components being zero."""
        left = ufuncs.multiply(u[i], v[j]) if u[i] is not None and v[j] is not None else None
        right = ufuncs.multiply(u[j], v[i]) if u[j] is not None and v[i] is not None else None
        if left is None:
            return ufuncs.negative(right)
        return left if right is None else ufuncs.subtract(left, right)

    if sizes == (2, 2):
        return minor(0, 1)
    return moveaxis(stack([minor(1, 2), minor(2, 0), minor(0, 1)], -1), -1, axisc)


@implements(np.linalg.cross)
def linalg_cross(x1: Any, x2: Any, /, *, axis: Any = -1) -> Value:
    """numpy.linalg.cross."""
    return cross(x1, x2, axis=axis)


@implements(np.trace)
def trace(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1, dtype: Any = None) -> Value:
    """numpy.trace."""
    x = diagonal(a, offset, axis1, axis2)
    return sum_(x, -1, sum_dtype(x.dtype) if dtype is None else dtype)


@implements(np.linalg.trace)
def linalg_trace(x: Any, /, *, offset: Any = 0, dtype: Any = None) -> Value:
    """numpy.linalg.trace."""
    return trace(x, offset, -2, -1, dtype)


@implements(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Value, ...]:
    """numpy.meshgrid."""
    count = len(xi)
    values = [lift(x) for x in xi]
    places = list(range(count))
    if indexing == "xy" and count > 1:
        places[0], places[1] = 1, 0
    elif indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid: indexing={indexing!r}", hint="'xy' or 'ij'")
    raised = [
        reshaped(x, tuple([x.type.size if i == place else 1 for i in range(count)]))
        for x, place in zip(values, places, strict=True)
    ]
    return tuple(raised) if sparse else broadcast_arrays(*raised)


# ---- what is known of an array ------------------------------------------------------------------------------------


@implements(np.shape)
def shape_of(a: Any) -> tuple[int, ...]:
    """numpy.shape."""
    return lift(a).shape


@implements(np.ndim)
def ndim(a: Any) -> int:
    """numpy.ndim."""
    return lift(a).ndim


@implements(np.size)
def size(a: Any, axis: Any = None) -> int:
    """numpy.size."""
    x = lift(a)
    return x.type.size if axis is None else x.shape[normalize_axis(axis, x.ndim, "size")]


@implements(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    """numpy.iscomplexobj."""
    return kind(lift(x).dtype) == "c"


@implements(np.isrealobj)
def isrealobj(x: Any) -> bool:
    """numpy.isrealobj."""
    return not iscomplexobj(x)


@implements(np.result_type)
def result_type_of(*arrays_and_dtypes: Any) -> np.dtype:
    """numpy.result_type."""
    found = []
    for x in arrays_and_dtypes:
        try:
            found.append(full(0, (), np.dtype(x)) if isinstance(x, type | np.dtype | str) else operand(x))
        except TypeError as error:
            raise ArgumentError(f"result_type: {x!r} is no array and no dtype", hint="np.result_type(x, y)") from error
    return result_type(*found)


@implements(np.isreal)
def isreal(x: Any) -> Value:
    """numpy.isreal."""
    return ufuncs.equal(imag(x), 0)
