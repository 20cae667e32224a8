"""NumPy, with the derivative written by hand."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import jax
import numpy as np

from bench.comparison.peers.ours import arrays
from bench.comparison.peers.peer import Cannot, Peer, Program, python_fori_loop, python_scan, python_while_loop
from bench.comparison.workload import FUNCTION, Workload


class ByHand(Peer):
    name = "NumPy by hand"
    about = "the derivative written by hand, array by array"

    def version(self) -> str:
        return f"numpy {np.__version__}"

    def threads(self) -> int | None:
        return blas_threads()

    def program(self, w: Workload, args: tuple[Any, ...]) -> Program:
        if w.by_hand is None:
            raise Cannot("not written by hand")
        by_hand = w.by_hand
        primal = None if w.kind == FUNCTION else w.make(np, _LoopsOnly)
        by_hand(*args)
        return Program(lambda: by_hand(*args), None if primal is None else lambda: primal(*args), arrays)

    def first_call(self, w: Workload, args: tuple[Any, ...]) -> float:
        start = time.perf_counter()
        assert w.by_hand is not None
        w.by_hand(*args)
        return time.perf_counter() - start

    def memory(self, program: Program) -> int:
        return traced_memory(program)


class _LoopsOnly:
    fori_loop = staticmethod(python_fori_loop)
    scan = staticmethod(python_scan)
    while_loop = staticmethod(python_while_loop)


def traced_memory(program: Program) -> int:
    """Peak bytes of NumPy arrays in one call, without its result."""
    tracemalloc.start()
    try:
        result = program.run()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return max(0, peak - sum(np.asarray(x).nbytes for x in jax.tree.leaves(result)))


def blas_threads() -> int | None:
    """Threads of NumPy's BLAS, if threadpoolctl is there to ask."""
    try:
        import threadpoolctl
    except ImportError:
        return None
    found = [x["num_threads"] for x in threadpoolctl.threadpool_info() if x["user_api"] == "blas"]
    return max(found, default=None)
