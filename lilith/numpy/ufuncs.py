"""NumPy's ufuncs: arithmetic, comparison, logic and elementary functions, one row each.

A rule sees arrays of the dtypes that NumPy's own loop would see. Where a function is a primitive, the row names it.
Those that take more than a row are in `floats.py` (rounding, bits, division) and `scipy_ufuncs.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.primitive import Primitive
from lilith.ir.type import kind
from lilith.numpy.core import adapt, broadcast_shapes, convert, dtype_of, full, operand, type_of
from lilith.numpy.ufunc import Ufunc, define, register, resolve
from lilith.ops import control, elementwise
from lilith.source import DtypeError
from lilith.trace import SCALAR_TYPES

INTEGER_POWERS = 16
"""Powers up to this are products also where the exponent is a float: `x ** 2.0`."""


def is_bool(x: Value) -> bool:
    """Whether x is bool."""
    return x.dtype == np.bool_


def is_integer(x: Value) -> bool:
    """Whether x is bool or integer: finite, and without slope."""
    return kind(x.dtype) in "biu"


def is_complex(x: Value) -> bool:
    """Whether x is complex."""
    return kind(x.dtype) == "c"


def identity(x: Value) -> Value:
    """x itself."""
    return x


def false_like(x: Value) -> Value:
    """False for every element of x."""
    return full(False, x.shape, np.dtype(bool))


# ---- arithmetic ----------------------------------------------------------------------------------------------------

add = define(np.add, elementwise.add, bools=elementwise.logical_or)
subtract = define(np.subtract, elementwise.sub)
multiply = define(np.multiply, elementwise.mul, bools=elementwise.logical_and)
divide = define(np.divide, elementwise.div)
negative = define(np.negative, elementwise.neg)
positive = define(np.positive, identity)
absolute = define(np.absolute, elementwise.abs, bools=identity)
fabs = define(np.fabs, elementwise.abs)
sign = define(np.sign, elementwise.sign)
square = define(np.square, lambda x: elementwise.mul(x, x) if not is_bool(x) else x)
reciprocal = define(np.reciprocal, lambda x: elementwise.div(fill_like(x, 1), x))
conjugate = define(np.conjugate, elementwise.conj)


def _static_power(x: Any, exponent: Any, dtype: Any) -> Value | None:
    """x ** n with n known: products for integers, a square root for 1/2; None leaves it to `pow`."""
    if type(exponent) is complex or type(exponent) is bool:
        return None
    if type(x) is Value and dtype is None and kind(x.dtype) in "fc":
        base = x
        if exponent == 2:
            return elementwise.mul(x, x)
    else:
        types = [type_of(x), SCALAR_TYPES[type(exponent)]]
        inputs, _ = resolve(np.power, types, None if dtype is None else dtype_of(dtype))
        base = adapt(x, inputs[0], type_of(x).shape)
    if exponent == 0.5 and not is_integer(base):
        return elementwise.sqrt(base)
    if type(exponent) is float:
        if not exponent.is_integer() or abs(exponent) > INTEGER_POWERS or is_integer(base):
            return None
        exponent = int(exponent)
    if is_integer(base) and exponent < 0:
        raise DtypeError(
            f"power: integers to negative integer powers are not allowed ({base.type} ** {exponent})",
            hint="x.astype(float) ** n, or a float on one side: x ** -1.0",
        )
    return square(base) if exponent == 2 else base if exponent == 1 else _integer_power(base, exponent)


def _integer_power(x: Value, exponent: int) -> Value | None:
    """None where so many products would be worse than `pow`."""
    if abs(exponent) > 4 * INTEGER_POWERS and not is_integer(x):
        return None
    return full(1, x.shape, x.dtype) if exponent == 0 else elementwise.integer_pow(x, exponent=exponent)


def _power(x: Value, y: Value) -> Value:
    return _power_by_squaring(x, y) if is_integer(x) else elementwise.pow(x, y)


def _power_by_squaring(x: Value, y: Value) -> Value:
    """Integers to integer powers, a factor for each bit of the exponent.

    To a negative power, at which NumPy raises an error if it meets one, it is 1 / x^|y| without its fraction.
    """
    one, zero = fill_like(x, 1), fill_like(x, 0)
    result, factor, rest = one, x, elementwise.abs(y)
    for _ in range(8 * x.dtype.itemsize - (kind(x.dtype) == "i")):
        odd = elementwise.ne(elementwise.logical_and(rest, one), zero)
        result = elementwise.select(odd, elementwise.mul(result, factor), result)
        rest, factor = elementwise.shift_right(rest, one), elementwise.mul(factor, factor)
    if kind(x.dtype) == "u":
        return result
    unit = elementwise.eq(elementwise.abs(x), one)
    return elementwise.select(elementwise.lt(y, zero), elementwise.select(unit, result, zero), result)


power = define(np.power, _power, _static_power)
float_power = define(np.float_power, elementwise.pow)

# ---- comparison and logic ------------------------------------------------------------------------------------------


class Comparison(Ufunc):
    """Also with Python ints that the array's dtype cannot hold: the answer is the same everywhere then."""

    __slots__ = ("primitive",)

    def __init__(self, ufunc: Any, primitive: Primitive):
        super().__init__(ufunc, lambda x, y: _compare(primitive, x, y))
        self.primitive = primitive

    def __call__(self, *xs: Any, dtype: Any = None, casting: Any = "same_kind") -> Value:
        operands = [operand(x) for x in xs]
        if (beyond := _beyond(operands)) is None:
            return super().__call__(*operands, dtype=dtype, casting=casting)
        common = broadcast_shapes(self.name, [type_of(x) for x in operands])
        return full(bool(self.ufunc(*beyond)), common, np.dtype(bool))


