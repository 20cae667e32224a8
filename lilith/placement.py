"""Devices: which there are, where arrays lie, where programs run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from lilith import tree
from lilith.source import ArgumentError, DeviceError
from lilith.tracer import Tracer
from lowering import carrier

_ORDER = ("tpu", "cuda", "rocm", "cpu")


def devices(platform: str | None = None) -> list[Any]:
    """This process's devices of a platform, or of all platforms, those of the best one first.

    Each has `platform`, `id`, `device_kind`; they are JAX's own device objects.

    Arguments:
        platform: "cpu", "gpu" (any kind), "cuda", "rocm" or "tpu"; None for all.

    Raises:
        DeviceError: there is none of that platform.

    >>> import lilith
    >>> lilith.devices("cpu")[0].platform
    'cpu'
    """
    if platform is not None:
        return _of_platform(platform, platform)
    return [device for name in _present() for device in carrier.devices_of(name)]


def best_available_device() -> Any:
    """The first device that this process has of the best platform there is: TPU before GPU before CPU.

    >>> import lilith
    >>> lilith.best_available_device() in lilith.devices()
    True
    """
    return carrier.devices_of(_present()[0])[0]


def _present() -> list[str]:
    """The platforms that have devices here, the best first."""
    found = carrier.available_platforms()
    return [name for name in _ORDER if name in found] + [name for name in found if name not in _ORDER]


def _of_platform(platform: str, asked: str) -> list[Any]:
    present = _present()
    names = ("cuda", "rocm") if platform == "gpu" else (platform,)
    found = next((name for name in names if name in present), None)
    if found is None:
        raise DeviceError(
            f"there is no device {asked!r} here", hint=f"the platforms here: {', '.join(present)}; see lilith.devices()"
        )
    return carrier.devices_of(found)


def find(device: Any) -> Any:
    """The device that the user named: "cpu", "gpu:1", or a device object itself.

    Raises:
        DeviceError: there is none of that name.
    """
    if isinstance(device, carrier.Device):
        return device
    if not isinstance(device, str):
        raise ArgumentError(
            f"{device!r} ({type(device).__name__}) names no device", hint='"cpu", "gpu:0" or one of lilith.devices()'
        )
    platform, _, number = device.lower().partition(":")
    found = _of_platform(platform, device)
    if not number:
        return found[0]
    if not number.isdecimal() or int(number) >= len(found):
        raise DeviceError(
            f"there is no device {device!r}: {platform} has {len(found)}",
            hint=f"{platform}:0 to {platform}:{len(found) - 1}" if len(found) > 1 else f"{platform}:0",
        )
    return found[int(number)]


@contextlib.contextmanager
def device(name: Any) -> Iterator[Any]:
    """Run what is called in the block on a device, as far as its arguments lie on none: NumPy arrays and numbers.

    jax.Arrays stay where they are, and the program runs there. It holds for this thread; blocks nest. In a coroutine
    nothing should be awaited inside of the block: what else the thread does meanwhile would run on the device, too.
    `lilith.lower` writes for its platform.

    Arguments:
        name: "cpu", "gpu", "gpu:1", "cuda:0", "tpu", or one of `lilith.devices()`.

    Raises:
        DeviceError: there is no such device; the error names those that there are.

    >>> import numpy as np, lilith
    >>> with lilith.device("cpu"):
    ...     value, g = lilith.grad(lambda x: np.sum(x * x), np.ones(2))
    >>> g[0]
    array([2., 2.])
    """
    found = find(name)
    with carrier.default_device(found):
        yield found


def to_device(structure: Any, device: Any) -> Any:
    """A structure with its arrays on a device, as jax.Arrays of exactly their dtypes: programs run where they lie.

    Python numbers and static leaves stay as they are, and so does an array that is already there. An array in several
    places stays one.

    Arguments:
        structure: any structure of NumPy arrays and jax.Arrays.
        device: "cpu", "gpu:1", one of `lilith.devices()`, or a sharding of jax.sharding.

    >>> import numpy as np, lilith
    >>> model = lilith.to_device({"w": np.ones(2), "power": 2}, "cpu")
    >>> model["w"].devices() == {lilith.devices("cpu")[0]}, model["w"].dtype, model["power"]
    (True, dtype('float64'), 2)
    """
    placement = device if isinstance(device, carrier.Sharding) else find(device)
    leaves, shape = tree.flatten(structure)
    moved: dict[int, Any] = {}
    new = []
    for leaf, path in zip(leaves, tree.paths(shape, "x"), strict=True):
        tree.check_leaf(leaf, path)
        tree.check_there(leaf, path, "to_device: ")
        if isinstance(leaf, (Tracer, carrier.JaxTracer)):
            raise ArgumentError(
                f"to_device of a traced array ({path})", hint="place the arguments before the function is called"
            )
        if isinstance(leaf, (np.ndarray, np.generic, carrier.Array)) and tree.is_dynamic(leaf):
            if id(leaf) not in moved:
                moved[id(leaf)] = carrier.to_device(leaf, placement)
            leaf = moved[id(leaf)]
        new.append(leaf)
    return tree.unflatten(shape, new)
