"""The smallest cut: against trying every choice, and known answers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lilith
from lilith.ir import TensorType, Value, primitive
from lilith.transform.cut import smallest_cut


def _can(kept, nodes, needed, sources, available) -> bool:
    """Whether all that is needed can be computed from what is kept and available."""
    known = {*kept, *available}
    for node in nodes:
        if not any(y in sources for y in node.results) and known.issuperset(node.operands):
            known.update(node.results)
    return known.issuperset(needed)


def _cost(kept, pairs) -> int:
    """Bytes per step; the two ends of a carry are one."""
    names = {}
    for before, after in pairs:
        names[after] = before
    return sum(x.type.nbytes for x in {names.get(x, x) for x in kept})


def _closed(kept, pairs):
    """Keeping one end of a carry keeps the other."""
    both = set(kept)
    for pair in pairs:
        if not both.isdisjoint(pair):
            both.update(pair)
    return both


@st.composite
def bodies(draw):
    """Random bodies: inputs (free ones and carries), nodes of different sizes, some of them expensive."""
    sizes = st.integers(1, 9)

    def value():
        return Value(TensorType((draw(sizes),), np.dtype("f8")))

    carries = [value() for _ in range(draw(st.integers(1, 2)))]
    free = [value() for _ in range(draw(st.integers(0, 2)))]
    values, nodes, sources = [*carries, *free], [], set(carries)
    for _ in range(draw(st.integers(1, 7))):
        operands = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
        result = value()
        nodes.append(lilith.ir.Node(primitive("sin"), tuple(operands), {}, (result,), None))
        values.append(result)
        if draw(st.integers(0, 3)) == 0:
            sources.add(result)
    made = [y for node in nodes for y in node.results]
    pairs = []
    for before in carries:
        fitting = [y for y in made if y not in [a for _, a in pairs]]
        after = draw(st.sampled_from(fitting)) if fitting and draw(st.booleans()) else before
        if after is not before:
            after.type = before.type
        pairs.append((before, after))
    needed = draw(st.lists(st.sampled_from(values), min_size=1, max_size=4, unique=True))
    return nodes, needed, sources, pairs, free


@settings(max_examples=150, deadline=None)
@given(bodies())
def test_no_choice_is_cheaper(body):
    nodes, needed, sources, pairs, free = body
    found = smallest_cut(nodes, needed, sources, pairs)
    assert _can(_closed(found, pairs), nodes, needed, sources, free)
    candidates = [*{x for pair in pairs for x in pair}, *[y for n in nodes for y in n.results]]
    candidates = list(dict.fromkeys(candidates))
    least = min(
        _cost(kept, pairs)
        for count in range(len(candidates) + 1)
        for kept in itertools.combinations(candidates, count)
        if _can(_closed(kept, pairs), nodes, needed, sources, free)
    )
    assert _cost(found, pairs) == least


# ---- known answers --------------------------------------------------------------------------------------------------


def stacks(f, *args) -> list[str]:
    """The types of what the first scan of the gradient stacks."""
    graph = lilith.trace_grad(f, *args)
    node = next(node for node in graph.nodes if node.primitive.name == "scan")
    return [repr(r.type) for r in node.results[node.params["carries"] :]]


def test_a_tanh_rnn_keeps_only_its_state():
    def rnn(W, U, b, h, xs):
        return np.sum(lilith.scan(lambda h, x: (np.tanh(h @ W + x @ U + b), None), h, xs)[0])

    W, U, b = np.ones((4, 4)), np.ones((3, 4)), np.ones(4)
    assert stacks(rnn, W, U, b, np.ones((2, 4)), np.ones((10, 2, 3))) == ["f64[10,2,4]"]


def test_runge_kutta_keeps_only_the_carry():
    def flow(y, a):
        def slope(y):
            return a * y * (1.0 - y * y)

        def step(i, y):
            k1 = slope(y)
            k2 = slope(y + 0.05 * k1)
            k3 = slope(y + 0.05 * k2)
            k4 = slope(y + 0.1 * k3)
            return y + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

        return np.sum(lilith.fori_loop(0, 20, step, y))

    assert stacks(flow, np.ones(5), np.ones(5)) == ["f64[20,5]"]


def test_slow_functions_are_kept_where_memory_is_small():
    def f(y):
        return np.sum(lilith.fori_loop(0, 20, lambda i, y: y + 0.1 * np.exp(-y * y), y))

    assert stacks(f, np.ones(5)) == ["f64[20,5]"] * 2
    assert stacks(f, np.ones(100_000)) == ["f64[20,100000]"]


def test_nothing_is_kept_where_nothing_is_read():
    def linear(c, xs, a):
        return np.sum(lilith.scan(lambda c, x: (c * a[0] + x, None), c, xs)[0])

    W = np.ones(3)
    graph = lilith.trace_grad(lambda c, xs: linear(c, xs, W), np.ones(3), np.ones((5, 3)), wrt=(0, 1))
    first = next(node for node in graph.nodes if node.primitive.name == "scan")
    assert len(first.results) == 1


def test_constants_are_not_stacked():
    def f(x, W):
        return np.sum(lilith.scan(lambda c, _: (c * c * np.exp(W), None), x, length=7)[0])

    assert stacks(f, np.ones(3), np.ones(3)) == ["f64[7,3]"]


def test_the_smaller_of_two_is_kept():
    """A product is not computed again: either it is kept, or the small sum that is all the way back reads."""

    def f(x, W):
        def step(c, row):
            inner = np.sum(row * (W @ c))
            return c * (1.0 - inner * inner), None

        return np.sum(lilith.scan(step, x, np.ones((5, 4)))[0])

    kept = stacks(f, np.ones(4), np.ones((4, 4)))
    assert sorted(kept) == ["f64[5,4]", "f64[5]"]


def test_a_product_without_the_carry_is_one_product():
    def f(W, h, xs):
        return np.sum(lilith.scan(lambda h, x: (np.tanh(h + x @ W), h @ W), h, xs)[1])

    graph = lilith.trace_grad(f, np.ones((4, 4)), np.ones((2, 4)), np.ones((6, 2, 4)))
    loops = [node for node in graph.nodes if node.primitive.name == "scan"]
    assert len(loops) == 2
    for loop in loops:
        assert all(node.primitive.name != "dot_general" for node in loop.params["body"].nodes)


def test_the_gradient_of_a_matrix_is_contracted_once():
    def f(W, h):
        return np.sum(lilith.scan(lambda h, _: (np.tanh(h @ W), None), h, length=6)[0])

    graph = lilith.trace_grad(f, np.ones((4, 4)), np.ones((2, 4)))
    (outside,) = [node for node in graph.nodes if node.primitive.name == "dot_general"]
    assert outside.params["batch"] == ((), ()) and outside.results[0].shape == (4, 4)
    assert len(outside.params["contract"][0]) == 2


def test_a_loop_that_reads_by_its_index_scans():
    """No step adds to an array of x's size."""

    def f(x):
        return lilith.fori_loop(0, 200_000, lambda i, c: np.sin(c * x[i + 1]) + x[200_000 - i], 0.5)

    graph = lilith.trace_grad(f, np.ones(200_001))
    for node in graph.nodes:
        if node.primitive.name == "scan":
            body = node.params["body"]
            assert all(y.type.size == 1 for inner in body.nodes for y in inner.results)
            assert node.params["constants"] == 0


