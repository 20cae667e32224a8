"""`LILITH_DUMP=folder`: every program that is compiled, written down in five stages."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lilith.derive import Derivation
from lilith.ir.graph import Graph
from lilith.source import LilithWarning
from lowering.stages import Lowered

STAGES = ("1_graph.txt", "2_gradient.txt", "3_simplified.txt", "4_stablehlo.mlir", "5_optimized.hlo")
"""What the function does, its gradient as derived, simplified, as a StableHLO module, as XLA compiled it."""

_warned: set[str] = set()


def write_stages(
    folder: str, derivation: Derivation, packed: Graph, placements: Sequence[Any], layout: Sequence[int | None]
) -> None:
    """Write `0001_my_loss.1_graph.txt` to `0001_my_loss.5_optimized.hlo`; the next program gets the next free number.

    Arguments:
        packed: the graph that runs: `derivation.graph` with small arrays joined.
        placements: how each of its inputs is sharded, None for those that are not.
        layout: where its outputs are put then.

    A folder that cannot be written is warned of once; the user's program goes on.
    """
    name = re.sub(r"\W+", "_", packed.name).strip("_") or "program"
    lowered = Lowered(packed, placements=placements, layout=layout)
    traced, gradient = derivation.stages or (derivation.graph, derivation.graph)
    texts = (
        str(traced),
        str(gradient),
        str(derivation.graph),
        lowered.stablehlo(locations=True),
        lowered.compile().hlo(),
    )
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        first = _next_free(Path(folder), name)
        for stage, text in zip(STAGES, texts, strict=True):
            first.with_name(f"{first.name}.{stage}").write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    except OSError as error:
        if folder not in _warned:
            _warned.add(folder)
            warnings.warn(f"LILITH_DUMP: {folder} cannot be written: {error}", LilithWarning, stacklevel=2)


def _next_free(folder: Path, name: str) -> Path:
    """`folder/0001_name` with the lowest number above all that are there, claimed against other processes."""
    taken = [int(f.name[:4]) for f in folder.iterdir() if re.match(r"\d{4}_", f.name)]
    for number in itertools.count(max(taken, default=0) + 1):
        path = folder / f"{number:04d}_{name}"
        try:
            path.with_name(f"{path.name}.{STAGES[0]}").open("x").close()
        except FileExistsError:
            continue
        return path
    raise AssertionError("there is always a next number")
