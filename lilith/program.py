"""Programs apart from the function they come from: how they are called, and what of that is written into files.

A structure is described by plain lists and dicts, ready for JSON: `{"array": 3}` is the program's input (or output) 3,
`{"dict": [[key, structure], ...]}`, `{"list": [...]}`, `{"tuple": [...]}`, `{"namedtuple": name, "fields": [[name,
structure], ...]}` and `{"object": name, "fields": ...}` contain others, `{"static": value}` is compared by value,
`{"opaque": text}` (a function, say) is not compared at all.
"""

from __future__ import annotations

import collections
import io
import json
import types
import zipfile
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lilith import tree
from lilith.asked import function_name
from lilith.derive import Derivation
from lilith.guards import Guard
from lilith.interpreted import as_kind
from lilith.ir.type import TensorType, parse_type
from lilith.result import GradResult, Labels
from lilith.signature import JAX_TRACER, STATIC, Arguments, describe
from lilith.source import ArgumentError, DtypeError, ShapeError, TraceError, UnsupportedError
from lilith.trace import Traced, as_array
from lilith.tree import attributes
from lowering.carrier import Array, JaxTracer, versions
from lowering.runtime import ARRAY, JAX, PYTHON, SCALAR
from lowering.stages import Calling, Compiled

Layout = dict[str, Any]

_PLAIN = (type(None), bool, int, float, str)


class _Slot:
    """Stands in a structure for the program's input or output of that number."""

    def __init__(self, index: int):
        self.index = index


# ---- structures as data --------------------------------------------------------------------------------------------


def layout_of(x: Any, path: str) -> Layout:
    """The description of a structure whose arrays are `_Slot`s."""
    if isinstance(x, _Slot):
        return {"array": x.index}
    if isinstance(x, dict):
        for key in x:
            if not isinstance(key, _PLAIN):
                raise ArgumentError(
                    f"{path} has the key {key!r}, which cannot be written into a file", hint="use strings as keys"
                )
        return {"dict": [[key, layout_of(value, f"{path}[{key!r}]")] for key, value in x.items()]}
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        fields = [[name, layout_of(v, f"{path}.{name}")] for name, v in zip(x._fields, x, strict=True)]
        return {"namedtuple": type(x).__name__, "fields": fields}
    if isinstance(x, (list, deque, tuple)):
        kind = "tuple" if isinstance(x, tuple) else "list"
        return {kind: [layout_of(item, f"{path}[{i}]") for i, item in enumerate(x)]}
    if isinstance(x, _PLAIN):
        return {"static": x}
    if tree.is_structure_class(type(x)):
        fields = [[name, layout_of(value, f"{path}.{name}")] for name, value in attributes(x).items()]
        return {"object": type(x).__name__, "fields": fields}
    return {"opaque": repr(x) if not callable(x) else function_name(x)}


def build(layout: Layout, arrays: Sequence[Any]) -> Any:
    """The structure that a description tells of; objects of the user's classes become SimpleNamespaces."""
    kind, inner = next(iter(layout.items()))
    if kind == "array":
        return arrays[inner]
    if kind in ("static", "opaque"):
        return inner
    if kind == "dict":
        return {key: build(value, arrays) for key, value in inner}
    if kind in ("list", "tuple"):
        items = [build(item, arrays) for item in inner]
        return items if kind == "list" else tuple(items)
    fields = {name: build(value, arrays) for name, value in layout["fields"]}
    if kind == "namedtuple":
        return collections.namedtuple(inner, list(fields))(**fields)
    return types.SimpleNamespace(**fields)


