"""export and load_program: files of programs that need no source."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import lilith
from lilith.files import ProgramFileError
from lilith.source import UnsupportedError

Pair = namedtuple("Pair", "low high")
TABLE = np.linspace(0.0, 1.0, 300)


@dataclass
class Layer:
    W: np.ndarray
    b: float


class Model:
    def __init__(self):
        self.layers = [Layer(np.full((3, 2), 0.5), 0.25), Layer(np.full((2, 1), -1.0), 0.5)]
        self.range = Pair(-1.0, np.float32(2.0))
        self.activation = np.tanh


def loss(model, x, power=2):
    for layer in model.layers:
        x = model.activation(x @ layer.W + layer.b)
    return np.sum(np.clip(x, model.range.low, model.range.high) ** power) + np.sum(TABLE)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "loss.lilith"
    lilith.export(path, lilith.lower_grad(loss, Model(), lilith.spec("f64[4,3]")))
    return path


X = np.linspace(-1.0, 1.0, 12).reshape(4, 3)


def test_value_and_gradients_come_back(file):
    program = lilith.load_program(file)
    assert program.platforms == ("any",) and program.name == "loss" and "f64[4,3]" in repr(program)
    value, g = program(Model(), X)
    expected, expected_g = lilith.grad(loss, Model(), X)
    assert value == pytest.approx(expected, rel=1e-14) and type(value) is type(expected)
    assert repr(g) == repr(expected_g) and g.paths().keys() == expected_g.paths().keys()
    np.testing.assert_allclose(g[0].layers[1].W, expected_g[0].layers[1].W, rtol=1e-13)
    assert g[0].range.high.dtype == np.float32 and type(g["model.layers[0].b"]) is float
    assert g[0].activation is None and type(g[0].range).__name__ == "Pair"


def test_plain_structures_stand_for_the_users_classes(file):
    program = lilith.load_program(file)
    layers = [{"W": layer.W, "b": layer.b} for layer in Model().layers]
    plain = SimpleNamespace(layers=layers, range={"low": -1.0, "high": np.float32(2.0)}, activation=None)
    assert program(plain, X)[0] == program(Model(), X)[0]


def test_wrong_arguments_are_named(file):
    program = lilith.load_program(file)
    with pytest.raises(lilith.ShapeError, match=r"x is f64\[3\].*made for f64\[4,3\]"):
        program(Model(), X[0])
    model = Model()
    del model.layers[0].b
    with pytest.raises(lilith.ArgumentError, match=r"model\.layers\[0\] is a Layer, which has no b"):
        program(model, X)
    model.layers = model.layers[:1]
    with pytest.raises(lilith.ArgumentError, match=r"model\.layers is a list of 1, not a list of 2"):
        program(model, X)


def test_jax_arrays_and_jits_take_it(file):
    program = lilith.load_program(file)
    value, g = program(Model(), X)
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        found, found_g = program(Model(), jax.numpy.asarray(X))
        assert isinstance(found, jax.Array) and isinstance(found_g["x"], jax.Array)
        traced = jax.jit(lambda x: program(Model(), x)[1]["x"])(X)
    finally:
        jax.config.update("jax_enable_x64", before)
    np.testing.assert_allclose(found, value)
    np.testing.assert_allclose(traced, g["x"])


FRESH = """
import sys, zipfile
import jax, numpy as np
from jax.interpreters import mlir
from jaxlib.mlir.dialects import stablehlo
jax.config.update("jax_enable_x64", True)
data = zipfile.ZipFile(sys.argv[1]).read("any.mlirbc")
text = str(stablehlo.deserialize_portable_artifact(mlir.make_ir_context(), data))
assert "lilith" not in sys.modules and "chlo." not in text
from jax._src import compiler
device = jax.devices()[0]
from jaxlib import _jax
from jax._src.lib import xla_client
options = xla_client.CompileOptions()
loaded = device.client.compile_and_load(text, _jax.DeviceList((device,)), options)
x = jax.device_put(np.arange(3.0))
outputs = loaded.execute_sharded([x]).disassemble_into_single_device_arrays()
print([np.asarray(y[0]).tolist() for y in outputs])
"""


def test_other_stablehlo_consumers_run_it(tmp_path):
    """Plain JAX in a fresh process, without Lilith."""
    path = tmp_path / "squares.lilith"
    lilith.export(path, lilith.lower_grad(lambda x: np.sum(x * x) + TABLE[-1], np.ones(3)))
    out = subprocess.run([sys.executable, "-c", FRESH, path], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[6.0, [0.0, 2.0, 4.0]]"


def test_a_fresh_process_needs_no_source(file):
    code = (
        "import sys, numpy as np, lilith; p = lilith.load_program(sys.argv[1])\n"
        "W = lambda *s: np.ones(s)\n"
        "layers = [dict(W=W(3, 2), b=0.0), dict(W=W(2, 1), b=0.0)]\n"
        "m = dict(layers=layers, range=dict(low=-1.0, high=np.float32(2.0)), activation=None)\n"
        "value, g = p(m, np.ones((4, 3)))\n"
        "print(float(value), g['x'].shape)"
    )
    out = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=True).stdout
    model = Model()
    model.layers = [Layer(np.ones((3, 2)), 0.0), Layer(np.ones((2, 1)), 0.0)]
    expected = loss(model, np.ones((4, 3)))
    value, shape = out.split(" ", 1)
    assert float(value) == pytest.approx(expected) and shape.strip() == "(4, 3)"


@pytest.mark.parametrize("kept", [0, 10, 300, 0.5, -1])
def test_truncated_files(file, kept):
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(ProgramFileError, match=r"is no whole program file|has been altered"):
        lilith.load_program(file)


def test_altered_files(file):
    """A changed byte anywhere is an error of ours or changes nothing."""
    data = file.read_bytes()
    expected = lilith.load_program(file)(Model(), X)[0]
    for place in range(0, len(data), max(1, len(data) // 40)):
        file.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            program = lilith.load_program(file)
        except ProgramFileError:
            continue
        assert program.bytecode() and program(Model(), X)[0] == expected


def test_members_are_checked(file, tmp_path):
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
        comment = archive.comment

    def rewritten(changed: dict[str, bytes]) -> str:
        path = tmp_path / "other.lilith"
        with zipfile.ZipFile(path, "w") as archive:
            archive.comment = comment
            for name, content in (members | changed).items():
                archive.writestr(name, content)
        return str(path)

    with pytest.raises(ProgramFileError, match=r"altered: any\.mlirbc"):
        lilith.load_program(rewritten({"any.mlirbc": members["any.mlirbc"][:-1]}))
    with pytest.raises(ProgramFileError, match=r"altered: program\.json"):
        lilith.load_program(rewritten({"program.json": b"{}"}))


def test_prints_are_refused(tmp_path):
    def noisy(x):
        lilith.print("{}", x)
        return x * x

    with pytest.raises(UnsupportedError, match="calls back into Python"):
        lilith.export(tmp_path / "noisy.lilith", lilith.lower_grad(noisy, 1.0))
    assert not list(tmp_path.iterdir())


def test_export_takes_lowered_programs(tmp_path):
    with pytest.raises(lilith.ArgumentError, match=r"what lilith\.lower or lilith\.lower_grad gave, not function"):
        lilith.export(tmp_path / "x.lilith", loss)  # type: ignore[arg-type]
    with pytest.raises(lilith.ArgumentError, match="cannot be written into a file"):
        lilith.lower(lambda d: d[(1, 2)], {(1, 2): 1.0})
    with pytest.raises(FileNotFoundError):
        lilith.load_program(tmp_path / "missing.lilith")


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16", "i4", "?"])
def test_dtypes(tmp_path, dtype):
    x = np.ones(3, dtype)
    table = np.arange(400).astype(dtype)
    lilith.export(tmp_path / "f.lilith", lilith.lower(lambda x: x + table[:3], x))
    y = lilith.load_program(tmp_path / "f.lilith")(x)
    assert y.dtype == x.dtype and np.array_equal(y, x + table[:3])


def steered(w, x):
    h = lilith.fori_loop(0, 4, lambda i, h: np.tanh(w @ h + 0.1 * i), x)
    n = lilith.while_loop(lambda s: np.sum(s * s) > 1e-2, lambda s: s * 0.5, h)
    return lilith.cond(np.sum(h) > 0, lambda: np.sum(h * h), lambda: np.sum(h)) + np.sum(n) * TABLE[7]


def test_loops_and_branches_are_exported(tmp_path):
    w = np.eye(3) * 0.9 + 0.1
    for platform in ("cpu", "cuda", "rocm", "tpu"):
        text = str(lilith.lower_grad(steered, w, lilith.spec("f64[3]"), platform=platform))
        assert "stablehlo.while" in text and "stablehlo.case" in text
    lowered = lilith.lower_grad(steered, w, lilith.spec("f64[3]"))
    lilith.export(tmp_path / "steered.lilith", lowered)
    program = lilith.load_program(tmp_path / "steered.lilith")
    compiled = lowered.compile()
    for x in (np.ones(3), -np.ones(3)):
        expected, expected_g = lilith.grad(steered, w, x)
        for value, g in (program(w, x), compiled(w, x)):
            assert value == pytest.approx(expected, rel=1e-13)
            np.testing.assert_allclose(g["w"], expected_g["w"], rtol=1e-12)
    assert compiled.cost().flops > 0 and "while" in compiled.hlo()


def test_libraries_are_called_by_exported_programs(tmp_path):
    """Factorisations differ from platform to platform: the file says for which it is."""
    a = np.eye(3) * 2 + 0.1
    lowered = lilith.lower_grad(lambda a, b: np.sum(np.linalg.solve(a, b) ** 2), a, np.ones(3), platform="cpu")
    lilith.export(tmp_path / "solve.lilith", lowered)
    program = lilith.load_program(tmp_path / "solve.lilith")
    assert program.platforms == ("cpu",)
    expected, expected_g = lilith.grad(lambda a, b: np.sum(np.linalg.solve(a, b) ** 2), a, np.ones(3))
    value, g = program(a, np.ones(3))
    assert value == pytest.approx(expected) and np.allclose(g["a"], expected_g["a"])
    lilith.export(tmp_path / "other.lilith", lowered, platforms=["cuda", "tpu"])
    with pytest.raises(UnsupportedError, match="exported for cuda, tpu, not for cpu"):
        lilith.load_program(tmp_path / "other.lilith")(a, np.ones(3))
