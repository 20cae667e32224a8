"""What every NumPy-facing rule is made of: operands, promotion, broadcasting, axes, and the registration of functions.

A rule works on Values and returns Values; it takes operands as they come (tracers, Values, Python numbers, NumPy
arrays) and passes them through `lift`, `operand` or a ufunc. `implements(np.sum)` makes a rule the meaning of `np.sum`
on tracers: it notes the user's line once, checks the arguments against NumPy's signature and wraps the results in
tracers. Rules call each other as plain functions.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from lilith.ir.graph import Value, current
from lilith.ir.type import BFLOAT16, TensorType, dtype_name, is_supported, kind, result_dtype
from lilith.ops import elementwise, shape
from lilith.source import ArgumentError, DtypeError, NumberRangeError, ShapeError, UnsupportedError
from lilith.trace import SCALAR_TYPES, as_array, current_trace
from lilith.tracer import FUNCTIONS, Tracer

Shape = tuple[int, ...]
Rule = TypeVar("Rule", bound=Callable[..., Any])

# ---- operands ------------------------------------------------------------------------------------------------------


def lift(x: Any) -> Value:
    """The Value of anything array-like in the current trace."""
    if type(x) is Value:
        return x
    if isinstance(x, list | tuple) and _holds_traced(x):
        return array(x)
    return current.builder.lift(x)  # type: ignore[union-attr]


def _holds_traced(x: Any) -> bool:
    """Whether a nested list or tuple holds traced arrays: it is an array then, as lists are in NumPy."""
    return any([_holds_traced(y) if isinstance(y, list | tuple) else isinstance(y, Value | Tracer) for y in x])


def operand(x: Any) -> Any:
    """x as a Value, or as the number it is: numbers become constants of the result's shape and dtype."""
    cls = type(x)
    if cls is Value or cls in SCALAR_TYPES:
        return x
    if cls is not Tracer:
        if isinstance(x, np.ndarray) and x.ndim == 0:
            x = x[()]
        if isinstance(x, np.generic) and is_supported(x.dtype):
            return x
    return lift(x)


def type_of(x: Any) -> TensorType:
    """The type of an `operand`."""
    if type(x) is Value:
        return x.type
    return SCALAR_TYPES.get(type(x)) or TensorType((), x.dtype)


def full(number: Any, shape_: Shape, dtype: np.dtype) -> Value:
    """A constant array, one node per trace however often it is asked for."""
    constants = current.builder.constant_cache  # type: ignore[union-attr]
    # zeros have signs and NaN is not itself: both go by their text
    key = (number if number and number == number else str(number), shape_, dtype)
    found = constants.get(key)
    if found is None:
        found = constants[key] = shape.fill(value=_normal(number, dtype), shape=shape_, dtype=dtype)
    return found


def _normal(number: Any, dtype: np.dtype) -> Any:
    """A number rounded to a dtype, as a Python number; Python ints that do not fit are an error, as in NumPy."""
    letter = kind(dtype)
    if letter in "iu" and isinstance(number, int):
        limits = np.iinfo(dtype)
        if not limits.min <= number <= limits.max:
            raise NumberRangeError(
                f"the Python int {number} does not fit {dtype_name(dtype)}", hint="convert the array to a wider dtype"
            )
        return int(number)
    with np.errstate(all="ignore"):
        try:
            return np.asarray(number).astype(dtype).item()
        except OverflowError as error:
            raise NumberRangeError(f"{number} does not fit {dtype_name(dtype)}", hint="write it as a float") from error


def adapt(x: Any, dtype: np.dtype, shape_: Shape) -> Value:
    """An operand with the given dtype and shape, to which it broadcasts."""
    if type(x) is not Value:
        return full(x, shape_, dtype)
    type_ = x.type
    if type_.dtype != dtype:
        x = elementwise.convert(x, dtype=dtype)
    return x if type_.shape == shape_ else expand(x, shape_)


def expand(x: Value, shape_: Shape) -> Value:
    """x repeated to a shape by NumPy's rules: axes are aligned on the right. The shapes are known to fit."""
    if x.type.shape == shape_:
        return x
    return shape.broadcast_in_dim(x, shape=shape_, axes=tuple(range(len(shape_) - x.ndim, len(shape_))))


def reshaped_leading(x: Value, after: int, before: int = 0) -> Value:
    """x with new axes of size 1 in front and at the end."""
    if after <= 0 and before <= 0:
        return x
    return shape.reshape(x, shape=(1,) * before + x.shape + (1,) * after)


def convert(x: Any, dtype: np.dtype) -> Value:
    """x with another dtype; no node where it has it."""
    x = operand(x)
    if type(x) is not Value:
        return full(x, (), dtype)
    return x if x.type.dtype == dtype else elementwise.convert(x, dtype=dtype)


def floating(x: Value) -> Value:
    """x, in float64 where it is bool or integer."""
    return convert(x, np.dtype(np.float64)) if kind(x.dtype) in "biu" else x


