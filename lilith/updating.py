"""Steps along a gradient: a structure with every differentiated array replaced, as a new one or in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lilith import tree
from lilith.result import GradResult
from lilith.signature import declared_static, describe
from lilith.source import ArgumentError, DtypeError, ShapeError
from lilith.tracer import Tracer
from lowering.carrier import JaxTracer
from lowering.runtime import PYTHON


class _Step(NamedTuple):
    """One leaf and what the rule made of it."""

    path: str
    old: Any
    new: Any


def update(structure: Any, gradients: Any, rule: Callable[..., Any], *others: Any) -> Any:
    """A structure whose leaves are `rule(w, dw, ...)`; leaves without a gradient stay as they are.

    Arguments:
        structure: a model: any structure, or one array or number. It is not changed.
        gradients: its gradient, of the same structure: `g[0]`. None, here or in the place of a part, means no gradient.
        rule: `(leaf, its gradient, the others' leaves ...) -> new leaf`, of the leaf's shape. Called once for an array
            that is found in several places: it stays one array (tied weights stay tied).
        others: more structures of the same kind, such as momenta.

    Returns:
        A new structure of the same classes. Every leaf keeps its dtype, as in `w -= step`: a float32 array stays
        float32 whatever the rule is made of. Python floats stay Python floats.

    Raises:
        ArgumentError: the structures differ.
        ShapeError: the rule changes a leaf's shape.
        DtypeError: the rule's result does not fit the leaf's dtype (complex for a real leaf).

    >>> import numpy as np, lilith
    >>> model = {"w": np.array([1.0, 2.0]), "name": "line"}
    >>> value, g = lilith.grad(lambda m: np.sum(m["w"] ** 2), model)
    >>> lilith.update(model, g[0], lambda w, dw: w - 0.25 * dw)
    {'w': array([0.5, 1. ]), 'name': 'line'}
    """
    leaves, shape = tree.flatten(structure)
    steps = _steps(structure, leaves, shape, gradients, rule, others)
    return tree.unflatten(shape, [leaf if step is None else step.new for leaf, step in zip(leaves, steps, strict=True)])


def update_(structure: Any, gradients: Any, rule: Callable[..., Any], *others: Any) -> None:
    """`update` in place: the structure itself has the new leaves afterwards.

    NumPy arrays are written into, so that whoever holds the same array (a tied weight, an optimiser) sees the step.
    Other leaves (Python floats, NumPy scalars, jax.Arrays) are put in place of the old ones in the list, dict or object
    that holds them. If anything is wrong, nothing has changed.

    Raises:
        ArgumentError: besides what `update` raises: a leaf sits in something that cannot be changed (a tuple, a frozen
            dataclass), an array is read-only, the structure is itself one number, or a number is an attribute of an
            object that is there twice: unlike an array it has a gradient for each of its places.

    >>> import numpy as np, lilith
    >>> model = {"w": np.array([1.0, 2.0]), "scale": 3.0}
    >>> w = model["w"]
    >>> value, g = lilith.grad(lambda m: m["scale"] * np.sum(m["w"]), model)
    >>> lilith.update_(model, g[0], lambda w, dw: w - 0.5 * dw)
    >>> w, model
    (array([-0.5,  0.5]), {'w': array([-0.5,  0.5]), 'scale': 1.5})
    """
    leaves, shape = tree.flatten(structure)
    steps = _steps(structure, leaves, shape, gradients, rule, others)
    homes = tree.holders(structure)
    planned = [(step, home) for step, home in zip(steps, homes, strict=True) if step is not None]
    _refuse_shared_numbers(planned)
    for step, home in planned:
        _check_place(step, home)
    for step, home in planned:
        if isinstance(step.old, np.ndarray):
            np.copyto(step.old, step.new, casting="same_kind")
        else:
            tree.put(home, step.new)


def _steps(
    structure: Any, leaves: list[Any], shape: Any, gradients: Any, rule: Callable[..., Any], others: tuple
) -> list[_Step | None]:
    """What the rule makes of every leaf; None for those that stay."""
    if isinstance(gradients, GradResult):
        raise ArgumentError(
            f"update takes the gradient of one argument, got {gradients!r}", hint="g[0] is that of the first argument"
        )
    paths = tree.paths(shape, "model")
    slopes = _matching(structure, shape, gradients, "the gradient")
    columns = [slopes, *[_matching(structure, shape, x, f"structure {i}") for i, x in enumerate(others, 3)]]
    apart = declared_static(shape, leaves)
    done: dict[int, _Step] = {}
    steps: list[_Step | None] = []
    for i, (leaf, path, row) in enumerate(zip(leaves, paths, zip(*columns, strict=True), strict=True)):
        if row[0] is None or i in apart or _is_static(leaf, row[0], path):
            steps.append(None)
            continue
        tree.check_there(leaf, path, "update: ")
        for x in row:
            tree.check_there(x, f"what is given for {path}", "update: ")
        step = done.get(id(leaf)) if tree.is_array(leaf) else None
        if step is None:
            step = done[id(leaf)] = _Step(path, leaf, _fitted(rule(leaf, *row), leaf, path))
        steps.append(step)
    return steps


def _is_static(leaf: Any, slope: Any, path: str) -> bool:
    """Whether a leaf is configuration; its gradient may then be None, or the same configuration."""
    if tree.is_dynamic(leaf):
        return False
    if tree.static_key(leaf) != tree.static_key(slope):
        raise ArgumentError(
            f"update: {path} is {leaf!r}, which is static, and has a gradient", hint="pass None as its gradient"
        )
    return True


def _matching(structure: Any, shape: Any, other: Any, name: str) -> list[Any]:
    """The leaves of another structure in this one's order; None stands for any part."""
    spread = tree.spread(other, structure, numbers=False)
    if spread is not None:
        return spread
    ours, theirs = tree.paths(shape, "model"), tree.paths(other, "model")
    missing = [p for p in ours if p not in theirs] or [p for p in theirs if p not in ours]
    where = f"; they differ at {missing[0]}" if missing else ""
    raise ArgumentError(
        f"update: {name} has another structure than the model ({type(other).__name__} beside "
        f"{type(structure).__name__}{where})",
        hint="pass g[0] for the model that was the first argument of grad, and None for what has no gradient",
    )


