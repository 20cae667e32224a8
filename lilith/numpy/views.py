"""Views: arrays that share memory, as in NumPy, and how a write to one of them reaches the others.

A tracer is a view when a function made it that gives views in NumPy (a slice, a transpose, a reshape ...). It remembers
its parent and the nodes that lead from the parent's Value to its own: slice, rev, transpose, reshape, dynamic_slice,
broadcast_in_dim, real, imag. A write goes back through them to the array at the root, which gets a new Value; the other
views of that root lose theirs and read it again when somebody asks.

Whether a reshape shares memory depends on strides. NumPy decides: the functions are applied to a shadow, an array
of one byte with the strides that the real one would have. Nothing of this is done before the first write.
"""

from __future__ import annotations

import sys
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Node, Value, current
from lilith.numpy import windows
from lilith.source import ArgumentError, LeakedTracerError, LilithWarning, TraceError, is_internal
from lilith.trace import Trace, Written, current_trace
from lilith.tracer import FUNCTIONS, Tracer


class Storage:
    """What an array that has views, or may be written to, knows of its memory.

    Attributes:
        views: weak references to tracers that may share it and hold a Value.
        ordered: whether it is known to lie in C order.
        origin: its Value before the first write, which tells of the order in memory; None before.
        suspect: whether its order is not known, for it was computed from a transpose; None as long as nobody has asked.
        captured: the name of an array that the function reads from outside.
        nested: whether that array is one of the trace around it.
    """

    __slots__ = ("captured", "nested", "ordered", "origin", "suspect", "views")

    def __init__(self, ordered: bool = False, captured: str = "", nested: bool = False):
        self.views: list[weakref.ref[Tracer]] = []
        self.ordered = ordered
        self.origin: Value | None = None
        self.suspect: bool | None = None
        self.captured, self.nested = captured, nested


class View:
    """How a tracer came to share its parent's memory, if it does.

    Attributes:
        parent: the tracer that the function was called with.
        source: the parent's Value at that time.
        nodes: what was recorded from there to the view's Value.
        shadow: from the parent's shadow to the view's; raises ValueError where NumPy copies.
        copied: whether NumPy copies here; None as long as nobody has asked.
    """

    __slots__ = ("copied", "nodes", "parent", "shadow", "source")

    def __init__(self, parent: Tracer, source: Value, nodes: list[Node], shadow: Callable[[np.ndarray], np.ndarray]):
        self.parent, self.source, self.nodes, self.shadow = parent, source, nodes, shadow
        self.copied: bool | None = None


