"""Graph -> the text of a StableHLO module.

Operations are written in MLIR's generic form, which needs no type-specific printer and is the fastest to parse;
`stages` shows them in the pretty form. Every operation carries the user's file, line and function as its location.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Graph, Node, Source, Value
from lilith.ir.type import TensorType, dtype_name, kind
from lilith.ops.checkpoints import expand

Rule = Callable[["Emitter", Node, list[str]], Any]

RULES: dict[str, Rule] = {}
"""The lowering rule of each primitive: `rule(emitter, node, operands) -> result name`, or a tuple of names."""

_ELEMENT = {
    "bool": "i1",
    **{f"i{n}": f"i{n}" for n in (8, 16, 32, 64)},
    **{f"u{n}": f"ui{n}" for n in (8, 16, 32, 64)},
    **{f"f{n}": f"f{n}" for n in (16, 32, 64)},
    "bf16": "bf16",
    "c64": "complex<f32>",
    "c128": "complex<f64>",
}


def element_type(dtype: np.dtype) -> str:
    """The MLIR element type of a dtype: `f64`, `ui8`, `i1`, `complex<f32>`."""
    return _ELEMENT[dtype_name(dtype)]


_type_text: dict[TensorType, str] = {}


def tensor_type(type: TensorType) -> str:
    """The MLIR type: `tensor<3x4xf32>`."""
    text = _type_text.get(type)
    if text is None:
        text = _type_text[type] = f"tensor<{''.join(f'{n}x' for n in type.shape)}{element_type(type.dtype)}>"
    return text


def i64_array(numbers: Sequence[int]) -> str:
    """`array<i64: 0, 1>`."""
    return f"array<i64: {', '.join(map(str, numbers))}>" if numbers else "array<i64>"


def string(text: str) -> str:
    """A string attribute: MLIR knows no escapes but quote, backslash and hexadecimal bytes."""
    plain = (chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:02X}" for b in text.encode())
    return f'"{"".join(plain)}"'


def number(value: Any, dtype: np.dtype) -> str:
    """A scalar as MLIR reads it back, bit for bit."""
    letter = kind(dtype)
    if letter == "b":
        return "true" if value else "false"
    if letter in "iu":
        return str(int(value))
    if letter == "c":
        part = np.dtype(f"f{dtype.itemsize // 2}")
        return f"({number(value.real, part)}, {number(value.imag, part)})"
    if not math.isfinite(value):
        bits = np.asarray(value, dtype=dtype).tobytes()[::-1].hex().upper()
        return f"0x{bits}"
    return f"{float(value):.17e}" if dtype.itemsize == 8 else f"{float(value):.9e}"


def dense(array: np.ndarray) -> str:
    """A constant array as an MLIR attribute."""
    array = np.asarray(array)
    if array.size and (array.ndim == 0 or array.size == 1):
        return f"dense<{number(array.reshape(-1)[0].item(), array.dtype)}>"
    if array.size == 0:
        return "dense<>"
    if kind(array.dtype) == "b":
        return f"dense<{_nested(array)}>"
    return f'dense<"0x{np.ascontiguousarray(array).tobytes().hex().upper()}">'


def _nested(array: np.ndarray) -> str:
    if array.ndim == 0:
        return number(array.item(), array.dtype)
    return f"[{', '.join(map(_nested, array))}]"


PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
"""What a module can be written for. Most operations are the same everywhere; calls of vendors' libraries are not."""


