"""Logarithms of float64 in additions, products and one division, for use in other formulas.

XLA:CPU has no vector code for them in its loops: it calls the C library once per element, which takes two to five times
as long.
"""

from __future__ import annotations

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ops.elementwise import bitcast, logical_and, logical_or, shift_left, shift_right
from lilith.ops.expansion import chosen, compared, polynomial

_FLOAT64, _INT64 = np.dtype(np.float64), np.dtype(np.int64)

# fdlibm's e_log.c (Sun Microsystems 1993): (log(1 + f) - f + f²/2) / s in s², s = f / (2 + f); and log 2 in two parts
_REMAINDER = (
    *(6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01),
    *(1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01),
)
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10

_ONE = 0x3FF0000000000000
_ROOT_HALF = 0x3FE6A09E667F3BCD
_INFINITY = 0x7FF0000000000000
_MANTISSA = 0x000FFFFFFFFFFFFF
_TWO_52 = 0x4330000000000000
"""The bits of 2⁵²: with an integer below in the mantissa they are those of 2⁵² plus it."""


def _small_integer(bits: Value) -> Value:
    """Integers from 0 to 2⁵² - 1 as floats."""
    return bitcast(logical_or(bits, fill_like(bits, _TWO_52)), dtype=_FLOAT64) - 2.0**52


def _mantissa(bits: Value) -> Value:
    return logical_and(bits, fill_like(bits, _MANTISSA))


def _parts(given: Value) -> tuple[Value, Value]:
    """k and f with x = 2ᵏ (1 + f), √½ <= 1 + f < √2, of the bits of a positive x."""
    denormal = compared("lt", given, _MANTISSA + 1)
    bits = chosen(denormal, bitcast(_small_integer(_mantissa(given)), dtype=_INT64), given)
    shifted = bits + (_ONE - _ROOT_HALF)
    exponent = _small_integer(shift_right(shifted, fill_like(shifted, 52)))
    bias = chosen(denormal, fill_like(exponent, 1023.0 + 1074.0), 1023.0)
    return exponent - bias, bitcast(_mantissa(shifted) + _ROOT_HALF, dtype=_FLOAT64) - 1


def _put_together(k: Value, f: Value) -> Value:
    """k log 2 + log(1 + f)."""
    s = f / (2 + f)
    square, half = s * s, 0.5 * (f * f)
    remainder = square * polynomial(square, _REMAINDER)
    return k * _LN2_HIGH - ((half - (s * (half + remainder) + k * _LN2_LOW)) - f)


def _with_limits(x: Value, given: Value, y: Value) -> Value:
    """y where x is positive and finite, else -∞ at 0, ∞ at ∞, NaN. By its bits: floats may be flushed to zero."""
    finite = logical_and(compared("gt", given, 0), compared("lt", given, _INFINITY))
    zero = compared("eq", shift_left(given, fill_like(given, 1)), 0)
    other = chosen(compared("ge", given, _INFINITY), x, np.nan)
    return chosen(finite, y, chosen(zero, -np.inf, other))


def log_formula(x: Value) -> Value:
    """log x, to one unit in the last place."""
    given = bitcast(x, dtype=_INT64)
    return _with_limits(x, given, _put_together(*_parts(given)))


def log1p_formula(x: Value) -> Value:
    """log(1 + x), to two units in the last place: near 0 with f = x, elsewhere of the rounded sum."""
    u = 1 + x
    given = bitcast(u, dtype=_INT64)
    k, f = _parts(given)
    near = logical_and(compared("gt", x, -0.29), compared("lt", x, 0.41))
    return _with_limits(u, given, _put_together(chosen(near, 0.0, k), chosen(near, x, f)))


VECTORISED = {"log": log_formula, "log1p": log1p_formula}
"""What the lowering of a formula for CPU computes in place of these primitives of float64."""
