"""Looking at a working tree: which of its files have the content that they had, and which must be read.

Invariant: an unchanged tree is scanned without opening a file of it, and whatever is read is read whole and held still
while it was, or it is reported.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from synccore.digest import Digest
from synccore.manifest import MAX_LINK_BYTES, MAX_WHOLE_CHUNK_BYTES, Entry, FileKind
from synccore.problem import Problem, ProblemKind
from synccore.treepath import TreePath
from synccore.worktree.statcache import Fingerprint, StatCache, fingerprint, is_link

_ATTEMPTS = 4


class Unread(NamedTuple):
    """A file whose content is not known."""

    path: TreePath
    kind: FileKind
    found: Fingerprint


class Content(NamedTuple):
    """A file of at most `MAX_WHOLE_CHUNK_BYTES`, or a link, as it was read."""

    path: TreePath
    entry: Entry
    data: bytes
    found: Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a look at a tree has shown.

    Attributes:
        known: entries whose status says that they are as they were, with their fingerprints.
        unread: what has to be read, in path order.
        problems: paths that cannot take part.
    """

    known: Mapping[TreePath, tuple[Fingerprint, Entry]]
    unread: tuple[Unread, ...]
    problems: tuple[Problem, ...]

    @property
    def paths(self) -> set[TreePath]:
        """Every path that takes part."""
        return {*self.known, *(unread.path for unread in self.unread)}


class UnstableFileError(Exception):
    """A file changed whenever it was read."""


def scan(root: Path, paths: Iterable[TreePath], executable: frozenset[TreePath] | None, cache: StatCache) -> Scan:
    """Look at the status of each of *paths* below *root*, and at nothing else.

    A path where nothing stands is left out: it was deleted and not yet committed.

    Args:
        root: the tree.
        paths: what may take part, in path order.
        executable: which are executable, where the disk cannot say; ``None`` where it can.
        cache: what was there at the last scan.
    """
    base = os.path.join(root, "")
    before = cache.by_path()
    known: dict[TreePath, tuple[Fingerprint, Entry]] = {}
    unread: list[Unread] = []
    problems: list[Problem] = []
    lstat = os.lstat
    for path in paths:
        try:
            status = lstat(base + path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            problems.append(Problem(ProblemKind.UNREADABLE, path, f"cannot be looked at: {error.strerror}"))
            continue
        found = fingerprint(status)
        last = before.get(path)
        kind = _kind(path, found, executable)
        if last is not None and last[0] == found and last[1].kind == kind:
            known[path] = last
        elif kind is not None:
            unread.append(Unread(path, kind, found))
        elif not stat.S_ISDIR(found.mode):
            problems.append(Problem(ProblemKind.SPECIAL_FILE, path, f"is {_special(found.mode)}, not a file or link"))
    return Scan(known=known, unread=tuple(unread), problems=tuple(problems))


def _kind(path: TreePath, found: Fingerprint, executable: frozenset[TreePath] | None) -> FileKind | None:
    if is_link(found):
        return FileKind.SYMLINK
    if not stat.S_ISREG(found.mode):
        return None
    is_executable = bool(found.mode & stat.S_IXUSR) if executable is None else path in executable
    return FileKind.EXECUTABLE if is_executable else FileKind.FILE


def _special(mode: int) -> str:
    names = ((stat.S_ISSOCK, "a socket"), (stat.S_ISFIFO, "a named pipe"))
    return next((name for test, name in names if test(mode)), "a device")


def read_content(root: Path, unread: Unread) -> Content:
    """Read a file of at most `MAX_WHOLE_CHUNK_BYTES`, or a link's target.

    A file that changes while it is read is read again, a few times.

    Raises:
        UnstableFileError: it will not hold still, or has become something else.
        OSError: it cannot be read.
    """
    full = os.path.join(root, unread.path)
    read = _read_link if unread.kind is FileKind.SYMLINK else _read_file
    for _ in range(_ATTEMPTS):
        data, found = read(full)
        if found is not None and found.is_racy(time.time_ns()):
            # Written within the last tick of the kernel's clock: a change during the read would bear the same time.
            again, found = read(full)
            found = found if again == data else None
        if found is not None:
            entry = Entry(unread.kind, len(data), Digest(hashlib.sha256(data).digest()))
            return Content(unread.path, entry, data, found)
    raise UnstableFileError


def _read_link(full: str) -> tuple[bytes, Fingerprint | None]:
    before = fingerprint(os.lstat(full))
    try:
        data = os.fsencode(os.readlink(full))
    except OSError as error:
        raise UnstableFileError from error
    if not 0 < len(data) <= MAX_LINK_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"its target has {len(data)} bytes, which no other machine would take")
    return data, before if fingerprint(os.lstat(full)) == before else None


