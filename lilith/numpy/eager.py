"""Functions of arrays that are written over Values, and work on plain arrays too."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from lilith.guards import Knowledge
from lilith.ir.graph import Value
from lilith.numpy.core import wrap
from lilith.trace import Trace, contains_tracer, current_trace

Rule = TypeVar("Rule", bound=Callable[..., Any])


def array_function(rule: Rule) -> Rule:
    """Decorator: a rule over Values becomes a function of arrays.

    With a tracer among its arguments it is recorded. Without, it is computed at once, in NumPy, node by node.
    """

    @functools.wraps(rule)
    def call(*args: Any, **kwargs: Any) -> Any:
        if contains_tracer([*args, *kwargs.values()]):
            current_trace()
            return wrap(rule(*args, **kwargs))
        with Trace(rule.__name__) as trace:
            trace.knowledge = Knowledge(trace, {})
            return _plain(trace, rule(*args, **kwargs))

    return call  # type: ignore[return-value]


def _plain(trace: Trace, y: Any) -> Any:
    """Results as NumPy arrays that the caller may write to; scalars as NumPy scalars."""
    if isinstance(y, tuple):
        return tuple([_plain(trace, item) for item in y])
    if not isinstance(y, Value):
        return y
    array = trace.known(y)
    return array[()] if array.ndim == 0 else array if array.flags.writeable else array.copy()
