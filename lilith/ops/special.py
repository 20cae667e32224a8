"""Primitives: special functions."""
