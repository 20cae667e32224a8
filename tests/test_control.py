"""cond, switch, while_loop, fori_loop, scan, map: values, structures, captures, errors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import lilith
from lilith.testing import check_grads
from lilith.transform.batch import batch

RNG = np.random.default_rng(0)


def ones(n):
    return np.ones(n), np.ones((n, n))


@dataclasses.dataclass
class State:
    position: np.ndarray
    speed: float


# ---- branches -------------------------------------------------------------------------------------------------------


def test_cond_takes_one_branch():
    def f(x):
        return lilith.cond(x > 0, lambda: np.log(x), lambda: -x)

    for x in (2.0, -2.0):
        value, g = lilith.grad(f, x)
        assert value == pytest.approx(np.log(x) if x > 0 else -x)
        assert g[0] == pytest.approx(1 / x if x > 0 else -1.0)


def test_cond_with_operands_structures_and_static_leaves():
    def f(x, n):
        both = {"a": x, "b": (2.0 * x, "text", n)}
        return lilith.cond(
            np.sum(x) > 0,
            lambda s: {"sum": s["a"] * s["b"][2], "other": s["b"][0], "text": s["b"][1]},
            lambda s: {"sum": -s["a"], "other": np.zeros(3), "text": s["b"][1]},
            both,
        )

    x = np.array([1.0, 2.0, 3.0])
    out = lilith.jit(f)(x, 4)
    np.testing.assert_array_equal(out["sum"], 4 * x)
    np.testing.assert_array_equal(out["other"], 2 * x)
    assert out["text"] == "text"
    np.testing.assert_array_equal(lilith.jit(f)(-x, 4)["sum"], x)


def test_python_numbers_in_branches_adapt():
    x = np.float32(3)
    y = lilith.jit(lambda x: lilith.cond(x > 0, lambda: x, lambda: 0.0))(x)
    assert y.dtype == np.float32
    assert lilith.jit(lambda x: lilith.cond(x > 5, lambda: x, lambda: 1))(x) == 1
    assert lilith.jit(lambda x: lilith.cond(x > 5, lambda: 2, lambda: 3))(x) == 3


def test_switch_takes_the_nearest_branch():
    branches = [np.sin, np.cos, np.square]
    f = lilith.jit(lambda i, x: lilith.switch(i, branches, x))
    for i, j in ((0, 0), (1, 1), (2, 2), (7, 2), (-3, 0)):
        assert f(np.array(i), 0.7) == pytest.approx(branches[j](0.7))
    assert lilith.switch(np.uint8(2), branches, 3.0) == 9.0


def test_branches_keep_what_is_expensive_only():
    W = RNG.normal(size=(4, 4))

    def f(x, W):
        return np.sum(lilith.cond(x[0] > 0, lambda: np.tanh(W @ x), lambda: x * x))

    check_grads(f, (np.ones(4), W))
    check_grads(f, (-np.ones(4), W))
    graph = lilith.trace_grad(f, np.ones(4), W)
    first = next(node for node in graph.nodes if node.primitive.name == "case")
    assert [r.type.shape for r in first.results] == [(4,), (4,)]


def test_the_branch_not_taken_does_no_harm():
    def f(x):
        return lilith.cond(x > 0, lambda: np.sqrt(x), lambda: 0.0 * x)

    assert lilith.grad(f, 0.0)[1][0] == 0
    graph = lilith.trace_grad(f, 0.0)
    many = batch(graph, [True], 3)
    from lilith.ir.interpret import interpret

    value, slope = interpret(many, [np.array([0.0, 4.0, -1.0])])
    np.testing.assert_array_equal(value, [0, 2, 0])
    np.testing.assert_array_equal(slope, [0, 0.25, 0])


def test_branch_errors():
    x = np.ones(3)
    with pytest.raises(lilith.ShapeError, match=r"cond: result is f64\[2\] in what .* and f64\[3\] in what"):
        lilith.cond(True, lambda x: x[:2], lambda x: x, x)
    with pytest.raises(lilith.DtypeError, match=r"cond: result\['a'\] is f32\[3\] .* and f64\[3\]"):
        lilith.cond(True, lambda x: {"a": x.astype("float32")}, lambda x: {"a": x}, x)
    with pytest.raises(lilith.ArgumentError, match=r"structure \{'a': f64\[3\]\}, .* has \(f64\[3\], f64\[3\]\)"):
        lilith.cond(True, lambda x: {"a": x}, lambda x: (x, x), x)
    with pytest.raises(lilith.ArgumentError, match=r"'left' in what .* and 'right' in"):
        lilith.cond(True, lambda: "left", lambda: "right")
    with pytest.raises(lilith.ShapeError, match="not one bool"):
        lilith.jit(lambda x: lilith.cond(x > 0, lambda: 1.0, lambda: 2.0))(x)
    with pytest.raises(lilith.DtypeError, match="not one integer"):
        lilith.switch(1.5, [np.sin, np.cos], 1.0)
    with pytest.raises(lilith.ArgumentError, match="no branches"):
        lilith.switch(0, [], 1.0)


# ---- loops ----------------------------------------------------------------------------------------------------------


def test_scan_of_structures():
    def step(state, row):
        new = State(state.position + row["v"] * state.speed, state.speed * 0.9)
        return new, (new.position, None, {"speed": state.speed})

    xs = {"v": RNG.normal(size=(5, 2))}
    state, (path, nothing, other) = lilith.scan(step, State(np.zeros(2), 1.0), xs)
    position, speed, expected = np.zeros(2), 1.0, []
    for v in xs["v"]:
        position, speed = position + v * speed, speed * 0.9
        expected.append(position)
    assert nothing is None
    np.testing.assert_allclose(state.position, position)
    np.testing.assert_allclose(path, expected)
    np.testing.assert_allclose(other["speed"], 0.9 ** np.arange(5))
    assert state.speed == pytest.approx(0.9**5)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int32", "complex64"])
def test_python_numbers_in_carries_adapt(dtype):
    import ml_dtypes  # noqa: F401

    xs = np.arange(4).astype(dtype)
    total, sums = lilith.scan(lambda c, x: (c + x, c), 0 if dtype == "int32" else 0.0, xs)
    assert total.dtype == sums.dtype == np.dtype(dtype)
    assert total == 6


def test_counted_loops():
    assert lilith.fori_loop(2, 5, lambda i, c: c * 10 + i, 0) == 234
    assert lilith.fori_loop(5, 2, lambda i, c: c * 10 + i, 7) == 7
    assert lilith.jit(lambda n: lilith.fori_loop(0, n, lambda i, c: c + i, 0))(np.array(5)) == 10
    assert lilith.jit(lambda n: lilith.fori_loop(n, 9, lambda i, c: c + i, 0))(np.array(7)) == 15
    assert lilith.fori_loop(0, np.array(5), lambda i, c: c + i, 0) == 10
    assert lilith.fori_loop(np.int64(1), 5, lambda i, c: c + i, 0) == 10
    # the number of the step adapts, as in a Python loop
    assert lilith.fori_loop(0, 3, lambda i, c: c + i * 0.5, np.float32(0)).dtype == np.float32
    x = RNG.normal(size=6)
    assert lilith.fori_loop(0, 6, lambda i, c: c + i * x[i], 0.0) == pytest.approx(np.sum(np.arange(6) * x))


def test_scan_in_reverse_and_without_arrays():
    xs = np.arange(4.0)
    total, seen = lilith.scan(lambda c, x: (c * 2 + x, c), 0.0, xs, reverse=True)
    expected, c = np.zeros(4), 0.0
    for i in (3, 2, 1, 0):
        expected[i], c = c, c * 2 + xs[i]
    assert total == c
    np.testing.assert_array_equal(seen, expected)
    count, none = lilith.scan(lambda c, _: (c + 1, None), 0, length=7)
    assert count == 7 and none is None


def test_map():
    xs = RNG.normal(size=(3, 4))
    out = lilith.map(lambda x: (np.sum(x), x[0]), xs)
    np.testing.assert_allclose(out[0], xs.sum(1))
    np.testing.assert_allclose(out[1], xs[:, 0])


def test_while_loop():
    def collatz(n):
        return lilith.while_loop(
            lambda s: s[0] != 1, lambda s: (np.where(s[0] % 2 == 0, s[0] // 2, 3 * s[0] + 1), s[1] + 1), (n, 0)
        )

    assert lilith.jit(collatz)(np.array(27))[1] == 111
    assert collatz(np.array(1))[1] == 0


def test_plain_values_compile_and_see_changed_captures():
    w = np.ones(3)
    for value in (1.0, 2.0):
        w[:] = value
        carry, _ = lilith.scan(lambda c, x: (c + w * x, None), np.zeros(3), np.arange(3.0))
        np.testing.assert_array_equal(carry, np.full(3, 3 * value))


def test_loops_in_an_interpreted_run():
    def f(x):
        return lilith.scan(lambda c, v: (c * v + x, None), x, np.arange(3.0))[0]

    compiled = lilith.grad(f, 2.0)
    try:
        lilith.config.interpret = True
        value, g = lilith.grad(f, 2.0)
    finally:
        lilith.config.interpret = False
    assert (value, g[0]) == (compiled[0], compiled[1][0])


def test_print_in_a_loop(capfd):
    def f(x):
        def step(c, v):
            lilith.print("{:.1f}", c)
            return c + v, None

        return lilith.scan(step, x, np.arange(3.0))[0]

    lilith.grad(f, 1.0)
    assert sorted(capfd.readouterr().out.split()) == ["1.0", "1.0", "2.0"]


def test_branches_and_loops_for_their_effect_alone(capfd):
    def f(x):
        lilith.cond(x > 0, lambda: lilith.print("above"), lambda: lilith.print("below {}", x))
        lilith.map(lambda v: lilith.print("{}", v), np.arange(2.0))
        return x * x

    assert lilith.grad(f, -2.0)[1][0] == -4.0
    assert sorted(capfd.readouterr().out.split("\n")) == ["", "0.0", "1.0", "below -2.0"]


def test_print_in_a_while_loop_prints_once_a_step(capfd):
    """Steps that the way back goes through again are silent."""

    def f(x):
        def step(y):
            lilith.print("{:.0f}", y)
            return y * x

        return lilith.while_loop(lambda y: y < 100, step, x, checkpoints=2)

    assert lilith.grad(f, 2.0)[1][0] == 7 * 2.0**6
    assert sorted(map(int, capfd.readouterr().out.split())) == [2, 4, 8, 16, 32, 64]


def test_cost_counts_steps():
    graph = lilith.trace(lambda x, w: lilith.scan(lambda c, _: (np.tanh(w @ c), None), x, length=5)[0], *ones(3))
    from lowering.cost import cost_of

    cost = cost_of(graph)
    assert cost.primitives["dot_general"].flops == 5 * 2 * 9
    assert cost.primitives["tanh"].nodes == 5


def test_gradients_inside_jax():
    import jax
    import jax.numpy as jnp

    def slope(x):
        return lilith.grad(lambda x: lilith.while_loop(lambda c: c < 100, lambda c: c * x, x), x)[1][0]

    xs = np.array([2.0, 3.0], np.float32)
    np.testing.assert_allclose(jax.vmap(slope)(jnp.asarray(xs)), [448, 405])
    np.testing.assert_allclose(jax.jit(slope)(jnp.float32(2)), 448)


def test_python_branches_beside_loops_and_in_them():
    def f(x):
        y = lilith.while_loop(lambda c: c < 100, lambda c: c * x, x)
        return y * 2 if y > 130 else y * 3

    assert lilith.grad(f, 2.0)[1][0] == 3 * 448
    assert lilith.grad(f, 3.0)[1][0] == 2 * 405
    with pytest.raises(lilith.TraceError, match=r"lilith\.cond or lilith\.while_loop"):
        lilith.scan(lambda c, v: (c * v if c > 0 else c, None), 1.0, np.arange(3.0))


def test_a_gradient_inside_of_a_loop():
    def descend(x):
        def step(i, y):
            _, g = lilith.grad(lambda z: (z * z - x) ** 2 + z, y)
            return y - 0.05 * g[0]

        return lilith.fori_loop(0, 5, step, 1.0)

    check_grads(descend, (2.0,))


def test_lowering_for_other_platforms():
    from lowering import carrier
    from lowering.emit import emit

    def f(x, w):
        y = lilith.while_loop(lambda c: np.sum(c) < 100, lambda c: c * x + w, x)
        return np.sum(lilith.scan(lambda c, _: (lilith.cond(c[0] > 0, lambda: c * w, lambda: c), None), y, length=3)[0])

    graph = lilith.trace_grad(f, np.ones(2), np.ones(2))
    for platform in ("cpu", "cuda", "tpu"):
        text = carrier.pretty(emit(graph, platform))
        # the while_loop and the way back from it share the way there: three loops, two loops; and two scans
        assert text.count("stablehlo.while") == 7


def test_carry_errors():
    xs = np.ones((4, 3))
    with pytest.raises(
        lilith.ShapeError, match=r"scan: carry\['a'\] is f64\[3\] in the carry after a step and f64\[\]"
    ):
        lilith.scan(lambda c, x: ({"a": c["a"] + x}, None), {"a": 0.0}, xs)
    with pytest.raises(lilith.DtypeError, match=r"scan: carry is f64\[3\] in the carry after .* and f32\[3\]"):
        lilith.scan(lambda c, x: (c + x, None), np.zeros(3, np.float32), xs)
    with pytest.raises(lilith.DtypeError, match=r"while_loop: carry\[1\] is f64\[\] .* and i32\[\]"):
        lilith.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * 0.5), (0, np.int32(3)))
    with pytest.raises(lilith.ArgumentError, match=r"scan: the carry after a step has the structure \(f64\[3\], f64"):
        lilith.scan(lambda c, x: ((c, c), None), np.zeros(3), xs)
    with pytest.raises(lilith.ArgumentError, match="must return a pair"):
        lilith.scan(lambda c, x: c, np.zeros(3), xs)
    with pytest.raises(lilith.ShapeError, match=r"first axes differ \(xs\[0\]: 4, xs\[1\]: 3\)"):
        lilith.scan(lambda c, x: (c, None), 0.0, (xs, xs[0]))
    with pytest.raises(lilith.ShapeError, match="length: 5"):
        lilith.scan(lambda c, x: (c, None), 0.0, xs, length=5)
    with pytest.raises(lilith.ArgumentError, match="neither xs nor length"):
        lilith.scan(lambda c, x: (c, None), 0.0)
    with pytest.raises(lilith.ShapeError, match="is a scalar"):
        lilith.scan(lambda c, x: (c, None), 0.0, 3.0)
    with pytest.raises(lilith.DtypeError, match=r"the condition gives f64\[\], not one bool"):
        lilith.while_loop(lambda x: x, lambda x: x + 1, 0.0)
    with pytest.raises(lilith.ArgumentError, match="the bounds are integers"):
        lilith.fori_loop(0, 2.5, lambda i, c: c, 0.0)
    with pytest.raises(lilith.ArgumentError, match="checkpoints=1"):
        lilith.while_loop(lambda x: x < 1, lambda x: x + 1, 0.0, checkpoints=1)


def test_errors_name_the_line_in_the_body():
    def body(c, x):
        return c @ x, None

    with pytest.raises(lilith.ShapeError, match=r"test_control.py:\d+ in body:   return c @ x, None"):
        lilith.scan(body, np.ones((2, 2)), np.ones((3, 4)))


def test_nested_graphs_are_printed_and_checked():
    def f(x):
        def outer(c, _):
            return lilith.cond(c > 3, lambda: c * 0.5, lambda: c * x), None

        return lilith.scan(outer, x, length=4)[0]

    graph = lilith.trace(f, 2.0)
    text = str(graph)
    assert "body=@outer" in text and "graph outer(" in text and "branches=(@<lambda>,@<lambda>.2)" in text
    assert "test_control.py" in text.split("graph outer(")[1]
    graph.verify()
    scan = next(node for node in graph.nodes if node.primitive.name == "scan")
    inner = scan.params["body"]
    inner.nodes[0].results[0].type = lilith.ir.TensorType((7,), np.dtype("f8"))
    with pytest.raises(lilith.ir.VerifyError):
        graph.verify()


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 40, 300])
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan(n, reverse):
    """An affine recurrence y = a y + b: its maps are combined."""

    def combine(p, q):
        return p[0] * q[0], q[0] * p[1] + q[1]

    a, b = RNG.normal(size=(n,)), RNG.normal(size=(n,))
    scale, shift = lilith.associative_scan(combine, (a, b), reverse=reverse)
    order = slice(None, None, -1) if reverse else slice(None)
    ys, y = [], 0.0
    for s, t in zip(a[order], b[order], strict=True):
        y = s * y + t
        ys.append(y)
    np.testing.assert_allclose(scale[order], np.cumprod(a[order]), rtol=1e-10)
    np.testing.assert_allclose(shift[order], ys, rtol=1e-10)


def test_associative_scan_along_an_axis_and_its_gradient():
    x = RNG.normal(size=(2, 23, 3))
    np.testing.assert_allclose(lilith.associative_scan(np.add, x, axis=1), np.cumsum(x, 1))
    np.testing.assert_allclose(lilith.associative_scan(np.maximum, x, axis=-2), np.maximum.accumulate(x, 1))
    check_grads(lambda x: np.sum(np.sin(lilith.associative_scan(np.multiply, x, axis=1))), (x,))
    with pytest.raises(lilith.ShapeError, match="no axis 3"):
        lilith.associative_scan(np.add, x, axis=3)
    with pytest.raises(lilith.ShapeError, match=r"elems\[0\]: 2, elems\[1\]: 3"):
        lilith.associative_scan(lambda a, b: a, (x, x[0, 0]))
    assert lilith.associative_scan(np.add, np.zeros((0, 2))).shape == (0, 2)
