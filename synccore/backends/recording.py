"""A decorator that counts what is asked of a backend.

Invariant: a call is counted once, when it is made, whatever becomes of it; bytes are counted when they have arrived.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from synccore.backends.base import Backend, Found, Unchanged, Version
from synccore.backends.passing import PassingBackend
from synccore.digest import Digest
from synccore.keys import Key

_T = TypeVar("_T")


class RecordingBackend(PassingBackend):
    """Pass everything on to *inner* and keep count; safe to use from several threads.

    Attributes:
        calls: how often each was called, by the names of `PassingBackend.pass_on`.
        bytes_read: bytes that gets have brought.
        bytes_written: bytes that puts have stored.
    """

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.calls: Counter[str] = Counter()
        self.bytes_read = 0
        self.bytes_written = 0
        self._lock = threading.Lock()

    def reset(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self.calls.clear()
            self.bytes_read = 0
            self.bytes_written = 0

    def pass_on(self, name: str, call: Callable[[], _T]) -> _T:
        """Count, and make *call*; the clock is no object and not counted."""
        if name != "now_seconds":
            with self._lock:
                self.calls[name] += 1
        return call()

    def get(self, key: Key, *, unless: Version | None = None) -> Found | Unchanged:
        """Count and pass on."""
        answer = super().get(key, unless=unless)
        if isinstance(answer, Found):
            self._read(len(answer.data))
        return answer

    def get_range(self, key: Key, start: int, length: int) -> bytes:
        """Count and pass on."""
        data = super().get_range(key, start, length)
        self._read(len(data))
        return data

    def put(self, key: Key, data: bytes, *, replacing: Version | None, digest: Digest | None = None) -> Version:
        """Count and pass on."""
        version = super().put(key, data, replacing=replacing, digest=digest)
        with self._lock:
            self.bytes_written += len(data)
        return version

    def _read(self, size_bytes: int) -> None:
        with self._lock:
            self.bytes_read += size_bytes
