"""The command line: look at what a function becomes, run it, export it."""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lilith import demos
from lilith.api import grad, jit, lower, lower_grad, trace, trace_grad
from lilith.files import export, load_program
from lilith.ir.type import TensorType, parse_type
from lilith.result import GradResult
from lilith.source import LilithError
from lowering.emit import PLATFORMS

_EXAMPLES = """
targets:
  losses.py:my_loss           a function in a file
  package.module:my_loss      a function in a module that can be imported
  saved.lilith                a program that lilith export wrote (for run)

arguments, one --arg for each, in order; --arg name=VALUE for a keyword:
  'f64[10]'                   a type: no data is needed (not for run)
  3.0  3  '[1.0, 2.0]'        a Python number or literal; ints are static
  data.npy                    an array
  params.npz                  a dict of arrays;  params.npz:W  one of them

examples:
  lilith show losses.py:my_loss --arg 'f64[10]' --arg 'f64[10]'
  lilith stablehlo losses.py:my_loss --arg 'f32[10]' --arg 'f32[10]' --platform tpu -o loss.mlir
  lilith optimized losses.py:my_loss --value --arg 'f64[10]' --arg 'f64[10]' | grep fusion
  lilith dot losses.py:my_loss --arg 'f64[10]' --arg 'f64[10]' | dot -Tsvg > loss.svg
  lilith run losses.py:my_loss --arg y_pred.npy --arg y_true.npy -o gradients.npz
"""


class UsageError(Exception):
    """A command line that asks for what is not there."""


# ---- what is asked about -------------------------------------------------------------------------------------------


def load_function(target: str) -> Callable[..., Any]:
    """The function that `FILE.py:FUNC` or `package.module:FUNC` names."""
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise UsageError(f"{target!r} names no function: write FILE.py:FUNC or package.module:FUNC")
    module = _file_module(place) if place.endswith(".py") else _imported(place)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            functions = [n for n, x in vars(module).items() if callable(x) and not n.startswith("_")]
            near = f"; it has {', '.join(sorted(functions)[:12])}" if functions else ""
            raise UsageError(f"{place} has no {name}{near}")
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"{target} is a {type(found).__name__}, not a function")
    return found


def _file_module(path: str) -> Any:
    """A Python file as a module; modules beside it can be imported, as when it is run."""
    if not os.path.isfile(path):
        raise UsageError(f"there is no file {path}")
    name = Path(path).stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file")
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _imported(name: str) -> Any:
    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise UsageError(f"there is no module {error.name}") from error
        raise


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def parse_argument(text: str) -> Any:
    """One `--arg`: a type, a file of arrays or a Python literal."""
    type = parse_type(text)
    if type is not None:
        return type
    path, colon, key = text.rpartition(":")
    if colon and path.endswith(".npz"):
        arrays = _load(path)
        if key not in arrays:
            raise UsageError(f"{path} has no array {key}; it has {', '.join(arrays)}")
        return arrays[key]
    if text.endswith((".npy", ".npz")):
        return _load(text)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise UsageError(
            f"--arg {text!r} is no type ('f64[10]'), no file of arrays (.npy, .npz) and no Python literal"
        ) from None


