"""Samples of linear systems, determinants and pseudo-inverses."""

from __future__ import annotations

import itertools

import numpy as np

from lilith.ops.factorization import lu, row_order
from tests.samples.factorization import matrices
from tests.samples.making import C64, C128, F32, F64, Sample, sample


def _factored(a: np.ndarray, *between: np.ndarray, pivots: bool = True, smooth: bool = True, **params: bool) -> Sample:
    """A sample of a primitive that takes a matrix, perhaps more, and its LU factorisation; smooth in all but that."""
    packed, exchanged = lu.eval(a)
    factors = (packed, exchanged if pivots else row_order.eval(exchanged, size=a.shape[-1]))
    flags = (smooth,) * (1 + len(between)) + (False,) * len(factors)
    return sample(a, *between, *factors, smooth=flags, **params)


def _pseudo_inverse(a: np.ndarray, *right: np.ndarray) -> Sample:
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return sample(a, *right, u, 1 / s, vh, smooth=(True,) * (1 + len(right)) + (False,) * 3)


def samples() -> dict[str, list[Sample]]:
    triangular = []
    for left, lower, transpose, unit in itertools.product((True, False), repeat=4):
        flags = {"left_side": left, "lower": lower, "transpose": transpose, "unit_diagonal": unit}
        triangular.append(sample(matrices(F64, (3, 3)), matrices(F64, (3, 2) if left else (2, 3), 1), **flags))
    flags = {"left_side": True, "lower": True, "transpose": False, "unit_diagonal": False}
    for dtype, shape, beside in ((F32, (3, 3), (3, 1)), (C64, (2, 2), (2, 3)), (C128, (2, 3, 3), (2, 3, 2))):
        triangular.append(sample(matrices(dtype, shape), matrices(dtype, beside, 1), **flags))
    triangular.append(sample(np.zeros((0, 0)), np.zeros((0, 2)), **flags))
    solve = [
        _factored(matrices(d, s), matrices(d, t, 1), pivots=False, transpose=turned)
        for d, s, t in (
            (F64, (3, 3), (3, 1)),
            (F64, (2, 3, 3), (2, 3, 2)),
            (C128, (3, 3), (3, 2)),
            (F32, (2, 2), (2, 1)),
            (F64, (0, 0), (0, 1)),
        )
        for turned in (False, True)
    ]
    turned = np.eye(4)[[2, 0, 3, 1]] + 0.1
    squares = [
        matrices(d, s) for d, s in ((F64, (3, 3)), (F64, (2, 2, 2)), (C128, (3, 3)), (C64, (2, 2)), (F64, (1, 1)))
    ]
    squares += [turned, matrices(F32, (3, 3)), np.zeros((0, 0))]
    flat = matrices(F64, (3, 3))
    flat[2] = flat[0] + flat[1]
    shapes = ((F64, (3, 3)), (F64, (4, 2)), (F64, (2, 2, 3)), (C128, (3, 2)), (C128, (2, 3)), (F32, (2, 3)))
    general = [matrices(d, s) for d, s in shapes]
    return {
        "triangular_solve": triangular,
        "solve": [*solve, _factored(turned, matrices(F64, (4, 1)), pivots=False, transpose=True)],
        "slogdet": [_factored(a) for a in squares],
        "det": [_factored(a) for a in (*squares, flat, np.zeros((2, 2)))],
        # its second derivative, the determinant's third, needs a regular matrix
        "adjugate": [_factored(a) for a in squares]
        + [_factored(a, smooth=False) for a in (flat, np.ones((3, 3)), np.zeros((3, 3)))],
        "adjugate_derivative": [_factored(a, matrices(a.dtype, a.shape, 2)) for a in squares]
        + [_factored(np.ones((3, 3)), matrices(F64, (3, 3), 2), smooth=False)],
        "pinv": [_pseudo_inverse(a) for a in general],
        "least_squares": [_pseudo_inverse(a, matrices(a.dtype, (*a.shape[:-1], 2), 1)) for a in general],
    }
