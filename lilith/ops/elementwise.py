"""Elementwise primitives: a row each. A row gives the operand kinds, the NumPy reference and the derivative.

A derivative rule maps the cotangent g of the result y = f(x) to that of x. For complex x it follows JAX and HIPS
autograd: for a real loss L and x = a + ib the cotangent of x is dL/da - i dL/db, so holomorphic f has x̄ = ȳ f'(x)
without conjugates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Value, current_builder, fill_like
from lilith.ir.primitive import ZERO, NoGradient, Primitive, per_operand, primitive
from lilith.ir.type import TensorType, dtype_name, kind, real_dtype
from lilith.source import DtypeError, ShapeError

INTEGER = "iu"
FLOATING = "f"
INEXACT = "fc"
REAL = "iuf"
NUMBER = "iufc"
BITS = "biu"
ORDERED = "biuf"
ANY = "biufc"
_KIND_NAMES = {"b": "bool", "i": "signed integer", "u": "unsigned integer", "f": "floating", "c": "complex"}


def check_kind(name: str, kinds: str, *types: TensorType) -> None:
    """Raise a DtypeError unless all operand dtypes are of the given kinds."""
    for t in types:
        if kind(t.dtype) not in kinds:
            wanted = " or ".join(_KIND_NAMES[k] for k in kinds)
            raise DtypeError(
                f"{name}: takes {wanted} arrays, got {', '.join(map(repr, types))}", hint="convert with x.astype(dtype)"
            )


def check_same(name: str, *types: TensorType) -> TensorType:
    """The common type of operands that must agree; weak only if all are."""
    first = types[0]
    for t in types[1:]:
        if t is not first:
            if t.shape != first.shape:
                raise ShapeError(
                    f"{name}: {' and '.join(map(repr, types))} differ in shape", hint="broadcast_in_dim one of them"
                )
            if t.dtype != first.dtype:
                raise DtypeError(
                    f"{name}: {' and '.join(map(repr, types))} differ in dtype", hint="convert one of them first"
                )
    if first.weak and not all(t.weak for t in types):
        return first.strong
    return first


def scale(g: Value, d: Value) -> Value:
    """g * d, the cotangent times a local derivative; where g is zero because it came through a select, it stays
    zero."""
    return scale_cotangent(g, d) if current_builder().strong_zeros else mul(g, d)


def elementwise_batch(name: str) -> Callable[..., Value]:
    """The batch rule all elementwise primitives share: unbatched operands are repeated along the new axis."""

    def batch(batched: tuple[bool, ...], *operands: Value, **params: Any) -> Value:
        size = next(x.shape[0] for x, b in zip(operands, batched, strict=True) if b)
        lifted = [x if b else repeat_leading(x, size) for x, b in zip(operands, batched, strict=True)]
        return primitive(name)(*lifted, **params)

    return batch


def repeat_leading(x: Value, size: int) -> Value:
    """x with a new leading axis of length `size`."""
    return primitive("broadcast_in_dim")(x, shape=(size, *x.shape), axes=tuple(range(1, x.ndim + 1)))


def _define(
    name: str, type: Callable[..., Any], eval: Callable[..., Any], rules: Any, masks: bool = False
) -> Primitive:
    vjp = rules if rules is ZERO or isinstance(rules, NoGradient) or callable(rules) else per_operand(*rules)
    return Primitive(name, type=type, eval=eval, vjp=vjp, batch=elementwise_batch(name), masks=masks)


def unary(name: str, kinds: str, eval: Callable[..., Any], vjp: Any) -> Primitive:
    """y = f(x) of x's type; `vjp(g, y, x)`."""

    def type(x: TensorType) -> TensorType:
        if kind(x.dtype) not in kinds:
            check_kind(name, kinds, x)
        return x

    return _define(name, type, eval, vjp if vjp is ZERO or isinstance(vjp, NoGradient) else (vjp,))


def binary(name: str, kinds: str, eval: Callable[..., Any], *rules: Any, masks: bool = False) -> Primitive:
    """z = f(x, y), all of one type; a rule `(g, z, x, y)` per operand, or one for both (see `Primitive.vjp`)."""

    def type(x: TensorType, y: TensorType) -> TensorType:
        result = x if x is y else check_same(name, x, y)
        if kind(result.dtype) not in kinds:
            check_kind(name, kinds, x, y)
        return result

    return _define(name, type, eval, rules[0] if len(rules) == 1 else rules, masks)


