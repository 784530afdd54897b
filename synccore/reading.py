"""Reading many small files and packing what is new of them: the part of an intake that another process can do as well.

Invariant: every file is read once, held still meanwhile, hashed while its bytes are at hand, and compressed only if its
content is new.

It is a module of its own because it is all that a Python beside this one loads (`synccore.reading_processes`).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, cast

from synccore import wire
from synccore.bundle import BLOCK_TARGET_BYTES, PackedBlock, pack_block
from synccore.digest import Digest
from synccore.manifest import Chunk, FileKind
from synccore.problem import Problem, ProblemKind
from synccore.treepath import TreePath
from synccore.worktree.scan import (
    ATTEMPTS,
    Content,
    Unread,
    UnstableFileError,
    first_look,
    kind_at_rest,
    read_at_rest,
    read_content,
)
from synccore.worktree.statcache import Facts, Fingerprint, Fingerprints

# A batch is bounded by its number of files too, so that a tree of tiny ones is read and packed side by side as well.
BATCH_FILES = 1024

_WHAT = "message between two of our processes"
_UNKNOWN_KIND = 255


class Claims:
    """Which chunks need no packing any more, because they are stored or because somebody is at it.

    RACE: two threads may both find a chunk unclaimed in the same instant, and two processes hear of each other only when one has
    packed it; then it is stored twice, which is harmless.

    Args:
        is_stored: tells of a chunk.
        stored: all of which it says so, for a process that cannot ask.
    """

    def __init__(self, is_stored: Callable[[Digest], bool], stored: Callable[[], Iterable[Digest]] = tuple) -> None:
        self._is_stored = is_stored
        self._stored = stored
        self._claimed: set[Digest] = set()

    def claim(self, digest: Digest) -> bool:
        """Tell whether the caller has to pack the chunk *digest*."""
        if digest in self._claimed or self._is_stored(digest):
            return False
        self._claimed.add(digest)
        return True

    def hear(self, chunks: Iterable[Chunk]) -> None:
        """Hear of *chunks* that somebody else has packed."""
        self._claimed.update([chunk[0] for chunk in chunks])

    def all(self) -> bytes:
        """Return the digests of all that needs no packing, joined."""
        return b"".join([*self._claimed, *self._stored()])


class ReadRows(NamedTuple):
    """What was found at some paths, as columns.

    Attributes:
        paths: where.
        kinds: what each is, as a byte.
        sizes: that of each content.
        digests: that of each content.
        prints: the fingerprints.
    """

    paths: Sequence[TreePath]
    kinds: bytes
    sizes: Sequence[int]
    digests: Sequence[Digest]
    prints: Fingerprints


NOTHING_READ = ReadRows((), b"", (), (), Fingerprints())


class RawBatch(NamedTuple):
    """What was read of a few files: everything found, and the contents that have to be packed.

    Attributes:
        files: how many that were, whatever became of them.
        read: what was read.
        problems: what could not be read, or cannot take part.
        large: what turned out to be large.
        fresh: contents that have to be packed.
        quickly: whether they are to be packed so.
    """

    files: int
    read: ReadRows
    problems: tuple[Problem, ...]
    large: tuple[Unread, ...]
    fresh: tuple[tuple[Digest, bytes], ...]
    quickly: bool = False


class Batch(NamedTuple):
    """What was read of a few files, packed; as `RawBatch`."""

    files: int
    read: ReadRows
    problems: tuple[Problem, ...]
    large: tuple[Unread, ...]
    block: PackedBlock | None


class Reader:
    """Reads small files below *root*, one after the other.

    Args:
        root: the tree.
        claims: what needs no packing.
        is_keeping_up: tells whether whoever takes the blocks waits for them, so that they are packed quickly.
    """

    def __init__(self, root: Path, claims: Claims, is_keeping_up: Callable[[], bool] = lambda: False) -> None:
        self.root = root
        self.claims = claims
        self.is_keeping_up = is_keeping_up
        self._base = os.path.join(root, "")  # noqa: PTH118 - with its slash

    def touch(self, items: list[Unread]) -> list[Unread]:
        """Have the system bring files into its memory; what is wrong with them shows when they are read."""
        for item in items:
            with suppress(OSError, UnstableFileError):
                first_look(self._base, item, 0)
        return items

    def batches(self, items: Iterator[Unread]) -> Iterator[RawBatch]:
        """Read *items*, so many at a time as fill one block."""
        while (batch := self.batch(items)).files:
            yield batch

    def batch(self, items: Iterator[Unread]) -> RawBatch:
        """Read of *items* what fills one block, or what is left of them."""
        paths: list[TreePath] = []
        kinds: list[int] = []
        sizes: list[int] = []
        digests: list[Digest] = []
        rows: list[Facts] = []
        others = _Others([], [])
        fresh: list[tuple[Digest, bytes]] = []
        files = size = 0
        base, claim, now_ns, sha256 = self._base, self.claims.claim, time.time_ns(), hashlib.sha256
        for item in items:
            files += 1
            path, kind, seen = item
            if seen is None and (read := read_at_rest(base + path, now_ns)) is not None:
                data, found = read
                kind = kind_at_rest(found) if kind is None else kind
                digest = Digest(sha256(data).digest())
            elif (content := self._looked_at_closely(item, now_ns, others)) is not None:
                path, (kind, _, digest, _), data, found = content
            else:
                continue
            paths.append(path)
            kinds.append(kind)
            sizes.append(len(data))
            digests.append(digest)
            rows.append(found)
            if data and claim(digest):
                fresh.append((digest, data))
                size += len(data)
            # Since a file has at most the size of a block's target, a block has at most twice that.
            if size >= BLOCK_TARGET_BYTES or len(paths) == BATCH_FILES:
                break
        read_rows = ReadRows(paths, bytes(kinds), sizes, digests, Fingerprints(rows))
        return RawBatch(
            files, read_rows, tuple(others.problems), tuple(others.large), tuple(fresh), self.is_keeping_up()
        )

    def _looked_at_closely(self, item: Unread, now_ns: int, others: _Others) -> Content | None:
        """Read what is not a small file at rest, or was looked at before; what cannot be read here goes to *others*."""
        try:
            content = first_look(self._base, item, now_ns) if item.found is None else read_content(self._base, item)
        except (UnstableFileError, OSError) as error:
            others.problems.append(problem_of(item.path, error))
            return None
        if isinstance(content, Content):
            return content
        if isinstance(content, Unread):
            others.large.append(content)
        elif content is not None:
            others.problems.append(content)
        return None


class _Others(NamedTuple):
    """What is no small file that could be read."""

    problems: list[Problem]
    large: list[Unread]


def packed(raw: RawBatch) -> Batch:
    """Compress what is new of *raw*."""
    files, read, problems, large, fresh, quickly = raw
    return Batch(files, read, problems, large, pack_block(fresh, quickly=quickly) if fresh else None)


def problem_of(path: TreePath, error: Exception) -> Problem:
    """Say why *path* could not be read."""
    if isinstance(error, OSError):
        return Problem(ProblemKind.UNREADABLE, path, f"cannot be read: {error.strerror or error}")
    return Problem(ProblemKind.UNSTABLE, path, f"changed each of the {ATTEMPTS} times that it was read")


def beginning(root: Path, claims: Claims) -> bytes:
    """Return the message that says to `answers` what it has to know of a tree."""
    return wire.pack((os.fsencode(root.absolute()), claims.all()))


def request(items: Sequence[Unread], *, quickly: bool = False) -> bytes:
    """Return the message that has `answers` read *items* of the tree that it was told of last, and pack them *quickly* or well."""
    kinds = bytes([_UNKNOWN_KIND if kind is None else kind for _, kind, _ in items])
    # What a look has found is not looked at again: that there was one is all that matters.
    looked_at = bytes([found is not None for _, _, found in items])
    return wire.pack(("\0".join([path for path, _, _ in items]), kinds, looked_at, int(quickly)))


def answers(messages: Iterator[bytes]) -> Iterator[bytes]:
    """Read and pack what *messages* ask for: in another process, `synccore.beside.Beside` runs this.

    Each `request` has one or more answers, which `batch_of` reads; together they are of all its files, in order. An answer is two
    messages, of which the second one is the frame of its block: packed with the rest it would be copied four times more.
    """
    reader: Reader | None = None
    quickly = [False]
    for message in messages:
        value = wire.rows(wire.unpack(message, _WHAT), _WHAT)
        if len(value) == 2:  # noqa: PLR2004 - `beginning` has two parts
            reader = _reader(*value, lambda: quickly[0])
        elif reader is not None:
            *what, quick = wire.row(value, 4, _WHAT)
            items, quickly[0] = _requested(tuple(what)), bool(quick)
            done = 0
            for raw in reader.batches(iter(items)):
                batch = packed(raw)
                yield _answer(batch, items[done : done + raw.files])
                yield b"" if batch.block is None else batch.block.frame
                done += raw.files


def _reader(root_part: wire.Packed, known: wire.Packed, is_keeping_up: Callable[[], bool]) -> Reader:
    stored = frozenset(wire.digests(known, _WHAT))
    root = Path(os.fsdecode(wire.binary(root_part, _WHAT)))
    with suppress(OSError):
        # From here a file is opened and read in 6.8 us instead of 7.8.
        os.chdir(root)
        root = Path()
    return Reader(root, Claims(stored.__contains__), is_keeping_up)


def _requested(value: wire.Packed) -> list[Unread]:
    joined, kinds, looked_at = wire.row(value, 3, _WHAT)
    # They were paths where they came from.
    paths = cast("list[TreePath]", wire.text(joined, _WHAT).split("\0"))
    known = {int(kind): kind for kind in FileKind}
    return [
        Unread(path, known.get(kind), _LOOKED_AT if seen else None)
        for path, kind, seen in zip(paths, wire.binary(kinds, _WHAT), wire.binary(looked_at, _WHAT), strict=True)
    ]


_LOOKED_AT = Fingerprint(0, 0, 0, 0, 0)


def _answer(batch: Batch, items: Sequence[Unread]) -> bytes:
    files, read, problems, large, block = batch
    number_of = {item.path: number for number, item in enumerate(items)}
    numbers = None if len(read.paths) == files else [number_of[path] for path in read.paths]
    return wire.pack(
        (
            files,
            numbers,
            (read.kinds, read.sizes, b"".join(read.digests), read.prints.to_bytes()),
            [(problem.kind.value, problem.path, problem.detail) for problem in problems],
            [(number_of[item.path], item.kind, item.found) for item in large],
            None if block is None else (block.plain_bytes, block.checksum, *_columns(block.chunks)),
        )
    )


def _columns(chunks: Sequence[Chunk]) -> tuple[bytes, list[int]]:
    return b"".join([digest for digest, _ in chunks]), [size for _, size in chunks]


def batch_of(answer: bytes, frame: bytes, items: Sequence[Unread]) -> Batch:
    """Return what *answer* and the *frame* behind it say of the first of *items*.

    Raises:
        IntegrityError: it is none.
    """
    files_part, numbers, columns, problems, large, block = wire.row(wire.unpack(answer, _WHAT), 6, _WHAT)
    files = wire.uint(files_part, _WHAT, most=len(items))
    if not files:
        wire.damaged(_WHAT, "says nothing")
    paths = [items[n].path for n in (range(files) if numbers is None else wire.uints(numbers, _WHAT))]
    kinds, sizes, digests, prints = wire.row(columns, 4, _WHAT)
    read = ReadRows(
        paths,
        wire.binary(kinds, _WHAT),
        wire.uints(sizes, _WHAT),
        wire.digests(digests, _WHAT),
        Fingerprints.from_bytes(wire.binary(prints, _WHAT)),
    )
    if not len(paths) == len(read.kinds) == len(read.sizes) == len(read.digests) == len(read.prints):
        wire.damaged(_WHAT, "has columns of different lengths")
    return Batch(
        files,
        read,
        tuple(_problem_of(part) for part in wire.rows(problems, _WHAT)),
        tuple(_large_of(part, items) for part in wire.rows(large, _WHAT)),
        None if block is None else _block_of(frame, block),
    )


def _problem_of(value: wire.Packed) -> Problem:
    kind, path, detail = (wire.text(part, _WHAT) for part in wire.row(value, 3, _WHAT))
    return Problem(ProblemKind(kind), path, detail)


def _large_of(value: wire.Packed, items: Sequence[Unread]) -> Unread:
    number, kind, found = wire.row(value, 3, _WHAT)
    numbers = wire.uints(found, _WHAT)
    return items[wire.uint(number, _WHAT)]._replace(
        kind=FileKind(wire.uint(kind, _WHAT)), found=Fingerprint._make(numbers)
    )


def _block_of(frame: bytes, value: wire.Packed) -> PackedBlock:
    plain_bytes, checksum, digests, sizes = wire.row(value, 4, _WHAT)
    chunks = tuple(map(Chunk, wire.digests(digests, _WHAT), wire.uints(sizes, _WHAT)))
    return PackedBlock(frame, wire.uint(plain_bytes, _WHAT), wire.uint(checksum, _WHAT), chunks)
