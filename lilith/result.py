"""GradResult: the gradients of one call, by position, by name, by field path."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

from lilith import tree
from lilith.signature import declared_static
from lilith.source import GradientError
from lowering.carrier import ArrayImpl, block_until_ready, register_pytree


class Labels:
    """What is known about the entries of a GradResult before any value is: the same object for every call of a program.

    Arguments:
        function: the function's name, for error texts.
        positions: argument position of each entry, None for keyword arguments.
        names: parameter name of each entry.
        asked: whether the entry's gradient was asked for (`wrt`).
        zeros: field paths of the leaves that the result does not depend on.
    """

    __slots__ = ("asked", "count", "function", "leading", "names", "places", "positions", "zeros")

    def __init__(
        self,
        function: str,
        positions: tuple[int | None, ...],
        names: tuple[str, ...],
        asked: tuple[bool, ...],
        zeros: frozenset[str],
    ):
        self.function = function
        self.positions = positions
        self.names = names
        self.asked = asked
        self.zeros = zeros
        self.count = sum(asked)
        self.leading = all(asked[: self.count])  # those asked for are the first
        # where an entry is by its position or its name, for those that were asked for
        self.places: dict[int | str, int] = {
            key: i
            for i, pair in enumerate(zip(positions, names, strict=True))
            if asked[i]
            for key in pair
            if key is not None
        }

    def __repr__(self) -> str:
        return f"Labels({', '.join(self.names)})"

    def _structure(self) -> tuple:
        return self.positions, self.names, self.asked

    def __eq__(self, other: object) -> bool:
        """Whether two results have the same entries, so that JAX's tree functions take them together."""
        return isinstance(other, Labels) and self._structure() == other._structure()

    def __hash__(self) -> int:
        return hash(self._structure())


class NotAskedError(GradientError, LookupError):
    """A gradient that is not in the result."""