def collect(layout: Layout, x: Any, path: str, found: dict[int, tuple[str, Any]]) -> None:
    """Read the arrays of a structure by a description; an error where x has another structure."""
    kind, inner = next(iter(layout.items()))
    if kind == "array":
        found[inner] = (path, x)
    elif kind == "static":
        if isinstance(x, bool) != isinstance(inner, bool) or x != inner:
            raise ArgumentError(
                f"{path} is {x!r}, and the program was made for {inner!r}", hint="lower the function again for it"
            )
    elif kind == "dict":
        keys = [key for key, _ in inner]
        if not isinstance(x, dict) or set(x) != set(keys):
            raise ArgumentError(f"{path} is {_outline(x)}, not a dict with the keys {keys}", hint="pass such a dict")
        for key, value in inner:
            collect(value, x[key], f"{path}[{key!r}]", found)
    elif kind in ("list", "tuple"):
        if not isinstance(x, (list, tuple, deque)) or len(x) != len(inner):
            raise ArgumentError(f"{path} is {_outline(x)}, not a {kind} of {len(inner)}", hint=f"pass such a {kind}")
        for i, (item, value) in enumerate(zip(inner, x, strict=True)):
            collect(item, value, f"{path}[{i}]", found)
    elif kind != "opaque":
        held = x if isinstance(x, dict) else x._asdict() if hasattr(x, "_asdict") else attributes(x)
        for name, value in layout["fields"]:
            if name not in held:
                raise ArgumentError(
                    f"{path} is {_outline(x)}, which has no {name}: it stands for a {inner}",
                    hint=f"pass an object or a dict with {', '.join(n for n, _ in layout['fields'])}",
                )
            collect(value, held[name], f"{path}.{name}", found)


def _outline(x: Any) -> str:
    if isinstance(x, dict):
        return f"a dict with the keys {list(x)}"
    return f"a {type(x).__name__} of {len(x)}" if isinstance(x, (list, tuple)) else f"a {type(x).__name__}"


# ---- signatures ----------------------------------------------------------------------------------------------------


class Input(NamedTuple):
    """An array that a program takes: its field path, its type, whether it was a Python number."""

    path: str
    type: TensorType
    weak: bool


class Output(NamedTuple):
    """An array that a program gives: its type, what it becomes for NumPy callers, the input that it is the gradient
    of (None: it belongs to the value)."""

    type: TensorType
    kind: str
    gradient_of: int | None