def attach(
    child: Tracer, parent: Tracer, source: Value, nodes: list[Node], shadow: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Make `child` a view of `parent`."""
    child.memory = View(parent, source, nodes, shadow)
    _remember(child)


def _remember(child: Tracer) -> None:
    """Have the array at the top know of a view that holds a Value."""
    top = child.memory.parent
    while type(top.memory) is View:
        top = top.memory.parent
    if top.memory is None:
        top.memory = Storage()
    top.memory.views.append(weakref.ref(child))


def new_array(value: Value, ordered: bool = True) -> Tracer:
    """A tracer with memory of its own, also if it has no axes."""
    tracer = Tracer(value, current.builder)
    tracer.memory = Storage(ordered)
    tracer.memory.suspect = not ordered
    return tracer


def is_scalar(x: Tracer) -> bool:
    """Whether x is a number, which does not change, rather than an array without axes."""
    return x.memory is None and not x.shape


# ---- who shares memory with whom ------------------------------------------------------------------------------------


def _is_copy(x: Tracer) -> bool:
    """Whether NumPy would have copied where x was made from its parent."""
    view = x.memory
    if view.copied is None:
        try:
            _shadow(x)
            view.copied = False
        except ValueError:
            view.copied = True
    return view.copied


def _shadow(x: Tracer) -> np.ndarray:
    """An array of x's shape with the strides that x would have in NumPy; its contents must not be touched."""
    view = x.memory
    if type(view) is View and view.copied is not True:
        parent = view.parent
        if type(parent.memory) is View and _is_copy(parent):
            return view.shadow(_fresh_shadow(parent.shape))
        return view.shadow(_shadow(parent))
    return _fresh_shadow(x.shape)


def _fresh_shadow(shape: tuple[int, ...]) -> np.ndarray:
    if 0 in shape:
        return np.empty(shape, np.int8)
    strides = [1] * len(shape)
    for axis in range(len(shape) - 1, 0, -1):
        strides[axis - 1] = strides[axis] * shape[axis]
    return np.lib.stride_tricks.as_strided(np.empty(1, np.int8), shape, strides)


def _resolve(x: Tracer) -> tuple[Tracer, list[Tracer]]:
    """The array that owns x's memory, and the views from there down to x."""
    chain: list[Tracer] = []
    while type(x.memory) is View and not _is_copy(x):
        chain.append(x)
        x = x.memory.parent
    return x, chain[::-1]


def same_memory(x: Tracer, y: Tracer) -> bool:
    """Whether two arrays belong to one memory, overlapping or not."""
    return _resolve(x)[0] is _resolve(y)[0]


def _check_order(root: Tracer, among: Sequence[Tracer]) -> None:
    """The error where it depends on an order in memory that is not known whether a reshaped array is a view."""
    if any([type(x.memory) is View and getattr(x.memory.shadow, "by_order", False) for x in among]) and suspect(root):
        raise TraceError(
            f"a write to a traced array ({root.value.type}) that was reshaped: whether the two share memory "
            "goes by the order in memory, which is not known for what was computed from a transpose",
            hint="take a copy before you reshape it: x = x.copy()",
        )


def suspect(root: Tracer) -> bool:
    """Whether an array that owns its memory may not lie in C order: it was computed from a transpose or the like."""
    memory = root.memory if type(root.memory) is Storage else None
    if len(root.shape) < 2 or (memory is not None and memory.ordered):
        return False
    if memory is not None and memory.suspect is not None:
        return memory.suspect
    made = {value: node for node in root.recorder.nodes for value in node.results}
    pending, seen = [memory.origin if memory is not None and memory.origin is not None else root.value], set()
    found = False
    while pending and not found:
        value = pending.pop()
        node = made.get(value)
        if node is not None and value not in seen:
            seen.add(value)
            found = node.primitive.name == "transpose" or value in root.recorder.unordered
            pending += node.operands
    if memory is not None:
        memory.suspect = found
    return found


# ---- reading and writing --------------------------------------------------------------------------------------------


def refresh(x: Tracer) -> Value:
    """The Value of a view whose memory was written to."""
    view = x.memory
    trace = x.recorder
    if not trace.active:
        raise LeakedTracerError(
            f"a traced array of {trace.name} was used when its trace had ended",
            hint="return the array from the function instead of storing it in an outer variable, list or object",
        )
    inner, current.builder = current.builder, trace
    try:
        value = windows.replay(path(view.nodes, view.source), trace.lift(view.parent))
    finally:
        current.builder = inner
    x.value = value
    _remember(x)
    return value


FUNCTIONS["refresh"] = refresh


def image(trace: Trace, x: Tracer) -> Tracer:
    """What stands for x in a trace that has x's memory as a carry; x itself elsewhere."""
    if not trace.entered or x.recorder is trace:
        return x
    known = trace.images.get(id(x))
    if known is not None:
        return known[1]
    root, chain = _resolve(x)
    entry = trace.entered.get(id(root))
    if entry is None:
        return x
    y = entry[1]
    for view in chain:
        source, nodes = y.value, path(view.memory.nodes, view.memory.source)
        inside = {view.memory.source, *[z for node in nodes for z in node.results]}
        env = {view.memory.source: source}
        nodes = [_moved(node, inside, env, trace, view.recorder) for node in nodes]
        child = Tracer(windows.replay(nodes, source), trace)
        attach(child, y, source, nodes, view.memory.shadow)
        y = child
    trace.images[id(x)] = x, y
    return y


FUNCTIONS["image"] = image


def _moved(node: Node, inside: set[Value], env: dict[Value, Value], trace: Trace, outer: Trace) -> Node:
    """The node in another trace: what it reads from around the chain is captured there."""
    operands = tuple([env.get(z, z) if z in inside else trace.lift(Tracer(z, outer)) for z in node.operands])
    return Node(node.primitive, operands, node.params, node.results, node.source)


def path(nodes: Sequence[Node], source: Value) -> list[Node]:
    """Those of the nodes that depend on a Value."""
    known = {source}
    found = []
    for node in nodes:
        if not known.isdisjoint(node.operands):
            found.append(node)
            known.update(node.results)
    return found


def write(x: Tracer, new: Value, extra: Sequence[Node] = ()) -> None:
    """Give x, or the part of it to which the nodes `extra` lead, other elements. `new` has its shape and dtype."""
    trace = current_trace()
    x = image(trace, x)
    root, chain = _resolve(x)
    _check_writable(trace, x, root, chain)
    nodes = [node for view in chain for node in path(view.memory.nodes, view.memory.source)]
    value = windows.put(trace.lift(root), [*nodes, *extra], new)
    top = root
    while type(top.memory) is View:
        top = top.memory.parent
    if top.memory is None:
        top.memory = Storage()
    alive = [(ref, view) for ref in top.memory.views if (view := ref()) is not None]
    _check_order(root, [*chain, *[view for _, view in alive]])
    kept = []
    for ref, view in alive:
        if view is root or _resolve(view)[0] is not root:
            kept.append(ref)
        elif _holds_value(view):
            del view.value
    top.memory.views = kept
    if type(root.memory) is Storage and root.memory.origin is None:
        root.memory.origin = root.value
    root.value = value
    if x is not root and not extra:
        x.value = new
        _remember(x)


_read_slot = Tracer.__dict__["value"].__get__


def _holds_value(x: Tracer) -> bool:
    try:
        _read_slot(x)
    except AttributeError:
        return False
    return True


def _check_writable(trace: Trace, x: Tracer, root: Tracer, chain: Sequence[Tracer]) -> None:
    if root.recorder is not trace:
        if not root.recorder.active:
            trace.lift(root)  # raises the error for tracers whose trace has ended
        if trace.carries:
            raise Written(root)
        raise TraceError(
            f"a traced array ({root.value.type}) of {root.recorder.name} is written to inside of {trace.name}, which "
            "is traced by itself",
            hint="return the new elements from the inner function and assign them outside of it",
        )
    if type(root.memory) is Storage and root.memory.captured:
        _check_captured(trace, root)
    if chain and not _shadow(x).flags.writeable:
        raise ArgumentError(
            f"assignment to a read-only view ({x.value.type}), as np.diagonal and np.broadcast_to give",
            hint="write to the array itself, e.g. x[i, i] = v with i = np.arange(n), or to a copy: y = y.copy()",
        )


def _check_captured(trace: Trace, root: Tracer) -> None:
    """What a function reads from outside is not changed there: an error in a nested trace, else a warning."""
    name, root.memory.captured = root.memory.captured, ""
    if root.memory.nested:
        raise TraceError(
            f"{name} ({root.value.type}), an array of the function around it, is written to inside of {trace.name}, "
            "which is traced by itself",
            hint="return the new elements from the inner function and assign them outside of it",
        )
    warnings.warn(
        f"{name} ({root.value.type}), which {trace.name} reads from outside, is assigned in place; the array outside "
        f"stays as it is\n  hint: write to a copy: {name.rpartition('.')[2]} = {name}.copy(), and return what you need",
        LilithWarning,
        stacklevel=_users_level(),
    )


def _users_level() -> int:
    """How many frames up the user's line is."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and is_internal(frame.f_code.co_filename):
        frame, level = frame.f_back, level + 1
    return level


# ---- functions that give views --------------------------------------------------------------------------------------


def _by_order(shadow: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    shadow.by_order = True  # type: ignore[attr-defined]
    return shadow


def _ravel_shadow(x: np.ndarray, order: Any = "C") -> np.ndarray:
    contiguous = x.flags.f_contiguous if str(order).upper() == "F" else x.flags.c_contiguous
    if not contiguous:
        raise ValueError("a copy")
    return np.reshape(x, (-1,), order=order, copy=False)


def _reshape_shadow(x: np.ndarray, shape: Any = None, order: Any = "C", *, copy: Any = None) -> np.ndarray:
    if copy is True:
        raise ValueError("a copy")
    return np.reshape(x, shape, order=order or "C", copy=False)


_SHADOWS = {np.reshape: _reshape_shadow, np.ravel: _ravel_shadow}


def _viewing(function: Any, handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler of a function of one array that gives a view, or several."""
    shadow = _SHADOWS.get(function, function)

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        if type(x) is not Tracer:
            return handler(x, *args, **kwargs)
        trace = current_trace()
        x = image(trace, x)
        source = trace.lift(x)
        start = len(trace.nodes)
        result = handler(x, *args, **kwargs)
        nodes = trace.nodes[start:]
        if type(result) is Tracer:
            made = lambda s: shadow(s, *args, **kwargs)  # noqa: E731
            _attach_found(result, x, source, nodes, _by_order(made) if function in _SHADOWS else made)
        elif isinstance(result, list | tuple):
            for k, item in enumerate(result):
                _attach_found(item, x, source, nodes, lambda s, k=k: shadow(s, *args, **kwargs)[k])
        return result

    return call


def _attach_found(child: Any, parent: Tracer, source: Value, nodes: list[Node], shadow: Any) -> None:
    """Attach a result, if it comes from the parent by nodes through which one can go back."""
    if type(child) is not Tracer:
        return
    wanted, found = child.value, []
    for node in reversed(nodes):
        if wanted in node.results:
            found.append(node)
            wanted = node.operands[0] if node.operands else wanted
    if wanted is source and all(map(_goes_back, found)):
        attach(child, parent, source, found[::-1], shadow)


def _goes_back(node: Node) -> bool:
    same = node.results[0].dtype == node.operands[0].dtype
    return node.primitive.name in windows.INVERTIBLE and (same or node.primitive.name in ("real", "imag"))


def _each(function: Any, handler: Callable[..., Any], shadow: Callable[..., Any]) -> Callable[..., Any]:
    """The handler of a function of several arrays, each of which gives a view."""

    def call(*arrays: Any, **kwargs: Any) -> Any:
        trace = current_trace()
        arrays = tuple([image(trace, x) if type(x) is Tracer else x for x in arrays])
        sources = [trace.lift(x) if type(x) is Tracer else None for x in arrays]
        start = len(trace.nodes)
        result = handler(*arrays, **kwargs)
        results = result if isinstance(result, list | tuple) else (result,)
        for x, source, y in zip(arrays, sources, results, strict=False):
            if source is not None:
                _attach_found(y, x, source, trace.nodes[start:], lambda s, sizes=y.shape: shadow(s, sizes))
        return result

    return call


def _einsum(handler: Callable[..., Any]) -> Callable[..., Any]:
    """np.einsum of one array without a sum is a view: "ij->ji", "ii->i"."""

    def call(*operands: Any, **kwargs: Any) -> Any:
        if not (len(operands) == 2 and isinstance(operands[0], str) and type(operands[1]) is Tracer):
            return handler(*operands, **kwargs)
        text, x = operands
        trace = current_trace()
        x = image(trace, x)
        source = trace.lift(x)
        start = len(trace.nodes)
        result = handler(*operands, **kwargs)
        inputs, arrow, output = text.replace(" ", "").partition("->")
        if arrow and set(inputs) == set(output):
            _attach_found(result, x, source, trace.nodes[start:], lambda s: np.einsum(text, s))
            if type(result.memory) is not View:
                result.memory = Refused("np.einsum of one array")
        return result

    return call


class Refused:
    """The memory of an array that would be a view in NumPy and is not here: it cannot be written to."""

    __slots__ = ("what",)

    def __init__(self, what: str):
        self.what = what


_ONE = (
    np.transpose, np.swapaxes, np.matrix_transpose, np.linalg.matrix_transpose, np.moveaxis, np.rollaxis, np.squeeze,
    np.expand_dims, np.broadcast_to, np.flip, np.flipud, np.fliplr, np.rot90, np.diagonal, np.linalg.diagonal, np.diag,
    np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit, np.reshape, np.ravel,
    np.lib.stride_tricks.sliding_window_view,
)  # fmt: skip


def _real_shadow(s: np.ndarray) -> np.ndarray:
    return s


def install() -> None:
    """Put the handlers of functions that give views into the table."""
    for function in (*_ONE, getattr(np, "unstack", None)):
        if function in FUNCTIONS:
            FUNCTIONS[function] = _viewing(function, FUNCTIONS[function])
    for function in (np.real, np.imag, np.linalg.matrix_power, np.polyder):
        FUNCTIONS[function] = _parts(FUNCTIONS[function])
    for function in (np.atleast_1d, np.atleast_2d, np.atleast_3d, np.ix_):
        FUNCTIONS[function] = _each(function, FUNCTIONS[function], lambda s, shape: np.reshape(s, shape, copy=False))
    FUNCTIONS[np.einsum] = _einsum(FUNCTIONS[np.einsum])
    FUNCTIONS[np.broadcast_arrays] = _each(np.broadcast_arrays, FUNCTIONS[np.broadcast_arrays], np.broadcast_to)


def _parts(handler: Callable[..., Any]) -> Callable[..., Any]:
    """np.real and np.imag, views of every second number; and functions that may give their argument itself."""

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        if type(x) is not Tracer:
            return handler(x, *args, **kwargs)
        trace = current_trace()
        x = image(trace, x)
        source = trace.lift(x)
        start = len(trace.nodes)
        result = handler(x, *args, **kwargs)
        _attach_found(result, x, source, trace.nodes[start:], _real_shadow)
        return result

    return call
