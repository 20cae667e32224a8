"""The Python around a compiled program, written per program as straight-line code.

For a loss of ten numbers, looking up and taking apart costs as much as the arithmetic. A Layout says how a program's
inputs come from the leaves of a call and how its outputs make up the result; this module writes that down as Python
source: `general_path` for any call of the program's signature, `fast_path` for calls with plain arrays and numbers,
which checks the signature itself and so needs no lookup.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lilith.asked import LEAF
from lilith.derive import Derivation
from lilith.result import GradResult
from lilith.signature import is_plain, is_static
from lilith.trace import Traced
from lowering.carrier import ArrayImpl, set_x64, swap_x64
from lowering.runtime import JAX, PYTHON, SCALAR

MISS: Any = object()
"""What a fast path returns for a call that its program does not answer."""


class Diverged(NamedTuple):
    """What a run returns whose guards came out otherwise: the outcomes, in order. The results are of the wrong path."""

    outcomes: tuple[int, ...]


class Layout(NamedTuple):
    """How a program is called.

    Attributes:
        jitted: the compiled program, to be called between `carrier.swap_x64(True)` and `set_x64`.
        groups: which leaves are joined to one input each; those inputs come first (`transform.pack.pack_inputs`).
        constants: further inputs, after the leaves.
        places: of each of the graph's outputs, in which of the program's outputs it is and from which element on (None:
            it is the whole output) (`transform.pack.pack_outputs`).
        wait: called with the outputs where NumPy inputs must have been read before the caller goes on; or None.
        guards: which of the program's outputs holds the outcomes of its guards, an i64[n]; None if it has none.
        path: the outcomes under which its results count.
        served: a counter of its runs that were right, in a list.
    """

    jitted: Callable[..., list[Any]]
    groups: Sequence[Sequence[int]]
    constants: Sequence[Any]
    places: Sequence[tuple[int, int | None]]
    wait: Callable[[Any], Any] | None
    guards: int | None
    path: np.ndarray
    served: list[int]


class _Writer:
    """The source of one function, and the objects that it names."""

    def __init__(self, layout: Layout, derivation: Derivation) -> None:
        self.layout = layout
        self.derivation = derivation
        self.lines: list[str] = []
        self.names: dict[str, Any] = {
            "MISS": MISS,
            "array": np.array,
            "asarray": np.asarray,
            "concatenate": np.concatenate,
            "GradResult": GradResult,
            "swap_x64": swap_x64,
            "set_x64": set_x64,
        }

    def name(self, value: Any) -> str:
        """A name for an object."""
        name = f"k{len(self.names)}"
        self.names[name] = value
        return name

    def line(self, text: str) -> None:
        self.lines.append("    " + text)

    def unpack(self, prefix: str, sequence: str, count: int) -> list[str]:
        """Names for the items of a sequence of that length."""
        names = [f"{prefix}{i}" for i in range(count)]
        if names:
            self.line(f"{', '.join(names)}, = {sequence}")
        return names

    def check(self, x: str, example: Any) -> None:
        """Leave with MISS unless x has the example's class, and its shape and dtype, or its value if it is static."""
        cls = self.name(type(example))
        if type(example) is ArrayImpl:
            # its own shape and dtype are Python properties; results of one program share their aval
            aval, shape, dtype = map(self.name, (example.aval, example.shape, example.dtype))
            self.line(
                f"if {x}.__class__ is not {cls} or ({x}.aval is not {aval} and "
                f"({x}.aval.shape != {shape} or {x}.aval.dtype != {dtype})): return MISS"
            )
        elif type(example) is np.ndarray:
            shape, dtype = self.name(example.shape), self.name(example.dtype)
            self.line(
                f"if {x}.__class__ is not {cls} or {x}.shape != {shape} or "
                f"({x}.dtype is not {dtype} and {x}.dtype != {dtype}): return MISS"
            )
        elif is_static(example):
            self.line(f"if {x}.__class__ is not {cls} or {x} != {self.name(example)}: return MISS")
        else:
            self.line(f"if {x}.__class__ is not {cls}: return MISS")

    def call(self, names: Sequence[str], leaves: Sequence[Any], more: str = "", diverged: str = "") -> list[str]:
        """Call the program on leaves of these names; returns the graph's outputs as expressions.

        Arguments:
            more: further inputs, as an expression.
            diverged: what to do where the guards came out otherwise.
        """
        inputs = ", ".join([*self._inputs(names, leaves), *([more] if more else [])])
        self.line("previous = swap_x64(True)")
        self.line("try:")
        self.line(f"    outputs = {self.name(self.layout.jitted)}({inputs})")
        self.line("finally:")
        self.line("    set_x64(previous)")
        if self.layout.wait is not None:
            self.line(f"{self.name(self.layout.wait)}(outputs)")
        if self.layout.guards is not None:
            self.line(f"found = asarray(outputs[{self.layout.guards}])")
            self.line(f"if found.tobytes() != {self.name(self.layout.path.tobytes())}: {diverged}")
            self.line(f"{self.name(self.layout.served)}[0] += 1")
        return self._outputs()

    def _inputs(self, names: Sequence[str], leaves: Sequence[Any]) -> list[str]:
        """The program's inputs as expressions: small leaves joined, swapped bytes put in order."""
        swapped = [isinstance(x, np.ndarray) and not x.dtype.isnative for x in leaves]
        given = [
            f"{name}.astype({self.name(x.dtype.newbyteorder('='))})" if swap else name
            for name, x, swap in zip(names, leaves, swapped, strict=True)
        ]
        inputs = []
        for group in self.layout.groups:
            joined = f"({', '.join(given[i] for i in group)})"
            arrays = [leaves[i] for i in group if isinstance(leaves[i], np.ndarray)]
            if not arrays:
                inputs.append(f"array({joined}, {self.name(np.asarray(leaves[group[0]]).dtype)})")
            elif len(arrays) == len(group) and all(x.ndim == 1 for x in arrays):
                inputs.append(f"concatenate({joined})")
            else:
                inputs.append(f"concatenate({joined}, axis=None)")
        grouped = {i for group in self.layout.groups for i in group}
        inputs += [x for i, x in enumerate(given) if i not in grouped]
        return inputs + [self.name(constant) for constant in self.layout.constants]

    def _outputs(self) -> list[str]:
        """The graph's outputs as expressions. NumPy results are writeable: each of the program's outputs is copied
        once, and arrays packed in one are views of its one copy."""
        places = self.layout.places
        kinds, outputs = self.derivation.kinds[: len(places)], self.derivation.graph.outputs[: len(places)]
        for output in sorted({place[0] for place, kind in zip(places, kinds, strict=True) if kind != JAX}):
            self.line(f"b{output} = asarray(outputs[{output}]).copy()")
        found = []
        for y, kind, (output, start) in zip(outputs, kinds, places, strict=True):
            if kind == JAX:
                found.append(f"outputs[{output}]")
            elif kind == PYTHON:
                found.append(f"b{output}.item({start or 0})")
            elif kind == SCALAR:
                found.append(f"b{output}[{'()' if start is None else start}]")
            elif start is None:
                found.append(f"b{output}")
            else:
                shape = f".reshape({y.shape})" if len(y.shape) != 1 else ""
                found.append(f"b{output}[{self.name(slice(start, start + y.type.size))}]{shape}")
        return found

    def function(self, name: str, parameters: str) -> Callable[..., Any]:
        """Compile the lines as the body of a function."""
        source = "\n".join([f"def {name}({parameters}):", *self.lines])
        exec(compile(source, f"<lilith {name} of {self.derivation.graph.name}>", "exec"), self.names)
        return self.names[name]


