"""Ufuncs about the parts of numbers: rounding, division with remainder, sign, exponent and bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import kind
from lilith.numpy.core import convert, full
from lilith.numpy.ufunc import define
from lilith.numpy.ufuncs import identity, is_bool, is_inf, is_integer, is_nan, mantissa_bits
from lilith.ops import elementwise
from lilith.ops.control import stop_gradient
from lilith.ops.elementwise import eq, logical_and, lt, ne, select

# ---- rounding ------------------------------------------------------------------------------------------------------


def _rounding(primitive: Any) -> Any:
    """Integers are whole already."""
    return lambda x: identity(x) if is_integer(x) else primitive(x)


floor = define(np.floor, _rounding(elementwise.floor))
ceil = define(np.ceil, _rounding(elementwise.ceil))


def _toward_zero(x: Value) -> Value:
    return select(lt(x, fill_like(x, 0)), elementwise.ceil(x), elementwise.floor(x))


trunc = define(np.trunc, _rounding(_toward_zero))


def _rint(x: Value) -> Value:
    if kind(x.dtype) == "c":
        return elementwise.complex(elementwise.rint(elementwise.real(x)), elementwise.rint(elementwise.imag(x)))
    return identity(x) if is_integer(x) else elementwise.rint(x)


rint = define(np.rint, _rint)

# ---- sign ----------------------------------------------------------------------------------------------------------


def _bits(x: Value) -> Value:
    return elementwise.bitcast(x, dtype=np.dtype(f"i{x.dtype.itemsize}"))


def sign_bit(x: Value) -> Value:
    """True for negative numbers, -0.0 and NaNs with the sign bit."""
    if is_integer(x):
        return lt(x, fill_like(x, 0)) if kind(x.dtype) == "i" else full(False, x.shape, np.dtype(bool))
    bits = _bits(x)
    return lt(bits, fill_like(bits, 0))


def copy_sign(x: Value, y: Value) -> Value:
    """|x| with the sign of y, also of y = -0.0."""
    size = elementwise.abs(x)
    return select(sign_bit(y), elementwise.neg(size), size)


signbit = define(np.signbit, sign_bit)
copysign = define(np.copysign, copy_sign)


def _heaviside(x: Value, y: Value) -> Value:
    """0, y or 1 for x < 0, x = 0, x > 0; NaN stays."""
    zero, one = fill_like(x, 0), fill_like(x, 1)
    step = select(lt(x, zero), zero, select(eq(x, zero), y, one))
    return select(is_nan(x), stop_gradient(x), step)


heaviside = define(np.heaviside, _heaviside)

# ---- division with remainder ---------------------------------------------------------------------------------------


def _nonzero(y: Value) -> tuple[Value, Value]:
    """Where y is zero, and y with ones there."""
    zero = eq(y, fill_like(y, 0))
    return zero, select(zero, fill_like(y, 1), y)


def _opposite(remainder_: Value, y: Value) -> Value:
    """Where a truncated remainder is not zero and has not the sign of the divisor."""
    zero = fill_like(y, 0)
    return logical_and(ne(remainder_, zero), ne(lt(remainder_, zero), lt(y, zero)))


def _integer_divmod(x: Value, y: Value) -> tuple[Value, Value]:
    """Rounded down; both are 0 where the divisor is 0."""
    zero, divisor = _nonzero(y)
    quotient, rest = elementwise.div(x, divisor), elementwise.rem(x, divisor)
    if kind(x.dtype) == "i":
        wrong = _opposite(rest, divisor)
        quotient = select(wrong, quotient - fill_like(x, 1), quotient)
        rest = select(wrong, rest + divisor, rest)
    nothing = fill_like(x, 0)
    return select(zero, nothing, quotient), select(zero, nothing, rest)


def _float_divmod(x: Value, y: Value) -> tuple[Value, Value]:
    """NumPy's algorithm: the remainder has the sign of y; the quotient is x / y where y is 0."""
    zero, one = fill_like(x, 0), fill_like(x, 1)
    truncated = elementwise.rem(x, y)
    wrong = _opposite(truncated, y)
    rest = select(wrong, truncated + y, truncated)
    whole = elementwise.div(x - truncated, y)
    whole = select(wrong, whole - one, whole)
    down = elementwise.floor(whole)
    nearest = select(elementwise.gt(whole - down, fill_like(x, 0.5)), down + one, down)
    ratio = stop_gradient(elementwise.div(x, y))
    quotient = select(eq(whole, zero), copy_sign(zero, ratio), nearest)
    return select(eq(y, zero), ratio, quotient), rest


def _divmod(x: Value, y: Value) -> tuple[Value, Value]:
    return _integer_divmod(x, y) if is_integer(x) else _float_divmod(x, y)


def _fmod(x: Value, y: Value) -> Value:
    """The remainder with the sign of x."""
    if not is_integer(x):
        return elementwise.rem(x, y)
    zero, divisor = _nonzero(y)
    return select(zero, fill_like(x, 0), elementwise.rem(x, divisor))


