"""The past of a store: what it takes to restore every snapshot after the horizon (docs/format.md, section 7, "The past").

Invariant: what the past needs depends on immutable objects and on the horizon alone, never on where a repository in the head
happens to start from: the next upload may replace that start, and no record would tell of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from synccore.digest import Digest
from synccore.errors import ErrorKind, IntegrityError
from synccore.head import Head
from synccore.journal import Change, Delta, JournalObject, Record, Start, decode_delta
from synccore.keys import journal_key
from synccore.manifest import Entry, Manifest, Tree
from synccore.moves import advance
from synccore.places import ObjectRef, Place
from synccore.provenance import SnapshotId
from synccore.snapshot import snapshot_id
from synccore.treepath import TreePath


class Chain:
    """The journal objects of *user* below *head*, newest first, each loaded when it is first asked for and then kept.

    Iterating raises `IntegrityError` at an object that cannot be loaded, or does not continue the one above it.
    """

    def __init__(self, user: str, head: Head, load: Callable[[ObjectRef], JournalObject]) -> None:
        self._user = user
        self._load = load
        self._loaded: list[tuple[ObjectRef, JournalObject]] = []
        self._next = head.earlier
        self._low = oldest(head.records, head)

    def __iter__(self) -> Iterator[tuple[ObjectRef, JournalObject]]:
        """Yield each object with its name."""
        number = 0
        while number < len(self._loaded) or self._next is not None:
            if number == len(self._loaded):
                self._extend()
            yield self._loaded[number]
            number += 1

    def _extend(self) -> None:
        assert self._next is not None  # noqa: S101 - the caller has asked
        ref, journal = self._next, self._load(self._next)
        if not journal.records or journal.records[-1].sequence != self._low - 1:
            found = journal.records[-1].sequence if journal.records else "none"
            key = journal_key(self._user, ref.digest)
            raise IntegrityError(
                ErrorKind.DAMAGED_OBJECT,
                f"journal object {key} ends at record {found}, expected {self._low - 1}, where those after it begin",
                object=key,
            )
        self._loaded.append((ref, journal))
        self._low = journal.records[0].sequence
        self._next = journal.earlier


def oldest(records: tuple[Record, ...], head: Head) -> int:
    """Return the sequence number of the first of *records*, which are the newest that there are."""
    return records[0].sequence if records else head.sequence + 1


class Point(NamedTuple):
    """Where the listing of a repository can be begun.

    Attributes:
        sequence: the listing is the repository as it was just after this record.
        is_change: whether the change in that very record gives it, being a first upload or one with a whole listing; if
            not, a start of a journal object does.
    """

    sequence: int
    is_change: bool


class Line(NamedTuple):
    """All that is needed of one repository.

    Attributes:
        repo: its name.
        listings: listings with the records that they are as of, oldest first.
        changes: what the records did to it, oldest first.
    """

    repo: str
    listings: tuple[Start, ...]
    changes: tuple[tuple[int, Change], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The records and listings from which every snapshot after a horizon is made.

    Attributes:
        head: the head that it leads back from.
        first: the oldest record whose snapshots stay restorable.
        journals: the journal objects that it takes.
        end: the journal object below those, which nobody needs and which may be gone; ``None`` if there never was one.
        records: every record of the head and of those, oldest first.
        starts: every start in them that has a manifest.
        points: for each repository that there was just after the record `first`: where its listing is begun.
        broken: what made it impossible to go back as far as needed, if anything did.
    """

    head: Head
    first: int
    journals: tuple[ObjectRef, ...]
    end: ObjectRef | None
    records: tuple[Record, ...]
    starts: tuple[Start, ...]
    points: Mapping[str, Point]
    broken: IntegrityError | None

    def lines(self) -> Iterator[Line]:
        """Yield what is needed of each repository, by name."""
        changes: dict[str, list[tuple[int, Change]]] = {}
        for record in self.records:
            for change in record.changes:
                begin, is_change = self._begin(change.repo)
                if record.sequence > begin or (is_change and record.sequence == begin):
                    changes.setdefault(change.repo, []).append((record.sequence, change))
        listings: dict[str, set[Start]] = {}
        for start in (*self.starts, *self._starts_of_head()):
            if start.base >= self._begin(start.repo).sequence:
                listings.setdefault(start.repo, set()).add(start)
        for repo in sorted(changes.keys() | listings.keys()):
            listed = tuple(sorted(listings.get(repo, ()), key=lambda start: start.base))
            yield Line(repo, listed, tuple(changes.get(repo, ())))

    def _begin(self, repo: str) -> Point:
        if repo in self.points:
            return self.points[repo]
        # Not there yet at the first record; or, where the past is broken, known from no earlier than the head's own start.
        base = self.head.repos[repo].base if repo in self.head.repos else self.first
        return Point(min(self.first, base), is_change=False)

    def _starts_of_head(self) -> Iterator[Start]:
        for repo, at in self.head.repos.items():
            if at.manifest is not None:
                yield Start(repo, at.manifest, at.base)