def marked(value: Value, weak: bool) -> Value:
    """The value with the weak mark set or taken off. A result just made is marked itself, anything else is copied."""
    type_ = value.type
    if type_.weak == weak:
        return value
    nodes = current.builder.nodes  # type: ignore[union-attr]
    node = nodes[-1] if nodes else None
    if node is None or value not in node.results or node.primitive is shape.fill:
        value = elementwise.convert(value, dtype=type_.dtype)
    value.type = TensorType(type_.shape, type_.dtype, weak)
    return value


# ---- dtypes and shapes ---------------------------------------------------------------------------------------------


def dtype_of(given: Any) -> np.dtype:
    """What the user named as dtype; an error for those that cannot be traced."""
    try:
        dtype = np.dtype(given)
    except TypeError as error:
        raise DtypeError(f"{given!r} is not a dtype", hint="e.g. np.float32, or the string 'float32'") from error
    if not is_supported(dtype):
        raise DtypeError(
            f"arrays of dtype {dtype} cannot be traced",
            hint="use bool, an integer, float16/32/64, bfloat16 or complex64/128",
        )
    return dtype


def result_type(*operands: Any) -> np.dtype:
    """The common dtype of operands by NumPy 2's rules."""
    return _common_dtype([type_of(x) for x in operands])


def _common_dtype(types: list[TensorType]) -> np.dtype:
    try:
        return result_dtype(types)[0]
    except TypeError as error:
        names = " and ".join(map(repr, types))
        raise DtypeError(f"{names} have no common dtype", hint="convert one of them with x.astype(dtype)") from error


def promote(*xs: Any) -> list[Value]:
    """The operands with their common dtype, each of its own shape."""
    operands = [operand(x) for x in xs]
    dtype = result_type(*operands)
    return [adapt(x, dtype, type_of(x).shape) for x in operands]


def joined(*xs: Any, dtype: Any = None) -> list[Value]:
    """Arrays to be put together, with their common dtype. As in NumPy, Python numbers count as arrays here."""
    values = [lift(x) for x in xs]
    if dtype is None:
        common = values[0].dtype
        if any([x.dtype != common for x in values]):
            common = _common_dtype([x.type.strong for x in values])
    else:
        common = dtype_of(dtype)
    return [x if x.type.dtype == common else elementwise.convert(x, dtype=common) for x in values]


def broadcast_shapes(name: str, types: Sequence[TensorType]) -> Shape:
    """The common shape of operands; a ShapeError that names them where there is none."""
    first = types[0].shape
    for t in types:
        if t.shape != first and t.shape != ():
            break
    else:
        if first != ():
            return first
    ndim = max(len(t.shape) for t in types)
    sizes = [1] * ndim
    for t in types:
        for axis, n in enumerate(t.shape, ndim - len(t.shape)):
            if n != 1:
                if sizes[axis] not in (1, n):
                    raise ShapeError(
                        f"{name}: {' and '.join(map(repr, types))} do not broadcast",
                        hint="reshape one side, e.g. x[:, None], or slice both to a common length",
                    )
                sizes[axis] = n
    return tuple(sizes)


def unify(name: str, *xs: Any) -> list[Value]:
    """The operands with their common dtype and shape."""
    operands = [operand(x) for x in xs]
    dtype = result_type(*operands)
    common = broadcast_shapes(name, [type_of(x) for x in operands])
    return [adapt(x, dtype, common) for x in operands]


def broadcast(name: str, *xs: Any) -> list[Value]:
    """The operands with their common shape, each of its own dtype."""
    operands = [operand(x) for x in xs]
    types = [type_of(x) for x in operands]
    common = broadcast_shapes(name, types)
    return [adapt(x, t.dtype, common) for x, t in zip(operands, types, strict=True)]


def accumulator(dtype: np.dtype) -> np.dtype:
    """The dtype in which sums of a dtype are formed: float32 for float16 and bfloat16, else itself."""
    return np.dtype(np.float32) if dtype == np.float16 or dtype == BFLOAT16 else dtype


# ---- axes ----------------------------------------------------------------------------------------------------------


def static_int(x: Any, name: str, what: str) -> int:
    """A Python or NumPy int, or what `operator.index` of a tracer answers."""
    try:
        return operator.index(x)
    except TypeError as error:
        if isinstance(error, DtypeError | UnsupportedError) or type(x) is Tracer:
            raise
        raise ArgumentError(f"{name}: {what} must be an int, got {x!r}", hint="pass a Python int") from error


def shape_argument(x: Any, name: str) -> Shape:
    """A shape given as an int or a sequence of ints."""
    if isinstance(x, list | tuple) or (isinstance(x, np.ndarray) and x.ndim == 1):
        return tuple([static_int(n, name, "a size") for n in x])
    return (static_int(x, name, "a size"),)


def normalize_axis(axis: Any, ndim: int, name: str) -> int:
    """An axis number from 0 to ndim - 1."""
    number = static_int(axis, name, "axis")
    if not -ndim <= number < ndim:
        raise ShapeError(
            f"{name}: axis {number} is out of bounds for an array with {ndim} axes", hint=f"{-ndim} <= axis < {ndim}"
        )
    return number % ndim


