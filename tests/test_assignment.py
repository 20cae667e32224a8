"""Programs that assign in place, as people write them with plain NumPy arrays: values and gradients are NumPy's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import lilith
from lilith.config import config

X = np.array([0.5, -1.0, 2.0, 0.25])
M = np.arange(12.0).reshape(3, 4) / 7 + 0.3


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
    """Node by node in NumPy: nothing here is about XLA."""
    monkeypatch.setattr(config, "interpret", True)


def parts(y):
    return [z for part in y for z in parts(part)] if isinstance(y, list | tuple) else [y]


def weighted(y):
    """A sum in which every element counts in its own way."""
    total = 0.0
    for z in parts(y):
        total = total + np.sum(np.real(z) * np.cos(np.arange(np.size(z)).reshape(np.shape(z))))
        total = total + np.sum(np.imag(z) * np.sin(np.arange(np.size(z)).reshape(np.shape(z)) + 1.0))
    return total


def differences(f, x, step=1e-6):
    g = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        high, low = x.copy(), x.copy()
        high[i] += step
        low[i] -= step
        g[i] = (weighted(f(high)) - weighted(f(low))) / (2 * step)
    return g


def is_numpys(f, x, gradient=True):
    """f gives what it gives in NumPy, leaves its argument alone, and its gradient is that of finite differences."""
    before = x.copy()
    found, expected = parts(lilith.jit(f)(x)), parts(f(x.copy()))
    assert np.array_equal(x, before)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert np.shape(a) == np.shape(b) and np.asarray(a).dtype == np.asarray(b).dtype
        assert np.allclose(a, b, rtol=1e-12, atol=1e-12)
    if gradient:
        _, g = lilith.grad(lambda x: weighted(f(x)), x)
        assert np.allclose(g[0], differences(f, x), rtol=1e-5, atol=1e-6)


# ---- elements by x.flat, x.real, x.imag -----------------------------------------------------------------------------


def flat(x):
    a, b, c = np.zeros(4), np.zeros((2, 2)), np.zeros((2, 2))
    a.flat[2] = x[0]
    a.flat[0] += x[1]
    b.flat[1:3] = x[:2]
    c.flat = x
    c.flat[[0, 3]] = x[2]
    return a, b, c, sum(v**2 for v in b.flat), len(c.flat)


def complex_parts(x):
    a, b = np.zeros(4, complex), np.ones(4, complex)
    a.real = x
    a.imag = x**2
    b.real[1] = x[2]
    b.imag[::2] -= x[0]
    b[0] = x[0] * 1j
    b[3] = x[1]
    return a * a, b * a


# ---- arrays that grow -----------------------------------------------------------------------------------------------


def grow(x):
    a, b, c = np.empty((0,)), np.array([]), np.empty((0, 2))
    for i in range(3):
        a = np.concatenate([a, [x[i]]])
        b = np.append(b, x[i] ** 2)
        c = np.vstack([c, [x[i], x[i + 1]]])
    return a, np.append(b, [x[0], 2.0]), c, np.hstack([x[0], [x[1], 1.0], b])


def lists(x):
    return (
        np.concatenate([[x[0], 1.0], [x[1]], x]),
        np.stack([[x[0], 1.0], [x[1], x[2]]]),
        np.block([[x[0], 1.0], [x[1], x[2]]]),
        np.insert(np.zeros(3), [1, 2], [x[0], x[1]]),
        x * [x[0], 1.0, x[1], 2.0] + np.add([1, x[2], 3, 4], x),
    )


# ---- functions that write -------------------------------------------------------------------------------------------


def ufuncs_at(x):
    y, z = np.ones(4), x * 1.0
    np.multiply.at(y, [0, 0, 1], x[0, :3])
    np.maximum.at(y, [2], x[1, 0])
    np.power.at(z, ([0, 0, 2], [1, 1, 3]), x[0, :3])
    np.negative.at(z, [0, 0, 0])
    np.divide.at(z, slice(0, 2), 2.0)
    np.multiply.at(z, np.array([True, False, True]), x[:2])
    np.multiply.at(z, (slice(None), [1, 1]), x[:, :1])
    return y, z


def enumerated(x):
    y = np.zeros((3, 4))
    for i, v in np.ndenumerate(x):
        y[i] = v**2
    for i, v in np.ndenumerate(np.eye(3)):
        y[i] += v
    return y


# ---- views whose memory was written to ------------------------------------------------------------------------------


def stale(x):
    y = x.ravel() * 1.0
    v = y[1:]
    y[0] = 5.0
    s = np.sum(v)  # v is read again
    w = v[::-1]
    y[2] = 100.0
    w[np.argmax(x[0]) - 3] = x[1, 1]
    return y, s, w


# ---- bodies of loops and branches -----------------------------------------------------------------------------------


class Plain:
    """What the loops mean."""

    @staticmethod
    def fori_loop(low, high, body, carry):
        for i in range(low, high):
            carry = body(i, carry)
        return carry

    @staticmethod
    def scan(f, carry, rows):
        found = []
        for row in rows:
            carry, y = f(carry, row)
            found.append(y)
        return carry, np.stack(found)

    @staticmethod
    def cond(flag, first, second):
        return first() if flag else second()


def loops(x):
    return lilith if isinstance(x, lilith.Tracer) else Plain


def views_in_loops(x):
    y = x * 1.0
    v, w = y.T[1], y[1:, ::-1]

    def body(i, c):
        v[i] += c
        w[0, i] *= v[i]
        row, line = y[i], y.reshape(-1)
        row[1:] += row[:-1]
        line[i] += 1.0
        y[i] -= 0.1 * w[1]
        y[i, ::2] *= 0.5
        return c * 0.9 + v[i]

    c = loops(x).fori_loop(0, 3, body, 0.5)
    y = y + 1.0
    v[0] = 7.0
    return y, v, w, c


def tables_in_loops(x):
    n, flags, y = np.zeros(4, int), np.zeros(4, bool), np.zeros(4)
    table, order = np.array([1.0, 2.0, 4.0, 8.0]), np.array([3, 1, 2, 0])

    def body(i, c):
        n[i] = n[i - 1] + i
        flags[i] = x[i] > 0
        y[i - 4] = n[i] * x[order[i]]
        return c + table[i] * x[order[i]] * table[order[i]]

    return loops(x).fori_loop(0, 4, body, 0.0), n, flags, y


def nested_loops(x):
    y, total, count = np.zeros((3, 4)), np.zeros(()), np.zeros(4)

    def outer(i, c):
        def inner(j, d):
            y[i, j] = d * x[i, j]
            total[...] = total + y[i, j]
            return d * 0.9 + 0.1 * total

        return loops(x).fori_loop(0, 4, inner, c)

    def step(c, row):
        count[:] = count + row
        loops(x).cond(row[0] > 1.0, lambda: y[0].sort(), lambda: y[1].fill(c))
        return c + np.sum(row * count), row * c

    c = loops(x).fori_loop(0, 3, outer, 1.0)
    return y * 1.0, c, total * 1.0, loops(x).scan(step, 0.0, x), y, count


LOOPS = [(stale, M), (views_in_loops, M), (tables_in_loops, X), (nested_loops, M)]
PROGRAMS = [*LOOPS, (flat, X), (complex_parts, X), (grow, X), (lists, X), (ufuncs_at, M), (enumerated, M)]


@pytest.mark.parametrize(("f", "x"), PROGRAMS, ids=lambda p: getattr(p, "__name__", ""))
def test_programs(f, x):
    is_numpys(f, x)


# ---- arrays of ints -------------------------------------------------------------------------------------------------


def counts(x):
    c, d = np.zeros(4, int), np.zeros(3, bool)
    c[0] = 3 * x[2]
    c[1:3] = 7 * x[:2]
    d[0] = x[0] > 0
    d[1] = x[1]
    return c, d


def drawn_counts(x):
    c = np.random.RandomState(0).randint(5, size=4)  # nobody can see where it is made
    c[0] = 3 * x[2]
    return c


def test_arrays_of_ints_cut_off_fractions_and_end_gradients():
    is_numpys(counts, X, gradient=False)
    is_numpys(drawn_counts, X, gradient=False)
    is_numpys(counts, X + 3.3, gradient=False)
    assert "path" not in lilith.explain_cache(counts)  # one program for all values
    _, g = lilith.grad(lambda x: np.sum(counts(x)[0] * x[3]), X)
    assert np.array_equal(g[0], [0, 0, 0, np.sum(counts(X)[0])])
    _, g = lilith.grad(lambda x: np.sum(counts(x)[0] * 2.0), X)
    assert "conversion to int64 has no derivative" in g.why("x")


# ---- errors ---------------------------------------------------------------------------------------------------------


def drawn(x):
    y = np.random.RandomState(0).rand(4)
    y.flat[2] = x[0, 0]
    return y


def shuffled(x):
    y = x * 1.0
    np.random.RandomState(0).shuffle(y)
    return y


def reshaped_in_loop(x):
    y = x.T + 1.0

    def body(i, c):
        y.reshape(-1)[i] = c
        return c

    return lilith.fori_loop(0, 3, body, 0.0)


ERRORS = {
    "no stand-in": (drawn, lilith.TraceError, r"in drawn:.*\n.*lilith.numpy.zeros"),
    "rows": (shuffled, lilith.UnsupportedError, r"in shuffled:.*\n.*permutation\(len\(x\)\)"),
    "axis": (lambda x: np.random.default_rng(0).shuffle(x, axis=1), lilith.UnsupportedError, "np.take"),
    "nditer": (lambda x: sum(np.nditer(x)), lilith.UnsupportedError, "np.ndindex"),
    "shape": (lambda x: setattr(x, "shape", (12,)), lilith.UnsupportedError, r"x.reshape\(\(12,\)\)"),
    "order": (lambda x: (x[:, [0, 1]] * 2.0).ravel().fill(1.0), lilith.TraceError, r"x.copy\(\)"),
    "order in a loop": (reshaped_in_loop, lilith.TraceError, r"in body:.*\n.*x.copy\(\)"),
    "traced at": (
        lambda x: np.multiply.at(x, np.argmax(x, axis=0), 2.0),
        lilith.UnsupportedError,
        "np.add.at and np.subtract.at take them",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    f, error, text = ERRORS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of what it shuffles
        with pytest.raises(error, match=text):
            lilith.trace(f, M)


def test_elements_are_shuffled():
    def f(x):
        y = x * 2.0
        np.random.RandomState(0).shuffle(y)
        return y

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        is_numpys(f, X)
