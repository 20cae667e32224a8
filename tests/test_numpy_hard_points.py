"""Hard points of lilith.numpy: edges of domains, NaN, zeros, exact powers, corner cases."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.special

import lilith
import lilith.numpy as lnp
from lilith import special
from lilith.ir.graph import Builder, Graph, Value
from lilith.ir.interpret import interpret
from lilith.ir.primitive import primitive
from lilith.numpy import (
    core,
    floats,
    functions,
    indexing,
    joining,
    methods,
    products,
    reductions,
    shaping,
    ufunc,
    ufuncs,
)
from lilith.source import DtypeError, ShapeError, TraceError, UnsupportedError
from lilith.tracer import Tracer, call_rule
from lilith.transform.reverse import reverse
from tests.agreement import (
    RNG,
    F,
    G,
    M,
    N,
    T,
    V,
    Z,
    agrees,
    check_gradient,
    evaluate,
    gradient,
    traced,
)

# ---- hard points --------------------------------------------------------------------------------------------------


def test_division_with_remainder_at_hard_points() -> None:
    x = np.array([7.0, -7.0, 7.0, -7.0, 1.0, -1.0, 0.0, -0.0, np.inf, 1.0, 5.5, 1e300])
    y = np.array([2.0, 2.0, -2.0, -2.0, 0.0, 0.0, 0.0, 5.0, 2.0, np.inf, -np.inf, 1e-5])
    agrees(lambda x, y: [x // y, x % y], x[:11], y[:11])
    quotient = evaluate(lambda x, y: x // y, x[:8], y[:8])[0]
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(np.signbit(quotient), np.signbit(x[:8] // y[:8]))
    agrees(
        lambda x, y: [x // y, x % y, np.fmod(x, y)], np.array([7, -7, 7, -7, 3, -128]), np.array([2, 2, -2, -2, 0, -1])
    )


def test_slope_of_remainder_at_multiples() -> None:
    x, y = gradient(lambda x, y: x % y, np.array([4.0, -4.0, 3.0]), np.array([2.0, 2.0, 2.0]))
    np.testing.assert_array_equal(x, [1, 1, 1])
    np.testing.assert_array_equal(y, [-2, 2, -1])


def test_hypot_at_hard_points() -> None:
    agrees(np.hypot, np.array([1e200, 1e-200, np.inf, np.nan, 0.0]), np.array([1e200, 1e-200, np.nan, 1.0, 0.0]))
    for g in gradient(np.hypot, np.zeros(2), np.array([0.0, 3.0])):
        assert np.isfinite(g).all() and g[0] == 0
    check_gradient(np.hypot, F, G)


def test_logaddexp_at_hard_points() -> None:
    x = np.array([-np.inf, -np.inf, np.inf, np.inf, 0.0, 1000.0, 2.0])
    y = np.array([-np.inf, 1.0, np.inf, 3.0, -50.0, 1001.0, 2.0])
    agrees(np.logaddexp, x, y)
    agrees(np.logaddexp2, x, y)
    first, second = gradient(np.logaddexp, x, y)
    assert np.isfinite(first).all() and np.isfinite(second).all()
    np.testing.assert_allclose(first[-1], 0.5)
    curvature = gradient(lambda t: np.logaddexp(t, 0.0), np.zeros(1))
    np.testing.assert_allclose(curvature[0], 0.5)


def test_powers_of_two_are_exact() -> None:
    x = 2.0 ** np.arange(-1022, 1024)
    np.testing.assert_array_equal(evaluate(np.log2, x[1:-1:37])[0], np.arange(-1022, 1024)[1:-1:37])
    np.testing.assert_array_equal(evaluate(np.exp2, np.arange(-20.0, 20.0))[0], 2.0 ** np.arange(-20, 20))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_frexp_and_ldexp(dtype: Any) -> None:
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([0.0, -0.0, 1.0, -3.5, np.finfo(dtype).max, np.finfo(dtype).tiny, tiny * 3, 0.1], dtype)
    mantissa, exponent = evaluate(np.frexp, x)
    expected = np.frexp(x)
    np.testing.assert_array_equal(mantissa, expected[0])
    np.testing.assert_array_equal(exponent, expected[1])
    assert exponent.dtype == expected[1].dtype
    n = np.array([5, 3, -30, 2, -1, -3, 4, -40], np.int32)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(evaluate(np.ldexp, x, n)[0], np.ldexp(x, n))
    np.testing.assert_array_equal(gradient(np.ldexp, np.ones(3), np.arange(3), wanted=(0,))[0], [1, 2, 4])


def test_gcd_of_large_numbers() -> None:
    a = np.array([7540113804746346429, 2**62, 0, -12, 1000000007 * 12])
    b = np.array([4660046610375530309, 2**61, 5, 18, 1000000007 * 18])
    agrees(np.gcd, a, b)
    agrees(np.lcm, np.array([12, -4, 0]), np.array([18, 6, 5]))


def test_maximum_keeps_nan_and_fmax_ignores_it() -> None:
    x, y = np.array([np.nan, 1.0, 2.0]), np.array([1.0, np.nan, 3.0])
    agrees(lambda x, y: [np.maximum(x, y), np.fmax(x, y), np.minimum(x, y), np.fmin(x, y)], x, y)
    first, second = gradient(np.fmax, x, y)
    np.testing.assert_array_equal(first, [0, 1, 0])
    np.testing.assert_array_equal(second, [1, 0, 1])


def test_norm_and_variance_have_finite_slopes_at_zero() -> None:
    for f in (np.linalg.norm, lambda x: np.linalg.norm(x, 3), lambda x: np.linalg.norm(x, axis=0), np.var):
        np.testing.assert_array_equal(gradient(f, np.zeros(3))[0], np.zeros(3))


def test_masked_branches_stay_zero() -> None:
    np.testing.assert_array_equal(
        gradient(lambda x: np.where(x > 0, np.sqrt(x), 0), np.array([0.0, 4.0]))[0], [0, 0.25]
    )
    np.testing.assert_array_equal(
        gradient(lambda x: np.where(x > 0, x * np.log(x), 0), np.array([0.0, 1.0]))[0], [0, 1]
    )


# ---- what NumPy hands to nobody, and the namespace ----------------------------------------------------------------


def test_array_of_tracers() -> None:
    def f(x: Any) -> list[Any]:
        return [
            lnp.array([x[0], 1.0, x[1]]),
            lnp.array([[x[0], x[1]], [2, 3]]),
            lnp.array(x),
            lnp.full((2, 3), x[0]),
            lnp.asarray([x[2], x[3]]),
            lnp.array([x[0]], dtype=np.float32),
        ]

    found = evaluate(f, V)
    expected = [
        [V[0], 1, V[1]], [[V[0], V[1]], [2, 3]], V, np.full((2, 3), V[0]), V[2:], np.array([V[0]], np.float32)
    ]  # fmt: skip
    for y, z in zip(found, expected, strict=True):
        np.testing.assert_array_equal(y, z)
    assert found[-1].dtype == np.float32
    check_gradient(lambda x: lnp.array([x[0] * x[1], x[2] ** 2]), V)


def test_namespace_is_numpy() -> None:
    assert lnp.sum(np.arange(3)) == 3 and lnp.float32 is np.float32 and lnp.pi == np.pi and lnp.newaxis is None
    np.testing.assert_array_equal(lnp.array([1, 2]), [1, 2])
    np.testing.assert_array_equal(lnp.zeros((2, 2)), np.zeros((2, 2)))
    assert "einsum" in lnp.supported() and "linalg.norm" in lnp.supported()
    agrees(lambda x: x.__array_namespace__().sum(x) if hasattr(x, "__array_namespace__") else np.sum(x), M)
    for (
        name
    ) in "acos acosh asin asinh atan atanh atan2 concat permute_dims pow bitwise_left_shift bitwise_invert".split():
        assert name in lnp.supported()


def test_special_functions() -> None:
    agrees(lambda x: scipy.special.expit(x), F)
    x = np.array([[1.0, -np.inf, 1000.0], [0.0, 0.0, 0.0]])
    for mine, theirs in (
        (special.logsumexp, scipy.special.logsumexp),
        (special.softmax, scipy.special.softmax),
        (special.log_softmax, scipy.special.log_softmax),
    ):
        for axis in (0, 1, None):
            np.testing.assert_allclose(evaluate(lambda x, m=mine, a=axis: m(x, axis=a), x)[0], theirs(x, axis=axis))
            np.testing.assert_allclose(mine(x, axis=axis), theirs(x, axis=axis))
        check_gradient(lambda x, m=mine: np.sin(m(x, axis=1)), M)
    assert special.erf(0.5) == scipy.special.erf(0.5)
    g = gradient(lambda x: special.logsumexp(x, axis=1), x)[0]
    np.testing.assert_allclose(g, scipy.special.softmax(x, axis=1))
    assert np.isneginf(special.logsumexp(np.full(3, -np.inf)))
    assert np.isneginf(evaluate(lambda x: special.logsumexp(x), np.full(3, -np.inf))[0])


INF, NAN = np.inf, np.nan
WEIGHTED = {
    "a zero weight hides the maximum": ([1000.0, 0.0], [0.0, 1.0]),
    "negative": ([1.0, 2.0], [-1.0, 2.0]),
    "negative sum": ([1.0, 2.0], [1.0, -2.0]),
    "cancelling": ([1.0, 1.0], [1.0, -1.0]),
    "all zero": ([1.0, 2.0], [0.0, 0.0]),
    "infinite weight": ([1.0, 2.0], [INF, 1.0]),
    "negative infinite weight": ([1.0, 2.0], [-INF, 1.0]),
    "infinite weight of nothing": ([-INF, 2.0], [INF, 1.0]),
    "NaN weight": ([1.0, 2.0], [NAN, 1.0]),
    "hidden infinity": ([INF, 2.0], [0.0, 1.0]),
    "hidden NaN": ([NAN, 2.0], [0.0, 1.0]),
    "infinity": ([INF, 2.0], [2.0, 1.0]),
    "negative infinity": ([INF, 2.0], [-1.0, 1.0]),
    "large": ([1000.0, 1001.0], [2.0, 3.0]),
    "broadcast a": ([[1.0], [2.0]], [[1.0, 2.0, 3.0]]),
    "broadcast b": ([[1.0, 4.0], [2.0, 3.0]], [2.0, 0.5]),
    "more axes in b": ([1.0, 2.0], [[1.0, 2.0], [0.0, 3.0]]),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_weighted_logsumexp(name: str) -> None:
    a, b = map(np.array, WEIGHTED[name])
    for axis in (None, 0, -1):
        for keepdims in (False, True):
            with np.errstate(all="ignore"):
                expected = scipy.special.logsumexp(a, axis=axis, b=b, keepdims=keepdims)
            for f, xs in (
                (lambda a, b, k=keepdims, i=axis: special.logsumexp(a, axis=i, b=b, keepdims=k), (a, b)),
                (lambda x, k=keepdims, i=axis, b=b: special.logsumexp(x, axis=i, b=b, keepdims=k), (a,)),
                (lambda w, k=keepdims, i=axis, a=a: special.logsumexp(a, axis=i, b=w, keepdims=k), (b,)),
            ):
                with np.errstate(all="ignore"):
                    found = evaluate(f, *xs)[0]
                assert found.shape == np.shape(expected)
                np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_logsumexp_with_its_sign() -> None:
    a, b = np.array([[0.3, 1.0, 2.0], [1.0, -1.0, 0.5]]), np.array([[1.0, -2.0, -1.0], [1.0, 1.0, 1.0]])
    for options in ({"axis": 1}, {"axis": 1, "keepdims": True}, {}):
        expected = scipy.special.logsumexp(a, b=b, return_sign=True, **options)
        found = evaluate(lambda a, b, options=options: special.logsumexp(a, b=b, return_sign=True, **options), a, b)
        for y, z in zip(found, expected, strict=True):
            np.testing.assert_allclose(y, z, rtol=1e-14)
    lilith.testing.check_grads(lambda a, b: np.sum(special.logsumexp(a, 1, b, return_sign=True)[0]), (a, b))


def test_weighted_logsumexp_of_other_dtypes() -> None:
    for a, b in ((np.float32([1, 2]), 2), (np.float32([1, 2]), np.array([1.0, 2.0])), (np.array([1, 2]), [1, 3])):
        expected = scipy.special.logsumexp(a, b=b)
        found = evaluate(lambda x, b=b: special.logsumexp(x, b=b), a)[0]
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_slopes_of_weighted_logsumexp() -> None:
    a, b = np.array([0.5, -1.0, 2.0]), np.array([1.5, 0.5, 2.0])
    check_gradient(lambda a, b: special.logsumexp(a, b=b), a, b)
    check_gradient(lambda a, b: special.logsumexp(a, axis=0, b=b), np.array([[1.0], [2.0]]), RNG.random((2, 3)))
    # where b is 0 the slope in a is 0, that in b is not
    first, second = gradient(lambda a, b: special.logsumexp(a, b=b), np.array([1.0, 3.0]), np.array([1.0, 0.0]))
    np.testing.assert_allclose(first, [1, 0])
    np.testing.assert_allclose(second, [1, np.exp(2)])
    with np.errstate(all="ignore"):
        for hidden in (1000.0, INF, NAN):
            first = gradient(lambda x: special.logsumexp(x, b=np.array([0.0, 1.0])), np.array([hidden, 0.0]))[0]
            np.testing.assert_array_equal(first, [0, 1])
    np.testing.assert_array_equal(gradient(lambda x: special.logsumexp(x, b=np.zeros(2)), np.ones(2))[0], [0, 0])


def test_logsumexp_of_nothing() -> None:
    assert evaluate(special.logsumexp, np.zeros(0))[0] == -np.inf
    np.testing.assert_array_equal(evaluate(lambda x: special.logsumexp(x, axis=0), np.zeros((0, 2)))[0], [-INF, -INF])
    assert evaluate(lambda x: special.logsumexp(x, b=x), np.zeros(0))[0] == -np.inf


def test_sinc_near_zero() -> None:
    """Derivatives up to the third, against the series in exact fractions."""
    points = [0.0, 1e-300, 1e-160, 1e-8, 1e-4, 0.01, 0.1, 0.3, 0.318, 0.319, 0.5, -0.2, -1e-8]
    for x in points:
        t = math.pi * x
        for order in range(4):
            expected = math.pi**order * _sinc_derivative(t, order)
            graph, _ = traced(np.sinc, x)
            for _ in range(order):
                graph = slope(graph)
            found = interpret(graph, [np.float64(x)])[0]
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14 * (order > 0 and abs(x) > 0.1))
    for x in (0.3, 0.5, 1.0, 2.5):
        check_gradient(np.sinc, np.array([x, -x]))
    agrees(np.sinc, np.array([np.nan, np.inf, 0.0, 1e300, 3.0, 0.31]))
    np.testing.assert_allclose(gradient(np.sinc, np.array([1e200, 0.0]))[0], [0, 0], atol=1e-190)


def slope(graph: Graph) -> Graph:
    """The derivative of a function of one scalar."""
    backward = reverse(graph, (0,))
    with Builder() as b:
        x = Value(graph.inputs[0].type)
        y = b.inline(backward, [x, primitive("fill")(value=1.0, shape=(), dtype=x.dtype)])[1]
    return Graph("slope", (x,), ("x",), tuple(b.nodes), (y,))


def _sinc_derivative(t: float, order: int) -> float:
    """d^n/dt^n Σ (-1)ᵏ t²ᵏ / (2k + 1)! in exact fractions."""
    total, exact = Fraction(0), Fraction(t)
    for k in range((order + 1) // 2, 30):
        power = 2 * k - order
        total += Fraction((-1) ** k * math.perm(2 * k, order), math.factorial(2 * k + 1)) * exact**power
    return float(total)


def test_reducing_ufuncs_of_nothing_and_of_one() -> None:
    for f in (np.logaddexp, np.logaddexp2, np.hypot, np.logical_xor):
        for shape in ((0,), (0, 2), (2, 0)):
            agrees(f.reduce, np.zeros(shape))
        agrees(lambda x, f=f: f.reduce(x, keepdims=True), np.zeros((0, 2)))
        agrees(f.reduce, np.array([2.0]))
        agrees(f.reduce, np.array([2]))
    agrees(np.bitwise_xor.reduce, np.zeros((0, 3), int))
    with pytest.raises(ShapeError, match=r"fmax\.reduce: .* is empty"):
        traced(np.fmax.reduce, np.zeros(0))


@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax"])
def test_scipy_functions_that_make_plain_arrays_name_ours(name: str) -> None:
    for wrapped in (getattr(scipy.special, name), lambda x: getattr(scipy.special, name)(np.stack([x, x]), axis=1)):
        with pytest.raises(TraceError, match=rf"lilith\.special\.{name}, which takes traced arrays"):
            traced(wrapped, V)


IN_PLACE = "iadd isub imul itruediv ifloordiv imod ipow iand ior ixor ilshift irshift".split()


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_operators_are_numpys(name: str) -> None:
    """The same numbers, the same dtype, and an error where NumPy has one."""
    change = getattr(operator, name)
    for x in (V, np.arange(4), np.array([1, 2], np.int8)):
        plain = x.copy()
        try:
            change(plain, 2)
        except TypeError:
            with pytest.raises(DtypeError):
                traced(lambda x, change=change: change(x, 2), x)
            continue
        found = lilith.jit(lambda x, change=change: change(x, 2))(x)
        assert found.dtype == plain.dtype
        np.testing.assert_allclose(found, plain, rtol=1e-15)


def named(name: str, module: str) -> Callable[..., None]:
    """A function of NumPy's that Lilith has never heard of."""

    def stranger() -> None: ...

    stranger.__name__, stranger.__module__ = name, module
    return stranger


