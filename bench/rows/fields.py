"""Rows of fields with namespaces of their own: linear algebra, FFT, special functions, networks, random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from bench.rows import F32, F64, group, integers, normal, positive_definite, seed, uniform, well_conditioned

# ---- linear algebra -------------------------------------------------------------------------------------------------


def _squared_vectors(np: Any) -> Callable[..., Any]:
    """Eigenvalues and squared eigenvectors, whose sign is free."""

    def apply(a):
        values, vectors = np.linalg.eigh(a + a.T)
        return values, vectors * vectors

    return apply


def _squared_factors(np: Any) -> Callable[..., Any]:
    def apply(a):
        u, s, v = np.linalg.svd(a, full_matrices=False)
        return u * u, s, v * v

    return apply


add = group("linalg", F64)
add("solve 200x200, 10", lambda np: lambda a, b: np.linalg.solve(a, b), well_conditioned(200, 200), normal(200, 10))
add(
    "solve 1000x4x4, 1", lambda np: lambda a, b: np.linalg.solve(a, b), well_conditioned(1000, 4, 4), normal(1000, 4, 1)
)
add("inv 200x200", lambda np: lambda a: np.linalg.inv(a), well_conditioned(200, 200))
add("det 100x20x20", lambda np: lambda a: np.linalg.det(a), well_conditioned(100, 20, 20))
add("slogdet 200x200", lambda np: lambda a: np.linalg.slogdet(a)[1], well_conditioned(200, 200))
add("cholesky 200x200", lambda np: lambda a: np.linalg.cholesky(a), positive_definite(200, 200), dtypes=(F32, F64))
add("cholesky 1000x4x4", lambda np: lambda a: np.linalg.cholesky(a), positive_definite(1000, 4, 4))
add("qr 200x100", lambda np: lambda a: np.linalg.qr(a), normal(200, 100))
add("eigh 100x100", _squared_vectors, normal(100, 100))
add("eigvalsh 100x100", lambda np: lambda a: np.linalg.eigvalsh(a + a.T), normal(100, 100))
add("svd 100x50", _squared_factors, normal(100, 50))
add("svdvals 100x50", lambda np: lambda a: np.linalg.svd(a, compute_uv=False), normal(100, 50))
add("lstsq 200x50", lambda np: lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0], normal(200, 50), normal(200))
add("pinv 100x50", lambda np: lambda a: np.linalg.pinv(a), normal(100, 50))
add("norm 1000x1000 axis 1", lambda np: lambda a: np.linalg.norm(a, axis=1), normal(1000, 1000))
add("norm 100x100, nuclear", lambda np: lambda a: np.linalg.norm(a, "nuc"), normal(100, 100))
add("matrix_power 200x200, 5", lambda np: lambda a: np.linalg.matrix_power(a / 4, 5), well_conditioned(200, 200))
add("multi_dot 4", lambda np: lambda a, b, c, d: np.linalg.multi_dot([a, b, c, d]),
    normal(200, 50), normal(50, 200), normal(200, 20), normal(20, 100))  # fmt: skip
add("expm 50x50", lambda linalg: lambda a: linalg.expm(a / 10), normal(50, 50))
add("solve_triangular 200x200, 10", lambda linalg: lambda a, b: linalg.solve_triangular(a, b, lower=True),
    well_conditioned(200, 200), normal(200, 10))  # fmt: skip
add("cho_solve 200x200, 10", lambda linalg: lambda a, b: linalg.cho_solve(linalg.cho_factor((a + a.T) / 2), b),
    positive_definite(200, 200), normal(200, 10))  # fmt: skip

# ---- Fourier transforms ---------------------------------------------------------------------------------------------

add = group("fft", F64)
add("fft 65536", lambda np: lambda x: np.abs(np.fft.fft(x)), normal(65536))
add("rfft 100x1000", lambda np: lambda x: np.abs(np.fft.rfft(x)), normal(100, 1000), dtypes=(F32, F64))
add("rfft, irfft 100x1024", lambda np: lambda x, h: np.fft.irfft(np.fft.rfft(x) * np.fft.rfft(h), 1024),
    normal(100, 1024), normal(1024))  # fmt: skip
add("fft2 256x256", lambda np: lambda x: np.real(np.fft.fft2(x)), normal(256, 256))
add("fftshift 1000x1000", lambda np: lambda x: np.fft.fftshift(x), normal(1000, 1000))

# ---- special functions ----------------------------------------------------------------------------------------------

add = group("special", F64)
_SIZES = {"gammaln": 100000, "digamma": 100000, "ndtri": 100000}
for _name in ("erf", "erfc", "gammaln", "digamma", "expit", "ndtr", "i0e", "i1", "entr"):
    _size = _SIZES.get(_name, 1000000)
    add(
        f"{_name} {_size}",
        lambda special, n=_name: lambda x: getattr(special, n)(x),
        uniform(0.1, 5.0, _size),
        dtypes=(F32, F64),
    )
for _name in ("erfinv", "ndtri", "logit"):
    _size = _SIZES.get(_name, 1000000)
    add(f"{_name} {_size}", lambda special, n=_name: lambda x: getattr(special, n)(x), uniform(0.05, 0.95, _size))
for _name in ("xlogy", "xlog1py", "rel_entr", "kl_div", "betaln"):
    add(
        f"{_name} 100000",
        lambda special, n=_name: lambda x, y: getattr(special, n)(x, y),
        uniform(0.1, 5.0, 100000),
        uniform(0.1, 5.0, 100000),
    )
add("gammainc 10000", lambda special: lambda a, x: special.gammainc(a, x),
    uniform(0.5, 5.0, 10000), uniform(0.5, 5.0, 10000))  # fmt: skip
add("betainc 10000, in x", lambda special: lambda x: special.betainc(2.5, 1.5, x), uniform(0.05, 0.95, 10000))
add("logsumexp 1000x1000", lambda special: lambda x: special.logsumexp(x, axis=1), normal(1000, 1000),
    dtypes=(F32, F64))  # fmt: skip
add("softmax 1000x1000", lambda special: lambda x: special.softmax(x, axis=1), normal(1000, 1000),
    theirs=lambda nn: lambda x: nn.softmax(x, axis=1), dtypes=(F32, F64))  # fmt: skip
add("log_softmax 1000x1000", lambda special: lambda x: special.log_softmax(x, axis=1), normal(1000, 1000),
    theirs=lambda nn: lambda x: nn.log_softmax(x, axis=1), dtypes=(F32, F64))  # fmt: skip

# ---- neural networks ------------------------------------------------------------------------------------------------

add = group("nn", F32)
for _name in ("relu", "leaky_relu", "elu", "selu", "silu", "softplus", "sigmoid"):
    add(f"{_name} 1000000", lambda nn, n=_name: lambda x: getattr(nn, n)(x), normal(1000000))
add("gelu 1000000", lambda nn: lambda x: nn.gelu(x), normal(1000000),
    theirs=lambda nn: lambda x: nn.gelu(x, approximate=False))  # fmt: skip


def _convolution(rank: int, stride: int = 1, padding: int = 0, groups: int = 1) -> Callable[..., Any]:
    """jax's convolution in PyTorch's layout."""
    spatial = "DHW"[3 - rank :]
    numbers = (f"NC{spatial}", f"OI{spatial}", f"NC{spatial}")

    def apply(x: Any, w: Any) -> Any:
        return jax.lax.conv_general_dilated(
            x, w, (stride,) * rank, [(padding, padding)] * rank, dimension_numbers=numbers, feature_group_count=groups
        )

    return apply


def _transposed(x: Any, w: Any) -> Any:
    """jax's convolution of elements two apart, with PyTorch's kernel."""
    kernel = jnp.flip(w, (2, 3)).swapaxes(0, 1)
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), [(2, 2)] * 2, lhs_dilation=(2, 2))


def _max_pool(x: Any, size: int = 2, padding: int = 0) -> Any:
    window, strides, edges = (1, 1, size, size), (1, 1, 2, 2), [(0, 0)] * 2 + [(padding, padding)] * 2
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, strides, edges)


def _avg_pool(x: Any) -> Any:
    return jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 1, 2, 2), (1, 1, 2, 2), "VALID") / 4


def _layer_norm(x: Any) -> Any:
    mean, variance = jnp.mean(x, -1, keepdims=True), jnp.var(x, -1, keepdims=True)
    return (x - mean) / jnp.sqrt(variance + 1e-5)


def _batch_norm(x: Any) -> Any:
    mean, variance = jnp.mean(x, (0, 2, 3), keepdims=True), jnp.var(x, (0, 2, 3), keepdims=True)
    return (x - mean) / jnp.sqrt(variance + 1e-5)


def _cross_entropy(x: Any, target: Any) -> Any:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x, axis=1), target[:, None], axis=1))


add("conv1d 32x16x256, 32x16x5", lambda nn: lambda x, w: nn.conv1d(x, w, padding=2),
    normal(32, 16, 256), normal(32, 16, 5), theirs=lambda: _convolution(1, padding=2))  # fmt: skip
add("conv2d 16x8x32x32, 16x8x3x3", lambda nn: lambda x, w: nn.conv2d(x, w, padding=1),
    normal(16, 8, 32, 32), normal(16, 8, 3, 3), theirs=lambda: _convolution(2, padding=1))  # fmt: skip
add("conv2d 16x8x32x32, stride 2", lambda nn: lambda x, w: nn.conv2d(x, w, stride=2),
    normal(16, 8, 32, 32), normal(16, 8, 3, 3), theirs=lambda: _convolution(2, stride=2))  # fmt: skip
add("conv2d 16x8x32x32, depthwise", lambda nn: lambda x, w: nn.conv2d(x, w, padding=1, groups=8),
    normal(16, 8, 32, 32), normal(8, 1, 3, 3), theirs=lambda: _convolution(2, padding=1, groups=8))  # fmt: skip
add("conv2d 16x32x14x14, 4 groups", lambda nn: lambda x, w: nn.conv2d(x, w, padding=1, groups=4),
    normal(16, 32, 14, 14), normal(32, 8, 3, 3), theirs=lambda: _convolution(2, padding=1, groups=4))  # fmt: skip
add("conv_transpose2d 16x16x16x16, stride 2", lambda nn: lambda x, w: nn.conv_transpose2d(x, w, stride=2, padding=1),
    normal(16, 16, 16, 16), normal(16, 8, 4, 4), theirs=lambda: _transposed)  # fmt: skip
add("max_pool2d 16x8x64x64, 3x3 windows", lambda nn: lambda x: nn.max_pool2d(x, 3, 2, 1), normal(16, 8, 64, 64),
    theirs=lambda: lambda x: _max_pool(x, 3, 1))  # fmt: skip
add("batch_norm 32x16x28x28", lambda nn: lambda x: nn.batch_norm(x, None, None, training=True)[0],
    normal(32, 16, 28, 28), theirs=lambda: _batch_norm)  # fmt: skip
add("max_pool2d 16x8x64x64", lambda nn: lambda x: nn.max_pool2d(x, 2), normal(16, 8, 64, 64),
    theirs=lambda: _max_pool)  # fmt: skip
add("avg_pool2d 16x8x64x64", lambda nn: lambda x: nn.avg_pool2d(x, 2), normal(16, 8, 64, 64),
    theirs=lambda: _avg_pool)  # fmt: skip
add("layer_norm 1000x1000", lambda nn: lambda x: nn.layer_norm(x, (1000,)), normal(1000, 1000),
    theirs=lambda: _layer_norm)  # fmt: skip
add("embedding 10000x128, 4096", lambda nn: lambda i, w: nn.embedding(i, w), integers(10000, 4096), normal(10000, 128),
    theirs=lambda: lambda i, w: w[i])  # fmt: skip
add("cross_entropy_loss 512x1000", lambda nn: lambda x, t: nn.cross_entropy_loss(x, t), normal(512, 1000),
    integers(1000, 512), theirs=lambda: _cross_entropy)  # fmt: skip
add("mse_loss 1000x1000", lambda nn: lambda x, y: nn.mse_loss(x, y), normal(1000, 1000), normal(1000, 1000),
    theirs=lambda np: lambda x, y: np.mean((x - y) ** 2))  # fmt: skip
add("huber_loss 1000x1000", lambda nn: lambda x, y: nn.huber_loss(x, y), normal(1000, 1000), normal(1000, 1000),
    theirs=lambda np: lambda x, y: np.mean(
        np.where(np.abs(x - y) < 1, 0.5 * (x - y) ** 2, np.abs(x - y) - 0.5)))  # fmt: skip
add("one_hot 4096, 100", lambda nn: lambda i: nn.one_hot(i, 100), integers(100, 4096))

# ---- random numbers -------------------------------------------------------------------------------------------------

add = group("random", F32, alike=True)
add("bits 1000000", lambda random: lambda s: random.bits(random.key(s), (1000000,), dtype="uint32"), seed())
for _name in ("uniform", "normal"):
    add(f"{_name} 1000000", lambda random, n=_name: lambda s: getattr(random, n)(random.key(s), (1000000,), dtype=F32),
        seed())  # fmt: skip
add("gamma 10000, in its shape", lambda random: lambda s, a: random.gamma(random.key(s), a), seed(),
    uniform(0.5, 4.0, 10000))  # fmt: skip
add("permutation 100000", lambda random: lambda s: random.permutation(random.key(s), 100000), seed())
add("categorical 1000x100", lambda random: lambda s, x: random.categorical(random.key(s), x), seed(), normal(1000, 100))
