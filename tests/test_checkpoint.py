"""checkpoint: the same derivatives, less memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lilith
from lilith import checkpoint, grad, hessian, hvp, jacobian, jvp, named, vjp, vmap
from lilith.ops.nested import all_nodes
from lilith.source import ArgumentError

X = np.array([0.3, -1.2, 2.0])


def block(x: Any, w: Any) -> Any:
    return {"x": x + named(np.tanh(x @ w), "hidden") @ w.T, "n": 3}


def chain(wrap: Any) -> Any:
    def f(x: Any, ws: Any) -> Any:
        for w in ws:
            x = wrap(x, w)["x"]
        return np.sum(x**2)

    return f


WS = list(np.random.default_rng(0).normal(size=(3, 3, 4)))


@pytest.mark.parametrize("save", [(), "hidden", ("hidden", "other")])
def test_the_same_derivatives(save: Any) -> None:
    plain, saving = chain(block), chain(checkpoint(block, save=save))
    assert saving(X, WS) == plain(X, WS)
    for a, b in zip(grad(plain, X, WS)[1], grad(saving, X, WS)[1], strict=True):
        for x, y in zip(a if isinstance(a, list) else [a], b if isinstance(b, list) else [b], strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12)
    np.testing.assert_allclose(hessian(saving, X, WS), hessian(plain, X, WS), rtol=1e-10)
    np.testing.assert_allclose(hvp(saving, (X, WS), (X, None))[0], hvp(plain, (X, WS), (X, None))[0], rtol=1e-10)
    assert jvp(saving, (X, WS), (X, None))[1] == pytest.approx(jvp(plain, (X, WS), (X, None))[1])
    xs = np.stack([X, -X])
    batched = vmap(lambda x: grad(saving, x, WS)[1][0])(xs)
    np.testing.assert_allclose(batched, np.stack([grad(plain, x, WS)[1][0] for x in xs]), rtol=1e-12)


def test_captured_values_and_branches() -> None:
    scale = 2.0

    @checkpoint
    def inner(x: Any) -> Any:
        return np.sin(x) * scale if x > 0 else x * scale

    def f(x: Any, y: Any) -> Any:
        return inner(x * y) + checkpoint(lambda z: z * x)(y)

    for x in (1.0, -1.0):
        slope = 2 * np.cos(2.0) if x > 0 else 2.0
        assert grad(f, x, 2.0)[1][0] == pytest.approx(2 * slope + 2)
        scale = 2.0
    scale = 3.0
    assert grad(f, -1.0, 2.0)[1][0] == 8.0
    assert jacobian(lambda x: grad(f, x, 2.0)[1][0], 1.0) == pytest.approx(-4 * 3 * np.sin(2.0))
    assert vjp(inner, 1.0)[1](1.0)[0] == pytest.approx(3 * np.cos(1.0))


def test_memory_of_64_blocks() -> None:
    """One checkpoint per block of a residual network: a quarter of the memory or less."""

    def layer(x: Any, w1: Any, w2: Any) -> Any:
        return x + np.tanh(x @ w1) @ w2

    def temporaries(wrap: Any) -> int:
        def loss(ws: Any, x: Any) -> Any:
            for w1, w2 in ws:
                x = wrap(x, w1, w2)
            return np.sum(x**2)

        ws = [(lilith.spec("f32[64,256]"), lilith.spec("f32[256,64]"))] * 64
        return lilith.lower_grad(loss, ws, lilith.spec("f32[256,64]"), wrt=0).compile().memory()["temporaries"]

    assert temporaries(layer) > 4 * temporaries(checkpoint(layer))


def test_other_platforms_have_a_barrier() -> None:
    graph = lilith.trace_grad(lambda x: checkpoint(lambda x: np.sin(np.tanh(x)))(x), 1.0)
    assert "optimization_barrier" in str(lilith.lower_grad(checkpoint(np.sin), 1.0, platform="cuda"))
    assert "checkpoint" in str(graph)


def test_printing_happens_once(capfd: pytest.CaptureFixture[str]) -> None:
    def f(x: Any) -> Any:
        lilith.print("x {}", x)
        return np.sin(x) ** 2

    assert grad(checkpoint(f), 1.0)[1][0] == pytest.approx(np.sin(2.0))
    assert capfd.readouterr().out.count("x 1.0") == 1


def test_errors() -> None:
    with pytest.raises(ArgumentError, match="must be a function"):
        checkpoint(3.0)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="is no name"):
        checkpoint(np.sin, save=(1,))  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="the name is 3"):
        named(1.0, 3)  # type: ignore[arg-type]


def test_forward_mode_goes_through_the_body_once() -> None:
    def block(x: Any) -> Any:
        return np.tanh(named(np.sin(x), "sine") * 2)

    def count(f: Any) -> int:
        x = np.ones(3)
        graph = lilith.trace(lambda x, t: jvp(f, (x,), (t,)), x, x)
        return sum(node.primitive.name == "tanh" for node in all_nodes(graph))

    for save in ((), "sine"):
        c = checkpoint(block, save=save)
        assert count(lambda x: np.sum(c(c(x)))) == count(lambda x: np.sum(block(block(x)))) == 2  # noqa: B023
        x = np.array([0.3, 1.0, -2.0])
        slope = [grad(lambda x: jvp(lambda x: np.sum(f(f(x))), (x,), (x,))[1], x)[1][0] for f in (c, block)]  # noqa: B023
        np.testing.assert_allclose(*slope, rtol=1e-12)
