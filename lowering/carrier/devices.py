"""Platforms, devices, versions."""

from __future__ import annotations

from typing import Any

import jax
import jaxlib
from jax._src import config as _config
from jaxlib.mlir.dialects import stablehlo as _stablehlo

from lowering.emit import PLATFORMS

Device = jax.Device
Sharding = jax.sharding.Sharding
default_device = jax.default_device


def available_platforms() -> tuple[str, ...]:
    """The platforms (of `lowering.emit.PLATFORMS`) that this machine has devices of, the default one first."""
    found = [_canonical(jax.default_backend())]
    for name in PLATFORMS:
        try:
            jax.devices(name)
        except RuntimeError:  # there is none
            continue
        found.append(name)
    return tuple(dict.fromkeys(found))


def default_platform() -> str:
    """The platform of the device that is set for this thread (`default_device`), or else the best one."""
    device: Any = _config.default_device.value
    return _canonical(getattr(device, "platform", device) or jax.default_backend())


def devices_of(platform: str) -> list[Any]:
    """The devices of one of `available_platforms()` that are this process's own."""
    return jax.local_devices(backend=platform)


def is_about_devices(error: Exception) -> bool:
    """Whether JAX refuses arguments because they lie on different devices."""
    return "incompatible devices" in str(error)


def _canonical(backend: str) -> str:
    """`gpu` is what JAX calls both of its kinds of GPU."""
    if backend != "gpu":
        return backend
    return "rocm" if "rocm" in jax.devices()[0].client.platform_version else "cuda"


def versions() -> dict[str, str]:
    """Of the libraries that decide what a compiled program is."""
    return {"jax": jax.__version__, "jaxlib": jaxlib.__version__, "stablehlo": _stablehlo.get_current_version()}
