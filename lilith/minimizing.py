"""minimize: value and gradient of a function of any structure, handed to scipy.optimize."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize

from lilith import tree
from lilith.api import jit, value_and_grad
from lilith.signature import declared_static, describe
from lilith.source import ArgumentError, DtypeError
from lilith.transforms import hessian, hvp
from lowering.carrier import to_device
from lowering.runtime import JAX, PYTHON, SCALAR

_PRODUCT = frozenset({"newton-cg", "trust-ncg", "trust-krylov", "trust-constr"})
"""Methods that take the product of the Hessian with a vector."""

_MATRIX = frozenset({"dogleg", "trust-exact"})
"""Methods that take the Hessian itself."""

_NO_GRADIENT = frozenset({"nelder-mead", "powell", "cobyla", "cobyqa"})

_BOUNDED = _NO_GRADIENT | {"l-bfgs-b", "tnc", "slsqp", "trust-constr"}

_METHODS = _PRODUCT | _MATRIX | _BOUNDED | {"cg", "bfgs"}


_OURS = frozenset({"fun", "x0", "args", "jac", "hess", "hessp", "constraints", "options"})
"""What SciPy's function takes besides a method's options."""


class Minimum(NamedTuple):
    """What `minimize` found.

    Attributes:
        params: the parameters there, of the structure they were given in.
        value: the function's value there.
        success: whether the method says that it has converged.
        message: what it says.
        steps: how many iterations it took.
        result: all that SciPy returns (`scipy.optimize.OptimizeResult`); its vectors hold the parameters one after the
            other, in the order of `g.paths()`.
    """

    params: Any
    value: float
    success: bool
    message: str
    steps: int
    result: scipy.optimize.OptimizeResult


class _Flat:
    """A structure's floating leaves as one float64 vector."""

    def __init__(self, params: Any):
        self.leaves, self.structure = tree.flatten(params)
        self.paths = tree.paths(self.structure, "params")
        self.places: list[tuple[int, slice, Any, str]] = []
        first: dict[int, slice] = {}  # an array in several places is one array
        self.size = 0
        apart = declared_static(self.structure, self.leaves)
        for i, (leaf, path) in enumerate(zip(self.leaves, self.paths, strict=True)):
            tree.check_leaf(leaf, path)
            tree.check_there(leaf, path, "minimize: ")
            kind, type = describe(leaf)
            if type is None or type.dtype.kind in "biu" or i in apart:
                continue
            if type.dtype.kind == "c":
                raise DtypeError(
                    f"minimize: {path} is complex ({type})", hint="pass its real and imaginary parts as two arrays"
                )
            where = first.get(id(leaf)) if kind not in (PYTHON, SCALAR) else None
            if where is None:
                where = first[id(leaf)] = slice(self.size, self.size + type.size)
                self.size += type.size
            self.places.append((i, where, type, kind))
        if self.size == 0:
            raise ArgumentError("minimize: the parameters hold no floating-point number", hint="floats, not ints")

    def pack(self, x: Any) -> np.ndarray:
        """The vector of a structure like this one; 0 where it has None."""
        leaves, structure = tree.flatten(x)
        if structure != self.structure:
            raise ArgumentError("minimize: a structure unlike that of params", hint="one leaf for each of params")
        vector = np.zeros(self.size)
        for i, where, _, _ in self.places:
            if leaves[i] is not None:
                vector[where] = np.ravel(np.asarray(leaves[i], np.float64))
        return vector

    def direction(self, vector: np.ndarray) -> Any:
        """The structure of a direction: None for what is no parameter."""
        leaves, structure = tree.flatten(self.unpack(vector))
        moved = {i for i, _, _, _ in self.places}
        return tree.unflatten(structure, [leaf if i in moved else None for i, leaf in enumerate(leaves)])

    def spread(self, x: Any, params: Any, default: float) -> np.ndarray:
        """The vector of numbers given for all parameters, for parts of the structure, or one by one."""
        vector = np.full(self.size, default)
        leaves = tree.spread(x, params)
        if leaves is None:
            raise ArgumentError(
                "minimize: bounds of another structure than params", hint="a number, None, or one of these per part"
            )
        for i, where, type, _ in self.places:
            if leaves[i] is not None:
                try:
                    vector[where] = np.ravel(np.broadcast_to(np.asarray(leaves[i], np.float64), type.shape))
                except ValueError as error:
                    raise ArgumentError(f"minimize: the bound of {self.paths[i]}: {error}", hint="its shape") from error
        return vector

    def unpack(self, vector: np.ndarray) -> Any:
        """The structure of a vector: leaves of their own dtypes and kinds; the others are as they were given."""
        leaves = list(self.leaves)
        made: dict[int, Any] = {}
        for i, where, type, kind in self.places:
            if where.start not in made or type.size == 0:
                made[where.start] = _as_leaf(vector[where], self.leaves[i], type, kind)
            leaves[i] = made[where.start]
        return tree.unflatten(self.structure, leaves)


