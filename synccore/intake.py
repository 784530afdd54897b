"""Reading what a scan could not vouch for, and packing what the store does not have.

Invariant: every file is read once, held still meanwhile, hashed while its bytes are at hand, and compressed only if its
content is new; memory stays bounded by the blocks and bundles in flight, whatever the sizes.

Files that the system has in memory are read by one thread, and compressed by the others: opening and reading a small one is
15 µs, most of it with the interpreter's lock, which four threads that all read only take from each other (30,000 files,
184 MB, two cores: 0.75 s against 0.5). A disk that has to be waited for is read by all.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from synccore.bundle import BLOCK_TARGET_BYTES, PackedBlock, pack_block
from synccore.chunking import cut
from synccore.digest import Digest, digest_of
from synccore.manifest import Chunk, Entry
from synccore.problem import Problem, ProblemKind
from synccore.treepath import TreePath
from synccore.windowed import windowed, workers
from synccore.worktree.scan import (
    Content,
    Unread,
    UnstableFileError,
    first_look,
    is_large,
    open_large,
    read_content,
)
from synccore.worktree.statcache import Fingerprint

if TYPE_CHECKING:
    from concurrent.futures import Executor

_ATTEMPTS = 4

# Below this, starting threads costs more than they save.
_ALONE_BELOW_BYTES = 512 * 2**10
_ALONE_BELOW_FILES = 64

# A batch is bounded by its number of files too, so that a tree of tiny ones is read and packed side by side as well.
_BATCH_FILES = 1024

# Where a file in so many had to be waited for, the first batch has come from a disk and not from memory. Then so many threads
# open and read files ahead of the one that takes them in, so many at a time.
_WAITS_PER_FILE = 1 / 8
_READAHEAD_THREADS = 8
_READAHEAD_FILES = 16

# So many blocks, of at most 2 MiB, may wait to be packed.
_PACKED_AHEAD = 8


class ReadFile(NamedTuple):
    """What was found at one path."""

    path: TreePath
    entry: Entry
    found: Fingerprint


class Intake:
    """What reading has brought so far.

    Args:
        read: files that need not be read.

    Attributes:
        read: those, and every file read.
        problems: what could not be read, or cannot take part.
        large: files that turned out to be large when they were opened.
    """

    def __init__(self, read: Iterable[ReadFile] = ()) -> None:
        self.read = list(read)
        self.problems: list[Problem] = []
        self.large: list[Unread] = []


class Claims:
    """Which chunks need no packing any more, because they are stored or because somebody is at it.

    RACE: two threads may both find a chunk unclaimed in the same instant; then it is stored twice, which is harmless.
    """

    def __init__(self, is_stored: Callable[[Digest], bool]) -> None:
        self._is_stored = is_stored
        self._claimed: set[Digest] = set()

    def claim(self, digest: Digest) -> bool:
        """Tell whether the caller has to pack the chunk *digest*."""
        if digest in self._claimed or self._is_stored(digest):
            return False
        self._claimed.add(digest)
        return True


def take_in(root: Path, unread: Iterable[Unread], claims: Claims, into: Intake) -> Iterator[PackedBlock]:
    """Read files, note what they are in *into*, and yield blocks of what is new, as they are ready.

    Args:
        root: the tree.
        unread: what to read, in path order.
        claims: what needs no packing.
        into: complete when the iterator is exhausted; large files come last.
    """
    small: list[Unread] = []
    large: list[Unread] = []
    for item in unread:
        (large if is_large(item) else small).append(item)
    reader = _Reader(root, claims)
    if len(small) < _ALONE_BELOW_FILES and sum(map(_size, small)) < _ALONE_BELOW_BYTES:
        items = iter(small)
        yield from _merge(map(_packed, iter(lambda: reader.batch(items), _RawBatch())), into)
    else:
        yield from _read_many(reader, small, into)
    if not large and not into.large:
        return
    threads = _threads()
    with workers(threads, "intake") as executor:
        for item in [*large, *into.large]:
            yield from _read_large(root, item, claims, into, executor=executor, threads=threads)


def _threads() -> int:
    return max(1, min(4, (os.cpu_count() or 1) - 1))


def _read_many(reader: _Reader, small: Iterable[Unread], into: Intake) -> Iterator[PackedBlock]:
    """Read many small files, and pack them meanwhile."""
    with ExitStack() as stack:
        executor = stack.enter_context(workers(_threads(), "intake"))
        items = iter(small)
        waits = _waits()
        first = reader.batch(items)
        if _waits() - waits > len(first.read) * _WAITS_PER_FILE:
            ahead = stack.enter_context(workers(_READAHEAD_THREADS, "readahead"))
            left = items
            groups = iter(lambda: list(islice(left, _READAHEAD_FILES)), [])
            items = chain.from_iterable(windowed(ahead, reader.touch, groups, count=2 * _READAHEAD_THREADS))
        batches = chain([first], iter(lambda: reader.batch(items), _RawBatch()))
        yield from _merge(windowed(executor, _packed, batches, count=_PACKED_AHEAD), into)


def _waits() -> int:
    """Return how often this thread has had to wait for something, where the system counts that; being slow is no waiting."""
    if sys.platform != "linux":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def _size(item: Unread) -> int:
    return item.found.size_bytes if item.found is not None else 0


class _RawBatch(NamedTuple):
    """What was read of a few files: everything found, and the contents that have to be packed."""

    read: tuple[ReadFile, ...] = ()
    problems: tuple[Problem, ...] = ()
    large: tuple[Unread, ...] = ()
    fresh: tuple[tuple[Digest, bytes], ...] = ()


class _Reader:
    """Reads small files, one after the other."""

    def __init__(self, root: Path, claims: Claims) -> None:
        self._base = os.path.join(root, "")  # noqa: PTH118 - with its slash
        self._claims = claims

    def touch(self, items: list[Unread]) -> list[Unread]:
        """Have the system bring files into its memory; what is wrong with them shows when they are read."""
        for item in items:
            with suppress(OSError, UnstableFileError):
                first_look(self._base, item, 0)
        return items

    def batch(self, items: Iterator[Unread]) -> _RawBatch:
        """Read of *items* what fills one block, or what is left of them; the empty batch if nothing is."""
        read: list[ReadFile] = []
        problems: list[Problem] = []
        large: list[Unread] = []
        fresh: list[tuple[Digest, bytes]] = []
        size = 0
        base, claim, now_ns = self._base, self._claims.claim, time.time_ns()
        for item in items:
            try:
                content = first_look(base, item, now_ns) if item.found is None else read_content(base, item)
            except (UnstableFileError, OSError) as error:
                problems.append(_problem(item.path, error))
                continue
            if isinstance(content, Content):
                path, entry, data, found = content
                read.append(ReadFile(path, entry, found))
                if data and claim(entry.digest):
                    fresh.append((entry.digest, data))
                    size += len(data)
            elif isinstance(content, Unread):
                large.append(content)
            elif content is not None:
                problems.append(content)
            # Since a file has at most the size of a block's target, a block has at most twice that.
            if size >= BLOCK_TARGET_BYTES or len(read) == _BATCH_FILES:
                break
        return _RawBatch(tuple(read), tuple(problems), tuple(large), tuple(fresh))


class _Batch(NamedTuple):
    raw: _RawBatch
    block: PackedBlock | None


def _packed(raw: _RawBatch) -> _Batch:
    return _Batch(raw._replace(fresh=()), pack_block(raw.fresh) if raw.fresh else None)


def _merge(results: Iterable[_Batch], into: Intake) -> Iterator[PackedBlock]:
    for raw, block in results:
        into.read += raw.read
        into.problems += raw.problems
        into.large += raw.large
        if block is not None:
            yield block


def _read_large(
    root: Path, item: Unread, claims: Claims, into: Intake, *, executor: Executor, threads: int
) -> Iterator[PackedBlock]:
    """Read one large file, again if it changes meanwhile; what an abandoned attempt has packed stays unreachable."""
    for _ in range(_ATTEMPTS):
        chunks: list[Chunk] = []
        try:
            with open_large(root, item) as file:
                fresh = _claimed(cut(file), claims, chunks)
                yield from windowed(executor, pack_block, _gathered(fresh), count=threads + 1)
                digest, found = file.finish()
        except UnstableFileError:
            continue
        except OSError as error:
            into.problems.append(_problem(item.path, error))
            return
        assert item.kind is not None  # noqa: S101 - it was looked at: that is how it is known to be large
        into.read.append(ReadFile(item.path, Entry(item.kind, found.size_bytes, digest, tuple(chunks)), found))
        return
    into.problems.append(_problem(item.path, UnstableFileError()))


def _claimed(pieces: Iterable[bytes], claims: Claims, chunks: list[Chunk]) -> Iterator[tuple[Digest, bytes]]:
    for data in pieces:
        digest = digest_of(data)
        chunks.append(Chunk(digest, len(data)))
        if claims.claim(digest):
            yield digest, data


def _gathered(contents: Iterable[tuple[Digest, bytes]]) -> Iterator[list[tuple[Digest, bytes]]]:
    gathered: list[tuple[Digest, bytes]] = []
    size = 0
    for digest, data in contents:
        if gathered and size + len(data) > BLOCK_TARGET_BYTES:
            yield gathered
            gathered, size = [], 0
        gathered.append((digest, data))
        size += len(data)
    if gathered:
        yield gathered


def _problem(path: TreePath, error: Exception) -> Problem:
    if isinstance(error, OSError):
        return Problem(ProblemKind.UNREADABLE, path, f"cannot be read: {error.strerror or error}")
    return Problem(ProblemKind.UNSTABLE, path, f"changed each of the {_ATTEMPTS} times that it was read")