def _fitted(new: Any, leaf: Any, path: str) -> Any:
    """The rule's result with the leaf's shape and dtype, of its kind."""
    kind, type = describe(leaf)
    assert type is not None
    if not hasattr(new, "dtype") and not isinstance(new, (int, float, complex)):
        raise ArgumentError(
            f"update: the rule made {new!r} of {path}: {type}", hint="return one array of the same shape"
        )
    shape, dtype = np.shape(new), getattr(new, "dtype", None) or np.result_type(new)
    if shape != type.shape:
        raise ShapeError(f"update: the rule made shape {shape} of {path}: {type}", hint="it must keep the shape")
    if not isinstance(new, (Tracer, JaxTracer)) and not np.can_cast(dtype, type.dtype, "same_kind"):
        raise DtypeError(f"update: the rule made {dtype} of {path}: {type}", hint="convert it with .astype(...)")
    if kind == PYTHON:
        return new if isinstance(new, Tracer) else (float if type.dtype.kind == "f" else complex)(new)
    if dtype != type.dtype or not hasattr(new, "dtype"):
        new = new.astype(type.dtype) if hasattr(new, "astype") else np.asarray(new, type.dtype)[()]
    return new


def _refuse_shared_numbers(planned: list[tuple[_Step, tree.Holder]]) -> None:
    """The error for a number that would be given two new values, of an object that is in two places."""
    first: dict[tuple[int, Any], str] = {}
    for step, home in planned:
        if tree.is_array(step.old):
            continue
        other = first.setdefault((id(home.container), home.key), step.path)
        if other is not step.path:
            raise ArgumentError(
                f"update_: {step.path} and {other} are the same number of one object, with two gradients",
                hint="make it an array, np.array(0.5): an array in two places has one gradient",
            )


def _check_place(step: _Step, home: tree.Holder) -> None:
    if isinstance(step.old, np.ndarray):
        if not step.old.flags.writeable:
            raise ArgumentError(
                f"update_: {step.path} is a read-only array", hint="model = lilith.update(model, ...) makes a new model"
            )
    elif (reason := tree.unchangeable(home)) is not None:
        raise ArgumentError(
            f"update_: {step.path} is {reason}", hint="model = lilith.update(model, ...) makes a new model"
        )
