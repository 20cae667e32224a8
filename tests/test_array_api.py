"""Code written for the Array API standard works on traced arrays, by itself, through its helpers and in SciPy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import array_api_compat
import array_api_extra
import numpy as np
import pytest

import lilith
import lilith.numpy as lnp
from lilith.source import ArgumentError
from lilith.testing import check_grads

RNG = np.random.default_rng(7)
M = RNG.standard_normal((4, 3))
V = RNG.standard_normal(4)


def standardised(x: Any) -> Any:
    """What a library does: ask for the namespace, make arrays in it, compute."""
    xp = array_api_compat.array_namespace(x)
    n = array_api_compat.size(x[0, ...])
    weights = xp.linspace(0, 1, n, dtype=x.dtype, device=array_api_compat.device(x))
    mask = xp.eye(x.shape[0], n, dtype=xp.bool)
    centred = xp.where(mask, x - xp.mean(x, axis=0, keepdims=True), xp.asarray(2.0, dtype=x.dtype))
    array_api_compat.array_namespace(x, weights, mask, centred)  # one namespace for all
    gram = xp.matmul(xp.matrix_transpose(centred), centred) + xp.astype(xp.tril(xp.ones((n, n))), x.dtype)
    spread = xp.std(x, axis=0, correction=1) * weights
    return xp.sum(xp.linalg.solve(gram, spread)) + xp.linalg.trace(gram) + xp.max(xp.sort(x, descending=True))


def test_a_function_written_for_the_standard() -> None:
    np.testing.assert_allclose(lilith.jit(standardised)(M), _in_numpy(), rtol=1e-12)
    check_grads(standardised, (M,))


def _in_numpy() -> Any:
    weights, mask = np.linspace(0, 1, 3), np.eye(4, 3, dtype=bool)
    centred = np.where(mask, M - M.mean(0), 2.0)
    gram = centred.T @ centred + np.tri(3)
    return np.sum(np.linalg.solve(gram, M.std(0, ddof=1) * weights)) + np.trace(gram) + M.max()


EXTRA: dict[str, Callable[[Any, Any], Any]] = {
    "atleast_nd": lambda xpx, x: xpx.atleast_nd(x, ndim=3),
    "cov": lambda xpx, x: xpx.cov(x),
    "kron": lambda xpx, x: xpx.kron(x, x[:2]),
    "sinc": lambda xpx, x: xpx.sinc(x),
    "isclose": lambda xpx, x: xpx.isclose(x, x + 1e-9),
    "nan_to_num": lambda xpx, x: xpx.nan_to_num(x / 2),
    "apply_where": lambda xpx, x: xpx.apply_where(x > 0, x, lambda v: v**0.5, fill_value=0.0),
}


@pytest.mark.parametrize("name", EXTRA)
def test_array_api_extra(name: str) -> None:
    f = EXTRA[name]
    expected = f(array_api_extra, M)
    found = lilith.jit(lambda x: f(array_api_extra, x))(M)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    if name != "isclose":
        check_grads(lambda x: np.sum(np.sin(f(array_api_extra, x))), (M,), order=1)


SCIPY = """
import numpy as np, scipy.fft, scipy.integrate, scipy.special, scipy.stats, lilith
from scipy.spatial.transform import Rotation
v = np.linspace(0.3, 2.0, 6) ** 2
functions = [
    lambda x: np.sum(scipy.special.softmax(x) * v),
    lambda x: np.sum(scipy.special.gammaln(x) + scipy.special.expit(x)),
    lambda x: scipy.stats.gmean(x) + scipy.stats.kurtosis(x) + scipy.stats.variation(x) + scipy.stats.entropy(x),
    lambda x: np.sum(scipy.integrate.cumulative_trapezoid(x) * v[1:]),
    lambda x: np.sum(np.abs(scipy.fft.rfft(x)) ** 2),
    lambda x: np.sum(Rotation.from_rotvec(x[:3]).as_matrix() ** 3),
]
for f in functions:
    lilith.testing.check_grads(f, (v,), order=1)
    np.testing.assert_allclose(lilith.jit(f)(v), f(v), rtol=1e-10)
