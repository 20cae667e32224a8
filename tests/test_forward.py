"""Forward mode: what the generic tests in test_registry.py do not reach."""

from __future__ import annotations

import numpy as np
import pytest

from lilith.ir import PRIMITIVES, Builder, Graph, Primitive, TensorType, Value, primitive
from lilith.ir.interpret import interpret
from lilith.source import GradientError
from lilith.transform.forward import forward
from lilith.transform.reverse import reverse

VECTOR = TensorType((3,), np.dtype("f8"))


def test_a_rule_that_is_not_linear_is_named() -> None:
    bad = Primitive(
        "bad",
        type=lambda x: x,
        eval=np.sin,
        vjp=lambda g, y, x, wanted: (g * g,),
        batch=lambda batched, x: bad(x),
    )
    try:
        x = Value(VECTOR)
        with Builder() as builder:
            y = primitive("sin")(bad(primitive("exp")(x)))
        with pytest.raises(GradientError, match="the derivative rule of bad is not linear"):
            forward(Graph("f", (x,), ("x",), tuple(builder.nodes), (y,)), (0,))
    finally:
        del PRIMITIVES["bad"]


def test_constant_and_integer_outputs() -> None:
    """An output that does not depend on x has the tangent zero; an integer output has none."""
    x, c = Value(VECTOR), Value(VECTOR)
    with Builder() as builder:
        whole = primitive("convert")(x, dtype=np.dtype("i8"))
        product = x * c
    graph = Graph("f", (x, c), ("x", "c"), tuple(builder.nodes), (product, whole, c))
    pushed = forward(graph, (0,)).verify()
    assert pushed.input_names == ("x", "c", "dx")
    at_x, at_c, tangent = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0]), np.ones(3)
    y, n, same, dy, dsame = interpret(pushed, [at_x, at_c, tangent])
    for actual, expected in ((y, at_x * at_c), (n, [1, 2, 3]), (same, at_c), (dy, at_c), (dsame, np.zeros(3))):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("name", ["reduce_max", "reduce_min"])
def test_ties_and_nan_of_extrema(name: str) -> None:
    """Ties share evenly; so does everything where one element is NaN."""
    x = Value(TensorType((4,), np.dtype("f8")))
    with Builder() as builder:
        y = primitive(name)(x, axes=(0,))
    gradient = reverse(Graph("f", (x,), ("x",), tuple(builder.nodes), (y,)), (0,))
    for values, expected in (([2.0, 2, 2, 2], [0.25] * 4), ([np.nan, 1, np.nan, 3], [0.25] * 4)):
        np.testing.assert_array_equal(interpret(gradient, [np.array(values), 1.0])[1], expected)
