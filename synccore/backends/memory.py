"""A backend in this process's memory: the plainest thing that keeps the contract, for tests and simulations.

Invariant: every operation happens whole under one lock, so what it does is what the contract means.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from synccore.backends.base import Found, Listed, Unchanged, Version
from synccore.backends.refusals import check_range, key_taken, no_bucket, no_object, too_short, version_moved
from synccore.digest import Digest
from synccore.keys import Key


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as memory keeps it."""

    data: bytes
    version: Version
    modified_seconds: float


class MemoryBackend:
    """Objects in a dictionary.

    Attributes:
        objects: what is stored, for tests to read and damage.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, bucket_exists: bool = True) -> None:
        self.objects: dict[Key, Stored] = {}
        self._clock = clock
        self._bucket_exists = bucket_exists
        self._writes = 0
        self._lock = threading.Lock()

    @property
    def base_url(self) -> str:
        """A name for messages."""
        return "memory:"

    def warm(self, calls: int = 1) -> None:
        """Do nothing: memory is always ready."""

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def get(self, key: Key, *, unless: Version | None = None) -> Found | Unchanged:
        """Get an object, as `Reader.get` promises."""
        stored = self._stored(key)
        return Unchanged() if stored.version == unless else Found(stored.data, stored.version)

    def get_range(self, key: Key, start: int, length: int) -> bytes:
        """Get a part of an object, as `Reader.get_range` promises."""
        check_range(key, start, length)
        part = self._stored(key).data[start : start + length]
        if len(part) != length:
            raise too_short(self.base_url, key, start, length)
        return part

    def put(self, key: Key, data: bytes, *, replacing: Version | None, digest: Digest | None = None) -> Version:  # noqa: ARG002 - its versions are no digests
        """Store an object, as `Writer.put` promises."""
        with self._lock:
            self._check_bucket()
            there = self.objects.get(key)
            if replacing is None and there is not None:
                raise key_taken(self.base_url, key)
            if replacing is not None and (there is None or there.version != replacing):
                raise version_moved(self.base_url, key, replacing, there.version if there else None)
            self._writes += 1
            version = Version(str(self._writes))
            self.objects[key] = Stored(bytes(data), version, self._clock())
            return version

    def delete(self, key: Key, *, expecting: Version) -> None:
        """Delete an object, as `Writer.delete` promises."""
        with self._lock:
            self._check_bucket()
            there = self.objects.get(key)
            if there is not None and there.version != expecting:
                raise version_moved(self.base_url, key, expecting, there.version)
            self.objects.pop(key, None)

    def keys(self, prefix: str) -> Iterator[Listed]:
        """List objects, as `Writer.keys` promises: those that there are at the time of the call."""
        with self._lock:
            self._check_bucket()
            found = [(key, self.objects[key]) for key in sorted(self.objects) if key.startswith(prefix)]
        return iter(
            [
                Listed(key=key, size_bytes=len(it.data), modified_seconds=it.modified_seconds, version=it.version)
                for key, it in found
            ]
        )

    def now_seconds(self) -> float:
        """Return the time by the clock that was handed in."""
        self._check_bucket()
        return self._clock()

    def _stored(self, key: Key) -> Stored:
        with self._lock:
            self._check_bucket()
            if key not in self.objects:
                raise no_object(self.base_url, key)
            return self.objects[key]

    def _check_bucket(self) -> None:
        if not self._bucket_exists:
            raise no_bucket(self.base_url, "bucket")
