"""What `python -m lilith demo` shows, and that the examples learn what they say from real data."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lilith import demos
from lilith.__main__ import main
from lilith.demos import convolution, digits, language, logistic, mixture, vae


def test_logistic_regression_diagnoses():
    lines: list[str] = []
    assert logistic.train(lines.append) >= 0.94
    losses = [float(line.split("loss")[1]) for line in lines[:-1]]
    assert losses[0] > 2 * losses[-1] and lines[-1].startswith("CONVERGENCE")


def test_handwritten_digits_are_learned():
    lines: list[str] = []
    assert digits.train(report=lines.append) >= 0.96
    assert len(lines) == 20 and lines[0].startswith("epoch   1  loss ") and "test accuracy" in lines[-1]


def test_the_convolutional_net_reaches_98_percent():
    assert convolution.train(report=lambda line: None) >= 0.98


def test_the_mixture_is_as_likely_as_that_of_expectation_maximisation():
    ours, em = mixture.train(report=lambda line: None)
    assert ours >= em - 1e-3


def test_the_language_model_learns_its_text():
    first, last, model, alphabet = language.train(steps=120, size=64, report=lambda line: None)
    assert first > 0.8 * np.log2(len(alphabet)) and last < 0.7 * first
    written = language.sample(model, "Grad", alphabet, 40)
    assert written.startswith("Grad") and len(written) == 44 and set(written) <= set(alphabet)


def test_the_autoencoder_tightens_its_bound_and_draws(tmp_path: Path):
    model, bounds = vae.train(epochs=25, report=lambda line: None)
    assert bounds[-1] > bounds[0] + 4.0
    file = tmp_path / "digits.png"
    assert vae.picture(model, str(file)) < 0.06
    assert file.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_demo_shows_every_stage(capsys):
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    for part in ("GradResult(2)", "graph my_loss(y_pred: f64[10]", "in my_loss", "stablehlo.subtract", "First call"):
        assert part in out


def test_the_list_and_what_is_missing(capsys, monkeypatch):
    assert main(["demo", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(demos.DEMOS)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "optax" else real(name))
    assert main(["demo", "vae"]) == 1
    assert "needs optax: pip install optax" in capsys.readouterr().err


def test_the_shell_gets_a_usage_message():
    with pytest.raises(SystemExit) as caught:
        main(["demo", "nothing"])
    assert caught.value.code == 2
    done = subprocess.run([sys.executable, "-m", "lilith", "--help"], capture_output=True, text=True, check=True)
    assert "demo" in done.stdout
