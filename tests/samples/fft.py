"""Samples of the Fourier transforms."""

from __future__ import annotations

from tests.samples.making import C64, C128, F32, F64, Sample, sample, values


def samples() -> dict[str, list[Sample]]:
    lengths: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((), (6,)),
        ((), (5,)),
        ((), (1,)),
        ((), (2,)),
        ((2,), (4,)),
        ((), (3, 4)),
        ((2,), (2, 5)),
        ((2,), (2, 3, 4)),
        ((0,), (4,)),
    ]
    found = []
    for stack, n in lengths:
        half = (*n[:-1], n[-1] // 2 + 1)
        for kind in ("fft", "ifft", "irfft"):
            x = values(C128, stack + (half if kind == "irfft" else n))
            found.append(sample(x, kind=kind, lengths=n))
        found.append(sample(values(F64, stack + n), kind="rfft", lengths=n))
    for kind in ("fft", "ifft", "irfft"):
        found.append(sample(values(C64, (2, 4)), kind=kind, lengths=(6,) if kind == "irfft" else (4,)))
    found.append(sample(values(F32, (2, 4)), kind="rfft", lengths=(4,)))
    return {"fft": found}
