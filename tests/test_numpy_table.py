"""The table: every name of NumPy and of the Array API is supported, with samples, or has a reason why it is not.

The rows of `tests/numpy_samples` are compared with NumPy: value, dtype and shape, interpreted and compiled by XLA; the
value in float32 and bfloat16; derivatives to the second order with finite differences in float64.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import lilith
from lilith.ir import Graph
from lilith.ir.interpret import interpret
from lilith.numpy.refused import NOT_MEANINGFUL
from lilith.transform.reverse import reverse
from lilith.transform.simplify import simplify
from tests.agreement import BF16, agrees, evaluate, leaves, traced
from tests.compiled import run_xla, together
from tests.numpy_samples import SUBJECTS, Row
from tests.numpy_samples.names import ARRAY_API, PENDING, numpy_names, value_of

ROWS = [(subject, i, row) for subject, rows in SUBJECTS.items() for i, row in enumerate(rows)]
CASES = [pytest.param(row, id=f"{subject}-{i}-{row.name}") for subject, i, row in ROWS]
NARROW = [case for case in CASES if case.values[0].narrow]
SMOOTH = [case for case in CASES if case.values[0].smooth]

# ---- names ----------------------------------------------------------------------------------------------------------


def sampled() -> set[int]:
    """The functions that rows are about, by identity: np.acos is np.arccos."""
    found = set()
    for _, _, row in ROWS:
        base = row.name.rpartition(".")[0]
        method = base and isinstance(value_of(base), np.ufunc)  # add.reduce is about np.add
        found.add(id(value_of(base if method else row.name)))
    return found


def test_every_name_is_supported_or_has_a_reason(capsys: pytest.CaptureFixture) -> None:
    names, supported = set(numpy_names()), set(lilith.numpy.supported())
    meaningless = names & NOT_MEANINGFUL.keys()
    missing = names - supported - meaningless - PENDING
    with capsys.disabled():
        print(
            f"\nnumpy: {len(names & supported)} names supported, {len(meaningless)} not meaningful on traced arrays, "
            f"{len(missing) + len(PENDING & names - supported)} missing"
        )
    assert not missing, sorted(missing)


def test_no_name_is_listed_twice() -> None:
    supported = set(lilith.numpy.supported())
    assert not supported & NOT_MEANINGFUL.keys()
    assert not supported & PENDING, "these are done"


def test_every_supported_name_has_a_sample() -> None:
    have = sampled()
    without = [name for name in lilith.numpy.supported() if id(value_of(name)) not in have]
    assert not without


def test_the_array_api_is_there() -> None:
    """Every name of the standard is in lilith.numpy; every function is supported or has a reason."""
    for name in ARRAY_API:
        found: Any = lilith.numpy
        for part in name.split("."):
            found = getattr(found, part)
    functions = {name for name in ARRAY_API if name in numpy_names()}
    assert not functions - set(lilith.numpy.supported()) - NOT_MEANINGFUL.keys() - PENDING


# ---- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", CASES)
def test_value_dtype_and_shape(row: Row) -> None:
    agrees(row.function, *row.arrays)


def narrowed(row: Row, dtype: np.dtype) -> list[np.ndarray]:
    """The row's arrays with less precision; complex ones with less in both parts."""
    small = {"f": dtype, "c": np.dtype(np.complex64)}
    return [x.astype(small.get(x.dtype.kind, x.dtype)) for x in row.arrays]


def assert_near(found: Sequence[np.ndarray], expected: Sequence[Any], tolerance: float, name: str) -> None:
    """Equal shapes, and numbers that differ by `tolerance` of the largest one."""
    assert len(found) == len(expected), name
    for y, z in zip(found, map(np.asarray, expected), strict=True):
        assert y.shape == z.shape, name
        wide = np.complex128 if z.dtype.kind == "c" else np.float64
        size = np.max(np.abs(z[np.isfinite(z)]).astype(float), initial=1.0)
        np.testing.assert_allclose(y.astype(wide), z.astype(wide), rtol=tolerance, atol=tolerance * size, err_msg=name)


