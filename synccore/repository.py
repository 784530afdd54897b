"""The immutable objects of one user's store: bundles, manifests, journal objects.

Invariant: what is stored is named by its digest, a name that was never used before, and what is loaded has been compared with
it. That names do not come twice is what makes pruning safe (docs/decisions/0007-pruning-beside-uploads.md): an object that
was there before may be about to go.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from threading import Lock
from typing import Any, NamedTuple, TypeVar, cast

from synccore.backends.base import Reader, Unchanged, Writer
from synccore.bundle import Bundle, open_block
from synccore.digest import digest_of
from synccore.errors import ConflictError, ErrorKind, IntegrityError, NotFoundError
from synccore.journal import JournalObject, decode_journal, encode_journal
from synccore.keys import Key, bundle_key, journal_key, manifest_key
from synccore.manifest import (
    Manifest,
    PackedManifest,
    bundles_in_use,
    bundles_of_manifest,
    encode_manifest,
    parse_manifest,
    unpack_manifest,
)
from synccore.places import Block, ObjectRef, StoredBlock
from synccore.snapshot import snapshot_id_of_columns
from synccore.windowed import windowed
from synccore.workers import Outcome, Workers, begin

# A bundle of which more than this share is needed is fetched whole: one request, and its digest can be checked.
_WHOLE_ABOVE_SHARE = 0.5

_T = TypeVar("_T")

# Ranges closer than this are fetched as one: a round trip costs more than so many bytes.
_COALESCE_GAP_BYTES = 256 * 2**10

# What nothing needs is deleted only when the storage has had it for so long.
GRACE_SECONDS = 24 * 3600.0

MAX_REQUESTS = 16
MAX_FLYING_BYTES = 64 * 2**20


class _Span(NamedTuple):
    """One request: a part of a bundle, or all of it, and the blocks that it brings."""

    bundle: ObjectRef
    start: int
    length: int
    blocks: tuple[StoredBlock, ...]

    @property
    def is_whole(self) -> bool:
        return self.length == self.bundle.size_bytes


class Frame(NamedTuple):
    """A block that has arrived and is still packed.

    Attributes:
        block: which.
        data: its stored bytes.
        what: what to call it in messages.
    """

    block: Block
    data: bytes | memoryview
    what: str

    def open(self) -> bytes:
        """Return the block's plain bytes; safe from any thread.

        Raises:
            IntegrityError: it is damaged.
        """
        return open_block(self.data, self.block.plain_bytes, self.block.checksum, self.what)


class StoredManifest(NamedTuple):
    """A manifest with the bytes that it was stored as."""

    ref: ObjectRef
    data: bytes
    manifest: Manifest

    @classmethod
    def of(cls, manifest: Manifest) -> StoredManifest:
        """Return *manifest* as it is to be stored, under a name of its own."""
        data = encode_manifest(manifest.snapshot, manifest.tree, manifest.places, split=_any_split())
        return cls(ObjectRef(digest_of(data), len(data)), data, manifest)


class ObjectReader:
    """Reads the immutable objects of *user*."""

    def __init__(self, backend: Reader, user: str) -> None:
        self._backend = backend
        self._user = user
        self._expected: dict[ObjectRef, Outcome[bytes]] = {}
        self._lock = Lock()

    def load_manifest(self, ref: ObjectRef, *, expect_all: bool = False) -> StoredManifest:
        """Load a manifest.

        Args:
            ref: which.
            expect_all: whether all that it lists is going to be loaded: then bundles are on their way while it is parsed (30,000
                files: 0.08 s).

        Raises:
            IntegrityError: it is missing, is not what its name says, or its tree does not have the id that it claims.
        """
        key = manifest_key(self._user, ref.digest)
        what = f"manifest {key}"
        data = self._get(key, ref)
        packed = unpack_manifest(data, what)
        if expect_all:
            self._expect(bundles_in_use(packed, what))
        return StoredManifest(ref, data, _checked(packed, what))

    def load_manifests(
        self, refs: Iterable[ObjectRef], *, expect_all: Collection[ObjectRef] = ()
    ) -> list[StoredManifest]:
        """Load several manifests in one round of requests; of those in *expect_all* as `load_manifest` says."""
        wanted = list(refs)

        def load(ref: ObjectRef) -> StoredManifest:
            return self.load_manifest(ref, expect_all=ref in expect_all)

        if len(wanted) < 2:  # noqa: PLR2004 - threads are for more than one
            return [load(ref) for ref in wanted]
        with Workers(MAX_REQUESTS, "manifest") as workers:
            return list(windowed(workers, load, wanted, count=MAX_REQUESTS))

    def _expect(self, bundles: Mapping[ObjectRef, int]) -> None:
        """Begin to fetch those of *bundles*, of which so many bytes are needed, that `load_frames` is going to fetch whole."""
        for bundle, needed_bytes in bundles.items():
            with self._lock:
                flying = sum(ref.size_bytes for ref in self._expected) + bundle.size_bytes
                if flying > MAX_FLYING_BYTES or len(self._expected) == MAX_REQUESTS:
                    return
                if bundle not in self._expected and _is_worth_all(bundle, needed_bytes):
                    self._expected[bundle] = begin("bundle", partial(self.load_bundle, bundle))

    def bundles_of(self, refs: Iterable[ObjectRef]) -> Iterator[tuple[ObjectRef, list[ObjectRef]]]:
        """Fetch manifests, a few at a time, and yield each with the bundles that it names.

        Raises:
            IntegrityError: one is missing or damaged.
        """
        with Workers(MAX_REQUESTS, "manifest") as workers:
            yield from windowed(
                workers,
                self._bundles_of,
                refs,
                count=MAX_REQUESTS,
                weight=lambda ref: ref.size_bytes,
                weight_limit=MAX_FLYING_BYTES,
            )

    def _bundles_of(self, ref: ObjectRef) -> tuple[ObjectRef, list[ObjectRef]]:
        key = manifest_key(self._user, ref.digest)
        return ref, bundles_of_manifest(self._get(key, ref), f"manifest {key}")

    def load_journal(self, ref: ObjectRef) -> JournalObject:
        """Load a journal object.

        Raises:
            IntegrityError: it is missing or not what its name says.
        """
        key = journal_key(self._user, ref.digest)
        return decode_journal(self._get(key, ref), f"journal object {key}")

    def load_bundle(self, ref: ObjectRef) -> bytes:
        """Load the stored bytes of a whole bundle.

        Raises:
            IntegrityError: it is missing or not what its name says.
        """
        return self._get(bundle_key(self._user, ref.digest), ref)

    def load_block(self, block: StoredBlock) -> bytes:
        """Fetch one block and return its plain bytes.

        Raises:
            IntegrityError: its bundle is missing or damaged.
        """
        span = _Span(block.bundle, block.offset, block.stored_bytes, (block,))
        (frame,) = self._frames(*self._fetch(span))
        return frame.open()

    def load_frames(self, wanted: Iterable[StoredBlock]) -> Iterator[list[Frame]]:
        """Fetch *wanted* and yield what each request brings, in the order in which their bundles first occur.

        Bundles come in parallel, at most `MAX_REQUESTS` requests and `MAX_FLYING_BYTES` at a time.

        Raises:
            IntegrityError: a bundle is missing or damaged.
        """
        spans = _spans(wanted)
        if not spans:
            return
        with Workers(MAX_REQUESTS, "fetch") as fetchers:
            fetched = windowed(
                fetchers,
                self._fetch,
                spans,
                count=MAX_REQUESTS,
                weight=lambda span: span.length,
                weight_limit=MAX_FLYING_BYTES,
            )
            for span, data in fetched:
                yield self._frames(span, data)

    def _fetch(self, span: _Span) -> tuple[_Span, bytes]:
        key = bundle_key(self._user, span.bundle.digest)
        if span.is_whole:
            with self._lock:
                expected = self._expected.pop(span.bundle, None)
            return span, self._get(key, span.bundle) if expected is None else expected.result()
        try:
            return span, self._backend.get_range(key, span.start, span.length)
        except NotFoundError as error:
            raise _missing(key, error) from error

    def _frames(self, span: _Span, data: bytes) -> list[Frame]:
        """Take the blocks of *span* out of its *data*."""
        what = f"bundle {bundle_key(self._user, span.bundle.digest)}"
        view = memoryview(data)
        starts = [block.offset - span.start for block in span.blocks]
        return [
            Frame(block, view[start : start + block.stored_bytes], what)
            for start, block in zip(starts, span.blocks, strict=True)
        ]

    def _get(self, key: Key, ref: ObjectRef) -> bytes:
        try:
            found = self._backend.get(key)
        except NotFoundError as error:
            raise _missing(key, error) from error
        if isinstance(found, Unchanged) or digest_of(found.data) != ref.digest:
            raise IntegrityError(
                ErrorKind.DAMAGED_OBJECT,
                f"object {key} is damaged: its bytes do not have the SHA-256 in its name",
                object=key,
            )
        return found.data


class ObjectWriter:
    """Writes the immutable objects of *user*."""

    def __init__(self, backend: Writer, user: str) -> None:
        self._backend = backend
        self._user = user

    def expect(self, calls: int) -> None:
        """Make ready for so many *calls* side by side."""
        self._backend.warm(calls)

    def store_bundle(self, bundle: Bundle) -> int:
        """Store a bundle that has a `nonce_block`, and return how many bytes that was."""
        return self._put(bundle_key(self._user, bundle.ref.digest), bundle.ref, bundle.data)

    def store_manifest(self, manifest: StoredManifest) -> int:
        """Store a manifest and return how many bytes that was."""
        return self._put(manifest_key(self._user, manifest.ref.digest), manifest.ref, manifest.data)

    def store_journal(self, journal: JournalObject) -> ObjectRef:
        """Store a journal object and return where it is."""
        data = encode_journal(journal, split=_any_split())
        ref = ObjectRef(digest_of(data), len(data))
        self._put(journal_key(self._user, ref.digest), ref, data)
        return ref

    def are_safe(self, bundles: Iterable[ObjectRef]) -> bool:
        """Tell whether *bundles*, which nothing names yet, are there and so young that no prune has chosen them.

        For a writer that has read the head again since it has stored them. Costs a listing for each; by the storage's clock.
        """
        return self._are_young([(bundle_key(self._user, ref.digest), ref) for ref in bundles])

    def _are_young(self, wanted: list[tuple[Key, ObjectRef]]) -> bool:
        now_seconds = self._backend.now_seconds() if wanted else 0.0
        for key, ref in wanted:
            found = next((line for line in self._backend.keys(key) if line.key == key), None)
            if found is None or found.size_bytes != ref.size_bytes:
                return False
            if now_seconds - found.modified_seconds > GRACE_SECONDS / 2:
                return False
        return True

    def _put(self, key: Key, ref: ObjectRef, data: bytes) -> int:
        try:
            self._backend.put(key, data, replacing=None, digest=ref.digest)
        except ConflictError as error:
            # Names do not come twice, so this is our own put, sent again because its answer was lost; or the one chance in
            # a great many, and then what is there may be about to be pruned unless it is young.
            if error.kind is not ErrorKind.KEY_TAKEN or not self._are_young([(key, ref)]):
                raise
        return len(data)


def opened_ahead(frames: Iterable[Frame], use: Callable[[Block, bytes], _T]) -> Iterator[tuple[Block, _T]]:
    """Yield each block of *frames* with what *use* makes of it and its plain bytes.

    They are opened and used ahead by other threads while the caller works on the last one.

    Raises:
        IntegrityError: one is damaged.
    """

    def opened(frame: Frame) -> tuple[Block, _T]:
        return frame.block, use(frame.block, frame.open())

    with Workers(2, "decompress") as openers:
        yield from windowed(openers, opened, frames, count=6)


def _any_split() -> int:
    """Return where a frame is split so that it has bytes of its own, whatever else has the same content."""
    return 1 + int.from_bytes(os.urandom(4), "little")


def checked_manifest(data: bytes, what: str) -> Manifest:
    """Decode a manifest and compare its tree with the snapshot id that it claims.

    Raises:
        IntegrityError: it is not a manifest, or of another tree than it says.
    """
    return _checked(unpack_manifest(data, what), what)


def _checked(packed: PackedManifest, what: str) -> Manifest:
    manifest = parse_manifest(packed, what)
    # What was parsed is known to have these columns.
    paths, kinds, _, digests, _ = cast("Any", packed.tree)
    found = snapshot_id_of_columns(paths, kinds, digests)
    if found != manifest.snapshot:
        raise IntegrityError(
            ErrorKind.DAMAGED_OBJECT,
            f"{what} lists a tree with snapshot id {found.hex()}, expected {manifest.snapshot.hex()}",
            object=what,
        )
    return manifest


def _missing(key: Key, error: NotFoundError) -> IntegrityError:
    return IntegrityError(
        ErrorKind.DAMAGED_OBJECT,
        f"object {key} is missing, although the head needs it: {error.message}",
        object=key,
        is_missing=True,
    )


def _spans(wanted: Iterable[StoredBlock]) -> list[_Span]:
    """Arrange blocks into requests."""
    by_bundle: dict[ObjectRef, set[StoredBlock]] = {}
    for block in wanted:
        by_bundle.setdefault(block.bundle, set()).add(block)
    spans: list[_Span] = []
    for bundle, found in by_bundle.items():
        blocks = sorted(found, key=lambda block: block.offset)
        if _is_worth_all(bundle, sum(block.stored_bytes for block in blocks)):
            spans.append(_Span(bundle, 0, bundle.size_bytes, tuple(blocks)))
        else:
            spans.extend(_ranges(bundle, blocks))
    return spans


def _is_worth_all(bundle: ObjectRef, needed_bytes: int) -> bool:
    return needed_bytes > _WHOLE_ABOVE_SHARE * bundle.size_bytes


def _ranges(bundle: ObjectRef, blocks: list[StoredBlock]) -> Iterator[_Span]:
    run = [blocks[0]]
    for block in blocks[1:]:
        if block.offset - (run[-1].offset + run[-1].stored_bytes) > _COALESCE_GAP_BYTES:
            yield _span(bundle, run)
            run = []
        run.append(block)
    yield _span(bundle, run)


def _span(bundle: ObjectRef, run: list[StoredBlock]) -> _Span:
    start = run[0].offset
    return _Span(bundle, start, run[-1].offset + run[-1].stored_bytes - start, tuple(run))