def test_near_names_are_close_and_of_the_same_module() -> None:
    for name, module, expected in (
        ("zzzq", "numpy.linalg", "lilith.numpy.supported()"),
        ("nancumsums", "numpy", "np.cumsum"),
        ("wxyzwxyz", "numpy", "lilith.numpy.supported()"),
    ):
        with pytest.raises(UnsupportedError) as caught:
            call_rule(None, named(name, module), (), {})
        assert expected in str(caught.value)
        assert "sqrt" not in str(caught.value)

    for module in ("numpy", "numpy.linalg"):
        with pytest.raises(UnsupportedError, match=f"work: {module.replace('numpy', 'np')}.trace$"):
            call_rule(None, named("traces", module), (), {})


def test_variance_of_equal_numbers_is_zero() -> None:
    for x in (np.full(4, 0.1), np.full((3, 2), 3.0), np.zeros(3)):
        assert evaluate(np.var, x)[0] == 0 and evaluate(np.std, x)[0] == 0
        np.testing.assert_array_equal(gradient(np.var, x)[0], np.zeros_like(x))
    agrees(lambda x: [np.var(x), np.var(x, axis=0), np.var(x, axis=1, ddof=1)], np.full((4, 2), 0.1))


def test_public_functions_have_docstrings() -> None:
    for name in (name for name in dir(Tracer) if not name.startswith("_")):
        if name not in Tracer.__slots__:
            assert getattr(Tracer, name).__doc__, f"Tracer.{name}"
    for module in (core, floats, functions, indexing, joining, methods, products, reductions, shaping, ufunc, ufuncs):
        for name, item in vars(module).items():
            if inspect.isfunction(item) and not name.startswith("_") and item.__module__ == module.__name__:
                assert item.__doc__, f"{module.__name__}.{name}"


