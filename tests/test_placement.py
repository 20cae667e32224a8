"""Devices: where arrays lie and programs run; shardings; several processes. Virtual CPU devices stand for real ones."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import lilith
from lilith.source import ArgumentError, DeviceError


def test_the_devices_here() -> None:
    every = lilith.devices()
    assert every and lilith.best_available_device() == every[0]
    assert lilith.devices("cpu")[0].platform == "cpu"
    missing = "tpu" if "tpu" not in {d.platform for d in every} else "rocm"
    with pytest.raises(DeviceError, match=rf"no device '{missing}' here[\s\S]*the platforms here: .*cpu"):
        lilith.devices(missing)
    with pytest.raises(DeviceError, match=f"no device '{missing}:0' here"), lilith.device(f"{missing}:0"):
        pass
    for bad, cls, text in (
        ("cpu:99", DeviceError, "cpu has 1"),
        ("cpu:x", DeviceError, "no device 'cpu:x'"),
        ("quantum", DeviceError, "no device 'quantum' here"),
        (3, ArgumentError, "names no device"),
    ):
        with pytest.raises(cls, match=text):
            lilith.to_device(np.ones(2), bad)


def test_to_device_takes_structures_and_keeps_dtypes_and_ties() -> None:
    w = np.arange(3.0)
    x = {
        "w": w,
        "tied": w,
        "half": np.ones(2, np.float16),
        "n": np.int64(3),
        "i": 4,
        "f": 0.5,
        "s": "text",
        "fn": np.sin,
    }
    found = lilith.to_device(x, "cpu")
    assert found["w"] is found["tied"] and found["w"].dtype == np.float64 and found["half"].dtype == np.float16
    assert isinstance(found["n"], jax.Array) and found["n"].dtype == np.int64
    assert (found["i"], found["f"], found["fn"]) == (4, 0.5, np.sin)
    assert found["w"].devices() == {jax.devices("cpu")[0]}
    with pytest.raises(ArgumentError, match="to_device of a traced array"):
        lilith.grad(lambda x: np.sum(lilith.to_device(x, "cpu")), w)


def test_programs_are_written_for_the_platform_of_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    type = lilith.spec("f32[2]")
    assert lilith.lower_grad(np.sum, type).platform == "tpu"
    with lilith.device("cpu"):
        assert lilith.lower_grad(np.sum, type).platform == "cpu"
        assert lilith.lower_grad(np.sum, type, platform="cuda").platform == "cuda"


def start(code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A process with 8 CPU devices that runs a program."""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu", **environment}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **flags},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed(*processes: subprocess.Popen[str]) -> list[Any]:
    """What each of the programs has printed last, as JSON."""
    try:
        texts = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, texts, strict=True):
        assert process.returncode == 0, errors
    return [json.loads(output.splitlines()[-1]) for output, _ in texts]


def run(code: str, *arguments: str) -> Any:
    return printed(start(code, *arguments))[0]


DEVICES = """
import json, threading
import numpy as np, jax, lilith
f = lambda a, b: np.sum(a * b)
a, b = np.ones(2), np.array([2.0, 3.0])
found = {}
d = jax.devices()
def where(x): return sorted(device.id for device in x.devices())
found["follows"] = where(lilith.grad(f, lilith.to_device(a, d[3]), b)[1][0])
for _ in range(3):
    value, g = lilith.grad(f, lilith.to_device(a, "cpu:3"), lilith.to_device(b, "cpu:3"))
    found["both"] = where(g[0]) + where(g[1]) + where(value)
errors = []
for _ in range(3):
    for call in (lambda: lilith.grad(f, lilith.to_device(a, d[0]), lilith.to_device(b, d[1])),
                 lambda: lilith.jit(lambda m: f(*m))([lilith.to_device(a, d[2]), lilith.to_device(b, d[1])])):
        try:
            call()
        except lilith.DeviceError as error:
            errors.append(str(error))
found["errors"] = sorted(set(errors))
seen = []
def callback(x):
    return x
with lilith.device("cpu:5"):
    for _ in range(3):
        value, g = lilith.grad(f, a, b)
    found["block"] = [type(g[0]).__name__, where(jax.numpy.ones(1)), list(g[0])]
    with lilith.device("cpu:2") as inner:
        found["nested"] = [inner.id, where(jax.numpy.ones(1))]
    other = []
    thread = threading.Thread(target=lambda: other.append(where(jax.numpy.ones(1))))
    thread.start(); thread.join()
    found["thread"] = other[0]
    found["back"] = where(jax.numpy.ones(1))
    uncommitted = jax.numpy.ones(2)
    found["uncommitted"] = where(lilith.grad(f, uncommitted, b)[1][0])
    found["stays"] = where(lilith.grad(f, lilith.to_device(a, d[7]), b)[1][0])
found["count"] = [len(lilith.devices()), str(lilith.devices()[0])]
print(json.dumps(found))
"""


