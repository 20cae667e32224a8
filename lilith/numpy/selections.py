"""What functions do with x[mask] where the mask is traced (`lilith.numpy.masks.Selection`): operators, reductions of
the selected elements, products."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from lilith.ir.type import kind
from lilith.numpy import reductions, ufuncs
from lilith.numpy.core import convert, expand, full, lift, name_of, normalize_axes, wrap
from lilith.numpy.masks import RULES, Selection, elementwise_of, together
from lilith.numpy.reductions import NOT_GIVEN
from lilith.ops import elementwise
from lilith.source import ArgumentError, DtypeError, ShapeError, TraceError
from lilith.trace import current_trace
from lilith.tracer import FUNCTIONS, OPERATORS, UFUNCS, Tracer, takes

# ---- element by element ---------------------------------------------------------------------------------------------


def _mapped(function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    return elementwise_of(function, FUNCTIONS[function], args, kwargs)


def _operator(ufunc: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def combined(x: Any, y: Any) -> Any:
        current_trace()
        return _matmul(x, y) if ufunc is np.matmul else elementwise_of(ufunc, OPERATORS[ufunc], (x, y), {})

    def forward(self: Selection, other: Any) -> Any:
        if other is None or isinstance(other, str | bytes):
            current_trace()
            raise self.refusal(f"the comparison with {other!r}")
        return combined(self, other) if takes(other) else NotImplemented

    def reflected(self: Selection, other: Any) -> Any:
        return combined(other, self) if takes(other) else NotImplemented

    return forward, reflected


def _inplace(ufunc: Any, name: str) -> Callable[..., Any]:
    """`s += v` changes s, whatever other names it has."""

    def operator(self: Selection, other: Any) -> Any:
        if not takes(other):
            return NotImplemented
        trace = current_trace()
        if self._shared or self.recorder is not trace:
            raise TraceError(
                f"in-place {name} of {self!r}, which " + ("shares memory" if self._shared else "is from around"),
                hint="write s = s + v, or take a copy first: s = s.copy()",
                tracers=(self._mask,),
            )
        y = elementwise_of(ufunc, OPERATORS[ufunc], (self, other), {})
        if not np.can_cast(y.dtype, self.dtype, "same_kind"):
            raise DtypeError(
                f"in-place {name}: a result of {y.dtype} cannot be written into {self!r}",
                hint=f"the array keeps its dtype: write s = s.astype(np.{y.dtype}) first",
            )
        if y._dense.shape != self._dense.shape:
            raise ShapeError(
                f"in-place {name}: {y!r} cannot be written into {self!r}", hint="an array keeps its shape: s = s + v"
            )
        self._dense = Tracer(convert(y.dense, self.dtype), trace)
        return self

    return operator


_UNARY: dict[str, Any] = {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}
_BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "floordiv": np.floor_divide,
    "mod": np.remainder, "pow": np.power, "matmul": np.matmul, "divmod": np.divmod, "and": np.bitwise_and,
    "or": np.bitwise_or, "xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift,
}  # fmt: skip
_COMPARISONS = {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
}  # fmt: skip


def _operators() -> None:
    """Attach the operators."""
    for name, ufunc in _UNARY.items():
        setattr(Selection, f"__{name}__", lambda self, ufunc=ufunc: ufunc(self))
    for name, ufunc in {**_BINARY, **_COMPARISONS}.items():
        forward, reflected = _operator(ufunc)
        setattr(Selection, f"__{name}__", forward)
        if name in _BINARY:
            setattr(Selection, f"__r{name}__", reflected)
            if name not in ("matmul", "divmod"):
                setattr(Selection, f"__i{name}__", _inplace(ufunc, name))
    Selection.__round__ = lambda self, ndigits=None: np.round(self, ndigits or 0)  # type: ignore[method-assign]
    Selection.__hash__ = Tracer.__hash__  # type: ignore[method-assign]


_operators()

# ---- reductions -----------------------------------------------------------------------------------------------------


def _reduction(function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """A reduction: of the selected elements, or along other axes, which gives a selection again."""
    try:
        options = inspect.signature(function).bind(*args, **kwargs).arguments
    except TypeError as error:
        raise ArgumentError(f"np.{name_of(function)}: {error}", hint="see its signature") from error
    x, *_ = options.values()
    del options[next(iter(options))]
    if not isinstance(x, Selection):
        raise next(v for v in options.values() if isinstance(v, Selection)).refusal(f"np.{name_of(function)}")
    if options.get("where", NOT_GIVEN) is not NOT_GIVEN:
        raise x.refusal(f"np.{name_of(function)} with where=")
    axes = normalize_axes(options.get("axis"), x.ndim, name_of(function))
    if x.place in axes:
        return _REDUCTIONS[function](x, FUNCTIONS[function], **options)
    together([x, *options.values()])
    gone = sum([axis > x.place for axis in axes]) if not options.get("keepdims") else 0
    options = {key: x.lane(v, 1) if isinstance(v, Selection) else v for key, v in options.items()}
    return x.like(FUNCTIONS[function](wrap(x.filled(1)), **options), x.after - gone)


def _reduce(ufunc: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """`ufunc.reduce`: over the first axis unless another is named."""
    return _reduction(_OF_UFUNCS[ufunc], args, {"axis": 0, **kwargs})


def _where(x: Selection, rule: Callable[..., Any], **options: Any) -> Any:
    """Sums and the like, which leave out what is not selected."""
    return rule(x.dense, where=x.flags(x.dense.shape, x.after), **options)


def _spread(x: Selection, rule: Callable[..., Any], **options: Any) -> Any:
    """Variances: differences from the mean are formed of all elements, so let none be infinite."""
    return rule(x.filled(1), where=x.flags(x.dense.shape, x.after), **options)


def _extreme(function: Any, low: bool, without_nan: bool = False) -> Callable[..., Any]:
    """max or min. Of nothing they are NaN, of integers the dtype's smallest or largest number: where NumPy raises an
    error, a compiled program cannot."""

    def reduced(x: Selection, rule: Callable[..., Any], **options: Any) -> Any:
        v = x.dense
        flags = x.flags(v.shape, x.after)
        if without_nan and kind(v.dtype) == "f":
            flags = elementwise.logical_and(flags, elementwise.logical_not(ufuncs.is_nan(v)))
        chosen = elementwise.select(flags, v, full(reductions.edge(v.dtype, low), v.shape, v.dtype))
        y = lift(FUNCTIONS[function](wrap(chosen), **options))
        if kind(v.dtype) != "f" or options.get("initial", NOT_GIVEN) is not NOT_GIVEN:
            return wrap(y)
        among = {key: given for key, given in options.items() if key in ("axis", "keepdims")}
        some = reductions.any(flags, **among) if without_nan else expand(reductions.any(x.mask), y.shape)
        zero = full(0, y.shape, y.dtype)
        # NaN, but no constant: who looks for where NaN appears finds this where there is nothing, not everywhere
        nothing = elementwise.div(zero, convert(some, y.dtype))
        return wrap(elementwise.select(some, y, nothing))

    return reduced


def _range(x: Selection, rule: Callable[..., Any], **options: Any) -> Any:
    high, low = [_REDUCTIONS[f](x, FUNCTIONS[f], **options) for f in (np.max, np.min)]
    return high - low


def _count(x: Selection, rule: Callable[..., Any], **options: Any) -> Any:
    return rule(x.filled(0), **options)


def _average(x: Selection, rule: Callable[..., Any], weights: Any = None, **options: Any) -> Any:
    """The weighted mean: what is not selected has weight 0."""
    w = x.like(full(1, x.dense.shape, x.dtype)) if weights is None else weights
    if not isinstance(w, Selection):
        raise x.refusal("np.average, with weights that are not selected,")
    together([x, w])
    return rule(x.filled(1), weights=w.filled(0), **options)


def _norm(x: Selection, rule: Callable[..., Any], ord: Any = None, **options: Any) -> Any:
    """Norms to which zeros add nothing."""
    of_vectors = x.ndim == 1 or isinstance(options.get("axis"), int)
    if not (ord is None or ord == "fro" or (isinstance(ord, int | float) and ord >= 0 and of_vectors)):
        raise x.refusal(f"np.linalg.norm with ord={ord!r}")
    return rule(x.filled(0), ord=ord, **options)


_REDUCTIONS: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys((np.sum, np.prod, np.mean, np.any, np.all, np.nansum, np.nanprod, np.nanmean), _where),
    **dict.fromkeys((np.var, np.std, np.nanvar, np.nanstd), _spread),
    **dict.fromkeys((np.max, np.amax), _extreme(np.max, True)),
    **dict.fromkeys((np.min, np.amin), _extreme(np.min, False)),
    **{np.nanmax: _extreme(np.max, True, without_nan=True), np.nanmin: _extreme(np.min, False, without_nan=True)},
    np.ptp: _range,
    **{np.count_nonzero: _count, np.average: _average, np.linalg.norm: _norm},
}
_OF_UFUNCS = {
    np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min, np.logical_and: np.all,
    np.logical_or: np.any,
}  # fmt: skip

# ---- products -------------------------------------------------------------------------------------------------------


def _matmul(x: Any, y: Any) -> Any:
    """x @ y: a sum over the selected elements, or one of their axes beside that sum."""
    lead = together([x, y])
    u, v = [z.filled(0) if isinstance(z, Selection) else lift(z) for z in (x, y)]
    own, other = [z.after if isinstance(z, Selection) else None for z in (x, y)]
    product = lambda: UFUNCS[np.matmul](u, v)  # noqa: E731
    if own is not None and other is not None:
        if own == 0 and other == min(1, v.ndim - 1):
            return product()
    elif own is not None and own > 0 and v.ndim in (1, 2):
        return lead.like(product(), own - (v.ndim == 1))
    elif other == 0 and v.ndim > 1 and u.ndim in (1, 2):
        return lead.like(product(), 0)
    raise lead.refusal("such a product")


def _dot(function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """np.dot, np.inner and np.vdot of vectors; np.dot of matrices."""
    if len(args) != 2 or kwargs:
        raise together([*args, *kwargs.values()]).refusal(f"np.{name_of(function)} with keywords")
    x, y = args
    if 0 in (np.ndim(x), np.ndim(y)):
        return x * y
    if max(np.ndim(x), np.ndim(y)) > (2 if function is np.dot else 1):
        raise together(args).refusal(f"np.{name_of(function)} with so many axes")
    return _matmul(np.conjugate(x) if function is np.vdot else x, y)


# ---- the table ------------------------------------------------------------------------------------------------------


def _known(answer: Callable[[Selection], Any]) -> Callable[..., Any]:
    """What is asked of a selection itself."""

    def rule(function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        if len(args) != 1 or kwargs:
            raise together([*args, *kwargs.values()]).refusal(f"np.{name_of(function)} with further arguments")
        return answer(args[0])

    return rule


RULES.update(
    {
        **dict.fromkeys(
            (
                np.where, np.clip, np.round, np.around, np.angle, np.nan_to_num, np.isclose, np.sinc, np.i0, np.fix,
                np.astype, np.copy, np.zeros_like, np.ones_like, np.full_like, np.isposinf, np.isneginf,
            ),
            _mapped,
        ),
        **dict.fromkeys(_REDUCTIONS, _reduction),
        **{(ufunc, "reduce"): _reduce for ufunc in _OF_UFUNCS},
        np.matmul: lambda _, xs, options: _matmul(*xs),
        **dict.fromkeys((np.dot, np.inner, np.vdot), _dot),
        np.size: _known(lambda x: x.size),
        np.ndim: _known(lambda x: x.ndim),
        np.transpose: _known(lambda x: x.T),
        np.real: _known(lambda x: x.real),
        np.imag: _known(lambda x: x.imag),
    }
)  # fmt: skip


def _method(function: Any) -> Callable[..., Any]:
    def call(self: Selection, *args: Any, **kwargs: Any) -> Any:
        return self.__array_function__(function, (), (self, *args), kwargs)

    call.__name__, call.__doc__ = function.__name__, f"numpy.{function.__name__} of the selected elements."
    return call


for _name in "all any clip dot max mean min prod round std sum var".split():
    setattr(Selection, _name, _method(getattr(np, _name)))
