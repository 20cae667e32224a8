"""Trace and trace_call: run the user's function once on tracers and record a Graph."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from lilith import ndarray, tree  # noqa: F401  ndarray: gives Tracer its methods
from lilith.guards import Decisions, Guard, Knowledge, Unknown, decide
from lilith.ir.graph import Builder, Graph, Literal, Source, Value, current
from lilith.ir.primitive import primitive
from lilith.ir.type import TensorType, is_supported
from lilith.source import (
    DtypeError,
    LeakedTracerError,
    LilithError,
    TraceError,
    UnsupportedError,
    is_internal,
    user_source,
)
from lilith.tracer import FUNCTIONS, AssignedPlain, Tracer

HOIST_BYTES = 1024
"""Constant arrays larger than this become arguments of the program, so that modules stay small."""

HOIST_BYTES_OF_INTEGERS = 2**16
"""The same for integers, which mostly are indices: XLA computes what is made of constant ones when it compiles."""

_LEAK_HINT = "return the array from the function instead of storing it in an outer variable, list or object"
_WEAK_DTYPES = {bool: np.dtype(bool), int: np.dtype(int), float: np.dtype(float), complex: np.dtype(complex)}
# a bool is never weak: NumPy lets it adapt to anything already
SCALAR_TYPES: dict[type, TensorType] = {
    cls: TensorType((), dtype, cls is not bool) for cls, dtype in _WEAK_DTYPES.items()
}
"""The types of Python numbers. All but bool are weak: they adapt to the arrays they meet."""


class Written(BaseException):
    """The body of a loop or branch has written to an array from around it, which must become a carry of it."""

    def __init__(self, root: Tracer):
        super().__init__()
        self.root = root


class Trace(Builder):
    """The recording of one run of one function.

    Attributes:
        name: of the function, for texts.
        active: whether the function is running.
        captured: tracers of enclosing traces that this function used, with the inputs they became.
        hoisted: constant arrays that became inputs, with those inputs.
        constant_cache: the Values of constants recorded so far, by what they hold.
        interpreted: whether tracers show their values, for a debugger.
        knowledge: gives NumPy values where they are asked for; None where there are none.
        decisions: numbers the guards of a call; None where none are recorded.
        guards: the decisions that the function has made on traced values.
        decided: their outcomes, by Value and by whether an integer was asked for.
        carries: whether an array from around may be written to: whoever records this makes it a carry (`Written`).
        entered: arrays from around that are carries here, by id: they, and the tracers that stand for them.
        images: the same for their views, as they are asked for.
        pinnable: captured inputs, which become part of the key when Python code asks for their values.
        outside: captured inputs, those whose values are not known here too.
        origins: what `lilith.numpy.masks` has found out of the Values.
        unordered: Values of arrays that do not lie in C order in NumPy, besides transposes.
        decides_items: whether a number that is assigned into a plain array of ints is decided, as `int(x)` is.
    """

    def __init__(self, name: str, decisions: Decisions | None = None):
        super().__init__()
        self.name = name
        self.knowledge: Knowledge | None = None
        self.decisions = decisions
        self.guards: list[Guard] = []
        self.decided: dict[tuple[Value, bool], int] = {}
        self.pinnable: frozenset[Value] = frozenset()
        self.outside: frozenset[Value] = frozenset()
        self.origins: Any = None
        self.carries = False
        self.entered: dict[int, tuple[Tracer, Tracer]] = {}
        self.images: dict[int, tuple[Tracer, Tracer]] = {}
        self.active = False
        self.captured: dict[int, tuple[Tracer, Value]] = {}
        self.hoisted: dict[int, tuple[np.ndarray, Value]] = {}
        self.interpreted = self.decides_items = False
        self.unordered: set[Value] = set()
        self.constant_cache: dict[Any, Value] = {}
        self._aliases: dict[int, tuple[Any, int]] = {}

    def __enter__(self):
        self.active = True
        return super().__enter__()

    def __exit__(self, *args: object) -> None:
        super().__exit__(*args)
        self.active = False

    def lift(self, x: Any) -> Value:
        """The Value of anything array-like in this trace.

        Raises:
            TraceError, DtypeError: it is not an array of numbers.
            LeakedTracerError: it is a tracer of a trace that has ended.
        """
        cls = type(x)
        if cls is Tracer:
            return x.value if x.recorder is self else self._capture(x)
        if cls in SCALAR_TYPES:
            return self._scalar(x, cls)
        if isinstance(x, Value):
            return x
        if isinstance(x, Tracer):
            return x.value  # a selection by a traced mask, which has none: its error
        return self._array(as_array(x))

    def _scalar(self, x: Any, cls: type) -> Value:
        key = (cls, x if x == x else "nan", str(x))  # 0.0 and -0.0 differ, nan is itself
        value = self.constant_cache.get(key)
        if value is None:
            if cls is int and not -(2**63) <= x < 2**64:
                raise DtypeError(f"the int {x} does not fit in 64 bits", hint=f"write it as a float: {float(x)!r}")
            dtype = np.dtype(np.uint64) if cls is int and x >= 2**63 else _WEAK_DTYPES[cls]
            value = primitive("fill")(value=x, shape=(), dtype=dtype)
            value.type = TensorType((), dtype, cls is not bool)
            self.constant_cache[key] = value
        return value

    def _array(self, array: np.ndarray) -> Value:
        if array.nbytes > (HOIST_BYTES_OF_INTEGERS if array.dtype.kind in "iu" else HOIST_BYTES):
            return self._hoist(array)
        literal = Literal(array)
        value = self.constant_cache.get(literal)
        if value is None:
            if array.ndim == 0:
                value = primitive("fill")(value=array.item(), shape=(), dtype=array.dtype)
            else:
                value = primitive("constant")(value=literal)
            self.constant_cache[literal] = value
        return value

    def _hoist(self, array: np.ndarray) -> Value:
        """A large constant becomes an input. It is copied: the user may change the array while the trace runs."""
        known = self._aliases.get(id(array))
        if known is not None:
            copy, value = self.hoisted[known[1]]
            if copy.shape == array.shape and copy.dtype == array.dtype and copy.tobytes() == array.tobytes():
                return value
        copy = np.array(array, order="C")
        value = Value(TensorType(copy.shape, copy.dtype))
        self.hoisted[id(copy)] = (copy, value)
        self._aliases[id(array)] = (array, id(copy))
        return value

    def _capture(self, tracer: Tracer) -> Value:
        if self.entered:
            own = FUNCTIONS["image"](self, tracer)
            if own is not tracer:
                return own.value
        found = self.captured.get(id(tracer))
        if found is None:
            if not tracer.recorder.active:
                raise LeakedTracerError(
                    f"a traced array ({tracer.value.type}) of {tracer.recorder.name} was used when its trace had ended",
                    hint=_LEAK_HINT,
                )
            value = Value(tracer.value.type)
            found = self.captured[id(tracer)] = (tracer, value)
        return found[1]

    def known(self, value: Value) -> np.ndarray:
        """The NumPy value of a Value. Raises Unknown where there is none."""
        if self.knowledge is None:
            raise Unknown
        return self.knowledge.value_of(value, *self.knowledge.behind(value))

    def decide(self, tracer: Tracer, integer: bool, error: Callable[[str], Exception]) -> int:
        """What Python code that asks for a tracer's truth (or its integer) is told; see `lilith.guards`."""
        previous, self.source = self.source, user_source()
        try:
            return decide(self, tracer, integer, error)
        finally:
            self.source = previous

    def input(self, type: TensorType) -> Tracer:
        """A new input of the graph, as a tracer."""
        return Tracer(Value(type), self)

    def finish(self, inputs: Sequence[Value], names: Sequence[str], outputs: Sequence[Value]) -> Graph:
        """The recorded graph. Its inputs are the given ones, then captured tracers, then hoisted constants."""
        extra = [*self.captured.values(), *self.hoisted.values()]
        return Graph(
            self.name,
            (*inputs, *(value for _, value in extra)),
            (*names, *(f"captured{i}" for i in range(len(extra)))),
            tuple(self.nodes),
            tuple(outputs),
        )


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Pause Python's cyclic garbage collector: it would go through all of the growing graph again and again, which
    takes as long as recording it."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def current_trace() -> Trace:
    """The trace this thread records into, with its source line set to the user's; an error outside of any."""
    trace = current.builder
    if not isinstance(trace, Trace):
        raise LeakedTracerError(
            "a traced array was used after its trace had ended, outside of any traced function",
            hint=_LEAK_HINT,
        )
    trace.source = user_source()
    return trace


