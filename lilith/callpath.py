"""The Python around a compiled program, written per program as straight-line code.

For a loss of ten numbers, looking up and taking apart costs as much as the arithmetic. A Layout says how a program's
inputs come from the leaves of a call and how its outputs make up the result; this module writes that down as Python
source: `general_path` for any call of the program's signature, `fast_path` for positional arguments in structures that
it knows how to take apart, which checks the signature itself and so needs no lookup.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lilith.asked import LEAF, Kept
from lilith.derive import Derivation, unshared
from lilith.donating import argument_of, refuse_deleted, refuse_shared
from lilith.result import GradResult
from lilith.source import DeviceError
from lilith.straight import TooRich, Writer
from lilith.trace import Traced
from lowering.carrier import (
    Array,
    ArrayImpl,
    devices_holding,
    is_about_devices,
    set_x64,
    swap_x64,
    taken_over,
    to_device,
)
from lowering.runtime import JAX, PYTHON, SCALAR


class Diverged(NamedTuple):
    """What a run returns whose guards came out otherwise: the outcomes, in order. The results are of the wrong path."""

    outcomes: tuple[int, ...]


class Layout(NamedTuple):
    """How a program is called.

    Attributes:
        jitted: the compiled program, to be called between `carrier.swap_x64(True)` and `set_x64`.
        groups: which inputs are joined to one each; those come first (`transform.pack.pack_inputs`).
        constants: further inputs, between the leaves and what is given besides.
        results: how many outputs the program has.
        places: of each of the graph's outputs, in which of the program's outputs it is and from which element on (None:
            it is the whole output) (`transform.pack.pack_outputs`).
        wait: called with the outputs where NumPy inputs must have been read before the caller goes on; or None.
        guards: which of the program's outputs holds the outcomes of its guards, an i64[n]; None if it has none.
        check: gives these outcomes alone, before a program is called that uses up arguments; or None.
        donated: which leaves are given up.
        path: the outcomes under which its results count.
        served: a counter of its runs that were right, in a list.
    """

    jitted: Callable[..., list[Any]]
    groups: Sequence[Sequence[int]]
    constants: Sequence[Any]
    results: int
    places: Sequence[tuple[int, int | None]]
    wait: Callable[[Any], Any] | None
    guards: int | None
    check: Callable[..., list[Any]] | None
    donated: Sequence[int]
    path: np.ndarray
    served: list[int]


Named = tuple[str, Any]
"""A variable of the source, and an example of its values."""


def _refuse_apart(error: Exception, paths: Sequence[str], leaves: Sequence[Any]) -> None:
    """Raise our error where JAX has refused arguments on different devices."""
    if not is_about_devices(error):
        return
    places = [(path, devices_holding(x)) for path, x in zip(paths, leaves, strict=False)]
    first = next((path, found) for path, found in places if found)
    other = next(((path, found) for path, found in places if found and found != first[1]), first)
    named = [f"{path} is on {', '.join(sorted(map(str, found)))}" for path, found in (first, other)]
    raise DeviceError(
        f"arguments on different devices: {' and '.join(named)}",
        hint="lilith.to_device(x, device) moves arrays; NumPy arrays go where the others are",
    ) from None


_KEPT_BYTES = 1024


class _KeptCopy:
    """The copy on the device of a small array that a function captures: made anew where its bytes have changed."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: tuple[bytes, Any] = b"", None

    def __call__(self, x: np.ndarray) -> Any:
        known, array = self._last
        now = x.tobytes()
        if now != known:
            array = to_device(x.copy())  # JAX may go on using the memory of an array that it is given
            self._last = now, array
        return array


