"""lower, lower_grad, spec: StableHLO, bytecode, HLO, LLVM code, cost, memory, for every platform."""

from __future__ import annotations

import re
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

import lilith
from lilith.ir.type import DTYPES
from lilith.source import ArgumentError, UnsupportedError
from lowering import carrier
from lowering.emit import PLATFORMS

TABLE = np.linspace(0.0, 1.0, 300)


def loss(model, x, *, scale):
    """A structure, a captured array of more than 1 KiB, a special function that is CHLO's."""
    from scipy.special import erf

    y = np.tanh(x @ model["W"] + model["b"])
    return scale * np.sum(erf(y)) + np.sum(y) * np.mean(TABLE)


def arguments():
    return {"W": np.full((3, 2), 0.5), "b": 0.25, "n": 2}, np.arange(12.0).reshape(4, 3)


def test_specs_stand_for_arrays():
    model, x = arguments()
    with_data = lilith.lower_grad(loss, model, x, scale=2.0)
    types = {"W": lilith.spec("f64[3,2]"), "b": 0.25, "n": 2}
    without = lilith.lower_grad(loss, types, lilith.spec((4, 3)), scale=2.0)
    assert str(with_data) == str(without)
    assert str(lilith.trace_grad(loss, types, lilith.spec("f64[4,3]"), scale=2.0)).startswith("graph loss(model['W']")


@pytest.mark.parametrize("text", ["f32[3", "float32[3]", "f32", "f32[-1]", 'f32["a"]', ""])
def test_texts_that_are_no_types(text):
    with pytest.raises(ArgumentError, match="no array type"):
        lilith.spec(text)


def test_a_type_is_no_argument_of_grad():
    for call in (lilith.grad, lambda f, x: lilith.jit(f)(x)):
        with pytest.raises(ArgumentError, match=r"the type f64\[3\], which has no data(.|\n)*lower_grad"):
            call(np.sum, lilith.spec("f64[3]"))


def test_compiled_answers_as_grad_does():
    model, x = arguments()
    compiled = lilith.lower_grad(loss, model, x, scale=2.0).compile()
    value, g = compiled(model, x, scale=2.0)
    expected, expected_g = lilith.grad(loss, model, x, scale=2.0)
    assert (value, type(value)) == (expected, type(expected)) and g.paths().keys() == expected_g.paths().keys()
    for path, array in expected_g.paths().items():
        assert type(g[path]) is type(array)
        np.testing.assert_array_equal(g[path], array)
    alone = lilith.lower(loss, model, x, scale=2.0).compile()
    assert alone(model, x, scale=2.0) == pytest.approx(expected, rel=1e-14)


def test_captured_arrays_are_taken_as_they_are_when_lowered(tmp_path):
    w = np.ones(500)
    lowered = lilith.lower_grad(lambda x: np.sum(w * x), np.ones(500))
    compiled = lowered.compile()
    w[:] = 7.0
    lilith.export(tmp_path / "f.lilith", lowered)
    for call in (compiled, lowered.compile(), lilith.load_program(tmp_path / "f.lilith")):
        value, g = call(np.ones(500))
        assert value == 500.0 and np.all(g[0] == 1.0)


def test_compiled_refuses_other_arguments():
    model, x = arguments()
    compiled = lilith.lower_grad(loss, model, x, scale=2.0).compile()
    wrong = {
        r"x is f64\[2,3\].*made for f64\[4,3\]": lambda: compiled(model, x[:2], scale=2.0),
        r"x is f32\[4,3\].*made for f64\[4,3\]": lambda: compiled(model, x.astype("f4"), scale=2.0),
        "no scale": lambda: compiled(model, x),
        "unknown factor": lambda: compiled(model, x, scale=2.0, factor=1.0),
        "takes 2 positional": lambda: compiled(model, x, 2.0),
        r"keys \['W', 'b'\].*not a dict with the keys": lambda: compiled({"W": 0, "b": 0.0}, x, scale=2.0),
        r"model\['n'\] is 3.*made for 2": lambda: compiled(model | {"n": 3}, x, scale=2.0),
    }
    for text, call in wrong.items():
        with pytest.raises(lilith.LilithError, match=text):
            call()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_modules_for_every_platform(platform):
    model, x = arguments()
    lowered = lilith.lower_grad(loss, model, x, scale=2.0, platform=platform)
    assert lowered.platform == platform and "stablehlo.dot_general" in str(lowered)
    if platform not in carrier.available_platforms():
        with pytest.raises(ArgumentError, match=f"lowered for {platform}, and there is no such device"):
            lowered.compile()
    with pytest.raises(ArgumentError, match="no platform 'vpu'"):
        lilith.lower(loss, model, x, scale=2.0, platform="vpu")


