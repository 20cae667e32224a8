"""Primitives: matrix factorisations."""
