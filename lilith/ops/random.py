"""Primitives: random bits."""