class Emitter:
    """Writes the body of one module; rules call `op`.

    Attributes:
        graph: what is being written.
        platform: one of PLATFORMS.
        lines: the operations so far.
        functions: functions beside main that they call, as text.
        in_kernel: whether they are part of such a function.
        read: the values that the nodes at hand and their results use; a rule may leave out what nobody reads.
        names: what those of these values are called that are written.
        makers: the nodes at hand, by their results.
        users: the nodes at hand, by their operands.
        counts: of the elements that share an extremum, by what they were counted for.
        location: the suffix that books an operation on the user's line.
    """

    def __init__(self, graph: Graph, platform: str = "cpu") -> None:
        self.graph = graph
        self.platform = platform
        self.lines: list[str] = []
        self.functions: list[str] = []
        self.in_kernel = False
        self.read: Callable[[], frozenset[Value]] = frozenset
        self.names: dict[Value, str] = {}
        self.makers: Callable[[], dict[Value, Node]] = dict
        self.users: Callable[[], dict[Value, list[Node]]] = dict
        self.counts: dict[tuple, tuple[str, TensorType]] = {}
        self.location = ""
        self._count = 0
        self._references: dict[tuple[int, int], str] = {}
        self._locations: dict[str, int] = {}

    def fresh(self) -> str:
        """A new SSA name."""
        self._count += 1
        return f"%{self._count}"

    def op(
        self,
        name: str,
        operands: Sequence[str],
        operand_types: Sequence[TensorType],
        result: TensorType,
        attributes: str = "",
        region: str = "",
    ) -> str:
        """Write one operation with one result; returns the result's name.

        Arguments:
            name: with its dialect, `stablehlo.add`.
            attributes: inside of the braces, `dimension = 0 : i64`.
            region: a region in braces, as `reducer` gives.
        """
        self._count += 1
        out = f"%{self._count}"
        attributes = f" {{{attributes}}}" if attributes else ""
        region = f" ({region})" if region else ""
        self.lines.append(
            f'{out} = "{name}"({", ".join(operands)}){region}{attributes} : '
            f"({', '.join(map(tensor_type, operand_types))}) -> {tensor_type(result)}{self.location}"
        )
        return out

    def several(
        self,
        name: str,
        operands: Sequence[str],
        operand_types: Sequence[TensorType],
        results: Sequence[TensorType],
        attributes: str,
        region: str = "",
    ) -> tuple[str, ...]:
        """Write one operation with no result or with several; returns their names."""
        out = self.fresh()
        left = f"{out}:{len(results)} = " if results else ""
        region = f" ({region})" if region else ""
        self.lines.append(
            f'{left}"{name}"({", ".join(operands)}){region} {{{attributes}}} : '
            f"({', '.join(map(tensor_type, operand_types))}) -> ({', '.join(map(tensor_type, results))}){self.location}"
        )
        return tuple(f"{out}#{i}" for i in range(len(results)))

    def constant(self, value: Any, type: TensorType) -> str:
        """A constant: a number repeated to the type's shape, or an array of that shape."""
        if isinstance(value, np.ndarray) and value.ndim:
            text = dense(value)
        else:
            text = f"dense<{number(value, type.dtype)}>" if type.size else "dense<>"
        return self.op("stablehlo.constant", (), (), type, f"value = {text} : {tensor_type(type)}")

    def reducer(self, name: str, dtype: np.dtype) -> str:
        """A region `(x, y) -> name(x, y)` on scalars, for reduce and its kin."""
        a, b, c = self.fresh(), self.fresh(), self.fresh()
        t = tensor_type(TensorType((), dtype))
        loc = self.location
        return (
            f'{{ ^bb0({a}: {t}, {b}: {t}): {c} = "{name}"({a}, {b}) : ({t}, {t}) -> {t}{loc} '
            f'"stablehlo.return"({c}) : ({t}) -> (){loc} }}'
        )

    def body(self, graph: Graph, operands: Sequence[str]) -> list[str]:
        """Write a graph's operations for operands of these names; returns the names of its outputs."""
        outer, self.graph = self.graph, expand(graph)
        names = dict(zip(graph.inputs, operands, strict=True))
        results = self.write(self.graph.nodes, names, self.graph.outputs, located=True)
        self.graph = outer
        return results

    def region(
        self, types: Sequence[TensorType], write: Callable[[list[str]], Sequence[tuple[str, TensorType]]]
    ) -> str:
        """A region with arguments of these types; `write(names)` writes its operations and gives what it returns."""
        location, outer, self.lines = self.location, self.lines, []
        names = [self.fresh() for _ in types]
        returned = write(names)
        self.location = location
        self.several("stablehlo.return", [y for y, _ in returned], [t for _, t in returned], (), "")
        body, self.lines = "\n".join(self.lines), outer
        arguments = ", ".join(f"{name}: {tensor_type(t)}" for name, t in zip(names, types, strict=True))
        return f"{{ ^bb0({arguments}):\n{body} }}" if arguments else f"{{\n{body} }}"

    def locate(self, source: Source | None) -> None:
        """Book the operations that follow on a line of the user's."""
        if source is None:
            self.location = " loc(unknown)"
            return
        key = (id(source.code), source.offset)  # a code object's own hash reads all of it
        text = self._references.get(key)
        if text is None:
            line = f"loc({string(source.function)}({string(source.file)}:{source.line}:0))"
            number = self._locations.setdefault(line, len(self._locations) + 1)
            text = self._references[key] = f" loc(#loc{number})"
        self.location = text

    def write(
        self, nodes: Sequence[Node], names: dict[Value, str], results: Sequence[Value], located: bool = False
    ) -> list[str]:
        """Write nodes by their rules; `names` are those of the values they start from. Returns the results' names.

        `located`: each node is booked on its own line of the user's, else all are on the line at hand.
        """
        outer = self.read, self.names, self.makers, self.users
        self.read = functools.cache(lambda: frozenset([x for node in nodes for x in node.operands]).union(results))
        self.makers = functools.cache(lambda: {y: node for node in nodes for y in node.results})
        self.users = functools.cache(lambda: _users(nodes))
        self.names = names
        for node in nodes:
            if located:
                self.locate(node.source)
            out = RULES[node.primitive.name](self, node, [names[x] for x in node.operands])
            if out.__class__ is str:
                names[node.results[0]] = out
            else:
                names.update(zip(node.results, out, strict=True))
        self.read, self.names, self.makers, self.users = outer
        return [names[y] for y in results]

    def location_lines(self) -> list[str]:
        """The definitions of the locations, for the end of the module."""
        return [f"#loc{number} = {line}" for line, number in self._locations.items()]


