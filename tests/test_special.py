"""scipy.special on traced arrays: values over whole domains, edges, derivatives in every argument, to second order."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special as sp

import lilith
from lilith import special
from lilith.ir import PRIMITIVES, Builder, Graph, TensorType, Value
from lilith.ir.interpret import interpret
from lilith.numpy import scipy_ufuncs  # noqa: F401  (enters the ufuncs)
from lilith.transform.reverse import reverse
from lilith.transform.simplify import simplify
from lowering.carrier import pretty
from lowering.emit import PLATFORMS, emit
from tests.agreement import agrees, check_gradient, evaluate, gradient, traced
from tests.samples import random as random_samples
from tests.samples import special as special_samples

RNG = np.random.default_rng(5)
INF, NAN = np.inf, np.nan


def spread(low: float, high: float, n: int = 60) -> np.ndarray:
    return np.linspace(low, high, n)


def powers(low: float, high: float, n: int = 60) -> np.ndarray:
    return np.logspace(low, high, n)


def both(x: np.ndarray) -> np.ndarray:
    return np.concatenate([-x, x])


UNIT = np.concatenate([powers(-30, -1), spread(0.1, 0.95), 1 - powers(-7, -1.3)])
EDGES = np.array([0.0, -0.0, 1.0, -1.0, 2.0, INF, -INF, NAN, 0.5, -2.5])
# the points, and by how many units in the last place compiled float64 and float32 may differ from SciPy's float64
UNARY: dict[str, tuple[np.ndarray, float, float]] = {
    "erf": (both(powers(-10, 1)), 10, 10),
    "erfc": (both(powers(-10, 0.9)), 20, 30),
    "erfcx": (np.concatenate([both(powers(-10, 0.9)), powers(1, 6)]), 50, 60),
    "erfinv": (both(UNIT), 10, 10),
    "erfcinv": (np.concatenate([UNIT, 2 - UNIT[60:]]), 10, 10),
    "ndtr": (both(powers(-10, 1)), 20, 100),
    "ndtri": (UNIT, 10, 10),
    "log_ndtr": (np.concatenate([both(powers(-10, 0.9)), -powers(1, 10)]), 20, 60),
    "gammaln": (np.concatenate([powers(-10, 20), spread(2.6, 20)]), 40, 60),
    "gamma": (np.concatenate([powers(-5, 0), spread(0.1, 30), -spread(0.05, 0.95)]), 300, 20),
    "digamma": (np.concatenate([powers(-5, 0), spread(2, 20), powers(2, 20)]), 20, 20),
    "expit": (both(powers(-10, 1.8)), 10, 10),
    "log_expit": (both(powers(-10, 2)), 20, 10),
    "logit": (UNIT, 10, 20),
    "entr": (powers(-20, 3), 10, 10),
    "i0": (both(powers(-5, 1.9)), 10, 20),
    "i0e": (both(powers(-5, 8)), 10, 20),
    "i1": (both(powers(-5, 1.9)), 30, 60),
    "i1e": (both(powers(-5, 8)), 30, 60),
    "exp10": (both(powers(-5, 1.4)), 300, 60),
}
P, Q = powers(-2, 2.5, 400)[RNG.permutation(400)], powers(-2, 2.5, 400)[RNG.permutation(400)]
X = np.clip(P / (P + Q) + 0.2 * RNG.standard_normal(400), 1e-4, 1 - 1e-4)
SEVERAL: dict[str, tuple[tuple[np.ndarray, ...], float, float]] = {
    "xlogy": ((P, Q), 10, 10),
    "xlog1py": ((P, Q), 200, 10),
    "rel_entr": ((P, Q), 20, 20),
    "kl_div": ((P, 2 * P + Q), 20, 40),
    "betaln": ((P, 1.7 + Q), 3000, 3000),
    "beta": ((P, Q), 3000, 3000),
    "gammainc": ((P, P * np.exp(0.3 * RNG.standard_normal(400))), 3000, 200),
    "gammaincc": ((P, P * np.exp(0.3 * RNG.standard_normal(400))), 3000, 300),
    "betainc": ((P, Q, X), 3000, 1000),
    "betaincc": ((P, Q, X), 3000, 1000),
}
TABLE: dict[str, tuple[tuple[np.ndarray, ...], float, float]] = {
    **{name: ((x,), a, b) for name, (x, a, b) in UNARY.items()},
    **SEVERAL,
}


def units(actual: np.ndarray, expected: np.ndarray, dtype: Any) -> np.ndarray:
    """The difference in units in the last place, where numbers of the dtype neither overflow nor underflow."""
    limits = np.finfo(dtype)
    inside = np.isfinite(expected) & (np.abs(expected) < limits.max) & (np.abs(expected) > 100 * limits.tiny)
    size = np.maximum(np.abs(expected), limits.tiny)
    return np.where(inside, np.abs(actual.astype(np.float64) - expected) / size / limits.eps, 0.0)


def test_compiled_values() -> None:
    """All functions in one program for each dtype."""
    for k, dtype in enumerate((np.float64, np.float32)):
        points = {name: [x.astype(dtype) for x in xs] for name, (xs, *_) in TABLE.items()}
        found = lilith.jit(lambda p: {name: getattr(sp, name)(*xs) for name, xs in p.items()})(points)
        for name, xs in points.items():
            with np.errstate(all="ignore"):
                expected = getattr(sp, name)(*[x.astype(np.float64) for x in xs])
            assert found[name].dtype == dtype
            off = units(found[name], expected, dtype)
            worst = int(np.argmax(off))
            at = [x[worst] for x in xs]
            assert off[worst] <= TABLE[name][k + 1], f"{name} {np.dtype(dtype)}: {off[worst]:.1f} units at {at}"


def test_compiled_edges() -> None:
    """Zeros, ones, infinities, NaN and what lies outside of the domains."""
    finite = {
        "gammaln": EDGES[EDGES != -INF],
        "i0": np.array([0.0, NAN, 700.0, 800.0]),
        "i1": np.array([0.0, NAN, -800]),
    }
    points = {name: [finite.get(name, EDGES)] for name in UNARY}
    pairs = np.array([(a, b) for a in (0.0, 1.0, -1.0, 2.0, INF, NAN) for b in (0.0, 1.0, -1.0, 0.3, INF, NAN)]).T
    points |= {name: list(pairs) for name in ("xlogy", "xlog1py", "rel_entr", "kl_div", "gammainc", "gammaincc")}
    points["betainc"] = list(
        np.array([(a, b, x) for a in (0, 1, INF, -1) for b in (0, 2, INF, NAN) for x in (0, 0.3, 1, 2)], float).T
    )
    found = lilith.jit(lambda p: {name: getattr(sp, name)(*xs) for name, xs in p.items()})(points)
    for name, xs in points.items():
        with np.errstate(all="ignore"):
            expected = getattr(sp, name)(*xs)
        np.testing.assert_allclose(found[name], expected, rtol=1e-13, atol=1e-15, err_msg=name)


@pytest.mark.parametrize("name", UNARY)
def test_interpreted_values_and_dtypes(name: str) -> None:
    x = UNARY[name][0][::7]
    for dtype in (np.float64, np.float32):
        agrees(getattr(sp, name), x.astype(dtype))
        agrees(getattr(special, name), x.astype(dtype))
    agrees(getattr(sp, name), np.array([1, 2]))


@pytest.mark.parametrize("name", SEVERAL)
def test_interpreted_values_of_several_arguments(name: str) -> None:
    xs = [x[::40] for x in SEVERAL[name][0]]
    agrees(getattr(sp, name), *xs)
    agrees(getattr(special, name), *[x.astype(np.float32) for x in xs])
    agrees(getattr(sp, name), *xs[:-1], 0.4)


# ---- derivatives ----------------------------------------------------------------------------------------------------


def check_twice(f: Callable[..., Any], *xs: np.ndarray) -> None:
    """First and second derivatives in all arguments against five-point differences along a random direction."""
    graph, _ = traced(f, *xs)
    order = range(len(xs))
    check(graph, list(xs), [RNG.standard_normal(y.shape) for y in graph.outputs])
    first = reverse(graph, order)
    first = simplify(first.with_outputs(first.outputs[len(graph.outputs) :])).verify()
    values = [*xs, *(RNG.standard_normal(y.shape) for y in graph.outputs)]
    check(first, values, [RNG.standard_normal(y.shape) for y in first.outputs])


def check(graph: Any, values: list[np.ndarray], seeds: list[np.ndarray]) -> None:
    back = reverse(graph, range(len(values)))
    found = interpret(back, [*values, *seeds])[len(graph.outputs) :]
    direction = [RNG.standard_normal(x.shape) * np.abs(x) for x in values]

    def loss(t: float) -> float:
        moved = interpret(graph, [x + t * d for x, d in zip(values, direction, strict=True)])
        return float(sum(np.sum(y * s) for y, s in zip(moved, seeds, strict=True)))

    h = 1e-4
    difference = (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h)
    slope = float(sum(np.sum(g * d) for g, d in zip(found, direction, strict=True)))
    scale = sum(np.sum(np.abs(g * d)) for g, d in zip(found, direction, strict=True))
    assert abs(slope - difference) <= 1e-7 * scale + 1e-9


SMOOTH: dict[str, tuple[np.ndarray, ...]] = {
    **{name: (np.array([-1.3, -0.2, 0.4, 2.2]),) for name in ("erf", "erfc", "erfcx", "expit", "log_expit", "exp10")},
    **{name: (np.array([-9.3, -1.2, 0.4, 2.2]),) for name in ("ndtr", "log_ndtr", "i0", "i1", "i0e", "i1e")},
    **{name: (np.array([0.03, 0.45, 0.6, 0.93]),) for name in ("erfinv", "erfcinv", "ndtri", "logit", "entr")},
    **{name: (np.array([0.3, 1.0, 2.6, -1.4]),) for name in ("gamma", "gammaln", "digamma")},
    **{name: (np.array([0.7, 2.5]), np.array([1.6, 0.4])) for name in ("xlogy", "xlog1py", "rel_entr", "kl_div")},
    **{name: (np.array([0.7, 2.5, 9.0]), np.array([1.6, 0.4, 11.0])) for name in ("beta", "betaln")},
}


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives(name: str) -> None:
    check_twice(getattr(sp, name), *SMOOTH[name])


def test_derivatives_of_functions_that_scipy_writes_in_python() -> None:
    x = np.array([0.7, 1.9, 4.2])
    check_twice(lambda x: special.polygamma(2, x), x)
    check_twice(lambda x: special.polygamma(0, x), x)
    check_twice(lambda s, q: special.zeta(s, q), 1 + x, x[::-1].copy())
    check_twice(lambda x: special.multigammaln(x, 3), 1 + x)
    check_twice(lambda x: special.factorial(x), x)
    h = 1e-4
    slopes = gradient(lambda s: special.zeta(s, 1.0), 1 + x)[0]
    np.testing.assert_allclose(slopes, (sp.zeta(1 + x + h) - sp.zeta(1 + x - h)) / (2 * h), rtol=1e-6)


def difference(f: Callable[[np.ndarray], np.ndarray], a: np.ndarray) -> np.ndarray:
    h = 1e-3 * a
    return (8 * (f(a + h) - f(a - h)) - (f(a + 2 * h) - f(a - 2 * h))) / (12 * h)


def test_derivatives_of_the_incomplete_functions_in_their_parameters() -> None:
    """Against differences of SciPy's functions, for small and large parameters and on all sides of the regions."""
    a = np.array([0.02, 0.3, 0.7, 2.0, 7.5, 9.0, 60.0, 900.0])
    for factor in (0.3, 0.9, 1.0, 1.2, 3.0):
        x = a * factor
        for f, sign in ((sp.gammainc, 1), (sp.gammaincc, -1)):
            slopes, density = gradient(lambda a, x, f=f: f(a, x), a, x)
            expected = difference(lambda a, x=x: sp.gammainc(a, x), a)
            np.testing.assert_allclose(slopes, sign * expected, rtol=1e-6, atol=1e-9)
            logs = (a - 1) * np.log(x) - x - sp.gammaln(a)
            np.testing.assert_allclose(density, sign * np.exp(logs), rtol=1e-9, atol=1e-300)
    b = np.array([5.0, 0.3, 0.04, 2.0, 30.0, 9.0, 0.6, 700.0])
    for shift in (-0.5, 0.0, 0.5):
        x = sp.expit(np.log(a / b) + shift)
        da, db, _ = gradient(lambda a, b, x: sp.betainc(a, b, x), a, b, x)
        np.testing.assert_allclose(da, difference(lambda a, b=b, x=x: sp.betainc(a, b, x), a), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(db, difference(lambda b, x=x: sp.betainc(a, b, x), b), rtol=1e-6, atol=1e-9)


def test_second_derivatives_of_the_incomplete_functions() -> None:
    check_twice(sp.gammainc, np.array([0.6, 5.0, 9.0]), np.array([1.7, 2.1, 9.5]))
    check_twice(sp.gammaincc, np.array([0.6, 5.0, 9.0]), np.array([0.4, 12.0, 9.5]))
    check_twice(sp.betainc, np.array([0.6, 9.0]), np.array([1.7, 12.0]), np.array([0.3, 0.6]))


def test_slopes_at_the_ends() -> None:
    """Where the functions are at rest, derivatives by parameters are 0, not NaN."""
    a = np.array([0.5, 1.0, 2.0])
    da, dx = gradient(sp.gammainc, a, np.zeros(3))
    np.testing.assert_array_equal(da, 0)
    np.testing.assert_array_equal(dx, [INF, 1, 0])
    da, db, dx = gradient(sp.betainc, a, a, np.array([0.0, 1.0, 1.0]))
    np.testing.assert_array_equal([da, db], 0)
    np.testing.assert_array_equal(dx, [INF, 1, 0])


# ---- hard points ----------------------------------------------------------------------------------------------------


def test_hard_points() -> None:
    """Values and slopes where formulas written down carelessly lose everything."""

    def f(x: dict[str, Any]) -> dict[str, Any]:
        return {name: getattr(sp, name)(*xs) for name, xs in x.items()}

    points = {
        "erf": [np.array([10.0])],
        "logit": [np.array([1e-300, 0.5 + 1e-9, 1 - 1e-15])],
        "log_ndtr": [np.array([-40.0, -1e5, 10.0])],
        "ndtr": [np.array([-37.0])],
        "gammaln": [np.array([1 + 1e-9, 2 - 1e-9, 1e300])],
        "betaln": [np.array([1e8, 1e-8, 1e10]), np.array([1e8, 1e8, 0.5])],
        "i0": [np.array([700.0])],
        "gammaincc": [np.array([1e-10, 1e4]), np.array([0.5, 1e4])],
        "digamma": [np.array([-0.5, -3.2])],
    }
    found = lilith.jit(f)(points)
    z = np.array([1e-9, -1e-9])
    np.testing.assert_allclose(found["gammaln"][:2], np.array([-np.euler_gamma, 1 - np.euler_gamma]) * z, rtol=1e-7)
    # Stirling's series gives the large ones exactly enough
    log_beta = np.log(np.pi / 1e8) / 2 - 2e8 * np.log(2) + np.log(2)
    np.testing.assert_allclose(found["betaln"][0], log_beta, rtol=1e-12)
    for name in points.keys() - {"gammaln", "betaln"}:
        np.testing.assert_allclose(found[name], getattr(sp, name)(*points[name]), rtol=1e-12, err_msg=name)
    assert gradient(sp.erf, np.array([10.0]))[0] == 2 / np.sqrt(np.pi) * np.exp(-100)
    slope = gradient(sp.log_ndtr, np.array([-40.0]))[0]
    np.testing.assert_allclose(slope, 40.0249688472073, rtol=1e-12)
    for f2 in (sp.xlogy, sp.xlog1py):
        assert evaluate(f2, 0.0, 0.0)[0] == 0
        assert all(np.isfinite(g).all() for g in gradient(f2, np.zeros(2), np.array([0.0, 2.0])))
    for name in ("rel_entr", "kl_div"):
        agrees(getattr(sp, name), np.array([0.0, 0.0, -1.0, 1.0, NAN]), np.array([0.0, 2.0, 1.0, -1.0, 1.0]))
        assert all(np.isfinite(g).all() for g in gradient(getattr(sp, name), np.zeros(2), np.array([0.0, 2.0])))
    assert gradient(sp.entr, np.zeros(1))[0] == 0


def test_python_functions_name_their_replacement() -> None:
    for name, arguments in (("polygamma", (1,)), ("zeta", ()), ("multigammaln", ()), ("factorial", ())):
        order = (2,) if name == "multigammaln" else ()
        with pytest.raises(lilith.LilithError, match=rf"lilith\.special\.{name}"):
            traced(lambda x, n=name, a=arguments, o=order: getattr(sp, n)(*a, x, *o), np.array(2.5))
        mine = functools.partial(getattr(special, name), *arguments)
        theirs = getattr(sp, name)(*arguments, 2.5, *order)
        np.testing.assert_allclose(evaluate(lambda x, f=mine, o=order: f(x, *o), np.array(2.5))[0], theirs)
        np.testing.assert_allclose(mine(2.5, *order), theirs)
    np.testing.assert_allclose(evaluate(lambda x: special.factorial(x), np.array([-1, 0, 3]))[0], [0, 1, 6])
    orders = np.array([0, 1, 2])
    agrees(lambda x: special.polygamma(orders, x), np.array([1.5, 2.5, 3.5]))
    with pytest.raises(lilith.GradientError, match="order"):
        gradient(lambda n: special.zeta(2.0, special.polygamma(n, 2.0)), np.array(1.0))


def test_numpy_i0() -> None:
    for x in (np.array([0.5, -3.0, 12.0]), np.array([1.5, 9.0], np.float32), np.array([1, 2])):
        agrees(np.i0, x)
    check_gradient(np.i0, np.array([0.5, -3.0, 9.0]))


def test_half_precision() -> None:
    x = np.array([0.25, 0.5, 0.75], np.float16)
    for name in ("erfinv", "gammaln", "i0", "ndtri", "logit"):
        y = lilith.jit(lambda x, n=name: getattr(sp, n)(x))(x)
        expected = getattr(sp, name)(x.astype(np.float64))
        np.testing.assert_allclose(y.astype(np.float64), expected, rtol=2e-3)


def test_modules_verify_on_every_platform() -> None:
    """Formulas and loops are written in operations that every platform has."""
    for name, group in (special_samples.samples() | random_samples.samples()).items():
        sample = group[0]
        inputs = tuple(Value(TensorType(x.shape, x.dtype)) for x in sample.operands)
        with Builder() as builder:
            out = PRIMITIVES[name](*inputs, **sample.params)
        outputs = out if isinstance(out, tuple) else (out,)
        graph = Graph(name, inputs, tuple(f"x{i}" for i in range(len(inputs))), tuple(builder.nodes), outputs)
        texts = [pretty(emit(graph, platform)) for platform in PLATFORMS]
        assert len(set(texts[1:])) == 1 and "custom_call" not in texts[0]
