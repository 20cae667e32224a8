"""Files of programs: `export` writes one, `load_program` reads it back without the function it came from."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Graph, Literal
from lilith.ir.primitive import primitive
from lilith.ir.type import TensorType, parse_type
from lilith.ops.nested import all_nodes
from lilith.ops.shape import constant
from lilith.program import Signature, UserCalling
from lilith.source import ArgumentError, LilithError, UnsupportedError
from lowering import carrier
from lowering.emit import PLATFORMS, emit
from lowering.stages import Lowered

FORMAT = 1
_HEADER, _ANY = "program.json", "any"


# what zipfile, zlib and json say of bytes that are not what they were; damaged flags look like features they lack
_NOT_WHOLE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    KeyError,
    TypeError,
    ValueError,
    RuntimeError,
    NotImplementedError,
)


class ProgramFileError(LilithError):
    """A file that is no program, or not whole."""


def export(path: str | os.PathLike[str], lowered: Lowered, platforms: Sequence[str] | None = None) -> None:
    """Write a lowered program into one file: StableHLO bytecode, names, types, platforms. It needs no source to run.

    The file is a zip archive. `program.json` tells how the program is called; `any.mlirbc` (or `cpu.mlirbc`,
    `cuda.mlirbc` where a vendor's library is called) is a StableHLO portable artifact that any StableHLO consumer
    reads. Captured values and constants are part of it.

    Arguments:
        path: of the file; it is written whole or not at all.
        lowered: what `lilith.lower` or `lilith.lower_grad` gave.
        platforms: for which it is written; None for the one it was lowered for. Programs that are the same everywhere
            run everywhere.

    Raises:
        UnsupportedError: it calls back into Python (`lilith.print`).

    >>> import numpy as np, tempfile, lilith
    >>> file = tempfile.mktemp(suffix=".lilith")
    >>> lilith.export(file, lilith.lower_grad(lambda x: np.sum(x * x), np.ones(2)))
    >>> lilith.load_program(file)(np.array([1.0, 2.0]))[1]["x"]
    array([2., 4.])
    """
    if not isinstance(lowered, Lowered) or not isinstance(lowered.calling, UserCalling):
        raise ArgumentError(
            f"export takes what lilith.lower or lilith.lower_grad gave, not {type(lowered).__name__}",
            hint="lilith.export(path, lilith.lower_grad(f, *args))",
        )
    lowered.calling.refuse_paths("exported")
    for node in all_nodes(lowered.graph):
        name = node.params["function"].name if node.primitive.name == "callback" else node.primitive.name
        if node.primitive.effect or node.primitive.name == "callback":
            raise UnsupportedError(
                f"{lowered.graph.name} calls back into Python ({name}): it cannot be exported",
                hint="take the call out of the function",
                source=node.source,
            )
    graph = with_constants(lowered.graph, lowered.calling.constants)
    wanted = tuple(platforms or (lowered.platform,))
    for platform in wanted:
        if platform not in PLATFORMS:
            raise ArgumentError(f"there is no platform {platform!r}", hint=f"some of {', '.join(PLATFORMS)}")
    texts = {platform: emit(graph, platform) for platform in PLATFORMS}
    if len(set(texts.values())) == 1:
        modules = {_ANY: carrier.portable_artifact(texts["cpu"])}
    else:
        modules = {platform: carrier.portable_artifact(texts[platform]) for platform in wanted}
    header = {
        "format": FORMAT,
        "versions": carrier.versions(),
        "modules": {name: hashlib.sha256(data).hexdigest() for name, data in modules.items()},
        "signature": lowered.calling.signature.to_json(),
    }
    _write(path, json.dumps(header, indent=1).encode(), modules)


def with_constants(graph: Graph, constants: Sequence[Any]) -> Graph:
    """The graph with its last inputs, the captured values, as constants in it."""
    first = len(graph.inputs) - len(constants)
    for array in constants:
        dtype = graph.inputs[first].dtype

        def make(type: Any, array: Any = array, dtype: Any = dtype) -> Any:
            literal = Literal(np.asarray(array, dtype))
            if literal.array.ndim:
                return constant(value=literal)
            return primitive("fill")(value=literal.array.item(), shape=(), dtype=dtype)

        graph = graph.bind(first, make)
    return graph


def _write(path: str | os.PathLike[str], header: bytes, modules: dict[str, bytes]) -> None:
    folder = os.path.dirname(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(dir=folder, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.comment = hashlib.sha256(header).hexdigest().encode()
            archive.writestr(_HEADER, header)
            for name, data in modules.items():
                archive.writestr(f"{name}.mlirbc", data)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class Program:
    """A program read from a file: callable as the function (or its gradient) was, also inside of `jax.jit`.

    Attributes:
        name: the function's.
        signature: its arguments and results.
        platforms: where it runs; `("any",)` if everywhere.
    """

    def __init__(self, signature: Signature, modules: dict[str, bytes], versions: dict[str, str]):
        self.name = signature.name
        self.signature = signature
        self.platforms = tuple(modules)
        self.versions = versions
        self._modules = modules
        names = tuple([x.path for x in signature.inputs])
        types = tuple([y.type for y in signature.outputs])
        self._module = carrier.Module(self.name, self._text, names, types)
        self._loaded = carrier.Loaded(self._module)

    def _text(self, platform: str) -> str:
        return carrier.text_of_artifact(self.bytecode(platform))

    def bytecode(self, platform: str | None = None) -> bytes:
        """The StableHLO portable artifact for a platform (None: for the default device's).

        Raises:
            UnsupportedError: the file has none for it.
        """
        wanted = platform or carrier.available_platforms()[0]
        data = self._modules.get(_ANY) or self._modules.get(wanted)
        if data is None:
            raise UnsupportedError(
                f"the program {self.name} was exported for {', '.join(self.platforms)}, not for {wanted}",
                hint=f"lilith.export(path, lowered, platforms={[*self.platforms, wanted]})",
            )
        return data

    def stablehlo(self, platform: str | None = None) -> str:
        """The module as text."""
        return carrier.pretty(self._text(platform or carrier.available_platforms()[0]))

    def __repr__(self) -> str:
        given = ", ".join(f"{x.path}: {x.type}" for x in self.signature.inputs)
        return f"<Program {self.name}({given})>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's value, or `(value, GradResult)` where the gradient was exported."""
        given = self.signature.take(args, kwargs)
        self.bytecode()  # the error for a platform that the file is not for
        if any(isinstance(x, carrier.JaxTracer) for x in given):
            outputs = carrier.bind(self._module, given)
        else:
            outputs = self._loaded.call(*given)
        return self.signature.assemble(self.signature.give(outputs, given))


def load_program(path: str | os.PathLike[str]) -> Program:
    """Read what `export` wrote.

    Raises:
        ProgramFileError: the file is no program, cut off or altered, or written by a later version of Lilith.
        OSError: it cannot be read.
    """
    name = os.fspath(path)
    try:
        with zipfile.ZipFile(name) as archive:
            raw = archive.read(_HEADER)
            if hashlib.sha256(raw).hexdigest().encode() != archive.comment:
                raise ProgramFileError(f"{name} has been altered: {_HEADER}", hint="export the program again")
            header = json.loads(raw)
            if header["format"] != FORMAT:
                raise ProgramFileError(
                    f"{name} has format {header['format']}, this version of Lilith reads {FORMAT}",
                    hint="read it with the version that wrote it, or export it again",
                )
            modules = {}
            for module, digest in header["modules"].items():
                data = archive.read(f"{module}.mlirbc")
                if hashlib.sha256(data).hexdigest() != digest:
                    raise ProgramFileError(f"{name} has been altered: {module}.mlirbc", hint="export the program again")
                modules[module] = data
            return Program(Signature.from_json(header["signature"]), modules, header["versions"])
    except _NOT_WHOLE as error:
        raise ProgramFileError(
            f"{name} is no whole program file ({error})", hint="write it with lilith.export(path, lowered)"
        ) from error


def load_compiled(data: bytes) -> Callable[..., Any]:
    """The function that `Compiled.serialize()` has put into bytes: machine code, nothing is compiled.

    Raises:
        ProgramFileError: these are no such bytes, or they were made by other versions of jax and jaxlib.
        ArgumentError: there is no device of their platform here.

    >>> import numpy as np, lilith
    >>> data = lilith.lower_grad(lambda x: np.sum(x * x), np.ones(2)).compile().serialize()
    >>> lilith.load_compiled(data)(np.array([1.0, 2.0]))[1]["x"]
    array([2., 4.])
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            header = json.loads(archive.read("compiled.json"))
            signature, made, platform = Signature.from_json(header["signature"]), header["versions"], header["platform"]
            code = archive.read("machine_code")
            named = [name.partition(": ") for name in archive.namelist() if name.startswith("constant")]
            constants = [_array(parse_type(text), archive.read(f"{name}: {text}")) for name, _, text in named]
    except _NOT_WHOLE as error:
        raise ProgramFileError(f"these bytes are no compiled program ({error})", hint="compiled.serialize()") from error
    if made != carrier.versions():
        raise ProgramFileError(
            f"the program was compiled by {made}, here are {carrier.versions()}",
            hint="compile it again; lilith.export writes programs that do not depend on versions",
        )
    if platform not in carrier.available_platforms():
        raise ArgumentError(
            f"the program was compiled for {platform}, and there is no such device here",
            hint=f"compile it again; here are: {', '.join(carrier.available_platforms())}",
        )
    loaded = carrier.load_ahead(code, platform)

    def call(*args: Any, **kwargs: Any) -> Any:
        given = signature.take(args, kwargs)
        return signature.assemble(signature.give(loaded(*given, *constants), given))

    call.__name__ = signature.name
    return call


def _array(type: TensorType | None, data: bytes) -> np.ndarray:
    if type is None:
        raise ValueError("an array without a type")
    return np.frombuffer(data, type.dtype).reshape(type.shape)