SCALAR = np.array(3.0)
SMALL = np.array([1, 2, 250], np.uint8)
CHOSEN = np.array([True, False, True])
HOLES = np.array([[1.0, np.nan], [np.nan, np.nan], [1.0, 2.0]])
WEIGHTS = np.arange(6.0).reshape(3, 2)
CORNERS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "rollaxis": (lambda x: [np.rollaxis(x, i, j) for i in (0, 1, 2, -1) for j in range(-3, 4)], (T,)),
    "order": (lambda x: [x.ravel("F"), x.flatten("f"), np.reshape(x, -1, order=None), x.flatten(None)], (M,)),
    "var dtype": (lambda z: [np.var(z), np.var(z, dtype=complex), np.std(z, dtype=np.complex64)], (Z,)),
    "var of reals as complex": (lambda x: [np.var(x, dtype=complex), np.std(x, dtype=np.complex64)], (V,)),
    "nanvar of few": (lambda x: [np.nanvar(x, axis=1, ddof=d) for d in (0, 1, 2)], (HOLES,)),
    "nanstd of few": (lambda x: [np.nanstd(x, ddof=d, keepdims=True) for d in (2, 3, 4)], (HOLES,)),
    "nanvar of few ints": (lambda x: [np.nanvar(x, ddof=2), np.nanvar(x, ddof=9)], (np.array([1, 2]),)),
    "complex log": (
        lambda z: [part for f in (np.log2, np.log10) for part in (f(z).real, f(z).imag)],
        (np.array([0j, complex(-0.0, -0.0), 1, 3 - 1j, np.inf]),),
    ),
    "reduction of a scalar": (
        lambda x: [
            *[f.reduce(x, axis=a) for f in (np.add, np.multiply, np.maximum, np.hypot) for a in (0, -1)],
            np.sum(x, axis=0, keepdims=True), np.any(x, axis=0), np.cumsum(x, axis=0), np.argmax(x, axis=-1),
        ],
        (SCALAR,),
    ),
    "average": (lambda x, w: [np.average(x, axis=(1, 0), weights=w), np.average(x, (0, 1), w.T)], (T[:2], WEIGHTS)),
    "clip": (
        lambda x: [
            np.clip(x, -1, 300), np.clip(x, 5, 2**70), np.clip(x, None, 300), np.clip(x, 5, 10.5), np.clip(5, -1, x),
            np.clip(x, np.int64(-1), np.int64(300)), np.clip(x, -1, np.array([1, 2, 3])), np.clip(x, -1, 100),
        ],
        (SMALL,),
    ),
    "where": (
        lambda x: [np.where(CHOSEN, 200, x), np.where(CHOSEN, x, 1), np.where(CHOSEN, np.int64(300), x)], (SMALL,)
    ),
    "tensordot": (
        lambda x, y: [np.linalg.tensordot(x, y), np.linalg.tensordot(x, y, axes=([0], [1]))],
        (M[:, :3], N[:, 1:]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CORNERS)
def test_corner(name: str) -> None:
    f, inputs = CORNERS[name]
    agrees(f, *inputs)


def test_ldexp_by_constants_compiled() -> None:
    for dtype, n, tiny in ((np.float16, 300, 2.0**-20), (np.float32, 200, 2.0**-100), (np.float64, 1500, 2.0**-1000)):
        x = np.array([0.0, 1.0, tiny, -np.inf, np.nan], dtype)
        with np.errstate(over="ignore"):
            expected = np.ldexp(x, n)
        np.testing.assert_array_equal(lilith.jit(lambda x, n=n: np.ldexp(x, n))(x), expected)


FUNCTIONS_OF_LISTS = (
    lambda x: np.array([x[0], [2.0, 3.0][1], x[1]]),
    lambda x: np.array([[x[0], 0.0], [x[1], x[2]]], dtype=np.float32),
    lambda x: np.asarray([x[0], x[2]]) * np.full((2,), x[1]),
    lambda x: np.sum([x[0] * v for v in x]) + np.max([x[0], x[1]]),
    lambda x: np.dot([x[0], x[1]], [1.0, 2.0]),
    lambda x: np.mean(np.array([v**2 for v in x])),
    lambda x: np.concatenate([np.array([x[0]]), np.zeros(2), np.asarray(x)]),
)


@pytest.mark.parametrize("f", FUNCTIONS_OF_LISTS)
def test_functions_that_numpy_hands_to_nobody(f: Callable[[Any], Any]) -> None:
    """np.array, np.asarray, np.full and lists of traced values in other functions, as everybody writes them."""
    x = np.array([1.5, 2.5, -0.5])
    found, expected = lilith.jit(f)(x), f(x)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    if expected.dtype == np.float64:
        lilith.testing.check_grads(lambda x: np.sum(f(x) ** 2), (x,))
