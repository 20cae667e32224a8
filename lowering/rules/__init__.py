"""StableHLO for every primitive, in the same families as `lilith.ops`."""

from lowering.rules import (
    control,
    conv,
    cumulative,
    elementwise,
    factorization,
    fft,
    indexing,
    linalg,
    matrix_functions,
    nested,
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
    "cumulative",
    "elementwise",
    "factorization",
    "fft",
    "indexing",
    "linalg",
    "matrix_functions",
    "nested",
    "random",
    "reduction",
    "shape",
    "solving",
    "sorting",
    "special",
]
