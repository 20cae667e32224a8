"""lilith.random: known answers, the same bits everywhere, distributions, derivatives along the sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
import scipy.special
import scipy.stats

import lilith
from lilith import random
from lilith.ir.type import BFLOAT16
from lilith.ops.random import threefry

KEY = random.key(20240)
FLOATS = [np.dtype(d) for d in (np.float64, np.float32, np.float16, BFLOAT16)]

# Random123's kat_vectors, threefry2x32 with 20 rounds: counter, key, result
KNOWN = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_threefry_gives_the_published_answers(counter: tuple, key: tuple, expected: tuple) -> None:
    words = [np.array([w], np.uint32) for w in (*key, *counter)]
    assert tuple(int(w[0]) for w in threefry.eval(*words)) == expected


def test_golden_bits() -> None:
    assert random.key(-1).tolist() == [0xFFFFFFFF, 0xFFFFFFFF]
    assert random.key(np.uint64(2**63 + 5)).tolist() == [0x80000000, 5]
    assert random.bits(random.key(0), 3).tolist() == [4070199207, 4202968722, 1427181096]
    assert random.split(random.key(0)).tolist() == [[107003909, 3364557040], [2494418683, 513002203]]
    assert random.fold_in(random.key(0), 3).tolist() == [2792040508, 3518357145]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_bits_are_those_of_jax(dtype: Any) -> None:
    """An independent implementation of the generator on the element's index."""
    with jax.enable_x64():
        theirs = np.asarray(jax.random.bits(jax.random.wrap_key_data(KEY, impl="threefry2x32"), (7, 5), dtype))
    np.testing.assert_array_equal(random.bits(KEY, (7, 5), dtype), theirs)


def compiled(f: Callable[..., Any], *args: Any) -> Any:
    return lilith.jit(f)(*args)


def draws(key: Any) -> dict[str, Any]:
    out = {f"bits{d}": random.bits(key, (3, 5), d) for d in ("u1", "u2", "u4", "u8")}
    out |= {"split": random.split(key, 3), "fold_in": random.fold_in(key, 2**40 + 1)}
    out |= {"bernoulli": random.bernoulli(key, 0.3, 40), "randint": random.randint(key, -5, 17, 40)}
    out |= {"wide": random.randint(key, -(2**62), 2**62, 40), "all": random.randint(key, -(2**63), 2**63, 9)}
    out["categorical"] = random.categorical(key, np.log([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]), axis=1, shape=(20, 2))
    for d in FLOATS:
        out[f"uniform{d}"] = random.uniform(key, 50, d)
    return out


def test_xla_and_numpy_draw_the_same() -> None:
    ours, eager = compiled(draws, KEY), draws(KEY)
    for name, x in eager.items():
        np.testing.assert_array_equal(ours[name], x, err_msg=name)
        assert ours[name].dtype == x.dtype


CONTINUOUS: dict[str, Any] = {
    "uniform": scipy.stats.uniform,
    "normal": scipy.stats.norm,
    "exponential": scipy.stats.expon,
    "gumbel": scipy.stats.gumbel_r,
    "logistic": scipy.stats.logistic,
    "laplace": scipy.stats.laplace,
    "cauchy": scipy.stats.cauchy,
}


def test_xla_and_numpy_agree_on_floats() -> None:
    def f(key: Any) -> dict[str, Any]:
        return {
            name + str(d): getattr(random, name)(key, 1000, d)
            for name in CONTINUOUS
            for d in (np.float64, np.float32)
            if name != "uniform"
        }

    ours, eager = compiled(f, KEY), f(KEY)
    for name, x in eager.items():
        np.testing.assert_allclose(
            ours[name], x, rtol={8: 1e-13, 4: 2e-6}[x.itemsize], atol=np.finfo(x.dtype).eps, err_msg=name
        )


