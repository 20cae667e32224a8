"""The only file that knows JAX: MLIR parsing, XLA compilation, devices, execution.

A StableHLO module rides in `jax.jit` as a primitive whose lowering rule splices the module in. So warm calls take JAX's
C++ dispatch path, and sharding, donation and the compile cache come along. The primitive's parameter is an integer
token: JAX keeps parameters alive in its caches, and must not keep our graphs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jaxlib
import numpy as np
from jax._src import cache_key as _cache_key
from jax._src import compiler as _compiler
from jax._src import config as _config
from jax._src.array import ArrayImpl as _ArrayImpl
from jax._src.callback import emit_python_callback
from jax._src.interpreters import mlir as _mlir
from jax.extend import core as _extend
from jax.interpreters import ad as _ad
from jax.interpreters import batching as _batching
from jaxlib import _jax
from jaxlib.lapack import _lapack
from jaxlib.mlir import ir as _ir
from jaxlib.mlir import passmanager as _passmanager
from jaxlib.mlir.dialects import func as _func
from jaxlib.mlir.dialects import sdy as _sdy
from jaxlib.mlir.dialects import stablehlo as _stablehlo

from lilith.ir.type import DTYPES, TensorType
from lilith.ops.control import CALLBACKS, Callback, called
from lowering.emit import PLATFORMS, element_type
from lowering.module import WHOLE, Module, modules
from lowering.parameters import signature_of
from lowering.persistent import folder, processor
from lowering.small import without_kernels

_xla_mlir = _jax.mlir
Array = jax.Array
Device = jax.Device
Sharding = jax.sharding.Sharding
default_device = jax.default_device
ArrayImpl = _ArrayImpl
JaxTracer = jax.core.Tracer
block_until_ready = jax.block_until_ready
pytree_leaves = jax.tree_util.tree_leaves  # what JAX's own registry takes for leaves

swap_x64: Callable[[bool], Any] = _config.enable_x64.swap_local
"""Turn 64-bit types on or off for this thread; returns what `set_x64` needs to put things back."""
set_x64: Callable[[Any], None] = _config.enable_x64.set_local


@contextlib.contextmanager
def _x64() -> Iterator[None]:
    """64-bit types for a block; where a microsecond counts, `swap_x64` and `set_x64` do it by hand."""
    previous = swap_x64(True)
    try:
        yield
    finally:
        set_x64(previous)


_BOUND_LIMIT = 4096
_bound: OrderedDict[int, Loaded] = OrderedDict()
_lock = threading.Lock()

_primitive = _extend.Primitive("lilith")
_primitive.multiple_results = True


def _module(token: int) -> Module:
    module = modules.get(token)
    if module is None:
        raise RuntimeError(
            f"the Lilith program {token} in a jax.jit is gone (more than {_BOUND_LIMIT} programs were bound since): "
            "call the jax.jit'ed function's clear_cache() and call it again"
        )
    return module


def _abstract_eval(*_: Any, token: int) -> list[Any]:
    return [jax.core.ShapedArray(t.shape, t.dtype) for t in _module(token).results]


def _platform(ctx: Any) -> str:
    """What JAX is lowering for."""
    platforms = tuple(ctx.platforms or ctx.module_context.platforms)
    if len(platforms) > 1:
        raise ValueError(
            f"a Lilith program is lowered for one platform at a time, not for {platforms} together\n"
            "  hint: call jax.export once for each platform"
        )
    return platforms[0]


_CALLBACK_TARGETS = ("@lilith_print", "@lilith_callback")  # their addresses are of this process only
_LAPACK = "lapack_"  # what the names of LAPACK's routines in a module begin with


@functools.cache
def prepare_lapack() -> None:
    """Find LAPACK's routines, once, before the first program that calls one: without it such a call ends the process.

    Not at import: it loads SciPy's LAPACK, which takes a tenth of a second.
    """
    _lapack.initialize()


def _lower(ctx: Any, *args: Any, token: int) -> Any:
    """Merge the module into the one JAX is building and call its main function."""
    module = _module(token)
    text = module.text(_platform(ctx))
    if getattr(ctx.module_context.axis_context, "num_devices", 1) != 1:
        text = without_kernels(text)
    if _LAPACK in text:
        prepare_lapack()
    parsed = _ir.Module.parse(text)
    operations: Any = parsed.body.operations
    main = next(op for op in operations if op.sym_name.value == "main")
    results = list(main.type.results)
    _emit_callbacks(ctx, parsed, module)
    if folder.path is not None and not any([call in text for call in _CALLBACK_TARGETS]):
        _keeping.module = ctx.module_context.module
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
        if op.name == "stablehlo.custom_call" and _target(op) in ("lilith_print", "lilith_callback"):
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


def _batch(args: Sequence[Any], dims: Sequence[Any], *, token: int) -> tuple[list[Any], list[int]]:
    """jax.vmap of a bound program: our own batching makes the program; its results have the new axis in front."""
    axes = tuple(None if d is None else int(d) for d in dims)
    size = next(x.shape[d] for x, d in zip(args, axes, strict=True) if d is not None)
    module = _module(token).batch(axes, size)
    return bind(module, args), [0] * len(module.results)


def _differentiate(*_: Any, **__: Any) -> Any:
    raise TypeError(
        "jax.grad, jax.jvp or jax.vjp of a Lilith program is not possible: JAX does not know its derivative.\n"
        "  hint: differentiate with lilith.grad (also lilith.grad of lilith.grad) and call that inside of jax.jit"
    )


_primitive.def_abstract_eval(_abstract_eval)
_primitive.def_impl(lambda *args, token: _bound[token].call(*args))
_mlir.register_lowering(_primitive, _lower)
_batching.primitive_batchers[_primitive] = _batch
_ad.primitive_jvps[_primitive] = _differentiate


def bind(module: Module, args: Sequence[Any]) -> list[Any]:
    """Use a program on JAX tracers, inside of a user's jax.jit or jax.vmap. The last few thousand are kept."""
    with _lock:
        _bound[module.token] = _bound.get(module.token) or Loaded(module)
        _bound.move_to_end(module.token)
        while len(_bound) > _BOUND_LIMIT:
            _bound.popitem(last=False)
    with _x64():
        return list(_primitive.bind(*args, token=module.token))


