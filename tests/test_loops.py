"""Derivatives of branches and loops against the same program with its loops unrolled by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lilith
from lilith import tree
from lilith.ir.interpret import interpret
from lilith.transform.batch import batch
from lilith.transform.forward import forward
from lilith.transform.reverse import reverse
from lilith.transform.simplify import simplify

RNG = np.random.default_rng(0)


class Unrolled:
    """The loops as Python runs them; integer carries are Python ints and steer."""

    @staticmethod
    def scan(f, init, xs=None, length=None, reverse=False):
        leaves, structure = tree.flatten(xs)
        steps = length if length is not None else len(leaves[0])
        carry, ys = init, []
        for i in reversed(range(steps)) if reverse else range(steps):
            carry, y = f(carry, tree.unflatten(structure, [x if x is None else x[i] for x in leaves]))
            ys.append(y)
        if reverse:
            ys.reverse()
        return carry, np.stack(ys) if ys and ys[0] is not None else None

    @staticmethod
    def fori_loop(lower, upper, body, init):
        for i in range(lower, upper):
            init = body(i, init)
        return init

    @staticmethod
    def while_loop(cond, body, init, checkpoints=None):
        while cond(init):
            init = body(init)
        return init

    @staticmethod
    def cond(pred, yes, no, *operands):
        return yes(*operands) if pred else no(*operands)


def rnn(api, W, U, X, h):
    def step(h, x):
        h = np.tanh(h @ W + x @ U)
        return h, np.sum(h * h)

    h, ys = api.scan(step, h, X)
    return np.sum(np.sin(h)) + np.sum(ys * np.arange(1.0, 1 + len(X)))


def backward_scan(api, W, U, X, h):
    h, ys = api.scan(lambda h, x: (np.sin(h * x[0] + 0.1), h @ W), h, X, reverse=True)
    return np.sum(h) * np.sum(np.cos(ys))


def index_dependent(api, x, w):
    def body(i, c):
        return np.sin(c * w) + x * i * 0.1 + x[i % 2]

    return np.sum(api.fori_loop(1, 5, body, x))


def nested(api, x, w):
    def outer(i, c):
        def inner(c, row):
            return np.tanh(c + row * w[0] + i * 0.1), row * c

        c, rows = api.scan(inner, c, x)
        return c + np.sum(rows) * 0.1

    return np.sum(api.fori_loop(0, 3, outer, w) * w)


def two_carries(api, x, w):
    """One carry depends on the other, one is constant, one is an integer, one is not used."""

    def body(i, state):
        a, b, c, n, unused = state
        return np.sin(b) * x, a + w * c, c, n + 1, unused * 2.0

    a, b, _, _, _ = api.fori_loop(0, 4, body, (x, w, x * w, 0, x))
    return np.sum(a * b)


def swapped(api, x, w):
    return np.sum(api.fori_loop(0, 3, lambda i, s: (s[1] * w, s[0] + s[1]), (x, w))[0] * x)


def power(api, x, w):
    def body(s):
        i, y = s
        return i + 1, y * np.cos(x) + w * 0.1

    return np.sum(api.while_loop(lambda s: s[0] < 6, body, (0, x), checkpoints=2)[1] * w)


def no_step(api, x, w):
    return np.sum(api.while_loop(lambda s: s[0] < 0, lambda s: (s[0] + 1, s[1] * w), (0, x))[1] * w)


def while_in_scan(api, x, w):
    def step(c, v):
        def body(s):
            return s[0] + 1, np.sin(s[1] * v) + w

        return api.while_loop(lambda s: s[0] < 3, body, (0, c), checkpoints=2)[1], None

    return np.sum(api.scan(step, w, x)[0])


def scan_in_while(api, x, w):
    def body(s):
        return s[0] + 1, np.tanh(api.scan(lambda c, v: (c * v + w, None), s[1], x)[0])

    return np.sum(api.while_loop(lambda s: s[0] < 3, body, (0, w), checkpoints=2)[1])


def while_in_while(api, x, w):
    def inner(y):
        return api.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, np.sin(s[1] * x + w)), (0, y))[1]

    return np.sum(api.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, inner(s[1])), (0, w), checkpoints=4)[1])


def repeated_rows(api, x, w):
    """Outputs that are rows, constants, the carry before and the carry after."""

    def step(c, v):
        new = c * v + 1.0
        return new, (v[0] + w[0] + c[0] + new[0]) * new[1]

    c, ys = api.scan(step, w, x)
    return np.sum(ys**2) + np.sum(c)


def only_rows(api, x, w):
    return np.sum(api.scan(lambda c, v: (c, np.sum(np.sin(v * w))), None, x)[1] ** 2)


def indexed(api, x, w):
    """Rows by the number of the step: evenly spaced ones, from the end, others, and a window."""

    def body(i, c):
        return np.sin(c + x[i] * w) + x[2 * i, 0] * x[4 - i] + x[-1 - i] * x[(i * i) % 5, 1] + x[i // 2]

    return np.sum(api.fori_loop(0, 3, body, w))


def branch_in_loop(api, x, w):
    def body(i, c):
        return api.cond(i % 2 == 0, lambda c: np.sin(c * w) + x, lambda c: c @ np.outer(x, w) * 0.5, c)

    return np.sum(api.fori_loop(0, 4, body, w))


def loop_in_branch(api, x, w):
    def run(steps):
        return lambda: api.fori_loop(0, steps, lambda i, c: np.tanh(c * x) + w * i, w)

    def body(i, c):
        return c + api.cond(i == 1, run(3), run(2))

    return np.sum(api.fori_loop(0, 3, body, x))


def matrix(*shape):
    return RNG.normal(size=shape)


VECTORS = (matrix(2), matrix(2))
ROWS = (matrix(3, 2), matrix(2))
CASES: list[tuple[Callable[..., Any], tuple]] = [
    (rnn, (0.5 * matrix(3, 3), matrix(2, 3), matrix(4, 5, 2), matrix(5, 3))),
    (rnn, (matrix(3, 3), matrix(2, 3), matrix(1, 5, 2), matrix(5, 3))),
    (backward_scan, (matrix(3, 3), matrix(2, 3), matrix(4, 3), matrix(3))),
    (index_dependent, VECTORS),
    (nested, ROWS),
    (two_carries, VECTORS),
    (swapped, VECTORS),
    (power, VECTORS),
    (no_step, VECTORS),
    (while_in_scan, ROWS),
    (scan_in_while, ROWS),
    (while_in_while, VECTORS),
    (repeated_rows, ROWS),
    (only_rows, ROWS),
    (indexed, (matrix(5, 2), matrix(2))),
    (branch_in_loop, VECTORS),
    (loop_in_branch, VECTORS),
]
IDS = [f"{f.__name__}{len(args[2]) if f is rnn else ''}" for f, args in CASES]


def graphs(f: Callable[..., Any], args: tuple) -> tuple[Any, Any]:
    loop = lilith.trace(lambda *xs: f(lilith, *xs), *args)
    plain = lilith.trace(lambda *xs: f(Unrolled, *xs), *args)
    return loop.verify(), plain.verify()


def same(a: Any, b: Any, values: list, digits: float = 1e-10) -> None:
    for x, y in zip(interpret(a, values), interpret(b, values), strict=True):
        np.testing.assert_allclose(x, y, rtol=digits, atol=digits)


@pytest.mark.parametrize(("f", "args"), CASES, ids=IDS)
def test_every_derivative_is_that_of_the_unrolled_loop(f, args):
    loop, plain = graphs(f, args)
    wanted = range(len(args))
    values = list(args)
    same(loop, plain, values)
    first, expected = [simplify(reverse(g, wanted)).verify() for g in (loop, plain)]
    values.append(np.asarray(0.7))
    same(first, expected, values)
    moves = [RNG.normal(size=np.shape(x)) for x in args]
    same(forward(loop, wanted).verify(), forward(plain, wanted), [*args, *moves])
    # reverse over reverse, forward over reverse, reverse over forward
    cotangents = [RNG.normal(size=y.shape) for y in first.outputs]
    both = range(len(values))
    second, expected_second = [simplify(reverse(g, both)).verify() for g in (first, expected)]
    same(second, expected_second, [*values, *cotangents], 1e-8)
    moves = [RNG.normal(size=np.shape(x)) for x in values]
    same(forward(first, both).verify(), forward(expected, both), [*values, *moves], 1e-8)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(("f", "args"), CASES, ids=IDS)
def test_the_same_where_arrays_are_large(f, args, large, monkeypatch):
    """What is done for small loops and for small arrays only is left out: everything in one loop; slow functions kept,
    small rows ahead, carries from the stack."""
    monkeypatch.setattr("lilith.ops.small.WORK", 0)
    if large:
        monkeypatch.setattr("lilith.transform.loops.PASSED_BYTES", 0)
        monkeypatch.setattr("lilith.transform.loops.CACHE_BYTES", 0)
        monkeypatch.setattr("lilith.transform.fission.SMALL_BYTES", 0)
    loop, plain = graphs(f, args)
    first, expected = [simplify(reverse(g, range(len(args)))).verify() for g in (loop, plain)]
    same(first, expected, [*args, np.asarray(0.7)])
    cotangents = [RNG.normal(size=y.shape) for y in first.outputs]
    second, expected_second = [simplify(reverse(g, range(len(args)))).verify() for g in (first, expected)]
    same(second, expected_second, [*args, np.asarray(0.7), *cotangents], 1e-8)


@pytest.mark.parametrize(("f", "args"), CASES, ids=IDS)
def test_a_batch_of_gradients(f, args):
    loop, plain = graphs(f, args)
    loop, plain = [simplify(reverse(g, range(len(args)))) for g in (loop, plain)]
    flags = [i % 2 == 0 for i in range(len(args))]
    values = [np.stack([x, x * 0.5, -x]) if b else x for x, b in zip(args, flags, strict=True)]
    one = np.asarray(1.0)
    same(batch(loop, [*flags, False], 3).verify(), batch(plain, [*flags, False], 3), [*values, one])


@pytest.mark.parametrize(("f", "args"), CASES, ids=IDS)
def test_xla_agrees(f, args):
    """Gradient, and gradient of a gradient, compiled."""
    value, g = lilith.grad(lambda *xs: f(lilith, *xs), *args)
    expected, h = lilith.grad(lambda *xs: f(Unrolled, *xs), *args)
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    for a, b in zip(g, h, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_branches_in_a_batch():
    """Elements take different branches, within a loop; also where the branch not taken has no finite derivative."""

    def f(x, w):
        def step(c, v):
            return lilith.cond(c > 0, lambda: np.sqrt(c) * v - w, lambda: w * w - c * v), c

        c, ys = lilith.scan(step, x, np.array([1.0, 2.0, 0.5, 1.5]))
        return c + np.sum(ys**2)

    graph = simplify(reverse(lilith.trace(f, 1.0, 2.0), [0, 1]))
    xs, w = np.array([1.0, -1.0, 3.0, 0.0]), np.asarray(0.7)
    found = interpret(batch(graph, [True, False, False], 4).verify(), [xs, w, np.asarray(1.0)])
    for i, x in enumerate(xs):
        one = interpret(graph, [x, w, np.asarray(1.0)])
        np.testing.assert_allclose([y[i] for y in found], one, rtol=1e-12)
        value, g = lilith.grad(f, x, 0.7)
        np.testing.assert_allclose(one, [value, *g], rtol=1e-12)


def test_unequal_trips_in_a_batch():
    """Elements that have stopped keep their carries, and pass their cotangents on."""

    def f(x):
        return lilith.while_loop(lambda y: y < 10.0, lambda y: y * x + 0.1 / y, x, checkpoints=2)

    xs = np.array([1.5, 20.0, 3.0, 2.1])
    many = batch(simplify(reverse(lilith.trace(f, 1.5), [0])), [True, False], 4).verify()
    ys, slopes = interpret(many, [xs, np.asarray(1.0)])
    for x, y, slope in zip(xs, ys, slopes, strict=True):
        value, g = lilith.grad(f, x)
        assert (value, g[0]) == (pytest.approx(y), pytest.approx(slope))
    second = simplify(reverse(many.with_outputs(many.outputs[1:]), [0])).verify()
    out = interpret(second, [xs, np.asarray(1.0), np.ones(4)])[1]
    for x, curvature in zip(xs, out, strict=True):
        step = 1e-6
        difference = (lilith.grad(f, x + step)[1][0] - lilith.grad(f, x - step)[1][0]) / (2 * step)
        assert curvature == pytest.approx(difference, rel=1e-6)


@pytest.mark.parametrize("checkpoints", [2, 3, 4, 8])
def test_any_number_of_steps(checkpoints):
    """Around the number of checkpoints, and far beyond."""

    def f(x, n):
        return lilith.fori_loop(0, n, lambda i, y: y * np.cos(0.1 * x + 0.1 * y), x, checkpoints=checkpoints)

    def unrolled(x, n):
        y, slope = x, 1.0
        for _ in range(n):
            angle = 0.1 * x + 0.1 * y
            y, slope = y * np.cos(angle), slope * np.cos(angle) - y * np.sin(angle) * 0.1 * (1 + slope)
        return y, slope

    for n in (0, 1, checkpoints - 1, checkpoints, checkpoints + 1, 2 * checkpoints + 1, 37, 200):
        value, g = lilith.grad(f, 1.01, np.array(n))
        assert (value, g[0]) == (pytest.approx(unrolled(1.01, n)[0]), pytest.approx(unrolled(1.01, n)[1]))


def test_a_long_loop_takes_no_more_memory():
    from lowering.stages import Lowered

    def f(x, limit):
        return lilith.while_loop(lambda s: s[1] < limit, lambda s: (s[0] * 0.9999 + 1e-3 * x, s[1] + 1), (x, 0))[0]

    graph = lilith.trace_grad(f, 1.0, np.array(10))
    compiled = Lowered(graph).compile()
    assert compiled.memory()["temporaries"] < 200_000
    for n in (1000, 100_000):
        _, slope = compiled(np.asarray(1.0), np.array(n))
        assert slope == pytest.approx(0.9999**n + 10 * (1 - 0.9999**n), rel=1e-9)


def test_integer_and_boolean_carries_are_kept_too():
    def f(x):
        def body(s):
            y, n, odd = s
            return np.where(odd, y * x, y + x * n), n + 1, ~odd

        return lilith.while_loop(lambda s: s[1] < 7, body, (x, 0, False), checkpoints=2)[0]

    def plain(x):
        y, odd = x, False
        for n in range(7):
            y, odd = y * x if odd else y + x * n, not odd
        return y

    value, g = lilith.grad(f, 1.3)
    expected, h = lilith.grad(plain, 1.3)
    assert (value, g[0]) == (pytest.approx(expected), pytest.approx(h[0]))


def test_a_loop_with_a_dead_branch_has_a_finite_gradient():
    def f(x, y):
        root = np.sqrt(x)
        return np.sum(lilith.scan(lambda c, _: (c + np.where(x > 0, root, 0.0) * y, None), x * 0.0, length=3)[0])

    _, g = lilith.grad(f, np.array([0.0, 4.0]), np.ones(2))
    np.testing.assert_allclose(g[0], [0.0, 0.75])


def test_what_has_no_derivative_is_an_error_in_its_line():
    def body(c, n):
        return lilith.numpy.asarray(np.bitwise_count(n) * c).astype(int) * 1.0, None

    _, g = lilith.grad(lambda x: lilith.scan(body, x, np.arange(3))[0], 1.5)
    assert g[0] == 0


def test_structural_zeros_and_integer_arrays_pass_through():
    def f(x, n, y):
        c, ks = lilith.scan(lambda c, k: (c * x, k + 1), x, n)
        return c + 0.0 * np.sum(ks)

    _, g = lilith.grad(f, 2.0, np.arange(3), 5.0)
    assert g[0] == pytest.approx(32.0)
    assert g[1] is None and g[2] == 0.0


# ---- random bodies --------------------------------------------------------------------------------------------------


OPERATIONS: dict[str, Callable[..., Any]] = {
    "sin": lambda p, q, i, M, x: np.sin(p),
    "mul": lambda p, q, i, M, x: p * q * 0.7,
    "sub": lambda p, q, i, M, x: p - q,
    "matmul": lambda p, q, i, M, x: p @ M,
    "where": lambda p, q, i, M, x: np.where(p > q, p * 0.5, q),
    "sum": lambda p, q, i, M, x: np.sum(p * q) * q,
    "scale": lambda p, q, i, M, x: p * (0.1 * i + 1.0),
    "at": lambda p, q, i, M, x: p + x[i],
    "outer": lambda p, q, i, M, x: np.tanh(np.outer(p, q) @ M[0]),
}


@st.composite
def bodies(draw):
    """Operations on two of the values so far (the carries a and b, the row, a constant), and what the body gives."""
    count = draw(st.integers(1, 8))
    steps = []
    for k in range(count):
        steps.append(
            (draw(st.sampled_from(list(OPERATIONS))), draw(st.integers(0, 3 + k)), draw(st.integers(0, 3 + k)))
        )
    return steps, draw(st.lists(st.integers(0, 3 + count), min_size=4, max_size=4))


def _run(body, values, i, M, x):
    for name, j, k in body:
        values = [*values, OPERATIONS[name](values[j], values[k], i, M, x)]
    return values


def _program(api, body, outputs, M, x, w, a, b):
    def step(carry, row):
        i, a, b = carry
        values = _run(body, [a, b, row, w], i, M, x)
        new_a, new_b, y, z = [values[k] for k in outputs]
        return (i + 1, new_a * 0.9, new_b), y * z

    (_, a, b), ys = api.scan(step, (0, a, b), x * 0.5)
    return np.sum(np.sin(a)) + np.sum(b * w) + np.sum(ys * np.arange(1.0, 4.0)[:, None])


@settings(max_examples=25, deadline=None)
@given(bodies(), st.booleans())
def test_random_bodies(drawn, small):
    body, outputs = drawn
    with pytest.MonkeyPatch.context() as patch:
        if not small:
            patch.setattr("lilith.ops.small.WORK", 0)
        _check_body(body, outputs)


def _check_body(body, outputs):
    generator = np.random.default_rng(3)
    args = [generator.normal(size=shape) for shape in ((2, 2), (3, 2), (2,), (2,), (2,))]
    wanted = range(len(args))
    both = []
    for api in (lilith, Unrolled):
        graph = lilith.trace(lambda *xs, api=api: _program(api, body, outputs, *xs), *args)
        first = simplify(reverse(graph, wanted)).verify()
        gradients = first.with_outputs(first.outputs[1:])
        second = simplify(reverse(gradients, wanted)).verify()
        both.append((first, second, forward(graph, wanted).verify()))
    one, moves = np.asarray(1.0), [generator.normal(size=x.shape) for x in args]
    for loop, plain, values in zip(*both, ([*args, one], [*args, one, *moves], [*args, *moves]), strict=True):
        same(loop, plain, values, 1e-7)


def test_a_sum_of_rows_alone_is_added_up_in_the_loop():
    """A cotangent that is a multiple of the carry's needs no stack: memory does not grow with the steps."""

    def memory(steps):
        def f(s, r):
            return np.sum(lilith.fori_loop(0, steps, lambda i, s: s + 0.1 * (r - 2.0 * s), s))

        return lilith.lower_grad(f, np.zeros(1000), np.ones(1000)).compile().memory()["temporaries"]

    assert memory(100) < memory(10) + 8000


def test_the_same_loop_gives_the_same_program() -> None:
    """What is computed before a loop is handed over in the order of the program, so that compiled programs are found
    again."""

    def loss(W, U, b, x):
        def step(carry, x):
            h, c = carry
            z = W @ x + U @ h + b
            forget, update, output = [1.0 / (1.0 + np.exp(-z[k * 4 : (k + 1) * 4])) for k in range(3)]
            c = forget * c + update * np.tanh(z[12:])
            h = output * np.tanh(c)
            return (h, c), h

        return np.sum(lilith.scan(step, (b[:4], b[:4]), x)[1] ** 2)

    args = [np.ones(shape) for shape in ((16, 3), (16, 4), (16,), (30, 3))]
    assert len({str(lilith.trace_grad(loss, *args)) for _ in range(5)}) == 1