def is_tracing() -> bool:
    """Whether this thread is recording a function right now."""
    return isinstance(current.builder, Trace)


def as_array(x: Any) -> np.ndarray:
    """Anything array-like as a NumPy array of a supported dtype in native byte order; an error of ours otherwise."""
    if isinstance(x, (list, tuple)) and contains_tracer(x):
        _refuse_sequence()
    if isinstance(x, (str, bytes)) or x is None or callable(x) or isinstance(x, (dict, set)):
        raise TraceError(f"{_describe(x)} is not an array or a number", hint="pass numbers, NumPy arrays or structures")
    try:
        array = np.asarray(x)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TraceError(f"{_describe(x)} cannot become a NumPy array: {error}", hint="convert it yourself") from error
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if not is_supported(array.dtype):
        raise DtypeError(
            f"an array of dtype {array.dtype} ({type(x).__name__}) cannot be traced",
            hint="use a bool, integer, float16/32/64, bfloat16 or complex64/128 array, e.g. x.astype(np.float64)",
        )
    return array


def contains_tracer(x: Any) -> bool:
    """Whether a nested list or tuple holds a tracer."""
    if isinstance(x, (list, tuple)):
        return any(contains_tracer(item) for item in x)
    return isinstance(x, Tracer)


def _refuse_sequence() -> NoReturn:
    raise TraceError(
        "a list or tuple of traced arrays is not an array",
        hint="join them with np.stack([x, y]) or np.concatenate, or use lilith.numpy.array([x, y])",
    )


