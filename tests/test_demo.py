"""What `python -m lilith demo` shows, and that real input is learned."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lilith.__main__ import main
from lilith.demo import train_digits


def test_handwritten_digits_are_learned():
    lines: list[str] = []
    assert train_digits(report=lines.append) >= 0.96
    assert len(lines) == 40 and lines[0].startswith("epoch   1  loss ") and "test accuracy" in lines[-1]


def test_the_demo_shows_every_stage(capsys):
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    for part in ("GradResult(2)", "graph my_loss(y_pred: f64[10]", "in my_loss", "stablehlo.subtract", "First call"):
        assert part in out


def test_the_shell_gets_a_usage_message():
    with pytest.raises(SystemExit) as caught:
        main(["demo", "nothing"])
    assert caught.value.code == 2
    done = subprocess.run([sys.executable, "-m", "lilith", "--help"], capture_output=True, text=True, check=True)
    assert "demo" in done.stdout
