"""Comparison benchmarks: `python -m bench dispatch`, `first_call`, `steady`."""