divmod = define(np.divmod, _divmod)
floor_divide = define(np.floor_divide, lambda x, y: _divmod(x, y)[0])
remainder = define(np.remainder, lambda x, y: _divmod(x, y)[1])
fmod = define(np.fmod, _fmod)


def _modf(x: Value) -> tuple[Value, Value]:
    """The fractional and the whole part, both with the sign of x."""
    whole = _toward_zero(x)
    fraction = select(is_inf(x), stop_gradient(copy_sign(fill_like(x, 0), x)), x - whole)
    return fraction, whole


modf = define(np.modf, _modf)

# ---- exponents -----------------------------------------------------------------------------------------------------


def _bias(dtype: np.dtype) -> int:
    """The exponent's offset: 1023 for float64."""
    return (1 << (8 * dtype.itemsize - 2 - mantissa_bits(dtype))) - 1


def _power_of_two(n: Value, dtype: np.dtype) -> Value:
    """2 ** n for integers n from 1 - bias to bias, by its bits."""
    bits = convert(n + fill_like(n, _bias(dtype)), np.dtype(f"i{dtype.itemsize}"))
    bits = elementwise.shift_left(bits, fill_like(bits, mantissa_bits(dtype)))
    return elementwise.bitcast(bits, dtype=dtype)


def _ldexp(x: Value, n: Value) -> Value:
    """x 2^n in three steps, none of which rounds a subnormal number twice; 16-bit floats by way of float32."""

    def scaled(x: Value, step: Value) -> Value:
        # the selection, which changes nothing, keeps XLA from multiplying constant steps with each other: to infinity
        return select(elementwise.is_finite(x), x * _power_of_two(step, x.dtype), x)

    if x.dtype.itemsize == 2:
        return convert(_ldexp(convert(x, np.dtype(np.float32)), n), x.dtype)
    bias = _bias(x.dtype)
    n = convert(n, np.dtype(np.int64))
    span = 3 * (bias + mantissa_bits(x.dtype))
    n = elementwise.max(elementwise.min(n, fill_like(n, span)), fill_like(n, -span))
    low, high = fill_like(n, 1 - bias), fill_like(n, bias)
    for _ in range(2):
        down = select(lt(n, low), fill_like(n, 1 - bias + mantissa_bits(x.dtype) + 1), fill_like(n, 0))
        step = select(elementwise.gt(n, high), high, down)
        x = scaled(x, step)
        n = n - step
    return scaled(x, elementwise.max(elementwise.min(n, high), low))


def _frexp(x: Value) -> tuple[Value, Value]:
    """x = m 2^e with 1/2 <= |m| < 1; zero, infinities and NaN have e = 0."""
    dtype, stored = x.dtype, mantissa_bits(x.dtype)
    bias = _bias(dtype)
    tiny = lt(elementwise.abs(x), fill_like(x, 2.0 ** (1 - bias)))
    factor = select(tiny, fill_like(x, 2.0 ** (stored + 2)), fill_like(x, 1))
    scaled = x * factor
    bits = _bits(scaled)
    field = logical_and(elementwise.shift_right(bits, fill_like(bits, stored)), fill_like(bits, 2 * bias + 1))
    wide = convert(field, np.dtype(np.int64))
    exponent = wide - fill_like(wide, bias - 1)
    plain = logical_and(elementwise.is_finite(x), ne(x, fill_like(x, 0)))
    safe = select(plain, exponent, fill_like(exponent, 0))
    mantissa = _ldexp(scaled, elementwise.neg(safe))
    shift = select(tiny, fill_like(exponent, stored + 2), fill_like(exponent, 0))
    zero = fill_like(exponent, 0)
    return select(plain, mantissa, x), select(plain, exponent - shift, zero)


ldexp = define(np.ldexp, _ldexp)
frexp = define(np.frexp, _frexp)
nextafter = define(np.nextafter, elementwise.nextafter)


def _spacing(x: Value) -> Value:
    """The distance to the neighbour that is farther from zero, with the sign of x."""
    size = stop_gradient(elementwise.abs(x))
    return copy_sign(elementwise.nextafter(size, fill_like(x, np.inf)) - size, stop_gradient(x))


spacing = define(np.spacing, _spacing)

# ---- common divisors -----------------------------------------------------------------------------------------------


def _gcd(x: Value, y: Value) -> Value:
    """Euclid's algorithm with the number of steps that the largest pair of the dtype takes."""
    if is_bool(x):
        return elementwise.logical_or(x, y)
    a, b = elementwise.abs(x), elementwise.abs(y)
    for _ in range(int(8 * x.dtype.itemsize * 1.4405) + 2):
        zero, divisor = _nonzero(b)
        a, b = select(zero, a, b), select(zero, b, elementwise.rem(a, divisor))
    return elementwise.abs(a)


def _lcm(x: Value, y: Value) -> Value:
    divisor = _nonzero(_gcd(x, y))[1]
    return elementwise.abs(elementwise.mul(elementwise.div(x, divisor), y))


gcd = define(np.gcd, _gcd)
lcm = define(np.lcm, _lcm)
