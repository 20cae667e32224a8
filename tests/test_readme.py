"""The README is true: its code runs, and the functions it lists exist with the parameters it gives."""

from __future__ import annotations

import doctest
import inspect
import re
from pathlib import Path

import numpy as np

import lilith

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_first_example():
    names: dict = {}
    exec(re.search(r"```python\n(import.*?)```", README, re.S).group(1), names)
    assert repr(names["g"]) == "GradResult(2)" and names["g"]["y_pred"].shape == (10,)


def test_the_example_of_exporting(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {"y_pred": np.ones(10, np.float32), "y_true": np.zeros(10, np.float32)}
    first, second = re.findall(r"```python\n((?:import|from).*?)```", README, re.S)[:2]
    exec(first + second, names)
    assert names["val"] == 10.0 and np.all(names["g"][0] == 2.0)
    assert "stablehlo.subtract" in capsys.readouterr().out


def test_the_examples_with_prompts():
    examples = doctest.DocTestParser().get_doctest(README, {}, "README.md", "README.md", 0)
    runner = doctest.DocTestRunner()
    runner.run(examples)
    assert runner.summarize().attempted >= 4 and runner.failures == 0


def test_the_table_of_functions():
    parameters = inspect.signature(lilith.grad).parameters
    assert list(parameters) == ["f", "args", "cotangent", "wrt", "has_aux", "kwargs"]
    assert list(inspect.signature(lilith.value_and_grad).parameters) == ["f", "wrt", "has_aux", "cotangent"]
    section = README.partition("## Functions")[2].partition("\n## ")[0]
    for name in re.findall(r"^\| `(?:lilith\.)?([\w.]+)[\(` ]", section, re.M):
        owner = lilith
        for part in name.split("."):
            owner = getattr(owner, part)


def test_the_conventions():
    def slope(f, *args):
        return lilith.grad(f, *args)[1][0]

    assert slope(lambda x: abs(x), 0.0) == 0.0 and slope(lambda x: np.sign(x) + np.floor(x), 0.5) == 0.0
    assert slope(lambda x: np.maximum(x, 1.0), 1.0) == 0.5 and slope(lambda x: np.clip(x, 0.0, 1.0), 1.0) == 0.5
    assert slope(lambda x: np.max(np.stack([x, x, x])), 2.0) == 1.0
    assert slope(lambda x: x**3, 0.0) == 0.0 and slope(lambda x: x**0, 0.0) == 0.0 and slope(lambda x: x**1, 0.0) == 1.0
    assert np.all(slope(lambda x: np.linalg.norm(x), np.zeros(3)) == 0.0)
    np.testing.assert_array_equal(slope(lambda x: np.sort(x)[1], np.array([2.0, 1.0, 2.0])), [1, 0, 0])
    np.testing.assert_array_equal(slope(lambda x: np.median(x), np.array([2.0, 1.0, np.inf])), [1, 0, 0])
    line = [0.0, 1.0, 2.0], [0.0, 1.0, 5.0]
    assert [slope(lambda x: np.interp(x, *line), x) for x in (-1.0, 0.0, 1.0, 3.0)] == [0.0, 1.0, 4.0, 0.0]
    assert slope(lambda x: np.hypot(x, 0.0), 0.0) == 0.0
    assert slope(lambda x: np.sqrt(x), 0.0) == np.inf and slope(lambda x: np.log(x), 0.0) == np.inf
    z = np.array([1.0 + 2.0j])
    assert np.all(slope(lambda z: np.sum(z.real**2 + z.imag**2), z) == 2 * np.conj(z))
