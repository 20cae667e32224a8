"""x[mask] with a mask that depends on traced values: how many elements it has is not known while tracing.

It is a `Selection`: the whole array and the mask. Functions that work element by element are computed for all elements,
reductions leave out those that are not selected, `y[mask] = selection` is a select. Everything else needs the number of
elements and is an error.

Where the mask is False, functions are given a number at which they and their derivatives are finite (`SAFE`), in place
of the element: what they give there is thrown away, and neither it nor its derivative can do harm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from lilith.ir.graph import Value, current
from lilith.ir.type import kind
from lilith.numpy import reductions, ufuncs
from lilith.numpy.core import Shape, expand, full, lift, marked, name_of, wrap
from lilith.numpy.shaping import reshaped
from lilith.ops import elementwise
from lilith.source import DtypeError, IndexingError, ShapeError, UnsupportedError
from lilith.trace import Trace, current_trace
from lilith.tracer import FUNCTIONS, UFUNCS, Tracer, call_rule
from lilith.transform.simplify import parameters_key

SAFE: dict[str, float | tuple[float, ...]] = {
    "arccos": 0.0, "arccosh": 2.0, "arcsin": 0.0, "arctanh": 0.0, "erfinv": 0.0, "logit": 0.5, "ndtri": 0.5,
    "betainc": (1.0, 1.0, 0.5), "betaincc": (1.0, 1.0, 0.5),
}  # fmt: skip
"""What ufuncs are given in place of elements that are not selected, all operands or each, where it is not 1."""

_HINT = (
    "functions that work element by element, reductions and y[mask] = ... take x[mask]; for others "
    "np.where(mask, x, 0.0) keeps x's shape, and x[lilith.numpy.nonzero(mask, size=n)] has the first n"
)

# ---- which masks are the same, and which are known after all ---------------------------------------------------------

CONSTANT, CAPTURED, VARYING = 0, 1, 2


class Origins:
    """Of a trace's Values: which are equal because they are computed alike, and what they depend on."""

    def __init__(self, trace: Trace, around: Origins | None):
        self._trace, self._around = trace, around
        self._seen = 0
        self._found: dict[Value, tuple[Value, int]] = {}
        self._made: dict[tuple, tuple[Value, ...]] = {}

    def of(self, value: Value) -> tuple[Value, int]:
        """The first Value that is computed as this one is; and whether it comes from constants alone, from captured
        values, or from arguments and carries of loops."""
        if self._around is not None and not self._seen:
            self._around.look()
        self.look()
        return self._known(value)

    def look(self) -> None:
        """Go through the nodes that are new."""
        nodes = self._trace.nodes
        for node in nodes[self._seen :]:
            operands = [self._known(x) for x in node.operands]
            key = node.primitive, tuple([x for x, _ in operands]), parameters_key(node.params)
            first = node.results if node.effect else self._first(key) or self._made.setdefault(key, node.results)
            level = max([level for _, level in operands], default=CONSTANT)
            self._found.update({y: (x, level) for x, y in zip(first, node.results, strict=True)})
        self._seen = len(nodes)

    def _first(self, key: tuple) -> tuple[Value, ...] | None:
        """What computes the same already, in this trace or in those around it."""
        return self._made.get(key) or (self._around._first(key) if self._around is not None else None)

    def _known(self, x: Value) -> tuple[Value, int]:
        found = self._found.get(x)
        if found is None:
            found = self._found[x] = self._of_input(x)
        return found

    def _of_input(self, x: Value) -> tuple[Value, int]:
        trace = self._trace
        for tracer, value in trace.captured.values():
            if value is x:
                return origins(tracer.recorder).of(tracer.value)
        if any([value is x for _, value in trace.hoisted.values()]):
            return x, CONSTANT
        return x, CAPTURED if x in trace.outside else VARYING


def origins(trace: Trace) -> Origins:
    """What is known of a trace's Values."""
    if trace.origins is None:
        around = trace.around
        trace.origins = Origins(trace, origins(around) if isinstance(around, Trace) else None)
    return trace.origins


def same(a: Value, b: Value) -> bool:
    """Whether two Values of the trace that is running are computed alike."""
    if a is b:
        return True
    known = origins(current_trace())
    return known.of(a)[0] is known.of(b)[0]


# ---- keys with a traced mask ----------------------------------------------------------------------------------------


def is_mask(k: Any) -> bool:
    """Whether a part of a key is a traced mask."""
    return isinstance(k, Tracer | Value) and kind(k.dtype) == "b" and type(k) is not Selection


def masked_axes(x: Value, entries: Sequence[Any]) -> tuple[Value, int]:
    """The traced mask of a key, and the first of the axes that it is for."""
    place = next(k for k, entry in enumerate(entries) if is_mask(entry))
    mask = current_trace().lift(entries[place])
    others = [entry for k, entry in enumerate(entries) if k != place]
    if any([not (isinstance(k, slice) and k == slice(None)) and k is not Ellipsis for k in others]):
        raise UnsupportedError(
            f"a traced mask ({mask.type}) beside other indices",
            hint="index first: row = x[i], row[mask]; column = x[:, i], column[mask]; they are views of x",
            tracers=(Tracer(mask, current_trace()),),
        )
    dots = any([k is Ellipsis for k in entries[:place]])
    first = x.ndim - mask.ndim - len(entries[place + 1 :]) if dots else place
    if x.shape[first : first + mask.ndim] != mask.shape or first < 0:
        raise IndexingError(f"a mask {mask.type} for {x.type}", hint="the mask needs the shape of the axes it is for")
    return mask, first


