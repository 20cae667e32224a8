"""The command line, by subprocess where a shell's view matters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lilith.cli import main
from lilith.ir.type import parse_type
from lowering.carrier import versions

SOURCE = """
import numpy as np
import helper_beside_it


def my_loss(y_pred, y_true):
    return np.sum((y_pred - y_true) ** 2) * helper_beside_it.ONE


def scaled(p, x, *, power=2):
    return np.sum(p["W"] * x ** power)


def broken(x):
    raise KeyError("oops")


number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "losses_for_cli.py").write_text(SOURCE)
    (tmp_path / "helper_beside_it.py").write_text("ONE = 1.0\n")
    np.savez(tmp_path / "params.npz", W=np.arange(3.0))
    np.save(tmp_path / "x.npy", np.array([1.0, 2.0, 3.0]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


TWO = ["--arg", "f64[3]", "--arg", "f64[3]"]
TARGET = "losses_for_cli.py:my_loss"


def test_stages(folder: Path, capsys: pytest.CaptureFixture) -> None:
    expected = {
        "show": "graph my_loss(y_pred: f64[3], y_true: f64[3], helper_beside_it.ONE: f64[]) {",
        "stablehlo": "module @my_loss",
        "hlo": "HloModule my_loss",
        "optimized": "HloModule jit_my_loss, is_scheduled=true",
        "cost": "all, by XLA",
        "memory": "temporaries",
        "dot": 'digraph "my_loss" {',
    }
    for command, text in expected.items():
        assert main([command, TARGET, *TWO]) == 0
        out = capsys.readouterr()
        assert text in out.out and not out.err, command
    code = main(["llvm", TARGET, *TWO])
    out = capsys.readouterr()
    if versions()["jaxlib"].startswith("0.10."):
        assert code == 0 and "; ModuleID" in out.out
    else:
        assert code == 1 and "gives no LLVM code" in out.err


def test_options(folder: Path, capsys: pytest.CaptureFixture) -> None:
    def text(*arguments: str) -> str:
        assert main(list(arguments)) == 0
        return capsys.readouterr().out

    assert "return %6\n" in text("show", "losses_for_cli:my_loss", *TWO, "--value")
    assert text("stablehlo", TARGET, *TWO, "--wrt", "y_true").count("stablehlo.negate") == 1
    assert text("stablehlo", TARGET, *TWO, "--wrt", "-1") == text("stablehlo", TARGET, *TWO, "--wrt", "1")
    assert "losses_for_cli.py" in text("stablehlo", TARGET, *TWO, "--locations")
    assert '"stablehlo.subtract"' in text("stablehlo", TARGET, *TWO, "--generic")
    assert "tensor<3xf64>" in text("stablehlo", TARGET, *TWO, "--platform", "tpu")
    text("stablehlo", TARGET, *TWO, "--bytecode", "-o", "loss.mlirbc")
    assert (folder / "loss.mlirbc").read_bytes().startswith(b"ML\xefR")
    text("show", TARGET, *TWO, "-o", "graph.txt")
    assert (folder / "graph.txt").read_text().endswith("}\n")


def test_run(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["run", "losses_for_cli.py:scaled", "--arg", "params.npz", "--arg", "x.npy", "--arg", "power=3"]) == 0
    out = capsys.readouterr().out
    assert "value = np.float64(62.0)" in out and "d p['W'] = array([ 1.,  8., 27.])" in out
    arguments = ["run", "losses_for_cli.py:scaled", "--arg", "params.npz", "--arg", "x.npy", "-o", "out.npz"]
    assert main(arguments) == 0
    with np.load(folder / "out.npz") as found:
        assert found["d_p['W']"].tolist() == [1.0, 4.0, 9.0] and found["value"] == 22.0
    assert main(["run", TARGET, "--arg", "3.0", "--arg", "1.0", "--value"]) == 0
    assert capsys.readouterr().out == "value = np.float64(4.0)\n"
    assert main(["run", TARGET, "--arg", "params.npz:W", "--arg", "x.npy"]) == 0


def test_export_and_run(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["export", TARGET, *TWO, "-o", "loss.lilith"]) == 0
    assert main(["run", "loss.lilith", "--arg", "x.npy", "--arg", "params.npz:W"]) == 0
    assert "d y_pred = array([2., 2., 2.])" in capsys.readouterr().out


WRONG = {
    "no.py:f": "there is no file no.py",
    "no_such_module_here:f": "there is no module no_such_module_here",
    "losses_for_cli.py": "names no function: write FILE.py:FUNC",
    "losses_for_cli.py:my_los": "has no my_los; it has broken, my_loss, scaled",
    "losses_for_cli.py:number": "is a int, not a function",
}


@pytest.mark.parametrize("target", WRONG)
def test_wrong_targets(folder: Path, capsys: pytest.CaptureFixture, target: str) -> None:
    assert main(["show", target, *TWO]) == 2
    out = capsys.readouterr()
    assert WRONG[target] in out.err and not out.out


WRONG_ARGUMENTS = {
    ("show", "float[3]", "f64[3]"): "is no type",
    ("show", "f64[3]"): "missing a required argument: 'y_true'",
    ("run", "f64[3]", "1.0"): "run needs data, and --arg f64[3] is a type",
    ("run", "missing.npy", "1.0"): "missing.npy cannot be read",
    ("run", "params.npz:b", "1.0"): "has no array b; it has W",
    ("show", "y_pred=f64[3]", "f64[3]"): "follows a keyword argument",
    ("export", "f64[3]", "f64[3]"): "export needs -o FILE",
}


@pytest.mark.parametrize("case", WRONG_ARGUMENTS)
def test_wrong_arguments(folder: Path, capsys: pytest.CaptureFixture, case: tuple[str, ...]) -> None:
    command, *values = case
    assert main([command, TARGET, *[part for v in values for part in ("--arg", v)]]) == 2
    assert WRONG_ARGUMENTS[case] in capsys.readouterr().err


def test_errors_of_the_program(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["show", TARGET, "--arg", "f64[3]", "--arg", "f64[4]"]) == 1
    assert "lilith: ShapeError: subtract: f64[3] and f64[4] do not broadcast\n  at losses_for_cli.py:" in (
        capsys.readouterr().err
    )
    assert main(["show", "losses_for_cli.py:broken", "--arg", "1.0"]) == 1
    assert "KeyError: 'oops'" in capsys.readouterr().err


def test_literals() -> None:
    from lilith.cli import parse_argument

    assert parse_argument("3") == 3 and parse_argument("[1.0, 2.0]") == [1.0, 2.0] and parse_argument("'a'") == "a"
    assert parse_argument("bf16[2, 3]") is parse_type("bf16[2,3]")


def _shell(command: str, **environment: str) -> subprocess.CompletedProcess:
    import os

    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), **environment},
    )