def normalize_axes(axis: Any, ndim: int, name: str) -> Shape:
    """Sorted axis numbers from None (all), an int or a sequence of ints."""
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, list | tuple):
        return (normalize_axis(axis, ndim, name),)
    axes = [normalize_axis(a, ndim, name) for a in axis]
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{name}: axis {tuple(axis)} names an axis twice", hint="name every axis once")
    return tuple(sorted(axes))


# ---- registration --------------------------------------------------------------------------------------------------


def wrap(x: Any) -> Any:
    """Values as tracers, also in lists and (named) tuples; results of NumPy functions are never weak."""
    if type(x) is Value:
        return Tracer(marked(x, False) if x.type.weak else x, current.builder)
    if isinstance(x, list):
        return [wrap(item) for item in x]
    if isinstance(x, tuple):
        items = [wrap(item) for item in x]
        return type(x)._make(items) if hasattr(x, "_make") else tuple(items)
    return x


def name_of(function: Any) -> str:
    """`sum`, `linalg.norm`, `fft.rfft`: how the user writes it after `np.`."""
    module = getattr(function, "__module__", "") or ""
    part = next((part for part in ("linalg", "fft") if module.startswith(f"numpy.{part}")), "")
    return f"{part}.{function.__name__}" if part else function.__name__


def _signature(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # some of NumPy's C functions have none
        return None


def _arguments(
    function: Any, signature: inspect.Signature, known: frozenset[str], args: tuple, kwargs: dict[str, Any]
) -> tuple[tuple, dict[str, Any]]:
    """Arguments as the rule takes them; an error for what NumPy does not take, and for options that the rule lacks."""
    name = name_of(function)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ArgumentError(f"np.{name}: {error}", hint=f"it is called np.{name}{signature}") from error
    for key, value in list(bound.arguments.items()):
        if key in known:
            continue
        parameter = signature.parameters[key]
        if parameter.kind is parameter.VAR_KEYWORD:
            if unknown := value.keys() - known:
                raise_unsupported(name, *sorted(unknown))
            continue
        if key == "device":
            check_device(value, name)
        elif not is_default(value, parameter.default):
            raise_unsupported(name, key)
        del bound.arguments[key]
    return bound.args, bound.kwargs


def check_device(device: Any, name: str) -> None:
    """The error for a device other than the one that NumPy has."""
    if device not in (None, "cpu"):
        raise ArgumentError(
            f"np.{name}: device={device!r}, but a traced function has one device, 'cpu'",
            hint="leave device= out; where the program runs is where its arguments lie",
        )


def is_default(value: Any, default: Any) -> bool:
    """Whether an option has the value that it has when it is not given."""
    return value is default or value is None or (isinstance(value, str | bool) and value == default)


def raise_unsupported(name: str, *options: str) -> None:
    """The error for an option that has no rule."""
    given = ", ".join(f"{key}=" for key in options)
    raise UnsupportedError(
        f"np.{name}: the option {given} is not supported on traced arrays",
        hint="leave it out, or apply it to the result",
    )


def implements(*functions: Any) -> Callable[[Rule], Rule]:
    """Decorator: the rule is what these NumPy functions mean on tracers.

    The rule has those parameters of NumPy's signature that it supports, under NumPy's names.
    """

    def register(rule: Rule) -> Rule:
        for function in functions:
            FUNCTIONS[function] = _handler(function, rule)
        return rule

    return register


def _handler(function: Any, rule: Callable[..., Any]) -> Callable[..., Any]:
    own = inspect.signature(rule)
    signature = _signature(function) or own
    known = frozenset(own.parameters)
    simple = _positional_prefix(signature, own)
    required = sum(p.default is p.empty and p.kind in _POSITIONAL for p in own.parameters.values())

    @functools.wraps(rule)
    def handler(*args: Any, **kwargs: Any) -> Any:
        current_trace()
        if kwargs or not required <= len(args) <= simple:
            args, kwargs = _arguments(function, signature, known, args, kwargs)
        return wrap(rule(*args, **kwargs))

    return handler


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _positional_prefix(signature: inspect.Signature, own: inspect.Signature) -> int:
    """How many leading positional parameters mean the same to NumPy and to the rule."""
    count = 0
    for theirs, ours in zip(signature.parameters.values(), own.parameters.values(), strict=False):
        if theirs.name != ours.name or theirs.kind not in _POSITIONAL or ours.kind not in _POSITIONAL:
            break
        count += 1
    return count


def array(x: Any) -> Value:
    """A nested list or tuple of arrays and tracers as one array."""
    if not isinstance(x, list | tuple):
        return lift(x)
    if not any(isinstance(item, list | tuple | Tracer | Value) for item in x):
        return lift(as_array(x))
    parts = joined(*[array(item) if isinstance(item, list | tuple) else item for item in x])
    for part in parts:
        if part.shape != parts[0].shape:
            raise ShapeError(
                f"array: {parts[0].type} and {part.type} differ in shape", hint="all items need the same shape"
            )
    stacked = [shape.reshape(part, shape=(1, *part.shape)) for part in parts]
    return shape.concatenate(*stacked, axis=0) if len(stacked) > 1 else stacked[0]
