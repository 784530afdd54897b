"""Directories in which there is nothing of anybody's.

Invariant: a directory is removed only by `rmdir`, which the kernel refuses as soon as there is something in it.
"""

from __future__ import annotations

import errno
import os

from synccore.worktree.bytecode import CACHE_NAME, drop_orphaned, holds_only_compiled
from synccore.worktree.directory_chain import NOT_A_DIRECTORY, OPEN_DIRECTORY, close_directory, names_in
from synccore.worktree.temporary import TemporaryNames

# It filled up meanwhile, somebody took it away or put something else there, it is the root of a mounted file system, or it
# is not ours to remove: an empty directory does no harm, so none of these is worth stopping for.
_STAYS = (
    frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.EBUSY, errno.EACCES, errno.EPERM}) | NOT_A_DIRECTORY
)


def remove_if_emptied(parent: int, name: bytes, handle: int, names: TemporaryNames) -> bool:
    """Remove the directory *name*, open as *handle*, if nothing is in it but what our removals left; tell whether it went.

    That is compiled modules without a source (whose cache would keep the directory importable, as a namespace package)
    and temporary files of crashed writers. Somebody's empty directory inside keeps it.
    """
    if _rmdir(parent, name):
        return True
    inside = names_in(handle)
    if not all(os.fsencode(child) == CACHE_NAME or names.is_left_over(child) for child in inside):
        return False
    for child in inside:
        names.remove_left_over(handle, child)
    drop_orphaned(handle)
    return _rmdir(parent, name)


def remove_if_hollow(parent: int, name: bytes, names: TemporaryNames) -> bool:
    """Remove the directory *name* if there is no file anywhere in it, compiled modules and temporary files aside.

    Returns:
        Whether it went. If somebody adds a file meanwhile it stays, without the empty directories that were gone by then.
    """
    try:
        handle = os.open(name, OPEN_DIRECTORY, dir_fd=parent)
    except OSError as error:
        if error.errno in _STAYS:
            return False
        raise
    try:
        return _is_hollow(handle, names) and _clear(handle, names) and _rmdir(parent, name)
    finally:
        close_directory(handle)


def _is_hollow(handle: int, names: TemporaryNames) -> bool:
    with os.scandir(handle) as entries:
        listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    if not all(is_directory or names.is_left_over(name) for name, is_directory in listed):
        return False
    return all(_is_hollow_child(handle, os.fsencode(name), names) for name, is_directory in listed if is_directory)


def _is_hollow_child(parent: int, name: bytes, names: TemporaryNames) -> bool:
    try:
        handle = os.open(name, OPEN_DIRECTORY, dir_fd=parent)
    except PermissionError:
        return False
    try:
        return (name == CACHE_NAME and holds_only_compiled(handle)) or _is_hollow(handle, names)
    finally:
        close_directory(handle)


def _clear(handle: int, names: TemporaryNames) -> bool:
    drop_orphaned(handle)
    return all(
        names.remove_left_over(handle, child) or remove_if_hollow(handle, os.fsencode(child), names)
        for child in names_in(handle)
    )


def _rmdir(parent: int, name: bytes) -> bool:
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno in _STAYS:
            return False
        raise
    return True
