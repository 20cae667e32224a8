"""The warm path: one generated function per program, for calls whose arguments are plain arrays and numbers.

`lilith.compile.run` answers every call; for a loss of ten numbers its bookkeeping costs as much as the arithmetic. This
module writes the same steps down for one program as straight-line Python: check classes, shapes and dtypes, read the
captures, join the small inputs, call, take the results apart. A call that does not fit gets MISS, and the general path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.derive import LEAF, Derivation
from lilith.executable import Executable
from lilith.result import GradResult
from lilith.signature import is_plain, is_static
from lilith.trace import Traced
from lowering.carrier import ArrayImpl, enter_x64, leave_x64
from lowering.runtime import JAX, PYTHON, SCALAR

MISS: Any = object()
"""What a generated function returns for a call that its program does not answer."""


class _Writer:
    """The source of one function, and the objects that it names."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"MISS": MISS, "asarray": np.asarray, "concatenate": np.concatenate}
        self.names |= {"array": np.array, "GradResult": GradResult, "enter": enter_x64, "leave": leave_x64}

    def name(self, value: Any) -> str:
        """A name for an object."""
        name = f"k{len(self.names)}"
        self.names[name] = value
        return name

    def line(self, text: str) -> None:
        self.lines.append("    " + text)

    def check(self, x: str, example: Any) -> None:
        """Leave with MISS unless x has the example's class, and its shape and dtype, or its value if it is static."""
        cls = self.name(type(example))
        if type(example) in (np.ndarray, ArrayImpl):
            shape, dtype = self.name(example.shape), self.name(np.dtype(example.dtype))
            # a jax.Array's own shape and dtype are Python properties that look at its aval
            t = f"{x}.aval" if type(example) is ArrayImpl else x
            self.line(
                f"if {x}.__class__ is not {cls} or {t}.shape != {shape} or "
                f"({t}.dtype is not {dtype} and {t}.dtype != {dtype}): return MISS"
            )
        elif is_static(example):
            self.line(f"if {x}.__class__ is not {cls} or {x} != {self.name(example)}: return MISS")
        else:
            self.line(f"if {x}.__class__ is not {cls}: return MISS")

    def function(self, name: str) -> Callable[..., Any]:
        """Compile the lines as the body of `name(f, args)`."""
        source = "\n".join([f"def {name}(f, args):", *self.lines])
        namespace = self.names
        exec(compile(source, f"<lilith fast path of {name}>", "exec"), namespace)
        return namespace[name]


def fast_path(
    program: Executable, read: Callable[[Any], list[Any] | None], args: Sequence[Any], captured: Sequence[Any]
) -> Callable[[Any, tuple], Any] | None:
    """`fast(f, args)`: the program's result, or MISS; None if these arguments are too rich for straight-line code.

    Arguments:
        program: what runs.
        read: reads the captures' leaves from a function of the same code, None if anything static differs.
        args, captured: arguments and captured leaves of one call that the program answers.
    """
    derivation = program.derivation
    leaves = [x for x in args if not is_static(x)] + list(captured)
    if not all(is_plain(x) for x in [*args, *captured]) or not _plain_results(derivation) or program.swapped:
        return None
    w = _Writer()
    w.line(f"if len(args) != {len(args)}: return MISS")
    names = [f"x{i}" for i in range(len(args))]
    if names:
        w.line(f"{', '.join(names)}, = args")
    for x, example in zip(names, args, strict=True):
        w.check(x, example)
    w.line(f"captured = {w.name(read)}(f)")
    w.line("if captured is None: return MISS")
    inner = [f"c{i}" for i in range(len(captured))]
    if inner:
        w.line(f"{', '.join(inner)}, = captured")
    for x, example in zip(inner, captured, strict=True):
        w.check(x, example)
    dynamic = [x for x, example in zip(names, args, strict=True) if not is_static(example)] + inner
    w.line(f"{w.name(program)}.used = True")
    w.line("previous = enter()")
    w.line("try:")
    w.line(f"    outputs = {w.name(program.jitted)}({', '.join(_inputs(w, program, dynamic, leaves))})")
    w.line("finally:")
    w.line("    leave(previous)")
    if program.wait is not None:
        w.line(f"{w.name(program.wait)}(outputs)")
    _results(w, program)
    return w.function("fast")


def _plain_results(derivation: Derivation) -> bool:
    """Whether the result is one array and the gradients, if any, are arrays or None."""
    return (
        derivation.value_structure is LEAF
        and isinstance(derivation.value_leaves[0], Traced)
        and all(entry is None or isinstance(entry, int) for entry in derivation.entries)
    )


def _inputs(w: _Writer, program: Executable, names: list[str], leaves: Sequence[Any]) -> list[str]:
    """The program's inputs as expressions; as `lowering.runtime.gatherer` makes them."""
    inputs = []
    for group in program.groups:
        joined = f"({', '.join(names[i] for i in group)})"
        arrays = [leaves[i] for i in group if isinstance(leaves[i], np.ndarray)]
        if not arrays:
            inputs.append(f"array({joined}, {w.name(np.asarray(leaves[group[0]]).dtype)})")
        elif len(arrays) == len(group) and all(x.ndim == 1 for x in arrays):
            inputs.append(f"concatenate({joined})")
        else:
            inputs.append(f"concatenate({joined}, axis=None)")
    grouped = {i for group in program.groups for i in group}
    inputs += [name for i, name in enumerate(names) if i not in grouped]
    return inputs + [w.name(constant) for constant in program.constants]


def _results(w: _Writer, program: Executable) -> None:
    """Take the outputs apart; as `lowering.runtime.unpacker` does."""
    derivation = program.derivation
    copied = {p.output for p, kind in zip(program.places, derivation.kinds, strict=True) if kind != JAX}
    for output in sorted(copied):
        w.line(f"b{output} = asarray(outputs[{output}]).copy()")
    found = []
    for y, kind, place in zip(derivation.graph.outputs, derivation.kinds, program.places, strict=True):
        start = place.start or 0
        if kind == JAX:
            found.append(f"outputs[{place.output}]")
        elif kind == PYTHON:
            found.append(f"b{place.output}.item({start})")
        elif kind == SCALAR:
            found.append(f"b{place.output}[{start if place.start is not None else '()'}]")
        elif place.start is None:
            found.append(f"b{place.output}")
        else:
            shape = f".reshape({y.shape})" if len(y.shape) != 1 else ""
            found.append(f"b{place.output}[{w.name(slice(start, start + y.type.size))}]{shape}")
    value = found[derivation.value_leaves[0].index]
    if derivation.labels is None:
        w.line(f"return {value}")
        return
    entries = ", ".join("None" if entry is None else found[entry] for entry in derivation.entries)
    w.line(f"return {value}, GradResult([{entries}], {w.name(derivation.labels)})")