class _Call:
    """The source of a function that calls one program and makes the user's result."""

    def __init__(self, layout: Layout, derivation: Derivation) -> None:
        self.layout = layout
        self.derivation = derivation
        self.writer = Writer()
        self.writer.names |= {
            "array": np.array,
            "asarray": np.asarray,
            "concatenate": np.concatenate,
            "GradResult": GradResult,
            "swap_x64": swap_x64,
            "set_x64": set_x64,
            "taken_over": taken_over,
        }

    def write(self, leaves: Sequence[Named], given: Sequence[Named], diverged: str) -> None:
        """Call the program, and return the user's result.

        Arguments:
            leaves, given: the names of the first and of the last inputs, with an example of each.
            diverged: what to do where the guards came out otherwise.
        """
        w, layout = self.writer, self.layout
        constants = [(w.name(constant), constant) for constant in layout.constants]
        inputs = self._inputs([*leaves, *constants, *given])
        if layout.donated:
            self._refuse_lost(leaves)
        every = [*leaves, *constants, *given]
        if layout.check is not None:
            names = w.fresh("i", len(inputs))
            for name, expression in zip(names, inputs, strict=True):
                w.line(f"{name} = {expression}")
            inputs = names
            self._invoke("found", layout.check, inputs, every)
            self._decide("found[0]", diverged)
        self._invoke("outputs", layout.jitted, inputs, every)
        if layout.wait is not None and not all(isinstance(x, Array) for _, x in every):
            w.line(f"{w.name(layout.wait)}(outputs)")
        if layout.guards is not None:
            self._decide(f"outputs[{layout.guards}]", diverged)
        for i in layout.donated:  # also what XLA could not use, or has no result to put in its place
            w.line(f"{leaves[i][0]}.delete()")
        w.line(f"return {self._result(self._outputs())}")

    def _invoke(self, target: str, program: Any, inputs: Sequence[str], leaves: Sequence[Named]) -> None:
        """Call a compiled program; an array that is gone, or on another device, is named in the error."""
        w = self.writer
        w.line("previous = swap_x64(True)")
        w.line("try:")
        w.line(f"    {target} = {w.name(program)}({', '.join(inputs)})")
        if placed := self._on_device(leaves):
            paths, names = tuple([path for path, _ in placed]), ", ".join([name for _, (name, _) in placed])
            w.line("except (RuntimeError, ValueError) as error:")
            w.line(f"    {self._refuse_deleted(leaves)}")
            w.line(f"    {w.name(_refuse_apart)}(error, {w.name(paths)}, [{names}])")
            w.line("    raise")
        w.line("finally:")
        w.line("    set_x64(previous)")

    def _on_device(self, leaves: Sequence[Named]) -> list[tuple[str, Named]]:
        """The leaves that are jax.Arrays, with their field paths."""
        pairs = zip(self.derivation.graph.input_names, leaves, strict=False)
        return [(path, leaf) for path, leaf in pairs if isinstance(leaf[1], Array)]

    def _refuse_deleted(self, leaves: Sequence[Named]) -> str:
        """The call that raises the error for a leaf that is gone."""
        w, on_device = self.writer, self._on_device(leaves)
        names, paths = "".join([f"{name}, " for _, (name, _) in on_device]), [path for path, _ in on_device]
        return f"{w.name(refuse_deleted)}({w.name(self.derivation.graph.name)}, {w.name(paths)}, ({names}))"

    def _decide(self, outcomes: str, diverged: str) -> None:
        w, layout = self.writer, self.layout
        w.line(f"found = asarray({outcomes})")
        w.line(f"if found.tobytes() != {w.name(layout.path.tobytes())}: {diverged}")
        w.line(f"{w.name(layout.served)}[0] += 1")

    def _refuse_lost(self, leaves: Sequence[Named]) -> None:
        """What is given up must still be there, and no other argument may use it."""
        w, on_device = self.writer, self._on_device(leaves)
        names = [name for _, (name, _) in on_device]
        w.line(f"if {' or '.join([f'{name}.is_deleted()' for name in names])}: {self._refuse_deleted(leaves)}")
        # the example itself may have such an array: the function is called right after this was written
        count = len({(argument_of(path), id(x)) for path, (_, x) in on_device})
        every = "".join([f"{name}, " for name, _ in leaves])
        w.line(f"if len({{*map(id, ({', '.join(names)},))}}) != {count}:")
        w.line(
            f"    {w.name(refuse_shared)}({w.name(self.derivation.graph)}, {w.name(self.layout.donated)}, ({every}))"
        )

    def _inputs(self, named: Sequence[Named]) -> list[str]:
        """The program's inputs as expressions: small leaves joined, swapped bytes put in order."""
        w = self.writer
        beside = any(isinstance(x, Array) for _, x in named)  # they may lie on several devices: `carrier.fresh`
        given = [
            name
            if not isinstance(x, np.ndarray)
            else f"{name}.astype({w.name(x.dtype.newbyteorder('='))})"
            if not x.dtype.isnative
            else f"{name}.view()"
            if beside
            else name
            for name, x in named
        ]
        inputs = []
        for group in self.layout.groups:
            joined = f"({', '.join(given[i] for i in group)})"
            arrays = [named[i][1] for i in group if isinstance(named[i][1], np.ndarray)]
            if not arrays:
                inputs.append(f"array({joined}, {w.name(np.asarray(named[group[0]][1]).dtype)})")
            elif len(arrays) == len(group) and all(x.ndim == 1 for x in arrays):
                inputs.append(f"concatenate({joined})")
            else:
                inputs.append(f"concatenate({joined}, axis=None)")
        grouped = {i for group in self.layout.groups for i in group}
        return inputs + [x for i, x in enumerate(given) if i not in grouped]

    def _outputs(self) -> list[str]:
        """The graph's outputs as expressions. NumPy results are writeable: each of the program's outputs is taken over
        once, and arrays packed in one are views of its memory."""
        w, places = self.writer, self.layout.places
        kinds, outputs = self.derivation.kinds[: len(places)], self.derivation.graph.outputs[: len(places)]
        for output in sorted({place[0] for place, kind in zip(places, kinds, strict=True) if kind != JAX}):
            w.line(f"b{output} = taken_over(outputs[{output}])")
        names = w.unpack("y", "outputs", self.layout.results) if JAX in kinds else []
        found = []
        for y, kind, (output, start) in zip(outputs, kinds, places, strict=True):
            if kind == JAX:
                found.append(names[output])
            elif kind == PYTHON:
                found.append(f"b{output}.item({start or 0})")
            elif kind == SCALAR:
                found.append(f"b{output}[{'()' if start is None else start}]")
            elif start is None:
                found.append(f"b{output}")
            else:
                shape = f".reshape({y.shape})" if len(y.shape) != 1 else ""
                found.append(f"b{output}[{w.name(slice(start, start + y.type.size))}]{shape}")
        return found

    def _result(self, outputs: Sequence[str]) -> str:
        """The user's result as an expression: what `Derivation.assemble` makes."""
        w, derivation = self.writer, self.derivation
        leaves = [
            outputs[x.output] if isinstance(x, Traced) else f"{w.name(unshared)}({w.name(x)})"
            for x in derivation.value_leaves
        ]
        result = leaves[0] if derivation.value_structure is LEAF else w.build(derivation.value_structure, leaves)
        if derivation.labels is not None:
            entries = ", ".join([self._entry(entry, outputs) for entry in derivation.entries])
            result = f"({result}, GradResult([{entries}], {w.name(derivation.labels)}))"
        return result if derivation.finish is None else f"{w.name(derivation.finish)}({result})"

    def _entry(self, entry: Any, outputs: Sequence[str]) -> str:
        """The gradient for one argument."""
        if entry is None or isinstance(entry, int):
            return "None" if entry is None else outputs[entry]
        structure, indices = entry
        leaves = [
            "None" if i is None else self.writer.name(i.value) if isinstance(i, Kept) else outputs[i] for i in indices
        ]
        return self.writer.build(structure, leaves)

    def function(self, name: str, parameters: str) -> Callable[..., Any]:
        return self.writer.function(name, parameters, self.derivation.graph.name)


