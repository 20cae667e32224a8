"""What holds on the CPU holds on a GPU: primitives, derivatives, loops, models. `python -m pytest -m gpu` runs them.

`LILITH_TEST_DEVICE` names another device to run them on, such as `tpu` or `cpu`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lilith
from lilith import nn
from lilith.ir.graph import Graph
from lilith.ir.interpret import interpret
from lilith.transform.reverse import reverse
from lilith.transform.simplify import simplify
from tests.compiled import run_xla, together
from tests.test_registry import LOOSE, SAMPLES, SMOOTH, assert_close, graph_of, random_like, wanted_of

DEVICE = os.environ.get("LILITH_TEST_DEVICE", "gpu")


def _is_there() -> bool:
    try:
        lilith.devices(DEVICE.partition(":")[0])
    except lilith.DeviceError:
        return False
    return True


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not _is_there(), reason=f"there is no {DEVICE} here")]

# callbacks are the host's; what has no unique result (a basis of a space) is checked by what is made of it
FREE = {"print", "callback"}


@pytest.fixture(autouse=True)
def on_the_device() -> Iterator[None]:
    with lilith.device(DEVICE):
        yield


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in FREE])
def test_every_primitive(name: str) -> None:
    whole = together(name, [graph_of(name, sample) for sample in SAMPLES[name]])
    values = [x for sample in SAMPLES[name] for x in sample.operands]
    assert_close(run_xla(whole, values), interpret(whole, values), name, 100 * LOOSE.get(name, 1))


@pytest.mark.parametrize("name", sorted({case.values[0] for case in SMOOTH} - FREE))
def test_every_derivative(name: str) -> None:
    chosen = [case.values[1] for case in SMOOTH if case.values[0] == name]
    graphs: list[Graph] = [reverse(graph_of(name, s), wanted_of(s)) for s in chosen]
    values = [
        x
        for s, graph in zip(chosen, graphs, strict=True)
        for x in (*s.operands, *random_like([x.type for x in graph.inputs[len(s.operands) :]], seed=1))
    ]
    whole = simplify(together(name, graphs))
    assert_close(run_xla(whole, values), interpret(whole, values), name, 1000 * LOOSE.get(name, 1))


RNG = np.random.default_rng(0)


def _network(m: dict, x: Any) -> Any:
    h = nn.relu(nn.conv2d(x, m["kernel"], padding=1))
    h = nn.max_pool2d(h, 2).reshape(x.shape[0], -1)
    return np.mean(nn.log_softmax(h @ m["W"] + m["b"], axis=1)[:, 0])


def _recurrence(w: Any, xs: Any) -> Any:
    return np.sum(lilith.scan(lambda c, x: (np.tanh(w @ c + x), c[0]), np.zeros(4), xs)[1])


def _root(a: Any) -> Any:
    return lilith.while_loop(lambda s: np.abs(s * s - a) > 1e-12, lambda s: 0.5 * (s + a / s), a)


def _dense(a: Any) -> Any:
    symmetric = a @ a.T + np.eye(a.shape[0])
    values, vectors = np.linalg.eigh(symmetric)
    return np.sum(np.log(values)) + np.linalg.det(symmetric) * 1e-3 + np.sum(vectors[:, -1] ** 4)


PROGRAMS: dict[str, tuple[Any, tuple]] = {
    "network": (
        _network,
        ({"kernel": RNG.normal(size=(4, 1, 3, 3)), "W": RNG.normal(size=(64, 5)), "b": RNG.normal(size=5)},
         RNG.normal(size=(3, 1, 8, 8))),
    ),
    "scan": (_recurrence, (RNG.normal(size=(4, 4)) / 2, RNG.normal(size=(10, 4)))),
    "while": (_root, (2.0,)),
    "factorisations": (_dense, (RNG.normal(size=(5, 5)),)),
    "branch": (lambda x: np.sum(x**2) if np.sum(x) > 0 else np.sum(x), (np.array([1.0, 2.0]),)),
    "random": (lambda x: np.sum(lilith.random.normal(lilith.random.key(0), 100) * x), (np.ones(100),)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*jax_enable_x64 is off")
@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_are_those_of_the_cpu(name: str) -> None:
    f, args = PROGRAMS[name]
    for dtype, tolerance in ((np.float64, 1e-9), (np.float32, 2e-3)):
        given = tuple([_cast(x, dtype) for x in args])
        with lilith.device("cpu"):
            value, g = lilith.grad(f, *given)
        found, h = lilith.grad(f, *given)
        np.testing.assert_allclose(found, value, rtol=tolerance, atol=tolerance)
        there, k = lilith.grad(f, *lilith.to_device(given, DEVICE))
        np.testing.assert_allclose(there, value, rtol=tolerance, atol=tolerance)
        for path, expected in g.paths().items():
            scale = float(np.max(np.abs(expected)))
            np.testing.assert_allclose(h[path], expected, rtol=tolerance, atol=tolerance * scale)
            np.testing.assert_allclose(k[path], expected, rtol=tolerance, atol=tolerance * scale)


def _cast(x: Any, dtype: Any) -> Any:
    if isinstance(x, dict):
        return {key: _cast(value, dtype) for key, value in x.items()}
    return x.astype(dtype) if isinstance(x, np.ndarray) else x


@pytest.mark.filterwarnings("ignore:.*jax_enable_x64 is off")
def test_results_stay_on_the_device() -> None:
    x = lilith.to_device(np.ones(3), DEVICE)
    for _ in range(3):
        value, g = lilith.grad(lambda x: np.sum(x * x), x)
        assert g[0].devices() == x.devices() == value.devices()