class Loaded:
    """A compiled program on its device.

    Arguments:
        module: the program.
        donate: which of its arguments are given up: results may be put in their place.

    Attributes:
        call: takes arrays (NumPy or jax.Array, of exactly the program's types), gives a list of jax.Arrays. It compiles
            at the first call; float64 is exact whatever JAX's global flag says.
        jitted: JAX's own function.
    """

    __slots__ = ("__weakref__", "call", "jitted")
    call: Callable[..., list[Any]]
    jitted: Any

    def __init__(self, module: Module, donate: Sequence[int] = ()):
        def program(*args: Any) -> Any:
            return _primitive.bind(*args, token=module.token)

        program.__name__ = program.__qualname__ = module.name
        program.__signature__ = signature_of(module.parameters)  # type: ignore[attr-defined]
        self.jitted = jitted = jax.jit(program, keep_unused=True, donate_argnums=tuple(donate))

        def call(*args: Any) -> list[Any]:
            with _x64():
                return jitted(*args)

        self.call = call


_keeping = threading.local()
"""`module`: the program of ours that this thread has lowered last, to be compiled next."""

_compile: Callable[..., Any] = _compiler.backend_compile_and_load


def _compile_or_read(backend: Any, module: Any, devices: Any, options: Any, callbacks: Sequence[Any]) -> Any:
    """XLA's compiler as JAX calls it, where the program is one of ours with the folder's entry in its place.

    JAX's own cache and its settings have nothing to do with it: it is asked before, and is told of what comes out.
    """
    ours, _keeping.module = getattr(_keeping, "module", None), None
    if folder.path is None or ours is None or callbacks or module.operation != ours.operation:
        return _compile(backend, module, devices, options, callbacks)
    key = _cache_key.get(module, np.array(list(devices), dtype=object), options, backend)
    key = hashlib.sha256(f"{key} {processor()} {sorted(versions().items())}".encode()).hexdigest()
    return folder.found_or_made(
        key,
        lambda data: backend.deserialize_executable(data, devices, options),
        lambda: _compile(backend, module, devices, options, callbacks),
        lambda made: made.serialize(),
    )


def keep_compiled(path: str | None) -> None:
    """Read compiled programs from a folder and write them there; None: do not."""
    folder.path = path
    if path is not None:
        _compiler.backend_compile_and_load = _compile_or_read


def lower_ahead(
    module: Module,
    types: Sequence[TensorType],
    platform: str | None = None,
    donate: Sequence[int] = (),
    placements: Sequence[Any] = (),
) -> Any:
    """JAX's Lowered object of a module for arguments of these types; its `compile()` gives the Compiled one.

    Arguments:
        donate: which of the arguments are given up.
        platform: one of `available_platforms()`; None for the default device's.
        placements: how each argument is sharded, None for those that are not.
    """
    loaded = Loaded(module, donate)
    device = contextlib.nullcontext() if platform is None else jax.default_device(jax.devices(platform)[0])
    shardings = placements or [None] * len(types)
    with _x64(), device:
        shapes = [jax.ShapeDtypeStruct(t.shape, t.dtype, sharding=s) for t, s in zip(types, shardings, strict=True)]
        return loaded.jitted.lower(*shapes)


