"""Lowered and Compiled: a graph as StableHLO, and as what XLA made of it."""

from __future__ import annotations

import functools
import html
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lilith.ir.graph import Graph
from lilith.ir.printer import highlighted
from lilith.ops.control import show
from lilith.source import ArgumentError, UnsupportedError
from lowering import carrier
from lowering.cost import Cost, cost_of
from lowering.emit import PLATFORMS, emit


class Calling:
    """How a program is called in the user's terms; this one takes and gives the arrays themselves.

    Attributes:
        constants: arrays that follow the arguments: captured values and constants too large for the module.
    """

    constants: Sequence[Any] = ()

    def take(self, args: tuple, kwargs: dict[str, Any]) -> list[Any]:
        """The program's arguments, without the constants."""
        if kwargs:
            raise ArgumentError(f"the program takes no keywords ({', '.join(kwargs)})", hint="pass arrays by position")
        return list(args)

    def give(self, outputs: Sequence[Any], given: Sequence[Any]) -> Any:
        """The caller's result for the program's outputs; `given` is what `take` gave."""
        return list(outputs)

    def pack(self, compiled: Compiled) -> bytes:
        """A compiled program with all that calling it takes."""
        return compiled.machine_code()


class Lowered:
    """A function or its gradient as a StableHLO module.

    Arguments:
        graph: any Graph; its inputs become the parameters of `main`.
        platform: what it is written for, one of `cpu`, `cuda`, `rocm`, `tpu`; None for the default device's.
        calling: how it is called once it is compiled.
        donated: the inputs that are given up: results may be put in their place.
        placements: how each input is sharded, None for those that are not; what is compiled has the communication.
        layout: where the results are put then (`lowering.module.Module.layout`).

    `lilith.lower` and `lilith.lower_grad` make it; `str()` is the module's text.
    """

    def __init__(
        self,
        graph: Graph,
        platform: str | None = None,
        calling: Calling | None = None,
        donated: Sequence[int] = (),
        placements: Sequence[Any] = (),
        layout: Sequence[int | None] = (),
    ):
        if platform is not None and platform not in PLATFORMS:
            raise ArgumentError(f"there is no platform {platform!r}", hint=f"one of {', '.join(PLATFORMS)}")
        self.graph = graph
        self.platform = platform or carrier.default_platform()
        self.calling = calling or Calling()
        self.donated = tuple(donated)
        self.placements = tuple(placements) if any([p is not None for p in placements]) else ()
        self.layout = tuple(layout)
        self._text = emit(graph, self.platform)

    def stablehlo(self, *, generic: bool = False, locations: bool = False) -> str:
        """The module's text: pretty, or in MLIR's generic form, with or without the user's lines as locations."""
        return carrier.pretty(self._text, locations, generic)

    def __str__(self) -> str:
        return self.stablehlo()

    def __repr__(self) -> str:
        return f"<Lowered {self.graph.name} for {self.platform}: {len(self.graph.nodes)} operations>"

    def _repr_html_(self) -> str:
        return highlighted(str(self), comment="//")

    def bytecode(self, version: str | None = None) -> bytes:
        """The module as a portable artifact: StableHLO bytecode that later libraries read too.

        Arguments:
            version: of StableHLO, as `1.0.0`; None for the one that libraries of the last four weeks can read.

        Raises:
            ArgumentError: there is no such version, or an operation is not in it.
        """
        _check_version(version)
        try:
            return carrier.portable_artifact(self._text, version)
        except ValueError as error:
            raise ArgumentError(
                f"{self.graph.name} cannot be written in StableHLO {version}: {error}", hint="name a later version"
            ) from error

    def hlo(self) -> str:
        """XLA's HLO, before any optimisation."""
        return carrier.hlo_text(self._text)

    def cost(self) -> Cost:
        """Floating-point operations and bytes of every primitive, as the graph says; see `Compiled.cost` for XLA's."""
        return cost_of(self.graph)

    def compile(self, options: dict[str, Any] | None = None) -> Compiled:
        """Have XLA compile it for the first device of its platform.

        Arguments:
            options: XLA's own, by name: `{"xla_cpu_enable_fast_math": True}`.

        Raises:
            ArgumentError: there is no such device here, or XLA does not know an option.
        """
        here = carrier.available_platforms()
        if self.platform not in here:
            raise ArgumentError(
                f"{self.graph.name} is lowered for {self.platform}, and there is no such device here",
                hint=f"lower it with platform={here[0]!r}; here are: {', '.join(here)}",
            )
        return Compiled(self, options)


