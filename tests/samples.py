"""Sample inputs of every primitive: what the generic tests in test_registry.py run through.

Values lie away from kinks and poles, so that finite differences are good to about eight digits; shapes are small.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lilith.ir import Literal
from lilith.ir.type import BFLOAT16

F16, F32, F64 = (np.dtype(f"f{n}") for n in (2, 4, 8))
C64, C128 = np.dtype("c8"), np.dtype("c16")
I8, I32, I64 = (np.dtype(f"i{n}") for n in (1, 4, 8))
U8, U32, U64 = (np.dtype(f"u{n}") for n in (1, 4, 8))
BOOL = np.dtype(bool)
SHAPES = ((2, 3), (), (0,))


class Sample(NamedTuple):
    """One application of a primitive.

    Attributes:
        operands: NumPy arrays.
        params: the static parameters.
        differentiable: for each operand, whether the primitive is smooth in it here.
    """

    operands: tuple[np.ndarray, ...]
    params: dict[str, Any]
    differentiable: tuple[bool, ...]


def sample(*operands: Any, smooth: tuple[bool, ...] | bool = True, **params: Any) -> Sample:
    """A sample; `smooth` says which operands may be differentiated, floating and complex ones that is."""
    arrays = tuple(np.asarray(x) for x in operands)
    flags = smooth if isinstance(smooth, tuple) else (smooth,) * len(arrays)
    inexact = [a.dtype.kind in "fc" or a.dtype == BFLOAT16 for a in arrays]
    return Sample(arrays, params, tuple(a and b for a, b in zip(flags, inexact, strict=True)))


def values(
    dtype: np.dtype, shape: tuple[int, ...] = (2, 3), low: float = -2.0, high: float = 2.0, seed: int = 0
) -> np.ndarray:
    """Distinct numbers from low to high in mixed order; complex ones with an imaginary part of the same kind."""
    size = int(np.prod(shape))
    spread = low + (high - low) * (np.arange(size) + 0.37) / max(size, 1)
    order = np.random.default_rng(seed + 1).permutation(size)
    x = spread[order].reshape(shape)
    if dtype.kind == "c":
        return (x + 1j * spread[order[::-1]].reshape(shape) / 2).astype(dtype)
    if dtype.kind in "iu":
        return np.rint(np.maximum(x, 0 if dtype.kind == "u" else low)).astype(dtype)
    if dtype.kind == "b":
        return (np.arange(size) % 3 == seed % 3).reshape(shape)
    return x.astype(dtype)


# ---- elementwise ----------------------------------------------------------------------------------------------------

# the domain of each unary primitive, and whether it takes complex numbers
_UNARY = {
    **{name: (-1.7, 1.9, True) for name in ("exp", "expm1", "sin", "cos", "sinh", "cosh", "tanh", "asinh", "logistic")},
    **{name: (-0.8, 0.9, True) for name in ("tan", "asin", "acos", "atan", "atanh")},
    **{name: (0.3, 3.0, True) for name in ("log", "log1p", "sqrt", "rsqrt")},
    "acosh": (1.2, 3.0, True),
    "cbrt": (0.3, 3.0, False),
    "erf": (-1.7, 1.9, False),
    "erfc": (-1.7, 1.9, False),
    "lgamma": (0.4, 4.0, False),
    "digamma": (0.4, 4.0, False),
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


def _specials() -> list[np.ndarray]:
    """Numbers at which comparisons and rounding are easy to get wrong."""
    return [np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 0.5, 1.5, -2.5], d) for d in (F64, F32)]


def _elementwise() -> dict[str, list[Sample]]:
    out = {name: _unary(*domain) for name, domain in _UNARY.items()}
    for name in ("floor", "ceil", "rint"):
        out[name] += [sample(x, smooth=False) for x in _specials()]
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
    out["polygamma"] = [
        sample(np.full(s, n, d), values(d, s, 0.5, 3.0), smooth=(False, True))
        for n in (1, 2)
        for d, s in ((F64, (2, 3)), (F32, (3,)), (F64, ()))
    ]
    return out


def _orders() -> dict[str, list[Sample]]:
    out: dict[str, list[Sample]] = {}
    ordered = (F64, F32, I32, I64, U8)
    extrema = [sample(x, x[::-1].copy(), smooth=False) for x in _specials()]
    ties = [sample(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0]), smooth=False)]
    out |= {name: _binary(ordered, -2.0, 2.3) + extrema + ties for name in ("max", "min")}
    comparison = [sample(x, y) for x in _specials() for y in (x, x[::-1].copy())]
    out |= {name: _binary(ordered, -2.0, 2.3) + comparison for name in ("lt", "le", "gt", "ge", "eq", "ne")}
    for name in ("eq", "ne"):
        out[name] = [*out[name], sample(values(C128), values(C128)), sample(values(BOOL), values(BOOL, seed=1))]
    out["is_finite"] = [sample(x) for x in _specials()] + [sample(values(F64, s)) for s in SHAPES]
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


# ---- shape ----------------------------------------------------------------------------------------------------------


def _shape() -> dict[str, list[Sample]]:
    out: dict[str, list[Sample]] = {}
    fills = [
        (1.5, F64),
        (-3, I32),
        (True, BOOL),
        (1 - 2j, C128),
        (np.inf, F32),
        (-0.0, F64),
        (0.1, BFLOAT16),
        (2**63, U64),
    ]
    out["fill"] = [sample(value=v, shape=s, dtype=d) for v, d in fills for s in ((2, 3), (), (0, 2))]
    literals = [values(d, s) for d in (F64, F32, I32, BOOL, C128) for s in ((2, 3), (1,), (0,))] + [
        np.array(2.5),
        np.nan,
    ]
    out["constant"] = [sample(value=Literal(array)) for array in literals]
    out["iota"] = [sample(shape=(2, 3), dtype=d, axis=a) for d in (I32, F64, U8, C128) for a in (0, 1)]
    out["iota"] += [sample(shape=(0,), dtype=I64, axis=0)]
    places = [
        ((3,), (2, 3), (1,)),
        ((3,), (3, 2), (0,)),
        ((), (2, 2), ()),
        ((1, 3), (2, 3), (0, 1)),
        ((2, 1), (2, 4, 3), (0, 2)),
        ((2, 3), (2, 3), (0, 1)),
        ((1,), (0,), (0,)),
    ]
    out["broadcast_in_dim"] = [sample(values(F64, s), shape=to, axes=axes) for s, to, axes in places]
    out["broadcast_in_dim"] += [sample(values(d, (3,)), shape=(2, 3), axes=(1,)) for d in (F32, C128, I32, BOOL)]
    return out | _moves()


def _moves() -> dict[str, list[Sample]]:
    out: dict[str, list[Sample]] = {}
    shapes = [((2, 3), (3, 2)), ((2, 3), (6,)), ((), (1, 1)), ((1,), ()), ((0, 2), (2, 0, 5)), ((4,), (4,))]
    out["reshape"] = [sample(values(F64, s), shape=to) for s, to in shapes] + [sample(values(I32), shape=(6,))]
    orders = [((2, 3), (1, 0)), ((2, 3, 4), (2, 0, 1)), ((), ()), ((0, 2), (1, 0)), ((2, 3), (0, 1))]
    out["transpose"] = [sample(values(F64, s), axes=axes) for s, axes in orders] + [sample(values(BOOL), axes=(1, 0))]
    flips = [((2, 3), (1,)), ((2, 3), (0, 1)), ((), ()), ((0,), (0,))]
    out["rev"] = [sample(values(F64, s), axes=axes) for s, axes in flips] + [sample(values(I32), axes=(0,))]
    joins = [(((2, 3), (2, 1), (2, 0)), 1), (((2,),), 0), (((2, 3), (1, 3)), 0), (((0,), (0,)), 0)]
    out["concatenate"] = [sample(*[values(d, s) for s in shapes], axis=a) for shapes, a in joins for d in (F64, I32)]
    out["pad"] = _pads()
    return out


def _pads() -> list[Sample]:
    cases: list[tuple[tuple[int, ...], tuple, tuple, tuple]] = [
        ((3,), (1,), (2,), (0,)),
        ((3,), (0,), (0,), (2,)),
        ((4,), (-1,), (2,), (0,)),
        ((4,), (-2,), (-1,), (1,)),
        ((4,), (3,), (-5,), (2,)),
        ((2, 3), (0, 1), (1, 0), (1, 0)),
        ((2, 3), (0, 0), (0, 0), (0, 0)),
        ((0,), (2,), (1,), (3,)),
        ((), (), (), ()),
    ]
    found = [sample(values(F64, s), 0.7, low=lo, high=hi, interior=gap) for s, lo, hi, gap in cases]
    scalars = (np.float32(0.5), np.int32(4), np.bool_(True), np.complex128(1j))
    return found + [sample(values(v.dtype, (3,)), v, low=(1,), high=(1,), interior=(1,)) for v in scalars]


# ---- reductions, products, indexing, control ------------------------------------------------------------------------


def _reduction() -> dict[str, list[Sample]]:
    out: dict[str, list[Sample]] = {}
    axes = [
        ((2, 3), (0,)),
        ((2, 3), (1,)),
        ((2, 3), (0, 1)),
        ((2, 3), (1, 0)),
        ((2, 3), ()),
        ((), ()),
        ((2, 1, 3), (0, 2)),
        ((2, 3, 2), (1, 2)),
    ]
    empty = [((0, 2), (0,)), ((2, 0), (0,)), ((0,), ())]
    for name in ("reduce_sum", "reduce_prod"):
        out[name] = [sample(values(F64, s), axes=a) for s, a in axes + empty]
        out[name] += [sample(values(d), axes=(0,)) for d in (F32, C128, I32, I64, U8)]
    zeros = [np.array([2.0, 0.0, 3.0]), np.array([0.0, 2.0, 0.0, 1.5, 3.0]), np.zeros(3), values(F64, (7,))]
    out["reduce_prod"] += [sample(x, axes=(0,)) for x in zeros]
    special = [sample(x[:n], axes=(0,), smooth=False) for x in _specials() for n in (3, 8)]
    ties = [sample(np.array([[1.0, 2.0, 2.0], [3.0, 3.0, 3.0]]), axes=(1,), smooth=False)]
    for name in ("reduce_max", "reduce_min"):
        out[name] = [sample(values(F64, s), axes=a) for s, a in [*axes, *empty[1:]]] + special + ties
        out[name] += [sample(values(d), axes=(0,)) for d in (F32, I32, I64, U8, BOOL)]
    for name in ("reduce_and", "reduce_or"):
        out[name] = [sample(values(BOOL, s), axes=a) for s, a in axes + empty]
        out[name] += [sample(values(d, (3, 2), 1, 9), axes=(0,)) for d in (I32, U8)] + [
            sample(np.zeros((0,), U8), axes=(0,))
        ]
    return out | _positions()


def _positions() -> dict[str, list[Sample]]:
    out: dict[str, list[Sample]] = {}
    for name in ("argmax", "argmin"):
        out[name] = [
            sample(values(F64, s), axis=a) for s, a in (((2, 3), 0), ((2, 3), 1), ((4,), 0), ((1,), 0), ((2, 0), 0))
        ]
        out[name] += [sample(x, axis=0) for x in _specials()]
        out[name] += [sample(values(d, (2, 3)), axis=1) for d in (F32, I32, U8, BOOL)]
        out[name] += [
            sample(np.array([2.0, 1.0, 2.0, 1.0]), axis=0),
            sample(np.full(3, -np.inf), axis=0),
            sample(np.full(3, np.inf), axis=0),
        ]
    lines = [((2, 3), 0), ((2, 3), 1), ((1,), 0), ((0,), 0), ((2, 0), 0), ((17,), 0), ((3, 130, 2), 1), ((600,), 0)]
    out["cumsum"] = [sample(values(F64, s), axis=a, reverse=r) for s, a in lines for r in (False, True)]
    out["cumsum"] += [sample(values(d), axis=1, reverse=False) for d in (F32, C128, I32, U8)]
    out["cumsum"] += [
        sample(np.array([1.0, np.inf, 2.0, -np.inf, 3.0]), axis=0, reverse=r, smooth=False) for r in (False, True)
    ]
    return out


def _linalg() -> dict[str, list[Sample]]:
    cases: list[tuple[tuple[int, ...], tuple[int, ...], tuple, tuple]] = [
        ((2, 3), (3, 4), ((1,), (0,)), ((), ())),
        ((3,), (3,), ((0,), (0,)), ((), ())),
        ((3,), (2,), ((), ()), ((), ())),
        ((), (), ((), ()), ((), ())),
        ((2, 2, 3), (2, 3, 4), ((2,), (1,)), ((0,), (0,))),
        ((3, 2, 4), (4, 5, 3, 2), ((0, 2), (2, 0)), ((1,), (3,))),
        ((4, 3, 2), (2, 4, 3), ((1, 0), (2, 1)), ((), ())),
        ((3, 2, 2), (2, 2), ((), ()), ((2, 1), (0, 1))),
        ((0, 3), (3, 2), ((1,), (0,)), ((), ())),
        ((2, 0), (0, 2), ((1,), (0,)), ((), ())),
    ]
    found = [sample(values(F64, s), values(F64, t, seed=2), contract=c, batch=b) for s, t, c, b in cases]
    matrices = {"contract": ((1,), (0,)), "batch": ((), ())}
    found += [sample(values(d), values(d, (3, 2), seed=2), **matrices) for d in (F32, C128, I32, U8)]
    return {"dot_general": found}


def _indexing() -> dict[str, list[Sample]]:
    cases: list[tuple[tuple[int, ...], tuple, tuple, tuple]] = [
        ((5,), (1,), (4,), (1,)),
        ((5,), (0,), (5,), (2,)),
        ((7,), (1,), (6,), (3,)),
        ((3, 4), (1, 0), (2, 4), (1, 1)),
        ((3, 4), (0, 1), (3, 4), (2, 2)),
        ((5,), (2,), (2,), (1,)),
        ((3,), (0,), (3,), (1,)),
        ((), (), (), ()),
    ]
    found = [sample(values(F64, s), start=a, limit=b, stride=c) for s, a, b, c in cases]
    found += [sample(values(d, (5,)), start=(1,), limit=(5,), stride=(2,)) for d in (F32, C128, I32, BOOL)]
    return {"slice": found}


def _control() -> dict[str, list[Sample]]:
    return {
        "stop_gradient": [sample(values(d, s), smooth=False) for d in (F64, F32, I32, BOOL, C128) for s in SHAPES],
        "print": [
            sample(format='plain "text" with \\ and é'),
            sample(values(F64, ()), values(I32), format="{:.3f} and\n{}", smooth=False),
        ],
    }


def samples() -> dict[str, list[Sample]]:
    """Sample inputs by the primitive's name."""
    return _elementwise() | _shape() | _reduction() | _linalg() | _indexing() | _control()
