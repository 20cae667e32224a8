"""Trace and trace_call: run the user's function once on tracers and record a Graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from lilith import tree
from lilith.ir.graph import Builder, Graph, Literal, Node, Value, current
from lilith.ir.interpret import evaluate
from lilith.ir.primitive import primitive
from lilith.ir.type import TensorType, is_supported
from lilith.source import DtypeError, LeakedTracerError, LilithError, TraceError, user_source
from lilith.tracer import Tracer

HOIST_BYTES = 1024
"""Constant arrays larger than this become arguments of the program, so that modules stay small."""

_LEAK_HINT = "return the array from the function instead of storing it in an outer variable, list or object"
_WEAK_DTYPES = {bool: np.dtype(bool), int: np.dtype(int), float: np.dtype(float), complex: np.dtype(complex)}
# a bool is never weak: NumPy lets it adapt to anything already
SCALAR_TYPES: dict[type, TensorType] = {
    cls: TensorType((), dtype, cls is not bool) for cls, dtype in _WEAK_DTYPES.items()
}
"""The types of Python numbers. All but bool are weak: they adapt to the arrays they meet."""


class Trace(Builder):
    """The recording of one run of one function.

    Attributes:
        name: of the function, for texts.
        active: whether the function is running.
        captured: tracers of enclosing traces that this function used, with the inputs they became.
        hoisted: constant arrays that became inputs, with those inputs.
        constant_cache: the Values of constants recorded so far, by what they hold.
        concrete: in interpreted runs, the NumPy value of every Value; else None.
    """

    def __init__(self, name: str):
        super().__init__()
        self.name = name
        self.active = False
        self.captured: dict[int, tuple[Tracer, Value]] = {}
        self.hoisted: dict[int, tuple[np.ndarray, Value]] = {}
        self.concrete: dict[Value, np.ndarray] | None = None
        self.constant_cache: dict[Any, Value] = {}
        self._aliases: dict[int, tuple[Any, int]] = {}

    def __enter__(self):
        self.active = True
        return super().__enter__()

    def __exit__(self, *args: object) -> None:
        super().__exit__(*args)
        self.active = False

    def emit(self, primitive: Any, operands: tuple[Value, ...], params: dict[str, Any]) -> Any:
        out = super().emit(primitive, operands, params)
        if self.concrete is not None:
            self._evaluate(self.nodes[-1:])
        return out

    def inline(self, graph: Graph, values: Sequence[Value]) -> list[Value]:
        start = len(self.nodes)
        outputs = super().inline(graph, values)
        if self.concrete is not None:
            self._evaluate(self.nodes[start:])
        return outputs

    def _evaluate(self, nodes: Sequence[Node]) -> None:
        """Note the NumPy values of new nodes."""
        known: dict[Value, np.ndarray] = self.concrete  # type: ignore[assignment]
        for node in nodes:
            results = evaluate(node, tuple([known[x] for x in node.operands]))
            known.update(zip(node.results, results, strict=True))

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
        if array.nbytes > HOIST_BYTES:
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
        if self.concrete is not None:
            self.concrete[value] = copy
        return value

    def _capture(self, tracer: Tracer) -> Value:
        found = self.captured.get(id(tracer))
        if found is None:
            if not tracer.recorder.active:
                raise LeakedTracerError(
                    f"a traced array ({tracer.value.type}) of {tracer.recorder.name} was used when its trace had ended",
                    hint=_LEAK_HINT,
                )
            value = Value(tracer.value.type)
            found = self.captured[id(tracer)] = (tracer, value)
            if self.concrete is not None:
                outer = tracer.recorder.concrete
                self.concrete[value] = np.zeros(value.shape, value.dtype) if outer is None else outer[tracer.value]
        return found[1]

    def input(self, type: TensorType, concrete: Any = None) -> Tracer:
        """A new input of the graph, as a tracer."""
        value = Value(type)
        if self.concrete is not None:
            self.concrete[value] = np.asarray(concrete, dtype=type.dtype)
        return Tracer(value, self)

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
    if isinstance(error, LilithError) or not isinstance(cause, LilithError):
        return error
    if "setting an array element" not in str(error):
        return cause
    return TraceError(
        "a traced array was assigned into a plain ndarray, or a list of them made into one",
        hint="collect the parts in a list and join them with np.stack or np.concatenate",
        source=cause.source,
    )


class Recorded(NamedTuple):
    """What `trace_call` found out.

    Attributes:
        graph: inputs are the given ones, then the captured tracers, then the hoisted constants.
        leaves: the function's result, flattened: `Traced(position among the graph's outputs)` for arrays, else the
            object itself.
        structure: the result's structure, for `lilith.tree.unflatten`.
        captured: tracers of enclosing traces that the function used.
        hoisted: constant arrays that became inputs.
    """

    graph: Graph
    leaves: list[Any]
    structure: Any
    captured: list[Tracer]
    hoisted: list[np.ndarray]


class Traced(NamedTuple):
    """A leaf of the function's result that is output `output` of the graph; `constant` if no tracer was involved."""

    output: int
    constant: bool


def trace_call(
    function: Callable[[list[Tracer]], Any],
    types: Sequence[TensorType],
    names: Sequence[str],
    name: str,
    concrete: Sequence[Any] | None = None,
) -> Recorded:
    """Run `function` once on tracers of the given types and record what it does.

    Arguments:
        function: takes the list of tracers, returns any structure of arrays and static objects.
        names: of the inputs, in the user's terms.
        name: of the graph.
        concrete: NumPy values of the inputs; every node is then evaluated as it is recorded.
    """
    trace = Trace(name)
    if concrete is not None:
        trace.concrete = {}
    with trace:
        tracers = [trace.input(t, None if concrete is None else concrete[i]) for i, t in enumerate(types)]
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
    graph = trace.finish([t.value for t in tracers], names, outputs)
    captured = [tracer for tracer, _ in trace.captured.values()]
    return Recorded(graph, results, structure, captured, [array for array, _ in trace.hoisted.values()])
