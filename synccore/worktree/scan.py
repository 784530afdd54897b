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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import compress, repeat
from operator import ne
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from synccore.digest import Digest
from synccore.manifest import MAX_LINK_BYTES, MAX_WHOLE_CHUNK_BYTES, Entry, FileKind
from synccore.problem import Problem, ProblemKind
from synccore.treepath import TreePath
from synccore.worktree.statcache import (
    MAX_SLACK_NS,
    NO_FINGERPRINTS,
    Facts,
    Fingerprint,
    Fingerprints,
    StatCache,
    fingerprint,
)
from synccore.worktree.status_rows import NOTHING_THERE, bounds_of, facts, rows_of

if TYPE_CHECKING:
    from synccore.worktree.ahead import StatusesAhead

_NOTHING_FORESEEN: Mapping[str, bytes] = {}
_NOTHING_MOVED: Mapping[str, int] = {}

ATTEMPTS = 4

# What no file's status is.
NOTHING = Fingerprint._make(NOTHING_THERE)
_NO_KIND = 255

# O_NONBLOCK: a named pipe that has taken a file's place meanwhile must not make us wait for its other end.
_READING = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY", "O_NONBLOCK"))


class Unread(NamedTuple):
    """A file whose content is not known.

    Attributes:
        path: where it is.
        kind: what it is; ``None`` where nobody has looked at it yet and its mode says so.
        found: its status; ``None`` where nobody has looked at it yet, so that there may be nothing at all.
    """

    path: TreePath
    kind: FileKind | None
    found: Fingerprint | None


_UNREAD: Callable[[tuple[TreePath, FileKind | None, Fingerprint | None]], Unread] = partial(tuple.__new__, Unread)


class Content(NamedTuple):
    """A file of at most `MAX_WHOLE_CHUNK_BYTES`, or a link, as it was read."""

    path: TreePath
    entry: Entry
    data: bytes
    found: Fingerprint


class Scan(NamedTuple):
    """What a look at a tree has shown.

    Attributes:
        cache: what was there at the last look.
        kept: the rows of *cache* whose status says that they are as they were, ascending.
        moved: paths of a directory that was renamed whose statuses are those of other rows of *cache*, and those rows.
        unread: what has to be read, in path order.
        problems: paths that cannot take part.
    """

    cache: StatCache
    kept: Sequence[int]
    moved: Mapping[TreePath, int]
    unread: tuple[Unread, ...]
    problems: tuple[Problem, ...]

    @property
    def is_as_cached(self) -> bool:
        """Whether every path is as it was at the last look, and no path came or went."""
        return not self.unread and len(self.kept) == len(self.cache.paths)

    @property
    def known(self) -> Mapping[TreePath, tuple[Fingerprint, Entry]]:
        """The entries that are as they were, with their fingerprints."""
        prints, items = self.cache.fingerprints, list(self.cache.tree.items())
        known = {items[row][0]: (prints[row], items[row][1]) for row in self.kept}
        known.update((path, (prints[row], items[row][1])) for path, row in self.moved.items())
        return known


class UnstableFileError(Exception):
    """A file changed whenever it was read."""


def statuses(
    root: Path,
    names: Sequence[str],
    before: Fingerprints = NO_FINGERPRINTS,
    at_change: Callable[[Fingerprints, Fingerprints], object] = lambda _now, _before: None,
    ahead: StatusesAhead | None = None,
) -> Fingerprints:
    """Look at each of *names* below *root*, whatever may stand there; where nothing does stands `NOTHING`, and what nobody can look at is no file either.

    3 µs a name, nearly all of it the system's.

    Args:
        root: the tree.
        names: where to look.
        before: what was there the last time at the first of *names*.
        at_change: called with a part of what is there and with what was there *before*, as soon as it is seen that they differ;
            the parts are of 1,024 paths.
        ahead: who is at the first of just these *names* already; the last are looked at here, until we meet.
    """
    bounds = bounds_of(len(names))
    found = [b""] * len(bounds)

    def note(number: int, rows: bytes) -> None:
        found[number] = rows
        was = before.part(*bounds[number])
        if was and rows[: len(was)] != was:
            at_change(Fingerprints.from_bytes(rows[: len(was)]), Fingerprints.from_bytes(was))

    with ExitStack() as stack:
        status = _status_below(root, stack)
        done, left = 0, len(bounds)
        while done < left:
            while ahead is not None and done < left and ahead.rows_done() >= bounds[done][1]:
                note(done, ahead.rows(*bounds[done]))
                done += 1
            if done < left:
                left -= 1
                start, end = bounds[left]
                note(left, rows_of(status, names[start:end]))
    return Fingerprints.from_bytes(b"".join(found))


