"""What was uploaded, newest first: the records in the head, and those that have left it.

Invariant: read only; journal objects are loaded as far as they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from synccore.backends.base import Reader
from synccore.gitfacts import GitFacts
from synccore.journal import Change, Counts, Record, decode_delta
from synccore.keys import journal_key
from synccore.provenance import Author, SnapshotId
from synccore.refs import HeadAt, read_head
from synccore.repository import ObjectReader
from synccore.wire import damaged


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRepo:
    """What one upload did to one repository.

    Attributes:
        repo: its name.
        before: the snapshot that was replaced, or ``None``.
        after: the snapshot that was made; ``None`` where the repository was taken out.
        counts: what changed.
        git: what git said of the working tree.
    """

    repo: str
    before: SnapshotId | None
    after: SnapshotId | None
    counts: Counts
    git: GitFacts | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One upload."""

    sequence: int
    at_ms: int
    author: Author
    repos: tuple[LogRepo, ...]


def log(user: str, backend: Reader, *, limit: int) -> tuple[LogLine, ...]:
    """Return the newest *limit* uploads of *user*, newest first.

    Costs one get, and one more for about each fifty uploads beyond the newest thirty.

    Raises:
        SyncError: as the storage says; a damaged object is named.
    """
    return tuple(_line(record) for record in islice(_records(user, backend), limit))


def _records(user: str, backend: Reader) -> Iterator[Record]:
    at = read_head(backend, user)
    if not isinstance(at, HeadAt):
        return
    yield from reversed(at.head.records)
    earlier, newer = at.head.earlier, at.head.records
    objects = ObjectReader(backend, user)
    while earlier is not None:
        journal = objects.load_journal(earlier)
        if not journal.records or (newer and journal.records[-1].sequence != newer[0].sequence - 1):
            # Else a chain of objects without records would be read to its end for nothing.
            damaged(
                f"journal object {journal_key(user, earlier.digest)}", "does not end where the records after it begin"
            )
        yield from reversed(journal.records)
        earlier, newer = journal.earlier, journal.records


def _line(record: Record) -> LogLine:
    return LogLine(
        sequence=record.sequence,
        at_ms=record.at_ms,
        author=record.author,
        repos=tuple(_repo(record, change) for change in record.changes),
    )


def _repo(record: Record, change: Change) -> LogRepo:
    delta = decode_delta(change, f"record {record.sequence}")
    return LogRepo(repo=change.repo, before=change.before, after=change.after, counts=delta.counts, git=delta.git)