@pytest.mark.parametrize("name", CONTINUOUS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_distributions(name: str, dtype: Any) -> None:
    x = getattr(random, name)(KEY, 20000, dtype)
    assert x.dtype == dtype and np.all(np.isfinite(x))
    assert scipy.stats.kstest(x.astype(np.float64), CONTINUOUS[name].cdf).pvalue > 0.01


def test_half_precision() -> None:
    for dtype in FLOATS[2:]:
        x = random.normal(KEY, 20000, dtype)
        assert x.dtype == dtype
        assert abs(float(np.mean(x.astype(float)))) < 0.03 and abs(float(np.std(x.astype(float))) - 1) < 0.03
        u = random.uniform(KEY, 20000, dtype).astype(float)
        assert u.min() == 0 and u.max() < 1


def test_uniform_numbers_are_multiples_of_two_to_the_minus_mantissa_bits() -> None:
    u = random.uniform(KEY, 1000, np.float32).astype(np.float64) * 2.0**23
    np.testing.assert_array_equal(u, random.bits(KEY, 1000) >> 9)


def test_split_keys_are_independent() -> None:
    a, b = (random.normal(k, 20000) for k in random.split(KEY))
    own, folded = random.normal(KEY, 20000), random.normal(random.fold_in(KEY, 1), 20000)
    correlations = np.corrcoef([a, b, own, folded])
    assert np.max(np.abs(correlations - np.eye(4))) < 0.03
    many = random.split(KEY, (100, 100))
    assert many.shape == (100, 100, 2)
    assert len(np.unique(many.reshape(-1, 2), axis=0)) == 10000
    assert len({tuple(random.fold_in(KEY, i)) for i in (*range(100), -1, 2**32, 2**63)}) == 103
    ones = np.unpackbits(random.bits(KEY, 40000, np.uint8)).mean()
    assert abs(ones - 0.5) < 0.003


def test_bernoulli_categorical_randint() -> None:
    p = np.array([0.0, 0.1, 0.5, 1.0])
    np.testing.assert_allclose(random.bernoulli(KEY, p, (20000, 4)).mean(0), p, atol=0.01)
    q = np.array([0.1, 0.0, 0.2, 0.7])
    with np.errstate(divide="ignore"):
        drawn = random.categorical(KEY, np.log(q), shape=20000)
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 20000, q, atol=0.01)
    columns = random.categorical(KEY, np.log([[0.9, 0.1], [0.1, 0.9]]), axis=0, shape=(5000, 2))
    np.testing.assert_allclose(columns.mean(0), [0.1, 0.9], atol=0.02)
    dice = random.randint(KEY, 1, 7, 30000)
    assert scipy.stats.chisquare(np.bincount(dice, minlength=7)[1:]).pvalue > 0.01
    assert random.randint(KEY, np.array([5, 5]), np.array([5, 4])).tolist() == [5, 5]
    for dtype in (np.int8, np.uint8, np.int64, np.uint64):
        limits = np.iinfo(dtype)
        x = random.randint(KEY, int(limits.min), int(limits.max) + 1, 2000, dtype).astype(float)
        assert scipy.stats.kstest(x, scipy.stats.uniform(float(limits.min), 2.0 ** (8 * x.itemsize)).cdf) is not None
        span = float(limits.max) - float(limits.min)
        assert abs((x.mean() - float(limits.min)) / span - 0.5) < 0.03


def test_keys_travel_as_data() -> None:
    def loss(key: Any, x: Any) -> Any:
        keep = random.bernoulli(key, 0.5, x.shape)
        return np.sum(np.where(keep, x, 0.0) * random.uniform(key, x.shape, low=1.0, high=2.0))

    f = lilith.value_and_grad(loss)
    x = np.ones(200)
    (first, g), (second, h) = f(KEY, x), f(random.key(7), x)
    assert g[0] is None and first != second
    np.testing.assert_allclose(first, loss(KEY, x), rtol=1e-12)
    np.testing.assert_allclose(
        h[1],
        np.where(random.bernoulli(random.key(7), 0.5, 200), 1.0, 0.0)
        * np.asarray(random.uniform(random.key(7), 200, low=1.0, high=2.0)),
        rtol=1e-12,
    )


def test_uniform_is_differentiable_in_its_ends() -> None:
    lilith.testing.check_grads(
        lambda a, b: np.sum(random.uniform(KEY, (3, 4), low=a, high=b) ** 3), (0.5, np.array([2.0, 3.0, 1.0, 4.0]))
    )
    assert random.uniform(KEY, low=np.float32(1), high=np.ones(3, np.float32)).dtype == np.float32
    assert random.uniform(KEY, 4, low=2, high=3).min() >= 2


# ---- gamma and its kin, truncated normal ----------------------------------------------------------------------------


