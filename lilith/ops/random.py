"""Random bits: a counter-based generator, the same bits on every platform."""

from __future__ import annotations

from typing import Any

import numpy as np

from lilith.ir.primitive import ZERO, Primitive
from lilith.ir.type import TensorType
from lilith.ops.elementwise import check_same, elementwise_batch
from lilith.source import DtypeError

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
