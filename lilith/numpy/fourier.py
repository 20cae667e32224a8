"""numpy.fft: discrete Fourier transforms of any number of axes, and the order of their frequencies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilith.ir.graph import Value, fill_like
from lilith.ir.type import BFLOAT16, kind
from lilith.numpy.core import Shape, convert, implements, lift, normalize_axes, normalize_axis, static_int
from lilith.numpy.shaping import roll, transposed
from lilith.ops import elementwise, shape
from lilith.ops.fft import MOST_AXES, half_length
from lilith.ops.fft import fft as transform
from lilith.source import ArgumentError, DtypeError, ShapeError

_OPPOSITE = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _complex(x: Value) -> Value:
    """x as complex128, or as complex64 where it has less than 64 bits."""
    if kind(x.dtype) == "c":
        return x
    small = x.dtype == BFLOAT16 or (kind(x.dtype) == "f" and x.dtype.itemsize < 8)
    return convert(x, np.dtype(np.complex64 if small else np.complex128))


def _real(x: Value, name: str) -> Value:
    """x as float64, or as float32 where it is a float of less than 64 bits."""
    if kind(x.dtype) == "c":
        raise DtypeError(f"fft.{name}: takes real arrays, got {x.type}", hint="np.fft.fft, or x.real")
    small = x.dtype == BFLOAT16 or (kind(x.dtype) == "f" and x.dtype.itemsize < 8)
    return convert(x, np.dtype(np.float32 if small else np.float64))


def _norm(norm: Any, name: str) -> str:
    if norm is None:
        return "backward"
    if norm not in _OPPOSITE:
        raise ArgumentError(f"fft.{name}: norm={norm!r}", hint="'backward', 'ortho' or 'forward'")
    return norm


def _fitted(x: Value, axis: int, n: int) -> Value:
    """x cut or filled up with zeros to n entries along an axis."""
    m = x.shape[axis]
    if n < m:
        return shape.part(x, axis, 0, n)
    if n > m:
        none = (0,) * x.ndim
        high = tuple([n - m if i == axis else 0 for i in range(x.ndim)])
        return shape.pad(x, shape.fill(value=0, shape=(), dtype=x.dtype), low=none, high=high, interior=none)
    return x


def _scaled(x: Value, norm: str, inverse: bool, size: int) -> Value:
    """A transform times the factor that its norm asks for; the inverse has 1 / size in it already."""
    if norm == ("backward" if not inverse else "forward"):
        power = 0.0 if not inverse else 1.0
    else:
        power = 0.5 if norm == "ortho" else 0.0
        power = power if inverse else (-power if norm == "ortho" else -1.0)
    return x if power == 0.0 else elementwise.mul(x, fill_like(x, float(size) ** power))


def _apply(x: Value, kind: str, axes: Shape, sizes: Shape) -> Value:
    """The transform over distinct axes; `sizes` are those of the signal. The last axis is the halved one."""
    rest = tuple([axis for axis in range(x.ndim) if axis not in axes])
    order = rest + axes
    x = transposed(x, order)
    for i, n in enumerate(sizes):
        halved = kind == "irfft" and i == len(sizes) - 1
        x = _fitted(x, len(rest) + i, half_length(n) if halved else n)
    if len(axes) > MOST_AXES:
        x = _in_groups(x, kind, sizes)
    else:
        x = transform(x, kind=kind, lengths=sizes)
    return transposed(x, tuple(sorted(range(len(order)), key=order.__getitem__)))


def _in_groups(x: Value, kind: str, sizes: Shape) -> Value:
    """The transform over more axes than a primitive takes: the outer ones apart, as complex numbers."""
    outer, last = sizes[:-MOST_AXES], sizes[-MOST_AXES:]
    if kind == "irfft":
        x = _outer(x, "ifft", outer)
        return transform(x, kind=kind, lengths=last)
    return _outer(transform(x, kind=kind, lengths=last), "fft" if kind == "rfft" else kind, outer)


def _outer(x: Value, kind: str, sizes: Shape) -> Value:
    """The complex transform over the axes in front of the last MOST_AXES ones."""
    first = x.ndim - len(sizes) - MOST_AXES
    return _apply(x, kind, tuple(range(first, first + len(sizes))), sizes)


def _lengths(name: str, x: Value, s: Any, axes: Shape, halved: bool) -> Shape:
    """The sizes of the signal along the axes: s, where it is given and not -1."""
    found = [x.shape[axis] for axis in axes]
    if halved and found:
        found[-1] = 2 * (found[-1] - 1)
    if s is not None:
        given = [static_int(n, f"fft.{name}", "a length") for n in s]
        if len(given) != len(axes):
            raise ShapeError(f"fft.{name}: lengths {tuple(given)} for axes {axes}", hint="one length per axis")
        own = [x.shape[axis] for axis in axes]
        found = [m if n == -1 else n for n, m in zip(given, own, strict=True)]
    if any([n < 1 for n in found]):
        raise ShapeError(f"fft.{name}: lengths {tuple(found)} of {x.type}", hint="at least one point along each axis")
    return tuple(found)


def _axes(name: str, x: Value, s: Any, axes: Any) -> Shape:
    """The axes in the order they are named; without names the last ones, as many as there are lengths."""
    if axes is None:
        count = x.ndim if s is None else len(s)
        if count > x.ndim:
            raise ShapeError(f"fft.{name}: {count} lengths for {x.type}", hint="one length per axis")
        return tuple(range(x.ndim - count, x.ndim))
    return tuple([normalize_axis(axis, x.ndim, f"fft.{name}") for axis in axes])


def _transform(name: str, kind: str, a: Any, s: Any, axes: Any, norm: Any) -> Value:
    """Any of NumPy's transforms. An axis that is named twice is transformed twice, the last name first."""
    x = lift(a)
    given = x.dtype
    chosen = _norm(norm, name)
    places = _axes(name, x, s, axes)
    sizes = _lengths(name, x, s, places, kind == "irfft")
    x = _real(x, name) if kind == "rfft" else _complex(x)
    if not places:
        if kind in ("rfft", "irfft"):
            raise ShapeError(f"fft.{name}: no axis of {x.type} is named", hint="a real transform takes at least one")
        return x
    if len(set(places)) == len(places):
        x = _apply(x, kind, places, sizes)
    else:
        x = _repeated(x, kind, list(zip(places, sizes, strict=True)))
    y = _scaled(x, chosen, kind in ("ifft", "irfft"), math.prod(sizes))
    return convert(y, given) if kind == "irfft" and given == np.float16 else y  # as NumPy does


