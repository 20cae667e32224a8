"""Settings of the whole process: `lilith.config.interpret = True`."""

from __future__ import annotations

import os
from collections.abc import Callable


class Config:
    """The settings, as attributes.

    Attributes:
        interpret: run functions node by node in NumPy instead of compiling them: slow, but a debugger sees the value of
            every traced array, and a warning names the line where the first NaN appears.
        explain: say on stderr why something is compiled (also by the environment variable `LILITH_EXPLAIN=1`).
        dump: a folder; every program that is compiled is written there in five stages (also by the environment variable
            `LILITH_DUMP=folder`). None: nothing is written.
        cache_size: how many compiled programs are kept in memory.
        cache_dir: a folder where compiled programs are kept for later processes (also by the environment variable
            `LILITH_CACHE_DIR=folder`), at most 2 GiB. It holds machine code: only people you trust may write there.
        roll: make one loop of what a Python loop records again and again, where that pays. Part of the key under which
            programs are kept.
    """

    __slots__ = (
        "_cache_dir",
        "_roll",
        "cache_size",
        "dump",
        "explain",
        "interpret",
        "when_cache_dir_changes",
        "when_roll_changes",
    )

    def __init__(self) -> None:
        self.interpret = False
        self.explain = os.environ.get("LILITH_EXPLAIN", "") not in ("", "0")
        self.dump: str | None = os.environ.get("LILITH_DUMP") or None
        self.cache_size = 1024
        self._cache_dir: str | None = os.environ.get("LILITH_CACHE_DIR") or None
        self.when_cache_dir_changes: list[Callable[[str | None], None]] = []
        self._roll = True
        self.when_roll_changes: list[Callable[[], None]] = []

    @property
    def cache_dir(self) -> str | None:
        return self._cache_dir

    @cache_dir.setter
    def cache_dir(self, value: str | os.PathLike[str] | None) -> None:
        self._cache_dir = None if value is None else os.fspath(value)
        for act in self.when_cache_dir_changes:
            act(self._cache_dir)

    @property
    def roll(self) -> bool:
        return self._roll

    @roll.setter
    def roll(self, value: bool) -> None:
        if bool(value) != self._roll:
            self._roll = bool(value)
            for act in self.when_roll_changes:
                act()

    def __repr__(self) -> str:
        names = ("cache_dir", "cache_size", "dump", "explain", "interpret", "roll")
        return f"Config({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"


config = Config()
