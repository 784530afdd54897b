"""Moving a file or a whole directory from one place to another, also between file systems.

Invariant: the original goes only after its copy was read back and found equal, and only if it is still what was copied.
"""

from __future__ import annotations

import errno
import os
import stat

from synccore.worktree.directory_chain import (
    OPEN_DIRECTORY,
    OPEN_NEW_TO_READ_BACK,
    OPEN_TO_READ,
    close_directory,
    names_in,
)
from synccore.worktree.occupant import digest_of_open_file, same_state
from synccore.worktree.temporary import write_all

_SLICE_BYTES = 1 << 20


def relocate(source: int, name: bytes, target: int, new_name: bytes) -> None:
    """Move *name* of the open directory *source* to *new_name* in *target*, where there must be nothing.

    One rename where the file system allows it. Where not (another file system; a directory of an overlay's lower layer),
    what is inside is moved piece by piece, files that cannot be renamed by copying.

    Raises:
        OSError: it could not be moved whole; what was not moved is where it was.
    """
    try:
        os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _carry(source, name, target, new_name)


def _carry(source: int, name: bytes, target: int, new_name: bytes) -> None:
    status = os.stat(name, dir_fd=source, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        _carry_directory(source, name, target, new_name)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), new_name, dir_fd=target)
        _remove_original(source, name, target, new_name, is_copied=True, before=status)
    elif stat.S_ISREG(status.st_mode):
        _carry_file(source, name, target, new_name)
    else:
        raise OSError(errno.EXDEV, "a pipe, socket or device cannot be moved to another file system")


def _carry_directory(source: int, name: bytes, target: int, new_name: bytes) -> None:
    os.mkdir(new_name, 0o777, dir_fd=target)
    inside = os.open(name, OPEN_DIRECTORY, dir_fd=source)
    try:
        new_inside = os.open(new_name, OPEN_DIRECTORY, dir_fd=target)
        try:
            for child in map(os.fsencode, names_in(inside)):
                relocate(inside, child, new_inside, child)
        finally:
            close_directory(new_inside)
    finally:
        close_directory(inside)
    os.rmdir(name, dir_fd=source)


def _carry_file(source: int, name: bytes, target: int, new_name: bytes) -> None:
    reading = os.open(name, OPEN_TO_READ, dir_fd=source)
    try:
        before = os.fstat(reading)
        writing = os.open(new_name, OPEN_NEW_TO_READ_BACK, stat.S_IMODE(before.st_mode) & 0o777, dir_fd=target)
        try:
            _copy(reading, writing)
            os.utime(writing, ns=(before.st_atime_ns, before.st_mtime_ns))
            os.fsync(writing)
            os.lseek(reading, 0, os.SEEK_SET)
            os.lseek(writing, 0, os.SEEK_SET)
            is_equal = digest_of_open_file(reading, before.st_size) == digest_of_open_file(writing, before.st_size)
        finally:
            os.close(writing)
        _remove_original(source, name, target, new_name, is_copied=is_equal, before=before)
    finally:
        os.close(reading)


def _remove_original(
    source: int, name: bytes, target: int, new_name: bytes, *, is_copied: bool, before: os.stat_result
) -> None:
    """Remove what was copied, if it was and still is what it was *before*; otherwise the copy."""
    # RACE: a change between this look and the unlinking is lost; the two follow each other at once.
    now = os.stat(name, dir_fd=source, follow_symlinks=False)
    if not is_copied or not same_state(before, now):
        os.unlink(new_name, dir_fd=target)
        raise OSError(errno.EBUSY, "it changes while it is being copied to another file system")
    os.unlink(name, dir_fd=source)


def _copy(reading: int, writing: int) -> None:
    while data := os.read(reading, _SLICE_BYTES):
        write_all(writing, data)
