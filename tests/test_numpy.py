"""lilith.numpy against NumPy itself: values, dtypes, shapes, derivatives, hard points, errors."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import scipy.special

import lilith
import lilith.numpy as lnp
from lilith import special
from lilith.ir import TensorType
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
from lilith.source import ArgumentError, DtypeError, LilithError, ShapeError, TraceError, UnsupportedError
from lilith.trace import Trace
from lilith.tracer import UFUNCS, Tracer, unsupported
from lilith.transform.reverse import reverse

BF16 = np.dtype(ml_dtypes.bfloat16)
RNG = np.random.default_rng(0)


def typed(x: Any) -> TensorType:
    """The type of an input: Python numbers are weak."""
    return TensorType(np.shape(x), np.asarray(x).dtype, isinstance(x, float | int) and not isinstance(x, np.generic))


def leaves(y: Any) -> list[Any]:
    return [z for item in y for z in leaves(item)] if isinstance(y, tuple | list) else [y]


def traced(f: Callable[..., Any], *xs: Any) -> tuple[Graph, Any]:
    """The graph of f on the inputs, and what f returned."""
    with Trace("f") as t:
        inputs = [t.input(typed(x)) for x in xs]
        result = f(*inputs)
        names = [f"x{i}" for i in range(len(xs))]
        graph = t.finish([x.value for x in inputs], names, [t.lift(y) for y in leaves(result)])
    graph.verify()
    for node in graph.nodes:
        assert node.source is not None and node.source.file == __file__, f"{node} is booked on {node.source}"
    return graph, result


def evaluate(f: Callable[..., Any], *xs: Any) -> list[np.ndarray]:
    graph, _ = traced(f, *xs)
    hoisted = graph.inputs[len(xs) :]
    assert not hoisted
    return interpret(graph, xs)


def agrees(f: Callable[..., Any], *xs: Any, tolerance: float | None = None) -> None:
    """f on tracers gives what f gives in NumPy: number of results, dtypes, shapes, values."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = leaves(f(*xs))
    found = evaluate(f, *xs)
    assert len(found) == len(expected)
    for y, z in zip(found, expected, strict=True):
        z = np.asarray(z)
        assert y.dtype == z.dtype, f"dtype {y.dtype}, NumPy gives {z.dtype}"
        assert y.shape == z.shape, f"shape {y.shape}, NumPy gives {z.shape}"
        wide = np.complex128 if z.dtype.kind == "c" else np.float64
        if tolerance is None and z.dtype.kind in "biu":
            np.testing.assert_array_equal(y, z)
        else:
            eps = {2: 2e-2, 4: 2e-5, 8: 1e-11, 16: 1e-11, 1: 1e-11}[z.dtype.itemsize]
            rtol = max(eps, tolerance or 0)
            np.testing.assert_allclose(y.astype(wide), z.astype(wide), rtol=rtol, atol=rtol)


def gradient(f: Callable[..., Any], *xs: Any, wanted: tuple[int, ...] | None = None) -> list[np.ndarray]:
    """The derivatives of the sum of f's result."""
    graph, _ = traced(lambda *ts: np.sum(f(*ts)), *xs)
    wanted = tuple(range(len(xs))) if wanted is None else wanted
    backward = reverse(graph, wanted).verify()
    one = graph.outputs[0].dtype.type(1)
    return interpret(backward, [*xs, one])[1:]


def check_gradient(f: Callable[..., Any], *xs: Any, tolerance: float = 1e-6) -> None:
    """Derivatives against central differences along random directions, in float64."""
    found = gradient(f, *xs)
    h = 1e-6
    for i, x in enumerate(xs):
        direction = np.asarray(RNG.standard_normal(np.shape(x)))
        up, down = list(xs), list(xs)
        up[i], down[i] = x + h * direction, x - h * direction
        slope = (np.sum(f(*up)) - np.sum(f(*down))) / (2 * h)
        np.testing.assert_allclose(np.sum(found[i] * direction), slope, rtol=tolerance, atol=tolerance)


# ---- ufuncs -------------------------------------------------------------------------------------------------------

F = np.array([-2.5, -1.0, -0.3, 0.0, 0.4, 1.0, 2.5, 3.0])
G = np.array([1.5, -2.0, 0.5, -0.75, 2.0, 1.0, -0.5, 3.0])
P = np.array([0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0])
U = np.array([-0.9, -0.5, -0.1, 0.0, 0.2, 0.5, 0.7, 0.95])
K = np.array([-7, -3, -1, 0, 1, 2, 5, 9])
J = np.array([2, -2, 3, 5, 0, 7, -1, 4])
B = np.array([True, False, True, True, False, False, True, False])
C = np.array([-2, -1, 0, 1, 2, True, False, True], bool)
Z = np.array([1 + 2j, -0.5j, 2.0, 0.3 - 1j])
W = np.array([0.5 - 1j, 1.5, -1 + 1j, 2j])
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 5e-324])

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


