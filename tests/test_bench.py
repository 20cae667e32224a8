"""The benchmarks run, at their smallest."""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

import lilith
from bench import __main__ as bench_main
from bench import gpu, loops, workloads
from bench.dispatch import fresh_lambdas


@pytest.fixture(autouse=True)
def jax_flag_as_it_was():
    import jax

    before = jax.config.jax_enable_x64
    yield
    jax.config.update("jax_enable_x64", before)


def test_dispatch(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "dispatch", "--rounds", "1"])
    bench_main.main()
    out = capsys.readouterr().out
    assert "NumPy in and out" in out and "1 compile(s)" in out


def test_numpy(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "numpy", "--rounds", "1", "--rows", "cumsum 100000 float32|trace|eigh "])
    bench_main.main()
    out = capsys.readouterr().out
    assert "cumulative: cumsum 100000 float32" in out and "geometric mean" in out
    assert "0 rows: differs" in out


def test_transforms(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "transforms", "--rounds", "1"])
    bench_main.main()
    assert "whole first call" in capsys.readouterr().out


def test_gpu(monkeypatch, capsys):
    if "gpu" not in {device.platform for device in lilith.devices()}:
        monkeypatch.setattr(sys, "argv", ["bench", "gpu"])
        with pytest.raises(SystemExit, match="bench gpu: there is no device 'gpu' here; the platforms here: "):
            bench_main.main()
    small = [workloads.Workload("softmax", workloads.cross_entropy, (workloads.normal(8, 4), np.eye(8, 4)))]
    monkeypatch.setattr(gpu, "_workloads", lambda: small)
    monkeypatch.setattr(lilith, "devices", lambda platform: [jax.devices("cpu")[0]])  # as if it were one
    gpu.main(rounds=1)
    assert "softmax" in capsys.readouterr().out


def test_a_hundred_fresh_lambdas_are_one_program():
    assert fresh_lambdas() == 1


def test_loops():
    """The gradients agree with jax's; time and memory of both are in the row."""
    row = loops.compare(loops.counted()[0], rounds=1)
    assert row[0].startswith("RNN") and len(row) == len(loops.HEADER)


def test_loops_of_unknown_length():
    import jax

    jax.config.update("jax_enable_x64", True)
    assert [len(row) for row in loops.unknown(rounds=1)] == [len(loops.FORWARD_HEADER)] * 3


def test_first_call_of_a_python_loop():
    """Both sides run in processes of their own, and agree."""
    from bench import first_call

    loop = next(loop for loop in first_call.python_loops() if loop.name.startswith("48 layers"))
    row = first_call.compare_loop(loop)
    assert row[0] == loop.name and len(row) == len(first_call.LOOPS_HEADER) and row[4] == "1.00x"