def selected(x: Value, key: Any) -> Selection | None:
    """x[key] where a traced mask is in the key; None where captured values alone make the mask: asking for its contents
    (by the error of `take_item`) has them become part of the program's key then."""
    entries = key if type(key) is tuple else (key,)
    if not any(map(is_mask, entries)):
        return None
    mask, first = masked_axes(x, entries)
    if origins(current_trace()).of(mask)[1] == CAPTURED:
        return None
    sizes = (*x.shape[:first], mask.type.size, *x.shape[first + mask.ndim :])
    return Selection(reshaped(x, sizes), mask, x.ndim - first - mask.ndim)


# ---- selections -----------------------------------------------------------------------------------------------------


class Selection(Tracer):
    """The elements of an array that a traced mask selects, in NumPy's order.

    The axes of the mask are one axis, of which only some elements are there; `after` axes follow it.
    """

    __slots__ = ("_after", "_dense", "_mask", "_shared", "_source")

    def __init__(self, dense: Value, mask: Value, after: int):
        trace = current_trace()
        self.recorder, self.memory = trace, None
        # Values do not change: what is written to the array or the mask later is not seen here, as in NumPy
        self._dense, self._mask = Tracer(dense, trace), Tracer(mask, trace)
        self._after = after
        self._shared = False
        self._source = trace.source

    @property
    def value(self) -> NoReturn:  # type: ignore[override]
        """There is none: the error for everything that needs the shape."""
        raise self.refusal("an array of known shape made")

    def refusal(self, what: str, hint: str = _HINT) -> UnsupportedError:
        """The error that something cannot be done with it."""
        builder = current.builder
        return UnsupportedError(
            f"{what} of x[mask] with a traced mask ({self._mask.value.type}): how many elements there are depends on "
            "the mask",
            hint=hint,
            source=self._source if builder is None or builder.source is None else None,
            tracers=(self._mask,),
        )

    @property
    def after(self) -> int:
        """How many axes follow the one of the selected elements."""
        return self._after

    @property
    def dense(self) -> Value:
        """The array of all elements, selected or not, with the axes of the mask as one."""
        return lift(self._dense)

    @property
    def mask(self) -> Value:
        """The mask, with its own axes."""
        return lift(self._mask)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the elements."""
        return self._dense.dtype

    @property  # type: ignore[misc]
    def shape(self) -> NoReturn:  # type: ignore[override]
        """An error: it depends on the mask."""
        current_trace()
        raise self.refusal("the shape")

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._dense.ndim

    @property
    def size(self) -> Any:
        """The number of elements, traced."""
        current_trace()
        others = [n for axis, n in enumerate(self._dense.shape) if axis != self.place]
        return wrap(ufuncs.multiply(reductions.sum(self.mask), int(np.prod(others))))

    @property
    def place(self) -> int:
        """Which axis is that of the selected elements."""
        return self.ndim - 1 - self._after

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    # ---- parts of rules

    def like(self, y: Any, after: int | None = None) -> Any:
        """A result, or a tuple of them, as a selection by the same mask."""
        if isinstance(y, tuple):
            return tuple([self.like(z, after) for z in y])
        return Selection(lift(y), self.mask, self._after if after is None else after)

    def flags(self, sizes: Shape, after: int) -> Value:
        """The mask for an array of some shape, in which `after` axes follow that of the mask."""
        mask = self.mask
        return expand(reshaped(mask, (mask.type.size, *[1] * after)), sizes)

    def filled(self, number: Any) -> Value:
        """All elements, with a number in place of those that are not selected."""
        return self.only(self.dense, number, self._after)

    def only(self, x: Value, number: Any, after: int) -> Value:
        """x with a number in place of what the mask leaves out."""
        return elementwise.select(self.flags(x.shape, after), x, full(number, x.shape, x.dtype))

    def lane(self, x: Any, number: Any) -> Any:
        """An operand beside this one, with a number where nothing is selected; Python's numbers, None and the like as
        they are."""
        if isinstance(x, Selection):
            return x.filled(number)
        if x is None or isinstance(x, int | float | complex | str | np.generic | np.dtype | type):
            return x
        if isinstance(x, np.ndarray) and not x.shape:
            return x
        v = lift(x)
        place = v.ndim - 1 - self._after
        if place >= 0 and v.shape[place] != 1:
            raise ShapeError(
                f"{v.type} beside x[mask] with a traced mask ({self._mask.value.type}): how many elements the mask "
                "selects is not known while tracing",
                hint="select of that array too, v[mask]; what broadcasts along the selected elements needs no mask",
                tracers=(self._mask,),
            )
        common = np.broadcast_shapes(v.shape, (self._mask.size, *[1] * self._after))
        y = self.only(expand(v, common), number, self._after)
        return marked(y, True) if v.type.weak else y

    def check_fits(self, mask: Value, after: int) -> None:
        """The error where it cannot be assigned by a mask, which `after` axes follow."""
        together([self, Selection(mask, mask, 0)])
        if self._after != after:
            raise ShapeError(
                f"assignment of {self!r} where {after} axes follow those of the mask",
                hint="the same number of axes on both sides",
            )

    # ---- what Python and NumPy ask of it

    def __repr__(self) -> str:
        return f"Selection({self._dense.value.type} by {self._mask.value.type})"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name if name.startswith("__") else str(self.refusal(f"the attribute {name}")))

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        current_trace()
        raise self.refusal("the truth value or number")

    __bool__ = __int__ = __index__ = item = _refuse

    def __len__(self) -> int:
        current_trace()
        raise self.refusal(
            "len()", "x[mask].size is the number of elements, traced; int(x[mask].size) where it decides"
        )

    def __getitem__(self, key: Any) -> NoReturn:
        current_trace()
        raise self.refusal("indexing")

    def __copy__(self) -> Selection:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Selection:
        return self.copy()

    def copy(self, order: str = "C") -> Selection:
        """A copy."""
        current_trace()
        return self.like(self.dense)

    def astype(self, dtype: Any, order: str = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True):
        """A copy of another dtype."""
        current_trace()
        if not np.can_cast(self.dtype, dtype, casting):
            raise DtypeError(f"astype: {self!r} to {np.dtype(dtype)} is no {casting!r} cast", hint="casting='unsafe'")
        return elementwise_of(np.astype, FUNCTIONS[np.astype], (self, dtype), {})

    @property
    def T(self) -> Selection:
        """The axes in reverse order."""
        current_trace()
        return self._sharing(self.like(FUNCTIONS[np.transpose](self.dense), self.place))

    def _sharing(self, y: Selection) -> Selection:
        """A selection that shares this one's memory in NumPy: neither can be changed in place."""
        self._shared = y._shared = True
        return y

    @property  # type: ignore[misc]
    def real(self) -> Any:
        """The real part; of a real array itself."""
        current_trace()
        return self if self.dtype.kind != "c" else self._sharing(self.like(FUNCTIONS[np.real](self.dense)))

    @property  # type: ignore[misc]
    def imag(self) -> Any:
        """The imaginary part; of a real array zeros."""
        current_trace()
        return self._sharing(self.like(FUNCTIONS[np.imag](self.dense)))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        current_trace()
        name = f"np.{ufunc.__name__}" + (f".{method}" if method != "__call__" else "")
        if kwargs.get("out") is not None or kwargs.get("where", True) is not True:
            raise self.refusal(f"{name} with out= or where=")
        rule = RULES.get(ufunc if method == "__call__" else (ufunc, method))
        if rule is not None:
            return rule(ufunc, inputs, kwargs)
        if method != "__call__" or ufunc.signature is not None:
            raise self.refusal(name)
        return elementwise_of(ufunc, lambda *xs: call_rule(UFUNCS.get(ufunc), ufunc, xs, kwargs), inputs, {})

    def __array_function__(self, function: Any, types: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        current_trace()
        rule = RULES.get(function)
        if rule is None or kwargs.get("out") is not None:
            raise self.refusal(f"np.{name_of(function)}" + (" with out=" if rule is not None else ""))
        return rule(function, args, kwargs)


RULES: dict[Any, Callable[[Any, tuple, dict[str, Any]], Any]] = {}
"""What functions of NumPy, `(ufunc, method)` and ufuncs that do not work element by element do with selections:
`RULES[np.sum](np.sum, args, kwargs)`; the rules are in `lilith.numpy.selections`."""


# ---- element by element ---------------------------------------------------------------------------------------------


def together(xs: Sequence[Any]) -> Selection:
    """The first selection among operands; all are by one mask."""
    first, *others = [x for x in xs if isinstance(x, Selection)]
    for x in others:
        if not same(first.mask, x.mask):
            raise UnsupportedError(
                f"elements selected by different traced masks ({first._mask.value.type} and {x._mask.value.type}) "
                "come together: whether they are equally many depends on the masks",
                hint="select all of them by one mask; np.where(mask, x, y) chooses without selecting",
                tracers=(first._mask, x._mask),
            )
    return first


def elementwise_of(function: Any, compute: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Selection:
    """A function of every element."""
    xs = [*args, *kwargs.values()]
    lead = together(xs)
    for x in xs:
        if isinstance(x, Selection) and x.after != lead.after:
            raise ShapeError(
                f"{lead!r} and {x!r}: the axes of the mask do not lie side by side, counted from the last axis",
                hint="index one of them before it is selected of: x[:, 0][mask] beside v[mask]",
            )
    safe = SAFE.get(function.__name__, 1)
    numbers = safe if isinstance(safe, tuple) else (safe,) * len(xs)
    given = [lead.lane(x, number) for x, number in zip(xs, numbers, strict=True)]
    return lead.like(compute(*given[: len(args)], **dict(zip(kwargs, given[len(args) :], strict=True))))