INTEGER_UNARY = (
    "absolute bitwise_count ceil floor invert isfinite isinf isnan negative positive rint sign square trunc sqrt "
    "sin exp logical_not conjugate"
).split()
INTEGER_BINARY = (
    "add bitwise_and bitwise_or bitwise_xor divide divmod equal floor_divide fmod fmax gcd greater lcm left_shift:S "
    "less logical_and logical_or logical_xor maximum minimum multiply not_equal remainder right_shift:S subtract "
    "arctan2 hypot"
).split()


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


BOOL_UNARY = "absolute invert logical_not isfinite sqrt sin conjugate bitwise_count".split()
BOOL_BINARY = (
    "add multiply bitwise_and bitwise_or bitwise_xor logical_and logical_or logical_xor maximum minimum equal less "
    "divide floor_divide remainder"
).split()


@pytest.mark.parametrize("name", BOOL_UNARY)
def test_bool_unary(name: str) -> None:
    agrees(getattr(np, name), B)


@pytest.mark.parametrize("name", BOOL_BINARY)
def test_bool_binary(name: str) -> None:
    agrees(getattr(np, name), B, C)
    agrees(lambda x: getattr(np, name)(x, 2), B)
    agrees(lambda x: getattr(np, name)(x, True), B)


COMPLEX_UNARY = (
    "absolute conjugate exp negative positive sin cos tan sqrt log square sign isfinite isnan isinf tanh reciprocal"
).split()


@pytest.mark.parametrize("name", COMPLEX_UNARY)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_unary(name: str, dtype: str) -> None:
    agrees(getattr(np, name), Z.astype(dtype))


@pytest.mark.parametrize(
    "name", "add subtract multiply divide power equal not_equal less greater_equal maximum minimum".split()
)
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


SMOOTH_UNARY = {
    "arccosh": P + 1.5, "arcsin": U, "arccos": U, "arcsinh": F, "arctan": F, "arctanh": U * 0.9, "cbrt": P, "cos": F,
    "cosh": F, "deg2rad": F, "degrees": F, "exp": F, "exp2": F, "expm1": F, "log": P, "log10": P, "log1p": P, "log2": P,
    "negative": F, "reciprocal": P, "sin": F, "sinh": F, "sqrt": P, "square": F, "tan": U, "tanh": F, "sinc": P,
    "absolute": P - 0.7, "fabs": G,
}  # fmt: skip
SMOOTH_BINARY = {
    "add": (F, G), "subtract": (F, G), "multiply": (F, G), "divide": (F, G), "arctan2": (F + 0.05, G), "hypot": (F, G),
    "power": (P, G), "float_power": (P, G), "logaddexp": (F, G), "logaddexp2": (F, G), "maximum": (F, G + 0.1),
    "minimum": (F, G + 0.1), "fmax": (F, G + 0.1), "fmin": (F, G + 0.1), "copysign": (F + 0.05, G),
    "remainder": (P + 0.03, G), "fmod": (P + 0.03, G),
}  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH_UNARY)
def test_gradient_of_unary(name: str) -> None:
    check_gradient(getattr(np, name), SMOOTH_UNARY[name])


@pytest.mark.parametrize("name", SMOOTH_BINARY)
def test_gradient_of_binary(name: str) -> None:
    check_gradient(getattr(np, name), *SMOOTH_BINARY[name])


# ---- functions ----------------------------------------------------------------------------------------------------

M = RNG.standard_normal((3, 4))
N = RNG.standard_normal((3, 4))
T = RNG.standard_normal((2, 3, 4))
V = RNG.standard_normal(4)
S = RNG.standard_normal((3, 3))
MASK = M > 0

FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple]] = {
    "sum": (lambda x: np.sum(x), (M,)),
    "sum axis": (lambda x: np.sum(x, axis=-1), (T,)),
    "sum axes": (lambda x: np.sum(x, axis=(0, -1), keepdims=True), (T,)),
    "sum initial where": (lambda x: np.sum(x, axis=0, initial=2.0, where=MASK), (M,)),
    "sum method": (lambda x: x.sum(1), (M,)),
    "prod": (lambda x: np.prod(x, axis=1), (M,)),
    "prod where": (lambda x: np.prod(x, where=MASK), (M,)),
    "mean": (lambda x: np.mean(x, axis=0), (M,)),
    "mean all": (lambda x: x.mean(), (M,)),
    "mean where": (lambda x: np.mean(x, where=MASK), (M,)),
    "var": (lambda x: np.var(x, axis=1, ddof=1), (M,)),
    "var keepdims": (lambda x: np.var(x, axis=1, keepdims=True), (M,)),
    "std": (lambda x: np.std(x, axis=(0, 2)), (T,)),
    "average": (lambda x, w: np.average(x, axis=1, weights=w), (M, V**2)),
    "average full": (lambda x, w: np.average(x, weights=w**2), (M, N)),
    "average returned": (lambda x: np.average(x, axis=0, returned=True), (M,)),
    "max": (lambda x: np.max(x, axis=1), (M,)),
    "max initial": (lambda x: np.max(x, axis=1, initial=0.1), (M,)),
    "max where": (lambda x: np.max(x, axis=1, initial=-9.0, where=MASK), (M,)),
    "min": (lambda x: x.min(), (M,)),
    "ptp": (lambda x: np.ptp(x, axis=0), (M,)),
    "cumsum": (lambda x: np.cumsum(x), (M,)),
    "cumsum axis": (lambda x: np.cumsum(x, axis=1), (M,)),
    "cumprod": (lambda x: np.cumprod(x, axis=1), (M,)),
    "cumulative_sum": (lambda x: np.cumulative_sum(x, axis=0, include_initial=True), (M,)),
    "cumulative_prod": (lambda x: np.cumulative_prod(x), (V,)),
    "maximum.accumulate": (lambda x: np.maximum.accumulate(x, axis=1), (M,)),
    "logaddexp.reduce": (lambda x: np.logaddexp.reduce(x, axis=1), (M,)),
    "logaddexp.accumulate": (lambda x: np.logaddexp.accumulate(x, axis=0), (M,)),
    "hypot.reduce": (lambda x: np.hypot.reduce(x), (M,)),
    "add.reduce": (lambda x: np.add.reduce(x), (M,)),
    "multiply.reduce": (lambda x: np.multiply.reduce(x, axis=(0, 1)), (M,)),
    "subtract.outer": (lambda x, y: np.subtract.outer(x, y), (V, M)),
    "nansum": (lambda x: np.nansum(np.where(MASK, x, np.nan), axis=1), (M,)),
    "nanmean": (lambda x: np.nanmean(np.where(MASK, x, np.nan)), (M,)),
    "nanvar": (lambda x: np.nanvar(np.where(MASK, x, np.nan)), (M,)),
    "nanstd": (lambda x: np.nanstd(np.where(MASK, x, np.nan)), (M,)),
    "nanprod": (lambda x: np.nanprod(np.where(MASK, x, np.nan), axis=0), (M,)),
    "nanmax": (lambda x: np.nanmax(np.where(MASK, x, np.nan), axis=0), (M,)),
    "nanmin": (lambda x: np.nanmin(np.where(MASK, x, np.nan)), (M,)),
    "clip": (lambda x: np.clip(x, -0.5, 0.6), (M,)),
    "clip method": (lambda x: x.clip(max=0.2), (M,)),
    "where": (lambda x, y: np.where(x > y, x, y * 2), (M, N)),
    "where scalar": (lambda x: np.where(x > 0, x, 0), (M,)),
    "where broadcast": (lambda x, v: np.where(v > 0, x, v), (M, V)),
    "select": (lambda x: np.select([x > 1, x > 0], [x * x, -x], 7.0), (M,)),
    "concatenate": (lambda x, y: np.concatenate([x, y]), (M, N)),
    "concatenate axis": (lambda x, y: np.concatenate((x, y), axis=-1), (M, N)),
    "concatenate flat": (lambda x, v: np.concatenate([x, v], axis=None), (M, V)),
    "stack": (lambda x, y: np.stack([x, y], axis=-1), (M, N)),
    "stack numbers": (lambda x: np.stack([x[0], 1.0, x[1]]), (V,)),
    "hstack": (lambda x, y: np.hstack([x, y]), (M, N)),
    "vstack": (lambda x, v: np.vstack([x, v]), (M, V)),
    "dstack": (lambda x, y: np.dstack([x, y]), (M, N)),
    "column_stack": (lambda x, v: np.column_stack([x, v]), (M.T, V)),
    "append": (lambda x, v: np.append(x, v), (M, V)),
    "block": (lambda x, y: np.block([[x, y], [y, x]]), (M, N)),
    "reshape": (lambda x: np.reshape(x, (2, -1)), (M,)),
    "reshape F": (lambda x: np.reshape(x, (4, 3), order="F"), (M,)),
    "reshape method": (lambda x: x.reshape(6, 2), (M,)),
    "ravel": (lambda x: np.ravel(x), (M,)),
    "ravel F": (lambda x: x.ravel(order="F"), (M,)),
    "flatten": (lambda x: x.flatten(), (M,)),
    "transpose": (lambda x: np.transpose(x, (1, 2, 0)), (T,)),
    "transpose method": (lambda x: x.transpose(2, 0, 1), (T,)),
    "T": (lambda x: x.T, (T,)),
    "mT": (lambda x: x.mT, (T,)),
    "permute_dims": (lambda x: np.permute_dims(x, (2, 1, 0)), (T,)),
    "swapaxes": (lambda x: np.swapaxes(x, 0, -1), (T,)),
    "moveaxis": (lambda x: np.moveaxis(x, 0, -1), (T,)),
    "moveaxis many": (lambda x: np.moveaxis(x, (0, 1), (-1, 0)), (T,)),
    "rollaxis": (lambda x: np.rollaxis(x, 2), (T,)),
    "squeeze": (lambda x: np.squeeze(x[None, :, None]), (M,)),
    "squeeze axis": (lambda x: np.squeeze(x[None, :, None], axis=0), (M,)),
    "expand_dims": (lambda x: np.expand_dims(x, (0, -1)), (M,)),
    "broadcast_to": (lambda v: np.broadcast_to(v, (2, 3, 4)), (V,)),
    "broadcast_arrays": (lambda x, v: np.broadcast_arrays(x, v), (M, V)),
    "atleast_2d": (lambda v: np.atleast_2d(v), (V,)),
    "atleast_3d": (lambda x, v: np.atleast_3d(x, v), (M, V)),
    "flip": (lambda x: np.flip(x), (M,)),
    "flip axis": (lambda x: np.flip(x, 1), (M,)),
    "fliplr": (lambda x: np.fliplr(x), (M,)),
    "flipud": (lambda x: np.flipud(x), (M,)),
    "rot90": (lambda x: [np.rot90(x, k) for k in range(4)], (M,)),
    "roll": (lambda x: np.roll(x, 5), (M,)),
    "roll axes": (lambda x: np.roll(x, (1, -2), axis=(0, 1)), (M,)),
    "tile": (lambda x: np.tile(x, (2, 1, 3)), (M,)),
    "tile short": (lambda x: np.tile(x, 2), (T,)),
    "repeat": (lambda x: np.repeat(x, 2, axis=1), (M,)),
    "repeat flat": (lambda x: x.repeat(3), (M,)),
    "repeat counts": (lambda v: np.repeat(v, [1, 0, 2, 1]), (V,)),
    "split": (lambda x: np.split(x, 2, axis=1), (M,)),
    "split at": (lambda x: np.split(x, [1, 3], axis=1), (M,)),
    "array_split": (lambda x: np.array_split(x, 3, axis=1), (M,)),
    "hsplit": (lambda x: np.hsplit(x, 2), (M,)),
    "vsplit": (lambda x: np.vsplit(x, 3), (M,)),
    "unstack": (lambda x: np.unstack(x, axis=1), (M,)),
    "pad": (lambda x: np.pad(x, ((1, 2), (0, 3))), (M,)),
    "pad value": (lambda v: np.pad(v, 2, constant_values=1.5), (V,)),
    "pad values": (lambda v: np.pad(v, (1, 2), constant_values=(1.5, 2.5)), (V,)),
    "pad edge": (lambda x: np.pad(x, 2, mode="edge"), (M,)),
    "pad reflect": (lambda x: np.pad(x, 2, mode="reflect"), (M,)),
    "pad symmetric": (lambda x: np.pad(x, (1, 2), mode="symmetric"), (M,)),
    "pad wrap": (lambda x: np.pad(x, 2, "wrap"), (M,)),
    "tril": (lambda x: np.tril(x, -1), (T,)),
    "triu": (lambda x: np.triu(x, 1), (M,)),
    "diag": (lambda v: [np.diag(v, k) for k in (0, 1, -2)], (V,)),
    "diag of matrix": (lambda x: [np.diag(x, k) for k in (0, 2, -1)], (M,)),
    "diagonal": (lambda x: np.diagonal(x, 1, 0, 2), (T,)),
    "trace": (lambda x: np.trace(x), (S,)),
    "trace method": (lambda x: x.trace(offset=1), (M,)),
    "dot": (lambda x, y: np.dot(x, y), (M, N.T)),
    "dot nd": (lambda x, y: np.dot(x, y), (T, T.transpose(0, 2, 1))),
    "dot method": (lambda x, v: x.dot(v), (M, V)),
    "matmul": (lambda x, y: x @ y, (M, N.T)),
    "matmul vector": (lambda x, v: x @ v, (M, V)),
    "vector matmul": (lambda v, x: v @ x, (V, M.T)),
    "vector vector": (lambda v, w: v @ w, (V, V + 1)),
    "matmul batch": (lambda x, y: x @ y, (T, T.transpose(0, 2, 1))),
    "matmul broadcast": (lambda x, y: x @ y, (T[:, None], T.transpose(0, 2, 1))),
    "matrix times stack": (lambda x, y: x @ y, (M.T, T)),
    "stack times matrix": (lambda x, y: x @ y, (T, M.T)),
    "vector times stack": (lambda x, y: x @ y, (V[:3], T)),
    "vecdot": (lambda x, y: np.vecdot(x, y), (T, M)),
    "inner": (lambda x, y: np.inner(x, y), (M, T)),
    "outer": (lambda x, y: np.outer(x, y), (V, M)),
    "vdot": (lambda x, y: np.vdot(x, y), (M, N)),
    "tensordot": (lambda x, y: np.tensordot(x, y, axes=([1, 2], [0, 1])), (T, M)),
    "tensordot n": (lambda x, y: np.tensordot(x, y, 1), (T, M.T)),
    "kron": (lambda x, y: np.kron(x, y), (M, S)),
    "kron vector": (lambda v, x: np.kron(v, x), (V, M)),
    "multi_dot": (lambda x, y, v: np.linalg.multi_dot([x, y.T, x, v]), (M, N, V)),
    "multi_dot vectors": (lambda v, x, w: np.linalg.multi_dot([v, x, w]), (V[:3], M, V)),
    "matrix_power": (lambda x: [np.linalg.matrix_power(x, n) for n in (0, 1, 2, 5)], (S,)),
    "norm": (lambda x: np.linalg.norm(x), (M,)),
    "norm axis": (lambda x: np.linalg.norm(x, axis=1, keepdims=True), (M,)),
    "norm 1": (lambda v: np.linalg.norm(v, 1), (V,)),
    "norm inf": (lambda x: np.linalg.norm(x, np.inf, axis=0), (M,)),
    "norm -inf": (lambda x: np.linalg.norm(x, -np.inf, axis=0), (M,)),
    "norm 3": (lambda x: np.linalg.norm(x, 3, axis=0), (M,)),
    "norm fro": (lambda x: np.linalg.norm(x, "fro"), (M,)),
    "norm matrix 1": (lambda x: np.linalg.norm(x, 1), (M,)),
    "norm matrix inf": (lambda x: np.linalg.norm(x, np.inf, axis=(2, 0)), (T,)),
    "vector_norm": (lambda x: np.linalg.vector_norm(x, axis=(0, 1)), (T,)),
    "matrix_norm": (lambda x: np.linalg.matrix_norm(x), (T,)),
    "diff": (lambda x: np.diff(x, 2), (M,)),
    "diff prepend": (lambda x: np.diff(x, axis=0, prepend=0.0, append=x[:1]), (M,)),
    "trapezoid": (lambda y, x: np.trapezoid(y, x), (M, V)),
    "trapezoid dx": (lambda y: np.trapezoid(y, dx=0.5, axis=0), (M,)),
    "polyval": (lambda p, x: np.polyval(p, x), (V, M)),
    "cross": (lambda x, y: np.cross(x, y), (S, S + 1)),
    "cross axis": (lambda x, y: np.cross(x, y, axis=0), (M, N)),
    "meshgrid": (lambda x, y: np.meshgrid(x, y), (V, V[:3])),
    "meshgrid ij": (lambda x, y: np.meshgrid(x, y, indexing="ij", sparse=True), (V, V[:3])),
    "round": (lambda x: np.round(x, 2) + 0 * x, (M + 0.001,)),
    "nan_to_num": (lambda x: np.nan_to_num(np.where(MASK, x, np.nan)), (M,)),
    "linspace": (lambda x: np.linspace(x[0], x[1], 5), (V,)),
    "linspace open": (lambda x: np.linspace(0, x, 4, endpoint=False, axis=1), (V,)),
    "angle": (lambda x: np.angle(x * 1.0), (M,)),
    "real": (lambda x: np.real(x), (M,)),
    "astype": (lambda x: x.astype(np.float64) * 2, (M,)),
    "copy": (lambda x: np.copy(x) + x.copy(), (M,)),
    "like": (lambda x: np.ones_like(x) * 2 + np.zeros_like(x) + np.full_like(x, 3) + x, (M,)),
    "like shape": (lambda x: np.ones_like(x, shape=(2, 2)) + x[:2, :2], (M,)),
    "take": (lambda x: [np.take(x, [0, 2], axis=1), x.take(5), np.take(x, 1, axis=0)], (M,)),
    "einsum matmul": (lambda x, y: np.einsum("ij,kj->ik", x, y), (M, N)),
    "einsum implicit": (lambda x, y: np.einsum("ij,kj", x, y), (M, N)),
    "einsum trace": (lambda x: np.einsum("ii", x), (S,)),
    "einsum diagonal": (lambda x: np.einsum("ii->i", x), (S,)),
    "einsum sum": (lambda x: np.einsum("ijk->j", x), (T,)),
    "einsum transpose": (lambda x: np.einsum("ijk->kij", x), (T,)),
    "einsum batch": (lambda x, y: np.einsum("bij,bkj->bik", x, y), (T, T + 1)),
    "einsum ellipsis": (lambda x, y: np.einsum("...ij,...j->...i", x, y), (T, T[:, 0])),
    "einsum outer": (lambda v, w: np.einsum("i,j->ji", v, w), (V, V[:3])),
    "einsum elementwise": (lambda x, y: np.einsum("ij,ij->ij", x, y), (M, N)),
    "einsum chain": (lambda x, y, v: np.einsum("ij,kj,k->i", x, y, v), (M, N, V[:3])),
    "einsum four": (lambda x, y, s, v: np.einsum("ij,kj,kl,j->il", x, y, s, v), (M, N, S, V)),
    "einsum diagonal times": (lambda s, v: np.einsum("ii,i->i", s, v), (S, V[:3])),
    "einsum lists": (lambda x, y: np.einsum(x, [0, 1], y, [2, 1], [0, 2]), (M, N)),
    "einsum ones": (lambda x, y: np.einsum("ij,ij->i", x, y), (M, N[:, :1])),
}  # fmt: skip

