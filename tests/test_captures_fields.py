"""Namedtuples of which code reads some fields only; functions of Lilith's own."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import pytest

import lilith
from lilith import grad
from lilith.captures import scan, substitute


class Settings(NamedTuple):
    rate: Any
    weights: Any
    helper: Any = None

    @property
    def twice(self) -> Any:
        return 2.0 * self.rate

    def scaled(self, x: Any) -> Any:
        return self.weights * x


def fresh(**new: Any) -> Settings:
    return Settings(**{"rate": 0.5, "weights": np.array([1.0, 2.0]), **new})


def names(f: Any) -> set[str]:
    return set(scan(f).names)


def test_only_the_fields_that_code_names_are_read() -> None:
    s = fresh()
    assert names(lambda x: x * s.rate) == {"s.rate"}
    assert names(lambda x: x * s.rate * s.weights) == {"s.rate", "s.weights"}
    assert names(lambda x: [x * s.rate, [x * s.weights for _ in range(2)]]) == {"s.rate", "s.weights"}

    def make(s: Settings) -> Any:
        return lambda x: x * s.rate

    plan = scan(make(s)).plan
    assert plan.read(make(fresh(rate=0.7, weights="not an array", helper=object()))) == [0.7]
    assert plan.read(make(s._replace(rate=1))) is None


USES = [
    lambda s: lambda x: x * s.rate * s[1],
    lambda s: lambda x: x * s.rate * sum(s[:1]) * tuple(s)[1],
    lambda s: lambda x: x * s.rate * s._asdict()["weights"],
    lambda s: lambda x: x * s._replace(rate=2.0).weights,
    lambda s: lambda x: x * getattr(s, "weights") * s.rate,  # noqa: B009
    lambda s: lambda x: x * s.rate * locals()["s"].weights,
    lambda s: lambda x: s.scaled(x) * s.rate,
    lambda s: lambda x: x * s.twice * s.weights,
    lambda s: lambda x: (lambda t: x * t.weights * t.rate)(s),
    lambda s: lambda x, t=s: x * t.weights * s.rate,
    lambda s: functools.partial(lambda t, x: x * t.weights * s.rate, s),
]


@pytest.mark.parametrize("make", USES)
def test_any_other_use_reads_it_all(make: Any) -> None:
    """A change of any field that the function may read is seen."""
    s = fresh()
    found = names(make(s))
    assert {name.rpartition(".")[2] for name in found} >= {"rate", "weights"}
    f = make(s)
    captures = scan(f)
    zero = substitute(f, captures, [0.0 * leaf for leaf in captures.leaves])
    np.testing.assert_array_equal(zero(np.ones(2)), np.zeros(2))
    assert (f(np.ones(2)) != 0.0).all()


def test_two_functions_that_read_different_fields_of_one() -> None:
    s = fresh(helper=3)

    def first(x: Any) -> Any:
        return x * s.rate

    def second(x: Any) -> Any:
        return x * s.weights + s.helper

    def fields(f: Any) -> list[str]:
        return sorted(name.rpartition(".")[2] for name in scan(f).names)

    holder = [s]
    assert fields(first) == ["rate"]
    assert fields(lambda x: first(x) + second(x)) == ["rate", "weights"]
    assert fields(lambda x: first(x) + holder[0].weights) == ["rate", "weights"]
    assert fields(lambda x: holder[0].weights + first(x)) == ["rate", "weights"]


class Derived(Settings):
    """A field's name stands for something else."""

    @property
    def rate(self) -> Any:  # type: ignore[override]
        return self.weights

    def __getattr__(self, name: str) -> Any:
        return self[0]


def test_a_field_whose_name_the_class_has_taken_for_something_else() -> None:
    s = Derived(rate=0.5, weights=np.array([1.0, 2.0]))
    loss = lambda x: np.sum(x * s.rate)  # noqa: E731
    np.testing.assert_array_equal(grad(loss, np.ones(2))[1][0], [1.0, 2.0])
    s = Derived(rate=0.5, weights=np.array([3.0, 4.0]))
    np.testing.assert_array_equal(grad(loss, np.ones(2))[1][0], [3.0, 4.0])
    s.weights[0] = 7.0
    np.testing.assert_array_equal(grad(loss, np.ones(2))[1][0], [7.0, 4.0])


STATE = fresh()


def test_a_global_one() -> None:
    global STATE

    def loss(x: Any) -> Any:
        return np.sum(x * STATE.weights)

    for weights in (np.ones(2), np.array([3.0, 4.0]), np.ones(2)):
        STATE = fresh(weights=weights)
        np.testing.assert_array_equal(grad(loss, np.ones(2))[1][0], weights)


def test_a_result_that_holds_it() -> None:
    s = fresh()
    compiled = lilith.jit(lambda x: (x * s.rate, s))
    _, held = compiled(np.ones(2))
    assert type(held) is Settings and held.rate == 0.5
    np.testing.assert_array_equal(held.weights, s.weights)


def test_functions_of_lilith_are_known_by_what_they_are() -> None:
    """Those that hold a function of the user's are not."""
    assert scan(lambda x: lilith.while_loop(lambda c: c < 3.0, lambda c: c + x, x)).leaves == []
    scale = np.array(2.0)
    held = lilith.value_and_grad(lambda x: scale * x)
    captures = scan(lambda x: held(x)[0])
    assert [leaf is scale for leaf in captures.leaves] == [True]
    assert grad(lambda x: held(x)[0] + held(x)[1][0], 3.0)[1][0] == 2.0