def distributions(key: Any, dtype: Any) -> dict[str, tuple[Any, Any]]:
    """Samples and their distributions."""
    n = 20000
    found: dict[str, tuple[Any, Any]] = {
        f"gamma {a}": (random.gamma(key, dtype(a), n), scipy.stats.gamma(a)) for a in (0.2, 1.0, 2.5, 300.0)
    }
    found["beta"] = random.beta(key, dtype(0.5), dtype(2.0), n), scipy.stats.beta(0.5, 2.0)
    found["student_t"] = random.student_t(key, dtype(3.0), n), scipy.stats.t(3.0)
    found["chisquare"] = random.chisquare(key, dtype(3.0), n), scipy.stats.chi2(3.0)
    weights = random.dirichlet(key, np.array([0.5, 1.0, 2.0], dtype), n)
    found["dirichlet"] = weights[:, 0], scipy.stats.beta(0.5, 3.0)
    for low, high in ((-1, 2), (3, 4), (-np.inf, -5), (8, np.inf), (-0.1, 0.1)):
        drawn = random.truncated_normal(key, dtype(low), dtype(high), n)
        found[f"truncated {low} {high}"] = drawn, scipy.stats.truncnorm(low, high)
    return found


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_distributions_with_parameters(dtype: Any) -> None:
    for name, (x, distribution) in distributions(KEY, dtype).items():
        assert x.dtype == dtype, name
        assert scipy.stats.kstest(x.astype(np.float64), distribution.cdf).pvalue > 0.005, name
    assert np.allclose(random.dirichlet(KEY, np.array([0.5, 1.0, 2.0]), 5).sum(1), 1)


def test_compiled_samples_with_parameters() -> None:
    def f(key: Any, a: Any) -> tuple[Any, ...]:
        both = random.truncated_normal(key, -a, a), random.truncated_normal(key, -1.0, 4.0, 200)
        return random.gamma(key, a), random.beta(key, a, 2.0), random.dirichlet(key, a), *both

    for dtype in (np.float64, np.float32):
        a = np.geomspace(0.05, 50, 200).astype(dtype)
        for ours, eager in zip(compiled(f, KEY, a), f(KEY, a), strict=True):
            np.testing.assert_allclose(ours, eager, rtol=3e3 * np.finfo(dtype).eps, atol=1e-30)


def test_gamma_is_differentiable_along_its_quantiles() -> None:
    a = np.array([0.02, 0.3, 0.9, 1.0, 2.5, 9.0, 120.0])
    _, (g,) = lilith.grad(lambda a: np.sum(random.gamma(KEY, a)), a)
    x = random.gamma(KEY, a)
    h, p = 1e-6 * a, scipy.special.gammainc(a, x)
    expected = (scipy.special.gammaincinv(a + h, p) - scipy.special.gammaincinv(a - h, p)) / (2 * h)
    np.testing.assert_allclose(g, expected, rtol=1e-6)
    tiny = np.full(50, 1e-3)  # most samples underflow, their logarithms do not
    logs, (slopes,) = lilith.grad(lambda a: np.sum(random.loggamma(KEY, a)), tiny)
    assert np.isfinite(logs) and np.all(slopes > 0)
    np.testing.assert_allclose(slopes, (-np.euler_gamma - random.loggamma(KEY, tiny)) / tiny, rtol=1e-2)


def test_mean_gradients() -> None:
    """d/da E[gamma] = 1 and d/da E[beta] = b / (a + b)²: the mean of the derivatives of many samples."""
    n = 10000
    _, g = lilith.grad(lambda a: np.mean(random.gamma(KEY, np.broadcast_to(a, n))), 0.7)
    assert abs(g[0] - 1) < 0.05
    _, g = lilith.grad(lambda a, b: np.mean(random.beta(KEY, a, b, n)), 0.7, 1.8)
    assert abs(g[0] - 1.8 / 2.5**2) < 0.02 and abs(g[1] + 0.7 / 2.5**2) < 0.02


def test_truncated_normal_is_differentiable_in_its_bounds() -> None:
    a, b = np.array([-1.0, 0.5, 2.0, -9.0, -5.0]), np.array([0.5, 1.0, 7.0, -6.0, 5.0])
    lilith.testing.check_grads(lambda a, b: np.sum(random.truncated_normal(KEY, a, b) ** 2), (a, b), order=1)


# ---- orders and selections ------------------------------------------------------------------------------------------