GRADIENT_FREE = {"round"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str) -> None:
    f, xs = FUNCTIONS[name]
    agrees(f, *xs)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_in_float32(name: str) -> None:
    f, xs = FUNCTIONS[name]
    agrees(f, *[x.astype(np.float32) for x in xs], tolerance=1e-4)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in GRADIENT_FREE])
def test_gradient_of_function(name: str) -> None:
    f, xs = FUNCTIONS[name]

    def total(*ts: Any) -> Any:
        """A sum with different weights, so that misplaced cotangents are seen."""
        parts = [np.ravel(y) for y in leaves(f(*ts))]
        return sum(np.sum(np.sin(p) * np.linspace(1, 2, p.size)) for p in parts)

    check_gradient(total, *xs, tolerance=1e-5)


STATIC = {
    "all": lambda x: np.all(x > 0, axis=1),
    "any": lambda x: (x > 0).any(),
    "argmax": lambda x: np.argmax(x),
    "argmax axis": lambda x: np.argmax(x, axis=1, keepdims=True),
    "argmin": lambda x: x.argmin(0),
    "count_nonzero": lambda x: np.count_nonzero(x > 0, axis=0),
    "isclose": lambda x: np.isclose(x, x + 1e-9),
    "allclose": lambda x: np.allclose(x, x + 1),
    "array_equal": lambda x: np.array_equal(x, x),
    "array_equal shapes": lambda x: np.array_equal(x, x[0]),
    "logical_and.reduce": lambda x: np.logical_and.reduce(x > 0),
    "logical_xor.reduce": lambda x: np.logical_xor.reduce(x > 0, axis=1),
    "logical_or.accumulate": lambda x: np.logical_or.accumulate(x > 0, axis=1),
    "bitwise_or.reduce": lambda x: np.bitwise_or.reduce((x * 9).astype(int)),
    "bitwise_and.reduce": lambda x: np.bitwise_and.reduce((x * 9).astype(int), axis=None),
    "bitwise_xor.accumulate": lambda x: np.bitwise_xor.accumulate((x * 9).astype(int)),
    "sum of bool": lambda x: np.sum(x > 0),
    "mean of bool": lambda x: np.mean(x > 0, axis=0),
    "sum of int8": lambda x: (x * 9).astype(np.int8).sum(),
    "sum of uint8": lambda x: (np.abs(x) * 9).astype(np.uint8).sum(0),
    "sum dtype": lambda x: np.sum(x, dtype=np.float32),
    "prod of int": lambda x: np.prod((x * 9).astype(np.int32), axis=0),
    "var of int": lambda x: np.var((x * 9).astype(np.int32)),
    "cumsum of bool": lambda x: np.cumsum(x > 0),
    "max of int": lambda x: np.max((x * 9).astype(np.int32)),
    "maximum.reduce": lambda x: np.maximum.reduce(x, axis=None, initial=0),
    "dot of int": lambda x: (x * 9).astype(int) @ (x * 9).astype(int).T,
    "dot of bool": lambda x: (x > 0) @ (x > 0).T,
    "round to tens": lambda x: np.round((x * 99).astype(int), -1),
    "norm 0": lambda x: np.linalg.norm(x, 0, axis=1),
    "dtype=": lambda x: np.add(x, 1, dtype=np.float32),
    "comparisons": lambda x: [x < 0, x <= 0, x > 0, x >= 0, x == 0, x != 0],
    "shape, ndim, size": lambda x: [np.shape(x), np.ndim(x), np.size(x), np.size(x, 1), len(x)],
    "result_type": lambda x: x.astype(np.result_type(x, np.float32)),
    "diff of bool": lambda x: np.diff(x > 0),
    "int astype": lambda x: x.astype("int16"),
    "linspace dtype": lambda x: np.linspace(x[0, 0], x[1, 1] * 20, 5, dtype=int),
    "abs round": lambda x: [abs(x), np.round(x, 1), +x, -x, ~(x > 0)],
    "iteration": lambda x: [row.sum() for row in x],
}


