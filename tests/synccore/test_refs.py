"""Moving the head while answers get lost: it moves once or not at all, and who moved it is told the truth."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from synccore.backends.base import Backend, Found, Unchanged, Version
from synccore.backends.memory import MemoryBackend
from synccore.backends.patience import Patience
from synccore.backends.recording import RecordingBackend
from synccore.backends.retrying import RetryingBackend
from synccore.bundle import inline_places, pack_block
from synccore.digest import Digest, digest_of
from synccore.draft import next_head
from synccore.errors import ConflictError, ErrorKind, SyncError, UnavailableError
from synccore.fold import fold, spill
from synccore.head import Head
from synccore.journal import Counts, Delta, Record, encode_change
from synccore.keys import Key, head_key
from synccore.outlet import Outlet
from synccore.provenance import Author, SnapshotId
from synccore.refs import HeadAt, move_head, read_head
from synccore.repository import ObjectWriter
from synccore.testing.faults import FaultyBackend
from synccore.testing.trees import entries, noise

USER = "ann"
NOTHING = Delta(None, Counts(0, 0, 0, 0, 0), None, {}, {}, {}, {})


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def patience(seconds: float = 10.0) -> Patience:
    time = Time()
    return Patience(deadline_seconds=seconds, clock=lambda: time.now, sleep=time.sleep, jitter=lambda: 0.0)


def moved(before: Head | None, by: str = "laptop", delta: Delta = NOTHING) -> Head:
    """Return a head with one more record: a repository that came and went, so that no tree is needed."""
    sequence = before.sequence + 1 if before else 1
    gone = SnapshotId(digest_of(f"{by} {sequence}".encode()))
    change = encode_change("alpha", gone, None, delta)
    return next_head(before, {}, Record(sequence, 1, Author(user=USER, host=by), (change,)))


def bringing(content: bytes) -> Delta:
    """Return a delta with a file in it."""
    block = pack_block([(digest_of(content), content)])
    return NOTHING._replace(changed=entries({"a": content}), places=inline_places(block))


class Storage:
    """A head in memory, behind calls that can be told to fail and the retries of the product."""

    def __init__(self) -> None:
        self.memory = MemoryBackend()
        self.faulty = FaultyBackend(self.memory)
        self.calls = RecordingBackend(self.faulty)
        time = Time()
        self.backend = RetryingBackend(
            self.calls, deadline_seconds=10, clock=lambda: time.now, sleep=time.sleep, jitter=lambda: 0.0
        )

    def there(self) -> HeadAt | None:
        found = read_head(self.memory, USER)
        return found if isinstance(found, HeadAt) else None

    def puts(self) -> int:
        return self.calls.calls["conditional_put"] + self.calls.calls["put"]


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture(params=["first", "later"])
def was(request: pytest.FixtureRequest, storage: Storage) -> HeadAt | None:
    """Return the head that is to be replaced: none, or one."""
    return move_head(storage.memory, USER, moved(None), replacing=None) if request.param == "later" else None


def version(was: HeadAt | None) -> Version | None:
    return was.version if was else None


def put_name(was: HeadAt | None) -> str:
    return "put" if was is None else "conditional_put"


def try_move(storage: Storage, was: HeadAt | None) -> tuple[Head, HeadAt]:
    head = moved(was.head if was else None)
    return head, move_head(storage.backend, USER, head, replacing=version(was), patience=patience())


def test_a_put_that_landed_without_an_answer_is_found(storage: Storage, was: HeadAt | None) -> None:
    storage.faulty.lose_answer(put_name(was))
    head, found = try_move(storage, was)
    assert found == storage.there()
    assert found.head == head


def test_a_put_that_did_not_land_is_sent_again_until_it_does(storage: Storage, was: HeadAt | None) -> None:
    lost = UnavailableError(ErrorKind.UNAVAILABLE, "503", ambiguous=True)
    storage.faulty.fail(put_name(was), lost, times=4)
    head, found = try_move(storage, was)
    assert found == storage.there()
    assert found.head == head
    assert storage.puts() == 5


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_a_put_that_lands_after_it_was_looked_for_is_no_move_of_somebody_else(
    storage: Storage, was: HeadAt | None, calls: int
) -> None:
    storage.faulty.land_late(put_name(was), calls=calls)
    head, found = try_move(storage, was)
    storage.faulty.land_all()
    assert found == storage.there()
    assert found.head == head


def test_a_put_that_is_never_answered_is_given_up_and_said_to_be_unknown(storage: Storage, was: HeadAt | None) -> None:
    storage.faulty.land_late(put_name(was), calls=10**6, times=1000)
    with pytest.raises(UnavailableError) as given_up:
        try_move(storage, was)
    assert given_up.value.facts["ambiguous"] is True
    assert storage.there() == was
    assert 3 < storage.puts() < 100


def test_a_put_whose_outcome_cannot_be_read_back_is_said_to_be_unknown(storage: Storage, was: HeadAt | None) -> None:
    storage.faulty.lose_answer(put_name(was), times=1 if was else 1000)
    storage.faulty.fail("get", times=1000)
    with pytest.raises(UnavailableError) as unknown:
        try_move(storage, was)
    assert unknown.value.facts["ambiguous"] is True


def test_a_put_that_certainly_was_not_done_is_not_said_to_be_unknown(storage: Storage, was: HeadAt | None) -> None:
    storage.faulty.fail(put_name(was), times=1000)
    with pytest.raises(UnavailableError) as failed:
        try_move(storage, was)
    assert not failed.value.facts["ambiguous"]
    assert storage.calls.calls["get"] == 0


def test_once_in_doubt_a_later_plain_failure_does_not_settle_it(storage: Storage, was: HeadAt | None) -> None:
    storage.faulty.land_late(put_name(was), calls=10**6)
    storage.faulty.fail(put_name(was), times=1000)
    with pytest.raises(UnavailableError) as unknown:
        try_move(storage, was)
    assert unknown.value.facts["ambiguous"] is True


def test_somebody_elses_move_is_a_conflict(storage: Storage, was: HeadAt | None) -> None:
    theirs = move_head(storage.memory, USER, moved(was.head if was else None, "other"), replacing=version(was))
    with pytest.raises(ConflictError):
        try_move(storage, was)
    assert storage.there() == theirs


def test_somebody_elses_move_while_ours_is_in_doubt_is_a_conflict(storage: Storage, was: HeadAt | None) -> None:
    storage.faulty.land_late(put_name(was), calls=10**6)

    def overtake() -> None:
        move_head(storage.memory, USER, moved(was.head if was else None, "other"), replacing=version(was))

    with pytest.raises(ConflictError):
        move_and_meanwhile(storage, moved(was.head if was else None), was, overtake)
    storage.faulty.land_all()
    found = storage.there()
    assert found is not None
    assert found.head.records[-1].author.host == "other"


class Interrupted(RecordingBackend):
    """Somebody acts just before something is got for the first time."""

    def __init__(self, inner: Backend, act: Callable[[], None]) -> None:
        super().__init__(inner)
        self._act = act

    def get(self, key: Key, *, unless: Version | None = None) -> Found | Unchanged:
        if not self.calls:
            self._act()
        return super().get(key, unless=unless)

    def put(self, key: Key, data: bytes, *, replacing: Version | None, digest: Digest | None = None) -> Version:
        return self._inner.put(key, data, replacing=replacing, digest=digest)


def move_and_meanwhile(storage: Storage, head: Head, was: HeadAt | None, act: Callable[[], None]) -> HeadAt:
    """Move the head, and let somebody *act* just before it is read back."""
    return move_head(Interrupted(storage.faulty, act), USER, head, replacing=version(was), patience=patience())


def follow(storage: Storage, count: int, *, folding: bool = False, spilling: bool = False) -> None:
    """Let somebody put *count* heads on top of the one that is there."""
    for _ in range(count):
        at = storage.there()
        assert at is not None
        head = moved(at.head, "other")
        objects = ObjectWriter(storage.memory, USER)
        with Outlet(objects) as outlet:
            if spilling:
                head = spill(head, outlet)
                outlet.wait()
            if folding:
                head, _ = fold(head, objects, outlet, lambda ref: pytest.fail(f"{ref} is not needed"))
        move_head(storage.memory, USER, head, replacing=at.version)


@pytest.mark.parametrize("folding", [False, True])
def test_ours_is_found_below_what_somebody_has_put_on_top_of_it(
    storage: Storage, was: HeadAt | None, *, folding: bool
) -> None:
    storage.faulty.lose_answer(put_name(was))
    head, count = moved(was.head if was else None), 80 if folding else 3
    found = move_and_meanwhile(storage, head, was, lambda: follow(storage, count, folding=folding))
    assert found == storage.there()
    assert found.head.sequence == head.sequence + count
    assert (head.records[-1] in found.head.records) is not folding


@pytest.mark.parametrize("folding", [False, True])
def test_ours_is_found_where_somebody_has_spilled_what_it_brought(
    storage: Storage, was: HeadAt | None, *, folding: bool
) -> None:
    storage.faulty.lose_answer(put_name(was))
    head, count = moved(was.head if was else None, delta=bringing(noise(90_000))), 80 if folding else 3
    found = move_and_meanwhile(storage, head, was, lambda: follow(storage, count, folding=folding, spilling=True))
    assert found == storage.there()
    assert found.head.sequence == head.sequence + count
    assert head.records[-1] not in found.head.records


def test_a_head_without_a_record_of_its_own_is_not_taken_for_done_because_of_the_one_before(storage: Storage) -> None:
    was = move_head(storage.memory, USER, moved(None), replacing=None)
    storage.faulty.land_late("conditional_put", calls=10**6)
    marked = was.head._replace(write_id=b"n" * 16, horizon=1)
    with pytest.raises(ConflictError):
        move_and_meanwhile(storage, marked, was, lambda: follow(storage, 1))


def test_a_damaged_history_leaves_the_doubt(storage: Storage) -> None:
    storage.faulty.lose_answer("put")

    def bury() -> None:
        follow(storage, 80, folding=True)
        for key in [key for key in storage.memory.objects if "/journal/" in key]:
            del storage.memory.objects[key]

    with pytest.raises(SyncError) as unknown:
        move_and_meanwhile(storage, moved(None), None, bury)
    assert unknown.value.facts["ambiguous"] is True
    assert head_key(USER) in storage.memory.objects
