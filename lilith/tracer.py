"""Tracer: what the user's function computes with while it is traced; and the tables of what NumPy does to it."""

from __future__ import annotations

import difflib
import dis
import sys
from collections.abc import Callable, Iterator
from numbers import Number
from types import FrameType
from typing import Any, NoReturn

import numpy as np

from lilith.ir.graph import Value
from lilith.ir.type import dtype_name
from lilith.remedies import REPLACEMENTS as REPLACEMENTS
from lilith.remedies import replacement, table_hint, unsupported
from lilith.source import ArgumentError, DtypeError, ShapeError, TraceError, UnsupportedError

UFUNCS: dict[Any, Callable[..., Any]] = {}
"""NumPy and SciPy ufuncs on tracers: `UFUNCS[np.add](x, y)`."""

OPERATORS: dict[Any, Callable[..., Any]] = {}
"""The same for Python's operators, by the ufunc they stand for: between weak values the result is weak."""

REDUCTIONS: dict[Any, Callable[..., Any]] = {}
"""`ufunc.reduce` on tracers: `REDUCTIONS[np.add](x, axis=0, dtype=None, keepdims=False, initial=..., where=True)`."""

ACCUMULATIONS: dict[Any, Callable[..., Any]] = {}
"""`ufunc.accumulate` on tracers: `ACCUMULATIONS[np.add](x, axis=0, dtype=None)`."""

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""NumPy's functions on tracers, by the function they stand for: `FUNCTIONS[np.sum](x, axis=0)`."""


class AssignedPlain(TraceError):
    """A traced array was asked to become a plain one, perhaps to be written into one."""


def describe_types(*args: Any) -> str:
    """The types of arguments for an error text: `f32[3] and int`."""
    names = []
    for x in args:
        if isinstance(x, Tracer):
            names.append(repr(x.value.type))
        elif isinstance(x, (np.ndarray, np.generic)):
            names.append(f"{dtype_name(x.dtype)}[{','.join(map(str, x.shape))}]")
        else:
            names.append(type(x).__name__)
    return " and ".join(names)


def _unknown(tracer: Tracer, what: str, hint: str) -> TraceError:
    return TraceError(
        f"{what} of a traced array ({tracer.value.type}): its value is not known here", hint=hint, tracers=(tracer,)
    )


def _no_value(tracer: Tracer, what: str, hint: str) -> NoReturn:
    raise TraceError(
        f"{what} of a traced array ({tracer.value.type}): its value is not known while tracing",
        hint=hint,
        tracers=(tracer,),
    )


def _equality(symbol: str, name: str, ufunc: Any) -> Callable[..., Any]:
    """== or !=, whose answer for operands that refuse each other would be one Python bool, not an array."""
    forward = _binary(name, ufunc)[0]

    def operator(self: Tracer, other: Any) -> Any:
        if other is None or isinstance(other, str | bytes):
            raise DtypeError(
                f"comparison of a traced array ({self.value.type}) with {other!r}",
                hint=f"write x is {'not ' if symbol == '!=' else ''}None"
                if other is None
                else "test isinstance(x, str) first",
            )
        return forward(self, other)

    operator.__name__ = f"__{name}__"
    return operator


