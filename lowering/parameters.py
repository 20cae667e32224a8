"""The parameters of a program as a Python signature, from the field paths of the user's arguments."""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Sequence


def signature_of(names: Sequence[str]) -> inspect.Signature:
    """Parameters of these names, so that XLA's dumps and profiles show them; what is no identifier is bent to one."""
    parameters: dict[str, inspect.Parameter] = {}
    for i, name in enumerate(names):
        plain = re.sub(r"\W+", "_", name).strip("_") or f"arg{i}"
        if not plain.isidentifier() or keyword.iskeyword(plain) or plain in parameters:
            plain = f"arg{i}_{plain}"
        parameters[plain] = inspect.Parameter(plain, inspect.Parameter.POSITIONAL_ONLY)
    return inspect.Signature(list(parameters.values()))
