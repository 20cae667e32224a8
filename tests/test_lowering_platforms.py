"""What is written for other platforms parses and verifies; linear algebra calls what the carrier itself calls."""

from __future__ import annotations

import re
from typing import Any

import jax
import numpy as np
import pytest
from jax._src.lax import linalg as lax_linalg

import lilith.ops  # noqa: F401  (fills the registry)
from lilith.ir import PRIMITIVES, Builder, Graph, TensorType, Value
from lilith.source import UnsupportedError
from lilith.transform.reverse import reverse
from lilith.transform.simplify import simplify
from lowering.carrier import pretty
from lowering.emit import PLATFORMS, emit
from tests.compiled import together
from tests.samples import factorization, linalg, solving
from tests.samples.making import Sample
from tests.test_registry import SAMPLES as REGISTERED
from tests.test_registry import SMOOTH, wanted_of

SAMPLES = {name: group for family in (factorization, linalg, solving) for name, group in family.samples().items()}


def graph_of(name: str, sample: Sample, ordered: bool = False) -> Graph:
    """The graph of one node; `ordered`: and of LU's order of rows, which the carrier computes together with it."""
    inputs = tuple(Value(TensorType(x.shape, x.dtype)) for x in sample.operands)
    with Builder() as builder:
        out = PRIMITIVES[name](*inputs, **sample.params)
        if ordered:
            out = (*out, PRIMITIVES["row_order"](out[1], size=inputs[0].shape[-2]))
    outputs = out if isinstance(out, tuple) else (out,)
    return Graph(name, inputs, tuple(f"x{i}" for i in range(len(inputs))), tuple(builder.nodes), outputs)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_module_verifies(name: str, platform: str) -> None:
    for sample in SAMPLES[name]:
        graph = graph_of(name, sample)
        if name == "eig" and platform != "cpu" and sample.operands[0].size:
            with pytest.raises(UnsupportedError, match=platform):
                emit(graph, platform)
            continue
        pretty(emit(graph, platform))


Call = tuple[str, dict[str, str], list[str], list[str], list[str], list[str]]


def calls(text: str) -> list[Call]:
    """The library calls of a pretty module: target, attributes, layouts and types of operands and of results."""
    found = []
    for line in text.splitlines():
        match = re.search(r"stablehlo\.custom_call @(\w+)\(.*?\) (?:\{(.*)\} )?: \((.*?)\) -> (.*?)(?: loc.*)?$", line)
        if match is None:
            continue
        target, attributes, operands, results = match.groups()
        attributes = re.sub(r"sdy\.sharding_rule = .*?custom>,? ?", "", attributes or "")
        config = re.search(r"backend_config = \{(.*?)\}", attributes)
        pairs = dict(re.findall(r"(\w+) = ([^,{}]+)", config.group(1))) if config else {}
        layouts = [
            re.findall(r"dense<(.*?)> : tensor", part.group(1)) if part else []
            for part in (re.search(rf"{side}_layouts = \[(.*?index>)\]", attributes) for side in ("operand", "result"))
        ]
        types = [
            re.findall(r"tensor<\S+>", re.sub(r",\s", " ", side).replace(">)", "> ")) for side in (operands, results)
        ]
        found.append((target, pairs, *layouts, *types))
    return found


def jax_calls(f: Any, platform: str, *operands: np.ndarray) -> list[Call]:
    with jax.enable_x64(True):
        shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in operands]
        return calls(jax.jit(f).trace(*shapes).lower(lowering_platforms=(platform,)).as_text())


def _qr(a: Any, full: bool) -> Any:
    packed, taus = lax_linalg.geqrf(a)
    return lax_linalg.householder_product(packed[..., :, : min(a.shape[-2:])], taus)


JAX = {
    "cholesky": lambda a: lax_linalg.cholesky(a, symmetrize_input=False),
    "lu": lax_linalg.lu,
    "qr": _qr,
    "eigh": lambda a: lax_linalg.eigh(a, lower=True, symmetrize_input=False, implementation=None),
    "svd": lambda a, full: lax_linalg.svd(a, full_matrices=full),
    "eig": lambda a: lax_linalg.eig(a, compute_left_eigenvectors=False),
}


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", sorted(JAX))
def test_library_calls_are_those_of_the_carrier(name: str, platform: str) -> None:
    """Targets, attributes and their types, layouts, operand and result types: a law against drift."""
    if (name, platform) in {("svd", "tpu"), ("eigh", "tpu")} or (name == "eig" and platform != "cpu"):
        return  # of our own, or none
    compared = 0
    for sample in SAMPLES[name]:
        if not sample.operands[0].size or (name == "qr" and sample.params["full"]):
            continue
        expected = jax_calls(lambda *xs, p=sample.params: JAX[name](*xs, **p), platform, *sample.operands)
        found = calls(pretty(emit(graph_of(name, sample, name == "lu"), platform)))
        if (name, platform) == ("cholesky", "cpu"):  # by rows instead of columns, to spare the transposition
            assert found[0][1] == {"uplo": "85 : ui8"} and expected[0][1] == {"uplo": "76 : ui8"}
            found, expected = [[(c[0], *c[4:]) for c in each] for each in (found, expected)]
        assert found == expected
        compared += len(found)
    assert compared or (name, platform) == ("cholesky", "tpu")


def test_wide_matrices_of_the_large_kind_on_gpus() -> None:
    for shape in ((1100, 1030), (1030, 1100)):
        a = np.zeros(shape, np.float32)
        sample = Sample((a,), {"full": False}, (False,))
        expected = jax_calls(lambda x: JAX["svd"](x, full=False), "cuda", a)
        assert expected and calls(pretty(emit(graph_of("svd", sample), "cuda"))) == expected


@pytest.mark.parametrize("name", [name for name in REGISTERED if name != "eig"])
def test_every_primitive_and_its_derivative_is_written_for_gpus(name: str) -> None:
    graphs = [graph_of(name, sample) for sample in REGISTERED[name]]
    smooth = [case.values[1] for case in SMOOTH if case.values[0] == name]
    gradients = [simplify(reverse(graph_of(name, s), wanted_of(s))) for s in smooth]
    pretty(emit(together(name, [*graphs, *gradients]), "cuda"))
