"""A decorator that gives a backend the round trip of a distant one.

Invariant: every call waits once before it is passed on, in its own thread, so that calls at once wait at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from synccore.backends.base import Backend, Found, Listed, Unchanged, Version
from synccore.keys import Key


class LatencyBackend:
    """Pass calls on to *inner*, each after *round_trip_seconds*."""

    def __init__(
        self, inner: Backend, *, round_trip_seconds: float, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._inner = inner
        self._round_trip_seconds = round_trip_seconds
        self._sleep = sleep

    @property
    def base_url(self) -> str:
        """The inner backend's."""
        return self._inner.base_url

    def warm(self) -> None:
        """Warm the inner backend."""
        self._inner.warm()

    def close(self) -> None:
        """Close the inner backend."""
        self._inner.close()

    def get(self, key: Key, *, unless: Version | None = None) -> Found | Unchanged:
        """Wait and pass on."""
        self._sleep(self._round_trip_seconds)
        return self._inner.get(key, unless=unless)

    def get_range(self, key: Key, start: int, length: int) -> bytes:
        """Wait and pass on."""
        self._sleep(self._round_trip_seconds)
        return self._inner.get_range(key, start, length)

    def put(self, key: Key, data: bytes, *, replacing: Version | None) -> Version:
        """Wait and pass on."""
        self._sleep(self._round_trip_seconds)
        return self._inner.put(key, data, replacing=replacing)

    def delete(self, key: Key, *, expecting: Version) -> None:
        """Wait and pass on."""
        self._sleep(self._round_trip_seconds)
        self._inner.delete(key, expecting=expecting)

    def keys(self, prefix: str) -> Iterator[Listed]:
        """Wait once and pass on."""
        self._sleep(self._round_trip_seconds)
        return self._inner.keys(prefix)

    def now_seconds(self) -> float:
        """Wait and pass on."""
        self._sleep(self._round_trip_seconds)
        return self._inner.now_seconds()