def _binary(name: str, ufunc: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def forward(self: Tracer, other: Any) -> Any:
        return OPERATORS[ufunc](self, other) if type(other) in _ORDINARY or takes(other) else NotImplemented

    def reflected(self: Tracer, other: Any) -> Any:
        return OPERATORS[ufunc](other, self) if type(other) in _ORDINARY or takes(other) else NotImplemented

    forward.__name__, reflected.__name__ = f"__{name}__", f"__r{name}__"
    return forward, reflected


def takes(other: Any) -> bool:
    """Whether an operator takes this operand, or leaves it to the operand's own reflected method."""
    if isinstance(other, (Tracer, np.ndarray, np.generic, Number, list, tuple)):
        return getattr(other, "__array_ufunc__", True) is not None
    return hasattr(other, "__array__") and getattr(other, "__array_ufunc__", True) is not None


class Tracer:
    """A traced array: shape and dtype are known, the contents are not.

    It takes NumPy's operators, ufuncs, functions and ndarray methods. `isinstance(x, lilith.Tracer)` tells code
    whether it is being traced.
    """

    __slots__ = ("__weakref__", "memory", "recorder", "value")
    __array_priority__ = 1000

    def __init__(self, value: Value, trace: Any):
        self.value = value
        self.recorder = trace
        self.memory: Any = None
        """What it shares its memory with (`lilith.numpy.views`); None where nobody has asked."""

    # ---- what is known

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        return self.value.type.shape

    @shape.setter
    def shape(self, sizes: Any) -> None:
        raise UnsupportedError(
            f"assignment to the shape of a traced array ({self.value.type})", hint=f"x = x.reshape({sizes!r})"
        )

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the elements."""
        return self.value.type.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.value.type.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.value.type.size

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.value.type.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.value.type.nbytes

    @property
    def device(self) -> str:
        """Where a NumPy array would be, for code written for the Array API standard."""
        return "cpu"

    def to_device(self, device: Any, /, *, stream: Any = None) -> Tracer:
        """This array: while the function is traced, arrays have one device, as NumPy's have."""
        if device != "cpu" or stream is not None:
            raise ArgumentError(
                f"to_device({device!r}) of a traced array ({self.value.type}): the whole program runs on one device",
                hint="pass jax.Arrays that lie on the device you want to the traced function",
            )
        return self

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
    ) -> NoReturn:
        _no_value(self, "__dlpack__()", "return the array from the function to get its memory")

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # the CPU

    def __repr__(self) -> str:
        if self.recorder.interpreted:
            return f"Tracer({self.value.type}, value={self.recorder.known(self.value)})"
        return f"Tracer({self.value.type})"

    def __format__(self, spec: str) -> str:
        if spec:
            _no_value(self, f"the text {spec!r}", 'print inside compiled code with lilith.print("{}", x)')
        return repr(self)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))

    # ---- what is not known

    def __bool__(self) -> bool:
        if self.size == 0 or self.size > 1:
            raise ShapeError(
                f"the truth value of an array with {self.size} elements ({self.value.type}) is ambiguous",
                hint="use np.any(x) or np.all(x) to get one, and np.where(condition, a, b) to choose by it",
            )
        if remedy := replacement():
            _no_value(self, "the truth value", remedy)
        self._refuse_item(np.dtype(bool))
        return bool(self._decide(False, "the truth value"))

    def __hash__(self) -> int:
        raise TraceError(
            f"a traced array ({self.value.type}) cannot be a key of a dict, a member of a set or an argument of a "
            "function with functools.cache",
            hint="make an int of it, where it is one: table[int(x)]; or call the function inside of functools.cache",
            tracers=(self,),
        )

    def __int__(self) -> int:
        if self.dtype.kind == "c":
            raise DtypeError(f"int() of a complex traced array ({self.value.type})", hint="int(x.real)")
        self._refuse_item(np.dtype(int))
        return self._decide(True, "int()")

    def __index__(self) -> int:
        if self.dtype.kind not in "biu":
            raise DtypeError(
                f"a traced array ({self.value.type}) cannot be an index or a length",
                hint="convert it with int(x), or pass the number as a Python int: it is static then",
            )
        return self._decide(True, "an index or a length", table_hint())

    def _refuse_item(self, dtype: np.dtype) -> None:
        """The error where NumPy asks for the number because it is assigned to an element of a plain array."""
        recorder = self.recorder
        if assigns_item(sys._getframe(2)) and not (recorder.decides_items and recorder.knowledge is not None):
            raise AssignedPlain(
                f"a traced array ({self.value.type}) was assigned into a plain ndarray of dtype {dtype}",
                hint=f"make the array with lilith.numpy.zeros(n, {dtype}); np.zeros(n) keeps fractions and gradients",
                tracers=(self,),
            )

    def _decide(self, integer: bool, what: str, remedy: str | None = None) -> int:
        """The value that Python code decides by, which becomes a guard of the trace."""
        if self.size != 1:
            raise ShapeError(f"{what} of {self.value.type}, which has not one element", hint=remedy or "index it: x[0]")
        return self.recorder.decide(self, integer, lambda hint: _unknown(self, what, remedy or hint))

    def __float__(self) -> float:
        raise AssignedPlain(
            f"float(), math.sin() and the like of a traced array ({self.value.type}): its value is not known while "
            "tracing",
            hint="use NumPy functions: np.sin(x); x.astype(float) converts",
            tracers=(self,),
        )

    def __complex__(self) -> complex:
        raise AssignedPlain(
            f"complex() of a traced array ({self.value.type}): its value is not known while tracing",
            hint="use NumPy functions; x.astype(complex) converts",
            tracers=(self,),
        )

    def item(self, *args: Any) -> Any:
        """The Python bool or int of an array with one; an error for floats, whose value is not known while tracing."""
        if not args and self.size == 1 and self.dtype.kind in "biu":
            return bool(self) if self.dtype.kind == "b" else int(self)
        return _no_value(self, "item()", "keep the array: arithmetic works on it; return it to get its value")

    def tolist(self) -> Any:
        """An error: the values are not known while tracing."""
        return _no_value(self, "tolist()", "keep the array: arithmetic works on it; return it to get its value")

    def tobytes(self, *args: Any) -> Any:
        """An error: the values are not known while tracing."""
        return _no_value(self, "tobytes()", "return the array from the function to get its value")

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise AssignedPlain(
            f"a traced array ({self.value.type}) cannot become a plain ndarray",
            hint=replacement()
            or table_hint()
            or ("" if self.shape or self.dtype.kind not in "iu" else "np.arange(int(n)) instead of np.arange(n); ")
            + "np.stack([x, y]) instead of np.array([x, y]), also inside np.sum([x, y]); "
            "lilith.numpy.asarray(x) instead of np.asarray(x); np.sin(x) instead of math.sin(x); "
            "np.stack or np.concatenate of the parts instead of a[i] = x",
            tracers=(self,),
        )

    def __setitem__(self, key: Any, item: Any) -> None:
        FUNCTIONS["setitem"](self, key, item)

    def __copy__(self) -> Tracer:
        return FUNCTIONS["copy"](self)

    def __deepcopy__(self, memo: Any) -> Tracer:
        return FUNCTIONS["copy"](self)

    def __reduce__(self) -> NoReturn:
        raise TraceError(f"a traced array ({self.value.type}) cannot be pickled", hint="pickle the results instead")

    # ---- NumPy's protocols

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        from lilith.numpy import standard

        return standard.traced_namespace(api_version)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        out = kwargs.pop("out", None)
        if out is not None and any([y is not None for y in out]):
            where, casting = kwargs.pop("where", True), kwargs.pop("casting", "same_kind")
            return FUNCTIONS["out"](
                ufunc.__name__,
                out if ufunc.nout > 1 else out[0],
                lambda: self.__array_ufunc__(ufunc, method, *inputs, **kwargs),
                casting,
                where,
            )
        if method == "__call__":
            return call_rule(UFUNCS.get(ufunc), ufunc, inputs, kwargs)
        if method == "outer":
            x, y = inputs
            column = FUNCTIONS[np.reshape](x, np.shape(x) + (1,) * np.ndim(y))
            return call_rule(UFUNCS.get(ufunc), ufunc, (column, y), kwargs)
        if method in ("reduceat", "at"):
            return call_rule(FUNCTIONS[method], ufunc, (ufunc, *inputs), kwargs)
        table = {"reduce": REDUCTIONS, "accumulate": ACCUMULATIONS}.get(method)
        if table is None or ufunc not in table:
            raise UnsupportedError(
                f"np.{ufunc.__name__}.{method} of traced arrays is not supported",
                hint=f"write it with np.{ufunc.__name__}, indexing and np.sum",
                tracers=tracers_in(*inputs),
            )
        return call_rule(table[ufunc], ufunc, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        if kwargs.get("out") is not None:
            out = kwargs.pop("out")
            return FUNCTIONS["out"](
                function.__name__, out, lambda: call_rule(FUNCTIONS.get(function), function, args, kwargs)
            )
        return call_rule(FUNCTIONS.get(function), function, args, kwargs)

    # ---- indexing and attributes; operators and methods follow the class

    def __getitem__(self, key: Any) -> Tracer:
        return FUNCTIONS["getitem"](self, key)

    @property
    def T(self) -> Tracer:
        """The axes in reverse order."""
        return FUNCTIONS[np.transpose](self)

    @property
    def mT(self) -> Tracer:
        """The last two axes swapped."""
        if self.ndim < 2:
            raise ShapeError(f"x.mT: {self.value.type} has no matrix axes", hint="x.mT needs at least two axes")
        return FUNCTIONS[np.swapaxes](self, -1, -2)

    @property
    def real(self) -> Tracer:
        """The real part; of a real array itself."""
        return FUNCTIONS[np.real](self)

    @real.setter
    def real(self, value: Any) -> None:
        self.real[...] = value

    @property
    def imag(self) -> Tracer:
        """The imaginary part; of a real array zeros."""
        return FUNCTIONS[np.imag](self)

    @imag.setter
    def imag(self, value: Any) -> None:
        self.imag[...] = value

    @property
    def flat(self) -> Any:
        """An iterator over the elements, in C order, which takes indices as well."""
        return FUNCTIONS["flat"](self)

    @flat.setter
    def flat(self, value: Any) -> None:
        self.flat[:] = value

    def __contains__(self, item: Any) -> bool:
        return bool(FUNCTIONS[np.any](self == item))

    def __divmod__(self, other: Any) -> Any:
        return OPERATORS[np.divmod](self, other)

    def __rdivmod__(self, other: Any) -> Any:
        return OPERATORS[np.divmod](other, self)

    def __pos__(self) -> Any:
        return OPERATORS[np.positive](self)

    def __neg__(self) -> Any:
        return OPERATORS[np.negative](self)

    def __abs__(self) -> Any:
        return OPERATORS[np.absolute](self)

    def __invert__(self) -> Any:
        return OPERATORS[np.invert](self)

    def __round__(self, ndigits: int | None = None) -> Any:
        return FUNCTIONS[np.round](self, ndigits or 0)

    def __getattr__(self, name: str) -> Any:
        if name == "value":  # a view whose memory was written to
            return FUNCTIONS["refresh"](self)
        if name.startswith("__"):
            raise AttributeError(name)
        near = difflib.get_close_matches(name, dir(Tracer), 3)
        if getattr(np, name, None) in FUNCTIONS:
            hint = f"call np.{name}(x)"
        else:
            hint = f"did you mean x.{', x.'.join(near)}?" if near else f"is there a function np.{name}?"
        raise AttributeError(str(UnsupportedError(f"a traced array ({self.value.type}) has no .{name}", hint=hint)))


_ORDINARY = frozenset({Tracer, int, float, complex, bool, np.ndarray, np.float64, np.float32, np.int64})


def assigns_item(frame: FrameType) -> bool:
    """Whether a frame is at an assignment x[key] = v right now, so that who is called from it is called by x."""
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] == "STORE_SUBSCR"


