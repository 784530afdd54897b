"""What stands at a path, and whether it is something that we wrote.

Invariant: nothing is read through a link, and nothing but a regular file is opened.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Collection
from typing import NamedTuple

from synccore.digest import Digest, digest_of
from synccore.manifest import FileKind
from synccore.worktree.directory_chain import NOT_A_DIRECTORY, OPEN_TO_READ

Known = tuple[FileKind, Digest]
"""A content by which we recognise our own work: its kind and the SHA-256 of its bytes or of the link's text."""

_SLICE_BYTES = 1 << 20
_LOOKS = 3


class Occupant(NamedTuple):
    """Something at a path.

    Attributes:
        status: of the thing itself, not of what a link points to.
        match: which of the contents that were asked about it is; ``None`` if none of them, or if it cannot be told
            (unreadable, or it does not hold still), which is to be taken for somebody's edit.
    """

    status: os.stat_result
    match: Known | None

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_special(self) -> bool:
        """Whether it is a pipe, a socket or a device."""
        mode = self.status.st_mode
        return not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode))


def look(directory: int, name: bytes, candidates: Collection[Known]) -> Occupant | None:
    """Look at *name* in the open *directory*; ``None`` if there is nothing.

    A file is read only if its kind is that of a candidate: a large file that cannot be ours costs nothing.
    """
    status = None
    for _ in range(_LOOKS):
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if stat.S_ISREG(status.st_mode):
            kind = FileKind.EXECUTABLE if status.st_mode & stat.S_IXUSR else FileKind.FILE
            digest, after = _file_digest(directory, name, status) if _has(candidates, kind) else (None, status)
        elif stat.S_ISLNK(status.st_mode):
            kind = FileKind.SYMLINK
            digest, after = _link_digest(directory, name, status) if _has(candidates, kind) else (None, status)
        else:
            return Occupant(status, None)
        if after is not None and same_state(status, after):
            if digest is not None and (kind, digest) in candidates:
                return Occupant(status, (kind, digest))
            return Occupant(status, None)
    return Occupant(status, None) if status is not None else None


def is_still(directory: int, name: bytes, seen: Occupant) -> bool:
    """Tell whether *name* is the very thing that was *seen*, unchanged since."""
    try:
        now = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return same_state(seen.status, now)


def same_state(one: os.stat_result, other: os.stat_result) -> bool:
    """Tell whether two looks found the same inode in the same state.

    RACE: two changes within one tick of the kernel's clock (up to 4 ms; none on Linux since 6.13) that keep the size
    look like one. That needs a file that was changed, judged and changed again within a tick.
    """
    return (
        one.st_ino == other.st_ino
        and one.st_mtime_ns == other.st_mtime_ns
        and one.st_ctime_ns == other.st_ctime_ns
        and one.st_size == other.st_size
        and one.st_mode == other.st_mode
        and one.st_dev == other.st_dev
    )


def _has(candidates: Collection[Known], kind: FileKind) -> bool:
    return any(candidate is kind for candidate, _ in candidates)


def _file_digest(directory: int, name: bytes, status: os.stat_result) -> tuple[Digest | None, os.stat_result | None]:
    """Return a file's digest and its status after the reading; no status if it went away or is a file no longer."""
    try:
        handle = os.open(name, OPEN_TO_READ, dir_fd=directory)
    except PermissionError:
        return None, status
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENXIO} or error.errno in NOT_A_DIRECTORY:
            return None, None
        raise
    try:
        return digest_of_open_file(handle, status.st_size), os.fstat(handle)
    finally:
        os.close(handle)


def digest_of_open_file(handle: int, size_bytes: int) -> Digest:
    """Hash an open file from where its handle stands to its end; *size_bytes* is the size to expect."""
    # One byte more than expected: a small file is known to have ended without a second call.
    data = os.read(handle, min(size_bytes + 1, _SLICE_BYTES))
    if len(data) == size_bytes:
        return digest_of(data)
    running = hashlib.sha256(data)
    while data := os.read(handle, _SLICE_BYTES):
        running.update(data)
    return Digest(running.digest())


def _link_digest(directory: int, name: bytes, status: os.stat_result) -> tuple[Digest | None, os.stat_result | None]:
    try:
        return digest_of(os.readlink(name, dir_fd=directory)), status
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.EINVAL}:
            return None, None
        raise