def test_forms_of_the_text():
    model, x = arguments()
    lowered = lilith.lower_grad(loss, model, x, scale=2.0)
    assert '"stablehlo.add"' in lowered.stablehlo(generic=True) and "stablehlo.add %" in str(lowered)
    assert "test_stages.py" in lowered.stablehlo(locations=True) and "test_stages.py" not in str(lowered)
    assert carrier.pretty(lowered.stablehlo(generic=True)).count("stablehlo.") == str(lowered).count("stablehlo.")
    assert lowered.hlo().startswith("HloModule loss") and "erf" in lowered.hlo()
    assert "<pre" in lowered._repr_html_() and "stablehlo.dot_general" in lowered._repr_html_()


def test_bytecode_comes_back():
    model, x = arguments()
    lowered = lilith.lower_grad(loss, model, x, scale=2.0)
    for version in (None, "1.9.0"):
        data = lowered.bytecode(version)
        assert data.startswith(b"ML\xefR")
        text = carrier.text_of_artifact(data)
        assert "stablehlo.dot_general" in text and "chlo." not in text
    for version in ("0.1.0", "99.0.0", "1.0", "new", 1):
        with pytest.raises(ArgumentError, match="no version of StableHLO"):
            lowered.bytecode(version)


def test_what_xla_made():
    model, x = arguments()
    compiled = lilith.lower_grad(loss, model, x, scale=2.0).compile({"xla_cpu_enable_fast_math": False})
    assert "ENTRY" in compiled.hlo()
    if carrier.versions()["jaxlib"].startswith("0.10."):
        assert "define" in compiled.llvm_ir() and "define" in compiled.llvm_ir(optimized=False)
    else:
        with pytest.raises(UnsupportedError, match="gives no LLVM code"):
            compiled.llvm_ir()
    assert compiled.memory()["arguments"] == sum(v.type.nbytes for v in compiled.lowered.graph.inputs)
    assert len(compiled.serialize()) > 100 and "ENTRY" in compiled._repr_html_()
    if compiled.lowered.platform == "cpu":
        with pytest.raises(UnsupportedError, match="PTX is CUDA's"):
            compiled.ptx()
    with pytest.raises(ArgumentError, match="XLA does not take the options"):
        lilith.lower(np.sin, 1.0).compile({"xla_no_such_flag": 1})


def test_serialized_machine_code_runs_in_another_process(tmp_path):
    """With a captured value, a structure and a call of LAPACK."""
    a, table = np.eye(3) * 2 + 0.1, np.arange(300.0)

    def f(m, x):
        return np.sum(np.linalg.solve(m["a"], x) ** 2) * table[3]

    compiled = lilith.lower_grad(f, {"a": a}, np.ones(3)).compile()
    (tmp_path / "code").write_bytes(compiled.serialize())
    code = (
        "import sys, numpy as np, lilith; call = lilith.load_compiled(open(sys.argv[1], 'rb').read())\n"
        "value, g = call(dict(a=np.eye(3) * 2 + 0.1), np.ones(3)); print(repr(float(value)), g[0]['a'].shape)"
    )
    out = subprocess.run([sys.executable, "-c", code, tmp_path / "code"], capture_output=True, text=True, check=True)
    value, shape = out.stdout.split(" ", 1)
    assert float(value) == pytest.approx(lilith.grad(f, {"a": a}, np.ones(3))[0]) and shape.strip() == "(3, 3)"


