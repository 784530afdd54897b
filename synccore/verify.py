"""Checking a store from end to end: that everything is there, is what its name says, and comes to what it claims.

Invariant: nothing is written, and nothing is believed for having been checked elsewhere; at most a handful of bundles is in
memory at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from itertools import groupby
from typing import NamedTuple, TypeVar

from synccore.backends.base import Listed, Reader, Unchanged, Writer
from synccore.bundle import PackedBlock, open_block, parse_bundle, take_chunk, with_offsets
from synccore.digest import Digest
from synccore.errors import ErrorKind, IntegrityError, NotFoundError
from synccore.inventory import Tally, tallies, tally
from synccore.journal import JournalObject
from synccore.keys import Key, bundle_key, head_key, journal_key, manifest_key, parse_object_key, user_prefix
from synccore.manifest import Chunk, Entry, Manifest, chunks_of
from synccore.past import Chain, Line, Past, Step, Walk, read_past
from synccore.places import Block, InlineBlock, ObjectRef, StoredBlock
from synccore.progress import Progress, ProgressListener, ignore_progress
from synccore.provenance import SnapshotId
from synccore.refs import HeadAt, read_head
from synccore.repository import MAX_FLYING_BYTES, ObjectReader
from synccore.treepath import TreePath
from synccore.windowed import windowed
from synccore.workers import Workers

T = TypeVar("T")

_ATTEMPTS = 3
_FETCHERS = 4
_BLOCKS_AHEAD = 8


class FaultKind(str, Enum):
    """What is wrong with an object."""

    MISSING = "missing"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong.

    Attributes:
        key: the object.
        kind: whether it is not there, or is not what it should be.
        detail: what was found.
    """

    key: Key
    kind: FaultKind
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A snapshot that cannot be had whole.

    Attributes:
        repo: of which repository.
        snapshot: which.
        sequence: the upload that made it.
        is_current: whether the head is at it, so that machines need it.
        files: how many files of it cannot be written.
        paths: which; none where its listing itself is lost, and with it all of them.
    """

    repo: str
    snapshot: SnapshotId
    sequence: int
    is_current: bool
    files: int
    paths: tuple[TreePath, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What a verification has found.

    Attributes:
        is_quick: whether contents were left unread.
        sequence: of the newest record.
        horizon: records up to this one are not looked at; they may have been pruned.
        snapshots: how many snapshots were followed, each repository's counted.
        sound: what is needed and as it should be, by kind.
        unneeded: what nothing needs, by kind; no harm, and what a prune is for.
        foreign: what stands beside our objects and is none of them.
        faults: what is wrong, by key.
        losses: what that costs: the current snapshots first, then the newest of the past.
    """

    is_quick: bool
    sequence: int
    horizon: int
    snapshots: int
    sound: Mapping[str, Tally]
    unneeded: Mapping[str, Tally]
    foreign: Tally
    faults: tuple[Fault, ...]
    losses: tuple[Loss, ...]


def verify(
    user: str, backend: Writer, *, quick: bool = False, progress: ProgressListener = ignore_progress
) -> VerifyReport:
    """Check everything that the head of *user* leads to, the past after the horizon included.

    Args:
        user: whose objects.
        backend: the storage.
        quick: check that bundles are there and as large as they should be, and do not fetch them.
        progress: hears of bytes checked.

    Raises:
        NotFoundError: `NO_HEAD`.
        IntegrityError: the head itself is damaged, and nothing else can be said.
        SyncError: as the storage says.
    """
    for _ in range(_ATTEMPTS):
        at = read_head(backend, user)
        if not isinstance(at, HeadAt):
            raise NotFoundError(
                ErrorKind.NO_HEAD, f"expected the head of {user} at {head_key(user)}, but there is none"
            )
        listed = {line.key: line for line in backend.keys(user_prefix(user))}
        report = _Verification(user, backend, at, listed, progress).report(quick=quick)
        # What an older head needs may have been pruned meanwhile; that is no fault.
        if not report.faults or isinstance(read_head(backend, user, unless=at.version), Unchanged):
            break
    return report