def _beyond(operands: list[Any]) -> tuple[int, int] | None:
    """Numbers that compare as an integer array and a Python int compare that its dtype cannot hold."""
    for place, number in enumerate(operands):
        if type(number) is int:
            dtype = type_of(operands[1 - place]).dtype
            if kind(dtype) in "iu" and not np.iinfo(dtype).min <= number <= np.iinfo(dtype).max:
                sign = 1 if number > 0 else -1
                return (0, sign) if place else (sign, 0)
    return None


def _compare(primitive: Primitive, x: Value, y: Value) -> Value:
    """A comparison; int64 with uint64 is compared as uint64 where neither is negative."""
    if x.dtype == y.dtype:
        return _lexicographic(primitive, x, y) if is_complex(x) and primitive not in _EQUALITIES else primitive(x, y)
    unsigned = np.dtype(np.uint64)
    if kind(x.dtype) == "i":
        negative_ = elementwise.lt(x, fill_like(x, 0))
        answer = bool(primitive.eval(np.int64(-1), np.int64(0)))
    else:
        negative_ = elementwise.lt(y, fill_like(y, 0))
        answer = bool(primitive.eval(np.int64(0), np.int64(-1)))
    plain = primitive(convert(x, unsigned), convert(y, unsigned))
    return elementwise.select(negative_, full(answer, x.shape, np.dtype(bool)), plain)


_EQUALITIES = (elementwise.eq, elementwise.ne)


def _lexicographic(primitive: Any, x: Value, y: Value) -> Value:
    """Complex numbers are ordered by real part, then by imaginary part."""
    strict = elementwise.lt if primitive in (elementwise.lt, elementwise.le) else elementwise.gt
    a, b = elementwise.real(x), elementwise.real(y)
    tie = elementwise.logical_and(elementwise.eq(a, b), primitive(elementwise.imag(x), elementwise.imag(y)))
    return elementwise.logical_or(strict(a, b), tie)


equal = register(Comparison(np.equal, elementwise.eq))
not_equal = register(Comparison(np.not_equal, elementwise.ne))
less = register(Comparison(np.less, elementwise.lt))
less_equal = register(Comparison(np.less_equal, elementwise.le))
greater = register(Comparison(np.greater, elementwise.gt))
greater_equal = register(Comparison(np.greater_equal, elementwise.ge))


