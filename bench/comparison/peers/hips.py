"""HIPS autograd."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.comparison.peers.by_hand import blas_threads, traced_memory
from bench.comparison.peers.ours import arrays
from bench.comparison.peers.peer import (
    Cannot,
    Kit,
    Peer,
    Program,
    missing,
    python_fori_loop,
    python_scan,
    python_while_loop,
)
from bench.comparison.workload import DERIVATIVE, FUNCTION, GRADIENT, Workload


def _gradient_and_hvp(f: Callable[..., Any], x: Any, v: Any) -> Any:
    import autograd

    gradient = autograd.grad(f)
    return gradient(x), autograd.grad(lambda x: (gradient(x) * v).sum())(x)


def _jvp(f: Callable[..., Any], x: Any, v: Any) -> Any:
    import autograd

    return autograd.make_jvp(f)(x)(v)


def _conv2d(x: Any, w: Any) -> Any:
    """autograd's convolution turns the kernel around, as the mathematicians do."""
    from autograd.scipy.signal import convolve

    return convolve(x, w[:, :, ::-1, ::-1], axes=([2, 3], [2, 3]), dot_axes=([1], [1]), mode="valid")


def _kit() -> Kit:
    import autograd

    return Kit(
        gradient=autograd.grad,
        gradient_and_hvp=_gradient_and_hvp,
        jacobian=lambda f, argument, forward: autograd.jacobian(f, argument),
        vmap=missing("autograd has no vmap"),
        jvp=_jvp,
        fori_loop=python_fori_loop,
        scan=python_scan,
        while_loop=python_while_loop,
        conv2d=_conv2d,
    )


class Autograd(Peer):
    name = "autograd"
    about = "NumPy, operation by operation; traces at every call"

    def version(self) -> str:
        import importlib.metadata

        try:
            return importlib.metadata.version("autograd")
        except importlib.metadata.PackageNotFoundError:
            raise Cannot("autograd is not installed: pip install -e '.[bench]'") from None

    def threads(self) -> int | None:
        return blas_threads()

    def program(self, w: Workload, args: tuple[Any, ...]) -> Program:
        import autograd.numpy as anp

        derived = self._derived(w)
        derived(*args)
        primal = None if w.kind == FUNCTION else w.make(anp, _kit())
        return Program(lambda: derived(*args), None if primal is None else lambda: primal(*args), arrays)

    def first_call(self, w: Workload, args: tuple[Any, ...]) -> float:
        start = time.perf_counter()
        self._derived(w)(*args)
        return time.perf_counter() - start

    def memory(self, program: Program) -> int:
        return traced_memory(program)

    def _derived(self, w: Workload) -> Callable[..., Any]:
        import autograd
        import autograd.numpy as anp

        f = w.make(anp, _kit())
        if w.kind == FUNCTION:
            return f
        if w.kind == GRADIENT:
            return autograd.value_and_grad(f, w.wrt[0] if len(w.wrt) == 1 else w.wrt)
        if w.kind == DERIVATIVE:

            def derivative(*args: Any) -> Any:
                (i,) = w.wrt

                def of_moved(x: Any) -> Any:
                    return f(*args[:i], x, *args[i + 1 :])

                return autograd.make_jvp(of_moved)(args[i])(np.ones_like(args[i]))

            return derivative
        return autograd.jacobian(f, w.wrt[0])
