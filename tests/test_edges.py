"""Values and first and second derivatives at zeros and at edges of domains: what IEEE arithmetic or the limit says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.special

import lilith
from lilith import special

INF, NAN = np.inf, np.nan


class Edge(NamedTuple):
    """f at x, and its first and second derivative there; `None` where the second is not asked for."""

    f: Callable[[Any], Any]
    x: float
    value: float
    first: float
    second: float | None


def dead(branch: Callable[[Any], Any], alive: Callable[[Any], Any] = lambda x: x > 0) -> Callable[[Any], Any]:
    """A branch that is not selected at the point of interest."""
    return lambda x: np.where(alive(x), branch(x), 3.0 * x)


EDGES = {
    "sqrt at 0": Edge(np.sqrt, 0.0, 0, INF, -INF),
    "sqrt of x squared at 0": Edge(lambda x: np.sqrt(x * x), 0.0, 0, NAN, None),
    "log at 0": Edge(np.log, 0.0, -INF, INF, -INF),
    "log1p at -1": Edge(np.log1p, -1.0, -INF, INF, -INF),
    "x log x at 0": Edge(lambda x: x * np.log(x), 0.0, NAN, NAN, None),
    "x**2 at 0": Edge(lambda x: x**2, 0.0, 0, 0, 2),
    "x**1 at 0": Edge(lambda x: x**1, 0.0, 0, 1, 0),
    "x**0 at 0": Edge(lambda x: x**0, 0.0, 1, 0, 0),
    "x**3 at 0": Edge(lambda x: x**3, 0.0, 0, 0, 0),
    "x**-1 at 0": Edge(lambda x: x**-1, 0.0, INF, -INF, INF),
    "x**0.5 at 0": Edge(lambda x: x**0.5, 0.0, 0, INF, -INF),
    "x**2.5 at 0": Edge(lambda x: x**2.5, 0.0, 0, 0, 0),
    "x**2.0 at 0": Edge(lambda x: x**2.0, 0.0, 0, 0, 2),
    "x**1.5 at 0": Edge(lambda x: x**1.5, 0.0, 0, 0, INF),
    "0**n at n = 2": Edge(lambda n: np.power(0.0, n), 2.0, 0, 0, 0),
    "0**n at n = 0": Edge(lambda n: np.power(0.0, n), 0.0, 1, 0, 0),
    "x**x at 1": Edge(lambda x: x**x, 1.0, 1, 1, 2),
    "abs at 0": Edge(np.abs, 0.0, 0, 0, 0),
    "hypot(x, 0) at 0": Edge(lambda x: np.hypot(x, 0.0), 0.0, 0, 0, 0),
    "hypot(x, 3) at 0": Edge(lambda x: np.hypot(x, 3.0), 0.0, 3, 0, 1 / 3),
    "hypot far out": Edge(lambda x: np.hypot(x, 1e200), 1e200, np.hypot(1e200, 1e200), np.sqrt(0.5), None),
    "norm of zeros": Edge(lambda x: np.linalg.norm(np.stack([x, 2 * x])), 0.0, 0, 0, 0),
    "norm of (x, 1) at 0": Edge(lambda x: np.linalg.norm(np.stack([x, 0 * x + 1])), 0.0, 1, 0, 1),
    "xlogy(0, y)": Edge(lambda y: scipy.special.xlogy(0.0, y), 0.0, 0, 0, 0),
    "xlogy(x, 2) at 0": Edge(lambda x: scipy.special.xlogy(x, 2.0), 0.0, 0, np.log(2), 0),
    "xlogy(2, y) at 0": Edge(lambda y: scipy.special.xlogy(2.0, y), 0.0, -INF, INF, -INF),
    "arcsin at 1": Edge(np.arcsin, 1.0, np.pi / 2, INF, INF),
    "arcsin at 0": Edge(np.arcsin, 0.0, 0, 1, 0),
    "arccos at 1": Edge(np.arccos, 1.0, 0, -INF, -INF),
    "arctanh at 1": Edge(np.arctanh, 1.0, INF, INF, None),
    "arccosh at 1": Edge(np.arccosh, 1.0, 0, INF, -INF),
    "arctan2(x, 1) at 0": Edge(lambda x: np.arctan2(x, 1.0), 0.0, 0, 1, 0),
    "arctan2(x, -1) at 0": Edge(lambda x: np.arctan2(x, -1.0), 0.0, np.pi, -1, 0),
    "arctan2(1, x) at 0": Edge(lambda x: np.arctan2(1.0, x), 0.0, np.pi / 2, -1, 0),
    "arctan2(x, 0) at 1": Edge(lambda x: np.arctan2(x, 0.0), 1.0, np.pi / 2, 0, 0),
    "cbrt at 0": Edge(np.cbrt, 0.0, 0, INF, None),
    "reciprocal at 0": Edge(lambda x: 1 / x, 0.0, INF, -INF, INF),
    "maximum at a tie": Edge(lambda x: np.maximum(x, 0.0), 0.0, 0, 0.5, 0),
    "minimum of itself": Edge(lambda x: np.minimum(x, x), 1.0, 1, 1, 0),
    "clip at the edge": Edge(lambda x: np.clip(x, 0.0, 1.0), 1.0, 1, 0.5, 0),
    "max of equal numbers": Edge(lambda x: np.max(np.stack([x, x, x])), 2.0, 2, 1, 0),
    "erf at 10": Edge(scipy.special.erf, 10.0, 1, 2 / np.sqrt(np.pi) * np.exp(-100.0), None),
    "erf at 0": Edge(scipy.special.erf, 0.0, 0, 2 / np.sqrt(np.pi), 0),
    "erfc at 30": Edge(scipy.special.erfc, 30.0, 0, 0, 0),
    "tanh far out": Edge(np.tanh, 1e4, 1, 0, 0),
    "exp(-x) far out": Edge(lambda x: np.exp(-x), 1e4, 0, 0, 0),
    "log1p(exp(x)) far out": Edge(lambda x: np.logaddexp(x, 0.0), 1e4, 1e4, 1, 0),
    "log1p(exp(x)) far down": Edge(lambda x: np.logaddexp(x, 0.0), -1e4, 0, 0, 0),
    "logaddexp(x, -inf)": Edge(lambda x: np.logaddexp(x, -INF), 2.0, 2, 1, 0),
    "sinc at 0": Edge(np.sinc, 0.0, 1, 0, -(np.pi**2) / 3),
    "var of equal numbers": Edge(lambda x: np.var(np.stack([x, x, x, x])), 2.0, 0, 0, 0),
    "var of (x, 1) at 1": Edge(lambda x: np.var(np.stack([x, 0 * x + 1])), 1.0, 0, 0, 0.5),
    "dead sqrt": Edge(dead(np.sqrt), 0.0, 0, 3, 0),
    "dead log": Edge(dead(np.log), 0.0, 0, 3, 0),
    "dead x log x": Edge(dead(lambda x: x * np.log(x)), 0.0, 0, 3, 0),
    "dead 1/x": Edge(dead(lambda x: 1 / x), 0.0, 0, 3, 0),
    "dead x**-2": Edge(dead(lambda x: x**-2), 0.0, 0, 3, 0),
    "dead x**0.5": Edge(dead(lambda x: x**0.5), 0.0, 0, 3, 0),
    "dead arccos": Edge(dead(np.arccos, lambda x: x < 1), 1.0, 3, 3, 0),
    "dead arcsin": Edge(dead(np.arcsin, lambda x: x < 1), 1.0, 3, 3, 0),
    "dead arccos outside": Edge(dead(np.arccos, lambda x: x < 1), 2.0, 6, 3, 0),
    "dead sqrt below": Edge(dead(np.sqrt), -1.0, -3, 3, 0),
    "dead log of sqrt": Edge(dead(lambda x: np.log(np.sqrt(x))), 0.0, 0, 3, 0),
    "dead overflow": Edge(dead(np.exp, lambda x: x < 700), 1e4, 3e4, 3, 0),
    "dead division": Edge(dead(lambda x: np.sin(x) / x), 0.0, 0, 3, 0),
}

ROWS = {
    "far up": [1e4, 0.0, 1e4],
    "far down": [-1e4, -1e4, -1e4 - 1],
    "mixed": [1e4, -1e4, 3.0],
    "-inf entry": [-INF, 1.0, 2.0],
    "two -inf": [-INF, -INF, 2.0],
}


@pytest.fixture(scope="module")
def found() -> dict[str, list[float]]:
    """Value, first and second derivative of all edges, from one compiled program."""

    def derivatives(f: Callable[[Any], Any], x: Any) -> list[Any]:
        def slope(t: Any) -> Any:
            return lilith.grad(f, t)[1][0]

        return [f(x), slope(x), lilith.grad(slope, x)[1][0]]

    def everything(xs: list[Any]) -> list[list[Any]]:
        return [derivatives(edge.f, x) for edge, x in zip(EDGES.values(), xs, strict=True)]

    return dict(zip(EDGES, lilith.jit(everything)([edge.x for edge in EDGES.values()]), strict=True))


@pytest.mark.parametrize("name", EDGES)
def test_edge(name: str, found: dict[str, list[float]]) -> None:
    edge = EDGES[name]
    expected = [edge.value, edge.first, edge.second]
    count = 3 if edge.second is not None else 2
    np.testing.assert_allclose(found[name][:count], expected[:count], rtol=1e-12, atol=1e-300)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", EDGES)
def test_value_is_numpys(name: str, found: dict[str, list[float]]) -> None:
    with np.errstate(all="ignore"):
        expected = EDGES[name].f(np.float64(EDGES[name].x))
    np.testing.assert_allclose(found[name][0], expected, rtol=1e-12)


@pytest.mark.parametrize("name", ROWS)
def test_logsumexp_and_softmax_at_extremes(name: str) -> None:
    """The gradient of logsumexp is softmax, its second derivative diag(p) - p pᵀ."""
    x = np.array(ROWS[name])
    p = scipy.special.softmax(x)
    value, g = lilith.grad(special.logsumexp, x)
    assert value == pytest.approx(scipy.special.logsumexp(x), rel=1e-15)
    np.testing.assert_allclose(g[0], p, rtol=1e-12, atol=0)
    v = np.array([0.3, -1.0, 2.0])
    _, curvature = lilith.grad(lambda x: np.sum(lilith.grad(special.logsumexp, x)[1][0] * v), x)
    jacobian = np.diag(p) - np.outer(p, p)
    np.testing.assert_allclose(curvature[0], jacobian @ v, rtol=1e-12, atol=1e-15)
    weighted, slope = lilith.grad(lambda x: np.sum(special.softmax(x) * v), x)
    assert weighted == pytest.approx(p @ v, rel=1e-14)
    np.testing.assert_allclose(slope[0], jacobian @ v, rtol=1e-12, atol=1e-15)
    logs, slope = lilith.grad(lambda x: np.sum(np.where(x > -INF, special.log_softmax(x), 0.0) * v), x)
    mask = x > -INF
    assert logs == pytest.approx(scipy.special.log_softmax(x)[mask] @ v[mask], rel=1e-14)
    np.testing.assert_allclose(slope[0], np.where(mask, v, 0) - p * v[mask].sum(), rtol=1e-12, atol=1e-15)
