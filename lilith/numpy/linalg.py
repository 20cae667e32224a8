"""numpy.linalg, also of traced arrays: NumPy's own functions, which find the rules."""

from numpy.linalg import *  # noqa: F403
