"""Open handles of the directories from a root down to the one in use.

Invariant: each handle was opened by name from the handle above it and never through a link, so whatever is done relative
to a handle is done inside the root, however the names above it are exchanged meanwhile.

RACE: a handle stays with its directory when somebody moves that directory. Between entering a directory and leaving it
(a few milliseconds; paths come in order) files therefore land in the moved one, which is inside or outside the root as
its mover chose. Nothing that stood there before is lost by it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from synccore.errors import ErrorKind, WorktreeError

# Absent on Windows, where this module must at least import. (Python itself keeps handles from programs that it starts.)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
OPEN_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NO_FOLLOW
# Not blocking, in case a named pipe took a file's place since it was looked at.
OPEN_TO_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _NO_FOLLOW
OPEN_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW
OPEN_NEW_TO_READ_BACK = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_FOLLOW
OPEN_TO_ADD = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NO_FOLLOW

# What systems answer when a directory was to be opened and something else stands there (Linux, macOS, FreeBSD).
NOT_A_DIRECTORY = frozenset({errno.ENOTDIR, errno.ELOOP, errno.EMLINK})

_CAN_WALK_BY_HANDLES = {os.open, os.stat, os.mkdir, os.rmdir, os.unlink, os.rename, os.link} <= os.supports_dir_fd

# Refused by every call: a number that was given back may be another file's by now.
_CLOSED = -1


class OpenDirectory:
    """A directory in use.

    Attributes:
        name: its name in the directory above; empty for the root.
        handle: the open file descriptor.
        sources: stems of the Python sources in it whose compiled forms are no longer true.
        may_be_empty: something was taken out of it, so that it is perhaps to be removed when it is left.
    """

    __slots__ = ("handle", "may_be_empty", "name", "sources")

    def __init__(self, name: bytes, handle: int) -> None:
        self.name = name
        self.handle = handle
        self.sources: set[str] = set()
        self.may_be_empty = False


def _leave_as_it_is(_directory: OpenDirectory, _above: OpenDirectory | None) -> None:
    pass


class DirectoryChain:
    """The chain itself; owns its handles and closes them.

    Paths that come in order share most of their directories, so that 30,000 files in 3,000 directories open about 3,000
    handles altogether and hold as many as the tree is deep.
    """

    def __init__(
        self, root: int, *, on_leave: Callable[[OpenDirectory, OpenDirectory | None], None] = _leave_as_it_is
    ) -> None:
        """Start at the open handle *root*, which belongs to the chain from now on.

        *on_leave* is called with each directory that is left, before its handle is closed, and with the one above it.
        """
        self._on_leave = on_leave
        self._opened = [OpenDirectory(b"", root)]
        self._parts: list[str] = []
        self.path = ""
        self.here = self._opened[0]

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return not self._opened

    @property
    def root(self) -> int:
        """The handle of the root."""
        return self._opened[0].handle

    @property
    def depth(self) -> int:
        """How many directories below the root the chain is."""
        return len(self._parts)

    def back_towards(self, parts: list[str]) -> None:
        """Leave directories until the chain is at *parts* or above it."""
        shared = 0
        for ours, wanted in zip(self._parts, parts, strict=False):
            if ours != wanted:
                break
            shared += 1
        while len(self._parts) > shared:
            left = self._opened[-1]
            self._on_leave(left, self._opened[-2])
            self._drop_last()

    def descend(self, name: str) -> None:
        """Go down into the directory *name*.

        Raises:
            OSError: `FileNotFoundError` if there is nothing, one of `NOT_A_DIRECTORY` if something else stands there.
        """
        encoded = name.encode()
        handle = os.open(encoded, OPEN_DIRECTORY, dir_fd=self.here.handle)
        self._opened.append(OpenDirectory(encoded, handle))
        self._parts.append(name)
        self._arrived()

    def go_to(self, parent: str) -> OpenDirectory:
        """Go to the directory *parent*, through such as are there; on an error it has gone as far as it could. Errors as `descend`."""
        if parent != self.path:
            parts = parent.split("/") if parent else []
            self.back_towards(parts)
            for part in parts[self.depth :]:
                self.descend(part)
        return self.here

    def descend_or_make(self, name: str) -> None:
        """Go down into the directory *name*, which is made if there is nothing; errors as `descend`."""
        try:
            self.descend(name)
        except FileNotFoundError:
            make_directory(self.here.handle, name.encode())
            self.descend(name)

    def leave_all(self) -> None:
        """Leave every directory, the root last, in good order."""
        self.back_towards([])
        self._on_leave(self._opened[0], None)

    def close(self) -> None:
        """Close every handle that is still open, without leaving in good order."""
        while self._opened:
            self._close_last()

    def _drop_last(self) -> None:
        self._close_last()
        self._parts.pop()
        self._arrived()

    def _close_last(self) -> None:
        last = self._opened.pop()
        handle, last.handle = last.handle, _CLOSED
        close_directory(handle)

    def _arrived(self) -> None:
        self.path = "/".join(self._parts)
        self.here = self._opened[-1]


def require_handles(root: Path) -> None:
    """Check that this system can write the tree *root* safely.

    Raises:
        WorktreeError: it cannot.
    """
    if not _CAN_WALK_BY_HANDLES:
        raise WorktreeError(
            ErrorKind.WORKTREE,
            f"cannot write the tree {root}: this system has no directory handles; downloads need Linux or macOS",
            path=str(root),
        )


def make_directory(parent: int, name: bytes) -> None:
    """Make a directory; what stands there already is left for the next step to judge."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o777, dir_fd=parent)


def close_directory(handle: int) -> None:
    """Close a directory's handle; nothing is written through one, so that an error means nothing."""
    with suppress(OSError):
        os.close(handle)


def names_in(directory: int) -> list[str]:
    """List an open directory."""
    return os.listdir(directory)
