"""StableHLO and CHLO for special functions; where there is no operation, the formula of the primitive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Builder, Node, Value
from lilith.ir.type import TensorType
from lilith.ops import bessel, incomplete_beta, incomplete_gamma, special
from lilith.ops.expansion import computed_dtype
from lilith.ops.logarithms import VECTORISED
from lowering.emit import RULES, Emitter, Rule, tensor_type
from lowering.rules.elementwise import row


class Writing(Builder):
    """A builder that writes every node as StableHLO as it is made.

    Attributes:
        names: the name of each Value in the module.
        replaced: what is computed by formulas in place of these primitives of float64.
    """

    def __init__(self, e: Emitter, replaced: dict[str, Callable[..., Value]]):
        super().__init__()
        self.e = e
        self.replaced = replaced if e.platform == "cpu" else {}
        self.names: dict[Value, str] = {}

    def given(self, name: str, type: TensorType) -> Value:
        """What the module calls `name` as a Value."""
        value = Value(type)
        self.names[value] = name
        return value

    def emit(self, primitive: Any, operands: tuple[Value, ...], params: dict[str, Any]) -> Any:
        if primitive.name in self.replaced and operands[0].dtype == np.float64:
            return self.replaced[primitive.name](*operands)
        out = super().emit(primitive, operands, params)
        node = self.nodes.pop()
        written = RULES[primitive.name](self.e, node, [self.names[x] for x in operands])
        names = (written,) if isinstance(written, str) else written
        self.names.update(zip(node.results, names, strict=True))
        return out

    def _region(self, function: Callable[..., Any], types: Sequence[TensorType]) -> str:
        e = self.e
        outer, e.lines = e.lines, []
        arguments = [self.given(e.fresh(), t) for t in types]
        results = function(*arguments)
        results = (results,) if isinstance(results, Value) else tuple(results)
        e.several("stablehlo.return", [self.names[x] for x in results], [x.type for x in results], (), "")
        body, e.lines = "\n".join(e.lines), outer
        head = ", ".join(f"{self.names[x]}: {tensor_type(x.type)}" for x in arguments)
        return f"{{ ^bb0({head}):\n{body} }}"

    def loop(
        self, condition: Callable[..., Any], body: Callable[..., Any], carried: tuple[Value, ...]
    ) -> tuple[Value, ...]:
        types = [x.type for x in carried]
        regions = f"{self._region(condition, types)}, {self._region(body, types)}"
        names = self.e.several("stablehlo.while", [self.names[x] for x in carried], types, types, "", regions)
        return tuple(self.given(name, t) for name, t in zip(names, types, strict=True))


def _converted(e: Emitter, x: str, type: TensorType, dtype: np.dtype) -> tuple[str, TensorType]:
    result = type.with_dtype(dtype)
    return (x, result) if type.dtype == dtype else (e.op("stablehlo.convert", (x,), (type,), result), result)


def formula(
    function: Callable[..., Any], start: Rule | None = None, replaced: dict[str, Callable[..., Value]] = VECTORISED
) -> Rule:
    """The rule of a primitive computed by a formula, in float32 at least.

    Arguments:
        function: the formula.
        start: the rule of an operation whose result the formula takes as its last argument.
        replaced: what is computed by formulas on CPU, too, in place of these primitives of float64.
    """

    def rule(e: Emitter, node: Node, operands: list[str]) -> str:
        pairs = [
            _converted(e, x, v.type, computed_dtype(v.dtype)) for x, v in zip(operands, node.operands, strict=True)
        ]
        result = node.results[0].type
        wide = result.with_dtype(computed_dtype(result.dtype))
        with Writing(e, replaced) as builder:
            values = [builder.given(x, t) for x, t in pairs]
            if start is not None:
                inner = Node(node.primitive, tuple(values), node.params, (Value(wide),), node.source)
                first = start(e, inner, [x for x, _ in pairs])
                values.append(builder.given(first if isinstance(first, str) else first[0], wide))
            y = function(*values, **node.params)
        return _converted(e, builder.names[y], wide, result.dtype)[0]

    return rule


RULES.update({"erf": row("chlo.erf"), "erfc": row("chlo.erfc")})
_FORMULAS = special.FORMULAS | bessel.FORMULAS | incomplete_gamma.FORMULAS | incomplete_beta.FORMULAS
RULES.update({name: formula(function) for name, function in _FORMULAS.items()})
RULES.update({name: formula(function, row(f"chlo.{name}")) for name, function in special.CORRECTIONS.items()})

# one logarithm and little else: XLA has a fast one where it fuses that with a sum
RULES["logit"] = formula(special.FORMULAS["logit"], replaced={})
