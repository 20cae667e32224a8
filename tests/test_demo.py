"""What `python -m lilith demo` shows, and that the examples learn what they say from real data."""

from __future__ import annotations

import email.message
import importlib.metadata
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
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sklearn" else real(name))
    assert main(["demo", "convolution"]) == 1
    assert "needs scikit-learn: pip install scikit-learn" in capsys.readouterr().err


def test_options_reach_the_example(capsys):
    assert main(["demo", "language", "--steps", "2", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("step    1  ") and "step    2  " in out and "step    3" not in out
    assert main(["demo", "language", "--out", "x.png"]) == 2
    assert capsys.readouterr().err == "lilith demo language has no option --out; it has --steps, --seed\n"
    assert main(["demo", "--seed", "1"]) == 2
    assert capsys.readouterr().err == "lilith demo tutorial has no option --seed; it has none\n"


def test_the_language_models_text_is_there_without_a_clone(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(language, "__file__", str(tmp_path / "lilith" / "demos" / "language.py"))
    (tmp_path / "README.md").write_text("another project's")
    message = email.message.Message()
    message.set_payload("Gradients, as pip keeps them")
    monkeypatch.setattr(importlib.metadata, "metadata", lambda name: message)
    assert language.readme() == "Gradients, as pip keeps them"


def test_the_shell_gets_a_usage_message(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["demo", "nothing"])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert all(name in error for name in ["nothing", *demos.DEMOS])
    done = subprocess.run([sys.executable, "-m", "lilith", "--help"], capture_output=True, text=True, check=True)
    assert "demo" in done.stdout
