"""jax.jit of jax.value_and_grad and its kin."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.comparison.peers.ours import arrays, on_device, program_size
from bench.comparison.peers.peer import Kit, Peer, Program, Stages
from bench.comparison.workload import DERIVATIVE, FUNCTION, GRADIENT, Workload

KIT = Kit(
    gradient=jax.grad,
    gradient_and_hvp=lambda f, x, v: jax.jvp(jax.grad(f), (x,), (v,)),
    jacobian=lambda f, argument, forward: (jax.jacfwd if forward else jax.jacrev)(f, argument),
    vmap=lambda f, axes: jax.vmap(f, in_axes=axes),
    jvp=lambda f, x, v: jax.jvp(f, (x,), (v,)),
    fori_loop=lambda n, body, carry: jax.lax.fori_loop(0, n, body, carry),
    scan=lambda body, carry, xs: jax.lax.scan(lambda carry, x: (body(carry, x), None), carry, xs)[0],
    while_loop=jax.lax.while_loop,
    conv2d=lambda x, w: jax.lax.conv_general_dilated(x, w, (1, 1), "VALID"),
)


class JaxJit(Peer):
    name = "jax.jit"
    about = "compiled by XLA; arrays on the device"

    def version(self) -> str:
        import jaxlib

        return f"jax {jax.__version__}, jaxlib {jaxlib.__version__}"

    def program(self, w: Workload, args: tuple[Any, ...]) -> Program:
        compiled = jax.jit(_derived(w))
        primal = jax.jit(w.make(jnp, KIT))
        if w.host:

            def host() -> Any:
                return jax.tree.map(np.asarray, compiled(*args))

            return Program(host, lambda: np.asarray(primal(*args)), arrays)
        given = on_device(args)
        return Program(
            lambda: jax.block_until_ready(compiled(*given)),
            None if w.kind == FUNCTION else lambda: jax.block_until_ready(primal(*given)),
            arrays,
        )

    def first_call(self, w: Workload, args: tuple[Any, ...]) -> float:
        given = args if w.host else on_device(args)
        start = time.perf_counter()
        jax.block_until_ready(jax.jit(_derived(w))(*given))
        return time.perf_counter() - start

    def stages(self, w: Workload, args: tuple[Any, ...]) -> Stages:
        given = on_device(args)
        times = [time.perf_counter()]
        traced = jax.jit(_derived(w)).trace(*given)
        times.append(time.perf_counter())
        lowered = traced.lower()
        times.append(time.perf_counter())
        compiled = lowered.compile()
        times.append(time.perf_counter())
        jax.block_until_ready(compiled(*given))
        times.append(time.perf_counter())
        return Stages(*np.diff(times), *program_size(lowered, compiled))


def _derived(w: Workload) -> Callable[..., Any]:
    """What is compiled: a function object that no cache has seen."""
    f = w.make(jnp, KIT)
    wrt = w.wrt[0] if len(w.wrt) == 1 else w.wrt
    if w.kind == GRADIENT:
        return jax.value_and_grad(f, argnums=wrt)
    if w.kind == FUNCTION:
        return lambda *args: f(*args)
    if w.kind == DERIVATIVE:

        def derivative(*args: Any) -> Any:
            moved = tuple(args[i] for i in w.wrt)

            def of_moved(*moved: Any) -> Any:
                given = list(args)
                for i, x in zip(w.wrt, moved, strict=True):
                    given[i] = x
                return f(*given)

            return jax.jvp(of_moved, moved, jax.tree.map(jnp.ones_like, moved))

        return derivative
    return (jax.jacfwd if w.forward else jax.jacrev)(f, argnums=wrt)