def test_permutations() -> None:
    for n in (0, 1, 5, 3000):
        assert sorted(random.permutation(KEY, n)) == list(range(n))
        np.testing.assert_array_equal(
            compiled(lambda k, n=n: random.permutation(k, n), KEY), random.permutation(KEY, n)
        )
    first = np.array([random.permutation(k, 4)[0] for k in random.split(KEY, 4000)])
    assert scipy.stats.chisquare(np.bincount(first)).pvalue > 0.01
    x = np.arange(12.0).reshape(3, 4)
    order = random.permutation(KEY, 4)
    np.testing.assert_array_equal(random.permutation(KEY, x, axis=1), x[:, order])
    w = np.arange(4.0)
    _, (_, g) = lilith.grad(lambda k, x: np.sum(random.permutation(k, x) * w), KEY, w)
    np.testing.assert_array_equal(g[order], w)


def test_choices() -> None:
    p = np.array([0.1, 0.0, 0.2, 0.7])
    drawn = random.choice(KEY, 4, 20000, p=p)
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 20000, p, atol=0.01)
    np.testing.assert_array_equal(compiled(lambda k, p: random.choice(k, 4, 20000, p=p), KEY, p), drawn)
    x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    picked = random.choice(KEY, x, (2, 2), axis=1)
    assert picked.shape == (2, 2, 2) and set(picked[0].ravel()) <= {1.0, 2.0, 3.0}
    assert sorted(random.choice(KEY, 5, 5, replace=False)) == list(range(5))
    pairs = np.array([random.choice(k, 4, 2, replace=False, p=p + 0.1) for k in random.split(KEY, 3000)])
    assert np.all(pairs[:, 0] != pairs[:, 1])
    np.testing.assert_allclose(np.bincount(pairs[:, 0], minlength=4) / 3000, (p + 0.1) / 1.4, atol=0.03)
    assert set(random.choice(KEY, 4, 3, replace=False, p=p)) == {0, 2, 3}
    assert random.choice(KEY, np.array([7.0])) == 7.0
    for call, text in (
        (lambda: random.choice(KEY, 3, 4, replace=False), "without replacement"),
        (lambda: random.choice(KEY, 4, 4, replace=False, p=p), "only 3"),
        (lambda: random.choice(KEY, 4, 1, p=-p), "negative"),
        (lambda: random.choice(KEY, 3, 1, p=p), "per element"),
        (lambda: random.choice(KEY, 0, 1), "of 0"),
        (lambda: random.permutation(KEY, -1), "population"),
    ):
        with pytest.raises(lilith.LilithError, match=text):
            call()


def test_the_hint_of_hidden_generators_names_keys() -> None:
    with pytest.raises(lilith.RandomnessError, match=r"lilith\.random\.normal\(key, shape\)"):
        lilith.grad(lambda x: np.sum(x * np.random.rand(3)), np.ones(3))


def test_errors() -> None:
    for call, error, text in (
        (lambda: random.normal(np.zeros(2), 3), lilith.DtypeError, "no key"),
        (lambda: random.normal(random.split(KEY), 3), lilith.ShapeError, "several keys"),
        (lambda: random.key(2**64), lilith.ArgumentError, "64 bits"),
        (lambda: random.key(0.5), lilith.ArgumentError, "seed"),
        (lambda: random.normal(KEY, 3, np.int32), lilith.DtypeError, "floating"),
        (lambda: random.uniform(KEY, 3, low=np.zeros(2)), lilith.ShapeError, "broadcast"),
        (lambda: random.bits(KEY, 3, np.int32), lilith.DtypeError, "unsigned"),
        (lambda: random.randint(KEY, 3, 3), lilith.ArgumentError, "low < high"),
        (lambda: random.randint(KEY, 0.5, np.ones(2)), lilith.DtypeError, "integers"),
        (lambda: random.categorical(KEY, np.zeros((2, 3)), shape=(3,)), lilith.ShapeError, "ends in"),
    ):
        with pytest.raises(error, match=text):
            call()


def test_truncated_normal_where_the_tail_underflows() -> None:
    key = random.key(0)
    for lower, upper, expected in ((-41.0, -40.0, -40.0), (40.0, 41.0, 40.0), (-np.inf, -50.0, -50.0)):
        assert np.all(random.truncated_normal(key, lower, upper, 3) == expected)
        assert np.all(lilith.jit(lambda k, a, b: random.truncated_normal(k, a, b, 3))(key, lower, upper) == expected)