def _logical(primitive: Any) -> Callable[..., Value]:
    """Numbers count as true where they are not zero."""
    return lambda *xs: primitive(*[convert(x, np.dtype(bool)) for x in xs])


logical_and = define(np.logical_and, _logical(elementwise.logical_and))
logical_or = define(np.logical_or, _logical(elementwise.logical_or))
logical_xor = define(np.logical_xor, _logical(elementwise.logical_xor))
logical_not = define(np.logical_not, _logical(elementwise.logical_not))
bitwise_and = define(np.bitwise_and, elementwise.logical_and)
bitwise_or = define(np.bitwise_or, elementwise.logical_or)
bitwise_xor = define(np.bitwise_xor, elementwise.logical_xor)
invert = define(np.invert, elementwise.logical_not)
left_shift = define(np.left_shift, elementwise.shift_left)
right_shift = define(np.right_shift, elementwise.shift_right)
# NumPy counts the bits of the absolute value
bitwise_count = define(np.bitwise_count, lambda x: elementwise.popcount(elementwise.abs(x) if not is_bool(x) else x))


def is_nan(x: Value) -> Value:
    """Where x is NaN; a complex number is where one of its parts is."""
    return false_like(x) if is_integer(x) else elementwise.ne(x, x)


def is_inf(x: Value) -> Value:
    """Where x is infinite; a complex number is where one of its parts is."""
    if is_integer(x):
        return false_like(x)
    if is_complex(x):
        return elementwise.logical_or(is_inf(elementwise.real(x)), is_inf(elementwise.imag(x)))
    return elementwise.eq(elementwise.abs(x), fill_like(x, np.inf))


def is_finite(x: Value) -> Value:
    """Where x is neither infinite nor NaN."""
    if is_integer(x):
        return full(True, x.shape, np.dtype(bool))
    if is_complex(x):
        return elementwise.logical_and(is_finite(elementwise.real(x)), is_finite(elementwise.imag(x)))
    return elementwise.is_finite(x)


isnan = define(np.isnan, is_nan)
isinf = define(np.isinf, is_inf)
isfinite = define(np.isfinite, is_finite)

# ---- extrema -------------------------------------------------------------------------------------------------------


def _ignoring_nan(primitive: Any) -> Callable[[Value, Value], Value]:
    """The other operand where one is NaN."""

    def rule(x: Value, y: Value) -> Value:
        if is_integer(x):
            return primitive(x, y)
        return elementwise.select(is_nan(x), y, elementwise.select(is_nan(y), x, primitive(x, y)))

    return rule


def _extremum(primitive: Any, before: Any) -> Callable[[Value, Value], Value]:
    def rule(x: Value, y: Value) -> Value:
        if not is_complex(x):
            return primitive(x, y)
        chosen = elementwise.logical_or(_lexicographic(before, x, y), is_nan(x))
        return elementwise.select(chosen, x, y)

    return rule


maximum = define(np.maximum, _extremum(elementwise.max, elementwise.ge))
minimum = define(np.minimum, _extremum(elementwise.min, elementwise.le))
fmax = define(np.fmax, _ignoring_nan(elementwise.max))
fmin = define(np.fmin, _ignoring_nan(elementwise.min))

# ---- exponentials and logarithms -----------------------------------------------------------------------------------

LN2 = float(np.log(2.0))
LN10 = float(np.log(10.0))


def _exp2(x: Value) -> Value:
    """2 ** x, exact for integers x."""
    return elementwise.pow(fill_like(x, 2), x)


def _log_over(x: Value, unit: float) -> Value:
    """log x / unit; of complex numbers each part by itself, so that -inf + 0i stays what it is."""
    y = elementwise.log(x)
    if not is_complex(x):
        return y / fill_like(x, unit)
    a, b = elementwise.real(y), elementwise.imag(y)
    return elementwise.complex(a / fill_like(a, unit), b / fill_like(b, unit))