print("all", len(functions))
"""


def test_scipy_with_its_array_api_switched_on() -> None:
    """SciPy asks the environment when it is imported, so this runs in a process of its own."""
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    done = subprocess.run([sys.executable, "-c", SCIPY], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "all 6", done.stderr[-2000:]


# ---- the namespace --------------------------------------------------------------------------------------------------


def test_namespace_of_a_traced_array() -> None:
    def f(x: Any) -> Any:
        xp = x.__array_namespace__(api_version="2024.12")
        assert xp is x.__array_namespace__() and xp.__array_api_version__ == "2024.12"
        assert isinstance(xp.zeros(3), lilith.Tracer) and isinstance(xp.asarray([1.0, 2.0]), lilith.Tracer)
        assert isinstance(lnp.zeros(3), lilith.Tracer)
        assert xp.full((2,), 3.0).shape == (2,) and xp.arange(3).dtype == np.int64
        with pytest.raises(ArgumentError, match="2030"):
            x.__array_namespace__(api_version="2030.12")
        return xp.sum(x * xp.ones(x.shape))

    lilith.grad(f, V)


def test_namespace_info() -> None:
    info = lnp.__array_namespace_info__()
    assert info.default_device() == "cpu" and info.devices() == ["cpu"]
    assert info.capabilities()["data-dependent shapes"] is False
    assert info.default_dtypes()["real floating"] == np.float64
    assert set(info.dtypes(kind="complex floating")) == {"complex64", "complex128"}
    assert info.dtypes(kind=("bool", "unsigned integer")).keys() == {"bool", "uint8", "uint16", "uint32", "uint64"}


def test_dtypes_of_traced_arrays() -> None:
    def f(x: Any) -> Any:
        assert lnp.finfo(x).eps == np.finfo(np.float32).eps and lnp.finfo(x.dtype).bits == 32
        assert lnp.iinfo(x.astype(np.int8)).max == 127
        assert lnp.finfo(lnp.astype(x, "bfloat16")).bits == 16
        assert lnp.isdtype(x.dtype, "real floating") and lnp.can_cast(x, np.float64)
        assert lnp.result_type(x, np.float64) == np.float64 and lnp.result_type(x, 1.0) == np.float32
        return np.sum(x)

    lilith.grad(f, V.astype(np.float32))
    assert lnp.finfo(np.ones(2)).bits == 64 and lnp.iinfo("int16").bits == 16


def test_devices() -> None:
    def f(x: Any) -> Any:
        assert x.device == "cpu" and x.__dlpack_device__() == (1, 0)
        y = x.to_device("cpu") + lnp.zeros_like(x, device="cpu") + lnp.full(x.shape, x[0], device="cpu")
        for wrong in (
            lambda: x.to_device("gpu"),
            lambda: lnp.zeros_like(x, device="gpu"),
            lambda: lnp.asarray(x, device="gpu"),
        ):
            with pytest.raises(ArgumentError, match="gpu"):
                wrong()
        with pytest.raises(lilith.TraceError, match="dlpack"):
            np.from_dlpack(x)
        return np.sum(y)

    lilith.grad(f, V)


def test_conversion() -> None:
    def f(x: Any) -> Any:
        assert lnp.asarray(x) is x and lnp.asarray(x, dtype=x.dtype, copy=False) is x
        with pytest.raises(ArgumentError, match="copy"):
            lnp.asarray(x, dtype=np.float32, copy=False)
        assert lnp.require(x, requirements="W") is x
        with pytest.raises(lilith.TraceError, match=r"(?s)plain ndarray.*lilith\.numpy\.asarray"):
            np.asarray(x)
        with pytest.raises(lilith.TraceError, match=r"(?s)lilith\.numpy\.kaiser"):
            np.kaiser(4, x[0])
        return np.sum(np.array([x[0], 1.0], like=x))

    lilith.grad(f, V)
    assert lnp.asarray([1, 2], dtype=np.float32).dtype == np.float32
    assert lnp.require([1.0]).flags.c_contiguous


def test_frequencies_have_the_standards_dtype() -> None:
    assert lnp.fft.fftfreq(4, dtype=np.float32).dtype == np.float32
    np.testing.assert_array_equal(lnp.fft.rfftfreq(4, d=0.5), np.fft.rfftfreq(4, 0.5))
    with pytest.raises(ArgumentError, match="device"):
        lnp.fft.fftfreq(4, device="gpu")


def test_missing_names_have_near_ones() -> None:
    with pytest.raises(AttributeError, match="einsum"):
        _ = lnp.einsumm
    assert {"array", "supported", "linalg", "sort"} <= set(dir(lnp)) and "rfft" in dir(lnp.fft)
    assert {"kaiser", "fft.irfftn", "linalg.norm", "arange", "power"} <= set(lnp.supported())
