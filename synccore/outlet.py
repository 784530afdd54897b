"""Where packed blocks go: into the delta itself if they are few, or into bundles that are stored while more are packed.

Invariant: at most a handful of bundles is in memory at a time, and `close` returns only when all of them are stored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from synccore.bundle import (
    BLOCK_TARGET_BYTES,
    BUNDLE_TARGET_BYTES,
    PackedBlock,
    build_bundle,
    inline_places,
    nonce_block,
    open_block,
    pack_block,
    take_chunk,
)
from synccore.digest import Digest
from synccore.head import INLINE_BYTES
from synccore.manifest import Chunk, Manifest, Tree, chunks_of, digests_of
from synccore.places import InlineBlock, ObjectRef, Place, Places
from synccore.repository import ObjectWriter, StoredManifest
from synccore.workers import Outcome, Workers

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_T = TypeVar("_T")

# Four bundles of 16 MiB under way keep a connection to a distant bucket busy, within the budget of memory.
_FLYING = 4

# What so much is packed from is mostly more files than a head lists.
_MANY_FILES_BYTES = 256 * 2**10


class Outlet:
    """Takes blocks, and says where their chunks are.

    Use it as a context manager: leaving it waits for what is under way, or cancels what has not begun if there was an error.
    """

    def __init__(self, objects: ObjectWriter) -> None:
        self._objects = objects
        self._held: list[PackedBlock] = []
        self._held_bytes = 0
        self._is_expected = False
        self._workers: Workers | None = None
        self._flying: deque[Outcome[int]] = deque()
        self._newest: Outcome[int] | None = None
        self._stored: dict[Digest, Place] = {}
        self._sent: list[ObjectRef] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._workers is not None:
            self._workers.__exit__(kind, error, trace)

    @property
    def held_bytes(self) -> int:
        """The stored size of the blocks that are not on their way."""
        return self._held_bytes

    @property
    def sent(self) -> tuple[ObjectRef, ...]:
        """The bundles that are stored or on their way."""
        return tuple(self._sent)

    def is_keeping_up(self) -> bool:
        """Tell whether the last bundle that was sent is stored: who packs more had better be quick than thorough. Safe from any thread."""
        newest = self._newest
        return newest is None or newest.is_there()

    def add(self, blocks: Iterable[PackedBlock]) -> None:
        """Take *blocks*; full bundles are sent at once."""
        for block in blocks:
            self._held.append(block)
            self._held_bytes += len(block.frame)
            if self._held_bytes > _MANY_FILES_BYTES and not self._is_expected:
                # A bundle, and mostly a manifest beside it: a connection for each.
                self._is_expected = True
                self._objects.expect(2)
            if self._held_bytes >= BUNDLE_TARGET_BYTES:
                self._send()

    def places(self) -> Places:
        """Return where every chunk is that was taken so far; what is still held counts as inline."""
        inline = {digest: place for block in self._held for digest, place in inline_places(block).items()}
        return {**inline, **self._stored}

    def flush(self) -> None:
        """Send what is held; from now on nothing taken so far is inline."""
        if self._held:
            self._send()

    def end_contents(self) -> None:
        """Say that no contents are to come: what the head cannot take is sent at once, while it is found out what the head has to say of it."""
        if self._held_bytes > INLINE_BYTES:
            self.flush()

    def store_manifest(self, manifest: Manifest) -> StoredManifest:
        """Send a manifest, beside the bundles."""
        stored = StoredManifest.of(manifest)
        self._soon(self._objects.store_manifest, stored)
        return stored

    def _soon(self, store: Callable[[_T], int], item: _T) -> Outcome[int]:
        if self._workers is None:
            self._workers = Workers(2 * _FLYING, "store")
        outcome = self._workers.submit(store, item)
        self._flying.append(outcome)
        return outcome

    def wait(self) -> None:
        """Wait until all that was sent is stored.

        Raises:
            SyncError: as the storage has said.
        """
        while self._flying:
            self._flying.popleft().result()

    def settle(self, tree: Tree, places: Places) -> dict[Digest, Place]:
        """Return *places* for the chunks of *tree* so that none is inline, putting those that are into bundles of ours."""
        self.hold_inline(tree, places)
        self.flush()
        stored = self._stored
        return {digest: stored[digest] if digest in stored else places[digest] for digest in digests_of(tree)}

    def store_apart(self, blocks: Iterable[PackedBlock]) -> Mapping[Digest, Place]:
        """Send *blocks* in a bundle of their own, and return where their chunks are; nothing else that is taken will rely on it."""
        bundle = build_bundle([*blocks, nonce_block()])
        self._soon(self._objects.store_bundle, bundle)
        return bundle.places

    def hold_inline(self, tree: Tree, places: Places) -> None:
        """Take the chunks of *tree* that are inline by *places*; of several trees, so that they share their bundles."""
        self.add(inline_blocks(tree, places, but_for=self.places()))

    def _send(self) -> None:
        bundle = build_bundle([*self._held, nonce_block()])
        self._held, self._held_bytes = [], 0
        self._stored.update(bundle.places)
        self._sent.append(bundle.ref)
        while len(self._flying) >= _FLYING:
            self._flying.popleft().result()
        self._newest = self._soon(self._objects.store_bundle, bundle)


def inline_blocks(tree: Tree, places: Places, *, but_for: Container[Digest]) -> list[PackedBlock]:
    """Return new blocks of the chunks of *tree* that stand in inline blocks by their *places*, but for some digests.

    Raises:
        IntegrityError: an inline block is damaged.
    """
    inline = {
        digest for digest, (block, _) in places.items() if isinstance(block, InlineBlock) and digest not in but_for
    }
    if not inline:
        return []
    chunks = {chunk.digest: chunk for entry in tree.values() for chunk in chunks_of(entry)}
    return list(_repacked([chunk for digest, chunk in chunks.items() if digest in inline], places))


def _repacked(chunks: Iterable[Chunk], places: Places) -> Iterator[PackedBlock]:
    """Pack chunks that stand in inline blocks anew."""
    gathered: list[tuple[Digest, bytes]] = []
    size = 0
    opened: dict[InlineBlock, bytes] = {}
    for chunk in chunks:
        block, offset = places[chunk.digest]
        if not isinstance(block, InlineBlock):
            continue
        if block not in opened:
            opened = {block: open_block(block.frame, block.plain_bytes, block.checksum, "a delta's inline block")}
        data = take_chunk(opened[block], offset, chunk, "a delta's inline block")
        if gathered and size + len(data) > BLOCK_TARGET_BYTES:
            yield pack_block(gathered)
            gathered, size = [], 0
        gathered.append((chunk.digest, data))
        size += len(data)
    if gathered:
        yield pack_block(gathered)