def read_past(head: Head, horizon: int, chain: Iterable[tuple[ObjectRef, JournalObject]]) -> Past:
    """Go back from *head* as far as it takes to restore everything after *horizon*, and no further.

    Args:
        head: where to begin.
        horizon: what is at or below it may be gone.
        chain: the journal objects below the head.
    """
    first = min(horizon + 1, head.sequence)
    records, starts, journals, end = head.records, list[Start](), list[ObjectRef](), head.earlier
    points: dict[str, Point] = {}
    broken: IntegrityError | None = None
    below = iter(chain)
    try:
        while True:
            if oldest(records, head) <= max(first, 1):
                points = _points(head, first, records, starts)
                unresolved = _alive(head, first, records) - points.keys()
                if not unresolved:
                    break
            ref, journal = next(below)
            journals.append(ref)
            end = journal.earlier
            records = journal.records + records
            starts += [start for start in journal.starts if start.manifest is not None]
    except IntegrityError as error:
        broken = error
    except StopIteration:
        broken = IntegrityError(
            ErrorKind.DAMAGED_OBJECT,
            f"the journal ends at record {oldest(records, head)}, expected it to lead back to where the listing of every "
            f"repository at record {first} begins",
        )
    return Past(
        head=head,
        first=first,
        journals=tuple(journals),
        end=end,
        records=records,
        starts=tuple(starts),
        points=points,
        broken=broken,
    )


def _alive(head: Head, first: int, records: tuple[Record, ...]) -> set[str]:
    """Return the repositories that there were just after the record *first*."""
    alive = set(head.repos)
    for record in takewhile(lambda record: record.sequence > first, reversed(records)):
        for change in record.changes:
            (alive.discard if change.before is None else alive.add)(change.repo)
    return alive


def _points(head: Head, first: int, records: tuple[Record, ...], starts: list[Start]) -> dict[str, Point]:
    """Return where the listings of the repositories at the record *first* can be begun, as far as *records* reach."""
    low = oldest(records, head)
    found: dict[str, Point] = {}
    for start in starts:
        known = found.get(start.repo)
        if low - 1 <= start.base <= first and (known is None or known.sequence < start.base):
            found[start.repo] = Point(start.base, is_change=False)
    for record in records:
        if record.sequence > first:
            break
        for change in record.changes:
            known = found.get(change.repo)
            if (known is None or known.sequence <= record.sequence) and _begins(record.sequence, change):
                found[change.repo] = Point(record.sequence, is_change=True)
    alive = _alive(head, first, records)
    return {repo: point for repo, point in found.items() if repo in alive}


def _begins(sequence: int, change: Change) -> bool:
    """Tell whether what *change* made can be known without what was before it."""
    if change.after is None:
        return False
    return change.before is None or decode_delta(change, f"record {sequence}").manifest is not None


class Step(NamedTuple):
    """One instant in the history of a repository.

    Attributes:
        sequence: just after this record.
        snapshot: what the repository was then, as the record or listing says; ``None`` where it was taken out.
        is_upload: whether that record changed the repository; if not, a listing was met.
        manifest: the listing that was met, or that the record refers to.
        tree: what it was then; ``None`` if that cannot be known.
        places: where the chunks of that are.
        fresh: the entries whose places were given here.
        errors: what is wrong here.
    """

    sequence: int
    snapshot: SnapshotId | None
    is_upload: bool
    manifest: ObjectRef | None
    tree: Tree | None
    places: Mapping[Digest, Place]
    fresh: Tree
    errors: tuple[IntegrityError, ...]


