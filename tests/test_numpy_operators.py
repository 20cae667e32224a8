"""Operators, promotion and indexing on tracers against NumPy itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lilith.source import DtypeError, LilithError
from tests.agreement import (
    BF16,
    J,
    K,
    M,
    N,
    P,
    T,
    V,
    agrees,
    check_gradient,
    evaluate,
    traced,
)

# ---- operators and promotion --------------------------------------------------------------------------------------

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda x, y: x + y, "-": lambda x, y: x - y, "*": lambda x, y: x * y, "/": lambda x, y: x / y,
    "//": lambda x, y: x // y, "%": lambda x, y: x % y, "<": lambda x, y: x < y, "==": lambda x, y: x == y,
    "divmod": lambda x, y: divmod(x, y),
}  # fmt: skip
KINDS = ["bool", "int8", "uint8", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64", "complex64"]


@pytest.mark.parametrize("symbol", OPERATORS)
@pytest.mark.parametrize("left", KINDS)
def test_promotion(symbol: str, left: str) -> None:
    """Every pair of dtypes, and every dtype with Python numbers, as NumPy; also where NumPy refuses."""
    f = OPERATORS[symbol]
    x = np.array([1, 3, 2], left)
    others = [np.array([2, 1, 3], right) for right in KINDS] + [2, 2.5, True, 1 + 1j, np.float32(2), np.int64(2)]
    for y in others:
        try:
            with np.errstate(all="ignore"):
                f(x, y)
        except TypeError:
            with pytest.raises(DtypeError):
                evaluate(lambda x, y=y: f(x, y), x)
            continue
        agrees(lambda x, y=y: f(x, y), x)
        agrees(lambda x, y=y: f(y, x), x)


def test_bfloat16_stays_with_python_numbers() -> None:
    x = np.ones(3, BF16)
    for f in (
        lambda x: x + 1.5,
        lambda x: 2 * x,
        lambda x: np.sin(x),
        lambda x: x @ x,
        lambda x: np.where(x > 0, x, 0.5),
    ):
        assert evaluate(f, x)[0].dtype == BF16
    assert evaluate(lambda x: x + np.float32(1), x)[0].dtype == np.float32


def test_operators_between_python_numbers_stay_weak() -> None:
    x32 = np.ones(3, np.float32)
    assert evaluate(lambda a, x: (a * 2 + a / 3 - a**2) * x, 0.5, x32)[0].dtype == np.float32
    assert evaluate(lambda a, x: (a // 2 + a % 3 + abs(-a)) * x, 0.5, x32)[0].dtype == np.float32
    assert evaluate(lambda a, x: np.sin(a) * x, 0.5, x32)[0].dtype == np.float64
    assert evaluate(lambda a, x: np.positive(a) * x, 0.5, x32)[0].dtype == np.float64
    assert evaluate(lambda a, x: a * x, 0.5, x32)[0].dtype == np.float32


def test_a_python_number_is_one_node() -> None:
    graph, _ = traced(lambda x: x * 2.0 + x * 2.0, np.ones(3, np.float32))
    assert [node.primitive.name for node in graph.nodes] == ["fill", "mul", "mul", "add"]


def test_python_ints_out_of_range() -> None:
    x = np.array([1, 2], np.int8)
    with pytest.raises(OverflowError, match="300 does not fit i8"):
        evaluate(lambda x: x + 300, x)
    agrees(lambda x: [x < 300, x > 300, x == 300, 300 > x, x >= -300], x)


def test_int64_with_uint64() -> None:
    agrees(lambda x, y: [x < y, x == y, x >= y], np.array([-1, 2**62, 5]), np.array([2**63, 2**62, 3], np.uint64))


POWERS = [0, 1, 2, 3, -1, -2, 7, 0.5, 2.0, -1.0, 1.5, 100]


@pytest.mark.parametrize("n", POWERS)
def test_power(n: float) -> None:
    agrees(lambda x: x**n, P)
    agrees(lambda x: x**n, P.astype(np.float32))
    check_gradient(lambda x: x**n, P / 4 + 0.5, tolerance=1e-5)


def test_power_of_integers() -> None:
    agrees(lambda x: x**3, K)
    agrees(lambda x: x**2.0, K)
    agrees(lambda x: 2.0**x, K)
    agrees(lambda x: x**0, K)
    with pytest.raises(DtypeError, match="negative integer powers"):
        evaluate(lambda x: x**-1, K)
    agrees(lambda x, y: x**y, K, np.abs(J))


def test_reflected_operators_and_numpy_on_the_left() -> None:
    agrees(lambda x: [1.0 - x, 2 / x, 3 // x, 2**x, N - x, np.float32(2) * x, np.ones(4) + x, N.T @ x], M)


def test_foreign_operands_get_their_turn() -> None:
    class Other:
        def __radd__(self, other: Any) -> str:
            return "mine"

    class Refuses(Other):
        __array_ufunc__ = None

    traced(lambda x: [x * 2, *[0.0 for o in (Other(), Refuses()) if x + o != "mine"]], V)
    with pytest.raises(TypeError, match="unsupported operand"):
        traced(lambda x: x + None, V)


# ---- indexing -----------------------------------------------------------------------------------------------------

KEYS: list[Any] = [
    0, -1, (1, 2), (1, -1, 0), slice(1), slice(None, None, -1), slice(None, None, 2), (slice(None), 1), (..., 0), ...,
    (0, ...), None, (None, 1, ..., None), (slice(2, 0, -1), slice(None, None, 2)), (slice(5, 9),), slice(-2, None),
    (slice(None), slice(None), slice(3, None, -2)), np.int64(1), (np.int32(-1), slice(1, 2)), (), slice(1, 1),
    (0, slice(None, None, -1)), [0, 1], np.array([1, 0, 1]), (slice(None), [2, 0]),
    (slice(None), np.array([True, False, True])),
    (..., np.array([[0, 1], [2, 3]])), np.array([True, False]), (0, 0, 0), True, [],
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_getitem(key: Any) -> None:
    agrees(lambda x: x[key], T)
    check_gradient(lambda x: np.sin(x[key]), T)


@pytest.mark.parametrize("key", [3, -3, (0, 3), (0, 0, 4), (0, 0, 0, 0), (..., ...), (slice(None), [5])], ids=str)
def test_index_out_of_bounds(key: Any) -> None:
    with pytest.raises(IndexError) as caught:
        traced(lambda x: x[key], T)
    assert isinstance(caught.value, LilithError) and "hint" in str(caught.value)


def test_iteration_ends() -> None:
    assert len(list(traced(lambda x: list(x), V)[1])) == 4
