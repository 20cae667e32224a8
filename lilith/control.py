"""Structured control flow: cond, switch, while_loop, fori_loop, scan, map.

They take what the names mean elsewhere: functions and structures of arrays. Inside of a traced function they become one
operation of its graph, with the functions as graphs of their own; what these read from around them is differentiated
too. Called outside of any trace, with plain values, they compile and run as `lilith.jit` does.

Carries keep their structure, shapes and dtypes from step to step. Python numbers adapt: a carry that starts as `0.0`
takes the dtype that the body gives it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.bodies import (
    Parts,
    Recorded,
    carrying,
    check_structure,
    common_type,
    contents,
    converted,
    enter,
    joined,
    leave,
    lifted,
    record,
    reordered,
    settled,
    type_of,
)
from lilith.compile import run
from lilith.derive import Spec, function_name
from lilith.ir.graph import Value
from lilith.ir.type import TensorType, kind
from lilith.ops import elementwise, loops, shape
from lilith.ops.loops import FLAG, INDEX, types_of
from lilith.signature import describe
from lilith.source import ArgumentError, DtypeError, ShapeError, TraceError
from lilith.trace import SCALAR_TYPES, Trace, current_trace, is_tracing
from lilith.tracer import Tracer
from lilith.transform.fission import emit_scan
from lilith.transform.simplify import simplify

JIT = Spec(gradient=False)

CHECKPOINT_BYTES = 2**20
"""How much memory the carries may take that the reverse mode of a `while_loop` keeps, unless `checkpoints` says."""


# ---- branches -------------------------------------------------------------------------------------------------------


def cond(pred: Any, true_function: Callable[..., Any], false_function: Callable[..., Any], *operands: Any) -> Any:
    """`true_function(*operands)` where `pred` is true, else `false_function(*operands)`; only that one is run.

    Arguments:
        pred: one bool (or a number, true unless it is zero), which may be traced.
        true_function, false_function: give results of the same structure, shapes and dtypes. What they read from around
            them may be traced; the gradient flows there too.
        operands: any structures; static leaves (ints, strings) reach the functions as they are.

    Under batching (vmap) with a batched `pred` both are run and the results selected.

    >>> import numpy as np, lilith
    >>> def f(x):
    ...     return lilith.cond(x > 0, lambda: x * x, lambda: -x)
    >>> lilith.grad(f, 3.0)[1][0], lilith.grad(f, -3.0)[1][0]
    (6.0, -1.0)
    """
    if not is_tracing():
        return run(lambda p, *xs: cond(p, true_function, false_function, *xs), JIT, (_plain(pred), *operands), {})
    trace = current_trace()
    flag = trace.lift(pred)
    if flag.shape:
        raise ShapeError(f"cond: the condition is {flag.type}, not one bool", hint="np.where chooses by element")
    if flag.dtype != FLAG.dtype:
        flag = elementwise.ne(flag, shape.fill(value=flag.dtype.type(0).item(), shape=(), dtype=flag.dtype))
    return _branch("cond", trace, flag, (false_function, true_function), operands)


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """`branches[index](*operands)`; an index out of range takes the nearest branch. See `cond`.

    >>> import numpy as np, lilith
    >>> print(lilith.switch(2, [np.sin, np.cos, np.square], 3.0))
    9.0
    """
    branches = tuple(branches)
    if not branches:
        raise ArgumentError("switch: no branches", hint="give a list with at least one function")
    if not is_tracing():
        return run(lambda i, *xs: switch(i, branches, *xs), JIT, (_plain(index), *operands), {})
    trace = current_trace()
    number = trace.lift(index)
    if number.shape or kind(number.dtype) not in "iu":
        raise DtypeError(f"switch: the index is {number.type}, not one integer", hint="x.astype(int) converts")
    i32 = np.dtype(np.int32)
    last = number.dtype.type(min(len(branches) - 1, np.iinfo(number.dtype).max)).item()
    high = elementwise.min(number, shape.fill(value=last, shape=(), dtype=number.dtype))
    low = elementwise.max(high, shape.fill(value=0, shape=(), dtype=number.dtype))
    return _branch("switch", trace, elementwise.convert(low, dtype=i32), branches, operands)


def _plain(x: Any) -> Any:
    """Python's own numbers as arrays, so that their value is no part of a program's key."""
    return np.asarray(x) if type(x) in (int, bool) else x


def _branch(name: str, trace: Trace, index: Value, functions: Sequence[Callable[..., Any]], operands: tuple) -> Any:
    """The branches, with arrays from around that they write to among their operands and results."""

    def attempt(arrays: list[Tracer]) -> Any:
        if not arrays:
            return _cases(name, trace, index, functions, operands)
        result, values = _cases(name, trace, index, [_writing(f, arrays) for f in functions], (*operands, list(arrays)))
        leave(arrays, values)
        return result

    return carrying(attempt)


def _writing(f: Callable[..., Any], arrays: Sequence[Tracer]) -> Callable[..., Any]:
    """f as a function that takes the arrays it writes to besides, and gives what they hold then."""

    def call(*args: Any) -> tuple[Any, list[Tracer]]:
        enter(arrays, args[-1])
        result = f(*args[:-1])
        return result, contents(arrays)

    call.__name__ = function_name(f)
    return call


def _cases(name: str, trace: Trace, index: Value, functions: Sequence[Callable[..., Any]], operands: tuple) -> Any:
    given = Parts.of(operands, "operands", ints=False)
    arrays = [trace.lift(x) for x in given.arrays]
    recorded = [
        record(f, types_of(arrays), given.array_paths, lambda xs: given.with_arrays(xs), "result") for f in functions
    ]
    first = recorded[0].parts
    names = [f"what {function_name(f)} gives" for f in functions]
    types = types_of(recorded[0].graph.outputs)
    for r, text in zip(recorded[1:], names[1:], strict=True):
        check_structure(name, first, r.parts, text, names[0])
        pairs = zip(first.array_paths, types, types_of(r.graph.outputs), strict=True)
        types = [common_type(name, path, a, b, text, names[0]) for path, a, b in pairs]
    constants, graphs = joined(trace, recorded, len(arrays))
    branches = tuple([simplify(converted(g, [t.dtype for t in types])) for g in graphs])
    out = loops.case(index, *arrays, *constants, branches=branches)
    for y, t in zip(out, types, strict=True):
        y.type = t
    return first.with_arrays([Tracer(y, trace) for y in out])


# ---- loops ----------------------------------------------------------------------------------------------------------


def while_loop(
    cond_function: Callable[[Any], Any],
    body_function: Callable[[Any], Any],
    init: Any,
    *,
    checkpoints: int | None = None,
) -> Any:
    """`carry = init; while cond_function(carry): carry = body_function(carry)`; gives the last carry.

    Arguments:
        cond_function: from the carry to one bool.
        body_function: from the carry to one of the same structure, shapes and dtypes.
        init: the first carry, any structure.
        checkpoints: how many carries the gradient may keep, at least 2. With fewer than there are steps some steps are
            computed again on the way back; memory does not grow with the number of steps. By default as many as fit
            into 1 MiB, from 64 to 512.

    The gradient is exact for any number of steps; forward mode needs no memory.

    >>> import numpy as np, lilith
    >>> def root(a):
    ...     def step(state):
    ...         x, _ = state
    ...         return 0.5 * (x + a / x), x
    ...     return lilith.while_loop(lambda s: np.abs(s[0] - s[1]) > 1e-12, step, (a, 0.0))[0]
    >>> value, g = lilith.grad(root, 2.0)
    >>> print(round(value, 6), round(g[0], 6))
    1.414214 0.353553
    """
    _check_checkpoints(checkpoints)
    if not is_tracing():
        return run(lambda x: while_loop(cond_function, body_function, x, checkpoints=checkpoints), JIT, (init,), {})
    trace = current_trace()

    def attempt(arrays: list[Tracer]) -> Any:
        if not arrays:
            return _while(trace, cond_function, body_function, init, checkpoints)

        def step(state: tuple[Any, list[Tracer]]) -> tuple[Any, list[Tracer]]:
            return _writing(body_function, arrays)(*state)

        def test(state: tuple[Any, list[Tracer]]) -> Any:
            enter(arrays, state[1])
            before = [x.value for x in state[1]]
            result = cond_function(state[0])
            if any([x.value is not y for x, y in zip(contents(arrays), before, strict=True)]):
                raise TraceError(
                    "while_loop: the condition writes to an array from around it", hint="write to it in the body"
                )
            return result

        step.__name__, test.__name__ = function_name(body_function), function_name(cond_function)
        carry, values = _while(trace, test, step, (init, list(arrays)), checkpoints)
        leave(arrays, values)
        return carry

    return carrying(attempt)


def _while(
    trace: Trace, cond_function: Callable[..., Any], body_function: Callable[..., Any], init: Any, checkpoints: Any
) -> Any:
    """Record and emit a loop with a condition."""
    start = Parts.of(init, "carry")

    def at(types: list[TensorType]) -> tuple[list[TensorType], Recorded]:
        body = record(body_function, types, start.array_paths, lambda xs: (start.with_arrays(xs),), "carry")
        check_structure("while_loop", start, body.parts, "the carry after a step", "the carry before it")
        return types_of(body.graph.outputs), body

    types, body = settled("while_loop", at, start)
    test = record(cond_function, types, start.array_paths, lambda xs: (start.with_arrays(xs),), "condition")
    outputs = test.graph.outputs
    if len(outputs) != 1 or not outputs[0].type.matches(FLAG):
        found = ", ".join([repr(t) for t in types_of(outputs)]) or "no array"
        raise DtypeError(f"while_loop: the condition gives {found}, not one bool", hint="a comparison of two scalars")
    count = len(types)
    constants, graphs = joined(trace, [body, test], count)
    order = [*range(count, count + len(constants)), *range(count)]
    step, predicate = [simplify(reordered(g, order)) for g in graphs]
    out = loops.while_loop(
        *constants,
        *[lifted(trace, x, t.dtype) for x, t in zip(start.arrays, types, strict=True)],
        cond=predicate,
        body=converted(step, [t.dtype for t in types]),
        constants=len(constants),
        checkpoints=checkpoints or _default_checkpoints(types),
    )
    return start.with_arrays(_traced(trace, out, types))


def _traced(trace: Trace, values: Sequence[Value], types: Sequence[TensorType]) -> list[Tracer]:
    for y, t in zip(values, types, strict=True):
        y.type = t
    return [Tracer(y, trace) for y in values]


def _check_checkpoints(checkpoints: int | None) -> None:
    if checkpoints is not None and (type(checkpoints) is not int or checkpoints < 2):
        raise ArgumentError(f"while_loop: checkpoints={checkpoints!r}", hint="an int from 2 on, or None")


def _default_checkpoints(types: Sequence[TensorType]) -> int:
    size = sum(t.nbytes for t in types) or 1
    return min(max(CHECKPOINT_BYTES // size, 64), 512)


def scan(
    f: Callable[[Any, Any], Any], init: Any, xs: Any = None, length: int | None = None, *, reverse: bool = False
) -> tuple[Any, Any]:
    """`carry, y = f(carry, x)` for every x along the first axis of `xs`; gives the last carry and all y, stacked.

    Arguments:
        f: from a carry and a slice of `xs` to a pair: a carry of the same structure, shapes and dtypes, and y, any
            structure.
        init: the first carry.
        xs: any structure of arrays with a first axis of the same length; None for none.
        length: the number of steps, needed where `xs` holds no array.
        reverse: from the last x to the first; y[i] still belongs to x[i].

    >>> import numpy as np, lilith
    >>> def step(total, x):
    ...     return total + x, total * x
    >>> total, products = lilith.scan(step, 0.0, np.array([1.0, 2.0, 3.0]))
    >>> print(total, products)
    6.0 [0. 2. 9.]
    """
    if not is_tracing():
        return run(lambda c, x: scan(f, c, x, length, reverse=reverse), JIT, (init, xs), {})
    trace = current_trace()
    rows = Parts.of(xs, "xs", ints=False)
    stacks = [trace.lift(x) for x in rows.arrays]
    steps = _length(rows, stacks, length)

    def pair(carry: Any, x: Any) -> tuple[Any, Any]:
        result = f(carry, x)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise ArgumentError(
                f"scan: {function_name(f)} must return a pair (carry, y), it returned {type(result).__name__}",
                hint="return carry, None where there is no y",
            )
        return result

    pair.__name__ = function_name(f)

    def call(index: Tracer, carry: Any, slices: list[Tracer]) -> tuple[Any, Any]:
        return pair(carry, rows.with_arrays(slices))

    call.__name__ = function_name(f)
    return _counted("scan", trace, call, Parts.of(init, "carry"), rows.array_paths, stacks, steps, bool(reverse))


def _length(rows: Parts, stacks: Sequence[Value], length: int | None) -> int:
    if length is not None and (not isinstance(length, (int, np.integer)) or length < 0):
        raise ArgumentError(f"scan: length={length!r}", hint="an int from 0 on: the number of steps is static")
    sizes = {}
    for path, x in zip(rows.array_paths, stacks, strict=True):
        if not x.shape:
            raise ShapeError(f"scan: {path} is a scalar ({x.type})", hint="capture what is the same in every step")
        sizes[path] = x.shape[0]
    if length is None and not sizes:
        raise ArgumentError("scan: neither xs nor length is given", hint="length=10")
    if length is not None:
        sizes["length"] = int(length)
    if len(set(sizes.values())) > 1:
        text = ", ".join([f"{path}: {n}" for path, n in sizes.items()])
        raise ShapeError(f"scan: the first axes differ ({text})", hint="one row per step in every array")
    return next(iter(sizes.values()))


def _counted(
    name: str,
    trace: Trace,
    f: Callable[[Any, Any, list[Tracer]], tuple[Any, Any]],
    start: Parts,
    row_paths: list[str],
    stacks: list[Value],
    length: int,
    reverse: bool,
) -> tuple[Any, Any]:
    """A scan of `f(index, carry, slices) -> (carry, y)`; arrays from around that f writes to are carries, too."""
    rest = (row_paths, stacks, length, reverse)

    def attempt(arrays: list[Tracer]) -> tuple[Any, Any]:
        if not arrays:
            return _steps(name, trace, f, start, *rest)

        def step(index: Any, state: tuple[Any, list[Tracer]], slices: list[Tracer]) -> tuple[Any, Any]:
            enter(arrays, state[1])
            carry, y = f(index, state[0], slices)
            return (carry, contents(arrays)), y

        step.__name__ = f.__name__
        both = Parts.of((start.with_arrays(start.arrays), list(arrays)), "carry")
        (carry, values), y = _steps(name, trace, step, both, *rest)
        leave(arrays, values)
        return carry, y

    return carrying(attempt)


def _steps(
    name: str,
    trace: Trace,
    f: Callable[[Any, Any, list[Tracer]], tuple[Any, Any]],
    start: Parts,
    row_paths: list[str],
    stacks: list[Value],
    length: int,
    reverse: bool,
) -> tuple[Any, Any]:
    """Record and emit a scan."""
    slices = [x.type.with_shape(x.shape[1:]) for x in stacks]
    count = len(start.arrays)
    index = TensorType((), INDEX.dtype, weak=True)

    def at(types: list[TensorType]) -> tuple[list[TensorType], tuple[Recorded, Parts]]:
        found: list[Parts] = []

        def call(i: Tracer, carry: Any, rows: list[Tracer]) -> list[Any]:
            after, y = f(i, carry, rows)
            parts = Parts.of(after, "carry")
            check_structure(name, start, parts, "the carry after a step", "the carry before it")
            found.append(Parts.of(y, "y"))
            return [*parts.arrays, *found[0].arrays]

        call.__name__ = f.__name__
        body = record(
            call,
            [index, *types, *slices],
            ["i", *start.array_paths, *row_paths],
            lambda xs: (xs[0], start.with_arrays(xs[1 : 1 + count]), xs[1 + count :]),
            "result",
        )
        return types_of(body.graph.outputs[:count]), (body, found[0])

    types, (body, result) = settled(name, at, start)
    given = 1 + count + len(slices)
    constants, (graph,) = joined(trace, [body], given)
    order = [0, *range(given, given + len(constants)), *range(1, given)]
    step = converted(reordered(graph, order), [t.dtype for t in types])
    first = [lifted(trace, x, t.dtype) for x, t in zip(start.arrays, types, strict=True)]
    out = emit_scan(
        [*constants, *first, *stacks],
        body=simplify(step),
        length=length,
        constants=len(constants),
        carries=count,
        reverse=reverse,
    )
    carry = start.with_arrays(_traced(trace, out[:count], types))
    return carry, result.with_arrays([Tracer(y, trace) for y in out[count:]])


def fori_loop(
    lower: Any, upper: Any, body_function: Callable[[Any, Any], Any], init: Any, *, checkpoints: int | None = None
) -> Any:
    """`carry = init; for i in range(lower, upper): carry = body_function(i, carry)`; gives the last carry.

    Arguments:
        lower, upper: integers. Where one is traced the loop is a `while_loop`, whose gradient keeps `checkpoints`
            carries.
        body_function: from the number of the step and the carry to a carry of the same structure, shapes and dtypes.
        init: the first carry.

    >>> import lilith
    >>> lilith.grad(lambda x: lilith.fori_loop(0, 3, lambda i, y: x * y + i, 1.0), 2.0)
    (12.0, GradResult(1))
    """
    _check_checkpoints(checkpoints)
    if not is_tracing():
        return run(lambda x: fori_loop(lower, upper, body_function, x, checkpoints=checkpoints), JIT, (init,), {})
    if isinstance(lower, Tracer) or isinstance(upper, Tracer):
        return _while_counter(lower, upper, body_function, init, checkpoints)
    try:
        begin, end = operator.index(lower), operator.index(upper)
    except TypeError as error:
        raise ArgumentError(f"fori_loop: from {lower!r} to {upper!r}", hint="the bounds are integers") from error
    trace = current_trace()

    def step(index: Any, carry: Any, rows: list[Tracer]) -> tuple[Any, Any]:
        return body_function(index + begin if begin else index, carry), None

    step.__name__ = function_name(body_function)
    start = Parts.of(init, "carry")
    return _counted("fori_loop", trace, step, start, [], [], max(end - begin, 0), False)[0]


def _while_counter(lower: Any, upper: Any, body: Callable[..., Any], init: Any, checkpoints: int | None) -> Any:
    for bound in (lower, upper):
        t = type_of(bound) if isinstance(bound, Tracer) or type(bound) in SCALAR_TYPES else describe(bound)[1]
        if t is None or t.shape or kind(t.dtype) not in "iu":
            raise ArgumentError(f"fori_loop: a bound is {t or bound!r}", hint="the bounds are integers")

    def step(state: tuple[Any, Any]) -> tuple[Any, Any]:
        i, carry = state
        return i + 1, body(i, carry)

    step.__name__ = function_name(body)
    limit = upper if isinstance(upper, Tracer) else np.asarray(upper)
    first = lower if isinstance(lower, Tracer) else np.asarray(lower)
    dtype = np.result_type(limit.dtype, first.dtype)
    return while_loop(lambda s: s[0] < limit, step, (first.astype(dtype), init), checkpoints=checkpoints)[1]


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """`f(x)` for every x along the first axis of `xs`, one after the other; the results are stacked.

    >>> import numpy as np, lilith
    >>> lilith.map(lambda x: np.sum(x * x), np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([ 5., 25.])
    """

    def step(_: None, x: Any) -> tuple[None, Any]:
        return None, f(x)

    step.__name__ = function_name(f)
    return scan(step, None, xs)[1]
