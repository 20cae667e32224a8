"""Settings of the whole process: `lilith.config.interpret = True`."""

from __future__ import annotations

import os


class Config:
    """The settings, as attributes.

    Attributes:
        interpret: run functions node by node in NumPy instead of compiling them: slow, but a debugger sees the value of
            every traced array, and a warning names the line where the first NaN appears.
        explain: say on stderr why something is compiled (also by the environment variable `LILITH_EXPLAIN=1`).
        dump: a folder; every program that is compiled is written there in five stages (also by the environment variable
            `LILITH_DUMP=folder`). None: nothing is written.
        cache_size: how many compiled programs are kept.
    """

    __slots__ = ("cache_size", "dump", "explain", "interpret")

    def __init__(self) -> None:
        self.interpret = False
        self.explain = os.environ.get("LILITH_EXPLAIN", "") not in ("", "0")
        self.dump: str | None = os.environ.get("LILITH_DUMP") or None
        self.cache_size = 1024

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


config = Config()
