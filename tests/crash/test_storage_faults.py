"""A storage that fails: what is reported as published is there, once; what is reported as failed is not, or said to be unknown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synccore.backends.memory import MemoryBackend
from synccore.backends.opening import Access, open_backend
from synccore.backends.patience import Patience
from synccore.backends.retrying import RetryingBackend
from synccore.delete import delete
from synccore.errors import ConflictError, ErrorKind, NotFoundError, SyncError, UnavailableError
from synccore.history import log
from synccore.push import PushOutcome
from synccore.refs import HeadAt, read_head
from synccore.testing.faults import FaultyBackend
from synccore.testing.gcs_faults import Damage, Delay, Fault, LoseAnswer, Redirect, Refuse, Reset, Stall, Truncate
from synccore.testing.gcs_server import GcsServer
from synccore.testing.invariants import (
    assert_carried,
    assert_is_at_head,
    assert_nothing_unfinished,
    assert_same_tree,
    assert_sound,
)
from synccore.testing.lab import USER, Lab, lab_in_memory
from synccore.testing.metadata_server import MetadataServer
from synccore.testing.trees import noise

# Any plan of failures, against the real engine and its retries, with a clock that only waiting moves


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def patience(self) -> Patience:
        return Patience(deadline_seconds=3, clock=lambda: self.now, sleep=self.sleep, jitter=lambda: 0.5)


@dataclass(frozen=True)
class Trouble:
    """A failure of some calls in a row."""

    call: str
    how: str
    times: int
    late_by: int

    def plan(self, faulty: FaultyBackend) -> None:
        if self.how == "refuse":
            faulty.fail(self.call, times=self.times)
        elif self.how == "refuse in doubt":
            doubt = UnavailableError(ErrorKind.UNAVAILABLE, "503", ambiguous=True)
            faulty.fail(self.call, doubt, times=self.times)
        elif self.how == "lose":
            faulty.lose_answer(self.call, times=self.times)
        else:
            faulty.land_late(self.call, calls=self.late_by, times=self.times)


PUTS = ("put", "conditional_put")
GETS = ("get", "conditional_get", "get_range")
TROUBLES = st.builds(
    Trouble,
    call=st.sampled_from(PUTS),
    how=st.sampled_from(("refuse", "refuse in doubt", "lose", "late")),
    times=st.sampled_from((1, 2, 3, 100)),
    late_by=st.integers(1, 6),
) | st.builds(
    Trouble, call=st.sampled_from(GETS), how=st.just("refuse"), times=st.sampled_from((1, 2, 100)), late_by=st.just(1)
)
ACTS = st.tuples(st.sampled_from(("push", "push", "push large", "delete", "pull")), st.lists(TROUBLES, max_size=3))


@contextmanager
def troubled_lab() -> Iterator[tuple[Lab, FaultyBackend, MemoryBackend]]:
    memory, time = MemoryBackend(), Time()
    faulty = FaultyBackend(memory)
    backend = RetryingBackend(faulty, deadline_seconds=3, clock=lambda: time.now, sleep=time.sleep, jitter=lambda: 0.5)
    with lab_in_memory() as made:
        yield Lab(made.folder / "troubled", backend, patience=time.patience()), faulty, memory


def sequence(memory: MemoryBackend) -> int:
    at = read_head(memory, USER)
    return at.head.sequence if isinstance(at, HeadAt) else 0


def tried(lab: Lab, memory: MemoryBackend, act: str) -> str:
    """Do *act*, check what it reports, and return what that says of the head."""
    try:
        if act == "pull":
            lab.machine.pull()
            assert_is_at_head(lab.machine, Lab(lab.folder, memory))
            return "as before"
        if act == "delete":
            delete("alpha", store=lab.laptop.store)
            return "moved"
        (line,) = lab.laptop.push("alpha").repos
    except NotFoundError:
        assert act in {"delete", "pull"}
        return "as before"
    except UnavailableError as error:
        return "unknown" if error.facts.get("ambiguous") and act != "pull" else "failed"
    assert line.outcome is PushOutcome.PUBLISHED
    assert Lab(lab.folder, memory).snapshots()["alpha"] == line.snapshot
    return "moved"


@settings(max_examples=2 * settings.default.max_examples)
@given(st.lists(ACTS, min_size=1, max_size=6))
def test_what_is_reported_is_true_whatever_fails(acts: list[tuple[str, list[Trouble]]]) -> None:
    with troubled_lab() as (lab, faulty, memory):
        moves = 0  # of which this laptop knows
        doubts = 0  # moves of which it does not know whether they were done
        for number, (act, troubles) in enumerate(acts):
            for trouble in troubles:
                trouble.plan(faulty)
            data = noise(100_000, number) if act == "push large" else str(number)
            lab.laptop.lay(alpha={"a": data, "b": str(number)})
            before = sequence(memory)
            outcome = tried(lab, memory, act)
            faulty.heal()
            moves += outcome == "moved"
            doubts += outcome == "unknown"
            if outcome == "failed":
                assert sequence(memory) == before, "done, and reported as not done"
            faulty.land_all()
            assert moves <= sequence(memory) <= moves + doubts
        lab.laptop.lay(alpha={"a": "the end"})
        lab.laptop.push("alpha")
        lab.machine.pull()
        assert_same_tree(lab.machine.read("alpha"), {"a": "the end"})
        assert_sound(memory)


# Each failure that a server can show, by the real way to it

DEADLINE_SECONDS = 0.4
ONCE: dict[str, Fault] = {
    "500": Refuse(500),
    "503": Refuse(503),
    "429": Refuse(429, "rateLimitExceeded"),
    "408": Refuse(408, "requestTimeout"),
    "reset": Reset(),
    "lost answer": LoseAnswer(),
    "lost answer with 503": LoseAnswer(503),
    "truncated": Truncate(3),
    "damaged": Damage(),
    "delayed": Delay(0.01),
}


class Cloud:
    """A lab on a server that can be told to fail; the same people are there patient, and soon tired of waiting."""

    def __init__(self, folder: Path, server: GcsServer) -> None:
        self.server = server
        self.lab = lab_on(folder, Access(emulator_host=server.url, deadline_seconds=30.0))
        self.tired = lab_on(folder, Access(emulator_host=server.url, deadline_seconds=DEADLINE_SECONDS))

    def close(self) -> None:
        self.lab.backend.close()
        self.tired.backend.close()

    def check_uploads(self, count: int) -> None:
        """Check that there were so many uploads, each in the history once."""
        self.server.heal()
        assert [line.sequence for line in log(USER, self.lab.inner, limit=99)] == list(range(count, 0, -1))
        assert_sound(self.lab.inner)


def lab_on(folder: Path, access: Access) -> Lab:
    patience = Patience(deadline_seconds=access.deadline_seconds)
    return Lab(folder, open_backend("gs://lab/code", access=access), patience=patience)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with GcsServer("lab") as server:
        cloud = Cloud(tmp_path, server)
        yield cloud
        cloud.close()


@pytest.mark.parametrize("fault", ONCE)
@pytest.mark.parametrize("what", ["head", "first head", "bundle"])
def test_an_upload_gets_over_a_failure_and_is_there_once(cloud: Cloud, what: str, fault: str) -> None:
    lab, before = cloud.lab, 0
    if what != "first head":
        lab.laptop.lay(alpha={"a": "1"})
        lab.laptop.push()
        before = 1
    lab.laptop.lay(alpha={"a": "2", **({"large": noise(200_000)} if what == "bundle" else {})})
    cloud.server.forget()
    cloud.server.inject(ONCE[fault], operation="put")
    (line,) = lab.laptop.push().repos
    assert line.outcome.value == "published"
    cloud.check_uploads(before + 1)
    lab.machine.pull()
    assert_carried(lab.laptop, lab.machine, "alpha")


@pytest.mark.parametrize("fault", ["503", "reset", "lost answer", "truncated", "damaged"])
def test_a_download_gets_over_a_failure_of_each_kind_of_object(cloud: Cloud, fault: str) -> None:
    lab = cloud.lab
    lab.laptop.lay(alpha={f"{number}": noise(100, number) for number in range(700)})
    lab.laptop.push()
    kinds = {name.split("/")[2] for name in cloud.server.service.buckets["lab"]}
    assert kinds == {"head", "bundles", "manifests"}
    for name in cloud.server.service.buckets["lab"]:
        cloud.server.inject(ONCE[fault], operation="get_media", name=name)
    lab.machine.pull()
    assert_carried(lab.laptop, lab.machine, "alpha")
    assert_nothing_unfinished(lab.machine)


ALWAYS: dict[str, Fault] = {**ONCE, "stalled": Stall(3), "redirect": Redirect("http://127.0.0.1:1/")}
ALWAYS.pop("delayed")


@pytest.mark.parametrize("fault", ALWAYS)
def test_an_upload_that_never_gets_over_a_failure_says_what_it_knows(cloud: Cloud, fault: str) -> None:
    lab = cloud.lab
    lab.laptop.lay(alpha={"a": "1"})
    lab.laptop.push()
    lab.laptop.lay(alpha={"a": "2"})
    cloud.server.inject(ALWAYS[fault], times=10**6)
    with pytest.raises(UnavailableError) as given_up:
        cloud.tired.laptop.push()
    cloud.server.heal()
    is_there = lab.head().sequence == 2
    if is_there:
        assert given_up.value.facts["ambiguous"] is True
    assert "\n" not in given_up.value.message
    lab.laptop.lay(alpha={"a": "3"})
    lab.laptop.push()
    cloud.check_uploads(2 + is_there)


@pytest.mark.parametrize("fault", [name for name in ALWAYS if "lost" not in name])
def test_a_download_that_never_gets_over_a_failure_leaves_all_as_it_was(cloud: Cloud, fault: str) -> None:
    lab = cloud.lab
    lab.laptop.lay(alpha={"a": "1"})
    lab.laptop.push()
    lab.machine.pull()
    lab.laptop.lay(alpha={"a": "2", "large": noise(200_000)})
    lab.laptop.push()
    (bundle,) = [name for name in cloud.server.service.buckets["lab"] if "/bundles/" in name]
    for name in ("code/ann/head", bundle):
        cloud.server.inject(ALWAYS[fault], name=name, times=10**6)
        with pytest.raises(SyncError) as given_up:
            cloud.tired.machine.pull()
        assert given_up.value.kind in {ErrorKind.UNAVAILABLE, ErrorKind.UNREACHABLE}
        assert_same_tree(lab.machine.read("alpha"), {"a": "1"})
        cloud.server.heal()
    lab.machine.pull()
    assert_carried(lab.laptop, lab.machine, "alpha")
    assert_nothing_unfinished(lab.machine)


def test_a_token_that_has_expired_is_renewed_in_the_middle_of_everything(tmp_path: Path) -> None:
    with GcsServer("lab") as server, MetadataServer() as metadata:
        server.tokens = {"token-1"}
        host = metadata.url.removeprefix("http://")
        lab = lab_on(tmp_path, Access(endpoint=server.url, metadata_host=host, deadline_seconds=20.0))
        for number, data in enumerate(("1", noise(200_000), "3"), start=1):
            lab.laptop.lay(alpha={"a": data})
            lab.laptop.push()
            lab.machine.pull()
            assert_carried(lab.laptop, lab.machine, "alpha")
            metadata.token = f"token-{number + 1}"
            server.tokens = {metadata.token}
        metadata.token, server.tokens = "refused", {"another"}
        lab.laptop.lay(alpha={"a": "4"})
        with pytest.raises(SyncError) as refused:
            lab.laptop.push()
        assert refused.value.kind is ErrorKind.REFUSED
        metadata.token, server.tokens = "token-5", {"token-5"}
        assert lab.head().sequence == 3
        lab.backend.close()


def test_a_store_that_takes_one_write_a_second_to_one_name_is_waited_for(
    cloud: Cloud,
) -> None:
    ticks = iter(range(10**6))
    # A third of a second passes with each look at the clock, so that nobody really waits for a second.
    cloud.server.service.clock = lambda: 1_700_000_000 + next(ticks) / 3
    cloud.server.service.writes_a_second = 1
    for number in range(5):
        cloud.lab.laptop.lay(alpha={"a": str(number)})
        cloud.lab.laptop.push()
    assert {it.status for it in cloud.server.log if it.operation == "put"} == {200, 429}
    cloud.check_uploads(5)


def test_somebody_elses_upload_is_still_a_conflict_where_answers_get_lost(
    cloud: Cloud,
) -> None:
    other = cloud.lab.another_laptop("other")
    for laptop in (cloud.lab.laptop, other):
        laptop.lay(alpha={"a": "1"})
        laptop.push()
    cloud.lab.laptop.lay(alpha={"a": "2"})
    cloud.lab.laptop.push()
    other.lay(alpha={"a": "3"})
    cloud.server.inject(LoseAnswer(), operation="put")
    with pytest.raises(ConflictError) as refused:
        other.push()
    assert refused.value.kind is ErrorKind.UNSEEN_SNAPSHOT
    cloud.check_uploads(2)
