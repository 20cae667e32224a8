"""Programs that can be called."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax._src import config as _config
from jax.interpreters import batching as _batching

from lowering.carrier.direct import direct
from lowering.carrier.splice import BOUND_LIMIT, bound_module, primitive
from lowering.carrier.x64 import x64
from lowering.module import Module
from lowering.parameters import signature_of


class Loaded:
    """A compiled program on its device.

    Arguments:
        module: the program.
        donate: which of its arguments are given up: results may be put in their place.

    Attributes:
        call: takes arrays (NumPy or jax.Array, of exactly the program's types), gives a list of jax.Arrays. It compiles
            at the first call; float64 is exact whatever JAX's global flag says.
        jitted: the same, for callers that have turned 64-bit types on.
        by_jax: JAX's own jit of the program.
    """

    __slots__ = ("__weakref__", "by_jax", "call", "jitted")
    call: Callable[..., list[Any]]
    jitted: Callable[..., list[Any]]
    by_jax: Any

    def __init__(self, module: Module, donate: Sequence[int] = ()):
        def program(*args: Any) -> Any:
            return primitive.bind(*args, token=module.token)

        program.__name__ = program.__qualname__ = module.name
        program.__signature__ = signature_of(module.parameters)  # type: ignore[attr-defined]
        self.by_jax = by_jax = jax.jit(program, keep_unused=True, donate_argnums=tuple(donate))
        self.jitted = jitted = by_jax if donate else direct(module, program, by_jax)

        def call(*args: Any) -> list[Any]:
            with x64():
                return jitted(*args)

        self.call = call


_bound: OrderedDict[int, Loaded] = OrderedDict()
_lock = threading.Lock()


def _run_alone(*args: Any, token: int) -> list[Any]:
    """A program that JAX runs outside of any jit: jax.disable_jit does, and jax_debug_nans looks for the place so."""
    loaded = _bound.get(token) or Loaded(bound_module(token))
    with jax.disable_jit(False), jax.debug_nans(False), jax.debug_infs(False):
        results = loaded.call(*args)
    floats = [np.asarray(y) for y in results if jax.numpy.issubdtype(y.dtype, np.inexact)]
    searched = ("nans", _config.debug_nans, np.isnan), ("infs", _config.debug_infs, np.isinf)
    for name, switch, found in searched:
        if switch.value and any([found(y).any() for y in floats]):
            raise FloatingPointError(
                f"the results of {bound_module(token).name} have {name} in them, and jax_debug_{name} is on\n"
                "  hint: lilith.config.interpret = True runs it operation by operation and names your line"
            )
    return results


primitive.def_impl(_run_alone)


def bind(module: Module, args: Sequence[Any]) -> list[Any]:
    """Use a program on JAX tracers, inside of a user's jax.jit or jax.vmap. The last few thousand are kept."""
    with _lock:
        _bound[module.token] = _bound.get(module.token) or Loaded(module)
        _bound.move_to_end(module.token)
        while len(_bound) > BOUND_LIMIT:
            _bound.popitem(last=False)
    with x64():
        return list(primitive.bind(*args, token=module.token))


def _batch(args: Sequence[Any], dims: Sequence[Any], *, token: int) -> tuple[list[Any], list[int]]:
    """jax.vmap of a bound program: our own batching makes the program; its results have the new axis in front."""
    axes = tuple(None if d is None else int(d) for d in dims)
    size = next(x.shape[d] for x, d in zip(args, axes, strict=True) if d is not None)
    module = bound_module(token).batch(axes, size)
    return bind(module, args), [0] * len(module.results)


_batching.primitive_batchers[primitive] = _batch
