"""Why something was compiled: the parts of a program's key as text, and what differed."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from lilith import tree
from lilith.asked import Spec
from lilith.captures import Captures
from lilith.config import config
from lilith.ir.type import TensorType
from lilith.signature import STATIC, describe, take_apart
from lilith.source import LilithWarning, user_source

Description = dict[str, str]


def describe_call(f: Any, spec: Spec, args: tuple, kwargs: dict[str, Any], captures: Captures) -> dict[str, str]:
    """The parts of a program's key, as text."""
    parts = {"transform": _spec_text(spec)}
    if kwargs:
        parts["order of keywords"] = ", ".join(kwargs)
    arguments = take_apart(f, args, kwargs).tied()
    dynamic = [leaf.path for leaf in arguments.leaves if leaf.kind != STATIC]
    ties = iter(arguments.ties or range(len(dynamic)))
    for leaf in arguments.leaves:
        if leaf.kind == STATIC:
            text = f"static {type(leaf.value).__name__} {leaf.value!r}"
        else:
            text, first = f"{leaf.type} {leaf.kind}", dynamic[next(ties)]
            text += f", the same as {first}" if first != leaf.path else ""
        parts[f"argument {leaf.path}"] = text
    for name, x in zip(captures.names, captures.leaves, strict=True):
        kind, type_ = describe(x)
        parts[f"captured {name}"] = f"{type_} {kind}"
    if not config.roll:
        parts["rolling"] = "off"
    parts["code and static captures"] = captures.describe()
    return parts


def _spec_text(spec: Spec) -> str:
    given = spec.cotangent and not spec.mode
    options = {"options": spec.options, "wrt": spec.wrt, "has_aux": spec.has_aux or None, "cotangent": given or None}
    options["donate"] = spec.donate or None
    shown = ", ".join(f"{k}={v!r}" for k, v in options.items() if v is not None)
    return f"{spec.mode or ('grad' if spec.gradient else 'jit')}({shown})"


def difference(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """What differs between two keys, as lines `argument x: f64[3] ndarray -> f64[4] ndarray`."""
    lines = []
    for part in [*new, *[p for p in old if p not in new]]:
        before, after = old.get(part, "absent"), new.get(part, "absent")
        if before != after:
            lines.append(f"{part}: {before} -> {after}" if len(before + after) < 200 else f"{part} changed")
    return lines


def explain_miss(name: str, known: Sequence[Description], description: Description) -> None:
    """Say on stderr what is compiled, and how its key differs from the nearest one there is."""
    if not known:
        print(f"lilith: compiling {name} for the first time", file=sys.stderr)
        return
    reason = "; ".join(nearest(known, description)) or "its program was evicted, or a static capture changed"
    print(f"lilith: compiling {name} again: {reason}", file=sys.stderr)


def explain_path(name: str, path: str) -> None:
    """Say on stderr that another path through the function's own branches is compiled."""
    print(f"lilith: compiling {name} along another path: {path}", file=sys.stderr)


def nearest(known: Sequence[Description], description: Description) -> list[str]:
    """The difference to the key that is most alike, of equals the latest."""
    return min((difference(old, description) for old in reversed(known)), key=len)


def listing(
    name: str, known: Sequence[Description], paths: Sequence[Sequence[str]], repeats: Sequence[Sequence[str]]
) -> str:
    """One paragraph per program: its key, why it was compiled, the paths through its branches on traced values, and
    what of its Python loops became loops."""
    lines = [f"{name}: {len(known)} program{'s' if len(known) != 1 else ''}"]
    for i, description in enumerate(known):
        lines.append(f"{i + 1}. {description['transform']}")
        lines += [f"   {k}: {v}" for k, v in description.items() if k.startswith(("argument", "captured"))]
        if i:
            changed = nearest(known[:i], description)
            lines.append(f"   compiled because of {'; '.join(changed) or 'a static capture that changed'}")
        lines += [f"   path: {path}" for path in paths[i] if path]
        lines += [f"   rolled: {text}" for text in repeats[i]]
    return "\n".join(lines)


_warned_opaque: set[str] = set()


def warn_opaque(name: str, opaque: Sequence[str]) -> None:
    """Say once per function that it is compiled at every call, and why."""
    if name not in _warned_opaque:
        _warned_opaque.add(name)
        warnings.warn(
            f"{name} reads {', '.join(opaque)}, whose changes cannot be seen: it is traced and compiled at every call; "
            "pass it as an argument, or read what is needed from it outside of the function",
            LilithWarning,
            stacklevel=2,
        )


def warn_static_ints(
    name: str, seen_ints: dict[tuple, set[int]], spec: Spec, f: Callable[..., Any], args: tuple, kwargs: dict[str, Any]
) -> None:
    """A Python int is static; one that changes at every call compiles at every call. After four, say so."""
    leaves = take_apart(f, args, kwargs).leaves
    keys = [(leaf.path, leaf.value if leaf.kind == STATIC else leaf.type) for leaf in leaves]
    for i, leaf in enumerate(leaves):
        if leaf.kind != STATIC or type(leaf.value) is not int:
            continue
        others = (
            spec,
            i,
            *[tree.static_key(k) if not isinstance(k, TensorType) else k for j, (_, k) in enumerate(keys) if j != i],
        )
        if len(seen_ints) > 256:
            seen_ints.clear()
        seen = seen_ints.setdefault(others, set())
        seen.add(leaf.value)
        if len(seen) == 4:
            source = user_source()
            where = f" ({source.file}:{source.line})" if source is not None else ""
            warnings.warn(
                f"{name} was compiled for {len(seen)} values of its int argument {leaf.path!r}{where}: ints are "
                f"static; pass np.int64({leaf.path}) to make it data of one program",
                LilithWarning,
                stacklevel=2,
            )
