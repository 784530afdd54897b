import itertools

import pytest

from synccore.backends.base import Backend, Found, Version
from synccore.backends.memory import MemoryBackend
from synccore.backends.patience import random_fraction
from synccore.backends.recording import RecordingBackend
from synccore.backends.retrying import RetryingBackend
from synccore.errors import BackendError, ConflictError, ErrorKind, NotFoundError, UnavailableError
from synccore.keys import Key
from synccore.testing.faults import FaultyBackend

HEAD = Key("ada/head")
BUNDLE = Key("ada/bundles/00")


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def memory() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
def faulty(memory: MemoryBackend) -> FaultyBackend:
    return FaultyBackend(memory)


@pytest.fixture
def tries(faulty: FaultyBackend) -> RecordingBackend:
    return RecordingBackend(faulty)


@pytest.fixture
def backend(tries: RecordingBackend, time: Time) -> Backend:
    return RetryingBackend(tries, deadline_seconds=10, clock=lambda: time.now, sleep=time.sleep, jitter=lambda: 0.5)


def test_a_get_that_was_not_answered_is_tried_again(
    backend: Backend, faulty: FaultyBackend, tries: RecordingBackend
) -> None:
    version = backend.put(HEAD, b"one", replacing=None)
    faulty.fail("get", times=3)
    faulty.fail("conditional_get")
    faulty.fail("get_range")
    assert backend.get(HEAD) == Found(b"one", version)
    assert backend.get(HEAD, unless=Version("0")) == Found(b"one", version)
    assert backend.get_range(HEAD, 1, 2) == b"ne"
    assert tries.calls == {"put": 1, "get": 4, "conditional_get": 2, "get_range": 2}


def test_pauses_double_from_a_fifth_of_a_second_and_are_jittered(
    backend: Backend, faulty: FaultyBackend, time: Time
) -> None:
    backend.put(HEAD, b"one", replacing=None)
    faulty.fail("get", times=4)
    backend.get(HEAD)
    assert time.slept == pytest.approx([0.15, 0.3, 0.6, 1.2])


def test_after_the_deadline_the_last_error_is_the_callers(
    backend: Backend, faulty: FaultyBackend, tries: RecordingBackend, time: Time
) -> None:
    faulty.fail("get", times=100)
    with pytest.raises(UnavailableError):
        backend.get(HEAD)
    assert sum(time.slept) < 10
    assert tries.calls["get"] == len(time.slept) + 1


def test_the_pauses_of_a_long_deadline_stay_below_eight_seconds(tries: RecordingBackend, time: Time) -> None:
    faulty = FaultyBackend(tries)
    backend = RetryingBackend(
        faulty, deadline_seconds=100, clock=lambda: time.now, sleep=time.sleep, jitter=lambda: 0.99
    )
    faulty.fail("get", times=1000)
    with pytest.raises(UnavailableError):
        backend.get(HEAD)
    assert 7 < max(time.slept) <= 8


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError(ErrorKind.NO_BUCKET, "no bucket"),
        BackendError(ErrorKind.REFUSED, "no"),
        ConflictError(ErrorKind.VERSION_MOVED, "moved"),
    ],
)
def test_no_other_error_is_tried_again(
    backend: Backend, faulty: FaultyBackend, tries: RecordingBackend, error: BackendError
) -> None:
    faulty.fail("get", error)
    with pytest.raises(type(error)) as caught:
        backend.get(HEAD)
    assert caught.value is error
    assert tries.calls["get"] == 1


def test_a_create_whose_answer_was_lost_is_success_where_the_same_bytes_are_there(
    backend: Backend, faulty: FaultyBackend, tries: RecordingBackend, memory: MemoryBackend
) -> None:
    faulty.lose_answer("put")
    version = backend.put(BUNDLE, b"one", replacing=None)
    assert memory.objects[BUNDLE].version == version
    assert tries.calls == {"put": 2, "get": 1}


