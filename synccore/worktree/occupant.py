"""What stands at a path, and whether it is something that we wrote.

Invariant: nothing is read through a link, and nothing but a regular file is opened.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Collection
from typing import NamedTuple

from synccore.digest import Digest, digest_of
from synccore.journal import Known
from synccore.manifest import FileKind
from synccore.plan import FOREIGN, Foreign
from synccore.worktree.directory_chain import NOT_A_DIRECTORY, OPEN_TO_READ

_SLICE_BYTES = 1 << 20

# It may not be read; or it went away, or became something else (a link, a directory, a pipe), since its status was taken.
_CANNOT_BE_TOLD = (
    frozenset({errno.EACCES, errno.EPERM, errno.ENOENT, errno.EINVAL, errno.ENXIO, errno.EISDIR}) | NOT_A_DIRECTORY
)


class Occupant(NamedTuple):
    """Something at a path.

    Attributes:
        status: of the thing itself, not of what a link points to.
        content: which of the contents that were asked about it is; `FOREIGN` if none of them, or if it cannot be told,
            which is to be taken for somebody's edit.
    """

    status: os.stat_result
    content: Known | Foreign

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

    A file is read only if its kind is that of a candidate: a large file that cannot be ours costs nothing. What is read
    may be younger than the status, and never older: whoever acts on it asks `is_still` first.
    """
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISREG(status.st_mode):
        kind = FileKind.EXECUTABLE if status.st_mode & stat.S_IXUSR else FileKind.FILE
        read: Callable[[int, bytes, int], Digest] = _file_digest
    elif stat.S_ISLNK(status.st_mode):
        kind = FileKind.SYMLINK
        read = _link_digest
    else:
        return Occupant(status, FOREIGN)
    if not any(candidate.kind is kind for candidate in candidates):
        return Occupant(status, FOREIGN)
    try:
        digest = read(directory, name, status.st_size)
    except OSError as error:
        if error.errno in _CANNOT_BE_TOLD:
            return Occupant(status, FOREIGN)
        raise
    found = Known(kind, digest)
    return Occupant(status, found if found in candidates else FOREIGN)


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


def _file_digest(directory: int, name: bytes, size_bytes: int) -> Digest:
    handle = os.open(name, OPEN_TO_READ, dir_fd=directory)
    try:
        return digest_of_open_file(handle, size_bytes)
    finally:
        os.close(handle)


def _link_digest(directory: int, name: bytes, _: int) -> Digest:
    return digest_of(os.readlink(name, dir_fd=directory))
