"""Special functions: elementwise primitives whose reference is scipy.special.

A reference is evaluated in at least float32 and rounded to the operand's dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from lilith.ir.graph import fill_like
from lilith.ir.primitive import Primitive
from lilith.ops.elementwise import FLOATING, binary, exp, scale, unary
from lilith.source import GradientError

_TWO_OVER_SQRT_PI = 2 / np.sqrt(np.pi)


def widened(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function evaluated in at least float32, its result rounded to the operands' dtype."""

    def eval(*operands: np.ndarray, **params: Any) -> np.ndarray:
        dtype = operands[0].dtype
        wide = np.float64 if dtype.itemsize > 4 else np.float32
        return np.asarray(function(*[x.astype(wide) for x in operands], **params)).astype(dtype)

    return eval


def _raise_no_gradient(reason: str) -> None:
    raise GradientError(reason, hint="lilith.stop_gradient(n) if it is a constant")


# ---- the error function and its inverse -----------------------------------------------------------------------------

erf: Primitive = unary(
    "erf", FLOATING, widened(scipy.special.erf), lambda g, y, x: scale(g, _TWO_OVER_SQRT_PI * exp(-(x * x)))
)
erfc: Primitive = unary(
    "erfc", FLOATING, widened(scipy.special.erfc), lambda g, y, x: scale(g, -_TWO_OVER_SQRT_PI * exp(-(x * x)))
)
erfinv: Primitive = unary(
    "erfinv", FLOATING, widened(scipy.special.erfinv), lambda g, y, x: scale(g, (1 / _TWO_OVER_SQRT_PI) * exp(y * y))
)

# ---- the gamma function and its logarithmic derivatives -------------------------------------------------------------

lgamma: Primitive = unary("lgamma", FLOATING, widened(scipy.special.gammaln), lambda g, y, x: scale(g, digamma(x)))
digamma: Primitive = unary(
    "digamma", FLOATING, widened(scipy.special.digamma), lambda g, y, x: scale(g, polygamma(fill_like(x, 1), x))
)


def _polygamma(n: np.ndarray, x: np.ndarray) -> np.ndarray:
    return scipy.special.polygamma(n.astype(np.int64), x).astype(x.dtype)


polygamma: Primitive = binary(
    "polygamma",
    FLOATING,
    widened(_polygamma),
    lambda g, z, n, x: _raise_no_gradient("polygamma: its order is an integer and has no derivative"),
    lambda g, z, n, x: scale(g, polygamma(n + 1, x)),
)
