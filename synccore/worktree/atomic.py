"""Small private files that are there whole or not at all.

Invariant: whoever opens such a file sees the last complete content, whenever its writer was interrupted.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from synccore.errors import ErrorKind, WorktreeError


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file at *path* by *data*, readable by its owner alone; directories are made as needed.

    Nothing is flushed to the device: after a power failure the old content, or none, may be found, and every reader of
    such files can do without.

    Raises:
        WorktreeError: the disk refused.
    """
    beside = path.with_name(f"{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        descriptor = _create(beside)
        try:
            with open(descriptor, "wb", closefd=True) as file:
                file.write(data)
            os.replace(beside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
    except OSError as error:
        raise WorktreeError(
            ErrorKind.WORKTREE, f"{path} could not be written: {error.strerror or error}", path=str(path)
        ) from error


def _create(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, flags, 0o600)