def test_large_sums_without_products_stay_in_the_loop():
    def f(x):
        return np.sum(lilith.fori_loop(0, 100, lambda i, y: y + 0.1 * np.sin(x * y), x))

    graph = lilith.trace_grad(f, np.ones(100_000))
    way_back = [node for node in graph.nodes if node.primitive.name == "scan"][1]
    assert len(way_back.results) == way_back.params["carries"]


def test_a_small_loop_stays_whole():
    """Nothing is done for all steps at once before or after it: that would cost more than it saves."""

    def f(y, rows):
        return np.sum(lilith.scan(lambda y, x: (0.5 * y + np.sin(x) * np.exp(x), None), y, rows)[0])

    def work_outside(n):
        graph = lilith.trace_grad(f, np.ones(n), np.ones((200, n)), wrt=0)
        return [node for node in graph.nodes if node.primitive.name == "sin"]

    assert not work_outside(3) and work_outside(4000)


def test_a_long_recurrence_stays_whole():
    """Where most of a step takes part in the recurrence little is gained by what could leave it."""

    def f(y, rows):
        return np.sum(lilith.scan(lambda y, x: (np.tanh(np.tanh(np.tanh(y * x))) + np.sin(x), None), y, rows)[0])

    graph = lilith.trace_grad(f, np.ones(2000), np.ones((200, 2000)), wrt=0)
    assert not [node for node in graph.nodes if node.primitive.name == "sin"]


@pytest.mark.parametrize("length", [0, 1])
def test_short_loops(length):
    def f(W, h):
        return np.sum(lilith.scan(lambda h, _: (np.tanh(h @ W), h @ W), h, length=length)[0])

    value, g = lilith.grad(f, 0.1 * np.ones((2, 2)), np.ones(2))
    assert value == pytest.approx(2.0 if length == 0 else 2 * np.tanh(0.2))
    assert g[0].sum() == pytest.approx(0.0 if length == 0 else 4 * (1 - np.tanh(0.2) ** 2))
