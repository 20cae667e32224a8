"""numpy.fft, also of traced arrays: NumPy's own functions, which find the rules, and the standard's `dtype`."""

from typing import Any

import numpy as np
from numpy.fft import *  # noqa: F403

from lilith.numpy.core import check_device


def fftfreq(  # type: ignore[no-redef]
    n: int, d: Any = 1.0, *, dtype: Any = None, device: Any = None
) -> Any:
    """numpy.fft.fftfreq with the Array API's `dtype`; d may be traced.

    >>> fftfreq(4, d=0.5)
    array([ 0. ,  0.5, -1. , -0.5])
    """
    check_device(device, "fft.fftfreq")
    y = np.fft.fftfreq(n, d)
    return y if dtype is None else y.astype(dtype)


def rfftfreq(  # type: ignore[no-redef]
    n: int, d: Any = 1.0, *, dtype: Any = None, device: Any = None
) -> Any:
    """numpy.fft.rfftfreq with the Array API's `dtype`; d may be traced.

    >>> rfftfreq(4, d=0.5)
    array([0. , 0.5, 1. ])
    """
    check_device(device, "fft.rfftfreq")
    y = np.fft.rfftfreq(n, d)
    return y if dtype is None else y.astype(dtype)
