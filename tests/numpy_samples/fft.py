"""Fourier transforms."""

from __future__ import annotations

import numpy as np

from tests.agreement import M, T, V
from tests.numpy_samples.making import row

RNG = np.random.default_rng(11)

C = M + 1j * RNG.standard_normal(M.shape)
D = T + 1j * RNG.standard_normal(T.shape)
Q = RNG.standard_normal((2, 2, 3, 1, 4))

ROWS = [
    row("fft.fft", lambda x: np.fft.fft(x), C),
    row("fft.fft", lambda x: np.fft.fft(x, 6, axis=0, norm="ortho"), M),
    row("fft.fft", lambda x: np.fft.fft(x, 3, norm="forward"), C),
    row("fft.ifft", lambda x: np.fft.ifft(x), C),
    row("fft.ifft", lambda x: np.fft.ifft(x, 5, axis=-2, norm="forward"), C),
    row("fft.ifft", lambda x: np.fft.ifft(x, norm="ortho"), M),
    row("fft.fft2", lambda x: np.fft.fft2(x), D),
    row("fft.fft2", lambda x: np.fft.fft2(x, (2, -1), axes=(2, 0)), T),
    row("fft.ifft2", lambda x: np.fft.ifft2(x, norm="ortho"), D),
    row("fft.fftn", lambda x: np.fft.fftn(x), D),
    row("fft.fftn", lambda x: np.fft.fftn(x, axes=(2, 0, 2)), T),
    row("fft.fftn", lambda x: np.fft.fftn(x), Q),
    row("fft.ifftn", lambda x: np.fft.ifftn(x, (3, 2), axes=(0, 1)), D),
    row("fft.rfft", lambda x: np.fft.rfft(x), M),
    row("fft.rfft", lambda x: np.fft.rfft(x, 7, axis=0, norm="ortho"), M),
    row("fft.rfft", lambda x: np.fft.rfft(x, 1), V),
    row("fft.irfft", lambda x: np.fft.irfft(x), C),
    row("fft.irfft", lambda x: np.fft.irfft(x, 5, axis=0), C),
    row("fft.irfft", lambda x: np.fft.irfft(x, 9, norm="forward"), C),
    row("fft.rfft2", lambda x: np.fft.rfft2(x), T),
    row("fft.irfft2", lambda x: np.fft.irfft2(x), D),
    row("fft.irfft2", lambda x: np.fft.irfft2(x, (3, 4), norm="ortho"), D),
    row("fft.rfftn", lambda x: np.fft.rfftn(x), T),
    row("fft.rfftn", lambda x: np.fft.rfftn(x, axes=(1, 1, 0)), T),
    row("fft.irfftn", lambda x: np.fft.irfftn(x, (3, 4), axes=(2, 0)), D),
    row("fft.irfftn", lambda x: np.fft.irfftn(x), Q),
    row("fft.irfftn", lambda x: np.fft.irfftn(x, (2, 4), axes=(0, 0)), D),
    row("fft.hfft", lambda x: np.fft.hfft(x), C),
    row("fft.hfft", lambda x: np.fft.hfft(x, 5, axis=0, norm="ortho"), C),
    row("fft.ihfft", lambda x: np.fft.ihfft(x), M),
    row("fft.ihfft", lambda x: np.fft.ihfft(x, 6, norm="forward"), M),
    row("fft.fftshift", lambda x: [np.fft.fftshift(x), np.fft.fftshift(x, axes=1)], T),
    row("fft.ifftshift", lambda x: [np.fft.ifftshift(x), np.fft.ifftshift(x, axes=(0, 2))], T),
    row("fft.fftfreq", lambda d: np.fft.fftfreq(5, d), np.array(0.3)),
    row("fft.rfftfreq", lambda x: x * np.fft.rfftfreq(6, 0.5), V),
]