def _read_file(full: str) -> tuple[bytes, Fingerprint | None]:
    """Read a file whole; the fingerprint is None if it changed meanwhile."""
    descriptor = _open(full)
    try:
        before = fingerprint(os.fstat(descriptor))
        if not stat.S_ISREG(before.mode) or before.size_bytes > MAX_WHOLE_CHUNK_BYTES:
            raise UnstableFileError
        # One byte more than expected shows that it has grown; a regular file is read whole by one call.
        data = os.read(descriptor, before.size_bytes + 1)
        after = fingerprint(os.fstat(descriptor))
    finally:
        os.close(descriptor)
    return data, after if after == before and len(data) == before.size_bytes else None


def _open(full: str) -> int:
    # O_NONBLOCK: a named pipe that has taken a file's place meanwhile must not make us wait for its other end.
    flags = ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY", "O_NONBLOCK")
    return os.open(full, os.O_RDONLY | sum(getattr(os, flag, 0) for flag in flags))


class LargeFile:
    """A large file that is being read in order.

    Its `read` hashes what passes; `finish` says what it was.
    """

    def __init__(self, file: BinaryIO, unread: Unread) -> None:
        self._file = file
        self._unread = unread
        self._hasher = hashlib.sha256()
        self._before = fingerprint(os.fstat(file.fileno()))

    def read(self, size: int, /) -> bytes:
        """Return up to *size* bytes."""
        data = self._file.read(size)
        self._hasher.update(data)
        return data

    def finish(self) -> tuple[Digest, Fingerprint]:
        """Return the digest of all that was read, and the file's fingerprint.

        Raises:
            UnstableFileError: the file has changed since it was opened.
        """
        after = fingerprint(os.fstat(self._file.fileno()))
        if after != self._before or self._file.tell() != after.size_bytes:
            raise UnstableFileError
        return Digest(self._hasher.digest()), after


@contextmanager
def open_large(root: Path, unread: Unread) -> Iterator[LargeFile]:
    """Open a file above `MAX_WHOLE_CHUNK_BYTES` for one pass.

    Raises:
        UnstableFileError: it has become something else.
        OSError: it cannot be read.
    """
    with open(_open(os.path.join(root, unread.path)), "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size <= MAX_WHOLE_CHUNK_BYTES:
            raise UnstableFileError
        yield LargeFile(file, unread)


def link_notes(root: Path, paths: Iterable[TreePath]) -> tuple[Problem, ...]:
    """Name those of the links at *paths* that lead out of the tree at *root*; they are carried as they are.

    A link that has gone since it was listed is passed over: the next look will not list it.
    """
    notes = []
    for path in paths:
        try:
            text = os.readlink(root / path)
        except OSError:
            continue
        steps = os.path.normpath(os.path.join(os.path.dirname(path), text))
        if os.path.isabs(text) or steps == os.pardir or steps.startswith(os.pardir + os.sep):
            notes.append(Problem(ProblemKind.LINK_LEAVES_TREE, path, f"is a link to {text!r}, outside of {root.name}"))
    return tuple(notes)
