"""A StableHLO module as a primitive of JAX, whose lowering rule splices the module in.

So a program runs in a user's jax.jit and jax.vmap, and sharding, donation and calls to the host come along. The
primitive's parameter is an integer token: JAX keeps parameters alive in its caches, and must not keep our graphs.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax._src.callback import emit_python_callback
from jax._src.interpreters import mlir as _mlir
from jax.extend import core as _extend
from jax.interpreters import ad as _ad
from jaxlib.lapack import _lapack
from jaxlib.mlir import ir as _ir
from jaxlib.mlir.dialects import func as _func
from jaxlib.mlir.dialects import sdy as _sdy

from lilith.ir.type import DTYPES, TensorType
from lilith.ops.control import CALLBACKS, Callback, called
from lowering.carrier import keeping
from lowering.emit import element_type
from lowering.module import WHOLE, Module, modules
from lowering.persistent import folder
from lowering.small import without_kernels

BOUND_LIMIT = 4096
"""How many programs are kept for the user's jax.jit'ed functions."""

primitive = _extend.Primitive("lilith")
primitive.multiple_results = True


def bound_module(token: int) -> Module:
    module = modules.get(token)
    if module is None:
        raise RuntimeError(
            f"the Lilith program {token} in a jax.jit is gone (more than {BOUND_LIMIT} programs were bound since): "
            "call the jax.jit'ed function's clear_cache() and call it again"
        )
    return module


def _abstract_eval(*_: Any, token: int) -> list[Any]:
    return [jax.core.ShapedArray(t.shape, t.dtype) for t in bound_module(token).results]


def _platform(ctx: Any) -> str:
    """What JAX is lowering for."""
    platforms = tuple(ctx.platforms or ctx.module_context.platforms)
    if len(platforms) > 1:
        raise ValueError(
            f"a Lilith program is lowered for one platform at a time, not for {platforms} together\n"
            "  hint: call jax.export once for each platform"
        )
    return platforms[0]


_HOST_CALLS = ("lilith_print", "lilith_callback")
LAPACK = "lapack_"  # what the names of LAPACK's routines in a module begin with


@functools.cache
def prepare_lapack() -> None:
    """Find LAPACK's routines, once, before the first program that calls one: without it such a call ends the process.

    Not at import: it loads SciPy's LAPACK, which takes a tenth of a second.
    """
    _lapack.initialize()


def calls_host(text: str) -> bool:
    """Whether a module calls functions of Python."""
    return any([f'call_target_name = "{call}"' in text for call in _HOST_CALLS])


def _lower(ctx: Any, *args: Any, token: int) -> Any:
    """Merge the module into the one JAX is building and call its main function."""
    module = bound_module(token)
    text = module.text(_platform(ctx))
    if getattr(ctx.module_context.axis_context, "num_devices", 1) != 1:
        text = without_kernels(text)
    if LAPACK in text:
        prepare_lapack()
    parsed = _ir.Module.parse(text)
    operations: Any = parsed.body.operations
    main = next(op for op in operations if op.sym_name.value == "main")
    results = list(main.type.results)
    _emit_callbacks(ctx, parsed, module)
    if folder.path is not None and not calls_host(text):
        keeping.lowered.module = ctx.module_context.module
    name = _mlir.merge_mlir_modules(
        ctx.module_context.module, module.name, parsed, dst_symtab=ctx.module_context.symbol_table
    )
    call = _func.CallOp(results, _ir.FlatSymbolRefAttr.get(name), list(args))
    return _laid_out(ctx.module_context.module, list(call.results), module.layout)


def _laid_out(module: Any, results: list[Any], layout: Sequence[int | None]) -> list[Any]:
    """The results of a call, each where the program's layout wants it, if parameters of its `main` are sharded."""
    found = _shardings(module) if layout else []
    meshes = [sharding.mesh_or_ref for sharding in found if sharding is not None]
    if not meshes:
        return results
    for i, place in enumerate(layout):
        wanted = None if place is None or place == WHOLE else found[place]
        if place == WHOLE:
            axes = [_sdy.DimensionShardingAttr.get([], True) for _ in _ir.RankedTensorType(results[i].type).shape]
            wanted = _sdy.TensorShardingAttr.get(meshes[0], axes, [], [])
        if wanted is not None:
            results[i] = _sdy.ShardingConstraintOp(results[i], wanted).result
    return results


def _shardings(module: Any) -> list[Any]:
    """How JAX has declared the parameters of `main`: sharded so, or (None) on one device."""
    main = next(op for op in module.body.operations if _ir.StringAttr(op.attributes["sym_name"]).value == "main")
    if "arg_attrs" not in main.attributes:
        return []
    declared = [_ir.DictAttr(own) for own in _ir.ArrayAttr(main.attributes["arg_attrs"])]
    return [_sdy.TensorShardingAttr(own["sdy.sharding"]) if "sdy.sharding" in own else None for own in declared]


def _emit_callbacks(ctx: Any, parsed: Any, module: Module) -> None:
    """Replace every `custom_call @lilith_print` and `@lilith_callback` by a host callback."""
    found: list[Any] = []

    def collect(op: Any) -> Any:
        if op.name == "stablehlo.custom_call" and _target(op) in _HOST_CALLS:
            found.append(op)
        return _ir.WalkResult.ADVANCE

    parsed.operation.walk(collect)
    for op in found:
        text = _ir.StringAttr(op.attributes["backend_config"]).value
        prints = _target(op) == "lilith_print"
        operands, old = list(op.operands), list(op.results)
        avals, results = [_aval(x.type) for x in operands], [_aval(y.type) for y in old]
        function = _printer(module, text) if prints else _caller(CALLBACKS[int(text)], results)
        inner = dataclasses.replace(ctx, avals_in=avals, avals_out=results)
        with _ir.InsertionPoint(op), op.location:
            out, _, _ = emit_python_callback(
                inner, function, None, operands, avals, results, has_side_effect=prints, returns_token=False
            )
        for y, new in zip(old, out, strict=True):
            y.replace_all_uses_with(new)
        op.operation.erase()


def _target(op: Any) -> str:
    return _ir.StringAttr(op.attributes["call_target_name"]).value


def _printer(module: Module, text: str) -> Callable[..., tuple]:
    def function(*arrays: Any) -> tuple:
        module.show(text, *[np.asarray(a) for a in arrays])
        return ()

    return function


def _caller(callback: Callback, avals: Sequence[Any]) -> Callable[..., tuple]:
    types = tuple([TensorType(a.shape, np.dtype(a.dtype)) for a in avals])
    return lambda *arrays: called(callback, types, [np.asarray(a) for a in arrays])


def _aval(type: Any) -> Any:
    ranked = _ir.RankedTensorType(type)
    return jax.core.ShapedArray(tuple(ranked.shape), _ELEMENTS[str(ranked.element_type)])


_ELEMENTS = {element_type(dtype): dtype for dtype in DTYPES.values()}


def _differentiate(*_: Any, **__: Any) -> Any:
    raise TypeError(
        "jax.grad, jax.jvp or jax.vjp of a Lilith program is not possible: JAX does not know its derivative.\n"
        "  hint: differentiate with lilith.grad (also lilith.grad of lilith.grad) and call that inside of jax.jit"
    )


primitive.def_abstract_eval(_abstract_eval)
_mlir.register_lowering(primitive, _lower)
_ad.primitive_jvps[primitive] = _differentiate
