"""The comparison with the peers: every workload at its smallest size, and what is written about them."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import __main__ as bench_main
from bench.comparison import checking, compare, main, measure, report
from bench.comparison.measure import prepared
from bench.comparison.peers import PEERS
from bench.comparison.peers.peer import Peer, Program
from bench.comparison.workload import load

WORKLOADS = load()


@pytest.fixture(autouse=True)
def wide():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.mark.filterwarnings("ignore")  # the peers' own
@pytest.mark.parametrize("name", WORKLOADS)
def test_workload(name):
    """All that can do it agree in value and derivative, Lilith among them; the others say why they cannot."""
    w = WORKLOADS[name]
    peers = {n: PEERS[n] for n in ("lilith", "jax.jit", "autograd", "NumPy by hand")}
    programs, failures = prepared(w, w.arguments(w.sizes[0]), peers)
    assert "lilith" in programs and len(programs) >= 2, failures
    expected = {"not written by hand", "autograd has no vmap"}
    if name == "particle-reverse":
        assert "Reverse-mode differentiation does not work" in failures.pop("jax.jit")
    assert set(failures.values()) <= expected


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WORKLOADS)
def test_translation_into_torch(name):
    """Agrees with Lilith."""
    w = WORKLOADS[name]
    programs, failures = prepared(w, w.arguments(w.sizes[0]), {n: PEERS[n] for n in ("lilith", "torch")})
    assert not failures and set(programs) == {"lilith", "torch"}


def test_run_writes_a_table_json_plot_and_page(monkeypatch, capsys, tmp_path):
    peers = "lilith,jax.jit,autograd,NumPy by hand"
    arguments = ["tutorial", "--sizes", "small", "--quick", "--rounds", "2", "--peers", peers, "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    assert bench_main.main() == 0
    out = capsys.readouterr().out
    assert "of jax.jit" in out and "geometric means" in out and "threads:" in out
    data = json.loads((tmp_path / "comparison.json").read_text())
    ours = next(row for row in data["rows"] if row["peer"] == "lilith")
    assert ours["warm"]["rounds"] == 2 and set(ours["stages"]) == {"trace", "lower", "compile", "run"}
    assert ours["memory"] is not None and ours["code"] > 0 and ours["gradient_over_primal"] > 0
    assert "jax.jit" in ours["ratio"] and data["machine"]["versions"]["jax.jit"].startswith("jax ")
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "comparison.html").read_text()
    assert "<svg" in page and "<table>" in page and "src=" not in page and "<link" not in page


def test_a_peer_that_is_not_installed_is_a_row_that_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    arguments = ["tutorial", "--sizes", "small", "--quick", "--rounds", "2", "--peers", "lilith,torch"]
    assert main.main([*arguments, "--out", str(tmp_path), "--json", str(tmp_path / "it.json")]) == 0
    rows = json.loads((tmp_path / "it.json").read_text())["rows"]
    assert "torch is not installed" in rows[1]["failure"]
    assert "torch is not installed" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["nonsense"], ["--peers", "nobody"]])
def test_unknown_names_are_refused(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        main.main(arguments)
    assert "there is no" in capsys.readouterr().err


def test_wrong_results_are_not_timed():
    """The one that differs from two that agree is wrong; of two that differ nobody knows which is."""
    right, wrong = [np.array([1.0, 2.0])], [np.array([1.0, 2.1])]
    assert list(checking.disagreeing({"a": wrong, "b": right, "c": right})) == ["a"]
    assert set(checking.disagreeing({"a": wrong, "b": right})) == {"a", "b"}
    assert checking.disagreeing({"a": right}) == {}
    assert checking.difference(right, [np.array([1.0, np.nan])]) == math.inf


def test_turns():
    """Everybody is timed in every round; a slow one in some, evenly spaced."""
    times = measure.in_turns({"a": lambda: None, "b": lambda: None}, measure.Effort(rounds=4, turn=1e-5), {})
    assert all(len(t) == 4 and not any(map(math.isnan, t)) for t in times.values())
    assert [i for i in range(10) if measure.takes_part(i, 10, 2)] in ([4, 9], [0, 5])
    assert measure.ratio([2.0, math.nan, 4.0], [1.0, 1.0, 2.0]) == {"median": 2.0, "minima": 2.0}


class _Failing(Peer):
    """Fails at the n-th call of its program, and at what else it is told to."""

    def __init__(self, call: int = 0, first: bool = False, stages: bool = False):
        self.call, self.first, self.fails_at_stages, self.calls = call, first, stages, 0

    def program(self, w, args):
        def run():
            self.calls += 1
            if self.calls == self.call:
                raise AssertionError(f"call {self.call}")
            return [0.0]

        return Program(run, None, lambda result: [np.asarray(x) for x in result])

    def first_call(self, w, args):
        if self.first:
            raise RuntimeError("no first call")
        return 1.0

    def stages(self, w, args):
        if self.fails_at_stages:
            raise RuntimeError("no stages")
        return None


def test_a_peer_that_fails_at_any_point_does_not_stop_the_others(capsys):
    """Its row says why; what it could do is in it."""
    w = WORKLOADS["rosenbrock"]
    peers = {
        "good": _Failing(),
        "at once": _Failing(call=1),
        "later": _Failing(call=2),
        "timed": _Failing(call=4),
        "first": _Failing(first=True),
        "stages": _Failing(stages=True),
    }
    rows = measure.measured(w, w.sizes[0], peers, measure.Effort(rounds=3, turn=1e-9, first_calls=2))
    found = {row["peer"]: row for row in rows}
    assert {name: row["failure"] for name, row in found.items() if "failure" in row} == {
        "at once": "AssertionError: call 1",
        "later": "AssertionError: call 2",
        "timed": "AssertionError: call 4",
    }
    assert found["good"]["first_call"]["rounds"] == 2
    assert "first_call" not in found["first"] and "no first call" in found["first"]["first_call_failure"]
    assert found["stages"]["first_call"]["rounds"] == 2 and "no stages" in found["stages"]["stages_failure"]
    report.print_table(rows)
    out = capsys.readouterr().out
    assert "rosenbrock n=5, timed: AssertionError: call 4" in out
    assert "rosenbrock n=5, first, first call: RuntimeError: no first call" in out


def test_an_interrupted_run_writes_what_it_has(monkeypatch, tmp_path):
    """As for any interrupted program, the exit status is 130."""
    real, seen = main.measured, []

    def measured(w, *rest):
        seen.append(w.name)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return real(w, *rest)

    monkeypatch.setattr(main, "measured", measured)
    arguments = ["rosenbrock", "tutorial", "--sizes", "small", "--quick", "--rounds", "2", "--peers", "lilith"]
    assert main.main([*arguments, "--out", str(tmp_path)]) == 130
    rows = json.loads((tmp_path / "comparison.json").read_text())["rows"]
    assert [row["workload"] for row in rows] == ["rosenbrock"]


def _run(tmp_path, name, median, spread, **more):
    warm = {
        "median": median,
        "low": median * (1 - spread),
        "high": median * (1 + spread),
        "minimum": median * (1 - 2 * spread),
        "rounds": 9,
    }
    row = {"workload": "w", "size": "s", "peer": "lilith", "warm": warm, "memory": 10_000, **more}
    path = tmp_path / name
    path.write_text(json.dumps({"format": 1, "machine": {"processor": "p"}, "options": {}, "rows": [row]}))
    return str(path)


def test_compare(tmp_path, capsys):
    """Slower beyond noise is status 1; noise is not; files that are none, or have nothing in common, are status 2."""
    old = _run(tmp_path, "old.json", 1.0, 0.02)
    assert compare.main([old, _run(tmp_path, "same.json", 1.05, 0.02)]) == 0
    assert compare.main([old, _run(tmp_path, "noisy.json", 1.3, 0.4)]) == 0
    assert compare.main([old, _run(tmp_path, "slow.json", 1.3, 0.02)]) == 1
    assert "warm 1000.00 ms -> 1300.00 ms (1.30x)" in capsys.readouterr().out
    assert compare.main([old, _run(tmp_path, "large.json", 1.0, 0.02, memory=20_000)]) == 1
    assert compare.main([old, _run(tmp_path, "broken.json", 1.0, 0.02, failure="it fails")]) == 1
    assert compare.main([old, _run(tmp_path, "first.json", 1.0, 0.02, first_call_failure="it fails")]) == 1
    ratio = {"ratio": {"jax.jit": {"median": 0.5, "minima": 0.5}}}
    slower = {"ratio": {"jax.jit": {"median": 0.9, "minima": 0.8}}}
    fast = _run(tmp_path, "fast.json", 1.0, 0.02, **ratio)
    assert compare.main([fast, _run(tmp_path, "slower.json", 0.5, 0.02, **slower), "--relative"]) == 1
    (tmp_path / "none.json").write_text("{}")
    assert compare.main([old, str(tmp_path / "none.json")]) == 2
    assert compare.main([old, old, "--peer", "torch"]) == 2
