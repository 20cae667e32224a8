"""Ufuncs on tracers against NumPy itself: values, dtypes, shapes, derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

from lilith.tracer import UFUNCS
from tests.agreement import (
    BF16,
    SPECIAL,
    B,
    C,
    F,
    G,
    J,
    K,
    P,
    W,
    Z,
    agrees,
    check_gradient,
    evaluate,
    gradient,
)
from tests.numpy_samples.ufuncs import (
    BOOL_BINARY,
    BOOL_UNARY,
    COMPLEX_BINARY,
    COMPLEX_UNARY,
    DOMAINS,
    INTEGER_BINARY,
    INTEGER_UNARY,
    REAL_BINARY,
    REAL_UNARY,
)

# ---- ufuncs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", REAL_UNARY)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, BF16], ids=str)
def test_unary(entry: str, dtype: Any) -> None:
    name, _, domain = entry.partition(":")
    if dtype == BF16 and name in ("degrees", "radians"):  # NumPy sends these to float32
        assert evaluate(getattr(np, name), F.astype(dtype))[0].dtype == BF16
    else:
        agrees(getattr(np, name), DOMAINS[domain].astype(dtype))


@pytest.mark.parametrize("entry", REAL_BINARY)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, BF16], ids=str)
def test_binary(entry: str, dtype: Any) -> None:
    name, _, domain = entry.partition(":")
    x, y = (P if domain == "P" else F).astype(dtype), G.astype(dtype)
    agrees(getattr(np, name), x, y)
    agrees(getattr(np, name), x.reshape(8, 1), y)
    if dtype != BF16:  # NumPy sends bfloat16 with a Python float to float32
        agrees(lambda x: getattr(np, name)(x, 2.5), x)
    agrees(lambda x: getattr(np, name)(x, 2), x)
    agrees(lambda y: getattr(np, name)(2, y), y)


@pytest.mark.parametrize("entry", REAL_UNARY)
def test_unary_at_special_values(entry: str) -> None:
    name = entry.partition(":")[0]
    agrees(getattr(np, name), SPECIAL)


@pytest.mark.parametrize("entry", REAL_BINARY)
def test_binary_at_special_values(entry: str) -> None:
    name = entry.partition(":")[0]
    agrees(getattr(np, name), SPECIAL.reshape(8, 1), SPECIAL)


@pytest.mark.parametrize("name", INTEGER_UNARY)
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "uint64"])
def test_integer_unary(name: str, dtype: str) -> None:
    agrees(getattr(np, name), K.astype(dtype))


@pytest.mark.parametrize("entry", INTEGER_BINARY)
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8"])
def test_integer_binary(entry: str, dtype: str) -> None:
    name, _, domain = entry.partition(":")
    x, y = K.astype(dtype), (np.abs(J) if domain == "S" else J).astype(dtype)
    agrees(getattr(np, name), x, y)
    agrees(lambda x: getattr(np, name)(x, 3), x)
    agrees(getattr(np, name), x, (np.abs(J) if domain == "S" else J).astype("int16"))


@pytest.mark.parametrize("name", BOOL_UNARY)
def test_bool_unary(name: str) -> None:
    agrees(getattr(np, name), B)


@pytest.mark.parametrize("name", BOOL_BINARY)
def test_bool_binary(name: str) -> None:
    agrees(getattr(np, name), B, C)
    agrees(lambda x: getattr(np, name)(x, 2), B)
    agrees(lambda x: getattr(np, name)(x, True), B)


@pytest.mark.parametrize("name", COMPLEX_UNARY)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_unary(name: str, dtype: str) -> None:
    agrees(getattr(np, name), Z.astype(dtype))


@pytest.mark.parametrize("name", COMPLEX_BINARY)
def test_complex_binary(name: str) -> None:
    agrees(getattr(np, name), Z, W)
    agrees(getattr(np, name), Z.astype("complex64"), 1.5)
    agrees(lambda z: getattr(np, name)(z, 2.0), Z)
    agrees(getattr(np, name), Z, np.arange(4.0))


SCIPY = ["erf", "erfc", "gammaln:P", "digamma:P", "expit", "logit:L", "entr:P"]


@pytest.mark.parametrize("entry", SCIPY)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_scipy_unary(entry: str, dtype: Any) -> None:
    name, _, domain = entry.partition(":")
    x = {"": F, "P": P, "L": P / 10}[domain].astype(dtype)
    agrees(getattr(scipy.special, name), x)
    if dtype is np.float64:
        check_gradient(getattr(scipy.special, name), x)


@pytest.mark.parametrize("name", ["xlogy", "xlog1py"])
def test_scipy_binary(name: str) -> None:
    f = getattr(scipy.special, name)
    agrees(f, F, P)
    agrees(f, np.zeros(5), np.array([0.0, np.inf, np.nan, 2.0, -3.0]))
    check_gradient(f, F, P)
    np.testing.assert_allclose(gradient(f, np.zeros(3), np.array([0.0, 2.0, np.inf]))[0][1], f(1.0, 2.0))
    assert all(np.isfinite(g).all() for g in gradient(f, np.zeros(3), np.array([0.0, 2.0, np.inf])))


def test_every_ufunc_of_numpy_has_a_rule() -> None:
    """All but those of dates, objects and strings."""
    without = {"isnat"}
    missing = {
        name
        for name in dir(np)
        if isinstance(f := getattr(np, name), np.ufunc) and f not in UFUNCS and name not in without
    }
    assert not missing