class GradResult:
    """The gradients of one call, one entry per argument that was asked for.

    `g[0]` is the gradient for the first argument, `g["scale"]` for the parameter of that name; it has the argument's
    own structure and dtype, and is None for arguments without a derivative (ints, bools, strings, integer arrays).
    Fields that a class of equinox, flax or JAX's own registry declares to be no data are in it as they are, so that
    JAX's tree functions and optax take model and gradient together. They take the result itself, too:
    `jax.tree.map(lambda d: 0.1 * d, g)` is a GradResult.

    >>> import numpy as np
    >>> from lilith import grad
    >>> val, g = grad(lambda x, y: np.sum(x * y), np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    >>> g, len(g), g["x"]
    (GradResult(2), 2, array([3., 4.]))
    >>> dx, dy = g
    """

    __slots__ = ("_asking", "_entries", "_labels")
    _not_held = ("_asking",)
    _asking: tuple  # the call that it came from, for `why`; set by grad

    def __init__(self, entries: Any, labels: Labels):
        self._entries = entries
        self._labels = labels

    def __reduce__(self) -> tuple:
        return GradResult, (self._entries, self._labels)

    def __repr__(self) -> str:
        return f"GradResult({self._labels.count})"

    def __len__(self) -> int:
        return self._labels.count

    def __iter__(self) -> Iterator[Any]:
        labels = self._labels
        if labels.leading:
            return iter(self._entries[: labels.count])
        return iter([entry for entry, asked in zip(self._entries, labels.asked, strict=True) if asked])

    def __getitem__(self, key: int | str) -> Any:
        """The gradient for an argument position, a parameter name or a field path such as `model.layers[0].W`, or
        `model.layers[0]` for all that is below it.

        Raises:
            GradientError (a LookupError too): there is no such argument, or `wrt` did not ask for it.
        """
        labels = self._labels
        if key.__class__ is int or key.__class__ is str:
            found = labels.places.get(key)
            if found is not None:
                return self._entries[found]
        if isinstance(key, str):
            if key not in labels.names:
                return self._by_path(key)
            index = labels.names.index(key)
        else:
            try:
                number = operator.index(key)
            except TypeError:
                raise NotAskedError(
                    f"GradResult of {labels.function}: {key!r} is no position, name or field path",
                    hint=f"arguments: {self._listing()}",
                ) from None
            if number < 0:
                number += sum(p is not None for p in labels.positions)
            if number not in labels.positions:
                raise NotAskedError(
                    f"GradResult of {labels.function}: there is no argument {key}", hint=f"arguments: {self._listing()}"
                )
            index = labels.positions.index(number)
        if not labels.asked[index]:
            raise NotAskedError(
                f"GradResult of {labels.function}: the gradient for {labels.names[index]!r} was not asked for",
                hint=f"add it to wrt=...; asked for: {self._listing()}",
            )
        return self._entries[index]

    def __contains__(self, key: object) -> bool:
        """Whether there is a gradient for this position, name or field path."""
        try:
            self[key]  # type: ignore[index]
        except NotAskedError:
            return False
        return True

    def _by_path(self, path: str) -> Any:
        found = self.paths()
        if path in found:
            return found[path]
        labels = self._labels
        for entry, name, asked in zip(self._entries, labels.names, labels.asked, strict=True):
            if asked and path.startswith(name) and any(p.startswith(path) and p[len(path)] in ".[" for p in found):
                return _part(entry, path[len(name) :])
        raise NotAskedError(
            f"GradResult of {labels.function}: no gradient named {path!r}", hint=f"names: {', '.join(found)}"
        )

    def _listing(self) -> str:
        labels = self._labels
        return ", ".join(n for n, asked in zip(labels.names, labels.asked, strict=True) if asked)

    def paths(self) -> dict[str, Any]:
        """Every gradient array by its field path, e.g. `model.layers[0].W`.

        >>> from lilith import grad
        >>> val, g = grad(lambda p: p["a"] * p["b"], {"a": 2.0, "b": 3.0})
        >>> g.paths()
        {"p['a']": 3.0, "p['b']": 2.0}
        """
        found: dict[str, Any] = {}
        for entry, name, asked in zip(self._entries, self._labels.names, self._labels.asked, strict=True):
            if asked:
                leaves, structure = tree.flatten(entry)
                apart = declared_static(structure, leaves)
                slopes = [leaf if i not in apart and tree.is_dynamic(leaf) else None for i, leaf in enumerate(leaves)]
                found.update(zip(tree.paths(structure, name), slopes, strict=True))
        return found

    def is_structural_zero(self, path: int | str) -> bool:
        """Whether the result does not depend on this argument (or field) at all, as opposed to a slope that is zero
        here.

        >>> from lilith import grad
        >>> val, g = grad(lambda x, y: x * x, 0.0, 1.0)
        >>> g[0], g.is_structural_zero(0), g[1], g.is_structural_zero("y")
        (0.0, False, 0.0, True)
        """
        labels = self._labels
        self[path]  # the same errors for what is not there
        if not isinstance(path, str):
            index = path if path >= 0 else path + sum(p is not None for p in labels.positions)
            path = labels.names[labels.positions.index(index)]
        if path in labels.zeros:
            return True
        slopes = {p for p, slope in self.paths().items() if slope is not None}
        below = [p for p in slopes if p.startswith(path) and p != path and p[len(path)] in ".["]
        return bool(below) and all(p in labels.zeros for p in below)

    def block_until_ready(self) -> GradResult:
        """Wait until the gradients are there, and return this result. `jax.block_until_ready` does so too.

        A call whose arrays are all jax.Arrays returns before its program has finished; whoever measures time must wait.

        >>> import numpy as np
        >>> from lilith import grad, to_device
        >>> val, g = grad(lambda x: x * x, to_device(np.float32(3.0), "cpu"))
        >>> g.block_until_ready()
        GradResult(1)
        """
        for entry in self._entries:
            if entry.__class__ is ArrayImpl:
                entry.block_until_ready()
            else:
                block_until_ready(entry)
        return self

    def why(self, path: int | str) -> str:
        """Why a gradient is None, zero or NaN: what cuts the way to it, and on which line of yours.

        The function is traced again with the arguments of the call, which the result of `grad` keeps until it is
        dropped itself; for what depends on values it runs node by node in NumPy.

        Arguments:
            path: an argument's position or name, or the field path of one of its arrays, as in `paths()`.

        Raises:
            GradientError: there is no such gradient, it has many parts, or the result is not grad's own.

        >>> import numpy as np
        >>> from lilith import grad
        >>> val, g = grad(lambda x, n: np.sum(x) * n, np.ones(2), 3)
        >>> print(g.why("n"))
        n is the int 3: ints are configuration, part of what is compiled. Pass 3.0.
        """
        from lilith.why import explain

        found = self[path]
        if not isinstance(path, str):
            number = operator.index(path)
            number += sum(p is not None for p in self._labels.positions) if number < 0 else 0
            path = self._labels.names[self._labels.positions.index(number)]
        parts = [p for p in self.paths() if p == path or (p.startswith(path) and p[len(path)] in ".[")]
        if len(parts) > 1 or parts[:1] != [path]:
            raise GradientError(f"why: {path!r} has several parts", hint=f"one of them: {', '.join(parts)}")
        try:
            asking = self._asking
        except AttributeError:
            raise GradientError(
                "why: this GradResult does not know the call that it came from",
                hint="ask the result of grad or of a value_and_grad function itself",
            ) from None
        return explain(asking, path, found)


def _from_entries(labels: Labels, entries: Any) -> GradResult:
    return GradResult(list(entries), labels)


register_pytree(GradResult, lambda g: (g._entries, g._labels), _from_entries)


def _part(x: Any, path: str) -> Any:
    """The part of a structure at a field path that there is, as a prefix of its leaves' paths."""
    while path:
        children, _, steps = tree.take_apart(x)
        fitting = [
            k for k, step in enumerate(steps) if path.startswith(step) and path[len(step) :][:1] in ("", ".", "[")
        ]
        k = max(fitting, key=lambda k: len(steps[k]))
        x, path = children[k], path[len(steps[k]) :]
    return x


tree.OPENED.add(GradResult)  # so that a compiled function can take and return one
