"""Samples of the elementwise primitives."""

from __future__ import annotations

import numpy as np

from lilith.ir.type import BFLOAT16
from tests.samples.making import (
    BOOL,
    C64,
    C128,
    F16,
    F32,
    F64,
    I32,
    I64,
    SHAPES,
    U8,
    U32,
    U64,
    Sample,
    sample,
    specials,
    values,
)

# the domain of each unary primitive, and whether it takes complex numbers
_UNARY = {
    **{name: (-1.7, 1.9, True) for name in ("exp", "expm1", "sin", "cos", "sinh", "cosh", "tanh", "asinh", "logistic")},
    **{name: (-0.8, 0.9, True) for name in ("tan", "asin", "acos", "atan", "atanh")},
    **{name: (0.3, 3.0, True) for name in ("log", "log1p", "sqrt", "rsqrt")},
    "acosh": (1.2, 3.0, True),
    "cbrt": (0.3, 3.0, False),
    **{name: (-2.3, 2.6, False) for name in ("floor", "ceil", "rint")},
}


def _unary(low: float, high: float, complex: bool) -> list[Sample]:
    found = [sample(values(F64, shape, low, high)) for shape in SHAPES]
    found.append(sample(values(F32, (5,), low, high)))
    if complex:
        found.append(sample(values(C128, (4,), low, high)))
    return found


def _binary(dtypes: tuple[np.dtype, ...], low: float, high: float) -> list[Sample]:
    """Both operands from the same range, never equal; the first dtype in every shape."""
    pairs = [(dtypes[0], shape) for shape in SHAPES] + [(dtype, (2, 3)) for dtype in dtypes[1:]]
    return [sample(values(d, s, low, high), values(d, s, low + 0.07, high, seed=5)) for d, s in pairs]


def samples() -> dict[str, list[Sample]]:
    out = {name: _unary(*domain) for name, domain in _UNARY.items()}
    for name in ("floor", "ceil", "rint"):
        out[name] += [sample(x, smooth=False) for x in specials()]
    number = (F64, F32, C128, I32, I64)
    out |= {name: _binary(number, -2.0, 2.3) for name in ("add", "sub", "mul")}
    out["mul"] += [sample(values(BFLOAT16, (4,)), values(BFLOAT16, (4,), seed=2))]
    out["add"] += [sample(values(F16, (4,)), values(F16, (4,), seed=2)), sample(np.array([250], U8), np.array([9], U8))]
    out["div"] = [
        *_binary((F64, F32, C128), 0.4, 2.3),
        sample(np.array([7, -7, 7, -7, 5], I32), np.array([2, 2, -2, -2, 0], I32)),
        sample(np.array([7, 9, 5], U32), np.array([2, 4, 0], U32)),
    ]
    out["rem"] = [
        sample(np.array([5.3, -5.3, 5.3]), np.array([2.0, 2.0, -1.9])),
        sample(np.array([5.3, -5.3], F32), np.array([2.0, 2.0], F32)),
        sample(np.array([7, -7, 7, 5], I32), np.array([2, 2, -2, 0], I32)),
    ]
    out["pow"] = [
        *_binary((F64, F32, C128), 0.4, 2.3),
        sample(np.array([0.0, 0.0, 2.0]), np.array([2.0, 3.0, 0.0]), smooth=False),
    ]
    out["atan2"] = _binary((F64, F32), -2.0, 2.3)
    out["nextafter"] = _binary((F64, F32), -2.0, 2.3)
    out["scale_cotangent"] = [
        *_binary((F64, F32, C128), 0.4, 2.3),
        sample(np.array([0.0, 1.0, 0.0]), np.array([np.inf, 2.0, np.nan]), smooth=False),
    ]
    out["integer_pow"] = [
        sample(values(d, s, 0.4, 2.0), exponent=n)
        for n in (-3, -1, 0, 1, 2, 3, 7)
        for d, s in ((F64, (2, 3)), (F32, (3,)))
    ] + [sample(values(C128), exponent=3), sample(values(I32), exponent=3), sample(values(F64, ()), exponent=2)]
    return out | _signs() | _orders() | _bits() | _conversions()


