"""Samples of the sorting primitives."""

from __future__ import annotations

from tests.samples.making import Sample


def samples() -> dict[str, list[Sample]]:
    return {}
