"""Ufuncs: a row for each on real numbers, for some on complex, integer and bool ones.

The lists of names serve `tests/test_numpy_ufuncs.py` too, which goes through dtypes and special values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.agreement import B, C, F, G, J, K, P, U, W, Z
from tests.numpy_samples.making import Row, row

REAL_UNARY = (
    "absolute arccosh:P1 arcsin:U arccos:U arcsinh arctan arctanh:U cbrt ceil cos cosh deg2rad degrees exp exp2 expm1 "
    "fabs floor isfinite isinf isnan log:P log10:P log1p:P log2:P negative positive rad2deg radians reciprocal:P "
    "rint sign signbit sin sinh spacing sqrt:P square tan tanh trunc conjugate modf frexp"
).split()
REAL_BINARY = (
    "add arctan2 copysign divide:G divmod:G equal float_power:P floor_divide:G fmax fmin fmod:G greater greater_equal "
    "heaviside hypot less less_equal logaddexp logaddexp2 maximum minimum multiply nextafter not_equal power:P "
    "remainder:G subtract true_divide:G"
).split()
DOMAINS = {"": F, "P": P, "P1": P + 1, "U": U}
INTEGER_UNARY = (
    "absolute bitwise_count ceil floor invert isfinite isinf isnan negative positive rint sign square trunc sqrt "
    "sin exp logical_not conjugate"
).split()
INTEGER_BINARY = (
    "add bitwise_and bitwise_or bitwise_xor divide divmod equal floor_divide fmod fmax gcd greater lcm left_shift:S "
    "less logical_and logical_or logical_xor maximum minimum multiply not_equal remainder right_shift:S subtract "
    "arctan2 hypot"
).split()
BOOL_UNARY = "absolute invert logical_not isfinite sqrt sin conjugate bitwise_count".split()
BOOL_BINARY = (
    "add multiply bitwise_and bitwise_or bitwise_xor logical_and logical_or logical_xor maximum minimum equal less "
    "divide floor_divide remainder"
).split()
COMPLEX_UNARY = (
    "absolute conjugate exp negative positive sin cos tan sqrt log square sign isfinite isnan isinf tanh reciprocal"
).split()
COMPLEX_BINARY = "add subtract multiply divide power equal not_equal less greater_equal maximum minimum".split()

SMOOTH_UNARY = {
    "arccosh": P + 1.5, "arcsin": U, "arccos": U, "arcsinh": F, "arctan": F, "arctanh": U * 0.9, "cbrt": P, "cos": F,
    "cosh": F, "deg2rad": F, "degrees": F, "exp": F, "exp2": F, "expm1": F, "log": P, "log10": P, "log1p": P, "log2": P,
    "negative": F, "reciprocal": P + 0.5, "sin": F, "sinh": F, "sqrt": P, "square": F, "tan": U, "tanh": F,
    "absolute": P - 0.7, "fabs": G, "positive": F, "conjugate": F, "radians": F, "rad2deg": F,
}  # fmt: skip
SMOOTH_BINARY = {
    "add": (F, G), "subtract": (F, G), "multiply": (F, G), "divide": (F, G), "arctan2": (F + 0.05, G), "hypot": (F, G),
    "power": (P, G), "float_power": (P, G), "logaddexp": (F, G), "logaddexp2": (F, G), "maximum": (F, G + 0.1),
    "minimum": (F, G + 0.1), "fmax": (F, G + 0.1), "fmin": (F, G + 0.1), "copysign": (F + 0.05, G),
    "remainder": (P + 0.13, G), "fmod": (P + 0.13, G), "heaviside": (G, F),
}  # fmt: skip
SMOOTH_COMPLEX = "conjugate exp negative positive sin cos tan sqrt log square sign tanh reciprocal absolute".split()
EXACT = (
    "ceil floor rint trunc sign signbit divmod equal greater greater_equal less less_equal not_equal floor_divide "
    "heaviside nextafter spacing modf frexp isfinite isinf isnan copysign fmod remainder"
).split()
"""Those whose value in less precision is another one: they are rows in float64 alone."""


def _named(entries: list[str]) -> list[tuple[str, str, Callable[..., Any]]]:
    found = [entry.partition(":") for entry in entries]
    return [(name, domain, getattr(np, name)) for name, _, domain in found]


def _real() -> list[Row]:
    rows = []
    for name, domain, f in _named(REAL_UNARY):
        rows.append(row(name, f, DOMAINS[domain], smooth=False, narrow=name not in EXACT))
    for name, domain, f in _named(REAL_BINARY):
        x = P if domain == "P" else F
        rows.append(row(name, f, x.reshape(8, 1), G, smooth=False, narrow=name not in EXACT, float32=1e-3))
    rows += [row(name, getattr(np, name), x) for name, x in SMOOTH_UNARY.items()]
    rows += [row(name, getattr(np, name), *xs, narrow=name not in EXACT) for name, xs in SMOOTH_BINARY.items()]
    return rows


def _others() -> list[Row]:
    rows = [row(name, f, K, smooth=False) for name, _, f in _named(INTEGER_UNARY)]
    for name, domain, f in _named(INTEGER_BINARY):
        rows.append(row(name, f, K, np.abs(J) if domain == "S" else J, smooth=False))
    rows += [row(name, f, B, smooth=False) for name, _, f in _named(BOOL_UNARY)]
    rows += [row(name, f, B, C, smooth=False) for name, _, f in _named(BOOL_BINARY)]
    rows += [row(name, f, Z, smooth=name in SMOOTH_COMPLEX) for name, _, f in _named(COMPLEX_UNARY)]
    smooth = ("add", "subtract", "multiply", "divide", "power")
    rows += [row(name, f, Z, W, smooth=name in smooth) for name, _, f in _named(COMPLEX_BINARY)]
    return rows


MASKED = F > 0
MATRIX = F.reshape(4, 2)

ROWS = [
    *_real(),
    *_others(),
    row("ldexp", lambda x, n: np.ldexp(x, n), F, np.clip(K, -2, 2)),
    row("add", lambda x: np.add(x, 1, dtype=np.float32), F, smooth=False),
    row("subtract", lambda x, y: np.subtract.outer(x, y), F, G),
    row("power", lambda x, n: np.power(x, np.abs(n)), K, J, smooth=False),
    row("power", lambda x, n: x ** np.abs(n), K.astype(np.uint8), J.astype(np.uint8), smooth=False),
    row("add", lambda x, y: np.add(x, y, dtype=int, casting="unsafe"), 3 * F, G, smooth=False, narrow=False),
    row("log", lambda x: np.where(MASKED, np.log(x, out=None, where=MASKED), 1.0), F),
    row(
        "divmod",
        lambda x, y: np.where(MASKED, np.divmod(x, y, out=(None, None), where=MASKED)[1], 1.0),
        F + 0.2,
        G,
        smooth=False,
        narrow=False,
    ),
    row("add.reduceat", lambda x: np.add.reduceat(x, [0, 3, 1, 6]), F),
    row("multiply.reduceat", lambda x: np.multiply.reduceat(x.reshape(2, 4), [0, 2], axis=1), F),
    row("maximum.reduceat", lambda x: np.maximum.reduceat(x, [1, 4, 7]), F),
    row("add.reduceat", lambda n: np.add.reduceat(n.astype(np.int8), [2, 0]), K, smooth=False),
    row("logaddexp.outer", lambda x, y: np.logaddexp.outer(x, y), F, G[:3]),
    row("power.outer", lambda x, y: np.power.outer(x, y), P[1:4], G[:3]),
    row(
        "vecdot",
        lambda x, y: [np.vecdot(x, y, axis=0), np.vecdot(x, y, keepdims=True)],
        F.reshape(4, 2),
        G.reshape(4, 2),
    ),
]
if hasattr(np, "matvec"):  # since NumPy 2.2
    ROWS += [
        row("matvec", lambda x, v: np.matvec(x, v), F.reshape(2, 2, 2), G.reshape(4, 2)[:2]),
        row("matvec", lambda x, v: np.matvec(x, v), F.reshape(2, 2, 2) + 1j, G.reshape(4, 2)[:2] * 1j),
        row("vecmat", lambda v, x: np.vecmat(v, x), G.reshape(4, 2)[:2], F.reshape(2, 2, 2)),
    ]
