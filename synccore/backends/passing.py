"""What all decorators of a backend have in common: they pass everything on.

Invariant: every call goes through `PassingBackend.pass_on` under its name, so a decorator that does one thing to all of them
says only that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from synccore.backends.base import Backend, Found, Listed, Unchanged, Version
from synccore.digest import Digest
from synccore.keys import Key

_T = TypeVar("_T")


class PassingBackend:
    """Pass all calls on to *inner*."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner

    def pass_on(self, name: str, call: Callable[[], _T]) -> _T:
        """Make *call*, which is named ``get``, ``conditional_get`` (a get with *unless*), ``get_range``, ``put`` (create-only),
        ``conditional_put`` (one with *replacing*), ``delete``, ``keys`` or ``now_seconds``.
        """  # noqa: D205 - the names are the summary
        del name
        return call()

    @property
    def base_url(self) -> str:
        """The inner backend's."""
        return self._inner.base_url

    def warm(self, calls: int = 1) -> None:
        """Warm the inner backend."""
        self._inner.warm(calls)

    def close(self) -> None:
        """Close the inner backend."""
        self._inner.close()

    def get(self, key: Key, *, unless: Version | None = None) -> Found | Unchanged:
        """Get an object, as `Reader.get` promises."""
        name = "get" if unless is None else "conditional_get"
        return self.pass_on(name, lambda: self._inner.get(key, unless=unless))

    def get_range(self, key: Key, start: int, length: int) -> bytes:
        """Get a part of an object, as `Reader.get_range` promises."""
        return self.pass_on("get_range", lambda: self._inner.get_range(key, start, length))

    def put(self, key: Key, data: bytes, *, replacing: Version | None, digest: Digest | None = None) -> Version:
        """Store an object, as `Writer.put` promises."""
        name = "put" if replacing is None else "conditional_put"
        return self.pass_on(name, lambda: self._inner.put(key, data, replacing=replacing, digest=digest))

    def delete(self, key: Key, *, expecting: Version) -> None:
        """Delete an object, as `Writer.delete` promises."""
        self.pass_on("delete", lambda: self._inner.delete(key, expecting=expecting))

    def keys(self, prefix: str) -> Iterator[Listed]:
        """List objects, as `Writer.keys` promises."""
        return self.pass_on("keys", lambda: self._inner.keys(prefix))

    def now_seconds(self) -> float:
        """Return the storage's clock, as `Writer.now_seconds` promises."""
        return self.pass_on("now_seconds", self._inner.now_seconds)
