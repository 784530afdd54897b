"""Reading and moving the head.

Invariant: a head is only ever replaced by compare-and-swap on the version that its writer has seen, so at most one of two
writers succeeds and neither overwrites what it has not read.
"""

from __future__ import annotations

from dataclasses import dataclass

from synccore.backends.base import Reader, Unchanged, Version, Writer
from synccore.errors import ErrorKind, NotFoundError, SyncError, UnavailableError
from synccore.head import Head, decode_head, encode_head
from synccore.keys import head_key


@dataclass(frozen=True, slots=True)
class HeadAt:
    """A head with the version that it has in the store.

    Attributes:
        head: the value.
        data: its stored bytes.
        version: what a compare-and-swap must name.
    """

    head: Head
    data: bytes
    version: Version


@dataclass(frozen=True, slots=True)
class NoHead:
    """The user has nothing in this store yet."""


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


def move_head(backend: Writer, user: str, head: Head, *, replacing: Version | None) -> HeadAt:
    """Put *head* in the place of the version *replacing*; ``None`` means that there must be none: one conditional put.

    When the answer is lost the head is read back: its write id tells whether the put has landed.

    Raises:
        ConflictError: somebody else moved the head first; nothing changed.
        UnavailableError: the put did not land, or nobody can tell at the moment (``ambiguous=True`` in its facts).
    """
    key = head_key(user)
    data = encode_head(head)
    try:
        return HeadAt(head, data, backend.put(key, data, replacing=replacing))
    except UnavailableError as error:
        if not error.facts.get("ambiguous"):
            raise
        landed = _landed(backend, user, head, error)
        if landed is not None:
            return landed
        # The put is guarded by the version, so sending it again cannot land twice.
        return HeadAt(head, data, backend.put(key, data, replacing=replacing))


def _landed(backend: Writer, user: str, head: Head, lost: UnavailableError) -> HeadAt | None:
    """Find out what became of a put whose answer was lost; ``None`` if the head is as it was before."""
    try:
        found = read_head(backend, user)
    except SyncError as error:
        raise lost from error
    if isinstance(found, HeadAt) and found.head.write_id == head.write_id:
        return found
    # RACE: a head that another writer has put on top of ours in this instant is in its records, not in its write id.
    if isinstance(found, HeadAt) and head.records and head.records[-1] in found.head.records:
        return found
    return None