def _load(path: str) -> Any:
    try:
        found = np.load(path, allow_pickle=False)
        return {name: found[name] for name in found.files} if isinstance(found, np.lib.npyio.NpzFile) else found
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def parse_arguments(given: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments of the function."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if equals and name.isidentifier():
            kwargs[name] = parse_argument(value)
        elif kwargs:
            raise UsageError(f"--arg {text!r} follows a keyword argument: give it a name, or give it before")
        else:
            args.append(parse_argument(text))
    return args, kwargs


def _check_call(f: Callable[..., Any], name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):  # builtins and ufuncs have none
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise UsageError(f"{name}{signature}: {error}; give one --arg for each argument") from None


# ---- what is shown -------------------------------------------------------------------------------------------------


class _Request:
    """A function with arguments, and which stage of it is wanted."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.f = load_function(options.target)
        self.args, self.kwargs = parse_arguments(options.arg)
        _check_call(self.f, options.target.rpartition(":")[2], self.args, self.kwargs)

    def graph(self) -> Any:
        if self.options.value:
            return trace(self.f, *self.args, **self.kwargs)
        return trace_grad(self.f, *self.args, **self.wrt(), **self.kwargs)

    def wrt(self) -> dict[str, Any]:
        names = [int(w) if w.lstrip("-").isdigit() else w for w in self.options.wrt]
        return {"wrt": names[0] if len(names) == 1 else tuple(names)} if names else {}

    def lowered(self) -> Any:
        platform = {"platform": self.options.platform} if self.options.platform else {}
        if self.options.value:
            return lower(self.f, *self.args, **platform, **self.kwargs)
        return lower_grad(self.f, *self.args, **self.wrt(), **platform, **self.kwargs)

    def result(self) -> Any:
        for text, x in zip(self.options.arg, [*self.args, *self.kwargs.values()], strict=True):
            if isinstance(x, TensorType):
                raise UsageError(f"run needs data, and --arg {text} is a type: give a number or a .npy or .npz file")
        if self.options.value:
            return jit(self.f)(*self.args, **self.kwargs)
        return grad(self.f, *self.args, **self.wrt(), **self.kwargs)


def _stablehlo(options: argparse.Namespace) -> str | bytes:
    lowered = _Request(options).lowered()
    if options.bytecode:
        return lowered.bytecode()
    return lowered.stablehlo(generic=options.generic, locations=options.locations)


def _run(options: argparse.Namespace) -> str | dict[str, Any]:
    if options.target.endswith(".lilith"):
        args, kwargs = parse_arguments(options.arg)
        return _shown(load_program(options.target)(*args, **kwargs), options.output)
    return _shown(_Request(options).result(), options.output)


def _shown(result: Any, output: str | None) -> str | dict[str, Any]:
    """A result as lines `name = value`, or as arrays for a .npz file."""
    value, g = result if isinstance(result, tuple) and isinstance(result[-1], GradResult) else (result, None)
    named = {"value": value} | ({f"d {path}": x for path, x in g.paths().items()} if g is not None else {})
    if output is not None and output.endswith(".npz"):
        return {name.replace("d ", "d_", 1): x for name, x in named.items() if x is not None}
    return "\n".join(f"{name} = {x!r}" for name, x in named.items())


_STAGES: dict[str, tuple[str, Callable[[argparse.Namespace], Any]]] = {
    "show": ("the graph, a line per operation", lambda o: str(_Request(o).graph())),
    "stablehlo": ("the StableHLO module", _stablehlo),
    "hlo": ("XLA's HLO before optimisation", lambda o: _Request(o).lowered().hlo()),
    "optimized": ("the HLO that XLA made of it", lambda o: _Request(o).lowered().compile().hlo()),
    "llvm": ("the LLVM code that XLA made of it", lambda o: _Request(o).lowered().compile().llvm_ir()),
    "cost": ("operations and bytes, by the graph and by XLA", lambda o: str(_Request(o).lowered().compile().cost())),
    "memory": ("bytes of arguments, outputs, temporaries", lambda o: _table(_Request(o).lowered().compile().memory())),
    "dot": ("the graph in Graphviz's language", lambda o: _Request(o).graph().dot()),
    "run": ("the value and the gradients", _run),
}


def _table(numbers: dict[str, int]) -> str:
    return "\n".join(f"{name:<12} {number:>14,}" for name, number in numbers.items())


# ---- the command line ----------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="lilith",
        description="Gradients of Python functions, compiled by XLA: look at every stage, run, export.",
        epilog=_EXAMPLES,
        formatter_class=layout,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, _) in {**_STAGES, "export": ("write a program file", None)}.items():
        command = commands.add_parser(name, help=text, description=text, epilog=_EXAMPLES, formatter_class=layout)
        command.add_argument("target", metavar="TARGET", help="FILE.py:FUNC or package.module:FUNC")
        command.add_argument("--arg", action="append", default=[], metavar="VALUE", help="an argument (see below)")
        command.add_argument("--value", action="store_true", help="the function alone; default: value and gradient")
        command.add_argument("--wrt", action="append", default=[], metavar="NAME", help="differentiate by this alone")
        command.add_argument("--platform", choices=PLATFORMS, help="what it is lowered for (default: this machine)")
        command.add_argument("-o", "--output", metavar="FILE", help="write there instead of to standard output")
        if name == "stablehlo":
            command.add_argument("--generic", action="store_true", help="MLIR's generic form")
            command.add_argument("--locations", action="store_true", help="with the user's lines")
            command.add_argument("--bytecode", action="store_true", help="a portable artifact (binary)")
    examples = commands.add_parser(
        "demo",
        help="run an example",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"Run an example:\n\n{demos.listing()}",
    )
    examples.add_argument("name", nargs="?", default="tutorial", choices=list(demos.DEMOS), help="default: tutorial")
    examples.add_argument("--list", action="store_true", help="say what there is, a line each")
    examples.add_argument("--steps", type=_positive, help="passes over the data, or steps; starts of the mixture")
    examples.add_argument("--seed", type=int, help="of what is drawn at random")
    examples.add_argument("--out", metavar="FILE", help="where vae writes its picture")
    return parser


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code: 0, 1 where the program is wrong, 2 where the command line is."""
    options = _parser().parse_args(argv)
    if options.command == "demo":
        if options.list:
            print(demos.listing())
            return 0
        return demos.run(options.name, steps=options.steps, seed=options.seed, out=options.out)
    try:
        if options.command == "export":
            if options.output in (None, "-"):
                raise UsageError("export needs -o FILE")
            export(options.output, _Request(options).lowered())
        else:
            _write(_STAGES[options.command][1](options), options.output)
    except UsageError as error:
        print(f"lilith: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output has gone, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except LilithError as error:
        print(f"lilith: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except Exception:  # of the user's program
        traceback.print_exc()
        return 1
    return 0


def _write(content: str | bytes | dict[str, Any], output: str | None) -> None:
    if isinstance(content, dict):
        assert output is not None
        np.savez(output, allow_pickle=False, **content)
    elif output is None or output == "-":
        if isinstance(content, bytes):
            sys.stdout.buffer.write(content)
        else:
            sys.stdout.write(content if content.endswith("\n") else content + "\n")
        sys.stdout.flush()
    elif isinstance(content, bytes):
        Path(output).write_bytes(content)
    else:
        Path(output).write_text(content if content.endswith("\n") else content + "\n", encoding="utf-8")
