"""Records of uploads and the deltas in them (docs/format.md, section 6).

Invariant: a delta says for each path that it lists what stood there before and what stands there after, so that a
reader who is at the snapshot before needs nothing else to tell somebody's edit from our own work; only for what lies in
directories that it moves does it need the listing of that snapshot as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

from synccore import wire
from synccore.digest import Digest
from synccore.envelope import ObjectKind, compress, decompress, seal, unseal
from synccore.errors import InvalidInputError
from synccore.gitfacts import MAX_DIRTY_PATHS, GitFacts
from synccore.keys import repo_name
from synccore.manifest import (
    Entry,
    FileKind,
    Tree,
    parse_object_ref,
    parse_places,
    parse_tree,
    place_rows,
    refuse_file_above_file,
    tree_rows,
)
from synccore.places import ObjectRef, Places
from synccore.provenance import Author, SnapshotId
from synccore.treepath import TreePath, directories_above

MAX_DELTA_BYTES = 4 * 2**20


class Known(NamedTuple):
    """What stands, or stood, at a path: enough to tell whether a file on a disk is that."""

    kind: FileKind
    digest: Digest


class Counts(NamedTuple):
    """How much an upload changed in one repository, and how large it was afterwards."""

    added: int
    modified: int
    deleted: int
    files: int
    size_bytes: int


class Move(NamedTuple):
    """What lies below one directory lies below another now."""

    old: TreePath
    new: TreePath


class Delta(NamedTuple):
    """What one upload did to one repository.

    Attributes:
        git: what git said of the working tree.
        counts: sums for people.
        manifest: the listing of the whole tree, where the difference was too large to be listed here.
        removed: paths that are gone, and what they were.
        changed: paths that are new or differ.
        was: what stood at each of `changed` before, where anything did.
        places: where the chunks of `changed` are.
        moves: directories whose entries, but for those of `removed`, have another path before `changed` is laid over them.
    """

    git: GitFacts | None
    counts: Counts
    manifest: ObjectRef | None
    removed: Mapping[TreePath, Known]
    changed: Mapping[TreePath, Entry]
    was: Mapping[TreePath, Known]
    places: Places
    moves: tuple[Move, ...] = ()


class Change(NamedTuple):
    """The effect of one record on one repository; the delta stays packed until somebody needs it.

    Attributes:
        repo: which repository.
        before: the snapshot that was replaced, ``None`` if there was none.
        after: the snapshot that was made, ``None`` if the repository was taken out.
        plain_bytes: the size of the packed delta.
        frame: the delta, compressed.
    """

    repo: str
    before: SnapshotId | None
    after: SnapshotId | None
    plain_bytes: int
    frame: bytes


class Record(NamedTuple):
    """One upload."""

    sequence: int
    at_ms: int
    author: Author
    changes: tuple[Change, ...]

    @property
    def identity(self) -> tuple[object, ...]:
        """What is the same of it wherever it stands, and whatever its deltas are packed like: a spill packs them anew."""
        moves = [(change.repo, change.before, change.after) for change in self.changes]
        return self.sequence, self.at_ms, self.author, moves

    def change_of(self, repo: str) -> Change | None:
        """Return what this upload did to *repo*, if anything."""
        return next((change for change in self.changes if change.repo == repo), None)


class Start(NamedTuple):
    """A listing to start from when a snapshot of the past is wanted.

    Attributes:
        repo: which repository.
        manifest: its listing; ``None`` is the empty tree.
        base: the tree is the repository as it was just after this sequence number.
    """

    repo: str
    manifest: ObjectRef | None
    base: int


class JournalObject(NamedTuple):
    """A run of records that has left the head.

    Attributes:
        records: oldest first.
        starts: where each repository's deltas started from, before the fold that made this object.
        earlier: the journal object before this one.
    """

    records: tuple[Record, ...]
    starts: tuple[Start, ...]
    earlier: ObjectRef | None


def known_of(entry: Entry) -> Known:
    """Return what *entry* looks like on a disk."""
    return Known(entry.kind, entry.digest)


def encode_change(repo: str, before: SnapshotId | None, after: SnapshotId | None, delta: Delta) -> Change:
    """Pack and compress *delta*.

    Raises:
        KeyError: the delta's places lack a chunk of what it changes.
    """
    paths = sorted(delta.changed)
    entries = [delta.changed[path] for path in paths]
    inline = bytearray()
    packed = wire.pack(
        (
            None if delta.git is None else git_row(delta.git),
            delta.counts,
            delta.manifest,
            [(path, known.kind, known.digest) for path, known in sorted(delta.removed.items())],
            tree_rows(paths, entries),
            [delta.was.get(path) for path in paths],
            place_rows(entries, delta.places, inline),
            bytes(inline),
            delta.moves,
        )
    )
    return Change(repo, before, after, len(packed), compress(packed))


def decode_delta(change: Change, what: str) -> Delta:
    """Return the delta that *change* carries.

    Raises:
        IntegrityError: it is not one.
    """
    packed = decompress(change.frame, change.plain_bytes, what)
    git, counts, manifest, removed, tree, was, places, inline, moves = wire.row(wire.unpack(packed, what), 9, what)
    changed = parse_tree(tree, what)
    delta = Delta(
        git=None if git is None else parse_git(git, what),
        counts=Counts(*wire.uints(wire.row(counts, 5, what), what)),
        manifest=None if manifest is None else parse_object_ref(manifest, what),
        removed=_parse_removed(removed, what),
        changed=changed,
        was=_parse_was(was, changed, what),
        places=parse_places(places, changed, wire.binary(inline, what), what),
        moves=_parse_moves(moves, what),
    )
    refuse_file_above_file(changed, what)
    if delta.manifest is not None and (delta.changed or delta.removed or delta.moves or inline):
        wire.damaged(what, "both lists a difference and refers to a manifest")
    _refuse_both(delta.changed.keys() & delta.removed.keys(), delta.moves, what)
    return delta


def _refuse_both(paths: Collection[TreePath], moves: Iterable[Move], what: str) -> None:
    """Check that *paths*, which are removed and changed, lie below what moves: there the one is said of what was, the other of what is."""
    olds = {move.old for move in moves}
    if any(directories_above([path]).isdisjoint(olds) for path in paths):
        wire.damaged(what, "has a path both removed and changed")


def _parse_moves(value: wire.Packed, what: str) -> tuple[Move, ...]:
    items = [wire.row(item, 2, what) for item in wire.rows(value, what)]
    olds = wire.paths(tuple(old for old, _ in items), what)
    if not directories_above(olds).isdisjoint(olds):
        wire.damaged(what, "moves a directory and one below it")
    moves = tuple(Move(old, wire.path(new, what)) for old, (_, new) in zip(olds, items, strict=True))
    if any(old == new for old, new in moves):
        wire.damaged(what, "moves a directory to where it is")
    return moves


def _parse_removed(value: wire.Packed, what: str) -> dict[TreePath, Known]:
    items = [wire.row(item, 3, what) for item in wire.rows(value, what)]
    paths = wire.paths(tuple(path for path, _, _ in items), what)
    return {path: _parse_known((kind, digest), what) for path, (_, kind, digest) in zip(paths, items, strict=True)}


def _parse_was(value: wire.Packed, changed: Tree, what: str) -> dict[TreePath, Known]:
    items = wire.row(value, len(changed), what)
    return {path: _parse_known(item, what) for path, item in zip(changed, items, strict=True) if item is not None}


def _parse_known(value: wire.Packed, what: str) -> Known:
    kind, digest = wire.row(value, 2, what)
    return Known(FileKind(wire.uint(kind, what, most=max(FileKind))), wire.digest(digest, what))


def git_row(git: GitFacts) -> wire.Packed:
    """Return the `git` of a delta."""
    return git.commit, git.branch, git.origin, list(git.dirty[:MAX_DIRTY_PATHS]), git.dirty_count


def parse_git(value: wire.Packed, what: str) -> GitFacts:
    """Return the `git` of a delta, checked."""
    commit, branch, origin, dirty, count = wire.row(value, 5, what)
    if len(wire.rows(dirty, what)) > MAX_DIRTY_PATHS:
        wire.damaged(what, f"names more than {MAX_DIRTY_PATHS} dirty paths")
    return GitFacts(
        commit=optional_text(commit, what),
        branch=optional_text(branch, what),
        origin=optional_text(origin, what),
        dirty=tuple(wire.text(path, what) for path in wire.rows(dirty, what)),
        dirty_count=wire.uint(count, what),
    )


def optional_text(value: wire.Packed, what: str) -> str | None:
    """Return *value* as a string or None."""
    return None if value is None else wire.text(value, what)


def record_row(record: Record) -> wire.Packed:
    """Return the `record` of the format."""
    return record.sequence, record.at_ms, record.author.user, record.author.host, record.changes


def parse_records(value: wire.Packed, what: str) -> tuple[Record, ...]:
    """Return records, oldest first and without a gap, checked but for their packed deltas."""
    records = tuple(_parse_record(item, what) for item in wire.rows(value, what))
    if any(later.sequence != record.sequence + 1 for record, later in pairwise(records)):
        wire.damaged(what, "has records out of sequence")
    return records


def _parse_record(value: wire.Packed, what: str) -> Record:
    sequence, at_ms, user, host, changes = wire.row(value, 5, what)
    parsed = tuple(_parse_change(item, what) for item in wire.rows(changes, what))
    repos = [change.repo for change in parsed]
    if sorted(set(repos)) != repos:
        wire.damaged(what, "has a record whose repositories are out of order or twice")
    author = Author(user=wire.text(user, what), host=wire.text(host, what))
    return Record(wire.uint(sequence, what), wire.time_ms(at_ms, what), author, parsed)


def _parse_change(value: wire.Packed, what: str) -> Change:
    repo, before, after, plain, frame = wire.row(value, 5, what)
    return Change(
        parse_repo(repo, what),
        parse_snapshot(before, what),
        parse_snapshot(after, what),
        wire.uint(plain, what, most=MAX_DELTA_BYTES),
        wire.binary(frame, what),
    )


def parse_repo(value: wire.Packed, what: str) -> str:
    """Return *value* as the name of a repository."""
    try:
        return repo_name(wire.text(value, what))
    except InvalidInputError as error:
        wire.damaged(what, f"names a repository that cannot be: {error.message}")


def parse_snapshot(value: wire.Packed, what: str) -> SnapshotId | None:
    """Return *value* as a snapshot's id or None."""
    return None if value is None else SnapshotId(wire.digest(value, what))


