"""The only package that knows JAX: MLIR parsing, XLA compilation, devices, execution."""

from lowering.carrier.ahead import call_ahead, compile_ahead, load_ahead, lower_ahead, serialize_ahead
from lowering.carrier.arrays import (
    Array,
    ArrayImpl,
    JaxTracer,
    block_until_ready,
    devices_holding,
    fresh,
    pytree_leaves,
    readable,
    register_pytree,
    sharding_of,
    taken_over,
    to_device,
)
from lowering.carrier.devices import (
    Device,
    Sharding,
    available_platforms,
    default_device,
    default_platform,
    devices_of,
    is_about_devices,
    versions,
)
from lowering.carrier.direct import compile_text
from lowering.carrier.keeping import keep_compiled
from lowering.carrier.loaded import Loaded, bind
from lowering.carrier.splice import prepare_lapack
from lowering.carrier.text import hlo_text, portable_artifact, pretty, stablehlo_versions, text_of_artifact
from lowering.carrier.x64 import set_x64, swap_x64, x64_is_on
from lowering.module import Module

__all__ = [
    "Array",
    "ArrayImpl",
    "Device",
    "JaxTracer",
    "Loaded",
    "Module",
    "Sharding",
    "available_platforms",
    "bind",
    "block_until_ready",
    "call_ahead",
    "compile_ahead",
    "compile_text",
    "default_device",
    "default_platform",
    "devices_holding",
    "devices_of",
    "fresh",
    "hlo_text",
    "is_about_devices",
    "keep_compiled",
    "load_ahead",
    "lower_ahead",
    "portable_artifact",
    "prepare_lapack",
    "pretty",
    "pytree_leaves",
    "readable",
    "register_pytree",
    "serialize_ahead",
    "set_x64",
    "sharding_of",
    "stablehlo_versions",
    "swap_x64",
    "taken_over",
    "text_of_artifact",
    "to_device",
    "versions",
    "x64_is_on",
]