def _check_version(version: str | None) -> None:
    oldest, newest = carrier.stablehlo_versions()
    if version is None:
        return
    try:
        number = [int(part) for part in version.split(".")]
    except (AttributeError, ValueError):
        number = []
    if len(number) != 3 or not _numbers(oldest) <= number <= _numbers(newest):
        raise ArgumentError(
            f"{version!r} is no version of StableHLO that can be written here", hint=f"from {oldest!r} to {newest!r}"
        )


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


class Compiled:
    """What XLA made of a module. Calling it runs it, with arguments of exactly the types it was lowered for.

    Arguments:
        lowered: the module.
        options: XLA's own, by name.
    """

    def __init__(self, lowered: Lowered, options: dict[str, Any] | None = None):
        self.lowered = lowered
        self.options = dict(options or {})
        self._executable = self._compiled(self.options)

    def _compiled(self, options: dict[str, Any]) -> Any:
        graph = self.lowered.graph
        module = carrier.Module(
            graph.name,
            functools.partial(emit, graph, to_run=not self.lowered.donated),
            graph.input_names,
            tuple(y.type for y in graph.outputs),
            show=show,
            layout=self.lowered.layout,
        )
        types, lowered = [x.type for x in graph.inputs], self.lowered
        ahead = carrier.lower_ahead(module, types, lowered.platform, lowered.donated, lowered.placements)
        try:
            return carrier.compile_ahead(ahead, options or None)
        except (RuntimeError, TypeError, ValueError) as error:
            if not options:
                raise
            raise ArgumentError(f"XLA does not take the options {options}: {error}", hint="see XLA's flags") from error

    def __repr__(self) -> str:
        return f"<Compiled {self.lowered.graph.name} for {self.lowered.platform}>"

    def hlo(self) -> str:
        """The optimised HLO."""
        return self._executable.as_text()

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.hlo())}</pre>"

    @functools.cached_property
    def _dump(self) -> dict[str, str]:
        """What XLA writes down when it compiles, by file name without the module's number."""
        with tempfile.TemporaryDirectory() as folder:
            self._compiled({**self.options, "xla_dump_to": folder})
            files = sorted(Path(folder).iterdir())
            return {f.name.partition(".")[2]: f.read_text(errors="replace") for f in files if f.suffix in _WRITTEN}

    def llvm_ir(self, *, optimized: bool = True) -> str:
        """The LLVM modules, one after the other, after or before LLVM's optimisation (CPU and GPU)."""
        wanted = "ir-with-opt.ll" if optimized else "ir-no-opt.ll"
        found = {name: text for name, text in self._dump.items() if name.endswith(wanted)}
        if not found:
            raise UnsupportedError(
                f"XLA gives no LLVM code for {self.lowered.graph.name} on {self.lowered.platform}",
                # xla_dump_emitter_re=.* would bring it back, but aborts the process in one of a hundred compilations
                hint="jaxlib 0.10 gives it, on CPU and GPU, of programs that compute something; later ones do not",
            )
        return "\n".join(f"; {name}\n{text}" for name, text in found.items())

    def ptx(self) -> str:
        """The PTX assembly (CUDA only)."""
        found = {name: text for name, text in self._dump.items() if name.endswith(".ptx")}
        if not found:
            raise UnsupportedError(
                f"XLA gives no PTX for {self.lowered.graph.name} on {self.lowered.platform}", hint="PTX is CUDA's"
            )
        return "\n".join(f"// {name}\n{text}" for name, text in found.items())

    def cost(self) -> Cost:
        """Floating-point operations and bytes: of every primitive, as the graph says, and XLA's own estimate."""
        return cost_of(self.lowered.graph, dict(self._executable.cost_analysis() or {}))

    def memory(self) -> dict[str, int]:
        """Sizes in bytes: of arguments, outputs, outputs that are put in the place of donated arguments, temporaries
        and code."""
        stats = self._executable.memory_analysis()
        return {
            "arguments": stats.argument_size_in_bytes,
            "outputs": stats.output_size_in_bytes,
            "reused": stats.alias_size_in_bytes,
            "temporaries": stats.temp_size_in_bytes,
            "code": stats.generated_code_size_in_bytes,
        }

    def machine_code(self) -> bytes:
        """What XLA has compiled, as bytes."""
        return carrier.serialize_ahead(self._executable)

    def serialize(self) -> bytes:
        """The machine code with all that calling it takes, for `lilith.load_compiled` on machines of this kind with the
        same jaxlib; `lilith.export` writes programs that travel."""
        return self.lowered.calling.pack(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it."""
        calling = self.lowered.calling
        given = calling.take(args, kwargs)
        return calling.give(carrier.call_ahead(self._executable, [*given, *calling.constants]), given)


_WRITTEN = frozenset({".ll", ".ptx"})