def general_path(layout: Layout, derivation: Derivation, leaves: Sequence[Any]) -> Callable[..., Any]:
    """`run(leaves, cotangent=(), decided=0)`: the user's result for leaves of the same types and kinds as these.

    Where guards beyond the first `decided` ones came out otherwise than on the program's path: `Diverged`.
    """
    w = _Writer(layout, derivation)
    names = w.unpack("x", "leaves", len(leaves))
    w.names["Diverged"] = Diverged
    otherwise = f"if (found != {w.name(layout.path)})[decided:].any(): return Diverged(tuple(found.tolist()))"
    found = w.call(names, leaves, "*cotangent", f"\n        {otherwise}")
    w.line(f"return {w.name(derivation.assemble)}([{', '.join(found)}])")
    return w.function("run", "leaves, cotangent=(), decided=0")


def fast_path(
    layout: Layout,
    derivation: Derivation,
    read: Callable[[Any], list[Any] | None],
    args: Sequence[Any],
    captured: Sequence[Any],
    resume: Callable[[Any, tuple, tuple[int, ...]], Any],
) -> Callable[[Any, tuple], Any] | None:
    """`fast(f, args)`: the user's result, or MISS; None if these arguments are too rich for straight-line code.

    Arguments:
        layout, derivation: what is called.
        read: reads the captures' leaves from a function of the same code, None if anything static differs.
        args, captured: arguments and captured leaves of one call that the program answers.
        resume: `(f, args, outcomes)` answers a call whose guards came out otherwise.
    """
    if not all(is_plain(x) for x in [*args, *captured]) or not _has_plain_results(derivation):
        return None
    w = _Writer(layout, derivation)
    w.line(f"if len(args) != {len(args)}: return MISS")
    names = w.unpack("x", "args", len(args))
    for x, example in zip(names, args, strict=True):
        w.check(x, example)
    w.line(f"captured = {w.name(read)}(f)")
    w.line("if captured is None: return MISS")
    inner = w.unpack("c", "captured", len(captured))
    for x, example in zip(inner, captured, strict=True):
        w.check(x, example)
    dynamic = [(x, example) for x, example in zip(names, args, strict=True) if not is_static(example)]
    dynamic += zip(inner, captured, strict=True)
    diverged = f"return {w.name(resume)}(f, args, tuple(found.tolist()))"
    found = w.call([x for x, _ in dynamic], [example for _, example in dynamic], diverged=diverged)
    value = found[derivation.value_leaves[0].output]
    if derivation.labels is None:
        w.line(f"return {value}")
    else:
        entries = ", ".join("None" if entry is None else found[entry] for entry in derivation.entries)
        w.line(f"return {value}, GradResult([{entries}], {w.name(derivation.labels)})")
    return w.function("fast", "f, args")


def _has_plain_results(derivation: Derivation) -> bool:
    """Whether the result is one array and the gradients, if any, are arrays or None."""
    return (
        derivation.finish is None
        and derivation.value_structure is LEAF
        and isinstance(derivation.value_leaves[0], Traced)
        and all(entry is None or isinstance(entry, int) for entry in derivation.entries)
    )
