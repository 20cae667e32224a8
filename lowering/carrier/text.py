"""A module as text, as HLO, as a portable artifact."""

from __future__ import annotations

import threading
from typing import Any

from jax._src.interpreters import mlir as _mlir
from jaxlib import _jax
from jaxlib.mlir import ir as _ir
from jaxlib.mlir import passmanager as _passmanager
from jaxlib.mlir.dialects import stablehlo as _stablehlo

_contexts = threading.local()


def _context() -> Any:
    """This thread's MLIR context; making one costs milliseconds."""
    context = getattr(_contexts, "context", None)
    if context is None:
        context = _contexts.context = _mlir.make_ir_context()
    return context


def pretty(text: str, locations: bool = False, generic: bool = False) -> str:
    """A module's text in MLIR's pretty form (or its generic one), with or without locations; parsing verifies it."""
    with _context():
        module = _ir.Module.parse(text)
        module.operation.verify()
        return str(
            module.operation.get_asm(
                enable_debug_info=locations, use_name_loc_as_prefix=not locations, print_generic_op_form=generic
            )
        )


def hlo_text(text: str) -> str:
    """A module as HLO, before XLA has optimised anything."""
    computation = _jax.mlir.mlir_module_to_xla_computation(text, use_tuple_args=False, return_tuple=False)
    return computation.as_hlo_text()


def stablehlo_versions() -> tuple[str, str]:
    """The oldest and the newest version of StableHLO in which a module can be written down."""
    return _stablehlo.get_minimum_version(), _stablehlo.get_current_version()


def portable_artifact(text: str, version: str | None = None) -> bytes:
    """A module as StableHLO bytecode of a version, readable by every later StableHLO for at least five years.

    Arguments:
        text: any module of ours; CHLO operations are written out in StableHLO.
        version: `1.0.0`; None for the one that StableHLO libraries of the last four weeks read.

    Raises:
        ValueError: an operation is not in that version.
    """
    if version is None:
        window = _stablehlo.StablehloCompatibilityRequirement.WEEK_4
        version = _stablehlo.get_version_from_compatibility_requirement(window)
    with _context():
        module = _ir.Module.parse(text)
        _stablehlo.register_stablehlo_passes()
        pipeline = "builtin.module(func.func(chlo-legalize-to-stablehlo))"
        _passmanager.PassManager.parse(pipeline).run(module.operation)
        return _stablehlo.serialize_portable_artifact(module, version)


def text_of_artifact(data: bytes) -> str:
    """The module that `portable_artifact` wrote down, as text. Raises ValueError for anything else."""
    with _context() as context:
        module = _stablehlo.deserialize_portable_artifact(context, data)
        return str(module.operation.get_asm(enable_debug_info=True, print_generic_op_form=True))