def encode_journal(journal: JournalObject, *, split: int = 0) -> bytes:
    """Return the stored bytes of a journal object; *split* as for `synccore.envelope.seal`."""
    records = [record_row(record) for record in journal.records]
    starts = sorted(journal.starts, key=lambda start: start.repo)
    return seal(ObjectKind.JOURNAL, wire.pack((records, starts, journal.earlier)), split=split)


def decode_journal(data: bytes, what: str) -> JournalObject:
    """Return the journal object whose stored bytes *data* is.

    Raises:
        IntegrityError: it is not one.
    """
    records, starts, earlier = wire.row(wire.unpack(unseal(ObjectKind.JOURNAL, data, what), what), 3, what)
    return JournalObject(parse_records(records, what), _parse_starts(starts, what), parse_optional_ref(earlier, what))


def _parse_starts(value: wire.Packed, what: str) -> tuple[Start, ...]:
    items = [wire.row(item, 3, what) for item in wire.rows(value, what)]
    starts = tuple(
        Start(parse_repo(repo, what), parse_optional_ref(manifest, what), wire.uint(base, what))
        for repo, manifest, base in items
    )
    repos = [start.repo for start in starts]
    if sorted(set(repos)) != repos:
        wire.damaged(what, "has starts out of order or twice")
    return starts


def parse_optional_ref(value: wire.Packed, what: str) -> ObjectRef | None:
    """Return *value* as a `[digest, size]` of the format, or None."""
    return None if value is None else parse_object_ref(value, what)
