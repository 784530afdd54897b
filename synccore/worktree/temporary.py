"""Files in the making: how they are called, and how those of a crashed run are found again.

Invariant: a temporary name is one that nobody chooses by accident (``.synccode-tmp-``, eight hexadecimal digits of one
writer, a number), stands in the very directory of the file it will be, and is held by at most one writer.

A temporary file or link is left over, and may go, if its name has exactly that form and it is not of the writer that
asks. That is sound because writers of one tree exclude each other by its `TreeLock`; no edit is ever put under such a
name, so nothing of anybody's is lost.
"""

from __future__ import annotations

import itertools
import os
import re
from contextlib import suppress

_PREFIX = ".synccode-tmp-"
_NAME = re.compile(re.escape(_PREFIX) + r"(?P<writer>[0-9a-f]{8})-[0-9]+")


class TemporaryNames:
    """The temporary names of one writer."""

    def __init__(self) -> None:
        """Choose the digits that tell this writer from all others."""
        self._writer = os.urandom(4).hex()
        self._numbers = itertools.count()

    def next(self) -> bytes:
        """Return a name that was never used."""
        return f"{_PREFIX}{self._writer}-{next(self._numbers)}".encode()

    def is_left_over(self, name: str) -> bool:
        """Tell whether *name* is a temporary one of another writer."""
        match = _NAME.fullmatch(name)
        return match is not None and match["writer"] != self._writer

    def sweep(self, root: int) -> int:
        """Remove what crashed writers left anywhere below the open directory *root*; return how many there were."""
        swept = 0
        for _, directories, files, handle in os.fwalk(".", dir_fd=root):  # type: ignore[attr-defined,unused-ignore] # not on Windows
            if ".git" in directories:
                directories.remove(".git")
            # A link to a directory is listed among the directories.
            swept += sum(self.remove_left_over(handle, name) for name in files + directories)
        return swept

    def remove_left_over(self, directory: int, name: str) -> bool:
        """Remove *name* if it is left over and no directory; tell whether it was."""
        if not self.is_left_over(name):
            return False
        try:
            os.unlink(name, dir_fd=directory)
        except (IsADirectoryError, FileNotFoundError):
            return False
        return True


def write_all(handle: int, data: bytes | memoryview) -> None:
    """Write all of *data*, also where the system takes it in parts."""
    written = os.write(handle, data)
    if written == len(data):
        return
    rest = memoryview(data)[written:]
    while rest:
        rest = rest[os.write(handle, rest) :]


def discard(directory: int, name: bytes) -> None:
    """Remove the temporary *name* if it is still there."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
