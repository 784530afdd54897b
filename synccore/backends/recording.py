"""A decorator that counts what is asked of a backend.

Invariant: a call is counted once, when it is made, whatever becomes of it; bytes are counted when they have arrived.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

from synccore.backends.base import Backend, Found, Listed, Unchanged, Version
from synccore.keys import Key


class RecordingBackend:
    """Pass everything on to *inner* and keep count; safe to use from several threads.

    Attributes:
        calls: how often each was called, by name: ``get``, ``conditional_get`` (one with *unless*), ``get_range``, ``put``
            (create-only), ``conditional_put`` (one with *replacing*), ``delete``, ``keys``.
        bytes_read: bytes that gets have brought.
        bytes_written: bytes that puts have stored.
    """

    def __init__(self, inner: Backend) -> None:
        self.calls: Counter[str] = Counter()
        self.bytes_read = 0
        self.bytes_written = 0
        self._inner = inner
        self._lock = threading.Lock()

    @property
    def base_url(self) -> str:
        """The inner backend's."""
        return self._inner.base_url

    def warm(self) -> None:
        """Warm the inner backend, which is not a call to be counted."""
        self._inner.warm()

    def close(self) -> None:
        """Close the inner backend."""
        self._inner.close()

    def reset(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self.calls.clear()
            self.bytes_read = 0
            self.bytes_written = 0

    def get(self, key: Key, *, unless: Version | None = None) -> Found | Unchanged:
        """Count and pass on."""
        self._count("get" if unless is None else "conditional_get")
        answer = self._inner.get(key, unless=unless)
        if isinstance(answer, Found):
            self._read(len(answer.data))
        return answer

    def get_range(self, key: Key, start: int, length: int) -> bytes:
        """Count and pass on."""
        self._count("get_range")
        data = self._inner.get_range(key, start, length)
        self._read(len(data))
        return data

    def put(self, key: Key, data: bytes, *, replacing: Version | None) -> Version:
        """Count and pass on."""
        self._count("put" if replacing is None else "conditional_put")
        version = self._inner.put(key, data, replacing=replacing)
        with self._lock:
            self.bytes_written += len(data)
        return version

    def delete(self, key: Key, *, expecting: Version) -> None:
        """Count and pass on."""
        self._count("delete")
        self._inner.delete(key, expecting=expecting)

    def keys(self, prefix: str) -> Iterator[Listed]:
        """Count the listing once, however long it is, and pass on."""
        self._count("keys")
        return self._inner.keys(prefix)

    def now_seconds(self) -> float:
        """Pass on, uncounted: the clock is no object."""
        return self._inner.now_seconds()

    def _count(self, name: str) -> None:
        with self._lock:
            self.calls[name] += 1

    def _read(self, size_bytes: int) -> None:
        with self._lock:
            self.bytes_read += size_bytes
