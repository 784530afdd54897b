"""Making the next head: what each repository's delta says, how it travels, and what the head becomes.

Invariant: a draft names only objects that the head before it leads to for the trees that it has now, or that its own writer
has stored, or that are on their way through the outlet, which the caller waits for before it moves the head. Nothing else
is safe from a prune beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, Protocol

from synccore.diff import Difference
from synccore.digest import Digest
from synccore.fold import fold, needs_folding, needs_spilling, spill
from synccore.gitfacts import GitFacts
from synccore.head import INLINE_BYTES, WRITE_ID_BYTES, Head, RepoHead
from synccore.journal import MAX_DELTA_BYTES, Change, Counts, Delta, Record, encode_change
from synccore.manifest import Manifest, Tree, digests_of
from synccore.moves import Listing, listing
from synccore.outlet import Outlet
from synccore.places import ObjectRef, Place
from synccore.provenance import Author, Provenance, SnapshotId
from synccore.repository import ObjectWriter, StoredManifest
from synccore.view import Base, View

# Where the contents go to a bundle anyway, a listing beyond this goes to a manifest beside it: in the head it would be sent
# again with every upload until the next fold.
_MAX_LISTING_BYTES = 16 * 2**10

# A listed entry costs at least the 36 bytes of its digest and size, which do not compress: more than these cannot fit.
_MAX_LISTED = INLINE_BYTES // 36


class UnplacedError(Exception):
    """A chunk was not packed because a head had it, and the head that is to be replaced now has it no more.

    An older head may still say where it was; but what only older heads need may be pruned at any moment.
    """


class AskedGit(Protocol):
    """Somebody who has asked git."""

    @property
    def git(self) -> GitFacts | None:
        """What git says; ``None`` where there is none."""


class RepoDraft:
    """One repository that is to move.

    Args:
        repo: its name.
        view: what it is to become.
        base: what it is now.
        beside: what every repository that is looked at is now: a chunk may be stored as part of another.
        asked: knows what git says of it, and may have to wait for that: it is asked when all else is under way.
        is_whole: whether every content of it was packed, so that it needs nothing that is stored: it gets a listing of its own.
    """

    def __init__(
        self, *, repo: str, view: View, base: Base, beside: Sequence[Base], asked: AskedGit, is_whole: bool = False
    ) -> None:
        self.repo = repo
        self.view = view
        self.base = base
        self.is_whole = is_whole
        self._beside = beside
        self._asked = asked

    @property
    def git(self) -> GitFacts | None:
        """What git says of it."""
        return self._asked.git

    @cached_property
    def difference(self) -> Difference:
        """What changes."""
        return self.view.difference_from(self.base)

    @cached_property
    def listing(self) -> Listing:
        """What changes, as a delta lists it."""
        return listing(self.difference, lambda: self.base.paths, self.view.entry)

    @cached_property
    def counts(self) -> Counts:
        """What changes, in numbers."""
        return self.difference.counts(files=self.view.files, size_bytes=self.view.size_bytes)

    def places(self, tree: Tree, packed: Mapping[Digest, Place]) -> dict[Digest, Place]:
        """Return where the chunks of *tree* are, and those of *packed*; listings are loaded only if *packed* does not have them all.

        Raises:
            UnplacedError: the head has lost a chunk of *tree* since the files were read.
        """
        places = dict(packed)
        missing = [digest for digest in digests_of(tree) if digest not in places]
        for base in (self.base, *self._beside):
            there = [digest for digest in missing if digest in base.digests]
            if there:
                places.update(zip(there, map(base.places.__getitem__, there), strict=True))
                missing = [digest for digest in missing if digest not in places]
        if missing:
            raise UnplacedError
        return places

    def listed(self, places: Mapping[Digest, Place]) -> Change:
        """Return the change as a full list of what differs."""
        removed, changed, was, moves = self.listing
        delta = Delta(self.git, self.counts, None, removed, changed, was, places, moves)
        return encode_change(self.repo, self.base.snapshot, self.view.snapshot, delta)

    def referring(self, manifest: ObjectRef) -> Change:
        """Return the change as a reference to the whole listing."""
        delta = Delta(self.git, self.counts, manifest, {}, {}, {}, {})
        return encode_change(self.repo, self.base.snapshot, self.view.snapshot, delta)


class Draft(NamedTuple):
    """A head that is ready to be put.

    Attributes:
        head: the value.
        manifests: listings that were made on the way.
        folded: whether records were moved out of the head.
    """

    head: Head
    manifests: tuple[StoredManifest, ...]
    folded: bool


def draft_head(
    repos: list[RepoDraft],
    before: Head | None,
    *,
    outlet: Outlet,
    objects: ObjectWriter,
    load_manifest: Callable[[ObjectRef], Manifest],
    author: Author,
    at_ms: int,
) -> Draft:
    """Make the head in which all of *repos* have moved.

    Raises:
        UnplacedError: what was read has to be read again, against the head that is to be replaced.
    """
    changes, manifests = _changes(repos, outlet)
    sequence = before.sequence + 1 if before else 1
    record = Record(sequence, at_ms, author, tuple(sorted(changes.values(), key=lambda change: change.repo)))
    moved = dict(before.repos) if before else {}
    for item in repos:
        moved[item.repo] = _repo_head(moved.get(item.repo), item, manifests.get(item.repo), record)
    head = next_head(before, moved, record)
    stored = tuple(manifests.values())
    if not needs_folding(head):
        return Draft(head=spill(head, outlet) if needs_spilling(head) else head, manifests=stored, folded=False)
    kept = {manifest.ref: manifest.manifest for manifest in stored}
    small, more = fold(head, objects, outlet, lambda ref: kept[ref] if ref in kept else load_manifest(ref))
    return Draft(head=small, manifests=(*stored, *more), folded=True)


def next_head(before: Head | None, repos: dict[str, RepoHead], record: Record) -> Head:
    """Return the head that has *record* on top of those of *before*, with a write id of its own."""
    return Head(
        write_id=os.urandom(WRITE_ID_BYTES),
        sequence=record.sequence,
        repos=repos,
        records=(*(before.records if before else ()), record),
        earlier=before.earlier if before else None,
        horizon=before.horizon if before else 0,
    )


def _changes(repos: list[RepoDraft], outlet: Outlet) -> tuple[dict[str, Change], dict[str, StoredManifest]]:
    """Word the changes as small as they can be: with contents inline, or else listed, or else as manifests."""
    listed = [item for item in repos if not item.is_whole and item.listing.size <= _MAX_LISTED]
    if len(listed) == len(repos) and outlet.held_bytes <= INLINE_BYTES and not outlet.sent:
        packed = outlet.places()
        changes = {item.repo: item.listed(item.places(item.listing.changed, packed)) for item in repos}
        if _size(changes) <= INLINE_BYTES and all(map(_is_readable, changes.values())):
            return changes, {}
    outlet.flush()
    packed = outlet.places()
    changes = {}
    for item in listed:
        # To word it takes 10 ms of each 300 files, and has git waited for, to find that it is too long.
        if item.listing.likely_bytes > _MAX_LISTING_BYTES:
            continue
        needed = item.listing.changed
        change = item.listed(outlet.settle(needed, item.places(needed, packed)))
        if _is_readable(change):
            changes[item.repo] = change
    manifests: dict[str, StoredManifest] = {}
    sizes = {repo: -len(change.frame) for repo, change in changes.items()}
    for item in sorted(repos, key=lambda item: sizes.get(item.repo, -INLINE_BYTES)):
        if item.repo in changes and _size(changes) <= _MAX_LISTING_BYTES:
            continue
        whole = item.view.tree
        settled = outlet.settle(whole, item.places(whole, packed))
        manifest = outlet.store_manifest(Manifest(item.view.snapshot, whole, settled))
        manifests[item.repo] = manifest
        changes.pop(item.repo, None)
    # Only now is git waited for: while it was asked the listings were made and sent.
    changes.update((item.repo, item.referring(manifests[item.repo].ref)) for item in repos if item.repo in manifests)
    return changes, manifests


def _is_readable(change: Change) -> bool:
    """Tell whether readers will take *change*: long paths compress well, and what counts for them is the plain size."""
    return change.plain_bytes <= MAX_DELTA_BYTES


def _size(changes: Mapping[str, Change]) -> int:
    return sum(len(change.frame) for change in changes.values())


def _repo_head(old: RepoHead | None, item: RepoDraft, manifest: StoredManifest | None, record: Record) -> RepoHead:
    start: ObjectRef | None = None
    base = record.sequence - 1
    if manifest is not None:
        start, base = manifest.ref, record.sequence
    elif old is not None:
        start, base = old.manifest, old.base
    return RepoHead(
        snapshot=SnapshotId(item.view.snapshot),
        manifest=start,
        base=base,
        files=item.counts.files,
        size_bytes=item.counts.size_bytes,
        provenance=Provenance(author=record.author, at_ms=record.at_ms, git=_short(item.git)),
    )


def _short(git: GitFacts | None) -> GitFacts | None:
    if git is None:
        return None
    return GitFacts(commit=git.commit, branch=git.branch, origin=None, dirty_count=git.dirty_count)
