"""Primitives: sorting primitives."""
