"""The public functions: grad and its kin."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from lilith import tree
from lilith.asked import Spec, function_name, interned
from lilith.cache import fast_paths, fast_paths_of
from lilith.compile import missed, run, with_captures
from lilith.config import config
from lilith.derive import derive, known_decisions, raw_graph
from lilith.donating import given_up, reused
from lilith.ir.graph import Graph
from lilith.ir.type import TensorType, is_supported, parse_type
from lilith.ops import control
from lilith.paths import describe
from lilith.program import UserCalling, signature_of
from lilith.result import GradResult
from lilith.signature import STATIC, take_apart
from lilith.source import ArgumentError, DtypeError, TraceError
from lilith.straight import MISS
from lilith.trace import current_trace, is_tracing
from lilith.tracer import Tracer
from lowering.carrier import JaxTracer, sharding_of
from lowering.stages import Lowered

_GRAD = Spec(gradient=True)
_JIT = Spec(gradient=False)
_GRAD_ID = id(_GRAD)


def _spec(f: Callable[..., Any], wrt: Any, has_aux: bool, cotangent: bool) -> Spec:
    """The Spec of some options, normalised; the same options always give the same object."""
    check_function(f)
    if wrt is None and not has_aux and not cotangent:
        return _GRAD
    if isinstance(wrt, list):
        wrt = tuple(wrt)
    if not isinstance(wrt, (int, np.integer, str, tuple, type(None))) or isinstance(wrt, bool):
        raise ArgumentError(
            f"wrt={wrt!r}: takes an argument's index, its name or a tuple of them", hint="e.g. wrt=(0, 'scale')"
        )
    return interned(Spec(True, wrt, bool(has_aux), cotangent))


def check_function(f: Any) -> None:
    if not callable(f):
        raise ArgumentError(
            f"the first argument must be a function, got {type(f).__name__}", hint="grad(f, x, y), not grad(f(x, y))"
        )


def check_options(transform: str, f: Callable[..., Any], **given: bool) -> None:
    """An option of the transform that is also a parameter of f would be ambiguous."""
    used = [name for name, is_used in given.items() if is_used]
    if not used:
        return
    if f.__class__ is FunctionType and not f.__dict__ and not any(name in f.__code__.co_varnames for name in used):
        return  # at every call: much faster than the signature
    try:
        parameters = inspect.signature(f).parameters
    except (TypeError, ValueError):  # builtins and ufuncs have no signature
        return
    for name in used:
        if name in parameters:
            raise ArgumentError(
                f"{transform}: {name}= is an option of {transform} and a parameter of {function_name(f)}",
                hint=f"lilith.value_and_grad({function_name(f)}, {name}=...) takes options apart from arguments"
                if transform == "grad"
                else f"call {transform} of a function with other parameters: lambda *args: {function_name(f)}(...)",
            )


def grad(
    f: Callable[..., Any],
    *args: Any,
    cotangent: Any = None,
    wrt: Any = None,
    has_aux: bool = False,
    **kwargs: Any,
) -> tuple[Any, GradResult]:
    """The value of `f(*args, **kwargs)` and its gradient for each argument.

    The first call with arguments of certain types traces f and compiles value and gradient with XLA; later calls run.

    Arguments:
        f: any function of NumPy arrays, Python numbers or structures of them. Its result is one real floating number,
            unless a cotangent is given.
        *args, **kwargs: its arguments. Floats and float arrays are differentiated; ints, strings, None and callables
            are static; integer arrays are data.
        cotangent: for a result that is not a scalar: an array (or structure) v of its shape and dtype; the gradient is
            then that of `sum(v * f(...))`.
        wrt: differentiate only by these: an argument position, a parameter name, or a tuple of them.
        has_aux: f returns `(value, aux)`; aux, any structure, is not differentiated.

    Returns:
        `(value, g)`, or `((value, aux), g)`; `g` is a `GradResult`: `g[0]` has the shape, dtype and kind (NumPy array,
        jax.Array, Python float) of the first argument.

    Raises:
        LilithError: what cannot be traced or differentiated, with the user's line and the remedy.

    >>> import numpy as np
    >>> def my_loss(y_pred, y_true):
    ...     return np.sum((y_pred - y_true) ** 2)
    >>> val, g = grad(my_loss, np.array([1.0, 2.0]), np.array([0.5, 4.0]))
    >>> val, g
    (np.float64(4.25), GradResult(2))
    >>> g[0]
    array([ 1., -4.])
    """
    if wrt is None and cotangent is None and not has_aux:
        if not callable(f):
            check_function(f)
        found = fast_paths.get((id(f.__code__), _GRAD_ID)) if f.__class__ is FunctionType else None
        if found is None or kwargs or config.interpret:
            result = run(f, _GRAD, args, kwargs)
        else:
            result = found.first(f, args)
            if result is MISS:
                result = missed(found, f, _GRAD, args)
        result[1]._asking = (f, _GRAD, args, kwargs, None)  # for `why`
        return result
    check_function(f)
    check_options("grad", f, wrt=wrt is not None, has_aux=bool(has_aux), cotangent=cotangent is not None)
    spec = _spec(f, wrt, has_aux, cotangent is not None)
    found = fast_paths.get((id(f.__code__), id(spec))) if f.__class__ is FunctionType else None
    if found is None or kwargs or config.interpret:
        result = run(f, spec, args, kwargs, cotangent)
    else:
        given = () if cotangent is None else (cotangent,)
        result = found.first(f, args, *given)
        if result is MISS:
            result = missed(found, f, spec, args, *given)
    result[1]._asking = (f, spec, args, kwargs, cotangent)
    return result


def value_and_grad(
    f: Callable[..., Any], wrt: Any = None, has_aux: bool = False, cotangent: Any = None
) -> Callable[..., tuple[Any, GradResult]]:
    """The function `(*args, **kwargs) -> (value, GradResult)`; see `grad` for the options and the result.

    >>> step = value_and_grad(lambda x: x * x)
    >>> step(3.0)
    (9.0, GradResult(1))
    """
    spec = _spec(f, wrt, has_aux, cotangent is not None)
    found = fast_paths_of(f, spec)
    given = () if cotangent is None else (cotangent,)

    @functools.wraps(f, updated=())
    def gradient(*args: Any, **kwargs: Any) -> tuple[Any, GradResult]:
        if kwargs or config.interpret:
            result = run(f, spec, args, kwargs, cotangent)
        else:
            result = found.first(f, args, *given)
            if result is MISS:
                result = missed(found, f, spec, args, *given)
        result[1]._asking = (f, spec, args, kwargs, cotangent)
        return result

    return gradient


def _donate(donate: Any) -> tuple[int | str, ...]:
    """Which arguments are given up, as a tuple."""
    items = (donate,) if isinstance(donate, (int, np.integer, str)) else donate
    if not isinstance(items, (tuple, list)) or not all(
        isinstance(item, (int, np.integer, str)) and not isinstance(item, bool) for item in items
    ):
        raise ArgumentError(
            f"donate={donate!r}: takes an argument's index, its name or a tuple of them",
            hint="e.g. donate=(0, 'state')",
        )
    return tuple([item if isinstance(item, str) else int(item) for item in items])


def jit(f: Callable[..., Any], donate: Any = ()) -> Callable[..., Any]:
    """f, compiled: the first call with arguments of certain types traces and compiles, later calls run.

    f may take and return any structure. Static objects in the result (strings, None) are returned as they are. Where
    all arrays are jax.Arrays the call returns before the program has finished; whoever looks at a result waits for it.

    Arguments:
        donate: arguments that are given up with the call (a position, a name or a tuple of them): the memory of their
            jax.Arrays is used for results of the same types, and they cannot be used again. A training step that
            donates parameters and optimizer state needs memory for one copy of them. NumPy arrays stay as they are.
            Where Python decides on traced values, that is settled before anything is given up.

    >>> import numpy as np
    >>> double = jit(lambda x: {"twice": 2 * x})
    >>> double(np.arange(3.0))
    {'twice': array([0., 2., 4.])}
    """
    check_function(f)
    spec = interned(Spec(False, donate=_donate(donate))) if donate != () else _JIT
    found = fast_paths_of(f, spec)

    @functools.wraps(f, updated=())
    def compiled(*args: Any, **kwargs: Any) -> Any:
        if kwargs or config.interpret:
            return run(f, spec, args, kwargs)
        result = found.first(f, args)
        return result if result is not MISS else missed(found, f, spec, args)

    return compiled


def trace(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Graph:
    """The graph that f makes of arguments of these types, its Python loops rolled. `print` shows it.

    Where Python decides on traced values, it is the graph of the path that these arguments take.

    >>> import numpy as np
    >>> graph = trace(lambda x: np.sum(x * x), np.ones(3))
    >>> [node.primitive.name for node in graph.nodes]
    ['mul', 'reduce_sum']
    """
    check_function(f)
    return with_captures(f, lambda captures: raw_graph(f, args, kwargs, captures))


def trace_grad(f: Callable[..., Any], *args: Any, wrt: Any = None, **kwargs: Any) -> Graph:
    """The graph that `grad(f, *args, **kwargs)` compiles: the value, then a gradient per differentiated array.

    Where Python decides on traced values, it is the graph of one path, and what was decided on comes last.

    >>> import numpy as np
    >>> graph = trace_grad(lambda x: np.sum(x * x), np.ones(3))
    >>> [y.type for y in graph.outputs]
    [f64[], f64[3]]
    """
    spec = _spec(f, wrt, False, False)
    check_options("trace_grad", f, wrt=wrt is not None)
    decisions = known_decisions(take_apart(f, args, kwargs))
    return with_captures(f, lambda captures: derive(f, spec, args, kwargs, captures, decisions=decisions).graph)


def spec(shape: Any, dtype: Any = None) -> TensorType:
    """A type that stands for an array in `lower`, `lower_grad`, `trace` and `trace_grad`: no data is needed.

    Arguments:
        shape: a text as types are printed, `"f32[128,64]"`; or a shape, with `dtype`.

    >>> spec("f32[128,64]"), spec((3,), np.float64), spec("c64[]")
    (f32[128,64], f64[3], c64[])
    """
    if isinstance(shape, str):
        found = parse_type(shape)
        if found is None or dtype is not None:
            raise ArgumentError(f"spec: {shape!r} is no array type", hint="e.g. 'f32[128,64]', 'bf16[3]', 'c128[]'")
        return found
    wanted = np.dtype(np.float64 if dtype is None else dtype)
    if not is_supported(wanted):
        raise DtypeError(f"spec: arrays of dtype {wanted} cannot be traced", hint="e.g. np.float32")
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    return TensorType(sizes, wanted)


def lower(f: Callable[..., Any], *args: Any, platform: str | None = None, donate: Any = (), **kwargs: Any) -> Lowered:
    """f as a StableHLO module, for arguments of these types.

    Where Python decides on traced values, and arrays are given, it is the path that these arguments take; calling the
    compiled program with arguments that take another is an error, and it cannot be exported.

    Arguments:
        args, kwargs: arrays, or types from `spec`, in any structure.
        platform: `cpu`, `cuda`, `rocm` or `tpu`, which need not be there; None for the default device's.
        donate: arguments that are given up, as for `jit`; `compile().memory()` tells how much memory is reused.

    >>> text = str(lower(lambda x: 2 * x, spec("f32[3]")))
    >>> "(%x: tensor<3xf32>) -> tensor<3xf32>" in text, "stablehlo.multiply" in text
    (True, True)
    """
    check_function(f)
    check_options("lower", f, platform=platform is not None, donate=donate != ())
    spec = Spec(False, donate=_donate(donate))
    return with_captures(f, lambda captures: _lowered(f, spec, args, kwargs, captures, platform))


def lower_grad(
    f: Callable[..., Any],
    *args: Any,
    platform: str | None = None,
    wrt: Any = None,
    has_aux: bool = False,
    **kwargs: Any,
) -> Lowered:
    """The value and gradient of f, as `grad` computes them, as a StableHLO module; see `lower` and `grad`.

    >>> lowered = lower_grad(lambda x: np.sum(x * x), spec("f64[3]"))
    >>> value, g = lowered.compile()(np.array([1.0, 2.0, 3.0]))
    >>> value, g[0]
    (np.float64(14.0), array([2., 4., 6.]))
    """
    check_options("lower", f, platform=platform is not None, wrt=wrt is not None, has_aux=bool(has_aux))
    spec = _spec(f, wrt, has_aux, False)
    return with_captures(f, lambda captures: _lowered(f, spec, args, kwargs, captures, platform))


def _lowered(
    f: Callable[..., Any], spec: Spec, args: tuple, kwargs: dict[str, Any], captures: Any, platform: str | None
) -> Lowered:
    arguments = take_apart(f, args, kwargs)
    derivation = derive(f, spec, args, kwargs, captures, decisions=known_decisions(arguments))
    outer = [*captures.leaves, *derivation.outer, *(leaf.value for leaf in arguments.leaves)]
    if any(isinstance(x, (Tracer, JaxTracer)) for x in outer):
        raise TraceError(
            f"lower of {function_name(f)} inside of another traced function", hint="lower the outer function"
        )
    signature = signature_of(arguments, derivation, function_name(f))
    # captured arrays as they are now: the user may change them before the program is compiled, called or exported
    captured = [np.array(x) if isinstance(x, np.ndarray) else x for x in captures.leaves]
    constants = [*captured, *derivation.hoisted]
    dynamic = [leaf.value for leaf in arguments.leaves if leaf.kind != STATIC]
    return Lowered(
        derivation.graph,
        platform,
        UserCalling(signature, constants, derivation.assemble, derivation.guards, describe(derivation.guards)),
        # nothing is given up before it is known that the path is the right one
        [] if derivation.guards else reused(derivation.graph, given_up(f, spec, arguments)),
        [sharding_of(x) for x in [*dynamic, *constants]],
        [dict(derivation.beside).get(i) for i in range(len(derivation.graph.outputs))],
    )


def stop_gradient(x: Any) -> Any:
    """x, as a constant for differentiation; any structure. Outside of a traced function: x itself.

    >>> value_and_grad(lambda x: x * stop_gradient(x))(3.0)[1][0]
    3.0
    """
    if not is_tracing():
        return x
    leaves, structure = tree.flatten(x)
    trace = current_trace()
    cut = [
        Tracer(control.stop_gradient(trace.lift(leaf)), trace) if isinstance(leaf, Tracer) else leaf for leaf in leaves
    ]
    return tree.unflatten(structure, cut)


def print(format: str, *arrays: Any) -> None:
    """Print arrays from inside of a compiled program, each time it runs: `lilith.print("loss {:.3f}", loss)`.

    Arguments:
        format: a `str.format` string with one field per array.

    >>> import sys
    >>> def loss(x):
    ...     print("x is {}", x)
    ...     return x * x
    >>> value, g = grad(loss, 3.0)
    x is 3.0
    """
    if not is_tracing():
        control.show(format, *arrays)
        return
    trace = current_trace()
    control.print_(*[trace.lift(x) for x in arrays], format=format)
