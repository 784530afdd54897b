"""How a finished file comes to stand under its name.

Invariant: a name changes hands in one step of the kernel, and only from what was looked at, or from nothing.
"""

from __future__ import annotations

import errno
import os
import stat

from synccore.manifest import FileKind
from synccore.worktree.directory_chain import NOT_A_DIRECTORY, OPEN_NEW
from synccore.worktree.occupant import Occupant, is_still, look
from synccore.worktree.relocation import relocate
from synccore.worktree.temporary import write_all

SECOND_NS = 10**9
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY}) | NOT_A_DIRECTORY


def mode(kind: FileKind) -> int:
    """Return the mode to make a file with; the kernel takes the user's umask off."""
    return 0o777 if kind is FileKind.EXECUTABLE else 0o666


def make(directory: int, name: bytes, kind: FileKind, data: bytes | memoryview) -> None:
    """Make the file or link *name*, where there must be nothing."""
    if kind is FileKind.SYMLINK:
        target = bytes(data)
        if b"\0" in target:
            raise OSError(errno.EINVAL, "a link's target cannot have a NUL byte")
        os.symlink(target, name, dir_fd=directory)
        return
    handle = os.open(name, OPEN_NEW, mode(kind), dir_fd=directory)
    try:
        write_all(handle, data)
    finally:
        os.close(handle)


def move_past(directory: int, name: bytes, second: int) -> None:
    """Give *name* a modification time after the whole *second*, unless it has one.

    The file's own time is looked at and not a clock: the kernel's is behind by up to a tick, a file server's by more.
    """
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if status.st_mtime_ns // SECOND_NS <= second:
        times = (status.st_atime_ns, (second + 1) * SECOND_NS)
        os.utime(name, ns=times, dir_fd=directory, follow_symlinks=False)


def take_free_name(source: int, temporary: bytes, target: int, name: bytes) -> bool:
    """Rename a finished file to a name that is free; ``False`` if it is not.

    By a second name and the removal of the first: unlike a rename it cannot replace what came to stand there meanwhile.
    """
    try:
        os.link(temporary, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # RACE: on a file system without hard links, what comes to stand there between this look and the rename is lost.
        if look(target, name, ()) is not None:
            return False
        os.rename(temporary, name, src_dir_fd=source, dst_dir_fd=target)
        return True
    os.unlink(temporary, dir_fd=source)
    return True


def move_to_free_name(source: int, name: bytes, target: int, new_name: bytes) -> bool:
    """Move a file, link or whole directory to a name that is free, also between file systems; ``False`` if it is not free.

    An empty directory that comes to stand there meanwhile may be replaced by a directory.
    """
    is_directory = stat.S_ISDIR(os.stat(name, dir_fd=source, follow_symlinks=False).st_mode)
    try:
        if not is_directory:
            try:
                return take_free_name(source, name, target, new_name)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
        relocate(source, name, target, new_name)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def replace_if_still(source: int, temporary: bytes, target: int, name: bytes, there: Occupant) -> bool:
    """Rename a finished file over something of ours; ``False`` if it is no longer what was found *there*."""
    # RACE: an edit between this second look and the rename (two system calls in a row, about 5 µs) is lost, as is one
    # through a handle that somebody keeps open. RENAME_EXCHANGE would close the first window, but leaves the edit under a
    # temporary name if we crash then, is not on every file system, and needs ctypes.
    if not is_still(target, name, there):
        return False
    os.rename(temporary, name, src_dir_fd=source, dst_dir_fd=target)
    return True
