"""Functions that make arrays."""

from __future__ import annotations

import numpy as np

import lilith.numpy
from tests.agreement import M, P, U, V, Z
from tests.numpy_samples.making import row

ROWS = [
    row("meshgrid", lambda x, y: np.meshgrid(x, y), V, V[:3]),
    row("meshgrid", lambda x, y: np.meshgrid(x, y, indexing="ij", sparse=True), V, V[:3]),
    row("linspace", lambda x: np.linspace(x[0], x[1], 5), V),
    row("linspace", lambda x: np.linspace(0, x, 4, endpoint=False, axis=1), V),
    row("copy", lambda x: np.copy(x) + x.copy(), M),
    row("ones_like", lambda x: np.ones_like(x) * 2 + np.zeros_like(x) + np.full_like(x, 3) + x, M),
    row("ones_like", lambda x: np.ones_like(x, shape=(2, 2)) + x[:2, :2], M),
    row("linspace", lambda x: np.linspace(x[0, 0], x[1, 1] * 20, 5, dtype=int), M, smooth=False),
    row("empty_like", lambda x: np.zeros(np.empty_like(x, shape=(2, 3)).shape), M, smooth=False, compiled=False),
    row("zeros_like", lambda x: [np.zeros_like(x), np.zeros_like(x, dtype=int)], M, smooth=False),
    row("full_like", lambda x, v: np.full_like(x, v), M, V),
    row("array", lambda x, y: lilith.numpy.array([x, [y[0], 1.0, 2, y[1]]]), V, V, narrow=False),
    row("array", lambda x: lilith.numpy.array(x, dtype=np.float32, ndmin=3), M, smooth=False),
    row("asarray", lambda x: [lilith.numpy.asarray(x), lilith.numpy.asarray([x[0], x[1]])], M),
    row(
        "full", lambda x: [lilith.numpy.full((2, 3), x), lilith.numpy.full(3, x, dtype=np.float32)], V[0], smooth=False
    ),
    row("full", lambda v: lilith.numpy.full((2, 4), v), V),
    row("array", lambda x: np.array([x[0], 2.0], like=x) if isinstance(x, lilith.Tracer) else np.array([x[0], 2.0]), V),
    row("asanyarray", lambda x: lilith.numpy.asanyarray([x, x]), V),
    row("ascontiguousarray", lambda x: [lilith.numpy.ascontiguousarray(x), lilith.numpy.ascontiguousarray(x[0, 0])], M),
    row("asfortranarray", lambda x: lilith.numpy.asfortranarray(x, np.float32), M, smooth=False),
    row("require", lambda x: lilith.numpy.require(x, requirements=["C", "A"]), M),
    row("arange", lambda x: x * np.arange(4), M),
    row("empty", lambda x: x[: len(np.empty(2))], M),
    row("zeros", lambda x: x + np.zeros(4), M, narrow=False),
    row("ones", lambda x: x * np.ones((3, 4)), M, narrow=False),
    row("eye", lambda x: x @ np.eye(4, 2, k=1), M, narrow=False),
    row("identity", lambda x: x @ np.identity(4), M, narrow=False),
    row("tri", lambda x: x * np.tri(3, 4, 1), M, narrow=False),
    row("indices", lambda x: x * np.indices((3, 4))[1], M),
    row("fromfunction", lambda x: np.fromfunction(lambda i, j: x[0] * i + x[1] ** j, (2, 3)), V, narrow=False),
    row("geomspace", lambda x, y: [np.geomspace(x, y, 5), np.geomspace(x[0], y[1], 3, endpoint=False)], P, P[::-1]),
    row("geomspace", lambda x: np.geomspace(-1.0, -x, 4, axis=1), P),
    row("geomspace", lambda z: np.geomspace(z, 2 + 1j, 5), Z),
    row(
        "geomspace",
        lambda x: [np.geomspace(x, 100, 4, dtype=int), np.geomspace(x, 8, 1)],
        P[2:3],
        smooth=False,
        narrow=False,
    ),
    row("logspace", lambda x, y: np.logspace(x / 3, y, 5), U, np.array(0.4)),
    row("logspace", lambda x, b: np.logspace(0.0, x, 4, endpoint=False, base=b, axis=-1), U, P),
    row("logspace", lambda x: np.logspace(0, x, 4, base=2.0, dtype=np.float32), U, smooth=False),
    row("resize", lambda x: [np.resize(x, (2, 3)), np.resize(x, (5, 6))], M),
    row("bartlett", lambda x: x * np.bartlett(4), M, narrow=False),
    row("blackman", lambda x: x * np.blackman(4), M, narrow=False),
    row("hamming", lambda x: x * np.hamming(4), M, narrow=False),
    row("hanning", lambda x: x * np.hanning(4), M, narrow=False),
    row("kaiser", lambda b: [lilith.numpy.kaiser(5, b), lilith.numpy.kaiser(1, b)], np.array(3.5)),
]