def _describe(x: Any) -> str:
    text = repr(x)
    return f"{type(x).__name__} {text if len(text) <= 40 else text[:37] + '...'}"


def uncovered(error: Exception) -> Exception:
    """Our error where NumPy has covered it with one of its own, as it does when an array element is assigned."""
    cause = error.__cause__
    if isinstance(error, LilithError):
        return error
    for text, make in _OF_NUMPY.items():
        if text in str(error):
            return make(_raised_at(error))
    if not isinstance(cause, LilithError):
        return error
    if "setting an array element" not in str(error):
        return cause
    return _assigned_plain(cause.source)


def _assigned_plain(source: Source | None) -> LilithError:
    return AssignedPlain(
        "a traced array was assigned into a plain ndarray, or a list of them made into one",
        hint="make the array with lilith.numpy.zeros or lilith.numpy.empty; or collect the parts in a list and join "
        "them with np.stack or np.concatenate",
        source=source,
    )


def _no_nditer(source: Source | None) -> LilithError:
    return UnsupportedError(
        "np.nditer of a traced array, which has no memory to go through",
        hint="for i in np.ndindex(x.shape): x[i] and y[i] = v are the elements, in C order",
        source=source,
    )


def _no_shuffle_axis(source: Source | None) -> LilithError:
    return UnsupportedError(
        "shuffle(x, axis=...) of a traced array",
        hint="x[...] = np.take(x, generator.permutation(x.shape[axis]), axis=axis)",
        source=source,
    )