def compile_ahead(lowered: Any, options: dict[str, Any] | None = None) -> Any:
    """Have XLA compile what `lower_ahead` gave.

    Arguments:
        options: XLA's own (`xla_cpu_enable_fast_math`, `xla_dump_to`, ...), by name.
    """
    with _x64():
        return lowered.compile(compiler_options=options)


def call_ahead(executable: Any, args: Sequence[Any]) -> list[Any]:
    """Call what `lower_ahead(...).compile()` gave."""
    with _x64():
        return executable(*map(fresh, args))


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
    computation = _xla_mlir.mlir_module_to_xla_computation(text, use_tuple_args=False, return_tuple=False)
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


def serialize_ahead(executable: Any) -> bytes:
    """The machine code of what `compile_ahead` gave, for this kind of machine and this version of jaxlib."""
    return executable.runtime_executable().serialize()


def load_ahead(data: bytes, platform: str) -> Callable[..., list[Any]]:
    """The function that `serialize_ahead` has written down: arrays in, a list of jax.Arrays out."""
    if _LAPACK.encode() in data:
        prepare_lapack()
    device = jax.devices(platform)[0]
    loaded = device.client.deserialize_executable(data, _jax.DeviceList((device,)), None)

    def call(*args: Any) -> list[Any]:
        with _x64():
            results = loaded.execute_sharded([jax.device_put(fresh(x), device) for x in args])
            return [shards[0] for shards in results.disassemble_into_single_device_arrays()]

    return call


def available_platforms() -> tuple[str, ...]:
    """The platforms (of `lowering.emit.PLATFORMS`) that this machine has devices of, the default one first."""
    found = [_canonical(jax.default_backend())]
    for name in PLATFORMS:
        try:
            jax.devices(name)
        except RuntimeError:  # there is none
            continue
        found.append(name)
    return tuple(dict.fromkeys(found))


def default_platform() -> str:
    """The platform of the device that is set for this thread (`default_device`), or else the best one."""
    device: Any = _config.default_device.value
    return _canonical(getattr(device, "platform", device) or jax.default_backend())


def devices_of(platform: str) -> list[Any]:
    """The devices of one of `available_platforms()` that are this process's own."""
    return jax.local_devices(backend=platform)


def devices_holding(x: Any) -> frozenset[Any]:
    """The devices that an argument lies on; none for NumPy's, and for arrays of JAX that go where others are."""
    return frozenset(x.devices()) if isinstance(x, _ArrayImpl) and x.committed else frozenset()


def sharding_of(x: Any) -> Any:
    """How an argument is spread over several devices; None for one that is not."""
    return x.sharding if isinstance(x, _ArrayImpl) and len(x.sharding.device_set) > 1 else None


def is_about_devices(error: Exception) -> bool:
    """Whether JAX refuses arguments because they lie on different devices."""
    return "incompatible devices" in str(error)


def _canonical(backend: str) -> str:
    """`gpu` is what JAX calls both of its kinds of GPU."""
    if backend != "gpu":
        return backend
    return "rocm" if "rocm" in jax.devices()[0].client.platform_version else "cuda"


def versions() -> dict[str, str]:
    """Of the libraries that decide what a compiled program is."""
    return {"jax": jax.__version__, "jaxlib": jaxlib.__version__, "stablehlo": _stablehlo.get_current_version()}


def to_device(array: Any, placement: Any = None) -> Any:
    """A jax.Array of exactly this dtype on a device, or with a sharding; on the default device for None."""
    with _x64():
        return jax.device_put(fresh(array), placement)


def fresh(x: Any) -> Any:
    """A NumPy array as an object of its own: by the object JAX remembers what it has made of an array that goes to
    several devices, also what it made while 64-bit types were off (or on), and would take that for this one."""
    return x.view() if isinstance(x, np.ndarray) else x


_GATHERED_BYTES = 1 << 30


class _Spread:
    """An array with parts in other processes. To read it as NumPy's is an act of all of them together."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.array.nbytes > _GATHERED_BYTES:
            raise RuntimeError("too large to be gathered in every process")
        mesh = jax.sharding.Mesh(np.array(self.array.sharding._device_assignment), ("all",))
        whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        with _x64():
            return np.asarray(jax.jit(lambda x: x, out_shardings=whole)(self.array), dtype)


def readable(x: Any) -> Any:
    """The argument as something that `np.asarray` can read, also where other processes have parts of it."""
    spread = isinstance(x, _ArrayImpl) and not (x.is_fully_addressable or x.is_fully_replicated)
    return _Spread(x) if spread else x


def x64_is_on() -> bool:
    """JAX's own 64-bit flag, as the user set it."""
    return bool(_config.enable_x64.value)
