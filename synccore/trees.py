"""The tree that a head names for a repository.

Invariant: a tree that comes from here can stand on a disk and has the snapshot id that the head says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from synccore.errors import ErrorKind, IntegrityError
from synccore.head import Head
from synccore.journal import Change, Delta, Record, decode_delta
from synccore.manifest import Entry, Manifest, Tree, refuse_file_above_file
from synccore.moves import advance
from synccore.places import ObjectRef
from synccore.provenance import SnapshotId
from synccore.snapshot import snapshot_id
from synccore.treepath import TreePath

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
    return [decode_delta(change, f"a record of {repo} in the head") for change in changes_above(records, repo, base)]


def changes_above(records: tuple[Record, ...], repo: str, base: int) -> list[Change]:
    """Return the changes of *repo* in the records above the sequence number *base*, oldest first."""
    found = (record.change_of(repo) for record in records if record.sequence > base)
    return [change for change in found if change is not None]


def follow(start: Manifest, deltas: list[Delta], expected: SnapshotId, what: str) -> Manifest:
    """Return what *deltas*, oldest first, make of the tree *start*.

    Raises:
        IntegrityError: the result does not have the snapshot id *expected*, or has a file that is a directory as well, or the deltas are
            none of this tree.
    """
    if not deltas:
        tree, places = start.tree, start.places
    else:
        tree, places = overlay(start.tree, deltas, what), dict(start.places)
        for delta in deltas:
            places.update(delta.places)
        # The listing and each delta were checked by themselves; together they may still say that a file is a directory.
        refuse_file_above_file(tree, what)
    found = snapshot_id(tree) if deltas else start.snapshot
    if found != expected:
        raise IntegrityError(
            ErrorKind.DAMAGED_OBJECT, f"{what} comes to snapshot {found.hex()}, expected {expected.hex()}", object=what
        )
    return Manifest(expected, tree, places)


def overlay(tree: Tree, deltas: Iterable[Delta], what: str) -> dict[TreePath, Entry]:
    """Return the tree that *deltas*, oldest first, make of *tree*; errors as `synccore.moves.advance`."""
    after = dict(tree)
    for delta in deltas:
        advance(after, delta, what)
    return after


def chain(records: tuple[Record, ...], repo: str, before: SnapshotId, after: SnapshotId) -> list[Change] | None:
    """Return the changes that lead *repo* from one snapshot to another along *records*, oldest first.

    ``None`` means that the records do not lead there from *before*. No way leads through a time when the repository was
    taken out: the deltas around that say nothing of what stood there.
    """
    changes: list[Change] = []
    wanted: SnapshotId | None = after
    for record in reversed(records):
        change = record.change_of(repo)
        if change is None:
            continue
        if wanted is None or change.after != wanted:
            return None
        changes.append(change)
        wanted = change.before
        if wanted == before:
            return changes[::-1]
    return None
