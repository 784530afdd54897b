from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from synccore.backends.base import Backend, Version
from synccore.backends.memory import MemoryBackend, Stored
from synccore.keys import Key
from synccore.testing.contract import BackendContract


class TestMemory(BackendContract):
    @pytest.fixture(autouse=True)
    def _memory(self) -> None:
        self.memory = MemoryBackend()

    @contextmanager
    def opened(self) -> Iterator[Backend]:
        yield self.memory

    @contextmanager
    def opened_without_bucket(self) -> Iterator[Backend]:
        yield MemoryBackend(bucket_exists=False)

    def stored(self, key: Key) -> bytes | None:
        found = self.memory.objects.get(key)
        return found.data if found else None

    def store(self, key: Key, data: bytes) -> None:
        self.memory.objects[key] = Stored(data, Version(f"past-{key}"), 0.0)
