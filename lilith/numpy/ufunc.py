"""Ufunc: dtype resolution, broadcasting and weak scalars around a rule for arrays of one shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import unwrap
from typing import Any

import numpy as np

from lilith.ir.graph import Value
from lilith.ir.primitive import Primitive
from lilith.ir.type import BFLOAT16, TensorType, is_supported, kind
from lilith.numpy.core import (
    adapt,
    broadcast_shapes,
    convert,
    dtype_of,
    is_default,
    marked,
    operand,
    raise_unsupported,
    type_of,
    wrap,
)
from lilith.ops.elementwise import select
from lilith.source import ArgumentError, DtypeError
from lilith.trace import SCALAR_TYPES, current_trace
from lilith.tracer import OPERATORS, UFUNCS, Tracer

_WEAK_CLASSES = {"i": int, "u": int, "f": float, "c": complex}
_FLOAT32 = np.dtype(np.float32)
_KEEP = 4096


def resolve(
    ufunc: Any, types: Sequence[TensorType], dtype: np.dtype | None, casting: Any = "same_kind"
) -> tuple[tuple, tuple]:
    """The loop NumPy would choose: dtypes of the inputs and of the results.

    Arrays of bfloat16 alone (with Python numbers or not) stay bfloat16.
    """
    strong = [t.dtype for t in types if not t.weak]
    if not strong:
        types, strong = [t.strong for t in types], [types[0].dtype]
    bfloat16 = all(d == BFLOAT16 for d in strong) and dtype in (None, BFLOAT16)
    asked: list[Any] = []
    for t in types:
        if t.weak:
            asked.append(_WEAK_CLASSES[kind(t.dtype)])
        else:
            asked.append(_FLOAT32 if bfloat16 else t.dtype)
    signature: dict[str, Any] = {"casting": casting}
    if dtype is not None:
        signature["signature"] = (None,) * ufunc.nin + (_FLOAT32 if bfloat16 else dtype,) * ufunc.nout
    try:
        found = ufunc.resolve_dtypes((*asked, *(None,) * ufunc.nout), **signature)
    except TypeError as error:
        names = " and ".join(map(repr, types))
        raise DtypeError(f"{ufunc.__name__}: does not take {names}", hint=str(error).split("\n")[0]) from error
    if bfloat16:
        found = tuple([BFLOAT16 if d == _FLOAT32 else d for d in found])
    if not all(map(is_supported, found)):
        names = " and ".join(map(repr, types))
        raise DtypeError(f"{ufunc.__name__}: {names} would give {found[-1]}", hint="convert with x.astype(np.float64)")
    return found[: ufunc.nin], found[ufunc.nin :]


class Ufunc:
    """A NumPy or SciPy ufunc over Values.

    Arguments:
        ufunc: the ufunc; it decides on dtypes.
        rule: takes Values of the input dtypes and of one shape; gives the result, or a tuple of results.
        bools: the rule for inputs of dtype bool, where it is another.
        static: `(x, y, dtype) -> Value | None`, tried first where the last operand is a Python number.
    """

    __slots__ = ("bools", "name", "plain", "plans", "rule", "static", "ufunc")

    def __init__(
        self,
        ufunc: Any,
        rule: Callable[..., Any],
        bools: Callable[..., Any] | None = None,
        static: Callable[..., Value | None] | None = None,
    ):
        self.ufunc = ufunc = unwrap(ufunc)  # with SCIPY_ARRAY_API set, SciPy wraps its ufuncs in functions
        self.name = ufunc.__name__
        self.rule = rule
        self.bools = bools or rule
        self.static = static
        self.plans: dict[tuple, tuple] = {}
        # for operand types: the primitive that is all there is to do, and the type to which it takes them
        self.plain: dict[tuple[TensorType, TensorType], tuple[Primitive, TensorType]] = {}

    def __repr__(self) -> str:
        return f"<lilith {self.name}>"

    def __call__(self, *xs: Any, dtype: Any = None, casting: Any = "same_kind") -> Any:
        """The result as a Value; weak if all operands are."""
        operands = [operand(x) for x in xs]
        types = tuple([type_of(x) for x in operands])
        key = (types, dtype, casting)
        plan = self.plans.get(key)
        if plan is None:
            plan = self._plan(key)
        rule, shape, inputs, outputs, weak = plan
        if self.static is not None and type(operands[-1]) in SCALAR_TYPES:
            result = self.static(operands[0], operands[-1], dtype)
            if result is not None:
                return marked(result, True) if weak else result
        result = rule(*[adapt(x, d, shape) for x, d in zip(operands, inputs, strict=True)])
        if result.__class__ is tuple:
            return tuple([convert(y, d) for y, d in zip(result, outputs, strict=True)])
        result = convert(result, outputs[0])
        return marked(result, True) if weak and kind(outputs[0]) != "b" else result

    def _plan(self, key: tuple) -> tuple:
        """(the rule, shape, input dtypes, output dtypes, whether the result is weak) for some operand types."""
        types, dtype, casting = key
        inputs, outputs = resolve(self.ufunc, types, None if dtype is None else dtype_of(dtype), casting)
        shape = broadcast_shapes(self.name, types)
        weak = all(t.weak for t in types) and dtype is None
        rule = self.chosen(inputs)
        if len(self.plans) >= _KEEP:
            self.plans.clear()
            self.plain.clear()
        one_dtype = inputs.count(inputs[0]) == len(inputs) == 2
        if one_dtype and dtype is None and casting == "same_kind" and not weak and isinstance(rule, Primitive):
            self.plain[types] = rule, TensorType(shape, inputs[0])
        plan = self.plans[key] = (rule, shape, inputs, outputs, weak)
        return plan

    def chosen(self, inputs: tuple[np.dtype, ...]) -> Callable[..., Any]:
        """The rule for some input dtypes."""
        return self.bools if inputs[0] == np.bool_ else self.rule

    def entry(self) -> Callable[..., Any]:
        """What NumPy calls on tracers: `UFUNCS[np.add](x, y, dtype=None)`. The result is never weak.

        Where the mask `where=` is False, NumPy's result is what was in memory; here it is 0, and nothing flows back.
        """
        nin = self.ufunc.nin

        def call(*xs: Any, dtype: Any = None, casting: Any = "same_kind", where: Any = True, **options: Any) -> Any:
            current_trace()
            for option, value in options.items():
                if not is_default(value, _DEFAULTS.get(option)):
                    raise_unsupported(self.name, option)
            if len(xs) != nin:
                raise ArgumentError(f"np.{self.name}: takes {nin} arrays, got {len(xs)}", hint=f"see np.{self.name}")
            y = self(*xs, dtype=dtype) if casting == "same_kind" else self(*xs, dtype=dtype, casting=casting)
            return wrap(y if where is True else self._masked(y, where))

        call.__name__ = self.name
        return call

    def _masked(self, y: Any, where: Any) -> Any:
        """The results where the mask holds, and 0 elsewhere."""
        if isinstance(y, tuple):
            return tuple([self._masked(z, where) for z in y])
        mask = operand(where)
        if type_of(mask).dtype != np.bool_:
            raise DtypeError(f"np.{self.name}: where= must be bool, got {type_of(mask)}", hint="compare it: mask != 0")
        shape = broadcast_shapes(self.name, [y.type, type_of(mask)])
        return select(adapt(mask, np.dtype(bool), shape), adapt(y, y.dtype, shape), adapt(0, y.dtype, shape))

    def operator(self) -> Callable[..., Any]:
        """What a Python operator calls on tracers."""
        return self._binary_operator() if self.ufunc.nin == 2 else self._unary_operator()

    def _unary_operator(self) -> Callable[..., Any]:
        def call(x: Any) -> Any:
            trace = current_trace()
            return Tracer(self(x), trace)

        return call

    def _binary_operator(self) -> Callable[..., Any]:
        """The most frequent call of all: where a single primitive is all there is to do, nothing else is done."""
        plain = self.plain

        def call(x: Any, y: Any) -> Any:
            trace = current_trace()
            x = x.value if type(x) is Tracer and x.recorder is trace else operand(x)
            y = y.value if type(y) is Tracer and y.recorder is trace else operand(y)
            x_type = x.type if type(x) is Value else type_of(x)
            y_type = y.type if type(y) is Value else type_of(y)
            found = plain.get((x_type, y_type))
            if found is None:
                result = self(x, y)
                return Tracer(result, trace) if type(result) is Value else tuple([Tracer(z, trace) for z in result])
            primitive, common = found
            if x_type is not common or type(x) is not Value:
                x = adapt(x, common.dtype, common.shape)
            if y_type is not common or type(y) is not Value:
                y = adapt(y, common.dtype, common.shape)
            return Tracer(trace.emit(primitive, (x, y), {}), trace)

        return call


_DEFAULTS = {"order": "K", "subok": True}


def register(rule: Ufunc) -> Ufunc:
    """Make it the meaning of its ufunc, and of the operator that stands for that, on tracers."""
    UFUNCS[rule.ufunc] = rule.entry()
    OPERATORS[rule.ufunc] = rule.operator()
    return rule


def define(
    ufunc: Any,
    rule: Callable[..., Any],
    static: Callable[..., Value | None] | None = None,
    *,
    bools: Callable[..., Any] | None = None,
) -> Ufunc:
    """Register a ufunc: the tables get its entries, rules call the returned object."""
    return register(Ufunc(ufunc, rule, bools, static))
