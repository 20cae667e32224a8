"""What rows of the table do not say: precision, keywords of ufuncs, static answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.agreement import BF16, evaluate


@pytest.mark.parametrize("dtype", [np.float16, BF16], ids=str)
def test_small_floats_are_summed_in_float32(dtype: Any) -> None:
    x = np.full(4096, 1.0, dtype)
    assert evaluate(lambda x: np.sum(x), x)[0] == 4096 and evaluate(lambda x: x.mean(), x)[0].dtype == dtype
    assert evaluate(lambda x: np.cumsum(x), x)[0][-1] == 4096
