"""The primitives, by family. Importing this package fills the registry."""

from lilith.ops import (
    control,
    conv,
    elementwise,
    factorization,
    fft,
    indexing,
    linalg,
    matrix_functions,
    pooling,
    random,
    reduction,
    shape,
    solving,
    sorting,
    special,
)

__all__ = [
    "control",
    "conv",
    "elementwise",
    "factorization",
    "fft",
    "indexing",
    "linalg",
    "matrix_functions",
    "pooling",
    "random",
    "reduction",
    "shape",
    "solving",
    "sorting",
    "special",
]
