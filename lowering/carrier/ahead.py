"""Programs that are compiled before they are called, and compiled programs as bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jaxlib import _jax

from lilith.ir.type import TensorType
from lowering.carrier.arrays import fresh
from lowering.carrier.loaded import Loaded
from lowering.carrier.splice import LAPACK, prepare_lapack
from lowering.carrier.x64 import x64
from lowering.module import Module


def lower_ahead(
    module: Module,
    types: Sequence[TensorType],
    platform: str | None = None,
    donate: Sequence[int] = (),
    placements: Sequence[Any] = (),
) -> Any:
    """JAX's Lowered object of a module for arguments of these types; its `compile()` gives the Compiled one.

    Arguments:
        donate: which of the arguments are given up.
        platform: one of `available_platforms()`; None for the default device's.
        placements: how each argument is sharded, None for those that are not.
    """
    loaded = Loaded(module, donate)
    device = contextlib.nullcontext() if platform is None else jax.default_device(jax.devices(platform)[0])
    shardings = placements or [None] * len(types)
    with x64(), device:
        shapes = [jax.ShapeDtypeStruct(t.shape, t.dtype, sharding=s) for t, s in zip(types, shardings, strict=True)]
        return loaded.by_jax.lower(*shapes)


def compile_ahead(lowered: Any, options: dict[str, Any] | None = None) -> Any:
    """Have XLA compile what `lower_ahead` gave.

    Arguments:
        options: XLA's own (`xla_cpu_enable_fast_math`, `xla_dump_to`, ...), by name.
    """
    with x64():
        return lowered.compile(compiler_options=options)


def call_ahead(executable: Any, args: Sequence[Any]) -> list[Any]:
    """Call what `lower_ahead(...).compile()` gave."""
    with x64():
        return executable(*map(fresh, args))


def serialize_ahead(executable: Any) -> bytes:
    """The machine code of what `compile_ahead` gave, for this kind of machine and this version of jaxlib."""
    return executable.runtime_executable().serialize()


def load_ahead(data: bytes, platform: str) -> Callable[..., list[Any]]:
    """The function that `serialize_ahead` has written down: arrays in, a list of jax.Arrays out."""
    if LAPACK.encode() in data:
        prepare_lapack()
    device = jax.devices(platform)[0]
    loaded = device.client.deserialize_executable(data, _jax.DeviceList((device,)), None)

    def call(*args: Any) -> list[Any]:
        with x64():
            results = loaded.execute_sharded([jax.device_put(fresh(x), device) for x in args])
            return [shards[0] for shards in results.disassemble_into_single_device_arrays()]

    return call
