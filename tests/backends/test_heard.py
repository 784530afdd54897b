"""What a caller hears of an answer while it arrives, and that an answer which ends early is none."""

from contextlib import closing

import pytest

from synccore.backends.base import Backend, Found
from synccore.backends.gcs import GcsBackend
from synccore.backends.gcs_light import LightGcsBackend
from synccore.backends.opening import Access
from synccore.errors import UnavailableError
from synccore.keys import Key
from synccore.testing.gcs_faults import Truncate
from synccore.testing.gcs_server import GcsServer

_KEY = Key("ada/head")


class Ears:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def opened(way: type, server: GcsServer, heard: Ears) -> Backend:
    return way("lab", "", Access(emulator_host=server.url, deadline_seconds=5, heard=heard))


@pytest.mark.parametrize("way", [GcsBackend, LightGcsBackend])
def test_each_part_of_an_answer_is_heard(way: type) -> None:
    ears = Ears()
    data = bytes(range(256)) * 4096
    with GcsServer("lab") as server:
        server.service.insert("lab", _KEY, data, {}, {})
        with closing(opened(way, server, ears)) as backend:
            found = backend.get(_KEY)
    assert isinstance(found, Found)
    assert found.data == data
    assert ears.times > 10


@pytest.mark.parametrize("way", [GcsBackend, LightGcsBackend])
def test_nothing_is_heard_of_a_server_that_is_not_there(way: type) -> None:
    ears = Ears()
    with GcsServer("lab") as server:
        pass
    with closing(opened(way, server, ears)) as backend, pytest.raises(UnavailableError):
        backend.get(_KEY)
    assert ears.times == 0


@pytest.mark.parametrize("way", [GcsBackend, LightGcsBackend])
def test_an_answer_that_ends_early_is_none(way: type) -> None:
    with GcsServer("lab") as server:
        server.service.insert("lab", _KEY, bytes(100_000), {}, {})
        server.inject(Truncate(after_bytes=50_000))
        with closing(opened(way, server, Ears())) as backend, pytest.raises(UnavailableError):
            backend.get(_KEY)