def test_where_programs_run() -> None:
    found = run(DEVICES)
    assert found["follows"] == [3] and found["both"] == [3, 3, 3]
    assert [text.split("\n")[0] for text in found["errors"]] == [
        "arguments on different devices: a is on cpu:0 and b is on cpu:1",
        "arguments on different devices: m[0] is on cpu:2 and m[1] is on cpu:1",
    ]
    assert found["block"] == ["ndarray", [5], [2.0, 3.0]] and found["nested"] == [2, [2]]
    assert found["thread"] == [0] and found["back"] == [5] and found["uncommitted"] == [5] and found["stays"] == [7]
    assert found["count"][0] == 8


SHARDED = """
import json, sys
import numpy as np, jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
import lilith
jax.config.update("jax_enable_x64", True)
mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("data", "model"))
def put(x, *spec): return jax.device_put(x, NamedSharding(mesh, P(*spec)))
rng = np.random.default_rng(0)
m = {"W": rng.normal(size=(16, 32)), "b": rng.normal(size=32), "V": rng.normal(size=(32, 4))}
x, y = rng.normal(size=(64, 16)), rng.normal(size=(64, 4))
def mlp(m, x, y):
    return np.mean((np.tanh(x @ m["W"] + m["b"]) @ m["V"] - y) ** 2)
def rnn(w, xs):
    return np.sum(lilith.scan(lambda c, x: (np.tanh(w @ c + x), c[0]), np.zeros(8), xs)[0])
def dense(a):
    return np.sum(np.linalg.inv(a)) + np.sum(np.linalg.slogdet(a)[1])
def branch(x):
    return np.sum(x * x) if np.sum(x) > 0 else np.sum(x)
errors, specs = {}, {}
def compare(name, f, plain, sharded):
    value, g = lilith.grad(f, *plain)
    for _ in range(3):
        value2, g2 = lilith.grad(f, *sharded)
    a, b = jax.tree.leaves(list(g)), jax.tree.leaves(list(g2))
    errors[name] = max([float(np.abs(np.asarray(p) - np.asarray(q)).max() / np.abs(p).max()) for p, q in zip(a, b)]
                       + [abs(float(value) - float(value2))])
    specs[name] = [p.sharding.is_equivalent_to(q.sharding, p.ndim)
                   for p, q in zip(jax.tree.leaves(list(sharded)), b)]
def ordered(x):
    return np.sum(np.sort(x, axis=0) * np.arange(64.0)[:, None]) + np.sum(x[np.array([1, 5, 2])] ** 2)
replicated = {k: put(v) for k, v in m.items()}
split = {"W": put(m["W"], None, "model"), "b": put(m["b"], "model"), "V": put(m["V"], "model", None)}
data = put(x, "data", None), put(y, "data", None)
compare("data parallel", mlp, (m, x, y), (replicated, *data))
compare("tensor parallel", mlp, (m, x, y), (split, *data))
fully = {k: put(v, "data") for k, v in m.items()}
compare("fully sharded", mlp, (m, x, y), (fully, *data))
compare("two axes", mlp, (m, x, y), ({**split, "W": put(m["W"], "data", "model")}, *data))
compare("sorting and indexing", ordered, (x,), (put(x, "data"),))
w, xs = rng.normal(size=(8, 8)) / 4, rng.normal(size=(20, 8))
compare("scan", rnn, (w, xs), (put(w, "data", None), put(xs, None, "data")))
a = rng.normal(size=(8, 5, 5)) + 5 * np.eye(5)
compare("factorisation", dense, (a,), (put(a, "data", None, None),))
compare("guards", branch, (xs,), (put(xs, None, "data"),))
step = lilith.jit(lambda m, x, y: lilith.update(m, lilith.grad(mlp, m, x, y)[1][0], lambda w, d: w - d), donate=0)
given = {k: put(v, "data") for k, v in m.items()}
after, expected = step(given, *data), lilith.grad(mlp, m, x, y)[1][0]
errors["donated"] = max([float(np.abs(np.asarray(after[k]) - (m[k] - expected[k])).max()) for k in m])
specs["donated"] = [after[k].sharding.is_equivalent_to(fully[k].sharding, fully[k].ndim) for k in m]
gone = [given["W"].is_deleted()]
value, g = lilith.grad(mlp, m, *data)  # NumPy parameters with sharded data
folder = sys.argv[1]
lilith.config.dump = folder
lilith.grad(lambda m, x, y: mlp(m, x, y) * 1.0, split, *data)
lilith.config.dump = None
import pathlib
dumped = "".join(p.read_text() for p in pathlib.Path(folder).glob("*optimized.hlo"))
lowered = lilith.lower_grad(mlp, replicated, *data).compile().hlo()
reduces = ["all-reduce" in dumped, "all-reduce" in lowered]
kinds = [type(g[0]["W"]).__name__, float(np.abs(g[0]["W"] - lilith.grad(mlp, m, x, y)[1][0]["W"]).max())]
print(json.dumps([errors, specs, kinds, reduces, gone]))
"""


