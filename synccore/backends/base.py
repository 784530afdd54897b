"""What an object storage must guarantee to keep a lab store.

1. A key that was put can be got, whole, by everybody, as soon as `put` has returned.
2. A put is all or nothing: a reader sees the old object or the new one, never a part.
3. A put names the version that it replaces, or says that the key must be free; if that is not so it changes nothing.
4. Equal versions of a key mean equal bytes.
5. An error is one of `synccore.errors`; `UnavailableError` is used only where trying again may help.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, NewType, Protocol

from synccore.digest import Digest
from synccore.keys import Key

Version = NewType("Version", str)


class Found:
    """An object as it was got.

    Attributes:
        data: its bytes.
    """

    __slots__ = ("_version", "data")

    def __init__(self, data: bytes, version: Version | Callable[[], Version]) -> None:
        """Note what was found; *version* may be what works it out, which is called by nobody who does not need it."""
        self.data = data
        self._version = version

    @property
    def version(self) -> Version:
        """The version that the bytes are."""
        if callable(self._version):
            self._version = self._version()
        return self._version

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Found) and (self.data, self.version) == (other.data, other.version)

    def __hash__(self) -> int:
        return hash((self.data, self.version))

    def __repr__(self) -> str:
        return f"Found({self.data!r}, {self.version!r})"


class Unchanged:
    """The answer to a conditional get whose condition says that the caller has it already."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unchanged)

    def __hash__(self) -> int:
        return hash(Unchanged)


class Listed(NamedTuple):
    """A line of a listing.

    Attributes:
        key: the object's key, relative to the store's base URL.
        size_bytes: its stored size.
        modified_seconds: when it was stored, in seconds since 1970 by the storage's own clock.
        version: what `Writer.delete` takes as *expecting*.
    """

    key: Key
    size_bytes: int
    modified_seconds: float
    version: Version


class Reader(Protocol):
    """What it takes to read a lab store."""

    def get(self, key: Key, *, unless: Version | None = None) -> Found | Unchanged:
        """Get an object, unless its version is *unless*.

        Raises:
            NotFoundError: there is no such object (``NO_BUCKET`` where the bucket or directory itself is missing).
            BackendError, UnavailableError: the storage refused or did not answer.
        """

    def get_range(self, key: Key, start: int, length: int) -> bytes:
        """Get exactly *length* > 0 bytes from offset *start*.

        Raises:
            NotFoundError: there is no such object.
            IntegrityError: the object ends before that.
        """


class Writer(Reader, Protocol):
    """What it takes to write one."""

    def warm(self, calls: int = 1) -> None:
        """Make ready for so many first *calls* side by side, from any thread, while the caller does something else; failures show later."""

    def put(self, key: Key, data: bytes, *, replacing: Version | None, digest: Digest | None = None) -> Version:
        """Store *data* under *key* and return its version.

        *replacing* is the version that the key must have now; ``None`` means that the key must be free. *digest* is that of *data*, if
        it is known: a storage whose versions are digests need not work it out again.

        Raises:
            ConflictError: the key is taken (``KEY_TAKEN``) or has another version or none (``VERSION_MOVED``); nothing changed.
            UnavailableError: the answer was lost; the put may have happened, and the facts say ``ambiguous=True``.
        """

    def delete(self, key: Key, *, expecting: Version) -> None:
        """Delete an object that still has the version *expecting*; one that is gone already is no error.

        Raises:
            ConflictError: it has another version; nothing changed.
        """

    def keys(self, prefix: str) -> Iterator[Listed]:
        """List, in key order, every object whose key begins with *prefix*."""

    def now_seconds(self) -> float:
        """Return the storage's own clock, in seconds since 1970."""


class Backend(Writer, Protocol):
    """A writer that somebody opened: it may hold connections, which its owner closes."""

    @property
    def base_url(self) -> str:
        """Where the store is, for messages: no slash at the end."""

    def close(self) -> None:
        """Let go of connections; a closed backend is not used again."""