def test_pipes_and_exit_codes(folder: Path) -> None:
    python = f"{sys.executable} -m lilith"
    piped = _shell(f"{python} stablehlo {TARGET} --arg 'f64[3]' --arg 'f64[3]' | head -1")
    assert piped.stdout == "module @my_loss {\n" and not piped.stderr
    wrong = _shell(f"{python} show no.py:f")
    assert wrong.returncode == 2 and wrong.stderr == "lilith: error: there is no file no.py\n"
    helped = _shell(f"{python} show --help")
    assert helped.returncode == 0 and "examples:" in helped.stdout


def test_every_compiled_program_is_dumped(folder: Path) -> None:
    code = "import numpy as np, lilith, losses_for_cli as m; a = np.ones(3); lilith.grad(m.my_loss, a, a); "
    ran = _shell(f"{sys.executable} -c '{code} lilith.jit(m.my_loss)(a, a)'", LILITH_DUMP="dumps/deep")
    assert ran.returncode == 0, ran.stderr
    names = sorted(f.name for f in (folder / "dumps" / "deep").iterdir())
    stages = ("1_graph.txt", "2_gradient.txt", "3_simplified.txt", "4_stablehlo.mlir", "5_optimized.hlo")
    assert names == [f"{n:04d}_my_loss.{stage}" for n in (1, 2) for stage in stages]
    text = (folder / "dumps" / "deep" / "0001_my_loss.4_stablehlo.mlir").read_text()
    assert "losses_for_cli.py" in text and "module @my_loss" in text
    assert "ENTRY" in (folder / "dumps" / "deep" / "0001_my_loss.5_optimized.hlo").read_text()
    (folder / "file").write_text("")
    unwritable = _shell(f"{sys.executable} -c '{code} print(1)'", LILITH_DUMP="file/x")
    assert unwritable.returncode == 0 and "cannot be written" in unwritable.stderr and unwritable.stdout == "1\n"
