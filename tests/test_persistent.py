"""The persistent compile cache: programs of one process used by the next, whatever happens to the folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import lilith
from lilith import LilithWarning, grad
from lowering.persistent import Folder, folder

PROGRAM = """
import json, sys
import jax._src.compiler as compiler
compiled = []
original = compiler.backend_compile_and_load
def counted(backend, module, *rest):
    compiled.append(str(module.operation.attributes["sym_name"]))
    return original(backend, module, *rest)
compiler.backend_compile_and_load = counted
import numpy as np, lilith
from lowering.persistent import folder
scale = float(sys.argv[1])
def loss(x, m):
    y = np.linalg.solve(m, np.tanh(x) * 3.0)
    return np.sum(lilith.scan(lambda c, v: (c * 0.5 + v, c), 0.0, y)[1]) + (np.sum(x) if scale > 1 else 0.0)
value, g = lilith.grad(loss, np.linspace(0, 1, 5), np.eye(5) + 0.1)
print(json.dumps([compiled, folder.hits, folder.misses, float(value), g[0].tolist()]))
"""


def run(cache: Path, scale: float = 1.0, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", PROGRAM, str(scale)],
        env={**os.environ, "LILITH_CACHE_DIR": str(cache), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return *json.loads(done.stdout), done.stderr


def test_a_second_process_skips_xla(tmp_path: Path) -> None:
    first, second = run(tmp_path), run(tmp_path)
    assert first[0] == ['"jit_loss"'] and first[1:3] == (0, 1)
    assert second[0] == [] and second[1:3] == (1, 0)
    assert first[3:5] == second[3:5]
    other = run(tmp_path, 2.0)  # another program
    assert other[1:3] == (0, 1) and other[3] != first[3]
    flags = run(tmp_path, XLA_FLAGS="--xla_cpu_enable_fast_math=true")  # other flags
    assert flags[1:3] == (0, 1)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    folder.hits = folder.misses = 0
    lilith.config.cache_dir = tmp_path / "programs"
    yield tmp_path / "programs"
    lilith.config.cache_dir = None


def fresh(weight: float) -> Any:
    """The gradient by a program that no cache in memory has."""

    def loss(x: Any) -> Any:
        return np.sum(np.sin(x) * 3.0)

    loss.__code__ = loss.__code__.replace()
    value, g = grad(loss, np.linspace(0.0, weight, 4))
    np.testing.assert_allclose(g[0], 3.0 * np.cos(np.linspace(0.0, weight, 4)))
    return value


def entries(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.lilith-xla"))


def test_entries_in_this_process(cache: Path) -> None:
    fresh(1.0)
    (entry,) = entries(cache)
    assert (folder.hits, folder.misses) == (0, 1)
    fresh(2.0)
    assert (folder.hits, folder.misses) == (1, 1) and entries(cache) == [entry]
    assert jax.config.jax_compilation_cache_dir is None  # JAX's own cache is as it was
    jax.jit(lambda x: x * 2.5)(1.0)  # and the user's programs are not ours
    assert entries(cache) == [entry]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "foreign"])
def test_damaged_entries_are_compiled_again(cache: Path, damage: str) -> None:
    fresh(1.0)
    (entry,) = entries(cache)
    whole = entry.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    bad = {"cut": whole[:-7], "flip": bytes(flipped), "empty": b"", "text": b"hello", "foreign": b""}[damage]
    entry.write_bytes(bad)
    if damage == "foreign":  # whole, but no code of XLA's
        Folder.write(folder, entry.name.removesuffix(".lilith-xla"), b"not machine code")
    folder._warned.clear()
    with pytest.warns(LilithWarning, match="damaged" if damage != "foreign" else "cannot use the entry"):
        fresh(1.0)
    assert (folder.hits == 0 and entry.read_bytes()[:32] == whole[:32]) or entry.stat().st_size > 100
    fresh(1.0)
    assert folder.hits == 1


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, cache: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    lilith.config.cache_dir = blocked / "below"
    folder._warned.clear()
    with pytest.warns(LilithWarning, match="compile cache: cannot"):
        fresh(1.0)
    fresh(1.0)  # said once


def test_many_writers_at_once(cache: Path) -> None:
    def write(i: int) -> None:
        for _ in range(20):
            folder.write("same", bytes([i]) * 10000)
            found = folder.read("same")
            assert found is not None and len(set(found)) == 1 and len(found) == 10000

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert [p.name for p in cache.iterdir()] == ["same.lilith-xla"]


def test_the_oldest_entries_make_room(cache: Path) -> None:
    for i in range(6):
        folder.write(f"k{i}", b"x" * 1000)
        os.utime(cache / f"k{i}.lilith-xla", (i, i))
    folder.read("k0")  # used just now
    limit, folder.limit = folder.limit, 3500
    try:
        folder.write("k6", b"x" * 1000)
    finally:
        folder.limit = limit
    assert [p.name[:2] for p in entries(cache)] == ["k0", "k5", "k6"]


def test_a_folder_that_can_only_be_read(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh(1.0)

    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError("read-only")

    monkeypatch.setattr(os, "utime", refused)
    monkeypatch.setattr("tempfile.mkstemp", refused)
    fresh(2.0)
    assert folder.hits == 1


def test_what_a_process_has_left_half_written_is_removed(cache: Path) -> None:
    folder.write("k0", b"x")
    old, new = cache / "old.lilith-part", cache / "new.lilith-part"
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (1, 1))
    folder.write("k1", b"x")
    assert sorted(p.name for p in cache.iterdir()) == ["k0.lilith-xla", "k1.lilith-xla", "new.lilith-part"]


def test_programs_that_call_back_are_not_kept(cache: Path) -> None:
    def f(x: Any) -> Any:
        return np.sum(lilith.pure_callback(np.sin, lilith.spec("f64[3]"), x)) + np.sum(x)

    lilith.jit(f)(np.ones(3))
    assert not cache.exists() and (folder.hits, folder.misses) == (0, 0)
