"""Deleting what nothing needs any more.

Invariant: an object is deleted only if nothing that the newest head leads to needs it, if the storage has had it for longer
than the grace period by the storage's own clock, and if the head was moved after both were found out: a writer who has read
the head before that cannot move it any more, and one who reads it afterwards relies on nothing that was chosen
(docs/decisions/0007-pruning-beside-uploads.md). No client's clock is asked for anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from synccore.backends.base import Listed, Unchanged, Writer
from synccore.errors import ConflictError, ErrorKind, IntegrityError, NotFoundError
from synccore.head import WRITE_ID_BYTES, Head
from synccore.inventory import Tally, tallies, tally
from synccore.keys import Key, head_key, journal_key, parse_object_key, user_prefix
from synccore.past import Chain, oldest, read_past
from synccore.places import ObjectRef
from synccore.progress import Progress, ProgressListener, ignore_progress
from synccore.reach import Why, reach
from synccore.refs import HeadAt, move_head, read_head
from synccore.repository import GRACE_SECONDS, MAX_REQUESTS, ObjectReader
from synccore.windowed import windowed
from synccore.workers import Workers

_ATTEMPTS = 5
_DAY_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much of the past stays restorable; whatever one of the two keeps is kept.

    Attributes:
        seconds: every snapshot that was current at any time within so many seconds, by the storage's clock.
        records: the snapshots of so many newest records.
        grace_seconds: nothing is deleted that the storage has not had for so long. Writers count on `GRACE_SECONDS`; less is
            for tests in which nobody writes.
    """

    seconds: float = 90 * _DAY_SECONDS
    records: int = 100
    grace_seconds: float = GRACE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What a prune did, or would do.

    Attributes:
        is_dry_run: whether nothing was changed.
        horizon_before: the horizon as it was.
        horizon: as it is now, or would be.
        sequence: of the newest record; the records after the horizon stay restorable.
        deleted: what went, or would go, by kind: ``bundles``, ``manifests``, ``journal``.
        current: what stays because a tree of the head needs it, by kind.
        history: what stays because a snapshot after the horizon needs it and the head does not, by kind.
        young: what nothing needs and the storage has not had for the grace period, by kind; perhaps an upload is under way.
        foreign: what stands beside our objects and is none of them; it is never touched.
    """

    is_dry_run: bool
    horizon_before: int
    horizon: int
    sequence: int
    deleted: Mapping[str, Tally]
    current: Mapping[str, Tally]
    history: Mapping[str, Tally]
    young: Mapping[str, Tally]
    foreign: Tally


@dataclass(frozen=True, slots=True)
class _Choice:
    """What is to be done about one head."""

    at: HeadAt
    horizon: int
    condemned: tuple[Listed, ...]
    report: PruneReport


def prune(
    user: str,
    backend: Writer,
    *,
    retention: Retention | None = None,
    dry_run: bool = False,
    progress: ProgressListener = ignore_progress,
) -> PruneReport:
    """Delete what neither the head of *user* nor a snapshot that is to stay restorable needs.

    Costs one get, one listing, one get for each manifest and journal object that stays, and, if there is anything to delete,
    one conditional put and the deletions.

    Args:
        user: whose objects.
        backend: the storage.
        retention: what stays; the lab's own rule if it is not given.
        dry_run: only say what would go.
        progress: hears of objects deleted.

    Raises:
        NotFoundError: `NO_HEAD`: without a head nobody knows what is needed.
        IntegrityError: something that is needed is missing or damaged; nothing was deleted.
        ConflictError: the head moved whenever it was to be moved; nothing was deleted.
        SyncError: as the storage says. What was deleted until then is gone, what was not is found by the next prune.
    """
    keep = retention or Retention()
    for _ in range(_ATTEMPTS):
        at = read_head(backend, user)
        if not isinstance(at, HeadAt):
            raise NotFoundError(
                ErrorKind.NO_HEAD,
                f"expected the head of {user} at {head_key(user)}, but there is none; nothing was deleted",
            )
        try:
            choice = _choose(user, backend, at, keep, dry_run=dry_run)
        except IntegrityError:
            # Another prune may have deleted what this older head needs.
            if isinstance(read_head(backend, user, unless=at.version), Unchanged):
                raise
            continue
        if dry_run or not choice.condemned:
            return choice.report
        if _moved(user, backend, choice):
            survivors = {line.key for line in _delete(choice.condemned, backend, progress)}
            gone = [line for line in choice.condemned if line.key not in survivors]
            return replace(choice.report, deleted=tallies(user, gone))
    raise ConflictError(
        ErrorKind.VERSION_MOVED, f"the head of {user} moved {_ATTEMPTS} times while this prune looked at it"
    )


def _choose(user: str, backend: Writer, at: HeadAt, keep: Retention, *, dry_run: bool) -> _Choice:
    """Find out what the head *at* leads to, and what is old besides."""
    # The clock is read before the listing, so that ages are rather too small than too large.
    now_seconds = backend.now_seconds()
    listed = list(backend.keys(user_prefix(user)))
    objects = ObjectReader(backend, user)
    journals = Chain(user, at.head, objects.load_journal)
    stored = {line.key: line.modified_seconds for line in listed}
    horizon = _horizon(
        user, at.head, journals, keep.records, lambda key: now_seconds - stored.get(key, now_seconds) > keep.seconds
    )
    past = read_past(at.head, horizon, journals)
    why = reach(past, user, objects.bundles_of)
    groups: dict[str, list[Listed]] = {"condemned": [], "young": [], "foreign": [], **{reason: [] for reason in Why}}
    for line in listed:
        if line.key != head_key(user):
            is_old = now_seconds - line.modified_seconds > keep.grace_seconds
            groups[_group(user, line.key, why, is_old=is_old)].append(line)
    condemned = _in_order(groups["condemned"], user, past.end)
    report = PruneReport(
        is_dry_run=dry_run,
        horizon_before=at.head.horizon,
        horizon=horizon if condemned else at.head.horizon,
        sequence=at.head.sequence,
        deleted=tallies(user, condemned),
        current=tallies(user, groups[Why.CURRENT]),
        history=tallies(user, groups[Why.HISTORY]),
        young=tallies(user, groups["young"]),
        foreign=tally(groups["foreign"]),
    )
    return _Choice(at, horizon, condemned, report)


def _group(user: str, key: Key, why: Mapping[Key, Why], *, is_old: bool) -> str:
    if key in why:
        return why[key]
    if parse_object_key(user, key) is None:
        return "foreign"
    return "condemned" if is_old else "young"


def _horizon(user: str, head: Head, journals: Chain, records: int, is_old: Callable[[Key], bool]) -> int:
    """Return up to which record the past may go.

    A record is older than the object that holds it, so the storage's own time of that object proves how old it is at least,
    whatever any client's clock has said. A snapshot was current until the next record; so the one that was current when the
    retention began stays too.
    """
    latest = 0
    if is_old(head_key(user)):
        latest = head.sequence
    elif oldest(head.records, head) > head.horizon + 1:
        for ref, journal in journals:
            if is_old(journal_key(user, ref.digest)):
                latest = journal.records[-1].sequence
                break
            if journal.records[0].sequence <= head.horizon + 1:
                break
    return max(head.horizon, min(latest - 1, head.sequence - records))


def _in_order(condemned: Iterable[Listed], user: str, end: ObjectRef | None) -> tuple[Listed, ...]:
    """Put journal objects first, and the one that the kept ones end at, *end*, at the very beginning.

    Whoever follows the journal then comes to its end, and never to a record whose listing has gone already.
    """
    end_key = None if end is None else journal_key(user, end.digest)
    first, then, last = list[Listed](), list[Listed](), list[Listed]()
    for line in condemned:
        name = parse_object_key(user, line.key)
        is_journal = name is not None and name.kind == "journal"
        (first if line.key == end_key else then if is_journal else last).append(line)
    return (*first, *then, *last)


def _moved(user: str, backend: Writer, choice: _Choice) -> bool:
    """Move the head, so that whoever has read it before has to read it again; tell whether it was still the one looked at."""
    head = choice.at.head._replace(write_id=os.urandom(WRITE_ID_BYTES), horizon=choice.horizon)
    try:
        moved = move_head(backend, user, head, replacing=choice.at.version)
    except ConflictError:
        return False
    # A head without a new record is known by its write id alone: of another one nobody can say whether it came after ours.
    return moved.head.write_id == head.write_id


def _delete(condemned: tuple[Listed, ...], backend: Writer, progress: ProgressListener) -> list[Listed]:
    """Delete what was condemned, the first of it first and by itself; return what has another version by now and stays."""

    def delete(line: Listed) -> Listed | None:
        try:
            backend.delete(line.key, expecting=line.version)
        except ConflictError:
            return line
        return None

    survivors: list[Listed] = []
    with Workers(MAX_REQUESTS, "prune") as workers:
        results = chain([delete(condemned[0])], windowed(workers, delete, condemned[1:], count=MAX_REQUESTS))
        for number, survivor in enumerate(results, start=1):
            if survivor is not None:
                survivors.append(survivor)
            progress(Progress(phase="delete", done=number, total=len(condemned), unit="objects"))
    return survivors