def refuse_out(name: str, out: Any) -> NoReturn:
    """The error for a traced result that is to be written into a plain array."""
    for y in out if isinstance(out, tuple) else (out,):
        if hasattr(y, "refuse_write"):
            y.refuse_write()
    raise AssignedPlain(
        f"np.{name}(..., out={describe_types(*(out if isinstance(out, tuple) else (out,)))}): a traced result "
        "cannot be written into an existing array",
        hint=f"write y = np.{name}(...) and use y",
    )


def tracers_in(*xs: Any) -> list[Tracer]:
    """The tracers among arguments, in lists and tuples too."""
    found: list[Tracer] = []
    for x in xs:
        if type(x) is Tracer:
            found.append(x)
        elif isinstance(x, (list, tuple)):
            found += tracers_in(*x)
    return found


def call_rule(handler: Callable[..., Any] | None, function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """A function's rule; where it has none or refuses, the error says which arrays were involved."""
    try:
        if handler is None:
            unsupported(function, [*FUNCTIONS, *UFUNCS])
        return handler(*args, **kwargs)
    except UnsupportedError as error:
        error.tracers = error.tracers or tuple(tracers_in(*args, *kwargs.values()))
        raise


def _operators() -> None:
    """Attach the binary operators, the comparisons and the in-place operators to Tracer."""
    for name, ufunc in {
        "add": np.add,
        "sub": np.subtract,
        "mul": np.multiply,
        "truediv": np.true_divide,
        "floordiv": np.floor_divide,
        "mod": np.remainder,
        "pow": np.power,
        "matmul": np.matmul,
        "and": np.bitwise_and,
        "or": np.bitwise_or,
        "xor": np.bitwise_xor,
        "lshift": np.left_shift,
        "rshift": np.right_shift,
    }.items():
        forward, reflected = _binary(name, ufunc)
        setattr(Tracer, f"__{name}__", forward)
        setattr(Tracer, f"__r{name}__", reflected)
        setattr(Tracer, f"__i{name}__", _inplace(ufunc))
    for name, ufunc in {
        "lt": np.less,
        "le": np.less_equal,
        "gt": np.greater,
        "ge": np.greater_equal,
    }.items():
        setattr(Tracer, f"__{name}__", _binary(name, ufunc)[0])
    Tracer.__eq__ = _equality("==", "eq", np.equal)  # type: ignore[method-assign]
    Tracer.__ne__ = _equality("!=", "ne", np.not_equal)  # type: ignore[method-assign]


def _inplace(ufunc: Any) -> Callable[..., Any]:
    """`x += v` gives the name of a number a new value, as for Python floats; an array is written to."""

    def operator(self: Tracer, other: Any) -> Any:
        if not (type(other) in _ORDINARY or takes(other)):
            return NotImplemented
        return FUNCTIONS["inplace"](ufunc, self, other)

    return operator


_operators()
