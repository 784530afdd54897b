import sys
import threading
from collections.abc import Callable

import pytest

from synccore.backends.base import Version
from synccore.backends.memory import MemoryBackend
from synccore.backends.recording import RecordingBackend
from synccore.errors import ConflictError, NotFoundError
from synccore.keys import Key

HEAD = Key("ada/head")


def test_each_call_is_counted_under_its_name_whatever_its_answer() -> None:
    backend = RecordingBackend(MemoryBackend())
    version = backend.put(HEAD, b"12345", replacing=None)
    failing: list[tuple[type[Exception], Callable[[], object]]] = [
        (ConflictError, lambda: backend.put(HEAD, b"1", replacing=None)),
        (ConflictError, lambda: backend.put(HEAD, b"1", replacing=Version("0"))),
        (NotFoundError, lambda: backend.get(Key("ada/none"))),
    ]
    for error, act in failing:
        with pytest.raises(error):
            act()
    backend.get(HEAD)
    backend.get(HEAD, unless=version)
    backend.get_range(HEAD, 1, 2)
    list(backend.keys(""))
    backend.now_seconds()
    backend.delete(HEAD, expecting=version)
    assert backend.calls == {
        "put": 2,
        "conditional_put": 1,
        "get": 2,
        "conditional_get": 1,
        "get_range": 1,
        "keys": 1,
        "delete": 1,
    }
    assert (backend.bytes_read, backend.bytes_written) == (7, 5)


def test_counting_can_begin_anew() -> None:
    backend = RecordingBackend(MemoryBackend())
    backend.put(HEAD, b"12345", replacing=None)
    backend.get(HEAD)
    backend.reset()
    assert (backend.calls, backend.bytes_read, backend.bytes_written) == ({}, 0, 0)


def test_no_count_is_lost_between_threads() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        _count_in_threads()
    finally:
        sys.setswitchinterval(interval)


def _count_in_threads() -> None:
    backend = RecordingBackend(MemoryBackend())
    backend.put(HEAD, b"1", replacing=None)
    threads = [threading.Thread(target=lambda: [backend.get(HEAD) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (backend.calls["get"], backend.bytes_read) == (2000, 2000)