def general_path(
    layout: Layout, derivation: Derivation, leaves: Sequence[Any], given: Sequence[Any]
) -> Callable[..., Any]:
    """`run(leaves, given=(), decided=0)`: the user's result for leaves of the same types and kinds as these.

    Where guards beyond the first `decided` ones came out otherwise than on the program's path: `Diverged`.
    """
    call = _Call(layout, derivation)
    w = call.writer
    names = w.unpack("x", "leaves", len(leaves))
    further = w.unpack("e", "given", len(given))
    w.names["Diverged"] = Diverged
    otherwise = f"if (found != {w.name(layout.path)})[decided:].any(): return Diverged(tuple(found.tolist()))"
    call.write(list(zip(names, leaves, strict=True)), list(zip(further, given, strict=True)), f"\n        {otherwise}")
    return call.function("run", "leaves, given=(), decided=0")


def fast_path(
    layout: Layout,
    derivation: Derivation,
    read: Callable[[Any], list[Any] | None],
    args: Sequence[Any],
    captured: Sequence[Any],
    given: tuple,
    resume: Callable[..., Any],
) -> Callable[..., Any] | None:
    """`fast(f, args)`, or `fast(f, args, given)`: the user's result, or MISS; None if these arguments are too rich for
    straight-line code.

    Arguments:
        layout, derivation: what is called.
        read: reads the captures' leaves from a function of the same code, None if anything static differs.
        args, captured: arguments and captured leaves of one call that the program answers.
        given: `(structure,)`, what is given besides (cotangents, tangents), or `()`.
        resume: `(f, args, given, outcomes)` answers a call whose guards came out otherwise.
    """
    call = _Call(layout, derivation)
    w = call.writer
    try:
        w.line(f"if len(args) != {len(args)}: return MISS")
        leaves: list[Named] = []
        for x, example in zip(w.unpack("x", "args", len(args)), args, strict=True):
            own: list[Named] = []
            w.take(x, example, own)
            w.check_ties(own)
            leaves += own
        further: list[Named] = []
        if given:
            w.take("given", given[0], further)
        w.line(f"captured = {w.name(read)}(f)")
        w.line("if captured is None: return MISS")
        joined = {i for group in layout.groups for i in group}
        for x, example in zip(w.unpack("c", "captured", len(captured)), captured, strict=True):
            w.take(x, example, leaves)
            if len(leaves) - 1 not in joined and _is_kept(example):
                leaves[-1] = _kept(w, x, example)
    except TooRich:
        return None
    passed = "given" if given else "None"
    diverged = f"return {w.name(resume)}(f, args, {passed}, tuple(found.tolist()))"
    call.write(leaves, converted(w, derivation, further), diverged)
    return call.function("fast", "f, args, given" if given else "f, args")


