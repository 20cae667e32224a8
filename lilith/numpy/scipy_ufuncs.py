"""scipy.special's ufuncs."""

from __future__ import annotations

import numpy as np
import scipy.special

from lilith.ir.graph import Value, fill_like
from lilith.numpy.ufunc import define
from lilith.numpy.ufuncs import is_nan
from lilith.ops import elementwise, special
from lilith.ops.elementwise import eq, gt, log, log1p, logical_and, logical_not, lt, select

erf = define(scipy.special.erf, special.erf)
erfc = define(scipy.special.erfc, special.erfc)
gammaln = define(scipy.special.gammaln, special.lgamma)
digamma = define(scipy.special.digamma, special.digamma)
expit = define(scipy.special.expit, elementwise.logistic)


def _logit(x: Value) -> Value:
    """log(x / (1 - x)); near 1/2 as 2 artanh(2x - 1), which keeps its digits there."""
    s = x + x - fill_like(x, 1)
    near = lt(elementwise.abs(s), fill_like(x, 0.4))
    return select(near, fill_like(x, 2) * elementwise.atanh(s), log(x) - log1p(elementwise.neg(x)))


logit = define(scipy.special.logit, _logit)


def _times_logarithm(x: Value, y: Value, lowest: float, logarithm: elementwise.Primitive) -> Value:
    """x log(y), and 0 where x is 0 and the logarithm is not finite.

    The derivative in x is log(y) also at x = 0, and 0 where both are replaced.
    """
    inside = logical_and(gt(y, fill_like(y, lowest)), lt(y, fill_like(y, np.inf)))
    replaced = logical_and(eq(x, fill_like(x, 0)), logical_not(elementwise.logical_or(inside, is_nan(y))))
    return x * logarithm(select(replaced, fill_like(y, lowest + 1), y))


def _xlogy(x: Value, y: Value) -> Value:
    return _times_logarithm(x, y, 0.0, log)


def _entr(x: Value) -> Value:
    """-x log(x), 0 at 0, -inf below."""
    return select(lt(x, fill_like(x, 0)), fill_like(x, -np.inf), elementwise.neg(_xlogy(x, x)))


xlogy = define(scipy.special.xlogy, _xlogy)
xlog1py = define(scipy.special.xlog1py, lambda x, y: _times_logarithm(x, y, -1.0, log1p))
entr = define(scipy.special.entr, _entr)
