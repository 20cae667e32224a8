"""In-place assignment: programs of views, aliases and writes against NumPy; gradients, loops, errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy import empty

import lilith
from lilith.ir.interpret import interpret
from lilith.ir.type import TensorType
from lilith.source import IndexingError, LilithWarning
from lilith.testing import check_grads
from lilith.trace import trace_call
from tests.numpy_samples import SUBJECTS

X = np.arange(1.0, 13.0).reshape(3, 4)
PLACES = np.arange(60)
indices = [PLACES]  # what random programs take their indices from: traced where the program is


def outcome(f, *args):
    """What f gives, by the interpreter of its traced graph."""
    types = [TensorType(x.shape, x.dtype) for x in args]
    recorded = trace_call(lambda tracers: f(*tracers), types, ["x"] * len(args), "f")
    recorded.graph.verify()
    return interpret(recorded.graph, args)


# ---- random programs ------------------------------------------------------------------------------------------------


def random_key(r, shape):
    """A basic key for an array of this shape."""
    key = []
    for n in shape[: r.randint(0, len(shape))]:
        kind = r.randint(0, 3)
        if kind == 0 and n:
            key.append(r.randint(-n, n - 1))
        elif kind == 1:
            a, b = sorted([r.randint(0, n), r.randint(0, n)])
            key.append(slice(a, b, r.randint(1, 2)))
        elif kind == 2:
            key.append(slice(None, None, r.choice([-1, -2, 2])))
        else:
            key.append(slice(None))
    if r.random() < 0.2:
        key.insert(r.randint(0, len(key)), None)
    if r.random() < 0.2:
        key.append(Ellipsis)
    return tuple(key) if r.random() < 0.8 or len(key) != 1 else key[0]


def random_view(r, x):
    """A function that gives a view or a copy of an array like x."""
    n = x.ndim
    axes = r.sample(range(n), n)
    key = random_key(r, x.shape)
    column = (x.shape[0], x.size // x.shape[0]) if n and x.shape[0] else None
    choices = [
        lambda y: y[key],
        lambda y: y.T,
        lambda y: np.transpose(y, axes),
        lambda y: y.ravel(),
        lambda y: y.reshape(-1),
        lambda y: y.flatten(),
        lambda y: np.flip(y),
        lambda y: y.copy(),
        lambda y: y * 1.0,
        lambda y: y,
        lambda y: np.expand_dims(y, 0),
        lambda y: np.squeeze(y),
        lambda y: np.atleast_2d(y),
        lambda y: np.asarray(y) if isinstance(y, np.ndarray) else lilith.numpy.asarray(y),
    ]
    if column:
        choices += [lambda y: y.reshape(column), lambda y: y.reshape(column[::-1]), lambda y: np.array_split(y, 2)[0]]
    return r.choice(choices)


def random_write(r, x):
    """A function `(y, other)` that writes to an array like x."""
    key = random_key(r, x.shape)
    rows = [r.randint(0, x.shape[0] - 1) for _ in range(2)] if x.ndim and x.shape[0] else []
    number = float(r.randint(-3, 3))

    def assign(k, v):
        def run(y, other):
            y[k] = v

        return run

    def operate(k, v):
        def run(y, other):
            y[k] += v

        return run

    def double(y, other):
        y *= 2.0

    def shift(y, other):
        y += np.flip(y)

    def from_other(y, other):
        y[...] = other

    def add_other(y, other):
        y -= other

    def masked(y, other):
        y[y > number] = -number

    def out(y, other):
        np.add(y, number, out=y)

    def backwards(y, other):
        if y.ndim:
            y[1:] = y[:-1]

    def at_index(y, other):
        y[(*[slice(None)] * axis, indices[0][place])] += number

    axis = r.randrange(max(x.ndim, 1))
    place = r.randrange(max(x.shape[axis], 1)) if x.ndim else 0
    choices = [
        assign(key, number), operate(key, number), double, shift, from_other, add_other, masked, out, backwards,
        lambda y, other: y.fill(number),
        lambda y, other: np.copyto(y, other),
    ]  # fmt: skip
    if rows and x.size:
        choices += [at_index, at_index]
    if rows:
        choices += [assign(rows, number), operate(rows, number), assign((Ellipsis, 0) if x.shape[-1] else key, number)]
    return r.choice(choices)


def is_array(x):
    return isinstance(x, np.ndarray)


def statements(r, live, count):
    """Statements, planned on NumPy arrays: ("view", name, f) and ("write", name, f, other)."""
    steps = []
    for _ in range(count):
        i = r.randrange(len(live))
        if r.random() < 0.5:
            f = random_view(r, live[i])
            new = f(live[i])
            if is_array(new) and new.size < 60:
                steps.append(("view", i, f))
                live.append(new)
            continue
        fits = [k for k, y in enumerate(live) if y.shape == live[i].shape]
        f, j = random_write(r, live[i]), r.choice(fits)
        f(live[i], live[j])
        steps.append(("write", i, f, j))
    return steps


def perform(step, live):
    if step[0] == "view":
        live.append(step[2](live[step[1]]))
    else:
        step[2](live[step[1]], live[step[3]])


def run(steps, x, snapshot):
    live = [x * 1.0]
    states = []
    for step in steps:
        perform(step, live)
        states.append([snapshot(y) for y in live])
    return states


def is_numpys(f, x):
    """f(x, np.copy), a list of arrays, is the same where x and the indices are traced."""
    expected = f(x.copy(), np.copy)

    def traced(x, places):
        indices[0] = places
        return f(x, lambda y: y.copy())

    try:
        found = outcome(traced, x, PLACES)
    except lilith.TraceError as error:
        assert "order in memory" in str(error)
        return
    finally:
        indices[0] = PLACES
    for a, b in zip(expected, found, strict=True):
        assert a.shape == b.shape and np.allclose(a, b, rtol=1e-13, equal_nan=True)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False), st.sampled_from([(6,), (3, 4), (2, 3, 2), (1, 4)]))
def test_programs_are_numpys(r, shape):
    x = np.arange(1.0, 1.0 + np.prod(shape)).reshape(shape)
    steps = statements(r, [x * 1.0], r.randint(2, 7))
    often = r.random() < 0.7  # else arrays are read at the end only
    states = lambda x, snapshot: run(steps, x, snapshot if often else lambda y: y)  # noqa: E731
    is_numpys(lambda x, snapshot: [y * 1.0 for state in states(x, snapshot)[0 if often else -1 :] for y in state], x)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False), st.sampled_from([(6,), (3, 4), (2, 3, 2), (1, 4)]))
def test_programs_in_loops_are_numpys(r, shape):
    x = np.arange(1.0, 1.0 + np.prod(shape)).reshape(shape)
    live = [x * 1.0]
    before = statements(r, live, r.randint(1, 5))
    count = len(live)
    inside = statements(r, live, r.randint(1, 6))
    del live[count:]
    after = statements(r, live, r.randint(1, 5))
    kind = r.choice(["fori_loop", "scan", "while_loop", "cond", "nested"])

    def f(x, snapshot):
        live = [x * 1.0]
        for step in before:
            perform(step, live)

        def body(i, c):
            own = list(live)
            for step in inside:
                perform(step, own)
            return c

        if snapshot is np.copy:
            for i in range({"cond": 1, "nested": 4}.get(kind, 3)):
                body(i, 0.0)
        elif kind == "fori_loop":
            lilith.fori_loop(0, 3, body, 0.0)
        elif kind == "scan":
            lilith.scan(lambda c, y: (body(0, c), None), 0.0, np.zeros(3))
        elif kind == "while_loop":
            lilith.while_loop(lambda i: i < 3, lambda i: body(i, i + 1), 0)
        elif kind == "cond":
            lilith.cond(indices[0][1] > 0, lambda: body(0, 0.0), lambda: 0.0)
        else:
            lilith.fori_loop(0, 2, lambda i, c: lilith.fori_loop(0, 2, body, c), 0.0)
        for step in after:
            perform(step, live)
        return [snapshot(y) for y in live]

    is_numpys(f, x)


# ---- programs as people write them ----------------------------------------------------------------------------------


def recurrence(x):
    y = x * 1.0
    for i in range(1, 4):
        y[:, i] = np.sin(y[:, i - 1]) * x[:, i]
    return np.sum(y * y)


def triangle(x):
    """The Cholesky factor, element by element."""
    a = x @ x.T + 3 * np.eye(3)
    low = np.zeros_like(a)
    for i in range(3):
        for j in range(i + 1):
            s = a[i, j] - low[i, :j] @ low[j, :j]
            low[i, j] = np.sqrt(s) if i == j else s / low[j, j]
    return np.sum(low**3)


def fancy(x):
    y = x * 2.0
    y[[0, 2, 0]] *= x[[1, 1, 2]]
    y[:, [1, 3]] = x[:, :2] ** 2
    y[np.ix_([0, 1], [2, 3])] += 1.0
    y[y > 30] = 0.5
    y[::2, ::-3] -= x[:2, :2]
    return np.sum(y * np.sin(x))


def rows(x):
    y = x.copy()
    for row in y:
        row *= row[0]
        row[1:] += row[:-1]
    a, b = y[0], y[1]
    y[0], y[1] = y[1], y[0]
    y.T[2] = (a * b)[:3]
    y.flat[3] = y.flat[2]
    return np.sum(y**2)


def outs(x):
    y = np.empty_like(x)
    np.multiply(x, x, out=y)
    np.add(y, 1.0, out=y, where=x > 3)
    np.sum(x, axis=0, out=y[1])
    y[2].fill(2.0)
    np.clip(y, 1.0, 40.0, out=y)
    z = y.reshape(-1)
    z.sort()
    np.fill_diagonal(y, 7.0)
    np.put(y, [3, 5], x[0, :2])
    np.copyto(y[1], x[0], where=x[2] > 10)
    return np.sum(y * x)


PROGRAMS = [recurrence, triangle, fancy, rows, outs]


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_values_and_gradients(f):
    x = np.sin(X * 7) + X
    before = x.copy()
    assert np.allclose(outcome(f, x)[0], f(x.copy()), rtol=1e-13)
    check_grads(f, (x,), order=2 if f in (recurrence, fancy) else 1)
    assert np.array_equal(x, before)


def test_arguments_are_not_changed_and_results_see_later_writes():
    x = X.copy()

    def f(x):
        first = x[0]
        x[0] = 5.0
        x *= 2.0
        return first, x.sum()

    first, total = lilith.jit(f)(x)
    assert np.array_equal(x, X) and np.array_equal(first, [10.0] * 4)
    assert total == 2 * (20.0 + X[1:].sum())


def test_dtypes_stay():
    def f(x):
        y = x.astype(np.float32)
        y += x
        y[0] = 2
        n = np.zeros_like(x, dtype=int)
        n[0] = 2.7
        n[1] = x[1]
        return y, n

    y, n = lilith.jit(f)(X)
    assert y.dtype == np.float32 and n.dtype == np.int64 and n[0, 0] == 2 and n[1, 3] == 8


def test_numbers_do_not_change_and_arrays_without_axes_do():
    def f(x):
        total = x[0, 0]
        same = total
        total += 1.0
        return total, same

    assert lilith.jit(f)(X) == (2.0, 1.0)

    def g(x):
        y = x
        y += 1.0
        return x * 1.0, y * 1.0

    assert lilith.jit(g)(np.ones(())) == (2.0, 2.0)
    assert lilith.jit(g)(1.0) == (1.0, 2.0)


def test_complex_parts():
    def f(x):
        z = x + 1j * x
        z.real[0] = x[1]
        z.imag = 2.0
        z.real *= x
        return z

    z = lilith.jit(f)(X)
    w = X + 1j * X
    w.real[0] = X[1]
    w.imag = 2.0
    w.real *= X
    assert np.array_equal(z, w)


def test_traced_indices():
    def f(x, i, k):
        y = x * 1.0
        y[i, 1:3] = y[i - 1, :2] * x[0, 0]
        y[k] += x[:2]
        y[k, i] = 9.0
        np.add.at(y, k, 1.0)
        return y

    i, k = np.int64(2), np.array([1, 1])
    y = X.copy()
    y[i, 1:3] = y[i - 1, :2] * X[0, 0]
    y[k] += X[:2]
    y[k, i] = 9.0
    np.add.at(y, k, 1.0)
    assert np.array_equal(lilith.jit(f)(X, i, k), y)


ERRORS = {
    "read-only": (lambda x: np.diagonal(x).fill(1.0), lilith.ArgumentError, "read-only"),
    "broadcast": (lambda x: np.broadcast_to(x[0], (3, 4)).__setitem__(0, 1.0), lilith.ArgumentError, "read-only"),
    "number": (lambda x: x[0, 0].__setitem__(Ellipsis, 1.0), lilith.TraceError, "numbers do not change"),
    "shape": (lambda x: x.__setitem__(0, np.ones(3)), lilith.ShapeError, "does not broadcast"),
    "grow": (lambda x: np.add(x, np.ones((2, 3, 4)), out=x), lilith.ShapeError, "keeps its shape"),
    "dtype": (lambda x: np.add(x, 1j, out=x), lilith.DtypeError, "astype"),
    "complex": (lambda x: x.__setitem__(0, 1j), lilith.DtypeError, "real"),
    "mask": (lambda x: x.__setitem__(x > 0, np.ones(12)), lilith.UnsupportedError, r"nonzero\(mask, size=n\)"),
    "bounds": (lambda x: x.__setitem__(3, 1.0), IndexingError, "out of bounds"),
    "fancy bounds": (lambda x: x.__setitem__([0, 3], 1.0), IndexingError, "out of bounds"),
    "order": (lambda x: (x.T + 1.0).ravel().fill(1.0), lilith.TraceError, r"x.copy\(\)"),
    "nested": (
        lambda x: lilith.grad(lambda a: x.__setitem__(0, a), 1.0),
        lilith.TraceError,
        "inside of .*\n.*\n.*return the new elements",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    f, error, text = ERRORS[name]
    with pytest.raises(error, match=text):
        lilith.trace(f, X)


def test_a_captured_array_stays_as_it_is():
    table = np.zeros(4)

    def f(x):
        table[1] = x[0, 0]
        return np.sum(table * x[1])

    with pytest.warns(LilithWarning, match="table .*reads from outside"):
        assert lilith.grad(f, X)[0] == 6.0
    assert np.all(table == 0)


# ---- loops and branches ---------------------------------------------------------------------------------------------


def test_loops_write_to_arrays_from_around_them():
    def f(x, loop):
        y = x * 0.0
        row = y[1:3]

        def body(i, c):
            y[i] = c * x[i]
            row[0] += 1.0
            return c * 2.0 + row[1]

        c = loop(0, 4, body, 1.0)
        return (np.sum(y) + c) * row[0]

    def python_loop(begin, end, body, c):
        for i in range(begin, end):
            c = body(i, c)
        return c

    x = np.array([0.5, -1.0, 2.0, 0.25])
    g = lambda x: f(x, lilith.fori_loop)  # noqa: E731
    assert np.isclose(lilith.jit(g)(x), f(x, python_loop))
    check_grads(g, (x,), order=1)


def test_branches_and_inner_loops_write_to_arrays_from_around_them():
    def f(x):
        y = x * 1.0

        def inner(j, c):
            y[j] *= 1.5
            return c

        def body(i):
            lilith.fori_loop(0, 2, inner, 0.0)
            return i + 1

        def reset():
            y[0] = x[3]
            return np.sum(y)

        s = lilith.cond(x[0] > 0, reset, lambda: y[0])
        n = lilith.while_loop(lambda i: y[1] < 30.0, body, 0)
        return s * np.sum(y) * n

    y = np.array([4.0, 2.0, 3.0, 4.0])
    s, n = y.sum(), 0
    while y[1] < 30.0:
        y[:2] *= 1.5
        n += 1
    x = np.array([1.0, 2.0, 3.0, 4.0])
    assert np.isclose(lilith.jit(f)(x), s * y.sum() * n)
    check_grads(f, (x,), order=1)


# ---- arrays of NumPy's own ------------------------------------------------------------------------------------------


def made(n):
    return np.zeros(n)


def test_plain_arrays_that_are_assigned_traced_values():
    def f(x):
        out, w, h = np.zeros(4), empty(4), made(4)
        index, other = np.array([3, 1, 0, 2]), np.ones(4)
        mask = made(4) == 1
        mask[1] = True
        for i in range(4):
            out[i] = x[i] ** 2
            w[index[i]] = out[i] + other[0]
        h += x
        a = np.array([1.0, 2.0, 3.0, 4.0])[::-1]
        a[1:3] = x[mask]
        np.add(a, x, out=other)
        return np.sum(out * w + h * a * other)

    x = np.array([0.5, -1.0, 2.0, 0.25])
    assert np.isclose(lilith.grad(f, x)[0], f(x))
    check_grads(f, (x,), order=1)


def test_arrays_that_no_traced_value_is_assigned_to_stay_plain():
    def f(x):
        out, other = np.zeros(4), np.ones(4)
        out[:] = x
        if type(other) is np.ndarray:
            other[0] = 3.0
        return np.sum(out * other)

    assert lilith.grad(f, np.ones(4))[0] == 6.0


# ---- all functions --------------------------------------------------------------------------------------------------


def flat(y):
    return [z for part in y for z in flat(part)] if isinstance(y, list | tuple) else [y]


def arguments_filled(f, arrays, plan=()):
    """What f gives, after its arguments (or, where a plan says which, its results) are filled with ones."""
    own = [x.copy() for x in arrays]
    results = flat(f(*own))
    for x in [results[k] for k in plan] or own:
        if x.ndim:
            x.fill(1)
    return results + own


@pytest.mark.parametrize("subject", SUBJECTS)
def test_results_share_memory_where_numpys_do(subject):
    for row in SUBJECTS[subject]:
        own = [x.copy() for x in row.arrays]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = flat(row.function(*own))
        if row.name == "broadcast_arrays":  # NumPy warns of a write to what it gives, here it is an error
            continue
        shared = [isinstance(y, np.ndarray) and any([np.shares_memory(y, x) for x in own]) for y in results]
        plan = [k for k, y in enumerate(results) if shared[k] and y.flags.writeable]
        for chosen in [(), plan] if plan else [()] if any(shared) else []:
            expected = arguments_filled(row.function, row.arrays, chosen)
            found = outcome(lambda *xs, row=row, chosen=chosen: arguments_filled(row.function, xs, chosen), *row.arrays)
            for a, b in zip([x for x in expected if isinstance(x, np.ndarray)], found, strict=False):
                assert np.allclose(a, b, equal_nan=True), row.name
