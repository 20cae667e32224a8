"""The plan of the house: imports go one way, only the carrier knows JAX, files and functions stay small."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(p for package in ("lilith", "lowering") for p in (ROOT / package).rglob("*.py"))

# from the ground up: a module may import from its own level and from those before it
LEVELS = [
    {"lilith.ir"},
    {"lilith.source", "lilith.config", "lilith.remedies"},
    {"lilith.tracer", "lilith.ndarray", "lilith.tree", "lilith.guards"},
    {"lilith.trace", "lilith.captures", "lilith.randomness"},
    {"lilith.ops"},
    {"lilith.transform"},
    {"lilith.numpy", "lilith.special", "lilith.random", "lilith.linalg"},
    {"lilith.nn"},
    {"lowering"},
    {"lilith.signature", "lilith.result", "lilith.straight"},
    {"lilith.updating", "lilith.saving", "lilith.placement"},
    {"lilith.asked"},
    {"lilith.donating"},
    {"lilith.buffers"},
    {"lilith.derive"},
    {"lilith.bodies"},
    {"lilith.callpath", "lilith.explain", "lilith.interpreted", "lilith.dump"},
    {"lilith.program"},
    {"lilith.executable"},
    {"lilith.paths", "lilith.cache", "lilith.merging"},
    {"lilith.compile"},
    {"lilith.pullback", "lilith.why"},
    {"lilith.modes"},
    {"lilith.mapping"},
    {"lilith.files"},
    {"lilith.api", "lilith.control", "lilith.associative"},
    {"lilith.nested"},
    {"lilith.transforms", "lilith.checkpointing", "lilith.customizing"},
    {"lilith.testing", "lilith.minimizing"},
    {"lilith"},
    {"lilith.demos"},
    {"lilith.cli"},
    {"lilith.__main__"},
]
LOWERING_KNOWS = ("lilith.ir", "lilith.source", "lilith.ops", "lowering")


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def level(module: str) -> int:
    for i, names in enumerate(LEVELS):
        if any(module == name or (name != "lilith" and module.startswith(name + ".")) for name in names):
            return i
    raise AssertionError(f"{module} has no place in the plan: add it to LEVELS")


def imports(path: Path, top_level_only: bool = True) -> list[str]:
    """The modules a file imports when it is imported itself (imports inside of functions run later)."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [
                f"{node.module}.{a.name}" if (ROOT / node.module.replace(".", "/")).is_dir() else node.module
                for a in node.names
            ]
    return found


def own(module: str) -> str:
    """`lilith.ir.graph.Graph` -> `lilith.ir.graph`; names of packages stay."""
    parts = module.split(".")
    while parts and not ((ROOT / "/".join(parts)).is_dir() or (ROOT / "/".join(parts)).with_suffix(".py").exists()):
        parts.pop()
    return ".".join(parts)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_go_one_way(path):
    me = module_name(path)
    for target in imports(path):
        if target.split(".")[0] in ("lilith", "lowering"):
            target = own(target)
            assert level(target) <= level(me), f"{me} imports {target}"
            if me.startswith("lowering"):
                assert target.startswith(LOWERING_KNOWS), f"{me} imports {target}: lowering knows only {LOWERING_KNOWS}"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_only_the_carrier_knows_jax(path):
    if module_name(path).startswith("lowering.carrier"):
        return
    for target in imports(path, top_level_only=False):
        assert target.split(".")[0] not in ("jax", "jaxlib"), f"{path} imports {target}"


def test_every_package_is_installed():
    """A package that pyproject.toml does not name works in a clone only."""
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(named) == sorted({".".join(path.relative_to(ROOT).parent.parts) for path in FILES})


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert text.count("\n") <= 520, f"{path} has {text.count(chr(10))} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body:
                lines = (body[-1].end_lineno or 0) - body[0].lineno + 1
                assert lines <= 45, f"{path}:{node.lineno} {node.name} has {lines} lines"
