"""Samples of the special functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from lilith.ir.type import BFLOAT16
from tests.samples.making import F32, F64, SHAPES, Sample, sample, values

_UNARY = {
    "erf": (-1.7, 1.9),
    "erfc": (-1.7, 1.9),
    "erfcx": (-1.7, 5.3),
    "erfinv": (-0.8, 0.9),
    "ndtri": (0.05, 0.9),
    "logit": (0.1, 0.9),
    "lgamma": (0.4, 4.0),
    "digamma": (0.4, 4.0),
    "i0": (-2.3, 9.0),
    "i1": (-2.3, 9.0),
    "i0e": (-2.3, 9.0),
    "i1e": (-2.3, 9.0),
}
_KINDS = (*((F64, s) for s in SHAPES), (F32, (5,)))


def _unary(low: float, high: float) -> list[Sample]:
    return [sample(values(d, s, low, high)) for d, s in _KINDS] + [sample(values(BFLOAT16, (4,), low, high))]


def _several(*domains: tuple[float, float], kinds: Any = _KINDS, **params: Any) -> list[Sample]:
    """One operand from each domain."""
    return [sample(*[values(d, s, *domain, seed=i) for i, domain in enumerate(domains)], **params) for d, s in kinds]


def samples() -> dict[str, list[Sample]]:
    out = {name: _unary(*domain) for name, domain in _UNARY.items()}
    out["polygamma"] = [
        sample(np.full(s, n, d), values(d, s, 0.5, 3.0), smooth=(False, True))
        for n in (1, 2)
        for d, s in ((F64, (2, 3)), (F32, (3,)), (F64, ()))
    ]
    out["betaln"] = [*_several((0.4, 4.0), (0.5, 12.0)), *_several((8.5, 40.0), (9.0, 50.0))]
    out["zeta"] = _several((1.4, 5.0), (0.4, 4.0))
    # loops take long to compile: few samples of those
    few, one = ((F64, (5,)), (F32, (5,))), ((F64, (3,)),)
    gamma = ((0.4, 12.0), (0.3, 15.0))
    out |= {name: _several(*gamma, kinds=few) for name in ("gamma_density", "gammainc", "gammaincc")}
    out["gammainc_quotient"] = [*_several(*gamma, kinds=few, order=1), *_several(*gamma, kinds=one, order=2)]
    beta = ((0.4, 12.0), (0.6, 11.0), (0.1, 0.9))
    out |= {name: _several(*beta, kinds=few) for name in ("beta_density", "betainc")}
    out["betainc_quotient"] = [*_several(*beta, kinds=few, order=(1, 0)), *_several(*beta, kinds=one, order=(0, 1))]
    return out
