"""Dynamics: an ordinary differential equation, a particle, nested optimisations, Rosenbrock's function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from bench.comparison.workload import DERIVATIVE, FUNCTION, Size, Workload, add, normal

# ---- Runge-Kutta ---------------------------------------------------------------------------------------------------

STEPS = 100


def runge_kutta(np: Any, kit: Any) -> Callable[..., Any]:
    """Classical Runge-Kutta for y_0' = x_0, y_i' = x_i y_{i-1} (the ODE of GradBench)."""

    def slope(x, y):
        return np.concatenate([x[:1], x[1:] * y[:-1]])

    def runge_kutta_end(x):
        h = 1.0 / STEPS

        def step(i, y):
            k1 = slope(x, y)
            k2 = slope(x, y + h / 2 * k1)
            k3 = slope(x, y + h / 2 * k2)
            k4 = slope(x, y + h * k3)
            return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

        return np.sum(kit.fori_loop(STEPS, step, 0.0 * x))

    return runge_kutta_end


def runge_kutta_torch(torch: Any, kit: Any) -> Callable[..., Any]:
    def slope(x, y):
        return torch.cat([x[:1], x[1:] * y[:-1]])

    def runge_kutta_end(x):
        h = 1.0 / STEPS

        def step(i, y):
            k1 = slope(x, y)
            k2 = slope(x, y + h / 2 * k1)
            k3 = slope(x, y + h / 2 * k2)
            k4 = slope(x, y + h * k3)
            return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

        return torch.sum(kit.fori_loop(STEPS, step, 0.0 * x))

    return runge_kutta_end


add(
    Workload(
        "ode",
        "100 steps of Runge-Kutta for a chain of equations",
        runge_kutta,
        tuple(
            Size(f"{n:,} states", lambda rng, n=n: (normal(rng, n, scale=0.3),))  # type: ignore[misc]
            for n in (4, 1000, 100_000)
        ),
        torch=runge_kutta_torch,
    )
)


# ---- particle ------------------------------------------------------------------------------------------------------


def particle(np: Any, kit: Any) -> Callable[..., Any]:
    """Where a charged particle meets the axis, squared: it falls in Euler steps along the gradient of the potential of
    two charges, one of them at the height w, until it is under the axis; the last step is shortened to end on it."""

    charges = numpy.array([10.0, 10.0])

    def flight(w):
        def potential(x):
            first = np.sqrt((x[0] - charges[0]) ** 2 + (x[1] - (charges[1] - w)) ** 2)
            second = np.sqrt(x[0] ** 2 + (x[1] - charges[1]) ** 2)
            return 1.0 / first + 1.0 / second

        def step(state):
            x, v = state
            a = -1.0 * kit.gradient(potential)(x)
            return x + 0.1 * v, v + 0.1 * a

        first = kit.constant(numpy.array([0.0, 8.0])) + 0.0 * w, kit.constant(numpy.array([0.75, 0.0])) + 0.0 * w
        x, v = kit.while_loop(lambda state: state[0][1] + 0.1 * state[1][1] > 0.0, step, first)
        end = x - x[1] / v[1] * v
        return end[0] ** 2

    return flight


_PARTICLE = Size("one", lambda rng: (numpy.array(0.5),))

add(
    Workload(
        "particle-forward",
        "a particle's flight by Euler steps until it lands; acceleration is a gradient",
        particle,
        (_PARTICLE,),
        kind=DERIVATIVE,
        torch=particle,
        sensitive=True,
    )
)
add(
    Workload(
        "particle-reverse",
        "the same in reverse mode, through a loop of unknown length",
        particle,
        (_PARTICLE,),
        torch=particle,
        sensitive=True,
    )
)


# ---- saddle --------------------------------------------------------------------------------------------------------


def saddle(np: Any, kit: Any) -> Callable[..., Any]:
    """argmin over r of the max over s of |r|^2 - |s|^2 + r s, by 20 steps of gradient descent around 20 of ascent."""

    def height(r, s):
        return np.sum(r * r) - np.sum(s * s) + np.sum(r * s)

    def saddle_point(r, s):
        def highest(r):
            ascent = kit.gradient(lambda s: height(r, s))
            return height(r, kit.fori_loop(20, lambda i, s: s + 0.1 * ascent(s), s))

        return kit.fori_loop(20, lambda i, r: r - 0.1 * kit.gradient(highest)(r), r)

    return saddle_point


add(
    Workload(
        "saddle",
        "saddle point by gradient descent around gradient ascent, derivatives of derivatives",
        saddle,
        tuple(
            Size(f"{n:,}+{n:,}", lambda rng, n=n: (normal(rng, n), normal(rng, n)))  # type: ignore[misc]
            for n in (2, 1000)
        ),
        kind=FUNCTION,
        torch=saddle,
        sensitive=True,
    )
)


# ---- Rosenbrock ----------------------------------------------------------------------------------------------------


def rosenbrock(np: Any, kit: Any) -> Callable[..., Any]:
    def rosenbrock_loop(x):
        total = 0.0
        for i in range(x.shape[0] - 1):
            total = total + 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
        return total

    return rosenbrock_loop


def rosenbrock_by_hand(x: Any) -> Any:
    d, e = x[1:] - x[:-1] ** 2, 1.0 - x[:-1]
    g = numpy.zeros_like(x)
    g[1:] += 200.0 * d
    g[:-1] -= 400.0 * d * x[:-1] + 2.0 * e
    return 100.0 * d @ d + e @ e, (g,)


add(
    Workload(
        "rosenbrock",
        "Rosenbrock's function, a Python loop over its terms",
        rosenbrock,
        tuple(Size(f"n={n}", lambda rng, n=n: (normal(rng, n),)) for n in (5, 200)),  # type: ignore[misc]
        torch=rosenbrock,
        by_hand=rosenbrock_by_hand,
        rolled=True,
    )
)
