"""The tree that a head names for a repository.

Invariant: a tree that comes from here has the snapshot id that the head says.
"""

from __future__ import annotations

from collections.abc import Callable

from synccore.errors import ErrorKind, IntegrityError
from synccore.head import Head
from synccore.journal import Delta, Record, decode_delta
from synccore.manifest import Manifest
from synccore.places import ObjectRef
from synccore.plan import overlay
from synccore.snapshot import SnapshotId, snapshot_id

EMPTY_TREE = Manifest(snapshot_id({}), {}, {})


def tree_of(head: Head, repo: str, load_manifest: Callable[[ObjectRef], Manifest]) -> Manifest:
    """Return the tree of *repo* in *head*, with the places of its chunks: its manifest, overlaid with the journal.

    Raises:
        IntegrityError: it does not come to the snapshot that the head names.
    """
    at = head.repos[repo]
    start = EMPTY_TREE if at.manifest is None else load_manifest(at.manifest)
    return follow(start, deltas_above(head.records, repo, at.base), at.snapshot, f"repository {repo} in the head")


def deltas_above(records: tuple[Record, ...], repo: str, base: int) -> list[Delta]:
    """Return what the records above the sequence number *base* did to *repo*, oldest first."""
    changes = [
        (record, change)
        for record in records
        if record.sequence > base
        if (change := record.change_of(repo)) is not None
    ]
    return [decode_delta(change, f"record {record.sequence} of the head") for record, change in changes]


def follow(start: Manifest, deltas: list[Delta], expected: SnapshotId, what: str) -> Manifest:
    """Return what *deltas*, oldest first, make of the tree *start*.

    Raises:
        IntegrityError: the result does not have the snapshot id *expected*.
    """
    if not deltas:
        tree, places = start.tree, start.places
    else:
        tree, places = start.tree, dict(start.places)
        for delta in deltas:
            tree = overlay(tree, delta)
            places.update(delta.places)
    found = snapshot_id(tree) if deltas else start.snapshot
    if found != expected:
        raise IntegrityError(
            ErrorKind.DAMAGED_OBJECT, f"{what} comes to snapshot {found.hex()}, expected {expected.hex()}", object=what
        )
    return Manifest(expected, tree, places)


def chain(records: tuple[Record, ...], repo: str, before: SnapshotId, after: SnapshotId) -> list[Delta] | None:
    """Return the deltas that lead *repo* from one snapshot to another along *records*, oldest first.

    ``None`` means that the records do not reach back to *before*, or that a change on the way is too large to be listed.
    """
    changes = []
    wanted: SnapshotId | None = after
    for record in reversed(records):
        change = record.change_of(repo)
        if change is None:
            continue
        if change.after != wanted:
            return None
        changes.append((record, change))
        wanted = change.before
        if wanted == before:
            break
    if wanted != before:
        return None
    deltas = [decode_delta(change, f"record {record.sequence} of the head") for record, change in reversed(changes)]
    return None if any(delta.manifest is not None for delta in deltas) else deltas