class Walk:
    """Follows one repository through the past, comparing all that is said of it with what it comes to.

    Args:
        line: what is known of the repository.
        load_manifest: loads a manifest; may raise `IntegrityError`.
    """

    def __init__(self, line: Line, load_manifest: Callable[[ObjectRef], Manifest]) -> None:
        self._line = line
        self._load = load_manifest
        self._tree: dict[TreePath, Entry] | None = None
        self._places: dict[Digest, Place] = {}
        self._snapshot: SnapshotId | None = None
        self._errors: list[IntegrityError] = []

    def __iter__(self) -> Iterator[Step]:
        """Yield each step, oldest first; its tree and places are to be used before the next step is asked for."""
        events: list[tuple[int, bool, Change | Start]] = [(start.base, True, start) for start in self._line.listings]
        events += [(sequence, False, change) for sequence, change in self._line.changes]
        for sequence, _, event in sorted(events, key=lambda event: event[:2]):
            self._errors = []
            manifest, fresh = self._meet(event) if isinstance(event, Start) else self._follow(sequence, event)
            yield Step(
                sequence,
                self._snapshot,
                isinstance(event, Change),
                manifest,
                self._tree,
                self._places,
                fresh,
                tuple(self._errors),
            )

    def _meet(self, start: Start) -> tuple[ObjectRef | None, Tree]:
        """Go on from a listing, which must be what the deltas have come to."""
        listed = self._loaded(start.manifest)
        if listed is None:
            return start.manifest, {}
        if self._tree is not None and self._snapshot is not None:
            self._compare(f"the listing at record {start.base}", SnapshotId(listed.snapshot), self._snapshot)
        self._become(listed)
        self._snapshot = SnapshotId(listed.snapshot)
        return start.manifest, listed.tree

    def _follow(self, sequence: int, change: Change) -> tuple[ObjectRef | None, Tree]:
        what = f"record {sequence}"
        if change.before is None:
            self._tree, self._places = {}, {}
        elif self._tree is not None and change.before != self._snapshot:
            self._compare(f"what {what} replaces", change.before, self._snapshot)
        self._snapshot = change.after
        if change.after is None:
            self._tree, self._places = None, {}
            return None, {}
        try:
            delta = decode_delta(change, f"{what}, repository {self._line.repo},")
        except IntegrityError as error:
            self._errors.append(error)
            self._tree = None
            return None, {}
        if delta.manifest is not None:
            self._tree = None
            listed = self._loaded(delta.manifest)
            if listed is not None:
                self._compare(f"the listing of {what}", SnapshotId(listed.snapshot), change.after)
                self._become(listed)
            return delta.manifest, {} if listed is None else listed.tree
        if self._tree is not None:
            self._advance(delta, what, change.after)
        self._places.update(delta.places)
        return None, delta.changed

    def _advance(self, delta: Delta, what: str, after: SnapshotId) -> None:
        assert self._tree is not None  # noqa: S101 - the caller has asked
        try:
            advance(self._tree, delta, f"{what}, repository {self._line.repo},")
        except IntegrityError as error:
            self._errors.append(error)
            self._tree = None
            return
        self._compare(what, snapshot_id(self._tree), after)

    def _loaded(self, ref: ObjectRef | None) -> Manifest | None:
        if ref is None:
            return None
        try:
            return self._load(ref)
        except IntegrityError as error:
            self._errors.append(error)
            return None

    def _become(self, listed: Manifest) -> None:
        self._tree, self._places = dict(listed.tree), dict(listed.places)

    def _compare(self, what: str, found: SnapshotId, expected: SnapshotId | None) -> None:
        if found != expected:
            wanted = "none" if expected is None else expected.hex()
            self._errors.append(
                IntegrityError(
                    ErrorKind.DAMAGED_OBJECT,
                    f"repository {self._line.repo}: {what} comes to snapshot {found.hex()}, expected {wanted}",
                    repo=self._line.repo,
                )
            )
