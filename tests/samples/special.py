"""Samples of the special functions."""

from __future__ import annotations

from tests.samples.making import Sample


def samples() -> dict[str, list[Sample]]:
    return {}
