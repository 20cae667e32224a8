"""Primitives: Fourier transforms."""