def test_sharded_arguments_give_sharded_gradients_of_the_same_values(tmp_path: Path) -> None:
    errors, specs, kinds, reduces, gone = run(SHARDED, str(tmp_path))
    assert len(errors) == 9 and gone == [True]
    for name, error in errors.items():
        assert error < 1e-12, (name, error)
    for name, same in specs.items():
        assert all(same), name  # every gradient lies as its argument does
    assert kinds[0] == "ndarray" and kinds[1] < 1e-12
    assert reduces == [True, True]  # the dump, and what lower compiles


PROCESS = """
import json, sys
import numpy as np, jax, jax.experimental.multihost_utils
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"localhost:{sys.argv[1]}", num_processes=2, process_id=int(sys.argv[2]))
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
import lilith
jax.config.update("jax_enable_x64", True)
mesh = Mesh(np.array(jax.devices()), ("all",))
def put(x, *spec):
    return jax.make_array_from_callback(x.shape, NamedSharding(mesh, P(*spec)), lambda index: x[index])
rng = np.random.default_rng(0)
m = {"W": rng.normal(size=(16, 32)), "b": rng.normal(size=32), "V": rng.normal(size=(32, 4))}
x, y = rng.normal(size=(64, 16)), rng.normal(size=(64, 4))
def mlp(m, x, y):
    return np.mean((np.tanh(x @ m["W"] + m["b"]) @ m["V"] - y) ** 2)
def guarded(m, x, y):
    value = mlp(m, x, y)
    return value * 2.0 if value > 300.0 else value
expected = lilith.grad(mlp, m, x, y)
shards = {"data": ({k: put(v) for k, v in m.items()}, put(x, "all", None), put(y, "all", None)),
          "tensor": ({"W": put(m["W"], None, "all"), "b": put(m["b"], "all"), "V": put(m["V"], "all", None)},
                     put(x), put(y))}
found = []
for name, args in shards.items():
    for _ in range(3):
        value, g = lilith.grad(mlp, *args)
    errors = [abs(float(value) - float(expected[0]))]
    for key, part in g[0].items():
        whole = jax.experimental.multihost_utils.process_allgather(part, tiled=True)
        errors.append(float(np.abs(whole - expected[1][0][key]).max()))
    found.append([name, max(errors)])
    text = jax.jit(lambda *a: lilith.grad(mlp, *a)[1][0]).lower(*args).compile().as_text()
    found[-1].append("all-reduce" in text)
data = shards["data"][1:]
value, g = lilith.grad(mlp, m, *data)  # NumPy parameters: every process has them, and gets the whole gradient
errors = [abs(float(value) - float(expected[0]))]
errors += [float(np.abs(g[0][k] - expected[1][0][k]).max()) for k in m]
found.append(["numpy", max(errors), type(g[0]["W"]).__name__ == "ndarray"])
w = rng.normal(size=(64, 64))
g = lilith.grad(lambda w, x: np.sum((x.T @ w) ** 2), w, data[0])[1]  # XLA by itself would split this gradient
found.append(["split", float(np.abs(g[0] - 2 * x @ (x.T @ w)).max()) / 100, type(g[0]).__name__ == "ndarray"])
for scale in (1.0, 30.0, 1.0):  # Python decides on what the processes have together
    args = shards["tensor"][0], shards["tensor"][1], put(y * scale, "all", None)
    value, g = lilith.grad(guarded, *args)
    whole = jax.experimental.multihost_utils.process_allgather(g[0]["W"], tiled=True)
    value2, g2 = lilith.grad(guarded, m, x, y * scale)
    found.append(["guarded", float(np.abs(whole - g2[0]["W"]).max()), float(value2) > 300])
own = lilith.best_available_device()
found.append(["own", 0.0, own.process_index == jax.process_index() and lilith.to_device(x, own).is_fully_addressable])
print(json.dumps(found))
"""


