"""Primitive: one operation, all its slots in one definition; and the registry of all primitives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lilith.ir.graph import Value
    from lilith.ir.type import TensorType


class _Zero:
    """The vjp slot of operations whose derivative is zero wherever it exists (floor, sign, comparisons)."""

    def __repr__(self) -> str:
        return "ZERO"


ZERO = _Zero()


class NoGradient:
    """The vjp slot of operations that have no derivative; `reason` is what the user is told."""

    def __init__(self, reason: str):
        self.reason = reason

    def __repr__(self) -> str:
        return f"NoGradient({self.reason!r})"


class Deferred:
    """A cotangent contribution that is not an array yet.

    All deferred contributions of one value are handed to `join` together, once, when its cotangent is needed. Slices
    of one array use this: a hundred disjoint slice cotangents become one concatenation, not a hundred padded sums.
    """

    __slots__ = ()

    @staticmethod
    def join(type: TensorType, parts: Sequence[Any]) -> Value:
        """Sum the contributions to one array of the given type."""
        raise TypeError("a subclass of Deferred defines join")


PRIMITIVES: dict[str, Primitive] = {}
"""The closed set of primitives, by name."""


class Primitive:
    """One operation of the graph language.

    Arguments:
        name: lower case, StableHLO's term where there is one.
        type: `(*operand_types, **params) -> TensorType` (or a tuple of them for several results). Total: it returns or
            raises one of the errors in `lilith.source`.
        eval: `(*arrays, **params) -> array`, the NumPy reference.
        vjp: `(g, y, *operands, wanted, **params)` gives one cotangent per operand (None for unwanted ones), `ZERO`, or
            `NoGradient(reason)`. It is linear in `g`.
        batch: `(batched, *operands, **params) -> Value`: the operation over a new leading axis. `batched` tells which
            operands have that axis; the result always has it.
        masks: what this operation sends back may be zero because the element was not selected. Rules further down keep
            such zeros zero, also when they are multiplied with an infinite derivative ("strong zeros").
        effect: the operation is kept even when nobody uses its results.
        graphs: the names of the parameters that hold a Graph or a tuple of them.
        jvp: `(tangents, *operands, **params) -> (results, tangents of the results)`, None standing for a tangent that
            is zero. Only loops and branches have one; other operations are pushed forward by transposing `vjp`.

    Calling a primitive records a node in the current builder. Operands are never broadcast and never promoted.
    """

    __slots__ = ("batch", "effect", "eval", "graphs", "jvp", "masks", "name", "type", "vjp")

    def __init__(
        self,
        name: str,
        *,
        type: Callable[..., Any],
        eval: Callable[..., Any],
        vjp: Any,
        batch: Callable[..., Any],
        masks: bool = False,
        effect: bool = False,
        graphs: tuple[str, ...] = (),
        jvp: Callable[..., Any] | None = None,
    ):
        if name in PRIMITIVES:
            raise ValueError(f"primitive {name!r} is defined twice")
        self.name = name
        self.type = type
        self.eval = eval
        self.vjp = vjp
        self.batch = batch
        self.masks = masks
        self.effect = effect
        self.graphs = graphs
        self.jvp = jvp
        PRIMITIVES[name] = self

    def __call__(self, *operands: Value, **params: Any) -> Any:
        return current_builder().emit(self, operands, params)

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple:
        return primitive, (self.name,)


def primitive(name: str) -> Primitive:
    """The primitive of that name."""
    return PRIMITIVES[name]


def per_operand(*rules: Callable[..., Any] | None) -> Callable[..., tuple]:
    """A vjp slot from one rule per operand, `rule(g, y, *operands, **params)`; None where no derivative flows."""

    def vjp(g: Any, y: Any, *operands: Any, wanted: tuple[bool, ...], **params: Any) -> tuple:
        return tuple(
            rule(g, y, *operands, **params) if want and rule is not None else None
            for want, rule in zip(wanted, rules, strict=True)
        )

    return vjp


from lilith.ir.graph import current_builder  # noqa: E402  (graph and primitive name each other)