def _signs() -> dict[str, list[Sample]]:
    out: dict[str, list[Sample]] = {}
    number = (F64, F32, C128, I32, I64)
    out["neg"] = [sample(values(d)) for d in (*number, U8)] + [sample(values(F64, s)) for s in SHAPES]
    for name in ("abs", "sign"):
        smooth = [sample(values(d)) for d in (F64, F32, C128)] + [sample(values(F64, s, 0.3)) for s in SHAPES]
        zeros = [sample(np.zeros(2, d), smooth=False) for d in (F64, C128)]
        out[name] = [*smooth, *zeros, sample(values(I32)), sample(values(U8))]
    return out


def _orders() -> dict[str, list[Sample]]:
    out: dict[str, list[Sample]] = {}
    ordered = (F64, F32, I32, I64, U8)
    extrema = [sample(x, x[::-1].copy(), smooth=False) for x in specials()]
    ties = [sample(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0]), smooth=False)]
    out |= {name: _binary(ordered, -2.0, 2.3) + extrema + ties for name in ("max", "min")}
    comparison = [sample(x, y) for x in specials() for y in (x, x[::-1].copy())]
    out |= {name: _binary(ordered, -2.0, 2.3) + comparison for name in ("lt", "le", "gt", "ge", "eq", "ne")}
    for name in ("eq", "ne"):
        out[name] = [*out[name], sample(values(C128), values(C128)), sample(values(BOOL), values(BOOL, seed=1))]
    out["is_finite"] = [sample(x) for x in specials()] + [sample(values(F64, s)) for s in SHAPES]
    return out


def _bits() -> dict[str, list[Sample]]:
    pairs = [sample(values(d, s, 0, 9), values(d, s, 0, 9, seed=3)) for d in (BOOL, I32, U8, I64) for s in SHAPES]
    out = {name: pairs for name in ("and", "or", "xor")}
    out["not"] = [sample(p.operands[0]) for p in pairs]
    shifts = [sample(values(d, (4,), -9, 9), np.array([0, 1, 2, 3], d)) for d in (I32, I64, U8)]
    out |= {"shift_left": shifts, "shift_right": shifts}
    out["popcount"] = [sample(values(d, (4,), -9, 9)) for d in (I32, I64, U8)]
    return out


def _conversions() -> dict[str, list[Sample]]:
    parts = [sample(values(C128, s)) for s in SHAPES] + [sample(values(C64, (3,)))]
    out = {"real": parts, "imag": parts}
    out["complex"] = [sample(values(d, s), values(d, s, seed=4)) for d, s in ((F64, (2, 3)), (F32, (3,)), (F64, ()))]
    out["select"] = [
        sample(values(BOOL, s), values(d, s), values(d, s, seed=4))
        for d, s in ((F64, (2, 3)), (F64, ()), (F64, (0,)), (F32, (3,)), (C128, (3,)), (I32, (3,)), (BOOL, (3,)))
    ]
    smooth = [(F64, F64), (F64, C128), (C128, C128), (C128, F64)]
    rough = [
        (F64, F32),
        (F32, F64),
        (F64, I32),
        (I32, F64),
        (F64, BOOL),
        (BOOL, F32),
        (I64, U8),
        (F32, BFLOAT16),
        (I32, C64),
    ]
    out["convert"] = [sample(values(a), dtype=b, smooth=True) for a, b in smooth]
    out["convert"] += [sample(values(a), dtype=b, smooth=False) for a, b in rough]
    out["bitcast"] = [sample(values(a, (3,)), dtype=b) for a, b in ((F64, I64), (I32, F32), (F32, U32), (U64, F64))]
    return out
