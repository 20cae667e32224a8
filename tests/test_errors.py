"""What bad input gets: an error of ours with types, the user's line and the remedy; and nothing is changed."""

from __future__ import annotations

import copy
import functools
import math
import os
import pickle
import random
import re

import jax
import numpy as np
import pandas as pd
import pytest
import scipy.linalg

import lilith
from lilith import grad, value_and_grad

X = np.array([1.0, 2.0, 3.0])


def fails(error, match, f, *args, hint="", line=True, **options):
    """Check the error's class, text and hint, and that it names this file."""
    with pytest.raises(error, match=match) as caught:
        grad(f, *args, **options)
    assert isinstance(caught.value, lilith.LilithError)
    text = str(caught.value)
    if line:
        assert re.search(r"at test_errors\.py:\d+ in ", text), text
    assert "hint:" in text and hint in text, text


def test_non_scalar_output():
    fails(lilith.ShapeError, r"f64\[3\], not a scalar", lambda x: x * 2.0, X, hint="cotangent")
    fails(lilith.GradientError, "returns 2 values", lambda x: (np.sum(x), np.sum(x)), X, hint="has_aux")
    fails(lilith.GradientError, "complex", lambda x: np.sum(x * 1j), X, hint="np.abs")
    fails(lilith.GradientError, "i64", lambda x: np.argmax(x), X)


def test_no_differentiable_argument():
    fails(lilith.GradientError, "int", lambda x: x * 2.0, 10, hint="10.0")
    fails(lilith.GradientError, r"i64\[3\]", lambda x: np.sum(x), np.arange(3), hint="astype")
    fails(lilith.GradientError, "no differentiable argument", lambda: 1.0)
    fails(lilith.GradientError, "'n'", lambda x, n: np.sum(x) * n, X, 3, wrt=1, hint="10.0")


def test_shape_mismatch_names_the_line():
    def loss(x, b):
        return np.sum(x + b)

    with pytest.raises(lilith.ShapeError) as caught:
        grad(loss, np.ones(3, np.float32), np.ones(4, np.float32))
    line = loss.__code__.co_firstlineno + 1
    assert str(caught.value).splitlines()[0] == "add: f32[3] and f32[4] do not broadcast"
    assert f"at test_errors.py:{line} in " in str(caught.value) and "return np.sum(x + b)" in str(caught.value)
    fails(lilith.ShapeError, "matmul", lambda x: np.sum(x @ np.ones((2, 2))), X)


def test_unsupported_function_names_near_ones():
    fails(lilith.UnsupportedError, "numpy.array_repr", lambda x: np.array_repr(x), X)
    with pytest.raises(AttributeError, match="summ"):
        grad(lambda x: x.summ(), X)


def test_values_are_not_known():
    fails(lilith.TraceError, r"float\(\)", lambda x: float(x[0]), X, hint="np.sin")
    fails(lilith.TraceError, r"math.sin", lambda x: math.sin(x[0]), X, hint="np.sin")
    fails(lilith.DtypeError, "cannot be an index", lambda x: [1.0, 2.0][x[0]], X, hint=r"int\(x\)")
    fails(lilith.ShapeError, r"int\(\) of f64\[3\]", lambda x: int(x), X)
    fails(lilith.ShapeError, "ambiguous", lambda x: x[0] if x > 0 else 0.0, X, hint="np.any")
    fails(lilith.TraceError, "item", lambda x: x[0].item(), X)


def test_traced_values_in_code_of_libraries():
    """What NumPy does inside of other packages is not seen through."""
    fails(lilith.TraceError, "ndarray|list", lambda x: np.sum(scipy.linalg.block_diag([x[0], x[1]])), X)
    fails(lilith.TraceError, "float()", lambda x: math.sin(x[0]), X, hint="np.sin")


def test_arrays_that_are_not_numbers():
    fails(lilith.DtypeError, "object", lambda x: np.sum(x), np.array([1, "a"], object), line=False)
    fails(lilith.DtypeError, "<U1", lambda x: np.sum(x), np.array(["a", "b"]), line=False)
    fails(lilith.DtypeError, "object", lambda x: np.sum(x * np.array([1, 2, 3], object)), X)