def _log2(x: Value) -> Value:
    """log x / log 2, rounded to the integer it is where x is a power of two (its mantissa bits are zero)."""
    y = _log_over(x, LN2)
    if is_complex(x):
        return y
    bits = elementwise.bitcast(x, dtype=np.dtype(f"i{x.dtype.itemsize}"))
    mantissa = elementwise.logical_and(bits, fill_like(bits, (1 << mantissa_bits(x.dtype)) - 1))
    exact = elementwise.logical_and(elementwise.eq(mantissa, fill_like(bits, 0)), elementwise.is_finite(y))
    correction = elementwise.select(exact, elementwise.rint(y) - y, fill_like(y, 0))
    return y + control.stop_gradient(correction)


def mantissa_bits(dtype: np.dtype) -> int:
    """Stored bits of the mantissa: 52 for float64."""
    return {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}[dtype.name]


exp = define(np.exp, elementwise.exp)
exp2 = define(np.exp2, _exp2)
expm1 = define(np.expm1, elementwise.expm1)
log = define(np.log, elementwise.log)
log2 = define(np.log2, _log2)
log10 = define(np.log10, lambda x: _log_over(x, LN10))
log1p = define(np.log1p, elementwise.log1p)
sqrt = define(np.sqrt, elementwise.sqrt)
cbrt = define(np.cbrt, elementwise.cbrt)


def _logaddexp(exp_: Any, per_unit: float) -> Callable[[Value, Value], Value]:
    """h + log(1 + e^(l - h)) with h the larger and l the smaller one; every derivative is the one of that formula."""

    def rule(x: Value, y: Value) -> Value:
        larger = elementwise.gt(x, y)
        high, low = elementwise.select(larger, x, y), elementwise.select(larger, y, x)
        infinite = elementwise.logical_and(elementwise.eq(x, y), elementwise.logical_not(elementwise.is_finite(x)))
        difference = elementwise.select(infinite, fill_like(x, 0), low - high)
        return high + elementwise.log1p(exp_(difference)) / fill_like(x, per_unit)

    return rule


logaddexp = define(np.logaddexp, _logaddexp(elementwise.exp, 1.0))
logaddexp2 = define(np.logaddexp2, _logaddexp(_exp2, LN2))

# ---- trigonometric and hyperbolic ----------------------------------------------------------------------------------

sin = define(np.sin, elementwise.sin)
cos = define(np.cos, elementwise.cos)
tan = define(np.tan, elementwise.tan)
arcsin = define(np.arcsin, elementwise.asin)
arccos = define(np.arccos, elementwise.acos)
arctan = define(np.arctan, elementwise.atan)
arctan2 = define(np.arctan2, elementwise.atan2)
sinh = define(np.sinh, elementwise.sinh)
cosh = define(np.cosh, elementwise.cosh)
tanh = define(np.tanh, elementwise.tanh)
arcsinh = define(np.arcsinh, elementwise.asinh)
arccosh = define(np.arccosh, elementwise.acosh)
arctanh = define(np.arctanh, elementwise.atanh)
degrees = define(np.degrees, lambda x: x * fill_like(x, 180 / np.pi))
rad2deg = define(np.rad2deg, lambda x: x * fill_like(x, 180 / np.pi))
radians = define(np.radians, lambda x: x * fill_like(x, np.pi / 180))
deg2rad = define(np.deg2rad, lambda x: x * fill_like(x, np.pi / 180))


def _hypot(x: Value, y: Value) -> Value:
    """s sqrt((x/s)² + (y/s)²) with the constant s = max(|x|, |y|): no overflow; value and slopes 0 at the origin."""
    size = control.stop_gradient(elementwise.max(elementwise.abs(x), elementwise.abs(y)))
    origin = elementwise.eq(size, fill_like(x, 0))
    infinite = elementwise.logical_or(is_inf(x), is_inf(y))
    one = fill_like(x, 1)
    scale = elementwise.select(elementwise.logical_or(origin, infinite), one, size)
    a, b = x / scale, y / scale
    root = elementwise.sqrt(elementwise.select(origin, one, a * a + b * b))
    length = elementwise.select(origin, fill_like(x, 0), scale * root)
    return elementwise.select(infinite, fill_like(x, np.inf), length)


hypot = define(np.hypot, _hypot)
