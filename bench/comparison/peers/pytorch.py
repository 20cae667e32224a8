"""PyTorch, eager and torch.compile, of a line-by-line translation."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from bench.comparison.peers.peer import (
    Cannot,
    Kit,
    Peer,
    Program,
    python_fori_loop,
    python_scan,
    python_while_loop,
)
from bench.comparison.workload import DERIVATIVE, FUNCTION, GRADIENT, Workload


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise Cannot("torch is not installed: pip install -e '.[bench]'") from None
    import torch._dynamo
    import torch._inductor.config

    torch._logging.set_logs(all=logging.ERROR)  # what it cannot do is a row of the table
    return torch


def _gradient(f: Callable[..., Any], argument: int = 0) -> Callable[..., Any]:
    return _torch().func.grad(f, argument)


def _gradient_and_hvp(f: Callable[..., Any], x: Any, v: Any) -> Any:
    torch = _torch()
    return torch.func.jvp(torch.func.grad(f), (x,), (v,))


def _jacobian(f: Callable[..., Any], argument: int, forward: bool) -> Callable[..., Any]:
    torch = _torch()
    return (torch.func.jacfwd if forward else torch.func.jacrev)(f, argument)


KIT = Kit(
    gradient=_gradient,
    gradient_and_hvp=_gradient_and_hvp,
    jacobian=_jacobian,
    vmap=lambda f, axes: _torch().vmap(f, in_dims=axes),
    jvp=lambda f, x, v: _torch().func.jvp(f, (x,), (v,)),
    fori_loop=python_fori_loop,
    scan=python_scan,
    while_loop=python_while_loop,
    conv2d=lambda x, w: _torch().nn.functional.conv2d(x, w),
    constant=lambda x: _torch().from_numpy(x),
)


class PyTorch(Peer):
    """Tensors on the CPU.

    Arguments:
        compiled: by torch.compile, else operation by operation.
    """

    def __init__(self, compiled: bool):
        self.compiled = compiled
        self.name = "torch.compile" if compiled else "torch"
        self.about = "compiled by TorchInductor" if compiled else "operation by operation; traces at every call"

    def version(self) -> str:
        torch = _torch()
        if self.compiled and not any(shutil.which(name) for name in ("g++", "c++", "clang++")):
            raise Cannot("torch.compile needs a C++ compiler, and there is none")
        return torch.__version__

    def threads(self) -> int | None:
        return _torch().get_num_threads()

    def program(self, w: Workload, args: tuple[Any, ...]) -> Program:
        given = args if w.host else _tensors(args)
        f = self._function(w)
        call = _called(w, f, given)
        with _quiet():
            call()
        torch = _torch()

        def primal() -> Any:
            with torch.no_grad():
                return f(*_tensors(given))

        return Program(call, None if w.kind == FUNCTION else primal, _read)

    def first_call(self, w: Workload, args: tuple[Any, ...]) -> float:
        given = args if w.host else _tensors(args)
        torch = _torch()
        if self.compiled:
            torch._dynamo.reset()
        with _quiet(), torch._inductor.config.patch(force_disable_caches=True):
            start = time.perf_counter()
            _called(w, self._function(w), given)()
            return time.perf_counter() - start  # the caches on the disk know the function already

    def _function(self, w: Workload) -> Callable[..., Any]:
        torch = _torch()
        if w.torch is None:
            raise Cannot("not translated into PyTorch")
        f = w.torch(torch, KIT)
        if self.compiled and w.rolled:
            raise Cannot("torch.compile unrolls Python loops: minutes of compilation")
        return torch.compile(f) if self.compiled else f


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings about things the workloads do not use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _tensors(x: Any) -> Any:
    torch = _torch()
    return jax.tree.map(lambda a: torch.from_numpy(a) if isinstance(a, np.ndarray) else a, x)


def _read(result: Any) -> list[np.ndarray]:
    return [x.detach().numpy() if hasattr(x, "detach") else np.asarray(x) for x in jax.tree.leaves(result)]


def _called(w: Workload, f: Callable[..., Any], args: tuple[Any, ...]) -> Callable[[], Any]:
    """What a user would write, as a function of nothing."""
    torch = _torch()
    if w.kind == FUNCTION:
        return lambda: f(*args)
    if w.kind == DERIVATIVE:
        (i,) = w.wrt

        def of_moved(x: Any) -> Any:
            return f(*args[:i], x, *args[i + 1 :])

        return lambda: torch.func.jvp(of_moved, (args[i],), (torch.ones_like(args[i]),))
    if w.kind != GRADIENT:
        jacobian = (torch.func.jacfwd if w.forward else torch.func.jacrev)(f, w.wrt[0])
        return lambda: jacobian(*args)

    def gradient() -> Any:
        given = _tensors(args) if w.host else args
        moved = [jax.tree.flatten(given[i]) for i in w.wrt]
        leaves = [[x.detach().requires_grad_() for x in found] for found, _ in moved]
        inner = list(given)
        for i, found, (_, structure) in zip(w.wrt, leaves, moved, strict=True):
            inner[i] = jax.tree.unflatten(structure, found)
        value = f(*inner)
        gradients = torch.autograd.grad(value, [x for found in leaves for x in found])
        if w.host:
            return value.detach().numpy(), [x.numpy() for x in gradients]
        return value.detach(), gradients

    return gradient