def test_a_create_whose_answer_was_lost_is_a_conflict_where_other_bytes_are_there(
    backend: Backend, faulty: FaultyBackend, memory: MemoryBackend
) -> None:
    memory.put(BUNDLE, b"theirs", replacing=None)
    faulty.fail("put", UnavailableError(ErrorKind.UNAVAILABLE, "lost", ambiguous=True))
    with pytest.raises(ConflictError) as caught:
        backend.put(BUNDLE, b"ours", replacing=None)
    assert caught.value.kind is ErrorKind.KEY_TAKEN


def test_a_taken_key_is_a_conflict_where_no_try_can_have_taken_it(
    backend: Backend, faulty: FaultyBackend, tries: RecordingBackend, memory: MemoryBackend
) -> None:
    memory.put(BUNDLE, b"one", replacing=None)
    faulty.fail("put")
    with pytest.raises(ConflictError):
        backend.put(BUNDLE, b"one", replacing=None)
    assert tries.calls == {"put": 2}


def test_a_create_that_is_given_up_stays_in_doubt_once_it_was(backend: Backend, faulty: FaultyBackend) -> None:
    faulty.lose_answer("put")
    faulty.fail("put", times=100)
    with pytest.raises(UnavailableError) as caught:
        backend.put(BUNDLE, b"one", replacing=None)
    assert caught.value.facts["ambiguous"] is True


def test_a_create_is_still_in_doubt_where_the_reading_back_fails(backend: Backend, faulty: FaultyBackend) -> None:
    faulty.lose_answer("put")
    faulty.fail("get", times=100)
    with pytest.raises(UnavailableError) as caught:
        backend.put(BUNDLE, b"one", replacing=None)
    assert caught.value.facts["ambiguous"] is True


def test_a_replacing_put_whose_answer_was_lost_goes_to_the_caller(
    backend: Backend, faulty: FaultyBackend, tries: RecordingBackend, memory: MemoryBackend
) -> None:
    version = backend.put(HEAD, b"one", replacing=None)
    faulty.lose_answer("conditional_put")
    with pytest.raises(UnavailableError) as caught:
        backend.put(HEAD, b"two", replacing=version)
    assert caught.value.facts["ambiguous"] is True
    assert tries.calls["conditional_put"] == 1
    assert memory.objects[HEAD].data == b"two"


def test_a_replacing_put_that_was_surely_not_done_is_tried_again(
    backend: Backend, faulty: FaultyBackend, tries: RecordingBackend, memory: MemoryBackend
) -> None:
    version = backend.put(HEAD, b"one", replacing=None)
    faulty.fail("conditional_put", times=2)
    backend.put(HEAD, b"two", replacing=version)
    assert tries.calls["conditional_put"] == 3
    assert memory.objects[HEAD].data == b"two"


def test_a_delete_whose_answer_was_lost_is_done(backend: Backend, faulty: FaultyBackend, memory: MemoryBackend) -> None:
    version = backend.put(HEAD, b"one", replacing=None)
    faulty.lose_answer("delete")
    backend.delete(HEAD, expecting=version)
    assert memory.objects == {}


def test_a_listing_that_breaks_off_goes_on_where_it_was(
    backend: Backend, faulty: FaultyBackend, tries: RecordingBackend
) -> None:
    keys = [Key(f"ada/bundles/{number:02}") for number in range(5)]
    for key in keys:
        backend.put(key, b"", replacing=None)
    faulty.fail("keys")
    faulty.lose_answer("keys", times=2)  # each time after the first line
    assert [it.key for it in backend.keys("")] == keys
    assert tries.calls["keys"] == 4


def test_the_clock_is_asked_again(backend: Backend, faulty: FaultyBackend) -> None:
    faulty.fail("now_seconds")
    assert backend.now_seconds() > 0


def test_the_jitter_of_the_product_is_a_fraction() -> None:
    drawn = [random_fraction() for _ in itertools.repeat(None, 100)]
    assert all(0 <= it < 1 for it in drawn)
    assert len(set(drawn)) > 90