def test_leaked_tracers():
    leaked = []

    def leaking(x):
        leaked.append(x)
        return np.sum(x)

    grad(leaking, X)
    with pytest.raises(lilith.LeakedTracerError, match=r"f64\[3\]|traced array"):
        leaked[0] + 1.0
    fails(lilith.LeakedTracerError, "trace had ended", lambda x: np.sum(x * leaked[0]), X)


def test_writing_into_arrays():
    def assign(x):
        out = np.ndarray(3)  # not seen: a class makes it
        out[0] = x[0]
        return np.sum(out)

    fails(lilith.TraceError, "assigned into a plain ndarray", assign, X, hint="lilith.numpy.zeros")
    fails(lilith.TraceError, "out=", lambda x: np.sum(np.add(x, 1.0, out=np.ndarray(3))), X, hint="y = np.add")
    assert np.all(X == [1, 2, 3])

    def scalar(x):
        total = x[0]
        total += x[1]
        total *= 2.0
        return total

    assert grad(scalar, X)[0] == 6.0


def test_tracers_cannot_be_pickled_or_hashed():
    fails(lilith.TraceError, "pickled", lambda x: pickle.dumps(x), X)
    with pytest.raises(TypeError, match="cannot be a key"):
        grad(lambda x: {x: 1}[x], X)


def test_wrong_cotangents():
    fails(lilith.ShapeError, r"f64\[2\] for a value f64\[3\]", lambda x: x * x, X, cotangent=np.ones(2), hint="(3,)")
    fails(lilith.DtypeError, "f32", lambda x: x * x, X, cotangent=np.ones(3, np.float32), hint="float64")
    fails(lilith.ArgumentError, "structure", lambda x: x * x, X, cotangent=(X, X))
    two = lambda x: {"a": x, "b": 3 * x}  # noqa: E731
    fails(lilith.ArgumentError, "structure", two, X, cotangent={"b": X, "a": X}, hint="same keys")
    fails(lilith.ArgumentError, "structure", two, X, cotangent=[X, X])
    fails(lilith.DtypeError, "no derivative", lambda x: (x, np.argmax(x)), X, cotangent=(X, 1.0), hint="None")
    assert np.all(grad(lambda x: (2 * x, np.argmax(x)), X, cotangent=(np.ones(3), None))[1][0] == 2.0)
    assert np.all(grad(lambda x: 2 * x, X, cotangent=np.ones(3, ">f8"))[1][0] == 2.0)


def test_wrong_options():
    fails(lilith.ArgumentError, "wrt=3", lambda x: np.sum(x), X, wrt=3, line=False)
    fails(lilith.ArgumentError, "without such an argument", lambda x: np.sum(x), X, wrt="y", line=False)
    fails(lilith.ArgumentError, "index, its name", lambda x: np.sum(x), X, wrt=1.5, line=False)
    fails(lilith.ArgumentError, "index, its name", lambda x: np.sum(x), X, wrt=np.array([0]), line=False)
    fails(lilith.ArgumentError, "pair", lambda x: np.sum(x), X, has_aux=True, line=False)

    def named(x, wrt):
        return np.sum(x) * wrt

    fails(lilith.ArgumentError, "option of grad and a parameter", named, X, wrt=0, hint="value_and_grad", line=False)
    assert value_and_grad(named)(X, wrt=2.0)[0] == 12.0
    with pytest.raises(lilith.ArgumentError, match="must be a function"):
        grad(3.0, X)


def test_randomness_is_refused_and_put_back():
    generator = np.random.default_rng(0)
    draws = {
        "np.random": lambda x: np.sum(x * np.random.rand(3)),
        "random": lambda x: np.sum(x) * random.random(),
        "Generator": lambda x: np.sum(x * generator.normal(size=3)),
    }
    for name, f in draws.items():
        before = (random.getstate(), np.random.get_state()[1].tolist(), generator.bit_generator.state)
        fails(lilith.RandomnessError, re.escape(name), f, X, hint="pass them")
        assert before == (random.getstate(), np.random.get_state()[1].tolist(), generator.bit_generator.state)