@pytest.mark.parametrize("name", STATIC)
def test_other_function(name: str) -> None:
    agrees(STATIC[name], M)


@pytest.mark.parametrize("dtype", [np.float16, BF16], ids=str)
def test_small_floats_are_summed_in_float32(dtype: Any) -> None:
    x = np.full(4096, 1.0, dtype)
    assert evaluate(lambda x: np.sum(x), x)[0] == 4096 and evaluate(lambda x: x.mean(), x)[0].dtype == dtype
    assert evaluate(lambda x: np.cumsum(x), x)[0][-1] == 4096


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
    with pytest.raises(UnsupportedError, match="exponent"):
        evaluate(lambda x, y: x**y, K, J)


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


def test_indexing_with_a_tracer() -> None:
    with pytest.raises(UnsupportedError, match="known while tracing"):
        traced(lambda x: x[x > 0], V)
    with pytest.raises(UnsupportedError, match="scattered"):
        traced(lambda x: x[RNG.permutation(100)], np.arange(100.0))


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


@pytest.mark.parametrize("symbol", ["+", "-", "*", "/", "//", "%", "**", "@", "&", "|", "^", "<<", ">>"])
def test_in_place_operators_name_their_symbol(symbol: str) -> None:
    with pytest.raises(TraceError) as caught:
        traced(lambda x: exec(f"x {symbol}= 2", {"x": x}), V)
    assert f"x = x {symbol} v instead of x {symbol}= v" in str(caught.value)