# what NumPy says, without a cause, where it is given a traced array: our error in its place
_OF_NUMPY = {
    "Error setting single item of array": _assigned_plain,
    "cannot be written back to via WRITEBACKIFCOPY": _no_nditer,
    "Axis argument is only supported on ndarray objects": _no_shuffle_axis,
}


def _raised_at(error: Exception) -> Source | None:
    """The innermost line of the user's that an error has passed."""
    source, trace = None, error.__traceback__
    while trace is not None:
        if not is_internal(trace.tb_frame.f_code.co_filename):
            source = Source(trace.tb_frame.f_code, trace.tb_lasti)
        trace = trace.tb_next
    return source


class Recorded(NamedTuple):
    """What `trace_call` found out.

    Attributes:
        graph: inputs are the given ones, then the captured tracers, then the hoisted constants.
        leaves: the function's result, flattened: `Traced(position among the graph's outputs)` for arrays, else the
            object itself.
        structure: the result's structure, for `lilith.tree.unflatten`.
        captured: tracers of enclosing traces that the function used.
        hoisted: constant arrays that became inputs.
        guards: what the function decided on traced values.
        rolled: which repeats became loops, as texts.
    """

    graph: Graph
    leaves: list[Any]
    structure: Any
    captured: list[Tracer]
    hoisted: list[np.ndarray]
    guards: tuple[Guard, ...] = ()
    rolled: tuple[str, ...] = ()


class Traced(NamedTuple):
    """A leaf of the function's result that is output `output` of the graph; `constant` if no tracer was involved."""

    output: int
    constant: bool


def trace_call(
    function: Callable[[list[Tracer]], Any],
    types: Sequence[TensorType],
    names: Sequence[str],
    name: str,
    values: Sequence[Any] | None = None,
    *,
    interpreted: bool = False,
    decisions: Decisions | None = None,
    pinnable: int | None = None,
    carries: bool = False,
) -> Recorded:
    """Run `function` once on tracers of the given types and record what it does.

    Arguments:
        function: takes the list of tracers, returns any structure of arrays and static objects.
        names: of the inputs, in the user's terms.
        name: of the graph.
        values: of the inputs (arrays, numbers, tracers of an enclosing trace), for Python code that decides on them.
        interpreted: let tracers show their values.
        decisions: numbers the guards.
        pinnable: the first input from which on they are captured values, which decide by being part of the key.
        carries: raise `Written` where the function writes to an array from around it.
    """
    trace = Trace(name, decisions)
    trace.carries = carries
    trace.interpreted = interpreted
    with trace:
        tracers = [trace.input(t) for t in types]
        inputs = [t.value for t in tracers]
        trace.outside = frozenset(inputs[pinnable:] if pinnable is not None else ())
        if values is not None:
            trace.knowledge = Knowledge(trace, dict(zip(inputs, values, strict=True)))
            captured = zip(inputs[pinnable:], values[pinnable:], strict=True) if pinnable is not None else ()
            trace.pinnable = frozenset(x for x, value in captured if not isinstance(value, Tracer))
        leaves, structure = tree.flatten(function(tracers))
        outputs: list[Value] = []
        results: list[Any] = []
        trace.source = None
        for leaf in leaves:
            if tree.is_dynamic(leaf):
                results.append(Traced(len(outputs), not isinstance(leaf, Tracer)))
                outputs.append(trace.lift(leaf))
            else:
                results.append(leaf)
    graph = trace.finish(inputs, names, outputs)
    trace.origins = None  # they know the trace: a cycle would keep all nodes until the collector comes by
    if not interpreted:
        trace.knowledge = None
    captured_tracers = [tracer for tracer, _ in trace.captured.values()]
    guards = tuple(sorted(trace.guards, key=lambda guard: guard.order))
    return Recorded(graph, results, structure, captured_tracers, [array for array, _ in trace.hoisted.values()], guards)
