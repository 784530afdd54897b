"""Reading what a scan could not vouch for, and packing what the store does not have.

Invariant: every file is read once, held still meanwhile, hashed while its bytes are at hand, and compressed only if its
content is new; memory stays bounded by the blocks and bundles in flight, whatever the sizes.

Files that the system has in memory are read by one thread, and compressed by the others: opening and reading a small one is
15 µs, most of it with the interpreter's lock, which four threads that all read only take from each other (30,000 files,
184 MB, two cores: 0.75 s against 0.5). A disk that has to be waited for is read by all. Where there is much to read other processes help
(`synccore.reading_processes`); then what falls to this one is packed by the thread that has read it, for there are as many of us as processors.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from synccore.bundle import BLOCK_TARGET_BYTES, PackedBlock, pack_block
from synccore.chunking import cut
from synccore.digest import Digest, digest_of
from synccore.manifest import Chunk, Entry, whole_entries
from synccore.problem import Problem
from synccore.reading import NOTHING_READ, Batch, Claims, Reader, packed, problem_of
from synccore.treepath import TreePath
from synccore.windowed import windowed
from synccore.workers import Workers
from synccore.worktree.scan import ATTEMPTS, Unread, UnstableFileError, is_large, open_large
from synccore.worktree.statcache import Fingerprint, Fingerprints

if TYPE_CHECKING:
    from synccore.reading_processes import ReadingProcesses

# Below this, starting threads costs more than they save.
_ALONE_BELOW_BYTES = 512 * 2**10
_ALONE_BELOW_FILES = 64

# Where a file in so many had to be waited for, the first batch has come from a disk and not from memory. Then so many threads
# open and read files ahead of the one that takes them in, so many at a time.
_WAITS_PER_FILE = 1 / 8
_READAHEAD_THREADS = 8
_READAHEAD_FILES = 16

# Fewer files, and fewer bytes, are read before others could help: of 1,200 files (13 MB) processes make no difference, of 2,500 (27 MB) a tenth.
FILES_FOR_PROCESSES = 2000
_BYTES_FOR_PROCESSES = 32 * 2**20

# So many blocks, of at most 2 MiB, may wait to be packed.
_PACKED_AHEAD = 8


class ReadFile(NamedTuple):
    """What was found at one path."""

    path: TreePath
    entry: Entry
    found: Fingerprint


class Intake:
    """What reading has brought so far; what was read is kept as columns, in the order in which it came.

    Args:
        read: files that need not be read.

    Attributes:
        paths: of those, and of every file read.
        entries: what stands at each.
        prints: the fingerprint of each, as `Fingerprints.from_bytes` takes them.
        problems: what could not be read, or cannot take part.
    """

    def __init__(self, read: Iterable[ReadFile] = ()) -> None:
        known = list(read)
        self.paths: list[TreePath] = [item.path for item in known]
        self.entries: list[Entry] = [item.entry for item in known]
        self.prints = bytearray(Fingerprints([item.found for item in known]).to_bytes())
        self.problems: list[Problem] = []

    def add(self, item: ReadFile) -> None:
        """Add one file."""
        self.paths.append(item.path)
        self.entries.append(item.entry)
        self.prints += Fingerprints([item.found]).to_bytes()

    def add_batch(self, batch: Batch) -> None:
        """Add what was read of a few small files."""
        paths, kinds, sizes, digests, prints = batch.read
        self.paths += paths
        self.entries += whole_entries(kinds, sizes, digests)
        self.prints += prints.to_bytes()
        self.problems += batch.problems

    @property
    def read(self) -> tuple[ReadFile, ...]:
        """All files, one by one."""
        return tuple(map(ReadFile, self.paths, self.entries, Fingerprints.from_bytes(bytes(self.prints))))


def take_in(
    root: Path,
    unread: Iterable[Unread],
    claims: Claims,
    into: Intake,
    processes: Callable[[], ReadingProcesses] | None = None,
    *,
    is_keeping_up: Callable[[], bool] = lambda: False,
) -> Iterator[PackedBlock]:
    """Read files, note what they are in *into*, and yield blocks of what is new, as they are ready.

    Args:
        root: the tree.
        unread: what to read, in path order.
        claims: what needs no packing.
        into: complete when the iterator is exhausted.
        processes: has others help who are called for by that; for a large tree only.
        is_keeping_up: tells whether the caller has got rid of all that it was given, so that time is worth more than bytes.
    """
    small: list[Unread] = []
    with ExitStack() as stack:
        large = _LargeFiles(root, claims, into, stack)
        for item in unread:
            (large.waiting if item.found is not None and is_large(item) else small).append(item)
        reader = Reader(root, claims, is_keeping_up)
        if len(small) < _ALONE_BELOW_FILES and sum(map(_size, small)) < _ALONE_BELOW_BYTES:
            batches: Iterator[Batch] = map(packed, reader.batches(iter(small)))
        else:
            batches = _read_many(reader, small, processes, large, stack)
        for batch in batches:
            into.add_batch(batch)
            large.waiting += batch.large
            if batch.block is not None:
                yield batch.block
        yield from large.blocks()
    # In which process they were read is no order to report them in.
    into.problems.sort(key=attrgetter("path"))


def _threads() -> int:
    return max(1, min(4, (os.cpu_count() or 1) - 1))


def _read_many(
    reader: Reader,
    small: list[Unread],
    processes: Callable[[], ReadingProcesses] | None,
    large: _LargeFiles,
    stack: ExitStack,
) -> Iterator[Batch]:
    """Read many small files, and pack them meanwhile."""
    waits = _waits()
    first = reader.batch(iter(small))
    is_waiting = _waits() - waits > first.files * _WAITS_PER_FILE
    items = iter(small[first.files :])
    expected_bytes = sum(first.read.sizes) * len(small) // max(first.files, 1)
    is_much = len(small) >= FILES_FOR_PROCESSES or expected_bytes >= _BYTES_FOR_PROCESSES
    if processes is not None and not is_waiting and is_much:
        begun = iter([first])

        def read_ours(items: Iterator[Unread]) -> Iterator[Batch]:
            for raw in chain(begun, reader.batches(items)):
                yield packed(raw)
                # Now, and not when all others have nothing to do any more.
                yield from map(_only_packed, large.blocks())

        return processes().read(reader, list(items), read_ours)
    if is_waiting:
        ahead = stack.enter_context(Workers(_READAHEAD_THREADS, "readahead"))
        seen = items
        groups = iter(lambda: list(islice(seen, _READAHEAD_FILES)), [])
        items = chain.from_iterable(windowed(ahead, reader.touch, groups, count=2 * _READAHEAD_THREADS))
    workers = stack.enter_context(Workers(_threads(), "intake"))
    return windowed(workers, packed, chain([first], reader.batches(items)), count=_PACKED_AHEAD)


def _only_packed(block: PackedBlock) -> Batch:
    return Batch(0, NOTHING_READ, (), (), block)


def _waits() -> int:
    """Return how often this thread has had to wait for something, where the system counts that; being slow is no waiting."""
    if sys.platform != "linux":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def _size(item: Unread) -> int:
    return item.found.size_bytes if item.found is not None else 0


class _LargeFiles:
    """Large files, which are read one after the other and packed meanwhile.

    Attributes:
        waiting: those that nobody has read yet.
    """

    def __init__(self, root: Path, claims: Claims, into: Intake, stack: ExitStack) -> None:
        self.waiting: deque[Unread] = deque()
        self._root = root
        self._claims = claims
        self._into = into
        self._stack = stack
        self._workers: Workers | None = None

    def blocks(self) -> Iterator[PackedBlock]:
        """Read all that wait, and yield what is new of them."""
        while self.waiting:
            yield from self._read(self.waiting.popleft())

    def _read(self, item: Unread) -> Iterator[PackedBlock]:
        """Read one, again if it changes meanwhile; what an abandoned attempt has packed stays unreachable."""
        into = self._into
        for _ in range(ATTEMPTS):
            chunks: list[Chunk] = []
            try:
                with open_large(self._root, item) as file:
                    yield from self._packed(_gathered(_claimed(cut(file), self._claims, chunks)))
                    digest, found = file.finish()
            except UnstableFileError:
                continue
            except OSError as error:
                into.problems.append(problem_of(item.path, error))
                return
            assert item.kind is not None  # noqa: S101 - it was looked at: that is how it is known to be large
            into.add(ReadFile(item.path, Entry(item.kind, found.size_bytes, digest, tuple(chunks)), found))
            return
        into.problems.append(problem_of(item.path, UnstableFileError()))

    def _packed(self, contents: Iterable[list[tuple[Digest, bytes]]]) -> Iterator[PackedBlock]:
        threads = _threads()
        if self._workers is None:
            self._workers = self._stack.enter_context(Workers(threads, "intake"))
        return windowed(self._workers, pack_block, contents, count=threads + 1)


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