def test_near_names_are_close_and_of_the_same_module() -> None:
    for f, expected in (
        (np.linalg.qr, "lilith.numpy.supported()"),
        (np.linalg.matrix_rank, "lilith.numpy.supported()"),
        (np.nancumsum, "np.cumsum"),
        (np.percentile, "lilith.numpy.supported()"),
    ):
        with pytest.raises(UnsupportedError) as caught:
            traced(lambda x, f=f: f(x, 1) if f is np.percentile else f(x), M)
        assert expected in str(caught.value)
        assert "sqrt" not in str(caught.value)

    def traces() -> None: ...

    for module in ("numpy", "numpy.linalg"):
        traces.__module__ = module
        with pytest.raises(UnsupportedError, match=f"work: {module.replace('numpy', 'np')}.trace$"):
            unsupported(traces)


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
        lambda x: [np.where(CHOSEN, 300, x), np.where(CHOSEN, x, -1), np.where(CHOSEN, np.int64(300), x)], (SMALL,)
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


def test_full_names_what_takes_tracers() -> None:
    for dtype in (None, float):
        with pytest.raises(LilithError, match=r"np\.full_like.*np\.broadcast_to.*lilith\.numpy\.full"):
            traced(lambda x, dtype=dtype: np.full((2,), x[0], dtype), V)


