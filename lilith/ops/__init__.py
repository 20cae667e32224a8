"""The primitives, by family. Importing this package fills the registry."""

from lilith.ops import (
    control,
    conv,
    cumulative,
    elementwise,
    factorization,
    fft,
    indexing,
    linalg,
    pooling,
    random,
    reduction,
    shape,
    sorting,
    special,
)

__all__ = [
    "control",
    "conv",
    "cumulative",
    "elementwise",
    "factorization",
    "fft",
    "indexing",
    "linalg",
    "pooling",
    "random",
    "reduction",
    "shape",
    "sorting",
    "special",
]
