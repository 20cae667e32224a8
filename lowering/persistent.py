"""Compiled programs in a folder, so that the next process need not compile them: one file per program.

A file holds a digest of what follows it: an entry that is cut off, damaged or half written is not used. Files are
written aside and renamed, so that processes that write the same entry at once do not disturb each other.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lilith.source import LilithWarning

_SUFFIX = ".lilith-xla"
_PART = ".lilith-part"
_ABANDONED = 3600.0
"""Seconds after which nobody is still writing an entry: its process has ended."""
_DIGEST = hashlib.sha256().digest_size


class Folder:
    """The folder in use, and what has come of it in this process.

    Attributes:
        path: None while programs are not kept.
        limit: how many bytes the entries may take together; beyond it those not used for the longest time are removed.
        hits, misses: how many programs were found, and how many were compiled and written.
    """

    def __init__(self) -> None:
        self.path: str | None = None
        self.limit = 2 << 30
        self.hits = self.misses = 0
        self._warned: set[str] = set()

    def found_or_made(
        self,
        key: str,
        load: Callable[[bytes], Any],
        make: Callable[[], Any],
        serialize: Callable[[Any], bytes],
    ) -> Any:
        """What `load` makes of the key's entry, or, where there is none of use, what `make` makes; its
        serialization is kept."""
        data = self.read(key)
        if data is not None:
            try:
                found = load(data)
            except Exception as error:  # whatever XLA says of code that it cannot use
                self.warn(f"XLA cannot use the entry {key}: {error}")
            else:
                self.hits += 1
                return found
        made = make()
        self.misses += 1
        try:
            content = serialize(made)
        except RuntimeError as error:  # a program, or a platform, whose code cannot be written down
            self.warn(f"a program is not kept: {error}")
        else:
            self.write(key, content)
        return made

    def read(self, key: str) -> bytes | None:
        """The entry of a key; None if there is none that is whole."""
        assert self.path is not None
        file = Path(self.path, key + _SUFFIX)
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.warn(f"cannot read {file}: {error}")
            return None
        with contextlib.suppress(OSError):  # a folder that is only read needs no note of what was used last
            os.utime(file)
        digest, content = data[:_DIGEST], data[_DIGEST:]
        if hashlib.sha256(content).digest() != digest:
            self.warn(f"{file} is damaged and will be written again")
            return None
        return content

    def write(self, key: str, content: bytes) -> None:
        """Keep an entry. A folder that cannot be written to is warned of, once."""
        assert self.path is not None
        temporary = ""
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.path, suffix=_PART)
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(content).digest() + content)
            os.replace(temporary, os.path.join(self.path, key + _SUFFIX))
            self._trim()
        except OSError as error:
            if temporary and os.path.exists(temporary):
                os.unlink(temporary)
            self.warn(f"cannot keep compiled programs in {self.path}: {error}")

    def _trim(self) -> None:
        """Remove the entries that were used the longest time ago, as far as they are too much."""
        assert self.path is not None
        entries = []
        for file in [f for f in Path(self.path).iterdir() if f.suffix in (_SUFFIX, _PART)]:
            try:
                status = file.stat()
            except FileNotFoundError:  # another process was faster
                continue
            if file.suffix == _SUFFIX:
                entries.append((status.st_mtime, status.st_size, file))
            elif status.st_mtime < time.time() - _ABANDONED:
                file.unlink(missing_ok=True)
        total = sum([size for _, size, _ in entries])
        for _, size, file in sorted(entries):
            if total <= self.limit:
                break
            file.unlink(missing_ok=True)
            total -= size

    def warn(self, text: str) -> None:
        """Say once that the folder is of no use."""
        if text not in self._warned:
            self._warned.add(text)
            warnings.warn(f"compile cache: {text}", LilithWarning, stacklevel=2)


folder = Folder()


@functools.cache
def processor() -> str:
    """What machine code depends on: the architecture and the processor's features."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = [platform.processor()]
    features = next((line for line in lines if line.startswith(("flags", "Features"))), "".join(lines[:1]))
    return f"{platform.machine()} {features}"
