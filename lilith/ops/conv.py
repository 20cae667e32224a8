"""Primitives: convolutions and windows."""
