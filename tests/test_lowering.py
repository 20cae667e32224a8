"""StableHLO text, constants, locations, the carrier."""

from __future__ import annotations

import gc
import os
import re
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import lilith
from lilith.ir import Graph
from lilith.ir.type import DTYPES, TensorType
from lowering import carrier, emit, module
from lowering.stages import Lowered

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str, text: str) -> None:
    """Compare with a stored text; LILITH_UPDATE_GOLDEN=1 stores it."""
    path = GOLDEN / name
    if os.environ.get("LILITH_UPDATE_GOLDEN"):
        path.write_text(text + "\n")
    assert text + "\n" == path.read_text()


def my_loss(y_pred, y_true):
    return np.sum((y_pred - y_true) ** 2)


def attention(q, k, v, mask):
    scores = q @ k.T / np.sqrt(q.shape[-1])
    scores = np.where(mask, scores, -1e9)
    weights = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    weights = weights / np.sum(weights, axis=-1, keepdims=True)
    return np.mean((weights @ v)[1:, ::2] ** 2)


def attention_args():
    return (*np.ones((3, 4, 6), np.float32), np.tri(4, dtype=bool))


def without_paths(text: str) -> str:
    return re.sub(r'"[^"]*/(test_\w+\.py)"', r'"\1"', text)


def test_golden_graphs():
    golden("my_loss.graph.txt", str(lilith.trace(my_loss, np.ones(10), np.ones(10))))
    golden("my_loss.gradient.txt", str(lilith.trace_grad(my_loss, np.ones(10), np.ones(10))))
    golden("attention.gradient.txt", str(lilith.trace_grad(attention, *attention_args(), wrt=(0, 1, 2))))


def test_golden_stablehlo():
    lowered = Lowered(lilith.trace_grad(my_loss, np.ones(10), np.ones(10)))
    golden("my_loss.mlir", str(lowered).strip())
    golden("my_loss.locations.mlir", without_paths(lowered.stablehlo(locations=True)).strip())
    golden("attention.mlir", str(Lowered(lilith.trace_grad(attention, *attention_args(), wrt=(0, 1, 2)))).strip())


def test_text_is_deterministic():
    texts = {Lowered(lilith.trace_grad(attention, *attention_args(), wrt=0)).stablehlo(generic=True) for _ in range(3)}
    assert len(texts) == 1


def test_operations_carry_the_users_line_and_arguments_their_names():
    text = Lowered(lilith.trace_grad(my_loss, np.ones(3), np.ones(3))).stablehlo(locations=True)
    line = my_loss.__code__.co_firstlineno + 1
    assert f'test_lowering.py":{line}:' in text and '"my_loss"' in text
    assert '"y_pred"' in text and "%arg1" in text


@pytest.mark.parametrize("name", list(DTYPES))
def test_constants_come_back_bit_for_bit(name):
    dtype = DTYPES[name]
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 256, 64 * dtype.itemsize, dtype=np.uint8)
    array = (bits % 2).astype(bool)[:64] if name == "bool" else bits.view(dtype)
    special = [] if dtype.kind in "biu" else [np.nan, np.inf, -np.inf, -0.0, 1e-300 if dtype.itemsize >= 8 else 1e-40]
    with np.errstate(all="ignore"):
        scalars = np.array([*array[:6], *special]).astype(dtype)
    e = emit.Emitter(Graph("f", (), (), (), ()))
    names = [e.constant(array, TensorType(array.shape, dtype))]
    names += [e.constant(x.item(), TensorType((), dtype)) for x in scalars]
    types = [TensorType(array.shape, dtype), *[TensorType((), dtype)] * len(scalars)]
    results = ", ".join(map(emit.tensor_type, types))
    body = " ".join([*e.lines, f'"func.return"({", ".join(names)}) : ({results}) -> ()'])
    text = f"module @m {{ func.func public @main() -> ({results}) {{ {body} }} }}"
    out = [np.asarray(y) for y in carrier.Loaded(carrier.Module("m", lambda _: text, (), tuple(types))).call()]
    np.testing.assert_array_equal(out[0].view(np.uint8), array.view(np.uint8))
    for got, want in zip(out[1:], scalars, strict=True):
        assert got.dtype == dtype
        if np.isnan(want.astype(complex)):
            assert np.isnan(got.astype(complex))
        else:
            assert got.tobytes() == want.tobytes()


def test_programs_are_freed_with_their_owner():
    gc.collect()
    before = len(module.modules)
    graph = lilith.trace(np.sin, 1.0)
    loaded = carrier.Loaded(
        carrier.Module("m", lambda _: emit.emit(graph), graph.input_names, (graph.outputs[0].type,))
    )
    loaded.call(1.0)
    assert len(module.modules) == before + 1
    del loaded
    gc.collect()
    assert len(module.modules) == before


def test_xla_knows_the_names_of_the_arguments():
    compiled = Lowered(lilith.trace(my_loss, np.ones(2), np.ones(2))).compile()
    assert 'op_name="y_pred"' in compiled.hlo() and 'op_name="y_true"' in compiled.hlo()
    nested = Lowered(lilith.trace(lambda m, x: m["a"] * x, {"a": 1.0}, 2.0)).compile()
    assert 'op_name="m_a"' in nested.hlo()


def test_compiled_shows_what_xla_made():
    compiled = Lowered(lilith.trace_grad(my_loss, np.ones(10), np.ones(10))).compile()
    assert "ENTRY" in compiled.hlo() and compiled.cost().xla["flops"] > 0 and compiled.memory()["arguments"] == 160
    value, ga, gb = compiled(np.arange(10.0), np.zeros(10))
    assert (
        float(value) == 285.0
        and np.all(np.asarray(ga) == 2 * np.arange(10.0))
        and np.all(np.asarray(gb) == -np.asarray(ga))
    )


def test_every_dtype_goes_in_and_out():
    for dtype in DTYPES.values():
        x = np.array([0, 1, 1], dtype)
        y = lilith.jit(lambda x: x)(x)
        assert y.dtype == dtype and y.tobytes() == x.tobytes() and y is not x
    assert lilith.jit(lambda x: x + x)(np.ones(2, ml_dtypes.bfloat16)).dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize("lengths", [(6,), (5,), (3, 4), (2, 3, 5)], ids=str)
def test_irfft_of_other_platforms_computes_what_numpy_does(lengths):
    """cuFFT takes Hermitian operands for granted; the module for it makes them so, here run on the CPU."""
    generator = np.random.default_rng(0)
    shape = (2, *lengths[:-1], lengths[-1] // 2 + 1)
    x = generator.normal(size=shape) + 1j * generator.normal(size=shape)
    axes = tuple(range(1, len(lengths) + 1))
    graph = lilith.trace(lambda x: np.fft.irfftn(x, lengths, axes), x)
    modules = {platform: emit.emit(graph, platform) for platform in emit.PLATFORMS}
    assert modules["cuda"] == modules["tpu"] != modules["cpu"]
    for text in modules.values():
        program = carrier.Module("m", lambda _, text=text: text, graph.input_names, (graph.outputs[0].type,))
        (y,) = carrier.Loaded(program).call(x)
        np.testing.assert_allclose(y, np.fft.irfftn(x, lengths, axes), atol=1e-14)
