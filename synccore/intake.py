"""Reading what a scan could not vouch for, and packing what the store does not have.

Invariant: every file is read once, held still meanwhile, hashed while its bytes are at hand, and compressed only if its
content is new; memory stays bounded by the blocks and bundles in flight, whatever the sizes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from synccore.bundle import BLOCK_TARGET_BYTES, PackedBlock, pack_block
from synccore.chunking import cut
from synccore.digest import Digest, digest_of
from synccore.manifest import MAX_WHOLE_CHUNK_BYTES, Chunk, Entry, FileKind
from synccore.problem import Problem, ProblemKind
from synccore.treepath import TreePath
from synccore.windowed import windowed, workers
from synccore.worktree.scan import Unread, UnstableFileError, open_large, read_content
from synccore.worktree.statcache import Fingerprint

if TYPE_CHECKING:
    from concurrent.futures import Executor

_ATTEMPTS = 4

# Below this, starting threads costs more than they save.
_ALONE_BELOW_BYTES = 512 * 2**10
_ALONE_BELOW_FILES = 64

# A file costs some 20 µs to open and read whatever its size, so a batch is bounded by its number of files too.
_BATCH_FILES = 256


class ReadFile(NamedTuple):
    """What was found at one path."""

    path: TreePath
    entry: Entry
    found: Fingerprint


@dataclass(slots=True)
class Intake:
    """What reading has brought so far.

    Attributes:
        read: every file read.
        problems: what could not be read.
    """

    read: list[ReadFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


class _Batch(NamedTuple):
    intake: Intake
    block: PackedBlock | None


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
        into: complete when the iterator is exhausted.
    """
    small: list[Unread] = []
    large: list[Unread] = []
    for item in unread:
        (
            large if item.kind is not FileKind.SYMLINK and item.found.size_bytes > MAX_WHOLE_CHUNK_BYTES else small
        ).append(item)
    if not large and len(small) < _ALONE_BELOW_FILES and sum(_size(item) for item in small) < _ALONE_BELOW_BYTES:
        yield from _merge([_read_batch(root, small, claims)], into)
        return
    threads = min(4, os.cpu_count() or 1)
    with workers(threads, "intake") as executor:
        results = windowed(executor, lambda batch: _read_batch(root, batch, claims), _batches(small), count=2 * threads)
        yield from _merge(results, into)
        for item in large:
            yield from _read_large(root, item, claims, into, executor=executor, threads=threads)


def _size(item: Unread) -> int:
    return item.found.size_bytes


def _batches(unread: Iterable[Unread]) -> Iterator[list[Unread]]:
    batch: list[Unread] = []
    size = 0
    for item in unread:
        if batch and (size + _size(item) > BLOCK_TARGET_BYTES or len(batch) == _BATCH_FILES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += _size(item)
    if batch:
        yield batch


def _merge(results: Iterable[_Batch], into: Intake) -> Iterator[PackedBlock]:
    for result in results:
        into.read += result.intake.read
        into.problems += result.intake.problems
        if result.block is not None:
            yield result.block


def _read_batch(root: Path, batch: Iterable[Unread], claims: Claims) -> _Batch:
    intake = Intake()
    fresh: list[tuple[Digest, bytes]] = []
    for item in batch:
        try:
            content = read_content(root, item)
        except (UnstableFileError, OSError) as error:
            intake.problems.append(_problem(item.path, error))
            continue
        intake.read.append(ReadFile(item.path, content.entry, content.found))
        if content.data and claims.claim(content.entry.digest):
            fresh.append((content.entry.digest, content.data))
    return _Batch(intake, pack_block(fresh) if fresh else None)


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
