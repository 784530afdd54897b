"""The errors that every backend answers alike.

Invariant: one situation has one kind, one wording and one set of facts, whichever backend meets it.
"""

from __future__ import annotations

from synccore.backends.base import Version
from synccore.errors import BackendError, ConflictError, ErrorKind, IntegrityError, InvalidInputError, NotFoundError
from synccore.keys import Key


def no_object(base_url: str, key: Key) -> NotFoundError:
    """Say that there is no object *key*."""
    return NotFoundError(ErrorKind.NOT_FOUND, f"there is no object {base_url}/{key}", base_url=base_url, key=key)


def no_bucket(base_url: str, what: str, *, is_made_by_put: bool = False) -> NotFoundError:
    """Say that the place that should hold the store, described by *what*, is itself missing.

    *is_made_by_put* is among the facts: a writer need not stop, because the first put makes the place.
    """
    return NotFoundError(
        ErrorKind.NO_BUCKET,
        f"there is no {what}, where the store {base_url} should be",
        base_url=base_url,
        is_made_by_put=is_made_by_put,
    )


def key_taken(base_url: str, key: Key) -> ConflictError:
    """Say that a key that was expected to be free is not."""
    return ConflictError(
        ErrorKind.KEY_TAKEN,
        f"object {base_url}/{key} exists already: expected the key to be free; nothing was changed",
        base_url=base_url,
        key=key,
    )


def version_moved(base_url: str, key: Key, expected: Version, found: Version | None) -> ConflictError:
    """Say that an object has not the version that was expected; *found* is ``None`` where it is gone or unknown."""
    finding = "another version or none" if found is None else f"version {found}"
    return ConflictError(
        ErrorKind.VERSION_MOVED,
        f"object {base_url}/{key} has moved on: expected version {expected}, found {finding}; nothing was changed",
        base_url=base_url,
        key=key,
        expected=expected,
        found=found,
    )


def too_short(base_url: str, key: Key, start: int, length: int) -> IntegrityError:
    """Say that an object ends before the range that its reader was promised."""
    return IntegrityError(
        ErrorKind.DAMAGED_OBJECT,
        f"object {base_url}/{key} is too short: expected {length} bytes from offset {start}, found its end before that",
        base_url=base_url,
        key=key,
        start=start,
        length=length,
    )


def refused(base_url: str, key: Key | None, why: str) -> BackendError:
    """Say that the storage forbids this to us; *why* names what is missing."""
    where = base_url if key is None else f"{base_url}/{key}"
    return BackendError(ErrorKind.REFUSED, f"access to {where} was refused: {why}", base_url=base_url, key=key)


def check_range(key: Key, start: int, length: int) -> None:
    """Check the arguments of a `Reader.get_range`.

    Raises:
        InvalidInputError: the range is empty or begins before the object.
    """
    if start < 0 or length <= 0:
        raise InvalidInputError(
            ErrorKind.BAD_INPUT,
            f"range of {key!r} is not usable: expected start >= 0 and length > 0, found {start} and {length}",
            key=key,
        )
