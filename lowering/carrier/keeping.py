"""Compiled programs that are read from a folder instead of being compiled: `lowering.persistent` as JAX calls it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax._src import cache_key as _cache_key
from jax._src import compiler as _compiler

from lowering.carrier.devices import versions
from lowering.persistent import folder, processor

lowered = threading.local()
"""`module`: the program of ours that this thread has lowered last, to be compiled next."""

_compile: Callable[..., Any] = _compiler.backend_compile_and_load


def _compile_or_read(backend: Any, module: Any, devices: Any, options: Any, callbacks: Sequence[Any]) -> Any:
    """XLA's compiler as JAX calls it, where the program is one of ours with the folder's entry in its place.

    JAX's own cache and its settings have nothing to do with it: it is asked before, and is told of what comes out.
    """
    ours, lowered.module = getattr(lowered, "module", None), None
    if folder.path is None or ours is None or callbacks or module.operation != ours.operation:
        return _compile(backend, module, devices, options, callbacks)
    key = _cache_key.get(module, np.array(list(devices), dtype=object), options, backend)
    key = hashlib.sha256(f"{key} {processor()} {sorted(versions().items())}".encode()).hexdigest()
    return folder.found_or_made(
        key,
        lambda data: backend.deserialize_executable(data, devices, options),
        lambda: _compile(backend, module, devices, options, callbacks),
        lambda made: made.serialize(),
    )


def keep_compiled(path: str | None) -> None:
    """Read compiled programs from a folder and write them there; None: do not."""
    folder.path = path
    if path is not None:
        _compiler.backend_compile_and_load = _compile_or_read
