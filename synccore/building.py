"""Building trees that are not there yet, one block's files after another's, in this process and in others beside it.

Invariant: no content is written that was not compared with its digest, whoever writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from synccore import wire
from synccore.bundle import open_block, take_chunk
from synccore.digest import Digest
from synccore.manifest import Chunk, Entry, FileKind
from synccore.places import Block, Places
from synccore.treepath import TreePath
from synccore.worktree.fresh_tree import FreshTree
from synccore.worktree.large_file import LargeFile

if TYPE_CHECKING:
    from typing_extensions import Self

    from synccore.repository import Frame

_KINDS = tuple(FileKind)


class Piece(NamedTuple):
    """A chunk that is all of a file, or nothing, which is all of an empty one.

    Attributes:
        path: the file's.
        kind: the file's.
        offset: of the chunk in its block.
        size_bytes: the chunk's and the file's.
        digest: likewise.
    """

    path: TreePath
    kind: FileKind
    offset: int
    size_bytes: int
    digest: Digest


# As in `synccore.manifest`: there are as many as files.
_PIECE: Callable[[tuple[TreePath, FileKind, int, int, Digest]], Piece] = partial(tuple.__new__, Piece)


class LargePiece(NamedTuple):
    """A chunk that is a slice of a file.

    Attributes:
        path: the file's.
        offset: of the chunk in its block.
        chunk: itself.
        position: where it belongs in the file.
    """

    path: TreePath
    offset: int
    chunk: Chunk
    position: int


class Pieces(NamedTuple):
    """What a tree waits for in one block."""

    whole: list[Piece]
    large: list[LargePiece]


class Building:
    """A tree that is being built; a context manager, as `FreshTree` is.

    Attributes:
        repo: its name.
        root: where it is being built.
        large_files: how many files that came in several chunks are finished.
    """

    def __init__(self, repo: str, root: Path, *, joining: bool = False) -> None:
        """Begin the tree of *repo* at *root*, or with *joining* help with it."""
        self.repo = repo
        self.root = root
        self.large_files = 0
        self._tree = FreshTree(root, joining=joining)
        self._unplaced = Pieces([], [])
        self._large: dict[TreePath, tuple[Entry, set[int]]] = {}
        self._begun: dict[TreePath, LargeFile] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tree.close()

    def plan(self, writes: Mapping[TreePath, Entry], places: Places) -> dict[Block, Pieces]:
        """Return what the files of *writes* wait for, by the blocks that it is in."""
        found: dict[Block, Pieces] = {}
        last, mine = None, self._unplaced
        for path, (kind, size_bytes, digest, chunks) in writes.items():
            if chunks:
                self._plan_large(path, writes[path], places, found)
                continue
            if not size_bytes:
                # It waits for nothing, but is best made when its neighbours are, while their directory is open.
                mine.whole.append(_PIECE((path, kind, 0, 0, digest)))
                continue
            block, offset = places[digest]
            # Neighbours are mostly in the same block, and to hash one takes longer than all else here.
            if block is not last:
                last, mine = block, found.setdefault(block, Pieces([], []))
            mine.whole.append(_PIECE((path, kind, offset, size_bytes, digest)))
        return found

    def _plan_large(self, path: TreePath, entry: Entry, places: Places, found: dict[Block, Pieces]) -> None:
        position = 0
        missing: set[int] = set()
        for chunk in entry.chunks:
            block, offset = places[chunk.digest]
            found.setdefault(block, Pieces([], [])).large.append(LargePiece(path, offset, chunk, position))
            missing.add(position)
            position += chunk.size_bytes
        self._large[path] = entry, missing

    def compare(self, plain: bytes, pieces: Pieces) -> None:
        """Compare *pieces* of the block whose content is *plain* with their digests; safe from any thread.

        Raises:
            IntegrityError: one has another digest.
        """
        # A slice of a view is no copy: to copy 334 MB takes 50 ms.
        view = memoryview(plain)
        for path, _, offset, size_bytes, digest in pieces.whole:
            if sha256(view[offset : offset + size_bytes]).digest() != digest:
                take_chunk(plain, offset, Chunk(digest, size_bytes), self._what(path))
        for large in pieces.large:
            take_chunk(plain, large.offset, large.chunk, self._what(large.path))

    def write(self, plain: bytes, pieces: Pieces, *, again: bool = False) -> None:
        """Write *pieces* of the block whose content is *plain*, which `compare` has found to be true.

        Args:
            plain: the block's content.
            pieces: what of it belongs where.
            again: whether somebody who joined may have done a part of it.

        Raises:
            IntegrityError: a large file that is complete now is not what it was to be.
            WorktreeError: the disk refused.
        """
        view = memoryview(plain)
        for path, kind, offset, size_bytes, _ in pieces.whole:
            if again:
                self._tree.discard(path)
            self._tree.write(path, kind, view[offset : offset + size_bytes])
        for large in pieces.large:
            self._put(large, view[large.offset : large.offset + large.chunk.size_bytes])

    def write_unplaced(self) -> None:
        """Write what was planned and is in no block: empty files that no other stands before."""
        self.write(b"", self._unplaced)

    def _what(self, path: TreePath) -> str:
        return f"content of {self.repo}/{path}"

    def _put(self, piece: LargePiece, data: memoryview) -> None:
        path = piece.path
        entry, missing = self._large[path]
        file = self._begun.get(path)
        if file is None:
            file = self._begun[path] = self._tree.begin(path, entry.kind, entry.size_bytes)
        file.write_at(piece.position, data)
        missing.discard(piece.position)
        if not missing:
            file.finish(entry.digest)
            self.large_files += 1
            del self._large[path], self._begun[path]


# What is said to a Python beside this one, and what it says

DONE = b"done"


def site(buildings: Iterable[Building]) -> bytes:
    """Return the first message to one who joins: which trees are being built."""
    return wire.pack([(building.repo, str(building.root)) for building in buildings])


def order(frame: Frame, work: Iterable[tuple[int, Pieces]]) -> bytes:
    """Return the message that asks for the files of the block in *frame*.

    Args:
        frame: the block.
        work: which of the trees of the `site` wait for which pieces; none of these is large.
    """
    block = frame.block
    rows = [(number, pieces.whole) for number, pieces in work]
    return wire.pack((frame.data, block.plain_bytes, block.checksum, frame.what, rows))


def join(messages: Iterator[bytes]) -> Iterator[bytes]:
    """Help with the trees that the first of *messages* names: do what each of the others asks for, and say so.

    An error ends it: whoever asked does that block again, and meets the same.
    """
    import gc

    # Nothing here makes cycles of garbage.
    gc.disable()
    sites: Any = wire.unpack(next(messages), "a site")
    buildings = [Building(repo, Path(root), joining=True) for repo, root in sites]
    for message in messages:
        asked: Any = wire.unpack(message, "an order")
        frame, plain_bytes, checksum, what, work = asked
        plain = open_block(frame, plain_bytes, checksum, what)
        for number, whole in work:
            paths = TreePath.many([piece[0] for piece in whole])
            pieces = [Piece(path, _KINDS[kind], *rest) for path, (_, kind, *rest) in zip(paths, whole, strict=True)]
            todo = Pieces(pieces, [])
            buildings[number].compare(plain, todo)
            buildings[number].write(plain, todo)
        yield DONE
