"""What an eval offers: functions with their pre- and post-processing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Task(NamedTuple):
    """A function of an eval; only `run` is timed.

    Attributes:
        prepare: from the message's input, parsed JSON, to the arguments of `run`.
        run: the function itself, from arrays to arrays.
        report: from the result of `run` to JSON.
    """

    prepare: Callable[[Any], tuple[Any, ...]]
    run: Callable[..., Any]
    report: Callable[[Any], Any]


def arrays(*names: str) -> Callable[[Any], tuple[Any, ...]]:
    """A `prepare` that takes these fields of the input, lists as float64 arrays and numbers as they are."""

    def prepare(given: Any) -> tuple[Any, ...]:
        return tuple([np.array(given[n], np.float64) if isinstance(given[n], list) else given[n] for n in names])

    return prepare


def listed(result: Any) -> Any:
    """A `report` of one array: nested lists."""
    return np.asarray(result).tolist()
