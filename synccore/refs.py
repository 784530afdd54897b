"""Reading and moving the head.

Invariant: a head is only ever replaced by compare-and-swap on the version that its writer has seen, so at most one of two
writers succeeds and neither overwrites what it has not read.
"""

from __future__ import annotations

from typing import NamedTuple

from synccore.backends.base import Reader, Unchanged, Version, Writer
from synccore.backends.patience import USUAL, Patience
from synccore.errors import ConflictError, ErrorKind, NotFoundError, SyncError, UnavailableError
from synccore.head import Head, decode_head, encode_head
from synccore.journal import JournalObject, decode_journal
from synccore.keys import Key, head_key, journal_key
from synccore.places import ObjectRef


class HeadAt(NamedTuple):
    """A head with the version that it has in the store.

    Attributes:
        head: the value.
        data: its stored bytes.
        version: what a compare-and-swap must name.
    """

    head: Head
    data: bytes
    version: Version


class NoHead:
    """The user has nothing in this store yet."""

    __slots__ = ()


def read_head(backend: Reader, user: str, *, unless: Version | None = None) -> HeadAt | NoHead | Unchanged:
    """Get the head of *user*, unless it has the version *unless*: one conditional get.

    Raises:
        IntegrityError: it is damaged, or of a newer format.
        NotFoundError: the bucket or directory itself is missing.
        BackendError, UnavailableError: as `Reader.get`.
    """
    key = head_key(user)
    try:
        found = backend.get(key, unless=unless)
    except NotFoundError as error:
        if error.kind is ErrorKind.NO_BUCKET:
            raise
        return NoHead()
    if isinstance(found, Unchanged):
        return found
    return HeadAt(decode_head(found.data, f"head {key}"), found.data, found.version)


def move_head(
    backend: Writer, user: str, head: Head, *, replacing: Version | None, patience: Patience = USUAL
) -> HeadAt:
    """Put *head* in the place of the version *replacing*; ``None`` means that there must be none: one conditional put.

    When the answer is lost the head is read back: its write id, or its newest record in the history of whatever stands
    there by then, tells whether the put has landed. While the head is as it was, the put is sent again, as often as
    *patience* allows: each is guarded by the same version, so that only one of them can land, however late.

    Raises:
        ConflictError: somebody else moved the head first; nothing changed.
        UnavailableError: the put did not land, or nobody can tell at the moment (``ambiguous=True`` in its facts).
    """
    key = head_key(user)
    data = encode_head(head)
    doubt: UnavailableError | None = None
    pauses = patience.pauses()
    while True:
        try:
            return HeadAt(head, data, backend.put(key, data, replacing=replacing))
        except (ConflictError, UnavailableError) as error:
            doubt = _doubt(error) or doubt
            if doubt is None:
                raise
        # RACE: a put that was sent before may land between this look and the next put, which then is refused; that is why a
        # refusal after a doubt is looked into as well.
        found = _read_back(backend, user, doubt)
        if replacing == (found.version if isinstance(found, HeadAt) else None):
            if not next(pauses):
                raise doubt
        elif isinstance(found, HeadAt) and _has_landed(backend, user, head, found.head, doubt):
            return found
        else:
            raise _moved_on(key, replacing) from doubt


def _doubt(error: SyncError) -> UnavailableError | None:
    """Return what is to be said if nobody finds out whether the put that failed with *error* has landed after all."""
    if not error.facts.get("ambiguous"):
        return None
    if isinstance(error, UnavailableError):
        return error
    message = f"{error.message}; what an earlier try of the same put has done is not known"
    return UnavailableError(ErrorKind.UNAVAILABLE, message, **error.facts)


def _read_back(backend: Writer, user: str, doubt: UnavailableError) -> HeadAt | NoHead:
    try:
        found = read_head(backend, user)
    except SyncError as error:
        raise doubt from error
    assert not isinstance(found, Unchanged)  # noqa: S101 - no condition was given
    return found


def _has_landed(backend: Writer, user: str, head: Head, found: Head, doubt: UnavailableError) -> bool:
    """Tell whether *found* is *head*, or was put on top of it by somebody who was quick.

    Raises:
        UnavailableError: *doubt*, where the history that would tell cannot be read.
    """
    if found.write_id == head.write_id:
        return True
    mine = head.records[-1]
    records, earlier = found.records, found.earlier
    try:
        while earlier is not None and records and records[0].sequence > mine.sequence:
            journal = _journal(backend, user, earlier)
            records, earlier = journal.records, journal.earlier
    except SyncError as error:
        raise doubt from error
    # The horizon tells of a head that was put without a record of its own.
    return any(record.identity == mine.identity for record in records) and found.horizon >= head.horizon


def _journal(backend: Writer, user: str, ref: ObjectRef) -> JournalObject:
    key = journal_key(user, ref.digest)
    found = backend.get(key)
    assert not isinstance(found, Unchanged)  # noqa: S101 - no condition was given
    return decode_journal(found.data, f"journal object {key}")


def _moved_on(key: Key, replacing: Version | None) -> ConflictError:
    expected = "there to be none" if replacing is None else f"version {replacing}"
    return ConflictError(
        ErrorKind.VERSION_MOVED,
        f"the head {key} has moved on: expected {expected}; nothing was changed",
        key=key,
        expected=replacing,
    )