def numpys(row: Row, arrays: Sequence[np.ndarray]) -> list[Any]:
    """What NumPy gives."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return leaves(row.function(*arrays))


@pytest.mark.parametrize("row", NARROW)
def test_value_in_float32(row: Row) -> None:
    agrees(row.function, *narrowed(row, np.dtype(np.float32)), tolerance=row.float32)


@pytest.mark.parametrize("row", [case for case in CASES if case.values[0].bfloat16])
def test_value_in_bfloat16(row: Row) -> None:
    """Against NumPy in float64: of the same numbers, with the digits that bfloat16 has."""
    small = narrowed(row, BF16)
    wide = [x.astype(y.dtype) for x, y in zip(small, row.arrays, strict=True)]
    assert_near(evaluate(row.function, *small), numpys(row, wide), 0.04, row.name)


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, BF16], ids=["float64", "float32", "bfloat16"])
def test_compiled(subject: str, dtype: Any) -> None:
    """XLA gives the values too; the rows of a subject are one program."""
    wide = dtype is np.float64
    rows = [row for row in SUBJECTS[subject] if row.compiled and (wide or row.narrow)]
    rows = [row for row in rows if dtype != BF16 or row.bfloat16]
    arrays = [list(row.arrays) if wide else narrowed(row, np.dtype(dtype)) for row in rows]
    graphs = [traced(row.function, *xs)[0] for row, xs in zip(rows, arrays, strict=True)]
    program = simplify(together(subject, graphs)).verify()
    found = iter(run_xla(program, [x for xs in arrays for x in xs]))
    for row, graph, xs in zip(rows, graphs, arrays, strict=True):
        ours = [next(found) for _ in graph.outputs]
        if dtype == BF16:
            xs = [x.astype(y.dtype) for x, y in zip(xs, row.arrays, strict=True)]
        expected = numpys(row, xs)
        if dtype != BF16:
            assert [y.dtype for y in ours] == [np.asarray(z).dtype for z in expected], row.name
        tolerance = 1e-11 if wide else 0.04 if dtype == BF16 else 10 * row.float32
        assert_near(ours, expected, tolerance, row.name)


# ---- derivatives ----------------------------------------------------------------------------------------------------


def weighted_sum(row: Row, *xs: Any) -> Any:
    """The sum of the results' sines with different weights, so that misplaced cotangents are seen."""
    total: Any = 0.0
    for y in leaves(row.function(*xs)):
        parts = (np.real(y), np.imag(y)) if np.iscomplexobj(y) else (y,)
        for part in parts:
            part = np.ravel(part)
            total = total + np.sum(np.sin(part) * np.linspace(1, 2, part.size))
    return total


def random_like(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    direction = np.asarray(rng.normal(size=x.shape))
    return direction + 1j * rng.normal(size=x.shape) if x.dtype.kind == "c" else direction


def product(xs: Sequence[np.ndarray], ys: Sequence[np.ndarray]) -> float:
    """Re Σ x y, in which the cotangent of a real loss gives its change."""
    return float(sum(np.real(np.sum(x * y)) for x, y in zip(xs, ys, strict=True)))


def check_along(graph: Graph, values: list[np.ndarray], wanted: Sequence[int], rng: np.random.Generator) -> None:
    """The derivative of Σ Re v y along a random direction of all wanted inputs, against a five-point difference."""
    cotangents = [random_like(np.empty(y.shape, y.dtype), rng) for y in graph.outputs]
    count = len(graph.outputs)
    found = interpret(reverse(graph, wanted).verify(), [*values, *cotangents])[count:]
    directions = [random_like(values[i], rng) for i in wanted]
    step = 1e-3

    def loss(offset: float) -> float:
        moved = list(values)
        for i, d in zip(wanted, directions, strict=True):
            moved[i] = values[i] + offset * d
        return product(interpret(graph, moved), cotangents)

    difference = (8 * (loss(step) - loss(-step)) - (loss(2 * step) - loss(-2 * step))) / (12 * step)
    assert product(found, directions) == pytest.approx(difference, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("row", SMOOTH)
def test_derivatives(row: Row) -> None:
    """First and second order."""
    rng = np.random.default_rng(5)
    graph, _ = traced(lambda *xs: weighted_sum(row, *xs), *row.arrays)
    wanted = [i for i, x in enumerate(row.arrays) if x.dtype.kind in "fc"]
    check_along(graph, list(row.arrays), wanted, rng)
    gradient = reverse(graph, wanted)
    gradient = simplify(gradient.with_outputs(gradient.outputs[1:])).verify()
    check_along(gradient, [*row.arrays, np.float64(1.0)], wanted, rng)
