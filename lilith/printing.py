"""lilith.print: show arrays from inside of a compiled program."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def show(format: str, *arrays: Any) -> None:
    """Write one line to standard output; scalars are formatted as numbers, so `{:.3f}` works."""
    values = [a.item() if isinstance(a, np.ndarray) and a.ndim == 0 and a.dtype.kind != "V" else a for a in arrays]
    sys.stdout.write(format.format(*values) + "\n")
