"""What a peer has to offer: programs of workloads, and the loops and derivatives that workloads are written with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bench.comparison.workload import Workload


class Cannot(Exception):
    """The peer is not here, or cannot do the workload; the text says why, for the row in the table."""


class Stages(NamedTuple):
    """Seconds of a first call, taken apart, and what the compiler says of its program.

    Attributes:
        trace: from the Python function to the peer's own representation, derivatives included.
        lower: from there to the compiler's input.
        compile: the compiler.
        run: the compiled program's first run.
        memory: bytes of temporary buffers at their peak.
        code: bytes of the program, compiled and serialised.
        operations: operations in the compiler's input.
    """

    trace: float
    lower: float
    compile: float
    run: float
    memory: int | None = None
    code: int | None = None
    operations: int | None = None


class Program(NamedTuple):
    """A workload's function by one peer, with its arguments: every call returns when the result is there.

    Attributes:
        run: value and derivative, in the peer's own arrays.
        primal: the function alone; None where the workload has no other.
        read: `read(run())` is the result as a list of NumPy arrays.
    """

    run: Callable[[], Any]
    primal: Callable[[], Any] | None
    read: Callable[[Any], list[np.ndarray]]


def numpy_array(x: np.ndarray) -> np.ndarray:
    return x


class Kit(NamedTuple):
    """A peer's loops and derivatives, the same for all: what NumPy's API has no names for.

    Attributes:
        gradient: `(f, argument=0)` -> the function that gives the gradient by that argument.
        gradient_and_hvp: `(f, x, v)` -> gradient of a function of one array, and its Hessian times v.
        jacobian: `(f, argument, forward)` -> the function that gives the Jacobian.
        vmap: `(f, axes)` -> f over slices of its arguments (None: not sliced).
        jvp: `(f, x, v)` -> value and derivative along v of a function of one array.
        fori_loop: `(n, body, carry)`: `for i in range(n): carry = body(i, carry)`.
        scan: `(body, carry, xs)`: `for x in xs: carry = body(carry, x)`; xs is an array or a tuple of them.
        while_loop: `(condition, body, carry)`: `while condition(carry): carry = body(carry)`.
        conv2d: `(x, w)`, images (n, c, height, width) and kernels (out, c, h, w), without padding.
        constant: a NumPy array as the peer takes it.
    """

    gradient: Callable[..., Any]
    gradient_and_hvp: Callable[..., Any]
    jacobian: Callable[..., Any]
    vmap: Callable[..., Any]
    jvp: Callable[..., Any]
    fori_loop: Callable[..., Any]
    scan: Callable[..., Any]
    while_loop: Callable[..., Any]
    conv2d: Callable[..., Any]
    constant: Callable[..., Any] = numpy_array


class Peer:
    """A way to differentiate. Subclasses say how.

    Attributes:
        name: in the table.
        about: how its time is to be read.
    """

    name: str
    about: str

    def version(self) -> str:
        """Its version, after it has been loaded. Raises Cannot where it is not installed."""
        raise NotImplementedError

    def threads(self) -> int | None:
        """How many threads it computes with, where it tells."""
        return None

    def program(self, w: Workload, args: tuple[Any, ...]) -> Program:
        """The workload's program, compiled and run once. Raises Cannot where there is none."""
        raise NotImplementedError

    def first_call(self, w: Workload, args: tuple[Any, ...]) -> float:
        """Seconds from a function that no cache has seen to its first result."""
        raise NotImplementedError

    def stages(self, w: Workload, args: tuple[Any, ...]) -> Stages | None:
        """A first call taken apart; None where the peer has no such stages."""
        return None

    def memory(self, program: Program) -> int | None:
        """Bytes of temporary memory of one call at its peak, where `stages` does not tell."""
        return None


def python_fori_loop(n: int, body: Callable[..., Any], carry: Any) -> Any:
    for i in range(n):
        carry = body(i, carry)
    return carry


def python_scan(body: Callable[..., Any], carry: Any, xs: Any) -> Any:
    for i in range(len(xs[0] if isinstance(xs, tuple) else xs)):
        carry = body(carry, tuple([x[i] for x in xs]) if isinstance(xs, tuple) else xs[i])
    return carry


def python_while_loop(condition: Callable[..., Any], body: Callable[..., Any], carry: Any) -> Any:
    while condition(carry):
        carry = body(carry)
    return carry


def missing(what: str) -> Callable[..., Any]:
    """Stands in a Kit for what the peer does not have."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise Cannot(what)

    return refuse


def reason(error: BaseException) -> str:
    """An error as a short text for the table."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    text = text if isinstance(error, Cannot) else f"{name}: {text}" if text else name
    return text if len(text) <= 160 else text[:157] + "..."
