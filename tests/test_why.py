"""g.why(path): the reason for a gradient that is None, zero or NaN, with the line."""

from __future__ import annotations

import pickle
import re
from typing import Any

import numpy as np
import pytest

import lilith
from lilith import grad, nn
from lilith.source import GradientError

V = np.array([1.0, -1.0])


class Model:
    def __init__(self) -> None:
        self.W, self.b, self.spare, self.table = np.ones((2, 2)), np.zeros(2), np.ones(3), np.arange(3)
        self.power, self.name = 3, "tanh"


def loss(m: Model, x: Any, k: Any) -> Any:
    h = np.maximum(x @ m.W + m.b - 100.0, 0.0)
    z = np.floor(k) * 2.0  # the cut
    np.exp(m.spare[0])
    return np.sum(h) + z + np.sum(m.table) * m.power


def test_the_parts_of_a_model() -> None:
    for _ in range(3):  # also where warm paths have answered
        _, g = grad(loss, Model(), np.ones(2), 1.5)
    assert "is not selected at test_why.py" in g.why("m.W") and "np.maximum(x @ m.W" in g.why("m.b")
    assert "does not reach the result. The last such step is exp at test_why.py" in g.why("m.spare")
    assert "the int 3: ints are configuration" in g.why("m.power") and "Pass 3.0" in g.why("m.power")
    assert "'tanh' (str): configuration" in g.why("m.name")
    assert "i64[3]: integers" in g.why("m.table") and "m.table.astype(float)" in g.why("m.table")
    assert "floor is constant between its jumps" in g.why("k") and "`z = np.floor(k) * 2.0" in g.why(2)
    assert g.why(-1) == g.why("k")
    with pytest.raises(GradientError, match=r"'m' has several parts[\s\S]*m\.W, m\.b"):
        g.why("m")
    with pytest.raises(GradientError, match=r"no gradient named 'm\.V'"):
        g.why("m.V")


CASES: dict[str, tuple[Any, tuple, str]] = {
    "unused": (lambda x, y: y, (1.0, 2.0), "does not use it"),
    "stop_gradient": (lambda x: lilith.stop_gradient(x) * 2.0, (1.0,), "cut: stop_gradient"),
    "comparison": (lambda x: (x > 0) * 1.0, (1.0,), "gt gives a comparison or test"),
    "argmax": (lambda x: np.argmax(x) * 1.0, (V,), "argmax gives a result of integers"),
    "integer": (lambda x: x.astype(np.int32) * 1.0, (2.5,), "the conversion to int32 has no derivative"),
    "where": (lambda x: np.where(x > 0, np.sin(x), 2.0), (-1.0,), "is not selected"),
    "relu": (lambda x: nn.relu(x) * 3.0, (-1.0,), "is not selected"),
    "underflow": (lambda x: np.exp(-x * x), (40.0,), "exp underflows to 0"),
    "product": (lambda x: x * 1e-200 * 1e-200, (1.0,), "a product underflows"),
    "flat": (lambda x: np.cos(x), (0.0,), "the slope"),
    "cancelled": (lambda x: x - x, (1.0,), "the contributions to it cancel"),
    "loop": (lambda x: lilith.fori_loop(0, 3, lambda i, c: c + np.floor(x), 1.0), (1.5,), "zero"),
    "NaN ahead": (lambda x: np.sum(np.log(x) * x), (np.array([1.0, 0.0]),), r"infinity \(log\(0.0\) at index \(1,\)\)"),
    "NaN on the way back": (lambda x: np.sqrt(x) * x, (0.0,), "NaN because the derivative of the value"),
    "infinite": (lambda x: np.sqrt(x), (0.0,), "infinite because the derivative"),
    "infinite argument": (lambda x: x * x, (np.inf,), "because x is not finite"),
    "sign": (lambda x: np.sum(np.sign(x)), (V,), "cut: sign is constant between its jumps"),
    "one cut for each line": (lambda x: x // 1.0, (2.5,), "cut: floor is constant between its jumps at test_why"),
    "saturated": (lambda x: np.tanh(x), (50.0,), "tanh is saturated, its slope underflows"),
    "branch": (lambda x: lilith.cond(x > 0, lambda y: 1.0, lambda y: y, x), (2.0,), "not the one taken|does not"),
    "NaN in a loop": (
        lambda x: lilith.scan(lambda c, i: (np.log(c), None), x, np.arange(5.0))[0],
        (1.0,),
        r"makes an infinity \(log\(0.0\)\)",
    ),
    "a NaN that is masked is not the reason": (
        lambda x: np.sum(np.where(x > 0, x / x, 0.0) * np.sqrt(x)),
        (np.array([0.0, 1.0]),),
        r"the derivative of the value [\s\S]*np.sqrt[\s\S]*makes an infinity",
    ),
    "fine": (lambda x: x * 2.0, (3.0,), "the gradient is fine: 2.0"),
    "fine in part": (lambda x: np.sum(x[:1]), (V,), "from 0 to 1; 1 of 2 elements are zero"),
}


@pytest.mark.parametrize("name", CASES)
def test_reasons(name: str) -> None:
    f, args, text = CASES[name]
    _, g = grad(f, *args)
    found = g.why(0)
    assert re.search(text, found), found
    assert "Lilith" not in found and found.count(" at test_why.py:") <= 1  # several cuts on one line are named once


def test_arguments_that_have_changed_since() -> None:
    x = np.array([1.0, 2.0])
    _, g = grad(lambda x: np.sum(np.maximum(x, 0.0)), x)
    x -= 10.0
    assert "is not selected" in g.why(0) and "have changed since the call" in g.why(0)
    model = {"a": 1.0, "b": 2.0}
    _, g = grad(lambda m: m["a"] * m["b"], model)
    del model["b"]
    assert "has no such part any more" in g.why("m['b']")


def test_options_of_grad() -> None:
    f = lambda x, scale: (np.floor(x) * scale, "aux")  # noqa: E731
    _, g = lilith.value_and_grad(f, has_aux=True)(np.float64(2.5), scale=3.0)
    assert "floor" in g.why("x") and g.why("scale").endswith("the gradient is fine: 2.0.")
    _, g = grad(lambda x: x[0] * 2.0 + 0.0 * x, V, cotangent=np.array([0.0, 0.0]))
    assert "zero for these values" in g.why(0)


def test_results_travel_without_the_call() -> None:
    f = lambda x: np.sum(x**2)  # noqa: E731
    _, g = grad(f, V)
    copy = pickle.loads(pickle.dumps(g))
    np.testing.assert_array_equal(copy[0], g[0])
    with pytest.raises(GradientError, match="does not know the call"):
        copy.why(0)
    doubled = lilith.jit(lambda g: g[0] * 2.0)(g)
    np.testing.assert_array_equal(doubled, 2 * g[0])


def test_inside_of_a_traced_function_it_says_that_values_are_not_known():
    def f(x):
        _, g = lilith.grad(lambda y: np.sum(np.sign(y)), x)
        g.why("y")

    with pytest.raises(lilith.GradientError, match="y is traced"):
        lilith.jit(f)(np.ones(3))
