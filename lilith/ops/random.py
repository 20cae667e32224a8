"""Random bits: a counter-based generator, the same bits on every platform; and samples that take a loop."""

from __future__ import annotations

from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.primitive import ZERO, Primitive, primitive
from lilith.ir.type import TensorType
from lilith.ops.elementwise import (
    FLOATING,
    check_kind,
    check_same,
    convert,
    elementwise_batch,
    exp,
    log,
    logical_and,
    logical_not,
    logical_or,
    max,
    neg,
    scale,
    shift_left,
    shift_right,
    sqrt,
)
from lilith.ops.expansion import any_of, chosen, compared, evaluated, loop
from lilith.ops.incomplete_gamma import gammainc_quotient
from lilith.ops.special import digamma, erfinv
from lilith.source import DtypeError, ShapeError

UINT32 = np.dtype(np.uint32)

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
"""Rotation distances of Threefry-2x32, of four rounds each, in turns (Salmon et al. 2011, table 2)."""

PARITY = 0x1BD11BDA
"""The third key word is this xor the other two (Salmon et al. 2011, section 3.4; Threefish's constant, 32 bits)."""

ROUNDS = 20


def _threefry_type(*operands: TensorType) -> tuple[TensorType, TensorType]:
    both = check_same("threefry", *operands)
    if both.dtype != UINT32:
        raise DtypeError(f"threefry: takes uint32 words, got {both}", hint="convert with x.astype(np.uint32)")
    return both, both


def _rotated(x: np.ndarray, distance: int) -> np.ndarray:
    return (x << np.uint32(distance)) | (x >> np.uint32(32 - distance))


def _threefry_eval(k0: np.ndarray, k1: np.ndarray, x0: np.ndarray, x1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    keys = (k0, k1, k0 ^ k1 ^ np.uint32(PARITY))
    x0, x1 = x0 + keys[0], x1 + keys[1]
    for group in range(ROUNDS // 4):
        for distance in ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = x0 ^ _rotated(x1, distance)
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x0, x1


def _threefry_batch(batched: tuple[bool, ...], *operands: Any) -> Any:
    return elementwise_batch("threefry")(batched, *operands)


threefry: Primitive = Primitive("threefry", type=_threefry_type, eval=_threefry_eval, vjp=ZERO, batch=_threefry_batch)
"""Threefry-2x32 with 20 rounds: (key words, counter words) -> two random words, elementwise.

Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3 (SC 2011), section 3.4: a keyed bijection of
64 bits. Of the counter-based generators it is the one that XLA:CPU compiles to the fastest code: additions, rotations
and xor of 32 bits vectorise, the products of 32 by 32 bits of Philox do not.
"""


def one_to_two(bits: Value, dtype: np.dtype, mantissa: int) -> Value:
    """Floating numbers in [1, 2): the upper bits as mantissa under the exponent of 1."""
    digits = shift_right(bits, fill_like(bits, 8 * dtype.itemsize - mantissa))
    one = int(np.ones((), dtype).view(bits.dtype))
    return primitive("bitcast")(logical_or(digits, fill_like(bits, one)), dtype=dtype)


# ---- gamma ----------------------------------------------------------------------------------------------------------

_COUNTERS = 0x40000000
"""The upper counter word of the first attempt; each has four."""


def _random_gamma_type(k0: TensorType, k1: TensorType, index: TensorType, a: TensorType) -> TensorType:
    words = check_same("random_gamma", k0, k1, index)
    check_kind("random_gamma", FLOATING, a)
    if words.dtype != UINT32:
        raise DtypeError(f"random_gamma: takes uint32 words, got {words}", hint="convert with x.astype(np.uint32)")
    if words.shape != a.shape:
        raise ShapeError(f"random_gamma: {words} and {a} differ in shape", hint="broadcast_in_dim one of them")
    return a


def _random_gamma_formula(k0: Value, k1: Value, index: Value, a0: Value) -> Value:
    """Marsaglia and Tsang, A simple method for generating gamma variables, ACM TOMS 26 (2000): with x normal and
    v = (1 + x / √(9 d))³, d = a - 1/3, accept d v where log u < x² / 2 + d (1 - v + log v). For a < 1 it is the sample
    of a + 1 times u^(1 / a)."""
    valid = logical_and(compared("gt", a0, 0.0), compared("lt", a0, np.inf))
    a = chosen(valid, a0, 1.0)
    boosted = compared("lt", a, 1.0)
    d = chosen(boosted, a + 1, a) - 1 / 3
    c = (1 / 3) / sqrt(d)

    def uniform(attempt: Value, which: int) -> Value:
        """In [1, 2)."""
        counter = shift_left(attempt, fill_like(attempt, 2)) + (_COUNTERS + which)
        first, second = threefry(k0, k1, counter, index)
        if a.dtype.itemsize == 4:
            return one_to_two(first, a.dtype, 23)
        wide = convert(first, dtype=np.dtype(np.uint64))
        both = logical_or(shift_left(wide, fill_like(wide, 32)), convert(second, dtype=wide.dtype))
        return one_to_two(both, a.dtype, 52)

    half = float(np.finfo(a.dtype).eps) / 2

    def step(active: Value, attempt: Value, cube: Value) -> tuple[Value, ...]:
        symmetric = uniform(attempt, 0) - 1.5
        x = erfinv(symmetric + symmetric + 2 * half) * float(np.sqrt(2))
        side = 1 + c * x
        v = side * side * side
        positive = max(v, fill_like(v, float(np.finfo(a.dtype).tiny)))
        u = uniform(attempt, 1) - (1 - half)
        good = compared("lt", log(u), 0.5 * (x * x) + d * (1 - v + log(positive)))
        good = logical_and(good, compared("gt", v, 0.0))
        return logical_and(active, logical_not(good)), attempt + 1, chosen(active, v, cube)

    start = (valid, fill_like(index, 1), fill_like(a, 1))
    _, _, cube = loop(lambda active, *_: any_of(active), step, start)
    u = uniform(fill_like(index, 0), 0) - (1 - half)
    y = log(d) + log(cube) + chosen(boosted, log(u) / a, 0.0)
    return chosen(valid, y, chosen(compared("eq", a0, np.inf), a0, np.nan))


def _random_gamma_rule(
    g: Value, y: Value, k0: Value, k1: Value, index: Value, a: Value, *, wanted: tuple[bool, ...]
) -> tuple[Value | None, ...]:
    """ā = ȳ dy/da along the quantile: P(a, exp y) stays (Figurnov et al. 2018). For tiny samples P = xᵃ / Γ(a + 1)."""
    if not wanted[3]:
        return None, None, None, None
    x = exp(y)
    tiny = compared("lt", x, float(np.finfo(np.float32).tiny))
    safe = chosen(tiny, 1.0, x)
    moved = chosen(tiny, (digamma(a + 1) - y) / a, neg(gammainc_quotient(a, safe, order=1)) / safe)
    return None, None, None, scale(g, moved)


random_gamma: Primitive = Primitive(
    "random_gamma",
    type=_random_gamma_type,
    eval=evaluated(_random_gamma_formula),
    vjp=_random_gamma_rule,
    batch=elementwise_batch("random_gamma"),
)
"""(key words, the element's index, a) -> the logarithm of a sample of the gamma distribution of shape a."""

FORMULAS = {"random_gamma": _random_gamma_formula}
"""How the lowering computes these primitives."""