class _Piece(NamedTuple):
    """A chunk where a listing says that it is."""

    block: Block
    offset: int
    chunk: Chunk


class _Verification:
    """One look at everything that one head leads to."""

    def __init__(
        self, user: str, backend: Reader, at: HeadAt, listed: Mapping[Key, Listed], progress: ProgressListener
    ) -> None:
        self._user = user
        self._objects = ObjectReader(backend, user)
        self._at = at
        self._listed = listed
        self._progress = progress
        self._faults: dict[Key, Fault] = {}
        self._needed: dict[Key, None] = {}
        self._ends: list[tuple[int, Key]] = []
        self._pieces: dict[ObjectRef, dict[_Piece, None]] = {}
        self._large: dict[tuple[Digest, tuple[Chunk, ...]], list[_Piece]] = {}
        self._bad: set[_Piece] = set()
        self._lost: set[ObjectRef] = set()
        self._last: tuple[ObjectRef, Manifest] | None = None

    def report(self, *, quick: bool) -> VerifyReport:
        """Look at everything and say what was found."""
        head = self._at.head
        past = read_past(head, head.horizon, Chain(self._user, head, self._journal))
        if past.broken is not None and not self._faults:
            self._blame(self._holder(past.records[0].sequence if past.records else head.sequence), past.broken)
        snapshots = 0
        for line in past.lines():
            for step in Walk(line, self._manifest):
                snapshots += step.is_upload and step.snapshot is not None
                self._take(step)
        for ref in self._pieces:
            if not self._is_there(bundle_key(self._user, ref.digest), ref):
                self._lost.add(ref)
        if not quick:
            self._check_bundles()
            self._check_large()
        losses = tuple(self._losses(past)) if self._faults else ()
        ours = [line for key, line in self._listed.items() if parse_object_key(self._user, key) is not None]
        others = [line for key, line in self._listed.items() if parse_object_key(self._user, key) is None]
        return VerifyReport(
            is_quick=quick,
            sequence=head.sequence,
            horizon=head.horizon,
            snapshots=snapshots,
            sound=tallies(self._user, [it for it in ours if it.key in self._needed and it.key not in self._faults]),
            unneeded=tallies(self._user, [line for line in ours if line.key not in self._needed]),
            foreign=tally([line for line in others if line.key != head_key(self._user)]),
            faults=tuple(self._faults[key] for key in sorted(self._faults)),
            losses=tuple(sorted(losses, key=lambda loss: (not loss.is_current, loss.repo, -loss.sequence))),
        )

    # Listings

    def _journal(self, ref: ObjectRef) -> JournalObject:
        key = journal_key(self._user, ref.digest)
        journal = self._blaming(key, ref, lambda: self._objects.load_journal(ref))
        if journal.records:
            self._ends.append((journal.records[-1].sequence, key))
        return journal

    def _manifest(self, ref: ObjectRef) -> Manifest:
        if self._last is None or self._last[0] != ref:
            key = manifest_key(self._user, ref.digest)
            loaded = self._blaming(key, ref, lambda: self._objects.load_manifest(ref).manifest)
            self._last = ref, loaded
        return self._last[1]

    def _blaming(self, key: Key, ref: ObjectRef, load: Callable[[], T]) -> T:
        """Load an object that is needed, and note what is wrong with it."""
        if not self._is_there(key, ref):
            raise IntegrityError(ErrorKind.DAMAGED_OBJECT, f"object {key} {self._faults[key].detail}", object=key)
        try:
            return load()
        except IntegrityError as error:
            self._blame(key, error)
            raise IntegrityError(error.kind, error.message, object=key) from error

    def _is_there(self, key: Key, ref: ObjectRef) -> bool:
        """Note that *ref* is needed, and tell whether the listing has it, as large as it should be."""
        self._needed[key] = None
        line = self._listed.get(key)
        if line is None:
            self._faults.setdefault(key, Fault(key, FaultKind.MISSING, "is missing"))
        elif line.size_bytes != ref.size_bytes:
            detail = f"has {line.size_bytes} bytes, expected {ref.size_bytes}"
            self._faults.setdefault(key, Fault(key, FaultKind.DAMAGED, detail))
        return key not in self._faults

    def _blame(self, key: Key, error: IntegrityError) -> None:
        self._faults.setdefault(key, Fault(key, FaultKind.DAMAGED, error.message))

    def _holder(self, sequence: int) -> Key:
        """Return the key of the object that holds the record *sequence*."""
        records = self._at.head.records
        if records and sequence >= records[0].sequence:
            return head_key(self._user)
        return min([end for end in self._ends if end[0] >= sequence], default=(0, head_key(self._user)))[1]

    def _take(self, step: Step) -> None:
        """Note what *step* says of where contents are, to be checked later; what is inline is checked at once."""
        for error in step.errors:
            if error.facts.get("object") not in self._faults:
                self._blame(self._holder(step.sequence), error)
        opened: dict[InlineBlock, bytes] = {}
        for entry in step.fresh.values():
            pieces = [_Piece(*step.places[chunk.digest], chunk) for chunk in chunks_of(entry)]
            for piece in pieces:
                if isinstance(piece.block, StoredBlock):
                    self._pieces.setdefault(piece.block.bundle, {})[piece] = None
                else:
                    self._check_inline(piece, piece.block, opened, step)
            if entry.chunks:
                self._large.setdefault((entry.digest, entry.chunks), pieces)

    def _check_inline(self, piece: _Piece, block: InlineBlock, opened: dict[InlineBlock, bytes], step: Step) -> None:
        what = f"record {step.sequence}"
        try:
            if block not in opened:
                opened[block] = open_block(block.frame, block.plain_bytes, block.checksum, what)
            take_chunk(opened[block], piece.offset, piece.chunk, what)
        except IntegrityError as error:
            self._bad.add(piece)
            self._blame(self._holder(step.sequence), error)

    # Contents

    def _check_bundles(self) -> None:
        there = [ref for ref in self._pieces if ref not in self._lost]
        total = sum(ref.size_bytes for ref in there)
        done = 0
        with Workers(_FETCHERS, "verify") as workers:
            results = windowed(
                workers,
                self._check_bundle,
                there,
                count=_FETCHERS + 1,
                weight=lambda ref: ref.size_bytes,
                weight_limit=MAX_FLYING_BYTES,
            )
            for ref, bad, error in results:
                self._bad |= bad
                if error is not None:
                    self._blame(bundle_key(self._user, ref.digest), error)
                done += ref.size_bytes
                self._progress(Progress(phase="check", done=done, total=total, unit="bytes"))

    def _check_bundle(self, ref: ObjectRef) -> tuple[ObjectRef, set[_Piece], IntegrityError | None]:
        """Check one bundle by its own table, and then what listings say of it against that table."""
        what = f"bundle {bundle_key(self._user, ref.digest)}"
        try:
            blocks = parse_bundle(self._objects.load_bundle(ref), what)
        except IntegrityError as error:
            return ref, set(self._pieces[ref]), error
        sound: dict[tuple[Block, int], Chunk] = {}
        errors = [_check_block(ref, offset, block, what, sound) for offset, block in with_offsets(blocks)]
        first = next((error for error in errors if error is not None), None)
        bad = {piece for piece in self._pieces[ref] if sound.get((piece.block, piece.offset)) != piece.chunk}
        if bad and first is None:
            one = next(iter(bad))
            first = IntegrityError(
                ErrorKind.DAMAGED_OBJECT,
                f"{what} does not have the chunk {one.chunk.digest.hex()} where a listing says that it is",
                object=bundle_key(self._user, ref.digest),
            )
        return ref, bad, first

    def _check_large(self) -> None:
        """Compare the contents that are cut into chunks with their own digests; of the chunks each was compared before."""
        with Workers(_BLOCKS_AHEAD, "verify") as workers:
            for (digest, _), pieces in self._large.items():
                if not any(self._is_bad(piece) for piece in pieces):
                    self._check_content(digest, pieces, workers)

    def _check_content(self, digest: Digest, pieces: list[_Piece], workers: Workers) -> None:
        block = pieces[0].block
        key = bundle_key(self._user, block.bundle.digest) if isinstance(block, StoredBlock) else head_key(self._user)
        hasher = hashlib.sha256()
        try:
            for run, plain in windowed(workers, self._open_run, _runs(pieces), count=_BLOCKS_AHEAD):
                for piece in run:
                    hasher.update(plain[piece.offset : piece.offset + piece.chunk.size_bytes])
        except IntegrityError as error:
            self._bad.update(pieces)
            self._blame(key, error)
            return
        if hasher.digest() != digest:
            self._bad.update(pieces)
            detail = f"has the chunks of a content that comes to {hasher.hexdigest()}, expected {digest.hex()}"
            self._faults.setdefault(key, Fault(key, FaultKind.DAMAGED, detail))

    def _open_run(self, run: list[_Piece]) -> tuple[list[_Piece], bytes]:
        block = run[0].block
        if isinstance(block, StoredBlock):
            return run, self._objects.load_block(block)
        return run, open_block(block.frame, block.plain_bytes, block.checksum, "an inline block")

    # What it costs

    def _losses(self, past: Past) -> Iterator[Loss]:
        """Yield every snapshot after the horizon that cannot be had whole."""
        for line in past.lines():
            at = past.head.repos.get(line.repo)
            current: Loss | None = None
            for loss, is_last in self._losses_of(line, past.first):
                if at is not None and is_last:
                    current = loss
                else:
                    yield loss
            if at is not None and self._is_listing_lost(at.manifest):
                made = max([sequence for sequence, _ in line.changes], default=at.base)
                current = Loss(
                    repo=line.repo, snapshot=at.snapshot, sequence=made, is_current=True, files=at.files, paths=()
                )
            if current is not None:
                yield replace(current, is_current=True)

    def _is_listing_lost(self, manifest: ObjectRef | None) -> bool:
        return manifest is not None and manifest_key(self._user, manifest.digest) in self._faults

    def _losses_of(self, line: Line, first: int) -> Iterator[tuple[Loss, bool]]:
        """Follow *line* again, and yield what lacks something, each with whether it is the last of its snapshots."""
        loss: Loss | None = None
        made = 0
        for step in Walk(line, self._manifest):
            if step.is_upload:
                if loss is not None and step.sequence > first:
                    yield loss, False
                made = step.sequence
            loss = self._loss(line.repo, step, made or step.sequence)
        if loss is not None:
            yield loss, True

    def _loss(self, repo: str, step: Step, made: int) -> Loss | None:
        """Return what the snapshot at *step* lacks, if anything."""
        if step.snapshot is None:
            return None
        paths: tuple[TreePath, ...] = ()
        if step.tree is not None:
            paths = tuple(sorted(path for path, entry in step.tree.items() if self._lacks(entry, step)))
            if not paths:
                return None
        return Loss(repo=repo, snapshot=step.snapshot, sequence=made, is_current=False, files=len(paths), paths=paths)

    def _lacks(self, entry: Entry, step: Step) -> bool:
        return any(self._is_bad(_Piece(*step.places[chunk.digest], chunk)) for chunk in chunks_of(entry))

    def _is_bad(self, piece: _Piece) -> bool:
        return piece in self._bad or (isinstance(piece.block, StoredBlock) and piece.block.bundle in self._lost)


def _check_block(
    ref: ObjectRef, offset: int, block: PackedBlock, what: str, sound: dict[tuple[Block, int], Chunk]
) -> IntegrityError | None:
    """Check a block of the bundle *ref* by the bundle's table, and note its chunks in *sound* as far as they are."""
    try:
        plain = open_block(block.frame, block.plain_bytes, block.checksum, what)
        stored = StoredBlock(ref, offset, len(block.frame), block.plain_bytes, block.checksum)
        at = 0
        for chunk in block.chunks:
            take_chunk(plain, at, chunk, what)
            sound[stored, at] = chunk
            at += chunk.size_bytes
    except IntegrityError as error:
        return error
    return None


def _runs(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    """Yield pieces that follow each other in one block together, so that it is opened once for them."""
    return (list(run) for _, run in groupby(pieces, key=lambda piece: piece.block))