def _users(nodes: Sequence[Node]) -> dict[Value, list[Node]]:
    found: dict[Value, list[Node]] = {}
    for node in nodes:
        for x in node.operands:
            found.setdefault(x, []).append(node)
    return found


def _region(
    e: Emitter, types: Sequence[TensorType], results: Sequence[TensorType], write: Callable[[list[str]], Sequence[str]]
) -> str:
    """A region `(types) -> (results)`: the operations that `write(arguments)` emits, and the return of its results."""
    names = [e.fresh() for _ in types]
    outer, e.lines = e.lines, []
    e.several("stablehlo.return", write(names), results, (), "")
    body, e.lines = "\n".join(e.lines), outer
    arguments = ", ".join(f"{name}: {tensor_type(t)}" for name, t in zip(names, types, strict=True))
    return f"{{ ^bb0({arguments}):\n{body} }}"


def while_loop(
    e: Emitter,
    state: Sequence[tuple[str, TensorType]],
    condition: Callable[[list[str]], str],
    body: Callable[[list[str]], Sequence[str]],
) -> tuple[str, ...]:
    """The state after `while condition(state): state = body(state)`."""
    types = [type for _, type in state]
    flag = TensorType((), np.dtype(bool))
    regions = (_region(e, types, (flag,), lambda names: (condition(names),)), _region(e, types, types, body))
    return e.several("stablehlo.while", [name for name, _ in state], types, types, "", ", ".join(regions))


def emit(graph: Graph, platform: str = "cpu") -> str:
    """The StableHLO module of a graph; its function is `main`, its arguments carry their names as locations.

    Arguments:
        platform: one of PLATFORMS; matters only to graphs with operations that a vendor's library does.
    """
    e = Emitter(graph, platform)
    names = e.body(graph, [f"%arg{i}" for i in range(len(graph.inputs))])
    parameters = ", ".join(
        f"%arg{i}: {tensor_type(x.type)} loc({string(name)})"
        for i, (x, name) in enumerate(zip(graph.inputs, graph.input_names, strict=True))
    )
    results = ", ".join(tensor_type(y.type) for y in graph.outputs)
    returned = ", ".join(names)
    body = "\n".join([*e.lines, f'"func.return"({returned}) : ({results}) -> () loc(unknown)'])
    head = f"module @{string(graph.name)} {{\nfunc.func public @main({parameters}) -> ({results}) {{"
    return "\n".join([head, body, "} loc(unknown)", *e.functions, "} loc(unknown)", *e.location_lines(), ""])


import lowering.rules  # noqa: E402, F401  (fills RULES)