def test_randomness_that_comes_as_an_argument():
    f = lambda x, r, draw: np.sum(x) * getattr(r, draw)()  # noqa: E731
    for generator in (np.random.default_rng(0), np.random.RandomState(0), random.Random(0), np.random.PCG64(0)):
        draw = next(name for name in ("random", "random_sample", "random_raw") if hasattr(generator, name))
        fails(lilith.RandomnessError, type(generator).__name__, f, X, generator, draw)
    fails(lilith.RandomnessError, "Generator", lambda x, h: np.sum(x) * h(), X, np.random.default_rng(0).random)


def test_generators_made_inside_of_the_function():
    for f in (
        lambda x: np.sum(x * np.random.default_rng().normal(size=3)),
        lambda x: np.sum(x) * random.Random().random(),
        lambda x: np.sum(x) * np.random.RandomState().rand(),
        lambda x: np.sum(x * np.random.default_rng().normal(size=(300, 3))),
    ):
        fails(lilith.RandomnessError, "makes itself", f, X)
    seeded = lambda x: np.sum(x * np.random.default_rng(0).normal(size=3))  # noqa: E731
    assert grad(seeded, X)[0] == seeded(X)


def test_results_that_are_no_numbers():
    fails(lilith.GradientError, "returns NoneType None", lambda x: None, X, hint="floating")
    fails(lilith.GradientError, "returns str 'a'", lambda x: "a", X)


def test_strange_arguments():
    class Metres(float):
        pass

    assert grad(lambda x: x * x, Metres(3.0))[0] == 9.0
    fails(lilith.DtypeError, "key<fry>", lambda x, k: np.sum(x), X, jax.random.key(0), line=False)


def test_pandas_and_cycles():
    fails(lilith.ArgumentError, "s is a pandas.Series", lambda s: np.sum(s), pd.Series([1.0]), hint="s.to_numpy()")
    fails(
        lilith.ArgumentError, "DataFrame", lambda p: np.sum(p["d"]), {"d": pd.DataFrame({"a": [1.0]})}, hint="to_numpy"
    )
    loop: list = [1.0]
    loop.append(loop)
    fails(lilith.ArgumentError, r"contains itself: x\[1\]", lambda p: p[0], loop, line=False)


def test_masked_arrays_and_matrices_are_refused():
    fails(
        lilith.LilithError, "MaskedArray", lambda x: np.sum(x), np.ma.masked_array(X, [True, False, False]), line=False
    )


def test_an_error_of_the_users_own_passes_through():
    def broken(x):
        raise KeyError(os.sep)

    with pytest.raises(KeyError):
        grad(broken, X)
    assert grad(lambda x: np.sum(x), X)[0] == 6.0


def test_traced_arrays_are_no_keys_and_complex_ones_no_integers():
    table = {1.0: 2.0}
    for use in (lambda x: x * table[x], lambda x: x * len({x}), lambda x: functools.cache(lambda y: y)(x)):
        fails(lilith.TraceError, r"traced array \(f64\[\]\) cannot be a key", use, 1.0, hint="int(x)")
    fails(lilith.DtypeError, r"c128\[\]", lambda z: np.real(z) * int(z), 1 + 1j, hint="int(x.real)")


def test_a_traced_length_of_arange():
    for f in (lambda x, n: np.sum(x * np.arange(n)), lambda x, n: np.sum(x * np.arange(int(n)))):
        value, _ = grad(f, X, np.array(3))
        assert value == 8.0


def test_structures_are_shown_as_they_are_written():
    fails(
        lilith.ArgumentError,
        "{'c': 'array'} is not the value's, {'a': 'array'}",
        lambda x: {"a": x},
        X,
        cotangent={"c": X},
    )


def test_errors_travel_to_other_processes():
    with pytest.raises(lilith.ShapeError) as raised:
        lilith.grad(lambda x: x, np.ones(3))
    for error in (pickle.loads(pickle.dumps(raised.value)), copy.copy(raised.value)):
        assert type(error) is lilith.ShapeError and str(error) == str(raised.value)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
