"""What lilith.numpy refuses, and how it says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lilith
from lilith import random
from lilith.source import (
    ArgumentError,
    DtypeError,
    IndexingError,
    LilithError,
    ShapeError,
    TraceError,
    UnsupportedError,
)
from tests.agreement import (
    V,
    traced,
)

# ---- errors -------------------------------------------------------------------------------------------------------

ERRORS: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "broadcast": (lambda x: x + np.ones(3), ShapeError, r"add: f64\[4\] and f64\[3\] do not broadcast"),
    "matmul": (lambda x: x @ np.ones(3), ShapeError, "matmul: .* do not fit"),
    "reshape": (lambda x: x.reshape(3, -1), ShapeError, "reshape"),
    "concatenate": (lambda x: np.concatenate([x, np.ones((2, 2))]), ShapeError, "concatenate"),
    "stack": (lambda x: np.stack([x, x[:2]]), ShapeError, "stack"),
    "axis": (lambda x: x.sum(axis=3), ShapeError, "axis 3 is out of bounds"),
    "axis twice": (lambda x: x.sum(axis=(0, 0)), ShapeError, "twice"),
    "out": (lambda x: np.add(x, x, out=np.ones(4)), TraceError, "cannot be written"),
    "sum out": (lambda x: np.sum(x, out=np.ones(())), TraceError, "cannot be written"),
    "where option": (lambda x: np.add(x, x, out=None, where=np.ones(4)), DtypeError, "where= must be bool"),
    "casting": (lambda x: np.add(x, x, dtype=int), DtypeError, "add: does not take"),
    "signature": (lambda x: np.add(x, x, signature="dd->d"), UnsupportedError, "signature="),
    "at": (lambda x: np.multiply.at(x, x > 0, 1.0), UnsupportedError, r"multiply\.at .*\n.*\n.*np.add.at"),
    "slice by name": (lambda x: x["a":], IndexingError, "a slice with the bounds 'a'"),
    "no probability": (lambda x: x * random.bernoulli(random.key(0), 1.5), ArgumentError, "p=1.5 is no probability"),
    "reduceat": (lambda x: np.add.reduceat(x, [4]), IndexingError, "index 4 is out of bounds"),
    "reduceat of": (lambda x: np.subtract.reduceat(x, [0]), UnsupportedError, r"subtract\.reduceat"),
    "argument": (lambda x: np.sum(x, axes=1), TypeError, "axes"),
    "method argument": (lambda x: x.sum(axes=1), ArgumentError, "np.sum: .*'axes'"),
    "missing argument": (lambda x: x.swapaxes(0), ArgumentError, "axis2"),
    "sum of a list": (lambda x: np.sum([x[0], x[1]]), TraceError, "np.stack"),
    "np.array": (lambda x: np.array([x[0], x[1]]), TraceError, "np.stack"),
    "object array": (lambda x: x + np.array([None] * 4), DtypeError, "object"),
    "string": (lambda x: np.add(x, "a"), TraceError, "str"),
    "unknown": (lambda x: np.datetime_as_string(x), UnsupportedError, "datetime_as_string"),
    "rfft of complex": (lambda x: np.fft.rfft(x + 1j), DtypeError, r"fft\.rfft: takes real arrays"),
    "fft norm": (lambda x: np.fft.fft(x, norm="none"), ArgumentError, "norm='none'"),
    "fft length": (lambda x: np.fft.fft(x, 0), ShapeError, "at least one point"),
    "fft lengths": (lambda x: np.fft.fftn(x, (2, 3), axes=(0,)), ShapeError, "one length per axis"),
    "unknown function": (lambda x: np.unique(x), UnsupportedError, "unique .*size of the result depends on the values"),
    "dtype by values": (lambda x: np.real_if_close(x), UnsupportedError, "dtype of the result.*\n.*\n.*x.real"),
    "r_": (lambda x: np.r_[x, 1.0], TraceError, "(?s)plain ndarray.*np.concatenate"),
    "astype": (lambda x: x.astype(int, casting="safe"), DtypeError, "no 'safe' cast"),
    "where alone": (lambda x: np.where(x > 0), UnsupportedError, "np.where"),
    "kind": (lambda x: x & 1, DtypeError, "bitwise_and"),
    "bool subtract": (lambda x: (x > 0) - (x > 1), DtypeError, "subtract"),
    "shape": (lambda x: x.reshape(2.5), ArgumentError, "int"),
    "traced shape": (lambda x: np.reshape(x, (x[0], 2)), TypeError, "static"),
    "dtype": (lambda x: x.astype("U3"), DtypeError, "cannot be traced"),
    "longdouble": (lambda x: x + np.longdouble(1), DtypeError, "longdouble"),
    "branch": (lambda x: x if x.sum() > 0 else -x, TraceError, "np.where"),
    "matrix norm": (lambda x: np.linalg.norm(x[None], 3), UnsupportedError, "ord"),
    "einsum size": (lambda x: np.einsum("i,i", x, np.ones(3)), ShapeError, "einsum"),
    "einsum form": (lambda x: np.einsum("i->ij", x), LilithError, "einsum"),
    "order K": (lambda x: np.ravel(x, order="K"), UnsupportedError, "order='K'.*\n.*\n.*order='C'"),
    "order A": (lambda x: x.reshape(2, 2, order="A"), UnsupportedError, "order='A'"),
    "flatten K": (lambda x: x.flatten("K"), UnsupportedError, "order='K'"),
    "order Z": (lambda x: x.ravel("Z"), ArgumentError, "order must be"),
    "rollaxis": (lambda x: np.rollaxis(x, 0, 2), ShapeError, "start 2"),
    "var dtype": (lambda x: np.var(x + 1j, dtype=float), DtypeError, "imaginary"),
    "scalar axis": (lambda x: np.add.reduce(x[0], axis=1), ShapeError, "axis 1"),
    "clip": (lambda x: np.clip(x.astype(np.uint8), -5, -1), OverflowError, "-1 does not fit"),
    "where": (lambda x: np.where(x > 0, 300, x.astype(np.uint8)), OverflowError, "does not fit"),
    "== None": (lambda x: x == None, DtypeError, "with None\n.*\n.*x is None"),  # noqa: E711
    "!= None": (lambda x: x != None, DtypeError, "x is not None"),  # noqa: E711
    "== str": (lambda x: x == "a", DtypeError, "with 'a'"),
    "!= bytes": (lambda x: b"a" != x, DtypeError, "with b'a'"),
    "ptp": (lambda x: x.ptp(), AttributeError, r"call np\.ptp\(x\)"),
    "diff": (lambda x: np.diff(x, n=-1), ArgumentError, "n=-1"),
    "rot90": (lambda x: np.rot90(x[None], 1, (0, -2)), ShapeError, "one axis"),
    "repeat": (lambda x: np.repeat(x, [1, 2]), ShapeError, r"repeats of shape \(2,\)"),
    "negative repeat": (lambda x: np.repeat(x, -1), ArgumentError, "repeats=-1"),
    "pad of nothing": (lambda x: np.pad(x[:0], 1, mode="reflect"), ShapeError, "no element on axis 0"),
    "pad odd": (lambda x: np.pad(x, 9, mode="reflect", reflect_type="odd"), UnsupportedError, "wider than the axis"),
    "pad mode": (lambda x: np.pad(x, 1, mode="clamp"), ArgumentError, "no mode='clamp'"),
    "pad with": (lambda x: np.pad(x, 1, mode=lambda v, w, a, k: v), UnsupportedError, "function as mode"),
    "pad statistic of none": (lambda x: np.pad(x, 1, mode="mean", stat_length=0), ArgumentError, "1 or more"),
    "outer of matrices": (lambda x: np.linalg.outer(x[None], x), ShapeError, "two vectors"),
    "cho_solve": (lambda x: lilith.linalg.cho_solve(x, x), ArgumentError, "takes what cho_factor returns"),
    "reduce": (lambda x: np.subtract.reduce(x), UnsupportedError, "subtract.reduce"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error(name: str) -> None:
    f, kind, text = ERRORS[name]
    with pytest.raises(kind, match=text):
        traced(f, V)


def test_errors_name_the_line() -> None:
    with pytest.raises(ShapeError) as caught:
        traced(lambda x: x + np.ones(3), V)
    assert "test_numpy_errors.py" in str(caught.value) and "hint:" in str(caught.value)


@pytest.mark.parametrize("ord", [None, "nuc", 1, 2, np.inf])
def test_norms_of_nothing(ord: Any) -> None:
    shapes = [(0, 3), (3, 0)] + ([(0,)] if ord != "nuc" else [])
    for shape in shapes:
        assert lilith.jit(lambda x: np.linalg.norm(x, ord))(np.ones(shape)) == 0.0


def test_few_elements() -> None:
    for x in (np.ones(0, np.float32), np.ones(1, np.float32), np.ones(1, int)):
        for f in (np.unwrap, lambda x: np.unwrap(x, period=4)):
            y = lilith.jit(f)(x)
            assert y.dtype == f(x).dtype and np.array_equal(y, f(x))
    assert lilith.jit(lambda x: np.partition(x, 3))(np.ones(0)).shape == (0,)


def test_numbers_that_the_function_captures_are_options_and_list_items() -> None:
    two, infinite, x = 2.0, np.inf, np.arange(6.0).reshape(2, 3) - 2
    for f in (
        lambda x: np.linalg.norm(x, infinite) + np.linalg.norm(x, two) + np.linalg.norm(x[0], infinite),
        lambda x: np.polyval([two, 1.0], x),
        lambda x: np.average(x, axis=0, weights=[two, 1.0]),
    ):
        np.testing.assert_allclose(lilith.jit(f)(x), f(x))