def _as_leaf(numbers: np.ndarray, leaf: Any, type: Any, kind: str) -> Any:
    if kind == PYTHON:
        return float(numbers[0])
    array = numbers.astype(type.dtype).reshape(type.shape)
    if kind == SCALAR:
        return array[()]
    return to_device(array, leaf.sharding) if kind == JAX else array


def minimize(
    f: Callable[..., Any],
    params: Any,
    *args: Any,
    method: str = "L-BFGS-B",
    bounds: Any = None,
    callback: Callable[[Any, float], Any] | None = None,
    tol: float | None = None,
    **options: Any,
) -> Minimum:
    """Minimise `f(params, *args)` over the floating-point numbers in params, by a method of scipy.optimize.minimize.

    The method is given f's value and its gradient, in float64; `newton-cg`, `trust-ncg`, `trust-krylov` and
    `trust-constr` are also given the product of the Hessian with a vector, `dogleg` and `trust-exact` the Hessian.

    Arguments:
        f: a scalar function.
        params: where to begin: any structure. It is not changed.
        args: passed on to f as they are.
        method: the name of a method of scipy.optimize.minimize.
        bounds: `(low, high)` for all numbers, or two structures like params (None, or a number, for a whole part of
            it); None stands for no bound.
        callback: called after every step with the parameters and the value there; StopIteration stops the method.
        tol: how near is near enough, in the method's own terms.
        options: the method's options, e.g. `maxiter=100`.

    Returns:
        a `Minimum`: `params`, `value`, `success`, `message`, `steps`, `result`.

    Raises:
        ArgumentError: params hold no floating-point number, the bounds are not of their structure, or SciPy has no such
            method, or the method no such option.
        ShapeError: f is not scalar.

    >>> import numpy as np, lilith
    >>> def rosenbrock(p):
    ...     return (1 - p["x"]) ** 2 + 100 * (p["y"] - p["x"] ** 2) ** 2
    >>> found = lilith.minimize(rosenbrock, {"x": -1.0, "y": 2.0})
    >>> found.success, round(found.params["x"], 4), round(found.params["y"], 4)
    (True, 1.0, 1.0)
    """
    name = _known(method, bounds, options)
    flat = _Flat(params)
    last: dict[bytes, float] = {}
    differentiated, plain = value_and_grad(f, wrt=0), jit(f)

    def value_and_slope(vector: np.ndarray) -> tuple[float, np.ndarray]:
        value, g = differentiated(flat.unpack(vector), *args)
        return _kept(last, vector, value), flat.pack(g[0])

    def value_alone(vector: np.ndarray) -> float:
        return _kept(last, vector, plain(flat.unpack(vector), *args))

    derivatives = name not in _NO_GRADIENT
    reporter = None if callback is None else _Reporter(callback, flat, last, value_alone)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Unknown solver options", scipy.optimize.OptimizeWarning)
            result = scipy.optimize.minimize(
                value_and_slope if derivatives else value_alone,
                flat.pack(params),
                jac=derivatives,
                hessp=_hessian_product(f, flat, args) if name in _PRODUCT else None,
                hess=_hessian_matrix(f, flat, args) if name in _MATRIX else None,
                method=name,
                bounds=_bounds(flat, params, bounds),
                callback=reporter,
                tol=tol,
                options=options,
            )
    except scipy.optimize.OptimizeWarning as error:
        raise ArgumentError(f"minimize: {method}: {error}", hint="scipy.optimize.show_options lists them") from None
    except StopIteration:  # from the callback; some methods of SciPy let it through
        if reporter is None or reporter.stopped is None:
            raise
        result = reporter.stopped
    return Minimum(
        flat.unpack(np.asarray(result.x)),
        float(result.fun),
        bool(result.success),
        str(result.message),
        int(result.get("nit", 0)),
        result,
    )


