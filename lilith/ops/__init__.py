"""The primitives, by family. Importing this package fills the registry."""

from lilith.ops import (
    bessel,
    control,
    conv,
    elementwise,
    factorization,
    fft,
    incomplete_beta,
    incomplete_gamma,
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
    "bessel",
    "control",
    "conv",
    "elementwise",
    "factorization",
    "fft",
    "incomplete_beta",
    "incomplete_gamma",
    "indexing",
    "linalg",
    "pooling",
    "random",
    "reduction",
    "shape",
    "sorting",
    "special",
]