def _is_kept(x: Any) -> bool:
    return type(x) is np.ndarray and x.dtype.isnative and 0 < x.nbytes <= _KEPT_BYTES


def _kept(w: Writer, x: str, example: np.ndarray) -> Named:
    """A captured array's copy on the device: handing over an array of NumPy's takes a microsecond, and as much for the
    wait until it has been read."""
    keep = _KeptCopy()
    (name,) = w.fresh("o", 1)
    w.line(f"{name} = {w.name(keep)}({x})")
    return name, keep(example)


def pull_path(layout: Layout, derivation: Derivation, residuals: Sequence[Any], g: Any) -> Callable[..., Any] | None:
    """`pull(residuals, g)` of a program from residuals and a cotangent to gradients: the user's result, or MISS.

    Arguments:
        residuals, g: of one call that the program answers. All residuals of one vjp have the types of these.
    """
    call = _Call(layout, derivation)
    w = call.writer
    kept = w.unpack("r", "residuals", len(residuals))
    given: list[Named] = []
    try:
        for r in kept:  # those of a vjp that was traced, or interpreted, are no jax.Arrays
            w.line(f"if {r}.__class__ is not {w.name(ArrayImpl)}: return MISS")
        w.take("g", g, given)
    except TooRich:
        return None
    call.write(list(zip(kept, residuals, strict=True)), converted(w, derivation, given), "return MISS")
    return call.function("pull", "residuals, g")


def converted(w: Writer, derivation: Derivation, given: Sequence[Named]) -> list[Named]:
    """Names for what is given, in the dtypes of the graph's last inputs: a Python number adapts."""
    inputs = derivation.graph.inputs[len(derivation.graph.inputs) - len(given) :]
    found = []
    for (name, example), y in zip(given, inputs, strict=True):
        if not isinstance(example, ArrayImpl) and not (isinstance(example, np.ndarray) and example.dtype == y.dtype):
            w.line(f"{name} = asarray({name}, {w.name(y.dtype)})")
            example = np.asarray(example, y.dtype)
        found.append((name, example))
    return found
