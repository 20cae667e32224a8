"""StableHLO for indexing."""

from __future__ import annotations

from lowering.emit import RULES
from lowering.rules.shape import attributed

RULES["slice"] = attributed(
    "stablehlo.slice", {"start_indices": "start", "limit_indices": "limit", "strides": "stride"}
)
