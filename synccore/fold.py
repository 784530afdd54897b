"""Moving old records, or the contents in them, out of the head, so that it stays small (docs/format.md, section 7, "Folding" and "Spilling").

Invariant: neither changes a snapshot nor loses a record; it is done by whoever moves the head anyway, and becomes
visible with that one move.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import chain

from synccore.bundle import PackedBlock
from synccore.digest import Digest
from synccore.errors import IntegrityError
from synccore.head import (
    FOLD_ABOVE_BYTES,
    FOLD_ABOVE_RECORDS,
    KEEP_BYTES,
    KEEP_RECORDS,
    SPILL_ABOVE_BYTES,
    SPILL_KEEPS_RECORDS,
    Head,
    RepoHead,
)
from synccore.journal import (
    MAX_DELTA_BYTES,
    Change,
    Delta,
    JournalObject,
    Record,
    Start,
    decode_delta,
    encode_change,
)
from synccore.manifest import Manifest
from synccore.outlet import Outlet, inline_blocks
from synccore.places import InlineBlock, ObjectRef
from synccore.repository import ObjectWriter, StoredManifest
from synccore.trees import tree_of

# What a record takes in the head beside its packed deltas: ids, names, times.
_RECORD_BYTES = 64
_CHANGE_BYTES = 112

# Less than such a share of what makes a head large is not worth a request.
_WORTH_A_SHARE = 3

_WHAT = "a record of the head"


def record_bytes(record: Record) -> int:
    """Return about how many bytes *record* takes in the head."""
    return _RECORD_BYTES + sum(_CHANGE_BYTES + len(change.frame) for change in record.changes)


def needs_folding(head: Head) -> bool:
    """Tell whether the records of *head* have passed their cap."""
    too_large = sum(map(record_bytes, head.records)) > FOLD_ABOVE_BYTES
    return too_large or len(head.records) > FOLD_ABOVE_RECORDS


def needs_spilling(head: Head) -> bool:
    """Tell whether the records of *head* but for the newest few have so much in them that their contents had better be elsewhere."""
    return sum(map(record_bytes, head.records[:-SPILL_KEEPS_RECORDS])) > SPILL_ABOVE_BYTES


def spill(head: Head, outlet: Outlet) -> Head:
    """Store the contents that stand in the records of *head*, but for the newest few, and return the head that says where they are.

    They are there when the outlet has been waited for, as with `fold`. Where they are few, as in records that list many files and bring
    none, it is *head* itself.
    """
    older, newest = head.records[:-SPILL_KEEPS_RECORDS], head.records[-SPILL_KEEPS_RECORDS:]
    deltas: dict[Change, Delta] = {}
    blocks: list[PackedBlock] = []
    taken: set[Digest] = set()
    for change in chain.from_iterable(record.changes for record in older):
        # What cannot be read stays as it is: an upload has no need of it.
        with suppress(IntegrityError):
            delta = decode_delta(change, _WHAT)
            fresh = inline_blocks(delta.changed, delta.places, but_for=taken)
            taken.update([chunk.digest for block in fresh for chunk in block.chunks])
            blocks += fresh
            deltas[change] = delta
    if not blocks or sum(len(block.frame) for block in blocks) < SPILL_ABOVE_BYTES // _WORTH_A_SHARE:
        return head
    places = outlet.store_apart(blocks)

    def moved(change: Change) -> Change:
        if change not in deltas:
            return change
        delta = deltas[change]
        stored = {
            digest: places[digest] for digest, place in delta.places.items() if isinstance(place.block, InlineBlock)
        }
        packed = delta._replace(places={**delta.places, **stored})
        again = encode_change(change.repo, change.before, change.after, packed)
        return again if again.plain_bytes <= MAX_DELTA_BYTES else change

    records = [record._replace(changes=tuple(map(moved, record.changes))) for record in older]
    return head._replace(records=(*records, *newest))


def fold(
    head: Head, objects: ObjectWriter, outlet: Outlet, load_manifest: Callable[[ObjectRef], Manifest]
) -> tuple[Head, list[StoredManifest]]:
    """Store what *head* needs to be small, and return the small one, with the manifests that it is based on now.

    Everything is stored when the outlet has been waited for, which the caller does before it moves the head.
    """
    moved, kept = _split(head.records)
    changed = {
        change.repo
        for record in head.records
        for change in record.changes
        if change.repo in head.repos and record.sequence > head.repos[change.repo].base
    }
    trees = {repo: tree_of(head, repo, load_manifest) for repo in sorted(changed)}
    for whole in trees.values():
        outlet.hold_inline(whole.tree, whole.places)
    manifests: dict[str, StoredManifest] = {}
    for repo, whole in trees.items():
        settled = Manifest(whole.snapshot, whole.tree, outlet.settle(whole.tree, whole.places))
        manifests[repo] = outlet.store_manifest(settled)
    starts = tuple(Start(name, at.manifest, at.base) for name, at in sorted(head.repos.items()))
    earlier = objects.store_journal(JournalObject(moved, starts, head.earlier)) if moved else head.earlier
    repos = {name: _rebased(at, manifests.get(name), head.sequence) for name, at in head.repos.items()}
    return head._replace(repos=repos, records=kept, earlier=earlier), list(manifests.values())


def _rebased(at: RepoHead, manifest: StoredManifest | None, sequence: int) -> RepoHead:
    return at._replace(base=sequence, manifest=at.manifest if manifest is None else manifest.ref)


def _split(records: tuple[Record, ...]) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Divide records into those that leave the head and those that stay; the newest always stays."""
    kept = 1
    size = record_bytes(records[-1])
    for record in reversed(records[:-1]):
        size += record_bytes(record)
        if size > KEEP_BYTES or kept == KEEP_RECORDS:
            break
        kept += 1
    return records[:-kept], records[-kept:]
