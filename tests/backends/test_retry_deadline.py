"""How long a call is tried again: counted from its beginning, for as long as the one who opened the store says."""

from contextlib import closing

import pytest

from synccore.backends.memory import MemoryBackend
from synccore.backends.opening import Access, open_backend
from synccore.backends.retrying import RetryingBackend
from synccore.errors import ErrorKind, UnavailableError
from synccore.keys import Key
from synccore.testing.gcs_faults import Refuse
from synccore.testing.gcs_server import GcsServer

_KEY = Key("ada/head")


class Slow(MemoryBackend):
    """Takes six seconds to find out that nothing can be had."""

    now = 0.0
    tries = 0

    def get(self, key: Key, **_: object) -> object:  # type: ignore[override]
        self.tries += 1
        self.now += 6
        raise UnavailableError(ErrorKind.UNAVAILABLE, f"no {key}")


def test_the_first_try_counts() -> None:
    slow = Slow()
    backend = RetryingBackend(
        slow, deadline_seconds=10, clock=lambda: slow.now, sleep=lambda _: None, jitter=lambda: 0.5
    )
    with pytest.raises(UnavailableError):
        backend.get(_KEY)
    assert slow.tries == 2


def test_a_store_can_be_opened_so_that_nothing_is_tried_again() -> None:
    with GcsServer("lab") as server:
        server.inject(Refuse(503), times=5)
        access = Access(emulator_host=server.url, deadline_seconds=20, retry_seconds=0)
        with closing(open_backend("gs://lab", access=access)) as backend, pytest.raises(UnavailableError):
            backend.get(_KEY)
        assert server.requests == {"get_media": 1}
