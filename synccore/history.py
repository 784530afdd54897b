"""What was uploaded, newest first: the records in the head, and those that have left it.

Invariant: read only; journal objects are loaded as far as they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from synccore.backends.base import Reader
from synccore.errors import IntegrityError
from synccore.gitfacts import GitFacts
from synccore.journal import Change, Counts, Record, decode_delta
from synccore.past import Chain, oldest
from synccore.provenance import Author, SnapshotId
from synccore.refs import HeadAt, read_head
from synccore.repository import ObjectReader


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

    Costs one get, and one more for about each fifty uploads beyond the newest thirty. Where older uploads were pruned, it ends.

    Raises:
        SyncError: as the storage says; a damaged object is named.
    """
    return tuple(_line(record) for record in islice(_records(user, backend), limit))


def _records(user: str, backend: Reader) -> Iterator[Record]:
    at = read_head(backend, user)
    if not isinstance(at, HeadAt):
        return
    yield from reversed(at.head.records)
    low = oldest(at.head.records, at.head)
    try:
        for _, journal in Chain(user, at.head, ObjectReader(backend, user).load_journal):
            yield from reversed(journal.records)
            low = journal.records[0].sequence
    except IntegrityError as error:
        if not error.facts.get("is_missing") or low - 1 > _horizon(user, backend):
            raise


def _horizon(user: str, backend: Reader) -> int:
    """Return the horizon as it is now: a prune may have moved it since the log was begun."""
    at = read_head(backend, user)
    return at.head.horizon if isinstance(at, HeadAt) else 0


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
