"""Programs on one CPU device, compiled from our text without JAX's tracing and lowering.

These take 3 to 4 ms for the smallest program, a tenth of its first call, and read the module twice. Warm calls take the
C++ path of JAX's jit, which we hand the executable. All else that JAX's jit can do is left to it: several devices,
accelerators, calls to the host, JAX's own cache of compiled programs and its switches for debugging.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax._src import compiler as _compiler
from jax._src import config as _config
from jax._src import dispatch as _dispatch
from jax._src import tree_util as _tree_util
from jax._src.array import ArrayImpl
from jax._src.interpreters import pxla as _pxla
from jaxlib import _jax

from lowering.carrier.splice import LAPACK, calls_host, prepare_lapack
from lowering.module import Module
from lowering.persistent import folder

_REUSE = _jax.ArrayCopySemantics.REUSE_INPUT


def direct(module: Module, program: Callable[..., Any], by_jax: Any) -> Callable[..., list[Any]]:
    """A function of arrays that runs a program of ours; where this file's way is not taken it is `by_jax`.

    Arguments:
        program: it as a function of JAX, which runs where jit is disabled.
        by_jax: JAX's own jit of that.
    """
    executables: dict[Any, Any] = {}
    lock = threading.Lock()

    def executable_for(device: Any) -> Any:
        with lock:  # threads that call at once wait for one compilation
            if device not in executables:
                executables[device] = _compiled(module, device)
            return executables[device]

    def cache_miss(*args: Any) -> tuple[list[Any], Any, bool]:
        found = _place(args)
        executable = None if found is None else executable_for(found[0])
        if found is None or executable is None:
            return by_jax._cache_miss(*args)
        return _run(module, executable, *found, args)

    keys = _pxla.JitGlobalCppCacheKeys()
    return _jax.pjit(module.name, program, cache_miss, (), (), keys, _tree_util.dispatch_registry, _pxla.cc_shard_arg)


def _place(args: Sequence[Any]) -> tuple[Any, bool] | None:
    """The CPU device on which a call runs, and whether its arguments are bound to it; None if JAX's jit must see to the
    call."""
    if _watched():
        return None
    bound = set()
    for x in args:
        if isinstance(x, ArrayImpl):
            sharding = x.sharding
            if sharding.__class__ is not jax.sharding.SingleDeviceSharding:
                return None
            own: Any = next(iter(sharding.device_set))
            ordinary = _pxla.is_default_layout(x.format.layout, sharding, x.aval)
            if not ordinary or sharding.memory_kind != own.default_memory().kind:
                return None
            if x.committed:
                bound.add(own)
        elif not isinstance(x, (np.ndarray, np.generic, bool, int, float, complex)):
            return None
    if len(bound) > 1:
        return None  # an error, which JAX raises
    (device,) = bound or (_default_device(),)
    return (device, bool(bound)) if device.platform == "cpu" else None


def _default_device() -> Any:
    device: Any = _config.default_device.value
    return jax.local_devices(backend=device)[0] if device is None or isinstance(device, str) else device


def _watched() -> bool:
    """Whether one of JAX's switches is on that look into its compilations and calls."""
    return (
        _dispatch.needs_check_special()
        or _config.disable_jit.value
        or _config.no_tracing.value
        or _config.no_execution.value
        or _config.log_compiles.value
        or bool(_config.jax_dump_ir_to.value)
    )


def _compiled(module: Module, device: Any) -> Any:
    """XLA's executable; None if JAX's lowering is needed, or a cache of compiled programs is in use."""
    caches = folder.path is not None or _config.compilation_cache_dir.value
    if caches or jax.process_count() > 1:
        return None
    text = module.text("cpu")
    return None if calls_host(text) else compile_text(text, len(module.parameters), len(module.results), device)


def compile_text(text: str, parameters: int, results: int, device: Any) -> Any:
    """Have XLA compile a module, with the options that JAX's jit gives."""
    if LAPACK in text:
        prepare_lapack()
    options = _compiler.get_compile_options(1, 1, np.array([[device]]), backend=device.client)
    build = options.executable_build_options
    build.allow_spmd_sharding_propagation_to_parameters = [True] * parameters
    build.allow_spmd_sharding_propagation_to_output = [True] * results
    return device.client.compile_and_load(text, [device], options)


def _run(
    module: Module, executable: Any, device: Any, committed: bool, args: Sequence[Any]
) -> tuple[list[Any], Any, bool]:
    """What JAX's C++ path wants to know after a call that it could not serve: the results, and all that it takes to
    serve such calls from now on."""
    sharding = jax.sharding.SingleDeviceSharding(device)
    n = len(args)
    given = _pxla.shard_args([sharding] * n, [None] * n, [_REUSE] * n, args)
    shards = executable.execute_sharded(given).disassemble_into_single_device_arrays()
    avals = [jax.core.ShapedArray(y.shape, y.dtype) for y in module.results]
    outputs = [
        ArrayImpl(aval, sharding, own, committed=committed, _skip_checks=True)
        for aval, own in zip(avals, shards, strict=True)
    ]
    _, structure = _tree_util.dispatch_registry.flatten(outputs, None)
    fast = _pxla.MeshExecutableFastpathData(
        executable,
        structure,
        [sharding] * n,
        [sharding] * len(avals),
        avals,
        [committed] * len(avals),
        [True] * n,
        [None] * n,
        [],
    )
    return outputs, fast, False