class Signature(NamedTuple):
    """How a program is called.

    Attributes:
        name: of the function.
        inputs, outputs: its arrays. Arrays that follow the inputs are captured values.
        arguments: name, whether positional, and structure of each argument.
        value: the structure of the result.
        gradients: per argument the structure of its gradient, None where it has none; None if the program computes the
            function alone.
        asked: for which arguments the gradient was asked for.
        zeros: field paths that the result does not depend on.
    """

    name: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    arguments: tuple[tuple[str, bool, Layout], ...]
    value: Layout
    gradients: tuple[Layout | None, ...] | None
    asked: tuple[bool, ...]
    zeros: tuple[str, ...]

    def take(self, args: tuple, kwargs: dict[str, Any]) -> list[Any]:
        """The program's inputs from a call's arguments: checked, NumPy arrays or jax.Arrays.

        Raises:
            ArgumentError, ShapeError, DtypeError: the arguments are not those that the program was made for.
        """
        positional = [name for name, is_positional, _ in self.arguments if is_positional]
        if len(args) > len(positional):
            raise ArgumentError(
                f"{self.name} takes {len(positional)} positional arguments, got {len(args)}",
                hint=f"{self.name}({', '.join(name for name, _, _ in self.arguments)})",
            )
        given = dict(zip(positional, args, strict=False))
        twice = given.keys() & kwargs.keys()
        given |= kwargs
        names = [name for name, _, _ in self.arguments]
        if twice or given.keys() != set(names):
            wrong = [f"{n} twice" for n in twice] + [f"no {n}" for n in names if n not in given]
            wrong += [f"unknown {n}" for n in given if n not in names]
            raise ArgumentError(
                f"{self.name} was called with other arguments than it has ({', '.join(wrong)})",
                hint=f"{self.name}({', '.join(names)})",
            )
        found: dict[int, tuple[str, Any]] = {}
        for name, _, layout in self.arguments:
            collect(layout, given[name], name, found)
        return [_as_input(found[i][1], wanted, found[i][0]) for i, wanted in enumerate(self.inputs)]

    def give(self, outputs: Sequence[Any], given: Sequence[Any]) -> list[Any]:
        """The program's outputs as what the caller works with: like in, like out."""
        kinds = [JAX if isinstance(x, (Array, JaxTracer)) else None for x in given]
        differentiated = [o.gradient_of for o in self.outputs if o.gradient_of is not None] or range(len(kinds))
        found = []
        for y, output in zip(outputs, self.outputs, strict=True):
            own = kinds[output.gradient_of] if output.gradient_of is not None else None
            shared = output.gradient_of is None and any(kinds[i] for i in differentiated)
            traced = isinstance(y, JaxTracer)
            found.append(as_kind(y, JAX if own or shared or traced else output.kind))
        return found

    def assemble(self, arrays: Sequence[Any]) -> Any:
        """`value`, or `(value, GradResult)`, from what `give` gave."""
        value = build(self.value, arrays)
        if self.gradients is None:
            return value
        positions = [i if positional else None for i, (_, positional, _) in enumerate(self.arguments)]
        names = tuple([name for name, _, _ in self.arguments])
        labels = Labels(self.name, tuple(positions), names, self.asked, frozenset(self.zeros))
        return value, GradResult([None if g is None else build(g, arrays) for g in self.gradients], labels)

    def to_json(self) -> dict[str, Any]:
        """As data for JSON."""
        return {
            **self._asdict(),
            "inputs": [[path, repr(type), weak] for path, type, weak in self.inputs],
            "outputs": [[repr(type), kind, of] for type, kind, of in self.outputs],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Signature:
        """What `to_json` made. Raises KeyError, TypeError or ValueError for anything else."""
        gradients = data["gradients"]
        return cls(
            data["name"],
            tuple(Input(path, _type(text), weak) for path, text, weak in data["inputs"]),
            tuple(Output(_type(text), kind, of) for text, kind, of in data["outputs"]),
            tuple((name, positional, layout) for name, positional, layout in data["arguments"]),
            data["value"],
            None if gradients is None else tuple(gradients),
            tuple(data["asked"]),
            tuple(data["zeros"]),
        )


def _type(text: str) -> TensorType:
    found = parse_type(text)
    if found is None:
        raise ValueError(f"{text!r} is no array type")
    return found


def _as_input(x: Any, wanted: Input, path: str) -> Any:
    """An argument's array, of the program's type; Python numbers adapt."""
    if isinstance(x, TensorType):
        raise ArgumentError(f"{path} is the type {x}, which has no data", hint="pass an array")
    if isinstance(x, (int, float, complex)) and not wanted.type.shape:
        return np.asarray(x, dtype=wanted.type.dtype)
    kind, type = describe(x)
    if type is None:
        raise ArgumentError(f"{path} is {x!r}, not an array of type {wanted.type}", hint="pass an array or a number")
    if type.shape != wanted.type.shape:
        raise ShapeError(
            f"{path} is {type}, and the program was made for {wanted.type}", hint="lower the function again for it"
        )
    if type.dtype != wanted.type.dtype:
        raise DtypeError(
            f"{path} is {type}, and the program was made for {wanted.type}",
            hint=f"convert it: {path}.astype('{wanted.type.dtype}')",
        )
    return x if kind in (JAX, JAX_TRACER) else as_array(x)


def signature_of(arguments: Arguments, derivation: Derivation, name: str) -> Signature:
    """The signature of a derivation's program."""
    dynamic = [leaf for leaf in arguments.leaves if leaf.kind != STATIC]
    positional, keywords = arguments.rebuild([_Slot(i) for i in range(len(dynamic))])
    structures = [*positional, *keywords.values()]
    gradient_of: dict[int, int] = {}
    gradients: list[Layout | None] = []
    for k, entry in enumerate(derivation.entries):
        own = [i for i, leaf in enumerate(dynamic) if leaf.argument == k]
        if entry is None:
            gradients.append(None)
        elif isinstance(entry, int):
            gradient_of[entry] = own[0]
            gradients.append({"array": entry})
        else:
            structure, indices = entry
            places = [leaf.kind != STATIC for leaf in arguments.leaves if leaf.argument == k]
            remaining = iter(own)
            for index, is_dynamic in zip(indices, places, strict=True):
                source = next(remaining) if is_dynamic else None
                if isinstance(index, int) and source is not None:
                    gradient_of[index] = source
            filled = tree.unflatten(structure, [_Slot(i) if isinstance(i, int) else None for i in indices])
            gradients.append(layout_of(filled, arguments.names[k]))
    values = [_Slot(x.output) if isinstance(x, Traced) else x for x in derivation.value_leaves]
    value = tree.unflatten(derivation.value_structure, values)
    outputs = [
        Output(y.type.strong, _host_kind(kind, y.type), gradient_of.get(i))
        for i, (y, kind) in enumerate(zip(derivation.graph.outputs, derivation.kinds, strict=True))
    ]
    return Signature(
        name,
        tuple(Input(leaf.path, leaf.type.strong, leaf.type.weak) for leaf in dynamic if leaf.type is not None),
        tuple(outputs),
        tuple(
            (argument, position is not None, layout_of(x, argument))
            for argument, position, x in zip(arguments.names, arguments.positions, structures, strict=True)
        ),
        layout_of(value, "the result"),
        tuple(gradients) if derivation.labels is not None else None,
        derivation.labels.asked if derivation.labels is not None else (),
        tuple(sorted(derivation.labels.zeros)) if derivation.labels is not None else (),
    )


def _host_kind(kind: str, type: TensorType) -> str:
    """What an output becomes where no jax.Array is involved."""
    if kind in (ARRAY, SCALAR, PYTHON):
        return kind
    return ARRAY if type.shape else SCALAR


class UserCalling(Calling):
    """A program called with the user's arguments, giving the user's result.

    Arguments:
        signature: of the program.
        constants: the captured values and large constants, as they were when it was lowered.
        assemble: makes the user's result of the outputs.
        path: how the function decided in Python on traced values, in words; the program is right for calls that decide
            alike, and `guards`, whose predicates are its last outputs, tell them from others.
    """

    def __init__(
        self,
        signature: Signature,
        constants: Sequence[Any],
        assemble: Callable[[Sequence[Any]], Any],
        guards: Sequence[Guard] = (),
        path: str = "",
    ):
        self.signature = signature
        self.constants = constants
        self._assemble = assemble
        self.guards = guards
        self.path = path

    def take(self, args: tuple, kwargs: dict[str, Any]) -> list[Any]:
        return self.signature.take(args, kwargs)

    def give(self, outputs: Sequence[Any], given: Sequence[Any]) -> Any:
        for guard, y in zip(self.guards, outputs[len(outputs) - len(self.guards) :], strict=True):
            if int(np.asarray(y)) != guard.outcome:
                raise TraceError(
                    f"{self.signature.name} was lowered for the path on which {self.path}; "
                    "these arguments take another",
                    hint="choose with np.where, lilith.cond or lilith.while_loop; grad and jit follow every path",
                    source=guard.source,
                )
        return self._assemble(self.signature.give(outputs, given))

    def refuse_paths(self, what: str) -> None:
        """The error for a program of one path only, in a place where nothing would notice another."""
        if self.guards:
            raise UnsupportedError(
                f"{self.signature.name} decides in Python on traced values ({self.path}): it cannot be {what}",
                hint="choose with np.where, lilith.cond or lilith.while_loop",
                source=self.guards[0].source,
            )

    def pack(self, compiled: Compiled) -> bytes:
        """A zip archive: the signature, the captured values, the machine code."""
        self.refuse_paths("serialized")
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            header = {
                "versions": versions(),
                "platform": compiled.lowered.platform,
                "signature": self.signature.to_json(),
            }
            archive.writestr("compiled.json", json.dumps(header))
            archive.writestr("machine_code", compiled.machine_code())
            for i, array in enumerate(self.constants):
                type = compiled.lowered.graph.inputs[len(self.signature.inputs) + i].type
                archive.writestr(f"constant{i}: {type}", np.asarray(array, dtype=type.dtype).tobytes())
        return content.getvalue()