def _repeated(x: Value, kind: str, steps: list[tuple[int, int]]) -> Value:
    """The transform axis by axis; the real one, over the last axis, comes first or last."""
    plain = {"rfft": "fft", "irfft": "ifft"}.get(kind, kind)
    if kind == "irfft":
        for axis, n in steps[-2::-1]:
            x = _apply(x, plain, (axis,), (n,))
        return _apply(x, kind, (steps[-1][0],), (steps[-1][1],))
    x = _apply(x, kind, (steps[-1][0],), (steps[-1][1],))
    for axis, n in steps[-2::-1]:
        x = _apply(x, plain, (axis,), (n,))
    return x


def _one_axis(name: str) -> Callable[..., Value]:
    def rule(a: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Value:
        return _transform(name, name, a, None if n is None else (n,), (axis,), norm)

    rule.__name__, rule.__doc__ = name, f"numpy.fft.{name}."
    return rule


def _two_axes(name: str, kind: str) -> Callable[..., Value]:
    def rule(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None) -> Value:
        return _transform(name, kind, a, s, axes, norm)

    rule.__name__, rule.__doc__ = name, f"numpy.fft.{name}."
    return rule


def _all_axes(name: str, kind: str) -> Callable[..., Value]:
    def rule(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Value:
        return _transform(name, kind, a, s, axes, norm)

    rule.__name__, rule.__doc__ = name, f"numpy.fft.{name}."
    return rule


for _kind in ("fft", "ifft", "rfft", "irfft"):
    implements(getattr(np.fft, _kind))(_one_axis(_kind))
    implements(getattr(np.fft, f"{_kind}2"))(_two_axes(f"{_kind}2", _kind))
    implements(getattr(np.fft, f"{_kind}n"))(_all_axes(f"{_kind}n", _kind))


@implements(np.fft.hfft)
def hfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Value:
    """numpy.fft.hfft: the real transform of a signal with Hermitian symmetry, of which a is one half."""
    x = elementwise.conj(lift(a))
    return _transform("hfft", "irfft", x, None if n is None else (n,), (axis,), _OPPOSITE[_norm(norm, "hfft")])


@implements(np.fft.ihfft)
def ihfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Value:
    """numpy.fft.ihfft: one half of the Hermitian signal whose transform is a."""
    opposite = _OPPOSITE[_norm(norm, "ihfft")]
    return elementwise.conj(_transform("ihfft", "rfft", a, None if n is None else (n,), (axis,), opposite))


def _shifted(x: Any, axes: Any, by: Callable[[int], int], name: str) -> Value:
    v = lift(x)
    places: Sequence[int] = normalize_axes(axes, v.ndim, f"fft.{name}")
    return roll(v, [by(v.shape[i]) for i in places], list(places)) if places else v


@implements(np.fft.fftshift)
def fftshift(x: Any, axes: Any = None) -> Value:
    """numpy.fft.fftshift: frequency 0 in the middle."""
    return _shifted(x, axes, lambda n: n // 2, "fftshift")


@implements(np.fft.ifftshift)
def ifftshift(x: Any, axes: Any = None) -> Value:
    """numpy.fft.ifftshift: frequency 0 in front."""
    return _shifted(x, axes, lambda n: -(n // 2), "ifftshift")
