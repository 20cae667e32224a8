"""Transforms of branches and loops, and branches and loops of checkpointed and custom functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lilith
from lilith import checkpoint, cond, custom, grad, hessian, hvp, jacobian, jvp, scan, vjp, vmap, while_loop

X = np.array([0.3, 1.2, 2.0])


def grown(x: Any) -> Any:
    return while_loop(lambda c: c < 10.0, lambda c: c * 1.5 + 0.1 * x, x)


def summed(x: Any) -> Any:
    return np.sum(scan(lambda c, a: (np.sin(c) + a, c * a), x, np.ones(4))[1])


def chosen(x: Any) -> Any:
    return cond(x > 1, lambda x: np.sin(x) * x, np.cos, x)


def slope(f: Any, x: float) -> Any:
    return grad(f, x)[1][0]


@pytest.mark.parametrize("f", [grown, summed, chosen])
def test_every_transform(f: Any) -> None:
    x = 0.3
    first = slope(f, x)
    assert jvp(f, (x,), (2.0,))[1] == pytest.approx(2 * first)
    assert vjp(f, x)[1](2.0)[0] == pytest.approx(2 * first)
    assert jacobian(f, x, mode="forward") == pytest.approx(first) == jacobian(f, x, mode="reverse")
    h = 1e-5
    second = (slope(f, x + h) - slope(f, x - h)) / (2 * h)
    assert hessian(f, x) == pytest.approx(second, rel=1e-5, abs=1e-6)
    assert hvp(f, (x,), (1.0,))[0] == pytest.approx(second, rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(vmap(f)(X), [f(x) for x in X])
    np.testing.assert_allclose(vmap(lambda x: slope(f, x))(X), [slope(f, x) for x in X])
    np.testing.assert_allclose(grad(lambda xs: np.sum(vmap(f)(xs)), X)[1][0], [slope(f, x) for x in X])
    saving = checkpoint(f)
    assert slope(saving, x) == pytest.approx(first)
    np.testing.assert_allclose(vmap(lambda x: slope(saving, x))(X), [slope(f, x) for x in X])


def test_steps_that_are_checkpointed_or_custom() -> None:
    block = checkpoint(lambda x: np.tanh(np.sin(x) * 2))

    @custom
    def sine(x: Any) -> Any:
        return np.sin(x)

    sine.vjp(lambda g, y, x: g * np.cos(x))
    pairs = ((block, lambda x: np.tanh(np.sin(x) * 2)), (sine, np.sin))
    for f, plain in pairs:

        def loop(x: Any, f: Any = f) -> Any:
            return scan(lambda c, a: (f(c) + a, None), x, np.ones(4))[0]

        def same(x: Any, f: Any = plain) -> Any:
            return scan(lambda c, a: (f(c) + a, None), x, np.ones(4))[0]

        assert slope(loop, 0.3) == pytest.approx(slope(same, 0.3))
        assert hessian(loop, 0.3) == pytest.approx(hessian(same, 0.3))
        assert jvp(loop, (0.3,), (1.0,))[1] == pytest.approx(slope(same, 0.3))


def test_a_custom_loop() -> None:
    f = custom(grown)
    f.vjp(lambda g, y, x: g * y)
    assert slope(f, 0.3) == lilith.jit(grown)(0.3)
    np.testing.assert_allclose(vmap(lambda x: slope(f, x))(X), [grown(x) for x in X])