# ---- errors -------------------------------------------------------------------------------------------------------

ERRORS: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "broadcast": (lambda x: x + np.ones(3), ShapeError, r"add: f64\[4\] and f64\[3\] do not broadcast"),
    "matmul": (lambda x: x @ np.ones(3), ShapeError, "matmul: .* do not fit"),
    "reshape": (lambda x: x.reshape(3, -1), ShapeError, "reshape"),
    "concatenate": (lambda x: np.concatenate([x, np.ones((2, 2))]), ShapeError, "concatenate"),
    "stack": (lambda x: np.stack([x, x[:2]]), ShapeError, "stack"),
    "axis": (lambda x: x.sum(axis=3), ShapeError, "axis 3 is out of bounds"),
    "axis twice": (lambda x: x.sum(axis=(0, 0)), ShapeError, "twice"),
    "out": (lambda x: np.add(x, x, out=np.ones(4)), TraceError, "cannot be written"),
    "sum out": (lambda x: np.sum(x, out=np.ones(())), TraceError, "cannot be written"),
    "where option": (lambda x: np.add(x, x, where=np.ones(4, bool)), UnsupportedError, "where="),
    "casting": (lambda x: np.add(x, x, casting="unsafe"), UnsupportedError, "casting="),
    "argument": (lambda x: np.sum(x, axes=1), TypeError, "axes"),
    "method argument": (lambda x: x.sum(axes=1), ArgumentError, "np.sum: .*'axes'"),
    "missing argument": (lambda x: x.swapaxes(0), ArgumentError, "axis2"),
    "sum of a list": (lambda x: np.sum([x[0], x[1]]), TraceError, "np.stack"),
    "np.array": (lambda x: np.array([x[0], x[1]]), TraceError, "np.stack"),
    "list operand": (lambda x: x * [x[0], 1, 2, 3], TraceError, "np.stack|stack"),
    "object array": (lambda x: x + np.array([None] * 4), DtypeError, "object"),
    "string": (lambda x: np.add(x, "a"), TraceError, "str"),
    "unknown": (lambda x: np.fft.fft(x), UnsupportedError, "fft"),
    "unknown function": (lambda x: np.percentile(x, 50), UnsupportedError, "percentile"),
    "near name": (lambda x: np.nancumsum(x), UnsupportedError, "cumsum"),
    "where alone": (lambda x: np.where(x > 0), UnsupportedError, "np.where"),
    "kind": (lambda x: x & 1, DtypeError, "bitwise_and"),
    "bool subtract": (lambda x: (x > 0) - (x > 1), DtypeError, "subtract"),
    "shape": (lambda x: x.reshape(2.5), ArgumentError, "int"),
    "traced shape": (lambda x: np.reshape(x, (x[0], 2)), TypeError, "static"),
    "dtype": (lambda x: x.astype("U3"), DtypeError, "cannot be traced"),
    "longdouble": (lambda x: x + np.longdouble(1), DtypeError, "longdouble"),
    "branch": (lambda x: x if x.sum() > 0 else -x, TraceError, "np.where"),
    "matrix norm": (lambda x: np.linalg.norm(x[None], 2), UnsupportedError, "ord"),
    "einsum size": (lambda x: np.einsum("i,i", x, np.ones(3)), ShapeError, "einsum"),
    "einsum form": (lambda x: np.einsum("i->ij", x), LilithError, "einsum"),
    "order K": (lambda x: np.ravel(x, order="K"), UnsupportedError, "order='K'.*\n.*\n.*order='C'"),
    "order A": (lambda x: x.reshape(2, 2, order="A"), UnsupportedError, "order='A'"),
    "flatten K": (lambda x: x.flatten("K"), UnsupportedError, "order='K'"),
    "order Z": (lambda x: x.ravel("Z"), ArgumentError, "order must be"),
    "rollaxis": (lambda x: np.rollaxis(x, 0, 2), ShapeError, "start 2"),
    "var dtype": (lambda x: np.var(x + 1j, dtype=float), DtypeError, "imaginary"),
    "scalar axis": (lambda x: np.add.reduce(x[0], axis=1), ShapeError, "axis 1"),
    "clip": (lambda x: np.clip(x.astype(np.uint8), -5, -1), OverflowError, "-1 does not fit"),
    "where": (lambda x: np.where(x > 0, 2**70, x.astype(np.uint8)), OverflowError, "does not fit"),
    "== None": (lambda x: x == None, DtypeError, "with None\n.*\n.*x is None"),  # noqa: E711
    "!= None": (lambda x: x != None, DtypeError, "x is not None"),  # noqa: E711
    "== str": (lambda x: x == "a", DtypeError, "with 'a'"),
    "!= bytes": (lambda x: b"a" != x, DtypeError, "with b'a'"),
    "ptp": (lambda x: x.ptp(), AttributeError, r"call np\.ptp\(x\)"),
    "reduce": (lambda x: np.subtract.reduce(x), UnsupportedError, "subtract.reduce"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error(name: str) -> None:
    f, kind, text = ERRORS[name]
    with pytest.raises(kind, match=text):
        traced(f, V)


def test_errors_name_the_line() -> None:
    with pytest.raises(ShapeError) as caught:
        traced(lambda x: x + np.ones(3), V)
    assert "test_numpy.py" in str(caught.value) and "hint:" in str(caught.value)
