"""What a file, link or directory holds, looked at from the directory above it.

Invariant: nothing is reached or read through a link, and nothing but regular files and directories is opened.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from synccore.digest import Digest, digest_of
from synccore.worktree.directory_chain import (
    NOT_A_DIRECTORY,
    OPEN_DIRECTORY,
    OPEN_TO_READ,
    DirectoryChain,
    close_directory,
    names_in,
)
from synccore.worktree.occupant import digest_of_open_file


class ContentKind(str, Enum):
    """What something is; the codes are public."""

    FILE = "file"
    EXECUTABLE = "executable"
    LINK = "link"
    DIRECTORY = "directory"
    SPECIAL = "special"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What something is and how much.

    Attributes:
        kind: what it is.
        files: how many files and links it is or holds.
        size_bytes: the sum of their sizes.
        target: a link's text.
    """

    kind: ContentKind
    files: int
    size_bytes: int
    target: str | None = None

    @property
    def is_regular(self) -> bool:
        """Whether it is a regular file, executable or not."""
        return self.kind in {ContentKind.FILE, ContentKind.EXECUTABLE}


@contextmanager
def parent_of(root: Path, parts: Sequence[str]) -> Iterator[int | None]:
    """Open the directory above what *parts* name below *root*; ``None`` if the way there is not one of real directories.

    Raises:
        OSError: the way cannot be gone for another reason.
    """
    try:
        chain = DirectoryChain(os.open(root, OPEN_DIRECTORY))
    except OSError as error:
        if _is_no_way(error):
            yield None
            return
        raise
    try:
        try:
            for part in parts[:-1]:
                chain.descend(part)
        except OSError as error:
            if not _is_no_way(error):
                raise
            yield None
            return
        yield chain.here.handle
    finally:
        chain.close()


def measure(directory: int, name: bytes) -> Content | None:
    """Say what *name* of the open *directory* is; ``None`` if there is nothing."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISREG(status.st_mode):
        kind = ContentKind.EXECUTABLE if status.st_mode & stat.S_IXUSR else ContentKind.FILE
        return Content(kind=kind, files=1, size_bytes=status.st_size)
    if stat.S_ISLNK(status.st_mode):
        target = os.fsdecode(os.readlink(name, dir_fd=directory))
        return Content(kind=ContentKind.LINK, files=1, size_bytes=status.st_size, target=target)
    if not stat.S_ISDIR(status.st_mode):
        return Content(kind=ContentKind.SPECIAL, files=1, size_bytes=0)
    inside = [content for _, content in list_inside(directory, name)]
    return Content(kind=ContentKind.DIRECTORY, files=len(inside), size_bytes=sum(one.size_bytes for one in inside))


def list_inside(directory: int, name: bytes) -> list[tuple[str, Content]]:
    """List the files and links anywhere in the directory *name*, by path; directories that may not be read are left out."""
    found: list[tuple[str, Content]] = []
    for folder, directories, files, handle in os.fwalk(name, dir_fd=directory):  # type: ignore[attr-defined,unused-ignore] # not on Windows
        directories.sort()
        links = [child for child in directories if _is_link(handle, child)]
        for child in sorted(files + links):
            content = measure(handle, child)
            if content is not None:
                found.append((os.fsdecode(folder + b"/" + child).partition("/")[2], content))
    return sorted(found, key=lambda one: one[0])


def digest_at(directory: int, name: bytes) -> Digest | None:
    """Hash a file's bytes or a link's text; ``None`` for anything else.

    Raises:
        OSError: it cannot be read.
    """
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return digest_of(os.readlink(name, dir_fd=directory))
    if not stat.S_ISREG(status.st_mode):
        return None
    handle = os.open(name, OPEN_TO_READ, dir_fd=directory)
    try:
        return digest_of_open_file(handle, status.st_size)
    finally:
        os.close(handle)


def read_at(directory: int, name: bytes, *, most_bytes: int) -> bytes:
    """Read a regular file, and no more than *most_bytes* of it.

    Raises:
        OSError: it cannot be read.
    """
    handle = os.open(name, OPEN_TO_READ, dir_fd=directory)
    with open(handle, "rb") as file:
        return file.read(most_bytes)


def remove_whole(directory: int, name: bytes) -> None:
    """Remove *name* of the open *directory* with everything in it; what links point to is not touched.

    Raises:
        OSError: something cannot be removed; what was removed before is gone.
    """
    try:
        os.unlink(name, dir_fd=directory)
    except OSError as error:
        # Linux says EISDIR, POSIX and macOS EPERM.
        if error.errno not in {errno.EISDIR, errno.EPERM}:
            raise
        if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise
    else:
        return
    handle = os.open(name, OPEN_DIRECTORY, dir_fd=directory)
    try:
        if os.fstat(handle).st_mode & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(handle, stat.S_IRWXU)
        for child in names_in(handle):
            remove_whole(handle, os.fsencode(child))
    finally:
        close_directory(handle)
    os.rmdir(name, dir_fd=directory)


def _is_no_way(error: OSError) -> bool:
    return isinstance(error, FileNotFoundError) or error.errno in NOT_A_DIRECTORY


def _is_link(directory: int, name: bytes) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
