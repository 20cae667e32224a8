"""The public transforms besides grad: vjp, jvp, jacobian, hessian, hvp, vmap."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from lilith import modes  # noqa: F401  (fills the table of transforms, as mapping does)
from lilith.api import check_function, check_options
from lilith.asked import Spec, interned
from lilith.cache import fast_paths, fast_paths_of
from lilith.compile import missed, run
from lilith.config import config
from lilith.mapping import axes_key
from lilith.pullback import Pullback
from lilith.result import GradResult
from lilith.source import ArgumentError
from lilith.straight import MISS

_Wrt = int | str | tuple[int | str, ...] | None


def _normal(wrt: Any) -> Any:
    if isinstance(wrt, list):
        wrt = tuple(wrt)
    if isinstance(wrt, np.integer):
        wrt = int(wrt)
    if not isinstance(wrt, (int, str, tuple, type(None))) or isinstance(wrt, bool):
        raise ArgumentError(
            f"wrt={wrt!r}: takes an argument's index, its name or a tuple of them", hint="e.g. wrt=(0, 'scale')"
        )
    return wrt


def _call(f: Callable[..., Any], spec: Spec, args: tuple, kwargs: dict[str, Any], *given: Any) -> Any:
    """Answer by the warm path, if there is one for this function."""
    found = fast_paths.get((id(f.__code__), id(spec))) if f.__class__ is FunctionType else None
    if found is None or kwargs or config.interpret:
        return run(f, spec, args, kwargs, *given)
    result = found.first(f, args, *given)
    return result if result is not MISS else missed(found, f, spec, args, *given)


def _call_along(name: str, spec: Spec, f: Callable[..., Any], args: Any, tangents: Any) -> Any:
    """Answer a call with arguments and tangents, which come in tuples (or lists)."""
    check_function(f)
    for what, given in (("arguments", args), ("tangents", tangents)):
        if not isinstance(given, (tuple, list)):
            raise ArgumentError(
                f"{name}: the {what} come as a tuple, got {type(given).__name__}",
                hint=f"{name}(f, (x, y), (dx, dy)); of one argument: {name}(f, (x,), (dx,))",
            )
    return _call(f, spec, tuple(args), {}, tuple(tangents))


def vjp(f: Callable[..., Any], *args: Any, wrt: _Wrt = None, **kwargs: Any) -> tuple[Any, Pullback]:
    """The value of f and its vector-Jacobian product: `(y, pullback)`.

    `pullback(g)` is the GradResult of `sum(g * f(...))`. It can be called many times; the forward pass, whose
    intermediate results it uses, has run once.

    Arguments:
        f: any function of NumPy arrays, numbers or structures of them; it may return any structure.
        *args, **kwargs: its arguments.
        wrt: differentiate only by these: a position, a name or a tuple of them.

    >>> import numpy as np
    >>> y, pullback = vjp(lambda x, A: A @ np.sin(x), np.zeros(2), np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> y, pullback(np.array([1.0, 0.0]))[0], pullback(np.array([0.0, 1.0]))["x"]
    (array([0., 0.]), array([1., 2.]), array([3., 4.]))
    """
    check_function(f)
    check_options("vjp", f, wrt=wrt is not None)
    return _call(f, interned(Spec(True, _normal(wrt), mode="vjp")), args, kwargs)


def jvp(f: Callable[..., Any], args: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of f and its Jacobian-vector product, the derivative along a direction: `(y, dy)`.

    Arguments:
        args: the arguments, a tuple.
        tangents: how they move: for each argument its own structure; None for what does not move, and for what has no
            derivative.

    Returns:
        y and dy of one structure; None in dy for what has no derivative.

    >>> import numpy as np
    >>> jvp(lambda x, y: np.sin(x) * y, (0.0, 3.0), (1.0, None))
    (np.float64(0.0), np.float64(3.0))
    """
    if f.__class__ is FunctionType and args.__class__ is tuple and tangents.__class__ is tuple:
        found = fast_paths.get((id(f.__code__), _JVP_ID))
        if found is not None and not config.interpret:
            result = found.first(f, args, tangents)
            return result if result is not MISS else missed(found, f, _JVP, args, tangents)
    return _call_along("jvp", _JVP, f, args, tangents)


def jacobian(f: Callable[..., Any], *args: Any, wrt: _Wrt = 0, mode: str = "auto", **kwargs: Any) -> Any:
    """The Jacobian of f by the arguments `wrt`: one compiled program.

    Arguments:
        f: any function of real arrays or structures; it may return any structure.
        *args, **kwargs: its arguments.
        wrt: a position, a name, or a tuple of them.
        mode: `"forward"` (a column per element of the arguments), `"reverse"` (a row per element of the result), or
            `"auto"`, whichever has fewer.

    Returns:
        An array of shape `(*y.shape, *x.shape)`. If y is a structure or x is one, the structure of y with, in place of
        its arrays, the structure of x: blocks of that shape; None for what has no derivative. For a tuple `wrt`, x is
        the tuple of these arguments.

    >>> import numpy as np
    >>> jacobian(lambda x: np.stack([x[0] * x[1], x[1] ** 2]), np.array([2.0, 3.0]))
    array([[3., 2.],
           [0., 6.]])
    """
    check_function(f)
    if wrt.__class__ is int and wrt == 0 and mode == "auto":  # nothing to check at every call
        return _call(f, _JACOBIAN, args, kwargs)
    check_options("jacobian", f, wrt=wrt != 0, mode=mode != "auto")
    if mode not in ("auto", "forward", "reverse"):
        raise ArgumentError(f"jacobian: mode={mode!r}", hint="'auto', 'forward' or 'reverse'")
    return _call(f, interned(Spec(True, _normal(wrt), mode="jacobian", options=mode)), args, kwargs)


def hessian(f: Callable[..., Any], *args: Any, wrt: _Wrt = 0, **kwargs: Any) -> Any:
    """The Hessian of a scalar function by the arguments `wrt`: forward mode over reverse mode, one compiled program.

    Returns:
        An array of shape `(*x.shape, *x.shape)`; for a structure x (or a tuple `wrt`) the structure of x with, in place
        of its arrays, the structure of x again.

    >>> import numpy as np
    >>> hessian(lambda x: x[0] ** 2 * x[1], np.array([2.0, 3.0]))
    array([[6., 4.],
           [4., 0.]])
    """
    check_function(f)
    check_options("hessian", f, wrt=wrt != 0)
    return _call(f, interned(Spec(True, _normal(wrt), mode="hessian")), args, kwargs)


def hvp(f: Callable[..., Any], args: Sequence[Any], v: Sequence[Any]) -> GradResult:
    """The product of the Hessian of a scalar function with a vector, without the Hessian.

    Arguments:
        args: the arguments, a tuple.
        v: the vector: for each argument its own structure; None for an argument that is held fixed, whose part of the
            Hessian is left out.

    Returns:
        A GradResult with the arguments that are not held fixed: `h[0]` is the part that belongs to the first one.

    >>> import numpy as np
    >>> hvp(lambda x: np.sum(x**3), (np.array([1.0, 2.0]),), (np.array([1.0, 10.0]),))[0]
    array([  6., 120.])
    """
    if f.__class__ is FunctionType and args.__class__ is tuple and v.__class__ is tuple:
        found = fast_paths.get((id(f.__code__), _HVP_ID))
        if found is not None and not config.interpret:
            result = found.first(f, args, v)
            return result if result is not MISS else missed(found, f, _HVP, args, v)
    return _call_along("hvp", _HVP, f, args, v)


def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """The function that applies f to each slice of its arguments, all at once, and stacks the results.

    Arguments:
        f: any function of arrays or structures of them. Python cannot decide on its values (`if x > 0`): that would be
            many decisions at once.
        in_axes: which axis of the arguments' arrays is taken apart; None for arguments shared by all. One for all
            arguments, or one per positional argument in a tuple; for an argument with a structure it may have the same
            structure. Keyword arguments are taken apart along their first axis.
        out_axes: where the new axis is in the results, in the same way; None for a result that is the same for all.

    >>> import numpy as np
    >>> vmap(np.dot, in_axes=(0, None))(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 10.0]))
    array([21., 43.])
    """
    check_function(f)
    spec = interned(Spec(False, mode="vmap", options=(axes_key("in_axes", in_axes), axes_key("out_axes", out_axes))))
    found = fast_paths_of(f, spec)

    @functools.wraps(f, updated=())
    def mapped(*args: Any, **kwargs: Any) -> Any:
        if kwargs or config.interpret:
            return run(f, spec, args, kwargs)
        result = found.first(f, args)
        return result if result is not MISS else missed(found, f, spec, args)

    return mapped


_JVP = interned(Spec(True, cotangent=True, mode="jvp"))
_JACOBIAN = interned(Spec(True, 0, mode="jacobian", options="auto"))
_HVP = interned(Spec(True, cotangent=True, mode="hvp"))
_JVP_ID, _HVP_ID = id(_JVP), id(_HVP)
