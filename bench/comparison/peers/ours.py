"""Lilith."""

from __future__ import annotations

import importlib.metadata
import time
import types
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import lilith
from bench.comparison.peers.peer import Kit, Peer, Program, Stages
from bench.comparison.workload import DERIVATIVE, FUNCTION, GRADIENT, Workload
from lilith.asked import Spec, interned
from lilith.captures import scan
from lilith.derive import derive
from lilith.executable import module_of
from lilith.ir.graph import Graph
from lilith.nn import conv2d
from lowering import carrier
from lowering.emit import emit


def _gradient(f: Callable[..., Any], argument: int = 0) -> Callable[..., Any]:
    return lambda *args: lilith.grad(f, *args, wrt=argument)[1][argument]


def _scan(body: Callable[..., Any], carry: Any, xs: Any) -> Any:
    return lilith.scan(lambda carry, x: (body(carry, x), None), carry, xs)[0]


KIT = Kit(
    gradient=_gradient,
    gradient_and_hvp=lambda f, x, v: lilith.jvp(_gradient(f), (x,), (v,)),
    jacobian=lambda f, argument, forward: lambda *args: lilith.jacobian(f, *args, wrt=argument),
    vmap=lambda f, axes: lilith.vmap(f, in_axes=axes),
    jvp=lambda f, x, v: lilith.jvp(f, (x,), (v,)),
    fori_loop=lambda n, body, carry: lilith.fori_loop(0, n, body, carry),
    scan=_scan,
    while_loop=lilith.while_loop,
    conv2d=conv2d,
)


def on_device(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return jax.tree.map(jax.device_put, args)


def arrays(result: Any) -> list[np.ndarray]:
    return [np.asarray(x) for x in jax.tree.leaves(result)]


class Lilith(Peer):
    name = "lilith"
    about = "compiled by XLA; arrays on the device"

    def version(self) -> str:
        return importlib.metadata.version("lilith")

    def program(self, w: Workload, args: tuple[Any, ...]) -> Program:
        f = w.make(np, KIT)
        given = args if w.host else on_device(args)
        primal = lilith.jit(f)
        return Program(
            _called(w, _moved(w, f), given),
            None if w.kind == FUNCTION else lambda: jax.block_until_ready(primal(*given)),
            arrays,
        )

    def first_call(self, w: Workload, args: tuple[Any, ...]) -> float:
        given = args if w.host else on_device(args)
        start = time.perf_counter()
        _called(w, _renewed(_moved(w, w.make(np, KIT))), given)()
        return time.perf_counter() - start

    def stages(self, w: Workload, args: tuple[Any, ...]) -> Stages:
        given = on_device(args)
        times = [time.perf_counter()]
        f = _moved(w, w.make(np, KIT))
        derivation = derive(f, _spec(w), given, {}, scan(f))
        graph = derivation.graph
        times.append(time.perf_counter())
        inputs = on_device((*jax.tree.leaves(args), *scan(f).leaves, *derivation.hoisted))
        device = jax.devices()[0]
        return _directly(graph, inputs, device, times) if device.platform == "cpu" else _by_jax(graph, inputs, times)


def _directly(graph: Graph, inputs: tuple[Any, ...], device: Any, times: list[float]) -> Stages:
    """The stages on a CPU: XLA is handed our text, and reads it within the time of the compiler."""
    times.append(time.perf_counter())
    text = emit(graph, "cpu")
    times.append(time.perf_counter())
    executable = carrier.compile_text(text, len(graph.inputs), len(graph.outputs), device)
    times.append(time.perf_counter())
    jax.block_until_ready(executable.execute_sharded(inputs).disassemble_into_single_device_arrays())
    times.append(time.perf_counter())
    sizes = executable.get_compiled_memory_stats().temp_size_in_bytes, len(executable.serialize())
    return Stages(times[1] - times[0], *np.diff(times[2:]), *sizes, text.count('"stablehlo.'))


def _by_jax(graph: Graph, inputs: tuple[Any, ...], times: list[float]) -> Stages:
    """The stages where a program goes through JAX's lowering."""
    times.append(time.perf_counter())
    lowered = carrier.lower_ahead(module_of(graph), [x.type for x in graph.inputs])
    times.append(time.perf_counter())
    compiled = carrier.compile_ahead(lowered)
    times.append(time.perf_counter())
    jax.block_until_ready(carrier.call_ahead(compiled, inputs))
    times.append(time.perf_counter())
    return Stages(times[1] - times[0], *np.diff(times[2:]), *program_size(lowered, compiled))


def program_size(lowered: Any, compiled: Any) -> tuple[int, int, int]:
    """Bytes of temporaries, bytes of the serialised program (XLA counts the code itself on some devices only) and
    StableHLO operations of JAX's Lowered and Compiled objects."""
    operations = lowered.as_text().count(" = stablehlo.")
    return compiled.memory_analysis().temp_size_in_bytes, len(carrier.serialize_ahead(compiled)), operations


def _spec(w: Workload) -> Spec:
    """What a call of the workload derives."""
    wrt = w.wrt[0] if len(w.wrt) == 1 else w.wrt
    if w.kind == GRADIENT:
        return interned(Spec(True, wrt))
    if w.kind in (FUNCTION, DERIVATIVE):
        return interned(Spec(False))
    return interned(Spec(True, wrt, mode="jacobian", options="auto"))


def _moved(w: Workload, f: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself, or its value and derivative along ones: what is compiled where no gradient is asked for."""
    if w.kind != DERIVATIVE:
        return f

    def derivative(*args: Any) -> Any:
        return lilith.jvp(f, args, tuple([np.ones_like(x) if i in w.wrt else None for i, x in enumerate(args)]))

    return derivative


def _called(w: Workload, f: Callable[..., Any], args: tuple[Any, ...]) -> Callable[[], Any]:
    """What a user would write, as a function of nothing."""
    wrt = w.wrt[0] if len(w.wrt) == 1 else w.wrt
    if w.kind == GRADIENT:
        derived = lilith.value_and_grad(f, wrt=wrt)
        if w.host:

            def call() -> Any:
                value, g = derived(*args)
                return value, list(g)

        else:

            def call() -> Any:
                value, g = jax.block_until_ready(derived(*args))
                return value, list(g)

        return call
    if w.kind in (FUNCTION, DERIVATIVE):
        compiled = lilith.jit(f)
        return lambda: jax.block_until_ready(compiled(*args))
    return lambda: jax.block_until_ready(lilith.jacobian(f, *args, wrt=wrt))


def _renewed(f: Any) -> Callable[..., Any]:
    """The function with code that no cache has seen."""
    return types.FunctionType(f.__code__.replace(), f.__globals__, f.__name__, f.__defaults__, f.__closure__)
