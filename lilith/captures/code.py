"""What a piece of code reads, from its bytecode: global names, free variables, attributes, imports."""

from __future__ import annotations

import dis
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

_LOAD_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_LOAD_FREE = frozenset({"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"})
_LOAD_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"})
_STORE_GLOBAL = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL"})
_WRITERS = frozenset({"append", "appendleft", "extend", "extendleft", "add", "update", "insert"})
_IN_PLACE = 13  # BINARY_OP's argument from here on: +=, -=, ...
_ITEM_IN_PLACE = "LOAD_CONST COPY COPY BINARY_SUBSCR LOAD_CONST BINARY_OP SWAP SWAP STORE_SUBSCR".split()
_REFLECTIVE_NAMES = frozenset(
    "getattr vars locals dir asdict astuple fields replace copy deepcopy dataclasses attrgetter optree pickle "
    "inspect".split()
)
_COMPARING = frozenset("sorted min max sort index count remove heapq bisect".split())
_REFLECTIVE_ATTRIBUTES = frozenset("__dict__ __getattribute__ tree_map tree_leaves tree_flatten tree".split())


class Facts(NamedTuple):
    """What a code object and those nested in it read.

    The dicts map a name to False where the code only writes to what the name holds (`log.append(x)`, `count += 1`), so
    that its result cannot depend on it, and to True otherwise.

    Attributes:
        globals, free, attributes: the names, in order.
        fields: per global and free name, the attributes through which alone it is used: `c.rate`; None if otherwise.
        imports: `(module, level)` of import statements inside the function.
        stores: it assigns global names.
        compares: it may compare objects with == or <, so that their methods for that count.
        reflective: it may read attributes that it does not name.
    """

    globals: dict[str, bool]
    free: dict[str, bool]
    attributes: dict[str, bool]
    fields: dict[str, frozenset[str] | None]
    imports: tuple[tuple[str, int], ...]
    stores: bool
    compares: bool
    reflective: bool


_known: dict[int, tuple[types.CodeType, Facts]] = {}
_MAX_KNOWN = 16384


def facts_of(code: types.CodeType) -> Facts:
    """The facts of a code object, from memory when it was seen before."""
    found = _known.get(id(code))
    if found is None:
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        found = _known[id(code)] = (code, _analyse(code))
    return found[1]


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    pending = [code]
    while pending:
        code = pending.pop()
        yield code
        pending += [c for c in reversed(code.co_consts) if isinstance(c, types.CodeType)]


def _analyse(code: types.CodeType) -> Facts:
    global_names: dict[str, bool] = {}
    free: dict[str, bool] = {}
    attributes: dict[str, bool] = {}
    fields: dict[str, frozenset[str] | None] = {}
    imports: dict[tuple[str, int], None] = {}
    stores = compares = reflective = False
    for part in _nested(code):
        instructions = [x for x in dis.get_instructions(part) if x.opname not in ("EXTENDED_ARG", "NOP")]
        for i, x in enumerate(instructions):
            name = x.opname
            if name in _LOAD_GLOBAL:
                _note(global_names, x.argval, instructions, i)
                _note_field(fields, x.argval, instructions[i + 1 : i + 2])
            elif name in _LOAD_FREE:
                if x.argval in part.co_freevars:
                    _note(free, x.argval, instructions, i)
                    _note_field(fields, x.argval, instructions[i + 1 : i + 2])
            elif name in _LOAD_ATTRIBUTE:
                _note(attributes, x.argval, instructions, i)
            elif name == "IMPORT_NAME":
                imports[x.argval, int(instructions[i - 2].argval or 0)] = None
            elif name in _STORE_GLOBAL:
                stores = True
            elif name in ("COMPARE_OP", "CONTAINS_OP"):
                compares = True
            elif name == "MATCH_CLASS":
                reflective = compares = True
    compares |= not _COMPARING.isdisjoint([*global_names, *free, *attributes])
    reflective |= not _REFLECTIVE_NAMES.isdisjoint([*global_names, *free, *(name for name, _ in imports)])
    reflective |= not _REFLECTIVE_ATTRIBUTES.isdisjoint(attributes)
    return Facts(global_names, free, attributes, fields, tuple(imports), stores, compares, reflective)


def _note(names: dict[str, bool], name: str, instructions: list[Any], i: int) -> None:
    names[name] = names.get(name, False) or not _only_writes(instructions, i)


def _note_field(fields: dict[str, frozenset[str] | None], name: str, following: list[Any]) -> None:
    """Note the attribute that is loaded of what a name holds, or that it is used otherwise."""
    known = fields.get(name, frozenset())
    if known is None or not following or following[0].opname not in ("LOAD_ATTR", "LOAD_METHOD"):
        fields[name] = None
    else:
        fields[name] = known | {following[0].argval}


def _only_writes(instructions: list[Any], i: int) -> bool:
    """Whether the name loaded at i is only written to: `x.append(...)`, `x += 1`, `x[0] += 1`, `self.x += 1`."""
    following = [x.opname for x in instructions[i + 1 : i + 10]]
    if len(following) < 2:
        return False
    if following[0] in ("LOAD_ATTR", "LOAD_METHOD") and instructions[i + 1].argval in _WRITERS:
        return True
    if following[0] != "LOAD_CONST":
        return False
    if following[1] == "BINARY_OP" and instructions[i + 2].arg >= _IN_PLACE:
        before = instructions[i - 1]
        if instructions[i].opname in _LOAD_ATTRIBUTE:
            return before.opname == "COPY" and before.arg == 1
        return following[2].startswith("STORE_") and instructions[i + 3].argval == instructions[i].argval
    return following == _ITEM_IN_PLACE and instructions[i + 6].arg >= _IN_PLACE
