"""A file that arrives in pieces, from several threads, and appears whole.

Invariant: what becomes visible under the file's name was read back from the disk and has the digest that was promised.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from synccore.digest import Digest
from synccore.errors import ErrorKind, IntegrityError, InvalidInputError
from synccore.manifest import FileKind
from synccore.worktree.directory_chain import OPEN_NEW_TO_READ_BACK, close_directory
from synccore.worktree.disk_error import worktree_error
from synccore.worktree.occupant import digest_of_open_file
from synccore.worktree.outcome import Outcome
from synccore.worktree.placing import mode
from synccore.worktree.temporary import discard

if TYPE_CHECKING:
    from typing_extensions import Self


_T = TypeVar("_T")


class LargeFile:
    """A file being written; made by `TreeWriter.begin`.

    A context manager: leaving it without `finish` gives the file up.
    """

    def __init__(
        self,
        path: Path,
        handle: int,
        size_bytes: int,
        *,
        appear: Callable[[Digest], Outcome],
        vanish: Callable[[], None],
    ) -> None:
        """Take over the open, empty file *handle*, which shall become *path* with *size_bytes* bytes.

        *appear* is called with the digest when the content is there and true, *vanish* when the file is given up.
        """
        self._path = path
        self._handle = handle
        self._size_bytes = size_bytes
        self._appear = appear
        self._vanish = vanish
        self._lock = threading.Lock()
        self._at_work = 0
        self._is_over = False
        self._is_closed = False
        self._is_settled = False
        try:
            self._with_disk("make room for", self._allocate)
        except BaseException:
            self.abandon()
            raise

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """Write *data* at *offset*; may be called from several threads at once.

        Raises:
            InvalidInputError: it would reach past the promised size, or the file is finished or abandoned.
            WorktreeError: the disk refused.
        """
        if offset < 0 or offset + len(data) > self._size_bytes:
            raise InvalidInputError(
                ErrorKind.BAD_INPUT,
                f"{self._path} was to have {self._size_bytes} bytes; found {len(data)} bytes for offset {offset}",
                path=str(self._path),
            )
        self._enter()
        try:
            self._with_disk("write", lambda: self._write_at(offset, data))
        finally:
            self._leave()

    def finish(self, digest: Digest) -> Outcome:
        """Check that the whole file has *digest* and put it in its place; every write has returned by now.

        Raises:
            IntegrityError: the bytes on the disk have another digest; the file was given up.
            WorktreeError: the disk refused; the file was given up.
        """
        try:
            self._enter()
            try:
                found = self._with_disk("read back", self._digest)
            finally:
                self._leave()
            self._check(found, digest)
            self._with_disk("close", self._end)
            outcome = self._appear(digest)
            self._is_settled = True
        except BaseException:
            self.abandon()
            raise
        return outcome

    def abandon(self) -> None:
        """Give the file up and leave nothing of it; does nothing to one that is finished."""
        with suppress(OSError):
            self._end()
        if not self._is_settled:
            self._is_settled = True
            self._with_disk("remove the unfinished", self._vanish)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abandon()

    def _check(self, found: Digest, expected: Digest) -> None:
        if found != expected:
            raise IntegrityError(
                ErrorKind.DAMAGED_OBJECT,
                f"{self._path} has other bytes than announced: expected SHA-256 {expected.hex()}, found {found.hex()}; "
                "nothing was changed",
                path=str(self._path),
                expected=expected.hex(),
                found=found.hex(),
            )

    def _allocate(self) -> None:
        # A disk without room says so now and not after the last byte has come through the network.
        if hasattr(os, "posix_fallocate") and self._size_bytes:
            os.posix_fallocate(self._handle, 0, self._size_bytes)
        else:
            os.ftruncate(self._handle, self._size_bytes)

    def _write_at(self, offset: int, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._handle, rest, offset)  # type: ignore[attr-defined,unused-ignore] # not on Windows
            offset += written
            rest = rest[written:]

    def _digest(self) -> Digest:
        os.lseek(self._handle, 0, os.SEEK_SET)
        return digest_of_open_file(self._handle, self._size_bytes)

    def _enter(self) -> None:
        with self._lock:
            if self._is_over:
                raise InvalidInputError(
                    ErrorKind.BAD_INPUT, f"{self._path} is finished or abandoned", path=str(self._path)
                )
            self._at_work += 1

    def _leave(self) -> None:
        with self._lock:
            self._at_work -= 1
            # It closes here only after the file was given up.
            with suppress(OSError):
                self._close_if_idle()

    def _end(self) -> None:
        """Let no more writes begin."""
        with self._lock:
            self._is_over = True
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        # Not under a write that is still going on: the number could by then be another file's.
        if self._is_over and not self._at_work and not self._is_closed:
            self._is_closed = True
            os.close(self._handle)

    def _with_disk(self, doing: str, act: Callable[[], _T]) -> _T:
        try:
            return act()
        except OSError as error:
            raise worktree_error(error, self._path, doing) from error


def begin_large(
    path: Path,
    directory: int,
    name: bytes,
    kind: FileKind,
    size_bytes: int,
    *,
    finish: Callable[[int, Digest], Outcome],
    unfinished: set[LargeFile],
) -> LargeFile:
    """Start a file whose bytes will come in pieces, as *name* in *directory*; nothing stands there yet.

    Args:
        path: what it shall become, for messages.
        directory: open, and the file's from now on: it is closed when the file is there or given up.
        name: what it is called in the making.
        kind: what it shall be.
        size_bytes: how large.
        finish: lets it appear, out of the directory that it is given; called with the digest when the content is there and true.
        unfinished: it is one of these until then.

    Raises:
        WorktreeError: the disk refused, also because it has no room for so many bytes.
    """
    try:
        handle = os.open(name, OPEN_NEW_TO_READ_BACK, mode(kind), dir_fd=directory)
    except OSError as error:
        close_directory(directory)
        raise worktree_error(error, path, "begin") from error

    def appear(digest: Digest) -> Outcome:
        outcome = finish(directory, digest)
        close_directory(directory)
        unfinished.discard(large)
        return outcome

    def vanish() -> None:
        try:
            discard(directory, name)
        finally:
            close_directory(directory)

    large = LargeFile(path, handle, size_bytes, appear=appear, vanish=vanish)
    unfinished.add(large)
    return large


def refuse_link(path: str, kind: FileKind) -> None:
    """Refuse a link, which comes whole.

    Raises:
        InvalidInputError: *kind* is one.
    """
    if kind is FileKind.SYMLINK:
        raise InvalidInputError(ErrorKind.BAD_INPUT, f"{path} is a link, which comes whole", path=path)