def test_bytes_that_are_no_compiled_program(monkeypatch):
    data = lilith.lower(np.sin, 1.0).compile().serialize()
    for wrong in (b"", b"text", data[:-30]):
        with pytest.raises(lilith.ProgramFileError, match="no compiled program"):
            lilith.load_compiled(wrong)
    monkeypatch.setattr(carrier, "versions", lambda: {"jax": "0", "jaxlib": "0", "stablehlo": "0"})
    with pytest.raises(lilith.ProgramFileError, match="was compiled by"):
        lilith.load_compiled(data)


def test_cost_is_counted_per_primitive_beside_xlas():
    a, b = np.ones((5, 7)), np.ones((7, 3))
    lowered = lilith.lower(lambda a, b: np.sum(np.tanh(a @ b)), a, b)
    cost = lowered.cost()
    assert cost.primitives["dot_general"].flops == 2 * 5 * 7 * 3 and cost.primitives["tanh"].flops == 15
    assert cost.primitives["reduce_sum"] == (1, 15, 15 * 8 + 8) and not cost.xla
    solved = lilith.lower(lambda a: np.linalg.solve(a, np.ones(6)), np.eye(6)).cost().primitives
    assert solved["lu"].flops == 2 * 6**3 // 3 and solved["solve"].flops == 2 * 6 * 6
    compiled = lowered.compile().cost()
    assert compiled.primitives == cost.primitives and compiled.xla["flops"] > 0
    assert "all, by XLA" in str(compiled) and "all, by the graph" in str(cost)


@pytest.mark.parametrize("name", [n for n in DTYPES if n[0] in "fbc" and n != "bool"])
def test_every_floating_dtype(name):
    """float16 to complex128, through bytecode and back."""
    x = np.ones(3, DTYPES[name])
    lowered = lilith.lower_grad(lambda x: np.sum(np.abs(x * x)), lilith.spec(f"{name}[3]"))
    assert lilith.spec(f"{name}[3]") == lilith.spec(3, DTYPES[name])
    assert "stablehlo.multiply" in carrier.text_of_artifact(lowered.bytecode())
    value, g = lowered.compile()(x)
    assert g[0].dtype == x.dtype and np.all(g[0] == np.array(2, x.dtype)) and value == 3


def test_bfloat16_prints_as_bf16():
    assert "tensor<3xbf16>" in str(lilith.lower(np.sin, np.ones(3, ml_dtypes.bfloat16)))


def test_text_is_the_same_in_every_process():
    code = "import numpy as np, lilith; print(lilith.lower_grad(lambda x, y: np.sum(np.exp(x) * y), np.ones(3), 2.0))"
    texts = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(texts) == 1


def test_lower_inside_of_a_traced_function():
    def f(x):
        lilith.lower(lambda y: x * y, 1.0)
        return x

    with pytest.raises(lilith.TraceError, match="inside of another traced function"):
        lilith.grad(f, 1.0)


def test_the_graph_shows_itself():
    graph = lilith.trace_grad(lambda x: np.sum(np.sin(x) * 2.0), np.ones(3))
    html = graph._repr_html_()
    assert "<pre" in html and re.sub(r"<[^>]*>", "", html).startswith("graph &lt;lambda&gt;(x: f64[3])")


def test_dot_draws_forward_and_backward():
    graph = lilith.trace_grad(lambda x: np.sum(np.sin(x) * 2.0), np.ones(3))
    text = graph.dot()
    assert text.startswith('digraph "<lambda>"') and "sin" in text and "cos" in text
    assert "#cfe2f3" in text and "#fce5cd" in text and text.count("{") == text.count("}")
    assert re.search(r'in0 -> n\d+ \[label="f64\[3\]"\]', text) and "-> out1" in text


def test_large_graphs_are_drawn_line_by_line(monkeypatch):
    def long(x):
        for _ in range(200):
            x = np.sin(x) * 1.01
        return np.sum(x)

    monkeypatch.setattr(lilith.config, "roll", False)
    text = lilith.trace_grad(long, np.ones(3)).dot()
    assert text.count("fillcolor") < 15 and "200 sin" in text and "(backward)" in text
