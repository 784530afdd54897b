"""The names of objects in a lab store.

Invariant: every key of the engine is built here; no other module joins strings into keys.
"""

from __future__ import annotations

import re
from typing import NamedTuple, NewType

from synccore.digest import Digest, digest_from_hex
from synccore.errors import ErrorKind, InvalidInputError

Key = NewType("Key", str)

# Also a directory name on every system, and a part of an object's name that needs no escaping in a URL.
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")


def user_name(text: str) -> str:
    """Check *text* as the name of a store's user and return it.

    Raises:
        InvalidInputError: it is not 1 to 64 letters, digits, ``.``, ``_`` and ``-`` that begin and end well.
    """
    return _checked("user name", text)


def repo_name(text: str) -> str:
    """Check *text* as the name of a synchronised repository and return it; the rule is that of `user_name`."""
    return _checked("repository name", text)


def _checked(what: str, text: str) -> str:
    if _NAME.fullmatch(text) is None or text.lower() in {".git", "git~1"}:
        raise InvalidInputError(
            ErrorKind.BAD_INPUT,
            f"{what} {text!r} is not usable: expected 1 to 64 letters, digits, '.', '_' or '-', "
            "beginning with a letter, digit or '_' and not ending in '.'",
            name=text,
        )
    return text


def head_key(user: str) -> Key:
    """Return the key of *user*'s head."""
    return Key(f"{user_name(user)}/head")


def bundle_key(user: str, digest: Digest) -> Key:
    """Return the key of the bundle whose stored bytes have *digest*."""
    return Key(f"{user_name(user)}/bundles/{digest.hex()}")


def manifest_key(user: str, digest: Digest) -> Key:
    """Return the key of the manifest whose stored bytes have *digest*."""
    return Key(f"{user_name(user)}/manifests/{digest.hex()}")


def probe_key(user: str, name: str) -> Key:
    """Return a key below *user* at which nothing of the format ever is, to try whether one may write there."""
    return Key(f"{user_name(user)}/probe-{_checked('probe', name)}")


class ObjectKey(NamedTuple):
    """What the key of an immutable object says.

    Attributes:
        kind: ``bundles``, ``manifests`` or ``journal``.
        digest: of the object's stored bytes.
    """

    kind: str
    digest: Digest


def user_prefix(user: str) -> str:
    """Return what every key of *user* begins with."""
    return f"{user_name(user)}/"


def parse_object_key(user: str, key: Key) -> ObjectKey | None:
    """Return what *key* names among the immutable objects of *user*; ``None`` if it is not the key of one."""
    parts = key.split("/")
    if len(parts) != 3 or parts[0] != user or parts[1] not in {"bundles", "manifests", "journal"}:  # noqa: PLR2004 - user, kind, digest
        return None
    try:
        return ObjectKey(parts[1], digest_from_hex(parts[2]))
    except InvalidInputError:
        return None


def journal_key(user: str, digest: Digest) -> Key:
    """Return the key of the journal object whose stored bytes have *digest*."""
    return Key(f"{user_name(user)}/journal/{digest.hex()}")
