"""Pullback: the second half of vjp, run once per cotangent on what the forward pass has kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from lilith.asked import check_cotangent, cotangent_key, cotangent_leaves
from lilith.callpath import pull_path
from lilith.compile import bind_derivation, inline_derivation
from lilith.config import config
from lilith.derive import Derivation, given_values
from lilith.executable import Executable
from lilith.interpreted import run_interpreted
from lilith.ir.graph import Source
from lilith.result import GradResult
from lilith.straight import MISS
from lilith.tracer import Tracer
from lowering.carrier import ArrayImpl, JaxTracer

Pullback = Callable[[Any], GradResult]


def _no_fast_path(residuals: Sequence[Any], g: Any) -> Any:
    return MISS


class PullbackPlan:
    """What all pullbacks of one compiled vjp share: the graph from residuals and cotangent to gradients, its programs.

    Arguments:
        derivation: inputs are the residuals, then the cotangent's arrays.
        name: of the function.
        types: of the leaves of its value (the object for static ones), `structure` and `source`: what a cotangent must
            fit to.
    """

    def __init__(self, derivation: Derivation, name: str, types: list[Any], structure: Any, source: Source | None):
        self.derivation = derivation
        self.name = name
        self.types = types
        self.structure = structure
        self.source = source
        self.fast: Callable[[Sequence[Any], Any], Any] = _no_fast_path
        self._programs: dict[tuple, Executable] = {}
        self._lock = threading.Lock()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:  # written out: captured in a function, a plan is part of the key as it is
        return id(self)

    def bound(self, value: tuple[Any, list[Any]]) -> tuple[Any, Pullback]:
        """`(y, pullback)` from the value and the residuals."""
        y, residuals = value
        plan = self

        # a function, so that the residuals, in its closure, are inputs of a program that calls it
        def pullback(g: Any) -> GradResult:
            """The GradResult of `sum(g * y)`; g has the structure of y, None for what has no derivative."""
            result = plan.fast(residuals, g)
            return plan.run(residuals, g) if result is MISS else result

        return y, pullback

    def run(self, residuals: Sequence[Any], cotangent: Any) -> GradResult:
        """The gradients for one cotangent."""
        key = cotangent_key(cotangent)
        program = self._programs.get(key)
        given = cotangent_leaves(cotangent)
        if program is None:
            check_cotangent(self.name, cotangent, self.types, self.structure, self.source)
        inputs = [*residuals, *given]
        if any(isinstance(x, Tracer) for x in inputs):
            return inline_derivation(self.derivation, list(residuals), cotangent)
        if any(isinstance(x, JaxTracer) for x in inputs):
            return bind_derivation(self.derivation, list(residuals), cotangent)
        values = given_values(self.derivation, given)
        if config.interpret:
            return run_interpreted(self.derivation, [*residuals, *values])
        if program is None:
            with self._lock:
                program = self._programs.get(key)
                if program is None:
                    program = self._programs[key] = Executable(self.derivation, residuals, given, {})
        elif program.fast_plan is not self and all(x.__class__ is ArrayImpl for x in residuals):
            program.fast_plan = self
            self.fast = pull_path(program.layout, self.derivation, residuals, cotangent) or self.fast
        return program.run(residuals, values)
