"""Programs that XLA gets without JAX's lowering: what comes out is what JAX's own jit gives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from jax.experimental.layout import Format, Layout

import lilith
from lilith.executable import module_of
from lowering import carrier
from lowering.carrier import direct


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were compiled without JAX's lowering."""
    found: list[str] = []
    compile_text = direct.compile_text

    def watched(text: str, *rest: Any) -> Any:
        found.append(text)
        return compile_text(text, *rest)

    monkeypatch.setattr(direct, "compile_text", watched)
    return found


def fresh() -> Callable[..., Any]:
    """A function that no cache has seen."""
    return eval("lambda x, y: np.sum(np.tanh(x) * y)", {"np": np})


def program() -> tuple[carrier.Loaded, list[np.ndarray]]:
    x, y = np.linspace(0.0, 1.0, 4), np.arange(4, dtype=np.float32)
    graph = lilith.trace_grad(lambda x, y: np.sum(np.sin(x) * y), x, y)
    return carrier.Loaded(module_of(graph)), [x, y]


def facts(outputs: list[Any]) -> list[tuple]:
    return [(y.shape, y.dtype, y.weak_type, y.sharding, y.committed, np.asarray(y).tobytes()) for y in outputs]


def test_a_program_is_what_it_is_in_jax_jit(compilations: list[str]) -> None:
    loaded, args = program()
    here = jax.devices("cpu")[0]
    with jax.enable_x64(True):
        arrays = [jax.device_put(x) for x in args]
        for given in (args, arrays, [jax.device_put(x, here) for x in args], [arrays[0], args[1]]):
            theirs = facts(loaded.by_jax(*given))
            assert facts(loaded.call(*given)) == theirs
            assert facts(loaded.call(*given)) == theirs  # by the C++ path now
    assert len(compilations) == 1


def test_python_numbers(compilations: list[str]) -> None:
    value, g = lilith.grad(eval("lambda x: x * x"), 3.0)
    assert (value, g[0]) == (9.0, 6.0) and len(compilations) == 1
    value, g = lilith.grad(eval("lambda z: abs(z * z)"), 3.0 + 4.0j)
    assert value == 25.0 and abs(g[0] - (6 - 8j)) < 1e-14 and len(compilations) == 2


def test_warm_calls_do_not_come_back_to_python(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, args = program()
    loaded.call(*args)
    monkeypatch.setattr(direct, "_place", None)  # whoever asks for it fails
    loaded.call(*args)
    with pytest.raises(TypeError):
        loaded.call(*[jax.device_put(x) for x in args])


def test_what_jax_must_see_to_is_left_to_it(compilations: list[str]) -> None:
    x, y = np.linspace(0.0, 1.0, 4), np.ones(4)
    want = lilith.grad(fresh(), x, y)[1][0]
    assert len(compilations) == 1
    mesh = jax.sharding.Mesh(np.array(jax.devices("cpu")[:1]), ("a",))
    with jax.enable_x64(True):
        sharded = jax.device_put(x, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("a")))
        g = lilith.grad(fresh(), sharded, y)[1][0]
    assert isinstance(g.sharding, jax.sharding.NamedSharding) and np.array_equal(g, want)
    assert len(compilations) == 1
    for switch in ("jax_debug_nans", "jax_disable_jit"):
        previous = getattr(jax.config, switch)
        jax.config.update(switch, True)
        try:
            assert np.array_equal(lilith.grad(fresh(), x, y)[1][0], want)
        finally:
            jax.config.update(switch, previous)


def test_calls_to_the_host_are_left_to_jax(compilations: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    def f(x: Any) -> Any:
        lilith.print("x is {}", x)
        return np.sum(x * x)

    assert lilith.grad(f, np.array([3.0]))[1][0] == 6.0
    assert "x is [3.]" in "".join(capfd.readouterr()) and not compilations


def test_debugging_for_nans_works() -> None:
    f = eval("lambda x: np.log(x)", {"np": np})
    jax.config.update("jax_debug_nans", True)
    try:
        with pytest.raises(FloatingPointError, match=r"results of <lambda> have nans[\s\S]*interpret"):
            lilith.jit(f)(np.float64(-1.0))
        assert lilith.jit(f)(np.float64(1.0)) == 0.0
    finally:
        jax.config.update("jax_debug_nans", False)


def test_a_constant_in_a_jitted_function_of_the_user() -> None:
    x, y = np.linspace(0.0, 1.0, 4), np.ones(4)
    f = fresh()
    want = np.asarray(lilith.grad(f, x, y)[1][0])

    @jax.jit
    def user(z: Any) -> Any:
        return z + lilith.grad(f, x, y)[1][0]

    with jax.enable_x64(True):
        np.testing.assert_array_equal(user(np.zeros(4)), want)
        np.testing.assert_array_equal(user(np.zeros(4)), want)


def test_threads_share_one_compilation(compilations: list[str]) -> None:
    loaded, args = program()
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(facts(loaded.call(*args)))) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == 4 and all(f == found[0] for f in found) and len(compilations) == 1


def test_arrays_in_another_order_in_memory(compilations: list[str]) -> None:
    x = np.arange(6.0).reshape(2, 3)
    with jax.enable_x64(True):
        here = jax.sharding.SingleDeviceSharding(jax.devices("cpu")[0])
        by_columns = jax.device_put(x, Format(Layout((1, 0)), here))
        arrays = [jax.device_put(x, here), by_columns, jax.device_put(x), x]
    assert by_columns.format.layout.major_to_minor == (1, 0)
    want = 2 * x * np.arange(3.0)
    with jax.enable_x64(True):
        for order in (arrays, arrays[::-1], [by_columns, *arrays]):
            f = eval("lambda x: np.sum(x * x * np.arange(3.0))", {"np": np})
            for given in order:
                assert np.array_equal(np.asarray(lilith.grad(f, given)[1][0]), want)