def compare(name: str, kinds: str, eval: Callable[..., Any]) -> Primitive:
    """A comparison: bool result, no derivative."""

    def type(x: TensorType, y: TensorType) -> TensorType:
        check_kind(name, kinds, check_same(name, x, y))
        return TensorType(x.shape, np.dtype(bool))

    return _define(name, type, eval, ZERO)


def predicate(name: str, kinds: str, eval: Callable[..., Any]) -> Primitive:
    """A bool property of each element, no derivative."""

    def type(x: TensorType) -> TensorType:
        check_kind(name, kinds, x)
        return TensorType(x.shape, np.dtype(bool))

    return _define(name, type, eval, ZERO)


# ---- arithmetic -----------------------------------------------------------------------------------------------------

neg: Primitive = unary("neg", NUMBER, np.negative, lambda g, y, x: neg(g))
add: Primitive = binary("add", NUMBER, np.add, lambda g, z, x, y: g, lambda g, z, x, y: g)
sub: Primitive = binary("sub", NUMBER, np.subtract, lambda g, z, x, y: g, lambda g, z, x, y: neg(g))
mul: Primitive = binary("mul", NUMBER, np.multiply, lambda g, z, x, y: scale(g, y), lambda g, z, x, y: scale(g, x))


def _truncated_quotient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Integer division toward zero; y = 0 gives -1 (all bits set), as XLA defines it."""
    safe = np.where(y == 0, y.dtype.type(1), y)
    quotient = (x - np.fmod(x, safe)) // safe
    return np.where(y == 0, ~np.zeros_like(x), quotient)


div: Primitive = binary(
    "div",
    NUMBER,
    lambda x, y: _truncated_quotient(x, y) if x.dtype.kind in "iu" else np.divide(x, y),
    lambda g, z, x, y, wanted: _quotient_rule(g, z, y, wanted),
)


def _quotient_rule(g: Value, z: Value, y: Value, wanted: tuple[bool, ...]) -> tuple[Value | None, Value | None]:
    """z = x / y; x̄ = z̄ / y, ȳ = -x̄ z. One division for both, and so for the tangent: ż = (ẋ - z ẏ) / y."""
    quotient = _over(g, y)
    return quotient if wanted[0] else None, neg(scale(quotient, z)) if wanted[1] else None


def _over(g: Value, y: Value) -> Value:
    """The cotangent g / y; where g is zero because it came through a select, it stays zero."""
    return scale(g, div(fill_like(y, 1), y)) if current_builder().strong_zeros else div(g, y)


rem: Primitive = binary(
    "rem",
    REAL,
    lambda x, y: np.where(y == 0, x, np.fmod(x, np.where(y == 0, 1, y))) if x.dtype.kind in "iu" else np.fmod(x, y),
    lambda g, z, x, y: g,
    lambda g, z, x, y: neg(scale(g, rint(div(sub(x, z), y)))),  # the quotient that z was rounded with
)


def _pow_rule_x(g: Value, z: Value, x: Value, y: Value) -> Value:
    """x̄ = z̄ y x^(y-1); zero at x = y = 0, where x^(y-1) is infinite."""
    both = logical_and(eq(x, fill_like(x, 0)), eq(y, fill_like(y, 0)))
    return scale(g, mul(y, pow(select(both, fill_like(x, 1), x), sub(y, fill_like(y, 1)))))


def _pow_rule_y(g: Value, z: Value, x: Value, y: Value) -> Value:
    """ȳ = z̄ z log x; zero where x is zero and z has the limit zero."""
    zero = eq(x, fill_like(x, 0))
    return scale(g, mul(z, log(select(zero, fill_like(x, 1), x))))


pow: Primitive = binary("pow", INEXACT, np.power, _pow_rule_x, _pow_rule_y)


def _integer_pow_type(x: TensorType, *, exponent: int) -> TensorType:
    check_kind("integer_pow", NUMBER, x)
    return x


def _integer_pow_rule(g: Value, y: Value, x: Value, *, exponent: int) -> Value | None:
    """x̄ = ȳ n x^(n-1), exactly zero for n = 0."""
    if exponent == 0:
        return None
    power = x if exponent == 2 else integer_pow(x, exponent=exponent - 1)
    return scale(g, mul(fill_like(x, exponent), power) if exponent != 1 else fill_like(x, 1))


def _integer_pow_eval(x: np.ndarray, exponent: int) -> np.ndarray:
    if exponent < 0:
        return np.reciprocal(_integer_pow_eval(x, -exponent))
    result, square = np.ones_like(x), x
    while exponent:
        result = result * square if exponent & 1 else result
        square, exponent = square * square, exponent >> 1
    return result


integer_pow = Primitive(
    "integer_pow",
    type=_integer_pow_type,
    eval=_integer_pow_eval,
    vjp=per_operand(_integer_pow_rule),
    batch=elementwise_batch("integer_pow"),
)

# Linear in g by declaration, so that its derivative in g is itself and not that of a select.
scale_cotangent: Primitive = binary(
    "scale_cotangent",
    INEXACT,
    lambda g, d: np.where(g == 0, g, g * d),
    lambda h, z, g, d: scale_cotangent(h, d),
    lambda h, z, g, d: scale_cotangent(g, h),
    masks=True,
)

# ---- absolute value, sign, rounding -----------------------------------------------------------------------------


def _abs_type(x: TensorType) -> TensorType:
    check_kind("abs", NUMBER, x)
    return TensorType(x.shape, real_dtype(x.dtype), x.weak)


def _abs_rule(g: Value, y: Value, x: Value) -> Value:
    """x̄ = ȳ sign(x), 0 at 0; complex: ȳ conj(x) / |x|."""
    if kind(x.dtype) == "c":
        return scale(complex(g, fill_like(g, 0)), conj(sign(x)))
    return scale(g, sign(x))


def _sign(x: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "c":
        size = np.abs(x)
        return np.where(size == 0, 0, x / np.where(size == 0, 1, size))
    return np.sign(x)


def _sign_rule(g: Value, y: Value, x: Value) -> Value | None:
    """Zero for real x; x / |x| has the derivative of the phase: x̄ = (ȳ - Re(ȳ y) conj(y)) / |x|, 0 at 0."""
    if kind(x.dtype) != "c":
        return None
    size = abs(x)
    zero = eq(size, fill_like(size, 0))
    inverse = select(zero, fill_like(size, 0), div(fill_like(size, 1), select(zero, fill_like(size, 1), size)))
    radial = real(mul(g, y))
    along = mul(complex(radial, fill_like(radial, 0)), conj(y))
    return mul(sub(g, along), complex(inverse, fill_like(inverse, 0)))


abs = Primitive("abs", type=_abs_type, eval=np.abs, vjp=per_operand(_abs_rule), batch=elementwise_batch("abs"))
sign: Primitive = unary("sign", NUMBER, _sign, _sign_rule)
floor: Primitive = unary("floor", FLOATING, np.floor, ZERO)
ceil: Primitive = unary("ceil", FLOATING, np.ceil, ZERO)
rint: Primitive = unary("rint", FLOATING, np.rint, ZERO)

# ---- exponentials, powers, logarithms -------------------------------------------------------------------------------

exp: Primitive = unary("exp", INEXACT, np.exp, lambda g, y, x: scale(g, y))
expm1: Primitive = unary("expm1", INEXACT, np.expm1, lambda g, y, x: scale(g, y + 1))
log: Primitive = unary("log", INEXACT, np.log, lambda g, y, x: _over(g, x))
log1p: Primitive = unary("log1p", INEXACT, np.log1p, lambda g, y, x: scale(g, 1 / (1 + x)))
sqrt: Primitive = unary("sqrt", INEXACT, np.sqrt, lambda g, y, x: scale(g, 0.5 / y))
rsqrt: Primitive = unary("rsqrt", INEXACT, lambda x: 1 / np.sqrt(x), lambda g, y, x: scale(g, -0.5 * (y / x)))
cbrt: Primitive = unary("cbrt", FLOATING, np.cbrt, lambda g, y, x: scale(g, (1 / 3) / (y * y)))
logistic: Primitive = unary("logistic", INEXACT, lambda x: 1 / (1 + np.exp(-x)), lambda g, y, x: scale(g, y * (1 - y)))

# ---- trigonometric and hyperbolic -------------------------------------------------------------------------------


def _one_minus_square(x: Value) -> Value:
    """1 - x² with all digits near 1, and with the slope -2x: the slopes of (1 - x)(1 + x), one by one, would give the
    derivatives of arcsin beyond the first as inf - inf at 1."""
    c = primitive("stop_gradient")(x)
    return (1 - c) * (1 + c) + (c * c - x * x)


sin: Primitive = unary("sin", INEXACT, np.sin, lambda g, y, x: scale(g, cos(x)))
cos: Primitive = unary("cos", INEXACT, np.cos, lambda g, y, x: scale(g, -sin(x)))
tan: Primitive = unary("tan", INEXACT, np.tan, lambda g, y, x: scale(g, 1 + y * y))
asin: Primitive = unary("asin", INEXACT, np.arcsin, lambda g, y, x: scale(g, 1 / sqrt(_one_minus_square(x))))
acos: Primitive = unary("acos", INEXACT, np.arccos, lambda g, y, x: scale(g, -1 / sqrt(_one_minus_square(x))))
atan: Primitive = unary("atan", INEXACT, np.arctan, lambda g, y, x: scale(g, 1 / (1 + x * x)))
sinh: Primitive = unary("sinh", INEXACT, np.sinh, lambda g, y, x: scale(g, cosh(x)))
cosh: Primitive = unary("cosh", INEXACT, np.cosh, lambda g, y, x: scale(g, sinh(x)))
tanh: Primitive = unary("tanh", INEXACT, np.tanh, lambda g, y, x: scale(g, 1 - y * y))
asinh: Primitive = unary("asinh", INEXACT, np.arcsinh, lambda g, y, x: scale(g, 1 / sqrt(x * x + 1)))
acosh: Primitive = unary("acosh", INEXACT, np.arccosh, lambda g, y, x: scale(g, rsqrt(x - 1) * rsqrt(x + 1)))
atanh: Primitive = unary("atanh", INEXACT, np.arctanh, lambda g, y, x: scale(g, 1 / ((1 - x) * (1 + x))))


def _atan2_rule(sign_of: int) -> Callable[..., Value]:
    """z = atan2(x, y): x̄ = z̄ y / (x² + y²), ȳ = -z̄ x / (x² + y²), with both scaled by the larger one: no overflow."""

    def rule(g: Value, z: Value, x: Value, y: Value) -> Value:
        # the scale cancels, so it is a constant to derivatives of any order
        larger = primitive("stop_gradient")(max(abs(x), abs(y)))
        u, v = x / larger, y / larger
        size = larger * (u * u + v * v)
        return scale(g, v / size) if sign_of > 0 else scale(g, neg(u) / size)

    return rule


atan2: Primitive = binary("atan2", FLOATING, np.arctan2, _atan2_rule(+1), _atan2_rule(-1))

# ---- complex ----------------------------------------------------------------------------------------------------


def _complex_type(x: TensorType, y: TensorType) -> TensorType:
    both = check_same("complex", x, y)
    if dtype_name(both.dtype) not in ("f32", "f64"):
        raise DtypeError(f"complex: {x} and {y} are not float32 or float64", hint="convert with x.astype(np.float32)")
    return TensorType(both.shape, np.result_type(both.dtype, np.complex64))


def _part_type(name: str) -> Callable[[TensorType], TensorType]:
    def type(x: TensorType) -> TensorType:
        check_kind(name, "c", x)
        return TensorType(x.shape, real_dtype(x.dtype))

    return type


def _complex_eval(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    z = np.empty(x.shape, np.result_type(x.dtype, np.complex64))
    z.real, z.imag = x, y
    return z


complex: Primitive = _define(
    "complex",
    _complex_type,
    _complex_eval,
    (lambda g, z, x, y: real(g), lambda g, z, x, y: neg(imag(g))),
)
real: Primitive = _define("real", _part_type("real"), np.real, (lambda g, y, x: complex(g, fill_like(g, 0)),))
imag: Primitive = _define("imag", _part_type("imag"), np.imag, (lambda g, y, x: complex(fill_like(g, 0), neg(g)),))


def conj(x: Value) -> Value:
    """The complex conjugate."""
    return complex(real(x), neg(imag(x))) if kind(x.dtype) == "c" else x


# ---- extrema and selection --------------------------------------------------------------------------------------


def _share(g: Value, z: Value, chosen: Value, other: Value) -> Value:
    """The cotangent of the operand `chosen` of max or min: g where it is the result (NaN included), half of g at a tie,
    so that max(x, x) has slope 1, and a zero that an infinite g cannot spoil where the other one is the result."""
    mine = logical_or(eq(chosen, z), ne(chosen, chosen))
    share = select(eq(chosen, other), mul(g, fill_like(g, 0.5)), g)
    return select(mine, share, fill_like(g, 0))


_EXTREMUM_RULES = (lambda g, z, x, y: _share(g, z, x, y), lambda g, z, x, y: _share(g, z, y, x))
max: Primitive = binary("max", ORDERED, np.maximum, *_EXTREMUM_RULES, masks=True)
min: Primitive = binary("min", ORDERED, np.minimum, *_EXTREMUM_RULES, masks=True)


def _select_type(p: TensorType, x: TensorType, y: TensorType) -> TensorType:
    if p.dtype != np.dtype(bool):
        raise DtypeError(f"select: the condition must be bool, got {p}", hint="compare it, e.g. mask != 0")
    both = check_same("select", x, y)
    if p.shape != both.shape:
        raise ShapeError(f"select: condition {p} and values {both} differ in shape", hint="broadcast_in_dim it first")
    return both


select: Primitive = _define(
    "select",
    _select_type,
    lambda p, x, y: np.where(p, x, y),
    (
        None,
        lambda g, z, p, x, y: select(p, g, fill_like(g, 0)),
        lambda g, z, p, x, y: select(p, fill_like(g, 0), g),
    ),
    masks=True,
)

# ---- comparisons, logic, bits -----------------------------------------------------------------------------------

eq: Primitive = compare("eq", ANY, np.equal)
ne: Primitive = compare("ne", ANY, np.not_equal)
lt: Primitive = compare("lt", ORDERED, np.less)
le: Primitive = compare("le", ORDERED, np.less_equal)
gt: Primitive = compare("gt", ORDERED, np.greater)
ge: Primitive = compare("ge", ORDERED, np.greater_equal)
is_finite: Primitive = predicate("is_finite", FLOATING, np.isfinite)
logical_not: Primitive = unary("not", BITS, np.invert, ZERO)
logical_and: Primitive = binary("and", BITS, np.bitwise_and, ZERO)
logical_or: Primitive = binary("or", BITS, np.bitwise_or, ZERO)
logical_xor: Primitive = binary("xor", BITS, np.bitwise_xor, ZERO)
shift_left: Primitive = binary("shift_left", INTEGER, np.left_shift, ZERO)
shift_right: Primitive = binary("shift_right", INTEGER, np.right_shift, ZERO)
popcount: Primitive = unary(
    "popcount", INTEGER, lambda x: np.bitwise_count(x.view(f"u{x.dtype.itemsize}")).astype(x.dtype), ZERO
)
nextafter: Primitive = binary("nextafter", FLOATING, np.nextafter, lambda g, z, x, y: g, None)

# ---- dtype ------------------------------------------------------------------------------------------------------


def _convert_type(x: TensorType, *, dtype: np.dtype) -> TensorType:
    return TensorType(x.shape, dtype)


def _convert_eval(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if x.dtype.kind == "c" and dtype.kind not in "cb":
        x = x.real
    return x.astype(dtype)


def _convert_rule(g: Value, y: Value, x: Value, *, dtype: np.dtype) -> Value:
    """Back to x's dtype; a real x that became complex takes the real part."""
    if kind(g.dtype) == "c" and kind(x.dtype) != "c":
        g = real(g)
    return convert(g, dtype=x.dtype) if g.dtype != x.dtype else g


convert = Primitive(
    "convert",
    type=_convert_type,
    eval=_convert_eval,
    vjp=per_operand(_convert_rule),
    batch=elementwise_batch("convert"),
)


def _bitcast_type(x: TensorType, *, dtype: np.dtype) -> TensorType:
    if x.dtype.itemsize != dtype.itemsize or kind(dtype) in "bc" or kind(x.dtype) in "bc":
        raise DtypeError(f"bitcast: {x} to {dtype_name(dtype)} changes the element size", hint="use x.astype(dtype)")
    return TensorType(x.shape, dtype)


bitcast = Primitive(
    "bitcast",
    type=_bitcast_type,
    eval=lambda x, dtype: x.view(dtype),
    vjp=NoGradient("the bits of a number have no derivative"),
    batch=elementwise_batch("bitcast"),
)
