"""JAX's arrays: what they are, where they lie, how they are read and put on a device."""

from __future__ import annotations

import ctypes
from typing import Any

import jax
import numpy as np
from jax._src.array import ArrayImpl

from lowering.carrier.x64 import x64

Array = jax.Array
JaxTracer = jax.core.Tracer
block_until_ready = jax.block_until_ready
pytree_leaves = jax.tree_util.tree_leaves  # what JAX's own registry takes for leaves
register_pytree = jax.tree_util.register_pytree_node


def devices_holding(x: Any) -> frozenset[Any]:
    """The devices that an argument lies on; none for NumPy's, and for arrays of JAX that go where others are."""
    return frozenset(x.devices()) if isinstance(x, ArrayImpl) and x.committed else frozenset()


def sharding_of(x: Any) -> Any:
    """How an argument is spread over several devices; None for one that is not."""
    return x.sharding if isinstance(x, ArrayImpl) and len(x.sharding.device_set) > 1 else None


def to_device(array: Any, placement: Any = None) -> Any:
    """A jax.Array of exactly this dtype on a device, or with a sharding; on the default device for None."""
    with x64():
        return jax.device_put(fresh(array), placement)


_COPIED_BYTES = 1 << 16


def taken_over(array: Any) -> np.ndarray:
    """A result of a program as a NumPy array that can be written to; nobody else may have the jax.Array.

    On a CPU a large one keeps its memory (64 KiB is copied in the time that this takes).
    """
    found = np.asarray(array)
    if found.nbytes < _COPIED_BYTES:
        return found.copy()
    (device,) = array.devices()
    if device.platform != "cpu" or not found.flags.c_contiguous:
        return found.copy()
    memory: Any = (ctypes.c_byte * found.nbytes).from_address(array.unsafe_buffer_pointer())
    memory.owner = array  # the memory lives as long as it
    return np.ndarray(found.shape, found.dtype, memory)


def fresh(x: Any) -> Any:
    """A NumPy array as an object of its own: by the object JAX remembers what it has made of an array that goes to
    several devices, also what it made while 64-bit types were off (or on), and would take that for this one."""
    return x.view() if isinstance(x, np.ndarray) else x


_GATHERED_BYTES = 1 << 30


class _Spread:
    """An array with parts in other processes. To read it as NumPy's is an act of all of them together."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.array.nbytes > _GATHERED_BYTES:
            raise RuntimeError("too large to be gathered in every process")
        mesh = jax.sharding.Mesh(np.array(self.array.sharding._device_assignment), ("all",))
        whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        with x64():
            return np.asarray(jax.jit(lambda x: x, out_shardings=whole)(self.array), dtype)


def readable(x: Any) -> Any:
    """The argument as something that `np.asarray` can read, also where other processes have parts of it."""
    spread = isinstance(x, ArrayImpl) and not (x.is_fully_addressable or x.is_fully_replicated)
    return _Spread(x) if spread else x
