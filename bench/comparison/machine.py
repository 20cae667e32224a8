"""What a run was made on: processor, threads, versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import Any

from bench.comparison.peers.peer import Cannot, Peer
from bench.timing import processor


def cores() -> int:
    """The cores that this process may run on: as many threads as XLA's own pool has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def described(peers: Mapping[str, Peer]) -> tuple[dict[str, Any], dict[str, str]]:
    """The machine, and why some of the peers are not here."""
    versions, missing, threads = {}, {}, {}
    for name, peer in peers.items():
        try:
            versions[name] = peer.version()
            threads[name] = peer.threads() or cores()
        except Cannot as error:
            missing[name] = str(error)
    import jax

    found = {
        "processor": processor(),
        "device": jax.devices()[0].device_kind,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": cores(),
        "threads": threads,
        "versions": versions,
    }
    return found, missing


def equalise_threads() -> None:
    """As many threads for PyTorch and NumPy's BLAS as XLA has: the cores that this process may run on."""
    try:
        import torch
    except ImportError:
        pass  # its rows say that it is not installed
    else:
        torch.set_num_threads(cores())
    try:
        import threadpoolctl
    except ImportError:
        return  # the number that NumPy chose is printed where it can be asked for
    threadpoolctl.threadpool_limits(cores(), user_api="blas")