def _known(method: Any, bounds: Any, options: dict[str, Any]) -> str:
    """A method's name as SciPy's table has it."""
    if taken := sorted(_OURS & options.keys()):
        raise ArgumentError(
            f"minimize: {taken[0]}= is no option of a method: derivatives are Lilith's, and constraints are not taken",
            hint="call scipy.optimize.minimize with lilith.value_and_grad(f) itself",
        )
    name = method.lower() if isinstance(method, str) else ""
    if name not in _METHODS:
        raise ArgumentError(
            f"minimize: there is no method {method!r}", hint=f"one of {', '.join(sorted(_METHODS))}, in any case"
        )
    if bounds is not None and name not in _BOUNDED:
        raise ArgumentError(
            f"minimize: the method {method} takes no bounds", hint=f"these do: {', '.join(sorted(_BOUNDED))}"
        )
    return name


def _kept(last: dict[bytes, float], vector: np.ndarray, value: Any) -> float:
    """The value as a float, remembered for the callback as that of the last point."""
    last.clear()
    last[vector.tobytes()] = number = float(value)
    return number


def _hessian_product(f: Callable[..., Any], flat: _Flat, args: tuple) -> Callable[..., np.ndarray]:
    fixed = (None,) * len(args)

    def product(vector: np.ndarray, direction: np.ndarray) -> np.ndarray:
        h = hvp(f, (flat.unpack(vector), *args), (flat.direction(direction), *fixed))
        return flat.pack(h[0])

    return product


def _hessian_matrix(f: Callable[..., Any], flat: _Flat, args: tuple) -> Callable[[np.ndarray], np.ndarray]:
    def matrix(vector: np.ndarray) -> np.ndarray:
        rows, _ = tree.flatten(hessian(f, flat.unpack(vector), *args))
        blocks = iter([row for row in rows if row is not None])
        found = np.zeros((flat.size, flat.size))
        for _, down, a, _ in flat.places:
            for _, along, b, _ in flat.places:
                found[down, along] = np.reshape(np.asarray(next(blocks), np.float64), (a.size, b.size))
        return found

    return matrix


class _Reporter:
    """SciPy's callback; the value is there already unless the method has been elsewhere since.

    Attributes:
        stopped: where the user's callback stopped the method.
    """

    def __init__(
        self,
        callback: Callable[[Any, float], Any],
        flat: _Flat,
        last: dict[bytes, float],
        value_alone: Callable[[np.ndarray], float],
    ):
        self.callback, self.flat, self.last, self.value_alone = callback, flat, last, value_alone
        self.steps = 0
        self.stopped: scipy.optimize.OptimizeResult | None = None

    def __call__(self, x: np.ndarray, *more: Any) -> None:
        vector = np.array(x)
        value = self.last.get(vector.tobytes())
        value = self.value_alone(vector) if value is None else value
        self.steps += 1
        try:
            self.callback(self.flat.unpack(vector), value)
        except StopIteration:
            text = "the callback raised StopIteration"
            self.stopped = scipy.optimize.OptimizeResult(
                x=vector, fun=value, success=False, status=99, message=text, nit=self.steps
            )
            raise


def _bounds(flat: _Flat, params: Any, bounds: Any) -> Any:
    """SciPy's bounds from a pair of numbers or of structures."""
    if bounds is None:
        return None
    if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
        raise ArgumentError(f"minimize: bounds={bounds!r}", hint="bounds=(low, high), two numbers or two structures")
    low, high = [flat.spread(b, params, default) for b, default in zip(bounds, (-np.inf, np.inf), strict=True)]
    if not np.all(low <= high):
        raise ArgumentError("minimize: a lower bound above the upper one, or NaN", hint="bounds=(low, high)")
    return scipy.optimize.Bounds(low, high)
