"""The primitives, by family. Importing this package fills the registry."""

from lilith.ops import control, elementwise, indexing, linalg, reduction, shape

__all__ = ["control", "elementwise", "indexing", "linalg", "reduction", "shape"]
