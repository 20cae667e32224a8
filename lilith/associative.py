"""associative_scan: all partial results of an associative operation, in about 2 sqrt(n) steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.bodies import Parts, check_structure
from lilith.compile import run
from lilith.control import JIT, scan
from lilith.derive import function_name
from lilith.source import ShapeError
from lilith.trace import current_trace, is_tracing
from lilith.tracer import Tracer


def associative_scan(f: Callable[[Any, Any], Any], elems: Any, *, reverse: bool = False, axis: int = 0) -> Any:
    """All partial results x_0, f(x_0, x_1), f(f(x_0, x_1), x_2), ... of an associative operation.

    Arguments:
        f: `f(a, b)` combines many pairs at once: its arguments are of the structure of `elems`, with the same number of
            elements along `axis`, and so is its result.
        elems: a structure of arrays with the same size along `axis`.
        reverse: from the last element to the first.

    The elements are cut into about sqrt(n) blocks that are gone through side by side; then the blocks' totals are, and
    every block is combined with the total of those before it: 2n operations in 2 sqrt(n) steps.

    >>> import numpy as np, lilith
    >>> lilith.associative_scan(np.multiply, np.array([1.0, 2.0, 3.0, 4.0]))
    array([ 1.,  2.,  6., 24.])
    """
    if not is_tracing():
        return run(lambda x: associative_scan(f, x, reverse=reverse, axis=axis), JIT, (elems,), {})
    parts = Parts.of(elems, "elems", ints=False)
    trace = current_trace()
    arrays: list[Any] = [Tracer(trace.lift(x), trace) for x in parts.arrays]
    sizes = {}
    for path, x in zip(parts.array_paths, arrays, strict=True):
        if not -x.ndim <= axis < x.ndim:
            raise ShapeError(f"associative_scan: {path} is {x.value.type}, it has no axis {axis}", hint="axis=0")
        sizes[path] = x.shape[axis]
    if len(set(sizes.values())) != 1:
        text = ", ".join([f"{path}: {n}" for path, n in sizes.items()]) or "no arrays"
        raise ShapeError(f"associative_scan: the sizes along axis {axis} differ ({text})", hint="one element for each")

    def combine(a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
        """f on lists of arrays with the elements along their first axis."""
        sides = [parts.with_arrays([np.moveaxis(x, 0, axis) for x in side]) for side in (a, b)]
        result = Parts.of(f(*sides), "elems", ints=False)
        check_structure("associative_scan", parts, result, f"what {function_name(f)} gives", "elems")
        return [np.moveaxis(x, axis, 0) for x in result.arrays]

    combine.__name__ = function_name(f)
    fronts = [np.moveaxis(x, axis, 0) for x in arrays]
    fronts = [np.flip(x, 0) for x in fronts] if reverse else fronts
    out = _partial_results(combine, fronts) if next(iter(sizes.values())) else fronts
    out = [np.flip(x, 0) for x in out] if reverse else out
    return parts.with_arrays([np.moveaxis(x, 0, axis) for x in out])


_ONE_BLOCK = 16


def _partial_results(combine: Callable[..., list[Any]], arrays: list[Any]) -> list[Any]:
    n = arrays[0].shape[0]
    length = n if n <= _ONE_BLOCK else math.isqrt(n - 1) + 1
    count = -(-n // length)
    if count * length > n:  # elements at the end change nothing before them
        ends = [np.repeat(x[-1:], count * length - n, 0) for x in arrays]
        arrays = [np.concatenate([x, end]) for x, end in zip(arrays, ends, strict=True)]
    blocks = [np.swapaxes(np.reshape(x, (count, length, *x.shape[1:])), 0, 1) for x in arrays]

    def step(carry: list[Any], row: list[Any]) -> tuple[list[Any], list[Any]]:
        out = combine(carry, row)
        return out, out

    step.__name__ = combine.__name__
    first = [x[0] for x in blocks]
    totals, rest = scan(step, first, [x[1:] for x in blocks])
    within = [np.concatenate([x[None], y]) for x, y in zip(first, rest, strict=True)]
    flat = [np.reshape(np.swapaxes(x, 0, 1), (count * length, *x.shape[2:])) for x in within]
    if count == 1:
        return [x[:n] for x in flat]
    before = [np.repeat(x[:-1], length, 0) for x in _partial_results(combine, totals)]
    others = combine(before, [x[length:] for x in flat])
    return [np.concatenate([x[:length], y])[:n] for x, y in zip(flat, others, strict=True)]