def _status_below(root: Path, stack: ExitStack) -> Callable[[str], os.stat_result]:
    """Return what tells the status of a path below *root*: from an open directory, where the system knows such a thing.

    The way to the root is then not walked again for each path, which takes 12 of 100 ms for 30,000.
    """
    lstat = os.lstat
    if os.stat in os.supports_dir_fd:
        with suppress(OSError):
            opened = os.open(root, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
            stack.callback(os.close, opened)
            return partial(lstat, dir_fd=opened)
    base = os.path.join(root, "")
    return lambda path: lstat(base + path)


def scan(
    root: Path,
    paths: Sequence[TreePath],
    executable: frozenset[TreePath] | None,
    cache: StatCache,
    now: Fingerprints | None = None,
    *,
    foreseen: Mapping[str, bytes] = _NOTHING_FORESEEN,
    moved: Mapping[str, int] = _NOTHING_MOVED,
) -> Scan:
    """Look at the status of each of *paths* below *root*, and at nothing else.

    A path where nothing stands is left out: it was deleted and not yet committed. Without a cache nothing is looked at: whatever
    is to be read shows what it is.

    Args:
        root: the tree.
        paths: what may take part, in path order; *cache*'s own list where it is the same and was made in the same way.
        executable: which are executable, where the disk cannot say; ``None`` where it can.
        cache: what was there at the last scan.
        now: the `statuses` of *cache*'s paths, if they have been looked at already.
        foreseen: the rows of other paths that have been.
        moved: paths that stand in no row of *cache* and where something with the status and of the kind in another row was found; used
            where the disk says what is executable.
    """
    if not cache.paths:
        kinds = repeat(None) if executable is None else [_kind_unseen(path, executable) for path in paths]
        # 30,000 take 4 ms; with the call of Python that checks how many fields there are they take 10.
        unread = map(_UNREAD, zip(paths, kinds, repeat(None), strict=False))
        return Scan(cache=cache, kept=(), moved={}, unread=tuple(unread), problems=())
    now = statuses(root, cache.paths) if now is None else now
    kept, rest = _sorted_out(paths, executable, cache, now)
    recognised: dict[TreePath, int] = {}
    if moved and executable is None:
        recognised = {path: moved[path] for path in rest if path in moved}
        rest = [path for path in rest if path not in recognised]
    seen, problems = _looked_at(root, rest, executable, foreseen)
    return Scan(cache=cache, kept=kept, moved=recognised, unread=tuple(seen), problems=tuple(problems))


def _looked_at(
    root: Path, paths: Sequence[TreePath], executable: frozenset[TreePath] | None, foreseen: Mapping[str, bytes]
) -> tuple[list[Unread], list[Problem]]:
    """Look at each of *paths*: 5 µs each, where it takes 8 to have `look_at` make something of every single one."""
    base = os.path.join(root, "")
    unforeseen = [path for path in paths if path not in foreseen]
    rows = dict(foreseen)
    rows.update(zip(unforeseen, statuses(root, unforeseen).rows(), strict=True))
    now = Fingerprints.from_bytes(b"".join([rows[path] for path in paths]))
    modes = now.column(0)
    kinds = {mode: _kind_by_mode(mode) if executable is None else None for mode in set(modes)}
    if None not in kinds.values():
        # As is everything below a directory that was renamed: 2 µs each otherwise.
        return list(map(_UNREAD, zip(paths, map(kinds.__getitem__, modes), now, strict=True))), []
    seen: list[Unread] = []
    problems: list[Problem] = []
    for path, mode, found in zip(paths, modes, now, strict=True):
        if found == NOTHING:
            continue
        kind = kinds[mode]
        item = look_at(base, path, executable) if kind is None else _UNREAD((path, kind, found))
        if isinstance(item, Unread):
            seen.append(item)
        elif item is not None:
            problems.append(item)
    return seen, problems


def _sorted_out(
    paths: Sequence[TreePath], executable: frozenset[TreePath] | None, cache: StatCache, now: Fingerprints
) -> tuple[Sequence[int], Sequence[TreePath]]:
    """Return the rows of *cache* that are among *paths* and as they were, and the other paths."""
    differing = set(cache.fingerprints.differing(now))
    if paths is cache.paths:
        # Nor has anything changed that says what is executable: what has the same mode is of the same kind.
        return _without(differing, len(paths)), TreePath.many([paths[row] for row in sorted(differing)])
    differing.update(_of_another_kind(cache, now, executable))
    paths = tuple(paths)
    if paths == tuple(cache.paths):
        cache.recognise(paths)
        return _without(differing, len(paths)), [paths[row] for row in sorted(differing)]
    found = list(map(dict(zip(cache.paths, range(len(cache.paths)), strict=True)).get, paths))
    kept = [row for row in found if row is not None and row not in differing]
    # What was not there just now is not looked for again: git lists what was renamed under its old name as well.
    sizes = now.column(1)
    there = {row for row in differing if sizes[row] != NOTHING.size_bytes}
    return kept, [path for path, row in zip(paths, found, strict=True) if row is None or row in there]


def _without(some: set[int], count: int) -> Sequence[int]:
    """Return the numbers below *count* but for *some*."""
    return [row for row in range(count) if row not in some] if some else range(count)


def _of_another_kind(cache: StatCache, now: Fingerprints, executable: frozenset[TreePath] | None) -> Iterator[int]:
    """Yield the rows that are another kind of thing than they were, by their modes or by *executable*."""
    if executable is None:
        known = kinds_by_modes(now)
    else:
        there = zip(cache.paths, now.column(0), strict=True)
        known = bytes(
            [FileKind.SYMLINK if stat.S_ISLNK(mode) else _kind_unseen(path, executable) for path, mode in there]
        )
    before = cache.columns.kinds
    if known != before:
        yield from compress(range(len(known)), map(ne, known, before))


def kinds_by_modes(found: Fingerprints) -> bytes:
    """Return, for each of what was *found*, its kind as a byte, or one that is no kind's."""
    modes = found.column(0)
    kinds = {mode: _kind_by_mode(mode) for mode in set(modes)}
    return bytes([_NO_KIND if kind is None else kind for kind in map(kinds.__getitem__, modes)])


def look_at(base: str, path: TreePath, executable: frozenset[TreePath] | None) -> Unread | Problem | None:
    """Look at one path; ``None`` where nothing stands that could take part.

    Args:
        base: the tree, with a slash at its end.
        path: where to look.
        executable: as for `scan`.
    """
    try:
        found = fingerprint(os.lstat(base + path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return Problem(ProblemKind.UNREADABLE, path, f"cannot be looked at: {error.strerror}")
    kind = _kind_by_mode(found.mode)
    if kind is None:
        if stat.S_ISDIR(found.mode):
            return None
        return Problem(ProblemKind.SPECIAL_FILE, path, f"is {_special(found.mode)}, not a file or link")
    if kind is not FileKind.SYMLINK and executable is not None:
        kind = _kind_unseen(path, executable)
    return Unread(path, kind, found)


def _kind_by_mode(mode: int) -> FileKind | None:
    if stat.S_ISREG(mode):
        return FileKind.EXECUTABLE if mode & stat.S_IXUSR else FileKind.FILE
    return FileKind.SYMLINK if stat.S_ISLNK(mode) else None


def _kind_unseen(path: str, executable: AbstractSet[str]) -> FileKind:
    return FileKind.EXECUTABLE if path in executable else FileKind.FILE


def _special(mode: int) -> str:
    names = ((stat.S_ISSOCK, "a socket"), (stat.S_ISFIFO, "a named pipe"))
    return next((name for test, name in names if test(mode)), "a device")


def first_look(base: str, item: Unread, now_ns: int) -> Content | Unread | Problem | None:
    """Read a path that nobody has looked at: open it at once, and look more closely only at what is not a small file at rest.

    Args:
        base: the tree, with a slash at its end.
        item: the path; its kind, if it has one, decides whether a file is executable.
        now_ns: a moment before the read, in nanoseconds since 1970.

    Returns:
        What was read; or what is to be read in another way; or why it cannot take part; or ``None`` where nothing stands.

    Raises:
        UnstableFileError: it will not hold still.
        OSError: it cannot be read.
    """
    path, kind, _ = item
    read = read_at_rest(base + path, now_ns)
    if read is not None:
        data, found = read
        kind = kind_at_rest(found) if kind is None else kind
        entry = Entry(kind, len(data), Digest(hashlib.sha256(data).digest()))
        return Content(path, entry, data, Fingerprint._make(found))
    executable = None if kind is None else frozenset({path} if kind is FileKind.EXECUTABLE else ())
    seen = look_at(base, path, executable)
    if not isinstance(seen, Unread) or is_large(seen):
        return seen
    return read_content(base, seen)


def read_at_rest(full: str, now_ns: int) -> tuple[bytes, Facts] | None:
    """Read a small file that holds still, and was not written just before *now_ns*; ``None`` for whatever else may be there.

    It is what nearly all files are, and of a large tree there are many: no object is made but the content and its facts.

    Args:
        full: where it is.
        now_ns: a moment before the read, in nanoseconds since 1970.
    """
    try:
        data, found = _read_file(full)
    except (UnstableFileError, OSError):
        return None
    if found is None or (max(found[2:4]) >= now_ns - MAX_SLACK_NS and Fingerprint._make(found).is_racy(now_ns)):
        return None
    return data, found


def kind_at_rest(found: Facts) -> FileKind:
    """Return the kind of what `read_at_rest` has read, where the disk can tell."""
    return FileKind.EXECUTABLE if found[0] & stat.S_IXUSR else FileKind.FILE


def is_large(item: Unread) -> bool:
    """Tell whether *item*, which was looked at, is a file that is cut into chunks."""
    return (
        item.found is not None and item.kind is not FileKind.SYMLINK and item.found.size_bytes > MAX_WHOLE_CHUNK_BYTES
    )


def read_content(base: str, unread: Unread) -> Content:
    """Read a file of at most `MAX_WHOLE_CHUNK_BYTES`, or a link's target, below *base*, which ends with a slash.

    A file that changes while it is read is read again, a few times.

    Raises:
        UnstableFileError: it will not hold still, or has become something else.
        OSError: it cannot be read.
    """
    full = base + unread.path
    if unread.kind is None:
        raise UnstableFileError
    read = _read_link if unread.kind is FileKind.SYMLINK else _read_file
    for _ in range(ATTEMPTS):
        data, found = read(full)
        if found is not None and Fingerprint._make(found).is_racy(time.time_ns()):
            # Written within the last tick of the kernel's clock: a change during the read would bear the same time.
            again, found = read(full)
            found = found if again == data else None
        if found is not None:
            entry = Entry(unread.kind, len(data), Digest(hashlib.sha256(data).digest()))
            return Content(unread.path, entry, data, Fingerprint._make(found))
    raise UnstableFileError


def _read_link(full: str) -> tuple[bytes, Facts | None]:
    before = facts(os.lstat(full))
    try:
        data = os.fsencode(os.readlink(full))
    except OSError as error:
        raise UnstableFileError from error
    if not 0 < len(data) <= MAX_LINK_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"its target has {len(data)} bytes, which no other machine would take")
    return data, before if facts(os.lstat(full)) == before else None


def _read_file(full: str) -> tuple[bytes, Facts | None]:
    """Read a file whole; of one that changed meanwhile there are no facts."""
    descriptor = os.open(full, _READING)
    try:
        before = facts(os.fstat(descriptor))
        mode, size_bytes, *_ = before
        if not stat.S_ISREG(mode) or size_bytes > MAX_WHOLE_CHUNK_BYTES:
            raise UnstableFileError
        # One byte more than expected shows that it has grown; a regular file is read whole by one call.
        data = os.read(descriptor, size_bytes + 1)
        after = facts(os.fstat(descriptor))
    finally:
        os.close(descriptor)
    return data, after if after == before and len(data) == size_bytes else None


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
    with open(os.open(os.path.join(root, unread.path), _READING), "rb", buffering=0) as file:
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
