"""Warm calls on a GPU: value and gradient, arrays on the device, by Lilith and by jax.jit."""

from __future__ import annotations

import sys
from typing import Any

import jax

import lilith
from bench import workloads as w
from bench.steady import compare
from bench.timing import HEADER, machine, table

F = "float32"


def _workloads() -> list[w.Workload]:
    found = []
    for width, batch in ((512, 128), (2048, 1024), (4096, 4096)):
        layers = w._layers(width, width, width, 1000, dtype=F)
        args = (layers, w.normal(batch, width, dtype=F), w._one_hot(batch, 1000, F))
        found.append(w.Workload(f"MLP of width {width}, batch {batch}", w.mlp, args))
    for n in (1024, 8192):
        x, one = w.normal(n, n, dtype=F), w.normal(n, dtype=F)
        found += [
            w.Workload(f"layer norm {n}x{n}", w.layer_norm, (x, one, one)),
            w.Workload(f"logsumexp {n}x{n}", w.logsumexp, (x,)),
            w.Workload(f"softmax cross entropy {n}x{n}", w.cross_entropy, (x, w._one_hot(n, n, F))),
        ]
    for n in (500, 4000):
        found.append(w.Workload(f"pairwise distances {n}x3", w.pairwise, (w.normal(n, 3, dtype=F),)))
    for n in (16, 64):
        pair = (w.normal(10000, n, n, dtype=F), w.normal(10000, n, n, dtype=F))
        found.append(w.Workload(f"batched matmul 10000x{n}x{n}", w.batched_matmul, pair))
    return found


def main(rounds: int = 31) -> None:
    """Print the table; without a GPU say so and exit with status 1."""
    try:
        gpu: Any = lilith.devices("gpu")[0]
    except lilith.DeviceError as error:
        sys.exit(f"bench gpu: {error.message}; {error.hint}")
    # both at full precision: JAX's default on GPUs rounds the factors of products to 10 bits
    with lilith.device(gpu), jax.default_matmul_precision("highest"):
        print(machine() + f" ({gpu.device_kind})")
        jax.config.update("jax_enable_x64", True)
        table("warm value and gradient, float32", HEADER, [compare(each, rounds) for each in _workloads()])
