"""Transforms: Hessian and hvp of an MLP loss, Jacobian of a kinematic chain, gradients per example; jax beside it."""

from __future__ import annotations

import time
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import lilith
from bench.first_call import _fresh
from bench.timing import HEADER, Comparison, calls_for, in_turns, machine, row, table
from lilith.asked import Spec, interned
from lilith.captures import scan
from lilith.derive import derive
from lilith.mapping import axes_key
from lowering.emit import emit


class Row(NamedTuple):
    """A transform of a function written once for both.

    Attributes:
        make: the function for a NumPy namespace.
        ours: calls Lilith's transform of f.
        theirs: jax's transform of f, not yet compiled.
        spec: what the call derives.
        cotangent: what is given with it besides arguments; the arguments of f are then `args` without the last one.
    """

    name: str
    make: Callable[[Any], Callable[..., Any]]
    args: tuple
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    spec: Spec
    cotangent: Any = None


def _mlp(np: Any) -> Callable[..., Any]:
    """A loss of 501 parameters in one vector: 20 inputs, 20 hidden units, 3 results of which 1 has a bias."""

    def loss(p: Any, x: Any, y: Any) -> Any:
        h = np.tanh(x @ p[:400].reshape(20, 20) + p[400:420])
        out = h @ p[420:480].reshape(20, 3) + p[480:483]
        return np.mean((out - y) ** 2) + 1e-3 * np.sum(p**2)

    return loss


def _chain(np: Any) -> Callable[..., Any]:
    """The way of the end of a planar chain of 300 links past 13 marks along it: 26 numbers of 300 angles."""

    def ends(angles: Any) -> Any:
        heading = np.cumsum(angles)
        x, y = np.cumsum(np.cos(heading)), np.cumsum(np.sin(heading))
        return np.concatenate([x[22::23], y[22::23]])

    return ends


def _per_example(np: Any) -> Callable[..., Any]:
    def loss(w1: Any, w2: Any, x: Any) -> Any:
        return np.sum(np.tanh(np.tanh(x @ w1) @ w2) ** 2)

    return loss


def _gradients(f: Callable[..., Any]) -> Callable[..., Any]:
    """The gradients by the weights, as one function, so that its programs are kept."""
    return lilith.vmap(lambda w1, w2, x: tuple(lilith.grad(f, w1, w2, x, wrt=(0, 1))[1]), in_axes=(None, None, 0))


def rows() -> list[Row]:
    rng = np.random.default_rng(0)
    p, x, y, v = (rng.normal(size=s) for s in ((500,), (64, 20), (64, 3), (500,)))
    weights = rng.normal(size=(64, 128)) / 8, rng.normal(size=(128, 16)) / 11, rng.normal(size=(256, 64))
    hvp_spec = interned(Spec(True, cotangent=True, mode="hvp"))
    vmap_spec = interned(
        Spec(False, mode="vmap", options=(axes_key("in_axes", (None, None, 0)), axes_key("out_axes", 0)))
    )
    return [
        Row(
            "hessian, MLP of 500",
            _mlp,
            (p, x, y),
            lilith.hessian,
            lambda f: jax.hessian(f),
            interned(Spec(True, 0, mode="hessian")),
        ),
        Row(
            "hvp, MLP of 500",
            _mlp,
            (p, x, y, v),
            lambda f, p, x, y, v: lilith.hvp(f, (p, x, y), (v, None, None))[0],
            lambda f: lambda p, x, y, v: jax.jvp(lambda p: jax.grad(f)(p, x, y), (p,), (v,))[1],
            hvp_spec,
            (v, None, None),
        ),
        Row(
            "jacobian 26x300",
            _chain,
            (rng.normal(size=300) / 10,),
            lilith.jacobian,
            lambda f: jax.jacrev(f),
            interned(Spec(True, 0, mode="jacobian", options="auto")),
        ),
        Row(
            "gradients of 256 examples",
            _per_example,
            weights,
            lambda f, *args: f(*args),
            lambda f: jax.vmap(jax.grad(f, argnums=(0, 1)), in_axes=(None, None, 0)),
            vmap_spec,
        ),
    ]


def _own(r: Row) -> Callable[..., Any]:
    """The function that `ours` is called with."""
    return _gradients(r.make(np)) if r.spec.mode == "vmap" else r.make(np)


def _text(r: Row) -> str:
    """Trace, transform, emit."""
    f = _own(r)
    inner = f.__wrapped__ if r.spec.mode == "vmap" else f  # type: ignore[attr-defined]
    args = r.args if r.cotangent is None else r.args[:-1]
    return emit(derive(inner, r.spec, args, {}, scan(inner), r.cotangent).graph)


def _renewed(make: Callable[[Any], Callable[..., Any]]) -> Callable[[Any], Callable[..., Any]]:
    """Makes a function whose code no cache has seen."""

    def made(np: Any) -> Callable[..., Any]:
        f: Any = make(np)
        return types.FunctionType(f.__code__.replace(), f.__globals__, f.__name__, f.__defaults__, f.__closure__)

    return made


def _first_call(r: Row) -> tuple[float, float]:
    """Seconds from function to result: ours and jax's; the results agree."""
    f, g = _own(r._replace(make=_renewed(r.make))), _fresh(r.make, jnp)
    start = time.perf_counter()
    found = r.ours(f, *r.args)
    ours = time.perf_counter() - start
    start = time.perf_counter()
    expected = jax.block_until_ready(jax.jit(r.theirs(g))(*r.args))
    theirs = time.perf_counter() - start
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    return ours, theirs


def main(rounds: int = 15) -> None:
    """Print the table: warm calls, trace and lower, whole first calls."""
    previous = bool(jax.config.read("jax_enable_x64"))
    jax.config.update("jax_enable_x64", True)
    try:
        print(machine())
        warm, lower, first = [], [], []
        for r in rows():
            f, theirs = _own(r), jax.jit(r.theirs(r.make(jnp)))

            def ours(r: Row = r, f: Any = f) -> Any:
                return r.ours(f, *r.args)

            def jaxs(r: Row = r, theirs: Any = theirs) -> Any:
                return jax.tree.map(np.asarray, theirs(*r.args))

            warm.append(row(r.name, in_turns(ours, jaxs, rounds, calls_for(ours, 0.02)), "1.05"))
            lowering = in_turns(
                lambda r=r: _text(r),  # type: ignore[misc]
                lambda r=r: jax.jit(r.theirs(_fresh(r.make, jnp))).trace(*r.args).lower(),  # type: ignore[misc]
                max(3, rounds // 3),
            )
            lower.append(row(r.name, lowering, "0.30"))
            pairs = [_first_call(r) for _ in range(3)]
            first.append(row(r.name, Comparison([a for a, _ in pairs], [b for _, b in pairs]), "1.00"))
        table("warm call", HEADER, warm)
        table("trace and lower", HEADER, lower)
        table("whole first call", HEADER, first)
    finally:
        jax.config.update("jax_enable_x64", previous)