def test_two_processes_agree_with_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    one = {"XLA_FLAGS": "--xla_force_host_platform_device_count=1", "LILITH_CACHE_DIR": str(tmp_path)}
    results = printed(*[start(PROCESS, port, str(i), **one) for i in range(2)])
    assert results[0] == results[1]
    assert [name for name, _, _ in results[0]] == ["data", "tensor", "numpy", "split", *["guarded"] * 3, "own"]
    for name, error, right in results[0]:
        assert error < 1e-12, (name, error)
        assert right or name == "guarded", name
    assert [right for name, _, right in results[0] if name == "guarded"] == [False, True, False]


WIDTHS = """
import json
import numpy as np, jax, lilith
from jax.sharding import Mesh, NamedSharding, PartitionSpec
mesh = Mesh(np.array(jax.devices()), ("d",))
split, whole = NamedSharding(mesh, PartitionSpec("d")), NamedSharding(mesh, PartitionSpec())
def widths(x):
    return sorted({str(part.data.dtype) for part in x.addressable_shards})
a, b, c, d = [np.linspace(0.1, k, 4096) for k in (1.0, 2.0, 3.0, 4.0)]
kept = [lilith.to_device(a, split), jax.device_put(a, split)]
kept += [jax.device_put(b, split), lilith.to_device(b, split)]
found = [widths(x) for x in kept]
program = lilith.value_and_grad(lambda x, y: np.sum(x * y))
kept += [jax.device_put(c, split), jax.device_put(c, whole)]
right = [bool(np.all(np.asarray(program(kept[0], x)[1][0]) == x)) for x in (c, d, c, d)]
found += [widths(jax.device_put(d, split)), widths(jax.device_put(d, whole))]
compiled = lilith.lower(lambda x, y: x * y, kept[0], c).compile()
right.append(bool(np.all(np.asarray(compiled(kept[0], c)) == a * c)))
print(json.dumps([found, right]))
"""


def test_of_an_array_that_went_to_several_devices_nothing_is_remembered_in_another_width() -> None:
    found, right = run(WIDTHS)
    assert found == [["float64"], ["float32"], ["float32"], ["float64"], ["float32"], ["float32"]]
    assert all(right)
