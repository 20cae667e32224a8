"""Where the leaves of a structure are kept, so that they can be replaced there."""

from __future__ import annotations

from typing import Any, NamedTuple

from lilith.tree.structure import flatten, is_leaf_class, take_apart


class Holder(NamedTuple):
    """The container or object that holds a leaf, and under which key or attribute.

    Attributes:
        container: None where the leaf is the whole structure.
        is_item: whether it is held by `container[key]`, as opposed to `container.key`.
        leaf: what is held.
    """

    container: Any
    key: Any
    is_item: bool
    leaf: Any


def holders(structure: Any) -> list[Holder]:
    """The holder of every leaf, in `flatten`'s order.

    >>> [(h.key, h.leaf) for h in holders({"a": [1.0, 2.0], "b": None})]
    [(0, 1.0), (1, 2.0), ('b', None)]
    """
    flatten(structure)  # sorts its classes into leaves and others
    found: list[Holder] = []
    pending = [Holder(None, None, False, structure)]
    while pending:
        holder = pending.pop()
        x = holder.leaf
        if is_leaf_class(type(x)):
            found.append(holder)
            continue
        children, keys, count = _opened(x)
        held = [Holder(x, key, i < count, child) for i, (key, child) in enumerate(zip(keys, children, strict=True))]
        pending += reversed(held)
    return found


def _opened(x: Any) -> tuple[list[Any], list[Any], int]:
    """Children, their keys or attribute names, and how many of them are items."""
    children, _, steps = take_apart(x)
    if isinstance(x, dict):
        keys: list[Any] = list(dict.keys(x))
    else:
        keys = list(range(len(x))) if isinstance(x, (list, tuple)) or hasattr(x, "appendleft") else []
    count = len(keys)
    return children, [*keys, *[step[1:] for step in steps[count:]]], count


def put(holder: Holder, value: Any) -> None:
    """Replace a leaf where it is held.

    Raises:
        whatever the container raises that does not let itself be changed.
    """
    if holder.is_item:
        holder.container[holder.key] = value
    else:
        setattr(holder.container, holder.key, value)


def unchangeable(holder: Holder) -> str | None:
    """Why a leaf cannot be replaced; None where it can. Tried out by putting the leaf itself there."""
    if holder.container is None:
        return "not held by anything"
    try:
        put(holder, holder.leaf)
    except Exception as error:  # a class's own __setattr__ may raise anything
        return f"held by a {type(holder.container).__name__} that cannot be changed ({type(error).__name__}: {error})"
    return None


def spread(x: Any, like: Any, numbers: bool = True) -> list[Any] | None:
    """The leaves of x, one for each of the structure `like`; None if they do not fit.

    A None in x may stand for a whole part of that structure; with `numbers`, any leaf of x may.

    >>> spread({"a": None, "b": 2}, {"a": [1.0, 1.0], "b": 3.0})
    [None, None, 2]
    """
    flatten(x), flatten(like)  # sorts their classes into leaves and others
    if is_leaf_class(type(like)):
        return [x] if is_leaf_class(type(x)) else None
    if is_leaf_class(type(x)):
        return [x] * len(flatten(like)[0]) if numbers or x is None else None
    (children, rest, _), (parts, other, _) = take_apart(x), take_apart(like)
    if rest != other:
        return None
    found: list[Any] = []
    for child, part in zip(children, parts, strict=True):
        below = spread(child, part, numbers)
        if below is None:
            return None
        found += below
    return found
