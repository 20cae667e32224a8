"""StableHLO for every primitive, in the same families as `lilith.ops`."""

from lowering.rules import control, elementwise, indexing, linalg, reduction, shape

__all__ = ["control", "elementwise", "indexing", "linalg", "reduction", "shape"]
