"""64-bit types, on for our programs whatever JAX's own flag says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from jax._src import config as _config

swap_x64: Callable[[bool], Any] = _config.enable_x64.swap_local
"""Turn 64-bit types on or off for this thread; returns what `set_x64` needs to put things back."""
set_x64: Callable[[Any], None] = _config.enable_x64.set_local


@contextlib.contextmanager
def x64() -> Iterator[None]:
    """64-bit types for a block; where a microsecond counts, `swap_x64` and `set_x64` do it by hand."""
    previous = swap_x64(True)
    try:
        yield
    finally:
        set_x64(previous)


def x64_is_on() -> bool:
    """JAX's own 64-bit flag, as the user set it."""
    return bool(_config.enable_x64.value)
